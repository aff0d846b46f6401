"""Who changes a dict: a task, a thread, or a worker thread on behalf of one of these."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import Any

_acting_for: dict[int, Any] = {}
"""The owners on whose behalf worker threads act, by the threads' ids."""


def current_owner() -> Any:
    """The caller: in asyncio the task, otherwise the id of the thread."""
    if _acting_for and get_ident() in _acting_for:
        return _acting_for[get_ident()]
    asyncio = sys.modules.get("asyncio")
    loop = None if asyncio is None else asyncio._get_running_loop()
    task = None if asyncio is None or loop is None else asyncio.current_task(loop)
    return get_ident() if task is None else task


@contextmanager
def acting_for(owner: Any) -> Iterator[None]:
    """Let this worker thread act for an owner, so that the owner's own turn isn't taken for somebody else's."""
    _acting_for[get_ident()] = owner
    try:
        yield
    finally:
        del _acting_for[get_ident()]
