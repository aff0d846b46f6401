"""Runs a command, and turns what goes wrong into a message and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from .._s3 import calls
from ..errors import S3DictError
from .arguments import make_parser
from .outcomes import ExitCode, Failure, failure_of
from .text import say


def main(words: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        words: its words, without the program's name; `sys.argv` if left out.

    Returns:
        The exit code, one of `ExitCode`.
    """
    calls.on_wait = lambda what: say(f"waiting for {what}")
    try:
        arguments = make_parser().parse_args(words)
        code: int | None = arguments.command(arguments)
        sys.stdout.flush()
    except Failure as failure:
        say(str(failure))
        return failure.code
    except S3DictError as error:
        translated = failure_of(error)
        say(str(translated))
        return translated.code
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Python would try to flush it again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.BROKEN_PIPE
    finally:
        calls.on_wait = None
    return code or ExitCode.DONE
