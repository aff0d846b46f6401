"""What type checkers must know about the library. `test_typing.py` lets mypy check it; it never runs.

Each function is a promise. A line that must be an error has `type: ignore`, which is itself an error if there is none
to ignore. The comment doesn't name the error, because checkers use different names.
"""

# mypy: disable-error-code="ignore-without-code"
# ruff: noqa: B018, F841, PGH003

from __future__ import annotations

from collections import UserDict
from collections.abc import MutableMapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from typing_extensions import assert_type

import s3dictionary
from s3dictionary import MISSING, AsyncS3Dict, ConflictError, S3Dict, StorageError
from s3dictionary.local import local_s3


@dataclass
class Job:
    name: str


class Color(Enum):
    RED = 1


class Counters(S3Dict[str, int]):
    """A subclass as users write it."""


def what_it_is_of_is_known_by_annotation_by_subscript_or_by_the_data(pairs: list[tuple[int, str]]) -> None:
    annotated: S3Dict[str, int] = S3Dict("bucket", file_name="a.json")
    assert_type(annotated, S3Dict[str, int])
    assert_type(S3Dict[str, list[int]]("bucket", file_name="a.json"), S3Dict[str, list[int]])
    assert_type(S3Dict("bucket", file_name="a.json", data={"a": 1}), S3Dict[str, int])
    assert_type(S3Dict("bucket", file_name="a.json", data=pairs), S3Dict[int, str])
    assert_type(S3Dict("bucket", file_name="a.json", data=[("a", 1)]), S3Dict[str, int])
    assert_type(S3Dict("bucket", "id", "secret", "a.json", data={"a": 1}), S3Dict[str, int])
    assert_type(S3Dict[str, int].from_uri("s3://bucket/a.json"), S3Dict[str, int])
    assert_type(Counters.from_uri("s3://bucket/a.json"), Counters)


def without_any_of_these_it_is_of_anything() -> None:
    d = S3Dict("bucket", file_name="a.json")
    assert_type(d, S3Dict[Any, Any])
    assert_type(S3Dict.from_uri("s3://bucket/a.json"), S3Dict[Any, Any])
    with S3Dict("bucket", file_name="a.json") as state:
        state["runs"] = state.get("runs", 0) + 1


def it_can_go_where_a_mapping_is_expected(d: S3Dict[str, int]) -> None:
    mapping: MutableMapping[str, int] = d
    user_dict: UserDict[str, int] = d
    plain: dict[str, int] = dict(d)
    real: dict[str, int] = d.data
    texts: MutableMapping[str, str] = d  # type: ignore


def what_is_read_has_the_type_of_the_values(d: S3Dict[str, int], key: str) -> None:
    assert_type(d[key], int)
    assert_type(d.get(key), int | None)
    assert_type(d.get(key, 0), int)
    assert_type(d.get(key, "none"), int | str)
    assert_type(d.pop(key), int)
    assert_type(d.pop(key, 0), int)
    assert_type(d.pop(key, None), int | None)
    assert_type(d.popitem(), tuple[str, int])
    assert_type(d.setdefault(key, 0), int)
    assert_type(key in d, bool)
    d[1]  # type: ignore
    d.get(1)  # type: ignore
    d.get(key) + 1  # type: ignore


def none_is_a_default_where_the_values_can_be_none(d: S3Dict[str, int | None], strict: S3Dict[str, int]) -> None:
    assert_type(d.setdefault("a"), int | None)
    strict.setdefault("a")  # type: ignore


def views_and_loops_have_the_types_of_a_dicts(d: S3Dict[str, int]) -> None:
    assert_type(list(d), list[str])
    assert_type(list(d.keys()), list[str])
    assert_type(list(d.values()), list[int])
    assert_type(list(d.items()), list[tuple[str, int]])
    assert_type(list(reversed(d.keys())), list[str])
    assert_type(list(reversed(d.values())), list[int])
    assert_type(list(reversed(d.items())), list[tuple[str, int]])
    assert_type(d.keys() & {"a"}, set[str])
    for key, value in d.items():
        assert_type((key, value), tuple[str, int])


def what_is_put_in_must_fit(d: S3Dict[str, int]) -> None:
    d["a"] = 1
    d.update({"a": 1}, b=2)
    d.update([("a", 1)])
    d.update(S3Dict[str, int]("bucket", file_name="b.json"))
    d |= {"a": 1}
    d |= [("a", 1)]
    d.data = {"a": 1}
    d["a"] = "1"  # type: ignore
    d[1] = 1  # type: ignore
    d.update(a="1")  # type: ignore
    d.update({1: 1})  # type: ignore
    d.setdefault("a", "1")  # type: ignore
    d |= {"a": "1"}  # type: ignore


def data_and_default_must_fit() -> None:
    S3Dict[str, int]("bucket", file_name="a.json", data={"a": "1"})  # type: ignore
    S3Dict[str, int]("bucket", file_name="a.json", default={1: 1})  # type: ignore


def a_default_leaves_open_what_comes_later() -> None:
    d = S3Dict("bucket", file_name="a.json", default={"runs": 0})
    d["log"] = []
    assert_type(d["runs"], Any)
    assert_type(S3Dict("bucket", file_name="a.json", default={}), S3Dict[Any, Any])
    counters: S3Dict[str, int] = S3Dict("bucket", file_name="a.json", default={"runs": 0})


def what_is_made_of_it_is_an_s3dict_too(d: S3Dict[str, int], counters: Counters) -> None:
    assert_type(d.copy(), S3Dict[str, int])
    assert_type(counters.copy(), Counters)
    assert_type(d | {"b": 2}, S3Dict[str, int])
    assert_type({"b": 2} | d, S3Dict[str, int])
    assert_type(counters | d, Counters)
    assert_type(d | {1: "b"}, S3Dict[str | int, int | str])
    assert_type(d.fromkeys("abc", 0.5), S3Dict[str, float])
    assert_type(d.fromkeys([1, 2]), S3Dict[int, Any | None])
    d | [("b", 2)]  # type: ignore


def blocks_give_the_dict(d: S3Dict[str, int], counters: Counters) -> None:
    with d as same:
        assert_type(same, S3Dict[str, int])
    with counters as counters_again, counters_again.transaction() as inner:
        assert_type(counters_again, Counters)
        assert_type(inner, Counters)


def a_function_may_end_inside_a_block(d: S3Dict[str, int]) -> int:
    """Checkers must not report a missing return, although `Rollback` may leave the block early."""
    with d, d.transaction():
        return d["a"]


def code_after_a_block_is_reached(d: S3Dict[str, int]) -> int:
    with d.transaction():
        d["a"] = 1
    return d["a"]


def a_decorated_function_keeps_its_signature(d: S3Dict[str, int]) -> None:
    @d.transaction()
    def book(item: str, *, count: int = 1) -> float:
        return d[item] * count

    assert_type(book("apple", count=2), float)
    book(1)  # type: ignore
    book("apple", amount=1)  # type: ignore


def run_gives_what_the_function_gives(d: S3Dict[str, int], counters: Counters) -> None:
    def count(state: S3Dict[str, int]) -> str:
        return str(state["a"])

    def texts(state: S3Dict[str, str]) -> None: ...

    assert_type(d.run(count, attempts=3), str)
    assert_type(counters.run(count), str)
    assert_type(d.run(lambda state: state["a"]), int)
    d.run(texts)  # type: ignore


async def the_one_for_asyncio_is_typed_as_well(d: AsyncS3Dict[str, int]) -> None:
    async with AsyncS3Dict[str, int]("bucket", file_name="a.json") as entered:
        assert_type(entered, AsyncS3Dict[str, int])
        assert_type(entered["a"], int)
    assert_type(await d.load(), AsyncS3Dict[str, int])
    with d.transaction() as state:
        assert_type(state, AsyncS3Dict[str, int])
    with d:  # type: ignore
        pass
    AsyncS3Dict("bucket", file_name="a.json", autosave=True)  # type: ignore


async def a_coroutine_may_end_inside_a_block(d: AsyncS3Dict[str, int]) -> int:
    async with d:
        return d["a"]


async def its_run_gives_what_a_plain_or_a_coroutine_function_gives(d: AsyncS3Dict[str, int]) -> None:
    def count(state: AsyncS3Dict[str, int]) -> str:
        return str(state["a"])

    async def fetch(state: AsyncS3Dict[str, int], name: str) -> bytes:
        return name.encode()

    def texts(state: AsyncS3Dict[str, str]) -> None: ...

    assert_type(await d.run(count, attempts=3), str)
    assert_type(await d.run(fetch, "a"), bytes)
    assert_type(await d.run(lambda state: state["a"]), int)
    await d.run(texts)  # type: ignore


def on_conflict_is_a_known_word_or_a_function_of_four() -> None:
    def add(key: str, base: int, ours: int, theirs: int) -> int:
        return ours + theirs - base

    def latest(key: object, base: object, ours: object, theirs: object) -> object:
        return ours if theirs is MISSING else theirs

    S3Dict("bucket", file_name="a.json", on_conflict="merge")
    S3Dict("bucket", file_name="a.json", on_conflict=add)
    S3Dict("bucket", file_name="a.json", on_conflict=latest)
    S3Dict("bucket", file_name="a.json", on_conflict="mrege")  # type: ignore
    S3Dict("bucket", file_name="a.json", on_conflict=max(1, 2))  # type: ignore
    S3Dict("bucket", file_name="a.json", on_conflict=lambda key, ours: ours)  # type: ignore


def types_are_classes_or_pairs_of_functions() -> None:
    jobs: S3Dict[str, Job] = S3Dict("bucket", file_name="a.json", types=[Job, Color, (Path, str, Path)])
    assert_type(jobs["a"], Job)
    assert_type(jobs["a"].name, str)
    assert_type(S3Dict("bucket", file_name="a.json", data={"a": Job("b")}, types=[Job]), S3Dict[str, Job])
    S3Dict("bucket", file_name="a.json", types={Job: None, Path: (str, Path)})
    S3Dict.from_uri("s3://bucket/a.json", types=[Job])
    jobs["a"] = "b"  # type: ignore
    jobs["a"].nam  # type: ignore
    S3Dict("bucket", file_name="a.json", types=Job)  # type: ignore
    S3Dict("bucket", file_name="a.json", types=[(Path, str)])  # type: ignore


def options_are_those_of_boto3() -> None:
    with local_s3() as s3:
        S3Dict(s3.bucket, file_name="a.json", client=s3.client)
    S3Dict("bucket", "id", "secret", "a.json", True)
    S3Dict("bucket", file_name="a.json", put_options={"StorageClass": "STANDARD_IA"}, region_name="eu-west-1")
    S3Dict("bucket", file_name="a.json", autosave="yes")  # type: ignore
    S3Dict("bucket", file_name="a.json", put_options=["StorageClass"])  # type: ignore
    S3Dict(bucket="bucket", file_name=1)  # type: ignore


def the_address_is_needed_and_no_name_is_misspelt() -> None:
    S3Dict("bucket")  # type: ignore
    S3Dict(file_name="a.json")  # type: ignore
    S3Dict("bucket", "id", "secret")  # type: ignore
    S3Dict("bucket", filename="a.json")  # type: ignore
    S3Dict("bucket", file_name="a.json", region="eu-west-1")  # type: ignore
    S3Dict.from_uri("s3://bucket/a.json", autosav=True)  # type: ignore


def what_it_knows_is_typed(d: S3Dict[str, int]) -> None:
    assert_type(d.uri, str)
    assert_type(d.etag, str | None)
    assert_type(d.changed, bool)
    assert_type([version.version_id for version in d.versions()], list[str])
    d.autosave = True
    d.uri = "s3://bucket/b.json"  # type: ignore


def errors_carry_typed_facts(d: S3Dict[str, int]) -> None:
    try:
        d.save()
    except ConflictError as error:
        assert_type(error.keys, tuple[Any, ...])
        assert_type(error.unsaved, dict[Any, Any] | None)
    except StorageError as error:
        assert_type((error.uri, error.operation, error.code), tuple[str | None, str | None, str | None])
        assert_type(error.status, int | None)


def a_misspelt_name_is_an_error() -> None:
    assert_type(s3dictionary.__version__, str)
    s3dictionary.S3Dct  # type: ignore
