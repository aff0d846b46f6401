"""Real signals at random moments, with handlers that raise."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

from support.adversary.interrupting import TimeLimit
from support.adversary.moments import can_be_interrupted

AGAIN = 2e-5
"""Seconds until the next try, if a signal comes where no library can do anything about it."""


class Storm:
    """Interrupts one function after the other. SIGALRM comes from a timer, SIGINT from another thread.

    Attributes:
        hits: how many signals there were.
        where: where the last one was.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._armed = False
        self._errors: list[type[BaseException]] = [KeyboardInterrupt, TimeLimit]
        self.hits = 0
        self.where = ""

    def __enter__(self) -> Storm:
        self._before = {number: signal.signal(number, self._handle) for number in (signal.SIGALRM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        self._armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def interrupt(self, function: Callable[[], None], seconds: float) -> None:
        """Call a function repeatedly, until a signal ends it within the time."""
        hits = self.hits
        delay = max(1e-6, self._rng.uniform(0, seconds))
        killer = threading.Thread(target=_kill, args=(delay,)) if self._rng.random() < 0.3 else None
        try:
            self._armed = True
            # Once more later: the first one may be swallowed, or come where it doesn't count
            signal.setitimer(signal.ITIMER_REAL, 0.2 if killer else delay, 0.2)
            if killer:
                killer.start()
            self._repeat(function)
        except BaseException:  # the interrupt, or an error that the library has made of it
            if self.hits == hits:
                raise
        finally:
            self._armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            if killer:
                killer.join()

    def _repeat(self, function: Callable[[], None]) -> None:
        # A function of its own: from 3.12 on, a `try` doesn't cover the jump at the end of a `while` inside it
        while self._armed:  # not any more if the exception went nowhere
            function()

    def _handle(self, _number: int, frame: FrameType | None) -> None:
        if not self._armed or frame is None:
            return
        # 3.10 looks for signals also where a handler begins, even if that is the call of an `__exit__`
        in_handler = sys.version_info < (3, 11) and sys.exc_info()[0] is not None
        if in_handler or not can_be_interrupted(frame):
            signal.setitimer(signal.ITIMER_REAL, AGAIN, 0.2)
            return
        self._armed = False
        self.hits += 1
        self.where = f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}"
        raise self._rng.choice(self._errors)("a signal")


def _kill(seconds: float) -> None:
    time.sleep(seconds)
    os.kill(os.getpid(), signal.SIGINT)
