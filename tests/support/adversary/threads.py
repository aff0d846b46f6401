"""Threads of tests: what one gives, and whether it has to wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")

LONG_ENOUGH = 5
"""Seconds after which a thread that should go on is taken for one that waits for ever."""


class InThread(Generic[T]):
    """A function's call in a thread of its own."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._given: T | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._call, daemon=True)
        self._thread.start()

    def _call(self) -> None:
        try:
            self._given = self._function()
        except BaseException as error:  # noqa: BLE001  # it is raised where the result is asked for
            self._error = error

    def is_waiting(self, seconds: float) -> bool:
        """Is it still at it after so long?"""
        self._thread.join(seconds)
        return self._thread.is_alive()

    def result(self) -> Any:
        """What the function gave, or raise what it raised."""
        assert not self.is_waiting(LONG_ENOUGH), "the thread waits for ever"
        error, self._error = self._error, None
        if error is not None:
            raise error
        return self._given


def in_thread(function: Callable[[], T]) -> Any:
    """What a function gives in another thread."""
    return InThread(function).result()
