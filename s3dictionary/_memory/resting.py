"""Values at rest: nobody holds them, and nobody has been able to reach them since they were encoded.

So they still hold what was encoded: without a copy, and without another look after the save.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from itertools import chain, compress, islice, repeat
from operator import attrgetter, is_, not_
from typing import Any

from msgspec import Raw

from .._format import codec
from .._format.types import Types
from .entries import Awake, Decoded, Entry
from .refcounts import which_are_held

_AWAKE = frozenset({Awake, Decoded})
_COPIES = 2
"""Dicts that refer to each awake entry: the items, and the copy of them that becomes the members."""


class AtRest:
    """The values at rest. Any operation that could reach one of them first ends the rest of all.

    Args:
        members: all items as JSON.

    Attributes:
        keys: the keys of the values at rest; empty as soon as the rest is over.
        texts: what they hold, as JSON.
        left: the keys of other awake values.
        is_over: whether the rest is over.
    """

    def __init__(self, members: codec.Members) -> None:
        self.members = members
        self.keys: list[Any] = []
        self.texts: list[Raw] = []
        self.left: list[Any] = []
        self.is_over = False

    def end(self) -> None:
        self.is_over = True
        self.keys.clear()  # even code that already iterates over it finds nothing more
        self.texts.clear()

    def add(self, keys: list[Any], items: Mapping[Any, Entry], journal: Mapping[Any, Any], types: Types) -> bool:
        """Encode values, a few together, and add those that nobody holds.

        Args:
            keys: the keys of awake entries.
            items: the items. No code without the lock can reach them.
            journal: what the open block has noted.
            types: the table of types.

        Returns:
            Whether any of those added differs from what the file holds.
        """
        entries: list[Any] = [Decoded({}, None), *map(items.get, keys)]  # the first one is a control
        noted = map(is_, map(journal.get, keys), islice(entries, 1, None))
        apart = _which_are_not_awake(entries) or which_are_held(entries, chain((-_COPIES,), noted))
        values = [] if apart else list(map(attrgetter("value"), entries))
        apart = apart or which_are_held(values, repeat(0))
        if apart:
            del entries, values, noted  # they refer to what is counted
            self.left += compress(keys, apart)
            return self.add(list(compress(keys, map(not_, apart))), items, journal, types)
        del entries[0], values[0]
        raws = list(map(attrgetter("raw"), entries))
        written = list(map(getattr, entries, repeat("written"), repeat(None)))
        inner_held = partial(_are_held, _noted(entries))
        texts = codec.encode_unshared(codec.Touched(keys, values, raws, written), inner_held, types)
        if texts is None or self.is_over:  # the second, if a signal handler has read a value meanwhile
            self.left += keys
            return False
        self.members.update(zip(keys, texts, strict=True))
        self.keys += keys
        self.texts += texts
        return not all(map(is_, texts, raws))


def _which_are_not_awake(entries: list[Any]) -> list[bool]:
    """For each entry but the first, whether its value isn't awake; an empty list if all are."""
    if _AWAKE.issuperset(map(type, entries)):
        return []
    return [type(entry) not in _AWAKE for entry in islice(entries, 1, None)]


def _noted(entries: list[Any]) -> list[int]:
    """The ids of the containers inside values that entries themselves refer to."""
    found: list[int] = []
    inner: list[Any] = list(filter(None, map(getattr, entries, repeat("inner"), repeat(None))))
    if tuple in set(map(type, inner)):
        inner = [linked for item in inner for linked in (item if type(item) is tuple else (item,)) if linked]
    while inner:
        found += map(id, map(attrgetter("container"), inner))
        inner = list(filter(None, map(attrgetter("rest"), inner)))
    return found


def _are_held(noted: list[int], level: list[Any]) -> bool:
    """Whether anything refers to one of these containers besides the one around it, and its entry if it is noted."""
    ids = list(map(id, level))
    known: Iterable[int] = repeat(1) if ids == noted else map(set(noted).__contains__, ids)
    place: list[Any] = [[]]
    control = list(place)
    return bool(which_are_held([*control, *level], chain((0,), known)))
