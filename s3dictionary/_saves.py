"""A save in progress: what it is based on, and the errors if it fails.

Knows neither how it is sent nor the structure of memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .errors import LOAD_AGAIN, ConflictError

if TYPE_CHECKING:
    from ._format import codec
    from ._s3.file import Version


class Refusal(NamedTuple):
    """S3's answer to a save that met a conflict."""

    code: str | None = None
    status: int | None = None
    cause: BaseException | None = None


class Saving(NamedTuple):
    """A save in progress.

    Attributes:
        base: the version that memory is based on.
        members: the content of memory.
        ending: whether the save commits the open block.
        refusal: S3's answer if the save met a conflict.
    """

    base: Version | None
    members: codec.Members
    ending: bool
    refusal: Refusal = Refusal()


class Merging(NamedTuple):
    """A merge to save.

    Attributes:
        members: the content to write.
        theirs: the other writers' content.
        base: the version that it replaces.
        is_needed: whether it differs from the current content.
    """

    members: codec.Members
    theirs: codec.Members
    base: Version | None
    is_needed: bool


def clash(uri: str, keys: list[object], found: Version | None, refusal: Refusal) -> ConflictError:
    """The error if other writers changed the same keys."""
    return ConflictError(
        f"{uri} was written by someone else after it was loaded, and both changed {', '.join(map(repr, keys))}; "
        f"nothing was overwritten. {LOAD_AGAIN} Or pass a function as on_conflict that resolves such keys.",
        keys=keys,
        etag=found.etag if found else None,
        last_modified=found.last_modified if found else None,
        uri=uri,
        operation="PutObject",
        code=refusal.code,
        status=refusal.status,
    )


def not_saved(uri: str, problem: str, found: Version | None = None) -> ConflictError:
    """The error if memory can't be merged with what happened to the file."""
    return ConflictError(
        f"{uri} was not saved, and nothing was overwritten: {problem}. {LOAD_AGAIN}",
        etag=found.etag if found else None,
        last_modified=found.last_modified if found else None,
        uri=uri,
        operation="PutObject",
    )
