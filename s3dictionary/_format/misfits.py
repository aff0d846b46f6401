"""What is said if a class that was given refuses what a file holds for it: where that is, and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import CorruptFileError
from .refusals import Field, Path, name_of, place_of, reason_of


class Misfit(Exception):
    """A class refuses what it is to be made of. It isn't known yet where that is."""

    def __init__(self, kind: type, error: Exception) -> None:
        super().__init__(f"can't be read as {name_of(kind)}: {reason_of(error)}")


class Located(CorruptFileError):
    """The same for the caller.

    Attributes:
        path: the keys that lead to it.
        problem: what it is.
    """

    def __init__(self, misfit: Misfit, path: Path, file: str) -> None:
        self.path = path
        self.problem = str(misfit)
        super().__init__(
            f"{file}{': ' if file else ''}{place_of(path)} {misfit}. The file stays as it is. Give the class a rule "
            "for this, such as a default, or leave it out of types= to read a plain dict."
        )

    def __reduce__(self) -> Any:
        return CorruptFileError, self.args, {**self.__dict__, "path": None}


Located.__name__ = Located.__qualname__ = CorruptFileError.__name__  # what a traceback calls it
Located.__module__ = CorruptFileError.__module__


def find(tree: Any, untag: Callable[[Any], Any], path: Path) -> Path:
    """The path to what a class refuses.

    Args:
        tree: the JSON in which it is, with `py/…` members as the dicts that they are.
        untag: makes a value of one of these.
        path: the keys that lead to the tree.
    """
    try:
        _build(tree, path, untag)
    except _Found as found:
        return found.path
    return path


class _Found(Exception):
    def __init__(self, path: Path) -> None:
        self.path = path


def _build(item: Any, path: Path, untag: Callable[[Any], Any]) -> Any:
    """Build a value again, knowing where it is."""
    if type(item) is list:
        return [_build(inner, place, untag) for place, inner in steps_of(item, path).items()]
    if type(item) is not dict:
        return item
    values = [_build(inner, place, untag) for place, inner in steps_of(item, path).items()]
    tag = _tag_of(item)
    content = item[tag] if tag else item
    if type(content) is dict:
        content = dict(zip(content, values, strict=True))
    elif type(content) is list:
        content = values
    try:
        return untag({tag: content} if tag else content)
    except Misfit as error:
        raise _Found(path) from error


def steps_of(item: Any, path: Path) -> dict[Path, Any]:
    """What stands in a piece of JSON, by the paths to it. In one with a `py/…` member it is what is behind that."""
    tag = _tag_of(item)
    content = item[tag] if tag else item
    if type(content) is list:
        return {(*path, index): inner for index, inner in enumerate(content)}
    if type(content) is dict:
        return {(*path, Field(name) if tag else name): inner for name, inner in content.items()}
    return {}


def _tag_of(item: Any) -> str:
    name = next(iter(item)) if type(item) is dict and len(item) == 1 else ""
    return name if name.startswith("py/") else ""
