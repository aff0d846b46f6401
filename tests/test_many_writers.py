"""Nothing is lost silently: many processes write one file, also while answers get lost.

Each attempt to save adds a token of its own. If it was told that it is saved, the token is there once; if it was
refused, it isn't; if the outcome is not known, it is there at most once.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from threading import Lock
from typing import Any

import pytest
from botocore.config import Config

from s3dictionary import MISSING, ConflictError, S3Dict, StorageError, UnknownOutcomeError
from support.linearizability import NOTHING, UNKNOWN, Operation, is_linearizable
from support.proxy import Answer, Call, CutOff, LostAnswer, Request, Reset, Response
from support.servers import Site
from support.stress import TIME_LIMIT, seeded, times

pytestmark = pytest.mark.timeout(TIME_LIMIT)

PROCESSES = 4
THREADS = times(1, 8)
READ_TIMEOUT = times(1.0, 4.0)
TRIES = 500
"""How often one update is tried at most: a bound, not a promise."""


@dataclass(frozen=True)
class Job:
    """The task of a process. Each of its threads has its own seed and name."""

    bucket: str
    options: dict[str, Any]
    style: str
    count: int
    threads: int
    name: str
    seed: str

    def open(self, **options: Any) -> S3Dict[Any, Any]:
        config = Config(retries={"total_max_attempts": 3}, connect_timeout=5, read_timeout=READ_TIMEOUT)
        for _ in range(TRIES):
            try:
                return S3Dict(self.bucket, file_name="state.json", config=config, **self.options, **options)
            except StorageError:  # the load may meet a fault, too
                pass
        raise AssertionError("it can't be loaded")


@dataclass(frozen=True)
class Attempt:
    """A token and its outcome: "saved", "refused" or "unknown"; or a delete, and the tokens in the file."""

    token: str
    outcome: str
    deleted: tuple[str, ...] = ()


def outcome(save: Callable[[], Any]) -> str:
    """What a writer was told about its save."""
    try:
        save()
    except UnknownOutcomeError:
        return "unknown"
    except StorageError:
        return "refused"
    return "saved"


# What the processes do ------------------------------------------------------------------------------------------------


def set_up_process() -> None:
    """Remove botocore's random waits of up to 1 s, 2 s, 4 s … before it repeats a request."""
    import boto3  # noqa: F401  # which takes some time

    random.random = lambda: 0.005  # type: ignore[method-assign]
    time.sleep(0.5)  # so that this process doesn't take the others' share of being set up


def in_threads(function: Callable[[Job], list[Any]], job: Job) -> list[Any]:
    jobs = [replace(job, name=f"{job.name}.{number}", seed=f"{job.seed} {number}") for number in range(job.threads)]
    with ThreadPoolExecutor(job.threads) as threads:
        return [item for found in threads.map(function, jobs) for item in found]


def add_tokens(job: Job) -> list[Attempt]:
    """Add tokens until `count` of them are known to be saved."""
    style = STYLES[job.style]
    d = job.open(on_conflict=style.on_conflict)
    attempts: list[Attempt] = []
    saved = 0
    for number in range(TRIES * job.count):
        token = f"{job.name}-{number}"
        attempts.append(Attempt(token, outcome(lambda: style.add(d, job.name, token))))  # noqa: B023
        saved += attempts[-1].outcome == "saved"
        if saved == job.count:
            return attempts
    raise AssertionError(f"{saved} of {job.count} saved in {len(attempts)} attempts")


def add(d: S3Dict[Any, Any], token: str) -> None:
    d["n"] = d.get("n", 0) + 1
    d.setdefault("tokens", []).append(token)


def by_run(d: S3Dict[Any, Any], name: str, token: str) -> None:
    """Use run(), which repeats by itself."""
    d.run(lambda d: add(d, token), attempts=20)


def by_block(d: S3Dict[Any, Any], name: str, token: str) -> None:
    with d:
        add(d, token)


def by_saving(d: S3Dict[Any, Any], name: str, token: str) -> None:
    """Save without a block. Memory keeps its content after a failure, and the next save resolves an unknown outcome."""
    d.load()
    add(d, token)
    unknown = False
    for _ in range(8):
        try:
            return d.save()
        except ConflictError:  # also of those that weren't known
            raise
        except StorageError as error:
            unknown = unknown or isinstance(error, UnknownOutcomeError)
    raise UnknownOutcomeError("it stays so") if unknown else StorageError("it was refused every time")


def by_key_of_ones_own(d: S3Dict[Any, Any], name: str, token: str) -> None:
    with d:
        d.setdefault(name, []).append(token)


def by_resolving(d: S3Dict[Any, Any], name: str, token: str) -> None:
    with d:
        d["n"] = d.get("n", 0) + 1
        d.setdefault(name, []).append(token)


def sum_up(key: str, base: Any, ours: Any, theirs: Any) -> Any:
    """Resolve a conflict of a shared counter, or of a list that both sides added to."""
    if isinstance(ours, list):
        known, there = ([] if value is MISSING else value for value in (base, theirs))
        return [*there, *(token for token in ours if token not in known)]
    return sum(0 if value is MISSING else sign * value for sign, value in ((1, ours), (1, theirs), (-1, base)))


@dataclass(frozen=True)
class Style:
    add: Callable[[S3Dict[Any, Any], str, str], Any]
    on_conflict: Any = "raise"


STYLES = {
    "run": Style(by_run),
    "block": Style(by_block),
    "save": Style(by_saving),
    "merge": Style(by_key_of_ones_own, "merge"),
    "resolve": Style(by_resolving, sum_up),
}


def do_all_sorts(job: Job) -> list[Attempt]:
    """Save in all ways, and delete now and then, until `count` operations are known to be done."""
    rng = random.Random(job.seed)
    dicts = {name: job.open(on_conflict=style.on_conflict) for name, style in STYLES.items()}
    attempts: list[Attempt] = []
    done = 0
    for number in range(TRIES * job.count):
        name, token = rng.choice(list(dicts)), f"{job.name}-{number}"
        if rng.random() < 0.01:
            attempts.append(deleting(dicts["run"]))
        else:
            attempts.append(Attempt(token, outcome(lambda: STYLES[name].add(dicts[name], job.name, token))))  # noqa: B023
        done += attempts[-1].outcome in ("saved", "deleted")
        if done == job.count:
            return attempts
    raise AssertionError(f"{done} of {job.count} done in {len(attempts)} attempts")


def deleting(d: S3Dict[Any, Any]) -> Attempt:
    """Load the file, and delete that version."""
    for _ in range(TRIES):
        try:
            d.load()
            break
        except StorageError:
            pass
    held = tuple(tokens(dict(d)).elements())
    told = outcome(d.delete)
    return Attempt("", {"saved": "deleted", "unknown": "perhaps deleted"}.get(told, "not deleted"), held)


def use_registers(job: Job) -> list[tuple[str, Operation]]:
    """Read, write, and compare-and-swap some registers. Returns the operations, what they saw, and when."""
    rng = random.Random(job.seed)
    d = job.open(on_conflict=job.style)
    history = []
    for number in range(job.count):
        key = rng.choice("abc")
        do = rng.choice([read_register, write_register, swap_register])
        history.append((key, do(d, key, f"{job.name}-{number}")))
    return history


def read_register(d: S3Dict[Any, Any], key: str, value: str) -> Operation:
    def read() -> Any:
        d.load()
        return d.get(key)

    return timed(read)


def write_register(d: S3Dict[Any, Any], key: str, value: str) -> Operation:
    def write() -> Any:
        with d:
            d[key] = value
        return NOTHING

    return timed(write, value)


def swap_register(d: S3Dict[Any, Any], key: str, value: str) -> Operation:
    """Write a value that depends on the one that was read, in one block."""

    def swap() -> Any:
        with d:
            saw.append(d.get(key))
            d[key] = value
        return saw[-1]

    saw: list[Any] = []
    operation = timed(swap, value)
    return replace(operation, saw=saw[-1]) if operation.ended == UNKNOWN else operation


def timed(action: Callable[[], Any], wrote: Any = NOTHING) -> Operation:
    """Repeat an operation until it isn't refused, and time it. All processes have the same monotonic clock."""
    began = time.monotonic()
    for _ in range(TRIES):
        try:
            saw = action()
        except StorageError as error:
            if isinstance(error, UnknownOutcomeError):
                return Operation(began, UNKNOWN, wrote=wrote)
        else:
            return Operation(began, time.monotonic(), saw, wrote)
    raise AssertionError("it was refused every time")


# What goes wrong on the way -------------------------------------------------------------------------------------------


def unreliable(rng: random.Random, site: Site) -> Call:
    """Let a third of all requests meet a fault."""
    lock = Lock()

    def lose_after(request: Request, forward: Any) -> Response | None:
        forward(request)
        return Answer(500, "InternalError")(request, forward)

    def arrive_late(request: Request, forward: Any) -> Response | None:
        """Deliver the request after the client has given up and sent it again."""
        time.sleep(READ_TIMEOUT + 0.5)
        return forward(request)

    def pass_on(request: Request, forward: Any) -> Response | None:
        return forward(request)

    faults: dict[Callable[[Request, Any], Response | None], float] = {
        pass_on: 66,
        LostAnswer(): 12,
        Reset(): 8,
        Answer(500, "InternalError"): 5,
        Answer(503, "SlowDown"): 4,
        lose_after: 4,
        arrive_late: 0.3,
    }

    def meet(request: Request, forward: Any) -> Response | None:
        with lock:
            fault = rng.choices(list(faults), list(faults.values()))[0]
            if len(site.requests.log) > 1000:  # nobody reads them
                site.requests.clear()
        return fault(request, forward)

    return Call(meet, forever=True)


def one_at_a_time(rng: random.Random, site: Site) -> Call:
    """A network before a store that does one request after the other: SeaweedFS 4.48 compares and deletes in two steps.

    A create is neither repeated nor late: if its file was deleted meanwhile, no condition of S3's keeps it out.
    """
    lock, store = Lock(), Lock()

    def repeat(request: Request, forward: Any) -> Response | None:
        response = forward(request)
        forward(request)
        return response

    def delay(request: Request, forward: Any) -> Response | None:
        time.sleep(0.2)
        return forward(request)

    def be_late(request: Request, forward: Any) -> Response | None:
        time.sleep(READ_TIMEOUT + 0.5)
        return forward(request)

    def pass_on(request: Request, forward: Any) -> Response | None:
        return forward(request)

    gentle: dict[Any, float] = {pass_on: 88, LostAnswer(): 4, Reset(): 2, Answer(500, "InternalError"): 1}
    gentle |= {Answer(503, "SlowDown"): 1, Answer(429, "TooManyRequests"): 1, CutOff(): 1, delay: 1}
    all_faults = gentle | {repeat: 2, be_late: 0.2}

    def meet(request: Request, forward: Any) -> Response | None:
        def send(request: Request) -> Response | None:
            with store:
                return forward(request)  # type: ignore[no-any-return]

        with lock:
            faults = gentle if request.headers.get("If-None-Match") == "*" else all_faults
            fault = rng.choices(list(faults), list(faults.values()))[0]
            if len(site.requests.log) > 1000:  # nobody reads them
                site.requests.clear()
        return fault(request, send)  # type: ignore[no-any-return]

    return Call(meet, forever=True)


# The tests ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(PROCESSES, get_context("spawn"), set_up_process) as pool:
        list(pool.map(time.sleep, [0.1] * PROCESSES))
        yield pool


@pytest.fixture(params=["reliable", "unreliable"])
def rng(request: pytest.FixtureRequest, seaweed: Site) -> random.Random:
    rng = seeded()
    if request.param == "unreliable":
        seaweed.faults.append(unreliable(rng, seaweed))
    return rng


def run_all(
    processes: ProcessPoolExecutor, work: Callable[[Job], list[Any]], site: Site, rng: random.Random, **job: Any
) -> list[Any]:
    """Let every process do the same job, through the proxy if there are faults."""
    options = site.options if site.faults else site.direct
    jobs = [
        Job(bucket=site.bucket, options=options, name=str(number), seed=str(rng.random()), **job)
        for number in range(PROCESSES)
    ]
    futures = [processes.submit(in_threads, work, job) for job in jobs]
    found = [item for future in futures for item in future.result(TIME_LIMIT)]
    site.faults.clear()
    return found


def tokens(content: dict[str, Any]) -> Counter[str]:
    return Counter(token for value in content.values() if isinstance(value, list) for token in value)


@pytest.mark.parametrize("style", STYLES)
def test_no_update_is_lost_and_none_is_made_twice(
    seaweed: Site, processes: ProcessPoolExecutor, rng: random.Random, style: str
) -> None:
    count = times(6, 25 if seaweed.faults else 50)
    attempts = run_all(processes, add_tokens, seaweed, rng, style=style, count=count, threads=THREADS)
    content = json.loads(seaweed.read("state.json"))
    there = tokens(content)
    told = {attempt.token: attempt.outcome for attempt in attempts}
    assert there.keys() <= told.keys()
    assert {token for token in told if told[token] == "saved"} <= there.keys()
    assert not {token for token in told if told[token] == "refused"} & there.keys()
    assert set(there.values()) == {1}
    assert content.get("n", there.total()) == there.total()
    assert Counter(told.values())["saved"] == PROCESSES * THREADS * count


def test_all_ways_to_write_and_deletes_on_one_file_lose_nothing(seaweed: Site, processes: ProcessPoolExecutor) -> None:
    """Each token that was reported as saved is in the final file or in a deleted one."""
    rng = seeded()
    seaweed.faults.append(one_at_a_time(rng, seaweed))
    count = times(10, 1260)
    attempts = run_all(processes, do_all_sorts, seaweed, rng, style="", count=count, threads=1)
    figures = Counter(attempt.outcome for attempt in attempts)
    unknown = (figures["unknown"] + figures["perhaps deleted"]) / len(attempts)
    print(f"{len(attempts)} operations: {dict(figures)}; {unknown:.1%} not known")
    deleted, perhaps = gathered(attempts, "deleted"), gathered(attempts, "perhaps deleted")
    there = tokens(stored(seaweed))
    told = {attempt.token: attempt.outcome for attempt in attempts if attempt.token}
    assert {token for token in told if told[token] == "saved"} <= there.keys() | deleted | perhaps
    assert not {token for token in told if told[token] == "refused"} & (there.keys() | deleted | perhaps)
    assert not there.keys() & deleted
    for file in (there, *(Counter(attempt.deleted) for attempt in attempts)):
        assert set(file.values()) <= {1}
    assert figures["saved"] + figures["deleted"] == PROCESSES * count
    assert unknown < times(0.5, 0.02)


def gathered(attempts: list[Attempt], outcome: str) -> set[str]:
    """The tokens in files that were deleted with this outcome. A deleter that finds no file counts, too."""
    return {token for attempt in attempts if attempt.outcome == outcome for token in attempt.deleted}


def stored(site: Site) -> dict[str, Any]:
    """The file's content; empty if there is no file."""
    return dict(S3Dict(site.bucket, file_name="state.json", **site.direct))


@pytest.mark.parametrize("on_conflict", ["raise", "merge"])
def test_what_registers_answer_is_linearizable(
    seaweed: Site, processes: ProcessPoolExecutor, rng: random.Random, on_conflict: str
) -> None:
    histories: dict[str, list[Operation]] = defaultdict(list)
    done = run_all(processes, use_registers, seaweed, rng, style=on_conflict, count=times(12, 150), threads=times(1, 2))
    for key, operation in done:
        histories[key].append(operation)
    assert histories.keys() == set("abc")
    for key, history in histories.items():
        assert is_linearizable(history), (key, history)
