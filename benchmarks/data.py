"""The records that everything is measured with."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

KEY = "user-000050"
"""The key of the record in tasks that read or edit only one."""


def record(number: int) -> dict[str, Any]:
    """A typical record of a user, with about 130 bytes of JSON."""
    return {
        "name": f"user {number}",
        "email": f"user{number}@example.com",
        "visits": number,
        "active": True,
        "score": number / 7,
        "tags": ["a", "b"],
    }


def records(count: int) -> dict[str, Any]:
    """A dict of this many records."""
    return {f"user-{number:06d}": record(number) for number in range(count)}


@lru_cache(maxsize=1)  # a million take a while
def body(count: int) -> bytes:
    """A file of this many records."""
    return json.dumps(records(count)).encode()
