"""The report of a topic: Markdown, with drawings beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import fill

from .timing import Times


@dataclass
class Table:
    """Rows of text under a head."""

    head: Sequence[str]
    rows: list[Sequence[str]]
    title: str = ""

    def markdown(self) -> str:
        lines = [f"**{self.title[0].upper()}{self.title[1:]}**\n"] if self.title else []
        lines.append(_row(self.head))
        lines.append(_row(["---", *["--:"] * (len(self.head) - 1)]))
        lines += map(_row, self.rows)
        return "\n".join(lines) + "\n"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


@dataclass
class Section:
    """A topic's part of the report.

    Attributes:
        title: its heading.
        text: what was measured and how, in Markdown.
        tables: the tables, in order.
        plots: SVG drawings by their titles.
        facts: the figures for the targets, by their names.
    """

    title: str
    text: str
    tables: list[Table] = field(default_factory=list)
    plots: dict[str, str] = field(default_factory=dict)
    facts: dict[str, float] = field(default_factory=dict)

    def plot_files(self) -> dict[str, str]:
        """The drawings by the names of their files."""
        return {f"{_slug(title)}.svg": drawing for title, drawing in self.plots.items()}

    def markdown(self, folder: str) -> str:
        """The section as Markdown. Its drawings are in the folder."""
        paragraphs = [fill(paragraph, 118) for paragraph in self.text.split("\n\n")]
        parts = [f"## {self.title}\n", *(f"{paragraph}\n" for paragraph in paragraphs)]
        parts += [table.markdown() for table in self.tables]
        parts += [f"![{title}]({folder}/{_slug(title)}.svg)\n" for title in self.plots]
        return "\n".join(parts)


def _slug(title: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in title.lower()).split())


def comparison(times: Mapping[str, Times], against: str, *, title: str = "", places: int = 2) -> Table:
    """A table with median, quartiles, and the ratio to one contender."""
    rows = [
        [name, duration(its.median), spread(its), "1" if name == against else f"{its.over(times[against]):.{places}f}"]
        for name, its in times.items()
    ]
    return Table(["", "median", "half of them", f"ratio to {against}"], rows, title)


def duration(seconds: float) -> str:
    """A time with three digits, in a suitable unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{_digits(seconds / size)} {unit}"
    return f"{_digits(seconds / 1e-9)} ns"


def spread(times: Times) -> str:
    low, high = times.quartiles
    return f"{duration(low)} to {duration(high)}" if len(times.seconds) > 1 else "once"


def size(count: float) -> str:
    """A number of bytes."""
    for unit, unit_size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= unit_size:
            return f"{_digits(count / unit_size)} {unit}"
    return f"{count:.0f} B"


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
