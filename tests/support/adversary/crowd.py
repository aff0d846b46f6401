"""Threads that call `run` at the same time. They queue up behind a block, so that they form one group, in order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from s3dictionary import S3Dict
from support.adversary.threads import LONG_ENOUGH, InThread


def waiting(d: S3Dict[Any, Any]) -> int:
    """The number of calls of `run` in the group that hasn't loaded yet."""
    group = d._runs._groups._next
    return 0 if group is None else len(group.members)


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another thread is about to do."""
    end = time.monotonic() + LONG_ENOUGH
    while not condition():
        assert time.monotonic() < end, "it doesn't come to it"
        time.sleep(0.0005)


class Blocker(AbstractContextManager[None]):
    """Another thread keeps a block open inside this context, so that nobody else can enter one."""

    def __init__(self, d: S3Dict[Any, Any]) -> None:
        self._d = d
        self._inside, self._end = threading.Event(), threading.Event()

    def __enter__(self) -> None:
        self._thread = InThread(self._stay)
        self._inside.wait(LONG_ENOUGH)

    def _stay(self) -> None:
        with self._d.transaction():
            self._inside.set()
            self._end.wait(LONG_ENOUGH)

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.result()


def queue_up(d: S3Dict[Any, Any], calls: Sequence[Callable[[], object]]) -> list[InThread[Any]]:
    """Start threads that call `run`, so that their calls join the next group in this order."""
    threads = []
    for call in calls:
        queued = waiting(d)
        thread = InThread(call)
        threads.append(thread)
        while waiting(d) == queued and thread.is_waiting(0.0005):  # it may be interrupted on its way
            pass
    return threads


def in_one_group(d: S3Dict[Any, Any], calls: Sequence[Callable[[], object]]) -> list[InThread[Any]]:
    """Start threads that call `run`, all in one group, in this order."""
    with Blocker(d):
        return queue_up(d, calls)
