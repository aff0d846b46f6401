"""How long to wait before trying again what met somebody else's write."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import count

_FIRST, _LONGEST = 0.01, 1.0
_DOUBLED = 7
"""How often the longest wait is doubled, until it is `_LONGEST`."""


def backoff() -> Iterator[float]:
    """Seconds to wait after each attempt that failed: random, so that those who met don't meet again."""
    for attempt in count():
        yield random.uniform(0, min(_LONGEST, _FIRST * 2 ** min(attempt, _DOUBLED)))
