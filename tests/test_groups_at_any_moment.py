"""Group commit, with one of its threads interrupted at any moment of what it does for the group.

The quick form tries some moments, chosen at random; `S3DICT_STRESS=1` tries all of them.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from s3dictionary import S3Dict, UnknownOutcomeError
from support.adversary.crowd import in_one_group
from support.adversary.hooked_s3 import HookedS3
from support.adversary.interrupting import TimeLimit
from support.adversary.moments import Kind, Moments
from support.adversary.scenes import Boom, assert_usable, check_invariants
from support.adversary.threads import InThread
from support.stress import LONG, TIME_LIMIT, seeded

pytestmark = [
    pytest.mark.timeout(TIME_LIMIT),
    pytest.mark.filterwarnings("ignore::UserWarning"),  # dicts with unsaved changes are dropped on purpose
]

D = S3Dict[Any, Any]
MODULES = ("_groups", "_runs", "_blocks", "_turns")
MEMBERS = ("first", "fails", "second", "third")


@pytest.fixture(autouse=True)
def _collect_while_warnings_are_ignored() -> Iterator[None]:
    yield
    gc.collect()


class Crowd:
    """Four calls of `run` in one group, one of which raises. Another program writes before the first save."""

    def __init__(self, watched: str, moments: Moments, *, conflict: bool) -> None:
        self.s3 = HookedS3()
        self.d: D = self.s3.begin({})
        with self.d:  # so that the group has to load
            pass
        if conflict:
            self.s3.before = self._write_first
        self._watched, self._moments = watched, moments
        self.outcomes = {name: self._outcome(thread) for name, thread in self._threads()}

    def _write_first(self, operation: str) -> None:
        if operation == "PutObject":
            self.s3.before = lambda _: None
            self.s3.write("key", b'{"theirs":1}')

    def _threads(self) -> Iterator[tuple[str, InThread[Any]]]:
        threads = in_one_group(self.d, [partial(self._call, name) for name in MEMBERS])
        yield from zip(MEMBERS, threads, strict=True)

    def _call(self, name: str) -> object:
        if name != self._watched:
            return self.d.run(self._count, name)
        with self._moments:
            return self.d.run(self._count, name)

    @staticmethod
    def _count(d: D, name: str) -> str:
        d[name] = d.get(name, 0) + 1
        if name == "fails":
            raise Boom
        return name

    @staticmethod
    def _outcome(thread: InThread[Any]) -> Any:
        try:
            return thread.result()
        except (KeyboardInterrupt, TimeLimit, UnknownOutcomeError, Boom) as error:
            return type(error)

    def check(self) -> None:
        """Nobody waits forever. A change that was reported as saved is in the file once, and one that failed isn't."""
        check_invariants(self.d)
        stored = self.s3.stored() or {}
        stored.pop("theirs", None)
        assert set(stored.values()) <= {1}, stored
        for name, outcome in self.outcomes.items():
            if outcome == name:
                assert name in stored, f"{name} was told that it is saved: {stored}"
            elif outcome is Boom:
                assert name not in stored, f"{name} has failed: {stored}"
            else:
                assert name == self._watched or outcome in (UnknownOutcomeError, TimeLimit), self.outcomes
        assert_usable(self.d)
        self.d.load()
        assert self.d.run(self._count, "later") == "later"


@pytest.mark.parametrize("conflict", [False, True])
@pytest.mark.parametrize("watched", MEMBERS)
def test_whoever_is_interrupted_strands_nobody_and_nothing_is_saved_twice(watched: str, conflict: bool) -> None:
    """It is the first, which loads; one whose function raises; one in between; or the last, which saves."""
    rng, failures = seeded(), []
    for kind in Kind if LONG else [rng.choice(list(Kind))]:
        counting = Moments(kind, modules=MODULES)
        Crowd(watched, counting, conflict=conflict).check()
        numbers = range(1, counting.count + 1)
        for number in numbers if LONG else rng.sample(numbers, min(5, len(numbers))):
            error = rng.choice([KeyboardInterrupt, TimeLimit])
            moments = Moments(kind, number, _raising(error), MODULES)
            try:
                Crowd(watched, moments, conflict=conflict).check()
            except AssertionError as failure:
                failures.append(f"{error.__name__} at {moments.where}: {failure}")
    assert not failures, "\n\n".join(failures[:5])


def _raising(error: type[BaseException]) -> Callable[[], None]:
    def interrupt() -> None:
        raise error

    return interrupt
