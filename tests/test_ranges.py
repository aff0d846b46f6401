"""Big files are loaded over several connections, as one whole version, or over one connection as before."""

from __future__ import annotations

import json
import os
import sys
import threading
import tracemalloc
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import pytest
from botocore.awsrequest import HeadersDict
from botocore.config import Config

from s3dictionary import S3Dict, StorageError
from s3dictionary._s3 import ranges
from support.memory_s3 import MemoryS3
from support.proxy import AlterHeaders, Answer, Call, CutOff, Forward, Request, Reset, Response
from support.servers import Site

CONTENT = {"a": os.urandom(50_000).hex()}  # bytes that were swapped would show


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files of 100 kB count as big."""
    monkeypatch.setattr(ranges, "BIG", 80_000)
    monkeypatch.setattr(ranges, "PART", 30_000)


@pytest.fixture
def big(s3: Site) -> Site:
    """A site with a big file."""
    s3.write("state.json", json.dumps(CONTENT).encode())
    return s3


@pytest.fixture
def moto_big(moto_s3: Site) -> Site:
    moto_s3.write("state.json", json.dumps(CONTENT).encode())
    return moto_s3


def state(s3: Site, **options: Any) -> S3Dict:
    return S3Dict(s3.bucket, **{"file_name": "state.json", **s3.options, **options})


def asked(s3: Site) -> list[str]:
    """The ranges of the GETs so far; empty for a GET of the whole file."""
    return sorted(exchange.headers.get("Range", "") for exchange in s3.requests.log)


def on_ranges(act: Callable[[Request, Forward], Response | None]) -> Call:
    """A fault for GETs of ranges only."""

    def check(request: Request, forward: Forward) -> Response | None:
        return act(request, forward) if "Range" in request.headers else forward(request)

    return Call(check, forever=True)


def test_a_big_file_comes_over_several_connections(big: Site) -> None:
    assert state(big) == CONTENT
    length = len(json.dumps(CONTENT))
    first, second, third = length // 4, length // 2, length * 3 // 4
    assert asked(big) == [
        "",
        f"bytes={first}-{second - 1}",
        f"bytes={second}-{third - 1}",
        f"bytes={third}-{length - 1}",
    ]


def test_all_ranges_are_of_the_version_that_was_found(moto_big: Site) -> None:
    d = state(moto_big)
    conditions = [exchange.headers.get("If-Match") for exchange in moto_big.requests.log if "Range" in exchange.headers]
    assert conditions == [d.etag] * 3


def test_a_smaller_file_comes_over_one_connection(moto_s3: Site) -> None:
    moto_s3.write("state.json", json.dumps({"a": "x" * 70_000}).encode())
    state(moto_s3)
    assert asked(moto_s3) == [""]


def test_a_packed_file_is_read_in_ranges_of_what_is_stored(moto_s3: Site) -> None:
    state(moto_s3, file_name="state.json.gz", data=CONTENT | {"b": os.urandom(60_000).hex()}).save()
    moto_s3.requests.clear()
    assert state(moto_s3, file_name="state.json.gz")["a"] == CONTENT["a"]
    assert len(asked(moto_s3)) > 1


def test_a_load_that_finds_nothing_new_needs_no_ranges(moto_big: Site) -> None:
    d = state(moto_big)
    moto_big.requests.clear()
    d.load()
    assert asked(moto_big) == [""]


def test_a_changed_file_is_loaded_in_ranges_too(moto_big: Site) -> None:
    """The plain GET has the condition that the file has changed. The range GETs don't."""
    d = state(moto_big)
    moto_big.write("state.json", json.dumps(CONTENT | {"b": 1}).encode())
    moto_big.requests.clear()
    assert d.load() == CONTENT | {"b": 1}
    assert {exchange.status for exchange in moto_big.requests.log} == {200, 206}


def test_a_file_that_is_too_big_is_refused_by_the_first_answer(moto_big: Site) -> None:
    with pytest.raises(StorageError, match="max_size"):
        state(moto_big, max_size=90_000)
    assert asked(moto_big) == [""]


def test_a_store_that_offers_no_ranges_is_asked_for_none(moto_big: Site) -> None:
    moto_big.faults.append(AlterHeaders({"Accept-Ranges": None}, forever=True))
    assert state(moto_big) == CONTENT
    assert asked(moto_big) == [""]


# What goes wrong with a range


def without_range(request: Request, forward: Forward) -> Response | None:
    headers = HeadersDict({name: value for name, value in request.headers.items() if name != "Range"})
    return forward(replace(request, headers=headers))


def another_version(request: Request, forward: Forward) -> Response | None:
    """Answer as a store that ignores the condition, after somebody has saved."""
    answer = AlterHeaders({"ETag": '"of another version"'})(request, forward)
    return answer and replace(answer, body=b"x" * len(answer.body))


def cut(request: Request, forward: Forward) -> Response | None:
    """Answer as a proxy that cuts off long bodies, with a length that fits."""
    answer = forward(request)
    assert answer is not None
    body = answer.body[:-10]
    headers = HeadersDict({**answer.headers, "Content-Length": str(len(body))})
    return replace(answer, headers=headers, body=body)


@pytest.mark.parametrize(
    "fault",
    [
        Answer(412, "PreconditionFailed"),
        Answer(403, "ExpiredToken"),
        Answer(501, "NotImplemented"),
        Reset(),
        CutOff(),
        without_range,
        another_version,
        cut,
    ],
    ids=[
        "written meanwhile",
        "token expired",
        "not known",
        "reset",
        "cut off",
        "ignored",
        "another version",
        "shorter",
    ],
)
def test_if_a_range_fails_the_first_answer_is_read_to_its_end(moto_big: Site, fault: Any) -> None:
    moto_big.faults.append(on_ranges(fault))
    assert state(moto_big, config=Config(retries={"total_max_attempts": 1})) == CONTENT
    assert asked(moto_big).count("") == 1


def test_what_another_program_writes_meanwhile_is_not_mixed_in(moto_big: Site) -> None:
    """The loaded version is that of the first answer."""

    def write(request: Request, forward: Forward) -> Response | None:
        moto_big.write("state.json", json.dumps({"a": "x" * 100_000}).encode())
        return forward(request)

    moto_big.faults.append(on_ranges(write))
    assert state(moto_big) == CONTENT


def test_where_no_thread_can_be_started_the_first_answer_is_read_to_its_end(
    moto_big: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    def read(client: Any, *arguments: Any) -> bytes:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            return read_over_several(client, *arguments)

    read_over_several = ranges.read
    monkeypatch.setattr(ranges, "read", read)
    assert state(moto_big) == CONTENT
    assert asked(moto_big) == [""]


def test_a_file_that_breaks_off_everywhere_is_an_error(moto_big: Site) -> None:
    moto_big.faults.append(CutOff(sent=10_000, forever=True))
    with pytest.raises(StorageError, match="GetObject"):
        state(moto_big)


def test_after_an_interrupt_no_thread_holds_the_body(moto_big: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[ranges._Rest] = []

    def interrupt(self: ranges._Rest) -> None:
        begun.append(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(ranges._Rest, "is_complete", interrupt)
    with pytest.raises(KeyboardInterrupt):
        S3Dict(moto_big.bucket, file_name="state.json", client=moto_big.proxied_client())
    with pytest.raises(ValueError, match="released"):
        begun[0]._view[:]


def test_a_big_body_is_in_memory_only_once(moto_s3: Site) -> None:
    """On CPython, the buffer becomes the body. A copy would take as long as many requests."""
    content = os.urandom(4_000_000)
    moto_s3.write("state.json", content)
    client, request = moto_s3.client, {"Bucket": moto_s3.bucket, "Key": "state.json"}
    answer = client.get_object(**request)
    tracemalloc.start()
    try:
        body = ranges.read(client, request, answer, len(content))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert body == content
    if sys.implementation.name == "cpython":
        assert peak < 1.9 * len(content)


def test_no_connection_stays_with_what_was_read(moto_big: Site) -> None:
    client, streams = moto_big.proxied_client(), []
    client.meta.events.register("after-call.s3.GetObject", lambda parsed, **_: streams.append(parsed["Body"]))
    S3Dict(moto_big.bucket, file_name="state.json", client=client)
    assert [stream._raw_stream.closed for stream in streams] == [True] * 4


# Clients


class StandIn(MemoryS3):
    """Answers as S3 does, and is no client of boto3's."""

    def get_object(self, **request: Any) -> dict[str, Any]:
        answer = super().get_object(**request)
        return {**answer, "AcceptRanges": "bytes", "ContentLength": answer["Body"].getbuffer().nbytes}


def test_a_stand_in_for_a_client_is_asked_for_no_ranges() -> None:
    client = StandIn()
    client.write("state.json", json.dumps(CONTENT).encode())
    assert S3Dict("bucket", file_name="state.json", client=client) == CONTENT
    assert client.requests == {"GetObject": 1}


def test_requests_for_ranges_see_the_context_of_the_caller(moto_big: Site) -> None:
    """As hooks of botocore's may look there for an id of the caller's, to log it."""
    name, seen, client = ContextVar("name", default="nobody"), [], moto_big.proxied_client()
    client.meta.events.register("before-send.s3.GetObject", lambda **_: seen.append(name.get()))
    reset = name.set("caller")
    S3Dict(moto_big.bucket, file_name="state.json", client=client)
    name.reset(reset)
    assert seen == ["caller"] * 4


def test_no_more_connections_are_used_than_a_client_keeps(moto_big: Site) -> None:
    client = moto_big.proxied_client(config=Config(max_pool_connections=2))
    assert S3Dict(moto_big.bucket, file_name="state.json", client=client) == CONTENT
    assert len(asked(moto_big)) == 2


def test_a_client_with_one_connection_reads_over_that(moto_big: Site) -> None:
    client = moto_big.proxied_client(config=Config(max_pool_connections=1))
    assert S3Dict(moto_big.bucket, file_name="state.json", client=client) == CONTENT
    assert asked(moto_big) == [""]
