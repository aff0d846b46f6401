"""The saves that were tried from one version of the object, and the forms in which its ETag can be sent back."""

from __future__ import annotations

from typing import Any, NamedTuple

from .lineage import Attempt, first_record, new_number
from .version import Version


class Content(NamedTuple):
    """What a save wrote.

    Attributes:
        members: what the caller had in memory.
        merged: whether more than that was written, namely what others had changed.
    """

    members: Any
    merged: bool


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
        open: the saves that may have taken effect, and that the next one may be built on.
        undone: the numbers of saves that were interrupted, and undone in memory.
        deleting: whether a delete of it may have taken effect.
    """

    def __init__(self, base: Version | None, before: Tries | None = None) -> None:
        self.base = base
        self.record = (base.record if base is not None else None) or first_record()
        self.open: dict[Attempt, Content] = {}
        self.undone: set[int] = set()
        self.deleting = False
        self._generation = self.record.generation
        if before is not None and before.record.lineage == self.record.lineage:  # one of those may still arrive
            self._generation = max(self._generation, before._generation)

    def begin(self, writer: str, content: Content, *, overwrite: bool = False) -> Attempt:
        """Note a save before it is sent: whatever interrupts it, it may have taken effect."""
        if overwrite or self.base is None:
            # What it writes over isn't known, or the file that an earlier attempt created may have been deleted since.
            # Nobody may conclude anything from the old lineage
            self.record, self._generation = first_record(), 0
        self._generation += 1
        attempt = Attempt(self.record.lineage, writer, self._generation, new_number())
        self.open = {**self.open, attempt: content}
        return attempt

    def refused(self, attempt: Attempt) -> None:
        """It is proven that a save has not taken effect, and can't any more."""
        self.open = {each: content for each, content in self.open.items() if each != attempt}

    def abandon(self, *, interrupted: bool = False) -> None:
        """Build on none of them: they aren't in memory any more. If one took effect, the next save is a conflict.

        Args:
            interrupted: nobody was told that it isn't known. So the next save may take the place of one of them.
        """
        if interrupted:
            self.undone |= {attempt.number for attempt in self.open}
        self.open = {}
        self.deleting = False


def opaque(etag: str) -> str:
    """What identifies the version in an ETag, of which gateways show other forms: weak, bare, or marked as gzip."""
    return etag.strip().removeprefix("W/").strip('"').removesuffix("-gzip")


def forms_of(etag: str) -> list[str]:
    """The forms in which a store may want to have an ETag back: as given, strong, and bare.

    Older Ceph gateways and DigitalOcean Spaces compare it without the quotes.
    """
    return list(dict.fromkeys((etag, f'"{opaque(etag)}"', opaque(etag))))
