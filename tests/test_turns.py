"""Turns: waiting callers are served in order of arrival, and nobody blocks the others forever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from s3dictionary import _turns
from s3dictionary._memory import Memory
from s3dictionary._turns import Turn, Turns

SECONDS = 20
"""After which a test gives up on a thread."""


@pytest.fixture
def turns() -> Turns:
    return Turns(Memory())


@pytest.fixture
def never_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting threads never check for themselves, so everything depends on notifications."""
    monkeypatch.setattr(_turns, "_LOOK_AGAIN", 2 * SECONDS)


def in_thread(function: Callable[..., Any], *args: Any) -> threading.Thread:
    thread = threading.Thread(target=function, args=args, daemon=True)
    thread.start()
    return thread


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.001)


def join(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(SECONDS)
        assert not thread.is_alive(), "a thread waits for ever"


def queue_up(turns: Turns, actions: list[Callable[[], Any]]) -> list[threading.Thread]:
    """Let threads wait for their turn, one after the other."""
    threads = []
    for number, action in enumerate(actions, 1):
        threads.append(in_thread(action))
        wait_for(lambda number=number: len(turns._waiting) == number)
    return threads


@pytest.mark.usefixtures("never_by_itself")
@pytest.mark.parametrize("kind", ["step", "exclusively"])
def test_those_who_wait_are_served_in_the_order_in_which_they_came(turns: Turns, kind: str) -> None:
    """Each is notified by the previous one, whether that one updates the dict or sends a request."""
    served: list[int] = []
    act = getattr(turns, kind)
    turn = Turn()
    turns.take(turn)
    threads = queue_up(turns, [lambda number=number: act(served.append, number) for number in range(5)])
    turns.end(turn)
    join(threads)
    assert served == [0, 1, 2, 3, 4]


@pytest.mark.usefixtures("never_by_itself")
def test_one_who_comes_back_at_once_is_served_after_those_who_wait(turns: Turns) -> None:
    """A thread with one block after the other doesn't keep others from their turns."""
    served: list[str] = []
    turn = Turn()
    turns.take(turn)
    threads = queue_up(turns, [lambda: turns.exclusively(served.append, "who waited")])
    turns.end(turn)
    turns.exclusively(served.append, "who came back")
    join(threads)
    assert served == ["who waited", "who came back"]


def test_one_who_was_interrupted_when_his_turn_came_holds_nobody_up(
    turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The turn is reserved for it only for a moment."""
    monkeypatch.setattr(_turns, "_KEPT_FREE", 0.0)
    served: list[str] = []
    gone = _turns.Waiting()
    turn = Turn()
    turns.take(turn)
    turns._waiting.append(gone)  # an exception in his wait leaves him there
    turns.end(turn)
    join([in_thread(turns.step, served.append, "another")])
    assert served == ["another"]


def test_one_who_may_wait_only_so_long_is_told_that_he_waited_in_vain(turns: Turns) -> None:
    """Python's exit does that, because it doesn't wait forever for a thread's block."""
    turns.take(Turn())
    answers: list[bool] = []
    join([in_thread(lambda: answers.append(turns.take(Turn(), 0.01)))])
    assert answers == [False]


def test_who_has_the_turn_needs_not_wait_for_himself(turns: Turns) -> None:
    """Requests and updates inside the owner's block succeed, and leave the turn unchanged."""
    turn = Turn()
    turns.take(turn)
    served: list[str] = []
    turns.exclusively(served.append, "a request")
    turns.step(served.append, "an update")
    assert served == ["a request", "an update"]
    assert turns.current is turn


def test_a_request_that_fails_gives_its_turn_back(turns: Turns) -> None:
    with pytest.raises(ZeroDivisionError):
        turns.exclusively(lambda: 1 // 0)
    assert turns.current is None


def test_one_who_is_interrupted_while_waiting_keeps_nobody_waiting(turns: Turns) -> None:
    """It leaves the queue, so the turn is never reserved for it."""

    class Interrupted(BaseException):
        pass

    class Impatient(_turns.Waiting):
        def wait(self) -> None:
            raise Interrupted

    holder = Turn()
    turns.take(holder)
    patient, _turns.Waiting = _turns.Waiting, Impatient  # type: ignore[misc]
    try:
        for wait in (lambda: turns.step(list), lambda: turns.take(Turn()), lambda: turns.exclusively(list)):
            thread = in_thread(lambda wait=wait: _raises(Interrupted, wait))
            join([thread])
    finally:
        _turns.Waiting = patient  # type: ignore[misc]
    assert turns._waiting == []
    turns.end(holder)
    assert turns._next is None


def _raises(kind: type[BaseException], action: Callable[[], object]) -> None:
    with pytest.raises(kind):
        action()


def test_one_who_went_past_another_is_not_waited_for_again(turns: Turns) -> None:
    """The owner of the turn no longer waits, however it got the turn."""
    waiting, gone = _turns.Waiting(), _turns.Waiting()
    turns._waiting, turns._next = [waiting], gone
    gone._until = 0.0
    assert turns._is_free(waiting)
    assert turns._waiting == []
