"""Runs a command, and turns exceptions into a message and an exit code."""

from __future__ import annotations

import gc
from collections.abc import Sequence

from .._s3 import calls
from ..errors import S3DictError
from . import save_outcome
from .arguments import make_parser
from .outcomes import ExitCode, Failure, failure_of
from .terminal import say


def main(words: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        words: the arguments, without the program's name. The default is `sys.argv`.

    Returns:
        The exit code, one of `ExitCode`.
    """
    calls.on_wait = lambda what: say(f"waiting for {what}")
    save_outcome.forget()
    try:
        return _run(words)
    except Failure as failure:
        say(str(failure))
        return failure.code
    except KeyboardInterrupt:
        outcome = save_outcome.current()
        say("stopped" if outcome is None else f"stopped: {outcome.value}")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        return ExitCode.BROKEN_PIPE
    except OSError as error:
        say(str(error))
        return ExitCode.LOCAL_FILE
    finally:
        calls.on_wait = None
        if words is None:  # the process ends, and Python would go through all objects several times
            gc.freeze()


def _run(words: Sequence[str] | None) -> int:
    arguments = make_parser().parse_args(words)
    try:
        code: int | None = arguments.command(arguments)
    except S3DictError as error:
        raise failure_of(error) from error
    return code or ExitCode.DONE
