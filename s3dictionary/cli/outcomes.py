"""How a command ends: its exit code, and the error that says why. The one place that has the codes."""

from __future__ import annotations

from enum import IntEnum

from ..errors import (
    BucketNotFoundError,
    ConflictError,
    CorruptFileError,
    NotStorableError,
    S3DictError,
    StorageError,
)


class ExitCode(IntEnum):
    """What the command line returns; `meaning` is what its help says."""

    meaning: str

    def __new__(cls, code: int, meaning: str) -> ExitCode:
        self = int.__new__(cls, code)
        self._value_ = code
        self.meaning = meaning
        return self

    DONE = 0, "done"
    DIFFERENT = 1, "diff found differences, or doctor something that doesn't work"
    USAGE = 2, "the command or the JSON given to it is wrong, or the editor failed"
    NOT_THERE = 3, "there is no such file, key, version or bucket"
    CONFLICT = 4, "someone else wrote in between; nothing was overwritten"
    STORAGE = 5, "S3 refused, or wasn't reached"
    CORRUPT = 6, "the file isn't a JSON object in UTF-8"
    INTERRUPTED = 130, "stopped by Ctrl-C"
    BROKEN_PIPE = 141, "whoever read the output has gone"


class Failure(Exception):
    """Ends a command with a message and an exit code."""

    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def failure_of(error: S3DictError) -> Failure:
    """The same as a failure: the library's words, and what they mean for someone at a terminal."""
    if isinstance(error, ConflictError):
        happened = str(error).partition(" load() ")[0]  # what follows is for a program that has a dict
        return Failure(ExitCode.CONFLICT, f"{happened} Do it again.")
    if isinstance(error, CorruptFileError):
        advice = "`edit` opens it as it is; `history` lists older versions, and `restore` brings one back."
        return Failure(ExitCode.CORRUPT, f"{str(error).rstrip('.')}. {advice}")
    return Failure(_code(error), f"{error} {_advice(error)}".rstrip())


def _code(error: S3DictError) -> ExitCode:
    if isinstance(error, BucketNotFoundError) or (isinstance(error, StorageError) and error.status == 404):
        return ExitCode.NOT_THERE
    return ExitCode.USAGE if isinstance(error, NotStorableError) else ExitCode.STORAGE


_REGION = "Here that is --region."
_ADVICE = {
    "PermanentRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "NoRegionError": _REGION,
    "NoCredentialsError": "Here that is --profile, or the environment.",
}


def _advice(error: S3DictError) -> str:
    """How the command line says what the library's hint names."""
    return _ADVICE.get(getattr(error, "code", None) or type(error.__cause__).__name__, "")
