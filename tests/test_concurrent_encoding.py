"""What is written of a value that another thread edits: each container as it was at one moment, with its types."""

from __future__ import annotations

import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest

from s3dictionary._format import codec
from support import inside
from support.comparison import same
from support.moments import at_moments

DAY = date(2026, 1, 2)


def write(value: Any) -> Any:
    """Write a value alone, and read it back."""
    return codec.decode(codec.encode(value, "a"))


def write_all(value: Any) -> Any:
    """Write a value among others, and read it back."""
    members = codec.encode_all({"x": {"n": 1}, "a": value, "y": [None]})
    return codec.decode(members["a"])


def write_changes(value: Any) -> Any:
    """Write a value that replaces another one, and read it back."""
    members = inside.written({"x": ([1], None), "a": (value, codec.Raw(b"[ 1, 2 ]")), "y": (1, codec.Raw(b"1"))})
    return codec.decode(members["a"])


WAYS = [write, write_all, write_changes]


def _change_tuple(value: Any) -> Iterator[None]:
    kept, value["at"] = value["at"], (3, 4)
    yield
    value["at"] = kept


def _change_date(value: Any) -> Iterator[None]:
    kept, value["deep"][0]["name"] = value["deep"][0]["name"], DAY
    yield
    value["deep"][0]["name"] = kept


def _change_float(value: Any) -> Iterator[None]:
    kept, value["deep"][1] = value["deep"][1], float("nan")
    yield
    value["deep"][1] = kept


def _change_key(value: Any) -> Iterator[None]:
    value["deep"][0][5] = "five"
    yield
    del value["deep"][0][5]


EDITS: dict[str, tuple[Callable[[Any], Iterator[None]], Callable[[Any], None]]] = {
    "a tuple for a list": (_change_tuple, lambda value: value.update(at=(3, 4))),
    "a date for a str": (_change_date, lambda value: value["deep"][0].update(name=DAY)),
    "NaN for a float": (_change_float, lambda value: value["deep"].__setitem__(1, float("nan"))),
    "a key that is an int": (_change_key, lambda value: value["deep"][0].update({5: "five"})),
}


def sample() -> dict[str, Any]:
    return {"at": [1, 2], "deep": [{"name": "x"}, 1.5, "y"], "n": {"m": {"k": [[]]}}}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("edit", EDITS)
def test_what_comes_and_goes_meanwhile_is_written_as_itself_or_not_at_all(way: Any, edit: str) -> None:
    """A value of a type that JSON lacks is put in at one moment, and removed at a later one."""
    change, make = EDITS[edit]
    changed = sample()
    make(changed)
    _, moments = at_moments({}, lambda: way(sample()))
    assert moments > 5
    for begin in range(1, moments + 1):
        for end in range(begin + 1, min(begin + 6, moments + 2)):
            value = sample()
            steps = change(value)
            actions = {begin: lambda steps=steps: next(steps), end: lambda steps=steps: next(steps, None)}
            found, _ = at_moments(actions, lambda value=value: way(value))
            assert same(found, sample()) or same(found, changed), (begin, end)


KINDS: dict[str, Callable[[int], tuple[Any, Any]]] = {
    "nothing but JSON": lambda n: (str(n), {"id": n, "tags": [1, "a"]}),
    "int keys": lambda n: (n, {"id": n, "tags": [1]}),
    "a tuple inside": lambda n: (str(n), {"id": n, "at": (1, 2)}),
    "tuples as keys": lambda n: ((n, "k"), {"id": n}),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("make", [dict, OrderedDict])
def test_each_value_is_written_under_its_own_key(way: Any, kind: str, make: Any) -> None:
    """At each moment of the writing, one entry is replaced by another."""

    def build() -> Any:
        return make(map(KINDS[kind], range(4)))

    def replace(users: Any) -> None:
        users.pop(KINDS[kind](2)[0])
        users.update([KINDS[kind](100)])

    after = build()
    replace(after)
    _, moments = at_moments({}, lambda: way(build()))
    for moment in range(1, moments + 1):
        users = build()
        found, _ = at_moments({moment: lambda users=users: replace(users)}, lambda users=users: way(users))
        assert same(found, dict(build())) or same(found, dict(after)), moment


@pytest.mark.parametrize(
    ("make", "edit"),
    [
        (lambda: {1, 2, 3}, lambda value: value.symmetric_difference_update({3, 4})),
        (lambda: [(), 1, 2], lambda value: value.insert(0, value.pop())),
        (lambda: {(): [1, 2]}, lambda value: value.update({(): [3]})),
    ],
    ids=["set", "list", "dict"],
)
def test_what_json_lacks_is_written_as_it_was_before_or_after_an_edit(make: Any, edit: Any) -> None:
    """The edit comes at each moment of the writing."""
    after = make()
    edit(after)
    _, moments = at_moments({}, lambda: write(make()))
    for moment in range(1, moments + 1):
        value = make()
        found, _ = at_moments({moment: lambda value=value: edit(value)}, lambda value=value: write(value))
        assert same(found, make()) or same(found, after), moment


@pytest.mark.parametrize("key", [int, str, lambda n: ("k", n)], ids=["int", "str", "tuple"])
def test_threads_that_edit_fail_no_writing(key: Callable[[int], Any]) -> None:
    """Another thread adds and removes keys and changes types continuously."""
    before = sys.getswitchinterval()
    jobs: dict[Any, Any] = {key(n): [n, {"n": n}] for n in range(200)}
    stop = threading.Event()

    def edit() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            jobs[key(1000 + number % 50)] = [1000 + number % 50, {"n": (number,)}]
            jobs.pop(key(1000 + (number + 25) % 50), None)

    thread = threading.Thread(target=edit)
    sys.setswitchinterval(1e-6)
    thread.start()
    try:
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            found = codec.decode(codec.encode(jobs))
            assert all(name == key(entry[0]) for name, entry in found.items())
            assert all(type(entry[1]["n"]) is (tuple if entry[0] >= 1000 else int) for entry in found.values())
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(before)


def _loud(base: type) -> Any:
    def ask(name: str) -> Callable[..., Any]:
        def method(self: Any, *args: Any) -> Any:
            raise AssertionError(f"{name} was called")

        return method

    names = [
        "__iter__",
        "__len__",
        "__str__",
        "__repr__",
        "__getitem__",
        "items",
        "keys",
        "values",
        "copy",
        "isoformat",
    ]
    return type(f"Loud{base.__name__}", (base,), {name: ask(name) for name in [*names, "__eq__", "__contains__"]})


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (_loud(dict)(a=1), {"a": 1}),
        (_loud(OrderedDict)(a=1), {"a": 1}),
        (_loud(list)([1, 2]), [1, 2]),
        (_loud(tuple)([1, 2]), (1, 2)),
        (_loud(set)([1, 2]), {1, 2}),
        (_loud(frozenset)([1, 2]), frozenset({1, 2})),
        (_loud(str)("a"), "a"),
        (_loud(int)(5), 5),
        (_loud(float)(1.5), 1.5),
        (_loud(complex)(1, 2), 1 + 2j),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_methods_of_a_subclass_are_not_called(value: Any, plain: Any) -> None:
    """They may count, refuse, or edit what is being written."""
    assert same(write([value]), [plain])
