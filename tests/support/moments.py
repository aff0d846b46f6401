"""Steps in at the moments at which Python may let another thread run while the format package is at work.

They are where one of its functions begins, and where a built-in one that it has called returns.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from s3dictionary import _format

_PACKAGE = os.path.dirname(_format.__file__ or "") + os.sep  # noqa: PTH120


def at_moments(actions: dict[int, Callable[[], Any]], function: Callable[[], Any]) -> tuple[Any, int]:
    """Call a function, and each action at the moment of its number, from 1 on.

    Returns:
        What the function returns, and how many moments there were; those after the last action aren't counted.
    """
    seen, last = 0, max(actions, default=0)

    def look(frame: FrameType, event: str, _: Any) -> None:
        nonlocal seen
        if event in ("call", "c_return") and frame.f_code.co_filename.startswith(_PACKAGE):
            seen += 1
            if seen == last:
                sys.setprofile(None)
            action = actions.get(seen)
            if action is not None:
                action()

    sys.setprofile(look)
    try:
        result = function()
    finally:
        sys.setprofile(None)
    return result, seen
