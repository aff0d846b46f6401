"""Values after a touched one may be decoded together with it, which affects only the time."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from s3dictionary import Rollback, S3Dict
from s3dictionary._format import codec
from s3dictionary._memory import Memory, Savepoint
from support.adversary.interrupting import handle_at_each_moment
from support.inside import raw_keys
from support.memory_s3 import MemoryS3
from support.stress import seeded

COUNT = 300

SHAPES: dict[str, Callable[[int], Any]] = {
    "scalars": lambda n: n,
    "flat records": lambda n: {"n": n, "text": "x"},
    "records with lists": lambda n: {"a": [n], "n": n, "b": ["x", n]},
    "records with lists of lists and more": lambda n: {"a": [[n], {"b": [n]}], "n": "[{"},
    "records with optional lists": lambda n: {"n": n, "a": [n] if n % 3 else None},
    "records of different names": lambda n: {f"a{n % 3}": [n], "n": n},
    "records of different sizes": lambda n: {"n": n, **({"a": [n]} if n % 2 else {})},
    "nested": lambda n: {"a": {"b": [{"c": n}, [n]]}, "d": [[], {}]},
    "lists": lambda n: [n, [n], {"n": n}],
    "a mixture": lambda n: [n, {"n": [n]}, [n], "x", None][n % 5],
    "some with types of their own": lambda n: {"py/set": [n]} if n == 150 else {"a": [n]},
}


@pytest.fixture(params=SHAPES.values(), ids=SHAPES)
def d(request: pytest.FixtureRequest) -> S3Dict[str, Any]:
    s3 = MemoryS3()
    s3.write("k", json.dumps({f"r{number}": request.param(number) for number in range(COUNT)}).encode())
    return S3Dict("bucket", file_name="k", client=s3)


def parts(value: Any) -> list[Any]:
    """All containers in a value, including the value itself."""
    if isinstance(value, set):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return [] if inner is None else [value, *(part for item in inner for part in parts(item))]


def spoil(container: Any) -> None:
    """Remove the content of a container, and put in something else."""
    container.clear()
    {dict: lambda: container.update(x=[1]), list: lambda: container.append([1]), set: lambda: container.add(1)}[
        type(container)
    ]()


def test_rolling_back_is_exact_and_in_place_for_values_that_were_decoded_ahead(d: S3Dict[str, Any]) -> None:
    """Whoever holds a part of a value sees it undone, and it is still the one in the dict."""
    before = deepcopy(S3Dict("bucket", file_name="k", client=d._settings.client).data)
    held: dict[str, list[Any]] = {}
    with d.transaction():
        for key in d:
            held[key] = parts(d[key])
        for part in [part for found in held.values() for part in found]:
            spoil(part)
        raise Rollback
    assert d == before
    assert all(one is other for key, found in held.items() for one, other in zip(found, parts(d[key]), strict=True))
    assert not d.changed
    d._memory.check()


def test_an_outer_block_undoes_what_was_decoded_ahead_in_an_inner_one(d: S3Dict[str, Any]) -> None:
    """This also holds if the inner block was committed."""
    before = deepcopy(S3Dict("bucket", file_name="k", client=d._settings.client).data)
    with d.transaction():
        with d.transaction():
            found = [part for value in d.values() for part in parts(value)]
        for part in found:
            spoil(part)
        raise Rollback
    assert d == before
    d._memory.check()


def test_what_was_decoded_ahead_and_edited_is_saved(d: S3Dict[str, Any]) -> None:
    """Only the edited values are saved, and all of them."""
    with d:
        for key in list(d)[::2]:
            d[key] = [d[key]]
        for value in d.values():
            if type(value) is dict:
                value["edited"] = True
    assert S3Dict("bucket", file_name="k", client=d._settings.client) == d


def test_a_value_that_is_changed_back_after_a_save_is_saved_again(d: S3Dict[str, Any]) -> None:
    """It is compared with what the file holds now, not with what it held when it was read."""
    before = json.loads(d._settings.client.objects["k"][0])
    d.load()
    records = [value for value in d.values() if type(value) is dict]
    for record in records:
        record["edited"] = True
    d.save()
    for record in records:
        del record["edited"]
    d.save()
    assert json.loads(d._settings.client.objects["k"][0]) == before


def test_a_value_that_was_only_decoded_ahead_keeps_its_text() -> None:
    """It hasn't changed, however it is spelled."""
    memory = loaded(f'{{"n": {number}, "a": [ 1.0e0 ]}}' for number in range(COUNT))
    texts = dict(memory.items)
    for key in memory.items:
        memory.touch(key)
    memory.touch("r3")["n"] = "edited"
    written = memory.encode().members
    assert [key for key in written if written[key] is not texts[key]] == ["r3"]


def test_no_more_is_decoded_ahead_than_was_touched(d: S3Dict[str, Any]) -> None:
    """A run that ends early has cost at most twice as much as what was touched."""
    for touched, key in enumerate(d, 1):
        d[key]
        assert COUNT - len(raw_keys(d)) <= 2 * touched


def test_nothing_is_decoded_ahead_of_keys_that_are_touched_out_of_order(d: S3Dict[str, Any]) -> None:
    """An example is a program that looks up some of the keys."""
    for key in list(d)[5:COUNT:7]:
        d[key]
    assert len(raw_keys(d)) == COUNT - len(range(5, COUNT, 7))


@pytest.mark.parametrize("nested", [False, True])
def test_a_value_whose_reading_was_interrupted_is_rolled_back(nested: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the block has noted the value, the next reader gets the noted one."""
    memory = loaded('{"a": [1]}' for _ in range(3))
    savepoint, inner = Savepoint(), Savepoint()
    memory.begin(savepoint)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(memory, "_awake", Interrupting())
        memory.touch("r1")
    if nested:
        memory.begin(inner)
    value = memory.touch("r1")
    value["a"].append(2)
    if nested:
        memory.commit(inner)
    memory.rollback(savepoint)
    assert value == {"a": [1]}
    assert memory.touch("r1") is value
    memory.check()


@pytest.mark.parametrize("in_a_block", [False, True])
@pytest.mark.parametrize("key", ["r0", "r2"])
def test_what_a_signal_handler_reads_meanwhile_is_the_one_in_the_dict(key: str, in_a_block: bool) -> None:
    """The handler may run between the decoding of a value and its storing."""

    def make() -> Reading:
        reading = Reading(loaded('{"a": [1]}' for _ in range(5)), key)
        if in_a_block:
            reading.memory.begin(reading.savepoint)
        return reading

    def check(reading: Reading) -> None:
        reading.held["a"].append(2)
        assert reading.memory.touch(key) is reading.held
        assert reading.memory.changed
        reading.memory.rollback(reading.savepoint)
        assert reading.memory.changed is not in_a_block
        reading.memory.check()

    handle_at_each_moment(make, Reading.all, Reading.one, check, seeded(), quick=100)


class Reading:
    """A memory whose values are read in order, one of them by a signal handler."""

    def __init__(self, memory: Memory, key: str) -> None:
        self.memory, self.key, self.savepoint = memory, key, Savepoint()
        self.held: Any = None

    def all(self) -> None:
        for key in list(self.memory.items):
            self.memory.touch(key)

    def one(self) -> None:
        self.held = self.memory.touch(self.key)


class Interrupting(dict[Any, None]):
    """Raises Ctrl-C when something is put in."""

    def __setitem__(self, key: Any, value: None) -> None:
        raise KeyboardInterrupt


def loaded(texts: Any) -> Memory:
    """A memory with these values in a file."""
    memory = Memory()
    memory.load({f"r{number}": codec.Raw(text.encode()) for number, text in enumerate(texts)}, None)
    return memory
