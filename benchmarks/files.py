"""Opening, reading, editing and saving files of several sizes."""

from __future__ import annotations

from .plots import lines
from .report import Section, comparison, duration
from .rivals import LIMIT, OBJECT_PER_KEY, TASKS, WHOLE_FILE, ByHand, Original, Ours, contenders, line_up
from .stage import Stage
from .timing import Times, side_by_side

SELDOM = {100_000: 3, 1_000_000: 1}
"""In how many rounds contenders that encode everything take part, for many records."""

TEXT = """\
The same work on files of several sizes. "Raw requests" are the lower limit for anything that keeps its records in one
file: a GET to open it and a PUT to save it, with the same bytes, without decoding. With 100 records, the tables also
show libraries that keep one object for each record; for more records, see [a bucket with many other
objects](#a-bucket-with-many-other-objects). S3Dict edits in a `with` block, and its PUT is conditional."""


def measure(stage: Stage) -> Section:
    section = Section("Opening and editing a file", TEXT)
    edits: dict[str, dict[int, float]] = {}
    for count, rounds, tasks in _plan(stage.quick):
        kinds = (*WHOLE_FILE, *OBJECT_PER_KEY) if count == 100 else WHOLE_FILE
        for task in tasks:
            with line_up(stage, kinds, stage.bucket, count) as rivals:
                times = side_by_side(contenders(rivals, task), rounds, seldom=_seldom(count, task))
            section.tables.append(comparison(times, LIMIT, title=f"{count:,} records: {TASKS[task]}"))
            section.facts[f"{task} {count}"] = times[Ours.name].over(times[LIMIT])
            if task == "edit_one":
                _add(edits, count, times)
    title = "Opening a file, editing one record, saving"
    section.plots[title] = lines(edits, title=title, x_label="records in the file", y_text=duration)
    return section


def _plan(quick: bool) -> list[tuple[int, int, list[str]]]:
    """Sizes, rounds and tasks."""
    if quick:
        return [(100, 5, ["edit_one", "read_only"]), (10_000, 3, ["read_one", "edit_one"])]
    some = ["read_one", "edit_one"]
    return [(100, 31, list(TASKS)), (10_000, 15, some), (100_000, 9, list(TASKS)[1:]), (1_000_000, 5, some)]


def _seldom(count: int, task: str) -> dict[str, int]:
    if task == "rewrite" and count == 100:  # two requests for each record
        return {kind.name: 3 for kind in OBJECT_PER_KEY}
    kinds = (Original,) if task == "rewrite" else (ByHand, Original)  # what it takes by hand is what we aim for
    return {kind.name: SELDOM[count] for kind in kinds if count in SELDOM}


def _add(series: dict[str, dict[int, float]], count: int, times: dict[str, Times]) -> None:
    for name, its in times.items():
        if name in {kind.name for kind in WHOLE_FILE}:
            series.setdefault(name, {})[count] = its.median
