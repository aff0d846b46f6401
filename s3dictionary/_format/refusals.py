"""The messages that refuse a value: where it is, what it is, and what to store instead."""

from __future__ import annotations

import re
import reprlib
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping, Set
from enum import Enum
from functools import partial
from io import IOBase
from itertools import takewhile
from pathlib import PurePath
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any

from ..errors import NotStorableError

Path = tuple[Any, ...]


CORRECT_FUNCTIONS = "correct its functions in types="
"""The advice for a class whose functions don't give the same value again."""


class Field(str):
    """A step of a path that leads to a field of an instance, not to a dict's value."""

    __slots__ = ()


def place_of(path: Path) -> str:
    """A path as a Python expression: `d['jobs'][0]`."""
    return "d" + "".join(f".{key}" if type(key) is Field else f"[{show(key, repr)}]" for key in path)


def reason_of(error: Exception) -> str:
    """The message of an exception from other code, on one line."""
    text = " ".join(show(error, str).split())
    return text if type(error) in (TypeError, ValueError) and text else f"{type(error).__name__}: {text}"


def refusal(path: Path, problem: str) -> NotStorableError:
    """An error that says what is wrong with the value at a path."""
    place = place_of(path)
    return NotStorableError(f"{place} {problem}", path=place)


def unknown(path: Path, value: Any, base: type | None = None) -> NotStorableError:
    """The refusal of a value whose type can't be stored; `base` is a base class of it that is in `types=`."""
    kind = type(value)
    advice = f"types= has only its base class {name_of(base)}; add {kind.__name__}" if base else _advice(kind)
    return refusal(path, f"is {_a(name_of(kind))}, which can't be stored; {advice}")


def of_another_type(path: Path, value: Any, kind: type) -> NotStorableError:
    """The refusal of an instance whose class's functions would read it back as an instance of `kind`."""
    problem = f"which can't be stored, because it would come back as {_a(name_of(kind))}"
    return refusal(path, f"is {_a(name_of(type(value)))}, {problem}; {CORRECT_FUNCTIONS}")


def name_of(kind: type) -> str:
    """The name of a type with its module, because numpy has a `bool`, too. Private modules are left out."""
    package, *inner = kind.__module__.split(".")
    if package in ("builtins", "s3dictionary"):
        return kind.__qualname__
    return ".".join([package, *takewhile(lambda name: not name.startswith("_"), inner), kind.__qualname__])


def _a(name: str) -> str:
    return f"an {name}" if re.match(r"[AEIOUaeiou]|[FHLMNRSX]\d", name) else f"a {name}"


def show(value: Any, write: Callable[[Any], str] = reprlib.repr) -> str:
    """A value in a message. Its repr may be code that fails."""
    try:
        return write(value)
    except Exception:  # noqa: BLE001  # a failing repr mustn't hide the message
        return f"<{name_of(type(value))}>"


_AS_STR = "store str() of it instead, or pass types={{{name}: (str, {name})}} to store it as itself"

# The advice for the nearest class in the table. By name, because the program may not have the library
_BY_NAME = {
    "numpy.ndarray": "store its .tolist() instead",
    "numpy.generic": "store its .item() instead",
    "pandas.Series": "store its .tolist() or .to_dict() instead",
    "pandas.Index": "store its .tolist() instead",
    "pandas.DataFrame": 'store its .to_dict("records") instead',
    "pandas.Timestamp": 'store its .floor("us") instead, or pass types={{{name}: ({name}.isoformat, {name})}}',
    "pandas.Timedelta": 'store its .floor("us") instead, or pass types={{{name}: ({name}.isoformat, {name})}}',
    "pandas.NaTType": "store None instead",
    "pandas.NAType": "store None instead",
    "polars.DataFrame": "store its .to_dicts() instead",
    "polars.Series": "store its .to_list() instead",
    "torch.Tensor": "store its .tolist() instead",
    "array.array": "store its .tolist() instead",
    "zoneinfo.ZoneInfo": "store its .key instead",
    "fractions.Fraction": _AS_STR,
    "ipaddress._BaseAddress": _AS_STR,
    "ipaddress._BaseNetwork": _AS_STR,
    "re.Pattern": "store its .pattern instead",
    "_asyncio.Future": "await it, and store the result",
    "asyncio.Future": "await it, and store the result",
    "concurrent.Future": "store its .result() instead",
    "_thread.lock": "it belongs to this process; leave it out",
    "_thread.RLock": "it belongs to this process; leave it out",
    "threading.Thread": "it belongs to this process; leave it out",
    "_socket.socket": "it belongs to this process; leave it out",
}

_BY_BASE: dict[type, str] = {
    Enum: "store its .value instead, or pass types=[{name}] to store it as itself",
    PurePath: "store str() of it instead, or pass types={{Path: (str, Path)}} to store it as itself",
    bytearray: "store bytes() of it instead",
    memoryview: "store bytes() of it instead",
    type: "store its name instead",
    ModuleType: "store its name instead",
    FunctionType: "store its name instead, and look the function up by it",
    BuiltinFunctionType: "store its name instead, and look the function up by it",
    MethodType: "store its name instead, and look the function up by it",
    partial: "store its arguments instead",
    Awaitable: "await it, and store the result",
    AsyncIterable: "collect its items in a list, and store that instead",
    IOBase: "store its .read() or its .name instead",
    BaseException: "store str() of it instead",
    SimpleNamespace: "store vars() of it instead",
    Mapping: "store dict() of it instead",
    Set: "store set() of it instead",
    Iterable: "store list() of it instead",
}

_RECORDS = ("__dataclass_fields__", "__attrs_attrs__", "__struct_fields__", "__pydantic_fields__")


def _advice(kind: type) -> str:
    """What to do with a value of a type that can't be stored."""
    name = kind.__name__
    known = advice_by_name(kind)
    if known:
        return known
    if not issubclass(kind, type) and any(hasattr(kind, attribute) for attribute in _RECORDS):
        return f"pass types=[{name}] to store it as itself"
    for base, text in _BY_BASE.items():
        if issubclass(kind, base):
            return text.format(name=name)
    if kind is object:
        return "store a value of another type instead"
    return f"pass types={{{name}: (write, read)}} with two functions, or store its parts"


def advice_by_name(kind: type) -> str:
    """What to do with a value of a type from a known library; empty for other types."""
    names = (f"{base.__module__.partition('.')[0]}.{base.__name__}" for base in kind.__mro__)
    return next((_BY_NAME[name].format(name=kind.__name__) for name in names if name in _BY_NAME), "")
