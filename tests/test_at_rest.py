"""Values that nobody holds while a save encodes them become raw after it. An edit by anybody else is noticed."""

from __future__ import annotations

import gc
import json
import math
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest

from s3dictionary import AccessDeniedError, ConflictError, NotStorableError, Rollback, S3Dict, UnsavedChangesWarning
from s3dictionary._format import codec
from s3dictionary._format.plain import MAX_NESTING
from s3dictionary._memory import refcounts
from s3dictionary._yielding import is_beside_loop
from support.adversary.hooked_s3 import HookedS3
from support.adversary.interrupting import handle_at_each_moment, interrupt_at_each_moment, step_in_at_each_moment
from support.adversary.threads import InThread
from support.inside import raw_keys
from support.memory_s3 import refusal
from support.stress import TIME_LIMIT, seeded

pytestmark = [pytest.mark.timeout(TIME_LIMIT), pytest.mark.usefixtures("collected")]

if not refcounts._COUNTS_TELL:
    pytest.skip("there are no reference counts here", allow_module_level=True)

D = S3Dict[Any, Any]
COUNT = 300
TAGGED = {"py/set": [1]}

SHAPES: dict[str, Callable[[int], Any]] = {
    "flat records": lambda n: {"n": n, "text": "x"},
    "records with lists": lambda n: {"a": [n], "n": n, "b": ["x", n]},
    "records with optional lists": lambda n: {"n": n, "a": [n] if n % 3 else None},
    "records of different sizes": lambda n: {"n": n, **({"a": [n]} if n % 2 else {})},
    "nested records": lambda n: {"a": {"b": [{"c": n}, [n]]}, "d": [[], {}]},
    "lists": lambda n: [n, [n], {"n": n}],
    "many lists": lambda n: {f"a{place}": [[n]] for place in range(120)},
}


def record(number: int = 0) -> Any:
    return {"n": number, "tags": ["a"], "at": {"x": [1]}, "rows": [[1]]}


def begin(shape: Callable[[int], Any] = record, count: int = 3) -> tuple[HookedS3, D]:
    s3 = HookedS3()
    s3.write("key", json.dumps({f"r{number}": shape(number) for number in range(count)}).encode())
    return s3, s3.open()


def edit(value: Any) -> None:
    """Change a value in place."""
    if isinstance(value, list):
        value.append("edited")
    else:
        value.setdefault("edited", []).append(True)


def edit_all_values(d: D) -> None:
    for value in d.values():
        edit(value)


def edit_all(d: D) -> None:
    with d:
        edit_all_values(d)


def is_noticed(s3: HookedS3, d: D) -> bool:
    """Whether an edit after a save counts as a change, and the next save writes it."""
    if not d.changed:
        return False
    content = dict(d)
    with d:
        pass
    return s3.stored() == content


# What nobody holds ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("save", ["at the end of a block", "in a block", "without a block", "of new values"])
def test_what_nobody_holds_is_raw_after_a_save(shape: Callable[[int], Any], save: str) -> None:
    s3, d = begin(shape, COUNT)
    if save == "at the end of a block":
        edit_all(d)
    elif save == "of new values":
        with d:
            for number in range(COUNT):
                d[f"r{number}"] = [shape(number)]
    else:
        for value in d.values():
            edit(value)
        del value
        if save == "in a block":
            with d:
                d.save()
        d.save()
    assert raw_keys(d) == list(d)
    d._check()
    assert s3.stored() == d
    assert not d.changed


def test_what_a_save_has_written_is_not_encoded_again_when_the_dict_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the one value that somebody holds is."""
    _, d = begin(count=COUNT)
    held = d["r7"]
    edit_all(d)
    encoded: list[Any] = []
    encode = codec.encode_changes
    monkeypatch.setattr(codec, "encode_changes", lambda part, types: encoded.extend(part.keys) or encode(part, types))
    monkeypatch.setattr(codec, "any_change", lambda part, types: encoded.extend(part.keys) or False)
    del d
    gc.collect()
    assert encoded == ["r7"]
    assert held["edited"]


def test_a_value_that_was_only_read_keeps_the_spelling_of_the_file() -> None:
    s3, d = begin()
    s3.write("key", b'{"a": {"n": 1.0e0}, "b": {"n": 1}}')
    d.load()
    with d:
        assert d["a"]["n"] == 1
        d["b"]["n"] = 2
    assert s3.objects["key"][0].startswith(b'{"a":{"n": 1.0e0},"b":{"n":2}}')


@pytest.mark.parametrize("place", [lambda x: x, lambda x: [x], lambda x: {"a": x}, lambda x: [{"a": [x]}]])
@pytest.mark.parametrize(
    "make", [lambda: (1, [2]), lambda: {1: 2}, lambda: {None: 1}, lambda: math.inf, lambda: TAGGED]
)
def test_what_json_lacks_comes_back_as_it_was(place: Callable[[Any], Any], make: Callable[[], Any]) -> None:
    s3, d = begin()
    d["r1"] = place(make())
    d.save()
    assert not d.changed
    assert d["r1"] == place(make())
    assert s3.stored() == d


def test_a_value_that_is_unsaved_is_still_found_when_the_dict_is_dropped() -> None:
    _, d = begin()
    edit_all(d)
    d["r1"]["n"] = "unsaved"
    with pytest.warns(UnsavedChangesWarning):
        del d


# What somebody holds --------------------------------------------------------------------------------------------------


def the_value(value: Any) -> Callable[[], Any]:
    return lambda: value


def an_inner_list(value: Any) -> Callable[[], Any]:
    tags = value["tags"]
    return lambda: tags


def an_innermost_list(value: Any) -> Callable[[], Any]:
    inner = value["at"]["x"]
    return lambda: inner


def a_list_in_a_list(value: Any) -> Callable[[], Any]:
    inner = value["rows"][0]
    return lambda: inner


def a_bound_method(value: Any) -> Callable[[], Any]:
    method = value["tags"].append
    return lambda: method.__self__


def a_view(value: Any) -> Callable[[], Any]:
    view = value["at"].items()
    return lambda: dict(view)["x"]


def an_iterator(value: Any) -> Callable[[], Any]:
    iterator = iter(value["at"].values())
    return lambda: next(iterator)


def a_generator(value: Any) -> Callable[[], Any]:
    def holding(value: Any) -> Iterator[Any]:
        yield None
        yield value

    generator = holding(value)
    next(generator)
    del value
    return lambda: next(generator)


def a_tuple(value: Any) -> Callable[[], Any]:
    pair = (1, value)
    return lambda: pair[1]


def another_thread(value: Any) -> Callable[[], Any]:
    go_on, found = threading.Event(), []

    def hold(value: Any) -> None:
        go_on.wait()
        found.append(value)

    thread = threading.Thread(target=hold, args=(value,))
    thread.start()

    def get() -> Any:
        go_on.set()
        thread.join()
        return found.pop()

    return get


HOLDERS = [
    *(the_value, an_inner_list, an_innermost_list, a_list_in_a_list, a_bound_method, a_view, an_iterator),
    *(a_generator, a_tuple, another_thread),
]


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("is_edited", [False, True])
def test_an_edit_of_what_was_held_during_the_save_is_noticed(
    holder: Callable[[Any], Callable[[], Any]], is_edited: bool
) -> None:
    """Nobody holds it any more when the dict is saved again."""
    s3, d = begin(count=COUNT)
    get = holder(d["r7"])
    if is_edited:
        edit_all(d)
    else:
        with d:
            d["r8"]["n"] = -1
    edit(get())
    del get
    assert is_noticed(s3, d)


@pytest.mark.parametrize("holder", HOLDERS)
def test_an_edit_of_what_was_held_is_warned_of_when_the_dict_is_dropped(
    holder: Callable[[Any], Callable[[], Any]],
) -> None:
    _, d = begin()
    get = holder(d["r1"])
    edit_all(d)
    edit(get())
    del get
    with pytest.warns(UnsavedChangesWarning):
        del d


def test_a_list_that_two_records_share_stays_shared() -> None:
    s3, d = begin()
    with d:
        d["r0"]["tags"] = d["r1"]["tags"]
        d["r2"]["twice"] = [d["r2"]["tags"]]
    d["r0"]["tags"].append("b")
    d["r2"]["tags"].append("c")
    assert d["r1"]["tags"] == ["a", "b"]
    assert d["r2"]["twice"] == [["a", "c"]]
    assert is_noticed(s3, d)


def test_a_value_under_two_keys_stays_one() -> None:
    s3, d = begin()
    with d:
        d["again"] = d["r0"]
    d["again"]["n"] = 5
    assert d["r0"]["n"] == 5
    assert is_noticed(s3, d)


@pytest.mark.parametrize("is_held", [False, True])
def test_how_deeply_values_may_be_nested_does_not_depend_on_whether_somebody_holds_them(is_held: bool) -> None:
    _, d = begin()
    value: Any = {}
    for _ in range(MAX_NESTING):
        value = {"inner": value}
    d["deep"] = value
    if not is_held:
        del value
    with pytest.raises(NotStorableError, match="nested too deeply"):
        d.save()
    d["deep"] = d["deep"]["inner"]
    value = None
    d.save()
    assert not d.changed


def test_a_value_that_contains_itself_is_refused_as_always() -> None:
    _, d = begin()
    d["r0"]["self"] = d["r0"]
    with pytest.raises(NotStorableError, match="circular"):
        d.save()
    del d["r0"]["self"]
    d.save()
    assert not d.changed


def test_a_value_may_be_nested_as_deeply_as_anywhere_else() -> None:
    s3, d = begin()
    d["deep"] = nested(codec.MAX_NESTING)
    d.save()
    assert raw_keys(d) == list(d)
    d["deep"] = nested(codec.MAX_NESTING + 1)
    with pytest.raises(NotStorableError, match="nested"):
        d.save()
    d["deep"] = 1
    d.save()
    assert s3.stored() == d


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


# During a save --------------------------------------------------------------------------------------------------------


def read_and_edit(d: D) -> None:
    edit(d["r1"])


def get_and_edit(d: D) -> None:
    edit(d.get("r1"))


def edit_in_a_list_of_all(d: D) -> None:
    edit(list(d.values())[1])


def edit_while_iterating(d: D) -> None:
    for key, value in d.items():
        if key == "r1":
            edit(value)


def edit_through_data(d: D) -> None:
    edit(d.data["r1"])


WAYS = [read_and_edit, get_and_edit, edit_in_a_list_of_all, edit_while_iterating, edit_through_data]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("in_a_block", [False, True])
def test_an_edit_during_the_request_is_noticed(way: Callable[[D], None], after: bool, in_a_block: bool) -> None:
    """This also holds if nobody holds the value any more when the answer arrives."""
    s3, d = begin(count=COUNT)
    s3.once("PutObject", lambda: InThread(lambda: way(d)).result(), after=after)
    if in_a_block:
        edit_all(d)
    else:
        edit(d["r1"])
        d.save()
    assert is_noticed(s3, d)
    d._check()


def test_an_edit_by_a_thread_that_was_reading_as_the_save_began_is_noticed() -> None:
    """It has the dict of the items at hand already, and waits in the hash of a key."""
    s3, d = begin(count=COUNT)
    arrived, go_on = threading.Event(), threading.Event()

    class Key(str):
        def __hash__(self) -> int:
            arrived.set()
            go_on.wait()
            return str.__hash__(self)

    assert d["r1"]["n"] == 1
    thread = InThread(lambda: edit(d[Key("r1")]))
    arrived.wait()
    edit_all(d)
    go_on.set()
    thread.result()
    assert is_noticed(s3, d)


def test_an_iterator_that_was_begun_before_goes_on() -> None:
    _, d = begin(count=COUNT)
    keys = iter(d)
    next(keys)
    edit_all(d)
    assert len(list(keys)) == COUNT - 1


@pytest.mark.parametrize("in_a_block", [False, True])
def test_after_a_save_that_failed_everything_is_as_before(in_a_block: bool) -> None:
    s3, d = begin(count=COUNT)
    held = d["r7"]
    s3.faults.append(refusal("PutObject", 403, "AccessDenied"))
    with warnings.catch_warnings(), pytest.raises(AccessDeniedError):
        if in_a_block:
            edit_all(d)
        else:
            edit(held)
            edit(d["r8"])
            d.save()
    d._check()
    assert d.changed is not in_a_block
    assert d["r7"] is held
    assert ("edited" in d["r8"]) is not in_a_block
    edit_all(d)
    assert s3.stored() == d


def test_after_a_conflict_a_block_is_rolled_back_in_place() -> None:
    s3, d = begin(count=COUNT)
    other = s3.open()
    with pytest.raises(ConflictError), d:
        held = d["r1"]
        edit(held)
        edit(d["r2"])
        edit_all(other)
    assert held == record(1)
    assert d["r1"] is held
    assert d["r2"] == record(2)
    d._check()


def test_what_others_have_merged_meanwhile_comes_with_a_merge() -> None:
    s3, _ = begin(count=COUNT)
    d, other = s3.open(on_conflict="merge"), s3.open()
    with d:
        edit(d["r1"])
        with other:
            edit(other["r2"])
    assert "edited" in d["r1"]
    assert "edited" in d["r2"]
    assert not d.changed
    assert s3.stored() == d


def test_a_rollback_after_a_checkpoint_goes_back_to_it() -> None:
    _, d = begin(count=COUNT)
    with d:
        edit(d["r1"])
        d.save()
        d["r1"]["tags"].append("undone")
        edit(d["r2"])
        raise Rollback
    assert d["r1"] == {**record(1), "edited": [True]}
    assert d["r2"] == record(2)
    assert not d.changed


def test_beside_an_event_loop_nothing_is_kept_from_being_read_without_the_lock() -> None:
    """A task must not have to wait for a worker thread that encodes."""
    _, d = begin()
    token = is_beside_loop.set(True)
    edit_all(d)
    is_beside_loop.reset(token)
    assert raw_keys(d) == []
    assert not d.changed


def test_values_are_decoded_ahead_even_if_each_is_saved() -> None:
    _, d = begin(count=COUNT)
    for key in d:
        edit(d[key])
        d.save()
        if key == "r200":
            break
    assert COUNT - len(raw_keys(d)) > 201


# At any moment --------------------------------------------------------------------------------------------------------


class Scene:
    """A dict in which a block edits three records, and what somebody else has edited."""

    def __init__(self) -> None:
        self.s3, self.d = begin()
        self.kept: Any = None

    def save(self) -> None:
        edit_all(self.d)

    def edit_from_outside(self) -> None:
        """Holds nothing afterwards."""
        self.d["r1"]["outside"] = 1

    def check(self) -> None:
        """All or nothing was edited, and memory and the file go on to agree."""
        self.d._check()
        assert [value.get("edited") for value in self.d.values()] in ([[True]] * 3, [None] * 3)
        edit_all(self.d)
        assert self.s3.stored() == self.d
        assert not self.d.changed


def test_what_a_signal_handler_edits_at_any_moment_is_saved_or_counts_as_a_change() -> None:
    def check(scene: Scene) -> None:
        assert scene.d["r1"]["outside"] == 1
        assert scene.d.changed or scene.s3.stored() == scene.d
        scene.check()

    handle_at_each_moment(Scene, Scene.save, Scene.edit_from_outside, check, seeded(), quick=150)


def test_what_another_thread_edits_at_any_moment_is_saved_or_counts_as_a_change() -> None:
    def check(scene: Scene) -> None:
        assert scene.d["r1"]["outside"] == 1
        assert scene.d.changed or scene.s3.stored() == scene.d
        scene.check()

    step_in_at_each_moment(Scene, Scene.save, Scene.edit_from_outside, check, seeded(), quick=40)


def begin_block(s3: HookedS3, d: D, watch: Callable[[], None]) -> None:
    watch()
    with d:
        pass


def end_block(s3: HookedS3, d: D, watch: Callable[[], None]) -> None:
    with d:
        d["r1"] = record(1)
        watch()


def end_save(s3: HookedS3, d: D, watch: Callable[[], None]) -> None:
    for value in d.values():
        value["n"] += 1
    del value
    s3.once("PutObject", watch, after=True)
    d.save()


@pytest.mark.parametrize("act", [begin_block, end_block, end_save])
def test_what_a_signal_handler_edits_while_a_key_is_hashed_is_saved_or_counts_as_a_change(
    act: Callable[[HookedS3, D, Callable[[], None]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hash of a UUID is Python code, so a handler may run between the look at an entry and its replacement."""
    original = UUID.__hash__

    def edit_at_hash(number: int) -> bool:
        s3 = HookedS3()
        d = s3.open(data={UUID(int=place): record(place) for place in range(3)})
        d.save()
        hashes = iter(range(number))

        def with_handler(key: UUID) -> int:
            if next(hashes, None) == number - 1:
                edit_all_values(d)
            return original(key)

        act(s3, d, lambda: monkeypatch.setattr(UUID, "__hash__", with_handler))
        monkeypatch.undo()
        if next(hashes, None) is not None:
            return False
        assert all(value.get("edited") == [True] for key, value in d.items() if type(key) is UUID)
        assert not d.changed or is_noticed(s3, d)
        assert s3.stored() == d
        return True

    number = 1
    while edit_at_hash(number):
        number += 1
    assert number > 3


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_after_an_interrupt_at_any_moment_memory_and_file_agree() -> None:
    interrupt_at_each_moment(Scene, Scene.save, Scene.check, seeded(), quick=40)
