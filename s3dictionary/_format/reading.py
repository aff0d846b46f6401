"""Builds the values that JSON texts stand for."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

import msgspec
from msgspec import Raw

from ..errors import CorruptFileError
from .misfits import Located, Misfit, find
from .plain import TAG
from .readers import arrange, parse_int
from .scalars import ENTRIES, exact_str
from .types import BUILT_IN, Types

_decoder = msgspec.json.Decoder()
_list_decoder = msgspec.json.Decoder(list[Any])
_ESCAPED_TAGS = (b'"py\\/', b'"\\u0070', b'"p\\u0079', b'"py\\u002')

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for what it refuses."""


def decode(raw: Raw | bytes, types: Types = BUILT_IN, path: tuple[Any, ...] = ()) -> Any:
    """Build the value that a JSON text stands for.

    Args:
        raw: the text.
        types: the table of types.
        path: the keys that lead to it, for the error message.

    Raises:
        CorruptFileError: it is nested too deeply for the stack that is left, or a class that was given refuses what it
            is to be made of.
    """
    text = bytes(raw)
    if TAG in text or (b"\\" in text and is_tagged(text)):
        return loads(text.decode(), types, path)
    try:
        return _decoder.decode(text)
    except UNREADABLE:
        return loads(text.decode())


def decode_plain(text: bytes) -> list[Any] | None:
    """Build the values of a JSON array's text; None if one of them isn't just what JSON has."""
    if is_tagged(text):
        return None
    try:
        return _list_decoder.decode(text)
    except UNREADABLE:
        return None


def decode_leniently(raw: Raw | bytes, types: Types) -> Any:
    """The same, but what a class refuses stays the plain dict that it is."""
    try:
        return decode(raw, types)
    except CorruptFileError:
        return decode(raw)


def is_tagged(raw: Raw | bytes) -> bool:
    """May a JSON text have a `py/…` member in it, however it is escaped?"""
    text = bytes(raw)
    return TAG in text or (b"\\" in text and any(tag in text for tag in _ESCAPED_TAGS))


def loads(text: str, types: Types = BUILT_IN, path: tuple[Any, ...] = ()) -> Any:
    """Build the value of a text that may hold anything."""
    try:
        return parse(text, partial(untag, types) if types.given else _untag, parse_int)
    except Misfit as misfit:
        tree = parse(text, None, parse_int)
        raise Located(misfit, find(tree, partial(untag, types), path), types.place) from misfit.__cause__


def parse(text: str, object_hook: Callable[[dict[str, Any]], Any] | None, parse_integer: Callable[[str], Any]) -> Any:
    """`json.loads`, with the error for what takes too much of the stack."""
    try:
        return json.loads(text, object_hook=object_hook, parse_int=parse_integer)
    except RecursionError as error:
        raise CorruptFileError("nested too deeply to be read") from error


def untag(types: Types, item: dict[str, Any]) -> Any:
    """Turn an object with a `py/…` member into what it stands for, or leave it as it is.

    Called for the inner ones first, so the content is made of Python values already.
    """
    if not looks_tagged(item, types):
        return item
    try:
        if len(item) > 1:
            return arrange(*without_entries(item))
        [(key, content)] = item.items()
        return types.readers[key[3:]](content)
    except (TypeError, ValueError, ArithmeticError):  # content that doesn't fit
        return item


_untag = partial(untag, BUILT_IN)


def looks_tagged(keys: Collection[Any], types: Types = BUILT_IN) -> bool:
    """Would a JSON object with these names be taken for something that JSON lacks?"""
    if len(keys) != 1:
        return ENTRIES in keys
    [key] = keys
    if not issubclass(type(key), str):
        return False
    name = exact_str(key)
    return str.startswith(name, "py/") and name[3:] in types.readers


def is_foreign(item: Mapping[Any, Any]) -> bool:
    """Is it a set, or a dict's keys, of instances whose classes aren't known here? They stay the plain dict they are.

    They are also written as that, so that who knows the classes finds them again.
    """
    if len(item) != 1 and ENTRIES not in item:
        return False
    tag = ENTRIES if ENTRIES in item else next(iter(item))
    content = item.get(tag)
    if tag not in (ENTRIES, "py/set", "py/frozenset") or type(content) is not list:
        return False
    if tag == ENTRIES:
        content = [entry[0] for entry in content if type(entry) is list and entry]
    return any(map(_is_instance, content))


def _is_instance(value: Any) -> bool:
    """Does a value that had to be hashable have the form of an instance, or hold one?"""
    if type(value) is tuple:
        return any(map(_is_instance, value))
    return type(value) is dict and len(value) == 1 and str(next(iter(value))).startswith("py/")


def without_entries(item: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """The ordinary members of an object, and what the one holds that has the dict's other keys."""
    members = dict(item)
    entries = members.pop(ENTRIES)
    return members, entries
