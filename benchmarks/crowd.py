"""A bucket with many other objects."""

from __future__ import annotations

from support.servers import SeaweedFS

from .plots import bars
from .report import Section, Table, duration, spread
from .rivals import OBJECT_PER_KEY, TASKS, ByHand, Original, Ours, Rival, contenders, line_up
from .stage import Stage
from .timing import Times, side_by_side

FILE_RECORDS = 100

TEXT = """\
A file of {file_records} records in a bucket with {count:,} other objects, compared with the same file in a bucket
without other objects. The other objects are the records of the libraries that keep one object for each record."""


def measure(stage: Stage) -> Section:
    count = 100_000 if not stage.quick else 500
    if not isinstance(stage.server, SeaweedFS):
        count = 2_000
    section = Section("A bucket with many other objects", TEXT.format(file_records=FILE_RECORDS, count=count))
    alone, crowded = stage.new_bucket(), stage.new_bucket()
    whole_file: list[type[Rival]] = [Ours, ByHand, Original]
    with (
        line_up(stage, whole_file, alone, FILE_RECORDS) as in_empty,
        line_up(stage, whole_file, crowded, FILE_RECORDS) as in_crowd,
        line_up(stage, OBJECT_PER_KEY, crowded, count) as per_key,
    ):
        for task in ("read_one", "edit_one"):
            rounds = 3 if stage.quick else 15
            before = side_by_side(contenders(in_empty, task), rounds)
            seldom = {} if stage.quick else {Original.name: 2}
            after = side_by_side(contenders({**in_crowd, **per_key}, task), rounds, seldom=seldom)
            section.tables.append(_table(TASKS[task], before, after, count))
    title = f"Opening a file and editing one record, with {count:,} other objects in the bucket"
    section.plots[title] = bars({name: its.median for name, its in after.items()}, title=title, text=duration)
    return section


def _table(title: str, before: dict[str, Times], after: dict[str, Times], count: int) -> Table:
    rows = []
    for name, its in after.items():
        alone = duration(before[name].median) if name in before else ""
        rows.append([name, alone, duration(its.median), spread(its)])
    return Table(["", "alone in its bucket", f"with {count:,} others", "half of them"], rows, title)
