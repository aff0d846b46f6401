"""Writing every record as JSON, without sending it."""

from __future__ import annotations

import json

import msgspec

from s3dictionary._format import codec
from s3dictionary._memory import Memory

from .data import body
from .report import Section, comparison
from .stage import Stage
from .timing import cpu, side_by_side

TEXT = """\
How long S3Dict takes to encode a file of {count:,} records, all or one of which were touched, compared with
`json.dumps` of the same dict. msgspec's encoder is the lower limit. It also writes values that wouldn't come back
unchanged, so S3Dict checks the types first. The times are processor time."""

STANDARD = "json.dumps"
OURS = "S3Dict, all touched"


def measure(stage: Stage) -> Section:
    count = 10_000 if stage.quick else 100_000
    content = body(count)
    plain = json.loads(content)
    touched, one_touched = (loaded(content) for _ in range(2))
    for key in plain:
        touched.touch(key)["visits"] += 1
    one_touched.touch(next(iter(plain)))["visits"] += 1
    contenders = {
        STANDARD: cpu(lambda: json.dumps(plain).encode()),
        "msgspec.json.encode": cpu(lambda: msgspec.json.encode(plain)),
        OURS: cpu(lambda: codec.join(touched.encode().members)),
        "S3Dict, one touched": cpu(lambda: codec.join(one_touched.encode().members)),
    }
    times = side_by_side(contenders, 5 if stage.quick else 9)
    section = Section("Making the file", TEXT.format(count=count))
    section.tables.append(comparison(times, STANDARD, places=3))
    section.facts["encoding"] = times[OURS].over(times[STANDARD])
    return section


def loaded(content: bytes) -> Memory:
    """A dict's memory with the content of a file, all of it raw."""
    memory = Memory()
    memory.load(codec.split(content), None)
    return memory
