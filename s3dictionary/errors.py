"""What can go wrong, and what each error carries.

S3DictError
├── StorageError             S3 refused or wasn't reached
│   ├── BucketNotFoundError  the bucket doesn't exist
│   ├── AccessDeniedError    S3 doesn't let these credentials do that
│   ├── ConflictError        someone else wrote in between; nothing was overwritten
│   └── UnknownOutcomeError  it isn't known whether the request took effect
├── CorruptFileError         the file isn't a JSON object in UTF-8 (also a ValueError)
├── NotStorableError         a value that JSON can't hold (also a TypeError)
├── LeaseHeldError           somebody else holds the lease
├── LeaseLostError           the lease ran out before its block ended
├── ReadOnlyError            the dict was opened with read_only=True (also a TypeError)
└── TransactionError         not possible in this block (also a RuntimeError)

Rollback                     raised by callers to leave a block quietly
UnsavedChangesWarning        a dict with unsaved changes was dropped, or was there at the interpreter's exit
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from copy import copy, deepcopy
from datetime import datetime
from functools import partial
from typing import Any, TypeAlias

Unsaved: TypeAlias = "partial[dict[Any, Any]]"
"""What gives the content of a file that wasn't written, where the dict was given classes."""


class S3DictError(Exception):
    """Base of all errors of this library.

    Attributes:
        unsaved: a plain dict of what could not be saved, where a save at the end of a block or of an
            autosaved update failed and memory went back to what it was before; otherwise `None`.
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
        """Let the error carry what could not be saved: as a dict, or as the file that wasn't written.

        A file is decoded only when somebody asks for it: a loop that retries conflicts never does.
        """
        self._unsaved = content


def keep_unsaved(error: BaseException, content: bytes | Unsaved | Callable[[], dict[Any, Any]]) -> None:
    """Let any exception carry what could not be saved, as the attribute `unsaved`; others than ours say so in a note.

    Args:
        error: the exception.
        content: the file that wasn't written, or what gives it as a dict.
    """
    if isinstance(error, S3DictError):
        error.keep_unsaved(content if isinstance(content, (bytes, partial)) else content())
        return
    with suppress(Exception):  # it is about to be raised, whatever it is
        error.unsaved = _decode(content) if isinstance(content, bytes) else content()  # type: ignore[attr-defined]
        if hasattr(error, "add_note"):  # from Python 3.11 on
            error.add_note("What could not be saved is in this exception's attribute `unsaved`.")


def twin(error: Exception) -> Exception:
    """An exception that says the same, to be raised in another thread: a traceback belongs to one."""
    try:
        other = copy(error)
        other.__dict__.update(deepcopy({name: vars(error)[name] for name in _OWN if name in vars(error)}))
    except Exception:  # noqa: BLE001  # a class of the caller's may have any constructor, and hold anything
        other = UnknownOutcomeError(f"Another run() that was saved together with this one failed by {error!r}.")
        _hand_on_unsaved(error, other)
    other.__cause__, other.__suppress_context__ = error.__cause__, error.__suppress_context__
    return other


_OWN = ("_unsaved", "unsaved", "__notes__")
"""Attributes whose values a twin must not share."""


def interrupted(error: BaseException, uri: str) -> UnknownOutcomeError:
    """What those are told who were saved together with one that was interrupted by an error meanwhile."""
    unknown = UnknownOutcomeError(
        f"The run() that was saving {uri} for this one, too, was interrupted by {type(error).__name__}, so it isn't "
        "known whether the save took effect. load() shows what is there.",
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
    """S3 refused a request, or wasn't reached. The botocore error is the `__cause__`, unless it shows a secret.

    Attributes:
        uri: the file's address, `s3://bucket/key`.
        operation: the S3 operation, as in `"PutObject"`.
        code: S3's error code, as in `"NoSuchBucket"`; `None` where there was no answer.
        status: the HTTP status; `None` where there was no answer.
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
    """The bucket doesn't exist, or not at this endpoint."""


class AccessDeniedError(StorageError):
    """S3 doesn't let these credentials do that."""


class ConflictError(StorageError):
    """Someone else wrote the file since it was loaded. Nothing was overwritten.

    Attributes:
        keys: the keys that both sides changed, where they were compared; otherwise empty.
        etag: the ETag of the version in S3, where known.
        last_modified: when that version was written, where known.
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


def is_conflict_about(uri: str, error: Exception) -> bool:
    """Did someone else write this file? A function that `run` calls may meet the conflict of another dict."""
    return isinstance(error, ConflictError) and error.uri == uri


class UnknownOutcomeError(StorageError):
    """It isn't known whether a save, or a delete, took effect: there was no answer that proves it.

    The next save finds out. It never applies the same change twice, and overwrites nobody, whichever way it went;
    `load()` shows what is there. `run()` doesn't repeat what ended so.
    """


class CorruptFileError(S3DictError, ValueError):
    """The file isn't a JSON object in UTF-8. It is never overwritten by a dict that couldn't read it."""


class NotStorableError(S3DictError, TypeError):
    """A value that can't be stored as JSON. Nothing was sent.

    Attributes:
        path: where the value is, as in `"d['jobs'][3]['when']"`.
    """

    def __init__(self, message: str, *, path: str | None = None) -> None:
        super().__init__(message)
        self.path = path


class ReadOnlyError(S3DictError, TypeError):
    """The dict was opened with `read_only=True`. Nothing was changed, in memory or in S3."""


class TransactionError(S3DictError, RuntimeError):
    """That can't be done inside the blocks that are open. Nothing was done."""


class LeaseHeldError(S3DictError):
    """Somebody else holds the lease. Nothing was done.

    Attributes:
        name: the lease's name.
        holder: the host and process that hold it.
        until: when it runs out, by the store's clock, unless it is renewed; `None` where the store doesn't tell.
    """

    def __init__(
        self, message: str, *, name: str = "", holder: str | None = None, until: datetime | None = None
    ) -> None:
        super().__init__(message)
        self.name = name
        self.holder = holder
        self.until = until


class LeaseLostError(S3DictError):
    """The lease isn't held any more: it ran out before its block ended. Somebody else may hold it.

    Attributes:
        name: the lease's name.
    """

    def __init__(self, message: str, *, name: str = "") -> None:
        super().__init__(message)
        self.name = name


class Rollback(Exception):
    """Raise it inside a block to undo that block and go on after it, quietly."""


class UnsavedChangesWarning(UserWarning):
    """There are changes that were never saved, in a dict that is dropped or at the interpreter's exit."""
