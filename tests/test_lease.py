"""Leases: one holder among all machines, by the store's clock, whatever the holders' own clocks say."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from s3dictionary import LeaseHeldError, LeaseLostError, ReadOnlyError, S3Dict, StorageError, _lease
from support.memory_s3 import MemoryS3
from support.servers import Site
from support.stress import seeded, times

OBJECT = "s.json.nightly.lease"
LOST = ReadTimeoutError(endpoint_url="https://s3.example.com")


class ClockedS3(MemoryS3):
    """A store with a clock of its own, which tells whole seconds, as S3 does.

    Attributes:
        now: seconds that have passed there.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.5
        self._written: dict[str, float] = {}
        self.losing_answers = False

    def put_object(self, **request: Any) -> dict[str, Any]:
        answer = super().put_object(**request)
        self._written[request["Key"]] = self.now
        if self.losing_answers:
            raise LOST
        return answer

    def get_object(self, **request: Any) -> dict[str, Any]:
        headers = {"date": format_datetime(self._time(self.now), usegmt=True)}
        found = super().get_object(**request)
        written = self._time(self._written.get(request["Key"], 0))
        return {**found, "LastModified": written, "ResponseMetadata": {"HTTPHeaders": headers}}

    @staticmethod
    def _time(seconds: float) -> datetime:
        return datetime(2030, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=int(seconds))


class Clock:
    """One machine's clock, which replaces the module `time`."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now + 1e9


@pytest.fixture
def s3() -> ClockedS3:
    return ClockedS3()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(_lease, "time", clock)
    return clock


def opened(s3: Any, **options: Any) -> S3Dict[str, Any]:
    return S3Dict("bucket", file_name="s.json", client=s3, **options)


def lease(s3: Any, seconds: float = 300, **options: Any) -> Any:
    return opened(s3, **options).lease("nightly", seconds=seconds)


# One holder -----------------------------------------------------------------------------------------------------------


def test_a_second_holder_is_told_who_has_it_and_until_when(s3: ClockedS3) -> None:
    with lease(s3), pytest.raises(LeaseHeldError) as caught:
        lease(s3).__enter__()
    assert caught.value.name == "nightly"
    assert caught.value.holder is not None
    assert str(os.getpid()) in caught.value.holder
    assert caught.value.until == datetime(2030, 1, 1, 0, 5, tzinfo=timezone.utc)
    assert f"s3://bucket/{OBJECT}" in str(caught.value)


def test_the_next_one_gets_it_as_soon_as_it_is_given_back(s3: ClockedS3) -> None:
    with lease(s3):
        pass
    with lease(s3) as second:
        assert second.held


def test_it_is_given_back_when_the_block_fails(s3: ClockedS3) -> None:
    with pytest.raises(ZeroDivisionError), lease(s3):
        raise ZeroDivisionError
    with lease(s3) as second:
        assert second.held


def test_the_fence_is_higher_for_each_holder(s3: ClockedS3) -> None:
    fences = []
    for _ in range(3):
        with lease(s3) as held:
            fences.append(held.fence)
    s3.now += 1000
    with lease(s3) as held:
        fences.append(held.fence)
    assert fences == [1, 2, 3, 4]


def test_leases_of_other_names_and_files_have_nothing_to_do_with_it(s3: ClockedS3) -> None:
    other = S3Dict[str, Any]("bucket", file_name="other.json", client=s3)
    with lease(s3), opened(s3).lease("hourly"), other.lease("nightly") as held:
        assert held.held


def test_the_dict_is_not_touched(s3: ClockedS3) -> None:
    """A renewal creates no version of the file, so it causes no conflict for an open block."""
    d = opened(s3)
    with d, d.lease("nightly") as held:
        d["n"] = 1
        assert held.renew()
    assert dict(opened(s3)) == {"n": 1}


def test_one_object_is_for_one_block_at_a_time(s3: ClockedS3) -> None:
    once = lease(s3)
    with once, pytest.raises(LeaseHeldError, match="by this object"):
        once.__enter__()
    with once:
        assert once.held


# Time -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("passed", [0, 299, 300])
def test_a_lease_that_was_not_renewed_is_held_until_its_end(s3: ClockedS3, passed: int) -> None:
    lease(s3).__enter__()
    s3.now += passed
    with pytest.raises(LeaseHeldError):
        lease(s3).__enter__()


def test_after_its_end_the_next_one_takes_it(s3: ClockedS3, clock: Clock) -> None:
    """The former holder learns of it, even if it continues in the middle of its work."""
    first = lease(s3)
    first.__enter__()
    clock.now += 303
    s3.now += 303
    with lease(s3) as second:
        assert second.held
        assert not first.held
        assert not first.renew()
        with pytest.raises(LeaseLostError, match="was taken by somebody else"):
            first.__exit__(None, None, None)
        assert second.renew()


def test_a_renewal_makes_it_last_again(s3: ClockedS3, clock: Clock) -> None:
    with lease(s3) as held:
        for _ in range(5):
            clock.now += 200
            s3.now += 200
            assert held.renew()
            assert held.held
            with pytest.raises(LeaseHeldError):
                lease(s3).__enter__()


def test_this_machines_clock_decides_nothing_about_another_holder(s3: ClockedS3, clock: Clock) -> None:
    lease(s3).__enter__()
    clock.now += 1e6
    with pytest.raises(LeaseHeldError):
        lease(s3).__enter__()


def test_a_holder_does_not_count_on_it_longer_than_the_store_does(s3: ClockedS3, clock: Clock) -> None:
    """The holder counts from before its request, and another machine waits until after the end."""
    held = lease(s3)
    put = s3.put_object

    def slow_put(**request: Any) -> dict[str, Any]:
        clock.now += 50
        s3.now += 50
        return put(**request)

    s3.put_object = slow_put  # type: ignore[method-assign]
    with held:
        clock.now += 249
        assert held.held
        clock.now += 2
        assert not held.held
        assert held.renew()


def test_an_error_of_the_block_is_not_covered_by_the_loss(s3: ClockedS3, clock: Clock) -> None:
    with pytest.raises(ZeroDivisionError), lease(s3):
        clock.now += 400
        raise ZeroDivisionError


def test_never_do_two_hold_it_whatever_their_clocks_say() -> None:
    """The clocks are wrong but run. Some machines are killed, some sleep, and answers get lost."""
    chances, told = seeded(), Counter[str]()
    for _ in range(times(quick=4, long=200)):
        world = _World(chances)
        for _ in range(300):
            world.step(told)
    print(dict(told))
    assert min(told[name] for name in ("taken", "held by another", "lost", "killed", "renewed", "given back")) > 0


class _World:
    """Some machines, each with its own clock, and one lease."""

    def __init__(self, chances: Any) -> None:
        self.chances = chances
        self.s3 = ClockedS3()
        self.machines = [_Machine(self.s3, chances.uniform(-1e5, 1e5)) for _ in range(4)]

    def step(self, told: Counter[str]) -> None:
        passed = self.chances.choice((0.1, 1, 3, 10, 40))
        self.s3.now += passed
        for machine in self.machines:
            machine.clock.now += passed
        self.s3.losing_answers = self.chances.random() < 0.1
        told[self.chances.choice(self.machines).act(self.chances)] += 1
        assert sum(machine.is_holding for machine in self.machines) <= 1


class _Machine:
    def __init__(self, s3: ClockedS3, skew: float) -> None:
        self.s3 = s3
        self.clock = Clock()
        self.clock.now = skew
        self.lease: Any = None

    def _at(self, function: Callable[[], Any]) -> Any:
        before, _lease.time = _lease.time, self.clock  # type: ignore[assignment]
        try:
            return function()
        finally:
            _lease.time = before

    @property
    def is_holding(self) -> bool:
        return self.lease is not None and bool(self._at(lambda: self.lease.held))

    def act(self, chances: Any) -> str:
        try:
            return str(self._at(lambda: self._act(chances.random())))
        except LeaseHeldError:
            return "held by another"
        except LeaseLostError:
            return "lost"
        except StorageError:
            return "not known"

    def _act(self, chance: float) -> str:
        if self.lease is None:
            new = lease(self.s3, 30)
            new.__enter__()
            self.lease = new
            return "taken"
        if chance < 0.1:
            self.lease = None
            return "killed"
        if chance < 0.6:
            return "renewed" if self.lease.renew() else "lost"
        gone, self.lease = self.lease, None
        gone.__exit__(None, None, None)
        return "given back"


# What goes wrong ------------------------------------------------------------------------------------------------------


def test_a_lost_answer_does_not_take_it_twice(s3: ClockedS3) -> None:
    s3.losing_answers = True
    with lease(s3) as held:
        s3.losing_answers = False
        assert held.held
        with pytest.raises(LeaseHeldError):
            lease(s3).__enter__()


def test_a_lost_answer_does_not_make_it_expire_early(s3: ClockedS3, clock: Clock) -> None:
    """The time counts from the request, not from when the object was made."""
    waiting = lease(s3, seconds=10)
    clock.now += 60
    s3.losing_answers = True
    with waiting as held:
        s3.losing_answers = False
        assert held.held


def test_one_who_was_faster_has_it(s3: ClockedS3) -> None:
    """Another machine writes between the look and the write."""
    first, put, faster = lease(s3), s3.put_object, lease(s3)

    def overtaken(**request: Any) -> dict[str, Any]:
        s3.put_object = put  # type: ignore[method-assign]
        faster.__enter__()
        return put(**request)

    s3.put_object = overtaken  # type: ignore[method-assign]
    with pytest.raises(LeaseHeldError):
        first.__enter__()
    assert faster.held


def test_a_store_that_fails_when_it_is_given_back_loses_nothing(
    s3: ClockedS3, caplog: pytest.LogCaptureFixture
) -> None:
    with lease(s3):
        s3.faults.append(LOST)
    assert "could not be given back" in caplog.text


def test_an_object_that_is_no_lease_is_left_alone(s3: ClockedS3) -> None:
    s3.write(OBJECT, b'{"mine": 1}')
    with pytest.raises(ValueError, match="isn't a lease"):
        lease(s3).__enter__()
    assert s3.objects[OBJECT][0] == b'{"mine": 1}'


def test_who_holds_a_lease_that_is_deleted_is_told_so(s3: ClockedS3, caplog: pytest.LogCaptureFixture) -> None:
    """Both the log and the error at the end of the block say it."""
    with pytest.raises(LeaseLostError, match="its object was deleted"), lease(s3) as held:
        del s3.objects[OBJECT]
        assert not held.renew()
    assert "its object was deleted" in caplog.text


def test_the_end_of_the_block_notices_a_deletion_that_no_renewal_has_seen(s3: ClockedS3) -> None:
    with pytest.raises(LeaseLostError, match="its object was deleted"), lease(s3):
        del s3.objects[OBJECT]


def test_the_thread_that_renews_ends_with_the_block(s3: ClockedS3) -> None:
    with lease(s3) as held:
        thread = held._thread
        assert thread.is_alive()
    assert not thread.is_alive()


def test_a_lease_that_is_dropped_is_not_renewed(s3: ClockedS3) -> None:
    """An example is Ctrl-C before the block begins: the lease expires."""
    dropped = lease(s3, seconds=2)
    dropped.__enter__()
    thread = dropped._thread
    del dropped
    thread.join(10)
    assert not thread.is_alive()


def test_its_thread_renews_it_also_after_a_failure(s3: ClockedS3) -> None:
    renewed, put = threading.Event(), s3.put_object

    def seen(**request: Any) -> dict[str, Any]:
        answer = put(**request)
        renewed.set()
        return answer

    with lease(s3, seconds=2):
        s3.faults.append(LOST)
        s3.put_object = seen  # type: ignore[method-assign]
        assert renewed.wait(10)


class Waits:
    """In place of the event that ends the thread: never set, and it takes no time."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def wait(self, seconds: float) -> bool:
        self.seconds.append(seconds)
        return len(self.seconds) > 10


class Renewing:
    """A lease whose renewals come out like this."""

    _what = "The lease"

    def __init__(self, *outcomes: bool | Exception) -> None:
        self._outcomes = list(outcomes)

    def renew(self) -> bool:
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def test_after_a_failure_it_is_renewed_sooner_and_after_its_loss_never() -> None:
    lease, waits = Renewing(True, StorageError("no answer"), True, False), Waits()
    _lease._keep(lambda: lease, waits, 8.0)  # type: ignore[arg-type]
    assert waits.seconds == [8, 8, 2, 8]


def test_if_no_thread_can_renew_it_it_is_given_back(s3: ClockedS3, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start"):
            lease(s3).__enter__()
    with lease(s3) as held:
        assert held.held


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_a_child_that_was_forked_neither_has_nor_renews_it_nor_gives_it_back(s3: ClockedS3) -> None:
    with lease(s3) as held:
        child = os.fork()
        if child == 0:
            has = held.held or held.renew()
            held.__exit__(None, None, None)
            os._exit(int(has))
        assert os.waitpid(child, 0)[1] == 0
        assert held.renew()


def test_after_its_holder_was_killed_it_runs_out(moto_s3: Site) -> None:
    program = """
        import json, sys
        from s3dictionary import S3Dict
        d = S3Dict(sys.argv[1], file_name="s.json", **json.loads(sys.argv[2]))
        with d.lease("nightly", seconds=2):
            print("taken", flush=True)
            sys.stdin.read()
    """
    d = S3Dict[str, Any](moto_s3.bucket, file_name="s.json", **moto_s3.direct)
    arguments = [sys.executable, "-c", textwrap.dedent(program), moto_s3.bucket, json.dumps(moto_s3.direct)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "taken\n"
        time.sleep(5)
        with pytest.raises(LeaseHeldError):  # it has been renewed all along
            d.lease("nightly", seconds=2).__enter__()
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert any(_is_free(d) for _ in range(100))


def _is_free(d: S3Dict[str, Any]) -> bool:
    try:
        d.lease("nightly", seconds=2).__enter__()
    except LeaseHeldError:
        time.sleep(0.2)
        return False
    return True


# Arguments ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "seconds"),
    [("", 300), ("a\n", 300), (3, 300), ("ä" * 600, 300), ("a", 1), ("a", "300"), ("a", True), ("a", 10**12)],
)
def test_what_cannot_be_a_lease_is_refused_at_once(s3: ClockedS3, name: Any, seconds: Any) -> None:
    with pytest.raises(ValueError, match="a lease's"):
        opened(s3).lease(name, seconds=seconds)


def test_a_dict_that_is_read_only_leases_nothing(s3: ClockedS3) -> None:
    with pytest.raises(ReadOnlyError):
        lease(s3, read_only=True)


def test_there_is_no_fence_outside_of_the_block(s3: ClockedS3) -> None:
    with pytest.raises(LeaseLostError, match=r"with d\.lease"):
        lease(s3).fence  # noqa: B018


# asyncio --------------------------------------------------------------------------------------------------------------


def test_with_asyncio_the_loop_goes_on(s3: ClockedS3) -> None:
    async def main() -> bool:
        turns = []
        put = s3.put_object

        def slow_put(**request: Any) -> dict[str, Any]:
            asyncio.run_coroutine_threadsafe(note(), loop).result(10)
            return put(**request)

        async def note() -> None:
            turns.append(1)

        loop = asyncio.get_running_loop()
        s3.put_object = slow_put  # type: ignore[method-assign]
        async with lease(s3) as held:
            assert held.held
            s3.put_object = put  # type: ignore[method-assign]
        return len(turns) == 1

    assert asyncio.run(main())
    with lease(s3) as held:
        assert held.held


def test_who_is_cancelled_while_he_takes_it_does_not_keep_it(s3: ClockedS3) -> None:
    async def main() -> None:
        put, arrived = s3.put_object, asyncio.Event()
        loop, go_on = asyncio.get_running_loop(), threading.Event()

        def slow_put(**request: Any) -> dict[str, Any]:
            s3.put_object = put  # type: ignore[method-assign]
            loop.call_soon_threadsafe(arrived.set)
            go_on.wait(10)
            return put(**request)

        async def hold() -> None:
            async with lease(s3):
                pytest.fail("it was cancelled before")

        s3.put_object = slow_put  # type: ignore[method-assign]
        task = asyncio.create_task(hold())
        await arrived.wait()
        task.cancel()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    with lease(s3) as held:
        assert held.held


def test_its_repr_names_it_and_shows_whether_it_is_held() -> None:
    """Without a `with`, nothing is taken, and a look at the lease shows that."""
    lease = S3Dict("bucket", file_name="s.json", client=MemoryS3()).lease("nightly")
    assert repr(lease) == f"<Lease 'nightly', s3://bucket/{OBJECT}, not held>"
    with lease:
        assert repr(lease) == f"<Lease 'nightly', s3://bucket/{OBJECT}, held>"
