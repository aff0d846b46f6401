"""A dict's memory and its file brought together: what was loaded, from which version, and how a conflict is settled."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ._format import codec
from ._memory import Memory
from ._merge import Resolver, merge
from .errors import ConflictError, CorruptFileError, ReadOnlyError, S3DictError, StorageError, keep_unsaved

if TYPE_CHECKING:
    from ._s3.file import Found, S3File, Version

OnConflict = Literal["raise", "overwrite", "merge"] | Resolver

MERGE_ATTEMPTS = 30
"""How often a save meets a conflict and merges before it gives up."""

_JUST_LOADED = 0.001
"""Seconds in which no other program's write could have become known to the caller."""


class Options(NamedTuple):
    """How a dict loads and saves.

    Attributes:
        on_conflict: what a save does if someone else has written since the load.
        default: what the dict holds as long as there is no file.
        read_only: nothing may be written.
    """

    on_conflict: OnConflict = "raise"
    default: dict[Any, Any] | None = None
    read_only: bool = False


class Store:
    """The way between memory and file. Whoever calls it has the turn; memory is locked for moments only.

    Attributes:
        is_plain: an update needs nothing but memory: it is neither saved at once nor refused.
        unreadable: the file couldn't be read, but is to be replaced.
    """

    def __init__(self, file: S3File, memory: Memory, options: Options) -> None:
        self.is_plain = not options.read_only
        self.unreadable = False
        self.uri = file.uri
        self._file = file
        self._memory = memory
        self._on_conflict = options.on_conflict
        self._read_only = options.read_only
        self._default = options.default or {}
        self._default_members = codec.encode_all(self._default) if self._default else {}
        self._loaded_at = 0.0

    @property
    def autosave(self) -> bool:
        """Is every update to be saved at once?"""
        return not self.is_plain and not self._read_only

    @autosave.setter
    def autosave(self, autosave: bool) -> None:
        self.is_plain = not autosave and not self._read_only

    @property
    def version(self) -> Version | None:
        """The version that was loaded or saved last; `None` while there is no file."""
        return self._memory.base  # type: ignore[no-any-return]

    @property
    def changed(self) -> bool:
        return self.unreadable or self._memory.changed

    # Loading

    def load(self, *, replacing: bool = False) -> None:
        """Load the file. Unsaved changes go.

        Args:
            replacing: what it holds is going to be replaced, so it needn't be readable.
        """
        found = self._file.get(None if self.unreadable else self.version)
        unreadable = False
        if found is not None and found.body is None:
            members = self._memory.filed_members()
        else:
            try:
                members = self._members(found)
            except CorruptFileError:
                if not replacing:
                    raise
                members, unreadable = {}, True
        self._take_over(members, None if found is None else found.version)
        self.unreadable = unreadable
        self._file.unconfirmed = {}
        self._loaded_at = time.monotonic()

    def _take_over(self, members: codec.Members, version: Version | None) -> None:
        values = deepcopy(self._default) if version is None and self._default else None
        self._memory.load(members, version, values)

    def refresh(self) -> None:
        """Load before a block, unless there is something to keep, or it was loaded just now."""
        fresh = time.monotonic() - self._loaded_at < _JUST_LOADED
        self._loaded_at = 0.0
        if fresh or self.changed:
            return
        found = self._file.get(self.version)
        if found is None or found.body is not None:
            members = self._members(found)
            with self._memory.lock:
                if not self._memory.changed:  # by whoever didn't have to wait, as an edit inside a value doesn't
                    self._take_over(members, None if found is None else found.version)

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
        self._memory.load_changes(self._members(found))

    def _members(self, found: Found | None) -> codec.Members:
        if found is None:
            return dict(self._default_members)
        try:
            return codec.split(found.content())
        except CorruptFileError as error:
            raise CorruptFileError(
                f"{self.uri} can't be read: {error}. It stays as it is: repair it, or replace it by S3Dict(…, data=…)."
            ) from error

    # Saving

    def save(self) -> None:
        """Save what is in memory, which stays as it is if that fails. What was saved stays if an open block fails."""
        self.refuse_read_only()
        members, _ = self._memory.encode()
        self._put(members, ending=False)

    def save_changes(self) -> None:
        """Save at the end of a block, which is committed then. If it is undone, the error has its changes."""
        members = None
        try:
            members, changed = self._memory.encode()
            if changed or self.unreadable:
                self.refuse_read_only()
                self._put(members, ending=True)
        except BaseException as error:
            self._keep_unsaved(error, members)
            raise

    def _keep_unsaved(self, error: BaseException, members: codec.Members | None) -> None:
        self._file.unconfirmed = {}
        if isinstance(error, S3DictError):
            error.keep_unsaved(self._memory.detached() if members is None else codec.join(members))
        else:
            keep_unsaved(error, self._memory.detached())

    def refuse_read_only(self) -> None:
        if self._read_only:
            raise ReadOnlyError(f"{self.uri} was opened with read_only=True, so it can't be changed. Nothing was done.")

    def delete(self) -> None:
        self.refuse_read_only()
        self._file.delete()
        self.unreadable = False
        self._memory.load({}, None)

    def _put(self, members: codec.Members, *, ending: bool) -> None:
        body = codec.join(members)
        try:
            version = self._file.put(body, self.version, overwrite=self._on_conflict == "overwrite")
        except ConflictError as conflict:
            if self._on_conflict == "raise" or self.unreadable:
                raise
            self._merge(members, body, conflict, ending)
        else:
            self._memory.saved(members, version, ending=ending)
            self.unreadable = False

    # Conflicts

    def _merge(self, ours: codec.Members, body: bytes, conflict: ConflictError, ending: bool) -> None:
        """Do our changes again to what is there now, until nobody comes in between."""
        resolve = self._on_conflict if callable(self._on_conflict) else None
        for wait in backoff(MERGE_ATTEMPTS):
            found = self._file.get()
            merged, clashes = merge(self._memory.touched_keys(), self._base(found), ours, self._members(found), resolve)
            if clashes:
                raise self._clash(clashes, found, conflict) from conflict.__cause__
            try:
                version = self._file.put(codec.join(merged), found.version if found else None, ours=body)
            except ConflictError as error:
                conflict = error
                time.sleep(wait)
            else:
                late = self._memory.merged(ours, merged, version, ending=ending)
                if late:
                    raise self._clash(late, found, conflict)
                return
        raise conflict

    def _base(self, found: Found | None) -> codec.Members:
        """What our changes are changes of: the version that was loaded, or a later save of ours that did take effect.

        Of the latter we hear only now, as there was no answer to it.
        """
        for save_id, attempt in self._file.unconfirmed.items():
            if found is not None and save_id in found.version.saves:
                return codec.split(attempt.ours)
        return self._memory.filed_members()

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
