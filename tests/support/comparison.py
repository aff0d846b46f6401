"""Compares loaded values with saved ones."""

from __future__ import annotations

from datetime import datetime, time
from decimal import Decimal
from typing import Any


def same(a: Any, b: Any) -> bool:
    """Whether two values are equal, of the same types at any depth, in the same order, with the same signs of zero."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return repr(a) == repr(b)
    if isinstance(a, complex):
        return same(a.real, b.real) and same(a.imag, b.imag)
    if isinstance(a, Decimal):
        return str(a) == str(b)
    if isinstance(a, (datetime, time)):
        return a == b and a.utcoffset() == b.utcoffset()
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return same(list(a.items()), list(b.items()))
    if isinstance(a, (set, frozenset)):
        return len(a) == len(b) and all(any(same(item, other) for other in b) for item in a)
    return bool(a == b)
