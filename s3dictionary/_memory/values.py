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
from collections.abc import Collection, Iterator, Mapping
from copy import deepcopy
from enum import Enum
from itertools import islice
from typing import Any, Final, cast

from msgspec import Raw

from .._format import codec
from ..errors import NotStorableError
from .snapshots import (
    SCALARS,
    Snapshot,
    containers,
    detached,
    is_built_in,
    is_unshared,
    references,
    refill,
    restore,
    snapshot,
)


class Missing(Enum):
    """The type of `MISSING`."""

    MISSING = "MISSING"

    def __repr__(self) -> str:
        return self.name


MISSING: Final = Missing.MISSING
"""Stands for a key that isn't there."""


class Savepoint:
    """What a block needs to be undone.

    Attributes:
        journal: what each key that the block touched held before.
        snapshots: what was in it, if it was exposed.
        whole: the items at the block's begin, once the journal can't tell: it knows nothing of the order of keys, nor
            of changes in a dict that was handed out. From then on only the snapshots count.
    """

    __slots__ = ("journal", "snapshots", "whole")

    def __init__(self) -> None:
        self.journal: dict[Any, Any] = {}
        self.snapshots: dict[Any, Snapshot] = {}
        self.whole: dict[Any, Any] | None = None

    def note(self, key: Any, item: Any, taken: Snapshot | None) -> None:
        """Write down what a key held at the block's begin, unless that is known, or the item came in later, unseen."""
        if key not in self.journal and (self.whole is None or self.whole.get(key, MISSING) is item):
            self.journal[key] = item
            if taken is not None:
                self.snapshots[key] = taken

    def knows(self, key: Any) -> bool:
        """Could undoing the block write what the key holds?"""
        return self.whole is not None or key in self.journal

    def keep_whole(self, items: dict[Any, Any]) -> None:
        """Take over the items as they are now, and turn them back into those at the block's begin."""
        if self.whole is None:
            self.restore(items)
            self.whole = items

    def restore(self, items: dict[Any, Any]) -> None:
        """Turn items back into those at the block's begin, in place; by the journal, so none may have been removed."""
        for key, item in self.journal.items():
            if item is MISSING:
                items.pop(key, None)
            else:
                items[key] = item

    def decoded(self, key: Any, raw: Raw, item: Any) -> None:
        """The object is now what the key holds, so it is also what it held at the block's begin."""
        if self.whole is not None and self.whole.get(key) is raw:
            self.whole[key] = item

    def absorb(self, inner: Savepoint) -> None:
        """Take over what an inner block knows of the time before this block touched it."""
        if inner.whole is not None:
            self.keep_whole(inner.whole)
        for key, item in inner.journal.items():
            self.note(key, item, inner.snapshots.get(key))


class Values:
    """The items of a dict, what the file holds in their place, and the open blocks' savepoints.

    Attributes:
        items: every item, raw ones included, in order. Of what is exposed, `live` may have a newer one.
        live: the values that may be read without further ado, all that are exposed among them.
        overwritable: the keys whose values in `live` may be replaced without a lock: it is all noted already, and no
            block is open. Whatever ends that state puts another dict in the place of `live`, and only then takes the
            values out of the old one, so what came too late is still in there.
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
        self._guarded = False
        self._allow_overwriting()

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
                self._exposed.add(key)
                if self._savepoints and key not in self._savepoints[-1].journal:
                    self._savepoints[-1].note(key, value, snapshot(value))
            self.live[key] = value
            return value

    def guard(self, guarded: bool) -> None:
        """Let every update come by the other methods, also one that could overwrite."""
        self._guarded = guarded
        self._allow_overwriting()

    def _allow_overwriting(self) -> None:
        may = not (self._savepoints or self._guarded or self._is_open)
        self.overwritable: Collection[Any] = self._exposed if may else ()

    # Another thread may touch what is being written, so this takes the lock too

    def set(self, key: Any, value: Any) -> None:
        with self._lock:
            self._note(key)
            self.items[key] = value
            self.live[key] = value

    def delete(self, key: Any) -> None:
        """Remove an item that is there."""
        with self._lock:
            self._note(key)
            self._note_removal()
            del self.items[key]
            self.live.pop(key, None)
            self._exposed.discard(key)

    def clear(self) -> None:
        with self._lock:
            for key in self.items:
                self._note(key)
            self._note_removal()
            self.items.clear()
            self.live.clear()
            self._exposed.clear()

    def decoded(self) -> dict[Any, Any]:
        """All items as objects, to be looked at but not handed out."""
        with self._lock:
            self._note_unseen()
            for key in self.items:
                self._wake(key)
            return self.items

    def first(self, count: int) -> list[tuple[Any, Any]]:
        """The first items as they are, some still raw: to be looked at but not handed out. Changes nothing."""
        with self._lock:
            return [(key, self.live.get(key, item)) for key, item in list(islice(self.items.items(), count))]

    def open(self) -> dict[Any, Any]:
        """Hand out the dict itself. Whoever holds it can change it any time, so from now on everything is live."""
        with self._lock:
            if not self._is_open:
                for key in self.items:
                    self.touch(key)
                self._note_order()
                live, self.live = self.live, {}
                self.items.update(live)
                if self._savepoints:
                    self._savepoints[-1].keep_whole(dict(self.items))
                self.live = self.items
                self._allow_overwriting()
            return self.items

    @property
    def _is_open(self) -> bool:
        return self.live is self.items

    def _wake(self, key: Any) -> Any:
        """The item as an object; a raw one is decoded."""
        item = self.items[key]
        if type(item) is Raw and self._loaded.get(key, item) is item:
            raw = self._loaded[key] = item
            item = self.items[key] = codec.decode(raw)
            for savepoint in self._savepoints:
                savepoint.decoded(key, raw, item)
        return item

    def _note(self, key: Any) -> None:
        """Before a write: write down what the key holds, unless it is exposed, and so has been written down."""
        if key in self._exposed:
            return
        item = self.items.get(key, MISSING)
        self._loaded.setdefault(key, item if type(item) is Raw else MISSING)
        if self._savepoints:
            self._savepoints[-1].note(key, item, None)
        self._exposed.add(key)

    def _note_order(self) -> None:
        if self._loaded_order is None:
            self._loaded_order = list(self.items)

    def _note_removal(self) -> None:
        """Before keys are removed: write down all of them, in order."""
        self._note_order()
        if self._savepoints and self._savepoints[-1].whole is None:
            # The dict itself is kept and a copy goes on, so that whoever iterates over it can if the block is undone
            self.items, items = dict(self.items), self.items
            self._savepoints[-1].keep_whole(items)

    def detached(self) -> dict[Any, Any]:
        """A plain dict of everything, that shares no container with this one."""
        with self._lock:
            return {key: detached(item) for key, item in self.decoded().items()}

    def copy(self) -> Values:
        """A shallow copy: it shares the values, so all of them are exposed."""
        with self._lock:
            for key in self.items:
                self.touch(key)
            self._note_unseen()
            return self._twin(dict(self.items))

    def deepcopy(self, memo: dict[int, Any]) -> Values:
        """A copy that shares nothing. What is raw stays raw."""
        with self._lock:
            self._note_unseen()
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
        self._exposed.update(self.live)

    # Blocks

    def begin(self) -> None:
        """Begin a block: `commit` or `rollback` ends it."""
        with self._lock:
            self.overwritable = ()
            self._settle()
            savepoint = Savepoint()
            if self._is_open:
                savepoint.whole = dict(self.items)
            for key in self._exposed:
                value = savepoint.journal[key] = self.items[key]
                savepoint.snapshots[key] = snapshot(value)
            self._savepoints.append(savepoint)

    def commit(self) -> None:
        """End the innermost block. The one around it can still undo it."""
        with self._lock:
            inner = self._savepoints.pop()
            if self._savepoints:
                self._savepoints[-1].absorb(inner)
            self._allow_overwriting()

    def rollback_all(self) -> None:
        """Undo and end every block."""
        while self._savepoints:
            self.rollback()

    def rollback(self) -> None:
        """Undo and end the innermost block: in place, so that whoever holds a part of it sees it undone."""
        with self._lock:
            undone = self._savepoints.pop()
            was_open = self._is_open
            self._restore_items(undone)
            for key, item in undone.journal.items():
                taken = undone.snapshots.get(key)
                if taken is None:
                    self.live.pop(key, None)
                    self._exposed.discard(key)
                else:
                    restore(taken)
                    self.live[key] = item
                    self._exposed.add(key)
                    if self._savepoints:
                        self._savepoints[-1].note(key, item, taken)
            if was_open:
                self.open()
            self._allow_overwriting()

    def _restore_items(self, undone: Savepoint) -> None:
        if undone.whole is None:
            undone.restore(self.items)
            return
        if self._is_open:
            refill(self.items, undone.whole)
        else:
            self.items = undone.whole
        self.live = {}
        self._exposed.clear()

    def _settle(self) -> None:
        """Find out which exposed values nobody holds any more: they become dormant, and cost a block nothing."""
        if self._is_open and not self._close():
            return
        live, self.live = self.live, {}
        for key in list(self._exposed):
            self.items[key] = live.pop(key)
            found = containers(self.items[key])
            if not found or is_unshared(found, self._held(key)):
                self._exposed.discard(key)
            else:
                self.live[key] = self.items[key]

    def _close(self) -> bool:
        """Find out whether nobody holds the dict itself any more."""
        self._note_unseen()
        self.live = {}  # another thread that reads now comes by `touch`, and waits
        unshared = is_unshared([self.items], {})
        self.live = dict(self.items) if unshared else self.items
        return unshared

    def _held(self, key: Any) -> Mapping[int, int]:
        """The references that open blocks themselves have into the value of a key, by id."""
        if not self._savepoints:
            return {}
        held: Counter[int] = Counter()
        for savepoint in self._savepoints:
            if key in savepoint.journal:
                held[id(savepoint.journal[key])] += 1
                held.update(references(savepoint.snapshots.get(key, ())))
            if savepoint.whole is not None and key in savepoint.whole:
                held[id(savepoint.whole[key])] += 1
        return held

    # Forks

    def before_fork(self) -> bool:
        """Keep other threads from changing anything; False if they don't come to an end with what they are at."""
        return self._lock.acquire(timeout=1)

    def after_fork(self) -> None:
        """Let them go on."""
        self._lock.release()

    def after_fork_in_child(self) -> None:
        self._lock = threading.RLock()

    # The file

    @property
    def changed(self) -> bool:
        """Is there anything here that the file doesn't hold, or the other way round?"""
        with self._lock:
            self._note_unseen()
            return any(self._differs(key) for key in list(self._loaded)) or (
                self._loaded_order is not None and not _same_keys(list(self._loaded_keys()), list(self.items))
            )

    def _differs(self, key: Any) -> bool:
        item, loaded = self.items.get(key, MISSING), self._loaded[key]
        if item is loaded:
            return False
        if item is MISSING or loaded is MISSING or not _holds(loaded, item):
            return True
        if not any(point.knows(key) for point in self._savepoints):
            self._make_raw(key, loaded)  # so that it isn't compared each time
        return False

    def _make_raw(self, key: Any, raw: Raw) -> None:
        """Let go of what a key holds, if nobody can see that: the file has it, and it comes back the same."""
        if key not in self._exposed and is_built_in(self.items[key]):
            self.items[key] = raw
            self.live.pop(key, None)
            del self._loaded[key]

    def members(self) -> codec.Members:
        """Everything as JSON, member by member. Only what was touched is encoded.

        Raises:
            NotStorableError: a value can't be stored; its path says which.
        """
        with self._lock:
            self._note_unseen()
            members = dict(self.items)
            touched = {key: item for key, raw in self._loaded.items() if (item := members.get(key, raw)) is not raw}
            members.update(codec.encode_all(touched))
            return members

    def saved(self, members: codec.Members) -> None:
        """The file now holds these members, got from `members()`. What is dormant goes back to being raw."""
        with self._lock:
            # What has changed since `members()` stays a change
            self._loaded = {
                key: members.get(key, MISSING) for key in self._loaded if key in members or key in self.items
            }
            has_moved_on = len(members) != len(self.items) or list(members) != list(self.items)
            self._loaded_order = list(members) if self._is_open or has_moved_on else None
            for key in list(self._loaded):
                if key in members and key in self.items and _holds(members[key], self.items[key]):
                    self._make_raw(key, members[key])

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
                if key in members
                and type(self.items.get(key, MISSING)) not in (Raw, Missing)
                and _holds(members[key], self.items[key])
            }
            items = {**members, **kept}
            was_open = self._is_open
            if was_open:
                refill(self.items, items)
            else:
                self.items = items
            self._loaded = {key: members[key] for key in kept}
            self._loaded_order = None
            self._exposed.intersection_update(kept)
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
                self._note_removal()
                refill(self.items, {key: self.items[key] for key in members})

    def _loaded_keys(self) -> Iterator[Any]:
        keys = self.items if self._loaded_order is None else self._loaded_order
        return (key for key in keys if self._loaded.get(key) is not MISSING)

    def _note_unseen(self) -> None:
        """Take note of what came in unnoted: into `live`, or through the dict that was handed out."""
        if not self._is_open:
            self.items.update(self.live)
        else:
            for key in self.items:
                self._loaded.setdefault(key, MISSING)
                self._exposed.add(key)
            self._exposed.intersection_update(self.items)


def _same_keys(then: list[Any], now: list[Any]) -> bool:
    """The same keys in the same order; 1 and True are equal, but not the same."""
    return then == now and all(a is b or repr(a) == repr(b) for a, b in zip(then, now, strict=True))


def _holds(raw: Raw, item: Any) -> bool:
    """Does a JSON text stand for just this object, types and order included?"""
    if type(item) is Raw:
        return bytes(item) == bytes(raw)
    try:
        text = codec.encode(item)
        return text == bytes(raw) or text == codec.canonical(raw)
    except NotStorableError:
        return False
