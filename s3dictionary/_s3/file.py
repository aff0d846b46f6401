"""One object on S3: read it, save it on a condition, exactly once, and delete it. Knows nothing of what it holds."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection
from copy import copy
from datetime import datetime
from typing import Any, NamedTuple

from ..errors import ConflictError, StorageError
from .bodies import TooLargeError, unpacked
from .calls import TooSlowError
from .failures import unknown
from .lineage import Attempt, Outcome, following, new_writer, settle
from .requests import Requests
from .saving import Delete, Save, conflict
from .secrets import Hidden
from .tries import Content, Earlier, Tries
from .version import FileVersion, Version, kept_options, room, upload

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
        requests: the requests that concern it.
        max_size: bytes that it may have, stored or uncompressed, to be read.
    """

    def __init__(self, requests: Requests, *, max_size: int = MAX_SIZE) -> None:
        self._requests = requests
        self.uri = requests.uri
        self._key = requests.address["Key"]
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
        return bool(self.pending_saves) or self._tries.deleting is not None or self._tries.gone

    @property
    def pending_saves(self) -> Collection[Attempt]:
        """The saves that may have taken effect, and that what is in memory is built on."""
        return self._tries.open.keys()

    @property
    def pending_merge(self) -> bool:
        """Did a save of unknown outcome write more than what is in memory?"""
        return any(content.merged for content in self._tries.open.values())

    def abandon(self, kept: Collection[Attempt] = (), *, interrupted: bool = False) -> None:
        """Memory is about to go back to what it was before the saves of unknown outcome; then call `went_back`.

        Args:
            kept: those that it won't go back behind.
            interrupted: by Ctrl-C, say. Should the next save meet one of them, and nobody's since, it takes its place:
                there is nobody else that this would be a conflict with.
        """
        self._tries.abandon(self._tries.open.keys() - set(kept), interrupted=interrupted)

    def went_back(self, members: Any, *, unsaved: bool) -> None:
        """Memory has gone back.

        Args:
            members: what is in memory now. Each of the saves wrote that, too.
            unsaved: whether anything of that is unsaved.
        """
        self._tries.went_back(members, unsaved=unsaved)

    def loaded(self, version: Version | None) -> None:
        """The dict goes on from this version."""
        before = self._tries
        self._tries = Tries(version, before)
        if version is not None and version is before.base:
            self._tries.undone = before.undone

    def is_after_delete(self, found: Version | None) -> bool:
        """May a delete of unknown outcome be why the file isn't the one that was loaded, nor made from that?"""
        tries, record = self._tries, found and found.record
        may_be = tries.gone or tries.deleting is not None
        return may_be and (record is None or record.lineage != tries.record.lineage)

    def replaced_by_next(self, found: Version | None) -> tuple[bool, Any]:
        """Is what is there now an interrupted save whose place the next one takes?

        Returns:
            Whether it is, and what that was merged with; `None` if it wasn't.
        """
        undone = self._tries.undone
        return (True, undone[found.number]) if found is not None and found.number in undone else (False, None)

    def rebase(self, found: Version | None) -> tuple[Version | None, Content | None]:
        """Find out what became of a merge of unknown outcome, from what is there now.

        Returns:
            The version to go on from, and what the merge wrote if it took effect.

        Raises:
            UnknownOutcomeError: nothing tells.
        """
        tries = self._tries
        if not self.pending_merge:
            return found, tries.replaced
        if found == tries.base or (found and tries.base and found.etag == tries.base.etag):
            return tries.base, None  # it may still come, so the next one has to be made from the same version
        outcome, attempt = settle(found and found.record, tries.record, tries.open)
        if attempt is None and found is not None:
            attempt = next((each for each in tries.open if each.number == found.number), None)
        if attempt is None and outcome is Outcome.UNKNOWN:
            raise unknown(
                StorageError(
                    f"A save of {self.uri} got no answer, and the current content doesn't show whether it took effect",
                    uri=self.uri,
                    operation="PutObject",
                )
            )
        if attempt is not None:
            return found, tries.open[attempt]
        tries.open = {}
        return found, tries.replaced

    def inherit(self, other: S3File) -> None:
        """A copy finds out, too, what became of the original's saves of unknown outcome."""
        self._tries = copy(other._tries)

    def settled(self) -> None:
        """What became of all saves is known, and memory has taken it over."""
        self._tries.open, self._tries.replaced = {}, None

    def _tries_from(self, base: Version | None) -> Tries:
        if self._tries.base is not base:
            before, self._tries = self._tries, Tries(base, self._tries)
            self._tries.undone = before.undone
            self._tries.replaced = before.content_of(base)
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
        theirs: Any = None,
        overwrite: bool = False,
    ) -> Version | Earlier:
        """Write the object, on condition that S3 still holds the version that this one was made from.

        A save takes effect at most once, also if it has to be sent again because the answer to it was lost.

        Args:
            content: what to write.
            base: the version it was made from; `None` if there was no such object.
            members: what the caller has in memory.
            theirs: what others wrote, if the content was merged of that and `members`.
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
        was_gone, written = tries.gone, Content(members, theirs is not None, theirs)
        try:
            return self._put(content, tries, written, overwrite=overwrite)
        except ConflictError:
            if was_gone or not tries.gone:
                raise
        return self._put(content, tries, written, overwrite=overwrite)

    def _put(self, content: bytes, tries: Tries, written: Content, *, overwrite: bool) -> Version | Earlier:
        attempt = tries.begin(self._writer, written, overwrite=overwrite)
        options = kept_options(tries.base, self._requests.put_options)
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
        merges_from_another = self._tries.base is not base and self.pending_merge
        if base is not None and not overwrite and (not base.current or merges_from_another):
            raise self._superseded("DeleteObject", base)
        tries = self._tries_from(base)
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
        if found.version.number not in [each.number for each, content in tries.open.items() if not content.merged]:
            refusal = StorageError("", uri=self.uri, operation="DeleteObject")
            raise conflict(refusal, None, found.version, seen=True)
        return found.version.etag

    def _superseded(self, operation: str, base: Version) -> Exception:
        """The conflict with those who saved on top of a save of ours before we heard of it."""
        found = self.get()
        refusal = StorageError("", uri=self.uri, operation=operation)
        return conflict(refusal, base, None if found is None else found.version, seen=True)
