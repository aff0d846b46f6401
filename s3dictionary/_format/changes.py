"""Which values have changed, and what to write: the file's own text where a value is still the one that it stands for.

Text is compared first, then plain values, and only if those are equal how they would be written: 1, 1.0 and True are
equal, but not the same, and the order of keys counts.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import compress
from operator import eq, is_
from typing import Any, NamedTuple

from msgspec import Raw

from .._collector import collector_paused
from ..errors import CorruptFileError, NotStorableError
from .encoding import canonical, decode_together, encode, encode_batch
from .reading import decode, is_tagged
from .types import BUILT_IN, Types


class Touched(NamedTuple):
    """Values, and what the file holds in their place, side by side.

    Attributes:
        keys: whose values they are, for the error message.
        values: the values.
        raws: for each the text that the file holds; `None` if it holds none.
        written: for each how the value that the file holds is written here, which may be spelled otherwise; `None` if
            that isn't known.
    """

    keys: list[Any]
    values: list[Any]
    raws: list[Raw | None]
    written: list[Raw | None]

    @classmethod
    def of(cls, keys: list[Any], values: list[Any], raws: list[Raw | None]) -> Touched:
        """Those of which nothing more is known."""
        return cls(keys, values, raws, [None] * len(keys))

    def part(self, start: int, stop: int) -> Touched:
        """Those from one place to another."""
        return Touched(*[column[start:stop] for column in self])


_AT_ONCE = 256


def encode_changes(touched: Touched, types: Types = BUILT_IN) -> list[Raw]:
    """Write many values, and keep the texts of those that haven't changed.

    Returns:
        For each value the very text that the file holds, if it stands for just this value, however it is spelled.
        Otherwise a new one.

    Raises:
        NotStorableError: one of the values can't be stored.
    """
    members: list[Raw] = []
    for start in range(0, len(touched.keys), _AT_ONCE):
        part = touched.part(start, start + _AT_ONCE)
        with collector_paused():  # what is made here is compared, and gone again
            members += _encode_part(part, types)
    return members


def _encode_part(part: Touched, types: Types) -> list[Raw]:
    try:
        return _encode_together(part, types)
    except NotStorableError:
        if len(part.keys) > 1:
            return [text for at in range(len(part.keys)) for text in _encode_part(part.part(at, at + 1), types)]
        [value], [raw] = part.values, part.raws
        if raw is None or not _is_still(raw, value, types):
            raise
        return [raw]


def _is_still(raw: Raw, value: Any, types: Types) -> bool:
    """Does a value equal what the file holds? Files may be nested more deeply than what is written here."""
    try:
        pairs = [(decode(raw, types), value)]
    except CorruptFileError:
        return False
    for read, held in pairs:  # it grows meanwhile
        if type(read) is not type(held):
            return False
        if type(read) is dict:
            if list(read) != list(held) or list(map(type, read)) != list(map(type, held)):
                return False
            pairs += zip(read.values(), held.values(), strict=True)
        elif type(read) is list:
            if len(read) != len(held):
                return False
            pairs += zip(read, held, strict=True)
        elif read != held or repr(read) != repr(held):
            return False
    return True


def _encode_together(part: Touched, types: Types) -> list[Raw]:
    before: list[Any] = [raw if text is None else text for raw, text in zip(part.raws, part.written, strict=True)]
    texts = encode_batch(part.keys, part.values, types, None if None in before else before)
    if texts is before:
        return list(part.raws)  # type: ignore[arg-type]  # none of them is `None`
    for index, raw in _unchanged(part, texts, types).items():
        texts[index] = raw
    return texts


def remember(raw: Raw, value: Any, types: Types) -> None:
    """Note how a value that was just made of a file's text is written, so that it isn't taken for changed."""
    with suppress(NotStorableError):
        text = encode(value, types=types)
        if text != bytes(raw):
            types.as_read[id(raw)] = raw, text


def any_change(touched: Touched, types: Types = BUILT_IN) -> bool:
    """Is there a value that isn't what the file holds? One that can't be stored is.

    Stops soon after the first one.
    """
    if None in touched.raws:
        return True
    start, size = 0, 1
    while start < len(touched.keys):
        part = touched.part(start, start + size)
        try:
            if not all(map(is_, encode_changes(part, types), part.raws)):
                return True
        except NotStorableError:
            return True
        start, size = start + size, min(2 * size, _AT_ONCE)
    return False


def _unchanged(part: Touched, texts: list[Raw], types: Types) -> dict[int, Raw]:
    """The file's texts that still hold, by their place in a batch."""
    kept: dict[int, Raw] = {}
    differing: dict[int, Raw] = {}
    for index, (raw, written, text) in enumerate(zip(part.raws, part.written, texts, strict=True)):
        if raw is None or (written is not None and written != text):
            continue
        (kept if written is not None or raw == text else differing)[index] = raw
    fresh = decode_together(list(differing.values())) if differing else None
    if fresh is None:
        return kept | {index: raw for index, raw in differing.items() if _stands_for(raw, texts[index], types)}
    same = map(eq, fresh.written, map(texts.__getitem__, differing))
    return kept | dict(compress(differing.items(), same))


def _stands_for(raw: Raw, text: Raw, types: Types) -> bool:
    """Does the file's text stand for the same as one that was written here?"""
    if id(raw) in types.as_read and types.as_read[id(raw)] == (raw, bytes(text)):
        return True
    try:
        if types.given and is_tagged(raw):  # equality is up to a class, so it says nothing
            return encode(decode(raw, types), types=types) == bytes(text)
        # Written again only if need be: that takes longer. What is equal only to itself has a "nan" in its text
        if b"nan" not in bytes(text).lower() and decode(raw) != decode(text):
            return False
        return canonical(raw) == bytes(text)
    except (CorruptFileError, NotStorableError, RecursionError):  # written here, so what is new can be read at least
        return False
