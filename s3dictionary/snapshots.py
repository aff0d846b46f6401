"""What a value's containers held, so that they can be given it back in place; and whether anybody else holds them.

A container is a dict, list, set, bytearray or tuple, or one of a subclass. Knows nothing of S3, JSON or blocks.
"""

from __future__ import annotations

import sys
from collections import Counter, OrderedDict
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from operator import is_
from typing import Any
from uuid import UUID

SCALARS = frozenset(
    {str, int, float, bool, type(None), bytes, complex, date, datetime, time, timedelta, Decimal, UUID, frozenset}
)
"""Types whose values can't change, so that it doesn't matter who holds them."""


def containers(value: Any) -> list[Any]:
    """Every container in a value, itself included, at any depth, each once."""
    found: dict[int, Any] = {}
    ahead = [value]
    while ahead:
        item = ahead.pop()
        if id(item) in found or not isinstance(item, (dict, list, tuple, set, bytearray)):
            continue
        found[id(item)] = item
        ahead += _children(item)
    return list(found.values())


def _children(container: Any) -> list[Any]:
    if isinstance(container, dict):
        items: Iterable[Any] = list(dict.values(container))
    elif isinstance(container, (list, tuple)):
        items = container
    else:  # members of a set are hashable, those of a bytearray are numbers
        return []
    return [item for item in items if type(item) not in SCALARS]


class Snapshot:
    """What every container in a value holds now, at any depth."""

    __slots__ = ("_contents",)

    def __init__(self, value: Any) -> None:
        self._contents = [(item, _contents(item)) for item in containers(value) if not isinstance(item, tuple)]

    def restore(self) -> None:
        """Give the containers back what they held: the same objects, in the same order.

        One that still holds it isn't written to: somebody may be iterating over it.
        """
        for container, contents in self._contents:
            if not _same(_contents(container), contents):
                refill(container, contents)

    def references(self) -> Counter[int]:
        """How often the snapshot itself refers to an object, by id."""
        held: Counter[int] = Counter()
        for container, contents in self._contents:
            held[id(container)] += 1
            held.update(map(id, _children(contents)))
        return held


# Calling the methods of the base class: a subclass's own may check, count or refuse. OrderedDict keeps its order apart
# from dict's, so there it is the base class.


def _dict_class(container: Any) -> Any:
    return OrderedDict if isinstance(container, OrderedDict) else dict


def _contents(container: Any) -> Any:
    if isinstance(container, dict):
        return dict(_dict_class(container).items(container))
    if isinstance(container, list):
        return list.copy(container)
    if isinstance(container, set):
        return set(set.__iter__(container))
    return bytes(container)


def _same(now: Any, then: Any) -> bool:
    """The same objects, not just equal ones: 1 and True are equal."""
    if len(now) != len(then):
        return False
    if isinstance(now, dict):
        return all(map(is_, now, then)) and all(map(is_, now.values(), then.values()))
    if isinstance(now, list):
        return all(map(is_, now, then))
    if isinstance(now, set):
        return set(map(id, now)) == set(map(id, then))
    return bool(now == then)


def refill(container: Any, contents: Any) -> None:
    """Give a container these contents, in place."""
    if isinstance(container, dict):
        base = _dict_class(container)
        base.clear(container)
        for key, item in contents.items():
            base.__setitem__(container, key, item)
    elif isinstance(container, list):
        list.__setitem__(container, slice(None), contents)
    elif isinstance(container, set):
        set.clear(container)
        set.update(container, contents)
    else:
        bytearray.__setitem__(container, slice(None), contents)


def detached(value: Any) -> Any:
    """A copy of a value that shares no container with it, all of them built-in ones. Other objects stay as they are."""
    found = [item for item in containers(value) if not isinstance(item, tuple)]
    copies = {id(item): _contents(item) for item in found}
    copies |= {key: bytearray(copy) for key, copy in copies.items() if isinstance(copy, bytes)}

    def copied(item: Any) -> Any:
        if isinstance(item, tuple):
            return tuple(map(copied, item))
        return copies.get(id(item), item)

    for copy in copies.values():
        if isinstance(copy, dict):
            copy.update((key, copied(item)) for key, item in copy.items())
        elif isinstance(copy, list):
            copy[:] = map(copied, copy)
    return copied(value)


# Reference counts -----------------------------------------------------------------------------------------------------


def is_unshared(place: list[Any], held: Counter[int]) -> bool:
    """Can a value's containers be reached only through their places in the dict?

    CPython's reference counts tell: a container has one reference from its place, and those that are known of. One
    more, and somebody else may hold it. In doubt the answer is no.

    Args:
        place: a list that holds just the value, as a variable of the caller's would count.
        held: the references that are known of, by id, besides the ones from the places.
    """
    return _BASELINE is not None and set(_references(place, held)) <= {_BASELINE}


def _references(place: list[Any], held: Counter[int]) -> list[int]:
    found = containers(place[0])
    held[id(place[0])] += 1  # by the list
    return [sys.getrefcount(item) - held[id(item)] for item in found]


def _measure() -> int | None:
    """What `_references` gives for containers that nobody else holds; None where the interpreter can't tell."""
    has_gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    if sys.implementation.name != "cpython" or not has_gil:
        return None
    items = {"key": {"inner": [[0]]}}
    counts = set(_references([items["key"]], Counter()))
    return counts.pop() if len(counts) == 1 else None


_BASELINE = _measure()
