"""Looks at what a dict holds, without touching anything."""

from __future__ import annotations

from typing import Any

from msgspec import Raw

from s3dictionary import S3Dict
from s3dictionary._format import codec
from s3dictionary._format.types import SCALARS
from s3dictionary._memory import Awake
from s3dictionary._memory.entries import object_of


def contents(d: S3Dict[Any, Any]) -> dict[Any, Any]:
    """Everything by key. Untouched values are raw."""
    if d._memory.data is not None:
        return dict(d._memory.data)
    return {key: entry if type(entry) is Raw else object_of(entry) for key, entry in d._memory.items.items()}


def raw_keys(d: S3Dict[Any, Any]) -> list[Any]:
    """The keys whose values are untouched."""
    return [key for key, entry in d._memory.items.items() if type(entry) is Raw]


def awake_keys(d: S3Dict[Any, Any]) -> set[Any]:
    """The keys whose values other code may hold and change."""
    if d._memory.data is not None:
        return set(d._memory.data)
    items = d._memory.items.items()
    return {key for key, entry in items if isinstance(entry, Awake) and type(entry.value) not in SCALARS}


def containing(d: S3Dict[Any, Any], container: Any) -> list[Any]:
    """The keys whose values contain an object, at any depth."""
    return [key for key, item in contents(d).items() if type(item) is not Raw and _contains(item, container)]


def _contains(item: Any, container: Any) -> bool:
    if item is container:
        return True
    if isinstance(item, dict):
        return any(_contains(inner, container) for inner in item.values())
    return isinstance(item, (list, tuple)) and any(_contains(inner, container) for inner in item)


def touched(values: dict[Any, tuple[Any, Raw | None]]) -> codec.Touched:
    """Values by key, and what the file holds for them, in the form in which memory passes them on."""
    return codec.Touched.of(list(values), [value for value, _ in values.values()], [raw for _, raw in values.values()])


def written(values: dict[Any, tuple[Any, Raw | None]]) -> dict[Any, Raw]:
    """The encoded texts by key."""
    return dict(zip(values, codec.encode_changes(touched(values)), strict=True))
