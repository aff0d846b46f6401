"""A storm of real signals, at random moments of blocks that commit, fail or are autosaved."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from typing import Any

import pytest

from s3dictionary import S3Dict
from support.adversary.scenes import Boom, Scene, assert_one_of, assert_saves, assert_usable, check_invariants, held
from support.adversary.signals import Storm
from support.stress import TIME_LIMIT, seeded, times

pytestmark = [
    pytest.mark.timeout(TIME_LIMIT, method="thread"),  # the other method uses SIGALRM itself
    pytest.mark.filterwarnings("ignore::UserWarning"),  # dicts with unsaved changes are dropped on purpose
]

D = S3Dict[Any, Any]
HITS = times(quick=50, long=850)
HITS_PER_DICT = 20


def edit(d: Any) -> None:
    d["n"] += 1
    d["list"][1]["x"].append(d["n"])
    del d["list"][1]["x"][:-3]
    d["dict"] = {"k": [d["n"]]}


def fail(d: D) -> None:
    with suppress(Boom), d.transaction():
        edit(d)
        d["new"] = 1
        del d["text"]
        d["set"].clear()
        raise Boom


def fail_inside(d: D) -> None:
    with d.transaction():
        edit(d)
        fail(d)


def fail_and_save_nothing(d: D) -> None:
    with suppress(Boom), d:
        edit(d)
        raise Boom


def commit(d: D) -> None:
    with d.transaction():
        edit(d)


def commit_and_save(d: D) -> None:
    with d:
        edit(d)


def set_item(d: Any) -> None:
    d["n"] += 1


def no_edit(d: Any) -> None:
    pass


def save(d: D) -> None:
    d.save()


STEPS: dict[str, list[tuple[Callable[[D], None], Callable[[Any], None]]]] = {
    "blocks that fail": [(set_item, set_item), (fail, no_edit), (fail_inside, edit), (fail_and_save_nothing, no_edit)],
    "blocks that commit": [(set_item, set_item), (commit, edit), (commit_and_save, edit), (save, no_edit)],
    "autosave": [(set_item, set_item), (commit, edit), (fail, no_edit), (commit_and_save, edit)],
}


class Round:
    """Performs the steps in turn, and knows what the dict held before the interrupted one."""

    def __init__(self, name: str) -> None:
        self.scene = Scene(held, autosave=name == "autosave")
        self._steps = STEPS[name]
        self._number = 0
        self._possible = [self.scene.before]

    def go(self) -> None:
        act, model = self._steps[self._number % len(self._steps)]
        before = self._possible[-1]
        after = deepcopy(before)
        model(after)
        self._possible = [before, after]
        act(self.scene.d)
        self._possible = [after]
        self._number += 1

    def check(self) -> None:
        scene = self.scene
        check_invariants(scene.d)
        assert_one_of(dict(scene.d), self._possible, whole=True)
        self._possible = [deepcopy(dict(scene.d))]
        for key in ("list", "set", "tuple"):
            assert scene.d[key] is scene.held[key], f"d[{key!r}] isn't the held one any more"
        assert_usable(scene.d)
        assert_saves(scene)
        self._number += 1


@pytest.mark.parametrize("name", STEPS)
def test_after_each_signal_of_a_storm_the_dict_is_whole(name: str) -> None:
    """Each block is done or undone, held values are in place, no lock is held, and a save stores everything."""
    with Storm(seeded()) as storm:
        while storm.hits < HITS:
            round_ = Round(name)
            began = time.perf_counter()
            for _ in range(8):
                round_.go()
            seconds = (time.perf_counter() - began) * 0.75
            for _ in range(HITS_PER_DICT):
                storm.interrupt(round_.go, seconds)
                try:
                    round_.check()
                except Exception as error:
                    raise AssertionError(f"after a signal at {storm.where}: {error!r}") from error
