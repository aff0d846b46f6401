"""One object on S3: read it, write it on a condition, delete it. The only module that knows botocore.

Every S3 behaviour it relies on is described in Amazon's "Conditional writes" and the API reference of GetObject and
PutObject; what other stores do differently is said where it is dealt with.
"""

from __future__ import annotations

import gzip
import logging
import os
import random
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import (
    AccessDeniedError,
    BucketNotFoundError,
    ConflictError,
    CorruptFileError,
    StorageError,
)

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from mypy_boto3_s3 import S3Client

log = logging.getLogger("s3dictionary")

SAVES_KEPT = 32
"""How many save ids an object carries: that many others may save on top before a lost answer can't be cleared up."""

READ_ATTEMPTS = 3
BUSY_WAITS = (0.05, 0.1, 0.2, 0.4)
"""Seconds to wait, times a random factor, before sending a PUT again that met another one (409)."""

_METADATA = "s3dictionary-saves"
_GZIP_MAGIC = b"\x1f\x8b"
# An object encrypted with a customer's key can't be read without it
_READ_OPTIONS = ("SSECustomerAlgorithm", "SSECustomerKey", "SSECustomerKeyMD5", "RequestPayer", "ExpectedBucketOwner")


class Version(NamedTuple):
    """A version of the object.

    Attributes:
        etag: opaque, as S3 gave it.
        saves: the ids of the save that wrote it and of those it was built on, newest first.
        last_modified: when S3 says it was written; `None` for one that was written just now.
    """

    etag: str
    saves: tuple[str, ...] = ()
    last_modified: datetime | None = None


class FileVersion(NamedTuple):
    """A version of a file that the bucket keeps.

    Attributes:
        version_id: to load it with; `"null"` for one from before the bucket had versioning.
        last_modified: when it was written.
        size: its length in bytes.
        etag: its ETag.
        is_latest: whether it is the current one.
    """

    version_id: str
    last_modified: datetime
    size: int
    etag: str
    is_latest: bool


class Found(NamedTuple):
    """What a GET found: `body`, as it was sent, is None if it is still the version that was known."""

    body: bytes | None
    version: Version

    def content(self) -> bytes:
        """The body, uncompressed if it is gzip.

        Its first bytes tell: encodings get lost, or changed to `gzip,aws-chunked`, on the way. JSON can't begin so.

        Raises:
            CorruptFileError: it begins like gzip, and isn't.
        """
        assert self.body is not None
        if not self.body.startswith(_GZIP_MAGIC):
            return self.body
        try:
            return gzip.decompress(self.body)
        except (OSError, EOFError, zlib.error) as error:
            raise CorruptFileError(f"not valid gzip: {error}") from error


class Attempt(NamedTuple):
    """A save of which it isn't known whether it took effect.

    Attributes:
        ours: what the caller had in memory.
        merged: whether more than that was written, namely what others had changed.
    """

    ours: bytes
    merged: bool


class S3File:
    """One object on S3.

    Args:
        bucket: the bucket's name.
        key: the object's key.
        connect: gives the client, at each request: it may change, as after a fork.
        put_options: further arguments of every PutObject.
    """

    def __init__(
        self, bucket: str, key: str, connect: Callable[[], S3Client], put_options: Mapping[str, Any] | None = None
    ) -> None:
        self.uri = f"s3://{bucket}/{key}"
        self.unconfirmed: dict[str, Attempt] = {}
        """The saves of which it isn't known whether they took effect, and which the next one is built on, by their
        ids, newest first."""
        self._connect = connect
        self._put_options = dict(put_options or {})
        read_options = {name: self._put_options[name] for name in _READ_OPTIONS if name in self._put_options}
        self._address: dict[str, Any] = {"Bucket": bucket, "Key": key}
        self._read_address = self._address | read_options
        self._delete_address = self._address | {
            name: value for name, value in read_options.items() if not name.startswith("SSE")
        }

    # Reading

    def get(self, known: Version | None = None, version_id: str | None = None) -> Found | None:
        """Read the object.

        Args:
            known: a version whose content needn't be sent again.
            version_id: an old version to read instead of the current one.

        Returns:
            What was found; `None` if there is no such object.

        Raises:
            StorageError: S3 refused, or wasn't reached.
        """
        condition = {} if known is None else {"IfNoneMatch": known.etag}
        if version_id is not None:
            condition = {"VersionId": version_id}
        for attempt in range(1, READ_ATTEMPTS + 1):
            try:
                return self._get(condition, known)
            except StorageError as error:
                # botocore sends a request again that got no answer, but not one whose answer broke off in its body
                if attempt == READ_ATTEMPTS or error.status != 200:
                    raise
                log.debug("reading %s again: %s", self.uri, error)
        raise AssertionError("unreachable")

    def _get(self, condition: dict[str, Any], known: Version | None) -> Found | None:
        client = self._client()
        try:
            with self._translating("GetObject", permission="s3:GetObjectVersion" if "VersionId" in condition else None):
                answer = client.get_object(**self._read_address, **condition)
        except StorageError as error:
            if error.code == "NoSuchKey":
                log.debug("GET %s: no such object", self.uri)
                return None
            if error.status == 304 and known is not None:
                log.debug("GET %s: still %s", self.uri, known.etag)
                return Found(None, known)
            raise
        with self._translating("GetObject", status=200):
            body = answer["Body"].read()
            version = _version(answer)
        log.debug("GET %s: %d bytes, ETag %s", self.uri, len(body), version.etag)
        return Found(body, version)

    def head(self) -> Version | None:
        """The version that is there now; `None` if there is no such object."""
        client = self._client()
        try:
            with self._translating("HeadObject"):
                version = _version(client.head_object(**self._read_address))
        except StorageError as error:
            if error.status == 404:  # without a body, so it could be the bucket, too
                return None
            raise
        log.debug("HEAD %s: ETag %s", self.uri, version.etag)
        return version

    def versions(self) -> list[FileVersion]:
        """The object's versions that the bucket keeps, newest first. Needs a listing, of just this key's versions."""
        client = self._client()
        with self._translating("ListObjectVersions"):
            pages = client.get_paginator("list_object_versions").paginate(
                Bucket=self._address["Bucket"], Prefix=self._address["Key"]
            )
            found = [item for page in pages for item in page.get("Versions", []) if item["Key"] == self._address["Key"]]
        versions = [
            FileVersion(item["VersionId"], item["LastModified"], item["Size"], item["ETag"], item["IsLatest"])
            for item in found
        ]
        return sorted(versions, key=lambda version: (version.is_latest, version.last_modified), reverse=True)

    # Writing

    def put(self, body: bytes, known: Version | None, *, overwrite: bool = False, ours: bytes | None = None) -> Version:
        """Write the object, on condition that S3 still holds the version that this one was made from.

        A save takes effect exactly once, even if botocore has to send it again because the answer to it was lost.

        Args:
            body: the content.
            known: the version it was made from; `None` if there was no such object.
            overwrite: write whatever is there.
            ours: what the caller has in memory, if the content was merged of that and what others wrote.

        Raises:
            ConflictError: someone else wrote in between. Nothing was overwritten.
            StorageError: S3 refused, or wasn't reached; the message says if it isn't known whether it took effect.
        """
        saves = (os.urandom(12).hex(), *self.unconfirmed, *(known.saves if known else ()))[:SAVES_KEPT]
        upload = self._upload(body, saves)
        attempt = {saves[0]: Attempt(body if ours is None else ours, merged=ours is not None)}
        condition: dict[str, Any] = {} if overwrite else {"IfMatch": known.etag} if known else {"IfNoneMatch": "*"}
        while True:
            try:
                version = Version(self._send(upload, condition, attempt), saves)
                break
            except StorageError as error:
                if not _is_refusal(error, condition):
                    raise
                found = self._look_after(error)
                if found is not None and saves[0] in found.saves:
                    version = _own_version(found, saves)
                    break
                condition = {} if error.code == _BUSY else self._better_condition(condition, found)
                if not condition:
                    raise self._conflict(error, found) from error.__cause__
        self.unconfirmed = {}
        log.debug("PUT %s: %d bytes, ETag %s", self.uri, len(upload["Body"]), version.etag)
        return version

    def _upload(self, body: bytes, saves: tuple[str, ...]) -> dict[str, Any]:
        upload = {"ContentType": "application/json", **self._put_options, **self._address, "Body": body}
        upload["Metadata"] = {**self._put_options.get("Metadata", {}), _METADATA: ",".join(saves)}
        if self._address["Key"].endswith(".gz"):
            upload |= {"Body": gzip.compress(body, compresslevel=6, mtime=0), "ContentEncoding": "gzip"}
        return upload

    def _send(self, upload: dict[str, Any], condition: dict[str, Any], attempt: dict[str, Attempt]) -> str:
        """Send a PUT, again if it met another one that was under way (409), and give the new ETag.

        `attempt` is added to the unconfirmed ones as soon as it could have taken effect without our knowing.
        """
        client = self._client()
        for wait in (*BUSY_WAITS, None):
            try:
                with self._translating("PutObject"):
                    return _etag(client.put_object(**upload, **condition))
            except StorageError as error:
                if _is_unknown(error):
                    self.unconfirmed = dict(islice((attempt | self.unconfirmed).items(), SAVES_KEPT))
                if error.code != _BUSY or wait is None:
                    raise
            time.sleep(wait * random.uniform(0.5, 1.5))
        raise AssertionError("unreachable")

    def _look_after(self, refusal: StorageError) -> Version | None:
        """See what is there instead. After a PUT whose answer got lost, only this tells whether it took effect."""
        try:
            return self.head()
        except StorageError as error:
            if not self.unconfirmed:
                return None
            raise StorageError(
                f"The save of {self.uri} was refused after an answer had been lost, and what is there now can't be "
                f"seen. {_UNKNOWN['PutObject']} {error}",
                uri=self.uri,
                operation=refusal.operation,
                code=error.code,
                status=error.status,
            ) from error.__cause__

    def _better_condition(self, condition: dict[str, Any], found: Version | None) -> dict[str, Any]:
        """The condition to try instead, if what is there is what this save was made from after all; else none."""
        sent = condition.get("IfMatch", "")
        if found is None or sent == found.etag.strip('"'):
            return {}
        if sent == found.etag:  # older Ceph gateways and DigitalOcean Spaces compare it without the quotes
            return {"IfMatch": sent.strip('"')}
        attempt = self.unconfirmed.get(found.saves[0]) if found.saves else None
        if attempt is not None and not attempt.merged:  # what others had changed isn't in memory
            return {"IfMatch": found.etag}
        return {}

    def _conflict(self, refusal: StorageError, found: Version | None) -> ConflictError:
        when = f", at {found.last_modified:%Y-%m-%d %H:%M:%S %Z}" if found and found.last_modified else ""
        return ConflictError(
            f"{self.uri} was written by someone else since it was loaded{when}; nothing was overwritten. "
            "load() brings what is there now, in place of what is in memory; then make the changes again.",
            etag=found.etag if found else None,
            last_modified=found.last_modified if found else None,
            uri=self.uri,
            operation="PutObject",
            code=refusal.code,
            status=refusal.status,
        )

    def delete(self) -> None:
        """Delete the object, whatever version it is. That it isn't there is no error."""
        client = self._client()
        with self._translating("DeleteObject"):
            client.delete_object(**self._delete_address)
        self.unconfirmed = {}
        log.debug("DELETE %s", self.uri)

    # The one way out to botocore

    def _client(self) -> S3Client:
        with self._translating("connecting"):
            return self._connect()

    @contextmanager
    def _translating(self, operation: str, status: int | None = None, permission: str | None = None) -> Iterator[None]:
        """Turn botocore's errors into this library's.

        Args:
            operation: what is done.
            status: the HTTP status, where that is known already.
            permission: what it needs, if that isn't what the operation always does.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            cause: Exception | None = error
            failure = self._refused(operation, error, permission or _PERMISSIONS.get(operation, operation))
        except (BotoCoreError, OSError) as error:
            cause = None if _shows_header(error) else error
            failure = self._failed(operation, error, status)
        else:
            return
        failure.__cause__ = cause
        if _is_unknown(failure):
            failure.args = (_sentences(failure.args[0], _UNKNOWN[operation]),)
        raise failure from cause

    def _refused(self, operation: str, error: ClientError, permission: str) -> StorageError:
        answer = error.response.get("Error", {})
        code = answer.get("Code") or None
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        kind, hint = StorageError, _hint(code or "", operation)
        if code == "NoSuchBucket":
            kind = BucketNotFoundError
        elif status == 403:
            kind, hint = AccessDeniedError, hint or _permission_hint(permission, self._address)
        elif status == 501 and operation == "PutObject":
            hint = _NO_CONDITIONS
        said = f"{operation} of {self.uri} was refused with {_answer(status, code, answer.get('Message'))}"
        return kind(_sentences(said, hint), uri=self.uri, operation=operation, code=code, status=status)

    def _failed(self, operation: str, error: Exception, status: int | None) -> StorageError:
        doing = "Making a client for" if operation == "connecting" else f"{operation} of"
        said = f"{doing} {self.uri} failed: {_reason(error)}"
        hint = _LINE_BREAK if _shows_header(error) else _hint(type(error).__name__, operation)
        return StorageError(_sentences(said, hint), uri=self.uri, operation=operation, status=status)


_BUSY = "ConditionalRequestConflict"
_UNKNOWN = {
    "PutObject": (
        "It is not known whether the save took effect. The next save can't overwrite anyone, whichever way it went; "
        "load() shows what is there."
    ),
    "DeleteObject": "It is not known whether the file was deleted; load() shows what is there.",
}
_NO_CONDITIONS = (
    "This store doesn't know conditional writes, so it can't keep writers from overwriting each other. If only one "
    'program writes the file, use on_conflict="overwrite".'
)
_LINE_BREAK = "Look for one at the end of the session token, and in put_options."
_TRY_AGAIN = "That may pass: try again."
_BROKEN_OFF = frozenset({"IncompleteReadError", "ResponseStreamingError"})
_PASSING = _BROKEN_OFF | {
    *("InternalError", "SlowDown", "ServiceUnavailable", "500", "502", "503", "504"),
    *("ConnectionClosedError", "ReadTimeoutError"),
}
_UNREACHED = "Check the network, the endpoint and the region."
_HINTS = {
    "NoSuchBucket": "Create the bucket first, or check its name, the region and the endpoint.",
    "NoSuchVersion": "versions() lists the ones there are.",
    "InvalidAccessKeyId": "The access key isn't known there: check the key, and that it belongs to this endpoint.",
    "SignatureDoesNotMatch": "The secret key doesn't belong to the access key: check both.",
    "ExpiredToken": "The temporary credentials have expired: get new ones.",
    "InvalidToken": "The session token doesn't belong to the access key: check both.",
    "InvalidObjectState": "The file is archived: restore it first.",
    "RequestTimeTooSkewed": "This machine's clock is off by more than 15 minutes: set it.",
    "PermanentRedirect": "The bucket is in another region: pass region_name.",
    "AuthorizationHeaderMalformed": "The bucket is in another region: pass region_name.",
    # What botocore says without S3
    "ConnectTimeoutError": _UNREACHED,
    "EndpointConnectionError": _UNREACHED,
    "SSLError": "Check the endpoint; if its certificate is of your own making, verify= takes the CA's file.",
    "ParamValidationError": "Check put_options and bucket_name.",
    "InvalidRegionError": "Check region_name and AWS_DEFAULT_REGION.",
    "ProfileNotFound": "Check AWS_PROFILE, and the profiles in ~/.aws/config.",
    "PartialCredentialsError": "Set both, or none.",
    "SSOTokenLoadError": "Log in, by `aws sso login`.",
    "UnauthorizedSSOTokenError": "Log in, by `aws sso login`.",
    "NoCredentialsError": (
        "Pass access_key_id and access_secret_key, or set up boto3's credentials: environment, profile, SSO or role."
    ),
}
_PERMISSIONS = {
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject",
    "PutObject": "s3:PutObject",
    "DeleteObject": "s3:DeleteObject",
    "ListObjectVersions": "s3:ListBucketVersions",
}


def _permission_hint(permission: str, address: dict[str, Any]) -> str:
    resource = address["Bucket"] if permission == "s3:ListBucketVersions" else f"{address['Bucket']}/{address['Key']}"
    needed = f"It needs {permission} on arn:aws:s3:::{resource}"
    if permission == "s3:GetObject":
        return f"{needed}; and without s3:ListBucket on the bucket, S3 answers 403 also where there is no such file."
    return f"{needed}; with SSE-KMS the key's permissions, too." if permission == "s3:PutObject" else f"{needed}."


def _answer(status: int | None, code: str | None, message: str | None) -> str:
    """What came back, in short. Without a body that is S3's, botocore repeats the status as the code."""
    named = f"{status} {code}" if code and code != str(status) else str(status)
    return f"{named}: {message}" if message else named


def _hint(name: str, operation: str) -> str:
    """What to do about an error code of S3's, or an exception of botocore's."""
    if name in _PASSING:
        return "" if operation in _UNKNOWN else _TRY_AGAIN  # what may have taken effect mustn't just be done again
    return _HINTS.get(name, "")


def _reason(error: Exception) -> str:
    if _shows_header(error):
        return "a header with a line break in it"
    return "the answer broke off" if type(error).__name__ in _BROKEN_OFF else " ".join(str(error).split())


def _shows_header(error: Exception) -> bool:
    """http.client shows the header that it refuses, and that may be the session token."""
    return "Invalid header value" in str(error)


def _sentences(text: str, hint: str) -> str:
    return f"{text.rstrip('. ')}. {hint}".rstrip()


def _version(answer: Mapping[str, Any]) -> Version:
    # Some stores capitalize the names of metadata
    metadata = {name.lower(): value for name, value in answer.get("Metadata", {}).items()}
    saves = tuple(filter(None, metadata.get(_METADATA, "").split(",")))
    return Version(_etag(answer), saves, answer.get("LastModified"))


def _etag(answer: Mapping[str, Any]) -> str:
    etag: str = answer.get("ETag", "")
    if not etag:  # as good as no answer: a proxy's error page may come with status 200, too
        raise OSError("the answer has no ETag, so it isn't an S3 store's: check the endpoint")
    return etag


def _own_version(found: Version, saves: tuple[str, ...]) -> Version:
    """The version that a save wrote, seen after its answer was lost.

    If others have saved on top since, its ETag isn't known any more. One that can't be the current one serves as well.
    """
    return found if found.saves[0] == saves[0] else Version(f'"superseded-{saves[0]}"', saves)


def _is_refusal(error: StorageError, condition: dict[str, Any]) -> bool:
    """Did S3 not hold the version that the condition names?"""
    if error.code == _BUSY or error.status == 412:
        return True
    return error.status == 404 and "IfMatch" in condition and not isinstance(error, BucketNotFoundError)


def _is_unknown(error: StorageError) -> bool:
    """Could a PUT or DELETE that ended so have taken effect?

    How its last attempt ended doesn't tell how the first did.
    """
    from botocore.exceptions import ClientError, HTTPClientError
    from botocore.exceptions import ConnectionError as NoConnectionError

    cause = error.__cause__
    if error.operation not in _UNKNOWN:
        return False
    if isinstance(cause, ClientError):
        resent = cause.response.get("ResponseMetadata", {}).get("RetryAttempts", 0) > 0
        return resent or (error.status is not None and error.status >= 500 and error.status != 501)
    return isinstance(cause, (HTTPClientError, NoConnectionError, OSError))
