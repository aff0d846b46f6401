"""Lets asyncio's tasks wait for their turn, and for worker threads, without blocking the event loop."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ._owners import acting_for, current_owner
from ._turns import Turn, Turns, Waiting
from ._yielding import is_beside_loop

T = TypeVar("T")

log = logging.getLogger("s3dictionary")

_LONGEST_SAVE = 60.0
"""Seconds to wait for a save when the event loop is gone."""


class Notification:
    """A signal that a task waits for, and that any thread can set."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._sent = asyncio.Event()

    @property
    def is_undeliverable(self) -> bool:
        """Whether the task can never receive it."""
        return self._loop.is_closed()

    @property
    def is_here(self) -> bool:
        """Whether the task's event loop is running in this thread."""
        return asyncio._get_running_loop() is self._loop

    def send(self) -> None:
        if self.is_here:
            self._sent.set()
            return
        with suppress(RuntimeError):  # its loop is closed, so it will never continue
            self._loop.call_soon_threadsafe(self._sent.set)

    async def received(self) -> None:
        await self._sent.wait()
        self._sent.clear()


class _WaitingTask(Waiting):
    """A waiting task."""

    def __init__(self) -> None:
        super().__init__()
        self._notification = Notification()

    @property
    def has_gone(self) -> bool:
        return self._notification.is_undeliverable or super().has_gone

    @property
    def is_here(self) -> bool:
        """Whether it is a task of the event loop that is running in this thread."""
        return self._notification.is_here

    def tell(self) -> None:
        super().tell()
        self._notification.send()

    async def received(self) -> None:
        await self._notification.received()


class TaskTurns(Turns):
    """Turns that tasks can wait for, in one queue with threads."""

    _refusal = (
        "Another task has a block of this dict open, or loads or saves it. Nothing was done. Use `async with d:` "
        "around the change, which waits for its turn."
    )

    def end_gone(self) -> None:
        """Also end blocks whose task is done, as after Ctrl-C, or can't continue because its loop is closed."""
        current = self.current
        if current is not None and not current.is_requesting and _has_gone(current.owner):
            self.end(current)
        super().end_gone()

    async def take_later(self, turn: Turn) -> None:
        """Wait for the turn. If the task is cancelled meanwhile, the next one gets it."""
        waiting = _WaitingTask()
        try:
            while not self._take_if_free(turn, waiting):
                await waiting.received()
        except BaseException:
            self._forget(waiting)
            raise

    def _take_if_free(self, turn: Turn, waiting: Waiting) -> bool:
        with self._memory.lock:
            self.end_gone()
            if self.current is None and self._is_free(waiting):
                self.current = turn
                return True
            self._queue(waiting)
            return False

    def _may_change(self, waiting: Waiting | None) -> bool:
        """Whether the caller may change the dict now. It can't wait for a notified task of its own event loop."""
        if super()._may_change(waiting):
            return True
        ahead = self._next
        is_ahead_here = isinstance(ahead, _WaitingTask) and ahead.is_here
        return self.current is None and is_ahead_here and not isinstance(waiting, _WaitingTask)


def _has_gone(owner: Any) -> bool:
    return isinstance(owner, asyncio.Future) and (owner.done() or owner.get_loop().is_closed())


# Worker threads -------------------------------------------------------------------------------------------------------


@dataclass
class Finished(Generic[T]):
    """The outcome of a call.

    Attributes:
        result: its result.
        error: the exception that it raised.
        cancelled: a cancellation that arrived meanwhile, and must continue.
    """

    result: T | None
    error: BaseException | None
    cancelled: asyncio.CancelledError | None

    def get(self) -> T:
        """The result. Raises the error or the cancellation, if there was one."""
        error, cancelled, self.error, self.cancelled = self.error, self.cancelled, None, None
        try:
            if cancelled is not None:
                if error is not None:
                    log.warning("failed while its task was being cancelled: %s", error)
                raise cancelled from error
            if error is not None:
                raise error
        finally:
            del error, cancelled  # their tracebacks refer to this frame
        return self.result  # type: ignore[return-value]  # it has one


class _Call(Generic[T]):
    """A function call in a new thread, on behalf of the task that creates this."""

    def __init__(self, function: Callable[..., T], args: tuple[Any, ...]) -> None:
        self._function, self._args = function, args
        self._owner, self._context = current_owner(), copy_context()
        self._context.run(is_beside_loop.set, True)
        self._is_done, self._notification = threading.Event(), Notification()
        self.result: T | None = None
        self.error: BaseException | None = None
        # A pool might be busy, or keep the program alive because of a request that nothing waits for any more
        threading.Thread(target=self._work, name="s3dictionary", daemon=True).start()

    def _work(self) -> None:
        try:
            with acting_for(self._owner):
                self.result = self._context.run(self._function, *self._args)
        except BaseException as error:  # noqa: BLE001  # it is raised in the task
            self.error = error
        finally:
            del self._function, self._args
            self._is_done.set()
            self._notification.send()

    async def received(self) -> None:
        await self._notification.received()

    async def to_the_end(self) -> Finished[T]:
        """Wait for the call to end, even if the task is cancelled meanwhile."""
        cancelled = None
        while not self._is_done.is_set():
            try:
                await self.received()
            except asyncio.CancelledError as cancellation:
                cancelled = cancellation
            except GeneratorExit:  # the task is garbage-collected, and can't wait for anything else
                self._is_done.wait(_LONGEST_SAVE)
                raise
        try:
            return self.finished(cancelled)
        finally:
            del cancelled  # its traceback refers to this frame

    def finished(self, cancelled: asyncio.CancelledError | None = None) -> Finished[T]:
        error, self.error = self.error, None  # its traceback refers to the frames of those who wait
        return Finished(self.result, error, cancelled)


async def in_thread(function: Callable[..., T], *args: Any) -> T:
    """Call a function in a worker thread. It must have no effects, because it continues if the task is cancelled."""
    call = _Call(function, args)
    await call.received()
    return call.finished().get()


async def to_the_end(function: Callable[..., T], *args: Any) -> Finished[T]:
    """Call a function in a worker thread, and wait for its end, even if the task is cancelled meanwhile."""
    return await _Call(function, args).to_the_end()
