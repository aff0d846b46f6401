"""Old versions of a file: `history`, `diff`, `restore`."""

from __future__ import annotations

import json
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .._format import codec
from ..errors import StorageError
from .files import File, file_of
from .outcomes import ExitCode, Failure
from .terminal import out, say
from .text import compile_query, members_text, out_json, parse_members, pretty

if TYPE_CHECKING:
    from argparse import Namespace


def history(arguments: Namespace) -> None:
    """List the versions that the bucket keeps, newest first."""
    query = compile_query(arguments.query)
    versions = file_of(arguments).versions()
    facts = [version._asdict() | {"last_modified": version.last_modified.isoformat()} for version in versions]
    out_json(json.dumps(facts).encode(), query)


def restore(arguments: Namespace) -> None:
    """Save an old version as the current one."""
    file = file_of(arguments)
    version_id = file.version_id(arguments.version)
    # `data` lets this work even if the current file can't be read
    with file.dict(data={}) as d:
        try:
            d.load(version_id=version_id)
        except StorageError as error:
            file.check_version(error, version_id)
            raise
        changed = d.changed
    say(f"{file.uri} is now as in version {version_id}" + ("" if changed else ", unchanged: nothing was written"))


# Differences


class _Side(NamedTuple):
    """One side of a comparison."""

    name: str
    members: codec.Members


def diff(arguments: Namespace) -> ExitCode:
    """Show the differences between two versions, or between a version and a local file."""
    file = file_of(arguments)
    if arguments.file is None:
        old = _side(file, arguments.old or "-1")
        new = _side(file, arguments.new)
    elif arguments.new is None:
        old = _side(file, arguments.old)
        new = _local_side(arguments.file)
    else:
        raise Failure(ExitCode.USAGE, "--file can be compared with only one version")
    lines = differences(old, new, differing(old.members, new.members))
    if lines:
        out("\n".join(lines))
    return ExitCode.DIFFERENT if lines else ExitCode.DONE


def _side(file: File, version: str | None) -> _Side:
    if version is None:
        return _Side(file.uri, file.members())
    version_id = file.version_id(version)
    return _Side(f"{file.uri} (version {version_id})", file.members(version_id))


def _local_side(path: str) -> _Side:
    try:
        text = Path(path).read_bytes()
    except OSError as error:
        raise Failure(ExitCode.LOCAL_FILE, f"{path} can't be read: {error.strerror}") from error
    return _Side(path, parse_members(text, path))


def differences(old: tuple[str, codec.Members], new: tuple[str, codec.Members], keys: list[Any]) -> list[str]:
    """A unified diff of some keys.

    Args:
        old: the name of one side, and its members.
        new: the same for the other side.
        keys: the keys to compare.
    """
    return list(unified_diff(_lines(old[1], keys), _lines(new[1], keys), old[0], new[0], lineterm=""))


def differing(old: codec.Members, new: codec.Members) -> list[Any]:
    """The keys that differ, whatever their order."""
    return [
        key
        for key in {**new, **old}
        if key not in old
        or key not in new
        or (old[key] != new[key] and pretty(bytes(old[key])) != pretty(bytes(new[key])))
    ]


def _lines(side: codec.Members, keys: list[Any]) -> list[str]:
    members = {key: side[key] for key in keys if key in side}
    return members_text(members).split("\n") if members else []
