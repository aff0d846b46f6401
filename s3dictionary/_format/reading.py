"""Builds the values that JSON texts stand for."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any

import msgspec
from msgspec import Raw

from ..errors import CorruptFileError
from .plain import TAG
from .readers import arrange, parse_int
from .scalars import ENTRIES, exact_str
from .types import READERS

_decoder = msgspec.json.Decoder()
_list_decoder = msgspec.json.Decoder(list[Any])
_ESCAPED_TAGS = (b'"py\\/', b'"\\u0070', b'"p\\u0079', b'"py\\u002')

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for what it refuses."""


def decode(raw: Raw | bytes) -> Any:
    """Build the value that a JSON text stands for.

    Raises:
        CorruptFileError: it is nested too deeply for the stack that is left.
    """
    text = bytes(raw)
    if TAG in text or (b"\\" in text and is_tagged(text)):
        return loads(text.decode())
    try:
        return _decoder.decode(text)
    except UNREADABLE:
        return loads(text.decode())


def decode_plain(raws: list[Raw]) -> list[Any] | None:
    """Build the values of many texts at once; None if one of them isn't just what JSON has."""
    text = b"[" + b",".join(raws) + b"]"
    if is_tagged(text):
        return None
    try:
        return _list_decoder.decode(text)
    except UNREADABLE:
        return None


def is_tagged(text: bytes) -> bool:
    """May a JSON text have a `py/…` member in it, however it is escaped?"""
    return TAG in text or (b"\\" in text and any(tag in text for tag in _ESCAPED_TAGS))


def loads(text: str) -> Any:
    """Build the value of a text that may hold anything."""
    return parse(text, untag, parse_int)


def parse(text: str, object_hook: Callable[[dict[str, Any]], Any] | None, parse_integer: Callable[[str], Any]) -> Any:
    """`json.loads`, with the error for what takes too much of the stack."""
    try:
        return json.loads(text, object_hook=object_hook, parse_int=parse_integer)
    except RecursionError as error:
        raise CorruptFileError("nested too deeply to be read") from error


def untag(item: dict[str, Any]) -> Any:
    """Turn an object with a `py/…` member into what it stands for, or leave it as it is.

    Called for the inner ones first, so the content is made of Python values already.
    """
    if not looks_tagged(item):
        return item
    try:
        if len(item) > 1:
            return arrange(*without_entries(item))
        [(key, content)] = item.items()
        return READERS[key[3:]](content)
    except (TypeError, ValueError, ArithmeticError):  # content that doesn't fit
        return item


def looks_tagged(keys: Collection[Any]) -> bool:
    """Would a JSON object with these names be taken for something that JSON lacks?"""
    if len(keys) != 1:
        return ENTRIES in keys
    [key] = keys
    if not issubclass(type(key), str):
        return False
    name = exact_str(key)
    return str.startswith(name, "py/") and name[3:] in READERS


def without_entries(item: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """The ordinary members of an object, and what the one holds that has the dict's other keys."""
    members = dict(item)
    entries = members.pop(ENTRIES)
    return members, entries
