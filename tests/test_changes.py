"""Detecting changes, and what is written: a value that hasn't changed keeps the file's own text."""

from __future__ import annotations

import json
import math
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3dictionary import NotStorableError
from s3dictionary._format import codec
from s3dictionary._format.codec import Raw
from support import inside

SPELLINGS = [
    ("1", 1),
    ("1.10", 1.1),
    ("1E5", 1e5),
    ("-0", 0),
    ("-0.0", -0.0),
    ("1e400", math.inf),
    ("NaN", math.nan),
    ("[NaN, -Infinity]", [math.nan, -math.inf]),
    ('"\\u0041\\/"', "A/"),
    ('"\\ud800"', "\ud800"),
    ('{ "a" : [ 1,2 ] }', {"a": [1, 2]}),
    ('{"a": 1, "b": 2, "a": 3}', {"a": 3, "b": 2}),
    ('{"py/tuple": [1, 2]}', (1, 2)),
    ('{"py\\/set": [2, 1, 1]}', {1, 2}),
    ('{"py/dict": [[1, 2], [1, 3]]}', {1: 3}),
    ('{"py/decimal": "1.10"}', Decimal("1.10")),
    ('{"py/decimal": "sNaN"}', Decimal("sNaN")),
    ('{"py/datetime": "2026-01-02"}', datetime(2026, 1, 2)),
    ('{"py/float": "nan"}', math.nan),
    ('{"py/set": [[1]]}', {"py/set": [[1]]}),
    ('{"py/id": 1}', {"py/id": 1}),
    ('"nanny"', "nanny"),
    ("9" * 5000, 10**5000 - 1),
    ("[" * 300 + "]" * 300, json.loads("[" * 300 + "]" * 300)),
]


@pytest.mark.parametrize(("text", "value"), SPELLINGS, ids=[text[:30] for text, _ in SPELLINGS])
def test_a_value_that_nobody_changed_keeps_its_text(text: str, value: Any) -> None:
    """It keeps its text however it is spelled, alone and among others, plain or not."""
    raw = Raw(text.encode())
    for others in ({}, {"x": (1, None), "y": ([2], Raw(b"[ 2]"))}, {"x": ((), Raw(b"1")), "y": (2, Raw(b"NaN"))}):
        written = inside.written({**others, "a": (value, raw)})
        assert written["a"] is raw
        assert list(written) == [*others, "a"]
    assert not codec.any_change(inside.touched({"a": (value, raw)}))
    assert not codec.any_change(inside.touched(dict.fromkeys(range(50), (value, raw))))


DIFFERENT = [
    ("1", True),
    ("1", 1.0),
    ("0.0", -0.0),
    ("true", 1),
    ("null", math.nan),
    ("NaN", math.inf),
    ("[NaN]", [None]),
    ('"a"', "b"),
    ("[1, 2]", (1, 2)),
    ("[1, 2]", [1, 2, 3]),
    ("[[1]]", [[True]]),
    ('{"a": 1, "b": 2}', {"b": 2, "a": 1}),
    ('{"1": 2}', {1: 2}),
    ('{"py/tuple": [1]}', [1]),
    ('{"py/tuple": [1]}', (True,)),
    ('{"py/tuple": [1]}', {"py/tuple": [1]}),
    ('{"py/decimal": "1.1"}', Decimal("1.10")),
    ('{"py/datetime": "2026-01-02"}', datetime(2026, 1, 2, fold=1)),
    ('"2026-01-02"', datetime(2026, 1, 2)),
]


@pytest.mark.parametrize(("text", "value"), DIFFERENT)
def test_a_value_that_differs_is_written_anew(text: str, value: Any) -> None:
    """This includes values that Python considers equal."""
    raw = Raw(text.encode())
    assert inside.written({"a": (value, raw)}) == {"a": Raw(codec.encode(value))}
    assert inside.written({"x": (2, None), "a": (value, raw)})["a"] == Raw(codec.encode(value))
    assert codec.any_change(inside.touched({"a": (value, raw)}))
    assert codec.any_change(inside.touched({"x": (2, Raw(b" 2")), "a": (value, raw), "y": (None, Raw(b"null"))}))


def test_a_value_that_the_file_does_not_hold_is_a_change() -> None:
    """Any value is a change if the file has none for its key."""
    assert inside.written({"a": (None, None)}) == {"a": Raw(b"null")}
    assert codec.any_change(inside.touched({"b": (1, Raw(b"1")), "a": (None, None)}))


def test_nothing_touched_is_no_change() -> None:
    """There is nothing to write."""
    assert inside.written({}) == {}
    assert not codec.any_change(inside.touched({}))


def test_what_cannot_be_stored_is_refused_with_its_path_and_counts_as_a_change() -> None:
    """This also holds for a value far behind many others."""
    touched: dict[Any, Any] = {n: (n, Raw(str(n).encode())) for n in range(1000)}
    touched[999] = ([object()], Raw(b"[]"))
    with pytest.raises(NotStorableError, match=r"^d\[999\]\[0\] is an object"):
        inside.written(touched)
    assert codec.any_change(inside.touched(touched))


class Equal(dict):
    """Claims to equal anything that it is compared with."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False


def test_a_values_own_equality_is_not_asked() -> None:
    """What is written decides whether a value has changed."""
    assert codec.any_change(inside.touched({"a": (Equal(a=1), Raw(b'{ "a": 2}'))}))
    assert not codec.any_change(inside.touched({"a": (Equal(a=1), Raw(b'{ "a": 1}'))}))


def test_the_first_change_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """`changed` costs little in a dict where everything has changed."""
    encoded = []
    real = codec.encode_changes
    touched = {n: (n, Raw(b"0" if n else b"1")) for n in range(10_000)}
    monkeypatch.setattr(
        "s3dictionary._format.changes.encode_changes",
        lambda some, types: encoded.append(len(some.keys)) or real(some, types),
    )
    assert codec.any_change(inside.touched(touched))
    assert sum(encoded) <= 10


scalars = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, -0.0, 1.0, math.nan, math.inf])
json_values = st.recursive(
    scalars | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(st.lists(st.tuples(json_values, json_values), max_size=8), st.sampled_from([None, 1]), st.booleans())
def test_a_text_is_kept_just_where_it_stands_for_the_same(
    pairs: list[tuple[Any, Any]], indent: int | None, ascii_only: bool
) -> None:
    """Two texts stand for the same value if that value is written in the same way."""
    texts = [json.dumps(then, indent=indent, ensure_ascii=ascii_only) for _, then in pairs]
    touched = {n: (pairs[n][0], Raw(text.encode())) for n, text in enumerate(texts)}
    written = inside.written(touched)
    for n, (value, raw) in touched.items():
        unchanged = codec.encode(value) == codec.canonical(raw)
        assert written[n] is raw if unchanged else bytes(written[n]) == codec.encode(value)
    assert codec.any_change(inside.touched(touched)) is any(written[n] is not raw for n, (_, raw) in touched.items())
