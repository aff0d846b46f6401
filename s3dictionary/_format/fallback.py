"""Splits files that msgspec rejects but Python's `json` reads: NaN, 1e400, or half of a surrogate pair.

Finds where each member's text begins and ends, so that every member keeps its text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from msgspec import Raw

from ..errors import CorruptFileError
from .reading import parse

# The values are thrown away, so converting numbers would be wasted time
_decoder: Any = json.JSONDecoder(parse_int=len, parse_float=len)
_scan: Callable[[str, int], tuple[Any, int]] = _decoder.scan_once
_blank = re.compile(r"[ \t\n\r]*").match

_JSON_NAMES = {"[": "an array", '"': "a string", "t": "a boolean", "f": "a boolean", "n": "null"}


def members(text: str) -> dict[Any, Raw]:
    """Split the text of a JSON object into its members.

    Raises:
        CorruptFileError: it isn't a JSON object; the message says why and where.
    """
    start = text.lstrip(" \t\n\r")[:1]
    if not start:
        raise CorruptFileError("the file is empty")
    try:
        if start == "{":
            return dict(_entries(text, "{", "}"))
        parse(text, None, len)
    except CorruptFileError:
        raise
    except RecursionError as error:
        raise CorruptFileError("nested too deeply to be read") from error
    except ValueError as error:
        raise CorruptFileError(f"not JSON: {_reason(text)}") from error
    raise CorruptFileError(f"not a JSON object but {_JSON_NAMES.get(start, 'a number')}")


def arrays(text: str) -> list[list[Raw]]:
    """Split the text of an array of arrays into the items of each.

    Raises:
        ValueError: it isn't an array of arrays.
    """
    return [[item for _, item in _entries(bytes(array).decode(), "[", "]")] for _, array in _entries(text, "[", "]")]


def _reason(text: str) -> str:
    """What is wrong with a text, as Python's own reader says it."""
    try:
        parse(text, None, len)
    except json.JSONDecodeError as error:
        return str(error)
    return "unknown"


def _entries(text: str, opening: str, closing: str) -> list[tuple[str, Raw]]:
    """The names and texts of an object's members, or of an array's items with empty names.

    Raises:
        ValueError: the text isn't an object or array.
    """
    found: list[tuple[str, Raw]] = []
    at = _after(opening, text, 0)
    while found or text[at : at + 1] != closing:
        name = ""
        if opening == "{":
            name, at = _name(text, at)
        end = _scan_value(text, at)[1]
        found.append((name, Raw(text[at:end].encode())))
        at = _skip(text, end)
        if text[at : at + 1] != ",":
            break
        at = _skip(text, at + 1)
    if _after(closing, text, at) != len(text):
        raise ValueError
    return found


def _name(text: str, at: int) -> tuple[str, int]:
    """The name of a member, and where its value begins."""
    if text[at : at + 1] != '"':
        raise ValueError
    name, at = _scan_value(text, at)
    return name, _after(":", text, at)


def _after(sign: str, text: str, at: int) -> int:
    """The position after a sign and the blanks around it."""
    at = _skip(text, at)
    if text[at : at + 1] != sign:
        raise ValueError
    return _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    found = _blank(text, at)
    return found.end() if found else at


def _scan_value(text: str, at: int) -> tuple[Any, int]:
    try:
        value, end = _scan(text, at)
    except StopIteration as error:
        raise ValueError from error
    return value, end
