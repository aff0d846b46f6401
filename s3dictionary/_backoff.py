"""The wait before the next attempt after a conflict."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import count

_FIRST, _LONGEST = 0.01, 1.0
_DOUBLED = 7
"""How often the wait doubles, until it is `_LONGEST`."""


def backoff() -> Iterator[float]:
    """Random seconds to wait after each failed attempt, so that the same writers don't meet again."""
    for attempt in count():
        yield random.uniform(0, min(_LONGEST, _FIRST * 2 ** min(attempt, _DOUBLED)))
