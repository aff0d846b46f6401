"""A server that is farther away."""

from __future__ import annotations

from urllib.parse import urlsplit

from .report import Section, comparison
from .rivals import LIMIT, OBJECT_PER_KEY, TASKS, WHOLE_FILE, contenders, line_up
from .stage import Helper, Stage
from .timing import side_by_side

SECONDS = 0.02

TEXT = """\
The same through a small proxy that holds back each answer for 20 ms, which is about what a small request to S3 takes
within a region. So what counts is how many requests there are."""


def measure(stage: Stage) -> Section:
    section = Section("With 20 ms a request", TEXT)
    port = urlsplit(stage.endpoint_url).port
    for count in (100,) if stage.quick else (100, 10_000):
        kinds = (*WHOLE_FILE, *OBJECT_PER_KEY) if count == 100 else WHOLE_FILE
        for task in ("edit_one",) if stage.quick else ("read_one", "edit_one", "read_only"):
            with (
                Helper("slow_link.py", port, SECONDS) as link,
                stage.at(f"http://127.0.0.1:{link.greeting}"),
                line_up(stage, kinds, stage.bucket, count) as rivals,
            ):
                times = side_by_side(contenders(rivals, task), 3 if stage.quick else 11)
            section.tables.append(comparison(times, LIMIT, title=f"{count:,} records: {TASKS[task]}"))
    return section
