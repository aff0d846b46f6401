"""The saves whose outcome isn't known, and the forms of an ETag."""

from __future__ import annotations

from copy import copy
from typing import Any, NamedTuple, Protocol

from .lineage import Attempt, Record, descends, first_record, new_number
from .version import Version, is_same


class BlockState(Protocol):
    """Whether a block was rolled back."""

    is_rolled_back: bool


class Content(NamedTuple):
    """The content that a save wrote.

    Attributes:
        members: the part that the caller has in memory; `None` if that isn't known.
        merged: whether more was written: other writers' changes, or changes that were rolled back in memory since.
        theirs: the content that it was merged with; `None` if it wasn't merged.
        block: the state of the block that it was saved in; `None` if memory wasn't rolled back behind it, and can't be.
    """

    members: Any
    merged: bool = False
    theirs: Any = None
    block: BlockState | None = None

    @property
    def is_undone(self) -> bool:
        """Whether memory was rolled back to before this save."""
        return self.block is not None and self.block.is_rolled_back

    @property
    def now(self) -> Content:
        """What is known of it now. After a rollback, that is nothing until `Tries.went_back`."""
        return Content(None, merged=True) if self.is_undone else self


class Earlier(NamedTuple):
    """An earlier save of unknown outcome took effect, so the requested one didn't.

    Attributes:
        version: the version that it wrote.
        content: its content, as far as the caller knows it.
    """

    version: Version
    content: Content


class Tries:
    """The saves that were tried since memory was last loaded or saved.

    They are forgotten only if their outcome is proven, or by a load, which discards what they wrote.

    Args:
        origin: the version that memory is based on; `None` if there was no file.
        before: the same writer's previous tries.

    Attributes:
        origin: the version that memory is based on.
        base: the version that the next save is based on. A merge moves it on from the origin.
        record: its record.
        interrupted: the saves that an interrupt such as Ctrl-C ended.
        deleting: the saves that were open when a delete was sent that may have taken effect; `None` if there was none.
        gone: whether there is no file any more, because that delete took effect.
        replaced: the content of a save that took effect, and that memory isn't based on: the next save replaces it.
    """

    def __init__(self, origin: Version | None, before: Tries | None = None) -> None:
        self.origin = self.base = origin
        self.record = record_of(origin)
        self._created: frozenset[str] = frozenset()
        self.interrupted: frozenset[Attempt] = frozenset()
        self._pending: dict[Attempt, Content] = {}
        self._undone: dict[int, Any] = {}
        self.deleting: tuple[Attempt, ...] | None = None
        self.gone = False
        self.replaced: Content | None = None
        self._generation: int = max(self.record.generation, before._generation if before is not None else 0)
        """Of the last save. A writer never uses one twice, not even in another lineage: it may still arrive."""
        if before is not None and is_same(origin, before.base):
            self._undone = before.undone

    @property
    def pending(self) -> dict[Attempt, Content]:
        """The saves that may have taken effect, with the part of them that is in memory."""
        return {attempt: content.now for attempt, content in self._pending.items()}

    @pending.setter
    def pending(self, contents: dict[Attempt, Content]) -> None:
        self._undone = self.undone
        self._pending = contents

    @property
    def undone(self) -> dict[int, Any]:
        """The numbers of interrupted saves that were rolled back in memory, with the content they were merged with."""
        undone = {attempt: content for attempt, content in self._pending.items() if content.is_undone}
        interrupted = {each.number: content.theirs for each, content in undone.items() if each in self.interrupted}
        return {**interrupted, **self._undone}

    def go_on_from(self, base: Version | None) -> None:
        """Note that the next save is based on this version."""
        if not is_same(self.base, base):
            content = self.content_of(base)
            if content is not None:  # the others can't take effect any more
                self.replaced = content
                self.pending = {}
            self.record = record_of(base)
            self._generation = max(self._generation, self.record.generation)
        self.base = base  # with its current metadata

    def begin(self, writer: str, content: Content, *, overwrite: bool = False) -> Attempt:
        """Note a save before it is sent, because it may take effect even if it is interrupted."""
        if overwrite or self.base is None or self.gone:
            # What it writes over isn't known, or the file that an earlier attempt created may have been deleted since.
            # Nobody may conclude anything from the old lineage
            self.record = first_record()
            self._created |= {self.record.lineage}
        self._generation += 1
        attempt = Attempt(self.record.lineage, writer, self._generation, new_number())
        self.pending = {**self._pending, attempt: content}
        return attempt

    def content_of(self, version: Version | None) -> Content | None:
        """The content that one of these saves wrote, if it wrote this version."""
        numbers = {attempt.number: content for attempt, content in self.pending.items()}
        return None if version is None or version.number is None else numbers.get(version.number)

    def refused(self, attempt: Attempt) -> None:
        """Note that a save hasn't taken effect and can't any more."""
        self.pending = {each: content for each, content in self._pending.items() if each != attempt}

    def settled(self) -> None:
        """Note that the outcome of all saves is known, and that memory reflects it."""
        self.replaced = None  # first, because it is older
        self.pending = {}

    def delete_took_effect(self) -> None:
        """Note that the next save creates a new file."""
        self.gone = True
        self.pending, self.deleting = {}, None

    def is_ours(self, record: Record) -> bool:
        """Whether a file was saved on top of the base, or created by one of these saves."""
        return record.lineage in self._created or descends(record, self.record)

    def has_saves_of(self, block: BlockState) -> bool:
        return any(content.block is block for content in self._pending.values())

    def went_back(self, block: BlockState, members: Any, *, unsaved: bool) -> None:
        """Note what memory has now that a block was rolled back.

        Args:
            block: the state of the block.
            members: the content of memory, which each of the block's saves also wrote.
            unsaved: whether any of that is unsaved. If not, the outcome of these saves doesn't matter here: their
                content counts as another writer's.
        """
        is_known = self.replaced is not None or any(content.members is not None for content in self.pending.values())
        if unsaved or is_known:
            undone = [attempt for attempt, content in self._pending.items() if content.block is block]
            self.pending = {**self._pending, **dict.fromkeys(undone, Content(members, merged=True))}
        else:
            self.pending = {}

    def of_copy(self) -> Tries:
        """The same for a copy of the dict, whose memory isn't rolled back with the original's."""
        tries = copy(self)
        tries.pending = {attempt: content._replace(block=None) for attempt, content in self.pending.items()}
        return tries


def record_of(version: Version | None) -> Record:
    return (version.record if version is not None else None) or first_record()


def opaque(etag: str) -> str:
    """The part of an ETag that identifies the version. Gateways show other forms: weak, unquoted, or marked as gzip."""
    return etag.strip().removeprefix("W/").strip('"').removesuffix("-gzip")


def forms_of(etag: str) -> list[str]:
    """The forms in which a store may expect an ETag: as received, strong, and unquoted.

    Older Ceph gateways and DigitalOcean Spaces compare it without quotes.
    """
    return list(dict.fromkeys((etag, f'"{opaque(etag)}"', opaque(etag))))
