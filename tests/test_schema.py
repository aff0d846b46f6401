"""The JSON Schema of the file format, on which other programs can rely."""

from __future__ import annotations

import json
from datetime import datetime, time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from s3dictionary._format.types import READERS
from test_codec import hashables, names, values, write

SCHEMA = json.loads((Path(__file__).parent.parent / "docs" / "file-format.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)


def loads(body: bytes) -> Any:
    """Read JSON as other programs do, without Python's limit on digits."""
    return json.loads(body, parse_int=lambda digits: int(digits[:300]))


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_has_each_type_that_is_tagged() -> None:
    """A new row in the table of types must be added to the schema, too."""
    tagged = SCHEMA["$defs"]["tagged"]["properties"]
    assert tagged.keys() | {"py/dict"} == {f"py/{tag}" for tag in READERS}
    looks = Draft202012Validator(SCHEMA["$defs"]["looksTagged"])
    assert all(looks.is_valid({tag: 1}) for tag in tagged)


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(hashables | names, values, max_size=4))
def test_what_is_written_is_valid(d: dict[Any, Any]) -> None:
    """This holds for any content."""
    VALIDATOR.validate(loads(write(d)))


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Port-au-Prince", "Etc/GMT+5", "EST5EDT"])
def test_a_moment_in_a_zone_is_valid(zone: str) -> None:
    moments = [datetime(2026, 7, 1, 12, 0, 0, 5, ZoneInfo(zone), fold=fold) for fold in (0, 1)]
    VALIDATOR.validate(
        loads(write({"a": moments, "b": datetime(1, 1, 1, tzinfo=ZoneInfo(zone)), "c": time(1, fold=1)}))
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"py/datetime": "yesterday"},
        {"py/tuple": 1},
        {"py/float": "1.5"},
        {"py/timedelta": [1, 2]},
        {"py/uuid": "1"},
        {"py/str": ["a"]},
        {"py/dict": [[1]]},
        {"a": 1, "py/dict": [[1, 2, "3"]]},
        [{"py/set": {}}],
    ],
)
def test_what_does_not_fit_is_invalid(wrong: Any) -> None:
    """Such content comes only from people or other programs."""
    assert not VALIDATOR.is_valid({"a": wrong})
