"""The saves that were tried from one version of the object, and the forms of its ETag."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from .lineage import Attempt, first_record, new_number
from .version import Version


class Content(NamedTuple):
    """The content that a save wrote.

    Attributes:
        members: the part that the caller has in memory; `None` if that isn't known.
        merged: whether more was written: other writers' changes, or changes that were rolled back in memory since.
        theirs: the content that it was merged with; `None` if it wasn't merged.
    """

    members: Any
    merged: bool = False
    theirs: Any = None


class Earlier(NamedTuple):
    """An earlier save of unknown outcome took effect, so the requested one didn't.

    Attributes:
        version: the version that it wrote.
        content: its content, as far as the caller knows it.
    """

    version: Version
    content: Content


class Tries:
    """The saves that were tried from one version, until the dict continues from another.

    Args:
        base: the version; `None` if there was no file.
        before: the same writer's previous tries.

    Attributes:
        base: the version.
        record: its record.
        open: the saves that may have taken effect, with the part of them that is in memory.
        undone: the numbers of interrupted saves that were rolled back in memory, with the content they were merged
            with.
        deleting: the saves that were open when a delete was sent that may have taken effect; `None` if there was none.
        gone: whether there is no file any more, because that delete took effect.
        replaced: the content of the save that the base is, if the next save replaces it.
    """

    def __init__(self, base: Version | None, before: Tries | None = None) -> None:
        self.base = base
        self.record = (base.record if base is not None else None) or first_record()
        self.open: dict[Attempt, Content] = {}
        self.undone: dict[int, Any] = {}
        self.deleting: tuple[Attempt, ...] | None = None
        self.gone = False
        self.replaced: Content | None = None
        self._generation: int = max(self.record.generation, before._generation if before is not None else 0)
        """Of the last save. A writer never uses one twice, not even in another lineage: it may still arrive."""

    def begin(self, writer: str, content: Content, *, overwrite: bool = False) -> Attempt:
        """Note a save before it is sent, because it may take effect even if it is interrupted."""
        if overwrite or self.base is None:
            # What it writes over isn't known, or the file that an earlier attempt created may have been deleted since.
            # Nobody may conclude anything from the old lineage
            self._begin_lineage()
        self._generation += 1
        attempt = Attempt(self.record.lineage, writer, self._generation, new_number())
        self.open = {**self.open, attempt: content}
        return attempt

    def content_of(self, version: Version | None) -> Content | None:
        """The content that one of these saves wrote, if it wrote this version."""
        numbers = {attempt.number: content for attempt, content in self.open.items()}
        return None if version is None or version.number is None else numbers.get(version.number)

    def refused(self, attempt: Attempt) -> None:
        """Note that a save hasn't taken effect and can't any more."""
        self.open = {each: content for each, content in self.open.items() if each != attempt}

    def delete_took_effect(self) -> None:
        """Note that the next save creates a new file."""
        self.open, self.deleting, self.gone = {}, None, True
        self._begin_lineage()

    def _begin_lineage(self) -> None:
        self.record = first_record()

    def abandon(self, attempts: Iterable[Attempt], interrupted: Collection[Attempt]) -> None:
        """Note that memory is about to be rolled back to before these saves. Call `went_back` afterwards."""
        for attempt in attempts:
            if attempt in interrupted:
                self.undone = {**self.undone, attempt.number: self.open[attempt].theirs}
            self.open = {**self.open, attempt: Content(None, merged=True)}

    def went_back(self, members: Any, *, unsaved: bool) -> None:
        """Note that memory was rolled back to before the abandoned saves.

        Args:
            members: the content of memory, which each of these saves also wrote.
            unsaved: whether any of that is unsaved. If not, the outcome of these saves doesn't matter here: their
                content counts as another writer's.
        """
        known = {attempt: content for attempt, content in self.open.items() if content.members is not None}
        if unsaved or known:
            known = {attempt: known.get(attempt, Content(members, merged=True)) for attempt in self.open}
        self.open = known


def opaque(etag: str) -> str:
    """The part of an ETag that identifies the version. Gateways show other forms: weak, unquoted, or marked as gzip."""
    return etag.strip().removeprefix("W/").strip('"').removesuffix("-gzip")


def forms_of(etag: str) -> list[str]:
    """The forms in which a store may expect an ETag: as received, strong, and unquoted.

    Older Ceph gateways and DigitalOcean Spaces compare it without quotes.
    """
    return list(dict.fromkeys((etag, f'"{opaque(etag)}"', opaque(etag))))
