"""A block belongs to the thread that entered it, which leaves it, innermost first. Anything else is an error."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest

from s3dictionary import Rollback, S3Dict, TransactionError
from support.adversary.hooked_s3 import HookedS3
from support.adversary.scenes import Boom, assert_usable, assert_whole, check_invariants
from support.adversary.threads import LONG_ENOUGH, InThread, in_thread

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),  # dicts with unsaved changes are dropped on purpose
    pytest.mark.usefixtures("collected"),
]

D = S3Dict[Any, Any]


@pytest.fixture
def s3() -> HookedS3:
    return HookedS3()


# Threads --------------------------------------------------------------------------------------------------------------


def test_a_block_that_is_left_in_another_thread_locks_nobody_out(s3: HookedS3, enter: Callable[[D], Any]) -> None:
    """It succeeds, or is an error that doesn't affect the owner's block. Then everybody can continue."""
    d = s3.begin({"n": 0})
    block = enter(d)
    told: TransactionError | None = None
    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        first.submit(block.__enter__).result()
        first.submit(d.__setitem__, "n", 1).result()
        try:
            second.submit(block.__exit__, None, None, None).result()
        except TransactionError as error:
            told = error
            with suppress(TransactionError):
                first.submit(block.__exit__, None, None, None).result()
    if told is None:
        assert_whole(d, s3, {"n": 1})
    else:
        check_invariants(d)
        assert d["n"] == 1 or getattr(told, "unsaved", None) == {"n": 1}
        assert_usable(d)


def test_a_thread_with_one_block_after_the_other_lets_others_in(s3: HookedS3, enter: Callable[[D], Any]) -> None:
    """A waiting thread gets its turn between two blocks."""
    d = s3.begin({"n": 0})
    inside, stop = threading.Event(), threading.Event()

    def beat() -> None:
        while not stop.is_set():
            with enter(d):
                inside.set()
                stop.wait(0.005)

    thread = InThread(beat)
    try:
        assert inside.wait(LONG_ENOUGH)
        in_thread(lambda: d.update(n=1))
        in_thread(lambda: d.run(lambda d: d.update(m=1)))
    finally:
        stop.set()
        thread.result()
    assert_whole(d, s3, {"n": 1, "m": 1})


def test_a_thread_that_ends_in_a_block_does_not_lock_others_out_for_ever(s3: HookedS3) -> None:
    """Its `with` is in a generator that another thread finishes."""
    d = s3.begin({"n": 0})
    generators: list[Generator[None, None, None]] = []

    def in_block() -> Generator[None, None, None]:
        with d.transaction():
            d["n"] = 1
            yield

    def begins() -> None:
        generators.append(in_block())
        next(generators[0])

    in_thread(begins)
    with suppress(TransactionError):
        generators[0].close()
    check_invariants(d)
    assert_usable(d)


# Generators and context managers --------------------------------------------------------------------------------------


def test_of_two_interleaved_generators_none_undoes_or_saves_the_others_work(s3: HookedS3) -> None:
    """The one that leaves an outer block gets a `TransactionError` that carries its changes."""
    d = s3.begin({"a": 0, "b": 0})

    def job(key: str) -> Generator[None, None, None]:
        with d.transaction():
            d[key] = 1
            yield

    a, b = job("a"), job("b")
    next(a)
    next(b)
    with pytest.raises(TransactionError) as told:
        next(a)
    assert told.value.unsaved is not None or d["a"] == 1
    with suppress(StopIteration, TransactionError):
        next(b)
    check_invariants(d)
    assert_usable(d)


def test_the_garbage_collector_undoes_the_block_of_a_generator_without_an_error(
    s3: HookedS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So Python shows no error at exit, either, where it collects suspended generators."""
    d = s3.begin({"n": 0})
    errors: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", errors.append)

    def job(cycle: list[Any]) -> Generator[None, None, None]:
        with d:
            d["n"] = 1
            with d.transaction():
                yield

    cycle: list[Any] = []
    cycle.append(job(cycle))
    next(cycle[0])
    del cycle
    gc.collect()
    assert not errors
    assert_whole(d, s3, {"n": 0})


def test_what_a_generator_changes_after_its_block_was_ended_from_outside_stays(s3: HookedS3) -> None:
    """It is outside of any block, and the end of the generator's `with` statement raises an error."""
    d = s3.begin({"n": 0})

    def job() -> Generator[None, None, None]:
        with d.transaction():
            d["n"] = 1
            yield
            d["m"] = 1

    outer = d.transaction()
    outer.__enter__()
    generator = job()
    next(generator)
    with pytest.raises(TransactionError, match="before the block inside it"):
        outer.__exit__(None, None, None)
    with pytest.raises(TransactionError, match="isn't open any more"):
        next(generator)
    assert_whole(d, s3, {"n": 0, "m": 1})


def test_a_failing_generator_whose_block_is_not_innermost_leaves_a_usable_dict(s3: HookedS3) -> None:
    """Its exception propagates, and nothing of the failed block is saved."""
    d = s3.begin({"a": 0, "b": 0})

    def job(key: str) -> Generator[None, None, None]:
        with d:
            d[key] = 1
            yield

    a, b = job("a"), job("b")
    next(a)
    next(b)
    with pytest.raises((Boom, TransactionError)) as raised:
        a.throw(Boom("a fails"))
    shown = [raised.value, raised.value.__cause__, raised.value.__context__]
    assert any(isinstance(error, Boom) for error in shown)
    with suppress(StopIteration, TransactionError):
        next(b)
    check_invariants(d)
    stored = s3.stored()
    assert stored is not None
    assert stored["a"] == 0
    assert_usable(d)


def test_leaving_what_was_never_entered_is_refused(s3: HookedS3, enter: Callable[[D], Any]) -> None:
    """It has no effect, neither outside of blocks nor inside another one."""
    d = s3.begin({"n": 0})
    with pytest.raises(TransactionError):
        enter(d).__exit__(None, None, None)
    assert_whole(d, s3, {"n": 0})


def test_leaving_a_block_twice_is_refused(s3: HookedS3, enter: Callable[[D], Any]) -> None:
    """The block around it stays open."""
    d = s3.begin({"n": 0})
    with suppress(Boom), d.transaction():
        d["n"] = 1
        block = enter(d)
        block.__enter__()
        block.__exit__(None, None, None)
        with d.transaction():
            d["n"] = 2
        raise Boom
    with pytest.raises(TransactionError):
        block.__exit__(None, None, None)
    assert_whole(d, s3, {"n": 0})


def test_an_exit_stack_leaves_its_blocks_in_order(s3: HookedS3) -> None:
    """A later failure undoes blocks of several kinds and several dicts in one stack."""
    d, other = s3.begin({"n": 0}), HookedS3().begin({"n": 0})
    with pytest.raises(Boom), ExitStack() as stack:
        stack.enter_context(d)
        stack.enter_context(other.transaction())
        stack.enter_context(d.transaction())
        d["n"] = other["n"] = 1
        raise Boom
    assert_whole(d, s3, {"n": 0})
    assert dict(other) == {"n": 0}
    with ExitStack() as stack:
        for block in (d, d.transaction(), d):
            stack.enter_context(block)
        d["n"] = 1
    assert_whole(d, s3, {"n": 1})


@pytest.mark.parametrize("error", [None, Boom, Rollback, GeneratorExit, KeyboardInterrupt])
def test_a_block_inside_a_context_manager_made_of_a_generator(s3: HookedS3, error: type[BaseException] | None) -> None:
    """It is committed or undone as a plain `with` in its place would be."""
    d = s3.begin({"n": 0})

    @contextmanager
    def locked() -> Iterator[D]:
        with d as inside:
            yield inside

    with suppress(*([error] if error else [])), locked() as inside:
        inside["n"] = 1
        if error:
            raise error
    assert_whole(d, s3, {"n": 0 if error else 1})


def test_a_fixture_like_generator_may_hold_a_block_over_others(s3: HookedS3) -> None:
    """The generator begins, the program has its own blocks, and then the generator ends and commits."""
    d = s3.begin({"n": 0})

    def fixture() -> Iterator[D]:
        with d:
            d["fixture"] = 1
            yield d

    generator = fixture()
    given = next(generator)
    with given.transaction():
        given["test"] = 1
    with suppress(Boom), given.transaction():
        given["failed"] = 1
        raise Boom
    assert next(generator, None) is None
    assert s3.stored() == {"n": 0, "fixture": 1, "test": 1}
    assert_whole(d, s3, {"n": 0, "fixture": 1, "test": 1})


def test_a_generator_that_is_dropped_in_its_block_is_undone(s3: HookedS3) -> None:
    """It can never continue."""
    d = s3.begin({"n": 0})

    def job() -> Iterator[None]:
        with d.transaction():
            d["n"] = 1
            yield

    generator = job()
    next(generator)
    del generator
    gc.collect()
    assert_whole(d, s3, {"n": 0})
