"""What the refusal of a value says: where it is, what it is, and what to store instead."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Mapping, Set
from enum import Enum
from itertools import takewhile
from pathlib import PurePath
from typing import Any

from ..errors import NotStorableError

Path = tuple[Any, ...]


class Field(str):
    """A step of a path that leads to a field of an instance, not to a dict's value."""

    __slots__ = ()


def place_of(path: Path) -> str:
    """A path as one would write it in Python."""
    return "d" + "".join(f".{key}" if type(key) is Field else f"[{show(key, repr)}]" for key in path)


def reason_of(error: Exception) -> str:
    """What an exception of somebody else's code says, on one line."""
    text = " ".join(show(error, str).split())
    return text if type(error) in (TypeError, ValueError) and text else f"{type(error).__name__}: {text}"


def refusal(path: Path, problem: str) -> NotStorableError:
    """An error that says what is wrong with the value to which a path of keys leads."""
    place = place_of(path)
    return NotStorableError(f"{place} {problem}", path=place)


def unknown(path: Path, value: Any) -> NotStorableError:
    """The refusal of a value whose type isn't one that can be stored."""
    instead = _instead(value)
    advice = f"; store {instead} instead" if instead else ""
    return refusal(path, f"is {_a(name_of(type(value)))}, which can't be stored{advice}")


def name_of(kind: type) -> str:
    """The name of a type, with its module: numpy has a `bool`, too. A private module's names come from its package."""
    package, *inner = kind.__module__.split(".")
    if package == "builtins":
        return kind.__qualname__
    return ".".join([package, *takewhile(lambda name: not name.startswith("_"), inner), kind.__qualname__])


def _a(name: str) -> str:
    return f"an {name}" if name[:1].lower() in "aeiou" else f"a {name}"


def show(value: Any, write: Callable[[Any], str] = reprlib.repr) -> str:
    """A value in a message. Its repr may be anybody's code."""
    try:
        return write(value)
    except Exception:  # noqa: BLE001  # the message matters more
        return f"<{name_of(type(value))}>"


# Found by name, not to import what the program may not have
_BY_NAME = {
    "numpy.ndarray": "its .tolist()",
    "numpy.generic": "its .item()",
    "pandas.Series": "its .to_dict() or .tolist()",
    "pandas.Index": "its .tolist()",
    "pandas.DataFrame": "its .to_dict()",
    "pandas.NaTType": "None",
    "pandas.NAType": "None",
    "pydantic.BaseModel": "its .model_dump()",
    "msgspec.Struct": "msgspec.structs.asdict() of it",
    "zoneinfo.ZoneInfo": "its .key",
}

_BY_BASE: dict[type, str] = {
    Enum: "its .value",
    PurePath: "str() of it",
    bytearray: "bytes() of it",
    memoryview: "bytes() of it",
    type: "its name",
    BaseException: "str() of it",
    Mapping: "dict() of it",
    Set: "set() of it",
    Iterable: "list() of it",
}


def _instead(value: Any) -> str:
    """What to store in place of a value, if there is something simple."""
    kind = type(value)
    for base in kind.__mro__:
        name = f"{base.__module__.partition('.')[0]}.{base.__name__}"
        if name in _BY_NAME:
            return _BY_NAME[name]
    if hasattr(kind, "__dataclass_fields__"):
        return "dataclasses.asdict() of it"
    if hasattr(kind, "__attrs_attrs__"):
        return "attrs.asdict() of it"
    return next((text for base, text in _BY_BASE.items() if issubclass(kind, base)), "")
