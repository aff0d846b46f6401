"""Cancels a task at one of the moments at which it waits, and counts them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any


class CancelAt:
    """Awaits a coroutine in the task that awaits this, and cancels that as it waits for the so-manieth time.

    Attributes:
        count: how often it has waited so far.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any], number: int = 0) -> None:
        self._coroutine, self._number = coroutine, number
        self.count = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        step: Callable[[], Any] = lambda: self._coroutine.send(None)  # noqa: E731
        while True:
            try:
                waits_for = step()
            except StopIteration as stop:
                return stop.value
            self.count += 1
            if self.count == self._number:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            try:
                yield waits_for
            except BaseException as error:  # noqa: BLE001  # it is thrown where the coroutine waits
                step = lambda error=error: self._coroutine.throw(error)  # type: ignore[misc]  # noqa: E731
            else:
                step = lambda: self._coroutine.send(None)  # noqa: E731
