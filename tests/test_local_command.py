"""`python -m s3dictionary.local`: a local S3 for a shell, or for one command."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

COMMAND = [sys.executable, "-m", "s3dictionary.local"]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="its lines are for a POSIX shell")

COUNT = """
import os
from s3dictionary import S3Dict
with S3Dict(os.environ["S3DICT_BUCKET"], file_name="state.json") as state:
    state["runs"] = state.get("runs", 0) + 1
print(state.uri, state)
"""


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The program, and what it printed when it was ready."""
    command = [*COMMAND, *arguments]
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True, preexec_fn=hear_ctrl_c) as process:
        try:
            assert process.stdout is not None
            lines = []
            while not lines or "S3DICT_BUCKET" not in lines[-1]:
                lines.append(process.stdout.readline())
                assert lines[-1], "it has ended"
            yield process, "".join(lines)
        finally:
            process.kill()


def hear_ctrl_c() -> None:
    """Restore the handling of Ctrl-C, which the tests ignore if they run in a shell's background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60)


def answers(lines: str) -> bool:
    port = re.search(r"AWS_ENDPOINT_URL=http://127\.0\.0\.1:(\d+)\n", lines)
    assert port
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", int(port[1]))) == 0


def test_its_lines_lead_a_shell_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """This holds whatever AWS settings the shell and the server had, even a profile without its file."""
    monkeypatch.setenv("AWS_PROFILE", "production")
    with running("--bucket", "my-bucket") as (_, lines):
        script = f"{lines}\n{sys.executable} -c '{COUNT}'\n"
        shell = subprocess.run(["sh", "-ec", script], capture_output=True, text=True)
        assert shell.stderr == ""
        assert shell.stdout == "s3://my-bucket/state.json {'runs': 1}\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminate"])
def test_a_signal_ends_it_cleanly(number: signal.Signals) -> None:
    with running() as (process, lines):
        assert answers(lines)
        process.send_signal(number)
        assert process.communicate(timeout=10) == ("", "")
        assert process.returncode == 0
        assert not answers(lines)


def test_a_command_runs_there_and_gives_its_exit_code() -> None:
    done = run("--bucket", "my-bucket", "--", sys.executable, "-c", f"{COUNT}\nraise SystemExit(7)")
    assert (done.stdout, done.stderr, done.returncode) == ("s3://my-bucket/state.json {'runs': 1}\n", "", 7)


def test_a_ctrl_c_is_for_the_command() -> None:
    """It reaches both, as in a terminal. The command may continue, and still has its server."""
    script = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); print(flush=True); input(); {COUNT}"
    command = [*COMMAND, "--", sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.communicate("\n", timeout=10)[0] == "s3://my-bucket/state.json {'runs': 1}\n"
        assert process.returncode == 0


def test_a_command_that_there_is_not_is_an_error() -> None:
    done = run("--", "no-such-command")
    assert (done.returncode, done.stderr) == (
        127,
        "python -m s3dictionary.local: no-such-command: command not found\n",
    )


def test_a_port_that_is_in_use_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        done = run("--port", str(port))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        f"python -m s3dictionary.local: port {port} of 127.0.0.1 is in use by another program"
    )


@pytest.mark.skipif(not shutil.which("pgrep"), reason="there is no pgrep")
def test_it_says_when_the_server_has_ended_by_itself() -> None:
    with running() as (process, _):
        children = subprocess.check_output(["pgrep", "-P", str(process.pid)], text=True).split()
        for child in children:
            os.kill(int(child), signal.SIGKILL)
        assert process.communicate(timeout=10) == ("", "python -m s3dictionary.local: moto's server has ended\n")
        assert process.returncode == 1
