"""How memory looks into instances whose attributes don't show all that they hold.

A pandas `DataFrame`, for example, keeps its values in an internal object of pandas. Memory keeps a copy of the whole
instance, and compares what is written to find out whether the instance has changed.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from .contents import Contents, same_dicts
from .instances import attributes_of
from .refusals import name_of


class InstanceCopy:
    """A copy of an instance, and the text that was written for it."""

    def __init__(self, text: bytes, twin: Any) -> None:
        self.text = text
        self.twin = twin


def opaque_contents(kind: type, write: Callable[[Any], bytes], is_known: Callable[[Any], bool]) -> Contents:
    """How to look into instances of a class that may hold more than its attributes show.

    Args:
        kind: the class.
        write: writes an instance. May raise anything.
        is_known: whether memory can look into a value, or the value can't change.
    """
    own = attributes_of(kind)

    def copy(instance: Any) -> Any:
        attributes = own.copy(instance)
        if attributes and all(map(is_known, attributes.values())):
            return attributes
        try:
            return InstanceCopy(write(instance), deepcopy(instance))
        except Exception:  # noqa: BLE001  # it can't be stored: the next save reports that
            return attributes

    def refill(instance: Any, held: Any) -> None:
        if not isinstance(held, InstanceCopy):
            own.refill(instance, held)
            return
        own.refill(instance, own.copy(deepcopy(held.twin)))
        if write(instance) != held.text:
            raise TypeError(f"a {name_of(kind)} can't be put back in place")

    def same(now: Any, then: Any) -> bool:
        if isinstance(then, InstanceCopy):
            return isinstance(now, InstanceCopy) and now.text == then.text
        return not isinstance(now, InstanceCopy) and same_dicts(now, then)

    return Contents(own.children, copy, refill, same)
