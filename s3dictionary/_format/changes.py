"""Which values have changed, and what to write: the file's own text where a value is still the one that it stands for.

Text is compared first, then plain values, and only if those are equal how they would be written: 1, 1.0 and True are
equal, but not the same, and the order of keys counts.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

from msgspec import Raw

from ..errors import CorruptFileError, NotStorableError
from .encoding import batches, canonical, encode_batch
from .reading import decode, decode_plain

Touched = dict[Any, tuple[Any, Raw | None]]
"""Values by key, each with the text that the file holds in its place; None if it holds none."""

_MOST_AT_ONCE = 256


def encode_changes(touched: Touched) -> dict[Any, Raw]:
    """Write many values, and keep the texts of those that haven't changed.

    Returns:
        For each key the very text that the file holds, if it stands for just this value, however it is spelled.
        Otherwise a new one.

    Raises:
        NotStorableError: one of the values can't be stored.
    """
    members: dict[Any, Raw] = {}
    for keys, pairs in batches(touched):
        texts, copies = encode_batch(keys, [value for value, _ in pairs])
        raws = [raw for _, raw in pairs]
        kept = _unchanged(raws, texts, copies)
        members.update(zip(keys, [kept.get(index, text) for index, text in enumerate(texts)], strict=True))
    return members


def any_change(touched: Touched) -> bool:
    """Is there a value that isn't what the file holds? One that can't be stored is.

    Stops soon after the first one.
    """
    if any(raw is None for _, raw in touched.values()):
        return True
    items, size = iter(touched.items()), 1
    while batch := dict(islice(items, size)):
        try:
            if any(text is not batch[key][1] for key, text in encode_changes(batch).items()):
                return True
        except NotStorableError:
            return True
        size = min(2 * size, _MOST_AT_ONCE)
    return False


def _unchanged(raws: list[Raw | None], texts: list[Raw], copies: list[Any] | None) -> dict[int, Raw]:
    """The file's texts that still hold, by their place in a batch."""
    kept: dict[int, Raw] = {}
    differing: dict[int, Raw] = {}
    for index, (raw, text) in enumerate(zip(raws, texts, strict=True)):
        if raw is not None:
            (kept if raw == text else differing)[index] = raw
    if differing:
        found = decode_plain(list(differing.values())) if copies is not None else None
        if copies is None or found is None:
            kept |= {index: raw for index, raw in differing.items() if _stands_for(raw, texts[index])}
        else:
            kept |= _unchanged_plain(differing, found, texts, copies)
    return kept


def _unchanged_plain(raws: dict[int, Raw], found: list[Any], texts: list[Raw], copies: list[Any]) -> dict[int, Raw]:
    """The same for values of nothing but what JSON has: `found` is what the raw texts stand for."""
    equal = {index: value for index, value in zip(raws, found, strict=True) if value == copies[index]}
    written, _ = encode_batch([()] * len(equal), list(equal.values()))
    return {index: raws[index] for index, text in zip(equal, written, strict=True) if text == texts[index]}


def _stands_for(raw: Raw, text: Raw) -> bool:
    """Does the file's text stand for the same as one that was written here?"""
    try:
        # Written again only if need be: that takes longer. What is equal only to itself has a "nan" in its text
        if b"nan" not in bytes(text).lower() and decode(raw) != decode(text):
            return False
        return canonical(raw) == bytes(text)
    except (CorruptFileError, NotStorableError, RecursionError):  # written here, so what is new can be read at least
        return False
