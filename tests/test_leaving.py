"""A block ends when its `with` statement ends, even if Ctrl-C prevents its `__exit__`, and not before."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any

import pytest

from s3dictionary import AccessDeniedError, S3Dict, TransactionError
from s3dictionary._blocks import Blocks
from support.adversary.hooked_s3 import HookedS3
from support.adversary.moments import interrupt_begin_of_exit
from support.adversary.scenes import Boom, assert_whole
from support.adversary.threads import InThread, in_thread
from support.memory_s3 import refusal

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),  # dicts with unsaved changes are dropped on purpose
    pytest.mark.usefixtures("collected"),
]

D = S3Dict[Any, Any]
Enter = Callable[[D], AbstractContextManager[D]]


@pytest.fixture
def s3() -> HookedS3:
    return HookedS3()


@pytest.fixture
def interrupted() -> Iterator[None]:
    yield
    sys.setprofile(None)


# Interrupts -----------------------------------------------------------------------------------------------------------


def test_ctrl_c_as_a_block_begins_to_be_left_undoes_it(s3: HookedS3, enter: Enter, interrupted: None) -> None:
    """The dict is as before the block, and free for others, while the exception is still being handled."""
    d = s3.begin({"n": 0})
    try:
        with enter(d):
            d["n"] = 1
            interrupt_begin_of_exit()
    except KeyboardInterrupt:
        assert_whole(d, s3, {"n": 0})
    else:
        pytest.fail("there was no interrupt")


def test_ctrl_c_as_a_failing_block_begins_to_be_left_undoes_it(s3: HookedS3, enter: Enter, interrupted: None) -> None:
    d = s3.begin({"list": [0]})
    held = d["list"]
    with pytest.raises(KeyboardInterrupt), enter(d):
        held.append(1)
        interrupt_begin_of_exit()
        raise Boom
    assert_whole(d, s3, {"list": [0]})
    assert d["list"] is held


def test_ctrl_c_as_an_inner_block_begins_to_be_left_undoes_both(s3: HookedS3, enter: Enter, interrupted: None) -> None:
    """The KeyboardInterrupt propagates."""
    d = s3.begin({"n": 0})
    with pytest.raises(KeyboardInterrupt), enter(d):
        d["outer"] = 1
        with enter(d):
            d["n"] = 1
            interrupt_begin_of_exit()
    assert_whole(d, s3, {"n": 0})


def test_an_outer_block_goes_on_after_ctrl_c_in_an_inner_one(s3: HookedS3, enter: Enter, interrupted: None) -> None:
    """Only the inner block is undone."""
    d = s3.begin({"n": 0})
    with enter(d):
        d["outer"] = 1
        with suppress(KeyboardInterrupt), enter(d):
            d["n"] = 1
            interrupt_begin_of_exit()
        assert d == {"n": 0, "outer": 1}
        d["later"] = 1
    assert_whole(d, s3, {"n": 0, "outer": 1, "later": 1})


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the second interrupt
def test_a_second_ctrl_c_while_a_block_is_undone_leaves_it_to_the_next_one(
    s3: HookedS3, enter: Enter, interrupted: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next caller that wants to change the dict finds that nothing can leave the block any more."""

    def abandon(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Blocks, "abandon", abandon)
    d = s3.begin({"n": 0})
    with pytest.raises(KeyboardInterrupt), enter(d):
        d["n"] = 1
        interrupt_begin_of_exit()
    InThread(lambda: d.update(later=1)).result()
    assert_whole(d, s3, {"n": 0, "later": 1})


def test_ctrl_c_goes_on_where_an_inner_block_was_entered_by_hand(s3: HookedS3) -> None:
    """Nothing has left the inner block. The outer one is undone, and `.unsaved` has the content."""
    d = s3.begin({"n": 0})
    inner = d.transaction()
    with pytest.raises(KeyboardInterrupt) as raised, d:
        inner.__enter__()
        d["n"] = 1
        raise KeyboardInterrupt
    assert raised.value.unsaved == {"n": 1}  # type: ignore[attr-defined]
    assert_whole(d, s3, {"n": 0})


def test_a_transaction_that_was_entered_by_hand_ends_with_its_last_reference(s3: HookedS3) -> None:
    d = s3.begin({"n": 0})
    transaction = d.transaction()
    transaction.__enter__()
    d["n"] = 1
    del transaction
    assert_whole(d, s3, {"n": 0})


def test_a_block_that_is_left_by_hand_is_undone_if_its_save_fails(s3: HookedS3) -> None:
    d = s3.begin({"n": 0})

    def refuse() -> None:
        raise refusal("PutObject", 403, "AccessDenied")

    d.__enter__()
    d["n"] = 1
    s3.once("PutObject", refuse)
    with pytest.raises(AccessDeniedError):
        d.__exit__(None, None, None)
    assert_whole(d, s3, {"n": 0})


# What is alive --------------------------------------------------------------------------------------------------------


class OwnEnter(S3Dict[Any, Any]):
    def __enter__(self) -> Any:
        return super().__enter__()


class OwnExit(S3Dict[Any, Any]):
    def __exit__(self, *error: Any) -> bool:
        return super().__exit__(*error)


def in_a_statement(block: Any, work: Callable[[], None]) -> None:
    with block:
        work()


def in_an_exit_stack(block: Any, work: Callable[[], None]) -> None:
    with ExitStack() as stack:
        stack.enter_context(block)
        work()


def in_a_stack_that_is_handed_on(block: Any, work: Callable[[], None]) -> None:
    with ExitStack() as stack:
        stack.enter_context(block)
        later = stack.pop_all()
    work()
    later.close()


def in_a_generator(block: Any, work: Callable[[], None]) -> None:
    def generator() -> Iterator[None]:
        with block:
            yield

    generated = generator()
    next(generated)
    work()
    assert next(generated, "ended") == "ended"


def in_a_context_manager(block: Any, work: Callable[[], None]) -> None:
    @contextmanager
    def manager() -> Iterator[None]:
        with block:
            yield

    with manager():
        work()


def in_a_coroutine(block: Any, work: Callable[[], None]) -> None:
    @asynccontextmanager
    async def manager() -> AsyncIterator[None]:
        with block:
            yield

    async def main() -> None:
        async with manager():
            await asyncio.sleep(0)
            work()

    asyncio.run(main())


def by_hand(block: Any, work: Callable[[], None]) -> None:
    def begin() -> None:
        block.__enter__()

    def end() -> None:
        block.__exit__(None, None, None)

    begin()
    work()
    end()


def by_hand_with_exit_looked_up_first(block: Any, work: Callable[[], None]) -> None:
    def begin() -> None:
        leave = block.__exit__
        block.__enter__()
        assert callable(leave)

    begin()
    work()
    block.__exit__(None, None, None)


def by_the_class(block: Any, work: Callable[[], None]) -> None:
    kind = type(block)
    kind.__enter__(block)
    work()
    kind.__exit__(block, None, None, None)


WAYS = [
    in_a_statement,
    in_an_exit_stack,
    in_a_stack_that_is_handed_on,
    in_a_generator,
    in_a_context_manager,
    in_a_coroutine,
    by_hand,
    by_hand_with_exit_looked_up_first,
    by_the_class,
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", [S3Dict, OwnEnter, OwnExit])
def test_a_block_that_can_still_be_left_is_not_undone(s3: HookedS3, enter: Enter, way: Any, kind: Any) -> None:
    """This holds however the block was entered, and even if another thread waits for its end."""
    s3.open(data={"n": 0}).save()
    d = kind("bucket", file_name="key", client=s3)
    threads: list[InThread[None]] = []

    def work() -> None:
        d["n"] = 1
        threads.append(InThread(lambda: d.update(thread=1)))
        assert threads[0].is_waiting(0.005)
        gc.collect()
        d["m"] = 1

    way(enter(d), work)
    threads[0].result()
    assert_whole(d, s3, {"n": 1, "m": 1, "thread": 1})


def test_a_transaction_as_a_decorator_lasts_as_long_as_the_call(s3: HookedS3) -> None:
    d = s3.begin({"n": 0})

    @d.transaction()
    def work() -> None:
        d["n"] = 1
        gc.collect()

    work()
    assert_whole(d, s3, {"n": 1})


def test_what_a_statement_has_entered_is_left_by_the_statement_alone(s3: HookedS3, enter: Enter) -> None:
    """A direct call of `__exit__` inside it is refused, and the block continues."""
    d = s3.begin({"n": 0})
    block = enter(d)
    with block:
        d["n"] = 1
        with pytest.raises(TransactionError):
            block.__exit__(None, None, None)
        d["m"] = 1
    assert_whole(d, s3, {"n": 1, "m": 1})


def test_another_thread_cannot_leave_by_hand_what_its_owner_is_in(s3: HookedS3, enter: Enter) -> None:
    """The call is refused, and the block continues."""
    d = s3.begin({"n": 0})
    block = enter(d)
    block.__enter__()
    d["n"] = 1
    with pytest.raises(TransactionError, match="still inside it"):
        in_thread(lambda: block.__exit__(None, None, None))
    d["m"] = 1
    block.__exit__(None, None, None)
    assert_whole(d, s3, {"n": 1, "m": 1})


@pytest.mark.parametrize("padding", range(16))
def test_a_block_entered_by_hand_inside_a_statement_is_one_of_its_own(s3: HookedS3, padding: int) -> None:
    """Wherever in its function that is: also where the statement enters its own."""
    names: dict[str, Any] = {}
    lines = ["def enter(d):", *["    1 if d else 0"] * padding, "    d.__enter__()"]
    exec("\n".join(lines), names)
    d = s3.begin({"n": 0})
    with d:
        names["enter"](d)
        assert len(set(map(id, d._blocks.open))) == 2
        d["n"] = 1
        d.__exit__(None, None, None)
    assert_whole(d, s3, {"n": 1})


def test_one_transaction_object_may_be_entered_in_itself(s3: HookedS3) -> None:
    """Each `with` leaves the block that it has entered."""
    d = s3.begin({"n": 0})
    transaction = d.transaction()
    with transaction:
        d["n"] = 1
        with suppress(Boom), transaction:
            d["m"] = 1
            raise Boom
    assert_whole(d, s3, {"n": 1})
