"""One object on S3: read it, save it on a condition, exactly once, and delete it. Knows nothing of what it holds."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import StorageError
from .bodies import TooLargeError, unpacked
from .calls import TooSlowError
from .failures import unknown
from .lineage import Outcome, following, new_writer, settle
from .requests import Requests
from .saving import Delete, Save, conflict
from .secrets import Hidden
from .tries import Content, Earlier, Tries
from .version import FileVersion, Version, kept_options, room, upload

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["Earlier", "FileVersion", "Found", "S3File", "Version"]

log = logging.getLogger("s3dictionary")

READ_ATTEMPTS = 3
_FINAL = (TooLargeError, TooSlowError)
MAX_SIZE = 2**30
"""Bytes of a file that is loaded, unless one says otherwise."""


class Found(NamedTuple):
    """What a GET found.

    Attributes:
        body: as it was sent; `None` if it is still the version that was known.
        version: which version it is.
        text: the body, uncompressed if it was gzip; `None` if it is damaged.
        date: when it was read, by the store's clock; `None` where the store doesn't tell.
    """

    body: bytes | None
    version: Version
    text: bytes | None = None
    date: datetime | None = None

    def content(self) -> bytes:
        """The body, uncompressed if it was gzip.

        Raises:
            CorruptFileError: it begins like gzip, and isn't.
        """
        assert self.body is not None
        return unpacked(self.body, len(self.body)) if self.text is None else self.text


class S3File:
    """One object on S3.

    Args:
        bucket: the bucket's name, or an access point's ARN.
        key: the object's key.
        connect: gives the client, at each request: it may change, as after a fork.
        put_options: further arguments of every PutObject.
        max_size: bytes that it may have, stored or uncompressed, to be read.
        secrets: what mustn't be shown, besides what the client has.
        renew: told of a client whose credentials were refused; says whether the next one may get in.
    """

    def __init__(
        self,
        bucket: str,
        key: str,
        connect: Callable[[], S3Client],
        put_options: Mapping[str, Any] | None = None,
        *,
        max_size: int = MAX_SIZE,
        secrets: Iterable[str] = (),
        renew: Callable[[S3Client], bool] = lambda _: False,
    ) -> None:
        self._put_options = Hidden(put_options or {})
        self._requests = Requests(bucket, key, connect, self._put_options, secrets, renew)
        self.uri = self._requests.uri
        self._key = key
        self._max_size = max_size
        self._tries = Tries(None)
        self._form = 0
        self._process = os.getpid()
        self._writer = new_writer()

    # Reading

    def get(self, known: Version | None = None, version_id: str | None = None) -> Found | None:
        """Read the object.

        Args:
            known: a version whose content needn't be sent again.
            version_id: an old version to read instead of the current one.

        Returns:
            What was found; `None` if there is no such object.

        Raises:
            StorageError: S3 refused, or wasn't reached; or it is too big.
        """
        condition = Hidden(IfNoneMatch=known.etag) if known is not None and known.current else Hidden()
        if version_id is not None:
            condition = Hidden(VersionId=version_id)
        for attempt in range(1, READ_ATTEMPTS + 1):
            try:
                return self._get(condition, known)
            except StorageError as error:
                # botocore sends a request again that got no answer, but not one whose answer broke off in its body
                if attempt == READ_ATTEMPTS or error.status != 200 or isinstance(error.__cause__, _FINAL):
                    raise
                log.debug("reading %s again: %s", self.uri, error)
        raise AssertionError("unreachable")

    def _get(self, condition: Hidden, known: Version | None) -> Found | None:
        try:
            permission = "s3:GetObjectVersion" if "VersionId" in condition else None
            read = self._requests.get(condition, self._max_size, permission)
        except StorageError as error:
            if self._is_missing(error, condition):
                log.debug("GET %s: no such object", self.uri)
                return None
            if error.status == 304 and known is not None and "IfNoneMatch" in condition:
                log.debug("GET %s: still %s", self.uri, known.etag)
                return Found(None, known)
            raise
        log.debug("GET %s: %d bytes, ETag %s", self.uri, len(read.body), read.version.etag)
        return Found(read.body, read.version, read.text, read.date)

    def _is_missing(self, error: StorageError, condition: Hidden) -> bool:
        """Did S3 say that there is no such object? If it isn't S3 that said so, the bucket has to be there."""
        if error.code == "NoSuchKey":
            return True
        is_s3s = error.code is not None and not error.code.isdigit()
        if error.status != 404 or is_s3s or "VersionId" in condition:
            return False
        self._requests.head_bucket()
        return True

    def versions(self) -> list[FileVersion]:
        """The object's versions that the bucket keeps, newest first. Needs a listing, of just this key's versions."""
        found: list[Any] = []
        for page in self._requests.version_pages():
            found += page.get("Versions", [])
            if any(item["Key"] != self._key for item in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]):
                break  # keys come in order, and this one is the first
        versions = [
            FileVersion(item["VersionId"], item["LastModified"], item["Size"], item["ETag"], item["IsLatest"])
            for item in found
            if item["Key"] == self._key
        ]
        return sorted(versions, key=lambda version: (version.is_latest, version.last_modified), reverse=True)

    # What isn't known

    @property
    def pending(self) -> bool:
        """May a save or delete have taken effect without our knowing?"""
        return self.pending_saves or self._tries.deleting

    @property
    def pending_saves(self) -> bool:
        return bool(self._tries.open)

    @property
    def pending_merge(self) -> bool:
        """Did a save of unknown outcome write more than what is in memory?"""
        return any(content.merged for content in self._tries.open.values())

    def abandon(self, *, interrupted: bool = False) -> None:
        """Memory went back to what it was before the saves of unknown outcome, so none of them is built on.

        Args:
            interrupted: by Ctrl-C, say. Should the next save meet one of them, and nobody's since, it takes its place:
                there is nobody else that this would be a conflict with.
        """
        self._tries.abandon(interrupted=interrupted)

    def loaded(self, version: Version | None) -> None:
        """The dict goes on from this version."""
        if version is None or version is not self._tries.base:  # a file that isn't there begins a lineage of its own
            self._tries = Tries(version, self._tries)
        else:
            self._tries.abandon()

    def rebase(self, found: Version | None) -> tuple[Version | None, Content | None]:
        """Find out what became of a merge of unknown outcome, from what is there now.

        Returns:
            The version to go on from, and what the merge wrote if it took effect.

        Raises:
            UnknownOutcomeError: nothing tells.
        """
        tries = self._tries
        if not self.pending_merge:
            return found, None
        if found == tries.base or (found and tries.base and found.etag == tries.base.etag):
            return tries.base, None  # it may still come, so the next one has to be made from the same version
        outcome, attempt = settle(found and found.record, tries.record, tries.open)
        if attempt is None and found is not None:
            attempt = next((each for each in tries.open if each.number == found.number), None)
        if attempt is None and outcome is Outcome.UNKNOWN:
            raise unknown(
                StorageError(
                    f"A save of {self.uri} got no answer, and what is there now doesn't tell whether it took effect",
                    uri=self.uri,
                    operation="PutObject",
                )
            )
        content = None if attempt is None else tries.open[attempt]
        tries.abandon()
        return found, content

    def _tries_from(self, base: Version | None) -> Tries:
        if self._tries.base is not base:
            self._tries = Tries(base, self._tries)
        if self._process != os.getpid():  # the writer is the parent's
            self._process, self._writer = os.getpid(), new_writer()
        return self._tries

    # Writing

    def put(
        self,
        content: bytes,
        base: Version | None,
        *,
        members: Any = None,
        merged: bool = False,
        overwrite: bool = False,
    ) -> Version | Earlier:
        """Write the object, on condition that S3 still holds the version that this one was made from.

        A save takes effect at most once, also if it has to be sent again because the answer to it was lost.

        Args:
            content: what to write.
            base: the version it was made from; `None` if there was no such object.
            members: what the caller has in memory.
            merged: whether the content was merged of that and what others wrote.
            overwrite: write whatever is there.

        Returns:
            The new version; or what an earlier save of unknown outcome wrote, if that took effect and this one didn't.

        Raises:
            ConflictError: someone else wrote in between. Nothing was overwritten.
            UnknownOutcomeError: it isn't known whether it took effect. The next save from the same version finds out.
            StorageError: S3 refused, or wasn't reached.
        """
        tries = self._tries_from(base)
        if base is not None and not base.current and not overwrite:
            raise self._superseded("PutObject", base)
        attempt = tries.begin(self._writer, Content(members, merged), overwrite=overwrite)
        options = kept_options(base, self._put_options)
        record = following(tries.record, attempt, room(options["Metadata"]))
        sent = upload(content, record, options, compress=self._key.endswith(".gz"))
        save = Save(self._requests, tries, attempt, sent, record, overwrite=overwrite, form=self._form)
        outcome = save.run()
        self._form = save.form
        if isinstance(outcome, Version):
            log.debug("PUT %s: %d bytes, ETag %s", self.uri, len(sent["Body"]), outcome.etag)
        return outcome

    def delete(self, base: Version | None, *, overwrite: bool = False) -> None:
        """Delete the object, on condition that it is still this version. That it isn't there is no error.

        Args:
            base: the version that may be deleted; `None` if there was no such object.
            overwrite: delete it whatever version it is.

        Raises:
            ConflictError: someone else wrote in between. Nothing was deleted.
            UnknownOutcomeError: it isn't known whether it was deleted.
            StorageError: S3 refused, or wasn't reached.
        """
        tries = self._tries_from(base)
        if base is not None and not base.current and not overwrite:
            raise self._superseded("DeleteObject", base)
        etag = None if base is None else base.etag
        if base is None and not overwrite:
            etag = self._etag_of_own(tries)
        if etag is not None or overwrite:
            delete = Delete(self._requests, tries, None if overwrite else etag, self._form)
            delete.run()
            self._form = delete.form
        log.debug("DELETE %s", self.uri)

    def _etag_of_own(self, tries: Tries) -> str | None:
        """The ETag of a file that only a save of unknown outcome can have made; `None` if there is no file.

        DELETE knows no condition that there be none, so it has to be looked for.
        """
        found = self.get()
        if found is None:
            return None
        if found.version.number not in [attempt.number for attempt in tries.open]:
            refusal = StorageError("", uri=self.uri, operation="DeleteObject")
            raise conflict(refusal, None, found.version, seen=True)
        return found.version.etag

    def _superseded(self, operation: str, base: Version) -> Exception:
        """The conflict with those who saved on top of a save of ours before we heard of it."""
        found = self.get()
        refusal = StorageError("", uri=self.uri, operation=operation)
        return conflict(refusal, base, None if found is None else found.version, seen=True)
