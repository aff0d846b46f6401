"""What happens to unsaved changes when a process ends: autosaved dicts are saved, others give a warning.

A process that was forked begins with its parent's dicts. What was unsaved then is the parent's to save.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import traceback
import weakref
from typing import Protocol


class Unsaved(Protocol):
    """What has something to do at exit, and around a fork."""

    def _at_exit(self) -> None: ...

    def _before_fork(self) -> bool:
        """Keep other threads from changing memory, which would be half done in the child; False if that can't be."""

    def _after_fork(self) -> None:
        """In the parent, if they were kept from it: let them go on."""

    def _after_fork_in_child(self) -> None:
        """In the child, where only the thread that forked is left."""


_watched: weakref.WeakValueDictionary[int, Unsaved] = weakref.WeakValueDictionary()
_kept: list[Unsaved] = []


def watch(item: Unsaved) -> None:
    """Let it do what it has to at exit, if it still exists then."""
    _watched[id(item)] = item


def keep(item: Unsaved) -> None:
    """Let it exist until then: nothing else refers to it, but it has changes that are to be saved."""
    _kept.append(item)


def _all_watched() -> list[Unsaved]:
    # Not values(), which fails if another thread adds one meanwhile
    return [item for reference in _watched.valuerefs() if (item := reference()) is not None]


@atexit.register
def _run() -> None:
    for item in [*_all_watched(), *_kept]:
        try:
            item._at_exit()
        except Exception:  # noqa: BLE001  # one that can't be saved mustn't keep the others from it
            traceback.print_exc()
    _kept.clear()
    _watched.clear()


# Forks ----------------------------------------------------------------------------------------------------------------

_fork_lock = threading.RLock()  # one fork at a time
_held: list[Unsaved] = []


def _before_fork() -> None:
    _fork_lock.acquire()
    _held[:] = [item for item in _all_watched() if item._before_fork()]


def _after_fork() -> None:
    for item in _held:
        item._after_fork()
    _held.clear()
    _fork_lock.release()


def _after_fork_in_child() -> None:
    for item in _all_watched():
        item._after_fork_in_child()
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
