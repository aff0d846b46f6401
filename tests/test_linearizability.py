"""The checker itself accepts the possible histories of one register, and no others."""

from __future__ import annotations

import random
from itertools import permutations

import pytest

from support.linearizability import NOTHING, UNKNOWN, Operation, is_linearizable
from support.stress import seeded, times


def read(began: float, ended: float, saw: object) -> Operation:
    return Operation(began, ended, saw=saw)


def write(began: float, ended: float, wrote: object) -> Operation:
    return Operation(began, ended, wrote=wrote)


def swap(began: float, ended: float, saw: object, wrote: object) -> Operation:
    return Operation(began, ended, saw, wrote)


@pytest.mark.parametrize(
    "history",
    [
        [],
        [read(0, 1, None)],
        [write(0, 1, 1), read(2, 3, 1)],
        [write(0, 3, 1), read(1, 2, 1)],
        [write(0, 3, 1), read(1, 2, None)],
        [write(0, 9, 1), read(1, 2, None), read(3, 4, 1)],
        [write(0, 5, 1), write(1, 6, 2), read(7, 8, 1)],
        [swap(0, 5, None, 1), swap(1, 6, 1, 2), read(7, 8, 2)],
        [write(0, UNKNOWN, 1), read(5, 6, None)],
        [write(0, UNKNOWN, 1), read(5, 6, None), read(7, 8, 1)],
        [write(0, UNKNOWN, 1), write(2, 3, 2), read(4, 5, 2), read(6, 7, 1)],
        [swap(0, UNKNOWN, None, 1), swap(2, 3, 1, 2)],
    ],
)
def test_what_a_register_can_have_answered_is_linearizable(history: list[Operation]) -> None:
    assert is_linearizable(history)


@pytest.mark.parametrize(
    ("what", "history"),
    [
        ("a value that nobody wrote", [read(0, 1, 1)]),
        ("a read of what was overwritten", [write(0, 1, 1), write(2, 3, 2), read(4, 5, 1)]),
        ("a write that is lost", [write(0, 1, 1), read(2, 3, None)]),
        ("a read from the future", [read(0, 1, 1), write(2, 3, 1)]),
        ("new, then old", [write(0, 9, 1), read(1, 2, 1), read(3, 4, None)]),
        ("two see two orders", [write(0, 9, 1), write(0, 9, 2), *(read(n, n, n % 2 + 1) for n in (10, 11))]),
        ("a lost update", [swap(0, 2, None, 1), swap(1, 3, None, 2)]),
        ("an unknown write before it began", [read(0, 1, 1), write(2, UNKNOWN, 1)]),
        ("an unknown write that is undone", [write(0, UNKNOWN, 1), read(1, 2, 1), read(3, 4, None)]),
        (
            "an unknown write that took effect twice",
            [write(0, UNKNOWN, 1), read(1, 2, 1), write(3, 4, 2), read(5, 6, 2), read(7, 8, 1)],
        ),
        ("a swap of what isn't there", [write(0, 1, 1), swap(2, 3, None, 2)]),
    ],
)
def test_what_it_cannot_have_answered_is_not(what: str, history: list[Operation]) -> None:
    assert not is_linearizable(history), what


def by_brute_force(history: list[Operation]) -> bool:
    """Try every order of all operations."""
    return any(_explains(order) for order in permutations(history))


def _explains(order: tuple[Operation, ...]) -> bool:
    value: object = 0
    for place, operation in enumerate(order):
        if any(later.ended < operation.began for later in order[place + 1 :]):
            return False
        if operation.saw not in (NOTHING, value):
            return False
        value = value if operation.wrote is NOTHING else operation.wrote
    return True


def some_history(rng: random.Random) -> list[Operation]:
    """A random history with few values, so that about half of them are linearizable."""
    history = []
    for _ in range(rng.randint(1, 6)):
        began = rng.randint(0, 9)
        saw, wrote = rng.choice([(rng.randint(0, 2), NOTHING), (NOTHING, rng.randint(0, 2)), (0, 1), (1, 2)])
        history.append(Operation(began, began + rng.randint(1, 6), saw, wrote))
    return history


def test_it_agrees_with_brute_force() -> None:
    rng = seeded()
    verdicts = []
    for _ in range(times(300, 20_000)):
        history = some_history(rng)
        verdicts.append(is_linearizable(history, 0))
        assert verdicts[-1] == by_brute_force(history), history
    assert 0.2 < sum(verdicts) / len(verdicts) < 0.8


def atomic_history(rng: random.Random, writers: int, count: int) -> list[Operation]:
    """The history of `writers` that use a correct register one operation at a time."""
    value: int = 0
    free_at = [0.0] * writers
    history = []
    for moment in range(1, count + 1):  # at which the operation takes effect
        writer = rng.choice([number for number in range(writers) if free_at[number] < moment] or [0])
        began = max(free_at[writer], moment - rng.uniform(0, 5))
        if began >= moment:
            continue
        free_at[writer] = ended = moment + rng.uniform(0, 5)
        saw = value if rng.random() < 0.5 else NOTHING
        wrote = moment if saw is NOTHING or rng.random() < 0.5 else NOTHING
        value = value if wrote is NOTHING else moment
        history.append(Operation(began, ended, saw, wrote))
    return history


def test_long_histories_of_a_register_that_works_are_linearizable() -> None:
    rng = seeded()
    for _ in range(times(5, 50)):
        assert is_linearizable(atomic_history(rng, 8, 300), 0)


def test_in_a_long_history_one_lost_write_is_found() -> None:
    """Its value was seen and later replaced by an older one, with no write in between."""
    rng = seeded()
    for _ in range(times(5, 50)):
        history = atomic_history(rng, 8, 300)
        end = max(operation.ended for operation in history)
        lost = [Operation(end + 1, end + 2, wrote=-1), Operation(end + 3, end + 4, saw=0)]
        assert not is_linearizable([*history, *lost], 0)
