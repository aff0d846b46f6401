"""In asyncio, a block belongs to the task that entered it. Other tasks of the thread are refused; threads wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from s3dictionary import S3Dict, TransactionError
from support.adversary.hooked_s3 import HookedS3
from support.adversary.scenes import assert_whole
from support.adversary.threads import InThread

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),  # dicts with unsaved changes are dropped on purpose
    pytest.mark.usefixtures("collected"),
]

D = S3Dict[Any, Any]


@pytest.fixture
def s3() -> HookedS3:
    return HookedS3()


REFUSED_TO_TASKS: dict[str, Callable[[D], Any]] = {
    "a with block": lambda d: d.__enter__(),
    "a transaction": lambda d: d.transaction().__enter__(),
    "setting an item": lambda d: d.__setitem__("b", 1),
    "deleting an item": lambda d: d.__delitem__("a"),
    "pop": lambda d: d.pop("a"),
    "popitem": lambda d: d.popitem(),
    "update": lambda d: d.update(b=1),
    "clear": lambda d: d.clear(),
    "setdefault": lambda d: d.setdefault("b", 1),
    "data": lambda d: setattr(d, "data", {}),
    "save": lambda d: d.save(),
    "load": lambda d: d.load(),
    "delete": lambda d: d.delete(),
    "run": lambda d: d.run(lambda d: d.update(b=1)),
}


@pytest.mark.parametrize("what", REFUSED_TO_TASKS)
@pytest.mark.parametrize("autosave", [False, True])
def test_another_task_is_refused_while_one_has_a_block(
    s3: HookedS3, enter: Callable[[D], Any], what: str, autosave: bool
) -> None:
    """It gets a `TransactionError`, nothing changes, and the block continues."""
    d = s3.begin({"a": 0}, autosave=autosave)

    async def first(inside: asyncio.Event, refused: asyncio.Event) -> None:
        with enter(d):
            d["a"] = 1
            inside.set()
            await refused.wait()
            assert dict(d) == {"a": 1}
            d["c"] = 1

    async def second(inside: asyncio.Event, refused: asyncio.Event) -> None:
        await inside.wait()
        try:
            with pytest.raises(TransactionError):
                REFUSED_TO_TASKS[what](d)
        finally:
            refused.set()

    async def main() -> None:
        events = asyncio.Event(), asyncio.Event()
        await asyncio.gather(first(*events), second(*events))

    asyncio.run(main())
    assert_whole(d, s3, {"a": 1, "c": 1})


def test_the_refusal_of_a_task_says_what_to_do(s3: HookedS3) -> None:
    """It says to await only in blocks of an `AsyncS3Dict`."""
    d = s3.begin({"a": 0})

    async def main() -> None:
        with d, pytest.raises(TransactionError, match="use AsyncS3Dict"):
            await asyncio.create_task(other())

    async def other() -> None:
        d["a"] = 1

    asyncio.run(main())


def test_another_task_may_read_while_one_has_a_block(s3: HookedS3, enter: Callable[[D], Any]) -> None:
    """Reads never wait, and are never refused."""
    d = s3.begin({"a": [0]})

    async def reader() -> None:
        assert d["a"] == [1]
        assert list(d.items()) == [("a", [1])]
        assert "a" in d
        assert repr(d) == "{'a': [1]}"
        assert d.get("b") is None

    async def main() -> None:
        with enter(d):
            d["a"][0] = 1
            await asyncio.create_task(reader())

    asyncio.run(main())
    assert_whole(d, s3, {"a": [1]})


def test_a_refused_task_does_not_undo_anothers_block(s3: HookedS3, enter: Callable[[D], Any]) -> None:
    """Its `with` isn't entered, so it isn't left either."""
    d = s3.begin({"n": 0})
    turns: list[str] = []

    async def one() -> None:
        with enter(d):
            d["one"] = 1
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            turns.append("one has left")

    async def two() -> None:
        with suppress(TransactionError), enter(d):
            turns.append("two got in")
        turns.append("two was refused")

    async def main() -> None:
        await asyncio.gather(one(), two())

    asyncio.run(main())
    assert turns == ["two was refused", "one has left"]
    assert_whole(d, s3, {"n": 0, "one": 1})


def test_another_task_cannot_leave_by_hand_what_its_owner_is_in(s3: HookedS3) -> None:
    """It is refused, and the block goes on."""
    d = s3.begin({"n": 0})

    async def own(inside: asyncio.Event, end: asyncio.Event) -> None:
        d.__enter__()
        d["n"] = 1
        inside.set()
        await end.wait()
        d.__exit__(None, None, None)

    async def main() -> None:
        inside, end = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(own(inside, end))
        await inside.wait()
        with pytest.raises(TransactionError, match="still inside it"):
            d.__exit__(None, None, None)
        end.set()
        await task

    asyncio.run(main())
    assert_whole(d, s3, {"n": 1})


def test_a_block_that_its_task_has_not_left_by_hand_is_undone_by_one_who_leaves_it(s3: HookedS3) -> None:
    d = s3.begin({"n": 0})

    async def enter() -> None:
        d.__enter__()
        d["n"] = 1

    async def main() -> None:
        await asyncio.create_task(enter())
        with pytest.raises(TransactionError, match="by a thread or task other than the one that entered it"):
            d.__exit__(None, None, None)

    asyncio.run(main())
    assert_whole(d, s3, {"n": 0})


def test_a_cancelled_task_gives_its_block_back(s3: HookedS3, enter: Callable[[D], Any]) -> None:
    """Its changes are undone, and the next task gets the dict."""
    d = s3.begin({"n": 0})

    async def stays(inside: asyncio.Event) -> None:
        with enter(d):
            d["n"] = 1
            inside.set()
            await asyncio.Event().wait()

    async def main() -> None:
        inside = asyncio.Event()
        task = asyncio.create_task(stays(inside))
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with enter(d):
            d["next"] = 1

    asyncio.run(main())
    assert_whole(d, s3, {"n": 0, "next": 1})


def test_a_block_of_a_task_is_not_that_of_the_code_outside_the_loop(s3: HookedS3) -> None:
    """Without a task, the thread is refused while the block is open, and accepted after the task's end."""
    d = s3.begin({"n": 0})

    async def stays(inside: asyncio.Event, end: asyncio.Event) -> None:
        with d.transaction():
            d["n"] = 1
            inside.set()
            await end.wait()

    loop = asyncio.new_event_loop()
    try:
        inside, end = asyncio.Event(), asyncio.Event()
        task = loop.create_task(stays(inside, end))
        loop.run_until_complete(inside.wait())
        with pytest.raises(TransactionError):
            d["outside"] = 1
        assert dict(d) == {"n": 1}
        end.set()
        loop.run_until_complete(task)
    finally:
        loop.close()
    assert_whole(d, s3, {"n": 1})


def test_a_thread_waits_for_a_tasks_block(s3: HookedS3, enter: Callable[[D], Any]) -> None:
    """Another thread can wait without blocking the loop, so its update isn't lost."""
    d = s3.begin({"n": 0})

    async def main() -> InThread[None]:
        with enter(d):
            thread = InThread(lambda: d.update(thread=1))
            d["n"] = 1
            await asyncio.sleep(0)
            assert thread.is_waiting(0.01)
            assert "thread" not in d
        return thread

    asyncio.run(main()).result()
    assert_whole(d, s3, {"n": 1, "thread": 1})


def test_an_async_context_manager_around_a_block_is_one_task(s3: HookedS3) -> None:
    """The same task enters and leaves it, with awaits in between."""
    d = s3.begin({"n": 0})

    @asynccontextmanager
    async def locked() -> AsyncIterator[D]:
        with d as inside:
            yield inside

    async def main() -> None:
        async with locked() as inside:
            await asyncio.sleep(0)
            inside["n"] = 1

    asyncio.run(main())
    assert_whole(d, s3, {"n": 1})
