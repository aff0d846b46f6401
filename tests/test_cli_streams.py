"""The command line's streams: the output is complete or an error says so, and messages come in time."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from s3dictionary._s3 import calls, failures
from s3dictionary.cli.outcomes import ExitCode, failure_of
from s3dictionary.errors import StorageError
from support.command_line import FILE, CommandLine
from support.proxy import Answer, Call, Forward, Request, Response
from support.servers import Site

BODY = b'{"a":1}'
FULL = ["/dev/full"] if Path("/dev/full").exists() else []
"""A full disk."""


def run(cli: CommandLine, redirections: str, *words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run `s3dictionary WORDS…` in a separate process, with its streams redirected by a shell."""
    command = f'exec "$@" {redirections}'
    return subprocess.run(
        ["/bin/sh", "-c", command, "sh", sys.executable, "-m", "s3dictionary", *words],
        env={**os.environ, **cli.environment, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )


# Output


@pytest.mark.parametrize("redirection", [*(f">{path}" for path in FULL), ">&-"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_cannot_be_written_has_a_code_of_its_own(
    cli: CommandLine, moto_s3: Site, redirection: str, unbuffered: str
) -> None:
    """Otherwise a script would continue with half of the output."""
    moto_s3.write(FILE, BODY)
    ended = run(cli, redirection, "get", cli.uri, PYTHONUNBUFFERED=unbuffered)
    assert ended.returncode == ExitCode.OUTPUT
    assert re.fullmatch(rb"s3dictionary: standard output can't be written: .+\n", ended.stderr)


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["get", "--help"]], ids=" ".join)
def test_help_that_cannot_be_written_is_an_error_too(cli: CommandLine, words: list[str]) -> None:
    ended = run(cli, ">&-", *words)
    assert (ended.returncode, ended.stdout) == (ExitCode.OUTPUT, b"")
    assert b"Traceback" not in ended.stderr


@pytest.mark.parametrize("redirection", [*(f"2>{path}" for path in FULL), "2>&-", "2>&- >&- <&-"])
def test_what_is_only_said_keeps_nothing_from_being_saved(cli: CommandLine, moto_s3: Site, redirection: str) -> None:
    ended = run(cli, redirection, "set", cli.uri, "a", "1")
    assert (ended.returncode, ended.stderr) == (ExitCode.DONE, b"")
    assert moto_s3.read(FILE) == BODY


def test_an_error_that_cannot_be_said_keeps_its_code(cli: CommandLine) -> None:
    assert run(cli, "2>&-", "get", cli.uri).returncode == ExitCode.NOT_THERE
    assert run(cli, "2>&-", "get").returncode == ExitCode.USAGE


def test_what_must_be_known_before_a_save_is_said_or_nothing_is_saved(cli: CommandLine, moto_s3: Site) -> None:
    """Saving a file that isn't JSON replaces it."""
    moto_s3.write(FILE, b"[1]")
    ended = run(cli, "2>&-", "edit", cli.uri, EDITOR="sh -c 'echo {} >$0'")
    assert ended.returncode == ExitCode.OUTPUT
    assert moto_s3.read(FILE) == b"[1]"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_pipe_that_takes_a_little_at_a_time_gets_everything(cli: CommandLine, moto_s3: Site, unbuffered: str) -> None:
    """Such a pipe is non-blocking, as some programs create them."""
    text = "x" * 300_000
    moto_s3.write(FILE, b'{"a":"%s"}' % text.encode())
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    environment = {**os.environ, **cli.environment, "PYTHONUNBUFFERED": unbuffered}
    command = [sys.executable, "-m", "s3dictionary", "get", cli.uri, "a", "--raw"]
    with subprocess.Popen(command, env=environment, stdout=writer) as process:
        os.close(writer)
        with os.fdopen(reader) as pipe:
            assert pipe.read() == text + "\n"
    assert process.returncode == ExitCode.DONE


def test_a_doctor_that_cannot_report_leaves_nothing_behind(cli: CommandLine, moto_s3: Site) -> None:
    ended = run(cli, ">&-", "doctor", cli.uri, "--json")
    assert ended.returncode == ExitCode.OUTPUT
    assert "Contents" not in moto_s3.client.list_objects_v2(Bucket=moto_s3.bucket)


def test_standard_input_that_is_closed_is_an_error(cli: CommandLine) -> None:
    ended = run(cli, "<&-", "set", cli.uri, "a", "-")
    assert ended.returncode == ExitCode.LOCAL_FILE
    assert b"standard input" in ended.stderr
    assert b"Traceback" not in ended.stderr


# Ctrl-C


def press_ctrl_c(request: Request, forward: Forward) -> Response | None:
    os.kill(os.getpid(), signal.SIGINT)
    return forward(request)


@pytest.mark.parametrize(
    ("method", "said"), [("GET", "nothing was saved"), ("PUT", "isn't known whether it was saved")]
)
def test_ctrl_c_says_whether_it_was_saved(cli: CommandLine, moto_s3: Site, method: str, said: str) -> None:
    moto_s3.faults.append(Call(press_ctrl_c, method=method))
    ended = cli("set", "a", "1")
    assert ended.code == ExitCode.INTERRUPTED
    assert said in ended.err


def test_ctrl_c_after_the_save_says_that_it_was_saved(
    cli: CommandLine, moto_s3: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("s3dictionary.cli.items.say", interrupt)
    ended = cli("set", "a", "1")
    assert (ended.code, ended.err) == (ExitCode.INTERRUPTED, "s3dictionary: stopped: it was saved\n")
    assert moto_s3.read(FILE) == BODY


# What is said on the way


def test_a_store_that_is_busy_is_waited_for_and_that_is_said(
    cli: CommandLine, moto_s3: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "NOTICE", 0.05)
    moto_s3.faults.extend([Answer(409, "OperationAborted", method="PUT")] * 2)
    ended = cli("set", "a", "1")
    assert ended.code == ExitCode.DONE
    assert f"waiting for PutObject of {cli.uri}" in ended.err


@pytest.mark.parametrize("hint", [*failures._HINTS.values(), *failures.UNKNOWN.values(), failures._NO_CONDITIONS])
def test_advice_is_for_a_command_line_not_for_a_program(hint: str) -> None:
    """It names options and commands instead of Python arguments and methods."""
    said = str(failure_of(StorageError(f"GetObject of s3://b/k failed. {hint}")))
    assert not re.search(r"\w+\(\)|\w+=(?!NAME)|region_name|put_options|access_key_id|max_size", said)
