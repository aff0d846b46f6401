"""A dict's values and its file brought together: what was loaded, from which version, and how a conflict is settled."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

from ._format import codec
from ._merge import Resolver, merge
from ._s3.tries import Earlier
from .errors import ConflictError, CorruptFileError, StorageError, keep_unsaved

if TYPE_CHECKING:
    from ._memory.values import Values
    from ._s3.file import Found, S3File, Version

OnConflict = Literal["raise", "overwrite", "merge"] | Resolver

MERGE_ATTEMPTS = 30
"""How often a save meets a conflict and merges before it gives up."""

_JUST_LOADED = 0.001
"""Seconds in which no other program's write could have become known to the caller."""


class Refusal(NamedTuple):
    """What S3 said to a save that met someone else's."""

    code: str | None = None
    status: int | None = None
    cause: BaseException | None = None


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
        """Is there anything in memory that isn't known to be in S3?"""
        return self._file.pending or self._has_changes

    @property
    def _has_changes(self) -> bool:
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
        version = None if found is None else found.version
        self._file.loaded(version)
        self.version = version
        self._loaded_at = time.monotonic()

    def refresh(self) -> None:
        """Load before a block, unless there is something to keep, or it was loaded just now."""
        if time.monotonic() - self._loaded_at > _JUST_LOADED and not self._keeps_changes:
            self.load()
        self._loaded_at = 0.0

    @property
    def _keeps_changes(self) -> bool:
        """Is there anything in memory that loading would throw away? A delete of unknown outcome isn't."""
        return self._file.pending_saves or self._has_changes

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
        elif self._has_changes:
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
        except BaseException as error:
            keep_unsaved(error, body or self.values.detached)
            self._file.abandon()
            raise

    def delete(self) -> None:
        self._file.delete(self.version, overwrite=self._overwrites)
        self.values.reload({})
        self._goes_on_from(None)

    @property
    def _overwrites(self) -> bool:
        return self._on_conflict == "overwrite"

    def _put(self, members: codec.Members, body: bytes) -> None:
        if self._file.pending_merge:
            self._merge(members, Refusal())
            return
        try:
            outcome = self._file.put(body, self.version, members=members, overwrite=self._overwrites)
        except ConflictError as conflict:
            if self._on_conflict == "raise" or self._overwrites or self.unreadable:
                raise
            refusal = Refusal(conflict.code, conflict.status, conflict.__cause__)
        else:
            self._saved(outcome, members)
            return
        self._merge(members, refusal)

    def _saved(self, outcome: Version | Earlier, members: codec.Members) -> None:
        if not isinstance(outcome, Earlier):
            self.values.saved(members)
            self._goes_on_from(outcome)
            return
        # An earlier save of unknown outcome took effect. Only what has changed since is left to save
        self.values.saved(outcome.content.members)
        self._goes_on_from(outcome.version)
        if self._has_changes:
            self.save()
        elif not outcome.version.current and self._on_conflict != "raise":
            self._merge(members, Refusal())  # others have saved on top, and merging brings what they have changed

    def _goes_on_from(self, version: Version | None) -> None:
        """Base what is in memory on this version. The last step, so that an interrupt before it loses nothing."""
        self.version = version
        self.unreadable = False
        self._file.loaded(version)

    # Conflicts

    def _merge(self, ours: codec.Members, refusal: Refusal) -> None:
        """Do our changes again to what is there now, until nobody comes in between."""
        waits = list(backoff(MERGE_ATTEMPTS))
        while waits:
            try:
                if self._merge_once(ours, refusal):
                    return
            except ConflictError as error:
                if error.keys or len(waits) == 1:
                    raise
            time.sleep(waits.pop(0))

    def _merge_once(self, ours: codec.Members, refusal: Refusal) -> bool:
        resolve = self._on_conflict if callable(self._on_conflict) else None
        found = self._file.get()
        base, earlier = self._file.rebase(None if found is None else found.version)
        if earlier is not None:
            self.values.saved(earlier.members)
        theirs = self._members(found)
        merged, clashes = merge(self.values.touched_keys(), self.values.touched(), ours, theirs, resolve)
        if clashes:
            raise self._clash(clashes, base, refusal) from refusal.cause
        version: Version | Earlier | None = base
        if self.values.changed:
            version = self._file.put(codec.join(merged), base, members=ours, merged=True)
        if isinstance(version, Earlier):
            self.values.saved(version.content.members)
            self._file.abandon()
            return False
        self.values.reload(merged)
        self._goes_on_from(version)
        return True

    def _clash(self, keys: list[object], found: Version | None, refusal: Refusal) -> ConflictError:
        return ConflictError(
            f"{self.uri} was written by someone else since it was loaded, and both changed "
            f"{', '.join(map(repr, keys))}; nothing was overwritten. load() brings what is there now, in place of what "
            "is in memory; or let on_conflict be a function that says what the value is to be.",
            keys=keys,
            etag=found.etag if found else None,
            last_modified=found.last_modified if found else None,
            uri=self.uri,
            operation="PutObject",
            code=refusal.code,
            status=refusal.status,
        )


def backoff(attempts: int) -> Iterator[float]:
    """Seconds to wait after each attempt that failed: random, so that those who met don't meet again."""
    for attempt in range(attempts):
        yield random.uniform(0, min(1.0, 0.01 * 2**attempt))
