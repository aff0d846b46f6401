"""Where the time goes in tasks that S3Dict could do faster."""

from __future__ import annotations

import cProfile
import pstats
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

from s3dictionary import S3Dict
from s3dictionary._format import codec

from .data import KEY, body, records
from .encoding import loaded
from .local import s3dict
from .report import Section, Table
from .stage import Stage
from .start import environment

TOP = 7

TEXT = """\
Compared with raw requests, a big file has one additional cost: msgspec splits it into its members (`Decoder.decode`).
Behind a network, that is a small part. A transaction is Python code that notes what the containers in a record hold,
and finds out who else holds them, whereas writing an item is little more than an assignment in a dict. To encode a
file, S3Dict looks at the type of every value first (the comprehensions in plain.py), because msgspec writes different
types alike, such as a tuple and a list.

The tables list the functions with the most time of their own, measured by Python's profiler, which exaggerates the
time of calls of Python functions. The last table shows, by package, what S3Dict imports in addition to boto3."""


def measure(stage: Stage) -> Section:
    section = Section("Where the time goes", TEXT)
    count = 10_000 if stage.quick else 100_000
    stage.s3.put_object(Bucket=stage.bucket, Key="profile.json", Body=body(count))

    def edit() -> None:
        with S3Dict(stage.bucket, file_name="profile.json") as state:
            state[KEY]["visits"] += 1

    state = s3dict(stage, records(10_000))
    keys = cycle(list(state)[:100])

    def transaction() -> None:
        with state.transaction():
            state[next(keys)]["visits"] += 1

    touched = loaded(body(count))
    for key in list(touched.items):
        touched.touch(key)["visits"] += 1
    section.tables = [
        _profile(f"Editing one of {count:,} records in a `with` block", edit, 5),
        _profile("A transaction that edits one record", transaction, 10_000),
        _profile(f"Making the file, {count:,} records touched", lambda: codec.join(touched.encode().members), 3),
        _imports(),
    ]
    return section


def _profile(title: str, function: Callable[[], object], times: int) -> Table:
    function()
    profile = cProfile.Profile()
    for _ in range(times):
        profile.runcall(function)
    found = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    own = Counter({_name(*place): figures[2] for place, figures in found.items()})
    return _shares(title, own)


def _shares(title: str, seconds: Counter[str]) -> Table:
    total = sum(seconds.values())
    top = seconds.most_common(TOP)
    rest = total - sum(own for _, own in top)
    rows = [[name, f"{own / total:.0%}"] for name, own in [*top, ("all else", rest)]]
    return Table(["", "share of the time"], rows, title)


def _name(file: str, line: int, function: str) -> str:
    if file == "~":  # of C
        method = re.match(r"<method '(\w+)' of '([\w.]+)' objects>", function)
        return f"`{method[2]}.{method[1]}`" if method else f"`{function.strip('<>').removeprefix('built-in method ')}`"
    return f"`{function}` in {Path(file).name}"


def _imports() -> Table:
    code = "import boto3; from s3dictionary import S3Dict"
    run = [sys.executable, "-P", "-X", "importtime", "-c", code]
    lines = subprocess.run(run, check=True, capture_output=True, text=True, env=environment()).stderr.splitlines()
    seconds: Counter[str] = Counter()
    after = False
    for line in lines:
        own, _, name = line.removeprefix("import time:").split("|")
        if after:
            seconds[f"`{name.strip().partition('.')[0]}`"] += int(own)
        after = after or name == " boto3"
    return _shares(f"What is imported after boto3: {sum(seconds.values()) / 1000:.0f} ms in all", seconds)
