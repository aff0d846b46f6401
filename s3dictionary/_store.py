"""A dict's memory and its file brought together: what was loaded, from which version, and how a conflict is settled."""

from __future__ import annotations

import random
import time
import warnings
from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ._format import codec
from ._memory import Memory
from ._merge import Resolver, merge
from ._s3.tries import Earlier
from .errors import (
    ConflictError,
    CorruptFileError,
    ReadOnlyError,
    S3DictError,
    StorageError,
    Unsaved,
    UnsavedChangesWarning,
    keep_unsaved,
)

if TYPE_CHECKING:
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


class Options(NamedTuple):
    """How a dict loads and saves.

    Attributes:
        on_conflict: what a save does if someone else has written since the load.
        default: what the dict holds as long as there is no file.
        read_only: nothing may be written.
        types: classes to store as themselves, as `codec.items_of` gives them.
    """

    on_conflict: OnConflict = "raise"
    default: dict[Any, Any] | None = None
    read_only: bool = False
    types: tuple[Any, ...] = ()


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
        self._default_members = codec.encode_all(self._default, memory.types) if self._default else {}
        self._loaded_at = 0.0
        self._late: list[Any] = []
        """Keys edited here while a merge with changes of others to them was saved. Who saves next is told."""

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
        """Is there anything in memory that isn't known to be in S3?"""
        return self._file.pending or self._has_changes

    @property
    def _has_changes(self) -> bool:
        return self.unreadable or self._memory.changed

    # Loading

    def load(self, *, replacing: bool = False) -> None:
        """Load the file. Unsaved changes go.

        Args:
            replacing: what it holds is going to be replaced, so it needn't be readable.
        """
        found = self._file.get(None if self.unreadable else self.version)
        try:
            members = self._memory.filed_members() if found and found.body is None else self._members(found)
        except CorruptFileError:
            if not replacing:
                raise
            self._take_over({}, found)
            self.unreadable = True
        else:
            self._take_over(members, found)
            self.unreadable = False
        self._loaded_at = time.monotonic()

    def _take_over(self, members: codec.Members, found: Found | None) -> None:
        version = None if found is None else found.version
        values = deepcopy(self._default) if version is None and self._default else None
        self._memory.load(members, version, values)
        self._file.loaded(version)
        self._late = []

    def refresh(self) -> None:
        """Load before a block, unless there is something to keep, or it was loaded just now."""
        self.undo_read_only(stacklevel=6)
        fresh = time.monotonic() - self._loaded_at < _JUST_LOADED
        self._loaded_at = 0.0
        # A delete of unknown outcome has left nothing in memory that loading would throw away
        if fresh or self._file.pending_saves or self._has_changes:
            return
        found = self._file.get(self.version)
        members = None if found and found.body is None else self._members(found)
        with self._memory.lock:
            if members is None:
                self._file.loaded(self.version)
            elif not self._memory.changed:  # by one who didn't have to wait, as by an edit inside a value
                self._take_over(members, found)

    def undo_read_only(self, stacklevel: int = 5) -> None:
        """Before a block of a read-only dict: undo changes, so that the block is refused only for its own."""
        if not self._read_only or not self._has_changes:
            return
        self._memory.load(self._memory.filed_members(), self.version)
        warnings.warn(
            f"{self.uri} was opened with read_only=True, but something in it was changed, as inside a value or in "
            "`data`. That was undone. Use copy.deepcopy(value) to get a value that can be changed",
            UnsavedChangesWarning,
            stacklevel,
        )

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
            return codec.split(found.content(), self._memory.types)
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
            keep_unsaved(error, self._memory.detached if members is None else self._unsaved(members))
            self._file.abandon(interrupted=not isinstance(error, S3DictError))
            raise

    def _unsaved(self, members: codec.Members) -> bytes | Unsaved:
        body, types = codec.join(members, self._memory.types), self._memory.types
        return partial(codec.decode_all, body, types) if types.given else body

    def refuse_read_only(self) -> None:
        if self._read_only:
            raise ReadOnlyError(f"{self.uri} was opened with read_only=True, so it can't be changed. Nothing was done.")

    def delete(self) -> None:
        self.refuse_read_only()
        self._file.delete(self.version, overwrite=self._overwrites)
        self._memory.load({}, None)
        self._goes_on()

    @property
    def _overwrites(self) -> bool:
        return self._on_conflict == "overwrite"

    def _put(self, members: codec.Members, *, ending: bool) -> None:
        if self._late:
            late, self._late = self._late, []
            raise self._clash(late, self.version, Refusal())
        if self._file.pending_merge:
            self._merge(members, Refusal(), ending)
            return
        body = codec.join(members, self._memory.types)
        try:
            outcome = self._file.put(body, self.version, members=members, overwrite=self._overwrites)
        except ConflictError as conflict:
            if self._on_conflict == "raise" or self._overwrites or self.unreadable:
                raise
            refusal = Refusal(conflict.code, conflict.status, conflict.__cause__)
        else:
            self._saved(outcome, members, ending)
            return
        self._merge(members, refusal, ending)

    def _saved(self, outcome: Version | Earlier, members: codec.Members, ending: bool) -> None:
        if not isinstance(outcome, Earlier):
            self._memory.saved(members, outcome, ending=ending)
            self._goes_on()
            return
        # An earlier save of unknown outcome took effect. Only what has changed since is left to save
        self._memory.saved(outcome.content.members, outcome.version, ending=None)
        self._goes_on()
        if self._has_changes:
            self._put(self._memory.encode().members, ending=ending)
        elif not outcome.version.current and self._on_conflict != "raise":
            self._merge(members, Refusal(), ending)  # others have saved on top, and merging brings their changes
        elif not ending:
            self._memory.checkpoint()

    def _goes_on(self) -> None:
        """What was tried from the version before is settled. The last step: an interrupt before it loses nothing."""
        self.unreadable = False
        self._file.loaded(self.version)

    # Conflicts

    def _merge(self, ours: codec.Members, refusal: Refusal, ending: bool) -> None:
        """Do our changes again to what is there now, until nobody comes in between."""
        waits = list(backoff(MERGE_ATTEMPTS))
        while waits:
            try:
                if self._merge_once(ours, refusal, ending):
                    return
            except ConflictError as error:
                if error.keys or len(waits) == 1:
                    raise
            time.sleep(waits.pop(0))

    def _merge_once(self, ours: codec.Members, refusal: Refusal, ending: bool) -> bool:
        resolve = self._on_conflict if callable(self._on_conflict) else None
        found = self._file.get()
        base, earlier = self._file.rebase(None if found is None else found.version)
        if earlier is not None:
            self._memory.saved(earlier.members, self.version, ending=None)
        before, theirs = self._memory.filed_members(), self._members(found)
        merged, clashes = merge(self._memory.touched_keys(), before, ours, theirs, resolve, self._memory.types)
        if clashes:
            raise self._clash(clashes, base, refusal) from refusal.cause
        version: Version | Earlier | None = base
        if self._memory.changed:
            version = self._file.put(codec.join(merged, self._memory.types), base, members=ours, merged=True)
        if isinstance(version, Earlier):
            self._memory.saved(version.content.members, self.version, ending=None)
            self._file.abandon()
            return False
        self._late = self._memory.merged(ours, merged, version, ending=ending)
        self._goes_on()
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
