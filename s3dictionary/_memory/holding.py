"""Whether anybody besides the dict holds a container. CPython's reference counts tell; in doubt the answer is yes."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any
from weakref import getweakrefcount

GIL = getattr(sys, "_is_gil_enabled", lambda: True)()
"""Does one thread run at a time? Where several do, a count may be in the middle of another thread's change."""

_COUNTS_TELL = GIL and sys.implementation.name == "cpython"


def is_held(found: list[Any], known: Mapping[int, int]) -> bool:
    """Can any of these containers be reached by another way than its one place in the dict?

    Each one is counted along with a control, a container that has one place and no other holder. So it doesn't matter
    what else the interpreter, a tracer or a debugger adds to every count.

    Args:
        found: the containers. No variable of the caller may refer to one of them.
        known: how many more references there are that are known of, by id.
    """
    if not _COUNTS_TELL:
        return True
    place: list[Any] = [[]]
    also_found = list(place)
    counts = list(map(sys.getrefcount, [*also_found, *found]))
    expected = counts.pop(0)
    if known:
        counts = [count - known.get(key, 0) for key, count in zip(map(id, found), counts, strict=True)]
    return counts.count(expected) < len(counts) or any(map(getweakrefcount, found))


def is_in_use(pair: list[Any], known: int) -> bool:
    """Does anything but a list refer to its first item, besides `known` places? Its second item is a control."""
    counts = list(map(sys.getrefcount, pair))
    return not _COUNTS_TELL or counts[0] - known != counts[1]


def add_references(counts: dict[int, int], containers: Iterable[Any]) -> None:
    """Count one more known reference to each of these containers."""
    for key in map(id, containers):
        counts[key] = counts.get(key, 0) + 1
