"""Writes any value that can be stored as JSON. Slower than msgspec, but it knows all the types, and where it is.

Another thread may edit a container meanwhile, so it is copied before anything in it is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..errors import NotStorableError
from .contents import dict_items, set_members
from .plain import MAX_NESTING
from .reading import loads, looks_tagged
from .refusals import Path, refusal, show, unknown
from .scalars import TWO_HALVES, exact_str, tagged
from .types import GROUPS, STORABLE, Form, Type, find

Inside = tuple[int, ...]
"""The ids of the containers around a value, one for each level of JSON. In a circle, one comes again."""

_SCALARS = STORABLE - GROUPS


class _TooManyLevels(RecursionError):
    """Here because of the limit, not because of the stack."""


def write_exactly(value: Any, path: Path) -> bytes:
    """Write any storable value.

    Raises:
        NotStorableError: it, or something in it, can't be stored.
    """
    try:
        return _write(value, path, ())
    except _TooManyLevels as error:
        raise refusal(path, f"is nested more than {MAX_NESTING} levels deep, which can't be stored") from error
    except RecursionError as error:  # called from deep inside a program, or of types that take more of the stack
        raise refusal(path, "is nested too deeply, so it can't be stored") from error


def _write(value: Any, path: Path, inside: Inside) -> bytes:
    row = find(type(value))
    if row is None or row.write is None:
        raise unknown(path, value)
    if isinstance(row.write, Form):
        if id(value) in inside:
            raise refusal(path, "is a circular reference, which can't be stored")
        return _FORMS[row.write](row, value, path, _enter(inside, id(value)))
    text = row.write(value, path)
    if len(inside) > MAX_NESTING - 2 and text.startswith(b"{"):  # a tag takes levels, too
        _enter(inside, *[0] * (1 + text.endswith(b"]}")))
    return text


def _enter(inside: Inside, *levels: int) -> Inside:
    inside = (*inside, *levels)
    if len(inside) > MAX_NESTING:
        raise _TooManyLevels
    return inside


# Groups. Loops, not generators: a generator takes a level of the stack


def _array(row: Type, value: Any, path: Path, inside: Inside) -> bytes:
    if row.tag:
        inside = _enter(inside, 0)
    assert row.contents is not None
    texts = []
    for index, item in enumerate(row.contents.children(value)):
        texts.append(_write(item, (*path, index), inside))
    content = b"[" + b",".join(texts) + b"]"
    return tagged(row.tag, content) if row.tag else content


def _set(row: Type, value: Any, path: Path, inside: Inside) -> bytes:
    texts = _write_hashables(set_members(value), path, "member", _enter(inside, 0))
    return tagged(row.tag, b"[" + b",".join(sorted(texts)) + b"]")


def _dict(row: Type, value: Any, path: Path, inside: Inside) -> bytes:
    items = dict_items(value)
    keys = [key for key, _ in items]
    if not _are_names(keys):
        inside = _enter(inside, 0, 0)
    texts = []
    for key, item in items:
        texts.append(_write(item, (*path, key), inside))
    return write_object(keys, texts, path, inside)


_FORMS: dict[Form, Callable[[Type, Any, Path, Inside], bytes]] = {
    Form.ARRAY: _array,
    Form.SET: _set,
    Form.OBJECT: _dict,
}


def write_object(keys: list[Any], texts: Iterable[bytes], path: Path, inside: Inside = ()) -> bytes:
    """Put a dict together from its keys and what is written of its values."""
    names = _write_hashables(keys, path, "key", inside)
    if _are_names(keys):
        return b"{" + b",".join([name + b":" + text for name, text in zip(names, texts, strict=True)]) + b"}"
    pairs = [b"[" + name + b"," + text + b"]" for name, text in zip(names, texts, strict=True)]
    return tagged("dict", b"[" + b",".join(pairs) + b"]")


def _write_hashables(items: list[Any], path: Path, role: str, inside: Inside) -> list[bytes]:
    """Write the keys of a dict or the members of a set.

    Subclasses may have a hash and an equality of their own, which they lose: they must do without.
    """
    texts = []
    for item in items:
        try:
            texts.append(_write(item, (), inside))
        except (NotStorableError, RecursionError) as error:  # no path leads to it, so the message shows it
            if inside and isinstance(error, RecursionError):
                raise  # the whole value is nested too deeply
            raise refusal(path, f"has the {role} {show(item)}, which can't be stored") from error
    if not set(map(type, items)) <= _SCALARS and not _are_distinct(texts):
        raise refusal(path, f"has {role}s that would no longer differ or be hashable, so it can't be stored")
    return texts


def _are_distinct(texts: list[bytes]) -> bool:
    try:
        return len({loads(text.decode()) for text in texts}) == len(texts)
    except TypeError:
        return False


def _are_names(keys: list[Any]) -> bool:
    """Can they be the names of a JSON object's members?"""
    if not all(issubclass(type(key), str) for key in keys) or looks_tagged(keys):
        return False
    return not TWO_HALVES.search(" ".join(map(exact_str, keys)))
