"""The record that each save leaves in the metadata, and what it proves about a save without an answer.

Pure functions of what was sent and what was found. Knows neither S3 nor requests.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple
from urllib.parse import unquote

MAX_LENGTH = 256
"""Most bytes of a record's text, because OpenStack Swift accepts no longer metadata header."""

MIN_LENGTH = 88
"""Enough bytes for a record with one row and generations of up to 32 bits."""

_TEXT = re.compile(r"1_([0-9a-f]+)_([0-9a-f]+)_([0-9a-f]+)_([0-9a-f]+)((?:_[0-9a-f]+-[0-9a-f]+)*)\.")


class Record(NamedTuple):
    """The history of a file's saves.

    Attributes:
        lineage: random, created with the file. A file that was deleted and created again has a different one.
        generation: goes up with each save.
        floor: the highest generation that was dropped from the table.
        number: random, identifies the save that wrote the record. The end of the file encodes it, too.
        rows: the table: for each writer, the generation of its last save that took effect.
    """

    lineage: str
    generation: int
    floor: int
    number: int
    rows: dict[str, int]

    def __str__(self) -> str:
        """The text for the metadata. Headers and percent-encoding preserve all its characters."""
        rows = "".join(f"_{writer}-{self.generation - generation:x}" for writer, generation in self.rows.items())
        return f"1_{self.lineage}_{self.generation:x}_{self.floor:x}_{self.number:x}{rows}."


class Attempt(NamedTuple):
    """A save that was or will be sent: the lineage, the row that it sets, and its number."""

    lineage: str
    writer: str
    generation: int
    number: int


class Outcome(Enum):
    """What the current file proves about the saves that were tried from one version."""

    TOOK_EFFECT = "one of them took effect"
    REFUSED = "none of them took effect, nor can any"
    UNKNOWN = "nothing"


def new_writer() -> str:
    return secrets.token_hex(6)


def new_number() -> int:
    return secrets.randbits(64)


def first_record() -> Record:
    """The record of a missing file, or of a file without one."""
    return Record(secrets.token_hex(6), 0, 0, 0, {})


def parse(text: str) -> Record | None:
    """Read a record from metadata, even if a gateway changed its case, spaces and special characters.

    Returns:
        The record; `None` if the text isn't a record, or was cut off.
    """
    match = _TEXT.fullmatch("".join(unquote(text).lower().split()))
    if match is None:
        return None
    lineage, *numbers, table = match.groups()
    generation, floor, number = (int(each, 16) for each in numbers)
    rows = (row.split("-") for row in table.split("_")[1:])
    return Record(lineage, generation, floor, number, {writer: generation - int(age, 16) for writer, age in rows})


def following(base: Record, attempt: Attempt, room: int = MAX_LENGTH) -> Record:
    """The record of a save.

    Args:
        base: the record of the version that the save is based on.
        attempt: the save.
        room: the most bytes of its text. If it is longer, the oldest rows are dropped, but not the last one.
    """
    rows = {**base.rows, attempt.writer: attempt.generation}
    floor = base.floor
    while True:
        record = Record(attempt.lineage, attempt.generation, floor, attempt.number, rows)
        if len(rows) == 1 or len(str(record)) <= room:
            return record
        oldest = min((writer for writer in rows if writer != attempt.writer), key=lambda writer: rows[writer])
        floor = max(floor, rows.pop(oldest))


def descends(found: Record, base: Record) -> bool:
    """Whether a file was saved on top of this version.

    It isn't if another tool has edited it or put an old version back, or if it was deleted and created again, even by a
    request that arrived late, and so has the same lineage.
    """
    if found.lineage != base.lineage or found.generation <= base.generation:
        return False
    return all(found.rows.get(writer, found.floor) >= generation for writer, generation in base.rows.items())


def settle(found: Record | None, base: Record, attempts: Iterable[Attempt]) -> tuple[Outcome, Attempt | None]:
    """Determine the outcome of saves without an answer.

    Args:
        found: the record of the current file; `None` if there is no file or no record.
        base: the record of the version that the attempts are based on.
        attempts: all saves that may have taken effect. Their generations are distinct, and higher than that of `base`.
            Attempts that create the file have distinct lineages.

    Returns:
        The outcome, and the attempt that took effect, if one did. Others may have saved on top of it.
    """
    if found is None:
        return Outcome.UNKNOWN, None
    attempts = list(attempts)
    for attempt in attempts:
        if (found.lineage, found.rows.get(attempt.writer)) == (attempt.lineage, attempt.generation):
            return Outcome.TOOK_EFFECT, attempt
    if not descends(found, base) or found.floor > base.generation:
        return Outcome.UNKNOWN, None  # not saved on top of the base, or a row of ours may have been dropped
    if any(found.rows.get(attempt.writer, 0) > attempt.generation for attempt in attempts):
        return Outcome.UNKNOWN, None  # a later save of the same writer took the row
    return Outcome.REFUSED, None
