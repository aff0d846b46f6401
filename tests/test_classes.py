"""`types=`: instances of user classes are stored as themselves, and handled as dicts are."""

from __future__ import annotations

import asyncio
import copy
import enum
import json
import pickle
import threading
from collections import namedtuple
from collections.abc import Callable
from dataclasses import InitVar, dataclass, field
from itertools import count
from pathlib import Path
from types import SimpleNamespace as Namespace
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import attrs
import msgspec
import numpy as np
import pandas as pd
import pydantic
import pytest

from s3dictionary import (
    MISSING,
    AsyncS3Dict,
    ConflictError,
    CorruptFileError,
    NotStorableError,
    S3Dict,
    TransactionError,
)
from support.memory_s3 import MemoryS3
from support.own_classes import (
    TYPES,
    Access,
    Account,
    Color,
    Event,
    Fixed,
    Job,
    Money,
    Node,
    Pair,
    Point,
    Stack,
    Task,
    User,
    job,
)
from support.own_classes import examples as new_examples
from support.servers import Site


class Host(str, enum.Enum):
    WEB = "web"


class Boom(Exception):
    """The exception that ends a block."""


@pytest.fixture
def s3() -> MemoryS3:
    return MemoryS3()


def state(s3: MemoryS3, types: Any = TYPES, **options: Any) -> S3Dict[Any, Any]:
    return S3Dict("b", file_name="state.json", client=s3, types=types, **options)


def content(s3: MemoryS3) -> Any:
    return json.loads(s3.objects["state.json"][0])


def through(s3: MemoryS3, value: Any, types: Any = TYPES) -> Any:
    """Save a value, and load it in another dict."""
    with state(s3, types) as d:
        d["value"] = value
    return state(s3, types)["value"]


# What comes back


@pytest.mark.parametrize("index", range(len(new_examples())))
def test_an_instance_comes_back_equal_and_of_the_same_class(s3: MemoryS3, index: int) -> None:
    value = new_examples()[index]
    found = through(s3, value)
    assert type(found) is type(value)
    assert found == value


@pytest.mark.parametrize(
    "wrap", [lambda value: [value], lambda value: ({"a": value},), lambda value: Point(x=1, y=value)]
)
@pytest.mark.parametrize("index", range(len(new_examples())))
def test_so_does_one_inside_other_values(s3: MemoryS3, index: int, wrap: Callable[[Any], Any]) -> None:
    assert through(s3, wrap(new_examples()[index])) == wrap(new_examples()[index])


@pytest.mark.parametrize("value", [Color.RED, Access.READ, Pair(1, 2), Path("a"), Point(x=1), np.int16(3)])
def test_a_hashable_one_can_be_a_key_and_a_member_of_a_set(s3: MemoryS3, value: Any) -> None:
    whole = {value: {value}, "name": frozenset({value}), (value, 1): 2}
    with state(s3) as d:
        d.update(whole)
    assert dict(state(s3)) == whole
    assert through(s3, whole) == whole


def test_an_enum_of_strings_that_is_a_key_of_the_dict_itself_is_no_name_in_the_file(s3: MemoryS3) -> None:
    """It is written as an Enum, not as an ordinary member."""
    d = state(s3, types=[Host])
    d.update({"kept": 1, Host.WEB: "up", "inside": {Host.WEB: 1}})
    d.save()
    assert dict(state(s3, types=[Host])) == {"kept": 1, Host.WEB: "up", "inside": {Host.WEB: 1}}
    assert type(list(state(s3, types=[Host]))[1]) is Host


def test_a_pair_for_a_base_class_goes_before_the_built_in_type_that_a_subclass_derives_from(s3: MemoryS3) -> None:
    """A numpy str is also a str, and comes back as a numpy str."""
    assert type(through(s3, np.str_("a"))) is np.str_
    assert type(through(s3, np.float64(1.5))) is np.float64


def test_arrays_come_back_with_their_type(s3: MemoryS3) -> None:
    array = np.array([[1, 2], [3, 4]], dtype=np.int16)
    found = through(s3, array)
    assert found.dtype == array.dtype
    assert (found == array).all()


def test_the_file_has_the_name_of_the_class_and_the_fields(s3: MemoryS3) -> None:
    """Other programs can read it."""
    with state(s3) as d:
        d["job"], d["color"], d["path"] = job("a", 1), Color.RED, Path("a")
    assert content(s3) == {
        "job": {"py/Job": {"name": "a", "tags": [1], "tries": 0}},
        "color": {"py/Color": "r"},
        "path": {"py/Path": "a"},
    }


def test_who_is_not_given_the_class_sees_the_plain_dict_and_keeps_it_byte_for_byte(s3: MemoryS3) -> None:
    body = b'{"job": {"py/Job": { "name": "a",  "tags": [], "tries": 0}}, "n": 1}'
    s3.write("state.json", body)
    with state(s3, ()) as d:
        assert d["job"] == {"py/Job": {"name": "a", "tags": [], "tries": 0}}
        d["n"] = 2
    assert body[: body.index(b', "n"')].removeprefix(b"{") in s3.objects["state.json"][0].replace(
        b'"job":{', b'"job": {'
    )
    assert state(s3)["job"] == Job("a")


@pytest.mark.parametrize(
    "whole", [{Color.RED: 1, "n": 1}, {"n": 1, "a": [{Color.RED, Color.GREEN}, {(Pair(1, 2),): 3}]}]
)
def test_who_is_not_given_the_class_keeps_sets_and_keys_of_instances_too(s3: MemoryS3, whole: Any) -> None:
    """Their text is kept even if something else in the same value is edited."""
    with state(s3) as d:
        d.update(whole)
    with state(s3, ()) as d:
        d["n"] = 2
        if "a" in d:
            d["a"].append("more")
    with state(s3, ()) as d:
        d["m"] = 3
    found = dict(state(s3))
    assert (found.pop("n"), found.pop("m")) == (2, 3)
    if "a" in found:
        assert found["a"].pop() == "more"
    assert found == {key: value for key, value in whole.items() if key != "n"}


def test_a_dict_that_only_looks_like_an_instance_comes_back_as_the_dict(s3: MemoryS3) -> None:
    whole = {"py/Job": {"name": "a"}}
    assert through(s3, whole) == whole
    assert through(s3, {"a": [whole, {"py/Job": 1}]}) == {"a": [whole, {"py/Job": 1}]}
    with state(s3, data=whole) as d:
        d.save()
    assert dict(state(s3)) == whole


@pytest.mark.parametrize(
    "body", ['{"py/Job": 1}', '{"py/Job": {"name": "a"}, "other": 1}', '{"py/Jobs": {"name": "a"}}']
)
def test_what_no_instance_is_written_as_stays_the_dict_that_it_is(s3: MemoryS3, body: str) -> None:
    s3.write("state.json", b'{"a": %s}' % body.encode())
    with state(s3) as d:
        assert d["a"] == json.loads(body)
        assert not d.changed


def test_aliases_of_a_model_are_taken_whatever_they_are(s3: MemoryS3) -> None:
    """The file has the names of the fields. A field's former name can be an alias."""

    class Aliased(pydantic.BaseModel):
        one: int = pydantic.Field(alias="First")
        two: int = pydantic.Field(validation_alias=pydantic.AliasChoices("second", "old"))

    value = Aliased(First=1, second=2)  # type: ignore[call-arg]
    assert through(s3, value, [Aliased]) == value
    assert content(s3) == {"value": {"py/Aliased": {"one": 1, "two": 2}}}
    s3.write("state.json", b'{"value":{"py/Aliased":{"one":1,"old":2}}}')
    assert state(s3, [Aliased])["value"] == value


def test_fields_that_are_not_set_stay_so(s3: MemoryS3) -> None:
    @dataclass
    class Late:
        name: str
        when: int = field(init=False)

    found = through(s3, Late("a"), [Late])
    assert not hasattr(found, "when")


# Which classes


@attrs.define
class First:
    pass


@pytest.mark.parametrize(
    ("types", "problem"),
    [
        ([Path], "isn't a dataclass"),
        ([int], "stores without types="),
        ([type("set", (Job,), {})], "is the tag of the built-in set"),
        ([Job, type("Job", (Point,), {})], "two classes named Job"),
        ([Job("a")], "must contain classes"),
        (Job, "list of classes"),
        ("Job", "list of classes"),
        (7, "list of classes"),
        ([(Path, str)], "a function to write and one to read"),
        ({Path: str}, "a function to write and one to read"),
        ({Path: (str, None)}, "a function to write and one to read"),
        ([dataclass(type("Bag", (dict,), {"__annotations__": {"name": str}}))], "derives from dict"),
    ],
)
def test_what_cannot_be_given_is_refused_at_once(s3: MemoryS3, types: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        state(s3, types)
    assert not s3.requests


@pytest.mark.parametrize(
    "types", [{Path: (str, Path), Job: None}, [Job, (Path, str, Path)], iter([Job, (Path, str, Path)])]
)
def test_a_dict_or_a_list_can_have_both_kinds(s3: MemoryS3, types: Any) -> None:
    d = state(s3, types)
    with d:
        d["a"] = [Job("a"), Path("a")]
    assert state(s3, [Job, (Path, str, Path)])["a"] == [Job("a"), Path("a")]


def test_the_same_class_may_be_given_twice(s3: MemoryS3) -> None:
    assert through(s3, Job("a"), [Job, Job]) == Job("a")


class Special(Job):
    pass


@pytest.mark.parametrize(
    ("value", "types", "advice"),
    [
        (Job("a"), [Point], r"types=\[Job\]"),
        (Special("a"), [Job], r"types= has only its base class \S+\.Job; add Special"),
        (namedtuple("Sub", Pair._fields)(1, 2), [], None),  # type: ignore[call-arg]
        (type("Sub", (Pair,), {})(1, 2), [Pair], "; add Sub$"),
        (type("Far", (type(Path()),), {})("a"), {Path: (str, Path)}, "; add Far$"),
    ],
)
def test_an_instance_of_another_class_is_refused_and_the_message_names_types(
    s3: MemoryS3, value: Any, types: Any, advice: str | None
) -> None:
    d = state(s3, types, data={"a": [value]})
    if advice is None:
        d.save()
        return
    with pytest.raises(NotStorableError, match=advice) as refusal:
        d.save()
    assert refusal.value.path == "d['a'][0]"


def divides(_: Any) -> Any:
    raise ZeroDivisionError("division by zero")


@pytest.mark.parametrize(
    ("kind", "write", "read", "problem"),
    [
        (Path, str, divides, "can't be read as pathlib.Path: ZeroDivisionError: division by zero"),
        (Path, str, str, "would come back as a str"),
        (Money, vars, divides, "can't be read as .*Money: ZeroDivisionError: division by zero"),
        (Money, vars, lambda parts: parts["amount"], "would come back as '1'"),
        (Money, vars, lambda parts: Money(parts["amount"] + 1, []), "'1' would come back as '2'"),
    ],
)
def test_a_read_function_that_fails_or_gives_another_type_is_reported(
    s3: MemoryS3, kind: Any, write: Any, read: Any, problem: str
) -> None:
    """The advice is to correct the functions, not to pass what has been passed."""
    value = Path("a") if kind is Path else Money(1, [])
    d = state(s3, {kind: (write, read)}, data={"a": value})
    with pytest.raises(NotStorableError, match=f"{problem}.*; correct its functions in types=$"):
        d.save()


def test_the_path_in_a_refusal_goes_through_fields(s3: MemoryS3) -> None:
    d = state(s3, data={"a": [job("a", {"b": Point(x=1, y=object())})]})
    with pytest.raises(NotStorableError) as refusal:
        d.save()
    assert refusal.value.path == "d['a'][0].tags[0]['b'].y"


def test_subclasses_of_built_in_types_that_are_given_come_back_as_themselves(s3: MemoryS3) -> None:
    class Level(enum.IntEnum):
        LOW = 1

    assert type(through(s3, [Level.LOW], [Level])[0]) is Level
    assert type(through(s3, [Level.LOW], ())[0]) is int


# Files that are older or newer than the class


def test_a_field_that_was_added_has_its_default_and_is_no_change(s3: MemoryS3) -> None:
    s3.write("state.json", b'{"job": {"py/Job": {"name": "a"}}}')
    with state(s3) as d:
        assert d["job"] == Job("a")
        assert not d.changed
    assert s3.requests["PutObject"] == 0


def test_so_is_one_whose_default_is_new_each_time(s3: MemoryS3) -> None:
    """An example is the time, or a random id. A dict that only reads must not need write permission."""
    numbers = count()

    @dataclass
    class Stamped:
        name: str
        number: int = field(default_factory=lambda: next(numbers))

    body = b'{"a": {"py/Stamped": {"name": "a"}}}'
    s3.write("state.json", body)
    with state(s3, [Stamped], read_only=True) as d:
        held = d["a"]
        assert not d.changed
    assert d.load()["a"] is held
    with state(s3, [Stamped]) as d:
        number = d["a"].number
        d["b"] = 1
        d.save()
        assert not d.changed
        assert b'"py/Stamped": {"name": "a"}' in s3.objects["state.json"][0]
        d["a"].name = "b"
    assert content(s3)["a"] == {"py/Stamped": {"name": "b", "number": number}}


@pytest.mark.parametrize(
    ("body", "place", "reason"),
    [
        ('{"py/Job": {"tags": []}}', "d['value']", "'name'"),
        ('{"py/Job": {"name": "a", "old": 1}}', "d['value']", "'old'"),
        (
            '[{"py/Job": {"name": "a", "tags": [{"py/Color": "blue"}]}}]',
            r"d['value'][0].tags[0]",
            "'blue' is not a valid",
        ),
        ('{"a": {"py/User": {"tags": 1}}}', "d['value']['a']", "userName"),
        ('{"py/Event": {}}', "d['value']", "kind"),
        ('{"py/Account": {"notes": []}}', "d['value']", "'id'"),
        ('{"py/Pair": {}}', "d['value']", "'left'"),
        ('{"py/IPv4Address": "a"}', "d['value']", "'a'"),
        ('{"x": 1, "py/dict": [[{"py/Color": "blue"}, 1]]}', "d['value']", "'blue'"),
    ],
)
def test_what_a_class_refuses_raises_where_it_is_touched_and_harms_nothing(
    s3: MemoryS3, body: str, place: str, reason: str
) -> None:
    """The error has the file, the key and the field, and the text stays unchanged."""
    s3.write("state.json", b'{"value":%s,"n":1}' % body.encode())
    d = state(s3)
    for touch in (lambda: d["value"], lambda: d.get("value"), lambda: d.data, lambda: list(d.values()), d.copy):
        with pytest.raises(CorruptFileError, match="types=") as error:
            touch()
        assert f"s3://b/state.json: {place}" in str(error.value)
        assert reason in str(error.value)
    with d:
        d["n"] += 1
    assert body.encode() in s3.objects["state.json"][0]
    d._check()


def test_an_error_that_carries_what_was_not_saved_shows_the_rest(s3: MemoryS3) -> None:
    """Content that a class rejects is in `.unsaved` as a plain dict."""
    s3.write("state.json", b'{"bad":{"py/Color":"blue"},"good":{"py/Color":"r"}}')
    d = state(s3)
    with pytest.raises(ConflictError) as conflict, d:
        d["n"] = Point(x=1)
        s3.write("state.json", b"{}")
    assert conflict.value.unsaved == {"bad": {"py/Color": "blue"}, "good": Color.RED, "n": Point(x=1)}
    with pytest.raises(NotStorableError) as refusal, d:
        d["n"] = [job("a"), object()]
    assert (refusal.value.unsaved or {})["n"][0] == job("a")


def test_such_an_error_can_be_pickled(s3: MemoryS3) -> None:
    """The functions in `types` may be lambdas."""
    d = state(s3)
    with pytest.raises(ConflictError) as conflict, d:
        d["n"] = Point(x=1)
        s3.write("state.json", b"{}")
    assert pickle.loads(pickle.dumps(conflict.value)).unsaved == {"n": Point(x=1)}


# Code of the class


def test_a_constructor_that_changes_its_fields_is_found_out_when_saving(s3: MemoryS3) -> None:
    @dataclass
    class Titled:
        name: str

        def __post_init__(self) -> None:
            self.name = f"Job {self.name}"

    d = state(s3, [Titled], data={"a": Titled("b")})
    with pytest.raises(NotStorableError, match="'Job b' would come back as 'Job Job b'") as refusal:
        d.save()
    assert refusal.value.path == "d['a'].name"
    assert not s3.objects


def test_a_class_that_cannot_be_made_of_its_fields_is_found_out_too(s3: MemoryS3) -> None:
    @dataclass
    class Seeded:
        name: str
        seed: InitVar[int]

    d = state(s3, [Seeded], data={"a": [Seeded("b", 1)]})
    with pytest.raises(NotStorableError, match="'seed'") as refusal:
        d.save()
    assert refusal.value.path == "d['a'][0]"


def test_a_class_may_carry_over_what_older_files_hold(s3: MemoryS3) -> None:
    @dataclass
    class Renamed:
        names: Any

        def __post_init__(self) -> None:
            if isinstance(self.names, str):
                self.names = self.names.split()

    s3.write("state.json", b'{"a":{"py/Renamed":{"names":"b c"}}}')
    with state(s3, [Renamed]) as d:
        d["a"].names.append("d")
    assert content(s3) == {"a": {"py/Renamed": {"names": ["b", "c", "d"]}}}


class Hostile:
    """Fails at everything that is switched on."""

    switch = ""

    def __init__(self, value: Any = 0) -> None:
        self._fail("init")
        self.value = value

    def _fail(self, name: str) -> None:
        if Hostile.switch == name:
            raise KeyError(name)

    def __eq__(self, other: object) -> bool:
        self._fail("eq")
        return type(other) is Hostile and self.value == other.value

    __hash__ = None  # type: ignore[assignment]

    def __setattr__(self, name: str, value: Any) -> None:
        self._fail("setattr")
        super().__setattr__(name, value)

    def write(self) -> Any:
        self._fail("write")
        return self.value


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    monkeypatch.setattr(Hostile, "switch", "")
    return lambda switch: monkeypatch.setattr(Hostile, "switch", switch)


HOSTILE = {Hostile: (Hostile.write, Hostile)}


@pytest.mark.parametrize("switch", ["write", "init"])
def test_an_exception_in_a_class_makes_a_save_fail_and_changes_nothing(
    s3: MemoryS3, hostile: Callable[[str], None], switch: str
) -> None:
    d = state(s3, HOSTILE, data={"a": [Hostile(1)]})
    hostile(switch)
    with pytest.raises(NotStorableError, match=switch):
        d.save()
    assert d.changed
    assert not s3.objects
    hostile("")
    d.save()
    assert state(s3, HOSTILE)["a"] == [Hostile(1)]


def test_a_missing_key_in_a_constructor_is_no_missing_key_of_the_dict(
    s3: MemoryS3, hostile: Callable[[str], None]
) -> None:
    through(s3, Hostile(1), HOSTILE)
    d = state(s3, HOSTILE)
    hostile("init")
    with pytest.raises(CorruptFileError, match="KeyError"):
        d.get("value")
    hostile("")
    assert d["value"] == Hostile(1)


@pytest.mark.parametrize("switch", ["eq", "setattr"])
def test_equality_and_setters_are_not_asked_for_saving_or_rolling_back(
    s3: MemoryS3, hostile: Callable[[str], None], switch: str
) -> None:
    value = Hostile([1])
    d = state(s3, HOSTILE, data={"a": value, "b": [value]})
    d.save()
    hostile(switch)
    with pytest.raises(Boom), d:
        value.value.append(2)
        value.__dict__["value"] = 3
        assert d.changed
        raise Boom
    hostile("")
    assert value.value == [1]
    assert d["a"] is value is d["b"][0]
    assert not d.changed


def test_a_circle_of_instances_is_refused(s3: MemoryS3) -> None:
    node = Node("a")
    node.inner = [node]
    d = state(s3, data={"a": node})
    with pytest.raises(NotStorableError, match="circular reference") as refusal:
        d.save()
    assert refusal.value.path == "d['a'].inner[0]"
    with pytest.raises(Boom), d.transaction():
        node.name = "b"
        node.inner = None
        raise Boom
    assert (node.name, node.inner) == ("a", [node])


def test_instances_nested_too_deeply_are_refused(s3: MemoryS3) -> None:
    node: Any = None
    for _ in range(300):
        node = Node("a", node)
    with pytest.raises(NotStorableError, match="nested"):
        state(s3, data={"a": node}).save()


class Length:
    """Equal by value."""

    def __init__(self, metres: float) -> None:
        self.metres = metres

    def __eq__(self, other: object) -> bool:
        return type(other) is Length and self.metres == other.metres

    def __hash__(self) -> int:
        return hash(self.metres)

    def __repr__(self) -> str:
        return f"Length({self.metres})"


class Plain:
    """Equal to itself only."""

    def __init__(self, value: Any) -> None:
        self.value = value


def test_functions_that_lose_something_are_refused(s3: MemoryS3) -> None:
    """What they write comes to the same when it is read and written again, so the text doesn't tell. Equality does."""
    d = state(s3, {Length: (lambda length: round(length.metres), Length)})
    d["whole"] = [Length(2)]
    d.save()
    d["a"] = {"b": [Length(2), Length(1.5)]}
    with pytest.raises(NotStorableError, match=r"Length\(1\.5\) would come back as .*Length\(2\)") as info:
        d.save()
    assert info.value.path == "d['a']['b'][1]"
    assert content(s3) == {"whole": [{"py/Length": 2}]}


@pytest.mark.parametrize(
    ("kind", "write", "value"),
    [
        (Length, lambda length: length.metres, Length(float("nan"))),
        (Plain, lambda plain: plain.value, Plain(1)),
    ],
    ids=["NaN", "no equality"],
)
def test_what_equals_nothing_read_back_is_stored(s3: MemoryS3, kind: type, write: Any, value: Any) -> None:
    d = state(s3, {kind: (write, kind)})
    d["a"] = value
    d.save()
    assert repr(write(state(s3, {kind: (write, kind)})["a"])) == repr(write(value))


def test_a_write_function_that_gives_the_instance_back_is_refused(s3: MemoryS3) -> None:
    with pytest.raises(NotStorableError, match="circular"):
        state(s3, {Money: (lambda money: money, Money)}, data={"a": Money(1, [])}).save()


def test_nothing_in_a_file_is_called_or_imported_by_its_name(s3: MemoryS3) -> None:
    s3.write("state.json", b'{"a":{"py/os.system":"true"},"b":{"py/Money":["os","system"]}}')
    assert dict(state(s3, [Job])) == {"a": {"py/os.system": "true"}, "b": {"py/Money": ["os", "system"]}}


# As dicts are


EDITS: list[tuple[Any, Callable[[Any], None]]] = [
    (job("a", 1), lambda value: setattr(value, "name", "b")),
    (job("a", 1), lambda value: value.tags.append(2)),
    (job("a", [1]), lambda value: value.tags[0].append(2)),
    (job("a"), lambda value: setattr(value, "tries", 9)),
    (Point(x=1, y=[2]), lambda value: value.y.append(3)),
    (Point(x=1, y=2), lambda value: object.__setattr__(value, "y", 3)),
    (Task("a", [], job("b")), lambda value: setattr(value.parent, "name", "c")),
    (Pair([1]), lambda value: value.left.append(2)),
    (Account(1, [2]), lambda value: setattr(value, "total", 3)),
    (Account(1, [2]), lambda value: value.notes.clear()),
    (Event("a", {"b": 1}), lambda value: setattr(value, "kind", "b")),
    (Event("a", {"b": 1}), lambda value: value.data.update(c=1)),
    (Fixed([1]), lambda value: value.items.append(2)),
    (User(userName="a", tags=[1]), lambda value: setattr(value, "name", "b")),
    (User(userName="a", tags=[1]), lambda value: value.tags.append(1)),
    (np.array([1, 2]), lambda value: value.__setitem__(0, 9)),
    (Money(1, [2]), lambda value: setattr(value, "amount", 2)),
    (Money(1, [2]), lambda value: value.parts.append(3)),
    (Stack([1]), lambda value: value.append(3)),
    (Stack([1]), lambda value: setattr(value, "name", "b")),
]


def same(value: Any, other: Any) -> bool:
    return bool(np.all(value == other)) and getattr(value, "name", None) == getattr(other, "name", None)


@pytest.mark.parametrize("kept", ["held", "inside a tuple", "loaded", "asleep"])
@pytest.mark.parametrize(("value", "edit"), EDITS)
def test_an_edit_in_place_is_seen_saved_and_rolled_back(
    s3: MemoryS3, value: Any, edit: Callable[[Any], None], kept: str
) -> None:
    """The same object is edited, wherever it is, and whoever holds it."""
    before, value = copy.deepcopy(value), copy.deepcopy(value)
    whole = ({"a": (value,)},) if kept == "inside a tuple" else [value]
    with state(s3) as d:
        d["a"] = whole
    if kept in ("loaded", "asleep"):
        value = None
        whole = None  # type: ignore[assignment]
        d = state(s3)
    if kept == "asleep":
        with d.transaction():
            assert d["a"]

    def find() -> Any:
        return d["a"][0]["a"][0] if kept == "inside a tuple" else d["a"][0]

    with pytest.raises(Boom), d:
        with d.transaction():
            found = find()
            edit(found)
        assert d.changed
        raise Boom
    assert find() is found
    assert same(found, before)
    assert not d.changed
    d._check()
    with d:
        edit(find())
    after = copy.deepcopy(before)
    edit(after)
    d = state(s3)
    assert same(find(), after)


def test_aliases_stay_aliases(s3: MemoryS3) -> None:
    shared = job("a")
    d = state(s3)
    with pytest.raises(Boom), d:
        d["one"], d["two"] = shared, [shared]
        d.save()
        shared.tags.append(1)
        assert d["two"][0].tags == [1]
        raise Boom
    assert d["one"] is d["two"][0] is shared
    assert shared == job("a")


def test_an_instance_that_is_a_key_or_a_member_of_a_set_is_rolled_back_too(s3: MemoryS3) -> None:
    node, member, frozen = Node("a"), Node("b"), Node("c")
    d = state(s3, data={"a": {node: {member}}, "f": frozenset({frozen})})
    with pytest.raises(Boom), d.transaction():
        node.name = member.name = frozen.name = "x"
        raise Boom
    assert (node.name, member.name, frozen.name) == ("a", "b", "c")
    assert frozen in d["f"]
    assert member in d["a"][node]


def test_attributes_that_are_no_fields_are_rolled_back_and_kept(s3: MemoryS3) -> None:
    """An example is a value that the class computes once. Such attributes aren't stored."""
    lock = threading.Lock()
    value = job("a")
    value.cached = lock  # type: ignore[attr-defined]
    d = state(s3, data={"a": value})
    d.save()
    with pytest.raises(Boom), d:
        value.cached = value.more = 1  # type: ignore[attr-defined]
        raise Boom
    assert value.cached is lock  # type: ignore[attr-defined]
    assert not hasattr(value, "more")
    assert not d.changed


def test_reading_changes_nothing_and_sends_nothing(s3: MemoryS3) -> None:
    with state(s3) as d:
        d.update({str(index): value for index, value in enumerate(new_examples())})
    before = s3.objects["state.json"]
    with state(s3) as d:
        assert list(d.values()) == new_examples()
        assert not d.changed
    assert s3.objects["state.json"] == before


def test_what_is_edited_again_and_again_falls_asleep_and_is_let_go(s3: MemoryS3) -> None:
    """The thousandth transaction costs the same as the first."""
    with state(s3) as d:
        d.update({str(n): job(str(n), Color.RED, (Path("a"), Point(x=n))) for n in range(100)})
    d = state(s3)
    for n in range(100):
        with d:
            d[str(n)].tries += 1
    assert len(d._memory._touched()) < 5
    assert sum(value.tries for value in state(s3).values()) == 100


def test_an_edit_by_way_of_an_object_that_is_not_known_is_saved(s3: MemoryS3) -> None:
    """Money is written with its content, so it isn't let go while somebody may hold that."""
    types = {Money: (lambda money: money.parts.items, lambda items: Money(0, Namespace(items=items)))}  # type: ignore[arg-type]
    hidden = Namespace(items=[1])
    d = state(s3, types, data={"a": Money(0, hidden)})  # type: ignore[arg-type]
    for n in range(3):
        with d:
            d["n"] = n
    hidden.items.append(2)
    d.save()
    assert content(s3)["a"] == {"py/Money": [1, 2]}


def test_an_edit_by_way_of_another_array_is_saved_and_rolled_back(s3: MemoryS3) -> None:
    whole = np.array([1, 2, 3])
    d = state(s3, data={"a": whole[:2]})
    for n in range(3):
        with d:
            d["n"] = n
    with pytest.raises(Boom), d:
        whole[0] = 9
        raise Boom
    assert whole[0] == 1
    whole[1] = 9
    d.save()
    assert state(s3)["a"].tolist() == [1, 9]


FRAMES = {pd.DataFrame: (lambda frame: frame.to_dict("list"), pd.DataFrame)}


def test_what_a_library_hides_in_its_objects_is_rolled_back_too(s3: MemoryS3) -> None:
    d = state(s3, FRAMES, data={"a": [pd.DataFrame({"n": [1, 2]})]})
    d.save()
    frame = d["a"][0]
    with pytest.raises(Boom), d:
        frame.loc[0, "n"] = 9
        frame["m"] = 3
        assert d.changed
        raise Boom
    assert d["a"][0] is frame
    assert frame.to_dict("list") == {"n": [1, 2]}
    assert not d.changed
    with d:
        d["a"][0].loc[0, "n"] = 9
    assert state(s3, FRAMES)["a"][0].to_dict("list") == {"n": [9, 2]}


def test_what_cannot_be_put_back_is_told(s3: MemoryS3) -> None:
    """An example is an element of a tree in C, whose attributes can be neither seen nor set."""
    types = {Element: (lambda element: ElementTree.tostring(element, "unicode"), ElementTree.fromstring)}
    d = state(s3, types, data={"a": Element("b")})
    d.save()
    with pytest.raises(Boom), d:
        raise Boom
    with pytest.raises(TransactionError, match="can't be put back"), d:
        d["a"].set("c", "d")
        raise Boom


def test_merging_gives_a_resolver_instances(s3: MemoryS3) -> None:
    def resolve(key: Any, base: Any, ours: Any, theirs: Any) -> Any:
        return job(ours.name + theirs.name, *base.tags) if base is not MISSING else ours

    state(s3, data={"a": job("0", 1), "b": Point(x=1)}).save()
    ours, theirs = state(s3, on_conflict=resolve), state(s3)
    theirs["a"] = job("2")
    theirs["c"] = Color.RED
    theirs.save()
    ours["a"].name = "1"
    ours.save()
    assert dict(ours) == dict(state(s3)) == {"a": job("12", 1), "b": Point(x=1), "c": Color.RED}


def test_copies_have_the_types_too(s3: MemoryS3) -> None:
    d = state(s3, data={"a": job("a")})
    d.save()
    shallow, deep, new = d.copy(), copy.deepcopy(d), d.fromkeys(["b"], Color.RED)
    assert shallow["a"] is d["a"]
    assert deep["a"] is not d["a"]
    assert deep["a"] == d["a"]
    for twin in (shallow, deep, new):
        twin["c"] = Point(x=1)  # type: ignore[assignment]
        with pytest.raises(Boom), twin.transaction():
            twin["c"] = job("b")  # type: ignore[assignment]
            raise Boom
        twin.load()
        twin["c"] = Point(x=1)  # type: ignore[assignment]
        twin.save()
        assert state(s3)["c"] == Point(x=1)


def test_async_dicts_take_types_too(s3: MemoryS3) -> None:
    async def main() -> None:
        d: AsyncS3Dict[str, Any] = AsyncS3Dict("b", file_name="state.json", client=s3, types=TYPES)
        async with d:
            d["a"] = held = job("a")
        with pytest.raises(Boom):
            async with d:
                held.tags.append(1)
                raise Boom
        assert d["a"] is held
        assert held == job("a")

    asyncio.run(main())
    assert state(s3)["a"] == job("a")


def test_a_pickle_has_the_types_too(moto_s3: Site) -> None:
    d = S3Dict(moto_s3.bucket, file_name="a.json", types=[Job, (Path, str, Path)], **moto_s3.options)
    d["a"] = job("a")
    twin = pickle.loads(pickle.dumps(d))
    assert twin["a"] == job("a")
    twin["b"] = Path("a")
    with pytest.raises(Boom), twin.transaction():
        twin["a"].name = "b"
        raise Boom
    assert twin["a"] == job("a")


def test_a_default_may_have_instances(s3: MemoryS3) -> None:
    default = {"a": job("a")}
    d = state(s3, default=default)
    assert not d.changed
    with d:
        d["a"].tags.append(1)
    assert default == {"a": job("a")}
    assert state(s3)["a"] == job("a", 1)


def test_versions_and_loads_keep_an_instance_that_is_the_same(s3: MemoryS3) -> None:
    d = state(s3, data={"a": job("a"), "n": 1})
    d.save()
    held = d["a"]
    with state(s3) as other:
        other["n"] = 2
    assert d.load()["a"] is held
    with state(s3) as other:
        other["a"].name = "b"
    assert d.load()["a"] == job("b")
    assert held == job("a")


def test_notebooks_show_an_instance_as_what_it_is(s3: MemoryS3) -> None:
    with state(s3) as d:
        d["a"] = job("a")
    for shown in (state(s3), d):
        assert "Job(name=" in shown._repr_html_()


def test_another_thread_may_edit_an_instance_while_it_is_saved(s3: MemoryS3) -> None:
    """What is written of the instance is its state at one moment."""
    value = Point(x=0, y=0)
    d = state(s3, data={"a": value})
    done = threading.Event()

    def edit() -> None:
        n = 0
        while not done.is_set():
            n += 1
            object.__setattr__(value, "x", n)
            object.__setattr__(value, "y", n)

    thread = threading.Thread(target=edit)
    thread.start()
    try:
        for _ in range(30):
            d.save()
            stored = content(s3)["a"]["py/Point"]
            assert stored["x"] - stored["y"] in (0, 1)
    finally:
        done.set()
        thread.join()


def test_a_field_may_hold_what_is_stored_by_functions_and_the_other_way_round(s3: MemoryS3) -> None:
    value = Money(1, [job("a", Money(2, [Color.RED])), Path("a")])
    assert through(s3, value) == value


def test_struct_and_pydantic_leave_out_what_they_do_not_know_as_their_rules_are(s3: MemoryS3) -> None:
    s3.write("state.json", b'{"a":{"py/Event":{"kind":"a","old":1}},"b":{"py/User":{"name":"a","old":1}}}')
    d = state(s3)
    assert (d["a"], d["b"]) == (Event("a"), User(userName="a"))


def test_a_strict_struct_refuses_what_it_does_not_know(s3: MemoryS3) -> None:
    class Strict(msgspec.Struct, forbid_unknown_fields=True):
        a: int

    s3.write("state.json", b'{"a":{"py/Strict":{"a":1,"old":1}}}')
    with pytest.raises(CorruptFileError, match="old"):
        state(s3, [Strict])["a"]


def test_a_model_validates_what_is_read(s3: MemoryS3) -> None:
    class Aged(pydantic.BaseModel):
        age: int

    s3.write("state.json", b'{"a":{"py/Aged":{"age":"7"}},"b":{"py/Aged":{"age":"x"}}}')
    d = state(s3, [Aged])
    assert d["a"].age == 7
    with pytest.raises(CorruptFileError, match="age"):
        d["b"]
