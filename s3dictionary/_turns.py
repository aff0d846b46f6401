"""Turns to change a dict: one owner at a time has the turn, and waiting owners get it in order of arrival."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from threading import get_ident
from typing import Any, TypeVar

from ._memory import Memory
from ._owners import current_owner
from .errors import TransactionError

T = TypeVar("T")

_LOOK_AGAIN = 0.2
"""Seconds after which a waiting thread checks for itself, in case it missed its notification."""

_KEPT_FREE = 1.0
"""Seconds for which the turn is reserved for the notified thread, which may have been interrupted."""


class Turn:
    """The right to change the dict during a block, a load, a save or a delete.

    Attributes:
        owner: the thread or task that has it.
        thread: the thread that it was taken in.
        is_requesting: whether the owner is waiting for an answer from S3.
        held: an object that lives as long as the owner can still end the turn; `None` if there is none.
    """

    def __init__(self) -> None:
        self.owner = current_owner()
        self.thread = get_ident()
        self.is_requesting = False
        self.held: weakref.ref[Any] | None = None

    @property
    def is_abandoned(self) -> bool:
        """Whether the owner disappeared without ending the turn."""
        return self.held is not None and self.held() is None


class Waiting:
    """A waiting thread."""

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
    def was_told(self) -> bool:
        return self._until < float("inf")

    def begin_again(self) -> None:
        """Wait for another notification, because somebody else was faster."""
        self._until = float("inf")

    @property
    def has_gone(self) -> bool:
        return time.monotonic() > self._until


class Turns:
    """The turns of one dict.

    Args:
        memory: the memory that turns protect.
        rolled_back: called when an outermost block was rolled back, before the next turn. An interrupt may omit it.

    Attributes:
        current: the turn in progress. A single assignment ends it, which no exception can interrupt.
    """

    _refusal = (
        "Another task of this thread has a block of this dict open, and waiting for its end would block the event "
        "loop. Nothing was done. Don't await inside a `with` block of an S3Dict; use AsyncS3Dict, whose `async with` "
        "blocks may await, and wait for one another."
    )

    def __init__(self, memory: Memory, rolled_back: Callable[[Any], None] = lambda _: None) -> None:
        self.current: Turn | None = None
        self._memory = memory
        self._rolled_back = rolled_back
        self._waiting: list[Waiting] = []
        self._next: Waiting | None = None

    def take(self, turn: Turn, seconds: float = float("inf")) -> bool:
        """Wait for the turn, at most this many seconds. Returns whether the caller now has it."""
        self._refuse_amid_step()
        with self._memory.lock:
            if self.current is None and self._next is None and not self._waiting:
                self.current = turn
                return True
        waiting, end = Waiting(), time.monotonic() + seconds
        try:
            while True:
                with self._memory.lock:
                    if self._is_free(waiting):
                        self.current = self.current or turn  # the owner of the current turn keeps it
                        return True
                if time.monotonic() > end:
                    self._forget(waiting)
                    return False
                self._wait(waiting)
        except BaseException:
            self._forget(waiting)
            raise

    def step(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function that changes memory, as soon as the caller may change it."""
        self._refuse_amid_step()
        with self._memory.lock:
            if self._is_free(None):
                return self._act(function, *args)
        waiting = Waiting()
        try:
            while True:
                self._wait(waiting)
                with self._memory.lock:
                    if self._is_free(waiting):
                        return self._act(function, *args)
        except BaseException:
            self._forget(waiting)
            raise

    def _act(self, function: Callable[..., T], *args: Any) -> T:
        if self._waiting:
            self._tell_next()
        return function(*args)

    def exclusively(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function that sends a request, in its own turn. Meanwhile others can only read the dict."""
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
        """Call a function that sends a request, in the caller's turn. Signal handlers can't change the dict then."""
        turn = self.current
        assert turn is not None
        turn.is_requesting = True
        try:
            return function(*args)
        finally:
            turn.is_requesting = False

    @property
    def is_amid_step(self) -> bool:
        """Whether the caller, such as a signal handler, has interrupted a step of its own thread."""
        return self._memory.lock._is_owned()  # type: ignore[attr-defined, no-any-return]  # every RLock has it

    def _refuse_amid_step(self) -> None:
        if self.is_amid_step:
            raise _interrupted()

    def end(self, turn: Turn) -> None:
        """Roll back a block and those inside it, as far as they aren't committed, and end the turn.

        Raises:
            TransactionError: something could not be restored. Everything else was.
        """
        failures: list[Exception] = []
        savepoints: list[Any] = self._memory.savepoints
        with self._memory.lock:
            self._memory.finish()  # an interrupted step, which may have been the end of this very block
        is_outermost = turn in savepoints and self.current is turn
        while turn in savepoints:
            failures += self._memory.rollback(savepoints[-1])
        try:
            if is_outermost:
                self._rolled_back(turn)
        finally:
            if self.current is turn:
                self.current = None
            if not turn.is_abandoned:
                turn.held = None
        if self._waiting:
            with self._memory.lock:
                self._tell_next()
        if failures:
            raise TransactionError(
                f"A block was rolled back, except for what could not be restored: {failures[0]}"
            ) from failures[0]

    def end_abandoned(self) -> None:
        """End the blocks whose owner disappeared, for callers that need the turn."""
        blocks: list[Any] = [self.current, *self._memory.savepoints]
        for block in blocks:
            if block is not None and block.is_abandoned:
                self.end(block)

    def end_gone(self) -> None:
        """End the turns that can't end by themselves."""
        self.end_abandoned()

    def _tell_next(self) -> None:
        """Reserve the turn for the thread that has waited longest and can still be notified, and notify it."""
        if self.current is not None or (self._next is not None and not self._next.has_gone):
            return
        self._next = None
        while self._waiting and self._next is None:
            waiting = self._waiting.pop(0)
            if not waiting.has_gone:
                self._next = waiting
                waiting.tell()

    def _forget(self, waiting: Waiting) -> None:
        """Remove an interrupted thread. If the turn was reserved for it, reserve it for the next one."""
        with self._memory.lock:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            if self._next is waiting:
                self._next = None
                self._tell_next()

    def _is_free(self, waiting: Waiting | None) -> bool:
        """Whether the caller may change the dict now. If so, it no longer waits. The caller must hold the lock."""
        free = self._may_change(waiting)
        if free and waiting in self._waiting:
            self._waiting.remove(waiting)
        return free

    def _may_change(self, waiting: Waiting | None) -> bool:
        """Whether the caller may change the dict now.

        Raises:
            TransactionError: another task of this thread has the turn, and couldn't end it while the caller waits.
        """
        if self.current is not None:
            self.end_gone()
        current = self.current
        if current is None:
            if self._next is None:  # it has just ended, and nobody has been notified yet
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
        """Raise a `TransactionError` if another task of this thread has the turn: waiting for it would deadlock."""
        current = self.current
        if current is not None and current.thread == get_ident() and current.owner != current_owner():
            raise TransactionError(self._refusal)

    def _wait(self, waiting: Waiting) -> None:
        """Wait until the caller may have the turn."""
        with self._memory.lock:
            if self.current is None and self._next in (None, waiting):
                return
            self._queue(waiting)
        waiting.wait()

    def _queue(self, waiting: Waiting) -> None:
        """Let it wait behind the others; one that was notified, but for whom somebody else was faster, before them."""
        if self._next is waiting:
            self._next = None
        if waiting not in self._waiting:
            self._waiting.insert(0 if waiting.was_told else len(self._waiting), waiting)
            waiting.begin_again()

    def after_fork_in_child(self) -> None:
        """Drop the turns of other threads, because only the thread that forked exists in the child."""
        self._waiting, self._next = [], None
        if self.current is not None and self.current.thread != get_ident():
            self.current = None


def _interrupted() -> TransactionError:
    return TransactionError(
        "A signal handler, or a function that the library calls, such as on_conflict, can't change, load or save the "
        "dict in the middle of another operation. Nothing was done. Return a value or set a flag, and change the dict "
        "afterwards."
    )
