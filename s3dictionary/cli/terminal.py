"""Standard input, output and error. Writing to standard output writes everything, or raises a `Failure`.

Leaves nothing in a buffer, because Python would fail to write it only at exit.
"""

from __future__ import annotations

import select
import sys
from contextlib import suppress
from typing import Any

from .outcomes import ExitCode, Failure


def out(text: str) -> None:
    """Write one or more lines to standard output, in UTF-8 whatever the terminal's encoding.

    Raises:
        Failure: standard output is closed or full.
        BrokenPipeError: the reader has closed it.
    """
    write_out(f"{text}\n")


def write_out(text: str) -> None:
    """The same, without a line break at the end."""
    try:
        _write(sys.stdout, text.encode())
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:
        raise Failure(ExitCode.OUTPUT, f"standard output can't be written: {_reason(error)}") from error


def say(message: str) -> None:
    """Write a message to standard error, if possible."""
    with suppress(OSError, ValueError):
        _write_error(f"s3dictionary: {message}\n")


def say_first(message: str) -> None:
    """Write a message that the user must see before the command continues to standard error.

    Raises:
        Failure: standard error can't be written.
    """
    try:
        _write_error(f"s3dictionary: {message}\n")
    except (OSError, ValueError) as error:
        raise Failure(ExitCode.OUTPUT, f"standard error can't be written: {_reason(error)}") from error


def write_error(text: str) -> None:
    """Write a text to standard error, if possible."""
    with suppress(OSError, ValueError):
        _write_error(text)


def agree(question: str) -> bool:
    """Ask the user a yes-or-no question. Without a terminal, the answer is no."""
    if not is_interactive():
        return False
    try:
        _write_error(f"s3dictionary: {question} [Y/n] ")
    except (OSError, ValueError):
        return False
    return sys.stdin.readline().strip("\r ").lower() in ("\n", "y\n", "yes\n")


def wait_for_enter() -> None:
    """Wait until the user presses Enter."""
    sys.stdin.readline()


def is_interactive() -> bool:
    """Whether standard input is a terminal."""
    return sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()


def standard_input() -> bytes:
    """Read all of standard input.

    Raises:
        Failure: it is closed, or can't be read.
    """
    if sys.stdin is None or sys.stdin.closed:
        raise Failure(ExitCode.LOCAL_FILE, "standard input is closed")
    if is_interactive():
        say("reading JSON from the terminal; Ctrl-D ends it")
    try:
        return sys.stdin.buffer.read()
    except OSError as error:
        raise Failure(ExitCode.LOCAL_FILE, f"standard input can't be read: {_reason(error)}") from error


def _write_error(text: str) -> None:
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    _write(sys.stderr, text.encode(encoding, errors="backslashreplace"))


def _write(stream: Any, data: bytes) -> None:
    """Write everything directly to the raw stream, which may take only a part at a time."""
    if stream is None:
        raise ValueError("it is closed")
    stream.flush()
    raw = getattr(stream.buffer, "raw", stream.buffer)
    rest = memoryview(data)
    while rest:
        written = raw.write(rest)
        if written is None:  # the stream is non-blocking and full
            select.select([], [raw], [])
        else:
            rest = rest[written:]


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
