"""A rollback is exact and in place: same keys, same order, same values at any depth, and the same objects."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import threading
import weakref
from collections import Counter, OrderedDict, UserDict, defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import Mock

import pytest

from s3dictionary import S3Dict
from support.inside import raw_keys
from support.memory_s3 import MemoryS3

KEY = "state.json"


class Failed(Exception):
    """The exception that ends a block."""


@pytest.fixture
def s3() -> MemoryS3:
    return MemoryS3()


@pytest.fixture
def open_dict(s3: MemoryS3) -> Iterator[Callable[..., S3Dict[Any, Any]]]:
    """Open a file with this content."""
    opened: list[S3Dict[Any, Any]] = []

    def opener(content: dict[Any, Any] | None = None, **items: Any) -> S3Dict[Any, Any]:
        s3.write(KEY, json.dumps({**(content or {}), **items}).encode())
        opened.append(S3Dict("bucket", file_name=KEY, client=s3))
        return opened[-1]

    yield opener
    for d in opened:
        d._check()


Opener = Callable[..., S3Dict[Any, Any]]


def fail_in(d: S3Dict[Any, Any], edit: Callable[[], object]) -> None:
    """Let a block fail after an edit."""
    with pytest.raises(Failed), d.transaction():
        edit()
        raise Failed


def saved(s3: MemoryS3) -> Any:
    return json.loads(s3.objects[KEY][0])


# The dict itself ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "edit",
    [
        lambda d: d.update(a=9, b=9, new=9),
        lambda d: d.__delitem__("b"),
        lambda d: (d.__delitem__("a"), d.__setitem__("a", 1)),
        lambda d: d.__setitem__("a", d.pop("a")),
        lambda d: (d.popitem(), d.popitem(), d.__setitem__("c", 0)),
        lambda d: d.clear(),
        lambda d: (d.clear(), d.update(c=1, b=2, a=3)),
        lambda d: setattr(d, "data", {"other": 1}),
        lambda d: (d.__setitem__("new", 1), d.__delitem__("new")),
        lambda d: (d.__setitem__("new", 1), d.__delitem__("a")),
    ],
)
@pytest.mark.parametrize("read_first", [False, True])
def test_keys_values_and_order_come_back(open_dict: Opener, edit: Callable[[Any], object], read_first: bool) -> None:
    d = open_dict(a=1, b=[2], c={"d": 3})
    if read_first:
        repr(d)
    fail_in(d, lambda: edit(d))
    assert list(d.items()) == [("a", 1), ("b", [2]), ("c", {"d": 3})]
    assert not d.changed


def test_values_that_are_equal_and_yet_differ_come_back(open_dict: Opener) -> None:
    d = open_dict(a=1, b=[True, 1.0])
    inner = d["b"]
    fail_in(d, lambda: (d.__setitem__("a", True), inner.__setitem__(slice(None), [1, 1])))
    assert repr(d) == "{'a': 1, 'b': [True, 1.0]}"


def test_keys_that_are_equal_and_yet_differ_come_back(open_dict: Opener) -> None:
    d = open_dict()
    d[1] = {1: "one"}
    inner = d[1]
    fail_in(d, lambda: (d.pop(1), d.__setitem__(True, 0), inner.pop(1), inner.__setitem__(1.0, 0)))
    assert repr(d) == "{1: {1: 'one'}}"


def test_what_was_not_touched_stays_raw(open_dict: Opener) -> None:
    d = open_dict(a=[1], b=[2])
    fail_in(d, lambda: d.__delitem__("a"))
    assert raw_keys(d) == ["a", "b"]


# Objects that somebody holds ------------------------------------------------------------------------------------------


def test_an_object_taken_before_the_block_is_undone_itself(open_dict: Opener) -> None:
    d = open_dict(log=["a"])
    log = d["log"]
    fail_in(d, lambda: log.append("b"))
    assert log == ["a"]
    assert d["log"] is log


def test_an_object_taken_in_the_block_is_undone_itself(open_dict: Opener) -> None:
    d = open_dict(log=["a"])
    taken = []
    fail_in(d, lambda: (taken.append(d["log"]), d["log"].append("b")))
    assert taken == [["a"]]
    assert d["log"] is taken[0]


@pytest.mark.parametrize("first", [lambda d: d.pop("gone"), lambda d: d.data, lambda d: d.clear, lambda d: d.copy()])
def test_so_is_one_taken_after_a_key_was_removed_or_the_dict_handed_out(open_dict: Opener, first: Any) -> None:
    d = open_dict(gone=[0], log=["a"], never_touched=[1])
    taken = []
    fail_in(d, lambda: (first(d), taken.append(d["log"]), d["log"].append("b")))
    assert taken == [["a"]]
    assert d["log"] is taken[0]
    d["log"].append("c")
    assert d == {"gone": [0], "log": ["a", "c"], "never_touched": [1]}


def test_objects_at_every_depth_are_undone_themselves(open_dict: Opener) -> None:
    d = open_dict(a={"b": [{"c": [[1], 2]}]})
    held: list[Any] = [d["a"]]
    for step in ("b", 0, "c", 0):
        held.append(held[-1][step])

    def edit() -> None:
        for container in reversed(held):
            container.clear()
        d["a"] = None

    fail_in(d, edit)
    assert d["a"] is held[0]
    for container, step, inner in zip(held, ("b", 0, "c", 0), held[1:], strict=False):  # type: ignore[assignment]
        assert container[step] is inner
    assert d == {"a": {"b": [{"c": [[1], 2]}]}}


def test_the_pattern_that_loses_nothing(open_dict: Opener) -> None:
    """It keeps a log beside the failing transactions, and one put in by a successful inner block."""
    d = open_dict(stock=2)
    log = d.setdefault("log", [])
    with d:
        for amount in (1, 5, 1):
            try:
                with d.transaction():
                    d["stock"] -= amount
                    log.append("in vain")
                    if d["stock"] < 0:
                        raise Failed(f"{amount} are too many")
                    log.pop()
            except Failed as error:
                log.append(str(error))
    assert d == {"stock": 0, "log": ["5 are too many"]}
    assert d["log"] is log


def test_what_was_popped_and_then_changed_comes_back_as_it_was(open_dict: Opener) -> None:
    d = open_dict(a=[1], b={"c": [2]})
    popped = []

    def edit() -> None:
        popped.append(d.pop("a"))
        popped[0].append(9)
        popped.append(d.popitem()[1])
        popped[1]["c"].clear()

    fail_in(d, edit)
    assert d == {"a": [1], "b": {"c": [2]}}
    assert d["a"] is popped[0]
    assert d["b"] is popped[1]


def test_what_was_replaced_and_then_changed_comes_back_as_it_was(open_dict: Opener) -> None:
    d = open_dict(a=[1])
    old = d["a"]
    fail_in(d, lambda: (d.__setitem__("a", [2]), old.append(9)))
    assert d["a"] is old
    assert old == [1]


def test_one_container_under_two_keys_stays_one(open_dict: Opener) -> None:
    d = open_dict()
    shared: list[Any] = [[1]]
    d["a"], d["b"] = shared, {"inner": shared[0]}
    del shared
    with d.transaction():
        pass  # nobody but the dict holds it, and still it is in two places
    fail_in(d, lambda: (d["a"][0].append(2), d.pop("b")))
    assert d["a"][0] is d["b"]["inner"]
    d["a"][0].append(3)
    assert d["b"] == {"inner": [1, 3]}


def test_a_container_moved_to_another_key_goes_back(open_dict: Opener) -> None:
    d = open_dict(a=[1], b=[2])

    def edit() -> None:
        d["c"] = d.pop("a")
        d["b"].append(d["c"])
        d["c"].append(9)
        with d.transaction():
            d["d"] = d.pop("c")
            d["d"].append(10)

    fail_in(d, edit)
    assert list(d.items()) == [("a", [1]), ("b", [2])]


def test_containers_that_contain_themselves_are_undone(open_dict: Opener) -> None:
    d = open_dict()
    loop: list[Any] = [1]
    loop.append(loop)
    d["loop"], d["me"] = loop, {}
    d["me"]["again"] = d["me"]
    d["dict"] = d
    fail_in(d, lambda: (loop.clear(), d["me"].clear(), d["me"].update(x=1)))
    assert loop[0] == 1
    assert loop[1] is loop
    assert d["me"]["again"] is d["me"]
    del d["dict"]


# Blocks in blocks -----------------------------------------------------------------------------------------------------


def test_an_outer_block_undoes_what_inner_ones_committed(open_dict: Opener) -> None:
    d = open_dict(a=[1], b=[2])
    held = d["a"]

    def edit() -> None:
        for _ in range(3):
            with d.transaction():
                held.append(0)
                d["b"].append(0)
                d["new"] = [0]
            with suppress(Failed), d.transaction():
                held.clear()
                d.clear()
                raise Failed

    fail_in(d, edit)
    assert list(d.items()) == [("a", [1]), ("b", [2])]
    assert d["a"] is held


def test_an_inner_block_goes_back_only_to_its_own_begin(open_dict: Opener) -> None:
    d = open_dict(a=[1])
    held = d["a"]
    with d.transaction():
        held.append(2)
        d["b"] = [2]
        fail_in(d, lambda: (held.append(3), d["b"].append(3), d.pop("a")))
        assert list(d.items()) == [("a", [1, 2]), ("b", [2])]
        fail_in(d, lambda: (d.pop("b"), d.__setitem__("c", 1)))
        assert list(d.items()) == [("a", [1, 2]), ("b", [2])]
    assert list(d.items()) == [("a", [1, 2]), ("b", [2])]
    assert d["a"] is held


def test_an_object_put_in_by_an_undone_block_keeps_what_it_got_since(open_dict: Opener) -> None:
    """It never belonged to the dict after the rollback."""
    d = open_dict()
    mine: list[int] = [1]

    def edit() -> None:
        d["mine"] = mine
        mine.append(2)
        fail_in(d, lambda: mine.append(3))  # there it was in the dict
        with d.transaction():
            mine.append(4)

    fail_in(d, edit)
    assert mine == [1, 2, 4]
    assert d == {}


def test_so_does_one_put_in_through_data(open_dict: Opener) -> None:
    d = open_dict(n=1)
    mine: list[int] = [1]

    def edit() -> None:
        d.data["n"] = mine
        with d.transaction():
            mine.append(2)

    fail_in(d, edit)
    assert mine == [1, 2]
    assert d == {"n": 1}


def test_a_value_touched_first_in_an_inner_block_is_undone_by_the_outer(open_dict: Opener) -> None:
    d = open_dict(a=[1])
    taken = []

    def edit() -> None:
        with d.transaction():
            taken.append(d["a"])
            taken[0].append(2)
        taken[0].append(3)

    fail_in(d, edit)
    assert taken == [[1]]
    assert d["a"] is taken[0]


def test_a_hundred_blocks_deep(open_dict: Opener) -> None:
    d = open_dict(a=[])
    held = d["a"]

    def nest(depth: int) -> None:
        held.append(depth)
        d[f"k{depth}"] = depth
        if depth < 100:
            with suppress(Failed), d.transaction():
                nest(depth + 1)
                if depth % 2:
                    raise Failed

    nest(0)
    assert held == [0, 1]
    assert list(d) == ["a", "k0", "k1"]


# `data` handed out ----------------------------------------------------------------------------------------------------


def edit_directly(data: dict[str, Any]) -> None:
    data["new"] = [1]
    data["n"] = [2]
    data["b"].append(3)
    del data["a"]
    data["a"] = 4


EXPECTED = [("n", 1), ("a", [1]), ("b", [2])]


def test_data_handed_out_before_the_block_is_undone(open_dict: Opener) -> None:
    d = open_dict(dict(EXPECTED))
    data = d.data
    fail_in(d, lambda: edit_directly(data))
    assert list(data.items()) == list(d.items()) == EXPECTED
    assert d.data is data


def test_data_handed_out_in_the_block_is_undone(open_dict: Opener) -> None:
    d = open_dict(dict(EXPECTED))
    handed = []
    fail_in(d, lambda: (handed.append(d.data), edit_directly(handed[0])))
    assert list(d.items()) == EXPECTED
    assert d.data is handed[0]
    handed[0]["more"] = 1
    assert d["more"] == 1


def test_data_and_the_dict_changed_in_turn_are_undone(open_dict: Opener) -> None:
    d = open_dict(dict(EXPECTED))
    data = d.data

    def edit() -> None:
        data["new"] = 1
        del d["n"]
        del data["a"]
        d["a"] = 2
        d["new"] = 3
        d.clear()
        data["a"] = 5

    fail_in(d, edit)
    assert list(data.items()) == EXPECTED


@pytest.mark.parametrize("inner_fails", [False, True])
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("when", ["before", "outer", "inner"])
def test_data_changed_across_nested_blocks_is_undone(
    open_dict: Opener, when: str, keep: bool, inner_fails: bool
) -> None:
    """When nobody holds `data` any more, its items get entries again, including unseen ones."""
    d = open_dict(dict(EXPECTED))
    kept = [d.data] if when == "before" else []

    def edit() -> None:
        if when == "outer":
            kept.append(d.data)
        if kept:
            kept[0]["unseen"] = [1]
            del kept[0]["a"]
        if not keep:
            kept.clear()
        with suppress(Failed), d.transaction():
            d.data["later"] = [2]
            d.data["n"] = [3]
            if when == "inner" and keep:
                kept.append(d.data)
            if inner_fails:
                raise Failed
        with d.transaction():
            d["n"] = 4
            d.pop("b").append(9)
        d["unseen"] = 5

    fail_in(d, edit)
    assert list(d.items()) == EXPECTED
    if keep:
        assert d.data is kept[0]
    assert not d.changed


def test_data_after_a_raw_value_was_overwritten_holds_no_raw_value(open_dict: Opener) -> None:
    d = open_dict(a=[1], b=2)
    handed = []
    fail_in(d, lambda: (d.__setitem__("a", 5), handed.append(d.data)))
    assert handed == [{"a": [1], "b": 2}]
    assert d["a"] is handed[0]["a"]


def test_data_after_a_save_holds_no_raw_value(open_dict: Opener) -> None:
    d = open_dict(n=1, a=[1])
    with d:
        d["a"].append(d["n"])
    assert dict(d.data) == {"n": 1, "a": [1, 1]}


def test_what_came_in_through_data_is_saved_and_undone_like_anything(open_dict: Opener, s3: MemoryS3) -> None:
    d = open_dict(n=1)
    held: list[int] = [1]
    d.data["list"] = held
    d.data["n"] = {}
    with d:
        fail_in(d, lambda: (held.append(2), d["n"].update(x=1)))
    assert saved(s3) == {"n": {}, "list": [1]}
    assert d["list"] is held


# Whoever is going through it ------------------------------------------------------------------------------------------


def test_the_dict_can_be_iterated_over_while_blocks_fail(open_dict: Opener) -> None:
    d = open_dict(gone=0, a=1, b=2, c=3, d=4)
    del d["gone"]
    seen = []
    for key in d:
        seen.append(key)
        fail_in(d, lambda key=key: (d.__setitem__(key, 9), d.__setitem__("b", 1)))  # type: ignore[misc]
    assert seen == ["a", "b", "c", "d"]


@pytest.mark.parametrize("edit", [lambda d: d.pop("b"), lambda d: (d.pop("b"), d.update(b=1)), lambda d: d.clear()])
def test_who_removes_keys_while_iterating_hears_of_it_also_if_that_is_undone(open_dict: Opener, edit: Any) -> None:
    """As in a dict, an iteration raises instead of skipping keys silently."""
    d = open_dict(gone=0, a=1, b=2, c=3)
    del d["gone"]
    with pytest.raises(RuntimeError, match="changed"):
        for _ in d:
            fail_in(d, lambda: edit(d))
    assert list(d) == ["a", "b", "c"]


def test_views_can_be_iterated_over_while_blocks_fail(open_dict: Opener) -> None:
    d = open_dict(a=[1], b=[2], c=[3])
    seen = []
    for key, value in d.items():
        fail_in(d, lambda key=key, value=value: (value.append(9), d.__setitem__(key, 9)))  # type: ignore[misc]
        seen.append((key, list(value)))
    assert seen == [("a", [1]), ("b", [2]), ("c", [3])]


def test_a_dict_in_it_can_be_iterated_over_while_blocks_fail(open_dict: Opener) -> None:
    """Rewriting the whole dict would close the removed key's gap, and the iteration would skip a key."""
    d = open_dict(jobs={"gone": 0, "a": 1, "b": 2, "c": 3})
    jobs = d["jobs"]
    del jobs["gone"]
    seen = []
    for key in jobs:
        seen.append(key)
        fail_in(d, lambda key=key: jobs.update({key: 0}))  # type: ignore[misc]
    assert seen == ["a", "b", "c"]


def test_lists_and_sets_in_it_can_be_iterated_over_while_blocks_fail(open_dict: Opener) -> None:
    d = open_dict(numbers=[1, 2, 3, 4])
    d["set"] = members = {1, 2, 3, 4}
    numbers = []
    for number in d["numbers"]:
        numbers.append(number)
        fail_in(d, lambda: d["numbers"].clear())
    in_set = set()
    for number in members:
        in_set.add(number)
        fail_in(d, lambda: members.add(5))
    assert numbers == [1, 2, 3, 4]
    assert in_set == {1, 2, 3, 4}


def test_a_failing_block_hides_no_key_from_other_threads(open_dict: Opener) -> None:
    """Reads don't wait, so unaffected keys must be present at every moment."""
    d = open_dict({f"k{number}": number for number in range(2000)})
    done = threading.Event()
    missed = []

    def read() -> None:
        while not done.is_set():
            if d.get("k1000") != 1000 or len(d) < 1999:
                missed.append(True)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(100):
        fail_in(d, lambda: d.pop("k0"))
    done.set()
    reader.join()
    assert not missed


# All kinds of containers ----------------------------------------------------------------------------------------------


class Guarded(dict):  # type: ignore[type-arg]
    """A dict whose own methods mustn't be called."""

    def __setitem__(self, key: Any, value: Any) -> None:
        raise AssertionError("not for rolling back")

    __delitem__ = clear = update = pop = items = values = keys = __iter__ = __setitem__  # type: ignore[assignment]


class Shy(list):  # type: ignore[type-arg]
    """A list whose own methods don't show its content."""

    def __iter__(self) -> Any:
        return iter([])

    def __len__(self) -> int:
        return 0

    copy = __iter__


class Tag(str):
    """A str with an additional attribute."""


class Point(NamedTuple):
    x: Any
    y: Any


CONTAINERS: list[tuple[Any, Callable[[Any], object]]] = [
    ({"a": 1, "b": 2}, lambda it: (it.pop("a"), it.update(a=1))),
    ({"a": 1, "b": 2}, lambda it: (it.clear(), it.update(b=2, a=1))),
    ([3, 1, 2], lambda it: it.sort()),
    ([1, 2], lambda it: (it.pop(0), it.insert(0, True))),
    ({1, 2}, lambda it: (it.discard(1), it.add(True))),
    ({1, 2}, lambda it: it.clear()),
    (bytearray(b"abc"), lambda it: it.extend(b"d")),
    (bytearray(b"abc"), lambda it: it.__setitem__(0, 0)),
    (([1], {"a": {2}}, 3), lambda it: (it[0].clear(), it[1]["a"].add(4))),
    (Point([1], 2), lambda it: it.x.append(3)),
    (OrderedDict(a=1, b=2), lambda it: it.move_to_end("a")),
    (OrderedDict(a=1, b=2), lambda it: it.popitem(last=False)),
    (defaultdict(list, a=[1]), lambda it: (it["b"].append(2), it["a"].append(3))),
    (Counter("aab"), lambda it: (it.update("bc"), it.subtract("a"))),
]


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize(("container", "edit"), CONTAINERS, ids=lambda it: type(it).__name__)
def test_every_kind_of_container_is_undone_in_place(
    open_dict: Opener, container: Any, edit: Callable[[Any], object], held: bool, nested: bool
) -> None:
    d = open_dict()
    value = copy.deepcopy(container)
    d["it"] = [value] if nested else value
    identity = id(value)
    if not held:
        del value
    with d.transaction():
        pass

    def get() -> Any:
        return d["it"][0] if nested else d["it"]

    fail_in(d, lambda: edit(get()))
    assert id(get()) == identity
    assert type(get()) is type(container)
    assert repr(get()) == repr(container) or get() == container
    assert list(get()) == list(container)


def test_a_dict_with_a_will_of_its_own_is_undone(open_dict: Opener) -> None:
    d = open_dict()
    d["it"] = guarded = Guarded({"a": [1], "b": 2})
    fail_in(d, lambda: (dict.pop(guarded, "a").append(9), dict.__setitem__(guarded, "c", 3)))
    assert list(dict.items(guarded)) == [("a", [1]), ("b", 2)]


def test_a_list_that_does_not_show_what_is_in_it_is_undone(open_dict: Opener) -> None:
    d = open_dict()
    inner = [1]
    d["it"] = shy = Shy([inner])
    with d.transaction():
        pass
    fail_in(d, lambda: (inner.append(2), list.append(shy, 3)))
    assert inner == [1]
    assert list.__len__(shy) == 1


def test_an_object_that_claims_to_be_a_container_does_no_harm(open_dict: Opener) -> None:
    d = open_dict()
    kept = {1}
    d["mock"], d["proxy"], d["user"] = Mock(spec=dict), weakref.proxy(kept), UserDict(a=[1])
    before = list(d.values())
    fail_in(d, d.clear)
    assert all(now is then for now, then in zip(d.values(), before, strict=True))


def test_a_value_of_a_class_of_its_own_stays_what_it_is_after_a_save(open_dict: Opener, s3: MemoryS3) -> None:
    """This holds while the program runs. The value from the file has the built-in type."""
    d = open_dict()
    with d:
        d.update(counter=Counter("a"), point=Point(1, 2), tag=Tag("a"), inner=[defaultdict(int)], keys={Tag("a"): 1})
    for _ in range(3):
        with d:
            d["counter"]["b"] += 1
    assert type(d["counter"]) is Counter
    assert d["point"].x == 1
    assert type(d["tag"]) is Tag
    assert d["inner"][0]["new"] == 0
    assert type(next(iter(d["keys"]))) is Tag
    assert type(S3Dict("bucket", file_name=KEY, client=s3)["counter"]) is dict


# Very many containers -------------------------------------------------------------------------------------------------

READS_MANY_CONTAINERS = """
import sys, threading
from support.memory_s3 import MemoryS3
from s3dictionary import S3Dict
lists = {str(number): [] for number in range(20_000)}
data = {"wide": lists} if sys.argv[1] == "value" else {"first": lists, "second": lists, "third": lists}
s3 = MemoryS3()
S3Dict("bucket", file_name="key", client=s3, data=data).save()
def read():
    with S3Dict("bucket", file_name="key", client=s3) as d:
        assert [value == lists for value in d.values()] == [True] * len(data)
    print("read")
threading.stack_size(1 << 18)
threading.Thread(target=read).start()
"""


@pytest.mark.parametrize("where", ["value", "records"])
def test_a_thread_with_a_small_stack_can_read_very_many_containers_in_a_block(where: str) -> None:
    """In a process of its own, which an overflow of the C stack would kill."""
    here = Path(__file__).parent
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (here, here.parent)))}
    command = [sys.executable, "-c", READS_MANY_CONTAINERS, where]
    assert subprocess.check_output(command, env=environ, text=True, timeout=90) == "read\n"


@pytest.mark.parametrize("count", [99, 100, 101, 102, 250])
def test_any_number_of_containers_is_undone_in_place(open_dict: Opener, count: int) -> None:
    """In one value, and in values that are read one after the other."""
    before = {key: {str(number): [number] for number in range(count)} for key in ("first", "second", "third")}
    d = open_dict(before)

    def edit() -> None:
        for value in d.values():
            for inner in value.values():
                inner.append("in the block")
            held.append(list(value.values()))

    held: list[list[Any]] = []
    fail_in(d, edit)
    assert d == before
    assert all(
        d[key][name] is inner for key, row in zip(d, held, strict=True) for name, inner in zip(d[key], row, strict=True)
    )


# Values that nobody seems to hold -------------------------------------------------------------------------------------


def by_an_iterator(value: Any) -> Callable[[], Any]:
    iterator = iter([value])
    return lambda: next(iterator)


def by_a_closure(value: Any) -> Callable[[], Any]:
    return lambda: value


def by_a_bound_method(value: Any) -> Callable[[], Any]:
    append = value["inner"].append
    return lambda: {"inner": append.__self__}


def by_a_generator(value: Any) -> Callable[[], Any]:
    def generate(mine: Any) -> Iterator[Any]:
        yield None
        yield mine

    generator = generate(value)
    next(generator)
    return lambda: next(generator)


def by_a_tuple(value: Any) -> Callable[[], Any]:
    holder = (value,)
    del value
    return lambda: holder[0]


def by_its_inner_list(value: Any) -> Callable[[], Any]:
    inner = value["inner"]
    del value
    return lambda: {"inner": inner}


def by_an_attribute(value: Any) -> Callable[[], Any]:
    holder = Mock()
    holder.value = value
    del value
    return lambda: holder.value


def by_a_view(value: Any) -> Callable[[], Any]:
    view = value.values()
    del value
    return lambda: {"inner": next(iter(view))}


def by_an_iterator_over_it(value: Any) -> Callable[[], Any]:
    iterator = iter(value.values())
    del value
    return lambda: {"inner": next(iterator)}


def by_another_thread(value: Any) -> Callable[[], Any]:
    """Held by a local variable of a function that waits in another thread."""
    asked, answered = threading.Event(), threading.Event()
    answer = []

    def hold(mine: Any) -> None:
        asked.wait()
        answer.append(mine)
        answered.set()

    threading.Thread(target=hold, args=(value,), daemon=True).start()
    del value

    def get() -> Any:
        asked.set()
        answered.wait()
        return answer[0]

    return get


HOLDERS = [
    by_an_iterator,
    by_a_closure,
    by_a_bound_method,
    by_a_generator,
    by_a_tuple,
    by_its_inner_list,
    by_an_attribute,
    by_a_view,
    by_an_iterator_over_it,
    by_another_thread,
]


@pytest.mark.parametrize("saves", [False, True])
@pytest.mark.parametrize("holder", HOLDERS)
def test_a_value_held_only(open_dict: Opener, s3: MemoryS3, holder: Callable[[Any], Any], saves: bool) -> None:
    d = open_dict(value={"inner": [1]}, n=0)
    get = holder(d["value"])
    for _ in range(3):  # time enough to fall asleep, and to become raw again
        with d if saves else d.transaction():
            d["n"] += 1
    value = get()
    fail_in(d, lambda: value["inner"].append(2))
    assert value["inner"] == [1], "an edit wasn't undone"
    assert d["value"]["inner"] is value["inner"]
    value["inner"].append(3)
    with d:
        pass
    assert saved(s3)["value"] == {"inner": [1, 3]}, "an edit was lost"


def test_a_value_held_only_by_a_weak_reference(open_dict: Opener, s3: MemoryS3) -> None:
    d = open_dict(n=0)
    members = {1}
    reference = weakref.ref(members)
    d["set"] = members
    del members
    for _ in range(3):
        with d:
            d["n"] += 1
    fail_in(d, lambda: reference().add(2))  # type: ignore[union-attr]
    assert d["set"] == {1}
    reference().add(3)  # type: ignore[union-attr]
    with d:
        pass
    assert saved(s3)["set"] == {"py/set": [1, 3]}


def test_a_bytearray_held_only_by_a_memoryview(open_dict: Opener) -> None:
    d = open_dict()
    d["it"] = bytearray(b"abc")
    view = memoryview(d["it"])
    for _ in range(3):
        with d.transaction():
            pass
    fail_in(d, lambda: view.__setitem__(0, 0))
    assert d["it"] == b"abc"
    view.release()


@pytest.mark.parametrize(
    "touch", [lambda d: d["a"], lambda d: d.get("a"), lambda d: d.setdefault("a"), lambda d: d.data["a"]]
)
def test_a_sleeping_value_taken_again_is_seen_again(open_dict: Opener, s3: MemoryS3, touch: Any) -> None:
    d = open_dict(a=[1])
    d["a"].append(2)
    for _ in range(3):
        with d.transaction():
            pass
    value = touch(d)
    fail_in(d, lambda: value.append(3))
    assert value == [1, 2]
    value.append(4)
    with d:
        pass
    assert saved(s3) == {"a": [1, 2, 4]}


def test_a_sleeping_value_is_undone_by_every_block_around(open_dict: Opener) -> None:
    d = open_dict(a=[1])
    with d.transaction():
        d["a"].append(2)

    def edit() -> None:
        with d.transaction():
            d["a"].append(3)
        with d.transaction():
            d["a"].append(4)
        fail_in(d, lambda: d["a"].append(5))
        assert d["a"] == [1, 2, 3, 4]
        d.pop("a").clear()

    fail_in(d, edit)
    assert d["a"] == [1, 2]


# Deletions ------------------------------------------------------------------------------------------------------------


def test_a_key_put_in_again_after_its_removal_was_saved_is_saved(open_dict: Opener, s3: MemoryS3) -> None:
    d = open_dict(a=1)
    del d["a"]
    d.save()
    d["a"] = 2
    assert d.changed
    with d:
        pass
    assert saved(s3) == {"a": 2}


def test_what_was_removed_through_data_comes_back_with_a_load(open_dict: Opener, s3: MemoryS3) -> None:
    d = open_dict(a=1, b=2)
    data = d.data
    d.save()
    del data["a"]
    assert d.changed
    d.load()
    assert list(data.items()) == [("a", 1), ("b", 2)]
    data["a"] = data.pop("a")
    assert d.changed
    with d:
        pass
    assert list(saved(s3)) == ["b", "a"]
