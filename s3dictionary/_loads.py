"""Loads a file into memory, and keeps track of its version."""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from ._format import codec
from ._memory import Memory
from ._unsaved import warn_unsaved
from .errors import CorruptFileError, StorageError

if TYPE_CHECKING:
    from ._s3.file import Found, S3File, Version

_JUST_LOADED = 0.001
"""Seconds in which the caller can't have learnt of another program's write."""


class Fetched(NamedTuple):
    """Content that was read, but isn't in memory yet.

    Attributes:
        found: the result of a GET.
        take: moves it into memory.
    """

    found: Found | None
    take: Callable[[], None]

    @property
    def size(self) -> int:
        return len(self.found.body or b"") if self.found is not None else 0


class Loader:
    """Loads the file into memory. The caller must have the turn; memory is locked only briefly.

    Attributes:
        uri: the file's address.
        unreadable: whether the file couldn't be read, but will be replaced.
        late: keys that were edited here while a merge that changed them, too, was being saved. Saving them now would
            overwrite the other writer's values, so it is a conflict until the next load.
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
        self.late: list[Any] = []

    @property
    def version(self) -> Version | None:
        """The version that was loaded or saved last; `None` while there is no file."""
        return self._memory.base  # type: ignore[no-any-return]

    @property
    def changed(self) -> bool:
        """Whether memory has changes that aren't known to be in S3."""
        return self._file.pending or self._has_changes

    @property
    def _has_changes(self) -> bool:
        return self.unreadable or self._memory.changed

    def load(self, *, replacing: bool = False) -> None:
        """Load the file. Unsaved changes are lost.

        Args:
            replacing: whether the content will be replaced, so that it needn't be readable.
        """
        self.fetch(replacing=replacing).take()

    def fetch(self, *, replacing: bool = False) -> Fetched:
        """Read the file for a load, without changing memory yet."""
        found = self._file.get(None if self.unreadable else self.version)
        try:
            return Fetched(found, partial(self._take_load, found, self._new_members(found)))
        except CorruptFileError:
            if not replacing:
                raise
            return Fetched(found, partial(self._take_load, found, {}, unreadable=True))

    def _take_load(self, found: Found | None, members: codec.Members | None, *, unreadable: bool = False) -> None:
        self._take_over(self._memory.filed_members() if members is None else members, found)
        self.unreadable = unreadable
        self._loaded_at = time.monotonic()

    def _take_over(self, members: codec.Members, found: Found | None) -> None:
        version = None if found is None else found.version
        values = deepcopy(self._default) if version is None and self._default else None
        self._memory.load(members, version, values)
        self._file.loaded(version)
        self.late = []

    def refresh(self) -> None:
        """Load before a block, unless there are unsaved changes, or the file was loaded just now."""
        fetched = self.fetch_fresh()
        if fetched is not None:
            fetched.take()

    def fetch_fresh(self) -> Fetched | None:
        """Read the file to refresh memory; `None` if there is no need to."""
        self.undo_read_only()
        fresh = time.monotonic() - self._loaded_at < _JUST_LOADED
        self._loaded_at = 0.0
        if fresh or self.changed:
            return None
        found = self._file.get(self.version)
        return Fetched(found, partial(self._take_fresh, found, self._new_members(found)))

    def _take_fresh(self, found: Found | None, members: codec.Members | None) -> None:
        with self._memory.lock:
            if members is None:
                self._file.loaded(self.version)
            elif not self._memory.changed:  # by a caller that doesn't wait, such as an edit inside a value
                self._take_over(members, found)

    def undo_read_only(self) -> None:
        """Undo changes before a block of a read-only dict, so that the block is refused only for its own."""
        if not self._read_only or not self._has_changes:
            return
        self._memory.load(self._memory.filed_members(), self.version)
        warn_unsaved(
            f"{self.uri} was opened with read_only=True, but something in it was changed, inside a value or in "
            "`data`. The change was undone. To get a copy that you can change, use copy.deepcopy(value)"
        )

    def load_version(self, version_id: str) -> None:
        """Load an old version as an unsaved change."""
        self.fetch_version(version_id).take()

    def fetch_version(self, version_id: str) -> Fetched:
        found = self._file.get(version_id=version_id)
        if found is None:  # as some stores answer where AWS says NoSuchVersion
            raise StorageError(
                f"{self.uri} has no version {version_id!r}. versions() lists the existing ones.",
                uri=self.uri,
                operation="GetObject",
                code="NoSuchKey",
                status=404,
            )
        return Fetched(found, partial(self._memory.load_changes, self._members(found)))

    def _new_members(self, found: Found | None) -> codec.Members | None:
        """The content that was read; `None` if the file is still the known version."""
        return None if found is not None and found.body is None else self._members(found)

    def _members(self, found: Found | None) -> codec.Members:
        if found is None:
            return dict(self._default_members)
        try:
            return codec.split(found.content(), self._memory.types)
        except CorruptFileError as error:
            raise CorruptFileError(
                f"{self.uri} can't be read: {error}. The file is unchanged: repair it, or replace it with "
                "S3Dict(…, data=…)."
            ) from error
