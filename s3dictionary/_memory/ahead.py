"""Which values to decode along with one that is touched: the next ones, when keys are touched in their order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from .entries import MISSING

_MOST = 256


class ReadingAhead:
    """A run of keys that are touched in order, from the first one on.

    The longer the run, the more of the keys behind it are decoded together, up to as many as have been touched. So
    decoding costs at most twice what it costs for what is touched. Nothing but speed depends on what this knows.
    """

    def __init__(self) -> None:
        self._keys: Iterator[Any] = iter(())
        self._next: Any = MISSING
        self._size = 1

    def following(self, key: Any, keys: Mapping[Any, Any]) -> list[Any]:
        """The keys to decode along with one that is touched; none if it isn't the next one of a run.

        Args:
            key: the one that is touched.
            keys: all of them, in order.
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
        except RuntimeError:  # keys have been added or removed meanwhile
            self.stop()
            return []
        return run

    def stop(self) -> None:
        """End the run: what was touched so far says nothing of what comes."""
        self._next = MISSING


def _are_same(key: Any, other: Any) -> bool:
    """Are two keys the same str? Another one's methods may be anybody's code, which could touch the dict meanwhile."""
    return type(key) is str and type(other) is str and key == other
