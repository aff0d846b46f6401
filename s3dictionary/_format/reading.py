"""Decodes JSON texts into the values that they stand for."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

import msgspec
from msgspec import Raw

from ..errors import CorruptFileError
from .plain import TAG
from .readers import arrange, parse_int
from .rejections import Located, Rejection, find
from .scalars import ENTRIES, exact_str
from .types import BUILT_IN, Types

_decoder = msgspec.json.Decoder()
_list_decoder = msgspec.json.Decoder(list[Any])
_ESCAPED_TAGS = (b'"py\\/', b'"\\u0070', b'"p\\u0079', b'"py\\u002')

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""The exceptions with which msgspec rejects a text."""


def decode(raw: Raw | bytes, types: Types = BUILT_IN, path: tuple[Any, ...] = ()) -> Any:
    """Decode a JSON text.

    Args:
        raw: the text.
        types: the table of types.
        path: the keys that lead to the value, for the error message.

    Raises:
        CorruptFileError: the text is nested too deeply for the stack that is left, or a user class rejects its
            content.
    """
    text = bytes(raw)
    if TAG in text or (b"\\" in text and is_tagged(text)):
        return loads(text.decode(), types, path)
    try:
        return _decoder.decode(text)
    except UNREADABLE:
        return loads(text.decode())


def decode_plain(text: bytes) -> list[Any] | None:
    """Decode a JSON array; None if it has a tag."""
    if is_tagged(text):
        return None
    try:
        return _list_decoder.decode(text)
    except UNREADABLE:
        return None


def decode_leniently(raw: Raw | bytes, types: Types) -> Any:
    """Decode a JSON text. If a class rejects its content, leave the whole value as plain dicts."""
    try:
        return decode(raw, types)
    except CorruptFileError:
        return decode(raw)


def is_tagged(raw: Raw | bytes) -> bool:
    """Whether a JSON text may have a `py/…` member, however it is escaped."""
    text = bytes(raw)
    # One byte is found faster than a few
    return (b"/" in text and TAG in text) or (b"\\" in text and any(tag in text for tag in _ESCAPED_TAGS))


def loads(text: str, types: Types = BUILT_IN, path: tuple[Any, ...] = ()) -> Any:
    """Decode a text that may have tags, or values that msgspec rejects."""
    try:
        return parse(text, partial(untag, types) if types.given else _untag, parse_int)
    except Rejection as rejection:
        tree = parse(text, None, parse_int)
        raise Located(rejection, find(tree, partial(untag, types), path), types.place) from rejection.__cause__


def parse(text: str, object_hook: Callable[[dict[str, Any]], Any] | None, parse_integer: Callable[[str], Any]) -> Any:
    """`json.loads`, with a `CorruptFileError` where the nesting takes too much of the stack."""
    try:
        return json.loads(text, object_hook=object_hook, parse_int=parse_integer)
    except RecursionError as error:
        raise CorruptFileError("nested too deeply to be read") from error


def untag(types: Types, item: dict[str, Any]) -> Any:
    """Turn an object with a `py/…` member into the value that it stands for, or leave it as it is.

    Called for inner objects first, so the content consists of Python values already.
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
    """Whether a JSON object with these names would be read as a tagged value."""
    if len(keys) != 1:
        return ENTRIES in keys
    [key] = keys
    if not issubclass(type(key), str):
        return False
    name = exact_str(key)
    return str.startswith(name, "py/") and name[3:] in types.readers


def is_foreign(item: Mapping[Any, Any]) -> bool:
    """Whether a dict is the tag of a set, or of a dict's keys, that holds instances of classes unknown here.

    Such a dict stays plain, and is written back unchanged, so that a program that knows the classes can read it.
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
    """Whether a key or set member has the form of an instance, or holds one."""
    if type(value) is tuple:
        return any(map(_is_instance, value))
    return type(value) is dict and len(value) == 1 and str(next(iter(value))).startswith("py/")


def without_entries(item: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """The ordinary members of an object, and the content of its `py/dict` member."""
    members = dict(item)
    entries = members.pop(ENTRIES)
    return members, entries
