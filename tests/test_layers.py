"""The imports between the parts of the package, read from the source. docs/design.md has them as a table."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "s3dictionary"
MODULES = sorted(PACKAGE.glob("**/*.py"))

KNOWS: dict[str, set[str]] = {
    "errors": {"_format"},
    "_collector": set(),
    "_yielding": set(),
    "_owners": set(),
    "_format": {"_collector", "_yielding", "errors"},
    "_memory": {"_collector", "_format", "_yielding", "errors"},
    "_turns": {"_memory", "_owners", "errors"},
    "_leaving": {"_memory", "_turns"},
    "_blocks": {"_leaving", "_memory", "_owners", "_turns", "errors"},
    "_groups": {"_backoff", "_blocks", "_leaving", "_turns", "errors"},
    "_backoff": set(),
    "_unsaved": {"errors"},
    "_not_loaded": {"_memory", "errors"},
    "_tasks": {"_owners", "_turns", "_yielding"},
    "_task_runs": {"_blocks", "_groups", "_leaving", "_store", "_tasks", "errors"},
    "_mapping": {"_memory"},
    "_merge": {"_format", "_memory"},
    "_s3": {"_collector", "_owners", "_yielding", "errors"},
    "_saves": {"_format", "_s3", "errors"},
    "_loads": {"_format", "_memory", "_s3", "_unsaved", "errors"},
    "_store": {"_backoff", "_format", "_loads", "_memory", "_merge", "_s3", "_saves", "errors"},
    "_lease": {"_format", "_s3", "errors"},
    "_runs": {"_blocks", "_groups", "_leaving", "_store", "errors"},
    "_exits": {"_blocks", "_format", "_memory", "_store", "_turns", "_unsaved", "errors"},
    "notebook": {"_format", "errors"},
    "local": set(),
    "pytest_plugin": {"local"},
}
"""What each part of the package may import of the others. The faces, `cli` and the package itself may import all."""

BOTO = {"boto3", "botocore"}
MAY_KNOW_BOTO = {"_s3", "cli", "local"}
MAY_NAME_TAGS = {"_format", "notebook", "cli"}
"""The notebook shows `py/date` as the date that it is; the command line says how one types it."""
PUBLIC = {"__init__", "__main__", "cli", "errors", "local", "notebook", "pytest_plugin"}
"""What is imported, or run, from outside; the notebook's is imported by name where it is shown."""


def part_of(path: Path) -> str:
    """The part of the package, directly below it, that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> Iterator[tuple[str, ...]]:
    """The absolute names that a module imports, split at the dots, wherever the import is."""
    package = ("s3dictionary", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else ()
            module = (*base, *(node.module or "").split(".")) if node.module else base
            # `from .. import x` may import a module of that name
            yield from ((*module, alias.name) if module == ("s3dictionary",) else module for alias in node.names)


def known_parts(path: Path) -> set[str]:
    """The other parts of the package that a module imports."""
    own = {names[1] for names in imports_of(path) if names[0] == "s3dictionary" and len(names) > 1}
    return own - {part_of(path)}


def code_strings(path: Path) -> Iterator[str]:
    """The strings in a module, except docstrings."""
    tree = ast.parse(path.read_text())
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in alone and isinstance(node.value, (str, bytes)):
            yield node.value if isinstance(node.value, str) else node.value.decode("latin-1")


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", [path for path in MODULES if part_of(path) in KNOWS], ids=name_of)
def test_a_module_imports_no_other_layers_than_the_table_says(path: Path) -> None:
    """For example, memory doesn't import S3, and only the format knows how values are written."""
    assert known_parts(path) <= KNOWS[part_of(path)]


def test_the_table_of_layers_has_each_part_of_the_package_and_allows_nothing_that_is_not_used() -> None:
    """A layer that no longer needs another one must be removed from the table."""
    used: dict[str, set[str]] = {part: set() for part in KNOWS}
    for path in MODULES:
        used.setdefault(part_of(path), set()).update(known_parts(path))
    assert used.keys() - KNOWS.keys() == {"__init__", "__main__", "_async", "_base", "_dict", "_options", "cli"}
    assert {part: used[part] for part in KNOWS} == KNOWS


@pytest.mark.parametrize("path", [path for path in MODULES if part_of(path) not in MAY_KNOW_BOTO], ids=name_of)
def test_only_the_way_to_s3_and_the_tools_know_boto3(path: Path) -> None:
    assert not BOTO & {names[0] for names in imports_of(path)}


@pytest.mark.parametrize("path", [path for path in MODULES if part_of(path) not in MAY_NAME_TAGS], ids=name_of)
def test_only_the_format_knows_how_a_type_is_tagged(path: Path) -> None:
    """No other code contains `py/date` and similar tags."""
    assert not [text for text in code_strings(path) if "py/" in text]


def test_what_users_import_has_no_underscore_and_all_else_has_one() -> None:
    """Modules inside a package with an underscore need none, nor do those of `cli` and `local`."""
    assert {part for part in map(part_of, MODULES) if not part.startswith("_") or part.startswith("__")} == PUBLIC
