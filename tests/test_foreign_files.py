"""Files that other programs wrote or damaged keep their texts. What nobody could read is found at load."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from s3dictionary import CorruptFileError, NotStorableError, S3Dict
from s3dictionary._format import codec
from s3dictionary._format.limits import MAX_NESTING_READ
from support import inside
from support.memory_s3 import MemoryS3

# What msgspec refuses, and Python's json takes
ODD = ["NaN", "-Infinity", "[Infinity]", '"\\ud800"', '{"\\udfff": 1}', '{"a": {"b": [NaN]}}', "1e400"]
TEXTS = [
    "1234567890.12345678901234567890",
    "1.10",
    "1E5",
    "-0",
    '"\\u0041\\/"',
    '{ "a" :\t[ 1,2 ] }',
    '{"a":1,"a":2}',
    '{"py\\/tuple":[ ]}',
    '" ]}{[,:\\" "',
    '"é😀"',
    "[[], {}, [ ]]",
    "1e-400",
]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("text", TEXTS)
def test_every_members_text_stays_whatever_else_is_in_the_file(text: str, odd: str) -> None:
    """This includes the odd member, in an object and in a dict of pairs."""
    for body in (f' {{ "a" : {text} ,"odd":{odd}\n, "b":{text}}}\n', f'{{"odd":{odd},"\\ud800":{text},"b":{text}}}'):
        members = codec.split(body.encode())
        assert [bytes(raw).decode() for key, raw in members.items() if key != "odd"] == [text, text]
        assert bytes(members["odd"]).decode() == odd
        again = codec.split(codec.join(members))
        assert {key: bytes(raw) for key, raw in again.items()} == {key: bytes(raw) for key, raw in members.items()}
    members = codec.split(f'{{"py/dict": [ [1 , {text} ],["odd",{odd}] ] }}'.encode())
    assert {key: bytes(raw).decode() for key, raw in members.items()} == {1: text, "odd": odd}


def test_of_names_that_come_twice_the_last_text_counts_in_the_place_of_the_first() -> None:
    """json.loads does the same. This also holds with something odd in the file."""
    for odd in ("1", "NaN"):
        members = codec.split(f'{{"a": [1], "b": {odd}, "a": [ 2 ]}}'.encode())
        assert list(members) == ["a", "b"]
        assert bytes(members["a"]) == b"[ 2 ]"


pieces = st.sampled_from([*'{}[]",:\\ \n1', "NaN", '"a":', '"a"', "null", "\\ud800", "-", "py/dict", "[1,2]"])


@settings(deadline=None, max_examples=300)
@given(st.lists(pieces, max_size=10).map("".join))
@example('"a":1,')
@example('"a":[1,]')
def test_what_is_cut_is_what_json_loads_takes(inner: str) -> None:
    """This holds with NaN in the file, which takes the slower way, and without."""
    for body in (f'{{"odd":NaN,{inner}}}', f"{{{inner}}}", f'{{"py/dict":[[1,NaN],{inner}]}}'):
        try:
            expected = json.loads(body)
        except ValueError as error:
            with pytest.raises(CorruptFileError, match=f"^not JSON: {re.escape(str(error))}$"):
                codec.split(body.encode())
        else:
            members = codec.split(body.encode())
            if "py/dict" not in expected:
                assert repr({key: json.loads(bytes(raw)) for key, raw in members.items()}) == repr(expected)


# Integers


@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize(
    "where", ['{{"a":{}}}', '{{"a":[1,{{"b":{}}}],"c":1}}', '{{"x":NaN,"a":{}}}', '{{"py/dict":[[{},1]]}}']
)
def test_an_integer_of_too_many_digits_is_refused_at_load(sign: str, where: str) -> None:
    """Converting it would take minutes. The message says where it is."""
    for digits in (codec.MAX_DIGITS + 1, 3_000_000):
        with pytest.raises(CorruptFileError, match=f"an integer of {digits:,} digits.*: line 1 column"):
            codec.split(where.format(sign + "9" * digits).encode())


def test_an_integer_of_100_000_digits_comes_back() -> None:
    """It comes back exactly, as any other integer."""
    number = 10**codec.MAX_DIGITS - 1
    text = codec.encode(number)
    assert bytes(codec.split(b'{"a":' + text + b"}")["a"]) == text
    assert codec.decode(text) == number
    assert codec.decode(codec.encode([-number, ()])) == [-number, ()]


def test_a_longer_integer_is_refused_when_it_is_written() -> None:
    """Whatever is written can be read."""
    for number in (10**codec.MAX_DIGITS, -(10**codec.MAX_DIGITS), 1 << 10_000_000):
        with pytest.raises(TypeError, match=r"^d\['a'\]\['b'\] is an integer of more than 100,000 digits"):
            codec.encode({"b": number}, "a")


@pytest.mark.parametrize(
    "text",
    [
        '"' + "9" * 250_000 + '"',
        '"\\"' + "9" * 250_000 + '"',
        "0." + "1" * 250_000,
        "1" * 250_000 + ".5",
        "1" * 250_000 + "e-9",
    ],
    ids=["a str", "a str with a quote", "a fraction", "a float", "a float with an exponent"],
)
def test_other_texts_of_many_digits_load(text: str) -> None:
    """Reading them takes no time."""
    members = codec.split(f'{{"a":{text}}}'.encode())
    assert codec.decode(members["a"]) == json.loads(text)


# Nesting


OPENINGS = {"[": "]", '{"a":': "}", '[1,{"b":"]}]}",\n"c":[ ': "]}]", '["\\\\",["\\"]",': "]]"}


@pytest.mark.parametrize("opening", OPENINGS)
@pytest.mark.parametrize(
    "where", ['{{"a":{}}}', '{{"x":"[[","a":1,"b":{},"c":[]}}', '{{"x":NaN,"a":{}}}', '{{"py/dict":[[1,{}]]}}']
)
def test_nesting_is_limited_at_load(opening: str, where: str) -> None:
    """A file with the maximum loads if the stack allows. A deeper one is refused, with its place."""
    levels = len(re.sub(r'"(?:[^"\\]|\\.)*"', "", opening).translate({ord(sign): None for sign in " ,:1\n"}))
    for count, refused in (
        (MAX_NESTING_READ // levels // 2, False),
        (MAX_NESTING_READ // levels + 1, True),
        (20_000, True),
    ):
        text = opening * count + "1" + OPENINGS[opening] * count
        body = where.format(text).encode()
        if refused:
            with pytest.raises(CorruptFileError, match=r"^nested too deeply: line \d+ column \d+ \(char \d+\)$"):
                codec.split(body)
        else:
            assert text.encode() in map(bytes, codec.split(body).values())


def test_brackets_that_are_many_but_not_deep_load() -> None:
    """They are beside each other, or in strings."""
    value = [[{"a": ["[" * 2000, "]}" * 2000, '\\"[' * 500]}] * 30 for _ in range(50)]
    body = codec.join({"a": codec.Raw(json.dumps(value).encode()), "b": codec.Raw(b"[1]")})
    assert codec.decode(codec.split(body)["a"]) == value


def test_the_limit_does_not_depend_on_pythons_own() -> None:
    """A program may have raised Python's limit, and Python 3.14 has none that counts."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        with pytest.raises(CorruptFileError, match="nested too deeply"):
            codec.split(b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}")
    finally:
        sys.setrecursionlimit(before)


# jsonpickle's


@pytest.mark.parametrize(
    "value",
    [
        {"py/b64": "YWJj"},
        {"py/bytes": "=FF"},
        {"py/set": [{"py/object": "app.State", "n": 1}]},
        {"py/object": "app.State", "at": {"py/id": 1}},
        {"py/object": "datetime.date", "__reduce__": [{"py/type": "datetime.date"}, ["B+QBAg=="]]},
        {"py/reduce": [{"py/function": "os.system"}, {"py/set": []}]},
    ],
    ids=json.dumps,
)
def test_what_jsonpickle_wrote_stays_as_it_is(value: Any) -> None:
    """This holds whether it is read or not."""
    body = json.dumps({"a": value}).encode()
    raw = codec.split(body)["a"]
    found = codec.decode(raw)
    assert inside.written({"a": (found, raw)})["a"] is raw
    assert json.loads(bytes(raw)) == value


def test_a_value_that_is_nested_more_deeply_than_may_be_written_can_be_read_and_the_rest_saved() -> None:
    """It keeps the file's text, unless it is changed."""
    s3 = MemoryS3()
    deep = b"[" * 700 + b"]" * 700
    s3.write("key", b'{"deep":' + deep + b',"n":1}')
    d = S3Dict[str, Any]("bucket", file_name="key", client=s3)
    value = d["deep"]
    with d:
        d["n"] = 2
    assert not d.changed
    assert s3.objects["key"][0].strip() == b'{"deep":' + deep + b',"n":2}'
    value.append(1)
    with pytest.raises(NotStorableError, match="nested"):
        d.save()
