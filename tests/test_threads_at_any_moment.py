"""Another thread acts at any moment of what one thread does: what it was told is done, is done.

The quick form tries some moments of each pair, chosen at random; `S3DICT_STRESS=1` tries all of them.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from support.adversary.interrupting import step_in_at_each_moment
from support.adversary.operations import AUTOSAVED, BLOCKS, READING, UPDATES, Operation
from support.adversary.scenes import Scene, assert_saves, assert_usable, check_invariants, data_handed_out, held, raw
from support.comparison import same
from support.stress import TIME_LIMIT, seeded

pytestmark = [
    pytest.mark.timeout(TIME_LIMIT),
    pytest.mark.filterwarnings("ignore::UserWarning"),  # dicts with unsaved changes are dropped on purpose
]

REMOVE_ALL = ("clear", "set_data", "popitem")
"""They may remove what another thread writes, and rightly."""

OPERATIONS = {
    name: operation
    for name, operation in (BLOCKS | UPDATES | READING).items()
    if name not in (*REMOVE_ALL, "iterate")  # which says, as for any dict, that its size has changed
}
STATES = {state.__name__: state for state in (held, data_handed_out)}


@pytest.fixture(autouse=True)
def _collect_while_warnings_are_ignored() -> Iterator[None]:
    yield
    gc.collect()


def as_items(content: Any) -> dict[Any, Any]:
    return dict(sorted(content.items()))


def assert_is(scene: Scene, expected: dict[Any, Any], operation: Operation) -> None:
    """Assert that the items are there in any order, held values are in place, and a save stores everything."""
    check_invariants(scene.d)
    assert same(as_items(scene.d), as_items(expected)), f"{dict(scene.d)}\nisn't\n{expected}"
    for key, value in scene.held.items():
        assert key not in scene.d or key in operation.replaced or scene.d[key] is value, (
            f"d[{key!r}] isn't the held one"
        )
    assert_usable(scene.d)
    assert_saves(scene)


def step_in(
    name: str, make: Callable[[], Scene], other: Callable[[Scene], object], effect: dict[str, Any], quick: int = 3
) -> None:
    operation = OPERATIONS[name]

    def check(scene: Scene) -> None:
        assert_is(scene, operation.outcomes(scene.before)[-1] | effect, operation)

    step_in_at_each_moment(make, lambda scene: operation.act(scene.d), other, check, seeded(), quick)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_write_at_any_moment_is_kept(name: str, state: str) -> None:
    """It may wait for the end of a block. It is never undone or overwritten with the block."""
    step_in(name, partial(Scene, STATES[state]), lambda scene: scene.d.update(x=42), {"x": 42})


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_transaction_at_any_moment_is_kept(name: str) -> None:
    """All of its changes are kept, and none that it has undone."""

    def other(scene: Scene) -> None:
        @scene.d.transaction()
        def function() -> None:
            scene.d["x"] = [1]
            scene.d["x"].append(2)

        function()

    step_in(name, partial(Scene, held), other, {"x": [1, 2]})


@pytest.mark.parametrize("name", OPERATIONS)
def test_looking_at_data_at_any_moment_changes_nothing(name: str) -> None:
    """An example is `json.dumps(d.data)` in a monitoring thread."""
    step_in(name, partial(Scene, held), lambda scene: repr(scene.d.data), {})


@pytest.mark.parametrize("name", OPERATIONS)
def test_comparing_and_copying_at_any_moment_changes_nothing(name: str) -> None:
    """The same goes for `changed`."""

    def other(scene: Scene) -> None:
        assert scene.d != {}
        assert len(scene.d) >= 6
        scene.kept += [scene.d.changed, scene.d.copy(), repr(scene.d)]

    step_in(name, partial(Scene, held), other, {})


# What is undone by a block may be undone in a value that is edited meanwhile, too
KEPT_IN_PLACE = [
    name for name in OPERATIONS if "fails" not in name and "rolls_back" not in name and "check" not in name
]


@pytest.mark.parametrize("name", KEPT_IN_PLACE)
def test_an_edit_inside_a_value_at_any_moment_is_kept(name: str) -> None:
    """It doesn't wait, because it isn't intercepted. The value stays in the dict, and the edit is saved."""
    step_in(name, partial(Scene, held), lambda scene: scene.held["tuple"][1].append(42), {"tuple": (1, [2, 42])})


def write_x(scene: Scene) -> None:
    scene.d["x"] = 42


@pytest.mark.parametrize("name", [name for name in AUTOSAVED if name not in REMOVE_ALL])
def test_with_autosave_two_threads_updates_are_both_saved(name: str) -> None:
    """Each is saved at once, without a save of the main thread."""
    operation = AUTOSAVED[name]

    def check(scene: Scene) -> None:
        expected = as_items(operation.outcomes(scene.before)[-1] | {"x": 42})
        assert same(as_items(scene.s3.stored()), expected)
        assert_is(scene, expected, operation)

    make = partial(Scene, held, autosave=True)
    step_in_at_each_moment(make, lambda scene: operation.act(scene.d), write_x, check, seeded(), 4)


def replace_one(scene: Scene) -> None:
    users = scene.held["users"]
    users.pop("9")
    users["new"] = {"id": "new", "at": (1, 2)}


def test_what_is_saved_while_a_value_is_edited_was_there_together() -> None:
    """Entries come and go in the value during the save. Each is saved under its own key."""

    def with_users(scene: Scene) -> None:
        scene.d["users"] = {str(n): {"id": str(n), "at": (n, 2)} for n in range(12)}
        scene.hold("users")

    def check(scene: Scene) -> None:
        stored = scene.s3.stored()
        assert stored is not None
        assert all(key == entry["id"] for key, entry in stored["users"].items())
        assert set(stored["users"]) >= {str(n) for n in range(12) if n != 9}
        assert_saves(scene)

    make = partial(Scene, with_users)
    step_in_at_each_moment(make, lambda scene: scene.d.save(), replace_one, check, seeded(), 30)


LISTS: dict[str, Callable[[Any], Any]] = {
    "items": lambda d: list(d.items()),
    "values": lambda d: list(d.values()),
    "a tuple of items": lambda d: tuple(d.items()),
    "a dict of items": lambda d: dict(d.items()),
    "sorted items": lambda d: sorted(d.items(), key=str),
    "a copy": lambda d: dict(d.copy()),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_is_of_one_moment_while_another_thread_removes_keys(name: str) -> None:
    """As in a dict, it has the items from before the removal, or from after it."""

    def check(scene: Scene) -> None:
        after = {key: value for key, value in scene.before.items() if key != "text"}
        assert scene.kept.pop() in [LISTS[name](scene.before), LISTS[name](after)]

    step_in_at_each_moment(
        partial(Scene, raw),
        lambda scene: scene.kept.append(LISTS[name](scene.d)),
        lambda scene: scene.d.pop("text"),
        check,
        seeded(),
        quick=10,
    )


WALKS: dict[str, Callable[[Any], Any]] = {
    "a loop": lambda d: [key for key, _ in d.items()],
    "dict": dict,
    "**": lambda d: {**d},
    "reversed": lambda d: list(reversed(d.items())),
    "a look for a value": lambda d: "nothing" in d.values(),
    "a look for an item": lambda d: ("text", "abc") in d.items(),
}


@pytest.mark.parametrize("name", WALKS)
def test_who_goes_through_a_dict_meets_no_key_that_another_thread_removes(name: str) -> None:
    """The loop succeeds, or raises a dict's RuntimeError, but never a KeyError."""

    def act(scene: Scene) -> None:
        with suppress(RuntimeError):
            WALKS[name](scene.d)

    step_in_at_each_moment(
        partial(Scene, raw),
        act,
        lambda scene: scene.d.pop("text"),
        lambda scene: check_invariants(scene.d),
        seeded(),
        quick=10,
    )


@pytest.mark.parametrize("name", ["dict", "**"])
def test_a_key_that_is_not_there_is_a_key_error_also_after_the_keys_were_listed(name: str) -> None:
    d = Scene(raw).d
    WALKS[name](d)
    with pytest.raises(KeyError):
        d["nothing"]
    with pytest.raises(KeyError):
        [d[key] for key in (*d.keys(), "nothing")]
