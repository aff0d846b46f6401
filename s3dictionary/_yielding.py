"""Lets an event loop continue while a worker thread does long work that holds the GIL."""

from __future__ import annotations

import time
from contextvars import ContextVar

is_beside_loop = ContextVar("is_beside_loop", default=False)
"""Whether an event loop waits for the work in this context."""

_MOMENT = 0.00005
"""Seconds to sleep. With 0, this thread would often get the GIL back before another one has woken up."""


def let_loop_run() -> None:
    """Release the GIL for a moment if an event loop waits for this work.

    Python itself lets another thread run only after its switch interval, which is 5 ms and the same for all threads.
    """
    if is_beside_loop.get():
        time.sleep(_MOMENT)
