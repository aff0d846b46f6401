"""Writes values of JSON's own types, fast, with msgspec. Most values are of these types.

Another thread may edit a value meanwhile. So each container is read only once, by a single call that copies it in C.
All checks and the encoding use that copy, which nobody else has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

import msgspec

from .types import JSON_GROUPS, JSON_SCALARS

MAX_NESTING = 500
"""Levels of JSON that a value may have: half of Python's usual recursion limit, so that a program can read it back
even deep inside its own calls."""

TAG = b'"py/'

_JSON = JSON_SCALARS | JSON_GROUPS

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()


def write_plain(values: list[Any]) -> bytes | None:
    """Write values as a JSON array; None if anything in them isn't of JSON's own types.

    Args:
        values: a list that nobody else has.
    """
    try:
        copy = _plain_copy(values)
        return None if copy is None else _written(copy)
    except Exception:  # noqa: BLE001  # a surrogate, a huge integer, no stack left: write_exactly() decides
        return None


def write_unshared(values: list[Any], are_shared: Callable[[list[Any]], bool]) -> bytes | None:
    """The same without a copy, for values that nobody else can reach.

    Args:
        values: a list of such values.
        are_shared: whether anybody else holds one of these containers. Called for each level of nesting inside the
            values. If so, nothing is written.
    """
    try:
        return _written(values) if _is_plain_tree(values, are_shared) else None
    except Exception:  # noqa: BLE001  # as above
        return None


def _written(values: list[Any]) -> bytes | None:
    """Write values whose types have been checked; None if msgspec would write one of them differently."""
    text = _encoder.encode(values)
    # msgspec writes NaN as null. A plain dict that looks tagged must be escaped
    if (b"/" in text and TAG in text) or (b"null" in text and _decoder.decode(text) != values):
        return None
    return text


def _is_plain_tree(values: list[Any], are_shared: Callable[[list[Any]], bool]) -> bool:
    """Whether values have only JSON's own types, at most `MAX_NESTING` levels, and containers in one place each."""
    level: list[Any] | None = values if set(map(type, values)) <= JSON_GROUPS else None
    for _ in range(MAX_NESTING):
        level = None if level is None else _inner(level)
        if not level:
            return level is not None
        if are_shared(level):  # it counts references, so no other variable may refer to the containers
            return False
    return False


def _inner(level: list[Any]) -> list[Any] | None:
    """The containers inside containers; `None` if anything isn't of JSON's own types."""
    dicts = [item for item in level if type(item) is dict]
    lists = [item for item in level if type(item) is list] if len(dicts) < len(level) else []
    if not set(map(type, chain.from_iterable(dicts))) <= {str}:
        return None
    inner: list[Any] = []
    for column in (*_columns(dicts), list(chain.from_iterable(lists))):
        kinds = set(map(type, column))
        if not kinds <= _JSON:
            return None
        if not kinds <= JSON_SCALARS:
            inner += column if kinds <= JSON_GROUPS else [item for item in column if type(item) in JSON_GROUPS]
    return inner


def _columns(dicts: list[dict[str, Any]]) -> Iterable[Sequence[Any]]:
    """All values in dicts. Those of records with the same number of fields are together, field by field."""
    if len(set(map(len, dicts))) == 1:
        return zip(*map(dict.values, dicts), strict=True)
    return [list(chain.from_iterable(map(dict.values, dicts)))]


def write_fresh(values: list[Any]) -> bytes | None:
    """Write values of JSON's own types that nobody else holds yet; None if msgspec can't write one of them."""
    try:
        return _encoder.encode(values)
    except Exception:  # noqa: BLE001  # a huge integer, or no stack left
        return None


def _plain_copy(values: list[Any]) -> list[Any] | None:
    """A deep copy of a list; None if it has other types than JSON's own, or more than `MAX_NESTING` levels.

    Handles a whole level of nesting at a time, so that most loops run in C.
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
    """Whether containers hold only scalars. Looks at the first dict first, which mostly decides it."""
    if dicts and not JSON_SCALARS.issuperset(map(type, dicts[0].values())):
        return False
    values = chain.from_iterable(map(dict.values, dicts))
    return JSON_SCALARS.issuperset(map(type, values)) and JSON_SCALARS.issuperset(map(type, chain.from_iterable(lists)))


_Inner = tuple[list[Any], list[Any]]
"""The containers inside those of one level, and the copies that replaced them there."""


def _copy_inner(level: list[Any]) -> _Inner | None:
    """Replace the containers inside containers by copies; None if anything isn't of JSON's own types."""
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
    """The same, but copies a shared container once. Otherwise a circular one would grow with each level."""
    originals: list[Any] = []  # keeps them alive, so that no other object gets the same id
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
