"""Compares items with what the file holds: finds changes, encodes them, and records that they were saved."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from itertools import compress, islice
from operator import is_, is_not
from typing import Any, NamedTuple

from msgspec import Raw

from .._format import codec
from .._format.types import JSON_SCALARS
from .._yielding import is_beside_loop
from .ahead import ReadingAhead
from .entries import Asleep, Awake, Decoded, Entry
from .items import Base
from .refcounts import is_held
from .resting import AtRest
from .snapshots import comes_back, containers, snapshot
from .undoing import UndoableItems

_AT_ONCE = 256


class Encoded(NamedTuple):
    """All items as JSON.

    Attributes:
        members: the members to write.
        changed: whether they differ from what the file holds.
    """

    members: codec.Members
    changed: bool


class FiledItems(UndoableItems):
    """Items, and what the file holds. Every operation takes time for what was touched, not for the whole file."""

    @property
    def changed(self) -> bool:
        """Whether the items differ from what the file holds."""
        with self.lock:
            self.finish()
            touched = self._touched_values()
            return self._keys_differ() or (bool(touched.keys) and codec.any_change(touched, self.types))

    def _keys_differ(self) -> bool:
        if self.filed_order is None:
            return False  # a new key is in _touched
        return not _same_keys(self.filed_order, list(self.keys))

    def _touched_values(
        self, items: dict[Any, Entry] | None = None, keys: Iterable[Any] | None = None
    ) -> codec.Touched:
        """The values that may have changed, and what the file holds for them.

        Args:
            items: the items; by default, the current ones.
            keys: the touched keys; by default, all of them.
        """
        touched = codec.Touched([], [], [], [])
        if self.data is not None:
            for key, value in list(self.data.items()):
                add(touched, key, value, self.filed.get(key))
            return touched
        items = self.items if items is None else items
        keys, entries = self._touched_entries(items, self._touched() if keys is None else keys)
        values = [entry.kept if type(entry) is Asleep else entry.value for entry in entries]  # type: ignore[union-attr]
        written = [entry.written if type(entry) is Decoded else None for entry in entries]
        return codec.Touched(keys, values, [entry.raw for entry in entries], written)

    def _touched_entries(
        self, items: dict[Any, Entry], touched: Iterable[Any]
    ) -> tuple[list[Any], list[Awake | Asleep]]:
        """The entries that aren't raw, and their keys. Usually all touched keys still have one."""
        keys = list(touched)
        entries: list[Any] = list(map(items.get, keys))
        if {Raw, type(None)}.isdisjoint(map(type, entries)):
            return keys, entries
        there = [at for at, entry in enumerate(entries) if entry is not None and type(entry) is not Raw]
        return [keys[at] for at in there], [entries[at] for at in there]

    def encode(self) -> Encoded:
        """All items as JSON, member by member. Encodes only what was touched.

        Raises:
            NotStorableError: a value can't be stored; the error's path says which.
        """
        with self.lock:
            self.finish()
            # Entries that a signal handler adds from here on are left for the next save
            members: dict[Any, Any] = dict(self.items)
            left, changed = self._encode_at_rest(members)
            touched = self._touched_values(members, left)
            texts = codec.encode_changes(touched, self.types)
            same = list(compress(touched.keys, map(is_, texts, touched.raws)))
            written = zip(touched.keys, touched.values, texts, strict=True)
            codec.verify(compress(written, map(is_not, texts, touched.raws)), self.types)
            members.update(zip(touched.keys, texts, strict=True))
            self._let_go(same, members)
            return Encoded(members, changed or len(same) < len(texts) or self._keys_differ())

    def _encode_at_rest(self, members: dict[Any, Any]) -> tuple[dict[Any, None], bool]:
        """Put values at rest, as far as nobody holds them, and replace them by their texts.

        Args:
            members: a copy of the items.

        Returns:
            The keys of the other touched values, and whether any value at rest has changed.
        """
        at_rest = self._begin_rest(members)
        if at_rest is None:
            return self._touched(), False
        journal = self.savepoints[0].journal if self.savepoints else {}
        touched, changed = list(self._awake), False
        # Another key's __hash__ may run code that reads a value just as its text replaces it
        awake = [key for key in touched if type(key) in JSON_SCALARS]
        at_rest.left += [key for key in touched if type(key) not in JSON_SCALARS]
        for start in range(0, len(awake), _AT_ONCE):
            part = awake[start : start + _AT_ONCE]
            changed |= at_rest.add(part, self.items, journal, self.types)
        return self._quiet | dict.fromkeys(at_rest.left), changed

    def _begin_rest(self, members: codec.Members) -> AtRest | None:
        """Make values unreachable without the lock. `None` if code might reach them nevertheless."""
        if self.data is not None or len(self.savepoints) > 1 or is_beside_loop.get():
            return None
        at_rest = AtRest(members)
        self._at_rest, self.readable = at_rest, {}
        if not is_held([self.items], {id(self.items): 1}):  # by exactly one, which may be this
            self._ahead = ReadingAhead()
        if is_held([self.items], {}):  # by somebody who is reading or iterating
            self._end_rest()
        return None if at_rest.is_over else at_rest

    def _let_go(self, keys: Iterable[Any], texts: codec.Members) -> None:
        """Replace objects by their text if nobody holds them and the text gives the same object again."""
        for key in keys:
            entry, text = self.items.get(key), texts[key]
            if (
                type(entry) is Asleep
                and comes_back(entry.kept, self.types)
                and not any(key in savepoint.journal for savepoint in self.savepoints)
                and self.items[key] is entry  # no signal handler has read it, and none can run before the assignment
            ):
                self.items[key] = text
                self._quiet.pop(key, None)

    def filed_members(self) -> codec.Members:
        """The file's members, in order, as of the last load or save."""
        with self.lock:
            self.finish()
            order = list(self.items) if self.filed_order is None else self.filed_order
            members = {key: self._raw_of(key) for key in order}
            return {key: raw for key, raw in members.items() if raw is not None}

    def touched_keys(self) -> list[Any]:
        """The keys whose values may differ from what the file holds."""
        with self.lock:
            self.finish()
            if self.data is not None:
                return list(dict.fromkeys([*self.filed, *self.data]))
            touched = self._touched()
            return [*filter(touched.__contains__, self.items), *(key for key in self.filed if key not in self.items)]

    def raw(self, key: Any) -> Raw | None:
        """What the file holds for a key."""
        return self._raw_of(key)

    def saved(self, members: codec.Members, base: Base, *, ending: bool) -> None:
        """Record that the file now holds these members from `encode()`. A rollback goes back no further than this.

        Args:
            members: the members that were written.
            base: the new version of the file.
            ending: whether to end the open block. If not, it begins anew.
        """
        with self.lock:
            if self._unfinished is not None:
                self._unfinished()
            self._do(partial(self._saved, members, base, ending))

    def _saved(self, members: codec.Members, base: Base, ending: bool) -> None:
        self._let_go_of_rest(members)
        self._rebase_touched(members)
        if self.data is not None:
            self.filed, self.filed_order = dict(members), list(members)
        elif self.filed_order is not None:
            # Keys may have been removed and put in again during the save
            self.filed = {key: members[key] for key in self.filed if key in members and key not in self.items}
            self.filed_order = list(members)
            if not self.filed and self.filed_order == list(islice(self.items, len(members))):
                self.filed_order = None
        self.base = base
        self._end_block(ending)
        self._end_rest()
        self._unfinished = None

    def _let_go_of_rest(self, members: codec.Members) -> None:
        """Replace the values at rest by their texts, if they are those in the file."""
        at_rest = self._at_rest
        if at_rest is None or at_rest.members is not members:
            return
        # These lists are empty as soon as a signal handler has reached a value
        self.items.update(zip(at_rest.keys, at_rest.texts, strict=False))
        left = dict.fromkeys(at_rest.left)
        self._awake = self._awake if at_rest.is_over else left  # one line, so that a debugger can't step in between

    def _rebase_touched(self, members: codec.Members) -> None:
        keys, entries = self._touched_entries(self.items, self._touched())
        for entry, raw in zip(entries, map(members.get, keys), strict=True):
            entry.rebase(raw)

    def rebase(self, members: codec.Members, base: Base) -> None:
        """Record that the file holds these members, which memory had at an earlier moment. Memory doesn't change.

        Open blocks stay open, and can still be rolled back.

        Args:
            members: the members that were written.
            base: the new version of the file.
        """
        with self.lock:
            self.finish()
            for savepoint in self.savepoints:
                savepoint.prepare_rebase(members)
            for key, entry in list(self.items.items()):
                if type(entry) is Raw and entry != members.get(key):  # let go of while the file seemed to hold it
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
        """Make the current items those that a rollback goes back to."""
        with self.lock:
            self.finish()
            self._end_block(ending=False)

    def _end_block(self, ending: bool) -> None:
        if ending:
            del self.savepoints[-1:]  # none if a signal handler has finished this step meanwhile
        elif self.savepoints:
            self.savepoints[-1].clear()
            self._note_begin(self.savepoints[-1])


def add(touched: codec.Touched, key: Any, value: Any, raw: Raw | None) -> None:
    touched.keys.append(key)
    touched.values.append(value)
    touched.raws.append(raw)
    touched.written.append(None)


def _same_keys(then: list[Any], now: list[Any]) -> bool:
    """Whether these are the same keys in the same order. 1 and True are equal, but not the same."""
    return then == now and all(a is b or repr(a) == repr(b) for a, b in zip(then, now, strict=True))
