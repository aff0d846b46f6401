"""What happens to unsaved changes when the interpreter exits: autosaved dicts are saved, others give a warning."""

from __future__ import annotations

import atexit
import traceback
import weakref
from typing import Protocol


class Unsaved(Protocol):
    """What has something to do at exit."""

    def _at_exit(self) -> None: ...


_watched: weakref.WeakValueDictionary[int, Unsaved] = weakref.WeakValueDictionary()
_kept: list[Unsaved] = []


def watch(item: Unsaved) -> None:
    """Let it do what it has to at exit, if it still exists then."""
    _watched[id(item)] = item


def keep(item: Unsaved) -> None:
    """Let it exist until then: nothing else refers to it, but it has changes that are to be saved."""
    _kept.append(item)


@atexit.register
def _run() -> None:
    for item in [*_watched.values(), *_kept]:
        try:
            item._at_exit()
        except Exception:  # noqa: BLE001  # one that can't be saved mustn't keep the others from it
            traceback.print_exc()
    _kept.clear()
    _watched.clear()
