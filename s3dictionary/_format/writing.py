"""Writes any storable value as JSON. Slower than msgspec, but handles all types, and keeps track of the path.

Another thread may edit a container meanwhile, so each one is copied before its items are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..errors import CorruptFileError, NotStorableError
from .contents import Fields, dict_items, set_members
from .plain import MAX_NESTING
from .reading import is_foreign, loads, looks_tagged
from .refusals import (
    CORRECT_FUNCTIONS,
    Field,
    Path,
    advice_by_name,
    of_another_type,
    reason_of,
    refusal,
    show,
    unknown,
)
from .rejections import Located
from .scalars import ENTRIES, TWO_HALVES, exact_str, tagged
from .types import BUILT_IN, GROUPS, STORABLE, Form, Type, Types

Inside = tuple[int, ...]
"""The ids of the containers around a value, one for each level of JSON. A circular reference repeats one."""

_SCALARS = STORABLE - GROUPS


_LESS_NESTING = "store its inner parts under other keys"


class _TooManyLevels(RecursionError):
    """A value exceeds `MAX_NESTING`. The stack isn't exhausted."""


def write_exactly(value: Any, path: Path, types: Types = BUILT_IN) -> bytes:
    """Write any storable value.

    Raises:
        NotStorableError: the value, or something in it, can't be stored.
    """
    try:
        return _write(value, path, (), types)
    except NotStorableError as error:
        raise place(error, types)  # noqa: B904  # it is the same exception
    except _TooManyLevels as error:
        problem = f"is nested more than {MAX_NESTING} levels deep, so it can't be stored; {_LESS_NESTING}"
        raise place(refusal(path, problem), types) from error
    except RecursionError as error:  # called from deep inside a program, or of types that take more of the stack
        problem = f"is nested too deeply, so it can't be stored; {_LESS_NESTING}"
        raise place(refusal(path, problem), types) from error


def place(error: NotStorableError, types: Types) -> NotStorableError:
    """Put the file's address in front of a refusal's message."""
    if types.place:
        error.args = (f"{types.place}: {error}",)
    return error


def _write(value: Any, path: Path, inside: Inside, types: Types) -> bytes:
    row = types.find(type(value))
    if row is None or row.write is None:
        raise unknown(path, value)
    if row.exact and row.kind is not type(value):
        raise unknown(path, value, row.kind)
    if isinstance(row.write, Form):
        if id(value) in inside:
            raise refusal(path, "is a circular reference, which can't be stored; store a key or an index instead")
        return _FORMS[row.write](row, value, path, _enter(inside, id(value)), types)
    try:
        text = row.write(value, path)
    except NotStorableError as error:
        if advice_by_name(type(value)):
            raise unknown(path, value) from error
        raise
    if len(inside) > MAX_NESTING - 2 and text.startswith(b"{"):  # a tag adds levels
        _enter(inside, *[0] * (1 + text.endswith(b"]}")))
    return text


def _enter(inside: Inside, *levels: int) -> Inside:
    inside = (*inside, *levels)
    if len(inside) > MAX_NESTING:
        raise _TooManyLevels
    return inside


# Containers. Loops, not generators, because a generator takes a level of the stack


def _array(row: Type, value: Any, path: Path, inside: Inside, types: Types) -> bytes:
    if row.tag:
        inside = _enter(inside, 0)
    assert row.contents is not None
    texts = []
    for index, item in enumerate(row.contents.children(value)):
        texts.append(_write(item, (*path, index), inside, types))
    content = b"[" + b",".join(texts) + b"]"
    return tagged(row.tag, content) if row.tag else content


def _set(row: Type, value: Any, path: Path, inside: Inside, types: Types) -> bytes:
    texts = _write_hashables(set_members(value), path, "element", _enter(inside, 0), types)
    return tagged(row.tag, b"[" + b",".join(sorted(texts)) + b"]")


def _dict(row: Type, value: Any, path: Path, inside: Inside, types: Types) -> bytes:
    items = dict_items(value)
    keys = [key for key, _ in items]
    named = _named(keys, types)
    foreign = named.count(False) == 1 and is_foreign(dict(items))
    if foreign:
        named = [True] * len(keys)
    in_entry = inside if all(named) else _enter(inside, 0, 0)
    texts = []
    for (key, item), is_name in zip(items, named, strict=True):
        texts.append(_write(item, (*path, key), inside if is_name else in_entry, types))
    return write_object(keys, texts, path, in_entry, types, foreign=foreign)


def _parts(row: Type, value: Any, path: Path, inside: Inside, types: Types) -> bytes:
    """Write an instance of a user class. Runs code of the class, which may raise anything."""
    assert row.parts is not None
    try:
        parts = row.parts(value)
    except Exception as error:
        problem = f"which can't be stored, because taking it apart fails: {reason_of(error)}"
        raise refusal(path, f"is {show(value)}, {problem}") from error
    if isinstance(parts, Fields):
        texts = []
        for name, item in parts.items():
            texts.append(_write(item, (*path, Field(name)), (*inside, 0), types))
        return tagged(row.tag, write_object(list(parts), texts, path, _enter(inside, 0), types))
    text = tagged(row.tag, _write(parts, path, inside, types))
    if type(value) is not row.kind:
        _check_comes_back(text, row, value, path, types)
    return text


def _check_comes_back(text: bytes, row: Type, value: Any, path: Path, types: Types) -> None:
    """Refuse an instance of a subclass, unless the class's functions read it back as that subclass."""
    try:
        kind = type(loads(text.decode(), types, path))
    except Located as error:
        raise refusal(error.path, f"can't be stored, because it {error.problem}; {CORRECT_FUNCTIONS}") from error
    except CorruptFileError as error:
        raise refusal(path, f"can't be stored, because it can't be read back: {error}") from error
    if kind is type(value):
        return
    is_a_base = issubclass(type(value), kind) and issubclass(kind, row.kind)
    raise unknown(path, value, row.kind) if is_a_base else of_another_type(path, value, kind)


_FORMS: dict[Form, Callable[[Type, Any, Path, Inside, Types], bytes]] = {
    Form.ARRAY: _array,
    Form.SET: _set,
    Form.OBJECT: _dict,
    Form.PARTS: _parts,
}


def write_object(
    keys: list[Any],
    texts: Iterable[bytes],
    path: Path,
    inside: Inside = (),
    types: Types = BUILT_IN,
    *,
    foreign: bool = False,
) -> bytes:
    """Write a dict whose values are written already.

    Keys that can't be names go into an additional last member, each with its position among all keys. The position is
    left out if no name follows.
    """
    names = _write_hashables(keys, path, "key", inside, types)
    named = _named(keys, types)
    if foreign and named.count(False) == 1:
        named = [True] * len(keys)
    last = max((index for index, is_name in enumerate(named) if is_name), default=-1)
    members, entries = [], []
    for index, (name, text, is_name) in enumerate(zip(names, texts, named, strict=True)):
        if is_name:
            members.append(name + b":" + text)
        else:
            entries.append(b"[" + name + b"," + text + (b",%d]" % index if index < last else b"]"))
    if entries:
        members.append(f'"{ENTRIES}":['.encode() + b",".join(entries) + b"]")
    return b"{" + b",".join(members) + b"}"


def _write_hashables(items: list[Any], path: Path, role: str, inside: Inside, types: Types) -> list[bytes]:
    """Write the keys of a dict or the members of a set.

    Instances of subclasses come back as the base type. They must be distinct even without the subclass's own hash and
    equality.
    """
    texts = []
    for item in items:
        try:
            texts.append(_write(item, (), inside, types))
        except (NotStorableError, RecursionError) as error:  # it has no path, so the message shows the item itself
            if inside and isinstance(error, RecursionError):
                raise  # the whole value is nested too deeply
            raise refusal(path, f"has the {role} {show(item)}, which can't be stored; use a str instead") from error
    if not set(map(type, items)) <= _SCALARS and not _are_distinct(texts, types):
        problem = f"has {role}s that would come back equal or unhashable, so it can't be stored; use strs instead"
        raise refusal(path, problem)
    return texts


def _are_distinct(texts: list[bytes], types: Types) -> bool:
    try:
        return len({loads(text.decode(), types) for text in texts}) == len(texts)
    except Exception:  # noqa: BLE001  # a class's own hash and equality may raise anything
        return False


def _named(keys: list[Any], types: Types) -> list[bool]:
    """For each of a dict's keys, whether it is written as the name of a member."""
    named = [_is_str(key, types) and _is_name(exact_str(key)) for key in keys]
    return [False] if named == [True] and looks_tagged(keys, types) else named


def _is_str(key: Any, types: Types) -> bool:
    """Whether a key is written as a str. A StrEnum among the user classes isn't."""
    if type(key) is str:
        return True
    row = types.find(type(key)) if issubclass(type(key), str) else None
    return row is not None and row.kind is str


def _is_name(key: str) -> bool:
    return key != ENTRIES and (key.isascii() or not TWO_HALVES.search(key))
