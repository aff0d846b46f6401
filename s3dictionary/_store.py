"""A dict's memory and its file brought together: what was loaded, from which version, and how a conflict is settled."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from copy import deepcopy
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ._format import codec
from ._memory import Memory, Savepoint
from ._merge import Resolver, merge
from ._s3.tries import Content, Earlier
from .errors import ConflictError, CorruptFileError, ReadOnlyError, S3DictError, StorageError, keep_unsaved

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


class Event(Enum):
    """What a signal handler, or an `on_conflict` function, may do to memory while a save waits for S3."""

    SAVED = "it was saved, with all that the waiting save wants to write"
    LOADED = "it was loaded or deleted, so what the waiting save wants to write isn't in it any more"


class Moment:
    """A state of memory.

    Attributes:
        ended_by: what it was that brought memory and file together the next time; `None` as long as nothing has.
    """

    ended_by: Event | None = None


class Saving(NamedTuple):
    """A save under way.

    Attributes:
        moment: when it began, noted before all the rest.
        base: the version that memory was made from.
        members: what was in memory.
        ending: whether it commits the open block.
    """

    moment: Moment
    base: Version | None
    members: codec.Members
    ending: bool


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
        self._moment = Moment()
        self._goes_back: list[Savepoint] = []
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
        found = self._get()
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

    def _get(self) -> Found | None:
        """What is there; again if a signal handler has loaded or saved meanwhile, which may have been later."""
        while True:
            moment = self._moment
            found = self._file.get(None if self.unreadable else self.version)
            if moment.ended_by is None:
                return found

    def _take_over(self, members: codec.Members, found: Found | None) -> None:
        self._ends_by(Event.LOADED)
        version = None if found is None else found.version
        values = deepcopy(self._default) if version is None and self._default else None
        self._memory.load(members, version, values)
        self._file.loaded(version)
        self._late = []

    def _ends_by(self, event: Event) -> None:
        self._moment.ended_by = self._moment.ended_by or event
        self._moment = Moment()

    def refresh(self) -> None:
        """Load before a block, unless there is something to keep, or it was loaded just now."""
        fresh = time.monotonic() - self._loaded_at < _JUST_LOADED
        self._loaded_at = 0.0
        # A delete of unknown outcome has left nothing in memory that loading would throw away
        if fresh or self._file.pending_saves or self._has_changes:
            return
        moment = self._moment
        found = self._file.get(self.version)
        members = None if found and found.body is None else self._members(found)
        if moment.ended_by is not None:  # a signal handler has just loaded or saved
            return
        with self._memory.lock:
            if members is None:
                self._file.loaded(self.version)
            elif not self._memory.changed:  # by one who didn't have to wait, as by an edit inside a value
                self._take_over(members, found)

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
        members = self._members(found)
        self._ends_by(Event.LOADED)
        self._memory.load_changes(members)

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
        moment, base = self._moment, self.version
        self._put(Saving(moment, base, self._memory.encode().members, ending=False))

    def save_changes(self) -> None:
        """Save at the end of a block, which is committed then. If it is undone, the error has its changes."""
        moment, base, members = self._moment, self.version, None
        open_before = set(self._file.pending_saves)
        try:
            members, changed = self._memory.encode()
            if changed or self.unreadable:
                self.refuse_read_only()
                self._put(Saving(moment, base, members, ending=True))
        except BaseException as error:
            self._file.abandon(open_before, interrupted=not isinstance(error, S3DictError))
            self._goes_back = self._memory.savepoints[:1]
            keep_unsaved(error, self._memory.detached if members is None else codec.join(members))
            raise

    def undone(self, block: Savepoint) -> None:
        """A block has been undone. If it was by a save that failed, memory has gone back behind that now."""
        if self._goes_back and self._goes_back[0] is block:
            self._goes_back = []
            members, changed = self._memory.encode()
            self._file.went_back(members, unsaved=changed)

    def refuse_read_only(self) -> None:
        if self._read_only:
            raise ReadOnlyError(f"{self.uri} was opened with read_only=True, so it can't be changed. Nothing was done.")

    def delete(self) -> None:
        self.refuse_read_only()
        moment, base = self._moment, self.version
        self._file.delete(base, overwrite=self._overwrites)
        if moment.ended_by is None or _is_same(self.version, base) or self.version is None:
            self._ends_by(Event.LOADED)
            self._memory.load({}, None)
        self._goes_on()

    @property
    def _overwrites(self) -> bool:
        return self._on_conflict == "overwrite"

    @property
    def _merges(self) -> bool:
        return self._on_conflict == "merge" or callable(self._on_conflict)

    def _put(self, save: Saving) -> None:
        try:
            self._try(save)
        except S3DictError:
            if save.moment.ended_by is not Event.SAVED:
                raise

    def _try(self, save: Saving) -> None:
        if self._late:
            late, self._late = self._late, []
            raise self._clash(late, self.version, Refusal())
        if self._file.pending_merge and self._merges:
            self._merge(save, Refusal())
            return
        body = codec.join(save.members)
        try:
            outcome = self._file.put(body, save.base, members=save.members, overwrite=self._overwrites)
        except ConflictError as conflict:
            if not self._merges or self.unreadable:
                raise
            refusal = Refusal(conflict.code, conflict.status, conflict.__cause__)
        else:
            self._saved(outcome, save)
            return
        self._merge(save, refusal)

    def _saved(self, outcome: Version | Earlier, save: Saving) -> None:
        if isinstance(outcome, Earlier):
            self._build_on(outcome, save)
        elif save.moment.ended_by is None:
            self._memory.saved(save.members, outcome, ending=save.ending)
            self._goes_on()
            self._ends_by(Event.SAVED)
        else:
            self._catch_up(save.members, outcome, save)

    def _catch_up(self, members: codec.Members, version: Version, save: Saving) -> None:
        """The file was saved, but a signal handler has loaded or saved meanwhile: memory is what that made of it."""
        if save.base is not None and _is_same(self.version, save.base):  # it loaded what has been replaced now
            self._late = self._memory.merged(self._memory.filed_members(), members, version, ending=save.ending)
        else:
            self._memory.checkpoint()
        self._goes_on()

    def _build_on(self, earlier: Earlier, save: Saving) -> None:
        """An earlier save of unknown outcome took effect. Only what has changed since is left to save."""
        version, content = earlier
        if save.moment.ended_by is Event.LOADED and (content.merged or content.members != save.members):
            raise self._conflict("It was loaded while the save was under way, as by a signal handler")
        if save.moment.ended_by is not None:
            self._memory.checkpoint()
            return
        if content.merged:
            self._merge_with_own(save, version)
            return
        self._memory.saved(content.members, version, ending=None)
        self._goes_on()
        if self._has_changes:
            self._put(save._replace(moment=self._moment, base=self.version, members=self._memory.encode().members))
        elif not version.current and self._merges:
            self._merge(save, Refusal())  # others have saved on top, and merging brings their changes
        elif not save.ending:
            self._memory.checkpoint()

    def _merge_with_own(self, save: Saving, version: Version) -> None:
        """The same, of a save that memory went back behind."""
        if not self._merges:
            raise self._conflict(
                "An earlier save of this dict took effect, of which that wasn't known, so it was undone in memory",
                version,
            )
        self._merge(save, Refusal())

    def _goes_on(self) -> None:
        """What was tried from the version before is settled. The last step: an interrupt before it loses nothing."""
        self.unreadable = False
        self._file.loaded(self.version)

    # Conflicts

    def _merge(self, save: Saving, refusal: Refusal) -> None:
        """Do our changes again to what is there now, until nobody comes in between."""
        waits = list(backoff(MERGE_ATTEMPTS))
        while waits:
            try:
                if self._merge_once(save, refusal):
                    return
            except ConflictError as error:
                if error.keys or len(waits) == 1 or save.moment.ended_by is not None:
                    raise
            time.sleep(waits.pop(0))

    def _merge_once(self, save: Saving, refusal: Refusal) -> bool:
        resolve = self._on_conflict if callable(self._on_conflict) else None
        found = self._file.get()
        self._refuse_if_loaded(save)
        base, theirs, replaces = self._to_merge_with(found)
        merged, clashes = merge(
            self._memory.touched_keys(), self._memory.filed_members(), save.members, theirs, resolve
        )
        self._refuse_if_loaded(save)
        if clashes:
            raise self._clash(clashes, base, refusal) from refusal.cause
        version: Version | Earlier | None = base
        if replaces or self._memory.changed:
            version = self._file.put(codec.join(merged), base, members=save.members, theirs=theirs)
        if isinstance(version, Earlier):
            self._refuse_if_loaded(save)
            self._rebase(version.content)
            return False
        if save.moment.ended_by is None or version is None:
            self._late = self._memory.merged(save.members, merged, version, ending=save.ending)
            self._goes_on()
            self._ends_by(Event.SAVED)
        else:
            self._catch_up(merged, version, save)
        return True

    def _to_merge_with(self, found: Found | None) -> tuple[Version | None, codec.Members, bool]:
        """What is there now, as far as others wrote it; and whether a save of ours that was interrupted goes."""
        version = None if found is None else found.version
        if self._file.is_after_delete(version):
            raise self._conflict("It may have been deleted, as delete() asked for, before that", version)
        replaces, theirs = self._file.replaced_by_next(version)
        if replaces:
            return version, self._memory.filed_members() if theirs is None else theirs, True
        base, content = self._file.rebase(version)
        if content is not None:
            self._rebase(content)
        return base, self._members(found), False

    def _rebase(self, content: Content) -> None:
        """Take over that a save of unknown outcome took effect."""
        if content.members is None:
            raise self._conflict("An earlier save of this dict took effect, and what of it is in memory isn't known")
        self._memory.saved(content.members, self.version, ending=None)
        self._file.settled()

    def _refuse_if_loaded(self, save: Saving) -> None:
        """Nothing has been saved so far, and nothing can be merged if memory isn't what it was."""
        if save.moment.ended_by is not None:
            raise self._conflict("It was loaded or saved while a save was under way, as by a signal handler")

    def _conflict(self, problem: str, found: Version | None = None) -> ConflictError:
        return ConflictError(
            f"{self.uri} was not saved, and nothing was overwritten. {problem}. load() brings what is there now, in "
            "place of what is in memory; then make the changes again.",
            etag=found.etag if found else None,
            last_modified=found.last_modified if found else None,
            uri=self.uri,
            operation="PutObject",
        )

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


def _is_same(one: Version | None, other: Version | None) -> bool:
    return one is other or (one is not None and other is not None and one.etag == other.etag)


def backoff(attempts: int) -> Iterator[float]:
    """Seconds to wait after each attempt that failed: random, so that those who met don't meet again."""
    for attempt in range(attempts):
        yield random.uniform(0, min(1.0, 0.01 * 2**attempt))
