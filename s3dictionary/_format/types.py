"""The types that S3Dictionary knows, one row each: how a value is written and read, and how memory looks into it.

All that is said of types elsewhere derives from this table, so a new type is one row.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple
from uuid import UUID

from . import readers, scalars
from .contents import BYTEARRAY, DICT, LIST, SET, TUPLE, Contents


class Form(Enum):
    """How a group of values is written."""

    ARRAY = "in order"
    SET = "sorted, as a set's own order differs from run to run, and equal sets should give equal files"
    OBJECT = "by name; keys that can't be names in one more member"


class Type(NamedTuple):
    """One row of the table.

    Attributes:
        kind: the type. Subclasses are stored as it.
        write: makes JSON of a scalar, `write(value, path)`; for a group, how it is written; None if it can't be stored.
        tag: the name behind `py/` for what JSON lacks.
        read: makes a value of the content of a tagged object. Raises TypeError, ValueError or ArithmeticError if the
            content doesn't fit.
        json: does JSON have the type? If so, only odd values need the tag.
        contents: how memory reads and refills a container; None if values are scalars to memory: they can't change,
            and hold nothing that can.
        brackets: how a group shows.
    """

    kind: type
    write: Callable[[Any, scalars.Path], bytes] | Form | None
    tag: str = ""
    read: Callable[[Any], Any] | None = None
    json: bool = False
    contents: Contents | None = None
    brackets: tuple[str, str] | None = None


TABLE = (
    Type(str, scalars.write_str, "str", readers.read_str, json=True),
    Type(int, scalars.write_int, json=True),
    Type(float, scalars.write_float, "float", readers.read_float, json=True),
    Type(bool, scalars.write_bool, json=True),
    Type(type(None), scalars.write_none, json=True),
    Type(bytes, scalars.write_bytes, "bytes", readers.read_bytes),
    Type(datetime, scalars.moment_writer(datetime), "datetime", readers.moment_reader(datetime)),
    Type(date, scalars.write_date, "date", readers.read_date),
    Type(time, scalars.moment_writer(time), "time", readers.moment_reader(time)),
    Type(timedelta, scalars.write_timedelta, "timedelta", readers.read_timedelta),
    Type(Decimal, scalars.write_decimal, "decimal", readers.read_decimal),
    Type(UUID, scalars.write_uuid, "uuid", readers.read_uuid),
    Type(complex, scalars.write_complex, "complex", readers.read_complex),
    Type(dict, Form.OBJECT, "dict", readers.read_dict, json=True, contents=DICT, brackets=("{", "}")),
    Type(list, Form.ARRAY, json=True, contents=LIST, brackets=("[", "]")),
    Type(tuple, Form.ARRAY, "tuple", readers.group_reader(tuple), contents=TUPLE, brackets=("(", ")")),
    Type(set, Form.SET, "set", readers.group_reader(set), contents=SET, brackets=("{", "}")),
    # The members of a frozenset are hashable, so to memory it is a scalar
    Type(frozenset, Form.SET, "frozenset", readers.group_reader(frozenset), brackets=("{", "}")),
    Type(bytearray, None, contents=BYTEARRAY),
)

TYPES = {row.kind: row for row in TABLE}
READERS = {row.tag: row.read for row in TABLE if row.read}

STORABLE = frozenset(row.kind for row in TABLE if row.write)
SCALARS = frozenset(row.kind for row in TABLE if not row.contents)
"""Types whose values can't change, so that it doesn't matter who holds them."""

CONTAINERS = tuple(row.kind for row in TABLE if row.contents)
"""Types whose values hold others, or can change."""

BRACKETS = {row.kind: row.brackets for row in TABLE if row.brackets}
GROUPS = frozenset(BRACKETS)
"""Storable types whose values hold others."""

JSON_SCALARS = frozenset(row.kind for row in TABLE if row.json and not row.brackets)
JSON_GROUPS = frozenset(row.kind for row in TABLE if row.json and row.brackets)


def find(kind: type) -> Type | None:
    """The row of a type or of the nearest class that it derives from."""
    for base in kind.__mro__:
        if base in TYPES:
            return TYPES[base]
    return None


def contents_of(container: Any) -> Contents:
    """How to look into a value of one of `CONTAINERS`, or of a subclass."""
    row = find(type(container))
    if row is None or row.contents is None:
        raise TypeError(f"{type(container).__name__} is no container")
    return row.contents
