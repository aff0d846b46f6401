"""A save under way: what it was made from, and the errors if it can't be done.

Knows neither how it is sent nor what memory looks like.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .errors import ConflictError

if TYPE_CHECKING:
    from ._format import codec
    from ._s3.file import Version


class Refusal(NamedTuple):
    """What S3 said to a save that met someone else's."""

    code: str | None = None
    status: int | None = None
    cause: BaseException | None = None


class Saving(NamedTuple):
    """A save under way.

    Attributes:
        base: the version that memory was made from.
        members: what was in memory.
        ending: whether it commits the open block.
        refusal: what S3 said when it met someone else's save, if it did.
    """

    base: Version | None
    members: codec.Members
    ending: bool
    refusal: Refusal = Refusal()


class Merging(NamedTuple):
    """A merge that is to be saved.

    Attributes:
        members: what is to be written.
        theirs: what others wrote of it.
        base: the version that it replaces.
        is_needed: whether it differs from what is there.
    """

    members: codec.Members
    theirs: codec.Members
    base: Version | None
    is_needed: bool


def clash(uri: str, keys: list[object], found: Version | None, refusal: Refusal) -> ConflictError:
    """The error that others have changed the same keys."""
    return ConflictError(
        f"{uri} was written by someone else since it was loaded, and both changed "
        f"{', '.join(map(repr, keys))}; nothing was overwritten. load() replaces what is in memory with the "
        "current content; or pass a function as on_conflict that settles such keys.",
        keys=keys,
        etag=found.etag if found else None,
        last_modified=found.last_modified if found else None,
        uri=uri,
        operation="PutObject",
        code=refusal.code,
        status=refusal.status,
    )


def not_saved(uri: str, problem: str, found: Version | None = None) -> ConflictError:
    """The error that memory can't be brought together with what has happened to the file."""
    return ConflictError(
        f"{uri} was not saved, and nothing was overwritten: {problem}. load() replaces what is in memory with the "
        "current content; then make your changes again.",
        etag=found.etag if found else None,
        last_modified=found.last_modified if found else None,
        uri=uri,
        operation="PutObject",
    )
