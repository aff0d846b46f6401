"""Threads for tests: their results, and whether they wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")

LONG_ENOUGH = 5
"""Seconds after which a thread that should go on is taken for one that waits for ever."""


class InThread(Generic[T]):
    """A function call in a new thread."""

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
        """Whether the call is still running after some time."""
        self._thread.join(seconds)
        return self._thread.is_alive()

    def result(self) -> Any:
        """The function's result. Raises its exception."""
        assert not self.is_waiting(LONG_ENOUGH), "the thread waits for ever"
        error, self._error = self._error, None
        if error is not None:
            raise error
        return self._given


def in_thread(function: Callable[[], T]) -> Any:
    """The result of a function in another thread."""
    return InThread(function).result()
