"""How memory looks into containers: lists what they hold, copies it, and puts it back in place.

Calls the methods of the built-in classes, because a subclass's own may check, count or refuse.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from operator import is_
from typing import Any, NamedTuple

_ATTEMPTS = 1_000


class Contents(NamedTuple):
    """The operations on containers of one type.

    Attributes:
        children: the values inside, as a list, without those that must be hashable.
        copy: what a container holds, as a new built-in object.
        refill: gives a container other contents, `refill(container, contents)`. Moves as little as possible, because
            somebody may be iterating over it.
        same: whether two copies hold the same objects, not just equal ones: 1 and True are equal.
    """

    children: Callable[[Any], list[Any]]
    copy: Callable[[Any], Any]
    refill: Callable[[Any, Any], None]
    same: Callable[[Any, Any], bool]


class Fields(dict[str, Any]):
    """The stored form of an instance: its fields by name."""


def _nothing(container: Any) -> list[Any]:
    return []


def dict_class(container: Any) -> Any:
    """The class whose methods show what a dict holds. OrderedDict keeps an order separate from dict's."""
    return OrderedDict if issubclass(type(container), OrderedDict) else dict


def dict_items(container: Any) -> list[tuple[Any, Any]]:
    """A dict's items as they were at one moment, even if another thread edits the dict.

    Garbage collection may start in the middle, and let the other thread run.
    """
    base = dict_class(container)
    for _ in range(_ATTEMPTS):
        try:
            return list(base.items(container))
        except RuntimeError:  # the dict has changed meanwhile
            continue
    return list(base.items(container))


def set_members(container: Any) -> list[Any]:
    """A set's or frozenset's members as they were at one moment."""
    base = set if issubclass(type(container), set) else frozenset
    return list(base.__iter__(container))


def _dict_values(container: Any) -> list[Any]:
    return list(dict.values(container))


def _dict_copy(container: Any) -> dict[Any, Any]:
    return dict.copy(container) if type(container) is dict else dict(dict_items(container))


def _refill_dict(container: Any, contents: dict[Any, Any]) -> None:
    base = dict_class(container)
    for key, item in contents.items():
        base.__setitem__(container, key, item)
    for key in [key for key in base.keys(container) if key not in contents]:
        base.__delitem__(container, key)
    if not _same_keys(list(base.keys(container)), list(contents)):
        base.clear(container)
        base.update(container, contents)


def _same_keys(now: list[Any], then: list[Any]) -> bool:
    if len(now) == len(then) and all(map(is_, now, then)):
        return True
    return set(map(type, now + then)) <= {str} and now == then  # equal keys of other types may differ


def _refill_list(container: Any, contents: list[Any]) -> None:
    list.__setitem__(container, slice(None), contents)


def _tuple_items(container: Any) -> list[Any]:
    return list(tuple.__iter__(container))


def _refill_nothing(container: Any, contents: tuple[Any, ...]) -> None:
    """Does nothing: a tuple can't change."""


def _set_copy(container: Any) -> set[Any]:
    return set(set_members(container))


def _refill_set(container: Any, contents: set[Any]) -> None:
    kept = set(map(id, contents))
    for item in [item for item in set_members(container) if id(item) not in kept]:
        set.discard(container, item)
    set.update(container, contents)


def _refill_bytearray(container: Any, contents: bytes) -> None:
    bytearray.__setitem__(container, slice(None), contents)


def _same_items(now: Any, then: Any) -> bool:
    return len(now) == len(then) and all(map(is_, now, then))


def same_dicts(now: dict[Any, Any], then: dict[Any, Any]) -> bool:
    return _same_items(now, then) and all(map(is_, now.values(), then.values()))


def _same_sets(now: set[Any], then: set[Any]) -> bool:
    return set(map(id, now)) == set(map(id, then))


DICT = Contents(_dict_values, _dict_copy, _refill_dict, same_dicts)
LIST = Contents(list.copy, list.copy, _refill_list, _same_items)
TUPLE = Contents(_tuple_items, lambda container: tuple(_tuple_items(container)), _refill_nothing, _same_items)
SET = Contents(_nothing, _set_copy, _refill_set, _same_sets)
BYTEARRAY = Contents(_nothing, bytes, _refill_bytearray, lambda now, then: bool(now == then))


def _dict_keys_and_values(container: Any) -> list[Any]:
    return [part for item in dict_items(container) for part in item]


WITH_KEYS: dict[type, Contents] = {
    dict: DICT._replace(children=_dict_keys_and_values),
    set: SET._replace(children=set_members),
    frozenset: Contents(set_members, frozenset, _refill_nothing, _same_sets),
}
"""The same types for a dict with user classes, where keys and set members may be instances that change."""
