"""The items of a dict, raw until touched, and what the file holds for them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import compress, islice, repeat
from typing import Any

from msgspec import Raw

from .._collector import collector_paused
from .._format import codec
from .._format.types import BUILT_IN, SCALARS, Types
from .ahead import ReadingAhead, unread
from .entries import MISSING, Asleep, Awake, Decoded, Entry, object_of, raw_of
from .lock import MemoryLock
from .resting import AtRest
from .savepoint import Savepoint
from .snapshots import Snapshot, chained, containers, fresh_containers, inner_containers_of_each, refill, snapshot

Base = Any
"""A version of the file. Only the caller knows its type."""


class Items:
    """The items of a dict, and what the file holds for them. Operations take time only for what was touched.

    All methods that change something hold the lock, or expect their caller to. Reading an awake value needs no lock.

    A step first notes what it is going to change, and then publishes the change by one assignment. So an exception at
    any point leaves the state from before or after the step. A step that needs several assignments (`_do`) is kept
    until it is finished. Such a step can be repeated, and the next step finishes an interrupted one.

    Attributes:
        types: the table of types.
        lock: held only for moments, never during a request.
        items: an entry for each key, in order; empty while `data` is handed out.
        readable: the same dict, for reads without the lock; empty while values are at rest.
        data: the dict that was handed out, whose holder can change it at any time. It replaces `items` until a block or
            a load finds that nobody holds it any more.
        filed: what the file holds for keys that have no entry. For the others see `raw_of(entry)`.
        filed_order: the file's keys in order, noted before the first key was removed. If `None`, the order is that of
            the keys in `items` that are in the file.
        base: the version of the file that all of this refers to.
        savepoints: the savepoints of the open blocks, the outermost first.

    Invariants, which `check` asserts:
        - The key of an awake value that isn't a scalar is in `_awake`. The key of any other entry that isn't raw is in
          `_quiet` or `_awake`. Both may have more keys.
        - A block's savepoint has the contents of every value that was awake when the block began, and every entry that
          was replaced or removed since.
        - A key of the file that has no entry is in `filed`, and `filed_order` is noted.
        - While `data` is handed out, no key has an entry, and the innermost savepoint has noted all keys in order.
    """

    def __init__(self) -> None:
        self.types: Types = BUILT_IN
        self.lock = MemoryLock()
        self.items: dict[Any, Entry] = {}
        self.readable = self.items
        self.data: dict[Any, Any] | None = None
        self.filed: dict[Any, Raw | None] = {}
        self.filed_order: list[Any] | None = None
        self.base: Base = None
        self.savepoints: list[Savepoint] = []
        self._quiet: dict[Any, None] = {}
        self._awake: dict[Any, None] = {}
        self._ahead = ReadingAhead()
        self._unfinished: Callable[[], None] | None = None
        self._at_rest: AtRest | None = None

    def _do(self, step: Callable[[], None]) -> None:
        """Do a step that takes several assignments. The step must end with `self._unfinished = None`."""
        self._unfinished = step
        step()

    def finish(self) -> None:
        """Finish an interrupted step. Values are no longer at rest, because the caller may reach them."""
        if self._unfinished is not None:
            self._unfinished()
        self._end_rest()

    def _end_rest(self) -> None:
        if self._at_rest is not None:
            self._at_rest.end()
            self.readable, self._at_rest = self.items, None

    # Reading

    @property
    def keys(self) -> dict[Any, Any]:
        """A dict with the keys, in order."""
        if self._unfinished is not None:
            with self.lock:
                self.finish()
        return self.items if self.data is None else self.data

    def touch(self, key: Any) -> Any:
        """A key's value, decoded or woken if necessary. Two threads that touch a raw value at once get the same object.

        Raises:
            KeyError: the key is absent.
        """
        with self.lock:
            self.finish()
            if self.data is not None:
                return self.data[key]
            entry = self.items[key]
            return entry.value if isinstance(entry, Awake) else self._wake(key, entry)

    def _wake(self, key: Any, entry: Raw | Asleep) -> Any:
        """Wake an entry, and note what its object holds before anybody can change it."""
        if type(entry) is not Asleep:
            return self._decode(key, entry)  # type: ignore[arg-type]  # it is raw
        awake = Awake(entry.kept, entry.raw)
        if self.savepoints:
            # `found` is still empty if a signal handler reads the entry while it falls asleep
            found = entry.found or containers(entry.kept, self.types)
            self._note_woken(key, entry, awake, snapshot(found, self.types))
        self._put(key, awake)
        return awake.value

    def _note_woken(self, key: Any, entry: Entry, awake: Awake, taken: Snapshot | None) -> None:
        """Note a value that can be changed from now on, in each block that began before any change of it."""
        for savepoint in self.savepoints:
            if savepoint.journal.get(key) is entry:
                savepoint.note_woken(key, awake, taken)
        if key not in self.savepoints[-1].journal:
            self.savepoints[-1].note_woken(key, awake, taken)

    def _decode(self, key: Any, raw: Raw) -> Any:
        noted = self._noted(key, raw)
        if noted is None and self.types.given and codec.is_tagged(raw):
            return self._decode_given(key, raw)
        awake = noted or Decoded(codec.decode(raw, self.types, (key,)), raw)
        value = awake.value
        if type(value) in self.types.scalars:
            self._quiet[key] = None
        else:
            if self.savepoints:
                awake.inner = awake.inner or chained(fresh_containers(value))
                self._note_woken(key, raw, awake, None)
            self._awake[key] = None
        if key not in self.items or self.items[key] is not raw:  # a signal handler removed or read it meanwhile
            return self.touch(key) if key in self.items else value
        self.items[key] = awake
        following = self._ahead.following(key, self.items)
        if following:
            with collector_paused():  # these objects stay
                self._decode_ahead(following)
        return value

    def _noted(self, key: Any, raw: Raw) -> Decoded | None:
        """The entry that an open block noted before an interrupt kept it from being read."""
        for savepoint in self.savepoints:
            noted = savepoint.journal.get(key)
            if type(noted) is Decoded and noted.raw is raw:
                return noted
        return None

    def _decode_ahead(self, keys: list[Any]) -> None:
        """Decode values that are likely to be touched next, all at once. Skips those that a block has noted."""
        savepoints, items = self.savepoints, self.items
        keys, raws = self._raw_and_not_noted(keys)
        fresh = codec.decode_together(raws)
        if fresh is None:
            return
        inner = inner_containers_of_each(fresh.values, fresh.text) if savepoints else repeat(None)
        awake = list(map(Decoded, fresh.values, raws, inner, fresh.written))
        columns: tuple[list[Any], ...] = keys, awake, raws
        containers = columns
        if not SCALARS.isdisjoint(map(type, fresh.values)):
            are_containers = [type(value) not in SCALARS for value in fresh.values]
            containers = tuple(list(compress(column, are_containers)) for column in columns)
            self._quiet.update(zip(keys, repeat(None)))
        if savepoints:
            savepoints[-1].journal.update(unread(items, *containers))
        self._awake.update(zip(containers[0], repeat(None)))
        items.update(unread(items, *columns))

    def _raw_and_not_noted(self, keys: list[Any]) -> tuple[list[Any], list[Raw]]:
        """Those of the keys whose entries are raw, and that no block has noted; and their entries."""
        entries: list[Any] = list(map(self.items.get, keys))
        journals = [savepoint.journal for savepoint in self.savepoints]
        if set(map(type, entries)) == {Raw} and all(journal.keys().isdisjoint(keys) for journal in journals):
            return keys, entries
        are_new = [
            type(entry) is Raw and not any(key in journal for journal in journals)
            for key, entry in zip(keys, entries, strict=True)
        ]
        return list(compress(keys, are_new)), list(compress(entries, are_new))

    def _decode_given(self, key: Any, raw: Raw) -> Any:
        """Decode a value that may hold instances. A class needn't make equal instances of the same text."""
        value = codec.decode(raw, self.types, (key,))
        codec.remember(raw, value, self.types)
        awake = Awake(value, raw)
        if self.savepoints:
            self._note_woken(key, raw, awake, snapshot(containers(value, self.types), self.types))
        self._put(key, awake)
        return value

    def _put(self, key: Any, entry: Awake) -> None:
        (self._quiet if type(entry.value) in self.types.scalars else self._awake)[key] = None
        self.items[key] = entry

    def objects(self) -> dict[Any, Any]:
        """A plain dict of all values. Wakes all of them."""
        with self.lock:
            self.finish()
            self._wake_all()
            return objects_of(self._entries(), self.types)

    def _entries(self) -> dict[Any, Entry]:
        if self.data is None:
            return dict(self.items)
        return {key: Awake(value, self.filed.get(key)) for key, value in list(self.data.items())}

    def _touched(self) -> dict[Any, None]:
        """The keys of all entries that aren't raw, in the order in which they were touched. May have more keys."""
        return self._quiet | self._awake

    def first(self, count: int) -> list[tuple[Any, Any]]:
        """The first items, some still raw. Changes nothing, so the caller mustn't hand out the values."""
        with self.lock:
            if self.data is not None:
                return list(islice(self.data.items(), count))
            return [
                (key, entry if type(entry) is Raw else object_of(entry))
                for key, entry in list(islice(self.items.items(), count))
            ]

    def hand_out(self) -> dict[Any, Any]:
        """Hand out a dict with all items. Its holder can change it at any time, and so changes the items."""
        with self.lock:
            self.finish()
            if self.data is None:
                self._wake_all()
                self._do(partial(self._hand_out, self.items))
            return self.keys

    def _wake_all(self) -> None:
        for key, entry in list(self.items.items()):
            if not isinstance(entry, Awake):
                self._wake(key, entry)

    def _hand_out(self, items: dict[Any, Entry]) -> None:
        if self.data is None:
            if self.savepoints:
                self._note_all(self.savepoints[-1], items)
            self._note_filed_order()
            self._ahead = ReadingAhead()  # the old one may refer to all the items
            self.filed = self.filed | {key: raw_of(entry) for key, entry in items.items()}
            self.items = self.readable = {}  # from here on, nobody writes to an entry without the lock
            self.data = objects_of(items, self.types)
        self.items = self.readable = {}
        self._unfinished = None

    def _note_all(self, savepoint: Savepoint, items: dict[Any, Entry]) -> None:
        savepoint.note_order(items)
        for key, entry in items.items():
            savepoint.note(key, entry)

    # Changing. The caller holds the lock

    def put(self, key: Any, value: Any) -> None:
        self.finish()
        self._set(key, value)

    def _set(self, key: Any, value: Any) -> None:
        if self.data is not None:
            self.data[key] = value
            return
        entry = self.items.get(key, MISSING)
        if self.savepoints:
            self.savepoints[-1].note(key, entry)
        elif type(entry) is Awake:
            if type(value) not in self.types.scalars:
                self._awake[key] = None
            entry.value = value
            return
        raw = self.filed.get(key) if entry is MISSING else raw_of(entry)
        self._put(key, Awake(value, raw))

    def delete(self, key: Any) -> None:
        """Remove a key that is present."""
        self.finish()
        self._remove(key)

    def _remove(self, key: Any) -> None:
        if self.data is None and key in self.items:
            self._note_removal([key])
        self.keys.pop(key, None)

    def clear(self) -> None:
        self.finish()
        if self.data is None:
            self._note_removal(list(self.items))
        self.keys.clear()

    def replace(self, items: dict[Any, Any]) -> None:
        """Replace all items by others, in their order."""
        self.finish()
        if self.data is not None:
            self._do(partial(self._refill, items))
            return
        self._note_removal(list(self.items))
        if self.savepoints:
            for key in items:
                self.savepoints[-1].note(key, self.items.get(key, MISSING))
        self._awake.update(dict.fromkeys(items))
        self._ahead = ReadingAhead()
        self.items = self.readable = {key: Awake(value, self._raw_of(key)) for key, value in items.items()}

    def _refill(self, items: dict[Any, Any]) -> None:
        assert self.data is not None
        refill(self.data, items)
        self._unfinished = None

    def _raw_of(self, key: Any) -> Raw | None:
        """What the file holds for a key."""
        return raw_of(self.items[key]) if key in self.items else self.filed.get(key)

    def _note_removal(self, keys: list[Any]) -> None:
        """Note the entries of keys that are about to be removed, and the order of all keys."""
        self._note_filed_order()
        for key in keys:
            entry = self.items[key]
            self.filed[key] = raw_of(entry)
            if self.savepoints:
                self.savepoints[-1].note(key, entry)
        if self.savepoints:
            self.savepoints[-1].note_order(self.items)

    def _note_filed_order(self) -> None:
        if self.filed_order is None:
            new = {key for key in self._touched() if key in self.items and raw_of(self.items[key]) is None}
            self.filed_order = [key for key in self.items if key not in new] if new else list(self.items)


def objects_of(items: dict[Any, Any], types: Types) -> dict[Any, Any]:
    """The objects of entries; raw ones are decoded."""
    return {
        key: codec.decode(entry, types, (key,)) if type(entry) is Raw else object_of(entry)
        for key, entry in items.items()
    }
