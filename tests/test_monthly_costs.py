"""The page of monthly costs is computed from the requests that are really sent."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks import costs
from s3dictionary import S3Dict
from support.memory_s3 import MemoryS3

KEY = "state.json"


def state(s3: MemoryS3, **options: bool) -> S3Dict[str, int]:
    return S3Dict("bucket", file_name=KEY, client=s3, **options)  # type: ignore[call-overload]


def update(d: S3Dict[str, int]) -> None:
    d["a"] += 1


def edit(d: S3Dict[str, int]) -> None:
    d.run(update)


def read(d: S3Dict[str, int]) -> None:
    d.load()


@pytest.mark.parametrize(
    ("name", "act", "autosave"),
    [("edit", edit, False), ("read", read, False), ("autosaved update", update, True)],
)
def test_each_operation_sends_the_requests_that_are_charged(
    name: str, act: Callable[[S3Dict[str, int]], None], autosave: bool
) -> None:
    s3 = MemoryS3()
    s3.write(KEY, b'{"a":1}')
    d = state(s3, autosave=autosave)
    act(d)
    s3.requests.clear()
    act(d)
    operation = costs.OPERATIONS[name]
    assert s3.requests["GetObject"] == operation.gets
    assert s3.requests["PutObject"] == operation.puts
    assert s3.requests.total() == operation.gets + operation.puts


def test_a_month_is_its_requests_at_their_prices() -> None:
    """1,000 an hour: 730,000 GETs at $0.40 a million, as many PUTs at $5, and 730,000 versions of 1 MB."""
    use = costs.Use("", "edit", 1000, 1e6)
    assert use.requests == pytest.approx(730_000 * (0.4e-6 + 5e-6))
    assert use.storage == pytest.approx(0.001 * 0.023)
    assert use.versions == pytest.approx(730 * 0.023)


def test_the_page_has_the_computed_table() -> None:
    """If this fails, run `python -m benchmarks.costs`."""
    page = costs.PAGE.read_text()
    assert costs.TABLE.sub(lambda _: costs.table(), page) == page
    assert costs.table() in page
