"""Unsaved changes at the end of a process: autosaved dicts are saved, others cause a warning.

A forked process starts with copies of its parent's dicts. Saving their unsaved changes is up to the parent.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import weakref
from typing import TYPE_CHECKING

from ._memory import MemoryLock
from ._turns import Turn
from ._unsaved import warn_unsaved
from .errors import NotStorableError

if TYPE_CHECKING:
    from ._blocks import Blocks
    from ._format import codec
    from ._memory import Memory
    from ._store import Store


_BLOCK_SECONDS = 5.0
"""Seconds for which exit waits for a block that another thread has open."""


class Ending:
    """Handles the end of a dict, and the end or fork of the process. It may outlive the dict.

    Attributes:
        is_twin: whether the dict is a copy, which nobody expects to be saved.
    """

    def __init__(self, store: Store, memory: Memory, blocks: Blocks) -> None:
        self.is_twin = False
        self._store = store
        self._memory = memory
        self._blocks = blocks
        self._process = os.getpid()
        self._inherited: codec.Members | None = None
        _watched.add(self)

    @property
    def uri(self) -> str:
        return self._store.uri

    def without_dict(self) -> None:
        """The dict is garbage-collected. This can happen anywhere, in any thread, so it must not send requests."""
        if sys.is_finalizing() or not self._is_unsaved():
            return
        if self._store.autosave:
            _kept.append(self)
        else:
            self._warn(
                "was garbage-collected with unsaved changes, which are lost. Call save(), or edit it in a `with` block"
            )

    def _is_unsaved(self) -> bool:
        try:
            return not self._is_inherited() and self._store.changed
        except Exception:  # noqa: BLE001  # a key that can't be compared, say: then nobody knows, and is told so
            return True

    def inherit(self) -> None:
        """The changes that are unsaved now come from another process, which is responsible for them."""
        self._inherited = self._unsaved()

    def at_exit(self) -> None:
        """Save the unsaved changes of an autosaved dict, or warn."""
        if not self._blocks.turns.take(Turn(), _BLOCK_SECONDS):
            self._warn(
                "was still in a thread's block when Python exited, and its unsaved changes are lost. Join your threads"
            )
        elif self._is_unsaved():
            self._save_or_warn()

    def _save_or_warn(self) -> None:
        if self._blocks.open:  # in a generator that was never exhausted
            self._warn("had an open block when Python exited, and its changes are lost. Close the generator it is in")
        elif self._store.autosave:
            self._store.save_changes()
        else:
            self._warn(
                "had unsaved changes when Python exited, which are lost. Call save(), or edit it in a `with` block"
            )

    def before_fork(self) -> bool:
        """Lock out other threads, whose changes would be half done in the child. Returns whether that worked."""
        return self._memory.lock.acquire(timeout=1)

    def after_fork(self) -> None:
        """In the parent: let other threads continue, if they were locked out."""
        self._memory.lock.release()

    def after_fork_in_child(self) -> None:
        """In the child, which has only the thread that forked."""
        self._memory.lock = MemoryLock()
        self._blocks.after_fork_in_child()
        self.inherit()

    def _unsaved(self) -> codec.Members | None:
        """The content that would be saved at exit."""
        try:
            return self._memory.encode().members if self._store.autosave and self._store.changed else None
        except NotStorableError:
            return None

    def _is_inherited(self) -> bool:
        if self.is_twin and not self._store.autosave:
            return True
        if not self._store.autosave:
            return self._process != os.getpid()
        return self._inherited is not None and self._inherited == self._unsaved()

    def _warn(self, problem: str) -> None:
        warn_unsaved(f"{self.uri} {problem}")


_watched: weakref.WeakSet[Ending] = weakref.WeakSet()
_kept: list[Ending] = []


def _all_watched() -> list[Ending]:
    while True:
        try:
            return list(_watched)
        except RuntimeError:  # another thread added one meanwhile
            continue


@atexit.register
def _run() -> None:
    for item in {*_all_watched(), *_kept}:
        try:
            item.at_exit()
        except Exception:  # noqa: BLE001  # one that can't be saved mustn't keep the others from it
            sys.stderr.write(f"{item.uri}: unsaved changes could not be saved at exit:\n")
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
    _kept.clear()  # nothing in the child can have changed them since, so the parent saves them
    _fork_lock.release()
    _end_with_multiprocessing()


def _end_with_multiprocessing() -> None:
    """Register with multiprocessing, whose forked children don't run the functions of atexit, but its own.

    The children drop such functions when they start, so they are registered again there.
    """
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.Finalize(None, _run, exitpriority=0)
        util.register_after_fork(_run, lambda run: util.Finalize(None, run, exitpriority=0))


_end_with_multiprocessing()
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)
