"""What a file holds, brought into memory, and which version that is."""

from __future__ import annotations

import time
import warnings
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from ._format import codec
from ._memory import Memory
from ._saves import Event, Moment
from .errors import CorruptFileError, StorageError, UnsavedChangesWarning

if TYPE_CHECKING:
    from ._s3.file import Found, S3File, Version

_JUST_LOADED = 0.001
"""Seconds in which no other program's write could have become known to the caller."""


class Loader:
    """The way from file to memory. Whoever calls it has the turn; memory is locked for moments only.

    Attributes:
        uri: the file's address.
        unreadable: the file couldn't be read, but is to be replaced.
    """

    def __init__(self, file: S3File, memory: Memory, default: dict[Any, Any], *, read_only: bool) -> None:
        self.uri = file.uri
        self.unreadable = False
        self._file = file
        self._memory = memory
        self._default = default
        self._default_members = codec.encode_all(default, memory.types) if default else {}
        self._read_only = read_only
        self._loaded_at = 0.0
        self._moment = Moment()
        self._late: list[Any] = []
        """Keys edited here while a merge with changes of others to them was saved. Who saves next is told."""

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
        self._end_moment(Event.LOADED)
        version = None if found is None else found.version
        values = deepcopy(self._default) if version is None and self._default else None
        self._memory.load(members, version, values)
        self._file.loaded(version)
        self._late = []

    def _end_moment(self, event: Event) -> None:
        self._moment.ended_by = self._moment.ended_by or event
        self._moment = Moment()

    def refresh(self) -> None:
        """Load before a block, unless there is something to keep, or it was loaded just now."""
        self.undo_read_only(stacklevel=6)
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
        members = self._members(found)
        self._end_moment(Event.LOADED)
        self._memory.load_changes(members)

    def _members(self, found: Found | None) -> codec.Members:
        if found is None:
            return dict(self._default_members)
        try:
            return codec.split(found.content(), self._memory.types)
        except CorruptFileError as error:
            raise CorruptFileError(
                f"{self.uri} can't be read: {error}. It stays as it is: repair it, or replace it by S3Dict(…, data=…)."
            ) from error
