"""Random tasks of one `AsyncS3Dict`, cancelled and failing at any await, against what each of them was told.

Each update appends a token to a log, and writes it under a key of its own. So the log, when it is replayed, gives the
keys; and each version of the file must continue the log of the one before. Worker threads, too, go on only when they
are told to, so Hypothesis can repeat what it finds.

`S3DICT_EXAMPLES=5000` looks longer.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from itertools import repeat
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from s3dictionary import (
    AsyncS3Dict,
    NotStorableError,
    Rollback,
    S3Dict,
    StorageError,
    TransactionError,
    UnknownOutcomeError,
    _groups,
    _loads,
    _tasks,
)
from support.adversary.hooked_s3 import HookedS3
from support.adversary.scenes import Boom
from support.adversary.threads import LONG_ENOUGH
from support.adversary.worker_threads import Workers
from support.memory_s3 import refusal
from support.stress import TIME_LIMIT, times

pytestmark = pytest.mark.timeout(TIME_LIMIT)

EXAMPLES = int(os.environ.get("S3DICT_EXAMPLES") or times(40, 4000))
TASKS = 4
LONG = 30
"""Rounds of the event loop in which everything comes to a stop that can go on without an answer."""

FEW = st.integers(0, LONG // 5)
KEYS = st.sampled_from(["a", "b"])
ENDINGS = st.sampled_from(["returns", "returns", "returns", "boom", "rolls back", "unstorable"])

D = AsyncS3Dict[str, Any]


class Update:
    """An update, and what has become of it.

    Attributes:
        token: what it adds. Its first letter is the key.
        ending: how its function ends.
        is_kept: a checkpoint has saved it.
        fate: "open" while its task is at it or the outcome isn't known, "saved", "undone", or "in memory" if it was
            neither saved nor undone.
    """

    def __init__(self, token: str, ending: str = "returns") -> None:
        self.token = token
        self.ending = ending
        self.is_kept = False
        self.fate = "open"
        self._go: asyncio.Future[None] | None = None

    async def wait(self) -> None:
        """Wait in the middle, until somebody says that it may go on."""
        self._go = asyncio.get_running_loop().create_future()
        await self._go

    @property
    def is_waiting(self) -> bool:
        return self._go is not None and not self._go.done()

    def go_on(self) -> None:
        assert self._go is not None
        self._go.set_result(None)

    def begin(self, d: Any) -> None:
        d.setdefault("log", []).append(self.token)

    def end(self, d: Any) -> None:
        d[self.token[0]] = self.token
        if self.ending == "unstorable":
            d["unstorable"] = object()
        if self.ending == "boom":
            raise Boom
        if self.ending == "rolls back":
            raise Rollback

    def at_once(self, d: Any) -> None:
        self.begin(d)
        self.end(d)

    async def slowly(self, d: D) -> None:
        self.begin(d)
        await self.wait()
        with d.transaction():
            d[self.token[0]] = "undone"
            await asyncio.sleep(0)
            raise Rollback
        self.end(d)

    async def in_block(self, d: D) -> None:
        async with d:
            await self.slowly(d)

    async def with_checkpoint(self, d: D) -> None:
        async with d:
            self.begin(d)
            d[self.token[0]] = self.token
            await d.save()
            self.is_kept = True
            await self.wait()
            self.end(d)


class TasksMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.workers = Workers()
        self.replaced = (_tasks.threading, _groups.backoff, _loads._JUST_LOADED)
        _tasks.threading = self.workers.threading
        _groups.backoff = lambda: repeat(0.0)
        _loads._JUST_LOADED = 0.0
        self.loop = asyncio.new_event_loop()
        self.s3 = HookedS3()
        self.s3.before = lambda operation: self.workers.stop_at(f"before {operation}")
        self.s3.after = lambda operation: self.workers.stop_at(f"after {operation}")
        self.d: D = AsyncS3Dict("bucket", file_name="key", client=self.s3)
        self.tasks: dict[asyncio.Task[Any], Callable[[asyncio.Task[Any]], None]] = {}
        self.updates: list[Update] = []
        self.in_memory: list[Update] = []
        self.seen: dict[str, Any] = {}
        """The file as it was last seen; nothing while there is none."""
        self.ever: set[str] = set()
        """The tokens that were in a version of the file."""

    def teardown(self) -> None:
        try:
            self.let_all_end()
        finally:
            _tasks.threading, _groups.backoff, _loads._JUST_LOADED = self.replaced
        self.loop.run_until_complete(asyncio.wait_for(self.d.load(), LONG_ENOUGH))  # unsaved changes go
        assert dict(self.d) == (self.stored() or {})
        self.loop.close()

    def let_all_end(self) -> None:
        """Nobody waits for ever, and the dict can be used again."""
        for _ in range(100):
            self.run_loop(LONG)
            if not self.tasks:
                break
            for update in self.updates:
                if update.is_waiting:
                    update.go_on()
            for worker in list(self.workers.waiting):
                worker.go_on()
                self.look_at_file()
        assert not self.tasks, "a task waits for ever"
        self.check()

    def check(self) -> None:
        """Assert the invariants inside, between tasks."""
        if self.d._is_loaded:
            self.d._check()
        else:
            self.d._runs.check()

    # The event loop

    def run_loop(self, rounds: int) -> None:
        for _ in range(rounds):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
        for task in [task for task in self.tasks if task.done()]:
            self.tasks.pop(task)(task)

    def begin(self, work: Coroutine[Any, Any, Any], told: Callable[[asyncio.Task[Any]], None]) -> None:
        self.tasks[self.loop.create_task(work)] = told

    @property
    def is_free(self) -> bool:
        return not self.tasks and not self.workers.waiting

    # What tasks do

    def new_update(self, key: str, ending: str = "returns") -> Update:
        update = Update(f"{key}{len(self.updates)}", ending)
        self.updates.append(update)
        return update

    def begin_update(self, update: Update, work: Coroutine[Any, Any, Any]) -> None:
        self.begin(work, lambda task: self.told(update, task))

    @precondition(lambda self: len(self.tasks) < TASKS)
    @rule(key=KEYS, endings=st.lists(ENDINGS, min_size=1, max_size=3), slowly=st.booleans(), rounds=FEW)
    def run(self, key: str, endings: list[str], slowly: bool, rounds: int) -> None:
        for ending in endings:
            update = self.new_update(key, ending)
            self.begin_update(update, self.d.run(update.slowly if slowly else update.at_once, attempts=3))
        self.run_loop(rounds)

    @precondition(lambda self: len(self.tasks) < TASKS)
    @rule(key=KEYS, ending=ENDINGS, saves=st.booleans(), rounds=FEW)
    def block(self, key: str, ending: str, saves: bool, rounds: int) -> None:
        update = self.new_update(key, ending)
        self.begin_update(update, update.with_checkpoint(self.d) if saves else update.in_block(self.d))
        self.run_loop(rounds)

    @rule(key=KEYS, is_undone=st.booleans())
    def transaction(self, key: str, is_undone: bool) -> None:
        """Of a task that has no block: refused while another one has the turn, else an unsaved change."""
        update = self.new_update(key, "boom" if is_undone else "returns")

        async def change() -> None:
            is_refused = self.d._turns.current is not None or not self.d._is_loaded
            error: type[Exception] = TransactionError if is_refused else Boom
            with pytest.raises(error) if is_refused or is_undone else nullcontext(), self.d.transaction():
                update.at_once(self.d)
            update.fate = "undone" if is_refused or is_undone else "in memory"

        task = self.loop.create_task(change())
        self.run_loop(1)
        task.result()
        if update.fate == "in memory":
            self.in_memory.append(update)

    @precondition(lambda self: len(self.tasks) < TASKS)
    @rule(what=st.sampled_from(["load", "save", "delete"]), rounds=FEW)
    def request(self, what: str, rounds: int) -> None:
        was_loaded, in_memory = self.d._is_loaded, list(self.in_memory)

        def told(task: asyncio.Task[Any]) -> None:
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
            assert isinstance(error, (StorageError, asyncio.CancelledError, type(None))) or not was_loaded
            if what != "save" and (error is None or task.cancelled()):
                self.in_memory = []
            elif what == "save" and error is None:
                assert {each.token for each in in_memory if each in self.in_memory} <= self.ever

        self.begin(getattr(self.d, what)(), told)
        self.run_loop(rounds)

    def told(self, update: Update, task: asyncio.Task[Any]) -> None:
        """Settle what has become of an update, as its caller was told."""
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        cause = error.__cause__ if task.cancelled() and error is not None else error
        if isinstance(error, NotStorableError):
            assert update.ending == "unstorable"
        else:
            assert isinstance(error, (StorageError, Boom, asyncio.CancelledError, type(None)))
        if error is None and (update.ending == "returns" or update.is_kept):
            assert update.token in self.ever, "it was told to be saved"
            update.fate = "saved"
        elif not isinstance(cause, UnknownOutcomeError):
            update.fate = "saved" if update.token in self.ever else "undone"
            assert update.fate == "undone" or update.is_kept or task.cancelled(), f"it is saved, in spite of {error!r}"

    # What happens to them

    @rule(rounds=FEW)
    def time_goes_by(self, rounds: int) -> None:
        self.run_loop(rounds)

    @rule()
    def all_go_on_as_far_as_they_can(self) -> None:
        self.run_loop(LONG)

    @precondition(lambda self: any(update.is_waiting for update in self.updates))
    @rule(index=st.integers(0), rounds=FEW)
    def a_function_goes_on(self, index: int, rounds: int) -> None:
        waiting = [update for update in self.updates if update.is_waiting]
        waiting[index % len(waiting)].go_on()
        self.run_loop(rounds)

    @precondition(lambda self: self.tasks)
    @rule(index=st.integers(0), rounds=FEW)
    def cancel(self, index: int, rounds: int) -> None:
        list(self.tasks)[index % len(self.tasks)].cancel()
        self.run_loop(rounds)

    @precondition(lambda self: self.workers.waiting)
    @rule(index=st.integers(0), stops=st.integers(1, 3), rounds=FEW)
    def a_worker_goes_on(self, index: int, stops: int, rounds: int) -> None:
        worker = self.workers.waiting[index % len(self.workers.waiting)]
        for _ in range(stops):
            if not worker.has_ended:
                worker.go_on()
                self.look_at_file()
        self.run_loop(rounds)

    @precondition(lambda self: any(worker.stop for worker in self.workers.waiting))
    @rule(index=st.integers(0), rounds=FEW)
    def a_request_fails(self, index: int, rounds: int) -> None:
        """It is refused before it takes effect, or its answer is lost."""
        workers = [worker for worker in self.workers.waiting if worker.stop]
        worker = workers[index % len(workers)]
        when, _, operation = worker.stop.partition(" ")
        lost = ReadTimeoutError(endpoint_url="https://s3.example.com")
        worker.go_on(lost if when == "after" else refusal(operation, 403, "AccessDenied"))
        self.look_at_file()
        self.run_loop(rounds)

    @rule(key=KEYS)
    def another_program_writes(self, key: str) -> None:
        update = self.new_update(key)
        S3Dict("bucket", file_name="key", client=self.s3).run(update.at_once)
        update.fate = "saved"
        self.look_at_file()

    # What always holds

    def look_at_file(self) -> None:
        """Each version of the file is whole, and continues the one before."""
        found = self.stored()
        if found is not None and found != self.seen:
            log = found.get("log", [])
            assert log[: len(self.seen.get("log", []))] == self.seen.get("log", []), "something is lost"
            assert len(set(log)) == len(log), "something is there twice"
            assert found == replayed(log), "half of something is there"
            self.ever.update(log)
        self.seen = found or {}

    def stored(self) -> dict[str, Any] | None:
        return json.loads(self.s3.objects["key"][0]) if self.s3.objects else None

    @invariant()
    def what_was_undone_is_nowhere(self) -> None:
        undone = {update.token for update in self.updates if update.fate == "undone"}
        assert not undone & set(self.seen.get("log", ()))
        # A call of `run` that was cancelled is undone with its group, when the group's other functions have ended
        if self.d._is_loaded and self.d._turns.current is None:
            assert not undone & set(dict(self.d).get("log", ()))

    @invariant()
    def between_tasks_memory_is_whole(self) -> None:
        if not self.is_free:
            return
        self.check()
        if self.d._is_loaded:
            memory = dict(self.d)
            log = memory.get("log", [])
            assert memory == replayed(log) or not memory
            assert {update.token for update in self.in_memory} <= set(log)
            if not self.d.changed and self.s3.objects and self.s3.objects["key"][1] == self.d.etag:
                assert memory == self.stored()


def replayed(log: list[str]) -> dict[str, Any]:
    """What somebody has who makes the updates of a log one after the other."""
    return {"log": log, **{token[0]: token for token in log}}


TasksMachine.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=40,
    deadline=None,
    print_blob=True,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestTasks = TasksMachine.TestCase
