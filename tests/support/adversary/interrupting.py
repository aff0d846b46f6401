"""Interrupts an operation at each of its moments, or at some of them, in a new scene each time."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from s3dictionary._collector import collector_paused
from support.adversary.moments import Kind, Moments
from support.adversary.threads import InThread
from support.stress import LONG

S = TypeVar("S")

ENOUGH = 3
"""After so many moments at which it went wrong, the rest isn't tried."""

A_MOMENT = 0.01
"""Seconds that another thread is given to do something. If it needs longer, it has to wait."""


class TimeLimit(Exception):
    """An exception that a signal handler may raise. Unlike `KeyboardInterrupt`, it is an `Exception`."""


def interrupt_at_each_moment(
    make: Callable[[], S],
    act: Callable[[S], object],
    check: Callable[[S], None],
    rng: random.Random,
    quick: int = 4,
    only: type[BaseException] | None = None,
) -> None:
    """Interrupt `act(scene)` at moments of each kind, all of them in the long form, and check each scene.

    By exceptions of all kinds, or by `only` one.
    """
    failures: list[str] = []
    for kind in Kind:
        count = _count(kind, make(), act)
        for number in _chosen(count, rng, quick):
            for error in (only,) if only else (KeyboardInterrupt, TimeLimit) if LONG else (_any_error(rng),):
                found = _interrupt(Moments(kind, number, _raising(error)), make(), act, check)
                failures += [f"by {error.__name__} {failure}" for failure in found]
                if len(failures) >= ENOUGH:
                    break
    _tell("interrupted", failures)


def step_in_at_each_moment(
    make: Callable[[], S],
    act: Callable[[S], object],
    other: Callable[[S], object],
    check: Callable[[S], None],
    rng: random.Random,
    quick: int = 4,
) -> None:
    """Let another thread call `other(scene)` at a moment of `act(scene)`. `act` may have to wait for it."""
    failures: list[str] = []
    for number in _chosen(_count(Kind.SIGNAL, make(), act), rng, quick):
        scene, threads = make(), []

        def step_in(scene: S = scene, threads: list[InThread[object]] = threads) -> None:
            threads.append(InThread(lambda: other(scene)))
            threads[0].is_waiting(A_MOMENT)

        def finish(scene: S, threads: list[InThread[object]] = threads, step_in: Callable[[], None] = step_in) -> None:
            if not threads:  # this time there were fewer moments: how many depends on the clock, too
                step_in()
            threads[0].result()
            check(scene)

        failures += _step_in(Moments(Kind.SIGNAL, number, step_in), scene, act, finish)
        if len(failures) >= ENOUGH:
            break
    _tell("another thread stepped in", failures)


def handle_at_each_moment(
    make: Callable[[], S],
    act: Callable[[S], object],
    handler: Callable[[S], object],
    check: Callable[[S], None],
    rng: random.Random,
    quick: int = 4,
) -> None:
    """Let a signal handler call `handler(scene)` at a moment of `act(scene)`, in the same thread."""
    failures: list[str] = []
    for number in _chosen(_count(Kind.SIGNAL, make(), act), rng, quick):
        scene = make()
        moments = Moments(Kind.SIGNAL, number, partial(handler, scene))

        def finish(scene: S, moments: Moments = moments) -> None:
            if moments.where is None:  # this time there were fewer moments: how many depends on the clock, too
                handler(scene)
            check(scene)

        failures += _step_in(moments, scene, act, finish)
        if len(failures) >= ENOUGH:
            break
    _tell("a signal handler stepped in", failures)


def _tell(what: str, failures: list[str]) -> None:
    if failures:
        gc.collect()  # now, or the dicts' warnings come while pytest parses sources for its report
        raise AssertionError("\n\n".join([what, *failures]))


def _count(kind: Kind, scene: S, act: Callable[[S], object]) -> int:
    with Moments(kind) as moments:
        kept = act(scene)
    del kept
    assert moments.count > 0 or kind is not Kind.SIGNAL, "nothing of the library was seen at work"
    return moments.count


def _chosen(count: int, rng: random.Random, quick: int) -> list[int]:
    numbers = range(1, count + 1)
    return list(numbers) if LONG else rng.sample(numbers, min(quick, count))


def _any_error(rng: random.Random) -> type[BaseException]:
    return rng.choice([KeyboardInterrupt, KeyboardInterrupt, TimeLimit, MemoryError])


def _raising(error: type[BaseException]) -> Callable[[], None]:
    def interrupt() -> None:
        raise error("stepped in")

    return interrupt


def _interrupt(moments: Moments, scene: S, act: Callable[[S], object], check: Callable[[S], None]) -> list[str]:
    with collector_paused():  # Python 3.10 frees a MemoryError twice if the collector runs meanwhile, and crashes
        try:
            with moments:
                kept = act(scene)  # nothing is freed while it is watched
            del kept
        except BaseException as error:  # the interrupt, or an error that the library has made of it
            if moments.where is None:
                raise
            error.__traceback__ = None
    return _failure(moments, scene, check)


def _step_in(moments: Moments, scene: S, act: Callable[[S], object], check: Callable[[S], None]) -> list[str]:
    try:
        with moments:
            kept = act(scene)
        del kept
    except Exception as error:  # noqa: BLE001  # told with its moment
        return [f"at {moments.where}: {error!r} came out of it"]
    return _failure(moments, scene, check)


def _failure(moments: Moments, scene: S, check: Callable[[S], None]) -> list[str]:
    try:
        check(scene)
    except Exception as error:  # noqa: BLE001  # told with its moment; AssertionError above all
        return [f"at {moments.where}: {type(error).__name__}: {str(error)[:600]}"]
    return []
