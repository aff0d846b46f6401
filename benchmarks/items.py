"""Reading and writing items of a loaded dict, without autosave."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

from .data import body, records
from .local import disk_cache, s3dict, sqlite_dict
from .report import Section, Table, comparison, duration, spread
from .rivals import Original, Ours
from .stage import Helper, Stage
from .timing import Contender, cpu, side_by_side

COUNT = 1_000
TIMES = 50
"""How often in-memory mappings handle all keys in a round."""

TEXT = """\
{count:,} keys, all of them in turn. The times are processor time for each key. S3Dict inherits from `UserDict`. When
an item of an S3Dict is touched for the first time, it is decoded, or its old entry is noted: see the last table."""


def measure(stage: Stage) -> Section:
    section = Section("Reading and writing items", TEXT.format(count=COUNT))
    content = records(COUNT)
    with ExitStack() as stack:
        mappings: dict[str, Any] = {
            "dict": dict(content),
            "UserDict": UserDict(content),
            Ours.name: s3dict(stage, content),
            "sqlitedict": stack.enter_context(sqlite_dict(content)),
            "diskcache": stack.enter_context(disk_cache(content)),
        }
        original = None
        if stage.original:
            stage.s3.put_object(Bucket=stage.bucket, Key="items.json", Body=body(COUNT))
            original = stack.enter_context(Helper("original.py", python=stage.original))
        for task, what in (("read_items", "Reading an item"), ("write_items", "Writing an item")):
            contenders = {name: _contender(task, mapping) for name, mapping in mappings.items()}
            if original:
                contenders[Original.name] = partial(_ask, original, task, stage.bucket)
            times = side_by_side(contenders, 5 if stage.quick else 25)
            section.tables.append(comparison(times, "UserDict", title=what))
            section.facts[task] = times[Ours.name].over(times["UserDict"])
            section.facts[f"{task} seconds"] = times[Ours.name].median
    section.tables.append(_first_times(stage, content))
    return section


def _contender(task: str, mapping: Any) -> Contender:
    times = TIMES if isinstance(mapping, Mapping) and not hasattr(mapping, "commit") else 1
    keys = list(records(COUNT)) * times
    return cpu(partial({"read_items": _read, "write_items": _write}[task], mapping, keys), per=len(keys))


def _read(mapping: Any, keys: list[str]) -> None:
    for key in keys:
        mapping[key]


def _write(mapping: Any, keys: list[str]) -> None:
    for key in keys:
        mapping[key] = 50


def _ask(original: Helper, task: str, bucket: str) -> float:
    seconds: float = original.ask(task, bucket, "items.json", TIMES)
    return seconds / TIMES / COUNT


def _first_times(stage: Stage, content: dict[str, Any]) -> Table:
    keys = list(content)

    def first(function: Any) -> Contender:
        def run() -> float:
            return cpu(partial(function, s3dict(stage, content), keys), per=len(keys))()

        return run

    times = side_by_side({"reading": first(_read), "writing": first(_write)}, 5 if stage.quick else 15)
    rows = [[name, duration(its.median), spread(its)] for name, its in times.items()]
    return Table(["", "median", "half of them"], rows, "S3Dict, the first time that an item is touched")
