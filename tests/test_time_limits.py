"""A silent store, or one that answers drop by drop, can't block anybody for long. Slow progress is allowed."""

from __future__ import annotations

import gc
import json
import socket
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from s3dictionary import S3Dict, StorageError, UnknownOutcomeError
from s3dictionary._s3 import calls, clients
from support.command_line import CommandLine
from support.proxy import LateAnswer
from support.servers import Site

HEADERS = b'HTTP/1.1 200 OK\r\nETag: "an etag"\r\nContent-Length: %d\r\n\r\n'


class Drops:
    """A server that answers each request drop by drop, and ends with the test."""

    def __init__(self, drops: Callable[[], Iterator[bytes]], seconds: float = 0.05) -> None:
        self.requests: list[bytes] = []
        self._drops = drops
        self._seconds = seconds
        self._ended = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def close(self) -> None:
        self._ended.set()
        self._socket.close()

    def _serve(self) -> None:
        while not self._ended.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=[connection], daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            self.requests.append(connection.recv(1 << 16).partition(b" ")[0])
            for drop in self._drops():
                if self._ended.wait(self._seconds):
                    return
                try:
                    connection.sendall(drop)
                except OSError:
                    return


@pytest.fixture
def drops() -> Iterator[Callable[..., Drops]]:
    """Create such a server."""
    made: list[Drops] = []

    def make(*arguments: Any) -> Drops:
        made.append(Drops(*arguments))
        return made[-1]

    yield make
    for each in made:
        each.close()
    for thread in threading.enumerate():
        if thread.name == "s3dictionary":  # it was given up, and ends now
            thread.join()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()  # which has its connection


def endless_headers() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n"
    while True:
        yield b"X-More: 1\r\n"


def endless_body() -> Iterator[bytes]:
    yield HEADERS % 100_000
    while True:
        yield b" "


def impatient(limit: float, attempts: int = 1) -> Config:
    """A configuration with a time limit of some seconds, half of them for connecting."""
    retries: Any = {"total_max_attempts": attempts}
    return Config(connect_timeout=limit / 2 / attempts, read_timeout=limit / 2 / attempts, retries=retries)


def state(server: Drops, config: Config) -> S3Dict:
    keys = {"access_key_id": "a", "access_secret_key": "b", "region_name": "us-east-1"}
    return S3Dict("bucket", file_name="s.json", endpoint_url=server.endpoint_url, config=config, **keys)


def limit_of(**options: Any) -> float | None:
    return clients.time_limit(clients.connect({"region_name": "us-east-1", **options}))


# How long


def test_a_request_may_take_a_minute_at_most() -> None:
    """There are three attempts, each with the time to connect and to wait for an answer."""
    assert limit_of() == 57


def test_a_configuration_sets_another_limit() -> None:
    assert limit_of(config=Config(read_timeout=120)) == 375
    assert limit_of(config=Config(read_timeout=10, retries={"total_max_attempts": 1})) == 15


def test_a_configuration_may_let_it_wait_for_ever() -> None:
    assert limit_of(config=Config(read_timeout=None)) is None  # type: ignore[arg-type]


def test_attempts_chosen_by_the_environment_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "7")
    assert limit_of() == 133


def test_a_callers_client_has_no_limit_but_its_own() -> None:
    assert clients.time_limit(boto3.client("s3", region_name="us-east-1")) is None


# What is given up


@pytest.mark.parametrize("answer", [endless_headers, endless_body])
def test_an_answer_that_comes_drop_by_drop_is_given_up(
    drops: Callable[..., Drops], answer: Callable[[], Iterator[bytes]]
) -> None:
    """Each drop arrives in time for botocore, which would wait forever."""
    with pytest.raises(StorageError, match=r"GetObject of s3://bucket/s.json failed: it made no progress for 1 s"):
        state(drops(answer), impatient(1))


def test_a_save_that_is_given_up_may_have_taken_effect(drops: Callable[..., Drops], moto_s3: Site) -> None:
    server = drops(endless_headers)
    d = S3Dict(moto_s3.bucket, file_name="state.json", **{**moto_s3.options, "endpoint_url": moto_s3.endpoint_url})
    d["work"] = "of an hour"
    d._settings.client_options.update(endpoint_url=server.endpoint_url, config=impatient(1))
    with pytest.raises(UnknownOutcomeError):
        d.save()
    assert d == {"work": "of an hour"}
    assert d.changed


def test_a_request_that_is_given_up_is_not_sent_again() -> None:
    """botocore still waits in another thread. A repeated request would overwrite later changes."""
    call = calls.Call("PutObject of s3://bucket/key")
    call.given_up = True
    with pytest.raises(calls.TooSlowError):
        call.run(None, lambda _: calls.step())


# What isn't


def test_a_slow_body_that_gets_on_is_waited_for(drops: Callable[..., Drops]) -> None:
    """It takes longer than the limit in total, but each piece arrives in time."""
    body = json.dumps({"a": "x" * 100_000}).encode()

    def answer() -> Iterator[bytes]:
        yield HEADERS % len(body)
        yield from (body[start : start + 25_000] for start in range(0, len(body), 25_000))

    assert state(drops(answer, 0.6), impatient(2)) == {"a": "x" * 100_000}


def test_a_big_body_is_sent_piece_by_piece(moto_s3: Site) -> None:
    """A body that is passed at once would have to be sent within the time to connect."""
    text = "x" * 3_000_000
    S3Dict(moto_s3.bucket, file_name="state.json", **moto_s3.options, data={"a": text}).save()
    assert json.loads(moto_s3.read("state.json")) == {"a": text}


# The command line


def test_the_command_line_says_what_it_waits_for(
    moto_s3: Site, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setattr(calls, "NOTICE", 0.05)
    moto_s3.write("state.json", b'{"a": 1}')
    moto_s3.faults.append(LateAnswer(0.5))
    ended = CommandLine(moto_s3, monkeypatch, capsysbinary)("get", "a")
    assert (ended.code, ended.out) == (0, "1\n")
    assert ended.err == f"s3dictionary: waiting for GetObject of s3://{moto_s3.bucket}/state.json\n"
