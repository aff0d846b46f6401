"""Reads a large object over several connections, because a single one uses only a part of the available bandwidth.

A plain GET comes first. The beginning is read from its answer, and the rest with GETs of ranges of the same version. If
one of these fails for any reason, the plain answer is read to its end.
"""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Iterable, Mapping
from contextlib import closing
from itertools import pairwise, takewhile
from queue import SimpleQueue
from typing import Any

from . import bodies
from .calls import beside, step
from .clients import is_real

log = logging.getLogger("s3dictionary")

BIG = 32_000_000
"""Largest object, in bytes, that is read over one connection."""

PART = 8_000_000
"""Fewest bytes for an additional connection."""

CONNECTIONS = 8
"""Most connections, including the first one."""


def read(client: Any, request: Mapping[str, Any], answer: Mapping[str, Any], limit: int) -> bytes:
    """Read the body of GetObject's answer, over several connections if it is large.

    Args:
        client: the client that sent the request.
        request: the arguments of the request.
        answer: the answer of GetObject.
        limit: the most bytes that it may have.

    Raises:
        TooLargeError: it has more than `limit` bytes.
    """
    length = answer.get("ContentLength") or 0
    if not BIG < length <= limit or answer.get("AcceptRanges") != "bytes" or not is_real(client):
        return bodies.read(answer, limit, step)
    count = min(CONNECTIONS, client.meta.config.max_pool_connections, -(-length // PART))
    bounds = [length * number // count for number in range(count + 1)]
    plain = {name: value for name, value in request.items() if name != "IfNoneMatch"}
    buffer = io.BytesIO(bytes(length))  # written to in place, so that the body is in memory only once
    with closing(answer["Body"]) as stream, buffer.getbuffer() as view:
        rest = _Rest(client, {**plain, "IfMatch": answer["ETag"]}, bounds[1:], view)
        with closing(rest):
            rest.start()
            _fill(view, 0, bounds[1], bodies.pieces(stream, step, bounds[1]))
            if not rest.is_complete():
                _fill(view, bounds[1], length, bodies.pieces(stream, step))
    return buffer.getvalue()


def _fill(view: memoryview, start: int, end: int, pieces: Iterable[bytes]) -> None:
    """Copy pieces into a part of a buffer, which they must fill."""
    for piece in pieces:
        view[start : start + len(piece)] = piece
        start += len(piece)
    if start != end:
        raise OSError(f"it ended {end - start} bytes too early")


class _Rest:
    """The rest of an object, read by threads with one connection each.

    Args:
        client: the client of all threads.
        request: the arguments of each request, besides its range.
        bounds: the bounds of the ranges. The last one is the object's length.
        view: where to put the object. Once it is released, the threads can't write there, and end at their next piece.
    """

    def __init__(self, client: Any, request: Mapping[str, Any], bounds: list[int], view: memoryview) -> None:
        self._client = client
        self._request = request
        self._ranges = list(pairwise(bounds))
        self._length = bounds[-1]
        self._view = view
        self._ends: SimpleQueue[bool] = SimpleQueue()
        self._closed = False

    def start(self) -> None:
        for start, end in self._ranges:
            thread = threading.Thread(target=beside(self._work), args=(start, end), name="s3dictionary", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no thread can be started, for example because Python is shutting down
                self._ends.put(False)
                return

    def is_complete(self) -> bool:
        """Wait for all ranges, or until one has failed."""
        complete = all(self._ends.get() for _ in self._ranges)
        if not complete:
            self.close()
        return complete

    def close(self) -> None:
        """Make the threads stop at their next piece."""
        self._closed = True

    def _work(self, start: int, end: int) -> None:
        complete = False
        try:
            complete = self._read(start, end)
        except Exception as error:  # noqa: BLE001  # the plain answer serves, or shows what is wrong
            log.debug("reading a range: %s", type(error).__name__)
        finally:
            self._ends.put(complete)

    def _read(self, start: int, end: int) -> bool:
        """Read one range. Returns whether it is complete."""
        answer = self._client.get_object(**self._request, Range=f"bytes={start}-{end - 1}")
        with closing(answer["Body"]) as stream:
            if answer["ContentRange"] != f"bytes {start}-{end - 1}/{self._length}":
                return False
            if answer["ETag"] != self._request["IfMatch"]:  # not every store checks the condition of a GET
                return False
            pieces = bodies.pieces(stream, step, end - start)
            _fill(self._view, start, end, takewhile(lambda _: not self._closed, pieces))
        return True
