"""How values that hold no others are written. A writer gets the path to the value, too, for the error message."""

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

from . import zones
from .refusals import refusal, show

MAX_DIGITS = 100_000
"""Digits an integer may have. Converting more takes seconds and minutes."""

Path = tuple[Any, ...]

_encode = msgspec.json.Encoder().encode

_SECOND = timedelta(seconds=1)
_SAFE_BITS = 2_000
_MAX_BITS = int(MAX_DIGITS * log2(10)) + 1

ENTRIES = "py/dict"
"""The member that has those of a dict's keys that can't be names, and their values."""


def tagged(name: str, content: bytes) -> bytes:
    """What JSON lacks: an object with one `py/…` member."""
    return b'{"py/' + name.encode() + b'":' + content + b"}"


# JSON's own


TWO_HALVES = re.compile("(?<=[\ud800-\udbff])(?=[\udc00-\udfff])")
"""Between the halves of a surrogate pair. As escapes, JSON takes them for the character that they stand for."""


def exact_str(value: str) -> str:
    """The string itself, without what a subclass adds."""
    return value if type(value) is str else str.__str__(value)


def write_str(value: str, path: Path) -> bytes:
    exact = exact_str(value)
    if exact.isascii() or not TWO_HALVES.search(exact):
        return _string(exact)
    return tagged("str", b"[" + b",".join(map(_string, TWO_HALVES.split(exact))) + b"]")


def _string(value: str) -> bytes:
    try:
        return _encode(value)
    except UnicodeEncodeError:  # a lone surrogate: only an escape can write it
        return json.dumps(value).encode()


def write_int(value: int, path: Path) -> bytes:
    exact = int.__int__(value)
    bits = exact.bit_length()
    if bits <= _SAFE_BITS:
        return str(exact).encode()
    if bits > _MAX_BITS or (bits == _MAX_BITS and abs(exact) >= 10**MAX_DIGITS):
        raise refusal(path, f"is an integer of more than {MAX_DIGITS:,} digits, which can't be stored")
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
            raise refusal(path, f"is {show(value)}, whose zone has no offset without a date, so it can't be stored")
        if offset and abs(offset) < _SECOND:  # Python takes it for UTC before 3.14
            raise refusal(path, f"is {show(value)}, which ISO 8601 can't tell exactly, so it can't be stored")
        marks = zones.marks(text, zone if kind is datetime else None, kind.fold.__get__(value))
        return tagged(kind.__name__, _string(text + marks))

    return write


def _iso(kind: Any, value: Any, path: Path) -> str:
    """In ISO 8601, if that tells the value exactly. It doesn't tell pandas' nanoseconds."""
    try:
        text: str = kind.isoformat(value)
        differs = type(value) is not kind and not _tells(kind, text, value)
    except Exception as error:  # a zone may be anybody's class
        raise refusal(path, f"is {show(value)}, and its zone fails ({error!r}), so it can't be stored") from error
    if differs:
        raise refusal(path, f"is {show(value)}, which ISO 8601 can't tell exactly, so it can't be stored")
    return text


def _tells(kind: Any, text: str, value: Any) -> bool:
    told = kind.fromisoformat(text)
    if told == value or kind is date:
        return bool(told == value)
    # Those in an hour that comes twice are equal to none with another zone
    return bool(told.replace(tzinfo=kind.tzinfo.__get__(value), fold=kind.fold.__get__(value)) == value)


def write_timedelta(value: timedelta, path: Path) -> bytes:
    fields = (timedelta.days, timedelta.seconds, timedelta.microseconds)
    parts = tuple(field.__get__(value) for field in fields)
    if timedelta(*parts) != value:  # pandas' nanoseconds
        raise refusal(path, f"is {show(value)}, which has parts of a microsecond, so it can't be stored")
    return tagged("timedelta", b"[%d,%d,%d]" % parts)


def write_decimal(value: Decimal, path: Path) -> bytes:
    return tagged("decimal", _string(Decimal.__str__(value)))


def write_uuid(value: UUID, path: Path) -> bytes:
    return tagged("uuid", _string(UUID.__str__(value)))


def write_complex(value: complex, path: Path) -> bytes:
    exact = complex.__pos__(value)
    return tagged("complex", b"[" + write_float(exact.real, path) + b"," + write_float(exact.imag, path) + b"]")
