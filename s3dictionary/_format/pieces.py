"""Splits a large file piece by piece, so that other threads can run in between. msgspec holds the GIL while it splits.

A piece ends at a comma between two members. If each piece is a valid object once it has braces, so is the whole file.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Raw

from .._yielding import is_beside_loop, let_loop_run
from .limits import signs_of
from .reading import UNREADABLE

SIZE = 1 << 18
"""Bytes of a piece. Splitting this many takes less than a millisecond."""

_WALK = 1 / 8
"""The share of a piece in which to search for its end. The search is slow, because it runs in Python."""

_splitter = msgspec.json.Decoder(dict[str, Raw])
_opening = re.compile(rb"[ \t\n\r]*\{").match
_rest_of_string = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL).match
_tokens = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[\]{},]', re.DOTALL).finditer


def split(body: bytes, size: int = SIZE) -> dict[str, Raw] | None:
    """Split a file in pieces, if an event loop waits for it.

    Args:
        body: the file.
        size: bytes of a piece.

    Returns:
            The file's members; `None` if the file is small, can't be split like this, or isn't valid.
    """
    opening = _opening(body)
    if not is_beside_loop.get() or len(body) < 2 * size or opening is None:
        return None
    members: dict[str, Raw] = {}
    start, view = opening.end(), memoryview(body)
    while start <= len(body):
        end = _end_of_piece(body, start, size)
        try:
            piece = _splitter.decode(b"".join((b"{", view[start:end], b"}" if end < len(body) else b"")))
        except UNREADABLE:
            return None
        if not piece:  # a comma without a member
            return None
        members.update(piece)
        start = end + 1
        let_loop_run()
    return members


def _end_of_piece(body: bytes, start: int, size: int) -> int:
    """The position of the comma that ends the piece which begins at `start`, or the length of the body."""
    depth, in_string, at = 0, False, start
    while len(body) - at > 2 * size:
        end = at + size
        while body[end - 1 : end] == b"\\":  # don't cut an escape in two
            end += 1
        depth, in_string = _after(body[at:end], depth, in_string)
        comma = _next_comma(body, end, end + int(size * _WALK), depth, in_string)
        if comma:
            return comma
        at = end
        let_loop_run()
    return len(body)


def _after(text: bytes, depth: int, in_string: bool) -> tuple[int, bool]:
    """The depth at the end of a text, and whether the end is inside a string."""
    signs = b'"' * in_string + signs_of(text)
    outside: Any = signs.split(b'"')
    brackets = b"".join(outside[::2])
    opened = brackets.count(b"[") + brackets.count(b"{")
    return depth + 2 * opened - len(brackets), len(outside) % 2 == 0


def _next_comma(body: bytes, at: int, stop: int, depth: int, in_string: bool) -> int | None:
    """The position of the next comma between members, from `at` up to `stop`; `None` if there is none."""
    if in_string:
        rest = _rest_of_string(body, at, stop)
        if rest is None:
            return None
        at = rest.end()
    for token in _tokens(body, at, stop):
        sign = token[0]
        if sign == b"," and depth == 0:
            return token.start()
        depth += 1 if sign in (b"[", b"{") else -1 if sign in (b"]", b"}") else 0
    return None
