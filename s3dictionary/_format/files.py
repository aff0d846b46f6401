"""A file as its members, each still JSON text, and back."""

from __future__ import annotations

import codecs
import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from msgspec import Raw

from ..errors import CorruptFileError
from . import cutting, limits
from .limits import MAX_NESTING_READ
from .reading import UNREADABLE, decode, looks_tagged
from .writing import write_object

Members = dict[Any, Raw]
"""A file's keys, and the JSON text of each one's value."""

_encoder = msgspec.json.Encoder()
_splitter = msgspec.json.Decoder(dict[str, Raw])
_pair_splitter = msgspec.json.Decoder(list[tuple[Raw, Raw]])

_PAIRS = 2
"""Levels of JSON that `py/dict` takes around a value."""


def split(body: bytes) -> Members:
    """Split a file into its members, without building their values.

    Raises:
        CorruptFileError: it isn't a JSON object in UTF-8, or holds what can't be read; the message says why and where.
    """
    body = body.removeprefix(codecs.BOM_UTF8)
    _check_utf8(body)
    limits.check_integers(body)
    try:
        with _collector_paused():
            members: Members = _splitter.decode(body)
    except UNREADABLE:
        limits.check_nesting(body, MAX_NESTING_READ + _PAIRS + 1)
        members = cutting.members(body.decode())
    # Before anything is read: how deep the readers get depends on the Python, and on the stack that is left
    _check_nesting(body, members, MAX_NESTING_READ + (_PAIRS if _may_be_pairs(members) else 0))
    return _split_pairs(members)


def _check_nesting(body: bytes, members: Members, levels: int) -> None:
    shortest = 2 * levels  # that so deep a text can be
    if len(body) <= shortest:
        return
    views: Iterable[memoryview] = map(memoryview, members.values())
    if max(map(len, views), default=0) <= shortest:
        return
    long = [raw for raw in members.values() if len(memoryview(raw)) > shortest]
    if any(limits.is_deep(raw, levels) for raw in long):
        limits.check_nesting(body, levels + 1)


def join(members: Members) -> bytes:
    """Put a file together from its members.

    Raises:
        NotStorableError: a key can't be stored.
    """
    if set(map(type, members)) <= {str} and not looks_tagged(members):
        try:
            return _encoder.encode(members)
        except UnicodeEncodeError:  # a lone surrogate in a key
            pass
    return write_object(list(members), map(bytes, members.values()), ())


@contextmanager
def _collector_paused() -> Iterator[None]:
    """A collection in the middle of making 100,000 members finds nothing, and takes half as long again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _check_utf8(body: bytes) -> None:
    """The splitter doesn't look into strings, so bytes that aren't UTF-8 would be found only when they are touched."""
    if body.isascii():
        return
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise CorruptFileError(f"not UTF-8: {error.reason} at byte {error.start}") from error


def _may_be_pairs(members: Members) -> bool:
    return members.keys() == {"py/dict"}


def _split_pairs(members: Members) -> Members:
    """A dict with keys that aren't all str is one `py/dict` member; its pairs are split in turn."""
    if not _may_be_pairs(members):
        return members
    try:
        return {decode(key): raw for key, raw in _pairs(members["py/dict"])}
    except TypeError:  # not a list of pairs, or a key that can't be one
        return members


def _pairs(raw: Raw) -> list[tuple[Raw, Raw]]:
    try:
        return _pair_splitter.decode(raw)
    except UNREADABLE:
        return cutting.pairs(bytes(raw).decode())
