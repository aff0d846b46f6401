"""Checks that instances can be read back, and that reading and writing them again gives the same text.

The code of a class may do anything: a `__post_init__` that adds a prefix would add it again with every load. So each
new text is read once before it is saved.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import Raw

from ..errors import CorruptFileError, NotStorableError
from .reading import decode, is_tagged, parse
from .refusals import CORRECT_FUNCTIONS, Path, refusal, show
from .rejections import Located, steps_of, tag_of
from .types import Types
from .writing import place, write_exactly

_ADD_FUNCTIONS = "pass the class with two functions, types={Class: (write, read)}"


def verify(items: Iterable[tuple[Any, Any, Raw | bytes]], types: Types) -> None:
    """Read new texts back, if they may hold instances.

    Args:
        items: keys, each with its value and the value's text.
        types: the table of types.

    Raises:
        NotStorableError: a text can't be read back, or would come back as another value.
    """
    if types.given:
        for key, value, text in items:
            if is_tagged(text):
                error = _problem(value, bytes(text), (key,), types)
                if error is not None:
                    raise place(error, types)


def _problem(value: Any, text: bytes, path: Path, types: Types) -> NotStorableError | None:
    try:
        read = decode(text, types, path)
        again = write_exactly(read, path, types)
    except Located as error:
        advice = _advice(error.tag, types)
        return refusal(error.path, f"can't be stored, because it {error.problem}; {advice}")
    except (CorruptFileError, NotStorableError) as error:
        return refusal(path, f"can't be stored, because it can't be read back and written again: {error}")
    if again != text:
        then, now = (parse(item.decode(), None, str) for item in (text, again))
        there, then, now, tag = _difference(then, now, path, types)
    elif _is_unequal(value, read, text, path, types):
        there, then, now = _unequal(value, read, path)
        row = types.find(type(then))
        tag = row.tag if row else ""
    else:
        return None
    problem = f"can't be stored, because {show(then)} would come back as {show(now)}"
    return refusal(there, f"{problem}; {_advice(tag, types)}")


def _advice(tag: str, types: Types) -> str:
    """What to do about a class, by its name. If it isn't known which, some class without functions may be to blame."""
    has_no_functions = types.by_fields.get(tag, any(types.by_fields.values()))
    return _ADD_FUNCTIONS if has_no_functions else CORRECT_FUNCTIONS


def _is_unequal(value: Any, read: Any, text: bytes, path: Path, types: Types) -> bool:
    """Whether a value doesn't equal what was read back, according to its classes.

    Trusts them only if what is read twice is equal. It isn't without an `__eq__`, or with NaN in it. Another thread may
    change the value meanwhile.
    """
    try:
        is_comparable = (decode(text, types, path) == read) is True
        return is_comparable and (value == read) is False and write_exactly(value, path, types) == text
    except Exception:  # noqa: BLE001  # the code of a class may raise anything
        return False


def _unequal(value: Any, read: Any, path: Path) -> tuple[Path, Any, Any]:
    """The path of the first unequal part of two values, and what each has there."""
    if type(value) is type(read) is dict and list(value) == list(read):
        steps: Iterable[Any] = value
    elif type(value) is type(read) is list and len(value) == len(read):
        steps = range(len(value))
    else:
        steps = ()
    for step in steps:
        if (value[step] == read[step]) is False:
            return _unequal(value[step], read[step], (*path, step))
    return path, value, read


def _difference(then: Any, now: Any, path: Path, types: Types, tag: str = "") -> tuple[Path, Any, Any, str]:
    """The path of the first difference between two JSON trees, what each has there, and the innermost class around."""
    name = tag_of(then).removeprefix("py/")
    tag = name if name in types.by_fields else tag
    inside = steps_of(then, path)
    if type(then) is type(now) and list(inside) == list(steps_of(now, path)):
        after = steps_of(now, path)
        for there, item in inside.items():
            if item != after[there]:
                return _difference(item, after[there], there, types, tag)
    return path, then, now, tag
