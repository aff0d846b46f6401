"""How memory looks into instances that hold what can't be seen.

A pandas `DataFrame`, say, has its values in an object of pandas' own. A copy of the whole instance is kept. Whether the
instance has changed is told by what it is written as.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from .contents import Contents, same_dicts
from .instances import attributes_of
from .refusals import name_of


class Whole:
    """A copy of an instance, and what the instance was written as."""

    def __init__(self, text: bytes, twin: Any) -> None:
        self.text = text
        self.twin = twin


def hiding(kind: type, write: Callable[[Any], bytes], is_known: Callable[[Any], bool]) -> Contents:
    """How to look into instances of a class that may hold what can't be seen.

    Args:
        kind: the class.
        write: writes an instance. May raise anything.
        is_known: is a value one that can be looked into, or that can't change?
    """
    own = attributes_of(kind)

    def copy(instance: Any) -> Any:
        attributes = own.copy(instance)
        if attributes and all(map(is_known, attributes.values())):
            return attributes
        try:
            return Whole(write(instance), deepcopy(instance))
        except Exception:  # noqa: BLE001  # it can't be stored, as is told when it is saved
            return attributes

    def refill(instance: Any, held: Any) -> None:
        if not isinstance(held, Whole):
            own.refill(instance, held)
            return
        own.refill(instance, own.copy(deepcopy(held.twin)))
        if write(instance) != held.text:
            raise TypeError(f"a {name_of(kind)} can't be put back in place")

    def same(now: Any, then: Any) -> bool:
        if isinstance(then, Whole):
            return isinstance(now, Whole) and now.text == then.text
        return not isinstance(now, Whole) and same_dicts(now, then)

    return Contents(own.children, copy, refill, same)
