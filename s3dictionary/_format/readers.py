"""Reads numbers, and the content of objects with one `py/…` member.

A reader raises TypeError, ValueError or ArithmeticError for content that doesn't fit. The object then stays a dict.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Hashable
from datetime import date, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any
from uuid import UUID

from ..errors import CorruptFileError
from . import zones
from .scalars import MAX_DIGITS


def parse_int(digits: str) -> int:
    """Convert digits to an int, many by way of Decimal: Python limits the digits that int() takes to 640 or more."""
    if len(digits) < 600:
        return int(digits)
    if len(digits.lstrip("-")) > MAX_DIGITS:
        raise CorruptFileError(f"an integer has more than {MAX_DIGITS:,} digits")
    return int(Decimal(digits))


def _of(content: Any, kind: type) -> Any:
    """The content, if it is of exactly this type. A str is iterable, too, but doesn't stand for a tuple."""
    if type(content) is not kind:
        raise TypeError
    return content


def read_str(content: Any) -> str:
    return "".join(_of(content, list))


def read_float(content: Any) -> float:
    if _of(content, str) not in ("nan", "inf", "-inf"):
        raise ValueError
    return float(content)


def read_bytes(content: Any) -> bytes:
    return base64.b64decode(_of(content, str), validate=True)


def read_date(content: Any) -> date:
    return date.fromisoformat(_of(content, str))


def moment_reader(kind: Any) -> Callable[[Any], Any]:
    """A reader for datetime or time."""
    return lambda content: zones.read(kind, _of(content, str))


def read_timedelta(content: Any) -> timedelta:
    days, seconds, microseconds = (_of(part, int) for part in _of(content, list))
    return timedelta(days, seconds, microseconds)


def read_decimal(content: Any) -> Decimal:
    return Decimal(_of(content, str))


def read_uuid(content: Any) -> UUID:
    return UUID(_of(content, str))


def read_complex(content: Any) -> complex:
    real, imag = _of(content, list)
    if not {type(real), type(imag)} <= {int, float}:
        raise TypeError
    return complex(real, imag)


def read_dict(content: Any) -> dict[Hashable, Any]:
    return dict([_of(pair, list) for pair in _of(content, list)])


def arrange(members: dict[Any, Any], entries: list[list[Any]]) -> dict[Hashable, Any]:
    """Combine the entries of a `py/dict` with the other members of the same object, in the order of the original dict.

    Args:
        members: the other members; at least one.
        entries: `[key, value, position]` each; one without a position comes after all members.

    Raises:
        TypeError: a key isn't hashable, or a position isn't an integer.
        ValueError: an entry has another form, or a key occurs twice, so a value would be lost.
    """
    found: dict[Hashable, Any] = {}
    waiting = iter(members.items())
    for entry in entries:
        key, value, *position = _of(entry, list)
        if position:
            [index] = position
            found.update(islice(waiting, min(max(_of(index, int) - len(found), 0), len(members))))
        else:
            found.update(waiting)
        found[key] = value
    found.update(waiting)
    if len(found) < len(members) + len(entries):
        raise ValueError
    return found


def group_reader(kind: Any) -> Callable[[Any], Any]:
    """A reader for a container that is written as an array."""
    return lambda content: kind(_of(content, list))
