"""Ctrl-C, time limits by signal and errors of memory, at any moment of anything that one can do with a dict.

The quick form tries some moments of each operation, chosen at random; `S3DICT_STRESS=1` tries all of them.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

import s3dictionary
from support.adversary.interrupting import interrupt_at_each_moment
from support.adversary.operations import AUTOSAVED, BLOCKS, READING, UPDATES, Operation
from support.adversary.scenes import (
    STATES,
    STATES_IN_A_BLOCK,
    Scene,
    assert_as_promised,
    assert_one_of,
    assert_saves_after_delete,
    assert_usable,
    check_invariants,
    content,
    held,
    raw,
    unsaved,
)
from support.stress import TIME_LIMIT, seeded

pytestmark = [
    pytest.mark.timeout(TIME_LIMIT),
    pytest.mark.filterwarnings("ignore::UserWarning"),  # dicts with unsaved changes are dropped on purpose
]

ALL = BLOCKS | UPDATES | READING


@pytest.fixture(autouse=True)
def _collect_while_warnings_are_ignored() -> Iterator[None]:
    yield
    gc.collect()


def interrupt(operation: Operation, state: Any, *, autosave: bool = False) -> None:
    def check(scene: Scene) -> None:
        outcomes = operation.outcomes(scene.before)
        assert_as_promised(scene, outcomes, whole=operation.whole, replaced=set(operation.replaced))

    make = partial(Scene, state, autosave=autosave)
    # An `Exception` in the middle of a request is told as an outcome that isn't known, and then load() comes next
    only = KeyboardInterrupt if _saves(operation, make()) else None
    interrupt_at_each_moment(make, lambda scene: operation.act(scene.d), check, seeded(), only=only)


def _saves(operation: Operation, scene: Scene) -> bool:
    before = scene.s3.requests["PutObject"]
    with suppress(Exception):
        operation.act(scene.d)
    return scene.s3.requests["PutObject"] > before


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", ALL)
def test_an_interrupt_leaves_each_value_before_or_after_the_step(name: str, state: str) -> None:
    """The dict is consistent and usable, nothing is lost, and a save stores its content."""
    interrupt(ALL[name], STATES[state])


@pytest.mark.parametrize("state", STATES_IN_A_BLOCK)
@pytest.mark.parametrize("name", [name for name, operation in ALL.items() if operation.in_block])
def test_an_interrupt_inside_a_block_leaves_all_of_it_to_be_undone(name: str, state: str) -> None:
    """The block around it can still continue, or be undone exactly."""
    interrupt(ALL[name], STATES_IN_A_BLOCK[state])


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", AUTOSAVED)
def test_an_interrupt_of_an_autosaved_update_leaves_it_done_or_undone(name: str, state: str) -> None:
    """The update took effect or it didn't, and later changes are saved without a conflict."""
    interrupt(AUTOSAVED[name], STATES[state], autosave=True)


def count_up(d: Any) -> None:
    d["n"] = d["n"] + 1


@pytest.mark.parametrize("only", [KeyboardInterrupt, None], ids=["Ctrl-C", "any error"])
def test_an_interrupted_run_is_done_once_or_not_at_all(only: type[BaseException] | None) -> None:
    """A run of unknown outcome isn't repeated, and the next one continues from the current content."""

    def check(scene: Scene) -> None:
        assert scene.d["n"] in (0, 1)
        try:
            scene.d.save()
        except s3dictionary.ConflictError:
            assert only is None  # an `Exception` in the middle of the request, which tells to load()
            scene.d.load()
        count = scene.d.run(lambda d: d.__setitem__("n", d["n"] + 1) or d["n"])
        assert count in (1, 2)
        assert scene.s3.stored() == content() | {"n": count}

    interrupt_at_each_moment(lambda: Scene(held), lambda scene: scene.d.run(count_up), check, seeded(), 8, only)


@pytest.mark.parametrize("state", STATES)
def test_an_interrupted_load_takes_effect_or_not(state: str) -> None:
    """Memory is as before, or as the file. Values that are equal in both stay the same objects."""

    def make() -> Scene:
        scene = Scene(STATES[state])
        with scene.s3.open() as other:
            other["n"] = "by another program"
        return scene

    def check(scene: Scene) -> None:
        check_invariants(scene.d)
        loaded = content() | {"n": "by another program"}
        assert_one_of(dict(scene.d), [scene.before, loaded], whole=True)
        if "extra" not in scene.held:  # nothing is unsaved
            assert all(scene.d[key] is value for key, value in scene.held.items())
        scene.d.load()
        assert_as_promised(scene, [loaded], whole=True, replaced=set(scene.held))

    interrupt_at_each_moment(make, lambda scene: scene.d.load(), check, seeded())


@pytest.mark.parametrize("state", STATES)
def test_an_interrupted_delete_takes_effect_or_not(state: str) -> None:
    """Memory is as before, or empty. If it is empty, the bucket is, too."""

    def check(scene: Scene) -> None:
        check_invariants(scene.d)
        assert_one_of(dict(scene.d), [scene.before, {}], whole=True)
        assert scene.d or not scene.s3.objects
        assert_usable(scene.d)
        assert_saves_after_delete(scene)

    interrupt_at_each_moment(lambda: Scene(STATES[state]), lambda scene: scene.d.delete(), check, seeded())


@pytest.mark.parametrize("name", UPDATES)
def test_an_interrupted_update_of_a_read_only_dict_changes_nothing(name: str) -> None:
    """It is refused, or interrupted while it is being refused."""

    def make() -> Scene:
        scene = Scene(raw)
        scene.d = scene.s3.open(read_only=True)
        return scene

    def act(scene: Scene) -> None:
        with pytest.raises(s3dictionary.ReadOnlyError):
            UPDATES[name].act(scene.d)

    def check(scene: Scene) -> None:
        check_invariants(scene.d)
        assert dict(scene.d) == content()
        assert not scene.d.changed

    if name == "setdefault_existing":  # changes nothing anyway
        return
    interrupt_at_each_moment(make, act, check, seeded())


def test_an_interrupt_while_someone_else_is_merged_with_loses_neither() -> None:
    """With on_conflict="merge", the file then has both sides' changes."""

    def make() -> Scene:
        scene = Scene(raw)
        scene.d = scene.s3.open(on_conflict="merge")
        unsaved(scene)
        with scene.s3.open() as other:
            other["text"] = "theirs"
        return scene

    def check(scene: Scene) -> None:
        check_invariants(scene.d)
        scene.d.save()
        assert_as_promised(scene, [scene.before | {"text": "theirs"}], whole=True, replaced=set(scene.held))

    interrupt_at_each_moment(make, lambda scene: scene.d.save(), check, seeded(), quick=20)
