"""The memory needed to open a file and edit it."""

from __future__ import annotations

import statistics

from .data import body
from .plots import bars
from .report import Section, Table, size
from .rivals import ByHand, Original, Ours, SameBytes
from .stage import Stage, run_script

TEXT = """\
A separate process opens a file of {count:,} records ({size}), edits one and saves. The figures are the peak of its
resident set, minus the resident set after the imports and after editing a small file."""


def measure(stage: Stage) -> Section:
    count = 10_000 if stage.quick else 100_000
    content = body(count)
    for file, its_content in (("peak.json", content), ("small.json", body(100))):
        stage.s3.put_object(Bucket=stage.bucket, Key=file, Body=its_content)
    rows, ratios = [], {}
    for name, how in _contenders(stage).items():
        python = stage.original if how == "original" else None
        arguments = ("peak.py", how, stage.bucket, "small.json", "peak.json")
        peaks = [run_script(*arguments, python=python) for _ in range(1 if stage.quick else 5)]
        ratios[name] = statistics.median(peaks) / len(content)
        between = f"{size(min(peaks))} to {size(max(peaks))}"
        rows.append([name, size(statistics.median(peaks)), between, f"{ratios[name]:.1f}"])
    section = Section("Peak memory", TEXT.format(count=count, size=size(len(content))))
    section.tables.append(Table(["", "median", "all of them", "times the file"], rows))
    title = "Peak memory, as a multiple of the file"
    section.plots[title] = bars(ratios, title=title, text=lambda ratio: f"{ratio:.1f}")
    section.facts["peak"] = ratios[Ours.name]
    return section


def _contenders(stage: Stage) -> dict[str, str]:
    contenders = {SameBytes.name: "same_bytes", Ours.name: "s3dict", ByHand.name: "by_hand"}
    return {**contenders, Original.name: "original"} if stage.original else contenders
