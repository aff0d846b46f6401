"""What can be stored comes back equal and of the same type; otherwise the save is refused, and names the place."""

from __future__ import annotations

import json
import math
import os
import re
import sqlite3
import subprocess
import sys
from collections import Counter, OrderedDict, UserDict, defaultdict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, IntEnum, IntFlag
from fractions import Fraction
from functools import reduce
from itertools import repeat
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from s3dictionary import CorruptFileError, NotStorableError, S3Dict
from s3dictionary._format import codec
from s3dictionary._format.readers import parse_int
from s3dictionary._format.types import READERS
from support.comparison import same
from support.memory_s3 import MemoryS3
from support.servers import Site

hypothesis = settings(deadline=None)  # a busy machine may take its time

BERLIN_SUMMER = timezone(timedelta(hours=2))


# Helpers


def write(d: dict[Any, Any]) -> bytes:
    """Write a whole dict as a file."""
    return codec.join({key: msgspec.Raw(codec.encode(value, key)) for key, value in d.items()})


def read(body: bytes) -> dict[Any, Any]:
    """Read a whole file as a dict."""
    return {key: codec.decode(raw) for key, raw in codec.split(body).items()}


def read_strictly(body: bytes) -> Any:
    """Read a file as a program does that supports only RFC 8259."""
    text = body.decode("utf-8")
    with_checks = sqlite3.connect(":memory:")  # another JSON parser, and a strict one
    try:
        assert with_checks.execute("SELECT json_valid(?)", (text,)).fetchone() == (1,)
    finally:
        with_checks.close()
    return json.loads(text, parse_constant=_not_json, object_pairs_hook=_without_duplicates, parse_int=len)


def _not_json(name: str) -> Any:
    raise AssertionError(f"{name} isn't JSON")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def nested(levels: int, wrap: Callable[[Any], Any], core: Any) -> Any:
    return reduce(lambda inner, _: wrap(inner), repeat(None, levels), core)


# What can be built of the types there are

TAGS = [f"py/{name}" for name in READERS]

big_integers = st.builds(
    lambda digits, low, sign: sign * (10**digits + low),
    st.integers(4200, 5000),
    st.integers(),
    st.sampled_from([1, -1]),
)
texts = st.text(st.characters(exclude_categories=()), max_size=8) | st.text(
    st.sampled_from('a\ud800\ud83d\ude00\udfff😀\0\n"\\/\u2028é'), max_size=6
)
offsets = st.integers(-86399, 86399).map(lambda seconds: timezone(timedelta(seconds=seconds)))
hashable_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**70), 2**70),
    big_integers,
    st.floats(),
    texts,
    st.sampled_from(TAGS),
    st.binary(max_size=20),
    st.datetimes(timezones=st.none() | offsets),
    st.dates(),
    st.times(timezones=st.none() | offsets),
    st.timedeltas(),
    st.decimals().filter(lambda number: not number.is_snan()),
    st.decimals(allow_nan=False, places=3),
    st.uuids(),
    st.complex_numbers(),
)
scalars = hashable_scalars | st.sampled_from([Decimal("sNaN"), Decimal("-sNaN12")])
hashables = st.recursive(
    hashable_scalars,
    lambda inner: st.lists(inner, max_size=4).map(tuple) | st.frozensets(inner, max_size=4),
    max_leaves=6,
)
names = texts | st.sampled_from(TAGS) | st.sampled_from(["py/", "py/object", "py"])


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, max_size=5),
        st.lists(inner, max_size=5).map(tuple),
        st.sets(hashables, max_size=4),
        st.frozensets(hashables, max_size=4),
        st.dictionaries(names, inner, max_size=4),
        st.dictionaries(hashables, inner, max_size=4),
        st.tuples(st.sampled_from(TAGS), inner).map(lambda pair: {pair[0]: pair[1]}),
    )


values = st.recursive(scalars, _containers, max_leaves=15)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=15,
)


@hypothesis
@given(values)
def test_a_value_comes_back_equal_and_of_the_same_types(value: Any) -> None:
    assert same(codec.decode(codec.encode(value)), value)


@hypothesis
@given(st.dictionaries(hashables, values, max_size=5) | st.dictionaries(names, values, max_size=5))
def test_a_dict_comes_back_equal_and_in_order_by_way_of_a_strictly_valid_file(d: dict[Any, Any]) -> None:
    body = write(d)
    assert isinstance(read_strictly(body), dict)
    assert same(read(body), d)


@hypothesis
@given(values)
def test_writing_is_deterministic(value: Any) -> None:
    text = codec.encode(value)
    assert codec.encode(value) == text
    assert codec.encode(codec.decode(text)) == text
    assert codec.canonical(text) == text


@hypothesis
@given(st.lists(hashables, max_size=6))
def test_equal_sets_are_written_the_same(items: list[Any]) -> None:
    distinct = list(dict.fromkeys(items))  # of 1 and True only the first one
    backward = distinct[::-1]
    assert codec.encode(set(distinct)) == codec.encode(set(backward))


def test_equal_sets_are_written_the_same_by_every_run_of_a_program() -> None:
    script = "from s3dictionary._format import codec; print(codec.encode({'a', 'b', 'c', 1, (2,), frozenset('xyz')}))"
    written = {
        subprocess.check_output([sys.executable, "-c", script], env={**os.environ, "PYTHONHASHSEED": seed})
        for seed in ("1", "2", "3")
    }
    assert len(written) == 1


@hypothesis
@given(st.dictionaries(st.text(max_size=4).filter(lambda key: not key.startswith("py/")), json_values))
def test_a_dict_of_json_values_is_written_as_anyones_json(d: dict[str, Any]) -> None:
    def has_no_json(value: Any) -> bool:
        return isinstance(value, float) and not math.isfinite(value)

    if not any(map(has_no_json, _leaves(d))) and not any(tag in json.dumps(d) for tag in TAGS):
        assert same(json.loads(write(d)), d)


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    return [leaf for item in value for leaf in _leaves(item)] if isinstance(value, list) else [value]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ((1, 2), '{"py/tuple":[1,2]}'),
        ({2, 1}, '{"py/set":[1,2]}'),
        (frozenset({1}), '{"py/frozenset":[1]}'),
        (b"abc", '{"py/bytes":"YWJj"}'),
        (datetime(2026, 1, 2, 3, 4), '{"py/datetime":"2026-01-02T03:04:00"}'),
        (datetime(2026, 7, 2, 3, 4, tzinfo=BERLIN_SUMMER), '{"py/datetime":"2026-07-02T03:04:00+02:00"}'),
        (date(2026, 1, 2), '{"py/date":"2026-01-02"}'),
        (time(3, 4), '{"py/time":"03:04:00"}'),
        (timedelta(days=1, seconds=2), '{"py/timedelta":[1,2,0]}'),
        (Decimal("1.10"), '{"py/decimal":"1.10"}'),
        (UUID(int=1), '{"py/uuid":"00000000-0000-0000-0000-000000000001"}'),
        (1 + 2j, '{"py/complex":[1.0,2.0]}'),
        (math.nan, '{"py/float":"nan"}'),
        (-math.inf, '{"py/float":"-inf"}'),
        ({1: "one"}, '{"py/dict":[[1,"one"]]}'),
        ({"py/tuple": 1}, '{"py/dict":[["py/tuple",1]]}'),
        ("\ud83d\ude00", '{"py/str":["\\ud83d","\\ude00"]}'),
        ("\ude00", '"\\ude00"'),
        ({"a": [1, 1.5, None, True, "é"]}, '{"a":[1,1.5,null,true,"é"]}'),
        ({"py/unknown": 1}, '{"py/unknown":1}'),
        ({"py/tuple": 1, "b": 2}, '{"py/tuple":1,"b":2}'),
    ],
)
def test_the_file_format(value: Any, text: str) -> None:
    assert codec.encode(value) == text.encode()
    assert same(codec.decode(text.encode()), value)


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 4300, 4301, 5000, 20_000])
@pytest.mark.parametrize("sign", [1, -1])
def test_an_integer_may_have_any_size(size: int, sign: int) -> None:
    number = sign * 10**size
    assert codec.decode(codec.encode(number)) == number
    assert read(write({number: [number]})) == {number: [number]}


def test_an_integer_may_have_any_size_whatever_the_limit_on_conversions() -> None:
    if not hasattr(sys, "set_int_max_str_digits"):
        pytest.skip("this Python has no such limit")
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        for number in (10**630, 10**650, -(10**3000)):
            assert codec.decode(codec.encode([number, ()])) == [number, ()]
    finally:
        sys.set_int_max_str_digits(limit)


def test_a_named_time_zone_becomes_its_offset() -> None:
    class Berlin(tzinfo):
        def utcoffset(self, when: datetime | None) -> timedelta:
            return timedelta(hours=2)

        def dst(self, when: datetime | None) -> timedelta:
            return timedelta(hours=1)

    moment = datetime(2026, 7, 1, 12, tzinfo=Berlin())
    assert same(codec.decode(codec.encode(moment)), moment)
    assert codec.decode(codec.encode(moment)).tzinfo == BERLIN_SUMMER


# Subclasses


class Colour(IntEnum):
    RED = 1


class Right(IntFlag):
    READ = 1
    WRITE = 2


class Name(str, Enum):
    ANNA = "anna"

    def __str__(self) -> str:
        return "not what it is equal to"


class Text(str):
    __slots__ = ()


class Number(int):
    def __str__(self) -> str:
        return "not a number"


class Real(float):
    def __repr__(self) -> str:
        return "not a number"


class Row(list):
    pass


class Table(dict):
    pass


class Bag(set):
    pass


class Blob(bytes):
    pass


class Moment(datetime):
    def isoformat(self, *_: Any) -> str:
        return "some day"


class Price(Decimal):
    def __str__(self) -> str:
        return "expensive"


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (defaultdict(list, a=[1]), {"a": [1]}),
        (Counter("aab"), {"a": 2, "b": 1}),
        (Table(a=1), {"a": 1}),
        (Colour.RED, 1),
        (Right.READ | Right.WRITE, 3),
        (Name.ANNA, "anna"),
        (Text("a"), "a"),
        (Number(5), 5),
        (Real(1.5), 1.5),
        (Real("inf"), math.inf),
        (Row([1]), [1]),
        (Bag({1}), {1}),
        (Blob(b"a"), b"a"),
        (Moment(2026, 1, 2), datetime(2026, 1, 2)),
        (Price("1.5"), Decimal("1.5")),
        (Point(1, 2), (1, 2)),
        ({Name.ANNA: 1, "b": 2}, {"anna": 1, "b": 2}),
        ({Colour.RED: 1}, {1: 1}),
        ({Point(1, 2): 1}, {(1, 2): 1}),
        ({Text("a"), Point(1, 2)}, {"a", (1, 2)}),
        ({Text("py/set"): [1]}, {"py/set": [1]}),
    ],
)
def test_a_subclass_is_stored_as_the_type_itself(value: Any, plain: Any) -> None:
    assert same(codec.decode(codec.encode(value)), plain)
    assert same(codec.decode(codec.encode([value])), [plain])


def test_keys_of_a_str_subclass_are_written_as_anyones_json() -> None:
    assert write({Name.ANNA: 1, Text("b"): 2}) == b'{"anna":1,"b":2}'


# What can't be stored


class Foo:
    pass


@dataclass
class Job:
    name: str = "job"


@dataclass(eq=False)
class EqualToItsFields:
    name: str = "job"

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return other == {"name": self.name}


@dataclass(frozen=True)
class Key:
    name: str = "key"


class Shade(Enum):
    DARK = 1


class Struct(msgspec.Struct):
    a: int = 1


class Loose(str):
    """Equal only to itself."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


class HashableList(list):
    __hash__ = object.__hash__  # type: ignore[assignment]


class FinerThanMicroseconds(timedelta):
    """Resembles pandas' Timedelta."""

    def __eq__(self, other: object) -> bool:
        return False

    __ne__ = object.__ne__
    __hash__ = timedelta.__hash__


class NaT(datetime):
    """Resembles pandas' "not a time"."""

    def __eq__(self, other: object) -> bool:
        return False

    __ne__ = object.__ne__
    __hash__ = datetime.__hash__


@pytest.mark.parametrize(
    "value",
    [
        object(),
        Foo(),
        Foo,
        Job(),
        EqualToItsFields(),
        Shade.DARK,
        Struct(),
        msgspec.Raw(b"1"),
        msgspec.UNSET,
        bytearray(b"a"),
        memoryview(b"a"),
        range(3),
        (number for number in ()),
        iter([]),
        map(str, ()),
        {}.keys(),
        {}.items(),
        len,
        lambda: None,
        json,
        ...,
        NotImplemented,
        Fraction(1, 2),
        re.compile("a"),
        timezone.utc,
        UserDict(),
        ValueError("a"),
        FinerThanMicroseconds(1),
        NaT(2026, 1, 1),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize(
    ("wrap", "place"),
    [
        (lambda value: value, "d['a']"),
        (lambda value: [1, {"b": value}], "d['a'][1]['b']"),
        (lambda value: {"b": [{}, (0, value)]}, "d['a']['b'][1][1]"),
        (lambda value: {1: {(2, 3): value}}, "d['a'][1][(2, 3)]"),
        (lambda value: OrderedDict(b=(value,)), "d['a']['b'][0]"),
        (lambda value: {"py/tuple": [value]}, "d['a']['py/tuple'][0]"),
    ],
)
def test_what_cannot_be_stored_is_refused_with_its_place(value: Any, wrap: Callable[[Any], Any], place: str) -> None:
    with pytest.raises(NotStorableError) as refusal:
        codec.encode(wrap(value), "a")
    assert refusal.value.path == place
    assert str(refusal.value).startswith(f"{place} is ")
    assert "can't be stored" in str(refusal.value)


def test_the_message_names_the_type() -> None:
    with pytest.raises(
        NotStorableError, match=r"^d\['jobs'\]\[1\]\['when'\] is a test_codec.Foo, which can't be stored; pass types="
    ):
        codec.encode([{}, {"when": Foo()}], "jobs")
    with pytest.raises(NotStorableError, match=r"^d\[\(1, 2\)\] is an object, which can't be stored; store a value"):
        codec.encode(object(), (1, 2))


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({Key(): 1}, "d['a']"),
        ({"b": {Foo: 1}}, "d['a']['b']"),
        ([{(1, (2, Foo)): 1}], "d['a'][0]"),
        ({Key()}, "d['a']"),
        ([{"b": frozenset({(1, Key())})}], "d['a'][0]['b']"),
        ({frozenset({frozenset({Foo})}): 1}, "d['a']"),
    ],
)
def test_what_cannot_be_stored_is_refused_as_a_key_and_as_an_element_of_a_set(value: Any, place: str) -> None:
    with pytest.raises(
        NotStorableError, match=r"has the (key|element) .* which can't be stored; use a str instead$"
    ) as refusal:
        codec.encode(value, "a")
    assert refusal.value.path == place


def test_a_key_of_the_dict_itself_that_cannot_be_stored_is_refused() -> None:
    with pytest.raises(
        NotStorableError, match=r"^d has the key Key\(name='key'\), which can't be stored; use a str instead$"
    ):
        write({"a": 1, Key(): 1})


@pytest.mark.parametrize(
    "value",
    [
        {Loose("a"): 1, Loose("a"): 2},
        {Loose("a"): 1, "a": 2},
        {Loose("a"): 1, "a": 2, 3: 3},
        {(Loose("a"),): 1, ("a",): 2},
        {Loose("a"), "a"},
        frozenset({(Loose("a"),), ("a",)}),
        {HashableList([1])},
        {HashableList([1]): 1},
        {(1, HashableList([1])): 1},
    ],
)
def test_keys_and_members_that_would_no_longer_differ_are_refused(value: Any) -> None:
    with pytest.raises(NotStorableError) as refusal:
        codec.encode({"b": value}, "a")
    assert refusal.value.path == "d['a']['b']"
    if isinstance(value, dict):
        with pytest.raises(NotStorableError):
            write(value)


def _circles() -> dict[str, Any]:
    in_list: list[Any] = [1]
    in_list.append(in_list)
    in_dict: dict[Any, Any] = {}
    in_dict["b"] = {"c": [in_dict]}
    by_tuple: list[Any] = []
    by_tuple.append((1, (by_tuple,)))
    by_pairs: dict[Any, Any] = {}
    by_pairs[1] = by_pairs
    by_set = HashableList()
    by_set.append({by_set})
    by_key = HashableList()
    by_key.append({by_key: 1})
    two: list[Any] = []
    two += [[two], [two]]
    return {
        "a list": in_list,
        "a dict": in_dict,
        "a list in a tuple": by_tuple,
        "a dict of pairs": by_pairs,
        "a member of a set": by_set,
        "a key": by_key,
        "twice": two,
    }


@pytest.mark.parametrize("value", _circles().values(), ids=_circles().keys())
def test_a_circular_reference_is_refused(value: Any) -> None:
    with pytest.raises(NotStorableError, match="can't be stored") as refusal:
        codec.encode(value, "a")
    assert refusal.value.path is not None
    assert refusal.value.path.startswith("d['a']")


def test_the_place_of_a_circular_reference() -> None:
    with pytest.raises(NotStorableError, match=r"^d\['a'\]\['b'\]\['c'\]\[0\] is a circular reference"):
        codec.encode(_circles()["a dict"], "a")


def test_an_object_in_two_places_is_no_circular_reference() -> None:
    shared = [1, (2,)]
    assert codec.decode(codec.encode([shared, {"a": shared}, (shared,)])) == [shared, {"a": shared}, (shared,)]


WRAPS: dict[str, Callable[[Any], Any]] = {
    "lists": lambda inner: [inner],
    "dicts": lambda inner: {"a": inner},
    "tuples": lambda inner: (inner,),
    "dicts of pairs": lambda inner: {1: inner},
    "sets": lambda inner: frozenset({inner}),
    "all": lambda inner: {(1,): ([{"py/set": inner}],)},
}


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS.keys())
@pytest.mark.parametrize("core", [1, (1,)], ids=["int", "tuple"])
def test_nesting_too_deep_is_refused(wrap: Callable[[Any], Any], core: Any) -> None:
    with pytest.raises(NotStorableError, match=r"^d\['a'\].*nested.*can't be stored"):
        codec.encode(nested(600, wrap, core), "a")
    if wrap is not WRAPS["sets"]:  # Python itself crashes when it hashes such a thing
        with pytest.raises(NotStorableError, match=r"^d\['a'\].*nested.*can't be stored"):
            codec.encode(nested(100_000, wrap, core), "a")


def test_nesting_too_deep_in_a_key_is_refused() -> None:
    with pytest.raises(NotStorableError, match=r"^d has the key"):
        write({nested(600, WRAPS["tuples"], 1): 1})
    with pytest.raises(NotStorableError, match="nested"):
        codec.encode({nested(600, WRAPS["tuples"], 1): 1}, "a")


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS.keys())
@pytest.mark.parametrize("levels", [*range(30, 60, 3), *range(90, 360, 10)])
def test_what_is_nested_comes_back_or_is_refused(wrap: Callable[[Any], Any], levels: int) -> None:
    value = nested(levels, wrap, (1,))
    try:
        text = codec.encode(value)
    except NotStorableError:
        assert levels > 50
    else:
        assert codec.decode(text) == value


@pytest.mark.parametrize("wrap", [WRAPS["lists"], WRAPS["dicts"]], ids=["lists", "dicts"])
def test_plain_containers_may_be_nested_500_levels_deep(wrap: Callable[[Any], Any]) -> None:
    value = nested(500, wrap, 1)
    assert codec.decode(codec.encode(value)) == value


# Files of other programs


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ('{"py/tuple": [1, {"py/set": [2]}]}', (1, {2})),
        ('{ "py\\/tuple" : [1] }', (1,)),
        ('{"\\u0070y/tuple":[1]}', (1,)),
        ('{"p\\u0079/tuple":[1]}', (1,)),
        ('{"py\\u002ftuple":[1]}', (1,)),
        ('{"py\\u002Ftuple":[1]}', (1,)),
        ('{"py/\\u0074uple":[1]}', (1,)),
        ('{"\\u0070\\u0079\\/\\u0074\\u0075ple":[1]}', (1,)),
        ('[{"py\\/decimal": "1.5"}]', [Decimal("1.5")]),
        ('{"a": {"py/float": "inf"}}', {"a": math.inf}),
        ('{"py/dict": [[{"py/tuple": [1]}, 2]]}', {(1,): 2}),
        ('{"py/tuple": [NaN]}', (math.nan,)),
    ],
)
def test_what_json_lacks_is_found_however_it_is_spaced_and_escaped(member: str, value: Any) -> None:
    assert same(read(f'{{"a": {member}}}'.encode()), {"a": value})
    # With what only the lenient reader takes
    assert same(read(f'{{"x": NaN, "a": {member}}}'.encode())["a"], value)
    assert same(read(f'{{"\\ud800": 1, "a": {member}}}'.encode())["a"], value)
    # As the only member and as one of a dict of pairs
    assert same(read(f'{{"py/dict": [[1, {member}]]}}'.encode()), {1: value})
    assert same(read(f'{{"py\\/dict": [[1, {member}], [2, NaN]]}}'.encode())[1], value)


@pytest.mark.parametrize(
    "value",
    [
        {"py/unknown": [1]},
        {"py/": 1},
        {"py/object": "os.system", "py/reduce": [{"py/type": "os.system"}, ["true"]]},
        {"py/object": "os.system"},
        {"py/reduce": [{"py/function": "os.system"}, ["touch /tmp/executed"]]},
        {"py/tuple": 1},
        {"py/tuple": "ab"},
        {"py/tuple": {"a": 1}},
        {"py/tuple": None},
        {"py/set": [[1]]},
        {"py/set": [{}]},
        {"py/frozenset": "ab"},
        {"py/bytes": "a"},
        {"py/bytes": "ä=="},
        {"py/bytes": "YWJj\n"},
        {"py/bytes": 1},
        {"py/datetime": "yesterday"},
        {"py/datetime": 0},
        {"py/date": "2026-02-30"},
        {"py/time": "25:00"},
        {"py/timedelta": [1, 2]},
        {"py/timedelta": [1, 2, 3, 4]},
        {"py/timedelta": [1, 2, 3.5]},
        {"py/timedelta": [True, 2, 3]},
        {"py/timedelta": [10**12, 0, 0]},
        {"py/timedelta": "123"},
        {"py/decimal": "one"},
        {"py/decimal": 1},
        {"py/decimal": [0, [1], 0]},
        {"py/uuid": "1234"},
        {"py/uuid": 1},
        {"py/complex": [1]},
        {"py/complex": [1, "2"]},
        {"py/complex": [True, 2]},
        {"py/complex": [10**400, 0]},
        {"py/complex": "12"},
        {"py/float": "1.5"},
        {"py/float": "infinity"},
        {"py/float": 1.5},
        {"py/str": "ab"},
        {"py/str": [1]},
        {"py/dict": {"a": 1}},
        {"py/dict": [["a"]]},
        {"py/dict": [["a", 1, 2]]},
        {"py/dict": ["ab"]},
        {"py/dict": [[[], 1]]},
        {"py/dict": 1},
        {"py/tuple": [1], "b": 2},
        {"py/dict": [[1, 2], [3]], "b": 2},
        {"py/dict": [[1, 2], [1, 3]], "b": 2},
        {"py/dict": [["b", 1]], "b": 2},
        {"py/dict": [[[], 1]], "b": 2},
        {"py/dict": [[1, 2, 0.5]], "b": 2},
        {"py/dict": [[1, 2, 3, 4]], "b": 2},
        {"py/dict": "ab", "b": 2},
    ],
    ids=json.dumps,
)
def test_content_that_does_not_fit_is_left_as_the_dict_that_it_is(value: dict[str, Any]) -> None:
    for d in ({"a": value}, {"a": [value, {"b": value}]}, value):
        found = read(json.dumps(d).encode())
        assert same(found, d)
        assert same(read(write(found)), d)


def test_nothing_in_a_file_is_executed(tmp_path: Any) -> None:
    trace = tmp_path / "executed"
    call = ["open", [str(trace), "w"]]
    names = ["object", "reduce", "function", "type", "repr", "newobj", "state", "eval", "call"]
    d = {name: {f"py/{name}": content} for name in names for content in (call, "__import__('os').getcwd()")}
    assert same(read(json.dumps(d).encode()), d)
    assert not trace.exists()


@hypothesis
@given(
    st.dictionaries(st.text(max_size=4), json_values, max_size=4),
    st.booleans(),
    st.sampled_from([None, 0, 2, "\t"]),
    st.sampled_from([(",", ":"), (", ", ": "), (" ,\r\n", " :\t")]),
    st.booleans(),
)
def test_a_file_by_json_dumps_loads(
    d: dict[str, Any], ensure_ascii: bool, indent: int | str | None, separators: tuple[str, str], bom: bool
) -> None:
    text = json.dumps(d, ensure_ascii=ensure_ascii, indent=indent, separators=separators)
    if not any(tag in text for tag in TAGS):
        assert same(read(bom * b"\xef\xbb\xbf" + text.encode()), d)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-0", 0),
        ("-0.0", -0.0),
        ("-0e1", -0.0),
        ("1E5", 1e5),
        ("1e+5", 1e5),
        ("1.5E-3", 0.0015),
        ("1e400", math.inf),
        ("-1e400", -math.inf),
        ("1e-400", 0.0),
        ("NaN", math.nan),
        ("[Infinity, -Infinity]", [math.inf, -math.inf]),
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", 2**64),
        ("-9223372036854775809", -(2**63) - 1),
        ("9" * 5000, 10**5000 - 1),
        ("-" + "9" * 5000, 1 - 10**5000),
        ("0.1000000000000000055511151231257827021181583404541015625", 0.1),
        ("2.2250738585072011e-308", 2.225073858507201e-308),
        ("123456789012345678901234567890.5", 123456789012345678901234567890.5),
        ('"\\ud83d\\ude00"', "😀"),
        ('"\\uD83D\\uDE00"', "😀"),
        ('"\\ude00\\ud83d"', "\ude00\ud83d"),
        ('"\\ud800 \\ud800"', "\ud800 \ud800"),
        ('"\\/\\b\\f\\n\\r\\t\\"\\\\\\u0000\x7f"', '/\b\f\n\r\t"\\\0\x7f'),
        ('{"a":1,"b":2,"a":3}', {"a": 3, "b": 2}),
        (" [ 1\t,\r\n2 ] ", [1, 2]),
    ],
    ids=lambda item: item[:20] if isinstance(item, str) else "",
)
def test_values_are_read_as_json_loads_reads_them(text: str, value: Any) -> None:
    for body in (f'{{"a":{text}}}', f'{{"x":NaN,"a":{text}}}', f'{{"a":{text},"z":{{"py/set":[]}}}}'):
        found = read(body.encode())["a"]
        assert same(found, value)
        assert same(codec.decode(codec.encode(found)), value)


def test_of_a_key_that_comes_twice_the_last_one_counts() -> None:
    assert same(read(b'{"a":1,"b":2,"a":3}'), {"a": 3, "b": 2})
    assert same(read(b'{"a":NaN,"b":2,"a":3}'), {"a": 3, "b": 2})


def test_what_is_not_touched_is_written_back_as_it_was() -> None:
    body = b'{"a": [1,  2] ,"b":1E5, "c":"\\u0041"}'
    assert codec.join(codec.split(body)) == b'{"a":[1,  2],"b":1E5,"c":"\\u0041"}'


# The cases of JSONTestSuite, https://github.com/nst/JSONTestSuite, that matter for a file: each one as the file itself
# and as the value of a member. What is left to the parser there is what json.loads makes of it here.

ACCEPTED = r"""
[[]   ]
[""]
[]
["a"]
[false]
[null, 1, "1", {}]
[null]
[1
]
 [1]
[1,null,null,null,2]
[2]
[123e65]
[0e+1]
[0e1]
[ 4]
[-0.000000000000000000000000000000000000000000000000000000000000000000000000000000000001]
[20e1]
[-0]
[-123]
[-1]
[1E22]
[1E-2]
[1E+2]
[123e45]
[123.456e78]
[1e-2]
[1e+2]
[123]
[123.456789]
{"asd":"sdf", "dfg":"fgh"}
{"asd":"sdf"}
{"a":"b","a":"c"}
{"a":"b","a":"b"}
{}
{"":0}
{"foo\u0000bar": 42}
{ "min": -1.0e+28, "max": 1.0e+28 }
{"x":[{"id": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}], "id": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}
{"a":[]}
{"title":"\u041f\u043e\u043b\u0442\u043e\u0440\u0430 \u0417\u0435\u043c\u043b\u0435\u043a\u043e\u043f\u0430" }
["\u0060\u012a\u12AB"]
["\uD801\udc37"]
["\ud83d\ude39\ud83d\udc8d"]
["\"\\\/\b\f\n\r\t"]
["\\u0000"]
["\""]
["a/*b*/c/*d//e"]
["\\a"]
["\\n"]
["\u0012"]
["\uFFFF"]
[ "asd"]
["\uDBFF\uDFFF"]
["new\u00A0line"]
["􏿿"]
["￿"]
["\u0000"]
["\u002c"]
["π"]
["𛿿"]
["asd "]
" "
["\uD834\uDd1e"]
["\u0821"]
["\u0123"]
["\u2028\u2029"]
["  "]
["\u0061\u30af\u30EA\u30b9"]
["new\u000Aline"]
["\uA66D"]
["\u005C"]
["⍂㈴⍂"]
["\u0022"]
["\uDBFF\uDFFE"]
["\uD83F\uDFFE"]
["\u200B"]
["\u2064"]
["\uFDD0"]
["\uFFFE"]
["€𝄞"]
["aa"]
false
42
-0.1
null
"asd"
true
""
["a"]
[true]
 []
[123.456e-789]
[0.4e00669999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999969999999006]
[-1e+9999]
[1.5e+9999]
[-123123e100000]
[123123e100000]
[123123e-10000000]
[-123123123123123123123123123123]
[100000000000000000000]
[-237462374673276894279832749832423479823246327846]
["\uDADA"]
["\uD888\u1234"]
["\uD800\n"]
["\uDd1ea"]
["\uD800\uD800\n"]
["\ud800"]
["\ud800abc"]
["\uDd1e\uD834"]
["\uDFAA"]
{"\uDFAA":0}
[NaN]
[Infinity]
[-Infinity]
""".strip("\n").split("\n")
# One of them goes over two lines
ACCEPTED[ACCEPTED.index("[1") : ACCEPTED.index("[1") + 2] = ["[1\n]"]

REFUSED = [
    *r"""
[1 true]
["": 1]
[""],
[,1]
[1,,2]
["x",,]
["x"]]
["",]
["x"
[x
[3[4]]
[1:2]
[,]
[-]
[   , ""]
[1,]
[1,,]
[*]
[""
[1,
[{}
[fals]
[nul]
[tru]
[++1234]
[+1]
[+Inf]
[-01]
[-1.0.]
[-2.]
[-NaN]
[.-1]
[.2e-3]
[0.1.2]
[0.3e+]
[0.3e]
[0.e1]
[0E+]
[0E]
[0e+]
[0e]
[1.0e+]
[1.0e-]
[1.0e]
[1 000.0]
[1eE2]
[2.e+3]
[2.e-3]
[2.e3]
[9.e+]
[Inf]
[1+2]
[0x1]
[0x42]
[+Infinity]
[-Inf]
[0e+-1]
[-foo]
[- 1]
[-012]
[-.123]
[-1x]
[1ea]
[1.]
[.123]
[1.2a-3]
[1.8011670033376514H-308]
[012]
["x", truth]
{[: "x"}
{"x", null}
{"x"::"b"}
{"a":"a" 123}
{key: 'value'}
{"a" b}
{:"b"}
{"a" "b"}
{"a":
{"a"
{1:1}
{9999E9999:1}
{null:null,null:null}
{"id":0,,,,,}
{'a':0}
{"id":0,}
{"a":"b"}/**/
{"a":"b"}/**//
{"a":"b"}//
{"a":"b"}/
{"a":"b",,"c":"d"}
{a: "b"}
{"a":"a
{ "foo" : "bar", "a" }
{"a":"b"}#
["\uD800\"]
["\uD800\u"]
["\uD800\u1"]
["\uD800\u1x"]
[é]
["\x00"]
["\\\"]
["\	"]
["\🌀"]
["\"]
["\u00A"]
["\uD834\uDd"]
["\uD800\uD800\x"]
["\a"]
["\uqqqq"]
[\u0020"asd"]
[\n]
"
['single quote']
abc
["\
\u0000
\x00
["a	b"]
"\UA66D"
<.>
[<null>]
[1]x
[1]]
["asd]
aå
[True]
1]
{"x": true,
[][]
]
{}}
{"":
{"a":/*comment*/"b"}
{"a": true} "x"
['
[,
{,
{"a
[{"
["a
["a"
[1
[
{
*
{"a":"b"}#{}
[\u000A""]
[1
{"asd":"asd"
å
[⁠]
[]
 """.strip().split("\n"),
    "",
    " ",
    "[1,\n1\n,1",
    "[\v1]",
    "[\f]",
    '["a\nb"]',
    '["a\0b"]',
    '["\x1f"]',
    "[\0]",
    "123\0",
    "{}\0",
    "{}\x0c",
    "\u2060{}",
    "\ufeff\ufeff{}",
    "\u00a0{}",
    "[" * 100_000,
    '[{"":' * 50_000,
    "truefalse",
    "TRUE",
    "nullx",
    "undefined",
    "1_000",
    "0b1",
    "0o7",
    "1e5.5",
    "--1",
    "[\uff11]",
    "\u22121",
]
REFUSED.remove("[]")  # the word joiner of the line before it is what counts


@pytest.mark.parametrize("text", ACCEPTED)
def test_valid_json_is_accepted(text: str) -> None:
    value = json.loads(text)
    assert same(read(f'{{"a":{text}}}'.encode()), {"a": value})
    assert same(read(f' {{ "a" : {text} , "a/b" : [{text}] }}\n'.encode()), {"a": value, "a/b": [value]})
    if isinstance(value, dict):
        assert same(read(text.encode()), value)
        assert same(read(b"\xef\xbb\xbf" + text.encode()), value)
    else:
        with pytest.raises(
            CorruptFileError, match=r"^not a JSON object but (an array|a string|a number|a boolean|null)$"
        ):
            codec.split(text.encode())


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: ascii(text[:40]))
def test_what_is_no_json_is_refused(text: str) -> None:
    for body in (text, f'{{"a":{text}}}', f'{{"a":[1,{text}],"b":2}}', f'{{"py/dict":[[1,{text}]]}}', f"{{{text}:1}}"):
        with pytest.raises(CorruptFileError):
            codec.split(body.encode())


@pytest.mark.parametrize(
    "text",
    [
        b"\xff",
        b"\xc0\xaf",
        b"\xe0\xff",
        b"\xed\xa0\x80",
        b"\xf4\xbf\xbf\xbf",
        b"\xfc\x83\xbf\xbf\xbf\xbf",
        b"\xe5",
        b"\x81",
        b"\xe9",
        "é".encode("utf-16"),
    ],
)
def test_what_is_not_utf8_is_refused_wherever_it_stands(text: bytes) -> None:
    for body in (b'{"a":"' + text + b'"}', b'{"' + text + b'":1}', b"{" + text + b"}", b'{"a":1}' + text, text):
        with pytest.raises(CorruptFileError, match=r"^not UTF-8: .* at byte \d+$"):
            codec.split(body)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-16-be"])
def test_other_encodings_are_refused(encoding: str) -> None:
    with pytest.raises(CorruptFileError):
        codec.split('{"a":"é"}'.encode(encoding))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the file is empty"),
        (b" \n", "the file is empty"),
        (b"\xef\xbb\xbf", "the file is empty"),
        (b"[1]", "not a JSON object but an array"),
        (b'"a"', "not a JSON object but a string"),
        (b" -1.5 ", "not a JSON object but a number"),
        (b"NaN", "not a JSON object but a number"),
        (b"true", "not a JSON object but a boolean"),
        (b"null", "not a JSON object but null"),
        (b'[{"a": 1}]', "not a JSON object but an array"),
        (b'{"a":1}\n{"b":2}', "not JSON: Extra data: line 2 column 1"),
        (b'{"a":1,\n "b":x}', "not JSON: Expecting value: line 2 column 6"),
        (b'{"a":"\xff"}', "not UTF-8: invalid start byte at byte 6"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"a":NaN,"b":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"a":NaN,"b":' + b"[" * 1000 + b"]" * 1000 + b"}", "nested too deeply"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
        (b'{"py/dict":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_the_message_says_why_and_where(body: bytes, reason: str) -> None:
    with pytest.raises(CorruptFileError, match=re.escape(reason)):
        codec.split(body)


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"py/tuple":[', b'{"py/dict":[[1,'])
@pytest.mark.parametrize("levels", [100, 300, 490, 600, 900, 990, 1000, 1500, 5000, 20_000])
def test_a_deeply_nested_file_is_read_or_refused_at_once(opening: bytes, levels: int) -> None:
    closing = opening.translate(bytes.maketrans(b"[{", b"]}"), b'"apytuledic/:1,')[::-1]
    body = b'{"a":' + opening * levels + b"1" + closing * levels + b"}"
    try:
        members = codec.split(body)
    except CorruptFileError:
        assert levels > 400 // opening.count(b"[") if b"[" in opening else 400
        return
    codec.decode(members["a"])


def expected(text: str) -> dict[str, Any] | None:
    """The result of json.loads; None if it isn't an object."""
    try:
        value = json.loads(text, parse_int=parse_int)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def check(text: str) -> None:
    """Assert that `split` accepts what json.loads accepts, and that each member is decoded to the same value."""
    value = expected(text)
    if value is None:
        with pytest.raises(CorruptFileError):
            codec.split(text.encode())
    else:
        assert same(read(text.encode()), value)


FRAGMENTS = st.sampled_from(
    [
        *'{}[]":,\\/-+.eE0129 \t\n\r\0\x0b\x1fabtfnu\u2028é',
        "null",
        "NaN",
        "-Infinity",
        "\\u",
        "\\ud800",
        "1e400",
        '"a":',
        "\\x",
    ]
)


@settings(hypothesis, max_examples=250)
@given(
    st.dictionaries(st.text(max_size=3), json_values, max_size=3),
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 2), FRAGMENTS), min_size=1, max_size=3),
)
def test_a_damaged_file_is_accepted_or_refused_as_by_json_loads(
    d: dict[str, Any], ensure_ascii: bool, damages: list[tuple[int, int, str]]
) -> None:
    text = json.dumps(d, ensure_ascii=ensure_ascii)
    for at, removed, put in damages:
        at %= len(text) + 1
        text = text[:at] + put + text[at + removed :]
    check(text)


@settings(hypothesis, max_examples=250)
@given(st.lists(FRAGMENTS, max_size=12).map("".join))
@example("1")
@example('"\\ud800\\u')
def test_any_text_is_accepted_or_refused_as_by_json_loads(text: str) -> None:
    check(text)
    check(f'{{"a":{text}}}')


@hypothesis
@given(st.binary(max_size=30))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for candidate in (body, b'{"a":' + body + b"}", b'{"' + body + b'":1}'):
        try:
            read(candidate)
        except CorruptFileError:
            continue


@settings(hypothesis, max_examples=200)
@given(values, st.lists(st.tuples(st.integers(0, 200), st.integers(0, 2), FRAGMENTS), min_size=1, max_size=2))
def test_what_is_read_can_be_written_and_read_again(value: Any, damages: list[tuple[int, int, str]]) -> None:
    text = codec.encode({"a": value}).decode()
    for at, removed, put in damages:
        at %= len(text) + 1
        text = text[:at] + put + text[at + removed :]
    try:
        found = read(text.encode("utf-8"))
    except CorruptFileError:
        return
    assert same(read(write(found)), found)


# The whole dict


@pytest.mark.parametrize(
    ("d", "body"),
    [
        ({}, b"{}"),
        ({1: "a", "b": 2}, b'{"b":2,"py/dict":[[1,"a",0]]}'),
        ({"b": 2, 1: "a"}, b'{"b":2,"py/dict":[[1,"a"]]}'),
        ({"a": 0, 1: 1, 2: 2, "b": 3, 4: 4}, b'{"a":0,"b":3,"py/dict":[[1,1,1],[2,2,2],[4,4]]}'),
        ({"a": 0, "py/dict": [[1, 2]], "b": 1}, b'{"a":0,"b":1,"py/dict":[["py/dict",[[1,2]],1]]}'),
        ({1: (2,), "py/tuple": [1]}, b'{"py/tuple":[1],"py/dict":[[1,{"py/tuple":[2]},0]]}'),
        ({(1, "x"): [(2,)]}, b'{"py/dict":[[{"py/tuple":[1,"x"]},[{"py/tuple":[2]}]]]}'),
        ({"py/tuple": [1]}, b'{"py/dict":[["py/tuple",[1]]]}'),
        ({"py/dict": [[1, 2]]}, b'{"py/dict":[["py/dict",[[1,2]]]]}'),
        ({"py/other": [1]}, b'{"py/other":[1]}'),
        ({"py/tuple": [1], "a": 2}, b'{"py/tuple":[1],"a":2}'),
        ({"\ud800": (1,)}, b'{"\\ud800":{"py/tuple":[1]}}'),
        ({"\ud83d\ude00": 1}, b'{"py/dict":[[{"py/str":["\\ud83d","\\ude00"]},1]]}'),
        ({"é😀\u2028": 1}, '{"é😀\u2028":1}'.encode()),
        ({1: "\ud800", 2: (3,)}, b'{"py/dict":[[1,"\\ud800"],[2,{"py/tuple":[3]}]]}'),
        ({None: 1, True: 2, 1.5: 3}, b'{"py/dict":[[null,1],[true,2],[1.5,3]]}'),
    ],
)
def test_the_keys_of_a_file(d: dict[Any, Any], body: bytes) -> None:
    assert write(d) == body
    assert same(read(body), d)
    read_strictly(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"py/dict":[[1,2],[3]]}',
        b'{"py/dict":[[1,2,3]]}',
        b'{"a":1,"py/dict":[[1,2],[3]]}',
        b'{"a":1,"py/dict":[[1,2,3,4]]}',
        b'{"a":1,"py/dict":[[1,2,"0"]]}',
        b'{"a":1,"py/dict":[[1,2,true]]}',
        b'{"a":1,"py/dict":[[1,2,0.5]]}',
        b'{"a":1,"py/dict":[[[],1]]}',
        b'{"a":1,"py/dict":[["a",2]]}',
        b'{"a":1,"py/dict":[[1,2],[1,3]]}',
        b'{"a":1,"py/dict":{"b":1}}',
        b'{"a":1,"py/dict":null}',
        b'{"py/dict":[[[],1]]}',
        b'{"py/dict":{"a":1}}',
        b'{"py/dict":null}',
        b'{"py/dict":["ab"]}',
        b'{"py/tuple":[1]}',
        b'{"py/float":"nan"}',
    ],
)
def test_a_dict_that_only_looks_like_one_with_other_keys_is_the_dict_that_it_is(body: bytes) -> None:
    d = json.loads(body)
    assert same(read(body), d)
    assert same(read(write(read(body))), d)


MIXED = {"a": 0, 1: (1,), "b": {2: 2, "c": 3}, None: 4, "py/dict": 5}


@pytest.mark.parametrize(
    "text",
    [
        # As written until release 1.0: nothing but pairs
        '{"py/dict":[["a",0],[1,{"py/tuple":[1]}],["b",{"py/dict":[[2,2],["c",3]]}],[null,4],["py/dict",5]]}',
        # The extra member may stand anywhere, and be spelled in any way
        '{"p\\u0079/dict":[[1,{"py/tuple":[1]},1],[null,4],["py/dict",5]],"a":0,"b":{"py\\/dict":[[2,2,0]],"c":3}}',
        '{"a":0, "py/dict" : [ [1,{"py/tuple":[1]},1] , [null,4,99],["py/dict",5]] ,"b":{"c":3,"py/dict":[[2,2,-1]]}}',
    ],
)
def test_a_dict_with_some_other_keys_loads_in_each_of_its_forms(text: str) -> None:
    """This holds for the file itself and for a value in it, also beside content that isn't strict JSON."""
    assert same(read(text.encode()), MIXED)
    assert same(read(f'{{"x":{text}}}'.encode()), {"x": MIXED})
    assert same(read(f'{{"\\ud800":NaN,"x":{text}}}'.encode())["x"], MIXED)


@hypothesis
@given(st.dictionaries(names | st.integers() | st.none(), st.integers(), max_size=6))
def test_keys_that_can_be_names_are_ordinary_members(d: dict[Any, Any]) -> None:
    """Other programs find them where they expect them."""
    found = json.loads(write(d))
    two_halves = re.compile("[\ud800-\udbff][\udc00-\udfff]")
    names = [key for key in d if type(key) is str and not key.startswith("py/") and not two_halves.search(key)]
    assert [found[name] for name in names] == [d[name] for name in names]
    assert len(found) <= len(d)


@pytest.mark.parametrize(
    "d",
    [
        {"py/set": [{"py/Job": 1}], 5: 1},
        {"py/dict": [[{"py/Job": 1}, 2]], "\ud83d\ude00": 1},
        {"py/dict": [[{"py/Job": 1}, 2]], "a": 1, None: 2},
    ],
)
def test_what_looks_like_instances_of_a_class_does_not_make_names_of_other_keys(d: dict[Any, Any]) -> None:
    """A key that can't be a name would make the file unreadable."""
    assert same(read(write(d)), d)
    assert same(read(write({"x": d})), {"x": d})


def test_a_value_in_the_form_of_before_stays_as_it_is_until_it_is_changed() -> None:
    """It stays byte for byte, even if it was read. It equals a value in the new form."""
    before = msgspec.Raw(b'{"py/dict": [["a", 1], [2, 3]]}')
    now = msgspec.Raw(codec.encode(codec.decode(before)))
    assert bytes(now) == b'{"a":1,"py/dict":[[2,3]]}'
    assert codec.encode_changes(codec.Touched.of(["k"], [{"a": 1, 2: 3}], [before])) == [before]
    assert codec.encode_changes(codec.Touched.of(["k"], [{2: 3, "a": 1}], [before])) != [before]
    assert codec.canonical(before) == bytes(now)


@pytest.mark.parametrize("key", [str, int], ids=["str", "int"])
def test_a_file_may_have_lots_of_members(key: type) -> None:
    d = {key(number): [number, {"a": "b"}] for number in range(20_000)}
    assert read(write(d)) == d
    assert list(read(write(d))) == list(d)


# Through S3Dict


def state(s3: Site, **options: Any) -> S3Dict:
    return S3Dict(s3.bucket, file_name="state.json", **s3.options, **options)


def test_many_values_are_written_as_each_by_itself() -> None:
    """This also holds beside types that JSON lacks, and the refusal of one value names it."""
    values: dict[Any, Any] = {number: {"n": number} for number in range(300)}
    values |= {70: (1, 2), 150: float("nan"), 299: {"a": None}}
    written = codec.encode_all(values)
    assert {key: bytes(raw) for key, raw in written.items()} == {key: codec.encode(v) for key, v in values.items()}
    values[200] = Foo()
    with pytest.raises(NotStorableError, match=r"^d\[200\] is a test_codec.Foo"):
        codec.encode_all(values)


def test_a_refused_save_sends_nothing_and_leaves_memory_alone(moto_s3: Site) -> None:
    moto_s3.write("state.json", b'{"a":1}')
    d = state(moto_s3)
    d["b"] = [{"when": Foo()}]
    d[Key()] = 1
    moto_s3.requests.clear()
    with pytest.raises(NotStorableError, match=r": d\['b'\]\[0\]\['when'\] is a test_codec.Foo") as refusal:
        d.save()
    assert refusal.value.unsaved is None
    assert moto_s3.requests.count() == {}
    assert isinstance(d["b"][0]["when"], Foo)
    del d["b"]
    with pytest.raises(NotStorableError, match=r": d has the key Key"):
        d.save()
    del d[Key()]
    d.save()
    assert moto_s3.read("state.json") == b'{"a":1}'


@pytest.mark.parametrize(
    "value",
    [Foo(), [Foo()], _circles()["a list"], nested(100_000, WRAPS["lists"], 1), nested(100_000, WRAPS["tuples"], [])],
    ids=["object", "list", "circle", "deep list", "deep tuple"],
)
def test_a_refused_autosaved_update_is_undone_and_sends_nothing(moto_s3: Site, value: Any) -> None:
    moto_s3.write("state.json", b'{"a":1}')
    d = state(moto_s3, autosave=True)
    moto_s3.requests.clear()
    with pytest.raises(NotStorableError) as refusal:
        d.update(b=2, c=value)
    assert moto_s3.requests.count() == {}
    assert d == {"a": 1}
    assert not d.changed
    assert list(refusal.value.unsaved or ()) == ["a", "b", "c"]
    with pytest.raises(NotStorableError):
        d["c"] = value
    assert d == {"a": 1}


def test_a_refused_save_at_the_end_of_a_block_undoes_it(moto_s3: Site) -> None:
    moto_s3.write("state.json", b'{"a":[1]}')
    with pytest.raises(NotStorableError) as refusal, state(moto_s3) as d:
        d["a"].append(2)
        d["b"] = Foo()
    assert d == {"a": [1]}
    assert (refusal.value.unsaved or {})["a"] == [1, 2]
    assert moto_s3.requests.count() == {"GET": 1}


def test_the_file_is_strictly_valid_json_and_comes_back(moto_s3: Site) -> None:
    content = {
        "nan": math.nan,
        "t": (1, b"x"),
        "s": "\ud800",
        "i": 10**5000,
        5: {6: 7},
        (1,): {8},
        None: Decimal("1.0"),
    }
    with state(moto_s3) as d:
        d.update(content)
    read_strictly(moto_s3.read("state.json"))
    found = state(moto_s3)
    assert same(dict(found), content)
    assert found[5][6] == 7
    assert not found.changed


def test_int_keys_come_back_as_int(moto_s3: Site) -> None:
    with state(moto_s3) as d:
        d[5] = "five"
        d["5"] = "a str"
        d["nested"] = {1: {2: 3}}
    assert dict(state(moto_s3)) == {5: "five", "5": "a str", "nested": {1: {2: 3}}}


def test_a_file_of_the_old_version_loads_and_is_not_changed_by_that(moto_s3: Site) -> None:
    content = {"a": math.nan, "b": [1, {"c": None}], "é": -math.inf, "d": {"1": 2}}
    moto_s3.write("state.json", json.dumps(content).encode())
    with state(moto_s3) as d:
        assert same(dict(d), content)
    assert moto_s3.requests.count() == {"GET": 1}


@pytest.mark.parametrize("body", [b"", b"[]", b'{"a":', b'{"a":"\xff"}', b'{"a":"\\x"}'])
def test_a_file_that_is_no_json_object_is_refused_at_load_and_not_overwritten(moto_s3: Site, body: bytes) -> None:
    moto_s3.write("state.json", body)
    with pytest.raises(CorruptFileError, match=rf"^s3://{moto_s3.bucket}/state.json can't be read: "):
        state(moto_s3, autosave=True)
    moto_s3.write("state.json", b'{"a":1}')
    d = state(moto_s3)
    moto_s3.write("state.json", body)
    with pytest.raises(CorruptFileError):
        d.load()
    assert d == {"a": 1}
    assert moto_s3.read("state.json") == body


def test_a_dict_in_itself_is_refused() -> None:
    d = S3Dict("bucket", file_name="state.json", client=MemoryS3())
    d["a"] = [d]
    with pytest.raises(NotStorableError, match=r": d\['a'\]\[0\] is an S3Dict, which can't be stored"):
        d.save()
