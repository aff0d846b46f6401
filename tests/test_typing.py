"""What type checkers know about the library, as in `typing_cases.py`."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from s3dictionary import S3Dict
from s3dictionary._options import AllOptions, CommonOptions
from s3dictionary._s3 import clients

CASES = Path(__file__).with_name("typing_cases.py")


def test_types_are_as_promised_where_boto3s_stubs_are_not_installed() -> None:
    """Most users don't have the stubs. `make check` checks the same cases with them."""
    pytest.importorskip("mypy", reason="mypy is in the extra [dev]")
    options = ["--strict", "--no-site-packages", "--follow-imports=silent", "--cache-dir=.mypy_cache/without-stubs"]
    command = [sys.executable, "-m", "mypy", *options, str(CASES)]
    checked = subprocess.run(command, cwd=CASES.parent.parent, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_options_that_checkers_know_are_those_of_the_constructor() -> None:
    """A new option must be added in both places."""
    parameters = inspect.signature(S3Dict).parameters.values()
    named = {parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD}
    of_boto3 = clients.OPTIONS - {"aws_access_key_id", "aws_secret_access_key"}
    assert AllOptions.__annotations__.keys() == named - {"bucket_name", "file_name"} | of_boto3
    assert AllOptions.__annotations__.keys() - CommonOptions.__annotations__.keys() == {
        *("access_key_id", "access_secret_key", "autosave", "data", "default"),
    }
