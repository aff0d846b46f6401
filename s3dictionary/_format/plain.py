"""Values made of nothing but what JSON has: most are, and these msgspec writes fast.

Another thread may edit a value meanwhile. So a container is read just once, by a single call that copies it in C; what
is looked at and what is written is that copy, which nobody else has.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

import msgspec

from .types import JSON_GROUPS, JSON_SCALARS

MAX_NESTING = 500
"""Levels of JSON a value may have: half of Python's usual recursion limit, so that what is written can be read again
from anywhere in a program."""

TAG = b'"py/'

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()


def write_plain(values: list[Any]) -> bytes | None:
    """Write values as a JSON array; None if there is anything in them that JSON lacks.

    Args:
        values: a list that nobody else has.
    """
    try:
        copy = _plain_copy(values)
        if copy is None:
            return None
        text = _encoder.encode(copy)
        # NaN is written as null, and what only looks tagged must be told from what is
        if TAG in text or (b"null" in text and _decoder.decode(text) != copy):
            return None
    except Exception:  # noqa: BLE001  # a surrogate, a huge integer, no stack left: the exact way tells
        return None
    return text


def write_fresh(values: list[Any]) -> bytes | None:
    """Write values of nothing but what JSON has, which nobody else has; None if msgspec can't write one of them."""
    try:
        return _encoder.encode(values)
    except Exception:  # noqa: BLE001  # a huge integer, or no stack left
        return None


def _plain_copy(values: list[Any]) -> list[Any] | None:
    """A deep copy of a list; None if it isn't made of nothing but what JSON has, with at most `MAX_NESTING` levels.

    Looks at a whole level of nesting at a time, so that most loops run in C.
    """
    copy = values.copy()
    level: list[Any] = [copy]
    copy_inner = _copy_inner
    for _ in range(MAX_NESTING + 1):
        dicts = [item for item in level if type(item) is dict]
        lists = level
        if dicts:
            lists = [item for item in level if type(item) is list] if len(dicts) < len(level) else []
        if not set(map(type, chain.from_iterable(dicts))) <= {str}:
            return None
        if _hold_scalars(lists, dicts):
            return copy
        inner = copy_inner(level)
        if inner is None:
            return None
        originals, copies = inner
        grows = len(copies) > len(level) and level[0] is not copy
        if grows and len(set(map(id, originals))) < len(originals):
            copy_inner = _copy_inner_once
        level = copies
    return None


def _hold_scalars(lists: list[list[Any]], dicts: list[dict[str, Any]]) -> bool:
    """Do containers hold nothing but scalars? Mostly the first dict tells of all that they don't."""
    if dicts and not JSON_SCALARS.issuperset(map(type, dicts[0].values())):
        return False
    values = chain.from_iterable(map(dict.values, dicts))
    return JSON_SCALARS.issuperset(map(type, values)) and JSON_SCALARS.issuperset(map(type, chain.from_iterable(lists)))


_Inner = tuple[list[Any], list[Any]]
"""What stood in the containers of one level, and the copies that stand there now."""


def _copy_inner(level: list[Any]) -> _Inner | None:
    """Put copies in the place of the containers in containers; None if there is anything that JSON lacks."""
    originals: list[Any] = []
    copies: list[Any] = []
    for container in level:
        if type(container) is dict:
            places: Iterable[tuple[Any, Any]] = container.items()
        elif set(map(type, container)) == {dict}:  # records
            originals += container
            container[:] = map(dict.copy, container)
            copies += container
            continue
        else:
            places = enumerate(container)
        for place, item in places:
            if type(item) not in JSON_SCALARS:
                if type(item) not in JSON_GROUPS:
                    return None
                originals.append(item)
                container[place] = copy = item.copy()
                copies.append(copy)
    return originals, copies


def _copy_inner_once(level: list[Any]) -> _Inner | None:
    """The same, but what stands in several places is copied once, or a circle could grow with each level."""
    originals: list[Any] = []  # while they are here, no other object gets an id of theirs
    copies: dict[int, Any] = {}
    for container in level:
        for place, item in container.items() if type(container) is dict else enumerate(container):
            if type(item) not in JSON_SCALARS:
                if type(item) not in JSON_GROUPS:
                    return None
                if id(item) not in copies:
                    originals.append(item)
                    copies[id(item)] = item.copy()
                container[place] = copies[id(item)]
    return originals, list(copies.values())
