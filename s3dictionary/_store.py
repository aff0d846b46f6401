"""Synchronizes a dict's memory with its file: loads, conditional saves, and the merge after a conflict."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ._backoff import backoff
from ._format import codec
from ._loads import Loader
from ._memory import Memory
from ._merge import Resolver, merge
from ._s3.tries import Content, Earlier
from ._saves import Merging, Refusal, Saving, clash, not_saved
from .errors import (
    KEPT_BEFORE,
    ConflictError,
    ReadOnlyError,
    S3DictError,
    Unsaved,
    advise,
    is_conflict_about,
    keep_unsaved,
)

if TYPE_CHECKING:
    from collections.abc import Set

    from ._memory import Savepoint, SavepointState
    from ._s3.file import Found, S3File, Version
    from ._s3.lineage import Attempt

OnConflict = Literal["raise", "overwrite", "merge"] | Resolver

MERGE_ATTEMPTS = 30
"""How often a save merges after a conflict before it gives up."""

_UNDONE = "The change was undone."


class Options(NamedTuple):
    """How a dict loads and saves.

    Attributes:
        on_conflict: what a save does if someone else has written since the load.
        default: the content to use while there is no file.
        read_only: whether writing is forbidden.
        types: classes to store as themselves, as returned by `codec.items_of`.
    """

    on_conflict: OnConflict = "raise"
    default: dict[Any, Any] | None = None
    read_only: bool = False
    types: tuple[Any, ...] = ()


class Store(Loader):
    """Loads a file into memory and saves memory to the file.

    Attributes:
        is_plain: whether an update only changes memory: it is neither saved at once nor refused.
    """

    def __init__(self, file: S3File, memory: Memory, options: Options) -> None:
        super().__init__(file, memory, options.default or {}, read_only=options.read_only)
        self.is_plain = not options.read_only
        self._on_conflict = options.on_conflict
        self._conflict: tuple[BaseException, str] | None = None
        """A conflict at the end of a block that is about to be rolled back, and what to do about it."""

    @property
    def autosave(self) -> bool:
        """Whether every update is saved at once."""
        return not self.is_plain and not self._read_only

    @autosave.setter
    def autosave(self, autosave: bool) -> None:
        self.is_plain = not autosave and not self._read_only

    # Saving

    def save(self) -> None:
        """Save the content of memory. If that fails, memory is unchanged. In an open block, this is a checkpoint."""
        self.refuse_read_only()
        base, pending = self._base(), frozenset(self._file.pending_saves)
        try:
            self._put(Saving(base, self._memory.encode().members, ending=False))
        except BaseException as error:
            self._failed(pending, error)
            raise

    def save_changes(self, after_conflict: str = "") -> None:
        """Save at the end of a block, and commit it. If that fails, the error carries the changes.

        Args:
            after_conflict: what to do about a conflict instead of `load()`, if the block loaded when it began.
        """
        base, members = self._base(), None
        pending = frozenset(self._file.pending_saves)
        try:
            members, changed = self._memory.encode()
            if changed or self.unreadable:
                self.refuse_read_only(_UNDONE)
                self._put(Saving(base, members, ending=True))
        except BaseException as error:
            self._failed(pending, error)
            if after_conflict and is_conflict_about(self.uri, error):
                self._conflict = (error, after_conflict)
            keep_unsaved(error, self._memory.detached if members is None else self._unsaved(members))
            raise

    def _failed(self, before: Set[Attempt], error: BaseException) -> None:
        """Note that a save has failed, before which these were of unknown outcome."""
        if not isinstance(error, S3DictError):
            self._file.interrupted(before)

    def rolled_back(self, block: Savepoint) -> None:
        """Note what memory has after an outermost block was rolled back, if that is older than a save of the block."""
        conflict, self._conflict = self._conflict, None
        if conflict is None and not self._file.is_ahead(block.state):
            return
        try:
            members, changed = self._memory.encode()
        except Exception:  # noqa: BLE001  # a value can't be stored, so none of those saves can be built on
            return
        self._file.went_back(block.state, members, unsaved=changed)
        if conflict is not None:
            error, after_conflict = conflict
            kept = changed or self.unreadable or self._file.pending
            advise(error, KEPT_BEFORE if kept else after_conflict)

    def _unsaved(self, members: codec.Members) -> bytes | Unsaved:
        body, types = codec.join(members, self._memory.types), self._memory.types
        return partial(codec.decode_all, body, types) if types.given else body

    def check_changes(self) -> None:
        """Raise the errors of `save_changes` that need no request: for unstorable values and read-only dicts."""
        if self._memory.encode().changed:
            self.refuse_read_only(_UNDONE)

    def refuse_read_only(self, result: str = "Nothing was done.") -> None:
        if self._read_only:
            raise ReadOnlyError(f"{self.uri} was opened with read_only=True, so it can't be changed. {result}")

    def delete(self) -> None:
        self.refuse_read_only()
        self._file.delete(self._base(), overwrite=self._overwrites)
        self._memory.load({}, None)
        self.late = []
        self._goes_on()

    def _base(self) -> Version | None:
        """The version that memory is based on. An interrupt may have come before the file noted it."""
        base = self.version
        self._file.builds_on(base)
        return base

    @property
    def _block(self) -> SavepointState | None:
        """The state of the open block, if there is one."""
        savepoints = self._memory.savepoints
        return savepoints[0].state if savepoints else None

    @property
    def _overwrites(self) -> bool:
        return self._on_conflict == "overwrite"

    @property
    def _merges(self) -> bool:
        return self._on_conflict == "merge" or callable(self._on_conflict)

    def _put(self, save: Saving) -> None:
        if self.late:
            raise clash(self.uri, self.late, self.version, save.refusal)
        if self._file.pending_merge and self._merges:
            self._merge(save)
            return
        body = codec.join_in_buffer(save.members, self._memory.types)
        try:
            outcome = self._file.put(
                body, save.base, members=save.members, block=self._block, overwrite=self._overwrites
            )
        except ConflictError as conflict:
            if not self._merges or self.unreadable:
                raise
            save = save._replace(refusal=Refusal(conflict.code, conflict.status, conflict.__cause__))
        else:
            self._saved(outcome, save)
            return
        self._merge(save)

    def _saved(self, outcome: Version | Earlier, save: Saving) -> None:
        if isinstance(outcome, Earlier):
            self._build_on(outcome, save)
        else:
            self._memory.saved(save.members, outcome, ending=save.ending)
            self._goes_on()

    def _build_on(self, earlier: Earlier, save: Saving) -> None:
        """An earlier save of unknown outcome took effect. Only later changes remain to be saved."""
        version, content = earlier
        if content.merged and not self._merges:
            raise not_saved(self.uri, "an earlier save took effect, although it was rolled back in memory", version)
        if content.merged:
            self._merge(save)
            return
        self._memory.rebase(content.members, version)
        self.unreadable = False
        self._file.builds_on(version)
        if self._has_changes or (version.current and self._file.pending_delete):
            self._put(save._replace(base=self.version, members=self._memory.encode().members))
        elif not version.current and self._merges:
            self._merge(save)  # others have saved on top, and merging brings their changes
        else:
            if not save.ending:
                self._memory.checkpoint()
            self._goes_on()

    def _goes_on(self) -> None:
        """Forget the tries from the previous version. This comes last, so that an interrupt before it loses nothing."""
        self.unreadable = False
        self._file.loaded(self.version)

    # Conflicts

    def _merge(self, save: Saving) -> None:
        """Apply our changes to the current content and save, until no other writer interferes."""
        for attempt, wait in zip(range(1, MERGE_ATTEMPTS + 1), backoff(), strict=False):
            merging = self._merged(save)
            try:
                if self._put_merged(merging, save):
                    return
            except ConflictError:
                if attempt == MERGE_ATTEMPTS:
                    raise
            time.sleep(wait)

    def _merged(self, save: Saving) -> Merging:
        """Merge with the current content.

        Raises:
            ConflictError: the changes can't be merged.
        """
        found = self._file.get()
        base, theirs, replaces = self._to_merge_with(found)
        resolve = self._on_conflict if callable(self._on_conflict) else None
        before = self._memory.filed_members()
        merged, clashes = merge(self._memory.touched_keys(), before, save.members, theirs, resolve, self._memory.types)
        if clashes:
            raise clash(self.uri, clashes, base, save.refusal) from save.refusal.cause
        return Merging(merged, theirs, base, replaces or self._memory.changed or self._file.pending)

    def _put_merged(self, merging: Merging, save: Saving) -> bool:
        """Save a merge. Returns `False` if an earlier save of unknown outcome took effect instead."""
        version: Version | Earlier | None = merging.base
        if merging.is_needed:
            body = codec.join_in_buffer(merging.members, self._memory.types)
            version = self._file.put(body, merging.base, members=save.members, theirs=merging.theirs, block=self._block)
        if isinstance(version, Earlier):
            self._rebase(version.content)
            return False
        self.late = self._memory.merged(save.members, merging.members, version, ending=save.ending)
        self._goes_on()
        return True

    def _to_merge_with(self, found: Found | None) -> tuple[Version | None, codec.Members, bool]:
        """The other writers' content, its version, and whether the file has more, which the save removes."""
        version = None if found is None else found.version
        if self._file.is_after_delete(version):
            if version is None:
                return self.version, self._memory.filed_members(), True
            raise not_saved(
                self.uri, "delete() got no answer, and someone else has created the file again since", version
            )
        replaces, theirs = self._file.replaced_by_next(version)
        if replaces:
            return version, self._memory.filed_members() if theirs is None else theirs, True
        base, content = self._file.rebase(version)
        if content is not None:
            self._rebase(content)
        return base, self._members(found), False

    def _rebase(self, content: Content) -> None:
        """Note that a save of unknown outcome took effect."""
        if content.members is None:
            raise not_saved(self.uri, "an earlier save took effect, although it was rolled back in memory")
        self._memory.rebase(content.members, self.version)
        self._file.settled()
