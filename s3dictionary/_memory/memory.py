"""`Memory`: a dict's items, with what it takes to undo changes, and to load and save the file."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

from msgspec import Raw

from .._format import codec
from ..errors import NotStorableError
from .ahead import ReadingAhead
from .entries import Asleep, Awake, Entry, object_of, raw_of
from .holding import is_held
from .items import Base, objects_of
from .snapshots import comes_back, containers, detached, refill, snapshot
from .undoing import UndoableItems


class Encoded(NamedTuple):
    """Everything as JSON.

    Attributes:
        members: what is to be written.
        changed: whether that differs from what the file holds.
    """

    members: codec.Members
    changed: bool


class Memory(UndoableItems):
    """A dict's items and its file. All costs are costs of what was touched, not of what the file holds."""

    @property
    def changed(self) -> bool:
        """Is there anything here that the file doesn't hold, or the other way round?"""
        with self.lock:
            self.finish()
            touched = self._touched_values()
            return self._keys_differ() or (bool(touched.keys) and codec.any_change(touched, self.types))

    def _keys_differ(self) -> bool:
        if self.filed_order is None:
            return False  # a new key is in _touched
        return not _same_keys(self.filed_order, list(self.keys))

    def _touched_values(self, items: dict[Any, Entry] | None = None) -> codec.Touched:
        """The values that may differ from what the file holds, and that; of the items as they are, or were."""
        touched = codec.Touched([], [], [])
        if self.data is not None:
            for key, value in list(self.data.items()):
                _add(touched, key, value, self.filed.get(key))
            return touched
        keys, entries = self._touched_entries(self.items if items is None else items)
        values = [entry.kept if type(entry) is Asleep else entry.value for entry in entries]  # type: ignore[union-attr]
        return codec.Touched(keys, values, [entry.raw for entry in entries])

    def _touched_entries(self, items: dict[Any, Entry]) -> tuple[list[Any], list[Awake | Asleep]]:
        """The keys of entries that aren't raw, and these. Mostly all that were touched are still there."""
        keys = list(self._touched())
        entries: list[Any] = list(map(items.get, keys))
        if {Raw, type(None)}.isdisjoint(map(type, entries)):
            return keys, entries
        there = [at for at, entry in enumerate(entries) if entry is not None and type(entry) is not Raw]
        return [keys[at] for at in there], [entries[at] for at in there]

    def encode(self) -> Encoded:
        """Everything as JSON, member by member. Only what was touched is encoded.

        Raises:
            NotStorableError: a value can't be stored; its path says which.
        """
        with self.lock:
            self.finish()
            # Entries that a signal handler adds from here on are left for the next time
            members: dict[Any, Any] = dict(self.items)
            touched = self._touched_values(members)
            texts = codec.encode_changes(touched, self.types)
            encoded = list(zip(touched.keys, touched.raws, texts, strict=True))
            same = [key for key, raw, text in encoded if text is raw]
            codec.verify(((key, text) for key, raw, text in encoded if text is not raw), self.types)
            members.update(zip(touched.keys, texts, strict=True))
            self._let_go(same, members)
            return Encoded(members, len(same) < len(texts) or self._keys_differ())

    def _let_go(self, keys: Iterable[Any], texts: codec.Members) -> None:
        """Keep just the text of objects that nobody holds, and that come back the same."""
        for key in keys:
            entry, text = self.items.get(key), texts[key]
            if (
                type(entry) is Asleep
                and comes_back(entry.kept, self.types)
                and not any(key in savepoint.journal for savepoint in self.savepoints)
                and self.items[key] is entry  # no signal handler has read it; from here on, nothing is called
            ):
                self.items[key] = text
                self._quiet.pop(key, None)

    def filed_members(self) -> codec.Members:
        """The file's members, in order, as they were when it was last loaded or saved."""
        with self.lock:
            self.finish()
            order = list(self.items) if self.filed_order is None else self.filed_order
            members = {key: self._raw_of(key) for key in order}
            return {key: raw for key, raw in members.items() if raw is not None}

    def touched_keys(self) -> list[Any]:
        """The keys that may hold something else than the file does."""
        with self.lock:
            self.finish()
            if self.data is not None:
                return list(dict.fromkeys([*self.filed, *self.data]))
            touched = self._touched()
            return [*filter(touched.__contains__, self.items), *(key for key in self.filed if key not in self.items)]

    def raw(self, key: Any) -> Raw | None:
        """What the file holds under a key."""
        return self._raw_of(key)

    def saved(self, members: codec.Members, base: Base, *, ending: bool) -> None:
        """The file now holds these members, got from `encode()`. That can't be undone any more.

        Args:
            members: what was written.
            base: the version that is.
            ending: end the open block; otherwise it begins anew.
        """
        with self.lock:
            self.finish()
            self._do(partial(self._saved, members, base, ending))

    def _saved(self, members: codec.Members, base: Base, ending: bool) -> None:
        self._rebase_touched(members)
        if self.data is not None:
            self.filed, self.filed_order = dict(members), list(members)
        elif self.filed_order is not None:
            # Keys may have been removed, and put in again, while it was being saved
            self.filed = {key: members[key] for key in self.filed if key in members and key not in self.items}
            self.filed_order = list(members)
            if not self.filed and self.filed_order == list(islice(self.items, len(members))):
                self.filed_order = None
        self.base = base
        self._end_block(ending)
        self._unfinished = None

    def _rebase_touched(self, members: codec.Members) -> None:
        keys, entries = self._touched_entries(self.items)
        for entry, raw in zip(entries, map(members.get, keys), strict=True):
            entry.raw = raw

    def rebase(self, members: codec.Members, base: Base) -> None:
        """The file holds these members, which are those of an earlier moment. What is in memory stays as it is.

        Blocks go on, and can still be undone.

        Args:
            members: what was written.
            base: the version that is.
        """
        with self.lock:
            self.finish()
            for savepoint in self.savepoints:
                savepoint.prepare_rebase(members)
            for key, entry in list(self.items.items()):
                if type(entry) is Raw and entry != members.get(key):  # it is what was there before: a change now
                    awake = Awake(codec.decode(entry, self.types, (key,)), entry)
                    if self.savepoints:
                        self._note_woken(key, entry, awake, snapshot(containers(awake.value, self.types), self.types))
                    self._put(key, awake)
            self._do(partial(self._rebase, members, base))

    def _rebase(self, members: codec.Members, base: Base) -> None:
        self._rebase_touched(members)
        for savepoint in self.savepoints:
            savepoint.rebase(members)
        self.filed, self.filed_order = dict(members), list(members)
        self.base = base
        self._unfinished = None

    def checkpoint(self) -> None:
        """What is in memory can't be undone any more."""
        with self.lock:
            self.finish()
            self._end_block(ending=False)

    def _end_block(self, ending: bool) -> None:
        if self.savepoints and ending:
            self.savepoints.pop()
        elif self.savepoints:
            self.savepoints[-1].clear()
            self._note_begin(self.savepoints[-1])

    def load(self, members: codec.Members, base: Base, values: dict[Any, Any] | None = None) -> None:
        """Take over what the file holds. Objects that are still what it holds stay the ones they are.

        Args:
            members: what the file holds.
            base: the version that is.
            values: objects to hold in place of the members.
        """
        with self.lock:
            self.finish()
            self._take_over(members, base, values)

    def merged(self, ours: codec.Members, merged: codec.Members, base: Base, *, ending: bool) -> list[Any]:
        """The file now holds these members: ours, got from `encode()`, with what others have changed.

        What was changed here since `encode()` stays a change.

        Args:
            ours: what was in memory.
            merged: what was written.
            base: the version that is.
            ending: end the open block; otherwise it begins anew.

        Returns:
            The keys that were changed here since, and by others, too.
        """
        with self.lock:
            self.finish()
            edited = {
                key: value
                for key, value, _ in zip(*self._touched_values(), strict=True)
                if key not in ours or codec.any_change(codec.Touched([key], [value], [ours[key]]), self.types)
            }
            removed = [key for key in self.touched_keys() if key in ours and key not in self.keys]
            self._take_over(merged, base, None, edited, removed, ending)
            return [key for key in (*edited, *removed) if not _is_same(merged.get(key), ours.get(key))]

    def _take_over(
        self,
        members: codec.Members,
        base: Base,
        values: dict[Any, Any] | None = None,
        edited: dict[Any, Any] | None = None,
        removed: Iterable[Any] = (),
        ending: bool = False,
    ) -> None:
        items: dict[Any, Entry] = dict(members)
        if values is None:
            items.update(self._kept(members))
        else:
            items.update({key: Awake(value, members[key]) for key, value in values.items()})
        # Whoever holds the dict that was handed out goes on holding it; if nobody does, it has had its time
        data = objects_of(items, self.types) if self.data is not None and is_held([self.data], {}) else None

        def step() -> None:
            self._load(items, base, data)
            for key, value in (edited or {}).items():
                self._set(key, value)
            for key in removed:
                self._remove(key)
            self._end_block(ending)
            self._unfinished = None

        self._do(step)

    def _kept(self, members: codec.Members) -> dict[Any, Entry]:
        """Entries for the objects that are just what a file holds, and can stay."""
        held = codec.Touched([], [], [])
        for key, value, _ in zip(*self._touched_values(), strict=True):
            if key in members:
                _add(held, key, value, members[key])
        try:
            texts = codec.encode_changes(held, self.types) if held.keys else []
        except NotStorableError:
            return self._kept_one_by_one(held)
        return {key: Awake(value, raw) for key, value, raw, text in zip(*held, texts, strict=True) if text is raw}

    def _kept_one_by_one(self, held: codec.Touched) -> dict[Any, Entry]:
        parts = [held.part(at, at + 1) for at in range(len(held.keys))]
        return {
            part.keys[0]: Awake(part.values[0], part.raws[0])
            for part in parts
            if not codec.any_change(part, self.types)
        }

    def _load(self, items: dict[Any, Entry], base: Base, data: dict[Any, Any] | None) -> None:
        if self.data is not None and data is not None:
            refill(self.data, data)
            self.filed, self.filed_order = {key: raw_of(entry) for key, entry in items.items()}, list(items)
        else:
            self.items, self.data = items, None
            self.filed, self.filed_order = {}, None
        self._ahead = ReadingAhead()  # which may refer to all that was there before
        if self.types.as_read:
            held = {id(raw_of(entry)) for entry in items.values()}
            self.types.as_read = {at: pair for at, pair in self.types.as_read.items() if at in held}
        all_raw = set(map(type, items.values())) <= {Raw}
        kept = {} if all_raw else dict.fromkeys(key for key, entry in items.items() if isinstance(entry, Awake))
        self._quiet, self._awake = {}, kept
        self.base = base

    def load_changes(self, members: codec.Members) -> None:
        """Take over other members, as if each of them had been put in."""
        with self.lock:
            self.finish()
            filed = self.filed_members()
            self.load(filed, self.base)
            same = {key for key in members if key in filed and _is_same(filed[key], members[key])}
            self.replace(
                {
                    key: self.touch(key) if key in same else codec.decode(raw, self.types, (key,))
                    for key, raw in members.items()
                }
            )

    # Others like it

    def copy(self) -> Memory:
        """A shallow copy: it shares the values, so all of them are awake in both."""
        with self.lock:
            self.finish()
            self._wake_all()
            return self._twin(
                {key: Awake(value, self._raw_of(key)) for key, value in objects_of(self._entries(), self.types).items()}
            )

    def deepcopy(self, memo: dict[int, Any]) -> Memory:
        """A copy that shares nothing. What is raw stays raw."""
        with self.lock:
            self.finish()
            return self._twin(
                {
                    key: entry if type(entry) is Raw else Awake(deepcopy(object_of(entry), memo), entry.raw)
                    for key, entry in self._entries().items()
                }
            )

    def _twin(self, items: dict[Any, Entry]) -> Memory:
        return Memory.restored({**self.__getstate__(), "items": items})

    def __getstate__(self) -> dict[str, Any]:
        with self.lock:
            self.finish()
            state = {"items": self._entries(), "filed": dict(self.filed), "filed_order": self.filed_order}
            return state | {"base": self.base}

    @classmethod
    def restored(cls, state: dict[str, Any]) -> Memory:
        """Make one of what `__getstate__` gave."""
        memory = cls()
        memory.__dict__.update(state)
        memory._awake = dict.fromkeys(key for key, entry in memory.items.items() if type(entry) is not Raw)
        return memory

    def check(self) -> None:
        """Assert the invariants, without touching anything."""
        assert self._unfinished is None, "a step was interrupted, and nobody has finished it"
        if self.data is not None:
            assert not self.items
            assert self.filed_order is not None
            assert not self.savepoints or self.savepoints[-1].order is not None
        for key, entry in self.items.items():
            self._check_entry(key, entry)
        for key, raw in self.filed.items():
            assert key in self.items or raw is None or self.filed_order is not None, f"{key!r}: its place is forgotten"
        if self.filed_order is not None:
            assert {key for key in self.items if raw_of(self.items[key]) is not None} <= set(self.filed_order)

    def _check_entry(self, key: Any, entry: Entry) -> None:
        assert isinstance(entry, (Raw, Awake, Asleep))
        if type(entry) is Raw:
            return
        assert key in self._touched(), f"{key!r} has changed, and would not be saved"
        if self._is_awake(key):
            assert key in self._awake, f"{key!r} can change, and a block would not undo it"
            if self.savepoints:
                assert key in self.savepoints[-1].journal, f"{key!r} can change, and the open block would not undo it"

    def detached(self) -> dict[Any, Any]:
        """A plain dict of everything, that shares no container with this one."""
        with self.lock:
            self.finish()
            return {
                key: codec.decode_leniently(entry, self.types)
                if type(entry) is Raw
                else detached(object_of(entry), self.types)
                for key, entry in self._entries().items()
            }


def _add(touched: codec.Touched, key: Any, value: Any, raw: Raw | None) -> None:
    touched.keys.append(key)
    touched.values.append(value)
    touched.raws.append(raw)


def _same_keys(then: list[Any], now: list[Any]) -> bool:
    """The same keys in the same order; 1 and True are equal, but not the same."""
    return then == now and all(a is b or repr(a) == repr(b) for a, b in zip(then, now, strict=True))


def _is_same(one: Raw | None, other: Raw | None) -> bool:
    """Do two texts stand for the same value, types and order included? Other programs space and escape differently."""
    return one == other or (one is not None and other is not None and codec.canonical(one) == codec.canonical(other))
