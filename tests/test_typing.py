"""What type checkers make of the library, as `typing_cases.py` says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(__file__).with_name("typing_cases.py")


def test_types_are_as_promised_where_boto3s_stubs_are_not_installed() -> None:
    """As with most users. `make check` looks at the same cases with them."""
    pytest.importorskip("mypy", reason="mypy is in the extra [dev]")
    options = ["--strict", "--no-site-packages", "--follow-imports=silent", "--cache-dir=.mypy_cache/without-stubs"]
    command = [sys.executable, "-m", "mypy", *options, str(CASES)]
    checked = subprocess.run(command, cwd=CASES.parent.parent, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
