"""A progress bar for bodies of more than a few MB, on a terminal, with tqdm (extra `cli`)."""

from __future__ import annotations

import io
import sys
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LARGE = 4 * 1024 * 1024
"""Smallest body, in bytes, that has a bar."""

_CHUNK = 256 * 1024


def is_wanted() -> bool:
    """Whether standard error is a terminal, and tqdm is installed."""
    return sys.stderr is not None and sys.stderr.isatty() and find_spec("tqdm") is not None


def show(client: S3Client) -> None:
    """Make a client show its progress."""
    client.meta.events.register("after-call.s3.GetObject", _watch_answer)
    client.meta.events.register("before-send.s3.PutObject", _watch_request)


_loading: list[Any] = []
"""The bar of the last load. Ranges, which are read over other connections, advance the same bar."""


def _watch_answer(parsed: dict[str, Any], **_: Any) -> None:
    if "Body" in parsed and "ContentRange" in parsed:
        parsed["Body"] = _Watched(parsed["Body"], _loading[-1], is_whole=False)
    elif "Body" in parsed and parsed.get("ContentLength", 0) > LARGE:
        _loading[:] = [_bar(parsed["ContentLength"], "Loading")]
        parsed["Body"] = _Watched(parsed["Body"], _loading[-1])


def _watch_request(request: Any, **_: Any) -> None:
    """Show a bar for a large upload. botocore calls this for each attempt, with a new request."""
    headers = request.headers
    size = int(headers.get("X-Amz-Decoded-Content-Length") or headers.get("Content-Length") or 0)
    if size > LARGE:
        body = request.body
        body = io.BytesIO(body) if isinstance(body, (bytes, bytearray)) else body
        request.body = _Watched(body, _bar(size, "Saving"))


def _bar(size: int, what: str) -> Any:
    """A new bar; `None` if the terminal was closed."""
    from tqdm import tqdm

    with suppress(OSError):
        return tqdm(total=size, desc=what, unit="B", unit_scale=True, unit_divisor=1024, leave=False)
    return None


class _Watched:
    """A body that advances a bar as it is read."""

    def __init__(self, body: Any, bar: Any, *, is_whole: bool = True) -> None:
        self._body = body
        self._bar = bar
        self._is_whole = is_whole

    def read(self, size: int | None = None) -> bytes:
        if size is not None and size >= 0:
            return self._read(size)
        return b"".join(iter(lambda: self._read(_CHUNK), b""))

    def _read(self, size: int) -> bytes:
        try:
            data: bytes = self._body.read(size)
        except BaseException:
            self._end()
            raise
        self._show("update", len(data))
        if not data and size:
            self._end()
        return data

    def close(self) -> None:
        self._end()
        self._body.close()

    def _end(self) -> None:
        if self._is_whole:
            self._show("close")

    def _show(self, change: str, *arguments: int) -> None:
        if self._bar is not None:
            with suppress(OSError):  # a closed terminal mustn't make the request fail
                getattr(self._bar, change)(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)
