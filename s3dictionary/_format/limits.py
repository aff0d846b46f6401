"""Checks a file at load for what can't be read later: integers with too many digits, and nesting that is too deep.

Almost no file has either, so a quick test decides whether a full check is needed.
"""

from __future__ import annotations

import re
from itertools import accumulate

from msgspec import Raw

from ..errors import CorruptFileError
from .scalars import MAX_DIGITS

MAX_NESTING_READ = 900
"""Levels of JSON that a value in a file may have. More than S3Dict itself writes, because another program may have
written the file, and fewer than the 1000 or so that Python's own reader takes."""

_DIGITS = b"0123456789"
_run = re.compile(rb"[0-9]*").match

# An unfinished string matches to the end of the file, so that each byte is examined only once
_STRING = rb'"[^"\\]*(?:\\.[^"\\]*)*"?'
_numbers = re.compile(_STRING + rb"|(?P<digits>[0-9]+)(?P<float>[.eE][0-9eE.+-]*)?", re.DOTALL).finditer
_brackets = re.compile(_STRING + rb"|[\[{]|[\]}]", re.DOTALL).finditer

_NO_OPENING = bytes(set(range(256)) - set(b"[{"))
_NO_STRUCTURE = bytes(set(range(256)) - set(b'[]{}"'))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_ROUNDS = 16
_OPENING = ord("[")


def check_integers(body: bytes) -> None:
    """Refuse integers that would take minutes to convert.

    Raises:
        CorruptFileError: the file has one; the message says where.
    """
    if not _has_long_run(body):
        return
    for found in _numbers(body):
        digits = found["digits"]
        if digits and len(digits) > MAX_DIGITS and not found["float"]:
            where = _place(body, found.start())
            raise CorruptFileError(f"an integer of {len(digits):,} digits, more than {MAX_DIGITS:,}: {where}")


def _has_long_run(body: bytes) -> bool:
    """Whether the file has more than `MAX_DIGITS` digits in a row. Such a run covers one of the positions tested."""
    for at in range(MAX_DIGITS, len(body), MAX_DIGITS):
        ahead = _run(body, at)
        if ahead and ahead[0]:
            before = body[at - MAX_DIGITS : at]
            if len(ahead[0]) + len(before) - len(before.rstrip(_DIGITS)) > MAX_DIGITS:
                return True
    return False


def is_deep(raw: Raw, levels: int) -> bool:
    """Whether a valid JSON text is nested more than this many levels deep."""
    if bytes(memoryview(raw)[:1]) == b'"':
        return False
    text = bytes(raw)
    if len(text.translate(None, _NO_OPENING)) <= levels:
        return False
    structure = _structure(text)
    for _ in range(_ROUNDS):  # each round removes the innermost level
        if not structure:
            return False
        structure = structure.replace(b"[]", b"")
    return max(accumulate(1 if sign == _OPENING else -1 for sign in structure), default=0) > levels - _ROUNDS


def _structure(text: bytes) -> bytes:
    """The brackets outside strings, with braces turned into square brackets."""
    return b"".join(signs_of(text).split(b'"')[::2]).translate(_ONE_KIND)


def signs_of(text: bytes) -> bytes:
    """The brackets and quotes of a text, without escaped quotes."""
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Two quotes in a row open and close a string, so dropping them changes nothing
    return text.translate(None, _NO_STRUCTURE).replace(b'""', b"")


def check_nesting(body: bytes, levels: int) -> None:
    """Refuse nesting that S3Dict couldn't write again.

    Raises:
        CorruptFileError: the file has more levels than this; the message says where.
    """
    depth = 0
    for found in _brackets(body):
        sign = found[0]
        if sign in (b"[", b"{"):
            depth += 1
            if depth > levels:
                raise CorruptFileError(f"nested too deeply: {_place(body, found.start())}")
        elif sign in (b"]", b"}"):
            depth -= 1


def _place(body: bytes, at: int) -> str:
    """A position in a file, worded as Python's own JSON reader does."""
    text = body[:at].decode(errors="replace")
    line = text.count("\n") + 1
    return f"line {line} column {len(text) - text.rfind(chr(10))} (char {len(text)})"
