"""Python values to JSON bytes and back. The only module that knows JSON.

A file is split into its members, each still raw, and joined from them again; a member is decoded only when somebody
asks for it. What JSON lacks is written as an object with one `py/…` member: see docs/file-format.md.
"""

from __future__ import annotations

import base64
import codecs
import gc
import json
import re
import reprlib
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import chain
from math import isfinite
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Raw

from ..errors import CorruptFileError, NotStorableError

MAX_NESTING = 500
"""Levels of JSON a value may have: half of Python's usual recursion limit, so that what is written can be read again
from anywhere in a program."""

Members = dict[Any, Raw]
"""A file's keys, and the JSON text of each one's value."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()
_splitter = msgspec.json.Decoder(dict[str, Raw])
_batch_splitter = msgspec.json.Decoder(list[Raw])
_pair_splitter = msgspec.json.Decoder(list[tuple[Raw, Raw]])
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_ATOMS = frozenset({str, int, float, bool, type(None)})
_BATCH = 64
_TAG = b'"py/'
_ESCAPED_TAGS = (b'"py\\/', b'"\\u0070', b'"p\\u0079', b'"py\\u002')


# Files ----------------------------------------------------------------------------------------------------------------


def split(body: bytes) -> Members:
    """Split a file into its members, without building their values.

    Raises:
        CorruptFileError: it isn't a JSON object in UTF-8; the message says why and where.
    """
    body = body.removeprefix(codecs.BOM_UTF8)
    _check_utf8(body)
    try:
        with _collector_paused():
            members: Members = _splitter.decode(body)
    except _UNREADABLE:
        return _split_leniently(body)
    return _split_pairs(members)


def join(members: Members) -> bytes:
    """Put a file together from its members."""
    if set(map(type, members)) <= {str} and not _looks_tagged(members):
        try:
            return _encoder.encode(members)
        except UnicodeEncodeError:  # a lone surrogate in a key
            pass
    return _object(list(members), map(bytes, members.values()), ())


@contextmanager
def _collector_paused() -> Iterator[None]:
    """A collection in the middle of making 100,000 members finds nothing, and takes half as long again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _check_utf8(body: bytes) -> None:
    """The splitter doesn't look into strings, so bytes that aren't UTF-8 would be found only when they are touched."""
    if body.isascii():
        return
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise CorruptFileError(f"not UTF-8: {error.reason} at byte {error.start}") from error


def _split_leniently(body: bytes) -> Members:
    """What the splitter refuses gets a second hearing: `json.dumps` writes NaN, and half of a surrogate pair, too."""
    if not body.strip():
        raise CorruptFileError("the file is empty")
    text = body.decode()
    objects: list[dict[str, Any]] = [{}]

    def untag(item: dict[str, Any]) -> Any:
        objects[0] = item  # the last one is the outermost: the file itself
        return _untag(item)

    try:
        value = _loads(text, untag)
    except json.JSONDecodeError as error:
        raise CorruptFileError(f"not JSON: {error}") from error
    if not text.lstrip().startswith("{"):
        raise CorruptFileError(f"not a JSON object but {_JSON_NAMES.get(text.lstrip()[0], 'a number')}")
    items = value if objects[0].keys() == {"py/dict"} else objects[0]
    try:
        return {key: Raw(_encode_exactly(item, (key,))) for key, item in items.items()}
    except NotStorableError as error:  # what came from JSON can't be anything else
        raise CorruptFileError("nested too deeply to be read") from error


_JSON_NAMES = {"[": "an array", '"': "a string", "t": "a boolean", "f": "a boolean", "n": "null"}


def _split_pairs(members: Members) -> Members:
    """A dict with keys that aren't all str is one `py/dict` member; its pairs are split in turn."""
    if members.keys() != {"py/dict"}:
        return members
    try:
        pairs = _pair_splitter.decode(members["py/dict"])
        return {decode(key): raw for key, raw in pairs}
    except (*_UNREADABLE, TypeError):  # not a list of pairs, or a key that can't be one
        return members


# Values ---------------------------------------------------------------------------------------------------------------


def decode(raw: Raw | bytes) -> Any:
    """Build the value that a JSON text stands for."""
    text = bytes(raw)
    if _TAG in text or (b"\\" in text and any(tag in text for tag in _ESCAPED_TAGS)):
        return _loads(text.decode(), _untag)
    try:
        return _decoder.decode(text)
    except _UNREADABLE:
        return _loads(text.decode())


def encode(value: Any, *path: Any) -> bytes:
    """Write a value as JSON.

    Args:
        value: anything made of the types in docs/file-format.md.
        path: the keys that lead to it, for the error message.

    Raises:
        NotStorableError: it, or something in it, can't be stored.
    """
    text = _encode_plain(value)
    return _encode_exactly(value, path) if text is None else text


def encode_all(items: dict[Any, Any]) -> Members:
    """Write many values at once. Most are small, so several are written together.

    Raises:
        NotStorableError: one of them can't be stored.
    """
    keys, values = list(items), list(items.values())
    texts: list[Raw] = []
    for start in range(0, len(keys), _BATCH):
        here = slice(start, start + _BATCH)
        text = _encode_plain(values[here])
        if text is None:
            texts += [Raw(encode(value, key)) for key, value in zip(keys[here], values[here], strict=True)]
        else:
            texts += _batch_splitter.decode(text)
    return dict(zip(keys, texts, strict=True))


def canonical(raw: Raw | bytes) -> bytes:
    """The same value as `encode` would write it: other programs space and escape differently."""
    return encode(decode(raw))


def _loads(text: str, object_hook: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    try:
        return json.loads(text, object_hook=object_hook, parse_int=_parse_int)
    except RecursionError as error:
        raise CorruptFileError("nested too deeply to be read") from error


def _parse_int(digits: str) -> int:
    """Decimal has no limit on the number of digits; int() of a str has one, against hostile input, of 640 or more."""
    return int(digits) if len(digits) < 600 else int(Decimal(digits))


def _encode_plain(value: Any) -> bytes | None:
    """Write a value that is made of nothing but what JSON has; None if it isn't.

    msgspec writes much more than that: a tuple as an array, a date as a string, NaN as null.
    """
    try:
        text = _encoder.encode(value)
        if _TAG in text or not _is_plain(value) or (b"null" in text and _decoder.decode(text) != value):
            return None
    except Exception:  # noqa: BLE001  # not msgspec's, or a surrogate, or nested too deeply: the exact way tells
        return None
    return text


def _is_plain(value: Any) -> bool:
    """Is a value made of nothing but dicts, lists, strings, numbers and such, with at most `MAX_NESTING` levels?

    Looks at a whole level of nesting at a time, so that the loops run in C.
    """
    level = [] if type(value) in _ATOMS else [value]
    for _ in range(MAX_NESTING + 1):
        if not level:
            return True
        dicts = [item for item in level if type(item) is dict]
        lists = [item for item in level if type(item) is list]
        if len(dicts) + len(lists) < len(level) or not set(map(type, set[Any]().union(*dicts))) <= {str}:
            return False
        inner = chain(chain.from_iterable(map(dict.values, dicts)), chain.from_iterable(lists))
        level = [item for item in inner if type(item) not in _ATOMS]
    return False


# What JSON lacks: writing ---------------------------------------------------------------------------------------------


def _encode_exactly(value: Any, path: tuple[Any, ...]) -> bytes:
    """Write any storable value: slower than msgspec, but it knows all the types, and where it is."""
    try:
        return _write(value, path, ())
    except RecursionError as error:  # called from deep inside a program, or of types that take more of the stack
        raise _refusal(path, "is nested too deeply, so it can't be stored") from error


def _write(value: Any, path: tuple[Any, ...], inside: tuple[int, ...]) -> bytes:
    """Write a value that stands in others.

    `inside` holds the ids of the containers around it, one for each level of JSON: a circular reference is one that
    comes again.
    """
    for kind in type(value).__mro__:  # subclasses are stored as the built-in type itself
        if kind in _SCALARS:
            return _SCALARS[kind](value, path)
        if kind in _CONTAINERS:
            break
    else:
        raise _refusal(path, f"is {_a(type(value).__name__)}, which can't be stored")
    if id(value) in inside:
        raise _refusal(path, "is a circular reference, which can't be stored")
    if len(inside) >= MAX_NESTING:
        raise _refusal(path[:8], f"is nested more than {MAX_NESTING} levels deep, which can't be stored")
    return _CONTAINERS[kind](value, path, (*inside, id(value)))


def _string(value: str) -> bytes:
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:  # a lone surrogate: only an escape can write it
        return json.dumps(value).encode()


_TWO_HALVES = re.compile("(?<=[\ud800-\udbff])(?=[\udc00-\udfff])")
"""Between the halves of a surrogate pair. As escapes, JSON takes them for the character that they stand for."""


def _str(value: str, path: tuple[Any, ...]) -> bytes:
    exact = _exact_str(value)
    if exact.isascii() or not _TWO_HALVES.search(exact):
        return _string(exact)
    return _tag("str", b"[" + b",".join(map(_string, _TWO_HALVES.split(exact))) + b"]")


def _exact_str(value: str) -> str:
    return value if type(value) is str else str.__str__(value)


def _integer(value: int, path: tuple[Any, ...]) -> bytes:
    exact = int.__int__(value)
    return str(exact if exact.bit_length() < 2000 else Decimal(exact)).encode()  # see _parse_int


def _float(value: float, path: tuple[Any, ...]) -> bytes:
    exact = float.__float__(value)
    return _encoder.encode(exact) if isfinite(exact) else _tag("float", f'"{exact!r}"'.encode())


def _moment(kind: Any) -> Callable[[Any, tuple[Any, ...]], bytes]:
    def write(value: Any, path: tuple[Any, ...]) -> bytes:
        text = kind.isoformat(value)
        # Not so for pandas' nanoseconds, and for a zone's repeated hour in autumn
        if kind.fromisoformat(text) != value:
            raise _refusal(path, f"is {value!r}, which ISO 8601 can't tell exactly, so it can't be stored")
        return _tag(kind.__name__, _string(text))

    return write


def _timedelta(value: timedelta, path: tuple[Any, ...]) -> bytes:
    if timedelta(value.days, value.seconds, value.microseconds) != value:  # pandas' nanoseconds
        raise _refusal(path, f"is {value!r}, which has parts of a microsecond, so it can't be stored")
    return _tag("timedelta", b"[%d,%d,%d]" % (value.days, value.seconds, value.microseconds))


def _tag(name: str, content: bytes) -> bytes:
    return b'{"py/' + name.encode() + b'":' + content + b"}"


_SCALARS: dict[type, Callable[[Any, tuple[Any, ...]], bytes]] = {
    bool: lambda value, path: b"true" if value else b"false",
    type(None): lambda value, path: b"null",
    str: _str,
    int: _integer,
    float: _float,
    bytes: lambda value, path: _tag("bytes", _string(base64.b64encode(value).decode())),
    datetime: _moment(datetime),
    date: _moment(date),
    time: _moment(time),
    timedelta: _timedelta,
    Decimal: lambda value, path: _tag("decimal", _string(Decimal.__str__(value))),
    UUID: lambda value, path: _tag("uuid", _string(UUID.__str__(value))),
    complex: lambda value, path: _tag(
        "complex", b"[" + _float(value.real, path) + b"," + _float(value.imag, path) + b"]"
    ),
}


# Loops, not generators: a generator takes a level of the stack


def _list(value: Any, path: tuple[Any, ...], inside: tuple[int, ...]) -> bytes:
    items = []
    for index, item in enumerate(value):
        items.append(_write(item, (*path, index), inside))
    return b"[" + b",".join(items) + b"]"


def _set(value: Any, path: tuple[Any, ...], inside: tuple[int, ...]) -> bytes:
    """Sorted, as a set's own order differs from run to run, and equal sets should give equal files."""
    return b"[" + b",".join(sorted(_write_hashables(list(value), path, "member", inside))) + b"]"


def _dict(value: dict[Any, Any], path: tuple[Any, ...], inside: tuple[int, ...]) -> bytes:
    keys = list(value)
    if not _are_names(keys):
        inside = (*inside, 0, 0)
    items = []
    for key, item in value.items():
        items.append(_write(item, (*path, key), inside))
    return _object(keys, items, path, inside)


def _object(keys: list[Any], items: Iterable[bytes], path: tuple[Any, ...], inside: tuple[int, ...] = ()) -> bytes:
    """Put a dict together from its keys and what is written of its values."""
    names = _write_hashables(keys, path, "key", inside)
    if _are_names(keys):
        return b"{" + b",".join([name + b":" + item for name, item in zip(names, items, strict=True)]) + b"}"
    pairs = [b"[" + name + b"," + item + b"]" for name, item in zip(names, items, strict=True)]
    return _tag("dict", b"[" + b",".join(pairs) + b"]")


# What has a tag takes one level of JSON more


def _tuple(value: Any, path: tuple[Any, ...], inside: tuple[int, ...]) -> bytes:
    return _tag("tuple", _list(value, path, (*inside, 0)))


_CONTAINERS: dict[type, Callable[[Any, tuple[Any, ...], tuple[int, ...]], bytes]] = {
    list: _list,
    dict: _dict,
    tuple: _tuple,
    set: lambda value, path, inside: _tag("set", _set(value, path, (*inside, 0))),
    frozenset: lambda value, path, inside: _tag("frozenset", _set(value, path, (*inside, 0))),
}


def _write_hashables(items: list[Any], path: tuple[Any, ...], role: str, inside: tuple[int, ...]) -> list[bytes]:
    """Write the keys of a dict or the members of a set.

    Subclasses may have a hash and an equality of their own, which they lose: they must do without.
    """
    texts = []
    for item in items:
        try:
            texts.append(_write(item, (), inside))
        except NotStorableError as error:  # no path leads to it, so the message shows it
            raise _refusal(path, f"has the {role} {reprlib.repr(item)}, which can't be stored") from error
    if not set(map(type, items)) <= _SCALARS.keys() and not _are_distinct(texts):
        raise _refusal(path, f"has {role}s that would no longer differ or be hashable, so it can't be stored")
    return texts


def _are_distinct(texts: list[bytes]) -> bool:
    try:
        return len({json.loads(text, object_hook=_untag, parse_int=_parse_int) for text in texts}) == len(texts)
    except TypeError:
        return False


def _are_names(keys: list[Any]) -> bool:
    """Can they be the names of a JSON object's members?"""
    if not all(isinstance(key, str) for key in keys) or _looks_tagged(keys):
        return False
    return not _TWO_HALVES.search(" ".join(map(_exact_str, keys)))


def _looks_tagged(keys: Collection[Any]) -> bool:
    if len(keys) != 1:
        return False
    [key] = keys
    return isinstance(key, str) and key.startswith("py/") and key[3:] in _READERS


def _refusal(path: tuple[Any, ...], problem: str) -> NotStorableError:
    place = "d" + "".join(f"[{key!r}]" for key in path)
    return NotStorableError(f"{place} {problem}", path=place)


def _a(name: str) -> str:
    return f"an {name}" if name[:1].lower() in "aeiou" else f"a {name}"


# What JSON lacks: reading ---------------------------------------------------------------------------------------------


def _untag(item: dict[str, Any]) -> Any:
    """Turn an object with one `py/…` member into what it stands for, or leave it as it is.

    Called for the inner ones first, so the content is made of Python values already.
    """
    if not _looks_tagged(item):
        return item
    [(key, content)] = item.items()
    try:
        return _READERS[key[3:]](content)
    except (TypeError, ValueError, ArithmeticError):  # content that doesn't fit
        return item


def _reader(kind: type, make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A reader for content of just one type: a str is iterable too, but doesn't make a tuple."""

    def read(content: Any) -> Any:
        if type(content) is not kind:
            raise TypeError
        return make(content)

    return read


def _read_dict(pairs: list[Any]) -> dict[Hashable, Any]:
    if any(type(pair) is not list for pair in pairs):
        raise TypeError
    return dict(pairs)


def _read_timedelta(parts: list[Any]) -> timedelta:
    days, seconds, microseconds = map(_integer_only, parts)
    return timedelta(days, seconds, microseconds)


def _integer_only(value: Any) -> int:
    if type(value) is not int:
        raise TypeError
    return value


def _read_complex(parts: list[Any]) -> complex:
    real, imag = parts
    if not {type(real), type(imag)} <= {int, float}:
        raise TypeError
    return complex(real, imag)


def _read_float(text: str) -> float:
    if text not in ("nan", "inf", "-inf"):
        raise ValueError
    return float(text)


_READERS: dict[str, Callable[[Any], Any]] = {
    "str": _reader(list, "".join),
    "tuple": _reader(list, tuple),
    "set": _reader(list, set),
    "frozenset": _reader(list, frozenset),
    "bytes": _reader(str, lambda text: base64.b64decode(text, validate=True)),
    "datetime": _reader(str, datetime.fromisoformat),
    "date": _reader(str, date.fromisoformat),
    "time": _reader(str, time.fromisoformat),
    "timedelta": _reader(list, _read_timedelta),
    "decimal": _reader(str, Decimal),
    "uuid": _reader(str, UUID),
    "complex": _reader(list, _read_complex),
    "float": _reader(str, _read_float),
    "dict": _reader(list, _read_dict),
}
