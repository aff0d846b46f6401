"""The error for a user class that rejects the content that a file has for it: finds out where, and says why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import CorruptFileError
from .refusals import Field, Path, name_of, place_of, reason_of


class Rejection(Exception):
    """A class rejects its content. Where in the file isn't known yet."""

    def __init__(self, kind: type, error: Exception) -> None:
        self.tag = kind.__name__
        super().__init__(f"can't be read as {name_of(kind)}: {reason_of(error)}")


class Located(CorruptFileError):
    """A `Rejection` with its place, as the caller gets it.

    Attributes:
        path: the keys that lead to the content.
        problem: the message of the `Rejection`.
        tag: the name of the class.
    """

    def __init__(self, rejection: Rejection, path: Path, file: str) -> None:
        self.path = path
        self.problem = str(rejection)
        self.tag = rejection.tag
        super().__init__(
            f"{file}{': ' if file else ''}{place_of(path)} {rejection}. The file is unchanged. Make the class accept "
            "this, for example by a default, or leave it out of types= to read a plain dict."
        )

    def __reduce__(self) -> Any:
        return CorruptFileError, self.args, {**self.__dict__, "path": None}


Located.__name__ = Located.__qualname__ = CorruptFileError.__name__  # tracebacks show the public name
Located.__module__ = CorruptFileError.__module__


def find(tree: Any, untag: Callable[[Any], Any], path: Path) -> Path:
    """The path to the content that a class rejects.

    Args:
        tree: the decoded JSON around it, with `py/…` members left as dicts.
        untag: turns such a dict into a value.
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
    """Build a value again, keeping track of the path."""
    if type(item) is list:
        return [_build(inner, place, untag) for place, inner in steps_of(item, path).items()]
    if type(item) is not dict:
        return item
    values = [_build(inner, place, untag) for place, inner in steps_of(item, path).items()]
    tag = tag_of(item)
    content = item[tag] if tag else item
    if type(content) is dict:
        content = dict(zip(content, values, strict=True))
    elif type(content) is list:
        content = values
    try:
        return untag({tag: content} if tag else content)
    except Rejection as error:
        raise _Found(path) from error


def steps_of(item: Any, path: Path) -> dict[Path, Any]:
    """The items of a JSON array or object by their paths. Of a `py/…` member, the items of its content."""
    tag = tag_of(item)
    content = item[tag] if tag else item
    if type(content) is list:
        return {(*path, index): inner for index, inner in enumerate(content)}
    if type(content) is dict:
        return {(*path, Field(name) if tag else name): inner for name, inner in content.items()}
    return {}


def tag_of(item: Any) -> str:
    """The name of an object's only member, if it begins with `py/`; otherwise empty."""
    name = next(iter(item)) if type(item) is dict and len(item) == 1 else ""
    return name if name.startswith("py/") else ""
