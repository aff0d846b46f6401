"""The targets of S3Dict, most of them ratios within one run, and whether the run reached them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .report import Table

Facts = Mapping[str, float]


@dataclass(frozen=True)
class Target:
    """A figure and its upper limit.

    Attributes:
        what: the figure in words, usually a ratio.
        figure: computes it. Raises `KeyError` if the run didn't measure it.
        at_most: the upper limit.
    """

    what: str
    figure: Callable[[Facts], float]
    at_most: float

    def row(self, facts: Facts) -> list[str]:
        try:
            figure = self.figure(facts)
        except KeyError:
            return [self.what, f"{self.at_most:.3g}", "", "not in this run"]
        return [self.what, f"{self.at_most:.3g}", f"{figure:.3g}", "yes" if figure <= self.at_most else "**no**"]


def _edit(count: int, at_most: float) -> Target:
    what = f"editing one of {count:,} records in a `with` block / a raw GET and PUT"
    return Target(what, lambda facts: facts[f"edit_one {count}"], at_most)


def _transaction_sizes(facts: Facts) -> float:
    return facts["transaction 1000000"] / facts["transaction 100"]


TARGETS = (
    _edit(100, 1.4),
    _edit(100_000, 1.25),
    _edit(1_000_000, 1.25),
    Target(
        "editing one of 100,000 records, with 20 ms a request and 85 MB/s / a raw GET and PUT",
        lambda facts: facts["far edit_one 100000"],
        1.25,
    ),
    Target(
        "the processor time of editing every one of 100,000 records in a block / with boto3 and json by hand",
        lambda facts: facts["rewrite"],
        1.25,
    ),
    Target("opening 100,000 records and reading one / a raw GET", lambda facts: facts["read_one 100000"], 1.5),
    Target("the same with 20 ms a request and 85 MB/s", lambda facts: facts["far read_one 100000"], 1.5),
    Target(
        "requests other than one 304 of a block that only reads, on a loaded dict that is unchanged in S3",
        lambda facts: facts["requests of read_only"] - min(1, facts["304s of read_only"]),
        0,
    ),
    Target("reading an item / in UserDict", lambda facts: facts["read_items"], 1),
    Target("writing an item without autosave / in UserDict", lambda facts: facts["write_items"], 4),
    Target(
        "a transaction that edits one of 10,000 records / writing an item",
        lambda facts: facts["transaction 10000"] / facts["write_items seconds"],
        25,
    ),
    Target("a transaction among 1,000,000 records / among 100", _transaction_sizes, 1.5),
    Target("the last 5,000 of 20,000 transactions / the first 5,000", lambda facts: facts["last over first"], 1.5),
    Target("making the file with every record touched / `json.dumps`", lambda facts: facts["encoding"], 0.5),
    Target("peak memory of opening 100,000 records and editing one / the file", lambda facts: facts["peak"], 4),
    Target(
        "opening a file of 150 MB, with 20 ms a request and 85 MB/s a connection / a raw GET",
        lambda facts: facts["big"],
        1 / 3,
    ),
    Target("peak memory of opening and editing a file over 100 MB / the file", lambda facts: facts["big peak"], 4),
    Target("a script's cold start to its first value / with boto3 and json by hand", lambda facts: facts["start"], 0.8),
    Target("the processor time of it", lambda facts: facts["start_cpu"], 0.8),
    Target("`import s3dictionary` / `import boto3`", lambda facts: facts["import"], 0.1),
    Target("ms of the event loop's longest pause, with a file of 1 MB", lambda facts: 1000 * facts["pause 8000"], 5),
    Target("the same with a file of 15 MB", lambda facts: 1000 * facts["pause 115000"], 60),
)


def table(facts: Facts) -> Table:
    """All targets, with this run's figures."""
    return Table(["", "at most", "measured", "reached"], [target.row(facts) for target in TARGETS])
