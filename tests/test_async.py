"""`AsyncS3Dict`: blocks, requests and groups of asyncio tasks."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any

import pytest

from s3dictionary import (
    AsyncS3Dict,
    ConflictError,
    NotStorableError,
    ReadOnlyError,
    Rollback,
    StorageError,
    TransactionError,
    _turns,
)
from support.adversary.hooked_s3 import HookedS3
from support.adversary.scenes import Boom
from support.adversary.suspensions import CancelAt
from support.adversary.threads import LONG_ENOUGH, InThread
from support.memory_s3 import refusal

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # dicts with unsaved changes are dropped on purpose

D = AsyncS3Dict[Any, Any]
Main = Callable[[], Coroutine[Any, Any, Any]]


@pytest.fixture(autouse=True)
def _collect_while_warnings_are_ignored() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture
def s3() -> HookedS3:
    s3 = HookedS3()
    s3.begin({"n": 0, "log": []})
    s3.requests.clear()
    return s3


@pytest.fixture
def d(s3: HookedS3) -> D:
    return open_dict(s3)


def open_dict(s3: HookedS3, **options: Any) -> D:
    return AsyncS3Dict("bucket", file_name="key", client=s3, **options)


def log(d: D, name: object) -> object:
    d["log"].append(name)
    return name


async def log_slowly(d: D, name: object) -> object:
    d["log"].append(name)
    await asyncio.sleep(0)
    return name


class Gate:
    """Holds requests of one kind until it is opened."""

    def __init__(self, s3: HookedS3, operation: str, *, after: bool = False) -> None:
        self._operation = operation
        self._open, self._arrived = threading.Event(), threading.Event()
        if after:
            s3.after = self._wait
        else:
            s3.before = self._wait

    def _wait(self, operation: str) -> None:
        if operation == self._operation:
            self._arrived.set()
            assert self._open.wait(LONG_ENOUGH), "the event loop is blocked"

    async def arrived(self) -> None:
        await until(self._arrived.is_set)

    def open(self) -> None:
        self._open.set()


async def until(condition: Callable[[], bool]) -> None:
    async def wait() -> None:
        while not condition():
            await asyncio.sleep(0.001)

    await asyncio.wait_for(wait(), LONG_ENOUGH)


async def assert_usable(d: D, s3: HookedS3, expected: dict[Any, Any]) -> None:
    """Memory is as expected, nobody holds the dict, and the next block works."""
    d._check()
    assert dict(d) == expected
    async with d:
        d["usable"] = 1
    assert s3.stored() == {**expected, "usable": 1}
    d._check()


# Loading, saving, deleting


def test_the_constructor_sends_no_request_and_reading_before_a_load_says_what_to_do(s3: HookedS3, d: D) -> None:
    for read in (lambda: d["n"], lambda: d.get("n"), lambda: len(d), lambda: list(d), lambda: dict(d), lambda: d.data):
        with pytest.raises(TransactionError, match=r"`await d\.load\(\)` or `async with d:`"):
            read()
    with pytest.raises(TransactionError, match="hasn't been loaded yet"):
        d["n"] = 1
    assert repr(d) == "<AsyncS3Dict s3://bucket/key, not loaded yet>"
    assert not d.changed
    assert not s3.requests


def test_a_block_loads_and_saves(s3: HookedS3, d: D) -> None:
    """It sends one GET and one PUT, and `async with` returns the dict."""

    async def main() -> None:
        async with d as entered:
            assert entered is d
            d["n"] += 1
            await asyncio.sleep(0)
            d["log"].append("nested")

    asyncio.run(main())
    assert s3.requests == {"GetObject": 1, "PutObject": 1}
    assert s3.stored() == dict(d) == {"n": 1, "log": ["nested"]}


def test_a_block_that_only_reads_writes_nothing(s3: HookedS3, d: D) -> None:
    async def main() -> None:
        async with d:
            assert d["n"] == 0

    asyncio.run(main())
    assert s3.requests == {"GetObject": 1}


def test_load_gives_the_dict_and_save_and_delete_do_what_they_say(s3: HookedS3, d: D) -> None:
    async def main() -> None:
        assert (await d.load())["n"] == 0
        d["n"] = 1
        assert d.changed
        await d.save()
        assert not d.changed
        assert s3.stored() == {"n": 1, "log": []}
        await d.delete()
        assert dict(d) == {}
        assert d.etag is None

    asyncio.run(main())
    assert s3.stored() is None


@pytest.mark.parametrize("name", ["save", "delete"])
def test_there_is_nothing_to_save_or_delete_before_a_load(s3: HookedS3, d: D, name: str) -> None:
    with pytest.raises(TransactionError, match="hasn't been loaded yet"):
        asyncio.run(getattr(d, name)())
    assert not s3.requests


def test_data_replaces_the_file_at_the_first_load(s3: HookedS3) -> None:
    """It replaces even an unreadable file, and is an unsaved change, as in `S3Dict`."""
    s3.write("key", b"no JSON")
    d = open_dict(s3, data={"a": 1})

    async def main() -> None:
        async with d:
            assert dict(d) == {"a": 1}

    asyncio.run(main())
    assert s3.stored() == {"a": 1}


def test_a_default_stands_in_for_a_missing_file() -> None:
    d = open_dict(HookedS3(), default={"a": 1})
    asyncio.run(d.load())
    assert d == {"a": 1}


def test_a_save_is_conditional(s3: HookedS3, d: D) -> None:
    async def main() -> None:
        await d.load()
        s3.write("key", b'{"theirs":1}')
        d["n"] = 1
        with pytest.raises(ConflictError):
            await d.save()
        assert d["n"] == 1

    asyncio.run(main())
    assert s3.stored() == {"theirs": 1}


def test_a_read_only_dict_refuses_updates(s3: HookedS3) -> None:
    d = open_dict(s3, read_only=True)

    async def main() -> None:
        async with d:
            with pytest.raises(ReadOnlyError):
                d["n"] = 1

    asyncio.run(main())


def test_old_versions_are_listed_and_loaded(moto_s3: Any) -> None:
    moto_s3.client.put_bucket_versioning(Bucket=moto_s3.bucket, VersioningConfiguration={"Status": "Enabled"})
    for number in (1, 2):
        moto_s3.write("a.json", b'{"n":%d}' % number)
    d: D = AsyncS3Dict(moto_s3.bucket, file_name="a.json", **moto_s3.options)

    async def main() -> None:
        versions = await d.versions()
        await d.load(version_id=versions[1].version_id)
        assert d["n"] == 1
        await d.save()
        assert (await d.load())["n"] == 1

    asyncio.run(main())


@pytest.mark.parametrize("operation", ["GetObject", "PutObject"])
def test_a_request_does_not_block_the_event_loop(s3: HookedS3, d: D, operation: str) -> None:
    """The request ends only after the loop has continued."""
    gate = Gate(s3, operation)

    async def block() -> None:
        async with d:
            d["n"] = 1

    async def main() -> None:
        task = asyncio.create_task(block())
        await gate.arrived()
        gate.open()
        await task

    asyncio.run(main())
    assert s3.stored() == {"n": 1, "log": []}


# Blocks


def test_a_block_that_fails_is_undone(s3: HookedS3, d: D) -> None:
    async def main() -> None:
        with pytest.raises(Boom):
            async with d:
                d["n"] = 1
                d["log"].append(1)
                raise Boom
        async with d:
            d["n"] = 2
            raise Rollback
        await assert_usable(d, s3, {"n": 0, "log": []})

    asyncio.run(main())


def test_a_block_inside_a_block_and_a_transaction_nest(s3: HookedS3, d: D) -> None:
    async def main() -> None:
        async with d:
            d["n"] = 1
            with suppress(Boom):
                async with d:
                    d["n"] = 2
                    raise Boom
            with d.transaction():
                log(d, "inner")
                with pytest.raises(TransactionError, match=r"save\(\) can't be done inside a transaction"):
                    await d.save()
            await d.save()  # a checkpoint
            with suppress(Boom), d.transaction():
                d["n"] = 3
                raise Boom
        await assert_usable(d, s3, {"n": 1, "log": ["inner"]})

    asyncio.run(main())


def test_a_block_whose_save_fails_is_undone_and_its_error_has_what_was_not_saved(s3: HookedS3, d: D) -> None:
    s3.faults.append(refusal("PutObject", 403, "AccessDenied"))

    async def main() -> None:
        with pytest.raises(StorageError) as info:
            async with d:
                d["n"] = 1
        assert info.value.unsaved == {"n": 1, "log": []}
        await assert_usable(d, s3, {"n": 0, "log": []})

    asyncio.run(main())


def test_one_task_at_a_time_has_a_block_first_come_first_served(s3: HookedS3, d: D) -> None:
    order: list[int] = []

    async def block(number: int) -> None:
        async with d:
            order.append(number)
            await asyncio.sleep(0)
            d["n"] += 1
            assert order[-1] == number, "another one got in"

    async def main() -> None:
        await asyncio.gather(*(block(number) for number in range(6)))
        await assert_usable(d, s3, {"n": 6, "log": []})

    asyncio.run(main())
    assert order == [0, 1, 2, 3, 4, 5]


def test_an_update_of_a_task_without_a_block_is_refused_while_another_one_has_one(s3: HookedS3, d: D) -> None:
    """Reading is allowed. The error names the form that waits."""

    async def main() -> None:
        await d.load()
        inside, end = asyncio.Event(), asyncio.Event()

        async def block() -> None:
            async with d:
                inside.set()
                await end.wait()

        task = asyncio.create_task(block())
        await inside.wait()
        with pytest.raises(TransactionError, match="Use `async with d:` around the change"):
            d["n"] = 1
        assert d["n"] == 0
        end.set()
        await task
        d["n"] = 2
        await d.save()

    asyncio.run(main())
    assert s3.stored() == {"n": 2, "log": []}


def after_a_save(s3: HookedS3, d: D, action: Callable[[], Coroutine[Any, Any, Any]], *waiting: Any) -> None:
    """Do something right after a save, before the tasks can go on that have waited for its end meanwhile."""

    async def save_and_act() -> None:
        await d.save()
        await action()

    async def main() -> None:
        await d.load()
        gate = Gate(s3, "PutObject")
        saving = asyncio.create_task(save_and_act())
        await gate.arrived()
        tasks = [asyncio.create_task(d.run(log, name)) for name in waiting]
        await asyncio.sleep(0)
        gate.open()
        await asyncio.wait_for(asyncio.gather(saving, *tasks), LONG_ENOUGH)
        d._check()

    asyncio.run(main())


def test_an_update_between_two_blocks_does_not_wait_for_the_task_whose_turn_is_next(
    s3: HookedS3, d: D, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would wait in the event loop, in which that task can't go on."""
    waited: list[object] = []
    monkeypatch.setattr(_turns.Waiting, "wait", lambda waiting: waited.append(waiting))

    async def update() -> None:
        d["n"] = 1

    after_a_save(s3, d, update, "next")
    assert not waited
    assert s3.stored() == {"n": 1, "log": ["next"]}


def test_a_task_keeps_its_place_if_another_ones_transaction_comes_first(s3: HookedS3, d: D) -> None:
    """The transaction awaits inside, so the task finds the dict taken when it goes on."""

    async def transact() -> None:
        with d.transaction():
            log(d, "transaction")
            later = asyncio.create_task(d.run(log, "later"))
            for _ in range(5):
                await asyncio.sleep(0)
        await later

    after_a_save(s3, d, transact, "next")
    assert d["log"] == ["transaction", "next", "later"]


def test_a_block_that_begins_between_two_turns_waits_for_its_own(s3: HookedS3, d: D) -> None:
    """It can wait, so it doesn't come before the task whose turn is next."""

    async def block() -> None:
        async with d:
            log(d, "block")

    after_a_save(s3, d, block, "next")
    assert d["log"] == ["next", "block"]


def test_a_task_that_comes_late_for_its_turn_is_not_forgotten(
    s3: HookedS3, d: D, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when something blocks the event loop for seconds, and a thread's transaction comes first."""
    monkeypatch.setattr(_turns, "_KEPT_FREE", -1.0)
    inside, end = threading.Event(), threading.Event()

    def transact() -> None:
        with d.transaction():
            inside.set()
            assert end.wait(LONG_ENOUGH)

    async def lose_the_turn() -> None:
        thread = InThread(transact)
        assert inside.wait(LONG_ENOUGH)
        for _ in range(5):
            await asyncio.sleep(0)
        end.set()
        thread.result()

    after_a_save(s3, d, lose_the_turn, "late")
    assert s3.stored() == {"n": 0, "log": ["late"]}


def test_a_thread_waits_for_a_tasks_block(s3: HookedS3, d: D) -> None:
    async def main() -> InThread[None]:
        async with d:
            thread = InThread(lambda: d.update(thread=1))
            await asyncio.sleep(0.01)
            assert "thread" not in d
        return thread

    asyncio.run(main()).result()
    assert d["thread"] == 1


# Cancellation


def test_cancelled_while_waiting_nothing_has_happened(s3: HookedS3, d: D) -> None:
    """The tasks behind it continue."""

    async def block(number: int) -> None:
        async with d:
            log(d, number)
            await asyncio.sleep(0)

    async def main() -> None:
        async with d:
            tasks = [asyncio.create_task(block(number)) for number in range(3)]
            await asyncio.sleep(0)
            tasks[0].cancel()
            tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert [task.cancelled() for task in tasks] == [True, True, False]
        await assert_usable(d, s3, {"n": 0, "log": [2]})

    asyncio.run(main())


def test_cancelled_while_loading_it_goes_on_at_once(s3: HookedS3, d: D) -> None:
    """The answer changes nothing when it arrives."""
    gate = Gate(s3, "GetObject")

    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(d.load(), 0.01)
        s3.before = lambda _: None
        await d.load()
        d["n"] = 7
        gate.open()
        await asyncio.sleep(0.01)
        assert d["n"] == 7

    asyncio.run(main())


def test_cancelled_while_saving_the_save_is_waited_for_and_its_outcome_is_in_memory(s3: HookedS3, d: D) -> None:
    gate = Gate(s3, "PutObject")

    async def block() -> None:
        async with d:
            d["n"] = 1

    async def main() -> None:
        task = asyncio.create_task(block())
        await gate.arrived()
        task.cancel()
        await asyncio.sleep(0.01)
        assert not task.done()
        gate.open()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not d.changed
        await assert_usable(d, s3, {"n": 1, "log": []})

    asyncio.run(main())


def test_a_save_that_fails_while_its_task_is_cancelled_is_the_cancellations_cause(
    s3: HookedS3, d: D, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate(s3, "PutObject")
    s3.faults.append(refusal("PutObject", 403, "AccessDenied"))

    async def block() -> None:
        with pytest.raises(asyncio.CancelledError) as info:
            async with d:
                d["n"] = 1
        assert isinstance(info.value.__cause__, StorageError)
        assert info.value.__cause__.unsaved == {"n": 1, "log": []}

    async def main() -> None:
        task = asyncio.create_task(block())
        await gate.arrived()
        task.cancel()
        gate.open()
        await task
        await assert_usable(d, s3, {"n": 0, "log": []})

    asyncio.run(main())
    assert "AccessDenied" in caplog.text


MOST_AWAITS = 9
"""More than any of these: how often a task has to wait depends on how fast the threads are."""

WORK: dict[str, Callable[[D], Coroutine[Any, Any, Any]]] = {}


def work(function: Callable[[D], Coroutine[Any, Any, Any]]) -> Callable[[D], Coroutine[Any, Any, Any]]:
    WORK[function.__name__] = function
    return function


@work
async def a_block(d: D) -> None:
    async with d:
        d["n"] = 1
        await asyncio.sleep(0)
        log(d, "done")


@work
async def a_run(d: D) -> None:
    async def change(d: D) -> None:
        d["n"] = 1
        await asyncio.sleep(0)
        log(d, "done")

    await d.run(change)


@work
async def load_and_save(d: D) -> None:
    await d.load()
    with d.transaction():
        d["n"] = 1
        log(d, "done")
    await d.save()


@pytest.mark.parametrize("name", WORK)
@pytest.mark.parametrize("waits", [False, True])
def test_cancelled_at_any_await_all_is_done_or_nothing_and_the_dict_is_free(name: str, waits: bool) -> None:
    """Memory and the file agree, whether or not another task was before it."""

    async def try_at(number: int) -> int:
        s3 = HookedS3()
        s3.begin({"n": 0, "log": []})
        d = open_dict(s3)
        cancelling = CancelAt(WORK[name](d), number)

        async def cancelled() -> None:
            await cancelling

        first = asyncio.create_task(d.run(log_slowly, "first")) if waits else None
        await asyncio.sleep(0)
        task = asyncio.create_task(cancelled())
        await asyncio.wait([task])
        if first is not None:
            await first
        await d.run(len)
        d._check()
        expected = {"n": 0, "log": ["first"] if waits else []}
        done = {"n": 1, "log": [*expected["log"], "done"]}  # type: ignore[misc]
        outcomes = [done] if not task.cancelled() else [expected, done]
        assert dict(d) in outcomes, f"at {number}"
        if name != "load_and_save":  # the change in memory is there before the save
            assert s3.stored() == dict(d), f"at {number}"
        await d.save()
        assert s3.stored() == dict(d)
        return cancelling.count if not task.cancelled() else 0

    async def main() -> None:
        assert await try_at(0) > 0
        for number in range(1, MOST_AWAITS):
            await try_at(number)

    asyncio.run(main())


def test_a_task_that_is_dropped_with_its_loop_gives_its_block_back(s3: HookedS3, d: D) -> None:
    """The next caller gets the dict, for example after a program closed a loop with pending tasks."""

    async def block(inside: asyncio.Event) -> None:
        async with d:
            d["n"] = 1
            inside.set()
            await asyncio.Event().wait()

    loop = asyncio.new_event_loop()
    inside = asyncio.Event()
    task = loop.create_task(block(inside))
    loop.run_until_complete(inside.wait())
    loop.close()
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # it is on purpose
    assert asyncio.run(d.run(len)) == 2
    asyncio.run(assert_usable(d, s3, {"n": 0, "log": []}))


# run


def test_runs_of_tasks_that_wait_at_the_same_time_share_one_get_and_one_put(s3: HookedS3, d: D) -> None:
    """Plain and coroutine functions run one after the other, and each call gets its own result."""

    async def main() -> None:
        calls = [d.run(log_slowly if number % 2 else log, number) for number in range(20)]
        assert await asyncio.gather(*calls) == list(range(20))
        assert s3.requests == {"GetObject": 1, "PutObject": 1}
        await assert_usable(d, s3, {"n": 0, "log": list(range(20))})

    asyncio.run(main())


def test_tasks_that_go_on_running_meet_again_in_one_group(s3: HookedS3, d: D) -> None:
    async def worker(number: int) -> None:
        for _ in range(3):
            await d.run(log, number)

    async def main() -> None:
        await asyncio.gather(*(worker(number) for number in range(10)))

    asyncio.run(main())
    assert len(d["log"]) == 30
    assert s3.requests == {"GetObject": 3, "PutObject": 3}


def test_a_coroutine_function_runs_in_the_task_that_called(d: D) -> None:
    async def main() -> None:
        async def call() -> bool:
            caller = asyncio.current_task()

            async def function(d: D) -> bool:
                await asyncio.sleep(0)
                return asyncio.current_task() is caller

            return await d.run(function)

        assert await asyncio.gather(call(), call(), call()) == [True] * 3

    asyncio.run(main())


def failing(d: D) -> None:
    log(d, "undone")
    raise Boom


async def failing_slowly(d: D) -> None:
    await log_slowly(d, "undone")
    raise Boom


@pytest.mark.parametrize("fails", [failing, failing_slowly])
def test_an_exception_is_its_callers_alone(s3: HookedS3, d: D, fails: Callable[[D], Any]) -> None:
    async def main() -> None:
        found = await asyncio.gather(
            d.run(log, 1), d.run(fails), d.run(log, object()), d.run(log, 2), return_exceptions=True
        )
        assert [found[0], found[3]] == [1, 2]
        assert isinstance(found[1], Boom)
        assert isinstance(found[2], NotStorableError)
        await assert_usable(d, s3, {"n": 0, "log": [1, 2]})

    asyncio.run(main())


def test_a_save_that_fails_is_everybodys_error_each_with_an_exception_of_its_own(s3: HookedS3, d: D) -> None:
    s3.faults.append(refusal("PutObject", 403, "AccessDenied"))

    async def main() -> None:
        errors = await asyncio.gather(*(d.run(log, number) for number in range(3)), return_exceptions=True)
        assert all(isinstance(error, StorageError) for error in errors)
        assert len({id(error) for error in errors}) == 3
        assert [getattr(error, "unsaved", None) for error in errors] == [{"n": 0, "log": [0, 1, 2]}] * 3
        await assert_usable(d, s3, {"n": 0, "log": []})

    asyncio.run(main())


def test_after_a_conflict_all_are_called_again(s3: HookedS3, d: D) -> None:
    def write(operation: str) -> None:
        if operation == "PutObject":
            s3.before = lambda _: None
            s3.write("key", b'{"log":["theirs"]}')

    s3.before = write

    async def main() -> None:
        calls = [d.run(log_slowly, 1), d.run(log, 2, attempts=1), d.run(log, 3)]
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert [found[0], found[2]] == [1, 3]
        assert isinstance(found[1], ConflictError)
        await assert_usable(d, s3, {"log": ["theirs", 1, 3]})

    asyncio.run(main())


def test_a_member_cancelled_while_others_functions_run_is_undone_alone(s3: HookedS3, d: D) -> None:
    """Its function has already returned. The others are called again without it."""

    async def main() -> None:
        reached, go_on = asyncio.Event(), asyncio.Event()

        async def wait(d: D) -> object:
            reached.set()
            await go_on.wait()
            return log(d, "waited")

        tasks = [asyncio.create_task(call) for call in (d.run(log, "gone"), d.run(wait), d.run(log, "last"))]
        await reached.wait()
        tasks[0].cancel()
        await asyncio.sleep(0)
        assert tasks[0].done()
        go_on.set()
        assert await asyncio.gather(*tasks[1:]) == ["waited", "last"]
        await assert_usable(d, s3, {"n": 0, "log": ["waited", "last"]})

    asyncio.run(main())


@pytest.mark.parametrize("who", [0, 1, 2])
def test_members_cancelled_while_saving_wait_for_the_outcome_and_the_others_get_theirs(
    s3: HookedS3, d: D, who: int
) -> None:
    gate = Gate(s3, "PutObject")

    async def main() -> None:
        tasks = [asyncio.create_task(d.run(log, number)) for number in range(3)]
        await gate.arrived()
        tasks[who].cancel()
        await asyncio.sleep(0.01)
        assert not tasks[who].done()
        gate.open()
        await asyncio.wait(tasks)
        assert [task.cancelled() for task in tasks] == [number == who for number in range(3)]
        await assert_usable(d, s3, {"n": 0, "log": [0, 1, 2]})

    asyncio.run(main())


def test_run_inside_a_block_or_a_function_is_refused(d: D) -> None:
    async def nested(d: D) -> None:
        await d.run(log, 1)

    async def main() -> None:
        with pytest.raises(TransactionError, match=r"run\(\) can't be done inside a run\(\)"):
            await d.run(nested)
        async with d:
            with pytest.raises(TransactionError, match=r"run\(\) can't be done inside a with"):
                await d.run(log, 1)
        with pytest.raises(ValueError, match="attempts must be positive"):
            await d.run(log, 1, attempts=0)

    asyncio.run(main())


# Loops


def test_it_can_be_used_in_one_loop_after_the_other(s3: HookedS3, d: D) -> None:
    for number in range(3):
        assert asyncio.run(d.run(log, number)) == number
    asyncio.run(assert_usable(d, s3, {"n": 0, "log": [0, 1, 2]}))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("waits", ["block", "load", "save", "run"])
def test_a_loop_that_was_closed_keeps_nobody_waiting(s3: HookedS3, d: D, waits: str) -> None:
    """One of its tasks was in a block, and another one waited."""

    async def block() -> None:
        async with d:
            d["n"] = "undone"
            await asyncio.sleep(100)

    async def wait() -> None:
        await {"block": block, "load": d.load, "save": d.save, "run": lambda: d.run(len)}[waits]()

    async def later() -> None:
        async with d:
            d["later"] = 1
        await d.run(log, "later")

    asyncio.run(d.load())
    loop = asyncio.new_event_loop()
    tasks = [loop.create_task(block()), loop.create_task(wait())]
    loop.run_until_complete(asyncio.sleep(0.05))
    loop.close()
    asyncio.run(asyncio.wait_for(later(), 20))
    assert d == {"n": 0, "log": ["later"], "later": 1}
    del tasks


def test_two_loops_in_two_threads_take_turns(s3: HookedS3, d: D) -> None:
    async def count() -> None:
        for _ in range(5):
            await d.run(log, 1)
            async with d:
                d["n"] += 1

    threads = [InThread(lambda: asyncio.run(count())) for _ in range(2)]
    for thread in threads:
        thread.result()
    asyncio.run(assert_usable(d, s3, {"n": 10, "log": [1] * 10}))


class Bank:
    """Deposits and transfers of many tasks, some of which fail or are cancelled."""

    def __init__(self, d: D) -> None:
        self.d = d
        self.confirmed: set[int] = set()
        self._rng = random.Random(1)

    @staticmethod
    def transfer(d: D, amount: int) -> None:
        d["a"] -= amount
        d["b"] += amount
        if d["a"] < 0:
            raise Boom

    @staticmethod
    async def deposit(d: D, number: int) -> None:
        d["a"] += 1
        await asyncio.sleep(0)
        d["deposited"].append(number)

    async def client(self, number: int) -> None:
        await asyncio.sleep(self._rng.random() / 500)
        with suppress(ConflictError, Boom):
            if number % 5 == 4:
                async with self.d:
                    await self.deposit(self.d, number)
            else:
                await self.d.run(self.deposit, number, attempts=100)
            self.confirmed.add(number)
            await self.d.run(self.transfer, self._rng.choice([1, 1000]))

    async def open(self) -> None:
        tasks = [asyncio.ensure_future(self.client(number)) for number in range(40)]
        await asyncio.sleep(0.004)
        for task in tasks[::7]:
            task.cancel()
        await asyncio.wait(tasks)
        assert not [task for task in tasks if not task.cancelled() and task.exception() is not None]


def open_bank(s3: HookedS3, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
    """Open the bank while a thread writes the same file with its own dict."""
    s3.begin({"a": 100, "b": 100, "deposited": []})
    bank, other = Bank(open_dict(s3)), s3.open()
    thread = InThread(lambda: [other.run(lambda o: o.update(other=o.get("other", 0) + 1)) for _ in range(10)])
    run(bank.open())
    thread.result()
    stored = s3.stored()
    assert stored is not None
    assert stored["other"] == 10
    assert bank.confirmed <= set(stored["deposited"])
    assert len(set(stored["deposited"])) == len(stored["deposited"]), "a deposit is there twice"
    assert stored["a"] + stored["b"] == 200 + len(stored["deposited"])
    bank.d._check()


def test_the_bank_never_loses_a_confirmed_deposit(s3: HookedS3) -> None:
    open_bank(s3, asyncio.run)


def test_it_works_with_uvloop(s3: HookedS3) -> None:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is in the extra [test], but not for Windows")
    loop = uvloop.new_event_loop()
    try:
        open_bank(s3, loop.run_until_complete)
    finally:
        loop.close()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
def test_it_works_with_eager_tasks(s3: HookedS3) -> None:
    loop = asyncio.new_event_loop()
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
    try:
        open_bank(s3, loop.run_until_complete)
    finally:
        loop.close()


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout came with Python 3.11")
def test_a_timeout_while_saving_comes_when_the_save_has_ended(s3: HookedS3, d: D) -> None:
    gate = Gate(s3, "PutObject")

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(None) as timeout:  # type: ignore[attr-defined]
                async with d:
                    d["n"] = 1
                    timeout.reschedule(asyncio.get_running_loop().time())
                    asyncio.get_running_loop().call_later(0.02, gate.open)
        assert timeout.expired()
        await assert_usable(d, s3, {"n": 1, "log": []})

    asyncio.run(main())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="TaskGroup came with Python 3.11")
def test_a_task_group_that_fails_undoes_the_blocks_that_are_open(s3: HookedS3, d: D) -> None:
    async def main() -> None:
        inside = asyncio.Event()

        async def block() -> None:
            async with d:
                d["n"] = 1
                inside.set()
                await asyncio.Event().wait()

        async def fail() -> None:
            await inside.wait()
            raise Boom

        with pytest.raises(Exception, match="unhandled errors in a TaskGroup"):
            async with asyncio.TaskGroup() as group:  # type: ignore[attr-defined]
                group.create_task(block())
                group.create_task(fail())
        await assert_usable(d, s3, {"n": 0, "log": []})

    asyncio.run(main())


# Others like it


def test_copies_and_pickles_are_loaded_and_of_their_own(s3: HookedS3, d: D) -> None:
    async def main() -> None:
        await d.load()
        for twin in (copy.copy(d), copy.deepcopy(d), pickle.loads(pickle.dumps(d)), d | {}):
            assert type(twin) is AsyncS3Dict
            assert dict(twin) == {"n": 0, "log": []}
            twin["n"] = 5
            assert d["n"] == 0
        twin = copy.copy(d)
        await twin.load()
        twin["n"] = 1
        assert d["n"] == 0
        await twin.save()
        assert (await d.load())["n"] == 1

    asyncio.run(main())


def test_fromkeys_makes_one_on_the_same_file(s3: HookedS3, d: D) -> None:
    async def main() -> None:
        async with d.fromkeys("ab", 0):
            pass

    asyncio.run(main())
    assert s3.stored() == {"a": 0, "b": 0}


def test_a_dict_that_was_not_loaded_cannot_be_copied_or_pickled(d: D) -> None:
    for make in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TransactionError, match="hasn't been loaded yet"):
            make(d)


def test_nothing_of_it_is_imported_unless_it_is_used() -> None:
    program = (
        "import s3dictionary, sys; s3dictionary.S3Dict; print({'asyncio', 's3dictionary._async'} & {*sys.modules})"
    )
    assert subprocess.run([sys.executable, "-c", program], check=True, capture_output=True).stdout.strip() == b"set()"
