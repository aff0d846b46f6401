"""Writers that are killed, and a server that is: the file is always one that somebody meant to save, and what was
acknowledged is in it.

Each writer logs what it means to save before it sends it, and what it was told after. A log is written with one system
call a line, so it outlives its writer.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config

from s3dictionary import S3Dict, StorageError
from support.logs import Log
from support.servers import SeaweedFS, Site
from support.stress import TIME_LIMIT, seeded, times

pytestmark = pytest.mark.timeout(TIME_LIMIT)

WRITERS = 3
WRITES = 100_000
"""More than any writer gets to."""


def checksum(state: Any) -> str:
    content = [state["tokens"], state["ballast"]]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def keep_writing(bucket: str, options: dict[str, Any], name: str, log: Log, seed: str, stop: Path) -> None:
    """Save one token after the other, until the process is killed."""
    rng = random.Random(seed)
    config = Config(retries={"total_max_attempts": 2}, connect_timeout=2, read_timeout=5)
    d: S3Dict[str, Any] | None = None
    for number in range(WRITES):
        if stop.exists():
            return
        token = f"{name}-{number}"
        try:
            d = S3Dict(bucket, file_name="state.json", config=config, **options) if d is None else d
            d.run(lambda d: change(d, token, log, rng))  # noqa: B023
        except StorageError as error:
            log.write("unknown" if "not known" in str(error) else "refused", token)
            time.sleep(0.05)
        else:
            log.write("saved", token)


def change(d: S3Dict[str, Any], token: str, log: Log, rng: random.Random) -> None:
    """Add a token. The ballast makes some saves long enough to be killed in the middle."""
    d["tokens"] = [*d.get("tokens", []), token]
    d["ballast"] = rng.choice(["", "x" * rng.randrange(300_000)])
    d["checksum"] = checksum(d)
    log.write("meant", d["checksum"])


@dataclass
class Writers:
    """Processes that write one file, each with its own log."""

    site: Site
    directory: Path
    rng: random.Random
    logs: list[Log] = field(default_factory=list)
    _running: dict[int, Any] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=count)

    def __enter__(self) -> Writers:
        for _ in range(WRITERS):
            self.start()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running.values():
            process.kill()
            process.join()

    def start(self) -> None:
        number = next(self._numbers)
        self.logs.append(Log(self.directory / f"log-{number}"))
        arguments = (self.site.bucket, self.site.direct, str(number), self.logs[-1], str(self.rng.random()), self._stop)
        # They are forked from a server, which has imported what takes time and has no threads
        self._running[number] = CONTEXT.Process(target=keep_writing, args=arguments)  # type: ignore[attr-defined]
        self._running[number].start()

    @property
    def _stop(self) -> Path:
        return self.directory / "stop"

    def kill_one(self) -> None:
        number = self.rng.choice(list(self._running))
        process = self._running.pop(number)
        process.kill()
        process.join()

    def finish(self) -> None:
        """Let each process end by itself."""
        self._stop.touch()
        for process in self._running.values():
            process.join(60)
            assert process.exitcode == 0

    def logged(self, what: str) -> set[str]:
        return set().union(*(log[what] for log in self.logs))

    def wait_for_saves(self, count: int) -> None:
        """Wait until this many more saves are acknowledged."""
        enough = len(self.logged("saved")) + count
        deadline = time.monotonic() + 60
        while len(self.logged("saved")) < enough:
            assert time.monotonic() < deadline, "the writers don't get anywhere"
            time.sleep(0.02)

    def check(self) -> None:
        """Load the file: somebody meant to save it, and everything acknowledged before is in it."""
        saved = self.logged("saved")
        d = S3Dict(self.site.bucket, file_name="state.json", **self.site.direct)
        if not saved and not d:
            return
        assert d["checksum"] == checksum(d)
        assert d["checksum"] in self.logged("meant")
        assert saved <= set(d["tokens"])

    def check_all(self) -> None:
        """Check the file after the last save."""
        self.check()
        there = Counter(S3Dict(self.site.bucket, file_name="state.json", **self.site.direct)["tokens"])
        assert set(there.values()) == {1}
        assert not self.logged("refused") & there.keys()


CONTEXT = get_context("forkserver" if os.name == "posix" else "spawn")


@pytest.fixture(scope="module", autouse=True)
def forkserver() -> None:
    if os.name == "posix":
        CONTEXT.set_forkserver_preload(["boto3", "s3dictionary"])


def test_a_writer_that_is_killed_leaves_a_file_that_somebody_meant(seaweed: Site, tmp_path: Path) -> None:
    rng = seeded()
    with Writers(seaweed, tmp_path, rng) as writers:
        for _ in range(times(12, 400)):
            time.sleep(rng.uniform(0, 0.25))
            writers.kill_one()
            writers.check()
            writers.start()
        writers.wait_for_saves(1)  # they can still be made
    writers.check_all()


def test_a_server_that_is_killed_keeps_what_it_has_acknowledged(seaweed: Site, tmp_path: Path) -> None:
    rng = seeded()
    server = seaweed.server
    assert isinstance(server, SeaweedFS)
    with Writers(seaweed, tmp_path, rng) as writers:
        for _ in range(times(1, 25)):
            writers.wait_for_saves(5)
            time.sleep(rng.uniform(0, 0.3))
            server.kill()
            time.sleep(rng.uniform(0, 0.3))
            server.restart()
            writers.check()
        writers.wait_for_saves(5)
        writers.finish()
    writers.check_all()


def test_writers_and_server_are_killed_at_once(seaweed: Site, tmp_path: Path) -> None:
    rng = seeded()
    server = seaweed.server
    assert isinstance(server, SeaweedFS)
    with Writers(seaweed, tmp_path, rng) as writers:
        for _ in range(times(1, 15)):
            writers.wait_for_saves(5)
            for kill in rng.sample([server.kill, writers.kill_one], 2):
                kill()
            server.restart()
            writers.start()
            writers.check()
    writers.check_all()
