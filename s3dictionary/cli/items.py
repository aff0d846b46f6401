"""The commands for items: `get`, `keys`, `set`, `unset`, `update`.

Those that write use `run`, so they repeat their change on the new content after a conflict.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._format import codec
from .files import File, file_of
from .outcomes import ExitCode, Failure
from .terminal import out, say, standard_input
from .text import check_tags, compile_query, out_json, parse_members, parse_value

if TYPE_CHECKING:
    from argparse import Namespace

    from .._dict import S3Dict


def get(arguments: Namespace) -> None:
    """Print a file, or the value of one key."""
    query = compile_query(arguments.query)
    keys = _keys([] if arguments.key is None else [arguments.key], arguments.json_keys)
    file = file_of(arguments)
    members = file.members(arguments.version)
    _check_keys(keys, members, file)
    text = bytes(members[keys[0]]) if keys else codec.join(members)
    out_json(text, query, raw=arguments.raw)


def keys(arguments: Namespace) -> None:
    """Print the keys of a file, in order."""
    query = compile_query(arguments.query)
    members = file_of(arguments).members(arguments.version)
    if arguments.raw and query is None:
        if members:
            out("\n".join(map(_raw_key, members)))
        return
    out_json(codec.encode(list(members)), query, raw=arguments.raw)


def set_(arguments: Namespace) -> None:
    """Set a key. Creates the file if it is missing."""
    file = file_of(arguments)
    [key] = _keys([arguments.key], arguments.json_keys)
    value = _value(arguments.value, as_string=arguments.string)

    def change(d: S3Dict[Any, Any]) -> None:
        d[key] = value

    _change(file, change)


def unset(arguments: Namespace) -> None:
    """Remove keys. Fails if one of them is missing."""
    keys = _keys(arguments.keys, arguments.json_keys)
    file = file_of(arguments)

    def change(d: S3Dict[Any, Any]) -> None:
        if d.etag is None:
            raise file.missing()
        _check_keys(keys, d, file)
        for key in keys:
            d.pop(key, None)  # the command line may name a key twice

    _change(file, change)


def update(arguments: Namespace) -> None:
    """Set the keys of a JSON object from standard input."""
    file = file_of(arguments)
    text = standard_input()
    members = parse_members(text, "standard input")
    check_tags(text, "standard input", is_file=True)
    new = {key: codec.decode(raw) for key, raw in members.items()}
    _change(file, lambda d: d.update(new))


def _change(file: File, change: Callable[[S3Dict[Any, Any]], None]) -> None:
    d = file.dict()
    is_new = d.etag is None
    d.run(change)
    if is_new and d.etag is not None:  # so that a typo in the address is noticed
        say(f"created {file.uri}")


# Keys and values from the command line


def _raw_key(key: Any) -> str:
    return key.encode(errors="replace").decode() if isinstance(key, str) else codec.encode(key).decode()


def _keys(words: list[str], as_json: bool) -> list[Any]:
    return [_json_key(word) for word in words] if as_json else list(words)


def _json_key(word: str) -> Any:
    key = parse_value(word.encode(errors="surrogateescape"), "KEY")
    try:
        hash(key)
    except TypeError as error:
        raise Failure(ExitCode.USAGE, "KEY can't be a list or an object: pass a hashable value") from error
    return key


def _check_keys(keys: list[Any], present: Any, file: File) -> None:
    missing = [key for key in keys if key not in present]
    if missing:
        names = ", ".join(codec.encode(key).decode() for key in missing)
        hint = _hint(missing[0], present)
        raise Failure(ExitCode.NO_KEY, f"{file.uri} has no key {names}. {hint}")


def _hint(key: Any, present: Any) -> str:
    """Advice for common mistakes: the word 1 for the number 1, and a path into a value."""
    for other in present:
        if isinstance(key, str) and not isinstance(other, str) and codec.encode(other) == key.encode():
            return "There is one that isn't a string: pass --json-keys."
    if isinstance(key, str) and any(key.startswith((f"{other}.", f"{other}[")) for other in present):
        return f"To get a part of a value, use `get` with --query {shlex.quote(_query(key))}"
    return "`keys` lists the existing ones."


def _query(path: str) -> str:
    """The JMESPath expression that a path like `jobs.0.name` stands for."""
    return re.sub(r"\.(\d+)(?=[.[]|$)", r"[\1]", path)


def _value(word: str, *, as_string: bool) -> Any:
    text = standard_input() if word == "-" else word.encode(errors="surrogateescape")
    if not as_string:
        return _json_value(text)
    try:
        return text.decode().removesuffix("\n") if word == "-" else text.decode()
    except UnicodeDecodeError as error:
        raise Failure(ExitCode.INPUT, f"VALUE isn't UTF-8: {error.reason} at byte {error.start}") from error


def _json_value(text: bytes) -> Any:
    try:
        return parse_value(text, "VALUE")
    except Failure as failure:
        raise Failure(
            failure.code,
            f"{failure}. A string needs quotes that the shell doesn't remove, as in '\"text\"'; or use --string.",
        ) from failure
