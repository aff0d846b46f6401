"""`Memory`: the items of a dict, raw until they are touched; what the file holds; and the savepoints of open blocks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from copy import deepcopy
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

from msgspec import Raw

from .._format import codec
from .._format.types import SCALARS
from ..errors import NotStorableError
from .entries import MISSING, Asleep, Awake, Decoded, Entry, object_of, raw_of, references
from .holding import add_references, is_held, is_in_use
from .savepoint import Savepoint
from .snapshots import containers, detached, fresh_containers, is_built_in, refill

Base = Any
"""Which version of the file something is: known to the caller alone."""


class Encoded(NamedTuple):
    """Everything as JSON.

    Attributes:
        members: what is to be written.
        changed: whether that differs from what the file holds.
    """

    members: codec.Members
    changed: bool


class Memory:
    """The items of a dict and what the file holds in their place. All costs are costs of what was touched.

    All methods that change something hold the lock, or expect their caller to. Reading an awake value needs none.

    A step first notes what it is going to change, and then publishes by one assignment; so an exception at any point
    leaves the state before or after it. A step that can't be published at once (`_do`) is kept until it is finished:
    doing it again comes to the same, and the next step finishes what was interrupted.

    Attributes:
        lock: held for moments only, never during a request.
        items: an entry for each key, in order; none while `data` is handed out.
        data: the dict that was handed out, whose holder can change it any time. From then on it is what counts, until
            a block or a load finds that nobody holds it any more.
        filed: what the file holds under keys that have no entry. (Under the others: `raw_of(entry)`.)
        filed_order: the file's keys in order, noted before the first key was removed. `None`: those of `items` that
            are in the file, in their order.
        base: the version of the file that all this refers to.
        savepoints: those of the open blocks, the outermost one first.

    Invariants, which `check` asserts:
        - The key of an awake value that isn't a scalar is in `_awake`, that of any other entry that isn't raw in one of
          `_quiet` and `_awake`. (There may be more in both.)
        - What a key that is awake at the begin of a block held is in the block's savepoint; so is each entry that was
          replaced or removed since.
        - A key of the file that has no entry is in `filed`, and `filed_order` is noted.
        - While `data` is handed out, no key has an entry, and the innermost savepoint has noted all keys in order.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.items: dict[Any, Entry] = {}
        self.data: dict[Any, Any] | None = None
        self.filed: dict[Any, Raw | None] = {}
        self.filed_order: list[Any] | None = None
        self.base: Base = None
        self.savepoints: list[Savepoint] = []
        self._quiet: set[Any] = set()
        self._awake: set[Any] = set()
        self._unfinished: Callable[[], None] | None = None

    def _do(self, step: Callable[[], None]) -> None:
        """Do a step that takes several assignments. The last thing it does is `self._unfinished = None`."""
        self._unfinished = step
        step()

    def finish(self) -> None:
        """Finish a step that was interrupted."""
        if self._unfinished is not None:
            self._unfinished()

    # Reading

    @property
    def keys(self) -> dict[Any, Any]:
        """A dict with the keys, in order."""
        if self._unfinished is not None:
            with self.lock:  # a rollback puts keys back, which are gone for a moment
                self.finish()
        return self.items if self.data is None else self.data

    def touch(self, key: Any) -> Any:
        """Give a value, whatever its entry. Two threads that touch a raw one at once get the same object.

        Raises:
            KeyError: it isn't there.
        """
        with self.lock:
            if self._unfinished is not None:
                self._unfinished()
            if self.data is not None:
                return self.data[key]
            entry = self.items[key]
            return entry.value if isinstance(entry, Awake) else self._wake(key, entry)

    def _wake(self, key: Any, entry: Raw | Asleep) -> Any:
        """Make an entry's object readable, and note what it holds before anybody can change it."""
        if type(entry) is Asleep:
            awake = Awake(entry.kept, entry.raw)
            if self.savepoints:
                self.savepoints[-1].note_copy(key, awake)
        else:
            value = codec.decode(entry)  # type: ignore[arg-type]  # it is raw
            if not self.savepoints or type(value) in SCALARS:
                awake = Decoded(value, entry)  # type: ignore[arg-type]
            else:
                awake = Decoded(value, entry, fresh_containers(value))  # type: ignore[arg-type]
                self.savepoints[-1].note(key, awake)
        self._put(key, awake)
        return awake.value

    def _put(self, key: Any, entry: Awake) -> None:
        (self._quiet if type(entry.value) in SCALARS else self._awake).add(key)
        self.items[key] = entry

    def objects(self) -> dict[Any, Any]:
        """A plain dict of everything, all of it awake."""
        with self.lock:
            self.finish()
            self._wake_all()
            return _objects(self._entries())

    def first(self, count: int) -> list[tuple[Any, Any]]:
        """The first items as they are, some still raw: to be looked at, not to be handed out. Changes nothing."""
        with self.lock:
            if self.data is not None:
                return list(islice(self.data.items(), count))
            return [
                (key, entry if type(entry) is Raw else object_of(entry))
                for key, entry in list(islice(self.items.items(), count))
            ]

    def hand_out(self) -> dict[Any, Any]:
        """Hand out a dict with everything in it. Whoever holds it can change it any time, and so changes this."""
        with self.lock:
            self.finish()
            if self.data is None:
                self._wake_all()
                self._do(self._hand_out)
            return self.keys

    def _wake_all(self) -> None:
        for key, entry in list(self.items.items()):
            if not isinstance(entry, Awake):
                self._wake(key, entry)

    def _hand_out(self) -> None:
        if self.data is None:
            self._wake_all()
            if self.savepoints:
                self._note_all(self.savepoints[-1])
            self._note_filed_order()
            self.filed = self.filed | {key: raw_of(entry) for key, entry in self.items.items()}
            self.data = _objects(self.items)
        self.items = {}
        self._unfinished = None

    def _note_all(self, savepoint: Savepoint) -> None:
        savepoint.note_order(self.items)
        for key, entry in self.items.items():
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
            if type(value) not in SCALARS:
                self._awake.add(key)
            entry.value = value
            return
        raw = self.filed.get(key) if entry is MISSING else raw_of(entry)
        self._put(key, Awake(value, raw))

    def delete(self, key: Any) -> None:
        """Remove a key that is there."""
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
        """Take over other items, in their order."""
        self.finish()
        if self.data is not None:
            self._do(partial(self._refill, items))
            return
        self._note_removal(list(self.items))
        if self.savepoints:
            for key in items:
                self.savepoints[-1].note(key, self.items.get(key, MISSING))
        self._awake.update(items)
        self.items = {key: Awake(value, self._raw_of(key)) for key, value in items.items()}

    def _refill(self, items: dict[Any, Any]) -> None:
        assert self.data is not None
        refill(self.data, items)
        self._unfinished = None

    def _raw_of(self, key: Any) -> Raw | None:
        """What the file holds under a key."""
        return raw_of(self.items[key]) if key in self.items else self.filed.get(key)

    def _note_removal(self, keys: list[Any]) -> None:
        """Before keys are removed: note what they have, and the order of all of them."""
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

    # Blocks

    def begin(self, savepoint: Savepoint) -> None:
        """Begin a block, which `commit` or `rollback` ends."""
        with self.lock:
            self.finish()
            self._note_begin(savepoint)
            self.savepoints.append(savepoint)

    def _note_begin(self, savepoint: Savepoint) -> None:
        if self.data is not None and not is_held([self.data], {}):
            self._take_back(self._entries())
        if self.data is not None:
            savepoint.note_order(self.data)
            for key, entry in self._entries().items():
                savepoint.note_copy(key, entry)  # type: ignore[arg-type]  # all are awake
            return
        for key in list(self._awake):
            if self._holds_container(key) and not self._fell_asleep(key):
                savepoint.note_copy(key, self.items[key])  # type: ignore[arg-type]  # it is awake
            else:
                self._quiet.add(key)
                self._awake.discard(key)

    def _take_back(self, items: dict[Any, Entry]) -> None:
        """Nobody holds the dict that was handed out any more, so its items get entries again."""
        self._awake = set(items)
        self.items, self.data = items, None  # no call in between, so nothing else gets in

    def _holds_container(self, key: Any) -> bool:
        entry = self.items.get(key)
        return isinstance(entry, Awake) and type(entry.value) not in SCALARS

    def _fell_asleep(self, key: Any) -> bool:
        """Put an awake entry to sleep, if nobody holds its value."""
        # No variable refers to the entry, so that its references can be counted
        pair: list[Any] = [self.items[key], Awake(None, None)]
        try:
            # First of all, nobody can get at it any more without the lock. So what is counted then stays true
            self.items[key] = Asleep(pair[0].value, pair[0].raw)
            if not self._is_held(key, pair) and self.items[key].kept is pair[0].value:  # type: ignore[union-attr]
                return True
        except BaseException:
            self.items[key] = pair[0]
            raise
        self.items[key] = pair[0]
        return False

    def _is_held(self, key: Any, pair: list[Any]) -> bool:
        """Does anybody hold a value that fell asleep just now, or its entry from before?"""
        known: dict[int, int] = {}
        add_references(known, references(pair[0]))
        entries = {id(pair[0])}
        noted = 0
        for savepoint in self.savepoints:
            noted += savepoint.journal.get(key) is pair[0]
            savepoint.add_references(key, known, entries)
        return is_in_use(pair, noted) or is_held(containers(pair[0].value), known)

    def commit(self, savepoint: Savepoint) -> None:
        """End the innermost block. The one around it can still undo it. Does nothing if it has ended."""
        with self.lock:
            self.finish()
            if not self._is_innermost(savepoint):
                return
            if len(self.savepoints) > 1:
                self.savepoints[-2].absorb(savepoint)  # doing it again comes to the same
            self.savepoints.pop()
            if not self.savepoints:
                savepoint.let_go()

    def _is_innermost(self, savepoint: Savepoint) -> bool:
        return bool(self.savepoints) and self.savepoints[-1] is savepoint

    def rollback(self, savepoint: Savepoint) -> list[Exception]:
        """Undo and end the innermost block: in place, so that whoever holds a part of it sees it undone.

        Returns:
            Why some containers could not be restored, if so.
        """
        failures: list[Exception] = []
        with self.lock:
            self.finish()
            if self._is_innermost(savepoint):
                self._do(partial(self._rollback, savepoint, savepoint.restored(self.items), failures))
        return failures

    def _rollback(self, savepoint: Savepoint, items: dict[Any, Entry] | None, failures: list[Exception]) -> None:
        if self._is_innermost(savepoint):
            failures.clear()
            savepoint.restore_contents(failures)
            self._restore_entries(savepoint, items)
            self._quiet.update(savepoint.journal)
            self._awake.update(savepoint.exposed)
            if len(self.savepoints) > 1:  # whoever holds a value can still change it, and the outer block be undone
                self.savepoints[-2].absorb(savepoint)
            self.savepoints.pop()
        self._unfinished = None

    def _restore_entries(self, savepoint: Savepoint, items: dict[Any, Entry] | None) -> None:
        """Put back entries, in the dict that somebody may be iterating over."""
        if self.data is not None:  # then all keys are in the journal
            refill(self.data, _objects({key: savepoint.journal[key] for key in savepoint.order or ()}))
        elif items is None:
            savepoint.restore_entries(self.items)
        else:
            self.items.clear()
            self.items.update(items)

    # The file

    @property
    def changed(self) -> bool:
        """Is there anything here that the file doesn't hold, or the other way round?"""
        with self.lock:
            self.finish()
            return self._keys_differ() or codec.any_change(self._touched_values())

    def _keys_differ(self) -> bool:
        if self.filed_order is None:
            return False  # a new key is in _touched
        return not _same_keys(self.filed_order, list(self.keys))

    def _touched(self) -> set[Any]:
        return self._quiet | self._awake

    def _touched_values(self) -> codec.Touched:
        """The values that may differ from what the file holds, and that."""
        if self.data is not None:
            return {key: (value, self.filed.get(key)) for key, value in list(self.data.items())}
        touched = {}
        for key in self._touched():
            entry = self.items.get(key, MISSING)
            if entry is not MISSING and type(entry) is not Raw:
                touched[key] = (object_of(entry), entry.raw)
        return touched

    def encode(self) -> Encoded:
        """Everything as JSON, member by member. Only what was touched is encoded.

        Raises:
            NotStorableError: a value can't be stored; its path says which.
        """
        with self.lock:
            self.finish()
            touched = self._touched_values()
            texts = codec.encode_changes(touched)
            same = [key for key, (_, raw) in touched.items() if texts[key] is raw]
            members: dict[Any, Any] = dict.fromkeys(touched) if self.data is not None else dict(self.items)
            members.update(texts)
            self._let_go(same, texts)
            return Encoded(members, len(same) < len(touched) or self._keys_differ())

    def _let_go(self, keys: Iterable[Any], texts: codec.Members) -> None:
        """Keep just the text of objects that nobody holds, and that come back the same."""
        for key in keys:
            entry = self.items.get(key)
            if (
                type(entry) is Asleep
                and is_built_in(entry.kept)
                and not any(key in savepoint.journal for savepoint in self.savepoints)
            ):
                self.items[key] = texts[key]
                self._quiet.discard(key)

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
        for key in self._touched():
            entry = self.items.get(key)
            if isinstance(entry, (Awake, Asleep)):
                entry.raw = members.get(key)
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
            now = self._touched_values()
            edited = {
                key: value
                for key, (value, _) in now.items()
                if key not in ours or codec.any_change({key: (value, ours[key])})
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
        data = _objects(items) if self.data is not None and is_held([self.data], {}) else None

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
        held: codec.Touched = {
            key: (value, members[key]) for key, (value, _) in self._touched_values().items() if key in members
        }
        try:
            texts = codec.encode_changes(held)
        except NotStorableError:
            return self._kept_one_by_one(held)
        return {key: Awake(value, raw) for key, (value, raw) in held.items() if texts[key] is raw}

    def _kept_one_by_one(self, held: codec.Touched) -> dict[Any, Entry]:
        return {key: Awake(*pair) for key, pair in held.items() if not codec.any_change({key: pair})}

    def _load(self, items: dict[Any, Entry], base: Base, data: dict[Any, Any] | None) -> None:
        if self.data is not None and data is not None:
            refill(self.data, data)
            self.filed, self.filed_order = {key: raw_of(entry) for key, entry in items.items()}, list(items)
        else:
            self.items, self.data = items, None
            self.filed, self.filed_order = {}, None
        kept = {key for key, entry in items.items() if isinstance(entry, Awake)}
        self._quiet, self._awake = set(), kept
        self.base = base

    def load_changes(self, members: codec.Members) -> None:
        """Take over other members, as if each of them had been put in."""
        with self.lock:
            self.finish()
            filed = self.filed_members()
            self.load(filed, self.base)
            same = {key for key in members if key in filed and _is_same(filed[key], members[key])}
            self.replace({key: self.touch(key) if key in same else codec.decode(raw) for key, raw in members.items()})

    # Others like it

    def copy(self) -> Memory:
        """A shallow copy: it shares the values, so all of them are awake in both."""
        with self.lock:
            self.finish()
            self._wake_all()
            return self._twin(
                {key: Awake(value, self._raw_of(key)) for key, value in _objects(self._entries()).items()}
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

    def _entries(self) -> dict[Any, Entry]:
        if self.data is None:
            return dict(self.items)
        return {key: Awake(value, self.filed.get(key)) for key, value in list(self.data.items())}

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
        memory._awake = {key for key, entry in memory.items.items() if type(entry) is not Raw}
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
        if self._holds_container(key):
            assert key in self._awake, f"{key!r} can change, and a block would not undo it"
            if self.savepoints:
                assert key in self.savepoints[-1].journal, f"{key!r} can change, and the open block would not undo it"

    def detached(self) -> dict[Any, Any]:
        """A plain dict of everything, that shares no container with this one."""
        with self.lock:
            self.finish()
            return {key: detached(value) for key, value in _objects(self._entries()).items()}


def _objects(items: dict[Any, Any]) -> dict[Any, Any]:
    """The objects of entries; raw ones are decoded."""
    return {key: codec.decode(entry) if type(entry) is Raw else object_of(entry) for key, entry in items.items()}


def _same_keys(then: list[Any], now: list[Any]) -> bool:
    """The same keys in the same order; 1 and True are equal, but not the same."""
    return then == now and all(a is b or repr(a) == repr(b) for a, b in zip(then, now, strict=True))


def _is_same(one: Raw | None, other: Raw | None) -> bool:
    """Do two texts stand for the same value, types and order included? Other programs space and escape differently."""
    return one == other or (one is not None and other is not None and codec.canonical(one) == codec.canonical(other))
