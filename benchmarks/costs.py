"""What a month costs at S3's list prices: `python -m benchmarks.costs` writes the table in docs/costs.md.

Needs no S3: the requests of each operation are those that `docs/guarantees.md` promises.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "costs.md"
TABLE = re.compile(r"(?<=<!-- costs -->\n).*?(?=<!-- end -->)", re.DOTALL)

HOURS = 730
"""In a month."""

# List prices in dollars: S3 Standard, us-east-1, as of the middle of 2025
PUT = 0.005 / 1000
GET = 0.0004 / 1000
GB_MONTH = 0.023


@dataclass(frozen=True)
class Operation:
    """The requests of one call."""

    gets: int
    puts: int


OPERATIONS = {
    "edit": Operation(gets=1, puts=1),
    "read": Operation(gets=1, puts=0),
    "autosaved update": Operation(gets=0, puts=1),
}


@dataclass(frozen=True)
class Use:
    """A program that does one thing again and again.

    Attributes:
        what: in words.
        operation: what it does, of `OPERATIONS`.
        an_hour: how often.
        size: bytes of the file.
    """

    what: str
    operation: str
    an_hour: float
    size: float

    @property
    def times(self) -> float:
        """How often in a month."""
        return self.an_hour * HOURS

    @property
    def requests(self) -> float:
        """Dollars a month."""
        operation = OPERATIONS[self.operation]
        return self.times * (operation.gets * GET + operation.puts * PUT)

    @property
    def storage(self) -> float:
        """Dollars a month."""
        return self.size / 1e9 * GB_MONTH

    @property
    def versions(self) -> float:
        """Dollars a month for the old versions, if the bucket keeps each for a month."""
        return self.storage * self.times * OPERATIONS[self.operation].puts


USES = (
    Use("a cron job each minute that edits a file of 100 kB in a block", "edit", 60, 1e5),
    Use("a cron job each night that edits a file of 10 MB in a block", "edit", 1 / 24, 1e7),
    Use("a Lambda function each second that edits a file of 100 kB by `run`", "edit", 3600, 1e5),
    Use("a Lambda function each second that reads a file of 100 kB", "read", 3600, 1e5),
    Use("a loop with 10 autosaved updates a second of a file of 100 kB", "autosaved update", 36_000, 1e5),
    Use("the same loop, with a block around each 100 updates", "edit", 360, 1e5),
)


def table() -> str:
    """A row for each use, in Markdown."""
    lines = ["| | requests | storage | old versions, if kept for a month |", "| --- | --: | --: | --: |"]
    lines += [
        f"| {use.what} | {dollars(use.requests)} | {dollars(use.storage)} | {dollars(use.versions)} |" for use in USES
    ]
    return "\n".join(lines) + "\n"


def dollars(amount: float) -> str:
    return "$0" if not amount else f"${amount:.2f}" if amount >= 0.01 else "under 1 cent"


def main() -> None:
    PAGE.write_text(TABLE.sub(lambda _: table(), PAGE.read_text()))


if __name__ == "__main__":
    main()
