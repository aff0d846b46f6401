"""Savepoints: what a block needs for its rollback."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

from msgspec import Raw

from .._format import codec
from .._format.types import BUILT_IN, SCALARS, Types
from .entries import MISSING, Asleep, Awake, Decoded, Entry, Missing, references
from .refcounts import add_references
from .snapshots import (
    Snapshot,
    add_snapshot_references,
    containers,
    contents_of_twins,
    fresh_containers,
    restore,
    snapshot,
)


class SavepointState:
    """What has become of a savepoint. Others may keep it, because it refers to nothing else.

    Attributes:
        is_rolled_back: whether the rollback has begun, which nothing stops any more.
    """

    def __init__(self) -> None:
        self.is_rolled_back = False


class Savepoint:
    """The items at the beginning of a block, as far as they may have changed since.

    Each fact is noted once, before the first change that could make it untrue, and then never changes. So rolling back
    twice gives the same result as rolling back once.

    Attributes:
        journal: the entry that each key had; `MISSING` if it had none. A key that isn't here is unchanged. An object
            that was decoded during the block stands for its raw entry, because its text is the snapshot.
        copies: the contents of the containers in values that were awake already.
        order: all keys in order, noted before the first one was removed.
        began_complete: whether everything was noted when the block began.
        state: what has become of it.
        types: the dict's table of types.
    """

    types: Types = BUILT_IN

    def __init__(self) -> None:
        self.journal: dict[Any, Entry | Missing] = {}
        self.copies: dict[Any, Snapshot] = {}
        self.order: list[Any] | None = None
        self.began_complete = False
        self.state = SavepointState()

    def note(self, key: Any, entry: Entry | Missing) -> None:
        """Note a key's entry before another one replaces it."""
        if key not in self.journal:
            self.journal[key] = entry

    def note_copy(self, key: Any, entry: Awake) -> None:
        """Note a key's entry and the contents of its containers before anybody may change them."""
        if key not in self.journal:
            self.note_woken(key, entry, snapshot(containers(entry.value, self.types), self.types))

    def note_woken(self, key: Any, entry: Awake, taken: Snapshot | None) -> None:
        """The same with a snapshot taken before. `None` for a freshly decoded value, whose text is its snapshot."""
        if taken is not None:
            self.copies[key] = taken
        self.journal[key] = entry

    def note_order(self, keys: Iterable[Any]) -> None:
        """Note all keys that the block began with, before one of them is removed."""
        if self.order is None:
            self.order = _without_new(keys, self.journal)

    def clear(self) -> None:
        """Forget everything, because the block begins anew. One call, so no signal handler sees a part of it."""
        vars(self).update(vars(Savepoint()))

    def restore_contents(self, failures: list[Exception]) -> None:
        """Put back the contents of all containers, in place. Adds an exception to `failures` for each that can't be."""
        for _, entry in self._decoded():
            restore(*self._contents_of(entry), failures, self.types)
        for taken in self.copies.values():
            restore(taken[::2], taken[1::2], failures, self.types)

    @staticmethod
    def _contents_of(entry: Decoded) -> tuple[list[Any], list[Any]]:
        value = codec.decode(entry.raw)  # type: ignore[arg-type]  # it was decoded from that
        return contents_of_twins(fresh_containers(value), entry.containers)

    def _decoded(self) -> list[tuple[Any, Decoded]]:
        """The keys and entries of containers that were decoded during the block."""
        return [
            (key, entry)
            for key, entry in self.journal.items()
            if type(entry) is Decoded and key not in self.copies and type(entry.value) not in SCALARS
        ]

    def prepare_rebase(self, members: codec.Members) -> None:
        """Before the file's texts change: keep objects and copies where the journal so far relied on an old text."""
        for key, entry in list(self.journal.items()):
            if type(entry) is Raw and entry != members.get(key):
                self.journal[key] = Awake(codec.decode(entry, self.types, (key,)), entry)
        for key, entry in self._decoded():
            if entry.raw != members.get(key):
                self.copies[key] = tuple(chain.from_iterable(zip(*self._contents_of(entry), strict=True)))

    def rebase(self, members: codec.Members) -> None:
        """Record that the file holds these members now."""
        for key, entry in self.journal.items():
            if isinstance(entry, (Awake, Asleep)):
                entry.rebase(members.get(key))

    def let_go(self) -> None:
        """Let go of removed containers, because the block won't be rolled back any more."""
        for entry in self.journal.values():
            if type(entry) is Decoded:
                entry.inner = None

    @property
    def exposed(self) -> list[Any]:
        """The keys whose values were awake when the block began, or were decoded since."""
        return [key for key, entry in self.journal.items() if isinstance(entry, Awake)]

    def restored(self, items: dict[Any, Entry]) -> dict[Any, Entry] | None:
        """The old entries, in order, if keys were removed during the block; otherwise `None`."""
        if self.order is None:
            return None
        restored = {key: self.journal.get(key, items.get(key, MISSING)) for key in self.order}
        return {key: entry for key, entry in restored.items() if entry is not MISSING}

    def restore_entries(self, items: dict[Any, Entry]) -> None:
        """Put back the old entries, in place, if no keys were removed during the block."""
        for key, entry in self.journal.items():
            if entry is MISSING:
                items.pop(key, None)
            else:
                items[key] = entry

    def absorb(self, inner: Savepoint, *, complete: bool) -> None:
        """Take over what an inner block noted, for keys that this block hasn't noted itself.

        Args:
            inner: the inner block's savepoint.
            complete: whether the journal has all keys that this block began with. If so, other keys are new.
        """
        if complete:
            for key in inner.journal:
                self.note(key, MISSING)
            return
        if inner.order is not None and self.order is None:
            self.order = _without_new(inner.order, self.journal)
        for key, entry in inner.journal.items():
            if key in self.journal:
                continue
            if key in inner.copies:
                self.copies[key] = inner.copies[key]
            self.journal[key] = entry

    def add_references(self, key: Any, counts: dict[int, int], counted: set[int]) -> None:
        """Count this savepoint's references to a key's value and the containers in it, by id.

        Args:
            key: the key.
            counts: the counts to add to.
            counted: the ids of the entries that were counted already; each refers to its object once.
        """
        entry = self.journal.get(key, MISSING)
        if isinstance(entry, (Awake, Asleep)) and id(entry) not in counted:
            counted.add(id(entry))
            add_references(counts, references(entry))
        add_snapshot_references(counts, self.copies.get(key, ()), self.types)


def _without_new(keys: Iterable[Any], journal: dict[Any, Entry | Missing]) -> list[Any]:
    if MISSING not in journal.values():
        return list(keys)
    return [key for key in keys if journal.get(key) is not MISSING]
