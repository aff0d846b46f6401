"""The saves that were tried from one version of the object, and the forms in which its ETag can be sent back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from .lineage import Attempt, first_record, new_number
from .version import Version


class Content(NamedTuple):
    """What a save wrote.

    Attributes:
        members: what of it the caller has in memory; `None` if that can't be told.
        merged: whether more than that was written: what others had changed, or what has been undone in memory since.
        theirs: what it was merged with; `None` if it wasn't.
    """

    members: Any
    merged: bool = False
    theirs: Any = None


class Earlier(NamedTuple):
    """An earlier save of unknown outcome turned out to have taken effect, so the one that was asked for didn't.

    Attributes:
        version: what it wrote.
        content: that, as the caller knows it.
    """

    version: Version
    content: Content


class Tries:
    """The saves that were tried from one version, until the dict goes on from another.

    Args:
        base: the version; `None` if there was no file.
        before: what the same writer tried before that.

    Attributes:
        base: the version.
        record: its record.
        open: the saves that may have taken effect, with what of them is in memory.
        undone: the numbers of saves that were interrupted, and undone in memory, with what they were merged with.
        deleting: the saves that were open when a delete was sent that may have taken effect; `None` if none was.
        gone: there is no file any more, as that delete did take effect.
        replaced: what the save wrote that the base is, if the next one takes its place.
    """

    def __init__(self, base: Version | None, before: Tries | None = None) -> None:
        self.base = base
        self.record = (base.record if base is not None else None) or first_record()
        self.open: dict[Attempt, Content] = {}
        self.undone: dict[int, Any] = {}
        self.deleting: tuple[Attempt, ...] | None = None
        self.gone = False
        self.replaced: Content | None = None
        self._generation = self.record.generation
        if before is not None and before.record.lineage == self.record.lineage:  # one of those may still arrive
            self._generation = max(self._generation, before._generation)

    def begin(self, writer: str, content: Content, *, overwrite: bool = False) -> Attempt:
        """Note a save before it is sent: whatever interrupts it, it may have taken effect."""
        if overwrite or self.base is None:
            # What it writes over isn't known, or the file that an earlier attempt created may have been deleted since.
            # Nobody may conclude anything from the old lineage
            self._begin_lineage()
        self._generation += 1
        attempt = Attempt(self.record.lineage, writer, self._generation, new_number())
        self.open = {**self.open, attempt: content}
        return attempt

    def content_of(self, version: Version | None) -> Content | None:
        """What one of these saves wrote, if it is that version."""
        numbers = {attempt.number: content for attempt, content in self.open.items()}
        return None if version is None or version.number is None else numbers.get(version.number)

    def refused(self, attempt: Attempt) -> None:
        """It is proven that a save has not taken effect, and can't any more."""
        self.open = {each: content for each, content in self.open.items() if each != attempt}

    def delete_took_effect(self) -> None:
        """The next save makes a new file."""
        self.open, self.deleting, self.gone = {}, None, True
        self._begin_lineage()

    def _begin_lineage(self) -> None:
        self.record, self._generation = first_record(), 0

    def abandon(self, attempts: Iterable[Attempt], *, interrupted: bool) -> None:
        """Memory is about to go back to what it was before these saves; `went_back` says what that is."""
        for attempt in attempts:
            if interrupted:
                self.undone = {**self.undone, attempt.number: self.open[attempt].theirs}
            self.open = {**self.open, attempt: Content(None, merged=True)}

    def went_back(self, members: Any, *, unsaved: bool) -> None:
        """Memory has gone back to before the abandoned saves.

        Args:
            members: what is in memory now, which each of them has written, too.
            unsaved: whether anything of that is unsaved. If not, it doesn't matter here what becomes of them: what they
                wrote is as if somebody else had written it.
        """
        known = {attempt: content for attempt, content in self.open.items() if content.members is not None}
        if unsaved or known:
            known = {attempt: known.get(attempt, Content(members, merged=True)) for attempt in self.open}
        self.open = known


def opaque(etag: str) -> str:
    """What identifies the version in an ETag, of which gateways show other forms: weak, bare, or marked as gzip."""
    return etag.strip().removeprefix("W/").strip('"').removesuffix("-gzip")


def forms_of(etag: str) -> list[str]:
    """The forms in which a store may want to have an ETag back: as given, strong, and bare.

    Older Ceph gateways and DigitalOcean Spaces compare it without the quotes.
    """
    return list(dict.fromkeys((etag, f'"{opaque(etag)}"', opaque(etag))))
