"""Checks that what is written of instances can be read again, and comes to the same.

The code of a class may do anything: a `__post_init__` that adds a prefix would add it with every load. So what is new
is read once before it is saved.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import Raw

from ..errors import CorruptFileError, NotStorableError
from .misfits import Located, steps_of
from .reading import decode, is_tagged, parse
from .refusals import Path, refusal, show
from .types import Types
from .writing import place, write_exactly

_INSTEAD = "; give the class with two functions, types={Class: (write, read)}"


def verify(texts: Iterable[tuple[Any, Raw | bytes]], types: Types) -> None:
    """Read new texts again, if they may hold instances.

    Args:
        texts: keys, and what was written of their values.
        types: the table of types.

    Raises:
        NotStorableError: something can't be read again, or would come back as something else.
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
        return refusal(error.path, f"can't be stored, as it {error.problem}{_INSTEAD}")
    except (CorruptFileError, NotStorableError) as error:
        return refusal(path, f"can't be stored, as it can't be read and written again: {error}")
    if again == text:
        return None
    then, now = (parse(item.decode(), None, str) for item in (text, again))
    there, then, now = _difference(then, now, path)
    return refusal(there, f"can't be stored, as {show(then)} would come back as {show(now)}{_INSTEAD}")


def _difference(then: Any, now: Any, path: Path) -> tuple[Path, Any, Any]:
    """The first place in which two JSON trees differ, and what they have there."""
    inside = steps_of(then, path)
    if type(then) is type(now) and list(inside) == list(steps_of(now, path)):
        after = steps_of(now, path)
        for there, item in inside.items():
            if item != after[there]:
                return _difference(item, after[there], there)
    return path, then, now
