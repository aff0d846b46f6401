"""Finds mistakes in `py/…` members that people write by hand. A load leaves such members as plain dicts."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, NamedTuple
from uuid import UUID

from .encoding import encode
from .readers import parse_int
from .reading import looks_tagged, parse, untag
from .scalars import ENTRIES
from .types import BUILT_IN, READERS

EXAMPLES: dict[str, Any] = {
    "str": "\ud83d\ude00",
    "float": float("nan"),
    "bytes": b"abc",
    "datetime": datetime(2026, 1, 31, 12, 30, tzinfo=timezone.utc),
    "date": date(2026, 1, 31),
    "time": time(12, 30),
    "timedelta": timedelta(days=1, seconds=30),
    "decimal": Decimal("1.50"),
    "uuid": UUID("12345678-1234-5678-1234-567812345678"),
    "complex": 1 + 2j,
    "dict": {1: "one"},
    "tuple": (1, 2),
    "set": {1, 2},
    "frozenset": frozenset({1, 2}),
}


class Mistake(NamedTuple):
    """An object with a `py/…` member that would be read as a plain dict.

    Attributes:
        tag: the member's name.
        place: where it is, as " at ['jobs'][0]"; empty for the whole text.
        advice: an example of what fits, or the name that was probably meant.
        is_wrong: whether the content doesn't fit. If not, the name is unknown, and may be that of a user class.
    """

    tag: str
    place: str
    advice: str
    is_wrong: bool


def mistakes(text: bytes, *, is_file: bool = False) -> list[Mistake]:
    """The mistakes in a JSON text, inner ones first.

    Args:
        text: valid JSON.
        is_file: whether it is a whole file. Its members are keys, whatever their names, except `py/dict`.
    """
    found: list[Mistake] = []
    value = parse(text.decode(), None, parse_int)
    if is_file and ENTRIES not in value:
        for key in list(value):
            _read(value[key], (key,), found)
    else:
        _read(value, (), found)
    return found


def _read(value: Any, path: tuple[Any, ...], found: list[Mistake]) -> Any:
    """Read inner values first, because their types decide whether they fit. A loop, because each call uses up stack."""
    for place, item in list(value.items()) if type(value) is dict else enumerate(value) if type(value) is list else ():
        value[place] = _read(item, (*path, place), found)
    if type(value) is not dict:
        return value
    if not looks_tagged(value):
        found += _typos(value, path)
        return value
    read = untag(BUILT_IN, value)
    if read is value:
        tag = ENTRIES if ENTRIES in value else next(iter(value))
        advice = f"A valid example is {encode(EXAMPLES[tag[3:]]).decode()}" if tag[3:] in EXAMPLES else ""
        found.append(Mistake(tag, _place(path), advice, is_wrong=True))
    return read


def _typos(value: dict[str, Any], path: tuple[Any, ...]) -> list[Mistake]:
    """An unknown name that is similar to a known one."""
    if len(value) != 1 or not next(iter(value)).startswith("py/"):
        return []
    [tag] = value
    close = get_close_matches(tag[3:].lower(), READERS, n=1, cutoff=0.75)
    return [Mistake(tag, _place(path), f"Did you mean py/{close[0]}?", is_wrong=False)] if close else []


def _place(path: tuple[Any, ...]) -> str:
    return " at " + "".join(f"[{step!r}]" for step in path) if path else ""
