"""The exceptions, and the facts that each one carries.

S3DictError
├── StorageError             S3 refused a request, or couldn't be reached
│   ├── BucketNotFoundError  the bucket doesn't exist
│   ├── AccessDeniedError    the credentials lack a permission
│   ├── ConflictError        someone else wrote or deleted the file in between; nothing was overwritten
│   └── UnknownOutcomeError  it isn't known whether a save or delete took effect
├── CorruptFileError         the file can't be read: it isn't a JSON object in UTF-8 (also a ValueError)
├── NotStorableError         a value that can't be stored (also a TypeError)
├── LeaseHeldError           somebody else holds the lease
├── LeaseLostError           the lease expired before its block ended, or isn't held
├── ReadOnlyError            the dict was opened with read_only=True (also a TypeError)
└── TransactionError         not possible with the open blocks (also a RuntimeError)

Rollback                     raise it to roll back a block without propagating
UnsavedChangesWarning        unsaved changes were lost: the dict was garbage-collected, or Python exited
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from copy import copy, deepcopy
from datetime import datetime
from functools import partial
from typing import Any, TypeAlias

Unsaved: TypeAlias = "partial[dict[Any, Any]]"
"""Returns the content of a file that wasn't written, for a dict with `types`."""


class S3DictError(Exception):
    """Base class of this library's errors.

    Attributes:
        unsaved: if the save of a block or an autosaved update failed, and memory was rolled back: a plain dict with all
            of the dict's content as it would have been saved, including keys you didn't change. Otherwise `None`. Don't
            write it back with `update()`, which would overwrite what others have saved: take your own keys from it, or
            make the change again in a new block.
    """

    _unsaved: dict[Any, Any] | bytes | Unsaved | None = None

    @property
    def unsaved(self) -> dict[Any, Any] | None:
        unsaved = self._unsaved
        if isinstance(unsaved, bytes):
            self._unsaved = unsaved = _decode(unsaved)
        elif isinstance(unsaved, partial):
            self._unsaved = unsaved = unsaved()
        return unsaved

    def __reduce__(self) -> Any:
        if isinstance(self._unsaved, partial):
            self._unsaved = self.unsaved  # another process may not have the functions that it takes
        return super().__reduce__()

    def keep_unsaved(self, content: dict[Any, Any] | bytes | Unsaved) -> None:
        """Attach what could not be saved: a dict, or the content of the file that wasn't written.

        A file's content is decoded only on demand, which a loop that retries conflicts never needs.
        """
        self._unsaved = content


def keep_unsaved(error: BaseException, content: bytes | Unsaved | Callable[[], dict[Any, Any]]) -> None:
    """Attach what could not be saved to any exception, as its attribute `unsaved`. Foreign exceptions also get a note.

    Args:
        error: the exception.
        content: the content of the file that wasn't written, or a function that returns it as a dict.
    """
    if isinstance(error, S3DictError):
        error.keep_unsaved(content if isinstance(content, (bytes, partial)) else content())
        return
    with suppress(Exception):  # it is about to be raised in any case
        error.unsaved = _decode(content) if isinstance(content, bytes) else content()  # type: ignore[attr-defined]
        if hasattr(error, "add_note"):  # from Python 3.11 on
            error.add_note(_NOTE)


_NOTE = (
    "This exception's attribute `unsaved` is a plain dict with all of the dict's content as it would have been saved, "
    "including keys you didn't change. Don't write it back with update(), which would overwrite what others have "
    "saved; take your own keys from it, or make the change again in a new block."
)


def twin(error: Exception) -> Exception:
    """A copy of an exception to raise in another thread, because a traceback belongs to one thread."""
    try:
        other = copy(error)
        other.__dict__.update(deepcopy({name: vars(error)[name] for name in _OWN if name in vars(error)}))
    except Exception:  # noqa: BLE001  # the caller's classes may have any constructor
        other = UnknownOutcomeError(f"Another run() that was saved together with this one failed by {error!r}.")
        _hand_on_unsaved(error, other)
    other.__cause__, other.__suppress_context__ = error.__cause__, error.__suppress_context__
    return other


_OWN = ("_unsaved", "unsaved", "__notes__")
"""Attributes whose values the copy must not share."""


def interrupted(error: BaseException, uri: str) -> UnknownOutcomeError:
    """The error for calls whose group was being saved by a call that was interrupted."""
    unknown = UnknownOutcomeError(
        f"Another run() that was saving {uri} together with this one was interrupted by {type(error).__name__}, so it "
        "isn't known whether the save took effect. load() shows the current content.",
        uri=uri,
        operation="PutObject",
    )
    _hand_on_unsaved(error, unknown)
    return unknown


def _hand_on_unsaved(error: BaseException, other: S3DictError) -> None:
    unsaved = getattr(error, "unsaved", None)
    if isinstance(unsaved, dict):
        other.keep_unsaved(dict(unsaved))


def _decode(body: bytes) -> dict[Any, Any]:
    from ._format import codec

    return {key: codec.decode(raw) for key, raw in codec.split(body).items()}


class StorageError(S3DictError):
    """S3 refused a request, or couldn't be reached. The `__cause__` is botocore's error, unless it contains a secret.

    Attributes:
        uri: the file's address, `s3://bucket/key`.
        operation: the S3 operation, such as `"PutObject"`.
        code: S3's error code, such as `"NoSuchBucket"`; `None` if there was no answer.
        status: the HTTP status; `None` if there was no answer.
    """

    def __init__(
        self,
        message: str,
        *,
        uri: str | None = None,
        operation: str | None = None,
        code: str | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.uri = uri
        self.operation = operation
        self.code = code
        self.status = status


class BucketNotFoundError(StorageError):
    """The bucket doesn't exist at this endpoint."""


class AccessDeniedError(StorageError):
    """The credentials are invalid, or lack a permission."""


class ConflictError(StorageError):
    """Someone else wrote or deleted the file after it was loaded. Nothing was overwritten or deleted.

    Attributes:
        keys: the keys that both sides changed, if a merge compared them; otherwise empty.
        etag: the ETag of the version in S3, if known.
        last_modified: when that version was written, if known.
    """

    def __init__(
        self,
        message: str,
        *,
        keys: Iterable[Any] = (),
        etag: str | None = None,
        last_modified: datetime | None = None,
        **facts: Any,
    ) -> None:
        super().__init__(message, **facts)
        self.keys = tuple(keys)
        self.etag = etag
        self.last_modified = last_modified


def is_conflict_about(uri: str, error: BaseException) -> bool:
    """Whether the conflict is about this file. A function that `run` calls may raise a conflict of another dict."""
    return isinstance(error, ConflictError) and error.uri == uri


LOAD_AGAIN = "load() replaces what is in memory with the current content; then make your changes again."
"""What to do about a conflict. The texts below replace it at the end of a block that can be repeated."""

ENTER_AGAIN = "The block was rolled back. Enter it again, or use run()."
RUN_AGAIN = "What run() did was rolled back. Call it again, or allow it more attempts."
KEPT_BEFORE = (
    "The dict had unsaved changes before this block or call of run(), so it didn't load the current content, and the "
    "same conflict comes again. Call load(), which discards those changes, and make them again."
)


def advise(conflict: BaseException, what_to_do: str) -> None:
    """Replace what the message of a conflict says about what to do."""
    conflict.args = (str(conflict).replace(LOAD_AGAIN, what_to_do),)


class UnknownOutcomeError(StorageError):
    """It isn't known whether a save or delete took effect, because no answer proves it.

    The next save finds out. It never applies the same change twice, and never overwrites another writer. `load()` shows
    the current content. `run()` doesn't repeat such a save.
    """


class CorruptFileError(S3DictError, ValueError):
    """The file isn't a JSON object in UTF-8. It is never overwritten by a dict that couldn't read it.

    Also raised if a class in `types` rejects a value of the file, and if the object of a lease isn't a lease.
    """


class NotStorableError(S3DictError, TypeError):
    """A value can't be stored. Nothing was sent.

    Attributes:
        path: where the value is, such as `"d['jobs'][3]['when']"`.
    """

    def __init__(self, message: str, *, path: str | None = None) -> None:
        super().__init__(message)
        self.path = path


class ReadOnlyError(S3DictError, TypeError):
    """The dict was opened with `read_only=True`. Nothing was changed, in memory or in S3."""


class TransactionError(S3DictError, RuntimeError):
    """The operation isn't possible with the blocks that are open.

    Either nothing was done, or the message says what was rolled back.
    """


class LeaseHeldError(S3DictError):
    """Somebody else holds the lease. Nothing was done.

    Attributes:
        name: the lease's name.
        holder: the host and process that hold it.
        until: when it expires by the store's clock, unless it is renewed; `None` if the store doesn't report it.
    """

    def __init__(
        self, message: str, *, name: str = "", holder: str | None = None, until: datetime | None = None
    ) -> None:
        super().__init__(message)
        self.name = name
        self.holder = holder
        self.until = until


class LeaseLostError(S3DictError):
    """The lease expired before its block ended, so somebody else may hold it; or `fence` was read while it isn't held.

    Attributes:
        name: the lease's name.
    """

    def __init__(self, message: str, *, name: str = "") -> None:
        super().__init__(message)
        self.name = name


class Rollback(Exception):
    """Raise it inside a block to roll the block back and continue after it."""


class UnsavedChangesWarning(UserWarning):
    """Unsaved changes are lost, because a dict was garbage-collected or Python exits."""
