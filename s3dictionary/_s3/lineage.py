"""Who has saved what: the record that each save leaves, and what it proves of a save that got no answer.

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
"""Bytes of a record's text. OpenStack Swift takes no longer metadata header."""

MIN_LENGTH = 88
"""Bytes that suffice for a record with one row and generations of up to 32 bits."""

_TEXT = re.compile(r"1_([0-9a-f]+)_([0-9a-f]+)_([0-9a-f]+)_([0-9a-f]+)((?:_[0-9a-f]+-[0-9a-f]+)*)\.")


class Record(NamedTuple):
    """What a file says of the saves that it is made of.

    Attributes:
        lineage: random, made with the file: one that was deleted and made again has another.
        generation: counts the saves since.
        floor: the highest generation that was dropped from the table.
        number: random, of the save that wrote it. The file's end encodes it, too.
        rows: the table: by writer, the generation of its last save that took effect.
    """

    lineage: str
    generation: int
    floor: int
    number: int
    rows: dict[str, int]

    def __str__(self) -> str:
        """The text for the metadata. All its characters come through headers and percent-encoding as they are."""
        rows = "".join(f"_{writer}-{self.generation - generation:x}" for writer, generation in self.rows.items())
        return f"1_{self.lineage}_{self.generation:x}_{self.floor:x}_{self.number:x}{rows}."


class Attempt(NamedTuple):
    """A save that was, or is going to be, sent: the file it belongs to, the row it sets, and its number."""

    lineage: str
    writer: str
    generation: int
    number: int


class Outcome(Enum):
    """What a look at the file proves of the saves that were tried from one version of it."""

    TOOK_EFFECT = "one of them took effect"
    REFUSED = "none of them took effect, nor can any"
    UNKNOWN = "nothing"


def new_writer() -> str:
    return secrets.token_hex(6)


def new_number() -> int:
    return secrets.randbits(64)


def first_record() -> Record:
    """What is taken for the record of a file that isn't there, or has none."""
    return Record(secrets.token_hex(6), 0, 0, 0, {})


def parse(text: str) -> Record | None:
    """Read a record from metadata, whatever a gateway did to its case, blanks and special characters.

    Returns:
        The record; `None` if the text isn't one, or has been cut off.
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
        base: the record of the version that it is made from.
        attempt: the save.
        room: bytes that its text may take. The oldest rows are dropped if it gets longer; one always stays.
    """
    rows = {**base.rows, attempt.writer: attempt.generation}
    floor = base.floor
    while True:
        record = Record(attempt.lineage, attempt.generation, floor, attempt.number, rows)
        if len(rows) == 1 or len(str(record)) <= room:
            return record
        oldest = min((writer for writer in rows if writer != attempt.writer), key=lambda writer: rows[writer])
        floor = max(floor, rows.pop(oldest))


def settle(found: Record | None, base: Record, attempts: Iterable[Attempt]) -> tuple[Outcome, Attempt | None]:
    """Find out what became of saves that got no answer.

    Args:
        found: the record of what is there now; `None` if there is nothing, or it has none.
        base: the record of the version that the attempts were made from.
        attempts: all that may have taken effect. Each has a higher generation than `base`, and one of its own. Those
            that create the file have a lineage of their own each.

    Returns:
        The outcome, and the attempt that took effect if that is the outcome. Others may have saved on top of it.
    """
    if found is None:
        return Outcome.UNKNOWN, None
    attempts = list(attempts)
    for attempt in attempts:
        if (found.lineage, found.rows.get(attempt.writer)) == (attempt.lineage, attempt.generation):
            return Outcome.TOOK_EFFECT, attempt
    if found.lineage != base.lineage:
        return Outcome.UNKNOWN, None  # edited by another tool, or deleted and made again
    if found.generation <= base.generation or found.floor > base.generation:
        return Outcome.UNKNOWN, None  # put back by another tool, or a row of ours may have been dropped
    if any(found.rows.get(attempt.writer, 0) > attempt.generation for attempt in attempts):
        return Outcome.UNKNOWN, None  # a later save of the same writer took the row
    return Outcome.REFUSED, None
