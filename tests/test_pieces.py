"""A file that is split beside an event loop is split piece by piece, with a moment for the loop after each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from s3dictionary import CorruptFileError
from s3dictionary._format import codec, pieces
from s3dictionary._yielding import is_beside_loop

SIZE = 100

TEXTS = st.text('ab"\\{}[], é:', max_size=30)
VALUES = st.recursive(
    st.none() | st.integers() | TEXTS,
    lambda values: st.lists(values, max_size=4) | st.dictionaries(TEXTS, values, max_size=4),
    max_leaves=8,
)
OBJECTS = st.lists(st.tuples(TEXTS, VALUES), min_size=1, max_size=5).map(
    lambda items: {f"{key}{number}": value for number in range(20) for key, value in items}
)
hypothesis = settings(deadline=None, max_examples=40)


@pytest.fixture(autouse=True)
def beside_a_loop() -> Iterator[None]:
    token = is_beside_loop.set(True)
    yield
    is_beside_loop.reset(token)


@pytest.fixture
def moments(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """A list with one item for each moment that the loop got."""
    found: list[None] = []
    monkeypatch.setattr(pieces, "let_loop_run", lambda: found.append(None))
    return found


def at_once(body: bytes) -> dict[str, Any]:
    return msgspec.json.decode(body, type=dict[str, msgspec.Raw])


def exact(members: dict[str, Any]) -> list[tuple[str, bytes]]:
    return [(key, bytes(raw)) for key, raw in members.items()]


@given(content=OBJECTS, indent=st.none() | st.integers(0, 2), ascii_only=st.booleans())
@example({f"{number}": '},"a":{' * 3 for number in range(40)}, None, True)
@example({f"{number}": "\\" * 150 + '"' for number in range(40)}, None, True)
@hypothesis
def test_the_members_are_the_same_as_of_a_file_that_is_split_at_once(
    content: dict[str, Any], indent: int | None, ascii_only: bool
) -> None:
    """The same keys come in the same order, with the same text, whatever the strings and the layout."""
    body = json.dumps(content, indent=indent, ensure_ascii=ascii_only).encode()
    members = pieces.split(body, SIZE)
    if len(body) >= 2 * SIZE:
        assert members is not None
        assert exact(members) == exact(at_once(body))


@given(content=OBJECTS, at=st.integers(0, 10_000), character=st.sampled_from([b"", *map(bytes, zip(b'{}[],:"\\x'))]))
@example({"a" * 900: 1}, -1, b",}")
@example({f"{number}": [] for number in range(40)}, 300, b",")
@hypothesis
def test_a_file_is_accepted_if_and_only_if_it_is_valid(content: dict[str, Any], at: int, character: bytes) -> None:
    """Two mistakes in different pieces don't cancel each other out."""
    body = json.dumps(content, ensure_ascii=False).encode()
    at %= len(body)
    body = body[:at] + character + body[at + 1 :]
    members = pieces.split(body, SIZE)
    if members is not None:
        assert exact(members) == exact(at_once(body))


@pytest.mark.parametrize("body", [b'{"a": 1,%b}', b'{,%b"a": 1}', b'{"a": 1,,%b"b": 2}', b'{"a": 1%b', b"[%b]"])
def test_a_file_with_a_comma_too_many_or_without_its_end_is_corrupt(body: bytes) -> None:
    """A piece without a member isn't taken for an empty object."""
    filling = b",".join(b'"key %d": %d' % (number, number) for number in range(40_000))
    for filled in (body % (filling + b","), body % (b" " * 3 * pieces.SIZE)):
        assert pieces.split(filled) is None
        with pytest.raises(CorruptFileError):
            codec.split(filled)


def test_the_loop_gets_a_moment_after_each_piece(moments: list[None]) -> None:
    """No piece takes longer because its records are long, nested, or full of brackets in strings."""
    record = {"a": [{"b": "]]]}}},,"}, [['\\"{{']]], "c": {"d": {"e": None}}}
    body = json.dumps({f"key {number}": record for number in range(1000)}).encode()
    assert pieces.split(body, 1000) is not None
    assert len(moments) > len(body) / 1500


def test_a_file_is_split_at_once_if_no_loop_waits(moments: list[None]) -> None:
    """Programs without asyncio lose no time."""
    is_beside_loop.set(False)
    assert len(codec.split(json.dumps(dict.fromkeys(map(str, range(100_000)))).encode())) == 100_000
    assert not moments
