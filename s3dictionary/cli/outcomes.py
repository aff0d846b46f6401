"""How a command ends: exit codes, and failures. Every exit code is defined here."""

from __future__ import annotations

from enum import IntEnum

from ..errors import (
    ENTER_AGAIN,
    KEPT_BEFORE,
    RUN_AGAIN,
    BucketNotFoundError,
    ConflictError,
    CorruptFileError,
    NotStorableError,
    S3DictError,
    StorageError,
    UnknownOutcomeError,
)


class ExitCode(IntEnum):
    """The exit codes of the command line. `meaning` is the text in its help."""

    meaning: str

    def __new__(cls, code: int, meaning: str) -> ExitCode:
        self = int.__new__(cls, code)
        self._value_ = code
        self.meaning = meaning
        return self

    DONE = 0, "done"
    DIFFERENT = 1, "diff found differences"
    USAGE = 2, "the command line is wrong"
    NOT_THERE = 3, "there is no such bucket, file or version"
    CONFLICT = 4, "someone else has written meanwhile; nothing was overwritten"
    STORAGE = 5, "S3 refused the request, or failed"
    CORRUPT = 6, "the file isn't a JSON object in UTF-8"
    OUTPUT = 7, "the output can't be written, for example because the disk is full"
    INPUT = 8, "the given JSON can't be stored"
    EDITOR = 9, "the editor failed"
    NO_KEY = 10, "the file has no such key"
    UNREACHED = 11, "S3 couldn't be reached, or there are no credentials; nothing was saved"
    UNKNOWN = 12, "it isn't known whether the file was saved"
    LOCAL_FILE = 13, "a file on this machine, or standard input, can't be used"
    UNFIT = 14, "doctor found a failure"
    INTERRUPTED = 130, "stopped by Ctrl-C"
    BROKEN_PIPE = 141, "the reader of the output has closed it"


class Failure(Exception):
    """Ends a command with a message and an exit code."""

    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def failure_of(error: S3DictError) -> Failure:
    """An error of the library as a failure, with advice for the command line instead of for a program."""
    if isinstance(error, ConflictError):
        happened = str(error)
        for advice in ("load() ", ENTER_AGAIN, RUN_AGAIN, KEPT_BEFORE):  # each is advice for a program
            happened = happened.partition(f" {advice}")[0]
        return Failure(ExitCode.CONFLICT, f"{happened} Run the command again.")
    if isinstance(error, CorruptFileError):
        advice = "`edit` opens its raw content; `history` lists older versions, and `restore` brings one back."
        return Failure(ExitCode.CORRUPT, f"{str(error).rstrip('.')}. {advice}")
    return Failure(_code(error), _as_typed(str(error)))


def _code(error: S3DictError) -> ExitCode:
    if isinstance(error, UnknownOutcomeError):
        return ExitCode.UNKNOWN
    if isinstance(error, BucketNotFoundError) or (isinstance(error, StorageError) and error.status == 404):
        return ExitCode.NOT_THERE
    if isinstance(error, NotStorableError):
        return ExitCode.INPUT
    if type(error.__cause__).__name__ == "ParamValidationError":  # botocore's, which may not be imported
        return ExitCode.USAGE
    was_answered = getattr(error, "status", None) is not None
    return ExitCode.STORAGE if was_answered else ExitCode.UNREACHED


_TYPED = {
    "region_name": "--region",
    "verify= takes": "AWS_CA_BUNDLE names",
    "Pass access_key_id and access_secret_key, or set up": "Pass --profile, or set up",
    " config=Config(read_timeout=...) allows more time.": "",
    "put_options and bucket_name": "--put-option and the address",
    "put_options": "--put-option",
    ' If only one program writes the file, use on_conflict="overwrite".': "",
    " To load it anyway, pass a larger max_size.": "",
    "The next save finds out, and never overwrites anyone else; load() shows": "`get` shows",
    "load() shows": "`get` shows",
    "versions() lists": "`history` lists",
}
"""Advice in the library's messages, and the matching advice for the command line."""


def _as_typed(message: str) -> str:
    for advice, typed in _TYPED.items():
        message = message.replace(advice, typed)
    return message
