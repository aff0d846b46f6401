"""The table of storable types, one row each: how a value is written and read, and how memory looks into it.

Everything else about types derives from this table, so a new type is one row. `Types` is the table of one dict: the
built-in rows, and one for each of its user classes.
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
    """How a value that holds others is written."""

    ARRAY = "in order"
    SET = "sorted, because a set's own order differs from run to run, and equal sets should give equal files"
    OBJECT = "by name; keys that can't be names in an additional member"
    PARTS = "as what `parts` returns for it"


class Type(NamedTuple):
    """One row of the table.

    Attributes:
        kind: the type. Subclasses are stored as it, unless the row is `exact`.
        write: for a scalar, `write(value, path)` gives its JSON; for a value that holds others, its `Form`; None if it
            can't be stored.
        tag: the name after `py/`, for types that JSON lacks.
        read: turns the content of a tagged object into a value. Raises TypeError, ValueError or ArithmeticError if the
            content doesn't fit.
        json: whether JSON has the type. If so, only special values need the tag.
        contents: how memory reads and refills a container; None if values are scalars to memory: they can't change,
            and hold nothing that can.
        brackets: the brackets around a container's items when it is displayed.
        parts: turns an instance of a user class into something storable. May raise anything.
        exact: whether instances of subclasses are refused.
        is_whole: whether an instance has nothing that isn't stored.
        may_sleep: whether an instance can be changed only by code that holds it or a container in it.
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
    # To memory a frozenset is a scalar, because its members are hashable
    Type(frozenset, Form.SET, "frozenset", readers.group_reader(frozenset), brackets=("{", "}")),
    Type(bytearray, None, contents=BYTEARRAY),
)

TYPES = {row.kind: row for row in TABLE}
READERS = {row.tag: row.read for row in TABLE if row.read}

STORABLE = frozenset(row.kind for row in TABLE if row.write)
SCALARS = frozenset(row.kind for row in TABLE if not row.contents)
"""Types whose values can't change, so it doesn't matter who holds them."""

ATOMS = SCALARS - {frozenset}
"""The same for a dict with user classes, whose instances may be in a frozenset."""

BRACKETS = {row.kind: row.brackets for row in TABLE if row.brackets}
GROUPS = frozenset(BRACKETS)
"""Storable types whose values hold others."""

JSON_SCALARS = frozenset(row.kind for row in TABLE if row.json and not row.brackets)
JSON_GROUPS = frozenset(row.kind for row in TABLE if row.json and row.brackets)


class Types:
    """The table of types of one dict.

    Attributes:
        place: the file's address, for messages; empty if there is none.
        given: the user classes.
        by_fields: for the name of each user class, whether it is stored as its fields, without functions.
        scalars: types whose values hold nothing that can change.
        readers: the readers for the content of `py/…` members, by the name after `py/`.
        containers: types whose values hold others, or can change.
        as_read: maps the id of a file's text to that text and to how its value was written right after decoding. The
            two differ if, for example, a class has set a field that the text lacks to the current time.
    """

    def __init__(self, given: Iterable[Type] = (), place: str = "") -> None:
        rows = {row.kind: row for row in given}
        self.place = place
        self.as_read: dict[int, tuple[Raw, bytes]] = {}
        self.given = frozenset(rows)
        self.by_fields = {row.tag: row.exact for row in rows.values()}
        # Keys and set members count as scalars to memory, except that an instance among them may change
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
        """Whether a value holds others, or can change."""
        # Not isinstance(), because a mock or a proxy claims another class
        row = self.find(type(value)) if self.given else None
        return row.contents is not None if row else issubclass(type(value), self.containers)

    def is_whole(self, value: Any) -> bool:
        """Whether the text that is stored for a value has everything in it."""
        row = self.find(type(value))
        if row is None or (row.kind is not type(value) and (row.kind not in self.given or row.exact)):
            return False
        return row.is_whole is None or row.is_whole(value)

    def may_sleep(self, container: Any) -> bool:
        """Whether a container can be changed only by code that holds it or a container in it."""
        row = self.find(type(container))
        return row is None or row.may_sleep is None or row.may_sleep(container)


BUILT_IN = Types()
