"""Group commit under everything at once: groups of threads, tasks that are cancelled, and other programs' blocks write
one file, in processes that are killed, over a network that loses requests and answers.

Each update adds a token. If its caller was told that it is saved, the token is there once; if it was refused, it isn't;
otherwise it is there at most once.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
from botocore.config import Config

from s3dictionary import AsyncS3Dict, S3Dict, StorageError, UnknownOutcomeError
from support.logs import Log
from support.proxy import Answer, Call, LostAnswer, Request, Reset, Response
from support.servers import Site
from support.stress import TIME_LIMIT, seeded, times

pytestmark = pytest.mark.timeout(TIME_LIMIT)

THREADS = 4
TASKS = 6
ATTEMPTS = 4
"""How often one `run` is tried. After that it is refused, which others' conflicts see to now and then."""

CONTEXT = get_context("forkserver" if os.name == "posix" else "spawn")


def add(d: Any, token: str) -> None:
    d["n"] = d.get("n", 0) + 1
    d.setdefault("tokens", []).append(token)


async def add_slowly(d: Any, token: str) -> None:
    d["n"] = d.get("n", 0) + 1
    await asyncio.sleep(0)
    d.setdefault("tokens", []).append(token)


def outcome(error: BaseException | None) -> str:
    """What its caller was told of an update that has raised this."""
    if error is None:
        return "saved"
    if isinstance(error, asyncio.CancelledError):
        return "cancelled"
    if isinstance(error, UnknownOutcomeError):
        return "unknown"
    if isinstance(error, StorageError):
        return "refused"
    raise error


# What the processes do ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """What a process is to do until `stop` is there. Its log has what it meant to add, and what it was told after."""

    bucket: str
    options: dict[str, Any]
    name: str
    log: Log
    seed: str
    stop: Path

    @property
    def address(self) -> dict[str, Any]:
        config = Config(retries={"total_max_attempts": 3}, connect_timeout=5, read_timeout=5)
        return {"bucket_name": self.bucket, "file_name": "state.json", "config": config, **self.options}

    def open(self) -> S3Dict[Any, Any]:
        while True:
            try:
                return S3Dict(**self.address)
            except StorageError:  # the load may meet a fault, too
                pass

    def tokens(self, writer: object) -> Iterator[str]:
        for number in count():
            if self.stop.exists():
                return
            token = f"{self.name}.{writer}-{number}"
            self.log.write("meant", token)
            yield token


def in_threads(job: Job) -> None:
    """Threads share a dict, so their calls of `run` share saves."""
    d = job.open()

    def keep_adding(writer: int) -> None:
        for token in job.tokens(writer):
            try:
                d.run(add, token, attempts=ATTEMPTS)
            except StorageError as error:
                job.log.write(outcome(error), token)
            else:
                job.log.write("saved", token)

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(keep_adding, range(THREADS)))
    d._check()


def in_tasks(job: Job) -> None:
    """Tasks share a dict. Some of their calls and blocks are cancelled, some of those at once."""
    asyncio.run(_in_tasks(job))


async def _in_tasks(job: Job) -> None:
    rng = random.Random(job.seed)
    d: AsyncS3Dict[str, Any] = AsyncS3Dict(**job.address)

    async def in_block(token: str) -> None:
        async with d:
            await add_slowly(d, token)

    async def keep_adding(writer: int) -> None:
        for token in job.tokens(writer):
            function = rng.choice([add, add_slowly])
            update = in_block(token) if rng.random() < 0.1 else d.run(function, token, attempts=ATTEMPTS)
            task = asyncio.ensure_future(update)
            if rng.random() < 0.3:
                await asyncio.wait([task], timeout=rng.choice([0, 0.01, 0.1]))
                task.cancel()
            await asyncio.wait([task])
            job.log.write("cancelled" if task.cancelled() else outcome(task.exception()), token)

    await asyncio.gather(*map(keep_adding, range(TASKS)))
    d._check()


def in_blocks(job: Job) -> None:
    """Another program without groups, which has its share of conflicts."""
    d = job.open()
    for token in job.tokens(""):
        try:
            with d:
                add(d, token)
        except StorageError as error:
            job.log.write(outcome(error), token)
        else:
            job.log.write("saved", token)
        time.sleep(0.02)


KINDS: list[Callable[[Job], None]] = [in_threads, in_tasks, in_blocks]


def work(kind: Callable[[Job], None], job: Job) -> None:
    """botocore waits for a random part of 1 s, 2 s, 4 s … before it sends again."""
    random.random = lambda: 0.005  # type: ignore[method-assign]
    kind(job)


# The network and the processes ----------------------------------------------------------------------------------------


def losing(rng: random.Random, site: Site) -> Call:
    """Every fifth request meets something."""
    lock = Lock()

    def pass_on(request: Request, forward: Any) -> Response | None:
        return forward(request)  # type: ignore[no-any-return]

    def fail_after(request: Request, forward: Any) -> Response | None:
        forward(request)
        return Answer(500, "InternalError")(request, forward)

    def repeat(request: Request, forward: Any) -> Response | None:
        response = forward(request)
        forward(request)
        return response  # type: ignore[no-any-return]

    faults: dict[Callable[[Request, Any], Response | None], float] = {
        pass_on: 80,
        LostAnswer(): 8,
        Reset(): 4,
        Answer(503, "SlowDown"): 3,
        fail_after: 3,
        repeat: 2,
    }

    def meet(request: Request, forward: Any) -> Response | None:
        with lock:
            fault = rng.choices(list(faults), list(faults.values()))[0]
            if len(site.requests.log) > 1000:  # nobody reads them
                site.requests.clear()
        return fault(request, forward)

    return Call(meet, forever=True)


class Crowd:
    """A process of each kind."""

    def __init__(self, site: Site, directory: Path, rng: random.Random) -> None:
        self._site = site
        self._directory = directory
        self._rng = rng
        self._numbers = count()
        self._logs: list[Log] = []
        self._running: dict[Callable[[Job], None], BaseProcess] = {}

    def start(self, kind: Callable[[Job], None]) -> None:
        name = str(next(self._numbers))
        log = Log(self._directory / f"log-{name}")
        self._logs.append(log)
        seed = str(self._rng.random())
        job = Job(self._site.bucket, self._site.options, name, log, seed, self._directory / "stop")
        self._running[kind] = CONTEXT.Process(target=work, args=(kind, job))  # type: ignore[attr-defined]
        self._running[kind].start()

    def replace_one(self) -> None:
        """Kill one, and start another one of its kind."""
        kind = self._rng.choice(KINDS)
        self._running[kind].kill()
        self._running[kind].join()
        self.start(kind)

    def finish(self) -> None:
        """Let each one come to its end, where it has checked its dict."""
        (self._directory / "stop").touch()
        for process in self._running.values():
            process.join(60)
            assert process.exitcode == 0

    def kill(self) -> None:
        for process in self._running.values():
            process.kill()
            process.join()

    def logged(self, what: str) -> set[str]:
        return set().union(*(log[what] for log in self._logs))

    def wait_for(self, updates: int) -> None:
        """Wait until the newest process has been told of so many updates that they are saved."""
        deadline = time.monotonic() + TIME_LIMIT / 2
        while len(self._logs[-1]["saved"]) < updates:
            assert time.monotonic() < deadline, "it doesn't get anywhere"
            time.sleep(0.02)


@contextmanager
def crowd(site: Site, directory: Path, rng: random.Random) -> Iterator[Crowd]:
    found = Crowd(site, directory, rng)
    try:
        for kind in KINDS:
            found.start(kind)
        yield found
    finally:
        found.kill()


def test_each_acknowledged_update_of_groups_tasks_and_other_processes_is_there_once(
    seaweed: Site, tmp_path: Path
) -> None:
    """Whoever is killed, cancelled, or gets no answer."""
    rng = seeded()
    seaweed.faults.append(losing(rng, seaweed))
    if os.name == "posix":
        CONTEXT.set_forkserver_preload(["boto3", "s3dictionary"])  # type: ignore[attr-defined]
    with crowd(seaweed, tmp_path, rng) as processes:
        for _ in range(times(1, 40)):
            processes.wait_for(times(1, 20))
            time.sleep(rng.uniform(0, 0.2))
            processes.replace_one()
        processes.wait_for(times(1, 20))
        processes.finish()
    seaweed.faults.clear()
    content = json.loads(seaweed.read("state.json"))
    there = Counter(content["tokens"])
    told = {what: processes.logged(what) for what in ("meant", "saved", "refused", "unknown", "cancelled")}
    print({what: len(tokens) for what, tokens in told.items()}, f"{len(there)} in the file")
    twice = {token: [what for what in told if token in told[what]] for token in there if there[token] > 1}
    assert not twice
    assert content["n"] == there.total()
    assert told["saved"] <= there.keys() <= told["meant"]
    assert not told["refused"] & there.keys()
