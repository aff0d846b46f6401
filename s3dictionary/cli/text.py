"""JSON for people: prints it indented but otherwise unchanged, and reads it strictly."""

from __future__ import annotations

import codecs
import json
import re
from typing import TYPE_CHECKING, Any

import msgspec

from .._format import codec
from .._format.strict import Mistake, mistakes
from ..errors import CorruptFileError
from .outcomes import ExitCode, Failure
from .terminal import out, say

if TYPE_CHECKING:
    from jmespath.parser import ParsedResult

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_PAIR = r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_ESCAPE = re.compile(rf"({_PAIR}|\\u[0-9a-fA-F]{{4}})|\\.")


# Printing


def pretty(text: bytes) -> str:
    """Indent JSON. Numbers, duplicate keys and the order stay unchanged. Escaped letters become readable.

    NaN and infinities, which only some programs read, are written in standard JSON.
    """
    # Strings are taken out first, because msgspec rejects half of a surrogate pair
    plain = text.decode()
    strings = map(_readable, _STRING.findall(plain))
    try:
        skeleton = msgspec.json.format(_STRING.sub('""', plain), indent=2)
    except msgspec.DecodeError:
        return pretty(codec.canonical(text))
    return _STRING.sub(lambda _: next(strings), skeleton)


def _readable(string: str) -> str:
    return _ESCAPE.sub(_unescape, string) if "\\u" in string else string


def _unescape(escape: re.Match[str]) -> str:
    """The character that an escape stands for, unless it must be escaped or isn't printable."""
    if not escape[1]:
        return escape[0]
    character: str = json.loads(f'"{escape[1]}"')
    return character if character > "~" and character.isprintable() else escape[0]


def members_text(members: codec.Members) -> str:
    """A whole file, indented."""
    return pretty(codec.join(members))


def plain_text(value: Any) -> str:
    """A plain JSON value, indented."""
    return pretty(json.dumps(value).encode())


def out_json(text: bytes, query: ParsedResult | None, *, raw: bool = False) -> None:
    """Print JSON, or what a query finds in it. With `raw`, print a string without its quotes."""
    if query is None and not raw:
        return out(pretty(text))
    value = load_plain(text)
    if query is not None:
        value = search(query, value)
    if raw and isinstance(value, str):
        return out(value.encode(errors="replace").decode())
    return out(pretty(text) if query is None else plain_text(value))


# Queries


def compile_query(expression: str | None) -> ParsedResult | None:
    """Compile a JMESPath expression.

    Raises:
        Failure: the expression is invalid.
    """
    if expression is None:
        return None
    import jmespath
    from jmespath.exceptions import JMESPathError

    try:
        return jmespath.compile(expression)
    except JMESPathError as error:
        raise Failure(ExitCode.USAGE, f"--query isn't JMESPath: {error}") from error


def search(query: ParsedResult, value: Any) -> Any:
    """What a query finds in plain JSON. Tags are ordinary members."""
    from jmespath.exceptions import JMESPathError

    try:
        return query.search(value)
    except JMESPathError as error:
        raise Failure(ExitCode.USAGE, f"--query can't be answered: {error}") from error


def load_plain(text: bytes) -> Any:
    """JSON as plain Python values."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # for example, a number of thousands of digits
        raise Failure(ExitCode.USAGE, f"the query doesn't fit the file's content: {error}") from error


# Reading


def parse_value(text: bytes, name: str) -> Any:
    """Read a value from JSON.

    Args:
        text: the JSON.
        name: the name of the text in messages. They don't show the text itself, which may be a secret.

    Raises:
        Failure: the text isn't strictly valid.
    """
    check(text, name)
    check_tags(text, name)
    return codec.decode(text.removeprefix(codecs.BOM_UTF8))


def parse_members(text: bytes, name: str) -> codec.Members:
    """Read the members of a JSON object.

    Raises:
        Failure: the text isn't a strictly valid JSON object.
    """
    check(text, name)
    try:
        return codec.split(text)
    except CorruptFileError as error:
        raise Failure(ExitCode.INPUT, f"{name} is {error}") from error


def check(text: bytes, name: str) -> None:
    """Check that a text is standard JSON, without NaN and without duplicate keys.

    Raises:
        Failure: it isn't.
    """
    try:
        json.loads(
            text.decode("utf-8-sig"), object_pairs_hook=_distinct, parse_constant=_no_constant, parse_int=lambda _: 0
        )
    except UnicodeDecodeError as error:
        raise Failure(ExitCode.INPUT, f"{name} isn't UTF-8: {error.reason} at byte {error.start}") from error
    except ValueError as error:
        raise Failure(ExitCode.INPUT, f"{name} isn't JSON: {error}") from error
    except RecursionError as error:
        raise Failure(ExitCode.INPUT, f"{name} is nested too deeply") from error


def check_tags(text: bytes, name: str, *, is_file: bool = False) -> None:
    """Check the `py/…` members of a text, and print a warning for names that may be typos.

    Raises:
        Failure: the content of one is invalid, so it would be saved as a plain dict.
    """
    for mistake in _mistakes(text, name, is_file=is_file):
        if mistake.is_wrong:
            raise _unfit(mistake, name)
        say(f"{name} has a {mistake.tag}{mistake.place}, which is kept as a plain dict. {mistake.advice}")


def check_keys(text: bytes, name: str) -> None:
    """Check a file's `py/dict` member, which has the keys that aren't strings.

    Raises:
        Failure: its content is invalid.
    """
    for mistake in _mistakes(text, name, is_file=True):
        if not mistake.place:
            raise _unfit(mistake, name)


def _mistakes(text: bytes, name: str, *, is_file: bool) -> list[Mistake]:
    try:
        return mistakes(text.removeprefix(codecs.BOM_UTF8), is_file=is_file)
    except (CorruptFileError, RecursionError) as error:
        raise Failure(
            ExitCode.INPUT, f"{name} can't be read: it is nested too deeply, or has too long a number"
        ) from error


def _unfit(mistake: Mistake, name: str) -> Failure:
    message = f"{name} has a {mistake.tag}{mistake.place} whose content is invalid. {mistake.advice}"
    return Failure(ExitCode.INPUT, message.rstrip())


def _distinct(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise ValueError(f"the key {key!r} occurs twice in one object")
        seen.add(key)


def _no_constant(name: str) -> None:
    text = {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}[name]
    raise ValueError(f'{name} is written {{"py/float": "{text}"}}')
