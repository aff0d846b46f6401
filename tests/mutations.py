"""Checks that the tests notice deliberate breakages: breaks a copy of the package, and runs some tests on it.

`python tests/mutations.py` tries all breakages, `python tests/mutations.py WORD` those whose name has the word in it.
It fails if no test notices a breakage, or if one doesn't apply any more and must be updated.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mutation_list import MUTATIONS, Mutation

ROOT = Path(__file__).parent.parent
SEED = "1"
"""Makes the quick forms of randomized tests do the same each time."""

HANGS = 30
"""Seconds after which a test of a broken package counts as one that never ends. No test takes that long otherwise."""


def main(word: str = "") -> int:
    """Try the breakages, and print the results. Returns how many went unnoticed or don't apply."""
    chosen = [mutation for mutation in MUTATIONS if word in mutation.name]
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory)
        _copy(copy)
        if _notices(copy, sorted({test for mutation in chosen for test in mutation.tests}), "the package as it is"):
            print("The tests fail on the unbroken package: nothing can be told by them.")
            return 1
        missed = [mutation.name for mutation in chosen if not _is_noticed(copy, mutation)]
    print(f"{len(missed)} unnoticed: {', '.join(missed)}" if missed else "all noticed")
    return len(missed)


def _copy(copy: Path) -> None:
    for name in ("s3dictionary", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, copy)


def _is_noticed(copy: Path, mutation: Mutation) -> bool:
    path = copy / "s3dictionary" / mutation.file
    text = path.read_text()
    if text.count(mutation.old) != 1:
        print(f"{mutation.name}: does not apply, {mutation.file} has it {text.count(mutation.old)} times")
        return False
    path.write_text(text.replace(mutation.old, mutation.new))
    begin = time.monotonic()
    try:
        noticed = _notices(copy, list(mutation.tests), mutation.name)
    finally:
        path.write_text(text)
    print(f"{time.monotonic() - begin:5.1f} s  {'noticed' if noticed else 'NOT NOTICED'}: {mutation.name}", flush=True)
    return noticed


def _notices(copy: Path, tests: list[str], name: str) -> bool:
    """Whether a test fails. A test that never ends counts as failed."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-o", f"timeout={HANGS}", *tests]
    environ = os.environ | {"S3DICT_SEED": SEED, "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=copy, env=environ, capture_output=True, text=True, timeout=600, check=False)
    except subprocess.TimeoutExpired:
        return True
    if done.returncode not in (0, 1, 2):  # neither passed nor failed
        raise RuntimeError(f"{name}: pytest ended with {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.returncode != 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
