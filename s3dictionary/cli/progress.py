"""A progress bar for what takes a while: bodies of more than a few MB, on a terminal, with tqdm (extra `cli`)."""

from __future__ import annotations

import io
import sys
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LARGE = 4 * 1024 * 1024
"""Bytes from which on a body has a bar."""

_CHUNK = 256 * 1024


def is_wanted() -> bool:
    """Is there somebody to see it, and tqdm to show it with?"""
    return sys.stderr is not None and sys.stderr.isatty() and find_spec("tqdm") is not None


def show(client: S3Client) -> None:
    """Have a client show what it is at."""
    client.meta.events.register("after-call.s3.GetObject", _watch_answer)
    client.meta.events.register("before-send.s3.PutObject", _watch_request)


def _watch_answer(parsed: dict[str, Any], **_: Any) -> None:
    if "Body" in parsed and parsed.get("ContentLength", 0) > LARGE:
        parsed["Body"] = _Watched(parsed["Body"], parsed["ContentLength"], "Loading")


def _watch_request(request: Any, **_: Any) -> None:
    """Botocore calls this for each attempt, with a request of its own."""
    headers = request.headers
    size = int(headers.get("X-Amz-Decoded-Content-Length") or headers.get("Content-Length") or 0)
    if size > LARGE:
        body = request.body
        request.body = _Watched(io.BytesIO(body) if isinstance(body, (bytes, bytearray)) else body, size, "Saving")


class _Watched:
    """A body that moves a bar on as it is read; otherwise as it is."""

    def __init__(self, body: Any, size: int, what: str) -> None:
        from tqdm import tqdm

        self._body = body
        self._bar: Any = None
        with suppress(OSError):  # a terminal that has gone is no reason for a request to fail
            self._bar = tqdm(total=size, desc=what, unit="B", unit_scale=True, unit_divisor=1024, leave=False)

    def read(self, size: int | None = None) -> bytes:
        if size is not None and size >= 0:
            return self._read(size)
        return b"".join(iter(lambda: self._read(_CHUNK), b""))

    def _read(self, size: int) -> bytes:
        try:
            data: bytes = self._body.read(size)
        except BaseException:
            self._show("close")
            raise
        self._show("update", len(data))
        if not data:
            self._show("close")
        return data

    def _show(self, change: str, *arguments: int) -> None:
        if self._bar is not None:
            with suppress(OSError):
                getattr(self._bar, change)(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)
