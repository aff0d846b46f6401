"""Threads that share one dict, and processes that begin with their parent's: nothing is lost, nothing is written twice,
nothing waits for ever.
"""

from __future__ import annotations

import dis
import json
import multiprocessing
import os
import random
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from s3dictionary import Rollback, S3Dict
from s3dictionary._format import codec
from support.memory_s3 import MemoryS3
from support.servers import Site
from support.stress import TIME_LIMIT, seeded, times

pytestmark = pytest.mark.timeout(TIME_LIMIT)

THREADS = 8
SECONDS = times(20, 120)
"""How long something may take before it counts as a deadlock."""


def state(**options: Any) -> S3Dict[Any, Any]:
    """A dict on an in-memory S3."""
    return S3Dict("bucket", **{"file_name": "state.json", "client": MemoryS3(), **options})


def stored(d: S3Dict[Any, Any]) -> Any:
    return json.loads(client_of(d).objects["state.json"][0])


def client_of(d: S3Dict[Any, Any]) -> MemoryS3:
    client = d._settings.client
    assert isinstance(client, MemoryS3)
    return client


def all_at_once(function: Callable[[int], Any], threads: int = THREADS) -> list[Any]:
    """Call a function with their numbers in this many threads at once. Returns the results."""
    barrier = threading.Barrier(threads)

    def begin(number: int) -> Any:
        barrier.wait(SECONDS)
        return function(number)

    with ThreadPoolExecutor(threads) as pool:
        return [future.result(SECONDS) for future in [pool.submit(begin, number) for number in range(threads)]]


@pytest.fixture(autouse=True)
def threads_take_short_turns() -> Iterator[None]:
    """Let threads switch every 10 µs instead of every 5 ms."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def another_thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def done(future: Future[Any], seconds: float) -> bool:
    """Whether a thread ends within this time."""
    deadline = time.monotonic() + seconds
    while not future.done() and time.monotonic() < deadline:
        time.sleep(0.005)
    return future.done()


# Threads: updates -----------------------------------------------------------------------------------------------------


def test_autosaved_updates_of_many_threads_are_all_in_s3() -> None:
    d = state(autosave=True)

    def update(number: int) -> None:
        for step in range(times(10, 200)):
            d[f"{number}-{step}"] = [number]

    all_at_once(update)
    assert len(stored(d)) == THREADS * times(10, 200)
    assert stored(d) == d


@pytest.mark.parametrize("block", [S3Dict.__enter__, S3Dict.transaction], ids=["with", "transaction"])
def test_blocks_of_many_threads_come_one_after_the_other(block: Any) -> None:
    d = state(data={"n": 0, "log": []}, autosave=block is S3Dict.transaction)
    steps = times(20, 500)

    def count(number: int) -> None:
        for _ in range(steps):
            with d if block is S3Dict.__enter__ else d.transaction():
                n = d["n"]
                time.sleep(0)
                d["n"] = n + 1
                d["log"].append(n)

    all_at_once(count)
    assert stored(d) == d == {"n": THREADS * steps, "log": list(range(THREADS * steps))}


def test_a_decorated_function_can_be_called_in_many_threads() -> None:
    d = state(data={"n": 0}, autosave=True)

    @d.transaction()
    def count() -> None:
        n = d["n"]
        time.sleep(0)
        d["n"] = n + 1

    all_at_once(lambda _: [count() for _ in range(20)])
    assert stored(d) == {"n": THREADS * 20}


def test_run_in_many_threads_waits_for_its_turn() -> None:
    """`run()` isn't inside the block of another thread."""
    d = state(data={"n": 0})

    def count(d: S3Dict[Any, Any]) -> int:
        n = d["n"]
        time.sleep(0)
        d["n"] = n + 1
        return n

    results = all_at_once(lambda _: [d.run(count) for _ in range(20)])
    assert sorted(n for found in results for n in found) == list(range(THREADS * 20))
    assert stored(d) == {"n": THREADS * 20}


def test_run_in_many_threads_tries_again_whatever_the_others_are_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread's changes in its block don't count as unsaved changes."""
    monkeypatch.setattr("s3dictionary._runs.time.sleep", lambda seconds: None)
    d = state(data={"n": 0})
    d.save()
    rival = state(client=client_of(d))

    def count(d: S3Dict[Any, Any]) -> None:
        d["n"] += 1
        time.sleep(0.001)

    def run(number: int) -> None:
        for _ in range(10):
            if number:
                d.run(count, attempts=1000)
            else:
                rival.run(count, attempts=1000)

    all_at_once(run, 4)
    assert stored(d) == {"n": 40}


def test_inner_blocks_that_are_undone_leave_the_other_threads_alone() -> None:
    d = state(autosave=True)
    rng = seeded()
    seeds = [rng.random() for _ in range(THREADS)]

    def work(number: int) -> list[int]:
        mine: list[int] = []
        choice = random.Random(seeds[number])
        for step in range(times(20, 500)):
            with d.transaction():
                d.setdefault(number, []).append(step)
                with d.transaction():
                    d[number].append("never")
                    d[-1] = "never"
                    raise Rollback
                if choice.random() < 0.5:
                    raise Rollback
                mine.append(step)
        return mine

    kept = all_at_once(work)
    assert d == {number: steps for number, steps in enumerate(kept) if steps or number in d}
    d.load()
    assert d == {number: steps for number, steps in enumerate(kept) if steps or number in d}


def test_saving_from_another_thread_waits_for_the_block(another_thread: ThreadPoolExecutor) -> None:
    d = state(data={"n": 0})
    d.save()
    with d:
        d["n"] = 1
        saving = another_thread.submit(d.save)
        assert not done(saving, 0.1)
        d["n"] = 2
    saving.result(SECONDS)
    assert stored(d) == {"n": 2}
    assert client_of(d).requests["PutObject"] == 3


@pytest.mark.parametrize(
    "update",
    [
        lambda d: d.update(a=1),
        lambda d: d.pop("n"),
        lambda d: d.clear(),
        lambda d: d.load(),
        lambda d: d.delete(),
        lambda d: d.copy(),
        lambda d: d.run(len),
        lambda d: setattr(d, "autosave", True),
    ],
)
def test_what_changes_or_copies_it_waits_for_the_block(another_thread: ThreadPoolExecutor, update: Any) -> None:
    d = state(data={"n": 0})
    d.save()
    with d:
        waiting = another_thread.submit(update, d)
        assert not done(waiting, 0.05)
        assert d["n"] == 0
    waiting.result(SECONDS)


# Threads: reads -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "read",
    [
        lambda d: d["n"],
        lambda d: d["raw"],
        lambda d: d.get("n"),
        lambda d: "n" in d,
        len,
        list,
        repr,
        lambda d: list(d.items()),
        lambda d: d == {},
        lambda d: d.changed,
        lambda d: d.etag,
        lambda d: d.data,
    ],
)
def test_reads_do_not_wait_for_a_block(another_thread: ThreadPoolExecutor, read: Any) -> None:
    d = state(data={"n": 0, "raw": [1]})
    d.save()
    d.load()
    with d:
        d["n"] = 1
        another_thread.submit(read, d).result(SECONDS)


def test_nothing_gets_in_between_the_looks_and_the_write_of_an_item() -> None:
    """It takes no lock, so no instruction from the look-up on may let Python switch threads."""
    code = list(dis.get_instructions(S3Dict.__setitem__))
    names = [(at, step.opname, step.argval) for at, step in enumerate(code)]
    first = next(at for at, _, name in names if name == "readable")
    last = next(at for at, operation, name in names if operation == "STORE_ATTR" and name == "value")
    assert first < last
    passed = {operation for _, operation, _ in names[first:last]}
    assert not {
        operation for operation in passed if "CALL" in operation or "BACKWARD" in operation or "ABSOLUTE" in operation
    }
    assert passed & {"BINARY_SUBSCR", "BINARY_OP"}  # from 3.14 on, a look-up by a key is one of the latter


class Leaving:
    """A value with a callback that runs when it is replaced."""

    def __init__(self, happens: Callable[[], object]) -> None:
        self.happens = happens

    def __del__(self) -> None:
        self.happens()


def test_a_write_that_a_block_finds_done_is_not_done_again(another_thread: ThreadPoolExecutor) -> None:
    d = state(data={"n": 0})
    d["n"] = 1

    def block() -> None:
        with d.transaction():
            d["n"] += 10

    d["n"] = Leaving(lambda: another_thread.submit(block).result(SECONDS))
    d["n"] = 2
    assert d["n"] == 12


def test_threads_that_touch_the_same_value_get_the_same_object() -> None:
    d = state(data={str(key): [key] for key in range(times(200, 5000))})
    d.save()
    fresh = S3Dict("bucket", file_name="state.json", client=client_of(d))
    keys = list(fresh)
    found = all_at_once(lambda _: [fresh[key] for key in keys])
    for values in zip(*found, strict=True):
        assert all(value is values[0] for value in values)


def test_a_value_that_is_read_for_the_first_time_does_not_undo_a_write(
    monkeypatch: pytest.MonkeyPatch, another_thread: ThreadPoolExecutor
) -> None:
    """It is decoded while another thread writes it, and the decoded value must not replace the written one."""
    d = state(data={"n": [0]})
    d.save()
    fresh = S3Dict("bucket", file_name="state.json", client=client_of(d))
    decode, decoding = codec.decode, threading.Event()

    def slowly(*arguments: Any) -> Any:
        value = decode(*arguments)
        decoding.set()
        time.sleep(0.1)
        return value

    monkeypatch.setattr(codec, "decode", slowly)
    reading = another_thread.submit(fresh.get, "n")
    assert decoding.wait(SECONDS)
    fresh["n"] = [1]
    reading.result(SECONDS)
    assert fresh["n"] == [1]
    fresh.save()
    assert stored(d) == {"n": [1]}


def test_get_gives_the_default_also_if_another_thread_removes_the_key_meanwhile(
    monkeypatch: pytest.MonkeyPatch, another_thread: ThreadPoolExecutor
) -> None:
    d = state(data={"key": [1]})
    d.save()
    fresh = S3Dict("bucket", file_name="state.json", client=client_of(d))
    touch = fresh._memory.touch

    def too_late(key: Any) -> Any:
        another_thread.submit(fresh.__delitem__, key).result(SECONDS)
        return touch(key)

    monkeypatch.setattr(fresh._memory, "touch", too_late)
    assert fresh.get("key", "none") == "none"


def test_readers_see_whole_values_while_others_write_and_roll_back() -> None:
    d = state(data={"pair": [0, 0], **{str(key): key for key in range(50)}})
    d.save()
    stop = threading.Event()

    def write() -> None:
        for step in range(times(100, 3000)):
            with d:
                d["pair"] = [step, step]
                if step % 3 == 0:
                    raise Rollback
        stop.set()

    def read() -> None:
        while not stop.is_set():
            pair = d["pair"]
            assert pair[0] == pair[1]
            assert len(d) == len(list(d)) == len(d.keys()) == 51
            assert dict(d.items()).keys() == dict(d).keys()
            assert "pair" in repr(d)

    all_at_once(lambda number: read() if number else write(), 4)


# Threads: everything at once ------------------------------------------------------------------------------------------


def test_many_threads_do_everything_at_once_and_nothing_is_lost() -> None:
    """Each thread has its own keys, and knows what they must hold."""
    d = state(autosave=True, data={"shared": 0})
    rng = seeded()
    seeds = [rng.random() for _ in range(THREADS)]

    def work(number: int) -> tuple[dict[str, Any], int]:
        choice = random.Random(seeds[number])
        mine: dict[str, Any] = {}
        counted = 0
        for step in range(times(60, 2000)):
            key = f"{number}-{choice.randrange(5)}"
            action = choice.choice(ACTIONS)
            action(d, mine, key, step)
            counted += action is _append
            with d.transaction():  # without, it may see what another thread does in a block
                assert d.get(key) == mine.get(key)
        return mine, counted

    done = all_at_once(work)
    d.save()
    assert d.pop("shared") == sum(counted for _, counted in done)
    assert d == {key: value for mine, _ in done for key, value in mine.items()} == stored(d)
    d._check()


def _set(d: S3Dict[Any, Any], mine: dict[str, Any], key: str, step: int) -> None:
    d[key] = mine[key] = step


def _append(d: S3Dict[Any, Any], mine: dict[str, Any], key: str, step: int) -> None:
    with d.transaction():
        d[key] = [*(d[key] if isinstance(d.get(key), list) else []), step]
        d["shared"] += 1
    mine[key] = [*(mine[key] if isinstance(mine.get(key), list) else []), step]


def _remove(d: S3Dict[Any, Any], mine: dict[str, Any], key: str, step: int) -> None:
    assert d.pop(key, None) == mine.pop(key, None)


def _undo(d: S3Dict[Any, Any], mine: dict[str, Any], key: str, step: int) -> None:
    with d.transaction():
        d[key] = "never"
        d.pop("shared")
        raise Rollback


def _undo_with(d: S3Dict[Any, Any], mine: dict[str, Any], key: str, step: int) -> None:
    with d:
        d.clear()
        raise Rollback


def _inner(d: S3Dict[Any, Any], mine: dict[str, Any], key: str, step: int) -> None:
    with d:
        d[key] = {"step": step}
        with d.transaction():
            d[key]["step"] = "never"
            raise Rollback
    mine[key] = {"step": step}


def _look(d: S3Dict[Any, Any], mine: dict[str, Any], key: str, step: int) -> None:
    assert len(repr(d)) > 2
    assert isinstance(d.changed, bool)
    with suppress(RuntimeError):  # as with any dict that another thread changes meanwhile
        assert len(list(d)) > 0 or "shared" not in d


def _save(d: S3Dict[Any, Any], mine: dict[str, Any], key: str, step: int) -> None:
    d.save()


def _load(d: S3Dict[Any, Any], mine: dict[str, Any], key: str, step: int) -> None:
    d.load()


ACTIONS = [_set, _append, _remove, _undo, _undo_with, _inner, _look, _save, _load]


# Forks ----------------------------------------------------------------------------------------------------------------

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

PROLOGUE = """
import json, multiprocessing, os, sys, threading, time
import boto3
from s3dictionary import S3Dict
bucket, options = sys.argv[1], json.loads(sys.argv[2])

def state(**more):
    return S3Dict(bucket, **{"file_name": "state.json", **options, **more})

def wait(child):
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


def run_program(s3: Site, text: str, *flags: str) -> str:
    """Run a program in a process without threads. Returns what it wrote to stderr."""
    program = [sys.executable, "-W", "ignore::DeprecationWarning", *flags, "-c", PROLOGUE + textwrap.dedent(text)]
    # A session of its own: if one of its processes hangs, they are ended together
    with subprocess.Popen(
        [*program, s3.bucket, json.dumps(s3.options)], stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            _, errors = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            raise
    assert process.returncode == 0, errors
    return errors


def content(s3: Site) -> Any:
    return json.loads(s3.read("state.json"))


@needs_fork
def test_after_a_fork_parent_and_child_use_the_dict_at_the_same_time(moto_s3: Site) -> None:
    """Each has its own connections. On a shared one, they would read each other's answers."""
    errors = run_program(
        moto_s3,
        """
        d = state(data={"padding": "x" * 1000})
        d.save()
        children = []
        for _ in range(2):
            children.append(os.fork())
            if not children[-1]:
                children = []
                break
        mine = state(file_name=f"{os.getpid()}.json", data={"n": 0})
        mine.save()
        for n in range(5):
            with mine:
                assert mine["n"] == n
                mine["n"] += 1
            d.load()
            assert d == {"padding": "x" * 1000}
        for child in children:
            wait(child)
        """,
    )
    assert errors == ""


@needs_fork
def test_what_was_unsaved_at_a_fork_is_saved_once_by_the_parent(moto_s3: Site) -> None:
    errors = run_program(
        moto_s3,
        """
        d = state(autosave=True, data={"jobs": []})
        d["jobs"].append(1)
        child = os.fork()
        if child:
            wait(child)
            assert json.loads(d._file.get().content()) == {"jobs": []}
        """,
    )
    assert errors == ""
    assert content(moto_s3) == {"jobs": [1]}
    assert moto_s3.requests.count()["PUT"] == 2


@needs_fork
def test_so_it_is_if_nobody_holds_the_dict_any_more(moto_s3: Site) -> None:
    errors = run_program(
        moto_s3,
        """
        d = state(autosave=True, data={"jobs": []})
        d["jobs"].append(1)
        del d
        child = os.fork()
        if child:
            wait(child)
        """,
    )
    assert errors == ""
    assert content(moto_s3) == {"jobs": [1]}
    assert moto_s3.requests.count()["PUT"] == 2


@needs_fork
def test_and_if_the_child_drops_it(moto_s3: Site) -> None:
    run_program(
        moto_s3,
        """
        d = state(autosave=True, data={"jobs": []})
        d["jobs"].append(1)
        child = os.fork()
        if child:
            wait(child)
        else:
            del d
        """,
    )
    assert moto_s3.requests.count()["PUT"] == 2


@needs_fork
def test_what_the_child_changes_itself_it_saves_at_its_exit(moto_s3: Site) -> None:
    errors = run_program(
        moto_s3,
        """
        d = state(autosave=True, data={"jobs": []})
        child = os.fork()
        if child:
            wait(child)
        else:
            d["jobs"].append("child")
        """,
    )
    assert errors == ""
    assert content(moto_s3) == {"jobs": ["child"]}


@needs_fork
def test_if_both_have_something_to_save_the_second_one_hears_of_a_conflict(moto_s3: Site) -> None:
    errors = run_program(
        moto_s3,
        """
        d = state(autosave=True, data={"jobs": []})
        d["jobs"].append("parent")
        child = os.fork()
        if child:
            wait(child)
        else:
            d["jobs"].append("child")
        """,
    )
    assert "ConflictError" in errors
    assert content(moto_s3) == {"jobs": ["parent", "child"]}


@needs_fork
def test_so_does_a_child_of_multiprocessing(moto_s3: Site) -> None:
    """It ends without the functions of atexit."""
    errors = run_program(
        moto_s3,
        """
        d = state(autosave=True, data={"jobs": []})
        process = multiprocessing.get_context("fork").Process(target=d["jobs"].append, args=("child",))
        process.start()
        process.join()
        assert process.exitcode == 0
        """,
    )
    assert errors == ""
    assert content(moto_s3) == {"jobs": ["child"]}


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_a_child_of_multiprocessing_saves_what_it_changed_in_a_dict_of_its_own(moto_s3: Site, method: str) -> None:
    program = f"""if 1:
        import builtins, s3dictionary
        builtins.d = s3dictionary.S3Dict({moto_s3.bucket!r}, file_name="state.json", **{moto_s3.options!r})
        d.autosave = True
        d["jobs"] = []
        d["jobs"].append("child")
    """
    process = multiprocessing.get_context(method).Process(target=exec, args=(program,))  # type: ignore[attr-defined]
    process.start()
    process.join(SECONDS)
    assert process.exitcode == 0
    assert content(moto_s3) == {"jobs": ["child"]}


@needs_fork
def test_unsaved_changes_at_exit_are_warned_of_once(moto_s3: Site) -> None:
    errors = run_program(
        moto_s3,
        """
        d = state()
        d["a"] = 1
        child = os.fork()
        if child:
            wait(child)
        """,
    )
    assert errors.count("had unsaved changes when Python exited") == 1


@needs_fork
@pytest.mark.parametrize("block", ["d", "d.transaction()"])
def test_a_fork_while_another_thread_is_in_a_block_undoes_that_in_the_child(moto_s3: Site, block: str) -> None:
    """The thread doesn't exist in the child, so it can't end its block."""
    errors = run_program(
        moto_s3,
        f"""
        d = state(data={{"n": 0, "list": [0], "gone": 1}})
        d.save()
        inside, leave = threading.Event(), threading.Event()

        def work():
            with {block}:
                d["n"] = 1
                d["list"].append(1)
                with d.transaction():
                    d["new"] = 1
                    del d["gone"]
                    inside.set()
                    leave.wait()

        thread = threading.Thread(target=work)
        thread.start()
        inside.wait()
        child = os.fork()
        if not child:
            assert d == {{"n": 0, "list": [0], "gone": 1}}
            with d:
                d["child"] = 1
            with d.transaction():
                d["child"] += 1
            d.save()
            os._exit(0)
        wait(child)
        leave.set()
        thread.join()
        os._exit(0)
        """,
    )
    assert "Conflict" in errors if block == "d" else errors == ""
    assert content(moto_s3) == {"n": 0, "list": [0], "gone": 1, "child": 2}


@needs_fork
def test_a_fork_in_the_midst_of_a_block_of_ones_own_keeps_it_in_both(moto_s3: Site) -> None:
    """Both may save, and neither overwrites the other."""
    errors = run_program(
        moto_s3,
        """
        from s3dictionary import ConflictError
        d = state(data={"n": 0})
        d.save()
        try:
            with d:
                d["n"] += 1
                child = os.fork()
                if child:
                    wait(child)
        except ConflictError:
            assert child
        else:
            assert not child
        """,
    )
    assert errors == ""
    assert content(moto_s3) == {"n": 1}


@needs_fork
def test_a_fork_while_another_thread_makes_a_client_does_not_stop_the_child(moto_s3: Site) -> None:
    run_program(
        moto_s3,
        """
        d = state(data={"n": 0})
        inside, leave = threading.Event(), threading.Event()

        make, parent = boto3.Session.client, os.getpid()

        def client(self, *args, **options):
            if os.getpid() == parent:
                inside.set()
                leave.wait()
            return make(self, *args, **options)

        boto3.Session.client = client

        def work():
            state(region_name="eu-west-3")

        thread = threading.Thread(target=work)
        thread.start()
        inside.wait()
        child = os.fork()
        if not child:
            d.save()
            os._exit(0)
        wait(child)
        leave.set()
        thread.join()
        """,
    )
    assert content(moto_s3) == {"n": 0}


@needs_fork
def test_forks_at_any_moment_leave_a_dict_that_works(moto_s3: Site) -> None:
    """Threads change the dict continuously. Each child finds the state between two of their blocks."""
    run_program(
        moto_s3,
        f"""
        sys.setswitchinterval(1e-5)
        d = state(data={{"pair": [0, 0], "list": list(range(100)), "n": 0}})
        d.save()
        d.load()
        stop = False

        def work(number):
            step = 0
            while not stop:
                step += 1
                try:
                    with d.transaction():
                        d["pair"] = [step, number]
                        d["pair"][1] = d["pair"][0] = step
                        d["list"].append("never")
                        with d.transaction():
                            d.pop("n")
                        raise ZeroDivisionError
                except ZeroDivisionError:
                    pass
                d[number] = step
                d["list"], repr(d), d.changed

        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for _ in range({times(10, 200)}):
            child = os.fork()
            if not child:
                try:
                    assert d["pair"] == [0, 0], d
                    assert d["list"] == list(range(100)), d
                    assert d["n"] == 0, d
                    with d.transaction():
                        d["child"] = 1
                    d.copy().changed
                finally:
                    os._exit(sys.exc_info()[0] is not None)
            wait(child)
        stop = True
        for thread in threads:
            thread.join()
        os._exit(0)
        """,
    )


# Pickled into other processes -----------------------------------------------------------------------------------------


def change_in_child(d: S3Dict[Any, Any], number: int) -> str | None:
    with d:
        d[f"child-{number}"] = os.getpid()
    return d.etag


@pytest.mark.parametrize("method", [pytest.param("fork", marks=needs_fork), "spawn"])
def test_a_dict_can_be_sent_to_the_processes_of_a_pool(
    moto_s3: Site, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", moto_s3.server.access_key)  # a pickle has no keys
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", moto_s3.server.secret_key)
    place = {"endpoint_url": moto_s3.endpoint_url, "region_name": moto_s3.server.region}
    d = S3Dict(moto_s3.bucket, file_name="state.json", on_conflict="merge", **place)
    with ProcessPoolExecutor(2, multiprocessing.get_context(method)) as pool:
        etags = [future.result(SECONDS) for future in [pool.submit(change_in_child, d, n) for n in range(6)]]
    assert all(etags)
    d.load()
    assert d.keys() == {f"child-{number}" for number in range(6)}
    assert os.getpid() not in d.values()


def look_in_child(d: S3Dict[Any, Any]) -> Any:
    return d["jobs"]


def test_what_was_unsaved_when_it_was_pickled_is_not_saved_twice(
    moto_s3: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", moto_s3.server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", moto_s3.server.secret_key)
    place = {"endpoint_url": moto_s3.endpoint_url, "region_name": moto_s3.server.region}
    d = S3Dict(moto_s3.bucket, file_name="state.json", autosave=True, data={"jobs": []}, **place)
    d["jobs"].append(1)
    moto_s3.requests.clear()
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(look_in_child, d).result(SECONDS) == [1]
    assert moto_s3.requests.log == []
    d.save()
    assert content(moto_s3) == {"jobs": [1]}
