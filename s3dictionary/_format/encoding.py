"""Values as JSON texts, one or many at once."""

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
        value: anything made of the types in docs/file-format.md. Another thread may edit it meanwhile: what is written
            of each container in it was there together.
        path: the keys that lead to it, for the error message.
        types: the table of types.

    Raises:
        NotStorableError: it, or something in it, can't be stored.
    """
    written = write_plain([value])
    return write_exactly(value, path, types) if written is None else written[1:-1]


def encode_all(items: dict[Any, Any], types: Types = BUILT_IN) -> dict[Any, Raw]:
    """Write many values at once, which are new. Most are small, so several are written together.

    Raises:
        NotStorableError: one of them can't be stored.
    """
    texts: list[Raw] = []
    for keys, values in batches(items):
        texts += encode_batch(keys, values, types)
    verify(zip(items, texts, strict=True), types)
    return dict(zip(items, texts, strict=True))


def canonical(raw: Raw | bytes) -> bytes:
    """The same value as `encode` would write it: other programs space and escape differently."""
    return encode(decode(raw))


def batches(items: dict[Any, Any]) -> Iterator[tuple[list[Any], list[Any]]]:
    """The keys and values of a dict that nobody else has, some at a time."""
    keys, values = list(items), list(items.values())
    for start in range(0, len(keys), _BATCH):
        here = slice(start, start + _BATCH)
        yield keys[here], values[here]


class Fresh(NamedTuple):
    """Values that were just decoded, and that nobody has yet.

    Attributes:
        values: the values.
        written: for each its text as it is written here, which may be spelled otherwise than in the file.
        text: all of these in an array.
    """

    values: list[Any]
    written: list[Raw]
    text: bytes


def decode_together(raws: list[Raw]) -> Fresh | None:
    """Build the values of many texts at once; None if one of them isn't just what JSON has."""
    joined = join_array(raws)
    values = decode_plain(joined)
    text = None if values is None else write_fresh(values)
    if values is None or text is None:
        return None
    return Fresh(values, raws if text == joined else _splitter.decode(text), text)


def join_array(texts: list[Raw]) -> bytes:
    """The text of a JSON array of these."""
    return b"[" + b",".join(texts) + b"]"


def encode_batch(
    keys: list[Any], values: list[Any], types: Types = BUILT_IN, raws: list[Raw] | None = None
) -> list[Raw]:
    """Write values together.

    Args:
        keys: whose values they are, for the error message.
        values: the values.
        types: the table of types.
        raws: texts to give, as they are, should they be just what is written.

    Raises:
        NotStorableError: one of them can't be stored.
    """
    text = write_plain(values)
    if text is None:
        return [Raw(encode(value, key, types=types)) for key, value in zip(keys, values, strict=True)]
    return raws if raws is not None and text == join_array(raws) else _splitter.decode(text)
