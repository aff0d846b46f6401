"""Checks that instances can be read back, and that reading and writing them again gives the same text.

The code of a class may do anything: a `__post_init__` that adds a prefix would add it again with every load. So each
new text is read once before it is saved.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import Raw

from ..errors import CorruptFileError, NotStorableError
from .misfits import Located, steps_of, tag_of
from .reading import decode, is_tagged, parse
from .refusals import CORRECT_FUNCTIONS, Path, refusal, show
from .types import Types
from .writing import place, write_exactly

_ADD_FUNCTIONS = "pass the class with two functions, types={Class: (write, read)}"


def verify(texts: Iterable[tuple[Any, Raw | bytes]], types: Types) -> None:
    """Read new texts back, if they may hold instances.

    Args:
        texts: keys, each with the text of its value.
        types: the table of types.

    Raises:
        NotStorableError: a text can't be read back, or would come back as another value.
    """
    if types.given:
        for key, text in texts:
            if is_tagged(text):
                error = _problem(bytes(text), (key,), types)
                if error is not None:
                    raise place(error, types)


def _problem(text: bytes, path: Path, types: Types) -> NotStorableError | None:
    try:
        again = write_exactly(decode(text, types, path), path, types)
    except Located as error:
        advice = _advice(error.tag, types)
        return refusal(error.path, f"can't be stored, because it {error.problem}; {advice}")
    except (CorruptFileError, NotStorableError) as error:
        return refusal(path, f"can't be stored, because it can't be read back and written again: {error}")
    if again == text:
        return None
    then, now = (parse(item.decode(), None, str) for item in (text, again))
    there, then, now, tag = _difference(then, now, path, types)
    problem = f"can't be stored, because {show(then)} would come back as {show(now)}"
    return refusal(there, f"{problem}; {_advice(tag, types)}")


def _advice(tag: str, types: Types) -> str:
    return _ADD_FUNCTIONS if types.by_fields.get(tag, True) else CORRECT_FUNCTIONS


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
