"""`edit`: a file in your editor. What you have typed is never lost: if it can't be saved, the text is kept."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .._format import codec
from ..errors import CorruptFileError, S3DictError
from .files import File, file_of
from .outcomes import ExitCode, Failure, failure_of
from .text import check_keys, check_tags, members_text, parse_members, pretty, say

if TYPE_CHECKING:
    from argparse import Namespace

    from msgspec import Raw
    from typing_extensions import Self

    from .._dict import S3Dict
    from .._s3.file import Found

_EDITED = "what you have edited"
_DEFAULT_EDITOR = "notepad" if os.name == "nt" else "vi"
_AT_ONCE = 0.5
"""Seconds. An editor that is back sooner, with nothing changed, has probably only opened a window."""


def edit(arguments: Namespace) -> None:
    """Edit a file, and save it on condition that nobody else has written it meanwhile."""
    file = file_of(arguments)
    found = file.find()
    before = _members(file, found)
    with Draft(file, _first_text(arguments, file, found, before)) as draft:
        after = draft.edited(before or {})
        is_changed = before is None or not _same(before, after)
        saved = is_changed and _save(file, found, before, after)
    say(f"saved {file.uri}" if saved else "nothing changed, nothing written")


def _members(file: File, found: Found | None) -> codec.Members | None:
    """The file's members; `None` if it can't be read as JSON, which is what editing may be for."""
    if found is None:
        return {}
    try:
        return file.split(found)
    except CorruptFileError as error:
        say(f"{str(error).rstrip('.')}. You get it as it is; what you save replaces it.")
        return None


def _first_text(arguments: Namespace, file: File, found: Found | None, before: codec.Members | None) -> bytes:
    if arguments.draft is not None:
        try:
            return Path(arguments.draft).read_bytes()
        except OSError as error:
            raise Failure(ExitCode.USAGE, f"{arguments.draft} can't be read: {error.strerror}") from error
    if before is not None:
        return f"{members_text(before)}\n".encode()
    assert found is not None
    return file.content(found)


# Saving


def _same(before: codec.Members, after: codec.Members) -> bool:
    return list(map(repr, before)) == list(map(repr, after)) and not _changed(before, after)


def _changed(before: codec.Members, after: codec.Members) -> list[Any]:
    """The keys that were added or have another text, spaces aside."""
    return [key for key, raw in after.items() if key not in before or _text(before[key]) != _text(raw)]


def _text(raw: Raw) -> str:
    return pretty(bytes(raw))


def _save(file: File, found: Found | None, before: codec.Members | None, after: codec.Members) -> bool:
    """Write what was changed; tells whether there was anything."""
    with file.dict(data={} if before is None else None) as d:
        if d.etag != (found.version.etag if found else None):
            done = "created" if found is None else "deleted" if d.etag is None else "written"
            raise Failure(
                ExitCode.CONFLICT,
                f"{file.uri} was {done} by someone else while you edited it, and nothing was overwritten.",
            )
        _apply(d, before or {}, after)
        changed = d.changed
    return changed  # noqa: RET504  # for mypy, the block may swallow an exception


def _apply(d: S3Dict[Any, Any], before: codec.Members, after: codec.Members) -> None:
    for key in [key for key in d if key not in after]:
        del d[key]
    for key in _changed(before, after):
        d[key] = codec.decode(after[key])
    if list(map(repr, d)) != list(map(repr, after)):
        for key in after:
            d[key] = d.pop(key)


# The text while it is edited


class Draft:
    """The text in a directory that only its owner can read; removed at the end of the block.

    If the block fails and the text was edited, it is kept, and the error is followed by where it is.
    """

    def __init__(self, file: File, text: bytes) -> None:
        self._file = file
        self._text = text
        name = file.name.removesuffix(".gz") or "file"
        self._directory = Path(tempfile.mkdtemp(prefix="s3dictionary-"))
        self._path = self._directory / (name if name.endswith(".json") else f"{name}.json")

    def __enter__(self) -> Self:
        self._path.touch(mode=0o600)
        self._path.write_bytes(self._text)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None or not self._is_edited():
            shutil.rmtree(self._directory, ignore_errors=True)
        elif isinstance(error, (S3DictError, Failure)):
            failure = failure_of(error) if isinstance(error, S3DictError) else error
            raise Failure(failure.code, f"{failure}\n{self._where()}") from error
        else:
            say(self._where())

    def edited(self, before: codec.Members) -> codec.Members:
        """Have it edited, and read it.

        Args:
            before: what the file holds. That may be odd; what has been edited may not.

        Raises:
            Failure: the editor failed, or the text isn't what can be saved, and nobody is there to edit it again.
        """
        while True:
            self._open_editor()
            try:
                text = self._read()
                after = parse_members(text, _EDITED)
                changed = {key: after[key] for key in _changed(before, after)}
                check_tags(codec.join(changed), _EDITED, is_file=True)
                check_keys(text, _EDITED)
                return after
            except Failure as failure:
                if not _agree(f"{failure}. Edit it again?"):
                    raise

    def _open_editor(self) -> None:
        begin = time.monotonic()
        code = _run_editor(self._path)
        if code != 0:
            raise Failure(ExitCode.USAGE, f"the editor ended with exit code {code}, so nothing was written")
        if time.monotonic() - begin < _AT_ONCE and not self._is_edited() and sys.stdin.isatty():
            say(
                "the editor was back at once. If it is open elsewhere, press Enter when you have saved the text and "
                "closed it. (EDITOR='code --wait' has it wait.)"
            )
            _wait_for_enter()

    def _is_edited(self) -> bool:
        return self._path.exists() and self._path.read_bytes() != self._text

    def _read(self) -> bytes:
        try:
            return self._path.read_bytes()
        except FileNotFoundError as error:
            raise Failure(ExitCode.USAGE, "the editor has removed the text, so nothing was written") from error

    def _where(self) -> str:
        uri, path = shlex.quote(self._file.uri), shlex.quote(str(self._path))
        return (
            f"Your text is kept in {self._path}\n"
            f"  what differs from what is there now: s3dictionary diff {uri} --file {path}\n"
            f"  edit it further, and save it:        s3dictionary edit {uri} --from {path}"
        )


def _run_editor(path: Path) -> int:
    """Run the user's editor until it ends; gives its exit code."""
    try:
        command = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or _DEFAULT_EDITOR)
        process = subprocess.Popen([*command, str(path)])  # noqa: S603  # it is the user's own choice
    except (OSError, ValueError) as error:
        raise Failure(ExitCode.USAGE, f"your editor can't be started: {error}. Set EDITOR to one.") from error
    # Ctrl-C is the editor's now, which got it, too
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return process.wait()
    finally:
        signal.signal(signal.SIGINT, before)


def _wait_for_enter() -> None:
    sys.stdin.readline()


def _agree(question: str) -> bool:
    """Ask the person at the terminal; without one, the answer is no."""
    if not sys.stdin.isatty():
        return False
    sys.stderr.write(f"s3dictionary: {question} [Y/n] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip("\r ").lower() in ("\n", "y\n", "yes\n")
