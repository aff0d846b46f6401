"""Is there an order in which one register would have answered all of it like this?

The search is Wing and Gong's ("Testing and verifying concurrent objects", 1993), with Lowe's memory of what has been
tried ("Testing for linearizability", 2017). A history of several registers is linearizable if that of each one is.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from enum import Enum


class Nothing(Enum):
    """The type of `NOTHING`."""

    NOTHING = "NOTHING"


NOTHING = Nothing.NOTHING
"""Stands for a value that an operation didn't read or write."""

UNKNOWN = math.inf
"""When an operation ended of which nobody knows whether it took effect, or whether it will yet."""

STEPS = 1_000_000


@dataclass(frozen=True)
class Operation:
    """A read has `saw`, a write has `wrote`, and a compare-and-swap has both."""

    began: float
    ended: float
    saw: Hashable = NOTHING
    wrote: Hashable = NOTHING


def is_linearizable(history: Iterable[Operation], initial: Hashable = None) -> bool:
    """Do operations that take effect at one moment each, between begin and end, explain what was seen?

    Raises:
        RuntimeError: that can't be told in a million steps.
    """
    operations = _relevant(list(history))
    certain = sum(1 << number for number, operation in enumerate(operations) if operation.ended != UNKNOWN)
    ahead: list[tuple[int, Hashable]] = [(0, initial)]
    tried = set(ahead)
    for _ in range(STEPS):
        if not ahead:
            return False
        done, value = ahead.pop()
        if done & certain == certain:
            return True
        for number in _next(operations, done, value):
            wrote = operations[number].wrote
            state = (done | 1 << number, value if wrote is NOTHING else wrote)
            if state not in tried:
                tried.add(state)
                ahead.append(state)
    raise RuntimeError(f"{STEPS:,} steps were not enough for {len(operations)} operations")


def _relevant(operations: list[Operation]) -> list[Operation]:
    """The operations in order of their beginning, without writes of unknown outcome that nobody saw."""
    seen = {operation.saw for operation in operations}
    kept = [operation for operation in operations if operation.ended != UNKNOWN or operation.wrote in seen]
    return sorted(kept, key=lambda operation: operation.began)


def _next(operations: list[Operation], done: int, value: Hashable) -> list[int]:
    """The operations that can come next: they began before any remaining one had ended, and saw the current value."""
    left = [number for number in range(len(operations)) if not done >> number & 1]
    deadline = min(operations[number].ended for number in left)
    possible = []
    for number in left:
        operation = operations[number]
        if operation.began > deadline:
            break
        if operation.saw is NOTHING or operation.saw == value:
            if operation.wrote is NOTHING:  # changes nothing, so now is as good as later
                return [number]
            possible.append(number)
    return possible[::-1]  # the last one is tried first
