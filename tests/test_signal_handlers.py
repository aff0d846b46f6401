"""Signal handlers that use the dict they interrupt read correct values. Their changes are kept, or refused."""

from __future__ import annotations

import copy
from contextlib import suppress
from typing import Any

import pytest

from s3dictionary import S3Dict, S3DictError, TransactionError
from s3dictionary._memory import filed
from support.adversary.hooked_s3 import HookedS3
from support.adversary.interrupting import handle_at_each_moment
from support.adversary.operations import BLOCKS, READING, UPDATES
from support.adversary.scenes import STATES, Boom, Scene, assert_saves, check_invariants
from support.stress import TIME_LIMIT, seeded

pytestmark = [
    pytest.mark.timeout(TIME_LIMIT),
    pytest.mark.filterwarnings("ignore::UserWarning"),  # dicts with unsaved changes are dropped on purpose
    pytest.mark.usefixtures("collected"),
]

D = S3Dict[Any, Any]
OPERATIONS = BLOCKS | UPDATES | READING
UNDONE_BY_NOTHING = [
    *("with_that_commits", "transaction_that_commits", "nested_and_committed", "decorated", "run"),
    *("set_new", "pop", "update", "copy", "save"),
]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", UNDONE_BY_NOTHING)
def test_a_change_by_a_handler_is_refused_or_stays(name: str, state: str) -> None:
    """In the middle of a step, it raises a `TransactionError` and changes nothing."""
    refused: list[bool] = []

    def handler(scene: Scene) -> None:
        refused.clear()
        try:
            scene.d["handler"] = 1
        except TransactionError:
            refused.append(True)

    def check(scene: Scene) -> None:
        check_invariants(scene.d)
        found = dict(scene.d)
        done = found.pop("handler", None) == 1
        assert found == OPERATIONS[name].outcomes(scene.before)[-1]
        assert done is not bool(refused)
        assert_saves(scene)

    handle_at_each_moment(
        lambda: Scene(STATES[state]), lambda scene: OPERATIONS[name].act(scene.d), handler, check, seeded()
    )


@pytest.mark.parametrize("state", STATES)
def test_what_a_handler_reads_as_a_block_begins_is_undone_with_it(state: str) -> None:
    """It keeps the list, which the block edits. The list stays in the dict, and is restored."""

    def act(scene: Scene) -> None:
        with scene.d.transaction():
            for kept in scene.kept:
                kept.append("edited")
            raise Boom

    def fails(scene: Scene) -> None:
        with pytest.raises(Boom):
            act(scene)

    def check(scene: Scene) -> None:
        check_invariants(scene.d)
        assert dict(scene.d) == scene.before
        assert all(scene.d["list"] is kept for kept in scene.kept if isinstance(kept, list))

    def make() -> Scene:
        scene = Scene(STATES[state])
        scene.kept = [kept for kept in scene.kept if isinstance(kept, list)]
        return scene

    handle_at_each_moment(make, fails, lambda scene: scene.kept.append(scene.d["list"]), check, seeded(), quick=10)


@pytest.mark.parametrize("key", ["list", "missing"])
@pytest.mark.parametrize("state", STATES)
def test_a_handler_that_reads_during_a_checkpoint_does_not_disturb_it(state: str, key: str) -> None:
    """The read may finish the step that the handler interrupts. A rollback still goes back to the checkpoint."""

    def act(scene: Scene) -> None:
        with suppress(Boom), scene.d:
            scene.d["n"] = 2
            scene.d["list"].append(2)
            scene.s3.once("PutObject", lambda: scene.d.get("missing"))  # a first read, so that values stay awake
            scene.d.save()
            scene.before = copy.deepcopy(dict(scene.d))
            scene.d["list"].append("edited")
            raise Boom

    def check(scene: Scene) -> None:
        check_invariants(scene.d)
        assert dict(scene.d) == scene.before == scene.s3.stored()

    handle_at_each_moment(lambda: Scene(STATES[state]), act, lambda scene: scene.d.get(key), check, seeded(), quick=12)


def test_what_a_handler_reads_while_a_save_lets_go_of_it_stays_the_one_in_the_dict() -> None:
    """So an edit of the object is saved."""

    def make() -> Scene:
        scene = Scene(STATES["touched"])
        scene.d["n"] = 1
        return scene

    def act(scene: Scene) -> None:
        with scene.d:
            scene.d["n"] = 2

    def check(scene: Scene) -> None:
        assert all(scene.d["list"] is kept for kept in scene.kept)
        assert_saves(scene)

    handle_at_each_moment(make, act, lambda scene: scene.kept.append(scene.d["list"]), check, seeded(), quick=20)


def test_what_a_handler_reads_at_the_last_moment_before_that_does_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is already known that nobody holds the object, and that its text gives the same one again."""
    s3 = HookedS3()
    d = s3.begin({"list": [1], "n": 0})
    kept: list[Any] = []

    def read_by_handler(value: Any, types: Any) -> bool:
        kept.append(d["list"])
        return comes_back(value, types)

    comes_back = filed.comes_back
    assert d["list"] == [1]
    with d.transaction():
        d["n"] = 1
    with monkeypatch.context() as patch:
        patch.setattr(filed, "comes_back", read_by_handler)
        d.save()
    assert d["list"] is kept[0]
    kept[0].append(2)
    d.save()
    assert s3.stored() == {"list": [1, 2], "n": 1}


REQUESTS = {"GetObject": S3Dict.load, "PutObject": S3Dict.save}


@pytest.mark.parametrize("operation", REQUESTS)
def test_a_change_during_a_request_of_the_same_thread_is_refused(operation: str) -> None:
    """A load would discard the change. The error says what to do instead."""
    s3 = HookedS3()
    d = s3.begin({"n": 0})
    told: list[S3DictError] = []

    def handler() -> None:
        with pytest.raises(TransactionError, match="set a flag") as raised:
            d["handler"] = 1
        told.append(raised.value)

    s3.once(operation, handler)
    REQUESTS[operation](d)
    assert told
    assert dict(d) == s3.stored() == {"n": 0}
    d["later"] = 1
    d.save()
    assert s3.stored() == {"n": 0, "later": 1}


def test_a_handler_inside_ones_own_block_joins_it() -> None:
    """Between two steps, the handler is like a function that the block calls."""
    s3 = HookedS3()
    d = s3.begin({"n": 0})
    with d:
        d["n"] = 1
        with d.transaction():
            d["handler"] = 1
    assert s3.stored() == {"n": 1, "handler": 1}


def test_a_change_in_the_midst_of_a_step_is_refused() -> None:
    """This includes a change by a key's own hash function."""
    d = HookedS3().begin({"n": 0})

    class Key:
        def __hash__(self) -> int:
            d["handler"] = 1
            return 1

    with pytest.raises(TransactionError, match="set a flag"):
        d[Key()] = 1
    assert dict(d) == {"n": 0}
