"""Worker threads that go on only when they are told to, one at a time. So a test decides what overlaps.

They stop before each request and before each answer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from support.adversary.threads import LONG_ENOUGH


class Worker:
    """Stands in for `threading.Thread`. It runs from one stop to the next.

    Attributes:
        stop: the request or answer that it has stopped at, such as "before PutObject"; "" at its begin.
        has_ended: it has nothing to do any more.
    """

    def __init__(self, workers: Workers, target: Callable[[], None]) -> None:
        self.stop = ""
        self.has_ended = False
        self._fault: Exception | None = None
        self._may_go_on, self._has_stopped = threading.Semaphore(0), threading.Semaphore(0)
        self._workers, self._target = workers, target
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._workers.waiting.append(self)

    def _work(self) -> None:
        self._may_go_on.acquire()
        self._workers.by_thread[threading.get_ident()] = self
        try:
            self._target()
        finally:
            del self._workers.by_thread[threading.get_ident()]
            self.has_ended = True
            self._workers.waiting.remove(self)
            self._has_stopped.release()

    def go_on(self, fault: Exception | None = None) -> None:
        """Let it run to its next stop; with a fault, this is raised where it has stopped."""
        self._fault = fault
        self._may_go_on.release()
        assert self._has_stopped.acquire(timeout=LONG_ENOUGH), f"a worker waits for ever after {self.stop!r}"

    def stop_at(self, place: str) -> None:
        self.stop = place
        self._has_stopped.release()
        self._may_go_on.acquire()
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault


class Workers:
    """The worker threads of one test.

    Attributes:
        waiting: those that haven't ended.
        by_thread: those that have begun, by the ids of their threads.
    """

    def __init__(self) -> None:
        self.waiting: list[Worker] = []
        self.by_thread: dict[int, Worker] = {}

    @property
    def threading(self) -> Any:
        """A module to take the place of `threading` where threads are made."""
        return SimpleNamespace(**{**vars(threading), "Thread": self._thread})

    def _thread(self, target: Callable[[], None], **_: object) -> Worker:
        return Worker(self, target)

    def stop_at(self, place: str) -> None:
        """Stop, if this is the thread of a worker."""
        worker = self.by_thread.get(threading.get_ident())
        if worker is not None:
            worker.stop_at(place)
