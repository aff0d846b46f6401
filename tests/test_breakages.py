"""The breakages that `tests/mutations.py` tries can still be made."""

from __future__ import annotations

from pathlib import Path

import pytest

import s3dictionary
from mutation_list import MUTATIONS, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=[mutation.name for mutation in MUTATIONS])
def test_each_breakage_applies_in_one_place(mutation: Mutation) -> None:
    """One whose code has changed would break nothing, and nobody would learn of it before the next long run."""
    path = Path(s3dictionary.__file__).parent / mutation.file
    assert path.read_text().count(mutation.old) == 1
