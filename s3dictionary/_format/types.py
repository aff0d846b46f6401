"""The types that S3Dictionary knows, one row each: how a value is written and read, and how memory looks into it.

All that is said of types elsewhere derives from this table, so a new type is one row. `Types` is the table that one
dict uses: the built-in rows, and one for each class that it was given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple
from uuid import UUID

from msgspec import Raw

from . import readers, scalars
from .contents import BYTEARRAY, DICT, LIST, SET, TUPLE, WITH_KEYS, Contents


class Form(Enum):
    """How a group of values is written."""

    ARRAY = "in order"
    SET = "sorted, as a set's own order differs from run to run, and equal sets should give equal files"
    OBJECT = "by name; keys that can't be names in one more member"
    PARTS = "as what `parts` makes of it"


class Type(NamedTuple):
    """One row of the table.

    Attributes:
        kind: the type. Subclasses are stored as it, unless the row is `exact`.
        write: makes JSON of a scalar, `write(value, path)`; for a group, how it is written; None if it can't be stored.
        tag: the name behind `py/` for what JSON lacks.
        read: makes a value of the content of a tagged object. Raises TypeError, ValueError or ArithmeticError if the
            content doesn't fit.
        json: does JSON have the type? If so, only odd values need the tag.
        contents: how memory reads and refills a container; None if values are scalars to memory: they can't change,
            and hold nothing that can.
        brackets: how a group shows.
        parts: makes something storable of an instance of a class that was given. May raise anything.
        exact: instances of subclasses are refused.
        is_whole: does an instance have nothing that isn't stored?
        may_sleep: can an instance be changed only by those who hold it, or a container in it?
    """

    kind: type
    write: Callable[[Any, scalars.Path], bytes] | Form | None
    tag: str = ""
    read: Callable[[Any], Any] | None = None
    json: bool = False
    contents: Contents | None = None
    brackets: tuple[str, str] | None = None
    parts: Callable[[Any], Any] | None = None
    exact: bool = False
    is_whole: Callable[[Any], bool] | None = None
    may_sleep: Callable[[Any], bool] | None = None


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

ATOMS = SCALARS - {frozenset}
"""The same for a dict that was given classes: a frozenset may hold instances of theirs."""

BRACKETS = {row.kind: row.brackets for row in TABLE if row.brackets}
GROUPS = frozenset(BRACKETS)
"""Storable types whose values hold others."""

JSON_SCALARS = frozenset(row.kind for row in TABLE if row.json and not row.brackets)
JSON_GROUPS = frozenset(row.kind for row in TABLE if row.json and row.brackets)


class Types:
    """The table that one dict uses.

    Attributes:
        place: the file's address, for messages; empty where there is none.
        given: the classes that were given.
        scalars: types whose values hold nothing that can change.
        readers: how the content of an object with one `py/…` member is read, by the name behind `py/`.
        containers: types whose values hold others, or can change.
        as_read: by the id of a file's text, that text, and how the value made of it was written just then. A class may
            have given a field that the text lacks a new value, such as the time.
    """

    def __init__(self, given: Iterable[Type] = (), place: str = "") -> None:
        rows = {row.kind: row for row in given}
        self.place = place
        self.as_read: dict[int, tuple[Raw, bytes]] = {}
        self.given = frozenset(rows)
        # Keys and members of sets are scalars to memory, but an instance among them may change
        built_in = [row._replace(contents=WITH_KEYS.get(row.kind, row.contents)) for row in TABLE] if rows else TABLE
        self._rows = {row.kind: row for row in built_in} | rows
        self.scalars = frozenset(row.kind for row in self._rows.values() if not row.contents)
        self.readers = READERS | {row.tag: row.read for row in rows.values() if row.read}
        self.containers = tuple(row.kind for row in self._rows.values() if row.contents)

    def find(self, kind: type) -> Type | None:
        """The row of a type, or of a class that it derives from: of one that was given rather than a built-in one."""
        row = self._rows.get(kind)
        if row is not None:
            return row
        for base in kind.__mro__ if self.given else ():
            if base in self.given:
                return self._rows[base]
        for base in kind.__mro__:
            if base in self._rows:
                return self._rows[base]
        return None

    def contents_of(self, container: Any) -> Contents:
        """How to look into a value of one of `containers`, or of a subclass."""
        row = self.find(type(container))
        if row is None or row.contents is None:
            raise TypeError(f"{type(container).__name__} is no container")
        return row.contents

    def is_container(self, value: Any) -> bool:
        """Does a value hold others, or can it change?"""
        # Not isinstance(): a mock or a proxy claims to be what it isn't
        row = self.find(type(value)) if self.given else None
        return row.contents is not None if row else issubclass(type(value), self.containers)

    def is_whole(self, value: Any) -> bool:
        """Does the text that a value is stored as tell all of it?"""
        row = self.find(type(value))
        if row is None or (row.kind is not type(value) and (row.kind not in self.given or row.exact)):
            return False
        return row.is_whole is None or row.is_whole(value)

    def may_sleep(self, container: Any) -> bool:
        """Can a container be changed only by those who hold it, or a container in it?"""
        row = self.find(type(container))
        return row is None or row.may_sleep is None or row.may_sleep(container)


BUILT_IN = Types()
