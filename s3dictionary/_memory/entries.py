"""Entries: what memory has for a key. Raw JSON, or an object that is awake or asleep."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any, Final, TypeAlias

from msgspec import Raw, Struct


class Missing(Enum):
    """The type of `MISSING`."""

    MISSING = "MISSING"

    def __repr__(self) -> str:
        return self.name


MISSING: Final = Missing.MISSING
"""Stands for the value of an absent key."""


class Awake(Struct, eq=False):
    """An object that is read without the lock. Other code may hold it or a container in it, and change it at any time.

    Attributes:
        value: the object. No other kind of entry has this attribute, so reading is one attribute access.
        raw: what the file holds for the key; `None` for nothing.
    """

    value: Any
    raw: Raw | None

    def rebase(self, raw: Raw | None) -> None:
        """Note that the file now holds another text."""
        self.raw = raw


class Inner(Struct, eq=False, gc=False):
    """A linked list of containers in a decoded value. The garbage collector would look at every item of a list.

    Never longer than `MOST_LINKED`, because msgspec frees it recursively: the C stack would overflow.
    """

    container: Any
    rest: Inner | None


MOST_LINKED = 100

Linked: TypeAlias = Inner | tuple[Inner | None, ...] | None
"""Any number of containers: none, a linked list, or several."""


class Decoded(Awake, eq=False, gc=False):
    """An object that was decoded from its text, so the text is its snapshot.

    Hidden from the garbage collector, which takes half as long again with a hundred thousand more objects. That is
    safe, because a decoded value never refers back to the dict. A value from elsewhere may, and is never in here.

    Attributes:
        inner: the other containers in the value when it was decoded in a block; see `fresh_containers`.
        written: the text that this library writes for what `raw` stands for, which may be spelled differently; `None`
            if it isn't known.
    """

    inner: Linked = None
    written: Raw | None = None

    def rebase(self, raw: Raw | None) -> None:
        """Note that the file now holds another text."""
        if raw is not self.raw:
            self.written = None  # first, because it belongs to the old text
            self.raw = raw

    @property
    def containers(self) -> list[Any]:
        """The value, and the containers that were in it when it was decoded."""
        found, inner = [self.value], self.inner
        for linked in inner if isinstance(inner, tuple) else (inner,):
            while linked is not None:
                found.append(linked.container)
                linked = linked.rest
        return found


class Asleep(Struct, eq=False):
    """An object that nobody held when a block began. Reading it wakes it first.

    Attributes:
        kept: the object.
        raw: what the file holds for the key; `None` for nothing.
        found: the containers in it, from `containers()`. They can't change while the object is asleep.
    """

    kept: Any
    raw: Raw | None
    found: Sequence[Any] = ()

    def rebase(self, raw: Raw | None) -> None:
        """Note that the file now holds another text."""
        self.raw = raw


Entry: TypeAlias = Raw | Awake | Asleep


def raw_of(entry: Entry) -> Raw | None:
    """What the file holds for an entry's key. For a raw entry, the entry itself."""
    return entry if type(entry) is Raw else entry.raw


def object_of(entry: Awake | Asleep) -> Any:
    """An entry's object, awake or asleep."""
    return entry.value if isinstance(entry, Awake) else entry.kept


def references(entry: Awake | Asleep) -> list[Any]:
    """The containers that an entry itself refers to."""
    return entry.containers if isinstance(entry, Decoded) else [object_of(entry)]
