"""Reading ahead: when keys are touched in order, decodes the next values together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import compress, islice
from operator import is_
from typing import Any

from msgspec import Raw

from .entries import MISSING, Decoded, Entry

_MOST = 256


class ReadingAhead:
    """A run of keys that are touched in order, beginning with the first key.

    The longer the run, the more of the following keys are decoded together, but never more than have been touched. So
    decoding costs at most twice as much as without. Affects only speed.
    """

    def __init__(self) -> None:
        self._keys: Iterator[Any] = iter(())
        self._next: Any = MISSING
        self._size = 1

    def following(self, key: Any, keys: Mapping[Any, Any]) -> list[Any]:
        """The keys to decode together with a touched one; none if that isn't the next one of a run.

        Args:
            key: the touched key.
            keys: all keys, in order.
        """
        try:
            if _are_same(key, self._next):
                self._size = min(2 * self._size, _MOST)
            elif _are_same(key, next(iter(keys), MISSING)):
                self._keys, self._size = iter(keys), 1
                next(self._keys, MISSING)
            else:
                return []
            run = [following for following in islice(self._keys, self._size - 1) if type(following) is str]
            self._next = next(self._keys, MISSING)
        except RuntimeError:  # keys were added or removed meanwhile
            self.stop()
            return []
        return run

    def stop(self) -> None:
        """End the run: the keys touched so far don't predict the next ones."""
        self._next = MISSING


def _are_same(key: Any, other: Any) -> bool:
    """Whether two keys are the same str. Never calls another type's `__eq__`, which may run code that uses the dict."""
    return type(key) is str and type(other) is str and key == other


def unread(
    items: dict[Any, Entry], keys: list[Any], awake: list[Decoded], raws: list[Raw]
) -> Iterable[tuple[Any, Decoded]]:
    """The decoded entries whose text is still in `items` when the iterator reaches them.

    `dict.update` consumes this in one step, without any Python code, so no signal handler can run in between.
    """
    return compress(zip(keys, awake, strict=True), map(is_, map(items.get, keys), raws))
