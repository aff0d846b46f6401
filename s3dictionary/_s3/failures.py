"""Translates failed requests into the library's errors: what happened, where, and what to do."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import AccessDeniedError, BucketNotFoundError, StorageError, UnknownOutcomeError
from .calls import Counts
from .secrets import Secret, censored

UNKNOWN = {
    "PutObject": (
        "It is not known whether the save took effect. The next save finds out, and never overwrites anyone else; "
        "load() shows the current content."
    ),
    "DeleteObject": "It is not known whether the file was deleted; load() shows the current content.",
}
"""What to say about an operation that may have taken effect, although nothing proves it."""

UNKNOWABLE = {
    **UNKNOWN,
    "PutObject": (
        "It is not known whether the save took effect, and saving again can't find out. load() discards unsaved "
        "changes and shows the current content; then make those that are missing again."
    ),
}
"""The same, if nothing will prove it any more."""

BUSY_CODES = frozenset(
    {
        *("ConditionalRequestConflict", "OperationAborted", "409", "429"),
        *("SlowDown", "SlowDownWrite", "TooManyRequests", "Throttling", "ThrottlingException", "RequestLimitExceeded"),
    }
)
"""Codes of answers that ask to try again later."""

_CREDENTIAL_CODES = frozenset(
    {
        *("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "ExpiredTokenException", "InvalidToken"),
        *("TokenRefreshRequired", "InvalidClientTokenId", "UnrecognizedClientException", "RequestExpired"),
    }
)
"""Codes of answers for invalid or expired credentials."""

_NO_CONDITIONS = (
    "This store doesn't support conditional writes, so it can't keep writers from overwriting each other. If only "
    'one program writes the file, use on_conflict="overwrite".'
)
_LINE_BREAK = "Look for one at the end of the session token, and in put_options."
_TRY_AGAIN = "This may be temporary: try again."
_BROKEN_OFF = frozenset({"IncompleteReadError", "ResponseStreamingError"})
_PASSING = _BROKEN_OFF | {
    *("InternalError", "SlowDown", "ServiceUnavailable", "500", "502", "503", "504"),
    *("ConnectionClosedError", "ReadTimeoutError"),
}
_LOG_IN = "Log in, by `aws sso login`."
_UNREACHED = "Check the network, the endpoint and the region."
_NOT_S3 = "This isn't an answer from an S3 store: check the endpoint, and any proxy in between."
_HINTS = {
    "NoSuchBucket": "Create the bucket first, or check its name, the region and the endpoint.",
    "NoSuchVersion": "versions() lists the existing ones.",
    "InvalidAccessKeyId": "The access key isn't known there: check the key, and that it belongs to this endpoint.",
    "SignatureDoesNotMatch": "The secret key doesn't belong to the access key: check both.",
    "ExpiredToken": "The temporary credentials have expired: get new ones.",
    "InvalidToken": "The session token doesn't belong to the access key: check both.",
    "InvalidObjectState": "The file is archived: restore it first.",
    "RequestTimeTooSkewed": "This machine's clock is off by more than 15 minutes: set it.",
    "PermanentRedirect": "The bucket is in another region: pass region_name.",
    "AuthorizationHeaderMalformed": "The bucket is in another region: pass region_name.",
    "MetadataTooLarge": "Metadata in put_options and the file's existing metadata can have about 1,900 bytes together.",
    # Errors of botocore without an answer from S3
    "ConnectTimeoutError": _UNREACHED,
    "EndpointConnectionError": _UNREACHED,
    "TooSlowError": f"{_UNREACHED} config=Config(read_timeout=...) allows more time.",
    "SSLError": "Check the endpoint; if you issued its certificate yourself, verify= takes the CA's file.",
    "ParamValidationError": "Check put_options and bucket_name.",
    "InvalidRegionError": "Check region_name and AWS_DEFAULT_REGION.",
    "ProfileNotFound": "Check AWS_PROFILE, and the profiles in ~/.aws/config.",
    "PartialCredentialsError": "Set both, or none.",
    **dict.fromkeys(("SSOTokenLoadError", "UnauthorizedSSOTokenError", "TokenRetrievalError"), _LOG_IN),
    "UnauthorizedException": _LOG_IN,
    "TooLargeError": "To load it anyway, pass a larger max_size.",
    "ResponseParserError": _NOT_S3,
    "RecursionError": "The store, or a proxy in front of it, may redirect in circles: check the endpoint.",
    "JSONDecodeError": "If the profile has a credential_process, run it by hand: it must print JSON.",
    "NoCredentialsError": (
        "Pass access_key_id and access_secret_key, or set up boto3's credentials: environment, profile, SSO or role."
    ),
}
_PERMISSIONS = {
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject",
    "PutObject": "s3:PutObject",
    "DeleteObject": "s3:DeleteObject",
    "HeadBucket": "s3:ListBucket",
    "ListObjectsV2": "s3:ListBucket",
    "ListObjectVersions": "s3:ListBucketVersions",
}


_MISSPELT = r'Unknown parameter in \S+: "(\w+)", must be one of: (.+)'
"""How botocore refuses an argument of a request."""

_FOREIGN = frozenset({"botocore", "boto3", "urllib3", "s3transfer", "awscrt"})


class Situation(NamedTuple):
    """The context of a failed request.

    Attributes:
        operation: S3's name of the operation, or `"connecting"`.
        address: bucket and key.
        permission: the permission that it needs, if it differs from the operation's usual one.
        status: the HTTP status, if known.
        counts: how often the request was started and sent; `None` if that can't be observed.
        secrets: texts that must not be shown.
    """

    operation: str
    address: Mapping[str, str]
    permission: str | None = None
    status: int | None = None
    counts: Counts | None = None
    secrets: Secret[list[str]] = Secret([])

    @property
    def uri(self) -> str:
        return "s3://{Bucket}/{Key}".format_map(self.address)


def is_known(error: Exception) -> bool:
    """Whether it is an exception of botocore, its dependencies, or the standard library."""
    home, *bases = (kind.__module__.partition(".")[0] for kind in type(error).__mro__)
    return home in sys.stdlib_module_names or isinstance(error, OSError) or not _FOREIGN.isdisjoint([home, *bases])


def translated(error: Exception, situation: Situation) -> StorageError:
    """Translate an exception into an error of this library, without a cause."""
    from botocore.exceptions import ClientError

    is_s3s = isinstance(error, ClientError) and (situation.counts is None or situation.counts.sent > 0)
    failure = (_refused if is_s3s else _failed)(error, situation)
    if situation.operation in UNKNOWN and not _is_proven(error, situation):
        return unknown(failure)
    return failure


def is_refusal_of_credentials(failure: StorageError) -> bool:
    """Whether S3 refused the credentials, so that the request has certainly not taken effect.

    The answer to a HEAD has no code for this.
    """
    if isinstance(failure, UnknownOutcomeError):
        return False
    is_head = failure.operation is not None and failure.operation.startswith("Head")
    return failure.code in _CREDENTIAL_CODES or (is_head and failure.status in (400, 401, 403))


def unknown(failure: StorageError) -> UnknownOutcomeError:
    """The error for a failed PUT or DELETE if nothing proves that it was refused."""
    if isinstance(failure, UnknownOutcomeError):
        return failure
    assert failure.operation is not None
    return UnknownOutcomeError(
        sentences(str(failure).replace(_TRY_AGAIN, ""), UNKNOWN[failure.operation]),
        uri=failure.uri,
        operation=failure.operation,
        code=failure.code,
        status=failure.status,
    )


def closest(name: str, names: Sequence[str]) -> str | None:
    """The name that a misspelt one is most similar to, if any is similar."""
    from difflib import get_close_matches  # only needed in case of failure

    return next(iter(get_close_matches(name, names, 1)), None)


def sentences(text: str, hint: str) -> str:
    return f"{text.rstrip('. ')}. {hint}".rstrip()


def _is_proven(error: Exception, situation: Situation) -> bool:
    """Whether a failed PUT or DELETE has certainly not taken effect.

    The end of its last attempt doesn't show how earlier attempts ended.
    """
    from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, HTTPClientError
    from botocore.exceptions import ConnectionError as NoConnectionError

    if situation.counts is not None and situation.counts.sent == 0:
        return True
    if isinstance(error, ClientError):
        answer = error.response.get("ResponseMetadata", {})
        code, status = error.response.get("Error", {}).get("Code") or "", answer.get("HTTPStatusCode", 0)
        if answer.get("RetryAttempts", 0) > 0 or not code or code.isdigit():
            return False
        return status < 500 or status == 501 or (status == 503 and code in BUSY_CODES)
    if situation.counts is not None:
        return situation.counts.begun == 1 and isinstance(error, EndpointConnectionError)
    return isinstance(error, BotoCoreError) and not isinstance(error, (HTTPClientError, NoConnectionError))


def _refused(error: Any, situation: Situation) -> StorageError:
    answer, operation = error.response.get("Error", {}), situation.operation
    code = answer.get("Code") or None
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    kind, hint = StorageError, _hint(code or "", operation)
    if code == "NoSuchBucket":
        kind = BucketNotFoundError
    elif status == 403:
        kind, hint = AccessDeniedError, hint or _permission_hint(situation)
    elif status == 501 and operation == "PutObject":
        hint = _NO_CONDITIONS
    said = censored(_printable(_answer(status, code, answer.get("Message"))), situation.secrets.reveal())
    text = f"{operation} of {situation.uri} was refused with {said}"
    return kind(sentences(text, hint), uri=situation.uri, operation=operation, code=code, status=status)


def _failed(error: Exception, situation: Situation) -> StorageError:
    operation = situation.operation
    doing = "Creating a client for" if operation == "connecting" else f"{operation} of"
    said = f"{doing} {situation.uri} failed: {censored(_reason(error), situation.secrets.reveal())}"
    hint = _LINE_BREAK if _shows_header(error) else _suggestion(said) + _hint(_name(error), operation)
    return StorageError(sentences(said, hint), uri=situation.uri, operation=operation, status=situation.status)


def _suggestion(said: str) -> str:
    """What botocore's text about an unknown argument may have meant."""
    unknown = re.search(_MISSPELT, said)
    meant = unknown and closest(unknown[1], re.findall(r"\w+", unknown[2]))
    return f"Did you mean {meant}? " if meant else ""


def _name(error: Exception) -> str:
    """The name that selects the hint: the error code, if another service refused to provide credentials."""
    response = getattr(error, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    return code or type(error).__name__


def _permission_hint(situation: Situation) -> str:
    permission = situation.permission or _PERMISSIONS.get(situation.operation, situation.operation)
    bucket, key = situation.address["Bucket"], situation.address["Key"]
    resource = bucket if permission in ("s3:ListBucketVersions", "s3:ListBucket") else f"{bucket}/{key}"
    needed = f"It needs {permission} on {resource if bucket.startswith('arn:') else f'arn:aws:s3:::{resource}'}"
    if permission == "s3:GetObject":
        return f"{needed}; without s3:ListBucket on the bucket, S3 also answers 403 if there is no such file."
    return f"{needed}; with SSE-KMS, also the key's permissions." if permission == "s3:PutObject" else f"{needed}."


def _answer(status: int | None, code: str | None, message: str | None) -> str:
    """A short form of the answer. Without a body from S3, botocore uses the status as the code."""
    named = f"{status} {code}" if code and code != str(status) else str(status)
    return f"{named}: {message}" if message else named


def _hint(name: str, operation: str) -> str:
    """What to do about S3's error code or botocore's exception."""
    if name in _PASSING:
        return "" if operation in UNKNOWN else _TRY_AGAIN  # it may have taken effect, so don't just repeat it
    return _HINTS.get(name, "")


def _reason(error: Exception) -> str:
    from botocore.exceptions import BotoCoreError

    if _shows_header(error):
        return "a header with a line break in it"
    if isinstance(error, UnicodeError):  # its text contains what couldn't be encoded
        return f"{type(error).__name__}: {error.reason}" if isinstance(error, UnicodeEncodeError) else "UnicodeError"
    if type(error).__name__ in _BROKEN_OFF:
        return "the answer broke off"
    said = _printable(str(error))
    if said and isinstance(error, (BotoCoreError, OSError)):
        return said
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _printable(text: str) -> str:
    """A text on one line, without escape sequences for the terminal."""
    return "".join(each if each.isprintable() else "?" for each in " ".join(text.split()))


def _shows_header(error: Exception) -> bool:
    """Whether the text contains a header that http.client refused, which may be the session token."""
    return "Invalid header value" in str(error)
