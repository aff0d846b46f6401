"""Finds `py/…` members whose content doesn't fit, in what people write by hand. In a file they are left as they are."""

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
    """An object with a `py/…` member that isn't one.

    Attributes:
        tag: the member's name.
        place: where, as " at ['jobs'][0]"; empty for the whole text.
        advice: what fits, or which name was meant.
        is_wrong: its content doesn't fit; otherwise only the name isn't known, which may be a class of the user's.
    """

    tag: str
    place: str
    advice: str
    is_wrong: bool


def mistakes(text: bytes, *, is_file: bool = False) -> list[Mistake]:
    """Those in a JSON text, from the inside out.

    Args:
        text: valid JSON.
        is_file: is it a whole file? Its members are keys, whatever they are called, but for the one with other keys.
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
    """Reads what is inside first, as its type decides whether it fits; a loop, as each call takes of the stack."""
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
        advice = f"What fits is like {encode(EXAMPLES[tag[3:]]).decode()}" if tag[3:] in EXAMPLES else ""
        found.append(Mistake(tag, _place(path), advice, is_wrong=True))
    return read


def _typos(value: dict[str, Any], path: tuple[Any, ...]) -> list[Mistake]:
    """A name that nobody knows, but that is like one that is known."""
    if len(value) != 1 or not next(iter(value)).startswith("py/"):
        return []
    [tag] = value
    close = get_close_matches(tag[3:].lower(), READERS, n=1, cutoff=0.75)
    return [Mistake(tag, _place(path), f"Did you mean py/{close[0]}?", is_wrong=False)] if close else []


def _place(path: tuple[Any, ...]) -> str:
    return " at " + "".join(f"[{step!r}]" for step in path) if path else ""
