"""What a value's containers held, so that they can be given it back in place; and whether anybody else holds them.

A container is a dict, list, set, bytearray or tuple, or one of a subclass. Knows nothing of S3, JSON or blocks.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from itertools import chain
from operator import is_
from typing import Any
from weakref import getweakrefcount

from .._format.types import CONTAINERS, GROUPS, SCALARS, contents_of

_BUILT_IN = SCALARS | GROUPS


def containers(value: Any) -> list[Any]:
    """Every container in a value, itself included, at any depth, each once.

    Tuples of nothing but scalars are left out: through them nobody gets anywhere, and the ones that stand in a
    program's text are always shared.
    """
    found: dict[int, Any] = {}
    ahead = [value]
    for item in ahead:  # it grows meanwhile
        # Not isinstance(): a mock or a proxy claims to be what it isn't
        if id(item) in found or not issubclass(type(item), CONTAINERS):
            continue
        children = _children(item)
        if children or not issubclass(type(item), tuple):
            found[id(item)] = item
            ahead += children
    return list(found.values())


def _children(container: Any) -> list[Any]:
    return [item for item in contents_of(container).children(container) if type(item) not in SCALARS]


def is_built_in(value: Any) -> bool:
    """Is everything in a value of just a built-in type, not of a subclass?

    Looks at a whole level of nesting at a time, so that the loops run in C. The value is known to have an end.
    """
    level = [value]
    while level:
        if not set(map(type, level)) <= _BUILT_IN:
            return False
        groups = [item for item in level if type(item) in GROUPS]
        inner = [item.values() for item in groups if type(item) is dict]
        level = [*chain.from_iterable(groups), *chain.from_iterable(inner)]
    return True


Snapshot = tuple[Any, ...]
"""What every container in a value held, at any depth: the containers and their contents in turn.

A block may have hundreds of thousands of them, and this is the shape that costs the garbage collector least.
"""


def snapshot(value: Any) -> Snapshot:
    """Take down what every container in a value holds now."""
    found = [item for item in containers(value) if not isinstance(item, tuple)]
    return tuple(chain.from_iterable(zip(found, map(_contents, found), strict=True)))


def restore(taken: Snapshot) -> None:
    """Give the containers back what they held: the same objects, in the same order.

    One that still holds it isn't written to: somebody may be iterating over it.
    """
    for container, contents in zip(taken[::2], taken[1::2], strict=True):
        if not _same(_contents(container), contents):
            refill(container, contents)


def references(taken: Snapshot) -> Counter[int]:
    """How often a snapshot itself refers to an object, by id."""
    held = Counter(map(id, taken[::2]))
    for contents in taken[1::2]:
        held.update(map(id, _children(contents)))
    return held


def _contents(container: Any) -> Any:
    return contents_of(container).copy(container)


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
    """Give a container other contents, moving as little as possible: somebody may be iterating over it."""
    contents_of(container).refill(container, contents)


def detached(value: Any) -> Any:
    """A copy of a value that shares no container with it, all of them built-in ones. Other objects stay as they are."""
    found = containers(value)
    copies = {id(item): _contents(item) for item in found if not isinstance(item, tuple)}
    copies |= {key: bytearray(copy) for key, copy in copies.items() if isinstance(copy, bytes)}
    mutable = list(copies.values())
    ahead = [item for item in found if isinstance(item, tuple)]
    while ahead:  # no recursion: they may be nested deeply
        item = ahead.pop()
        inner = [child for child in _children(item) if isinstance(child, tuple) and id(child) not in copies]
        if inner:
            ahead += [item, *inner]
        else:
            copies[id(item)] = tuple(copies.get(id(child), child) for child in tuple.__iter__(item))
    for copy in mutable:
        if isinstance(copy, dict):
            copy.update((key, copies.get(id(item), item)) for key, item in copy.items())
        elif isinstance(copy, list):
            copy[:] = [copies.get(id(item), item) for item in copy]
    return copies.get(id(value), value)


# Reference counts -----------------------------------------------------------------------------------------------------


def is_unshared(found: list[Any], held: Mapping[int, int]) -> bool:
    """Can containers be reached only through their places in the dict?

    CPython's reference counts tell: a container has one reference from its place, and those that are known of. One
    more, and somebody else may hold it. In doubt the answer is no.

    Args:
        found: the containers, as `containers` gives them: a variable of the caller's for one of them would count.
        held: the references that are known of, by id, besides the ones from the places.
    """
    return _BASELINE is not None and set(_references(found, held)) <= {_BASELINE}


def _references(found: list[Any], held: Mapping[int, int]) -> list[int]:
    return [sys.getrefcount(item) + getweakrefcount(item) - held.get(id(item), 0) for item in found]


def _measure() -> int | None:
    """What `_references` gives for containers that nobody else holds; None where the interpreter can't tell."""
    has_gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    if sys.implementation.name != "cpython" or not has_gil:
        return None
    items = {"key": {"inner": [[0]]}}
    counts = set(_references(containers(items["key"]), {}))
    return counts.pop() if len(counts) == 1 else None


_BASELINE = _measure()
