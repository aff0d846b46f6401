"""Every example runs by itself, and prints what its docstring shows."""

from __future__ import annotations

import ast
import doctest
import os
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from s3dictionary.local import LocalS3
from s3dictionary.local.block import new_bucket, new_server

EXAMPLES = Path(__file__).parent.parent / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py") if path.stem != "playground")


SELF_STARTING = ["resumable_job", "two_writers"]
"""They run themselves in other processes."""


@pytest.fixture(scope="module")
def s3() -> Iterator[LocalS3]:
    with new_server("moto") as server, new_bucket(server, "my-bucket") as s3:
        yield s3


def run(name: str, **settings: str) -> str:
    """Run it in a separate process."""
    environ = {**os.environ, "PYTHONWARNINGS": "error", **settings}
    command = [sys.executable, str(EXAMPLES / f"{name}.py")]
    return subprocess.run(command, env=environ, stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout


def is_empty(s3: LocalS3) -> bool:
    return "Contents" not in s3.client.list_objects_v2(Bucket=s3.bucket)


def promised(name: str) -> str:
    docstring = ast.get_docstring(ast.parse((EXAMPLES / f"{name}.py").read_text())) or ""
    return "".join(f"{line[4:]}\n" for line in docstring.partition("Prints:\n")[2].splitlines())


def assert_printed(name: str, printed: str) -> None:
    expected = promised(name)
    assert expected
    if not doctest.OutputChecker().check_output(expected, printed, doctest.ELLIPSIS):
        assert printed == expected  # shows where they differ


@pytest.fixture
def settings(s3: LocalS3, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a user who runs the examples on their own bucket."""
    for name, value in {**s3.environ, "S3DICT_BUCKET": s3.bucket, "STATE": "set by an example"}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("name", [name for name in NAMES if name not in SELF_STARTING])
def test_an_example_prints_what_it_says_and_leaves_nothing(
    name: str, s3: LocalS3, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    assert_printed(name, capsys.readouterr().out)
    assert is_empty(s3)


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("name", SELF_STARTING)
def test_one_with_several_processes_does_so_too(name: str, s3: LocalS3) -> None:
    """Two processes really race, and one is really killed and continued."""
    assert_printed(name, run(name))
    assert is_empty(s3)


def test_the_quickstart_needs_no_server() -> None:
    """It starts its own server, as `make demo` does."""
    assert_printed("quickstart", run("quickstart", S3DICT_BUCKET=""))


def test_the_list_of_examples_is_complete() -> None:
    text = (EXAMPLES / "README.md").read_text()
    assert [name for name in NAMES if f"({name}.py)" not in text] == []
