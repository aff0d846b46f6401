"""Whose turn it is to change a dict: one owner at a time, and those who wait are served in the order they came."""

from __future__ import annotations

import sys
import threading
import time
import weakref
from collections.abc import Callable
from threading import get_ident
from typing import Any, TypeVar

from ._memory import Memory
from .errors import TransactionError

T = TypeVar("T")

_LOOK_AGAIN = 0.2
"""Seconds after which one who waits looks by himself, should he not have been told."""

_KEPT_FREE = 1.0
"""Seconds for which the turn is kept for the one who was told. He may have been interrupted."""


acting_for: dict[int, Any] = {}
"""The owners that worker threads act for, by the threads' ids."""


def current_owner() -> Any:
    """Who is calling: in asyncio a task, otherwise a thread, told by its id."""
    if acting_for and get_ident() in acting_for:
        return acting_for[get_ident()]
    asyncio = sys.modules.get("asyncio")
    loop = None if asyncio is None else asyncio._get_running_loop()
    task = None if asyncio is None or loop is None else asyncio.current_task(loop)
    return get_ident() if task is None else task


class Turn:
    """The right to change the dict, while a block is open or something is loaded or saved.

    Attributes:
        owner: who has it.
        thread: the thread that it was taken in.
        is_requesting: its owner is just waiting for an answer of S3's.
        held: something that the owner holds as long as it can give the turn back; `None` if there is no such thing.
    """

    def __init__(self) -> None:
        self.owner = current_owner()
        self.thread = get_ident()
        self.is_requesting = False
        self.held: weakref.ref[Any] | None = None

    @property
    def is_abandoned(self) -> bool:
        """Has its owner gone without giving it back?"""
        return self.held is not None and self.held() is None


class Waiting:
    """One who waits."""

    def __init__(self) -> None:
        self._told = threading.Lock()
        self._told.acquire()  # `tell` releases it
        self._until = float("inf")

    def tell(self) -> None:
        self._until = time.monotonic() + _KEPT_FREE
        if self._told.locked():
            self._told.release()

    def wait(self) -> None:
        self._told.acquire(timeout=_LOOK_AGAIN)

    @property
    def has_gone(self) -> bool:
        return time.monotonic() > self._until


class Turns:
    """Whose turn it is.

    Args:
        memory: what is changed.
        undone: called when an outermost block was undone, before anybody else's turn.

    Attributes:
        current: the turn that somebody has. It ends by an assignment, which no exception can get in front of.
    """

    _refusal = (
        "Another task of this thread has a block of this dict open, and waiting for its end would block the event "
        "loop. Nothing was done. Don't await inside a `with` block of an S3Dict; use AsyncS3Dict, whose `async with` "
        "blocks may await, and wait for one another."
    )

    def __init__(self, memory: Memory, undone: Callable[[Any], None] = lambda _: None) -> None:
        self.current: Turn | None = None
        self._memory = memory
        self._undone = undone
        self._waiting: list[Waiting] = []
        self._next: Waiting | None = None

    def take(self, turn: Turn, seconds: float = float("inf")) -> bool:
        """Wait for the turn, so many seconds at most. Returns whether it is the caller's now."""
        self._refuse_amid_step()
        with self._memory.lock:
            if self.current is None and self._next is None and not self._waiting:
                self.current = turn
                return True
        waiting, end = None, time.monotonic() + seconds
        while True:
            with self._memory.lock:
                if self._is_free(waiting):
                    self.current = self.current or turn  # who has it already keeps it
                    return True
            if time.monotonic() > end:
                return False
            waiting = self._wait(waiting)

    def step(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function that changes memory, as soon as it can be the caller's turn."""
        self._refuse_amid_step()
        waiting = None
        while True:
            with self._memory.lock:
                if self._is_free(waiting):
                    if self._waiting:
                        self._tell_next()
                    return function(*args)
            waiting = self._wait(waiting)

    def exclusively(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function that sends a request. Meanwhile nobody else changes the dict, but everybody can read it."""
        turn = Turn()
        try:
            self.take(turn)
            return self.requesting(function, *args)
        except BaseException:
            with self._memory.lock:
                self._memory.finish()
            raise
        finally:
            if self.current is turn:
                self.current = None
            self.end(turn)

    def requesting(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function that sends a request in the caller's turn. Who interrupts it changes nothing meanwhile."""
        turn = self.current
        assert turn is not None
        turn.is_requesting = True
        try:
            return function(*args)
        finally:
            turn.is_requesting = False

    @property
    def is_amid_step(self) -> bool:
        """Is a step of this very thread under way, which a signal handler or the like has interrupted?"""
        return self._memory.lock._is_owned()  # type: ignore[attr-defined, no-any-return]  # every RLock has it

    def _refuse_amid_step(self) -> None:
        if self.is_amid_step:
            raise _interrupted()

    def end(self, turn: Turn) -> None:
        """Undo what hasn't been committed of a block, and those inside it; then it is somebody else's turn.

        Raises:
            TransactionError: something could not be undone. All else was.
        """
        failures: list[Exception] = []
        savepoints: list[Any] = self._memory.savepoints
        undone = turn in savepoints and self.current is turn
        while turn in savepoints:
            failures += self._memory.rollback(savepoints[-1])
        try:
            if undone:
                self._undone(turn)
        finally:
            if self.current is turn:
                self.current = None
            turn.held = None
        if self._waiting:
            with self._memory.lock:
                self._tell_next()
        if failures:
            raise TransactionError(
                f"A block was rolled back, except for what could not be restored: {failures[0]}"
            ) from failures[0]

    def end_abandoned(self) -> None:
        """End the blocks whose owner has gone. Who wants the turn does it, should nobody have done it at once."""
        blocks: list[Any] = [self.current, *self._memory.savepoints]
        for block in blocks:
            if block is not None and block.is_abandoned:
                self.end(block)

    def _tell_next(self) -> None:
        """Keep the turn for the one who has waited longest, and tell him."""
        if self._waiting and self.current is None and (self._next is None or self._next.has_gone):
            self._next = self._waiting.pop(0)
            self._next.tell()

    def _is_free(self, waiting: Waiting | None) -> bool:
        """May the caller change the dict now? The caller holds the lock.

        Raises:
            TransactionError: not before another task of this thread gets on, which it can't while this one waits.
        """
        if self.current is not None:
            self.end_abandoned()
        current = self.current
        if current is None:
            if self._next is None:  # it has just ended, and nobody has been told yet
                self._tell_next()
            ahead = self._next
            if ahead is not None and ahead is not waiting and not ahead.has_gone:
                return False
            self._next = None
            return True
        if current.owner == current_owner():
            if current.is_requesting:
                raise _interrupted()
            return True
        self.refuse_task()
        return False

    def refuse_task(self) -> None:
        """Raise a `TransactionError` if another task of this thread has the turn: waiting for it would never end."""
        current = self.current
        if current is not None and current.thread == get_ident() and current.owner != current_owner():
            raise TransactionError(self._refusal)

    def _wait(self, waiting: Waiting | None) -> Waiting:
        """Wait until it may be the caller's turn."""
        waiting = waiting or Waiting()
        with self._memory.lock:
            if self.current is None and self._next in (None, waiting):
                return waiting
            if waiting not in self._waiting and waiting is not self._next:
                self._waiting.append(waiting)
        waiting.wait()
        return waiting

    def after_fork_in_child(self) -> None:
        """Only the thread that forked is left: others neither have a turn nor wait for one."""
        self._waiting, self._next = [], None
        if self.current is not None and self.current.thread != get_ident():
            self.current = None


def _interrupted() -> TransactionError:
    return TransactionError(
        "A signal handler can't change a dict that its own thread is just changing. Nothing was done. Let "
        "the handler set a flag, and change the dict after the step."
    )
