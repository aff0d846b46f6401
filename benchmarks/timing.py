"""Times contenders side by side, in rounds, so that a slower phase of the machine affects all of them."""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Contender = Callable[[], float]
"""Does its work once, and returns the seconds that it took."""


def wall(function: Callable[[], object], *, per: int = 1) -> Contender:
    """Measure wall-clock time, divided by `per`."""
    return _timed(function, time.perf_counter, per)


def cpu(function: Callable[[], object], *, per: int = 1) -> Contender:
    """Measure the processor time of all threads, for work that doesn't wait. Other programs hardly affect it."""
    return _timed(function, time.process_time, per)


def cpu_of_children(function: Callable[[], object]) -> Contender:
    """Measure the processor time of the processes that a function starts and waits for."""
    return _timed(function, _children, 1)


def _children() -> float:
    used = os.times()
    return used.children_user + used.children_system


def _timed(function: Callable[[], object], clock: Callable[[], float], per: int) -> Contender:
    def run() -> float:
        start = clock()
        function()
        return (clock() - start) / per

    return run


@dataclass(frozen=True)
class Times:
    """The times of one contender, one for each round."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The two quartiles. With fewer than four times, the minimum and the maximum."""
        if len(self.seconds) < 4:
            return min(self.seconds), max(self.seconds)
        first, _, third = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return first, third

    def over(self, other: Times) -> float:
        """The ratio to another contender: the median of the ratios in the rounds that both took part in."""
        return statistics.median(mine / theirs for mine, theirs in zip(self.seconds, other.seconds, strict=False))


def side_by_side(
    contenders: Mapping[str, Contender], rounds: int, *, seldom: Mapping[str, int] | None = None
) -> dict[str, Times]:
    """Run all contenders in turn, round after round, each round beginning with another one.

    Args:
        contenders: by their names. Each runs once before anything counts, unless it is to run just once.
        rounds: how many.
        seldom: those that take so long that they only take part in the first few rounds, and in how many.
    """
    gc.collect()
    gc.freeze()  # keeps existing objects out of the contenders' garbage collections
    try:
        return _rounds(contenders, rounds, seldom or {})
    finally:
        gc.unfreeze()


def _rounds(contenders: Mapping[str, Contender], rounds: int, seldom: Mapping[str, int]) -> dict[str, Times]:
    share = {name: min(rounds, seldom.get(name, rounds)) for name in contenders}
    for name, contender in contenders.items():
        if share[name] > 1:
            contender()
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            if number < share[name]:
                gc.collect()  # the next contender mustn't collect the garbage of this one
                seconds[name].append(contenders[name]())
    return {name: Times(tuple(times)) for name, times in seconds.items()}
