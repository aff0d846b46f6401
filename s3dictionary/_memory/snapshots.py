"""Snapshots of what a value's containers hold, so that a rollback can put it back in place.

The table of types says what a container is: a dict, list, set, bytearray or tuple, an instance of one of their
subclasses, or an instance of a user class. Doesn't know about S3 or blocks.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from copy import deepcopy
from itertools import chain, repeat
from typing import Any

from .._format.types import BUILT_IN, GROUPS, SCALARS, Types
from .entries import MOST_LINKED, Inner, Linked
from .refcounts import add_references

_BUILT_IN = SCALARS | GROUPS


def containers(value: Any, types: Types) -> list[Any]:
    """Every container in a value, including the value itself, at any depth, each once.

    Leaves out tuples of scalars: they lead to no other container, and constant ones in a program's code are always
    shared.
    """
    if types.given:
        return _any_containers(value, types)
    found: list[Any] = []
    ahead = [value]
    for item in ahead:  # it grows meanwhile
        kind = type(item)
        if kind is dict:
            values = list(item.values())
        elif kind is list or kind is tuple:
            values = item
        else:
            return _any_containers(value, types)
        if SCALARS.issuperset(map(type, values)):
            if kind is not tuple:
                found.append(item)
            continue
        children = [child for child in values if type(child) not in SCALARS]
        found.append(item)
        ahead += children
        if len(ahead) > _MANY:  # it may contain itself
            return _any_containers(value, types)
    return found if len(set(map(id, found))) == len(found) else _any_containers(value, types)


_MANY = 1_000


def _any_containers(value: Any, types: Types) -> list[Any]:
    """The same for any value: also for other types, and for shared or circular containers."""
    found: dict[int, Any] = {}
    ahead = [value]
    for item in ahead:  # it grows meanwhile
        if id(item) in found or not types.is_container(item):
            continue
        children = _children(item, types)
        if children or not issubclass(type(item), _UNCHANGING):
            found[id(item)] = item
            ahead += children
    return list(found.values())


def _children(container: Any, types: Types) -> list[Any]:
    scalars = types.scalars
    return [item for item in types.contents_of(container).children(container) if type(item) not in scalars]


def comes_back(value: Any, types: Types) -> bool:
    """Whether everything in a value is of a type that is stored as itself, not of a subclass.

    Handles a whole level of nesting at a time, so that the loops run in C. The value mustn't be circular.
    """
    if types.given:
        return all(map(types.is_whole, _all_in(value, types)))
    level = [value]
    while level:
        if not set(map(type, level)) <= _BUILT_IN:
            return False
        groups = [item for item in level if type(item) in GROUPS]
        inner = [item.values() for item in groups if type(item) is dict]
        level = [*chain.from_iterable(groups), *chain.from_iterable(inner)]
    return True


def _all_in(value: Any, types: Types) -> list[Any]:
    """Everything in a value, including the value itself, at any depth. Each container once."""
    found: list[Any] = []
    seen: set[int] = set()
    ahead = [value]
    for item in ahead:  # it grows meanwhile
        if id(item) in seen:
            continue
        found.append(item)
        if types.is_container(item):
            seen.add(id(item))
            ahead += types.contents_of(item).children(item)
    return found


def shows_all(found: Iterable[Any], types: Types) -> bool:
    """Whether only code that holds one of these containers can change them. False for a view of other memory."""
    return not types.given or all(map(types.may_sleep, found))


Snapshot = tuple[Any, ...]
"""The containers in a value, at any depth, each followed by its contents.

A block may have hundreds of thousands of them. This form costs the garbage collector least.
"""


def snapshot(found: Iterable[Any], types: Types) -> Snapshot:
    """Note what containers hold now. Leaves out tuples, which can't change."""
    taken: list[Any] = []
    for container in found:
        if not isinstance(container, _UNCHANGING):
            taken += (container, _contents(container, types))
    return tuple(taken)


_UNCHANGING = (tuple, frozenset)


def restore(containers: Iterable[Any], contents: Iterable[Any], failures: list[Exception], types: Types) -> None:
    """Put back the contents of containers: the same objects, in the same order.

    Doesn't write to a container that is unchanged, because somebody may be iterating over it. If a container can't be
    restored, such as a bytearray with a memoryview, adds the exception to `failures`.
    """
    for container, content in zip(containers, contents, strict=True):
        try:
            _restore(container, content, types)
        except Exception:  # noqa: BLE001  # a signal handler's, or a MemoryError: try once more
            try:
                _restore(container, content, types)
            except Exception as error:  # noqa: BLE001  # whatever it is, the others must be restored
                failures.append(error)


def _restore(container: Any, content: Any, types: Types) -> None:
    kind = types.contents_of(container)
    if not kind.same(_contents(container, types), content):
        kind.refill(container, content)


def fresh_containers(value: Any) -> list[Any]:
    """The containers in a freshly decoded value, including the value itself, level by level.

    Decoding never shares a container, and decoding the same text again gives the same containers in the same order.
    """
    found = [value]
    for item in found:  # it grows meanwhile
        kind = type(item)
        if kind is dict:
            children = item.values()
        elif kind is list or kind is tuple:
            children = item
        else:
            continue  # members of a set are hashable
        for child in children:
            if type(child) in _HOLDERS:
                found.append(child)  # noqa: PERF401  # a comprehension takes longer for a few
    return found


_HOLDERS = frozenset(BUILT_IN.containers)


def chained(found: list[Any]) -> Linked:
    """All containers from `fresh_containers` except the value itself, in linked lists."""
    if len(found) <= MOST_LINKED:
        return _linked(found[1:])
    return tuple(_linked(found[at : at + MOST_LINKED]) for at in range(1, len(found), MOST_LINKED))


def _linked(found: list[Any]) -> Inner | None:
    inner = None
    for container in reversed(found):
        inner = Inner(container, inner)
    return inner


def inner_containers_of_each(values: list[Any], text: bytes) -> Iterable[Linked]:
    """The containers inside each of many fresh values.

    Most values are records: dicts with scalars and lists of scalars in the same places. Handles these one column at a
    time. If the text has no other brackets than those of the containers that were found, there are no others.

    Args:
        values: the values.
        text: their text as a JSON array.
    """
    lists = _columns_of_lists(values)
    if len(lists) <= MOST_LINKED and text.count(b"{") == len(values) and text.count(b"[") == 1 + sum(map(len, lists)):
        inner: Iterable[Inner | None] = repeat(None)
        for column in reversed(lists):
            inner = map(Inner, column, inner)
        return inner
    return [chained(fresh_containers(value)) for value in values]


def _columns_of_lists(records: list[Any]) -> list[tuple[list[Any], ...]]:
    """The lists in records, one tuple for each column of lists; none if the records differ in length."""
    if set(map(type, records)) != {dict} or len(set(map(len, records))) > 1:
        return []
    columns = list(zip(*map(dict.values, records), strict=True))
    return [column for column in columns if type(column[0]) is list and set(map(type, column)) == {list}]


def contents_of_twins(twins: Iterable[Any], originals: Iterable[Any]) -> tuple[list[Any], list[Any]]:
    """What the originals held when they were decoded, found by decoding the same text again to their twins.

    Returns:
        The originals that can change, and the contents of each, with the originals in place of the twins.
    """
    places = {id(twin): original for twin, original in zip(twins, originals, strict=True)}
    mutable = [twin for twin in twins if type(twin) is not tuple]
    contents: list[Any] = []
    for twin in mutable:
        if type(twin) is dict:
            contents.append({key: places.get(id(item), item) for key, item in twin.items()})
        elif type(twin) is list:
            contents.append([places.get(id(item), item) for item in twin])
        else:
            contents.append(twin)
    return [places[id(twin)] for twin in mutable], contents


def add_snapshot_references(counts: dict[int, int], taken: Snapshot, types: Types) -> None:
    """Count a snapshot's own references to containers, by id."""
    add_references(counts, taken[::2])
    for contents in taken[1::2]:
        if types.is_container(contents):
            add_references(counts, _children(contents, types))


def _contents(container: Any, types: Types) -> Any:
    kind = type(container)
    return container.copy() if kind is dict or kind is list else types.contents_of(container).copy(container)


def refill(container: Any, contents: Any) -> None:
    """Give a dict other contents. Moves as little as possible, because somebody may be iterating over it."""
    BUILT_IN.contents_of(container).refill(container, contents)


def detached(value: Any, types: Types) -> Any:
    """A copy of a value that shares no container with it. Other objects are shared."""
    if types.given:
        others = (item for item in _all_in(value, types) if not types.is_container(item))
        with suppress(Exception):  # copying an instance runs code of its class
            return deepcopy(value, {id(item): item for item in others})
    return _detached(value)


def _detached(value: Any) -> Any:
    found = containers(value, BUILT_IN)
    copies = {id(item): _contents(item, BUILT_IN) for item in found if not isinstance(item, tuple)}
    copies |= {key: bytearray(copy) for key, copy in copies.items() if isinstance(copy, bytes)}
    mutable = list(copies.values())
    ahead = [item for item in found if isinstance(item, tuple)]
    while ahead:  # no recursion: they may be nested deeply
        item = ahead.pop()
        inner = [child for child in _children(item, BUILT_IN) if isinstance(child, tuple) and id(child) not in copies]
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
