"""How much the tests with many writers do, and the seed of what they do at random.

`S3DICT_STRESS=1` has them do much more. `S3DICT_SEED=…`, which a failing test prints, has them do the same again, as
far as that can be said of several processes.
"""

from __future__ import annotations

import os
import random
from typing import TypeVar

T = TypeVar("T", int, float)

LONG = os.environ.get("S3DICT_STRESS", "0") not in ("", "0")
SEED = int(os.environ.get("S3DICT_SEED") or random.SystemRandom().randrange(2**32))
TIME_LIMIT = 1800 if LONG else 120
"""Seconds a test."""


def times(quick: T, long: T) -> T:
    return long if LONG else quick


def seeded() -> random.Random:
    """A random generator for one test. Prints its seed, which pytest shows if the test fails."""
    print(f"S3DICT_SEED={SEED}")
    return random.Random(f"{SEED} {os.environ.get('PYTEST_CURRENT_TEST', '').partition(' ')[0]}")
