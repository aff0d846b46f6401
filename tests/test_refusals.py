"""The message for a value that can't be stored: its place, its type with the module, and what to store instead."""

from __future__ import annotations

import enum
import re
from collections import ChainMap
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from io import IOBase
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pydantic
import pytest

from s3dictionary import NotStorableError
from s3dictionary._format import codec
from s3dictionary._format.types import STORABLE, TABLE


def class_of(module: str, name: str, *bases: type) -> Any:
    """A class like one of a package that may not be installed here."""
    return type(name, bases, {"__module__": module})


@dataclass
class Job:
    name: str = "job"


class Point(msgspec.Struct):
    x: int = 1


class Opaque:
    pass


GENERIC = class_of("numpy", "generic")
ROW = class_of("app", "Row")
ROW.__pydantic_fields__ = {}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (object(), "an object, which can't be stored; store a value of another type instead"),
        (GENERIC, "a type, which can't be stored; store its name instead"),
        (class_of("numpy", "bool", GENERIC)(), "a numpy.bool, which can't be stored; store its .item() instead"),
        (class_of("pandas._libs.missing", "NAType")(), "a pandas.NAType, which can't be stored; store None instead"),
        (ROW(), "an app.Row, which can't be stored; pass types=[Row] to store it as itself"),
        (class_of("numpy", "ndarray")(), "a numpy.ndarray, which can't be stored; store its .tolist() instead"),
        (ChainMap(), "a collections.ChainMap, which can't be stored; store dict() of it instead"),
    ],
    ids=lambda item: "" if isinstance(item, str) else type(item).__name__,
)
def test_the_message_says_what_it_is_and_what_to_do(value: Any, said: str) -> None:
    """This holds wherever the value is."""
    with pytest.raises(NotStorableError) as refusal:
        codec.encode([(value,)], "a")
    assert refusal.value.path == "d['a'][0][0]"
    assert str(refusal.value) == f"d['a'][0][0] is {said}"


PAGE = (Path(__file__).parent.parent / "docs" / "errors.md").read_text()
ROWS = re.findall(r"^\| `([^`]+)`[^|]* \| (.+) \|$", PAGE.partition("| value | what to do |")[2], re.MULTILINE)

NAMES = """
import ipaddress, json, numpy, pandas, re, threading
from collections import deque
from fractions import Fraction
from types import MappingProxyType
from zoneinfo import ZoneInfo
"""


@attrs.define
class Account:
    name: str


class User(pydantic.BaseModel):
    name: str


class Color(enum.Enum):
    RED = 1


async def fetch() -> int:
    return 1


@pytest.mark.parametrize(("expression", "advice"), ROWS)
def test_the_table_in_the_docs_is_what_the_messages_say(expression: str, advice: str) -> None:
    """Each row of the table is evaluated. The message has the type with its module."""
    names = dict(globals())
    exec(NAMES, names)
    value = eval(expression, names)
    try:
        with pytest.raises(NotStorableError) as refusal:
            codec.encode([value], "a")
    finally:
        if isinstance(value, (IOBase, Coroutine)):
            value.close()
    assert str(refusal.value).endswith(f"which can't be stored; {advice}")
    module = type(value).__module__.partition(".")[0]
    assert module == "builtins" or f" {module}." in str(refusal.value)


class Shy(str):
    """A class whose repr fails."""

    __slots__ = ()

    def __repr__(self) -> str:
        raise RuntimeError


def test_a_key_without_a_repr_is_no_obstacle() -> None:
    """The path shows the key's type instead."""
    with pytest.raises(NotStorableError, match=r"^d\[<test_refusals.Shy>\] is an object"):
        codec.encode({Shy("a"): object()})


class Changing(tzinfo):
    """A zone whose offset depends on the date, as in named zones."""

    def utcoffset(self, when: datetime | None) -> timedelta | None:
        return when and timedelta(hours=when.month)

    def dst(self, when: datetime | None) -> timedelta | None:
        return when and timedelta(0)


def test_a_time_of_day_whose_zone_depends_on_the_date_is_refused() -> None:
    """It would come back without its zone."""
    with pytest.raises(NotStorableError, match=r"^d\[0\] is .*, whose time zone has no offset without a date"):
        codec.encode([time(7, 30, tzinfo=Changing())])


def test_a_zone_that_fails_is_told() -> None:
    """The zone's exception doesn't leave the save."""
    with pytest.raises(NotStorableError, match=r"its time zone fails.*NotImplementedError"):
        codec.encode(datetime(2026, 1, 1, tzinfo=tzinfo()))


@pytest.mark.parametrize(
    "value", [datetime(2026, 10, 25, 2, 30, fold=1), time(2, 30, fold=1), datetime(1, 1, 1, fold=1)]
)
def test_the_second_of_two_equal_times_comes_back_as_the_second(value: Any) -> None:
    """`timestamp()` is different for the first one."""
    found = codec.decode(codec.encode(value))
    assert (found, found.fold) == (value, 1)
    assert codec.decode(codec.encode(value.replace(fold=0))).fold == 0


@pytest.mark.parametrize("text", ["[_fold=1]", "2026-01-01T00:00:00[_fold=2]"])
def test_such_a_mark_where_it_makes_no_sense_leaves_the_dict_that_it_is(text: str) -> None:
    """It is like other content that doesn't fit."""
    raw = b'{"py/datetime":"%s"}' % text.encode()
    assert codec.decode(raw) == {"py/datetime": text}
    assert codec.decode(codec.encode(codec.decode(raw))) == {"py/datetime": text}


# The table of types


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.kind.__name__)
def test_a_row_is_complete(row: Any) -> None:
    """A tag can be read, a type that JSON lacks has a tag, and a container is refilled with its own content."""
    assert bool(row.tag) == bool(row.read)
    assert row.json or row.tag or row.kind not in STORABLE
    if row.contents:
        value = row.kind({1: 2} if row.kind is dict else [1, 2])
        copy = row.contents.copy(value)
        if row.kind is not tuple:
            value.clear()
        row.contents.refill(value, copy)
        assert value == row.kind({1: 2} if row.kind is dict else [1, 2])
