"""What other threads do during a request is kept or waits, and each save is consistent."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from s3dictionary import S3Dict, StorageError
from support.adversary.hooked_s3 import HookedS3
from support.adversary.interrupting import A_MOMENT
from support.adversary.scenes import Boom, assert_usable, check_invariants
from support.adversary.threads import InThread, in_thread
from support.comparison import same
from support.memory_s3 import refusal

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),  # dicts with unsaved changes are dropped on purpose
    pytest.mark.usefixtures("collected"),
]

D = S3Dict[Any, Any]


class Stage:
    """A dict whose next request of a kind lets another thread act."""

    def __init__(self, **options: Any) -> None:
        self.s3 = HookedS3()
        content = {"list": [1], "dict": {"k": [1]}, "tuple": (1, [2]), "n": 0, "x": 0, "y": 0}
        self.d = self.s3.begin(content, **options)
        self.list, self.tuple = self.d["list"], self.d["tuple"]
        with self.d:  # so that the next block has to load
            pass
        if options.get("on_conflict") == "merge":
            with self.s3.open() as someone_else:
                someone_else["other"] = 1


# What is under way ----------------------------------------------------------------------------------------------------


def with_block(stage: Stage) -> None:
    with stage.d:
        stage.d["n"] = 1


def save(stage: Stage) -> None:
    stage.d["n"] = 1
    stage.d.save()


def transaction(stage: Stage) -> None:
    with stage.d.transaction():
        stage.d["n"] = 1


@dataclass(frozen=True)
class Request:
    operation: str
    act: Callable[[Stage], object]
    autosave: bool = False
    on_conflict: str = "raise"


REQUESTS = {
    "a save": Request("PutObject", save),
    "an autosaved update": Request("PutObject", lambda stage: stage.d.update(n=1), autosave=True),
    "an autosaved transaction's end": Request("PutObject", transaction, autosave=True),
    "a block's begin": Request("GetObject", with_block),
    "a block's end": Request("PutObject", with_block),
    "a run's end": Request("PutObject", lambda stage: stage.d.run(lambda d: d.update(n=1))),
    "the load for a merge": Request("GetObject", save, on_conflict="merge"),
    "the save of a merge": Request("PutObject", save, on_conflict="merge"),
}


# What another thread does meanwhile -----------------------------------------------------------------------------------


def whole_block(stage: Stage) -> None:
    with stage.d.transaction():
        stage.d["x"] = 42
        stage.list.append("edited")
        stage.d["y"] = 42


def failing_block(stage: Stage) -> None:
    with suppress(Boom), stage.d.transaction():
        stage.d["x"] = "undone"
        stage.d["dict"]["k"].append("undone")
        del stage.d["y"]
        raise Boom


def saving_block(stage: Stage) -> None:
    with stage.d:
        stage.d["x"] = 42


def write_and_save(stage: Stage) -> None:
    stage.d["x"] = 42
    stage.d.save()


def write_into_data(stage: Stage) -> None:
    data = stage.d.data
    data["x"] = 42
    data["new"] = [1]


ACTIONS: dict[str, tuple[Callable[[Stage], object], dict[str, Any]]] = {
    "writes": (lambda stage: stage.d.__setitem__("x", 42), {"x": 42}),
    "adds": (lambda stage: stage.d.setdefault("new", []).append(1), {"new": [1]}),
    "updates": (lambda stage: stage.d.update(x=42, new={"k": 1}), {"x": 42, "new": {"k": 1}}),
    "removes": (lambda stage: stage.d.pop("x"), {"x": None}),
    "edits inside a value": (lambda stage: stage.list.append("edited"), {"list": [1, "edited"]}),
    "edits inside a tuple": (lambda stage: stage.tuple[1].append("edited"), {"tuple": (1, [2, "edited"])}),
    "writes into data": (write_into_data, {"x": 42, "new": [1]}),
    "has a transaction": (whole_block, {"x": 42, "y": 42, "list": [1, "edited"]}),
    "has one that fails": (failing_block, {}),
    "has a block": (saving_block, {"x": 42}),
    "saves": (write_and_save, {"x": 42}),
}

READS: dict[str, Callable[[D], Any]] = {
    "an item": lambda d: d["list"],
    "get": lambda d: d.get("dict"),
    "in": lambda d: "n" in d,
    "len": len,
    "keys": list,
    "items": lambda d: list(d.items()),
    "repr": repr,
    "==": lambda d: d == {},
    "data": lambda d: d.data,
}


@pytest.mark.parametrize("moment", ["before it takes effect", "after it took effect"])
@pytest.mark.parametrize("what", ACTIONS)
@pytest.mark.parametrize("name", REQUESTS)
def test_what_another_thread_does_during_a_request_is_kept(name: str, what: str, moment: str) -> None:
    """It took effect when the thread was told so. Held values stay in the dict, and a save stores it."""
    request, (action, effect) = REQUESTS[name], ACTIONS[what]
    stage = Stage(autosave=request.autosave, on_conflict=request.on_conflict)
    threads: list[InThread[object]] = []
    stored: list[dict[Any, Any] | None] = []

    def step_in() -> None:
        threads.append(InThread(lambda: action(stage)))
        threads[0].is_waiting(A_MOMENT)

    stage.s3.once(request.operation, step_in, after=moment.startswith("after"))
    request.act(stage)
    stored.append(stage.s3.stored())
    assert threads, "there was no such request"
    threads[0].result()
    stored.append(stage.s3.stored())
    check_invariants(stage.d)
    expected = {"list": [1], "dict": {"k": [1]}, "tuple": (1, [2]), "n": 1, "x": 0, "y": 0, **effect}
    expected |= {"other": 1} if request.on_conflict == "merge" else {}
    expected = {key: value for key, value in expected.items() if value is not None}
    assert as_items(stage.d) == as_items(expected)
    assert stage.d["list"] is stage.list
    assert stage.d["tuple"] is stage.tuple
    stage.d.save()
    stored.append(stage.s3.stored())
    assert as_items(stored[-1]) == as_items(expected)
    assert same(dict(stage.d), stored[-1])
    assert_nothing_half_saved(what, stored)
    assert_usable(stage.d)


def as_items(content: Any) -> dict[Any, str]:
    """The content as items, to compare it in any order, including types."""
    return {key: repr(value) for key, value in content.items()}


def assert_nothing_half_saved(what: str, stored: list[dict[Any, Any] | None]) -> None:
    for content in stored:
        assert content is not None
        assert content["n"] == 1
        assert content.get("x") != "undone"
        assert content["dict"] == {"k": [1]}
        if what == "has a transaction":
            assert content["x"] == content["y"], "half a transaction was saved"


@pytest.mark.parametrize("moment", ["before it takes effect", "after it took effect"])
@pytest.mark.parametrize("name", REQUESTS)
def test_reads_do_not_wait_for_a_request(name: str, moment: str) -> None:
    """Another thread reads at once while one thread waits for S3."""
    request = REQUESTS[name]
    stage = Stage(autosave=request.autosave, on_conflict=request.on_conflict)
    read: dict[str, Any] = {}

    def step_in() -> None:
        read.update({what: in_thread(lambda what=what: READS[what](stage.d)) for what in READS})

    stage.s3.once(request.operation, step_in, after=moment.startswith("after"))
    request.act(stage)
    assert set(read) == set(READS)
    assert read["an item"] is stage.list
    assert read["keys"][:3] == ["list", "dict", "tuple"]
    check_invariants(stage.d)
    stage.d.save()
    assert same(stage.s3.stored(), dict(stage.d))


@pytest.mark.parametrize("what", ["writes", "updates", "has a transaction", "has a block", "saves"])
@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_that_fails_takes_nothing_of_other_threads_along(name: str, what: str) -> None:
    """The changes of its own thread may be undone, but those of another thread stay."""
    request, (action, effect) = REQUESTS[name], ACTIONS[what]
    stage = Stage(autosave=request.autosave, on_conflict=request.on_conflict)
    threads: list[InThread[object]] = []

    def step_in() -> None:
        threads.append(InThread(lambda: action(stage)))
        threads[0].is_waiting(A_MOMENT)
        raise refusal("the request", 403, "AccessDenied")

    stage.s3.once(request.operation, step_in)
    with pytest.raises(StorageError):
        request.act(stage)
    with suppress(StorageError):  # a save of its own may meet what others have written
        threads[0].result()
    check_invariants(stage.d)
    if what not in ("has a block", "saves") or request.on_conflict == "raise":
        assert {key: stage.d[key] for key in effect if key != "list"} == {
            key: value for key, value in effect.items() if key != "list"
        }
    assert stage.d["list"] is stage.list
    assert_usable(stage.d)


@pytest.mark.parametrize("moment", ["before it takes effect", "after it took effect"])
@pytest.mark.parametrize("what", ACTIONS)
@pytest.mark.parametrize("request_name", ["load", "delete"])
def test_what_another_thread_does_during_load_or_delete_comes_before_or_after(
    request_name: str, what: str, moment: str
) -> None:
    """The change is there, or it was replaced with everything else. The next save stores memory."""
    action, _ = ACTIONS[what]
    stage = Stage()
    threads: list[InThread[object]] = []

    def step_in() -> None:
        threads.append(InThread(lambda: action(stage)))
        threads[0].is_waiting(A_MOMENT)

    operation = {"load": "GetObject", "delete": "DeleteObject"}[request_name]
    stage.s3.once(operation, step_in, after=moment.startswith("after"))
    getattr(stage.d, request_name)()
    assert threads, "there was no such request"
    with suppress(KeyError, StorageError):  # what it takes out or saves has gone
        threads[0].result()
    check_invariants(stage.d)
    before = as_items(stage.d)
    assert stage.d.get("x") in (None, 0, 42)
    assert_usable(stage.d)
    with suppress(StorageError):
        stage.d.save()
        assert as_items(stage.s3.stored()) == before


# Blocks ---------------------------------------------------------------------------------------------------------------

UPDATES_OF_OTHERS: dict[str, Callable[[D], Any]] = {
    "writes": lambda d: d.__setitem__("x", 42),
    "removes": lambda d: d.pop("x"),
    "updates": lambda d: d.update(x=42),
    "has a transaction": lambda d: d.transaction()(lambda: d.update(x=42))(),
    "runs": lambda d: d.run(lambda d: d.update(x=42)),
    "saves": lambda d: d.save(),
    "loads": lambda d: d.load(),
    "sets data": lambda d: setattr(d, "data", {"x": 42}),
}


@pytest.mark.parametrize("end", ["well", "by an exception"])
@pytest.mark.parametrize("kind", ["with", "transaction"])
@pytest.mark.parametrize("what", UPDATES_OF_OTHERS)
def test_other_threads_wait_for_the_end_of_a_block_and_reads_do_not(what: str, kind: str, end: str) -> None:
    """Their changes never get into a block, and are never undone with it."""
    stage = Stage()
    d = stage.d
    with suppress(Boom), d if kind == "with" else d.transaction():
        d["n"] = 1
        thread = InThread(lambda: UPDATES_OF_OTHERS[what](d))
        assert thread.is_waiting(A_MOMENT)
        assert d["x"] == 0
        for read in READS.values():
            in_thread(lambda read=read: read(d))
        assert thread.is_waiting(0)
        if end != "well":
            raise Boom
    thread.result()
    check_invariants(d)
    if what not in ("saves", "loads"):
        assert d.get("x") == (None if what == "removes" else 42)
    if what not in ("loads", "sets data"):
        assert d["n"] == (1 if end == "well" else 0)
    assert_usable(d)
    d.save()
    assert same(stage.s3.stored(), dict(d))
