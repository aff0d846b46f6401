"""What is to be written of many values, and which of them differ from what the file holds."""

from __future__ import annotations

from typing import Any

from msgspec import Raw

from .._format import codec
from ..errors import NotStorableError
from .entries import MISSING, Missing


def encode_changes(touched: dict[Any, tuple[Any, Raw | Missing]]) -> codec.Members:
    """Encode values; where one is still what the file holds, its text there stays, byte for byte.

    Args:
        touched: by key, the value and what the file holds.

    Raises:
        NotStorableError: a value can't be stored.
    """
    texts = codec.encode_all({key: value for key, (value, _) in touched.items()})
    return {
        key: raw if raw is not MISSING and is_same(raw, texts[key]) else texts[key] for key, (_, raw) in touched.items()
    }


def any_change(touched: dict[Any, tuple[Any, Raw | Missing]]) -> bool:
    """Does any of these values differ from what the file holds?"""
    for key, (value, raw) in touched.items():
        if raw is MISSING:
            return True
        try:
            if not is_same(raw, Raw(codec.encode(value, key))):
                return True
        except NotStorableError:
            return True
    return False


def is_same(one: Raw | Missing, other: Raw | Missing) -> bool:
    """Do two texts stand for the same value, types and order included? Other programs space and escape differently."""
    if one is MISSING or other is MISSING:
        return one is other
    return bytes(one) == bytes(other) or codec.canonical(one) == codec.canonical(other)
