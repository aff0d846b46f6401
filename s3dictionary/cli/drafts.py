"""The text of an edit. If it can't be saved, it is kept, together with the content that the edit started from."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from ..errors import S3DictError
from .outcomes import ExitCode, Failure, failure_of
from .terminal import agree, is_interactive, say, say_first, wait_for_enter
from .text import parse_members

if TYPE_CHECKING:
    from typing_extensions import Self

    from .._format import codec
    from .files import File

EDITED = "what you have edited"
_DEFAULT_EDITOR = "notepad" if os.name == "nt" else "vi"
_AT_ONCE = 0.5
"""Seconds. An editor that returns sooner, without a change, has probably only opened a window."""

_BASE = ".base"
"""The suffix of the file with the address, and the content that the edit started from."""


class Kept(NamedTuple):
    """A text that an earlier edit kept, or that the user wrote.

    Attributes:
        path: where it is.
        text: the text.
        base: the content of the file on S3 that the text started from; `None` if that isn't known.
    """

    path: Path
    text: bytes
    base: bytes | None

    @classmethod
    def read(cls, path: Path, uri: str) -> Kept:
        """Read a text, and the content that it started from, if an edit of the same file kept it.

        Raises:
            Failure: the text can't be read.
        """
        try:
            text = path.read_bytes()
            record = _base_of(path)
            address, _, base = record.read_bytes().partition(b"\n") if record.exists() else (b"", b"", b"")
        except OSError as error:
            raise Failure(ExitCode.LOCAL_FILE, f"{path} can't be read: {error.strerror}") from error
        return cls(path, text, base if address == uri.encode() else None)

    def remove(self) -> None:
        """Remove the text after it was saved, unless the user wrote it."""
        if self.base is not None:
            with suppress(OSError):
                self.path.unlink()
                _base_of(self.path).unlink()
                self.path.parent.rmdir()


def _base_of(path: Path) -> Path:
    return path.with_name(path.name + _BASE)


class Draft:
    """The text in a directory that only its owner can read. Removed at the end of the block.

    If the block fails and the text was edited, it is kept, and the error message says where.

    Args:
        file: the file on S3.
        text: the text to edit.
        base: the content of the file that the text started from; `None` if that isn't known.
        origin: the path of the text, if it was kept before.
    """

    def __init__(self, file: File, text: bytes, base: bytes | None, origin: Path | None = None) -> None:
        self._file = file
        self._text = text
        self._base = base
        self._origin = origin
        name = file.name.removesuffix(".gz") or "file"
        self._directory = Path(tempfile.mkdtemp(prefix="s3dictionary-"))
        self._path = self._directory / (name if name.endswith(".json") else f"{name}.json")

    def __enter__(self) -> Self:
        try:
            self._write(self._path, self._text)
            if self._base is not None:
                self._write(_base_of(self._path), self._file.uri.encode() + b"\n" + self._base)
        except OSError as error:
            self._remove()
            raise Failure(ExitCode.LOCAL_FILE, f"{self._path} can't be written: {error.strerror}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        where = None if error is None else self._where()
        if where is None or not self._is_edited():
            self._remove()
        if where is None:
            return
        if isinstance(error, (S3DictError, Failure)):
            failure = failure_of(error) if isinstance(error, S3DictError) else error
            raise Failure(failure.code, f"{failure}\n{where}") from error
        say(where)

    def edited(self, check: Callable[[bytes, codec.Members], None]) -> codec.Members:
        """Let the user edit the text, and read it.

        Args:
            check: raises a Failure if the text, or one of its members, can't be saved.

        Raises:
            Failure: the editor failed, or the text can't be saved, and the user doesn't edit it again.
        """
        while True:
            self._open_editor()
            try:
                text = self._read()
                members = parse_members(text, EDITED)
                check(text, members)
                return members
            except Failure as failure:
                if not agree(f"{failure}. Edit it again?"):
                    raise

    def _open_editor(self) -> None:
        begin = time.monotonic()
        code = _run_editor(self._path)
        if code != 0:
            raise Failure(ExitCode.EDITOR, f"the editor ended with exit code {code}, so nothing was written")
        if time.monotonic() - begin < _AT_ONCE and not self._is_edited() and is_interactive():
            say_first(
                "the editor returned at once. If it is open in another window, press Enter when you have saved and "
                "closed the text. (EDITOR='code --wait' makes it wait.)"
            )
            wait_for_enter()

    def _is_edited(self) -> bool:
        return self._path.exists() and self._path.read_bytes() != self._text

    def _read(self) -> bytes:
        try:
            return self._path.read_bytes()
        except FileNotFoundError as error:
            raise Failure(ExitCode.EDITOR, "the editor has removed the text, so nothing was written") from error

    def _write(self, path: Path, content: bytes) -> None:
        path.touch(mode=0o600)
        path.write_bytes(content)

    def _remove(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)

    def _where(self) -> str | None:
        """A message that says where the text is and what to do with it; `None` if it wasn't edited."""
        path = self._path if self._is_edited() else self._origin
        if path is None:
            return None
        uri, quoted = shlex.quote(self._file.uri), shlex.quote(str(path))
        return (
            f"Your text is kept in {path}\n"
            f"  compare it with the current file:    s3dictionary diff {uri} --file {quoted}\n"
            f"  continue editing, and save it:       s3dictionary edit {uri} --from {quoted}"
        )


def _run_editor(path: Path) -> int:
    """Run the user's editor, and return its exit code."""
    try:
        command = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or _DEFAULT_EDITOR)
        process = subprocess.Popen([*command, str(path)])  # noqa: S603  # the user chose the command
    except (OSError, ValueError) as error:
        raise Failure(ExitCode.EDITOR, f"your editor can't be started: {error}. Set EDITOR to its command.") from error
    # The terminal sends Ctrl-C to the editor, too, which handles it
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return process.wait()
    finally:
        signal.signal(signal.SIGINT, before)
