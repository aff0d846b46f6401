"""Dicts in the states in which an operation may find them, and what must hold for each after an interrupt."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from datetime import date
from typing import Any

from s3dictionary import S3Dict, S3DictError
from support.adversary.hooked_s3 import HookedS3
from support.adversary.threads import in_thread
from support.comparison import same

MISSING = object()
Content = dict[Any, Any]


class Boom(Exception):
    """The exception that ends a block of a test."""


def content() -> Content:
    return {
        "list": [1, {"x": [1]}],
        "dict": {"k": [1], "l": 2},
        "tuple": (1, [2]),
        "date": date(2026, 1, 2),
        "set": {1, 2},
        "n": 0,
        "text": "abc",
    }


class Scene:
    """A dict on a bucket of its own.

    Attributes:
        d: the dict.
        held: objects that somebody holds, by the key that they are under.
        block: a transaction around it all, if one is open.
        before: what the dict holds now.
        kept: what operations gave; held, so that nothing is freed while it is watched.
    """

    def __init__(self, prepare: Callable[[Scene], None], *, autosave: bool = False) -> None:
        self.s3 = HookedS3()
        self.autosave = autosave
        self.d: S3Dict[Any, Any] = self.s3.begin(content(), autosave=autosave)
        self.held: dict[str, Any] = {}
        self.block: Any = None
        self.at_entering: Content = content()
        self.kept: list[Any] = []
        self.before = content()
        prepare(self)

    def hold(self, *keys: str) -> None:
        self.held.update({key: self.d[key] for key in keys})

    def enter(self) -> None:
        self.at_entering = deepcopy(self.before)
        self.block = self.d.transaction()
        self.block.__enter__()


def raw(scene: Scene) -> None:
    """Nothing has been touched."""


def touched(scene: Scene) -> None:
    for key in scene.d:
        assert scene.d[key] is not None


def held(scene: Scene) -> None:
    scene.hold("list", "dict", "set", "tuple")


def unsaved(scene: Scene) -> None:
    """Some items were written, one was edited inside, and one is new."""
    scene.hold("list", "dict")
    scene.held["list"].append("unsaved")
    scene.before["list"].append("unsaved")
    if scene.autosave:  # then nothing else can be unsaved
        return
    for key, value in {"n": "unsaved", "extra": [0]}.items():
        scene.d[key] = value
        scene.before[key] = deepcopy(value)
    scene.hold("extra")


def data_handed_out(scene: Scene) -> None:
    scene.kept.append(scene.d.data)
    scene.hold("list", "set")


def in_a_transaction(scene: Scene) -> None:
    """Some values came before the block, some were written in it."""
    scene.hold("list", "dict")
    scene.enter()
    scene.held["dict"]["in the block"] = 1
    scene.before["dict"]["in the block"] = 1
    scene.d["n"] = scene.before["n"] = "in the block"


def in_a_transaction_with_data(scene: Scene) -> None:
    scene.hold("list")
    scene.enter()
    scene.d.data["n"] = scene.before["n"] = "by data"


STATES = {state.__name__: state for state in (raw, touched, held, unsaved, data_handed_out)}
STATES_IN_A_BLOCK = {state.__name__: state for state in (in_a_transaction, in_a_transaction_with_data)}


# What must hold -------------------------------------------------------------------------------------------------------


def check_invariants(d: S3Dict[Any, Any]) -> None:
    """The dict's own check of what holds inside, which is the one private thing that these tests know of.

    It is done between two steps: the next one finishes what an interrupt has left undone.
    """
    assert d.changed in (False, True)
    check = getattr(d, "_check", None)
    if check is not None:
        check()


def assert_as_promised(scene: Scene, outcomes: list[Content], *, whole: bool, replaced: set[str]) -> None:
    """After an interrupt: consistent, usable, each value before or after the step, and saved as what it is.

    Args:
        scene: the dict.
        outcomes: what it may hold, the last one being what the operation leads to.
        whole: it holds one of them as a whole. Else each of its items is in one of them.
        replaced: keys whose values the operation replaces, so that they needn't be the held ones.
    """
    d = scene.d
    assert_one_of(dict(d), outcomes, whole=whole)
    held = {key: value for key, value in scene.held.items() if key in d and key not in replaced}
    for key, value in held.items():
        assert d[key] is value, f"d[{key!r}] isn't the one that is held any more"
    check_invariants(d)
    if scene.block is not None:
        scene.block.__exit__(Boom, Boom(), None)
        scene.block = None
        assert_equal(dict(d), scene.at_entering, "after the outer block failed")
        for key, value in scene.held.items():
            assert d[key] is value, f"after the outer block failed, d[{key!r}] isn't the one that was held before it"
    assert_usable(d)
    assert_saves(scene)
    for key, value in held.items():
        if isinstance(value, list):
            value.append("later")
            assert d[key] is value, f"after a save, d[{key!r}] isn't the one that is held any more"
            assert_saves(scene)
    check_invariants(d)


def assert_one_of(found: Content, outcomes: list[Content], *, whole: bool) -> None:
    if whole:
        assert any(same(found, outcome) for outcome in outcomes), f"{found}\nis none of\n{outcomes}"
        return
    for key in {key for outcome in (found, *outcomes) for key in outcome}:
        value = found.get(key, MISSING)
        possible = [outcome.get(key, MISSING) for outcome in outcomes]
        assert any(value is item or same(value, item) for item in possible), f"{key!r} is {value!r}, none of {possible}"


def assert_equal(found: Content, expected: Content, when: str) -> None:
    assert same(found, expected), f"{when}: {found}\nisn't\n{expected}"


def assert_usable(d: S3Dict[Any, Any]) -> None:
    """No block is open, no lock is held, and the next block works, whether it succeeds or fails."""
    before = deepcopy(dict(d))
    in_thread(lambda: d.update(usable=1))
    with suppress(Boom), d.transaction():
        d["usable"] = 2
        d["new"] = 3
        raise Boom
    assert_equal(dict(d), before | {"usable": 1}, "after the next block failed")
    with d.transaction():
        del d["usable"]
    assert_equal(dict(d), before, "after the next block")


def assert_whole(d: S3Dict[Any, Any], s3: HookedS3, expected: Content) -> None:
    """Memory is as expected, every thread can use the dict, and a save stores it."""
    check_invariants(d)
    assert dict(d) == expected
    assert_usable(d)
    d.save()
    assert s3.stored() == expected


def assert_saves(scene: Scene) -> None:
    """A save stores everything in memory with its types. Nobody else writes, so there is no conflict."""
    scene.d.save()
    stored = scene.s3.stored()
    assert stored is not None
    assert_equal(stored, dict(scene.d), "what was saved")
    assert not scene.d.changed


def assert_saves_after_delete(scene: Scene) -> None:
    """A delete of unknown outcome may look like another writer's. Then a load gives the current content."""
    before = deepcopy(dict(scene.d))
    try:
        scene.d.save()
    except S3DictError:
        assert_equal(dict(scene.d), before, "after a save failed")
        scene.d.load()
        assert_equal(dict(scene.d), scene.s3.stored() or {}, "after a load")
