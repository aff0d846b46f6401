"""`run` calls a function in a `with` block, and again after a conflict."""

from __future__ import annotations

import json
from typing import Any

import pytest

from s3dictionary import ConflictError, Rollback, S3Dict, TransactionError
from support.servers import Site

FILE = "state.json"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s3dictionary._runs.time.sleep", lambda seconds: None)


@pytest.fixture
def d(moto_s3: Site) -> S3Dict[str, Any]:
    moto_s3.write(FILE, b'{"n":5}')
    return S3Dict(moto_s3.bucket, file_name=FILE, **moto_s3.options)


class Rival:
    """Another writer that saves this many times at the same moment."""

    def __init__(self, s3: Site, times: int) -> None:
        self.s3 = s3
        self.times = times
        self.calls = 0

    def __call__(self, d: S3Dict[str, Any]) -> int:
        self.calls += 1
        d["n"] += 1
        if self.calls <= self.times:
            self.s3.write(FILE, json.dumps({"n": self.calls * 100}).encode())
        return d["n"]


def stored(s3: Site) -> Any:
    return json.loads(s3.read(FILE))


def test_it_gives_what_the_function_returned_and_saves(moto_s3: Site, d: S3Dict[str, Any]) -> None:
    assert d.run(Rival(moto_s3, 0)) == 6
    assert stored(moto_s3) == {"n": 6}


def test_after_a_conflict_it_calls_again_from_a_fresh_load(moto_s3: Site, d: S3Dict[str, Any]) -> None:
    rival = Rival(moto_s3, 3)
    assert d.run(rival) == 301
    assert rival.calls == 4
    assert stored(moto_s3) == {"n": 301}


def test_after_so_many_attempts_it_gives_up_with_the_conflict(moto_s3: Site, d: S3Dict[str, Any]) -> None:
    rival = Rival(moto_s3, 99)
    with pytest.raises(ConflictError):
        d.run(rival, attempts=3)
    assert rival.calls == 3
    assert stored(moto_s3) == {"n": 300}


def test_attempts_must_be_positive(d: S3Dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="attempts must be positive, not 0"):
        d.run(len, attempts=0)


def test_it_waits_longer_each_time_and_never_the_same(
    moto_s3: Site, d: S3Dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    limits: list[float] = []
    monkeypatch.setattr("s3dictionary._runs.time.sleep", waits.append)
    monkeypatch.setattr("s3dictionary._backoff.random.uniform", lambda low, high: limits.append(high) or high / 2)
    d.run(Rival(moto_s3, 4), attempts=6)
    assert len(waits) == 4
    assert limits[:4] == sorted(set(limits[:4])), "each limit is higher than the one before"


def test_another_error_ends_it_and_undoes_the_block(moto_s3: Site, d: S3Dict[str, Any]) -> None:
    def fail(d: S3Dict[str, Any]) -> None:
        d["n"] = 0
        raise KeyError("no")

    with pytest.raises(KeyError):
        d.run(fail)
    assert d == stored(moto_s3) == {"n": 5}


def test_the_conflict_of_another_dict_is_not_its_own(moto_s3: Site, d: S3Dict[str, Any]) -> None:
    other = S3Dict(moto_s3.bucket, file_name="other.json", **moto_s3.options)
    calls = []

    def save_the_other(d: S3Dict[str, Any]) -> None:
        calls.append(1)
        other["x"] = 1
        moto_s3.write("other.json", b"{}")
        other.save()

    with pytest.raises(ConflictError, match=r"other\.json"):
        d.run(save_the_other)
    assert len(calls) == 1


def test_unsaved_changes_from_before_are_not_thrown_away(moto_s3: Site, d: S3Dict[str, Any]) -> None:
    """A fresh load would discard them, so the conflict propagates at once."""
    d["before"] = 1
    rival = Rival(moto_s3, 1)
    with pytest.raises(ConflictError):
        d.run(rival)
    assert rival.calls == 1
    assert d == {"n": 5, "before": 1}


def test_rollback_ends_it_quietly(moto_s3: Site, d: S3Dict[str, Any]) -> None:
    def undo(d: S3Dict[str, Any]) -> None:
        d["n"] = 0
        raise Rollback

    assert d.run(undo) is None
    assert d == stored(moto_s3) == {"n": 5}


def test_inside_a_block_it_is_refused(d: S3Dict[str, Any]) -> None:
    calls: list[Any] = []
    for block in (d, d.transaction()):
        with block, pytest.raises(TransactionError, match=r"run\(\) can't be done inside"):
            d.run(calls.append)
    assert calls == []
