"""A server that is farther away."""

from __future__ import annotations

from urllib.parse import urlsplit

from .report import Section, comparison
from .rivals import LIMIT, OBJECT_PER_KEY, TASKS, WHOLE_FILE, ByHand, Original, Ours, contenders, line_up
from .stage import Helper, Stage
from .timing import side_by_side

SECONDS = 0.02
BYTES_A_SECOND = 85e6

TEXT = """\
The same through a small proxy that delays each answer by 20 ms and lets 85 MB/s pass. Within a region, S3 has about
this latency for a small request, and about this bandwidth on one connection. So the number of requests counts here,
more than the work on the bytes. Before each upload, boto3 asks whether it may send the body (`Expect: 100-continue`),
which takes the time of another request. S3Dict asks only for a body over 1 MiB."""


def measure(stage: Stage) -> Section:
    section = Section("With 20 ms a request and 85 MB/s", TEXT)
    port = urlsplit(stage.endpoint_url).port
    with Helper("slow_link.py", port, SECONDS, BYTES_A_SECOND) as link:
        for count, tasks, rounds in _plan(stage.quick):
            kinds = (*WHOLE_FILE, *OBJECT_PER_KEY) if count == 100 else WHOLE_FILE
            seldom = {} if count == 100 else {ByHand.name: 2, Original.name: 2}
            for task in tasks:
                with (
                    line_up(stage, kinds, stage.bucket, count),  # filled without the delay
                    stage.at(f"http://127.0.0.1:{link.greeting}"),
                    line_up(stage, kinds, stage.bucket, count, filled=True) as rivals,
                ):
                    times = side_by_side(contenders(rivals, task), rounds, seldom=seldom)
                section.tables.append(comparison(times, LIMIT, title=f"{count:,} records: {TASKS[task]}"))
                section.facts[f"far {task} {count}"] = times[Ours.name].over(times[LIMIT])
    return section


def _plan(quick: bool) -> list[tuple[int, list[str], int]]:
    if quick:
        return [(100, ["edit_one"], 3)]
    return [(100, ["read_one", "edit_one", "read_only"], 11), (100_000, ["read_one", "edit_one"], 7)]
