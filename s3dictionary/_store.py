"""A dict's values and its file brought together: what was loaded, from which version, and how a conflict is settled."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from ._format import codec
from ._merge import Resolver, merge
from .errors import ConflictError, CorruptFileError, S3DictError, StorageError

if TYPE_CHECKING:
    from ._memory.values import Values
    from ._s3.file import Found, S3File, Version

OnConflict = Literal["raise", "overwrite", "merge"] | Resolver

MERGE_ATTEMPTS = 30
"""How often a save meets a conflict and merges before it gives up."""

_JUST_LOADED = 0.001
"""Seconds in which no other program's write could have become known to the caller."""


class Store:
    """What a dict's values were loaded from.

    Attributes:
        version: the version that was loaded or saved last; `None` while there is no file.
        unreadable: the file couldn't be read, but is to be replaced.
        autosave: every update is to be saved at once.
    """

    def __init__(self, file: S3File, values: Values, on_conflict: OnConflict, version: Version | None = None) -> None:
        self.version = version
        self.unreadable = False
        self._file = file
        self.values = values
        self.uri = file.uri
        self._on_conflict = on_conflict
        self._loaded_at = 0.0
        self.autosave = False

    @property
    def autosave(self) -> bool:
        return self._autosave

    @autosave.setter
    def autosave(self, autosave: bool) -> None:
        self._autosave = autosave
        self.values.guard(autosave)

    @property
    def changed(self) -> bool:
        return self.unreadable or self.values.changed

    # Loading

    def load(self, *, replacing: bool = False) -> None:
        """Load the file.

        Args:
            replacing: what it holds is going to be replaced, so it needn't be readable.
        """
        found = self._file.get(None if self.unreadable else self.version)
        try:
            self._take_over(found)
        except CorruptFileError:
            if not replacing:
                raise
            self.unreadable = True
        self.version = None if found is None else found.version
        self._file.unconfirmed = {}
        self._loaded_at = time.monotonic()

    def refresh(self) -> None:
        """Load before a block, unless there is something to keep, or it was loaded just now."""
        if time.monotonic() - self._loaded_at > _JUST_LOADED and not self.changed:
            self.load()
        self._loaded_at = 0.0

    def load_version(self, version_id: str) -> None:
        """Load an old version as an unsaved change."""
        found = self._file.get(version_id=version_id)
        if found is None:  # as some stores answer where AWS says NoSuchVersion
            raise StorageError(
                f"{self.uri} has no version {version_id!r}. versions() lists the ones there are.",
                uri=self.uri,
                operation="GetObject",
                code="NoSuchKey",
                status=404,
            )
        self.values.replace(self._members(found))

    def _take_over(self, found: Found | None) -> None:
        """Memory is only touched when all that can fail has been done."""
        if found is None or found.body is not None:
            self.values.reload(self._members(found))
        elif self.changed:
            self.values.reload(self.values.loaded())
        self.unreadable = False

    def _members(self, found: Found | None) -> codec.Members:
        if found is None:
            return {}
        try:
            return codec.split(found.content())
        except CorruptFileError as error:
            raise CorruptFileError(
                f"{self.uri} can't be read: {error}. It stays as it is: repair it, or replace it by S3Dict(…, data=…)."
            ) from error

    # Saving

    def save(self) -> None:
        """Save what is in memory, which stays as it is if that fails."""
        members = self.values.members()
        self._put(members, codec.join(members))

    def save_changes(self) -> None:
        """Save at the end of a block. Memory will be undone if that fails, so the error carries what was in it."""
        if not self.changed:
            return
        body = None
        try:
            members = self.values.members()
            body = codec.join(members)
            self._put(members, body)
        except S3DictError as error:
            error.keep_unsaved(self.values.detached() if body is None else body)
            self._file.unconfirmed = {}
            raise

    def delete(self) -> None:
        self._file.delete()
        self.version = None
        self.unreadable = False
        self.values.reload({})

    def _put(self, members: codec.Members, body: bytes) -> None:
        try:
            self.version = self._file.put(body, self.version, overwrite=self._on_conflict == "overwrite")
        except ConflictError as conflict:
            if self._on_conflict == "raise" or self.unreadable:
                raise
            self._merge(members, body, conflict)
        else:
            self.unreadable = False
            self.values.saved(members)

    # Conflicts

    def _merge(self, ours: codec.Members, body: bytes, conflict: ConflictError) -> None:
        """Do our changes again to what is there now, until nobody comes in between."""
        resolve = self._on_conflict if callable(self._on_conflict) else None
        for wait in backoff(MERGE_ATTEMPTS):
            found = self._file.get()
            merged, clashes = merge(self.values.touched_keys(), self._base(found), ours, self._members(found), resolve)
            if clashes:
                raise self._clash(clashes, found, conflict) from conflict.__cause__
            try:
                self.version = self._file.put(codec.join(merged), found.version if found else None, ours=body)
            except ConflictError as error:
                conflict = error
                time.sleep(wait)
            else:
                self.values.reload(merged)
                return
        raise conflict

    def _base(self, found: Found | None) -> codec.Members:
        """What our changes are changes of: the version that was loaded, or a later save of ours that did take effect.

        Of the latter we hear only now, as there was no answer to it.
        """
        for save_id, attempt in self._file.unconfirmed.items():
            if found is not None and save_id in found.version.saves:
                return codec.split(attempt.ours)
        return self.values.touched()

    def _clash(self, keys: list[object], found: Found | None, conflict: ConflictError) -> ConflictError:
        return ConflictError(
            f"{self.uri} was written by someone else since it was loaded, and both changed "
            f"{', '.join(map(repr, keys))}; nothing was overwritten. load() brings what is there now, in place of what "
            "is in memory; or let on_conflict be a function that says what the value is to be.",
            keys=keys,
            etag=found.version.etag if found else None,
            last_modified=found.version.last_modified if found else None,
            uri=conflict.uri,
            operation=conflict.operation,
            code=conflict.code,
            status=conflict.status,
        )


def backoff(attempts: int) -> Iterator[float]:
    """Seconds to wait after each attempt that failed: random, so that those who met don't meet again."""
    for attempt in range(attempts):
        yield random.uniform(0, min(1.0, 0.01 * 2**attempt))
