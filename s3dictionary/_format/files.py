"""Splits a file into its members, each still JSON text, and joins them again."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterable
from itertools import islice
from typing import Any

import msgspec
from msgspec import Raw

from .._collector import collector_paused
from ..errors import CorruptFileError, NotStorableError
from . import fallback, limits, pieces
from .limits import MAX_NESTING_READ
from .readers import arrange
from .reading import UNREADABLE, decode, decode_leniently, is_foreign, looks_tagged, without_entries
from .scalars import ENTRIES
from .types import BUILT_IN, Types
from .writing import place, write_object

Members = dict[Any, Raw]
"""A file's keys, each with the JSON text of its value."""

_encoder = msgspec.json.Encoder()
_splitter = msgspec.json.Decoder(dict[str, Raw])
_array_splitter = msgspec.json.Decoder(list[list[Raw]])

_AT_ONCE = 5_000
"""Members to encode at once. They are in memory twice, and no other thread runs meanwhile."""

_ENTRY = 2
"""Levels of JSON that `py/dict` takes around a value."""


def split(body: bytes, types: Types = BUILT_IN) -> Members:
    """Split a file into its members, without building their values.

    Raises:
        CorruptFileError: the file isn't a JSON object in UTF-8, or part of it can't be read; the message says why and
            where.
    """
    body = body.removeprefix(codecs.BOM_UTF8)
    _check_utf8(body)
    limits.check_integers(body)
    try:
        members: Members = pieces.split(body) or _split_at_once(body)
    except UNREADABLE:
        limits.check_nesting(body, MAX_NESTING_READ + _ENTRY + 1)
        members = fallback.members(body.decode())
    found = _split_entries(body, members, types)
    _check_nesting(body, found, 0 if found is members else _ENTRY)
    return found


def decode_all(body: bytes, types: Types = BUILT_IN) -> dict[Any, Any]:
    """Everything in a file. Content that its class rejects is left as a plain dict."""
    try:
        members = split(body, types)
    except CorruptFileError:  # a class has rejected a key
        members = split(body)
    return {key: decode_leniently(raw, types) for key, raw in members.items()}


def _check_nesting(body: bytes, members: Members, around: int) -> None:
    """Refuse values that are nested too deeply. `around` counts the levels that `py/dict` puts around some of them."""
    shortest = 2 * MAX_NESTING_READ  # a text with this many levels can't be shorter
    if len(body) <= shortest:
        return
    raws: Iterable[Any] = members.values()  # whose length msgspec's type hints lack
    if max(map(len, raws), default=0) <= shortest:
        return
    long = [raw for raw in raws if len(raw) > shortest]
    if any(limits.is_deep(raw, MAX_NESTING_READ) for raw in long):
        limits.check_nesting(body, MAX_NESTING_READ + around + 1)
        limits.check_nesting(body, MAX_NESTING_READ + 1)


def join(members: Members, types: Types = BUILT_IN) -> bytes:
    """Join members to a file.

    Raises:
        NotStorableError: a key can't be stored.
    """
    return join_in_buffer(members, types).getvalue()


def join_in_buffer(members: Members, types: Types = BUILT_IN) -> io.BytesIO:
    """The same in a buffer, to which more can be appended without a second copy of the file in memory."""
    foreign = ENTRIES in members and is_foreign({ENTRIES: decode(members[ENTRIES])})
    foreign = foreign and set(map(type, members)) <= {str}
    if foreign or (set(map(type, members)) <= {str} and not looks_tagged(members, types)):
        try:
            return _join_names(members)
        except UnicodeEncodeError:  # a lone surrogate in a key
            pass
    try:
        return io.BytesIO(write_object(list(members), map(bytes, members.values()), (), types=types, foreign=foreign))
    except NotStorableError as error:
        raise place(error, types)  # noqa: B904  # it is the same one


def _join_names(members: Members) -> io.BytesIO:
    buffer, items = io.BytesIO(), iter(members.items())
    separator = b"{"
    while part := dict(islice(items, _AT_ONCE)):
        buffer.write(separator)
        buffer.write(memoryview(_encoder.encode(part))[1:-1])
        separator = b","
    buffer.write(b"}" if members else b"{}")
    return buffer


def _split_at_once(body: bytes) -> Members:
    with collector_paused():
        members: Members = _splitter.decode(body)
        return members


def _check_utf8(body: bytes) -> None:
    """Check the whole file, because the splitter doesn't look into strings."""
    if body.isascii():
        return
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise CorruptFileError(f"not UTF-8: {error.reason} at byte {error.start}") from error


def _split_entries(body: bytes, members: Members, types: Types) -> Members:
    """Split the member `py/dict`, which has the keys that can't be names, with their values."""
    if ENTRIES not in members:
        return members
    try:
        named, raw = without_entries(members)
        arrays = _arrays(body, raw)
        if not named:
            return {decode(key, types): value for key, value in arrays}
        return arrange(named, [[decode(key, types), value, *map(decode, rest)] for key, value, *rest in arrays])
    except CorruptFileError:
        raise
    except (TypeError, ValueError):  # the member has another form, or a key that isn't hashable
        return members


def _arrays(body: bytes, raw: Raw) -> list[list[Raw]]:
    try:
        return _array_splitter.decode(raw)
    except UNREADABLE:
        # How deep Python's own reader gets depends on its version and on the stack that is left
        limits.check_nesting(body, MAX_NESTING_READ + _ENTRY + 1)
        return fallback.arrays(bytes(raw).decode())
