"""Editing every record of a big file in a block."""

from __future__ import annotations

from functools import partial

from .data import body
from .report import Section, comparison
from .rivals import ByHand, Ours
from .stage import Stage, run_script
from .timing import side_by_side

COUNT = 100_000

TEXT = """\
Opening a file of {count:,} records, editing each of them, saving, and freeing the memory. The times are processor
time, each measured in a separate process that has done the same with a small file before. So neither contender's
objects slow down the other's garbage collection."""

HOW = {Ours.name: "s3dict", ByHand.name: "by_hand"}


def measure(stage: Stage) -> Section:
    for file, count in (("rewrite.json", COUNT), ("small.json", 100)):
        stage.s3.put_object(Bucket=stage.bucket, Key=file, Body=body(count))
    contenders = {
        name: partial(run_script, "rewrite.py", how, stage.bucket, "small.json", "rewrite.json")
        for name, how in HOW.items()
    }
    times = side_by_side(contenders, 3 if stage.quick else 15)
    section = Section("Editing every record", TEXT.format(count=COUNT))
    section.tables.append(comparison(times, ByHand.name))
    section.facts["rewrite"] = times[Ours.name].over(times[ByHand.name])
    return section
