"""What happens to a task's turn, request and `run` if it is cancelled, ends, or loses its event loop."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Awaitable, Iterator
from contextvars import ContextVar
from functools import partial
from typing import Any

import pytest

from s3dictionary import AccessDeniedError, AsyncS3Dict, ConflictError, Rollback, UnknownOutcomeError
from support.adversary.hooked_s3 import HookedS3
from support.adversary.scenes import Boom
from support.adversary.threads import LONG_ENOUGH, InThread
from support.memory_s3 import refusal

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # dicts with unsaved changes are dropped on purpose

D = AsyncS3Dict[Any, Any]


@pytest.fixture(autouse=True)
def _collect_while_warnings_are_ignored() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture
def s3() -> HookedS3:
    s3 = HookedS3()
    s3.begin({"log": []})
    s3.requests.clear()
    return s3


@pytest.fixture
def d(s3: HookedS3) -> D:
    return AsyncS3Dict("bucket", file_name="key", client=s3)


def log(d: D, name: object) -> object:
    d["log"].append(name)
    return name


def fail(d: D) -> None:
    log(d, "undone")
    raise Boom


class Held:
    """Holds the next request of a kind until it is released."""

    def __init__(self, s3: HookedS3, operation: str) -> None:
        self.arrived, self._go_on = threading.Event(), threading.Event()
        s3.once(operation, self._wait)

    def _wait(self) -> None:
        self.arrived.set()
        assert self._go_on.wait(LONG_ENOUGH), "nobody lets it go on"

    def go_on(self) -> None:
        self._go_on.set()

    async def has_arrived(self) -> None:
        assert await asyncio.to_thread(self.arrived.wait, LONG_ENOUGH), "there was no such request"


def in_time(main: Awaitable[Any]) -> Any:
    async def limited() -> Any:
        return await asyncio.wait_for(main, LONG_ENOUGH)

    return asyncio.run(limited())


def refuse(operation: str) -> None:
    if operation == "GetObject":
        raise refusal("GetObject", 403, "AccessDenied")


# run


@pytest.mark.parametrize("others", [0, 2])
def test_rollback_undoes_one_function_quietly(s3: HookedS3, d: D, others: int) -> None:
    def undo(d: D) -> None:
        log(d, "undone")
        raise Rollback

    async def main() -> None:
        found = await asyncio.gather(d.run(undo), *(d.run(log, number) for number in range(others)))
        assert found == [None, *range(others)]

    in_time(main())
    assert d == s3.stored() == {"log": list(range(others))}


def test_any_awaitable_that_a_function_returns_is_awaited(d: D) -> None:
    async def main() -> None:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        future.set_result(7)
        assert await d.run(lambda d: future) == 7

    in_time(main())


def test_a_load_that_fails_is_everybodys_error_at_once(s3: HookedS3, d: D) -> None:
    """There is one attempt to load, not one for each member."""
    asked: list[str] = []
    s3.before = lambda operation: (asked.append(operation), refuse(operation))[1]

    async def main() -> None:
        errors = await asyncio.gather(d.run(log, 1), d.run(log, 2), return_exceptions=True)
        assert [type(error) for error in errors] == [AccessDeniedError] * 2

    in_time(main())
    assert asked == ["GetObject"]


def test_after_a_load_that_fails_the_task_can_go_on(s3: HookedS3, d: D) -> None:
    async def main() -> None:
        s3.before = refuse
        with pytest.raises(AccessDeniedError):
            await d.run(log, 1)
        s3.before = lambda _: None
        await d.load()

    in_time(main())


def test_unsaved_changes_from_before_are_not_thrown_away_by_another_attempt(s3: HookedS3, d: D) -> None:
    """A conflict ends the call, as in a thread."""

    async def main() -> None:
        await d.load()
        d["before"] = 1
        s3.write("key", b'{"theirs":1}')
        with pytest.raises(ConflictError):
            await d.run(log, 1)

    in_time(main())
    assert s3.requests["PutObject"] == 1
    assert d == {"log": [], "before": 1}


def test_if_the_save_is_interrupted_the_others_are_told_that_the_outcome_is_not_known(s3: HookedS3, d: D) -> None:
    class Interrupt(BaseException):
        pass

    s3.faults.append(Interrupt())

    async def main() -> None:
        errors = await asyncio.gather(d.run(log, 1), d.run(log, 2), return_exceptions=True)
        assert [type(error) for error in errors] == [UnknownOutcomeError, Interrupt]
        await d.run(len)

    in_time(main())


def test_who_has_raised_and_is_cancelled_does_not_wait_for_the_others_save(s3: HookedS3, d: D) -> None:
    """The task has no part in that save."""
    held = Held(s3, "PutObject")

    async def main() -> None:
        raised, saves = asyncio.create_task(d.run(fail)), asyncio.create_task(d.run(log, 1))
        await held.has_arrived()
        raised.cancel()
        await asyncio.wait([raised])
        assert not saves.done()
        held.go_on()
        assert await saves == 1

    in_time(main())


def test_who_is_cancelled_during_a_save_that_meets_a_conflict_is_not_called_again(s3: HookedS3, d: D) -> None:
    held, called = Held(s3, "PutObject"), []

    def function(d: D) -> None:
        called.append(1)
        log(d, "cancelled")

    async def main() -> None:
        cancelled, last = asyncio.create_task(d.run(function)), asyncio.create_task(d.run(log, "last"))
        await held.has_arrived()
        s3.write("key", b'{"log":["theirs"]}')
        cancelled.cancel()
        await asyncio.sleep(0)
        held.go_on()
        await asyncio.wait([cancelled, last])
        assert cancelled.cancelled()

    in_time(main())
    assert called == [1]
    assert d == s3.stored() == {"log": ["theirs", "last"]}


# Turns and requests


def test_a_save_is_waited_for_however_often_its_task_is_cancelled(s3: HookedS3, d: D) -> None:
    held = Held(s3, "PutObject")

    async def block() -> None:
        async with d:
            log(d, 1)

    async def main() -> None:
        task = asyncio.create_task(block())
        await held.has_arrived()
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
            assert not task.done()
        held.go_on()
        await asyncio.wait([task])
        assert task.cancelled()
        assert not d.changed

    in_time(main())


def test_requests_see_the_context_of_the_task(s3: HookedS3, d: D) -> None:
    """botocore's hooks may use it, for example to log an id of the caller."""
    name, seen = ContextVar("name", default="nobody"), []
    s3.before = lambda _: seen.append(name.get())

    async def main() -> None:
        name.set("caller")
        await d.load()

    in_time(main())
    assert seen == ["caller"]


def test_a_task_that_ends_without_leaving_its_block_gives_its_turn_back(s3: HookedS3, d: D) -> None:
    async def enter() -> None:
        await d.__aenter__()
        log(d, "undone")

    async def main() -> None:
        await asyncio.create_task(enter())
        assert await d.run(log, "next") == "next"

    in_time(main())
    assert d == s3.stored() == {"log": ["next"]}


@pytest.fixture
def saving(s3: HookedS3, d: D) -> Iterator[tuple[Held, asyncio.Task[None]]]:
    """A task whose loop was closed while it saved, with its request, which is still in progress."""

    async def block() -> None:
        async with d:
            log(d, "saved")

    held, loop = Held(s3, "PutObject"), asyncio.new_event_loop()
    task = loop.create_task(block())
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # it is on purpose
    loop.run_until_complete(held.has_arrived())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    yield held, task
    held.go_on()


Saving = tuple[Held, asyncio.Task[None]]


def test_a_block_whose_loop_was_closed_while_it_saved_keeps_its_turn_until_it_is_saved(
    s3: HookedS3, d: D, saving: Saving
) -> None:
    held, _ = saving
    thread = InThread(lambda: d.update(thread=1))
    assert thread.is_waiting(0.05)
    held.go_on()
    thread.result()
    assert s3.stored() == {"log": ["saved"]}
    assert d == {"log": ["saved"], "thread": 1}


def test_a_coroutine_that_is_closed_while_it_saves_waits_for_the_outcome(d: D, saving: Saving) -> None:
    held, task = saving
    thread = InThread(task.get_coro().close)
    assert thread.is_waiting(0.05)
    held.go_on()
    thread.result()
    assert d == {"log": ["saved"]}
    assert not d.changed


def test_a_request_that_outlives_its_loop_ends_without_a_word(saving: Saving, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is left to be notified."""
    failed: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", failed.append)
    saving[0].go_on()
    for thread in threading.enumerate():
        if thread.name == "s3dictionary":
            thread.join(LONG_ENOUGH)
    assert not failed


@pytest.mark.parametrize("name", ["load", "save", "delete", "block", "run"])
def test_an_error_goes_when_it_is_let_go_of(s3: HookedS3, name: str) -> None:
    """No garbage collection is needed, although the error refers to frames with the dict or a body."""

    async def block(d: D) -> None:
        async with d:
            d["n"] = 1

    async def fail_once() -> tuple[weakref.ref[Any], weakref.ref[Any]]:
        d: D = AsyncS3Dict("bucket", file_name="key", client=s3)
        await d.load()
        s3.before = always_refuse
        call = {"block": partial(block, d), "run": partial(d.run, log, 1)}.get(name) or getattr(d, name)
        try:
            await call()
        except AccessDeniedError as error:
            return weakref.ref(error), weakref.ref(d)
        raise AssertionError("it hasn't failed")

    def always_refuse(operation: str) -> None:
        raise refusal(operation, 403, "AccessDenied")

    gc.disable()
    try:
        assert [gone() for gone in asyncio.run(fail_once())] == [None, None]
    finally:
        gc.enable()


def test_a_cancellation_that_came_during_a_save_goes_when_it_is_let_go_of(s3: HookedS3, d: D) -> None:
    held = Held(s3, "PutObject")

    async def save() -> weakref.ref[Any]:
        try:
            await d.save()
        except asyncio.CancelledError as cancellation:
            return weakref.ref(cancellation)
        raise AssertionError("it wasn't cancelled")

    async def main() -> weakref.ref[Any]:
        await d.load()
        task = asyncio.create_task(save())
        await held.has_arrived()
        task.cancel()
        await asyncio.sleep(0)
        held.go_on()
        return await task

    gc.disable()
    try:
        assert in_time(main())() is None
    finally:
        gc.enable()
