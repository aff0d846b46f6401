"""One object on S3: reads it, saves it conditionally and exactly once, and deletes it. Doesn't know its content."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Set
from typing import Any

from ..errors import ConflictError, StorageError
from . import failures
from .bodies import TooLargeError
from .calls import TooSlowError
from .lineage import Attempt, Outcome, following, new_writer, settle
from .requests import Requests
from .saving import Delete, Save, conflict
from .secrets import Hidden
from .tries import BlockState, Content, Earlier, Tries
from .version import FileVersion, Found, Version, is_same, kept_options, room, upload

__all__ = ["Earlier", "FileVersion", "Found", "S3File", "Version"]

log = logging.getLogger("s3dictionary")

READ_ATTEMPTS = 3
_FINAL = (TooLargeError, TooSlowError)
MAX_SIZE = 2**30
"""The default for the largest file to load, in bytes."""


class S3File:
    """One object on S3.

    Args:
        requests: sends the requests for the object.
        max_size: the most bytes that it may have, stored or uncompressed.
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
            The result; `None` if there is no such object.

        Raises:
            StorageError: S3 refused the request, or couldn't be reached; or the object is too large.
        """
        condition = Hidden(IfNoneMatch=known.etag) if known is not None and known.current else Hidden()
        if version_id is not None:
            condition = Hidden(VersionId=version_id)
        for attempt in range(1, READ_ATTEMPTS + 1):
            try:
                return self._get(condition, known)
            except StorageError as error:
                # botocore repeats a request without an answer, but not one whose body broke off
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
        """Whether there is no such object. If the answer doesn't come from S3, check that the bucket exists."""
        if error.code == "NoSuchKey":
            return True
        is_s3s = error.code is not None and not error.code.isdigit()
        if error.status != 404 or is_s3s or "VersionId" in condition:
            return False
        self._requests.head_bucket()
        return True

    def versions(self) -> list[FileVersion]:
        """List the versions of the object that the bucket keeps, newest first."""
        found: list[Any] = []
        for page in self._requests.version_pages():
            found += page.get("Versions", [])
            if any(item["Key"] != self._key for item in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]):
                break  # keys are sorted, so this one is the first
        versions = [
            FileVersion(item["VersionId"], item["LastModified"], item["Size"], item["ETag"], item["IsLatest"])
            for item in found
            if item["Key"] == self._key
        ]
        return sorted(versions, key=lambda version: (version.is_latest, version.last_modified), reverse=True)

    # Unknown outcomes

    @property
    def pending(self) -> bool:
        """Whether a save or delete of unknown outcome may have taken effect."""
        tries = self._tries
        return bool(tries.pending) or tries.replaced is not None or tries.deleting is not None or tries.gone

    @property
    def pending_delete(self) -> bool:
        """Whether a delete of unknown outcome may still take effect, unless the next save replaces what it deletes."""
        return self._tries.deleting is not None

    @property
    def pending_saves(self) -> Set[Attempt]:
        """The saves that may have taken effect, and that the content of memory is based on."""
        return self._tries.pending.keys()

    @property
    def pending_merge(self) -> bool:
        """Whether a save of this dict that isn't the loaded version may have written more than memory has."""
        return self._tries.replaced is not None or any(content.merged for content in self._tries.pending.values())

    def is_ahead(self, block: BlockState) -> bool:
        """Whether a save of this block is of unknown outcome. Call `went_back` after its rollback."""
        return self._tries.has_saves_of(block)

    def interrupted(self, before: Set[Attempt]) -> None:
        """Note that an interrupt such as Ctrl-C ended the saves except those before.

        If memory is rolled back then, and the next save finds one of them, and nobody has saved since, it replaces it,
        because there is no other writer to conflict with.
        """
        self._tries.interrupted |= self.pending_saves - before

    def went_back(self, block: BlockState, members: Any, *, unsaved: bool) -> None:
        """Note what memory has now that a block was rolled back.

        Args:
            block: the state of the block.
            members: the content of memory, which each of the block's saves also wrote.
            unsaved: whether any of that is unsaved.
        """
        self._tries.went_back(block, members, unsaved=unsaved)

    def loaded(self, version: Version | None) -> None:
        """Note that memory was loaded or saved. The outcome of earlier saves and deletes doesn't matter any more."""
        self._tries = Tries(version, self._tries)

    def builds_on(self, version: Version | None) -> None:
        """Note that memory is based on this version, which a delete of unknown outcome may still delete.

        If memory is based on another version than before, the outcome of all saves is known.
        """
        before = self._tries
        if not is_same(version, before.origin):
            after = Tries(version, before)
            after.deleting = before.deleting
            self._tries = after

    def is_after_delete(self, found: Version | None) -> bool:
        """Whether a delete of unknown outcome may explain that the file isn't based on the loaded version."""
        tries = self._tries
        if (tries.deleting is None and not tries.gone) or is_same(found, tries.base):
            return False
        return found is None or found.record is None or not tries.is_ours(found.record)

    def replaced_by_next(self, found: Version | None) -> tuple[bool, Any]:
        """Whether the current version is an interrupted save that the next one replaces.

        Returns:
            Whether it is, and the content that it was merged with; `None` if it wasn't merged.
        """
        undone = self._tries.undone
        return (True, undone[found.number]) if found is not None and found.number in undone else (False, None)

    def rebase(self, found: Version | None) -> tuple[Version | None, Content | None]:
        """Determine the outcome of a merge of unknown outcome from the current version.

        Returns:
            The version to continue from, and the content of the merge if it took effect.

        Raises:
            UnknownOutcomeError: nothing proves the outcome.
        """
        tries = self._tries
        if not self.pending_merge:
            return found, None
        if is_same(found, tries.base):
            return found, None  # it may still arrive, so the next one must be based on the same version
        outcome, attempt = settle(found and found.record, tries.record, tries.pending)
        if attempt is None and found is not None:
            attempt = next((each for each in tries.pending if each.number == found.number), None)
        if attempt is None and outcome is Outcome.UNKNOWN:
            raise failures.unknown(
                StorageError(
                    f"A save of {self.uri} got no answer, and the current content doesn't show whether it took effect",
                    uri=self.uri,
                    operation="PutObject",
                )
            )
        if attempt is not None:
            return found, tries.pending[attempt]
        tries.pending = {}
        return found, tries.replaced

    @property
    def unknown(self) -> Tries | None:
        """The saves and deletes of unknown outcome, for a copy of the dict; `None` if there are none."""
        return self._tries.of_copy() if self.pending else None

    def inherit(self, unknown: Tries | None) -> None:
        """Let a copy of the dict determine the outcome of the original's saves, too."""
        if unknown is not None:
            self._tries = unknown

    def settled(self) -> None:
        """Note that the outcome of all saves is known, and memory reflects it."""
        self._tries.settled()

    def _tries_from(self, base: Version | None) -> Tries:
        self._tries.go_on_from(base)
        if self._process != os.getpid():  # the writer belongs to the parent
            self._process, self._writer = os.getpid(), new_writer()
        return self._tries

    # Writing

    def put(
        self,
        content: io.BytesIO,
        base: Version | None,
        *,
        members: Any = None,
        theirs: Any = None,
        block: BlockState | None = None,
        overwrite: bool = False,
    ) -> Version | Earlier:
        """Write the object, on condition that S3 still has the version that the content is based on.

        A save takes effect at most once, even if it is sent again because its answer was lost.

        Args:
            content: the content to write. What identifies the save is appended to it.
            base: the version that it is based on; `None` if there was no such object.
            members: the caller's content of memory.
            theirs: the other writers' content, if `content` is the merge of it and `members`.
            block: the state of the block that it is saved in.
            overwrite: whether to write without a condition.

        Returns:
            The new version; or the content of an earlier save of unknown outcome, if that took effect and this didn't.

        Raises:
            ConflictError: someone else has written since. Nothing was overwritten.
            UnknownOutcomeError: the outcome isn't known. The next save from the same version finds out.
            StorageError: S3 refused the request, or couldn't be reached.
        """
        tries = self._tries_from(base)
        if base is not None and not base.current and not overwrite:
            raise self._superseded("PutObject", base)
        was_gone, written = tries.gone, Content(members, theirs is not None, theirs, block)
        size = content.seek(0, io.SEEK_END)
        try:
            return self._put(content, tries, written, overwrite=overwrite)
        except ConflictError:
            if was_gone or not tries.gone:
                raise
        content.truncate(size)
        return self._put(content, tries, written, overwrite=overwrite)

    def _put(self, content: io.BytesIO, tries: Tries, written: Content, *, overwrite: bool) -> Version | Earlier:
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
        """Delete the object, on condition that it is still this version. It is no error if it is missing.

        Args:
            base: the version that may be deleted; `None` if there was no such object.
            overwrite: whether to delete any version.

        Raises:
            ConflictError: someone else has written since. Nothing was deleted.
            UnknownOutcomeError: it isn't known whether it was deleted.
            StorageError: S3 refused the request, or couldn't be reached.
        """
        merges_from_another = not is_same(self._tries.base, base) and self.pending_merge
        is_superseded = base is not None and not base.current
        if (is_superseded or merges_from_another) and not overwrite:
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
        """The ETag of a file that only a save of unknown outcome can have created; `None` if there is no file.

        DELETE has no condition for a missing file, so this needs a look-up.
        """
        found = self.get()
        if found is None:
            return None
        if found.version.number not in [each.number for each, content in tries.pending.items() if not content.merged]:
            refusal = StorageError("", uri=self.uri, operation="DeleteObject")
            raise conflict(refusal, None, found.version, seen=True)
        return found.version.etag

    def _superseded(self, operation: str, base: Version | None) -> Exception:
        """The conflict with writers that saved on top of our save before we learnt of its success."""
        found = self.get()
        refusal = StorageError("", uri=self.uri, operation=operation)
        return conflict(refusal, base, None if found is None else found.version, seen=True)
