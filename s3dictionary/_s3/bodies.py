"""The bodies of objects: JSON with a unique number at the end, optionally compressed, with a limited size."""

from __future__ import annotations

import gzip
import io
import re
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..errors import CorruptFileError

PIECE = 1 << 20
"""Bytes to uncompress at a time."""

_FIRST, _LARGEST = 1 << 14, 1 << 18
"""Bytes to read at a time: at first, and when the connection is fast."""

_FAST = 0.1
"""Seconds within which a piece must arrive for the next one to be larger."""

_GZIP_MAGIC = b"\x1f\x8b"
_NUMBER, _CHECKSUM = 64, 32
"""Bits of a body's number, and of the checksum of what comes before it."""

_TO_BLANKS = bytes.maketrans(b"01", b" \t")
_FROM_BLANKS = bytes.maketrans(b" \t", b"01")
_ZEROS = re.compile(rb"\0*")


class TooLargeError(OSError):
    """The body has more bytes than allowed."""


def numbered(content: io.BytesIO, number: int) -> bytes:
    """Append white space that encodes a number, so that no two saves have the same bytes or ETag.

    It also encodes a checksum of the content, so that the number doesn't outlast an edit that keeps the white space.
    """
    with content.getbuffer() as view:
        bits = f"{number:0{_NUMBER}b}{zlib.crc32(view):0{_CHECKSUM}b}"
    content.seek(0, io.SEEK_END)
    content.write(bits.encode().translate(_TO_BLANKS) + b"\n")
    return content.getvalue()  # which copies nothing


def number_of(body: bytes) -> int | None:
    """The number at the end of a body; `None` if there is none, or it isn't that of this content."""
    length = len(body) - _NUMBER - _CHECKSUM - 1
    blanks, newline = body[length:-1], body[-1:]
    if length < 0 or newline != b"\n" or blanks.strip(b" \t"):
        return None
    bits = blanks.translate(_FROM_BLANKS)
    content = memoryview(body)[:length]
    return int(bits[:_NUMBER], 2) if zlib.crc32(content) == int(bits[_NUMBER:], 2) else None


def packed(content: bytes, *, compress: bool) -> bytes:
    return gzip.compress(content, compresslevel=6, mtime=0) if compress else content


def unpacked(body: bytes, limit: int) -> bytes:
    """The content, uncompressed if it is gzip.

    The first bytes decide, because gateways drop `ContentEncoding` or change it to `gzip,aws-chunked`. JSON can't begin
    with these bytes.

    Raises:
        CorruptFileError: it begins like gzip, but isn't valid.
        TooLargeError: it has more than `limit` bytes.
    """
    if not body.startswith(_GZIP_MAGIC):
        return body
    found, size = [], 0
    try:
        for piece in _gunzip(body, limit + 1):
            size += len(piece)
            if size > limit:
                raise TooLargeError(f"it has {size} bytes or more, more than max_size, {limit}, when uncompressed")
            found.append(piece)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise CorruptFileError(f"not valid gzip: {error}") from error
    return b"".join(found)


def _gunzip(body: bytes, limit: int) -> Iterator[bytes]:
    """Uncompress one gzip member after another, as `gzip.decompress` does, at most `limit` bytes at a time."""
    view, position = memoryview(body), 0
    while position < len(view):
        if body[position : position + 2] != _GZIP_MAGIC:
            raise gzip.BadGzipFile(f"something else follows at byte {position}")
        member = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        while not member.eof:
            if position == len(view):
                raise EOFError("it ends too early")
            data = view[position : position + PIECE]
            yield member.decompress(data, limit)
            position += len(data) - len(member.unconsumed_tail) - len(member.unused_data)
        padding = _ZEROS.match(body, position)
        position = padding.end() if padding else position


def read(answer: Any, limit: int, step: Callable[[], None] = lambda: None) -> bytes:
    """Read the body of GetObject's answer, as it was sent.

    Args:
        answer: the answer of GetObject.
        limit: the most bytes that it may have.
        step: called with each piece. The first one is small, to show progress on a slow connection.

    Raises:
        TooLargeError: it has more than `limit` bytes. At most one piece more than that was read.
    """
    stream, length = answer["Body"], answer.get("ContentLength")
    if length is not None and length > limit:
        stream.close()
        raise TooLargeError(f"it has {length} bytes, more than max_size, {limit}")
    try:
        return b"".join(_limited(pieces(stream, step), limit))
    except BaseException:
        stream.close()
        raise


def pieces(stream: Any, step: Callable[[], None], count: int | None = None) -> Iterator[bytes]:
    """Read a stream in pieces, which grow while the connection is fast.

    Args:
        stream: the stream to read.
        step: called before the first piece and after each.
        count: the most bytes to read; `None` for all.
    """
    piece_size, began, left = _FIRST, time.monotonic(), count
    step()
    while piece := stream.read(piece_size if left is None else min(piece_size, left)):
        yield piece
        step()
        now = time.monotonic()
        if now - began < _FAST:
            piece_size = min(2 * piece_size, _LARGEST)
        began = now
        if left is not None:
            left -= len(piece)


def _limited(pieces: Iterable[bytes], limit: int) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > limit:
            raise TooLargeError(f"it has {size} bytes or more, more than max_size, {limit}")
        yield piece
