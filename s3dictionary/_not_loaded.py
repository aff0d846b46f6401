"""What stands in for a dict's memory before its first load."""

from __future__ import annotations

from typing import Any

from ._memory import Memory
from .errors import TransactionError


class NotLoaded(Memory):
    """Whoever looks into it is told to load first."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__") and name != "__getstate__":
            return object.__getattribute__(self, name)
        uri = object.__getattribute__(self, "__dict__")["_uri"]
        raise TransactionError(f"{uri} hasn't been loaded yet. Use `await d.load()` or `async with d:` first.")
