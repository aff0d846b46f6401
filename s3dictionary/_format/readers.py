"""How numbers, and the content of objects with one `py/…` member, are read.

A reader raises TypeError, ValueError or ArithmeticError for content that doesn't fit: then the object is left as it is.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Hashable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from ..errors import CorruptFileError
from .scalars import FOLD, MAX_DIGITS


def parse_int(digits: str) -> int:
    """Decimal has no limit on the number of digits; int() of a str has one, against hostile input, of 640 or more."""
    if len(digits) < 600:
        return int(digits)
    if len(digits.lstrip("-")) > MAX_DIGITS:
        raise CorruptFileError(f"an integer has more than {MAX_DIGITS:,} digits")
    return int(Decimal(digits))


def _of(content: Any, kind: type) -> Any:
    """Content of just one type: a str is iterable too, but makes no tuple."""
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

    def read(content: Any) -> Any:
        if not _of(content, str).endswith(FOLD):
            return kind.fromisoformat(content)
        value = kind.fromisoformat(content.removesuffix(FOLD))
        if value.tzinfo is not None:
            raise ValueError
        return value.replace(fold=1)

    return read


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


def group_reader(kind: Any) -> Callable[[Any], Any]:
    """A reader for a group that is written as an array."""
    return lambda content: kind(_of(content, list))
