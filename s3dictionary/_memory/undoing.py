"""Begins blocks, and commits them or rolls them back in place."""

from __future__ import annotations

from functools import partial
from typing import Any

from .._format.types import JSON_SCALARS
from .entries import Asleep, Awake, Entry
from .items import Items, objects_of
from .refcounts import is_held, is_in_use
from .savepoint import Savepoint
from .snapshots import containers, refill, shows_all


class UndoableItems(Items):
    """Items with the savepoints of the open blocks."""

    def begin(self, savepoint: Savepoint) -> None:
        """Begin a block. `commit` or `rollback` ends it."""
        with self.lock:
            self.finish()
            self._ahead.stop()
            savepoint.types = self.types
            if self._is_handed_out():
                self._note_data(savepoint)
                self.savepoints.append(savepoint)
            else:
                # Before noting anything, so that what a signal handler reads meanwhile is noted, too
                self.savepoints.append(savepoint)
                self._note_awake(savepoint)

    def _note_begin(self, savepoint: Savepoint) -> None:
        """Note the state in which an open block begins anew."""
        if self._is_handed_out():
            self._note_data(savepoint)
        else:
            self._note_awake(savepoint)

    def _is_handed_out(self) -> bool:
        """Whether anybody holds `data`. If not, its items get entries again."""
        if self.data is not None and not is_held([self.data], {}):
            self._take_back(self._entries())
        return self.data is not None

    def _note_data(self, savepoint: Savepoint) -> None:
        savepoint.note_order(self.data or ())
        for key, entry in self._entries().items():
            savepoint.note_copy(key, entry)  # type: ignore[arg-type]  # all are awake
        savepoint.began_complete = True

    def _note_awake(self, savepoint: Savepoint) -> None:
        for key in list(self._awake):
            if not self._is_awake(key) or self._fell_asleep(key):
                self._quiet[key] = None
                self._awake.pop(key, None)
            entry = self.items.get(key)
            if isinstance(entry, Awake) and type(entry.value) not in self.types.scalars:
                self._awake[key] = None  # a signal handler may have read it meanwhile
                savepoint.note_copy(key, entry)

    def _take_back(self, items: dict[Any, Entry]) -> None:
        """Turn the items of `data` into entries again, because nobody holds that dict any more."""
        self._awake = dict.fromkeys(items)
        self.items, self.readable, self.data = items, items, None  # no call in between, so nothing else can run

    def _is_awake(self, key: Any) -> bool:
        """Whether a key has an object that somebody may hold and change."""
        entry = self.items.get(key)
        return isinstance(entry, Awake) and type(entry.value) not in self.types.scalars

    def _fell_asleep(self, key: Any) -> bool:
        """Put an awake entry to sleep if nobody holds its value. Returns whether that was so."""
        if type(key) not in JSON_SCALARS:  # its __hash__ may run code that reads the entry just as it is replaced
            return False
        # No variable may refer to the entry, because its references are counted
        pair: list[Any] = [self.items.get(key), Awake(None, None)]
        if not isinstance(pair[0], Awake):  # a signal handler has done this step meanwhile
            return True
        asleep = Asleep(pair[0].value, pair[0].raw)
        try:
            # From here on, nobody can reach the object without the lock. So the counts stay true
            self.items[key] = asleep
            noted = sum([savepoint.journal.get(key) is pair[0] for savepoint in self.savepoints])
            if not is_in_use(pair, noted) and pair.pop(0).value is asleep.kept and not self._is_held(key, asleep):
                return True
            self.items[key] = Awake(asleep.kept, asleep.raw)
        except BaseException:
            self.items[key] = Awake(asleep.kept, asleep.raw)
            raise
        return False

    def _is_held(self, key: Any, asleep: Asleep) -> bool:
        """Whether anybody holds a value that has just been put to sleep."""
        found = containers(asleep.kept, self.types)
        known: dict[int, int] = {}
        entries: set[int] = set()
        for savepoint in self.savepoints:
            savepoint.add_references(key, known, entries)
        if not shows_all(found, self.types) or is_held(found, known):
            return True
        asleep.found = tuple(found)
        return False

    def commit(self, savepoint: Savepoint) -> None:
        """End the innermost block. An outer block can still undo it. Does nothing if it has ended."""
        with self.lock:
            self.finish()
            if not self._is_innermost(savepoint):
                return
            if len(self.savepoints) > 1:
                self._hand_on(savepoint)  # can be repeated after an interrupt
            self.savepoints.pop()
            if not self.savepoints:
                savepoint.let_go()

    def _hand_on(self, savepoint: Savepoint) -> None:
        """Let the outer block take over what the innermost one noted."""
        outer = self.savepoints[-2]
        # A block that began while `data` was handed out noted everything then
        outer.absorb(savepoint, complete=outer.began_complete)

    def _is_innermost(self, savepoint: Savepoint) -> bool:
        return bool(self.savepoints) and self.savepoints[-1] is savepoint

    def rollback(self, savepoint: Savepoint) -> list[Exception]:
        """Undo and end the innermost block. Works in place, so whoever holds a part of a value sees it undone.

        Returns:
            The exceptions of the containers that could not be restored.
        """
        failures: list[Exception] = []
        with self.lock:
            self.finish()
            if self._is_innermost(savepoint):
                self._do(partial(self._rollback, savepoint, savepoint.restored(self.items), failures))
        return failures

    def _rollback(self, savepoint: Savepoint, items: dict[Any, Entry] | None, failures: list[Exception]) -> None:
        if self._is_innermost(savepoint):
            savepoint.state.is_rolled_back = True
            failures.clear()
            savepoint.restore_contents(failures)
            self._restore_entries(savepoint, items)
            self._quiet.update(dict.fromkeys(savepoint.journal))
            self._awake.update(dict.fromkeys(savepoint.exposed))
            if len(self.savepoints) > 1:  # values can still be changed, and the outer block rolled back
                self._hand_on(savepoint)
        if self._is_innermost(savepoint):  # false if a signal handler has finished this step meanwhile
            self.savepoints.pop()
        self._unfinished = None

    def _restore_entries(self, savepoint: Savepoint, items: dict[Any, Entry] | None) -> None:
        """Put back entries. Iterating where keys were removed raises the same RuntimeError as in a dict."""
        if self.data is not None:  # all keys are in the journal
            refill(self.data, objects_of({key: savepoint.journal[key] for key in savepoint.order or ()}, self.types))
        elif items is None:
            savepoint.restore_entries(self.items)
        else:
            self._ahead.stop()
            removed_from, self.items, self.readable = self.items, items, items
            if removed_from is not items:
                removed_from.clear()
