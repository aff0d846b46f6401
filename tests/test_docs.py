"""Every Python example in the README and the docs runs, and prints what it says it prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from s3dictionary.local import local_s3

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_run(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The blocks of a page run one after the other, in one namespace, on a bucket of their own.

    A line like `print(x)  # 1` has to print just that, when it is reached.
    """
    blocks = BLOCK.findall(page.read_text())
    if not blocks:
        return
    names: dict[str, object] = {"__name__": page.stem}
    with local_s3("my-bucket"):
        for block in blocks:
            exec(compile(block, str(page), "exec"), names)
            expected = [line.split("  # ", 1)[1] for line in block.splitlines() if re.search(r"print\(.*\)  # ", line)]
            assert capsys.readouterr().out.splitlines() == expected


def test_links_between_the_pages_lead_somewhere() -> None:
    """Relative links name files that exist."""
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
