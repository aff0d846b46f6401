"""A file so big that one connection is the limit."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from s3dictionary import S3Dict
from s3dictionary._s3.ranges import CONNECTIONS

from .data import body
from .latency import BYTES_A_SECOND, SECONDS
from .report import Section, Table, comparison, size
from .rivals import LIMIT, Ours
from .stage import Helper, Stage, run_script
from .timing import side_by_side, wall

VALUE = 10_000

FLOOR = "its bytes alone, over 8 sockets"

TEXT = """\
Opening a file of {size} with values of 10 kB, through the same proxy: 20 ms for each request, and 85 MB/s on each
connection. S3Dict loads it over several connections. Beside it stands the least that this can take: sockets that read
the same ranges at once, and nothing else. The server and the proxy run on the same machine. With few processors, the
three of them wait for each other. Memory is the peak of a process that opens a file of {records} in small records over
several connections, edits one record and saves, minus what the process had before."""


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
            FLOOR: wall(partial(_get_ranges, *_signed(stage), len(content))),
            Ours.name: wall(partial(S3Dict, stage.bucket, file_name="big.json")),
        }
        times = side_by_side(contenders, 3 if stage.quick else 11)
    section.tables.append(comparison(times, LIMIT, title="Opening it"))
    section.facts["big"] = times[Ours.name].over(times[LIMIT])
    section.facts["big floor"] = times[FLOOR].over(times[LIMIT])
    section.facts["big peak"] = _peak(stage, small) / len(body(small))
    row = [Ours.name, f"{section.facts['big peak']:.1f}"]
    section.tables.append(Table(["", "memory, as a multiple of the file"], [row]))
    return section


def _get(s3: Any, bucket: str) -> None:
    s3.get_object(Bucket=bucket, Key="big.json")["Body"].read()


def _signed(stage: Stage) -> tuple[str, str]:
    """The address of the link, and the path with the signature of a GET."""
    parts = urlsplit(stage.s3.generate_presigned_url("get_object", {"Bucket": stage.bucket, "Key": "big.json"}))
    return parts.netloc, f"{parts.path}?{parts.query}"


def _get_ranges(address: str, path: str, length: int) -> None:
    """Read an object into one buffer, over as many connections as S3Dict takes."""
    body = memoryview(bytearray(length))
    bounds = [length * number // CONNECTIONS for number in range(CONNECTIONS + 1)]
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        list(threads.map(partial(_get_range, address, path, body), bounds, bounds[1:]))


def _get_range(address: str, path: str, body: memoryview, start: int, end: int) -> None:
    with closing(HTTPConnection(address)) as connection:
        connection.request("GET", path, headers={"Range": f"bytes={start}-{end - 1}"})
        answer = connection.getresponse()
        assert answer.status == 206
        while start < end:
            start += answer.readinto(body[start:end])


def _peak(stage: Stage, count: int) -> float:
    for file, records in (("small-peak.json", 100), ("big-peak.json", count)):
        stage.s3.put_object(Bucket=stage.bucket, Key=file, Body=body(records))
    peak: float = run_script("peak.py", "s3dict", stage.bucket, "small-peak.json", "big-peak.json")
    return peak
