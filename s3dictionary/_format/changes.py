"""Finds which values have changed. An unchanged value keeps the JSON text that the file has for it.

Compares texts first, then plain values. If the values are equal, it compares how they would be written, because 1, 1.0
and True are equal but not the same, and the order of keys counts.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import compress
from operator import eq, is_
from typing import Any, NamedTuple

from msgspec import Raw

from .._collector import collector_paused
from ..errors import CorruptFileError, NotStorableError
from .encoding import canonical, decode_together, encode, encode_batch, split_batch
from .plain import write_unshared
from .reading import decode, is_tagged
from .types import BUILT_IN, Types


class Touched(NamedTuple):
    """Touched values, and what the file holds for them, side by side.

    Attributes:
        keys: the keys of the values, for the error message.
        values: the values.
        raws: the text that the file holds for each value; `None` if it holds none.
        written: the text that this library writes for what the file holds, which may be spelled differently; `None` if
            it isn't known.
    """

    keys: list[Any]
    values: list[Any]
    raws: list[Raw | None]
    written: list[Raw | None]

    @classmethod
    def of(cls, keys: list[Any], values: list[Any], raws: list[Raw | None]) -> Touched:
        """Values whose `written` texts aren't known."""
        return cls(keys, values, raws, [None] * len(keys))

    @property
    def before(self) -> list[Raw] | None:
        """The texts that this library writes for what the file holds, as far as known; `None` if it lacks a value."""
        texts: list[Any] = self.written
        if type(None) in set(map(type, texts)):
            texts = [raw if text is None else text for raw, text in zip(self.raws, self.written, strict=True)]
        return None if type(None) in set(map(type, texts)) else texts

    def part(self, start: int, stop: int) -> Touched:
        """A slice of each of the lists."""
        return Touched(*[column[start:stop] for column in self])


_AT_ONCE = 256


def encode_changes(touched: Touched, types: Types = BUILT_IN) -> list[Raw]:
    """Write many values, and keep the file's texts of those that haven't changed.

    Returns:
        For each unchanged value the same `Raw` object that the file has for it, however it is spelled. For each changed
        one a new text.

    Raises:
        NotStorableError: one of the values can't be stored.
    """
    members: list[Raw] = []
    for start in range(0, len(touched.keys), _AT_ONCE):
        part = touched.part(start, start + _AT_ONCE)
        with collector_paused():  # these objects are compared and dropped at once
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
    """Whether a value is what the file holds. For values that can't be written: a file may be nested more deeply."""
    try:
        pairs = [(decode(raw, types), value)]
    except CorruptFileError:
        return False
    for read, held in pairs:  # grows during the loop
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
    before = part.before
    return _with_unchanged(part, encode_batch(part.keys, part.values, types, before), before, types)


def encode_unshared(part: Touched, are_shared: Callable[[list[Any]], bool], types: Types) -> list[Raw] | None:
    """The same as `encode_changes` for a few values that nobody else can reach; see `write_unshared`.

    Returns:
        `None` if one of them is shared, or isn't of JSON's own types.
    """
    with collector_paused():
        text = write_unshared(part.values, are_shared)
        if text is None:
            return None
        before = part.before
        return _with_unchanged(part, split_batch(text, before), before, types)


def _with_unchanged(part: Touched, texts: list[Raw], before: list[Raw] | None, types: Types) -> list[Raw]:
    """Replace the texts of unchanged values by the file's."""
    if texts is before:
        return list(part.raws)  # type: ignore[arg-type]  # none of them is `None`
    for index, raw in _unchanged(part, texts, types).items():
        texts[index] = raw
    return texts


def remember(raw: Raw, value: Any, types: Types) -> None:
    """Note how a value that was just decoded from a file's text is written, so that it doesn't count as changed."""
    with suppress(NotStorableError):
        text = encode(value, types=types)
        if text != bytes(raw):
            types.as_read[id(raw)] = raw, text


def any_change(touched: Touched, types: Types = BUILT_IN) -> bool:
    """Whether any value differs from what the file holds. A value that can't be stored counts as different.

    Stops soon after the first difference.
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
    """The file's texts of unchanged values, by their index in a batch."""
    if type(None) not in set(map(type, part.written)):
        same = map(eq, part.written, texts)
        return dict(compress(enumerate(part.raws), same))  # type: ignore[arg-type]  # none of them is `None`
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
    """Whether the file's text and a newly written one stand for the same value."""
    if id(raw) in types.as_read and types.as_read[id(raw)] == (raw, bytes(text)):
        return True
    try:
        if types.given and is_tagged(raw):  # a user class defines its own equality, so == proves nothing
            return encode(decode(raw, types), types=types) == bytes(text)
        # Compare first, because writing takes longer. A value that doesn't equal itself has a "nan" in its text
        if b"nan" not in bytes(text).lower() and decode(raw) != decode(text):
            return False
        return canonical(raw) == bytes(text)
    except (CorruptFileError, NotStorableError, RecursionError):  # save the new text, which can be read
        return False
