"""Writes values as JSON texts, one or many at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from .plain import write_fresh, write_plain
from .reading import decode, decode_plain
from .types import BUILT_IN, Types
from .verifying import verify
from .writing import write_exactly

_BATCH = 256
_splitter = msgspec.json.Decoder(list[Raw])


def encode(value: Any, *path: Any, types: Types = BUILT_IN) -> bytes:
    """Write a value as JSON.

    Args:
        value: anything made of the types in docs/file-format.md. Another thread may edit it meanwhile. Each container
            is written as it was at one moment.
        path: the keys that lead to the value, for the error message.
        types: the table of types.

    Raises:
        NotStorableError: the value, or something in it, can't be stored.
    """
    written = write_plain([value])
    return write_exactly(value, path, types) if written is None else written[1:-1]


def encode_all(items: dict[Any, Any], types: Types = BUILT_IN) -> dict[Any, Raw]:
    """Write many new values at once. Writes several together, because most are small.

    Raises:
        NotStorableError: one of the values can't be stored.
    """
    texts: list[Raw] = []
    for keys, values in batches(items):
        texts += encode_batch(keys, values, types)
    verify(zip(items, items.values(), texts, strict=True), types)
    return dict(zip(items, texts, strict=True))


def canonical(raw: Raw | bytes) -> bytes:
    """The text that `encode` writes for the same value. Other programs use spaces and escapes differently."""
    return encode(decode(raw))


def batches(items: dict[Any, Any]) -> Iterator[tuple[list[Any], list[Any]]]:
    """The keys and values of a dict, in batches. Nobody else may change the dict meanwhile."""
    keys, values = list(items), list(items.values())
    for start in range(0, len(keys), _BATCH):
        here = slice(start, start + _BATCH)
        yield keys[here], values[here]


class Fresh(NamedTuple):
    """Values that were just decoded, and that nobody else holds yet.

    Attributes:
        values: the values.
        written: the text that this library writes for each value, which may be spelled differently than in the file.
        text: these texts as one JSON array.
    """

    values: list[Any]
    written: list[Raw]
    text: bytes


def decode_together(raws: list[Raw]) -> Fresh | None:
    """Decode many texts at once; None if one of them has a tag."""
    joined = join_array(raws)
    values = decode_plain(joined)
    text = None if values is None else write_fresh(values)
    if values is None or text is None:
        return None
    return Fresh(values, raws if text == joined else _splitter.decode(text), text)


def join_array(texts: list[Raw]) -> bytes:
    """Join texts to a JSON array."""
    return b"[" + b",".join(texts) + b"]"


def encode_batch(
    keys: list[Any], values: list[Any], types: Types = BUILT_IN, raws: list[Raw] | None = None
) -> list[Raw]:
    """Write values together.

    Args:
        keys: the keys of the values, for the error message.
        values: the values.
        types: the table of types.
        raws: texts to return unchanged if the new texts are equal to them.

    Raises:
        NotStorableError: one of them can't be stored.
    """
    text = write_plain(values)
    if text is None:
        return [Raw(encode(value, key, types=types)) for key, value in zip(keys, values, strict=True)]
    return split_batch(text, raws)


def split_batch(text: bytes, raws: list[Raw] | None) -> list[Raw]:
    """The texts in a JSON array. If all are equal to `raws`, returns that list."""
    return raws if raws is not None and text == join_array(raws) else _splitter.decode(text)
