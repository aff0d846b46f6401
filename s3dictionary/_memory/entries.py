"""What a dict has under a key: raw JSON, or an object that is awake or asleep."""

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
"""Stands for a key that isn't there."""


class Awake(Struct, eq=False):
    """An object that may be read without a lock, so anybody may hold it, or a container in it, and change it any time.

    Attributes:
        value: the object. Of all that can stand under a key, only this has the attribute, which is what reading is.
        raw: what the file holds under the key; `None` for nothing.
    """

    value: Any
    raw: Raw | None

    def rebase(self, raw: Raw | None) -> None:
        """The file holds another text now."""
        self.raw = raw


class Inner(Struct, eq=False, gc=False):
    """A container in a decoded value, and the rest of them. In a list, the garbage collector would look at all."""

    container: Any
    rest: Inner | None


class Decoded(Awake, eq=False, gc=False):
    """An object that was decoded from the text, which then is a snapshot of it.

    The garbage collector needn't look at it: a hundred thousand more objects make it take half as long again. (A value
    of somebody else's may refer back to the dict, so that the collector has to know; it never stands in here.)

    Attributes:
        inner: the other containers in the value, as they were when it was decoded in a block; see `fresh_containers`.
        written: how the value that `raw` stands for is written here, which may be spelled otherwise; `None` if that
            isn't known.
    """

    inner: Inner | None = None
    written: Raw | None = None

    def rebase(self, raw: Raw | None) -> None:
        """The file holds another text now."""
        if raw is not self.raw:
            self.written = None  # first: with the other text it would be wrong
            self.raw = raw

    @property
    def containers(self) -> list[Any]:
        """The value, and the containers that were in it."""
        found, inner = [self.value], self.inner
        while inner is not None:
            found.append(inner.container)
            inner = inner.rest
        return found


class Asleep(Struct, eq=False):
    """An object that nobody holds, found so when a block began. Reading it wakes it first.

    Attributes:
        kept: the object.
        raw: what the file holds under the key; `None` for nothing.
        found: the containers in it, as `containers` gives them: nobody can change them as long as it is asleep.
    """

    kept: Any
    raw: Raw | None
    found: Sequence[Any] = ()

    def rebase(self, raw: Raw | None) -> None:
        """The file holds another text now."""
        self.raw = raw


Entry: TypeAlias = Raw | Awake | Asleep


def raw_of(entry: Entry) -> Raw | None:
    """What the file holds under an entry's key. Where the entry is raw, that is the entry."""
    return entry if type(entry) is Raw else entry.raw


def object_of(entry: Awake | Asleep) -> Any:
    """An entry's object, awake or not."""
    return entry.value if isinstance(entry, Awake) else entry.kept


def references(entry: Awake | Asleep) -> list[Any]:
    """The containers that an entry itself refers to."""
    return entry.containers if isinstance(entry, Decoded) else [object_of(entry)]
