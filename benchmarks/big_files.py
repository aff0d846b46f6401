"""A file so big that one connection is the limit."""

from __future__ import annotations

import json
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from s3dictionary import S3Dict

from .data import body
from .latency import BYTES_A_SECOND, SECONDS
from .report import Section, Table, comparison, size
from .rivals import LIMIT, Ours
from .stage import Helper, Stage, run_script
from .timing import side_by_side, wall

VALUE = 10_000

TEXT = """\
Opening a file of {size} with values of 10 kB, through the same proxy: 20 ms for each request, and 85 MB/s on each
connection. S3Dict loads it over several connections. The figures need a machine with a processor or two to spare,
because the server and the proxy run on it, too. Memory is the peak of a process that opens a file of {records} in
small records over several connections, edits one record and saves, minus what the process had before."""


def measure(stage: Stage) -> Section:
    count, small = (4_000, 300_000) if stage.quick else (15_000, 1_000_000)
    content = json.dumps({str(number): "x" * VALUE for number in range(count)}).encode()
    stage.s3.put_object(Bucket=stage.bucket, Key="big.json", Body=content)
    section = Section("Big files", TEXT.format(size=size(len(content)), records=size(len(body(small)))))
    with (
        Helper("slow_link.py", urlsplit(stage.endpoint_url).port, SECONDS, BYTES_A_SECOND) as link,
        stage.at(f"http://127.0.0.1:{link.greeting}"),
    ):
        contenders = {
            LIMIT: wall(partial(_get, stage.s3, stage.bucket)),
            Ours.name: wall(partial(S3Dict, stage.bucket, file_name="big.json")),
        }
        times = side_by_side(contenders, 3 if stage.quick else 11)
    section.tables.append(comparison(times, LIMIT, title="Opening it"))
    section.facts["big"] = times[Ours.name].over(times[LIMIT])
    section.facts["big peak"] = _peak(stage, small) / len(body(small))
    row = [Ours.name, f"{section.facts['big peak']:.1f}"]
    section.tables.append(Table(["", "memory, as a multiple of the file"], [row]))
    return section


def _get(s3: Any, bucket: str) -> None:
    s3.get_object(Bucket=bucket, Key="big.json")["Body"].read()


def _peak(stage: Stage, count: int) -> float:
    for file, records in (("small-peak.json", 100), ("big-peak.json", count)):
        stage.s3.put_object(Bucket=stage.bucket, Key=file, Body=body(records))
    peak: float = run_script("peak.py", "s3dict", stage.bucket, "small-peak.json", "big-peak.json")
    return peak
