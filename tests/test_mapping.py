"""An `S3Dict` behaves like a dict, however much of it is still raw."""

from __future__ import annotations

import copy
import json
import operator
import pickle
import sys
import unittest
from collections import ChainMap, OrderedDict, UserDict
from collections.abc import (
    Callable,
    ItemsView,
    Iterator,
    KeysView,
    Mapping,
    MutableMapping,
    Reversible,
    ValuesView,
)
from functools import partial
from types import MappingProxyType
from typing import Any, get_args, get_origin

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3dictionary import S3Dict
from s3dictionary._format import codec
from support.comparison import same
from support.memory_s3 import MemoryS3
from support.servers import Site

try:
    from test import mapping_tests  # type: ignore[import-not-found]  # CPython's own
except ImportError:
    mapping_tests = None

KEY = "state.json"


def stored(content: dict[Any, Any]) -> MemoryS3:
    """An S3 with a file in it."""
    s3 = MemoryS3()
    members = {key: msgspec.Raw(codec.encode(value, key)) for key, value in content.items()}
    s3.objects[KEY] = (codec.join(members), '"0"', {})
    return s3


def loaded(content: dict[Any, Any], kind: type[S3Dict] = S3Dict, **options: Any) -> S3Dict:
    """A dict that has just been loaded, with all values raw."""
    return kind("bucket", file_name=KEY, client=stored(content), **options)


def raw_keys(d: S3Dict) -> list[Any]:
    """The keys whose values are untouched."""
    return [key for key, item in d._memory.items.items() if type(item) is msgspec.Raw]


def file(d: S3Dict) -> dict[Any, Any]:
    """The current content in S3."""
    return dict(S3Dict("bucket", file_name=KEY, client=d._settings.client))


# CPython's own tests


class _Differences:
    """The tests in which an S3Dict differs from a dict."""

    type2test: Any

    def test_fromkeys(self: Any) -> None:
        self.skipTest("S3Dict.fromkeys is no class method: a class doesn't know the file")

    def test_repr_deep(self: Any) -> None:
        """Python 3.14's own test nests 150,000 dicts, as many as C code can get through. This repr is Python code."""
        outer = self.type2test()
        for _ in range(sys.getrecursionlimit() + 100):
            outer = self.type2test({1: outer})
        with pytest.raises(RecursionError):
            repr(outer)


@unittest.skipIf(mapping_tests is None, "this Python comes without its tests")
class TestAsCPythonTestsMappings(
    _Differences,
    mapping_tests.TestHashMappingProtocol if mapping_tests else unittest.TestCase,
):
    """The tests that `dict` and `UserDict` must pass."""

    @staticmethod
    def type2test(*args: Any, **items: Any) -> S3Dict:
        return S3Dict("bucket", file_name=KEY, client=MemoryS3(), data=dict(*args, **items))


@unittest.skipIf(mapping_tests is None, "this Python comes without its tests")
class TestLoadedAsCPythonTestsMappings(
    _Differences,
    mapping_tests.TestHashMappingProtocol if mapping_tests else unittest.TestCase,
):
    """The same tests with raw values, if they can be stored."""

    @staticmethod
    def type2test(*args: Any, **items: Any) -> S3Dict:
        content = dict(*args, **items)
        try:
            return loaded(content)
        except TypeError:
            return S3Dict("bucket", file_name=KEY, client=MemoryS3(), data=content)

    def _full_mapping(self, data: dict[Any, Any]) -> S3Dict:
        return self.type2test(data)


# Side by side with dict

CONTENTS: list[dict[Any, Any]] = [
    {},
    {"a": 1},
    {"a": 1, "b": [1, {"c": 2}], "c": {"x": (1, 2)}, "d": None, "e": "text", "f": [[]]},
    {5: "five", "a": 1, None: 2, (1, 2): {3}, "5": 5, 1: "one", "py/tuple": [1]},
]


class Items:
    """An argument that `update` accepts besides mappings and pairs."""

    def keys(self) -> list[Any]:
        return ["a", "z"]

    def __getitem__(self, key: str) -> str:
        return key * 2


class Broken:
    def keys(self) -> Iterator[Any]:
        yield "q"
        raise LookupError("broken")

    def __getitem__(self, key: str) -> str:
        return key


def equals(d: Any) -> list[bool]:
    others: list[Any] = [{}, {"a": 1}, {"a": 2}, dict(d), OrderedDict(d), UserDict(d), list(d), None, 1, d]
    return [d == other for other in others] + [d != other for other in others] + [other == d for other in others]


def unpacked(d: Any) -> Any:
    return (lambda **items: items)(**{str(key): value for key, value in {**d}.items()})


def matched(d: Any) -> Any:
    match d:
        case {"a": 1, "b": [first, {"c": inner}], **rest}:
            return first, inner, rest
        case {"a": int() as number, **rest}:
            return number, rest
        case {"zz": _}:
            return "zz"
        case {}:
            return "a mapping"


def while_iterating(change: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    def run(d: Any) -> Any:
        for key in d:
            change(d, key)

    return run


READS: dict[str, Callable[[Any], Any]] = {
    "item": lambda d: d["a"],
    "item at a key like it": lambda d: d[1.0],
    "missing item": lambda d: d["zz"],
    "unhashable item": lambda d: d[[]],
    "get": lambda d: [d.get("a"), d.get("zz"), d.get("zz", 1), d.get("a", 1), d.get(5), d.get(True)],
    "get of an unhashable key": lambda d: d.get([]),
    "get without a key": lambda d: d.get(),
    "get of too much": lambda d: d.get(1, 2, 3),
    "in": lambda d: ["a" in d, "zz" in d, 5 in d, None in d, "a" not in d],
    "unhashable in": lambda d: [] in d,
    "len": len,
    "bool": bool,
    "iter": lambda d: list(iter(d)),
    "reversed": lambda d: list(reversed(d)),
    "next": lambda d: next(iter(d)),
    "keys": lambda d: list(d.keys()),
    "values": lambda d: list(d.values()),
    "items": lambda d: list(d.items()),
    "len of views": lambda d: [len(d.keys()), len(d.values()), len(d.items())],
    "reversed views": lambda d: [list(reversed(d.keys())), list(reversed(d.values())), list(reversed(d.items()))],
    "in keys": lambda d: (keys := d.keys(), ["a" in keys, "zz" in keys, None in keys])[1],
    "unhashable in keys": lambda d: operator.contains(d.keys(), []),
    "in values": lambda d: [1 in d.values(), [] in d.values(), [1, {"c": 2}] in d.values(), 77 in d.values()],
    "in items": lambda d: [
        item in d.items()
        for item in [
            ("a", 1),
            ("a", 1.0),
            ("a", 2),
            ("zz", 1),
            ("b", [1, {"c": 2}]),
            5,
            "ab",
            ["a", 1],
            ("a",),
            (),
            None,
        ]
    ],
    "unhashable in items": lambda d: ([], 1) in d.items(),
    "hash of a view": lambda d: hash(d.keys()),
    "hash of items": lambda d: hash(d.items()),
    "mapping of views": lambda d: [type(view.mapping) for view in (d.keys(), d.values(), d.items())],
    "content of the mapping of a view": lambda d: [dict(view.mapping) for view in (d.keys(), d.values(), d.items())],
    "writing to the mapping of a view": lambda d: operator.setitem(d.keys().mapping, "a", 1),
    "view of what comes later": lambda d: (view := d.items(), d.update(later=1), list(view))[2],
    "repr": repr,
    "str": str,
    "format": lambda d: f"{d} {d!r}",
    "repr of views": lambda d: [repr(d.keys()), repr(d.values()), repr(d.items())],
    "==": equals,
    "== of views": lambda d: [d.keys() == dict(d).keys(), d.items() == dict(d).items(), d.values() == d.values()],
    "<": lambda d: d < {},
    "+": lambda d: d + {},
    "hash": hash,
    "call": lambda d: d(),
    "dict()": dict,
    "list()": list,
    "sorted": lambda d: sorted(d, key=repr),
    "OrderedDict": lambda d: list(OrderedDict(d).items()),
    "ChainMap": lambda d: dict(ChainMap({"a": 7}, d)),
    "unpacked": unpacked,
    "unpacked as names": lambda d: dict(**d),
    "unpacked as positions": lambda d: [*d],
    "matched": matched,
    "json": lambda d: json.dumps({str(key): value for key, value in dict(d).items() if not isinstance(value, set)}),
    "proxy": lambda d: dict(MappingProxyType(d)),
    "copy": lambda d: d.copy(),
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
    "| dict": lambda d: d | {"a": 7, "n": 8},
    "dict |": lambda d: {"n": 8, "a": 7} | d,
    "| OrderedDict": lambda d: dict(d | OrderedDict(a=7)),
    "OrderedDict |": lambda d: dict(OrderedDict(z=1, a=7) | d),
    "| itself": lambda d: d | d,
    "| pairs": lambda d: d | [("a", 1)],
    "pairs |": lambda d: [("a", 1)] | d,
    "| None": lambda d: d | None,
    "fromkeys": lambda d: d.fromkeys("xyx"),
    "fromkeys with a value": lambda d: d.fromkeys(range(3), []),
    "fromkeys of what can't be iterated over": lambda d: d.fromkeys(3),
    "fromkeys of unhashable keys": lambda d: d.fromkeys([[]]),
    "aliases": lambda d: d["b"] is d["b"] and d["b"] is d.get("b") and d["b"] is list(d.values())[1],
}
WRITES: dict[str, Callable[[Any], Any]] = {
    "set": lambda d: operator.setitem(d, "a", [7]),
    "set new": lambda d: operator.setitem(d, "n", 7),
    "set what is there": lambda d: operator.setitem(d, "a", d["a"]),
    "set at a key like it": lambda d: operator.setitem(d, True, 7),
    "set unhashable": lambda d: operator.setitem(d, [], 7),
    "set any value": lambda d: operator.setitem(d, "a", len),
    "set any key": lambda d: operator.setitem(d, len, 1),
    "del": lambda d: operator.delitem(d, "a"),
    "del missing": lambda d: operator.delitem(d, "zz"),
    "del unhashable": lambda d: operator.delitem(d, []),
    "del and set": lambda d: (d.pop("a"), operator.setitem(d, "a", 1)),
    "pop": lambda d: d.pop("a"),
    "pop a container": lambda d: d.pop("b"),
    "pop missing": lambda d: d.pop("zz"),
    "pop with default": lambda d: [d.pop("zz", 1), d.pop("a", 1), d.pop("a", None)],
    "pop unhashable": lambda d: (d.update(a=1), d.pop([])),
    "pop unhashable with default": lambda d: (d.update(a=1), d.pop([], 1)),
    "pop nothing": lambda d: d.pop(),
    "popitem": lambda d: d.popitem(),
    "popitem to the end": lambda d: [d.popitem() for _ in range(len(d))],
    "popitem beyond the end": lambda d: [d.popitem() for _ in range(len(d) + 1)],
    "popitem of a key": lambda d: d.popitem("a"),
    "clear": lambda d: d.clear(),
    "clear and set": lambda d: (d.clear(), operator.setitem(d, "b", 1)),
    "setdefault": lambda d: [d.setdefault("a", 7), d.setdefault("n", 7), d.setdefault("m"), d.setdefault("m", 1)],
    "setdefault and append": lambda d: (d.setdefault("n", []).append(1), d.setdefault("n", []).append(2)),
    "setdefault unhashable": lambda d: d.setdefault([], 1),
    "setdefault of nothing": lambda d: d.setdefault(),
    "update": lambda d: d.update({"a": 7, "n": 8}),
    "update by names": lambda d: d.update(a=7, n=8, self=9, other=10),
    "update by both": lambda d: d.update({"a": 7, "n": 8}, n=9),
    "update by pairs": lambda d: d.update([("a", 7), ["n", 8]]),
    "update by two letters": lambda d: d.update(["ab", "cd"]),
    "update by items": lambda d: d.update(Items()),
    "update by a UserDict": lambda d: d.update(UserDict(a=7)),
    "update by an iterator": lambda d: d.update(iter([("n", 1)])),
    "update by itself": lambda d: d.update(d),
    "update by nothing": lambda d: d.update(),
    "update by an int": lambda d: d.update(42),
    "update by None": lambda d: d.update(None),
    "update by triples": lambda d: d.update([(1, 2, 3)]),
    "update by two": lambda d: d.update({}, {}),
    "update by unhashable keys": lambda d: d.update([([], 1)]),
    "|=": lambda d: operator.ior(d, {"a": 7, "n": 8}) is d,
    "|= pairs": lambda d: operator.ior(d, [("a", 7), ("n", 8)]) is d,
    "|= itself": lambda d: operator.ior(d, d) is d,
    "|= int": lambda d: operator.ior(d, 1),
    "edit a value": lambda d: d["b"].append(d["b"][:]),
    "edit deep inside": lambda d: d["b"][1].update(c=3, e=d["c"]),
    "edit an alias": lambda d: (jobs := [], operator.setitem(d, "jobs", jobs), jobs.append(1), d["jobs"])[3],
    "edit what values() gives": lambda d: [value.append(1) for value in d.values() if isinstance(value, list)],
    "+= at a key": lambda d: operator.setitem(d, "a", d["a"] + 1),
    "add while iterating": while_iterating(lambda d, key: d.update({f"new {key}": 1})),
    "delete while iterating": while_iterating(lambda d, key: d.pop(key)),
    "replace while iterating": while_iterating(lambda d, key: d.update({key: 1})),
    "in itself": lambda d: (operator.setitem(d, "me", d), repr(d))[1],
    "itself in values": lambda d: (operator.setitem(d, "me", [d]), repr(d.values()), repr(d.items()))[1:],
    "a view of itself in it": lambda d: (operator.setitem(d, "me", d.values()), repr(d.values()))[1],
}


def outcome(operation: Callable[[Any], Any], d: Any) -> Any:
    """The result of an operation as plain dicts, or the type of its exception, with the key of a KeyError."""
    try:
        result = operation(d)
    except Exception as error:  # noqa: BLE001  # any is to be the same
        return type(error), error.args if isinstance(error, KeyError) else None
    return dict(result) if isinstance(result, S3Dict) else result


@pytest.mark.parametrize("content", CONTENTS, ids=["empty", "one", "str keys", "all sorts of keys"])
@pytest.mark.parametrize("operation", [*READS.values(), *WRITES.values()], ids=[*READS, *WRITES])
@pytest.mark.parametrize("decoded", ["raw", "decoded", "open"])
def test_an_operation_does_what_it_does_to_a_dict(
    operation: Callable[[Any], Any], content: dict[Any, Any], decoded: str
) -> None:
    plain, d = copy.deepcopy(content), loaded(content)
    if decoded == "decoded":
        list(d.values())
    elif decoded == "open":
        assert d.data == content
    wanted, got = outcome(operation, plain), outcome(operation, d)
    if plain.get("me") is None:
        assert same(got, wanted)
        assert same(dict(d), plain)
        assert same(d.data, plain)
    else:
        assert got == wanted
    assert list(d) == list(plain)


@pytest.mark.parametrize("operation", READS.values(), ids=READS)
def test_reading_changes_nothing(operation: Callable[[Any], Any]) -> None:
    for content in CONTENTS:
        d = loaded(content)
        outcome(operation, d)
        d.pop("later", None)
        assert not d.changed


@pytest.mark.parametrize(
    "operation",
    [operator.and_, operator.or_, operator.sub, operator.xor, operator.le, operator.lt, operator.ge, operator.eq],
)
@pytest.mark.parametrize(
    "other",
    [
        set(),
        {"a", "zz"},
        {"a", "b", "c"},
        frozenset({"a"}),
        {"a": 1}.keys(),
        {"a": 1, "b": 2, "c": 3}.keys(),
        {"a": 1, "zz": 2}.items(),
        {("a", 1), ("b", 3)},
        ["a", "b"],
        [("a", 1)],
        "abc",
        [[]],
        5,
        None,
    ],
)
def test_views_are_sets_as_those_of_a_dict(operation: Callable[[Any, Any], Any], other: Any) -> None:
    content = {"a": 1, "b": 2, "c": 3}
    d = loaded(content)
    for view, wanted in [(d.keys(), content.keys()), (d.items(), content.items())]:
        assert same(outcome(lambda v: operation(v, other), view), outcome(lambda v: operation(v, other), wanted))
        assert same(outcome(lambda v: operation(other, v), view), outcome(lambda v: operation(other, v), wanted))
        assert same(outcome(lambda v: v.isdisjoint(other), view), outcome(lambda v: v.isdisjoint(other), wanted))


def test_views_are_of_the_abstract_types() -> None:
    d = loaded({"a": 1})
    assert isinstance(d.keys(), KeysView)
    assert isinstance(d.values(), ValuesView)
    assert isinstance(d.items(), ItemsView)
    assert all(isinstance(view, Reversible) for view in (d, d.keys(), d.values(), d.items()))


def test_looking_at_keys_decodes_nothing() -> None:
    d = loaded({"a": [1], "b": [2]})
    assert list(d) == list(d.keys()) == list(reversed(d))[::-1] == ["a", "b"]
    assert ("a" in d, len(d), bool(d), d.get("zz"), d.keys() & {"a"}) == (True, 2, True, None, {"a"})
    assert raw_keys(d) == ["a", "b"]
    assert d["a"] == [1]
    assert raw_keys(d) == ["b"]


def test_nothing_of_a_failed_update_is_done() -> None:
    d = loaded({"a": 1})
    for broken in (Broken(), [("q", 1), 5], [("q", 1), ([], 2)]):
        with pytest.raises((LookupError, TypeError)):
            d.update(broken)
        assert d == {"a": 1}


# Sequences of operations

KEYS = st.sampled_from(["a", "b", "c", "", 1, True, 1.0, 0, False, None, (1,), (True,), "py/tuple"])
VALUES = (
    st.sampled_from([0, 1, True, 1.0, -0.0, 0.0, "", "a", None, (), (1,), b"a"])
    | st.builds(list)
    | st.builds(lambda: {"x": [1]})
)


def edit(value: Any) -> None:
    if isinstance(value, list):
        value.append(len(value))
    elif isinstance(value, dict):
        value["x"] = [value.get("x")][-1:]


STEPS = st.one_of(
    st.tuples(st.just(lambda d, k, v: d.__setitem__(k, v)), KEYS, VALUES),
    st.tuples(st.just(lambda d, k, v: d.__delitem__(k)), KEYS, VALUES),
    st.tuples(st.just(lambda d, k, v: d.pop(k)), KEYS, VALUES),
    st.tuples(st.just(lambda d, k, v: d.pop(k, v)), KEYS, VALUES),
    st.tuples(st.just(lambda d, k, v: d.popitem()), KEYS, VALUES),
    st.tuples(st.just(lambda d, k, v: d.setdefault(k, v)), KEYS, VALUES),
    st.tuples(st.just(lambda d, k, v: d.update({k: v, "u": v})), KEYS, VALUES),
    st.tuples(st.just(lambda d, k, v: operator.ior(d, [(k, v)]) and None), KEYS, VALUES),
    st.tuples(st.just(lambda d, k, v: d.get(k, v)), KEYS, VALUES),
    st.tuples(st.just(lambda d, k, v: edit(d.get(k))), KEYS, VALUES),
    st.tuples(st.just(lambda d, k, v: edit(d[k])), KEYS, VALUES),
    st.tuples(st.just(lambda d, k, v: list(d.items())), KEYS, VALUES),
    st.tuples(st.just(lambda d, k, v: (d | {k: v})[k]), KEYS, VALUES),
    st.tuples(st.just(lambda d, k, v: d.clear()), KEYS, VALUES),
    st.tuples(st.just(lambda d, k, v: data_of(d).__setitem__(k, v)), KEYS, VALUES),
    st.tuples(st.just(lambda d, k, v: data_of(d).pop(k, v)), KEYS, VALUES),
    st.tuples(st.just("save"), KEYS, VALUES),
    st.tuples(st.just("load"), KEYS, VALUES),
)


def data_of(d: Any) -> dict[Any, Any]:
    data = getattr(d, "data", d)
    assert type(data) is dict
    return data


@settings(deadline=None, max_examples=200)
@given(st.dictionaries(KEYS, VALUES, max_size=5), st.lists(STEPS, max_size=12))
def test_a_sequence_of_operations_does_what_it_does_to_a_dict(
    content: dict[Any, Any], steps: list[tuple[Any, Any, Any]]
) -> None:
    saved = copy.deepcopy(content)
    plain, d = copy.deepcopy(content), loaded(content)
    for step, key, value in steps:
        if step == "save":
            if d.changed:
                d.save()
            saved = copy.deepcopy(plain)
            assert same(file(d), plain)
        elif step == "load":
            d.load()
            plain = copy.deepcopy(saved)
        else:
            operation = partial(step, k=key, v=copy.deepcopy(value))
            other = partial(step, k=key, v=copy.deepcopy(value))
            assert same(outcome(operation, d), outcome(other, plain))
        assert list(map(repr, d)) == list(map(repr, plain))
        assert len(d) == len(plain)
    assert d == plain
    assert d.changed == (not same(saved, plain))
    assert same(dict(d), plain)


# What it is


def test_it_is_a_user_dict_and_a_mutable_mapping() -> None:
    d = loaded({"a": 1})
    assert isinstance(d, UserDict)
    assert isinstance(d, MutableMapping)
    assert isinstance(d, Mapping)
    assert not isinstance(d, dict)


def test_it_can_be_subscripted_in_annotations() -> None:
    assert get_origin(S3Dict[str, int]) is S3Dict
    assert get_args(S3Dict[str, int]) == (str, int)

    class Counts(S3Dict[str, int]):
        pass

    assert loaded({"a": 1}, Counts) == {"a": 1}


def test_everything_public_of_dict_and_user_dict_is_there() -> None:
    assert {name for name in dir(dict) if not name.startswith("_")} <= set(dir(S3Dict))
    assert set(dir(UserDict)) <= set(dir(S3Dict))


def test_values_are_plain_objects() -> None:
    d = loaded({"a": [{"b": ({1},)}]})
    assert same(d["a"], [{"b": ({1},)}])
    assert d["a"] is d["a"]


# The dict inside


def test_data_is_a_real_dict_and_always_the_same_one() -> None:
    d = loaded({"a": [1], "b": 2})
    data = d.data
    assert type(data) is dict
    assert same(data, {"a": [1], "b": 2})
    assert data["a"] is d["a"]
    d["c"] = 3
    del d["b"]
    d.save()
    d.load()
    assert d.data is data
    assert data == {"a": [1], "c": 3}


def test_edits_of_data_are_seen_and_saved() -> None:
    d = loaded({"a": [1], "b": 2})
    data = d.data
    assert not d.changed
    data["c"] = (3,)
    data["a"].append(2)
    del data["b"]
    assert d.changed
    assert (d["c"], "b" in d, list(d), len(d)) == ((3,), False, ["a", "c"], 2)
    d.save()
    assert same(file(d), {"a": [1, 2], "c": (3,)})
    assert not d.changed
    data.clear()
    data["z"] = 1
    d.save()
    assert file(d) == {"z": 1}


def test_the_order_of_data_is_saved() -> None:
    d = loaded({"a": 1, "b": 2})
    d.data["a"] = d.data.pop("a")
    assert d.changed
    d.save()
    assert list(file(d)) == ["b", "a"]


def test_data_can_be_set() -> None:
    d = loaded({"a": 1})
    d.data = {"b": [2]}
    assert d == d.data == {"b": [2]}
    d["c"] = 3
    assert d.data == {"b": [2], "c": 3}
    assert d.changed
    d.save()
    assert file(d) == {"b": [2], "c": 3}


def test_data_set_under_autosave_is_one_save() -> None:
    d = loaded({"a": 1}, autosave=True)
    client: Any = d._settings.client
    client.requests.clear()
    d.data = {"b": 1, "c": 2, "d": 3}
    assert client.requests == {"PutObject": 1}
    assert file(d) == {"b": 1, "c": 2, "d": 3}


def test_data_that_is_no_mapping_is_refused_and_nothing_lost() -> None:
    d = loaded({"a": 1})
    with pytest.raises(TypeError):
        d.data = 5  # type: ignore[assignment]
    assert d == {"a": 1}


# Copies


@pytest.mark.parametrize(
    "make",
    [lambda d: d.copy(), copy.copy, copy.deepcopy, lambda d: d | {}, lambda d: {} | d],
    ids=["copy()", "copy.copy", "deepcopy", "|", "reflected |"],
)
def test_a_copy_writes_nothing_until_it_is_told_to(make: Callable[[Any], S3Dict]) -> None:
    d = loaded({"a": 1}, autosave=True)
    client: Any = d._settings.client
    client.requests.clear()
    twin = make(d)
    assert type(twin) is S3Dict
    assert twin == d == {"a": 1}
    assert not twin.autosave
    assert d.autosave
    twin["b"] = 2
    del twin["a"]
    assert d == {"a": 1}
    assert client.requests == {}
    assert (twin.bucket_name, twin.file_name, twin.etag) == (d.bucket_name, d.file_name, d.etag)
    assert twin.changed
    assert not d.changed
    twin.save()
    assert file(d) == {"b": 2}


def test_a_copy_shares_its_values_and_a_deep_copy_does_not() -> None:
    d = loaded({"a": [1]})
    shallow, deep = d.copy(), copy.deepcopy(d)
    d["a"].append(2)
    assert shallow["a"] is d["a"]
    assert deep == {"a": [1]}
    assert shallow.changed
    assert not deep.changed


def test_a_copy_has_blocks_of_its_own() -> None:
    d = loaded({"a": 1})
    twin = d.copy()
    with pytest.raises(ZeroDivisionError), d.transaction():
        d["a"] = 2
        twin["a"] = 3
        raise ZeroDivisionError
    assert (d["a"], twin["a"]) == (1, 3)


def test_a_deep_copy_leaves_raw_what_is_raw() -> None:
    d = loaded({"a": [1], "b": [2]})
    d["a"].append(2)
    twin = copy.deepcopy(d)
    assert raw_keys(d) == raw_keys(twin) == ["b"]
    assert twin == {"a": [1, 2], "b": [2]}
    assert twin.changed


def test_a_deep_copy_of_a_dict_that_contains_itself() -> None:
    d = loaded({"a": 1})
    d["me"] = [d]
    twin = copy.deepcopy(d)
    assert twin["me"][0] is twin
    assert twin["a"] == 1


def test_a_deep_copy_keeps_what_is_shared_shared() -> None:
    d = loaded({"a": [1]})
    one, other = copy.deepcopy([d, d["a"]])
    assert one["a"] is other
    assert one["a"] is not d["a"]


def test_both_orders_of_or() -> None:
    d = loaded({"a": 1, "b": 2})
    assert list((d | {"c": 3, "a": 7}).items()) == [("a", 7), ("b", 2), ("c", 3)]
    assert list(({"c": 3, "a": 7} | d).items()) == [("c", 3), ("a", 1), ("b", 2)]
    assert type({} | d) is type(UserDict() | d) is type(d | UserDict()) is S3Dict
    assert d == {"a": 1, "b": 2}
    assert not d.changed


def test_fromkeys_is_a_new_one_with_these_settings() -> None:
    d = loaded({"a": 1}, on_conflict="overwrite", put_options={"ContentType": "text/plain"})
    new = d.fromkeys(["x", "y"], 0)
    assert type(new) is S3Dict
    assert new == {"x": 0, "y": 0}
    assert new.changed
    assert file(d) == d == {"a": 1}
    assert (new.bucket_name, new.file_name, new.autosave) == (d.bucket_name, d.file_name, False)
    new.save()
    assert file(d) == {"x": 0, "y": 0}


def test_fromkeys_under_autosave_saves() -> None:
    d = loaded({"a": 1}, autosave=True)
    assert d.fromkeys("x").autosave
    assert file(d) == {"x": None}


# Pickles


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch, moto_s3: Site) -> None:
    """Credentials that boto3's own chain finds."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", moto_s3.server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", moto_s3.server.secret_key)


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("by", ["keys", "client"])
@pytest.mark.parametrize("autosave", [True, False])
def test_a_pickle_keeps_everything_but_keys_client_and_lock(
    moto_s3: Site, protocol: int, by: str, autosave: bool
) -> None:
    moto_s3.write(KEY, b'{"raw": [1], "seen": [2], "b": {"py/tuple": [3]}}')
    connection = moto_s3.options if by == "keys" else {"client": moto_s3.proxied_client()}
    d = S3Dict(moto_s3.bucket, file_name=KEY, autosave=autosave, on_conflict="overwrite", **connection)
    d["seen"].append(4)
    pickled = pickle.dumps(d, protocol)
    assert moto_s3.server.secret_key.encode() not in pickled
    assert moto_s3.server.access_key.encode() not in pickled
    moto_s3.requests.clear()

    twin = pickle.loads(pickled)
    assert moto_s3.requests.count() == {}
    assert raw_keys(twin) == ["raw", "b"]
    assert same(dict(twin), dict(d))
    assert (twin.uri, twin.etag, twin.autosave, twin.changed) == (d.uri, d.etag, autosave, True)
    assert (twin.access_key_id, twin.access_secret_key) == (None, None)
    moto_s3.write(KEY, b"{}")
    if autosave:
        twin["new"] = 1
    else:
        twin.save()
    assert moto_s3.requests.count() == {"PUT": 1}
    assert json.loads(moto_s3.read(KEY))["seen"] == [2, 4]
    with twin as block:
        block["c"] = 1
    d.save()


@pytest.mark.usefixtures("credentials")
def test_a_pickle_of_an_open_dict_and_of_one_that_contains_itself(moto_s3: Site) -> None:
    d = S3Dict(moto_s3.bucket, file_name=KEY, **moto_s3.options)
    d.data["a"] = [1]
    d["me"] = [d]
    twin = pickle.loads(pickle.dumps(d))
    assert twin["me"][0] is twin
    assert twin.data["a"] == [1]
    del twin["me"]
    assert twin.changed
    twin.save()
    assert moto_s3.read(KEY) == b'{"a":[1]}'


# Subclasses


class Labelled(S3Dict[Any, Any]):
    """An S3Dict with additional attributes."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.labels = ["mine"]


def test_a_subclass_keeps_its_attributes_in_copies() -> None:
    d = loaded({"a": 1}, Labelled)
    assert isinstance(d, Labelled)
    for twin in (d.copy(), copy.copy(d), d | {"b": 2}, {"b": 2} | d):
        assert type(twin) is Labelled
        assert twin.labels is d.labels
    deep = copy.deepcopy(d)
    assert type(deep) is Labelled
    assert deep.labels == d.labels
    assert deep.labels is not d.labels
    assert type(d.fromkeys("a")) is Labelled


def test_a_subclass_keeps_its_attributes_in_a_pickle(moto_s3: Site) -> None:
    d = Labelled(moto_s3.bucket, file_name=KEY, **moto_s3.options)
    d.labels.append("more")
    twin = pickle.loads(pickle.dumps(d))
    assert type(twin) is Labelled
    assert twin.labels == ["mine", "more"]


class Defaulting(S3Dict[Any, Any]):
    def __missing__(self, key: Any) -> Any:
        return f"no {key}"


class Growing(S3Dict[Any, Any]):
    def __missing__(self, key: Any) -> Any:
        self[key] = value = []
        return value


class PlainDefaulting(dict):
    def __missing__(self, key: Any) -> Any:
        return f"no {key}"


@pytest.mark.parametrize("operation", [*READS.values(), *WRITES.values()], ids=[*READS, *WRITES])
def test_missing_is_asked_just_when_that_of_a_dict_is(operation: Callable[[Any], Any]) -> None:
    content = CONTENTS[2]
    plain, d = PlainDefaulting(copy.deepcopy(content)), loaded(content, Defaulting)
    wanted, got = outcome(operation, plain), outcome(operation, d)
    if isinstance(wanted, PlainDefaulting):
        wanted = dict(wanted)
    if "me" not in plain:
        assert same(got, wanted)
    assert list(d) == list(plain)


def test_missing_may_add_the_item() -> None:
    d = loaded({"a": [1]}, Growing)
    d["b"].append(1)
    d["b"].append(2)
    assert d == {"a": [1], "b": [1, 2]}
    assert d.get("c") is None
    assert "c" not in d
    d.save()
    assert file(d) == {"a": [1], "b": [1, 2]}


def test_missing_of_an_instance_does_not_count() -> None:
    d = loaded({})
    d.__missing__ = lambda key: 42  # type: ignore[attr-defined]
    with pytest.raises(KeyError):
        d["a"]


def test_an_overridden_setitem_is_respected_by_itself_alone() -> None:
    class Upper(S3Dict[Any, Any]):
        def __setitem__(self, key: Any, value: Any) -> None:
            super().__setitem__(key.upper(), value)

    d = loaded({"a": 1}, Upper)
    d["b"] = 2
    assert d == {"a": 1, "B": 2}


# What it holds is a dict's, whatever a file could hold


def test_any_key_and_any_value_may_be_in_memory() -> None:
    d = loaded({"a": 1})
    marker = object()
    d[marker] = d[len] = marker
    d["raw"] = raw = msgspec.Raw(b"1")
    assert d[marker] is d[len] is marker
    assert d["raw"] is raw
    assert d.pop("raw") is raw
    assert list(d) == ["a", marker, len]


@pytest.mark.parametrize(("key", "equal"), [(1, True), (0, False), (1, 1.0), ((1,), (True,)), (0.0, -0.0)])
def test_a_key_that_is_replaced_by_an_equal_one_of_another_type_is_a_change(key: Any, equal: Any) -> None:
    d = loaded({key: "same"})
    d[equal] = "same"
    assert not d.changed  # a dict keeps the key it has
    del d[key]
    d[equal] = "same"
    assert d.changed
    d.save()
    assert same(file(d), {equal: "same"})


def test_nan_keys_are_found_by_identity() -> None:
    nan = float("nan")
    d = loaded({})
    d[nan] = 1
    assert d[nan] == 1
    assert float("nan") not in d
    d.save()
    assert list(map(repr, file(d))) == ["nan"]


def test_reading_an_item_that_is_live_takes_no_lock() -> None:
    d = loaded({"a": 1})
    assert d["a"] == 1
    d._memory.lock = None  # type: ignore[assignment]
    assert d["a"] == 1


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="counts references")
def test_a_dict_that_is_done_with_goes_at_once() -> None:
    class Noted:
        gone = False

        def __del__(self) -> None:
            Noted.gone = True

    d = loaded({"a": 1})
    d["noted"] = Noted()
    del d
    assert Noted.gone
