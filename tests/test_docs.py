"""Every Python example in the README and the docs runs, and prints what it says it prints."""

from __future__ import annotations

import inspect
import json
import re
import sys
from code import InteractiveConsole
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from s3dictionary import AsyncS3Dict, S3Dict
from s3dictionary.local.block import new_bucket, new_server
from s3dictionary.local.server import Server

ROOT = Path(__file__).parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("**/*.md")),
]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with new_server("moto") as server:
        yield server


@pytest.fixture
def bucket(server: Server) -> Iterator[None]:
    with new_bucket(server, "my-bucket"):
        yield
        server.clear()


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_run(page: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of a page run one after the other, in one namespace, on a bucket of their own.

    A line like `print(x)  # 1` has to print just that, when it is reached.
    """
    blocks = BLOCK.findall(page.read_text())
    if not blocks:
        return
    module = ModuleType(f"page {page.stem}")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # where dataclasses look for it
    for block in blocks:
        exec(compile(block, str(page), "exec"), module.__dict__)
        expected = [line.split("  # ", 1)[1] for line in block.splitlines() if re.search(r"print\(.*\)  # ", line)]
        assert capsys.readouterr().out.splitlines() == expected


README_BLOCKS = BLOCK.findall((ROOT / "README.md").read_text())
FIRST_BLOCKS = [found[0] for page in (ROOT / "docs").glob("guides/*.md") if (found := BLOCK.findall(page.read_text()))]


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize("block", README_BLOCKS, ids=lambda block: block.splitlines()[-1])
def test_each_snippet_of_the_readme_runs_by_itself_in_a_file(block: str) -> None:
    exec(compile(block, "snippet.py", "exec"), {"__name__": "__main__"})


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize("block", [*README_BLOCKS, *FIRST_BLOCKS], ids=lambda block: block.splitlines()[-1])
def test_the_snippets_of_the_readme_and_the_first_of_each_guide_can_be_pasted(
    block: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the REPL, a blank line ends a block, so none may occur inside it."""
    console = InteractiveConsole()
    for line in [*block.splitlines(), ""]:
        console.push(line)
    assert "Error" not in capsys.readouterr().err


@pytest.mark.parametrize("kind", [S3Dict, AsyncS3Dict])
def test_the_reference_shows_all_arguments_of_the_constructor(kind: type[S3Dict] | type[AsyncS3Dict]) -> None:
    """It shows their defaults. The required `bucket_name` and `file_name` have none there."""
    text = (ROOT / "docs/reference.md").read_text()
    shown = re.search(rf"autoclass:: s3dictionary\.{kind.__name__}\((.*)\)", text)
    assert shown
    given = [part.strip() for part in shown[1].split(", ") if part != "*"]
    arguments = list(inspect.signature(kind).parameters.values())
    assert given == [_as_shown(argument) for argument in arguments]


def _as_shown(argument: inspect.Parameter) -> str:
    if argument.kind is argument.VAR_KEYWORD:
        return f"**{argument.name}"
    if argument.name in ("bucket_name", "file_name"):
        return argument.name
    default = f"{argument.default:_}" if type(argument.default) is int else json.dumps(argument.default)
    names = {"null": "None", "false": "False", "[]": "()"}
    return f"{argument.name}={names.get(default, default)}"


def test_links_between_the_pages_lead_somewhere() -> None:
    """Relative links name existing files and headings. The build of the site checks its own links."""
    for page in PAGES:
        for file, _, heading in re.findall(r"\]\((?!https?:)([^)#]*)(#([^)]+))?\)", page.read_text()):
            target = page.parent / file if file else page
            assert target.exists(), f"{page.name} links to {file}"
            assert not heading or heading in _anchors(target), f"{page.name} links to {file}#{heading}"


def _anchors(page: Path) -> set[str]:
    """The anchors by which code hosts and the site link to headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
