"""A dict whose values stay raw JSON until they are touched, and what is needed to take changes back.

Each value is in one of three states:

- raw: JSON text. Nobody can hold a reference into it, so it can't change.
- exposed: an object that was handed out or put in. Somebody may hold it, or a container in it, and change it any time.
- dormant: an object that nobody holds, found so when a block began. It is exposed again when it is touched.

So all costs are costs of what was touched. Knows no S3, and of JSON only that a value can be encoded and decoded.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from enum import Enum
from typing import Any, Final, NamedTuple, cast

from msgspec import Raw

from . import codec
from .errors import NotStorableError
from .snapshots import SCALARS, Snapshot, detached, is_unshared, refill


class Missing(Enum):
    """The type of `MISSING`."""

    MISSING = "MISSING"

    def __repr__(self) -> str:
        return self.name


MISSING: Final = Missing.MISSING
"""Stands for a key that isn't there."""


class Before(NamedTuple):
    """What a key held before a block touched it: the item, and the contents of its containers if it was exposed."""

    item: Any
    snapshot: Snapshot | None


class Savepoint:
    """What a block needs to be undone.

    Attributes:
        journal: what each key that the block touched held before.
        order: the keys in order, from before the block first removed one.
        whole: the items, from when the whole dict was handed out.
    """

    __slots__ = ("journal", "order", "whole")

    def __init__(self) -> None:
        self.journal: dict[Any, Before] = {}
        self.order: list[Any] | None = None
        self.whole: dict[Any, Any] | None = None

    def absorb(self, inner: Savepoint) -> None:
        """Take over what an inner block knows of the time before this block touched it."""
        for key, before in inner.journal.items():
            self.journal.setdefault(key, before)
        self.order = inner.order if self.order is None else self.order
        self.whole = inner.whole if self.whole is None else self.whole


class Values:
    """The items of a dict, what the file holds in their place, and the open blocks' savepoints.

    Attributes:
        items: every item, raw ones included, in order.
        live: the values that may be read without further ado.
    """

    def __init__(self, members: codec.Members | None = None) -> None:
        self.items: dict[Any, Any] = dict(members or {})
        self.live: dict[Any, Any] = {}
        # A key that isn't in _loaded holds just what the file holds, raw
        self._loaded: dict[Any, Raw | Missing] = {}
        self._loaded_order: list[Any] | None = None
        # What is exposed is in the innermost savepoint's journal, so the next write to it needs no bookkeeping
        self._exposed: set[Any] = set()
        self._savepoints: list[Savepoint] = []
        self._lock = threading.RLock()

    # Items

    def touch(self, key: Any) -> Any:
        """Hand out a value that isn't live. Two threads that touch it at once get the same object.

        Raises:
            KeyError: it isn't there.
        """
        with self._lock:
            if key in self.live:
                return self.live[key]
            value = self._wake(key)
            if type(value) not in SCALARS:
                self._loaded.setdefault(key, MISSING)
                self._exposed.add(key)
                if self._savepoints and key not in self._savepoints[-1].journal:
                    self._savepoints[-1].journal[key] = Before(value, Snapshot(value))
            self.live[key] = value
            return value

    def set(self, key: Any, value: Any) -> None:
        if key not in self._exposed:
            self._note(key)
        self.items[key] = value
        self.live[key] = value

    def delete(self, key: Any) -> None:
        """Remove an item that is there."""
        if key not in self._exposed:
            self._note(key)
        self._note_order()
        del self.items[key]
        self.live.pop(key, None)

    def clear(self) -> None:
        for key in self.items:
            if key not in self._exposed:
                self._note(key)
        self._note_order()
        self.items.clear()
        self.live.clear()

    def decoded(self) -> dict[Any, Any]:
        """All items as objects, to be looked at but not handed out."""
        with self._lock:
            for key in self.items:
                self._wake(key)
            return self.items

    def open(self) -> dict[Any, Any]:
        """Hand out the dict itself. Whoever holds it can change it any time, so from now on everything is live."""
        with self._lock:
            for key in self.items:
                self.touch(key)
            if not self._is_open:
                self._note_order()
            self.live = self.items
            if self._savepoints and self._savepoints[-1].whole is None:
                self._savepoints[-1].whole = dict(self.items)
            return self.items

    @property
    def _is_open(self) -> bool:
        return self.live is self.items

    def _wake(self, key: Any) -> Any:
        """The item as an object; a raw one is decoded."""
        item = self.items[key]
        if type(item) is Raw and self._loaded.get(key, item) is item:
            self._loaded[key] = item
            item = self.items[key] = codec.decode(item)
        return item

    def _note(self, key: Any) -> None:
        """Before the first write to a key that isn't exposed: write down what it holds."""
        with self._lock:
            item = self.items.get(key, MISSING)
            self._loaded.setdefault(key, item if type(item) is Raw else MISSING)
            if self._savepoints:
                savepoint = self._savepoints[-1]
                # Once the whole was handed out, all that was there has been touched, and this came in unseen
                savepoint.journal.setdefault(key, Before(item if savepoint.whole is None else MISSING, None))
            self._exposed.add(key)

    def _note_order(self) -> None:
        if self._loaded_order is None:
            self._loaded_order = list(self.items)
        if self._savepoints and self._savepoints[-1].order is None:
            self._savepoints[-1].order = list(self.items)

    def detached(self) -> dict[Any, Any]:
        """A plain dict of everything, that shares no container with this one."""
        with self._lock:
            return {key: detached(item) for key, item in self.decoded().items()}

    def copy(self) -> Values:
        """A shallow copy: it shares the values, so all of them are exposed."""
        with self._lock:
            for key in self.items:
                self.touch(key)
            return self._twin(dict(self.items))

    def deepcopy(self, memo: dict[int, Any]) -> Values:
        """A copy that shares nothing. What is raw stays raw."""
        with self._lock:
            return self._twin(
                {key: item if type(item) is Raw else deepcopy(item, memo) for key, item in self.items.items()}
            )

    def _twin(self, items: dict[Any, Any]) -> Values:
        twin = Values()
        twin.__setstate__({"items": items, "_loaded": dict(self._loaded), "_loaded_order": self._loaded_order})
        return twin

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            self._note_unseen()
            return {"items": dict(self.items), "_loaded": dict(self._loaded), "_loaded_order": self._loaded_order}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Values.__init__(self)
        self.__dict__.update(state)
        self.live = {key: item for key, item in self.items.items() if type(item) is not Raw}
        self._exposed = set(self.live)

    # Blocks

    def begin(self) -> None:
        """Begin a block: `commit` or `rollback` ends it."""
        with self._lock:
            self._settle()
            savepoint = Savepoint()
            for key in self._exposed:
                value = self.items[key]
                savepoint.journal[key] = Before(value, Snapshot(value))
            if self._is_open:
                savepoint.whole = dict(self.items)
            self._savepoints.append(savepoint)

    def commit(self) -> None:
        """End the innermost block. The one around it can still undo it."""
        inner = self._savepoints.pop()
        if self._savepoints:
            self._savepoints[-1].absorb(inner)

    def rollback(self) -> None:
        """Undo and end the innermost block: in place, so that whoever holds a part of it sees it undone."""
        with self._lock:
            undone = self._savepoints.pop()
            self._restore_items(undone)
            for key, before in undone.journal.items():
                if before.snapshot is not None:
                    before.snapshot.restore()
                    self.live[key] = before.item
                    self._exposed.add(key)
                    if self._savepoints:
                        self._savepoints[-1].journal.setdefault(key, before)
                elif not self._is_open:
                    self.live.pop(key, None)
                    self._exposed.discard(key)
            if self._is_open:
                self.open()

    def _restore_items(self, savepoint: Savepoint) -> None:
        journal = savepoint.journal
        if savepoint.whole is not None:
            refill(self.items, savepoint.whole)
        if savepoint.order is not None:
            items = {key: journal[key].item if key in journal else self.items[key] for key in savepoint.order}
            refill(self.items, {key: item for key, item in items.items() if item is not MISSING})
            return
        for key, before in journal.items():
            if before.item is MISSING:
                self.items.pop(key, None)
            else:
                self.items[key] = before.item

    def _settle(self) -> None:
        """Find out which exposed values nobody holds any more: they become dormant, and cost a block nothing."""
        if self._is_open:
            if not is_unshared([self.items], Counter({id(self.items): 1})):
                self._note_unseen()
                return
            self.live = dict(self.items)
        for key in list(self._exposed):
            self.live.pop(key, None)
            place = [self.items.get(key)]
            if type(place[0]) in SCALARS or is_unshared(place, self._held(key)):
                self._exposed.discard(key)
            else:
                self.live[key] = place[0]

    def _held(self, key: Any) -> Counter[int]:
        """The references that open blocks themselves have into the value of a key, by id."""
        held: Counter[int] = Counter()
        for savepoint in self._savepoints:
            before = savepoint.journal.get(key)
            if before is not None:
                held[id(before.item)] += 1
                if before.snapshot is not None:
                    held.update(before.snapshot.references())
        return held

    # The file

    @property
    def changed(self) -> bool:
        """Is there anything here that the file doesn't hold, or the other way round?"""
        with self._lock:
            self._note_unseen()
            return any(self._differs(key) for key in self._loaded) or (
                self._loaded_order is not None and list(self._loaded_keys()) != list(self.items)
            )

    def _differs(self, key: Any) -> bool:
        item, loaded = self.items.get(key, MISSING), self._loaded[key]
        if item is loaded:
            return False
        return item is MISSING or loaded is MISSING or not _holds(loaded, item)

    def members(self) -> codec.Members:
        """Everything as JSON, member by member. Only what was touched is encoded.

        Raises:
            NotStorableError: a value can't be stored; its path says which.
        """
        with self._lock:
            self._note_unseen()
            members = dict(self.items)
            for key, loaded in self._loaded.items():
                if key in members and members[key] is not loaded:
                    members[key] = Raw(codec.encode(members[key], key))
            return members

    def saved(self, members: codec.Members) -> None:
        """The file now holds these members, got from `members()`. What is dormant goes back to being raw."""
        with self._lock:
            touched = [key for key in self._loaded if key in members]
            self._loaded = {key: members[key] for key in touched if key in self._exposed}
            self._loaded_order = None
            for key in touched:
                if key not in self._exposed:
                    self.items[key] = members[key]

    def touched(self) -> codec.Members:
        """What the file holds under the keys that may hold something else here; not those that it lacks."""
        with self._lock:
            self._note_unseen()
            return {key: raw for key, raw in self._loaded.items() if raw is not MISSING}

    def touched_keys(self) -> list[Any]:
        """The keys that may hold something else than the file does."""
        with self._lock:
            self._note_unseen()
            return list(self._loaded)

    def loaded(self) -> codec.Members:
        """The members as they were when the file was last loaded or saved."""
        # What isn't in _loaded is raw
        return {key: cast(Raw, self._loaded.get(key, self.items.get(key))) for key in self._loaded_keys()}

    def reload(self, members: codec.Members) -> None:
        """Take over what the file holds. Objects that are equal to what it holds stay the ones they are."""
        with self._lock:
            self._note_unseen()
            kept = {
                key: self.items[key]
                for key in self._loaded
                if key in members and key in self.items and _holds(members[key], self.items[key])
            }
            items = {**members, **kept}
            was_open = self._is_open
            if was_open:
                refill(self.items, items)
            else:
                self.items = items
            self._loaded = {key: members[key] for key in kept}
            self._loaded_order = None
            self._exposed &= kept.keys()
            self.live = {key: kept[key] for key in self._exposed}
            if was_open:
                self.open()

    def replace(self, members: codec.Members) -> None:
        """Take over these members as an unsaved change."""
        with self._lock:
            base = self.loaded()
            self.reload(base)
            for key in list(self.items):
                if key not in members:
                    self.delete(key)
            for key, raw in members.items():
                if key not in base or not _holds(base[key], raw):
                    self.set(key, codec.decode(raw))
            if list(self.items) != list(members):
                self._note_order()
                refill(self.items, {key: self.items[key] for key in members})

    def _loaded_keys(self) -> Iterator[Any]:
        keys = self.items if self._loaded_order is None else self._loaded_order
        return (key for key in keys if self._loaded.get(key) is not MISSING)

    def _note_unseen(self) -> None:
        """What came in through the dict that was handed out was not noted."""
        if self._is_open:
            for key in self.items:
                self._loaded.setdefault(key, MISSING)
                self._exposed.add(key)
            self._exposed &= self.items.keys()


def _holds(raw: Raw, item: Any) -> bool:
    """Does a JSON text stand for just this object, types and order included?"""
    if type(item) is Raw:
        return bytes(item) == bytes(raw)
    try:
        text = codec.encode(item)
        return text == bytes(raw) or text == codec.canonical(raw)
    except NotStorableError:
        return False
