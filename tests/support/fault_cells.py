"""The cells of the tables in docs/faults.md. Reads and writes the page."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"

MERGING = "save() that merges"
AFTER_LOST_ANSWER = "save() after a lost answer"
AFTER_THEIRS = "save() after someone else's"


class Section(NamedTuple):
    """A table: the faults of one kind of request, for each operation that sends it.

    Attributes:
        title: the heading.
        method: the HTTP method of the request.
        about: the text above the table.
        operations: the columns.
        rows: the faults, and how often they occur; empty for all faults.
    """

    title: str
    method: str
    about: str
    operations: tuple[str, ...]
    rows: tuple[tuple[str, str], ...] = ()


LOADING = Section(
    "Loading",
    "GET",
    "The fault hits the GET. `with d:` and `run` load, edit and save. A `save()` that merges loads the content that "
    "someone else has saved.",
    ("S3Dict(…)", "load()", "with d:", "d.run(…)", MERGING),
)
SAVING = Section(
    "Saving",
    "PUT",
    "The fault hits the PUT. In a `save()` that merges, it hits the second PUT, which writes the merged content.",
    ("save()", "first save()", "autosaved update", "with d:", "d.run(…)", MERGING),
)
DELETING = Section("Deleting", "DELETE", "The fault hits the DELETE.", ("delete()",))
LOOKING = Section(
    "Checking the current version",
    "HEAD",
    "After a refused save, a HEAD shows whether the save was refused because it had already taken effect, or because "
    "someone else has written. The fault hits that HEAD.",
    (AFTER_LOST_ANSWER, AFTER_THEIRS, MERGING),
)
EDITED = Section(
    "Another tool edits the file",
    "PUT",
    "Another program adds a key to the file after it was loaded. It doesn't use this library, so it either keeps the "
    "object's metadata unchanged, or drops it. It writes before the PUT arrives, or after the PUT has taken effect and "
    "its answer was lost. Its change is never lost.",
    ("save()", "autosaved update", "with d:", "d.run(…)", MERGING),
    tuple(
        (f"{when}, metadata {what}", "")
        for when in ("before the save", "before a save whose answer is lost", "after a save whose answer is lost")
        for what in ("kept", "dropped")
    ),
)
SECTIONS = (LOADING, SAVING, DELETING, LOOKING, EDITED)

FAULTS = (
    "connection refused",
    "connection reset, nothing done",
    "connection reset, done",
    "no answer in time, done",
    "500 InternalError, nothing done",
    "500 InternalError, done",
    "503 SlowDown",
    "409 ConditionalRequestConflict",
    "429 TooManyRequests",
    "307 TemporaryRedirect",
    "412 PreconditionFailed",
    "403 AccessDenied",
    "404 NoSuchBucket",
    "501 NotImplemented",
    "403 RequestTimeTooSkewed",
    "400 ExpiredToken",
    "answer cut off in the body",
    "another ETag in the answer",
    "no ETag in the answer",
    "a web page with status 200",
    "invalid gzip",
    "not JSON",
)
TIMES = ("once", "always")

_NO_BODY = {SAVING: "the answer to a PUT", DELETING: "the answer to a DELETE", LOOKING: "the answer to a HEAD"}
DOES_NOT_APPLY: dict[tuple[Section, str], str] = {
    (section, fault): f"{answer} has no body"
    for section, answer in _NO_BODY.items()
    for fault in ("answer cut off in the body", "invalid gzip", "not JSON")
} | {
    (DELETING, "another ETag in the answer"): "the answer to a DELETE has no ETag",
    (DELETING, "no ETag in the answer"): "the answer to a DELETE has no ETag",
    (LOOKING, "404 NoSuchBucket"): "the answer to a HEAD has no body, so this looks like a missing file",
}
"""The faults that don't apply to a section, and why."""


class Cell(NamedTuple):
    section: Section
    fault: str
    times: str
    operation: str

    @property
    def applies(self) -> bool:
        return (self.section, self.fault) not in DOES_NOT_APPLY

    @property
    def row(self) -> str:
        return f"{self.fault}, {self.times}" if self.times else self.fault

    @property
    def name(self) -> str:
        return f"{self.section.title}: {self.operation}: {self.row}"


def cells() -> Iterator[Cell]:
    for section in SECTIONS:
        for fault, times in section.rows or product(FAULTS, TIMES):
            for operation in section.operations:
                yield Cell(section, fault, times, operation)


@cache
def read() -> dict[str, str]:
    """The outcomes on the page, by the names of the cells."""
    said = {}
    for part in PAGE.read_text().split("\n## ")[1:]:
        title = part.partition("\n")[0]
        rows = [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in _table(part)]
        for row in rows[2:]:
            for operation, outcome in zip(rows[0][1:], row[1:], strict=True):
                said[f"{title}: {operation}: {row[0]}"] = outcome
    return said


def _table(part: str) -> list[str]:
    return [line for line in part.splitlines() if line.startswith("|")]


def write(outcomes: Mapping[str, str]) -> None:
    """Write all tables, and keep the text above them. A cell without an outcome gets a question mark."""
    intro = PAGE.read_text().partition(f"\n## {SECTIONS[0].title}\n")[0]
    parts = [_render(section, outcomes) for section in SECTIONS]
    PAGE.write_text("\n".join([intro, *parts]))


def _render(section: Section, outcomes: Mapping[str, str]) -> str:
    table = [["fault", *map(_as_code, section.operations)]]
    for fault, times in section.rows or product(FAULTS, TIMES):
        row = [Cell(section, fault, times, operation) for operation in section.operations]
        if row[0].applies:
            table.append([row[0].row, *(outcomes.get(cell.name, "?") for cell in row)])
    lines = ["| " + " | ".join(row) + " |" for row in table]
    lines.insert(1, "|---" * len(table[0]) + "|")
    reasons = [
        f"- {fault}: doesn't apply, because {reason}."
        for (where, fault), reason in DOES_NOT_APPLY.items()
        if where is section
    ]
    return "\n".join(
        [f"## {section.title}", "", *textwrap.wrap(section.about, 120), "", *lines, "", *(reasons and [*reasons, ""])]
    )


def _as_code(operation: str) -> str:
    return re.sub(r"with d:|[\w.]+\(.*?\)|S3Dict\(…\)", r"`\g<0>`", operation)
