"""`python -m s3dictionary.local`: a local S3 for a shell, or for one command."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence

from .block import ENGINES, new_bucket, new_server

PROGRAM = "python -m s3dictionary.local"
DESCRIPTION = """\
Run an S3 server on 127.0.0.1 with one empty bucket, whose name is in S3DICT_BUCKET. Without a command: print the
settings for a shell, and run until Ctrl-C. With a command: run it with these settings, and exit with its exit code. The
server's data is deleted at the end."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit code."""
    options, command = _parse(sys.argv[1:] if arguments is None else list(arguments))
    from botocore.exceptions import BotoCoreError, ClientError

    if command and shutil.which(command[0]) is None:
        return _failed(f"{command[0]}: command not found", 127)  # as a shell does
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # clean up as after Ctrl-C
    try:
        return _serve(options, command)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT if command else 0
    except OSError as error:
        return _failed(error.strerror or str(error))
    except (BotoCoreError, ClientError, ImportError, RuntimeError) as error:
        return _failed(str(error))


def _parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog=PROGRAM, usage="%(prog)s [options] [-- command [argument ...]]", description=DESCRIPTION
    )
    parser.add_argument(
        "--bucket", metavar="NAME", default="my-bucket", help="the bucket to create (default: my-bucket)"
    )
    parser.add_argument("--engine", choices=ENGINES, default="moto", help="the server (default: moto)")
    parser.add_argument(
        "--port", metavar="N", type=_port, default=0, help="the port to listen on (default: a free port)"
    )
    parser.add_argument("--versioning", action="store_true", help="enable versioning on the bucket")
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options, command = parser.parse_args(arguments[:end]), arguments[end + 1 :]
    if end < len(arguments) and not command:
        parser.error("a command must follow --")
    return options, command


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 2**16:
        raise argparse.ArgumentTypeError(f"{text!r} isn't a port from 1 to 65535")
    return int(text)


def _serve(options: argparse.Namespace, command: list[str]) -> int:
    outside = {name for name in os.environ if name.startswith("AWS_")}
    with (
        new_server(options.engine, options.port) as server,
        new_bucket(server, options.bucket, versioning=options.versioning) as s3,
    ):
        environ = {**s3.environ, "S3DICT_BUCKET": s3.bucket}
        if command:
            return _run(command, {**os.environ, **environ})
        print(f"# {server.title}, with the empty bucket {s3.bucket}. Ctrl-C stops it. For another shell:")  # noqa: T201
        print(_shell_lines(environ, outside - environ.keys()), flush=True)  # noqa: T201
        server.wait()
        return _failed(f"{server.title} has ended")


def _shell_lines(environ: dict[str, str], in_the_way: set[str]) -> str:
    unset = [f"unset {' '.join(sorted(in_the_way))}"] if in_the_way else []
    return "\n".join([*unset, *(f"export {name}={shlex.quote(value)}" for name, value in environ.items())])


def _run(command: list[str], environ: dict[str, str]) -> int:
    process = subprocess.Popen(command, env=environ)  # noqa: S603  # it is the user's own
    # The terminal sends a Ctrl-C to the command, too, which decides what to do
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    code = process.wait()
    return code if code >= 0 else 128 - code


def _failed(problem: str, code: int = 1) -> int:
    sys.stderr.write(f"{PROGRAM}: {problem}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
