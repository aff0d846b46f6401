"""What happens to unsaved changes when a process ends: autosaved dicts are saved, others give a warning.

A process that was forked begins with its parent's dicts. What was unsaved then is the parent's to save.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import warnings
import weakref
from typing import TYPE_CHECKING

from .errors import NotStorableError

if TYPE_CHECKING:
    from ._blocks import Blocks
    from ._format import codec
    from ._store import Store


class Ending:
    """What becomes of a dict when the process ends, or is forked. It may outlive the dict, if there is more to save."""

    def __init__(self, store: Store, blocks: Blocks) -> None:
        self._store = store
        self._blocks = blocks
        self._process = os.getpid()
        self._inherited: codec.Members | None = None
        _watched.add(self)

    @property
    def uri(self) -> str:
        return self._store.uri

    def without_dict(self) -> None:
        """Nobody holds the dict any more. This may be anywhere, in any thread, so it isn't the time for a request."""
        if self._store.autosave and not sys.is_finalizing() and self._store.changed:
            _kept.append(self)

    def inherit(self) -> None:
        """What is unsaved now comes from another process, which saves it itself."""
        self._inherited = self._unsaved()

    def at_exit(self) -> None:
        """Save what autosave has left unsaved, or warn."""
        if not self._blocks.lock.acquire(blocking=False):
            self._warn("a thread was still in a block of it at exit, and what it did is lost; join your threads")
            return
        try:
            if not self._store.changed or self._is_inherited():
                return
            if self._blocks:  # in a generator that was never finished
                self._warn("a block of it was still open at exit, and is lost; close the generator that it is in")
            elif self._store.autosave:
                self._store.save_changes()
            else:
                self._warn("there were unsaved changes at exit; call save(), or edit in a `with` block")
        finally:
            self._blocks.lock.release()

    def before_fork(self) -> bool:
        """Keep other threads from changing memory, which would be half done in the child; False if that can't be."""
        return self._store.values.before_fork()

    def after_fork(self) -> None:
        """In the parent, if they were kept from it: let them go on."""
        self._store.values.after_fork()

    def after_fork_in_child(self) -> None:
        """In the child, where only the thread that forked is left."""
        self._store.values.after_fork_in_child()
        self._blocks.after_fork_in_child()
        self.inherit()

    def _unsaved(self) -> codec.Members | None:
        """What there would be to save at exit, as it would be saved."""
        try:
            return self._store.values.members() if self._store.autosave and self._store.changed else None
        except NotStorableError:
            return None

    def _is_inherited(self) -> bool:
        if not self._store.autosave:
            return self._process != os.getpid()
        return self._inherited is not None and self._inherited == self._unsaved()

    def _warn(self, problem: str) -> None:
        warnings.warn(f"{self.uri}: {problem}", ResourceWarning, stacklevel=3)


_watched: weakref.WeakSet[Ending] = weakref.WeakSet()
_kept: list[Ending] = []


def _all_watched() -> list[Ending]:
    while True:
        try:
            return list(_watched)
        except RuntimeError:  # another thread has added one meanwhile
            continue


@atexit.register
def _run() -> None:
    for item in {*_all_watched(), *_kept}:
        try:
            item.at_exit()
        except Exception:  # noqa: BLE001  # one that can't be saved mustn't keep the others from it
            sys.stderr.write(f"{item.uri}: what was unsaved could not be saved at exit:\n")
            sys.excepthook(*sys.exc_info())
    _kept.clear()
    _watched.clear()


# Forks ----------------------------------------------------------------------------------------------------------------

_fork_lock = threading.RLock()  # one fork at a time
_held: list[Ending] = []


def _before_fork() -> None:
    _fork_lock.acquire()
    _held[:] = [item for item in _all_watched() if item.before_fork()]


def _after_fork() -> None:
    for item in _held:
        item.after_fork()
    _held.clear()
    _fork_lock.release()


def _after_fork_in_child() -> None:
    for item in _all_watched():
        item.after_fork_in_child()
    _held.clear()
    _kept.clear()  # nothing in the child can have changed them since, so they are the parent's to save
    _fork_lock.release()
    _end_with_multiprocessing()


def _end_with_multiprocessing() -> None:
    """Its forked children end without the functions of atexit, but with those of its own.

    They forget such functions at their begin, and are given new ones then; this module may be imported later.
    """
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.Finalize(None, _run, exitpriority=0)
        util.register_after_fork(_run, lambda run: util.Finalize(None, run, exitpriority=0))


_end_with_multiprocessing()
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)
