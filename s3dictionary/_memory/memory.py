"""`Memory`: a dict's items, loaded from a file's members."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

from msgspec import Raw

from .._format import codec
from ..errors import NotStorableError
from .ahead import ReadingAhead
from .entries import Asleep, Awake, Entry, object_of, raw_of
from .filed import FiledItems, add
from .items import Base, objects_of
from .refcounts import is_held
from .snapshots import detached, refill


class Memory(FiledItems):
    """A dict's items: loads them, copies them, and checks the invariants."""

    def load(self, members: codec.Members, base: Base, values: dict[Any, Any] | None = None) -> None:
        """Replace all items by those of the file. An object that equals the new content is kept.

        Args:
            members: what the file holds.
            base: its version.
            values: objects to use instead of decoding the members.
        """
        with self.lock:
            self.finish()
            self._take_over(members, base, values)

    def merged(self, ours: codec.Members, merged: codec.Members, base: Base, *, ending: bool) -> list[Any]:
        """Record that the file now holds the merged members: ours from `encode()`, and the changes of other writers.

        Changes that were made here since `encode()` stay changes.

        Args:
            ours: the members from `encode()`.
            merged: the members that were written.
            base: the new version of the file.
            ending: whether to end the open block. If not, it begins anew.

        Returns:
            The keys that were changed here since `encode()`, and also by another writer.
        """
        with self.lock:
            self.finish()
            edited = {
                key: value
                for key, value, *_ in zip(*self._touched_values(), strict=True)
                if key not in ours or codec.any_change(codec.Touched.of([key], [value], [ours[key]]), self.types)
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
        # The dict that was handed out stays in use only if somebody still holds it
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
        """Entries for the objects that equal what the file holds, and are kept."""
        held = codec.Touched([], [], [], [])
        for key, value, *_ in zip(*self._touched_values(), strict=True):
            if key in members:
                add(held, key, value, members[key])
        try:
            texts = codec.encode_changes(held, self.types) if held.keys else []
        except NotStorableError:
            return self._kept_one_by_one(held)
        return {key: Awake(value, raw) for key, value, raw, _, text in zip(*held, texts, strict=True) if text is raw}

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
            self.items, self.readable, self.data = items, items, None
            self.filed, self.filed_order = {}, None
        self._ahead = ReadingAhead()  # the old one may refer to all the old items
        if self.types.as_read:
            held = {id(raw_of(entry)) for entry in items.values()}
            self.types.as_read = {at: pair for at, pair in self.types.as_read.items() if at in held}
        all_raw = set(map(type, items.values())) <= {Raw}
        kept = {} if all_raw else dict.fromkeys(key for key, entry in items.items() if isinstance(entry, Awake))
        self._quiet, self._awake = {}, kept
        self.base = base

    def load_changes(self, members: codec.Members) -> None:
        """Replace all items by other members, as changes."""
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

    # Copies

    def copy(self) -> Memory:
        """A shallow copy. It shares the values, so all of them are awake in both."""
        with self.lock:
            self.finish()
            self._wake_all()
            return self._twin(
                {key: Awake(value, self._raw_of(key)) for key, value in objects_of(self._entries(), self.types).items()}
            )

    def deepcopy(self, memo: dict[int, Any]) -> Memory:
        """A copy that shares nothing. Raw entries stay raw."""
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
        """A memory with the state from `__getstate__`."""
        memory = cls()
        memory.__dict__.update(state, readable=state["items"])
        memory._awake = dict.fromkeys(key for key, entry in memory.items.items() if type(entry) is not Raw)
        return memory

    def check(self) -> None:
        """Assert the invariants, without touching anything."""
        assert self._unfinished is None, "an interrupted step wasn't finished"
        self._check_rest()
        if self.data is not None:
            assert not self.items
            assert self.filed_order is not None
            assert not self.savepoints or self.savepoints[-1].order is not None
        for key, entry in self.items.items():
            self._check_entry(key, entry)
        for key, raw in self.filed.items():
            assert key in self.items or raw is None or self.filed_order is not None, f"{key!r}: its place isn't noted"
        if self.filed_order is not None:
            assert {key for key in self.items if raw_of(self.items[key]) is not None} <= set(self.filed_order)

    def _check_rest(self) -> None:
        if self._at_rest is None:
            assert self.readable is self.items
            return
        assert not self.readable, "a value at rest can be reached"
        for key, text in zip(self._at_rest.keys, self._at_rest.texts, strict=True):
            value = object_of(self.items[key])  # type: ignore[arg-type]  # it is awake
            assert codec.canonical(text) == codec.encode(value), f"{key!r} has changed, and would not be saved"

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
        """A plain dict of all items that shares no container with this one."""
        with self.lock:
            self.finish()
            return {
                key: codec.decode_leniently(entry, self.types)
                if type(entry) is Raw
                else detached(object_of(entry), self.types)
                for key, entry in self._entries().items()
            }


def _is_same(one: Raw | None, other: Raw | None) -> bool:
    """Whether two texts stand for the same value, with the same types and order, however they are spelled."""
    return one == other or (one is not None and other is not None and codec.canonical(one) == codec.canonical(other))
