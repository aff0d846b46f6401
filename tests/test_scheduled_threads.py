"""Several threads, and tasks of one thread, take turns on one dict, as a seed decides; against a model with owners.

The model is a plain dict and a stack of open blocks, which all belong to one actor. What another thread does then waits
for the end of the outermost one; what another task of the same thread does is refused, and nothing has happened.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from typing import Any

import pytest

from s3dictionary import TransactionError
from support.adversary.actors import Actor, Command, Enter, Leave, Loop, Thread
from support.adversary.hooked_s3 import HookedS3
from support.adversary.scenes import assert_usable, check_invariants
from support.comparison import same
from support.stress import TIME_LIMIT, seeded, times

pytestmark = [
    pytest.mark.timeout(TIME_LIMIT),
    pytest.mark.filterwarnings("ignore::UserWarning"),  # dicts with unsaved changes are dropped on purpose
]

SCHEDULES = times(quick=40, long=2000)
STEPS = 60
KEYS = ["a", "b", "c", "d"]
Content = dict[str, Any]
Edit = Callable[[Any], object]


@pytest.fixture(autouse=True)
def _collect_while_warnings_are_ignored() -> Iterator[None]:
    yield
    gc.collect()


def random_edit(rng: random.Random, number: int) -> tuple[str, Edit]:
    """A random edit in one step, for the dict and for the model."""
    key = rng.choice(KEYS)
    edits: dict[str, Edit] = {
        "set": lambda d: d.__setitem__(key, [number]),
        "pop": lambda d: d.pop(key, None),
        "append": lambda d: d.setdefault(key, []).append(number) if isinstance(d.get(key), list) else None,
        "update": lambda d: d.update({key: number, "u": [number]}),
        "replace": lambda d: d.update({key: {"n": [number]}}),
        "clear": lambda d: d.clear() if number % 7 == 0 else d.pop(key, None),
    }
    name = rng.choice(list(edits))
    return f"{name} {key}", edits[name]


class Schedule:
    """One dict, its actors, and its model."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.s3 = HookedS3()
        self.model: Content = {"a": [0], "b": 1}
        self.autosave = rng.random() < 0.3
        self.d = self.s3.begin(deepcopy(self.model), autosave=self.autosave)
        self.file = deepcopy(self.model)
        self.threads: list[Thread | Loop] = [Thread("thread 1"), Thread("thread 2"), Loop("loop", 3)]
        self.actors = [actor for thread in self.threads for actor in thread.actors]
        self.owner: Actor | None = None
        self.blocks: list[tuple[str, Any, Content]] = []
        self.waiting: tuple[Actor, Command, Edit] | None = None
        self.log: list[str] = []

    def run(self) -> None:
        try:
            for number in range(1, STEPS):
                self.step(number)
                self.check()
            while self.blocks:
                assert self.owner is not None
                self.leave(self.owner, fails=False)
            self.check()
            check_invariants(self.d)
            assert_usable(self.d)
            self.d.save()
            assert self.s3.stored() == self.model
        finally:
            for thread in self.threads:
                thread.end()

    def step(self, number: int) -> None:
        actor = self.rng.choice([actor for actor in self.actors if not self.is_blocked(actor)])
        action = self.rng.random()
        if action < 0.45:
            self.edit(actor, *random_edit(self.rng, number))
        elif action < 0.65:
            self.enter(actor, self.rng.choice(["with", "transaction"]))
        elif action < 0.9 and self.owner is not None and not self.is_blocked(self.owner):
            self.leave(self.owner, fails=self.rng.random() < 0.4)
        elif actor is not self.owner and self.owner is not None:
            self.leave_anothers(actor)
        else:
            self.save(actor)

    def is_blocked(self, actor: Actor) -> bool:
        """Whether its thread waits for the end of another one's block."""
        return self.waiting is not None and self.waiting[0].thread is actor.thread

    def has_to_wait(self, actor: Actor) -> bool:
        return self.owner is not None and self.owner.thread is not actor.thread

    def is_refused(self, actor: Actor) -> bool:
        return self.owner not in (None, actor) and not self.has_to_wait(actor)

    def tell(self, actor: Actor, what: str, command: Command) -> None:
        self.log.append(f"{actor}: {what}")
        actor.begin(command).wait()

    def refused(self, actor: Actor, what: str, command: Command) -> None:
        with pytest.raises(TransactionError):
            self.tell(actor, f"{what}, which is refused", command)

    # What actors do

    def edit(self, actor: Actor, what: str, edit: Edit) -> None:
        def in_a_step() -> None:
            with self.d.transaction():
                edit(self.d)

        command = Command(in_a_step)
        if self.is_refused(actor):
            self.refused(actor, what, command)
        elif not self.has_to_wait(actor):
            self.tell(actor, what, command)
            self.did(edit)
        elif self.waiting is None:
            self.log.append(f"{actor}: {what}, which waits")
            self.waiting = actor, actor.begin(command), edit

    def did(self, edit: Edit) -> None:
        edit(self.model)
        if self.autosave and not self.blocks:
            self.file = deepcopy(self.model)

    def enter(self, actor: Actor, kind: str) -> None:
        block = self.d if kind == "with" else self.d.transaction()
        if self.is_refused(actor):
            self.refused(actor, f"enter {kind}", Enter(block))
        elif not self.has_to_wait(actor):
            self.tell(actor, f"enter {kind}", Enter(block))
            self.owner = actor
            self.blocks.append((kind, block, deepcopy(self.model)))

    def leave(self, actor: Actor, *, fails: bool) -> None:
        kind, _, before = self.blocks.pop()
        self.tell(actor, "fail" if fails else "leave", Leave(fails=fails))
        if fails:
            self.model = before
        elif not self.blocks and (kind == "with" or self.autosave):
            self.file = deepcopy(self.model)
        if not self.blocks:
            self.owner = None
            self.let_waiting_one_go_on()

    def let_waiting_one_go_on(self) -> None:
        if self.waiting is not None:
            _, command, edit = self.waiting
            command.wait()
            self.waiting = None
            self.did(edit)

    def leave_anothers(self, actor: Actor) -> None:
        """Try to leave a block whose owner is still inside it."""
        block = self.blocks[-1][1]
        self.refused(actor, "leave what isn't its own", Command(lambda: block.__exit__(None, None, None)))

    def save(self, actor: Actor) -> None:
        if self.is_refused(actor):
            self.refused(actor, "save", Command(self.d.save))
        elif self.has_to_wait(actor):
            return
        elif [kind for kind, _, _ in self.blocks] in ([], ["with"]):
            self.tell(actor, "save", Command(self.d.save))
            self.file = deepcopy(self.model)
            if self.blocks:  # a checkpoint
                self.blocks = [(*self.blocks[0][:2], deepcopy(self.model))]
        else:
            self.refused(actor, "save in a transaction", Command(self.d.save))

    # What must hold

    def check(self) -> None:
        assert same(dict(self.d), self.model), f"{dict(self.d)}\nisn't\n{self.model}"
        assert same(self.s3.stored(), self.file), f"stored is {self.s3.stored()}\nnot\n{self.file}"
        assert self.waiting is None or not self.waiting[1].is_done, "it didn't wait for the end of the block"


def test_threads_and_tasks_that_take_turns_see_what_the_model_says() -> None:
    """Who must wait waits, who is refused changes nothing, and everything else takes effect once."""
    rng = seeded()
    for number in range(SCHEDULES):
        schedule = Schedule(random.Random(f"{rng.random()}"))
        try:
            schedule.run()
        except BaseException as error:
            steps = "\n".join(schedule.log)
            raise AssertionError(f"schedule {number} went wrong after\n{steps}\n{error!r}") from error


def test_a_block_left_before_the_one_inside_it_is_refused_and_what_it_did_can_be_got_at() -> None:
    """This holds in a thread and in a task. The dict is usable afterwards."""
    for thread in (Thread("thread"), Loop("loop", 2)):
        d = HookedS3().begin({"n": 0})
        outer, inner = d.transaction(), d.transaction()
        actor = thread.actors[0]
        for function in (outer.__enter__, inner.__enter__, lambda d=d: d.update(n=1)):
            actor.begin(Command(function)).wait()
        command = actor.begin(Command(lambda outer=outer: outer.__exit__(None, None, None)))
        with pytest.raises(TransactionError) as told:
            command.wait()
        assert told.value.unsaved == {"n": 1} or d["n"] == 1
        with suppress(TransactionError):
            actor.begin(Command(lambda inner=inner: inner.__exit__(None, None, None))).wait()
        check_invariants(d)
        assert_usable(d)
        thread.end()
