"""`log`: lists the versions that the bucket keeps: who wrote each one, when, and which keys it changed."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from .._format import codec
from ..errors import CorruptFileError
from .files import File, file_of
from .terminal import out
from .text import plain_text
from .versions import differing

if TYPE_CHECKING:
    from argparse import Namespace

    from .._s3.file import FileVersion


class _State(NamedTuple):
    """The content of a version, and its writer.

    Attributes:
        members: its members; `None` if it isn't JSON.
        writer: the id of the dict that saved it; `None` for another program.
    """

    members: codec.Members | None
    writer: str | None


def log(arguments: Namespace) -> None:
    """Print the newest versions with their size, their writer, and the keys that they changed."""
    file = file_of(arguments)
    versions = file.versions()
    shown = versions[: arguments.number + 1]
    states = [_state(file, version) for version in shown]
    if len(versions) <= arguments.number:
        states.append(_State({}, None))  # before the oldest version, there was no file
    entries = [_entry(version, new, old) for version, (new, old) in zip(shown, pairwise(states), strict=False)]
    if arguments.json:
        out(plain_text(entries))
    else:
        out("\n".join(map(_text, entries)))


def _state(file: File, version: FileVersion) -> _State:
    found = file.find(version.version_id)
    if found is None:
        raise file.missing(version.version_id)
    record = found.version.record
    writers = [] if record is None else [name for name, saved in record.rows.items() if saved == record.generation]
    try:
        return _State(file.split(found), writers[0] if writers else None)
    except CorruptFileError:
        return _State(None, None)


def _entry(version: FileVersion, new: _State, old: _State) -> dict[str, Any]:
    facts = {
        "version_id": version.version_id,
        "last_modified": version.last_modified.isoformat(),
        "size": version.size,
        "writer": new.writer,
    }
    if new.members is None or old.members is None:
        return {**facts, "keys": None}
    keys: dict[str, list[str]] = {"added": [], "changed": [], "removed": []}
    for key in differing(old.members, new.members):
        change = "added" if key not in old.members else "removed" if key not in new.members else "changed"
        keys[change].append(codec.encode(key).decode())
    return {**facts, "keys": keys}


def _text(entry: dict[str, Any]) -> str:
    writer = f"writer {entry['writer']}" if entry["writer"] else "another program"
    lines = [f"{entry['last_modified']}  {entry['size']:,} bytes  {writer}  version {entry['version_id']}"]
    if entry["keys"] is None:
        return f"{lines[0]}\n    this version, or the one before it, isn't JSON"
    lines += [f"    {change:7}  {', '.join(names)}" for change, names in entry["keys"].items() if names]
    return "\n".join(lines if len(lines) > 1 else [*lines, "    no key changed"])
