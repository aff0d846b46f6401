"""The checks of `doctor`: whether a store does what the library relies on.

One small function for each check, in the order in which they run.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from .._s3.file import S3File
from .._s3.requests import Requests
from .._s3.secrets import without_passwords
from ..errors import AccessDeniedError, S3DictError
from .outcomes import failure_of
from .trial import METADATA, Answer, Trial

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Status(str, Enum):
    """The outcome of a check."""

    WORKS = "works"
    FAILS = "fails"
    LACKS = "lacks"
    """It doesn't work, but the library works without it."""
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Result:
    """What a check found, and what to do about it."""

    check: str
    status: Status
    detail: str
    advice: str = ""


Finding = tuple[Status, str, str]
"""A result without its name."""


def examine(client: S3Client, bucket: str, folder: str, profile: str | None = None) -> Generator[Result, None, None]:
    """Run the checks. Stops after the failure of one that the others depend on."""
    with Trial(client, bucket, folder, profile) as trial:
        for name, check in CHECKS.items():
            result = Result(name, *check(trial, client))
            yield result
            if result.status is Status.FAILS and name in NEEDED:
                rest = list(CHECKS)[list(CHECKS).index(name) + 1 :]
                yield Result("the rest", Status.UNKNOWN, f"not tried: {', '.join(rest)}")
                break
    if trial.has_written:
        yield Result("tidy up", *_tidied_up(trial))


# The checks


def _credentials(trial: Trial, client: S3Client) -> Finding:
    import boto3
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    try:
        session = boto3.DEFAULT_SESSION if trial.profile is None else None
        found = (session or Session(profile=trial.profile)).get_credentials()
        if found is not None:
            found.get_frozen_credentials()
            return Status.WORKS, f"found in: {'environment' if found.method == 'env' else found.method}", ""
    except (BotoCoreError, OSError) as error:
        return (
            Status.FAILS,
            f"can't be obtained: {without_passwords(str(error))}",
            "With single sign-on, run `aws sso login`.",
        )
    return (
        Status.FAILS,
        "there are none",
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or configure a profile and name it with --profile.",
    )


def _open(trial: Trial, client: S3Client) -> Finding:
    """Use the library itself, so that the error is the one that its users get."""
    try:
        S3File(Requests(trial.bucket, trial.key, lambda: client)).get()
    except AccessDeniedError as error:
        if error.code in ("AccessDenied", "403", None):
            return (
                Status.LACKS,
                "S3 answers 403 for a missing file, so opening one fails instead of creating it",
                f"Allow s3:GetObject on {_arn(trial)}, and s3:ListBucket on arn:aws:s3:::{trial.bucket}.",
            )
        return Status.FAILS, str(failure_of(error)), ""
    except S3DictError as error:
        return Status.FAILS, str(failure_of(error)), ""
    return Status.WORKS, "the bucket exists, and reports missing files as missing", ""


def _write(trial: Trial, client: S3Client) -> Finding:
    answer = trial.put(b'{"write":1}')
    if not answer.ok:
        return Status.FAILS, str(answer), _permission(answer, "s3:PutObject", trial)
    if not trial.etag:
        return Status.FAILS, "the answer has no ETag", _OTHER_STORE
    return Status.WORKS, "a file was written", ""


def _read(trial: Trial, client: S3Client) -> Finding:
    answer = trial.get()
    if not answer.ok:
        return Status.FAILS, str(answer), _permission(answer, "s3:GetObject", trial)
    if answer.content["Body"] != b'{"write":1}':
        return Status.FAILS, "the content differs from what was written", _OTHER_STORE
    if answer.content.get("ETag") != trial.etag:
        return Status.FAILS, "the ETag differs from the one that the write returned", _OTHER_STORE
    metadata = {name.lower(): value for name, value in answer.content.get("Metadata", {}).items()}
    if not METADATA.items() <= metadata.items():
        return (
            Status.FAILS,
            "the file came back without its metadata, which identifies the writer",
            "So the outcome of a save whose answer is lost often can't be determined. " + _OTHER_STORE,
        )
    return Status.WORKS, "it came back with its ETag and its metadata", ""


def _second_create(trial: Trial, client: S3Client) -> Finding:
    answer = trial.put(b'{"second":1}', IfNoneMatch="*")
    return _refusal(answer, trial, "a file that someone else has just created was overwritten (If-None-Match ignored)")


def _update(trial: Trial, client: S3Client) -> Finding:
    answer = trial.put(b'{"update":1}', **trial.current)
    if answer.ok:
        return Status.WORKS, "a save that names the current version is accepted", ""
    trial.quotes = False
    if answer.status == 412 and trial.put(b'{"update":1}', **trial.current).ok:
        return (
            Status.WORKS,
            "a save that names the current version is accepted, without quotes; the library handles that",
            "",
        )
    return Status.FAILS, f"a save that names the current version was {answer}", _OTHER_STORE


def _stale_update(trial: Trial, client: S3Client) -> Finding:
    answer = trial.put(b'{"stale":1}', **trial.outdated)
    return _refusal(
        answer, trial, "a newer version was overwritten by a save that named an older one (If-Match ignored)"
    )


def _race(trial: Trial, client: S3Client) -> Finding:
    taken = len(trial.put_at_once([b'{"race":%d}' % number for number in range(_WRITERS)], **trial.current))
    if taken > 1:
        return Status.FAILS, f"{taken} of {_WRITERS} saves that named the same version took effect", _UNSAFE
    if taken == 0:
        return Status.UNKNOWN, f"none of {_WRITERS} saves that named the current version took effect", ""
    return Status.WORKS, f"one of {_WRITERS} saves that named the same version took effect", ""


def _outdated_delete(trial: Trial, client: S3Client) -> Finding:
    trial.look()
    answer = trial.delete(**trial.outdated)
    if answer.ok and not trial.get().ok:
        return (
            Status.LACKS,
            "a newer version was deleted by a delete that named an older one (If-Match ignored)",
            "Here, delete() can delete what someone else has just saved. Don't delete a file that others write.",
        )
    if answer.ok:
        return Status.WORKS, "nothing was deleted, as required", ""
    if answer.is_unknown_condition:
        return Status.LACKS, f"the store doesn't support conditional deletes: {answer}", _DELETE_ANYWAY
    if answer.is_refusal:
        return Status.WORKS, f"refused, as required ({answer.status})", ""
    return Status.UNKNOWN, str(answer), _permission(answer, "s3:DeleteObject", trial, "Only delete() needs this.")


def _delete(trial: Trial, client: S3Client) -> Finding:
    answer = trial.delete(**trial.current)
    if answer.ok:
        return Status.WORKS, "a delete that names the current version is accepted", ""
    return Status.LACKS, str(answer), _permission(answer, "s3:DeleteObject", trial, "Only delete() needs this.")


def _create(trial: Trial, client: S3Client) -> Finding:
    if trial.get().ok:
        return Status.UNKNOWN, "the file could not be deleted, so it can't be created again", ""
    answer = trial.put(b'{"create":1}', IfNoneMatch="*")
    if answer.ok:
        return Status.WORKS, "a missing file is created", ""
    return Status.FAILS, f"creating a missing file was {answer}", _OTHER_STORE


def _update_of_deleted(trial: Trial, client: S3Client) -> Finding:
    trial.delete()
    if trial.get().ok:
        return Status.UNKNOWN, "the file could not be deleted", ""
    answer = trial.put(b'{"deleted":1}', **trial.current)
    return _refusal(answer, trial, "a file that someone else has just deleted was brought back (If-Match ignored)")


def _versioning(trial: Trial, client: S3Client) -> Finding:
    if not trial.versioned:
        return (
            Status.LACKS,
            "off: no old versions are kept",
            f"aws s3api put-bucket-versioning --bucket {trial.bucket} --versioning-configuration Status=Enabled",
        )
    answer = trial.versions()
    if answer.ok:
        return Status.WORKS, "on, and old versions can be listed", ""
    return (
        Status.LACKS,
        f"on, but listing old versions was {answer}",
        _permission(answer, "s3:ListBucketVersions", trial),
    )


def _clock(trial: Trial, client: S3Client) -> Finding:
    if trial.skew is None:
        return Status.UNKNOWN, "the store doesn't report the time", ""
    off = f"{abs(trial.skew):.0f} s {'ahead of' if trial.skew > 0 else 'behind'} the store's"
    if abs(trial.skew) > _SKEW:
        return (
            Status.LACKS,
            f"this machine's is {off}",
            "Set the clock. If it is 15 minutes off, S3 refuses requests.",
        )
    return Status.WORKS, f"this machine's is within {_SKEW} s of the store's", ""


def _tidied_up(trial: Trial) -> Finding:
    if not trial.left:
        return Status.WORKS, "the bucket is clean again", ""
    return (
        Status.LACKS,
        f"not removed: {', '.join(trial.left)}",
        "Remove it yourself. This needs s3:DeleteObject, s3:DeleteObjectVersion and s3:ListBucketVersions.",
    )


CHECKS: dict[str, Callable[[Trial, S3Client], Finding]] = {
    "credentials": _credentials,
    "open": _open,
    "write": _write,
    "read": _read,
    "create twice": _second_create,
    "update": _update,
    "outdated update": _stale_update,
    "updates at once": _race,
    "outdated delete": _outdated_delete,
    "delete": _delete,
    "create": _create,
    "update of a deleted file": _update_of_deleted,
    "versioning": _versioning,
    "clock": _clock,
}
NEEDED = {"credentials", "open", "write"}
"""The checks that all others depend on."""

_SKEW = 60
_WRITERS = 8
_OTHER_STORE = "Use a newer release of this store, or another one."
_DELETE_ANYWAY = 'delete() works here only with on_conflict="overwrite".'
_UNSAFE = "On this store, programs overwrite each other's changes. Let only one write, or use another store."


def _refusal(answer: Answer, trial: Trial, otherwise: str) -> Finding:
    """The result for a write that must be refused; `otherwise` says what it means if it isn't."""
    if answer.ok:
        return Status.FAILS, otherwise, _UNSAFE
    if answer.is_unknown_condition:
        return Status.FAILS, f"the store doesn't support conditional writes: {answer}", _UNSAFE
    if answer.is_refusal:
        return Status.WORKS, f"refused, as required ({answer.status})", ""
    return Status.UNKNOWN, str(answer), _permission(answer, "s3:PutObject", trial)


def _permission(answer: Answer, action: str, trial: Trial, remark: str = "") -> str:
    if answer.status != 403:
        return remark
    where = f"arn:aws:s3:::{trial.bucket}" if action == "s3:ListBucketVersions" else _arn(trial)
    return f"Allow {action} on {where}. {remark}".rstrip()


def _arn(trial: Trial) -> str:
    return f"arn:aws:s3:::{trial.bucket}/{trial.key.rpartition('/')[0]}/*".replace("//", "/")
