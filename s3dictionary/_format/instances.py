"""How memory looks into instances of user classes: reads their attributes, and puts them back in place.

Sets attributes directly in `__dict__` and the slots, because the class's own `__setattr__` may check, count or refuse.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, MutableSequence
from types import MemberDescriptorType
from typing import Any

from .contents import DICT, LIST, Contents, Fields, same_dicts

_ATTEMPTS = 1_000


def slots_of(kind: type) -> dict[str, MemberDescriptorType]:
    """The attributes that instances don't keep in their `__dict__`."""
    return {
        name: slot
        for base in reversed(kind.__mro__)
        for name, slot in vars(base).items()
        if isinstance(slot, MemberDescriptorType) and base.__module__ != "builtins"
    }


def attributes_reader(kind: type) -> Callable[[Any], dict[str, Any]]:
    """A function that reads an instance's attributes as they were at one moment, even if another thread sets some."""
    slots = slots_of(kind)

    def read(instance: Any) -> dict[str, Any]:
        found = dict(getattr(instance, "__dict__", ()))
        if not slots:
            return found
        held = _read_slots(instance, slots)
        for _ in range(_ATTEMPTS):
            again = dict(getattr(instance, "__dict__", ())), _read_slots(instance, slots)
            if same_dicts(again[0], found) and same_dicts(again[1], held):
                break
            found, held = again
        return found | held

    return read


def _read_slots(instance: Any, slots: dict[str, MemberDescriptorType]) -> dict[str, Any]:
    held = {}
    for name, slot in slots.items():
        try:
            held[name] = slot.__get__(instance)
        except AttributeError:  # the slot is empty
            continue
    return held


def attributes_of(kind: type) -> Contents:
    """How to look into instances of a class."""
    slots, read = slots_of(kind), attributes_reader(kind)

    def refill(instance: Any, attributes: dict[str, Any]) -> None:
        held = _read_slots(instance, slots)
        for name, slot in slots.items():
            if name in attributes and (name not in held or held[name] is not attributes[name]):
                slot.__set__(instance, attributes[name])
            elif name in held and name not in attributes:
                slot.__delete__(instance)
        if hasattr(instance, "__dict__"):
            others = {name: item for name, item in attributes.items() if name not in slots}
            if not same_dicts(instance.__dict__, others):
                DICT.refill(instance.__dict__, others)

    return Contents(lambda instance: list(read(instance).values()), read, refill, same_dicts)


def has_attributes(kind: type) -> bool:
    return bool(getattr(kind, "__dictoffset__", 0) or slots_of(kind))


def with_attributes(base: Contents, kind: type) -> Contents:
    """How to look into instances of a class that derives from a built-in container: its items and its attributes."""
    own = attributes_of(kind)

    def refill(instance: Any, held: list[Any]) -> None:
        base.refill(instance, held[0])
        own.refill(instance, held[1])

    return Contents(
        lambda instance: base.children(instance) + own.children(instance),
        lambda instance: [base.copy(instance), own.copy(instance)],
        refill,
        lambda now, then: base.same(now[0], then[0]) and own.same(now[1], then[1]),
    )


def _refill_sequence(sequence: Any, items: list[Any]) -> None:
    if hasattr(sequence, "clear"):  # array.array has no clear() before Python 3.13, and deque takes no slices
        sequence.clear()
    else:
        del sequence[:]
    sequence.extend(items)


SEQUENCE = LIST._replace(children=list, copy=list, refill=_refill_sequence)
"""How to look into a sequence that isn't a list, such as a deque."""


def _refill_array(array: Any, held: Any) -> None:
    if array.shape != held.shape:
        array.resize(held.shape, refcheck=False)
    array[...] = held


def _array_items(array: Any) -> list[Any]:
    return list(array.flat) if array.dtype.hasobject else []


def _same_arrays(now: Any, then: Any) -> bool:
    return bool(now.shape == then.shape and now.dtype == then.dtype and now.tobytes() == then.tobytes())


ARRAY = Contents(_array_items, lambda array: array.copy(), _refill_array, _same_arrays)
"""How to look into a numpy array."""


def is_array(kind: type) -> bool:
    return issubclass(kind, getattr(sys.modules.get("numpy"), "ndarray", ()))


def owns_items(array: Any) -> bool:
    """Whether an array owns its memory. A view's can be changed through another array."""
    return bool(array.flags.owndata and not array.dtype.hasobject)


def is_sequence(kind: type) -> bool:
    return issubclass(kind, MutableSequence)


def names_in(read: Callable[[Any], dict[str, Any]], instance: Any, names: tuple[str, ...]) -> Fields:
    """The named attributes of an instance, without those that aren't set."""
    attributes = read(instance)
    found = Fields()
    for name in names:
        if name in attributes:
            found[name] = attributes[name]
            continue
        try:
            found[name] = getattr(instance, name)  # a class attribute or a computed one
        except AttributeError:
            continue
    return found
