"""Writes values that hold no others. Each writer also takes the path to the value, for the error message."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from math import isfinite, log2
from typing import Any
from uuid import UUID

import msgspec

from ..errors import NotStorableError
from . import zones
from .refusals import refusal, show

MAX_DIGITS = 100_000
"""Digits that an integer may have. Converting more takes seconds to minutes."""

Path = tuple[Any, ...]

_encode = msgspec.json.Encoder().encode

_SECOND = timedelta(seconds=1)
_SAFE_BITS = 2_000
_MAX_BITS = int(MAX_DIGITS * log2(10)) + 1

ENTRIES = "py/dict"
"""The member that has a dict's keys that can't be names, with their values."""


def tagged(name: str, content: bytes) -> bytes:
    """An object with one `py/…` member, which stands for a value that JSON lacks."""
    return b'{"py/' + name.encode() + b'":' + content + b"}"


# JSON's own


TWO_HALVES = re.compile("(?<=[\ud800-\udbff])(?=[\udc00-\udfff])")
"""The position between the halves of a surrogate pair. JSON would read their two escapes as one character."""


def exact_str(value: str) -> str:
    """The string as an exact str, if it is of a subclass."""
    return value if type(value) is str else str.__str__(value)


def write_str(value: str, path: Path) -> bytes:
    exact = exact_str(value)
    if exact.isascii() or not TWO_HALVES.search(exact):
        return _string(exact)
    return tagged("str", b"[" + b",".join(map(_string, TWO_HALVES.split(exact))) + b"]")


def _string(value: str) -> bytes:
    try:
        return _encode(value)
    except UnicodeEncodeError:  # a lone surrogate can only be written as an escape
        return json.dumps(value).encode()


def write_int(value: int, path: Path) -> bytes:
    exact = int.__int__(value)
    bits = exact.bit_length()
    if bits <= _SAFE_BITS:
        return str(exact).encode()
    if bits > _MAX_BITS or (bits == _MAX_BITS and abs(exact) >= 10**MAX_DIGITS):
        raise refusal(
            path, f"is an integer of more than {MAX_DIGITS:,} digits, which can't be stored; store hex() of it instead"
        )
    return str(Decimal(exact)).encode()


def write_float(value: float, path: Path) -> bytes:
    exact = float.__float__(value)
    return _encode(exact) if isfinite(exact) else tagged("float", f'"{exact!r}"'.encode())


def write_bool(value: bool, path: Path) -> bytes:
    return b"true" if value else b"false"


def write_none(value: None, path: Path) -> bytes:
    return b"null"


# What JSON lacks


def write_bytes(value: bytes, path: Path) -> bytes:
    return tagged("bytes", _string(base64.b64encode(value).decode()))


def write_date(value: date, path: Path) -> bytes:
    return tagged("date", _string(_iso(date, value, path)))


def moment_writer(kind: Any) -> Callable[[Any, Path], bytes]:
    """A writer for datetime or time."""

    def write(value: Any, path: Path) -> bytes:
        text = _iso(kind, value, path)
        zone = kind.tzinfo.__get__(value)
        offset = None if zone is None else kind.utcoffset(value)
        if zone is not None and offset is None:
            raise refusal(
                path,
                f"is {show(value)}, whose time zone has no offset without a date, so it can't be stored; store a "
                "datetime instead",
            )
        if offset and abs(offset) < _SECOND:  # Python reads it as UTC before 3.14
            raise _inexact(path, value)
        marks = zones.marks(text, zone if kind is datetime else None, kind.fold.__get__(value))
        return tagged(kind.__name__, _string(text + marks))

    return write


def _iso(kind: Any, value: Any, path: Path) -> str:
    """The value in ISO 8601, if that is exact. It isn't for pandas' nanoseconds."""
    try:
        text: str = kind.isoformat(value)
        is_exact = type(value) is kind or _reads_back(kind, text, value)
    except Exception as error:  # a time zone may be of any class
        problem = f"and its time zone fails ({error!r}), so it can't be stored; store it in UTC instead"
        raise refusal(path, f"is {show(value)}, {problem}") from error
    if not is_exact:
        raise _inexact(path, value)
    return text


def _inexact(path: Path, value: Any) -> NotStorableError:
    problem = "which ISO 8601 can't represent exactly, so it can't be stored; store str() of it instead"
    return refusal(path, f"is {show(value)}, {problem}")


def _reads_back(kind: Any, text: str, value: Any) -> bool:
    read = kind.fromisoformat(text)
    if read == value or kind is date:
        return bool(read == value)
    # A time in the hour that comes twice never equals one in another time zone
    return bool(read.replace(tzinfo=kind.tzinfo.__get__(value), fold=kind.fold.__get__(value)) == value)


def write_timedelta(value: timedelta, path: Path) -> bytes:
    fields = (timedelta.days, timedelta.seconds, timedelta.microseconds)
    parts = tuple(field.__get__(value) for field in fields)
    if timedelta(*parts) != value:  # pandas' nanoseconds
        problem = "which has fractions of a microsecond, so it can't be stored; store its total_seconds() instead"
        raise refusal(path, f"is {show(value)}, {problem}")
    return tagged("timedelta", b"[%d,%d,%d]" % parts)


def write_decimal(value: Decimal, path: Path) -> bytes:
    return tagged("decimal", _string(Decimal.__str__(value)))


def write_uuid(value: UUID, path: Path) -> bytes:
    return tagged("uuid", _string(UUID.__str__(value)))


def write_complex(value: complex, path: Path) -> bytes:
    exact = complex.__pos__(value)
    return tagged("complex", b"[" + write_float(exact.real, path) + b"," + write_float(exact.imag, path) + b"]")
