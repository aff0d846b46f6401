"""Loading, saving and transactions cost what is touched, not what the file holds, nor what was touched long ago.

Nothing is timed here. What is counted: values decoded and encoded, containers looked at, requests.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from s3dictionary import Rollback, S3Dict
from s3dictionary._format import codec
from s3dictionary._memory import refcounts, savepoint, undoing
from support.inside import awake_keys, raw_keys
from support.memory_s3 import MemoryS3
from support.stress import times

KEY = "state.json"
RECORDS = 500

State = S3Dict[str, Any]


class Work(Counter[str]):
    """The amount of each kind of work."""

    def during(self, action: Callable[[], object]) -> dict[str, int]:
        """The work of the action alone."""
        self.clear()
        action()
        return dict(self)


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    work = Work()

    def count(module: Any, name: str, what: str, size: Callable[[Any], int] = lambda _: 1) -> None:
        function = getattr(module, name)

        def counted(*arguments: Any) -> Any:
            work[what] += size(arguments[0])
            return function(*arguments)

        monkeypatch.setattr(module, name, counted)

    count(codec, "decode", "decoded")
    count(codec, "encode", "encoded")
    count(codec, "encode_changes", "encoded", lambda touched: len(touched.keys))
    count(codec, "any_change", "encoded", lambda touched: len(touched.keys))
    count(savepoint, "snapshot", "snapshots")
    count(undoing, "containers", "looked at")
    return work


@pytest.fixture
def s3() -> MemoryS3:
    s3 = MemoryS3()
    records = {f"r{number}": {"number": number, "tags": ["a"], "at": {"x": 1}} for number in range(RECORDS)}
    s3.write(KEY, codec.join({key: codec.Raw(json.dumps(record).encode()) for key, record in records.items()}))
    return s3


@pytest.fixture
def d(s3: MemoryS3, work: Work) -> State:
    return S3Dict("bucket", file_name=KEY, client=s3)


def settle(d: State) -> None:
    """Run two blocks, after which values have fallen asleep."""
    for _ in range(2):
        with d.transaction():
            pass


# A big file -----------------------------------------------------------------------------------------------------------


def test_loading_decodes_and_encodes_nothing(s3: MemoryS3, work: Work) -> None:
    assert work.during(lambda: S3Dict("bucket", file_name=KEY, client=s3)) == {}


def test_what_concerns_keys_alone_decodes_nothing(d: State, work: Work) -> None:
    assert work.during(lambda: (len(d), "r1" in d, list(d), list(reversed(d)), d.get("nothing"), d.changed)) == {}


def test_a_value_is_decoded_once_however_often_it_is_read(d: State, work: Work) -> None:
    assert work.during(lambda: [d["r1"] for _ in range(5)]) == {"decoded": 1}


def test_a_small_edit_decodes_and_encodes_just_what_it_touches(d: State, work: Work) -> None:
    def edit() -> None:
        with d:
            d["r1"]["tags"].append("b")
            d["new"] = [1]
            del d["r2"]

    done = work.during(edit)
    assert done["decoded"] <= 3, "the record, and what was loaded to compare it with"
    assert done["encoded"] <= 6, "two values, to see whether they changed and to write them"
    assert "snapshots" not in done, "the text of what was decoded is one"


def test_an_edit_through_the_dict_alone_decodes_nothing_but_for_comparing(d: State, work: Work) -> None:
    def edit() -> None:
        with d:
            d.update(r1=1, r2=2, new=3)
            del d["r3"]

    assert work.during(edit).get("decoded", 0) <= 1


def test_rolling_back_decodes_and_encodes_nothing(d: State, work: Work) -> None:
    def edit() -> None:
        with d.transaction():
            d.clear()
            d["new"] = 1
            raise Rollback

    assert work.during(edit).keys().isdisjoint({"decoded", "encoded", "snapshots"})


def test_a_with_that_only_reads_costs_what_it_reads(s3: MemoryS3, d: State, work: Work) -> None:
    def read() -> None:
        with d:
            assert d["r1"]["number"] == 1

    done = work.during(read)
    assert done["decoded"] <= 2
    assert done["encoded"] <= 2
    assert s3.requests["PutObject"] == 0


def test_a_load_that_brings_something_new_decodes_only_what_was_touched(s3: MemoryS3, d: State, work: Work) -> None:
    assert d["r1"]["number"] == 1
    s3.write(KEY, s3.objects[KEY][0].replace(b'"number": 7,', b'"number": 8,'))
    done = work.during(d.load)
    assert done.get("decoded", 0) <= 1
    assert done["encoded"] <= 2
    assert d["r7"]["number"] == 8


# The thousandth block -------------------------------------------------------------------------------------------------

MANY, FEWER = (times(2_000, 10_000), 300) if refcounts._COUNTS_TELL else (100, 100)


def read_one(d: State, number: int) -> None:
    assert d[f"r{number % RECORDS}"]["tags"][0] == "a"


def edit_one(d: State, number: int) -> None:
    d[f"r{number % RECORDS}"]["number"] += 1


def put_one_in(d: State, number: int) -> None:
    d[f"new{number}"] = {"at": [number], "pair": (number, "same"), "constant": (0, 0)}


def replace_one(d: State, number: int) -> None:
    d[f"r{number % RECORDS}"] = [number]


def fail_with_one(d: State, number: int) -> None:
    with d.transaction():
        d[f"r{number % RECORDS}"]["tags"].append("b")
        raise Rollback


def remove_one(d: State, number: int) -> None:
    d[f"short-lived{number}"] = [number]
    del d[f"short-lived{number}"]


def take_one_out(d: State, number: int) -> None:
    record = d[f"r{number % RECORDS}"]
    for tag in record["tags"]:
        assert tag
    record["at"]["x"] = number


ACTIONS = [read_one, edit_one, put_one_in, replace_one, fail_with_one, remove_one, take_one_out]


def flat(work: Work, once: Callable[[int], object], many: int) -> None:
    """Assert that the last items aren't larger than the first ones."""
    done = [sum(work.during(lambda number=number: once(number)).values()) for number in range(many)]  # type: ignore[misc]
    early, late = max(done[5:50]), max(done[-50:])
    assert late <= early, f"{early} calls for an early one, {late} for a late one"
    assert early < 30


@pytest.mark.parametrize("action", ACTIONS)
def test_the_thousandth_transaction_does_as_much_as_the_first(
    d: State, work: Work, action: Callable[[State, int], None]
) -> None:
    def once(number: int) -> None:
        with d.transaction():
            action(d, number)

    flat(work, once, MANY)
    settle(d)
    assert not awake_keys(d)
    d._check()


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("before", [None, lambda d: d.pop("r0"), lambda d: d.data])
def test_so_it_does_inside_a_with(
    d: State, work: Work, before: Callable[[State], object] | None, action: Callable[[State, int], None]
) -> None:
    """This also holds if a key was removed before, or `data` was handed out."""

    def once(number: int) -> None:
        with d.transaction():
            action(d, number + 1)

    with d:
        if before is not None:
            before(d)
            settle(d)
        flat(work, once, RECORDS - 1)
        settle(d)
        assert not awake_keys(d)
        d._check()


@pytest.mark.parametrize("action", ACTIONS)
def test_the_three_hundredth_with_does_as_much_as_the_first(
    d: State, work: Work, action: Callable[[State, int], None]
) -> None:
    """This includes one that only reads, and so saves nothing."""

    def once(number: int) -> None:
        with d:
            action(d, number)

    flat(work, once, FEWER)


@pytest.mark.parametrize("action", ACTIONS)
def test_the_three_hundredth_autosaved_transaction_does_as_much_as_the_first(
    s3: MemoryS3, work: Work, action: Callable[[State, int], None]
) -> None:
    d: State = S3Dict("bucket", file_name=KEY, client=s3, autosave=True)

    def once(number: int) -> None:
        with d.transaction():
            action(d, number)

    flat(work, once, FEWER)


def test_the_three_hundredth_update_does_as_much_as_the_first(s3: MemoryS3, work: Work) -> None:
    d: State = S3Dict("bucket", file_name=KEY, client=s3, autosave=True)
    flat(work, lambda number: d.update({f"k{number}": [number]}), FEWER)
    flat(work, lambda number: d.pop(f"k{number}"), FEWER)


def test_nested_blocks_that_fail_do_no_more_in_the_end(d: State, work: Work) -> None:
    def once(number: int) -> None:
        with suppress(ValueError), d.transaction():
            d[f"r{number % RECORDS}"]["number"] += 1
            with d.transaction():
                d[f"r{(number + 1) % RECORDS}"]["tags"].append("b")
            raise ValueError

    with d:
        flat(work, once, RECORDS - 1)
    assert not d.changed


def test_a_value_that_somebody_holds_costs_alone(d: State, work: Work) -> None:
    """An example is a log of errors. This also holds if `data` was handed out before."""
    log = d.setdefault("log", [])
    assert len(d.data) == RECORDS + 1

    def once(number: int) -> None:
        with d.transaction():
            d[f"r{number % RECORDS}"]["number"] += 1
            log.append(number)

    settle(d)
    flat(work, once, 200)
    settle(d)
    assert awake_keys(d) == {"log"}
    assert d["log"] is log


def test_the_end_of_a_with_takes_no_snapshot_of_what_somebody_holds(d: State, work: Work) -> None:
    """The next block takes it, if there is one."""
    held = d["r1"]
    with d:
        held["number"] = -1
        work.clear()
    assert work.keys().isdisjoint({"snapshots", "looked at"})


def test_what_nobody_holds_and_the_file_has_becomes_raw_again(d: State) -> None:
    for number in range(10):
        with d:
            edit_one(d, number)
            read_one(d, number + 100)
    with d:
        pass
    assert len(raw_keys(d)) >= RECORDS - 4


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="there are no reference counts here")
def test_reference_counts_are_used_where_there_is_one_thread_at_a_time() -> None:
    has_gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    assert has_gil == (refcounts._COUNTS_TELL)


def test_without_reference_counts_it_is_slower_but_right(
    s3: MemoryS3, d: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refcounts, "_COUNTS_TELL", False)
    for number in range(50):
        with d:
            put_one_in(d, number)
            fail_with_one(d, number)
            edit_one(d, number)
            remove_one(d, number)
        d._check()
    assert len(awake_keys(d)) >= 100
    assert S3Dict("bucket", file_name=KEY, client=s3) == d
    assert d["r49"] == {"number": 50, "tags": ["a"], "at": {"x": 1}}
