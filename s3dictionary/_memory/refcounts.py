"""Finds out by CPython's reference counts whether code besides the dict holds a container. If in doubt, says yes."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from itertools import repeat
from operator import ne, sub
from typing import Any
from weakref import getweakrefcount

GIL = getattr(sys, "_is_gil_enabled", lambda: True)()
"""Whether only one thread runs at a time. Without the GIL, another thread may change a count while it is read."""

_COUNTS_TELL = GIL and sys.implementation.name == "cpython"


def is_held(found: list[Any], known: Mapping[int, int]) -> bool:
    """Whether anything refers to one of these containers besides its one place in the dict.

    Counts a control along with them: a container in one place that nobody else holds. So it doesn't matter what the
    interpreter, a tracer or a debugger adds to every count.

    Args:
        found: the containers. No variable of the caller may refer to one of them.
        known: the number of other known references, by id.
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
    """Whether anything refers to a list's first item besides the list and `known` places. The second is a control."""
    counts = list(map(sys.getrefcount, pair))
    return not _COUNTS_TELL or counts[0] - known != counts[1]


def which_are_held(objects: list[Any], known: Iterable[int]) -> list[bool]:
    """For each of many objects, whether anything refers to it besides this list and other known places.

    Args:
        objects: a control, which nobody holds, and the objects.
        known: for the control and each of the objects, the number of known references. Others that each of them has
            needn't be counted.

    Returns:
        An answer for each object, or an empty list if nobody holds any of them.
    """
    if not _COUNTS_TELL:
        return [True] * (len(objects) - 1)
    counts = list(map(sub, map(sys.getrefcount, objects), known))
    expected = counts.pop(0)
    return [] if counts.count(expected) == len(counts) else list(map(ne, counts, repeat(expected)))


def add_references(counts: dict[int, int], containers: Iterable[Any]) -> None:
    """Add one known reference to each of these containers."""
    for key in map(id, containers):
        counts[key] = counts.get(key, 0) + 1
