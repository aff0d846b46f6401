"""Group commit: calls of `run` in several threads that wait at the same time share one GET and one PUT."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from s3dictionary import (
    AccessDeniedError,
    ConflictError,
    NotStorableError,
    ReadOnlyError,
    Rollback,
    S3Dict,
    StorageError,
    TransactionError,
    UnknownOutcomeError,
)
from support.adversary.crowd import Blocker, in_one_group, queue_up, until
from support.adversary.hooked_s3 import HookedS3
from support.adversary.scenes import Boom, assert_usable, check_invariants
from support.adversary.threads import LONG_ENOUGH, InThread, in_thread
from support.memory_s3 import refusal

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # dicts with unsaved changes are dropped on purpose

D = S3Dict[Any, Any]


@pytest.fixture(autouse=True)
def _collect_while_warnings_are_ignored() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture
def s3() -> HookedS3:
    return HookedS3()


@pytest.fixture
def d(s3: HookedS3) -> D:
    d = s3.begin({"log": []})
    with d:  # from now on, it isn't one that was made just now, and whose first block needn't load
        pass
    s3.requests.clear()
    return d


def log(d: D, name: object) -> object:
    d["log"].append(name)
    return name


def logging(d: D, *names: object) -> list[Callable[[], object]]:
    return [partial(d.run, log, name) for name in names]


def results(threads: list[InThread[Any]]) -> list[Any]:
    """The result of each call, or its exception."""
    found = []
    for thread in threads:
        try:
            found.append(thread.result())
        except BaseException as error:  # noqa: BLE001  # it is looked at
            found.append(error)
    return found


def assert_whole(d: D, s3: HookedS3, expected: dict[Any, Any]) -> None:
    check_invariants(d)
    assert dict(d) == expected
    assert s3.stored() == expected
    assert_usable(d)


def held_up(s3: HookedS3, operation: str, *, after: bool = False) -> tuple[threading.Event, threading.Event]:
    """Let requests of this kind set the second event, and wait for the first, before or after they take effect."""
    gate, arrived = threading.Event(), threading.Event()

    def wait(sent: str) -> None:
        if sent == operation:
            arrived.set()
            gate.wait(LONG_ENOUGH)

    if after:
        s3.after = wait
    else:
        s3.before = wait
    return gate, arrived


def fails(d: D) -> None:
    log(d, "undone")
    raise Boom


def test_calls_that_wait_at_the_same_time_share_one_get_and_one_put(s3: HookedS3, d: D) -> None:
    """This holds for any number of calls, and each gets its own result."""
    assert results(in_one_group(d, logging(d, *range(20)))) == list(range(20))
    assert s3.requests == {"GetObject": 1, "PutObject": 1}
    assert_whole(d, s3, {"log": list(range(20))})


def test_one_call_alone_costs_one_get_and_one_put(s3: HookedS3, d: D) -> None:
    d.run(log, "alone")
    assert s3.requests == {"GetObject": 1, "PutObject": 1}


def test_calls_that_come_while_a_group_is_at_work_are_the_next_group(s3: HookedS3, d: D) -> None:
    """Nobody waits longer than for the current group and its own."""
    gate, arrived = held_up(s3, "PutObject")
    first = [InThread(partial(d.run, log, 0))]
    arrived.wait(LONG_ENOUGH)
    rest = queue_up(d, logging(d, 1, 2, 3))
    gate.set()
    assert results(first + rest) == [0, 1, 2, 3]
    assert s3.requests == {"GetObject": 2, "PutObject": 2}
    assert_whole(d, s3, {"log": [0, 1, 2, 3]})


def test_who_comes_during_the_load_does_not_join_as_what_is_loaded_may_be_older_than_his_call(
    s3: HookedS3, d: D
) -> None:
    """A call always sees what another program wrote before it."""
    gate, arrived = held_up(s3, "GetObject", after=True)
    first = InThread(partial(d.run, log, 0))
    arrived.wait(LONG_ENOUGH)
    s3.write("key", b'{"log":[],"theirs":1}')
    reader = queue_up(d, [lambda: d.run(lambda d: d.get("theirs"))])
    gate.set()
    assert results([first, *reader]) == [0, 1]


def test_each_function_is_called_in_the_thread_that_called_run(d: D) -> None:
    def call() -> bool:
        caller = threading.get_ident()
        return d.run(lambda d: threading.get_ident() == caller)

    assert results(in_one_group(d, [call] * 3)) == [True] * 3


@pytest.mark.parametrize("others", [[1], [1, 2]], ids=len)
def test_an_exception_is_its_callers_alone_and_undoes_what_his_function_did(
    s3: HookedS3, d: D, others: list[int]
) -> None:
    calls = logging(d, *others)
    calls.insert(1, partial(d.run, fails))
    found = results(in_one_group(d, calls))
    assert isinstance(found.pop(1), Boom)
    assert found == others
    assert s3.requests["PutObject"] == 1
    assert_whole(d, s3, {"log": others})


@pytest.mark.parametrize("count", [1, 3])
def test_if_all_functions_raise_nothing_is_saved(s3: HookedS3, d: D, count: int) -> None:
    d["before"] = 1
    errors = results(in_one_group(d, [partial(d.run, fails)] * count))
    assert [type(error) for error in errors] == [Boom] * count
    assert s3.requests["PutObject"] == 0
    assert dict(d) == {"log": [], "before": 1}


@pytest.mark.parametrize("others", [0, 2])
def test_rollback_undoes_one_function_quietly(s3: HookedS3, d: D, others: int) -> None:
    def undo(d: D) -> None:
        log(d, "undone")
        raise Rollback

    names = list(range(others))
    assert results(in_one_group(d, [partial(d.run, undo), *logging(d, *names)])) == [None, *names]
    assert_whole(d, s3, {"log": names})


def test_a_save_that_fails_is_everybodys_error_each_with_an_exception_of_its_own(s3: HookedS3, d: D) -> None:
    """Each error has its own `.unsaved` and its own traceback."""
    s3.faults.append(refusal("PutObject", 403, "AccessDenied"))
    errors = results(in_one_group(d, logging(d, 1, 2, 3)))
    assert all(isinstance(error, StorageError) and error.code == "AccessDenied" for error in errors)
    assert len({id(error) for error in errors}) == len({id(error.__traceback__) for error in errors}) == 3
    assert [error.unsaved for error in errors] == [{"log": [1, 2, 3]}] * 3
    errors[0].unsaved["log"].clear()
    assert errors[1].unsaved == {"log": [1, 2, 3]}
    assert_whole(d, s3, {"log": []})


def test_a_load_that_fails_is_everybodys_error_at_once(s3: HookedS3, d: D) -> None:
    """There is one attempt to load, not one for each member."""

    def refuse(operation: str) -> None:
        if operation == "GetObject":
            raise refusal("GetObject", 403, "AccessDenied")

    s3.before = refuse
    errors = results(in_one_group(d, logging(d, 1, 2, 3)))
    assert [type(error).__name__ for error in errors] == ["AccessDeniedError"] * 3
    assert len({id(error) for error in errors}) == 3


def other_writes(s3: HookedS3, times: int) -> None:
    """Let someone else write just before each of this many PUTs."""
    left = [times]

    def write(operation: str) -> None:
        if operation == "PutObject" and left[0]:
            left[0] -= 1
            s3.write("key", b'{"log":["theirs %d"]}' % left[0])

    s3.before = write


def test_after_a_conflict_all_are_called_again_from_a_fresh_load(s3: HookedS3, d: D) -> None:
    """This includes calls that raised, because what they saw may have changed."""
    other_writes(s3, 2)
    calls = logging(d, 1, 2)
    calls.append(lambda: d.run(lambda d: 1 / (len(d["log"]) - 2)))
    one, two, error = results(in_one_group(d, calls))
    assert (one, two, error) == (1, 2, 1.0)
    assert_whole(d, s3, {"log": ["theirs 0", 1, 2]})


def test_if_the_fresh_load_fails_all_get_its_error(s3: HookedS3, d: D) -> None:
    """This includes calls that raised, because they might not raise again."""

    def write_and_refuse(operation: str) -> None:
        if operation == "PutObject":
            s3.write("key", b'{"log":["theirs"]}')
            s3.before = refuse

    def refuse(operation: str) -> None:
        if operation == "GetObject":
            raise refusal("GetObject", 403, "AccessDenied")

    s3.before = write_and_refuse
    errors = results(in_one_group(d, [partial(d.run, fails), *logging(d, 1)]))
    assert [type(error) for error in errors] == [AccessDeniedError] * 2


def test_who_comes_while_a_group_waits_to_go_again_joins_it(
    s3: HookedS3, d: D, monkeypatch: pytest.MonkeyPatch
) -> None:
    late: list[InThread[Any]] = []
    monkeypatch.setattr("s3dictionary._runs.time.sleep", lambda _: late.extend(queue_up(d, logging(d, 2))))
    other_writes(s3, 1)
    d.run(log, 1)
    assert results(late) == [2]
    assert s3.requests["PutObject"] == 2
    assert_whole(d, s3, {"log": ["theirs 0", 1, 2]})


def test_each_caller_has_its_own_number_of_attempts(s3: HookedS3, d: D) -> None:
    """A caller without attempts left gets the conflict, and the others continue."""
    other_writes(s3, 2)
    calls = [partial(d.run, log, attempts, attempts=attempts) for attempts in (1, 2, 3, 4)]
    first, second, *others = results(in_one_group(d, calls))
    assert isinstance(first, ConflictError)
    assert isinstance(second, ConflictError)
    assert others == [3, 4]
    assert_whole(d, s3, {"log": ["theirs 0", 3, 4]})


def test_an_outcome_that_is_not_known_is_told_to_all_and_never_repeated(s3: HookedS3, d: D) -> None:
    def lose(operation: str) -> None:
        if operation != "GetObject":
            raise ConnectionResetError

    s3.after = lose
    errors = results(in_one_group(d, logging(d, 1, 2, 3)))
    assert [type(error) for error in errors] == [UnknownOutcomeError] * 3
    s3.after = lambda _: None
    assert s3.stored() == {"log": [1, 2, 3]}


def test_who_has_an_error_of_his_own_gets_that_also_if_the_save_fails(s3: HookedS3, d: D) -> None:
    s3.faults.append(refusal("PutObject", 403, "AccessDenied"))
    error, saves = results(in_one_group(d, [partial(d.run, fails), *logging(d, 1)]))
    assert isinstance(error, Boom)
    assert isinstance(saves, StorageError)


def test_a_value_that_cannot_be_stored_is_its_callers_error_alone(s3: HookedS3, d: D) -> None:
    """The others are called again, and saved."""
    calls = logging(d, 1, 2)
    calls.insert(1, lambda: d.run(log, object()))
    one, error, two = results(in_one_group(d, calls))
    assert (one, two) == (1, 2)
    assert isinstance(error, NotStorableError)
    assert_whole(d, s3, {"log": [1, 2]})


def test_in_a_read_only_dict_readers_get_their_results(s3: HookedS3) -> None:
    """A function that edits, even inside a value, is refused alone."""
    s3.begin({"log": [1]})
    d = s3.open(read_only=True)
    calls = [lambda: d.run(lambda d: d["log"][0]), *logging(d, "edits"), lambda: d.run(len)]
    read, error, length = results(in_one_group(d, calls))
    assert (read, length) == (1, 1)
    assert isinstance(error, ReadOnlyError)


@pytest.mark.parametrize("on_conflict", ["merge", "overwrite", lambda key, base, ours, theirs: ours])
def test_conflicts_are_settled_as_without_groups(s3: HookedS3, on_conflict: Any) -> None:
    s3.begin({"a": 0})
    d = s3.open(on_conflict=on_conflict)
    written = []

    def write(operation: str) -> None:
        if operation == "PutObject" and not written:
            written.append(s3.write("key", b'{"a":0,"theirs":1}'))

    s3.before = write
    calls = [lambda key=key: d.run(lambda d: d.__setitem__(key, 1)) for key in "bc"]
    assert results(in_one_group(d, calls)) == [None, None]
    theirs = {} if on_conflict == "overwrite" else {"theirs": 1}
    assert s3.stored() == {"a": 0, "b": 1, "c": 1} | theirs


def test_a_resolver_that_raises_is_everybodys_error(s3: HookedS3) -> None:
    s3.begin({"a": 0})

    def resolve(key: Any, base: Any, ours: Any, theirs: Any) -> Any:
        raise LookupError("no way")

    d = s3.open(on_conflict=resolve)

    def write(operation: str) -> None:
        if operation == "PutObject":
            s3.write("key", b'{"a":7}')

    s3.before = write
    calls = [lambda: d.run(lambda d: d.__setitem__("a", d["a"] + 1))] * 2
    errors = results(in_one_group(d, calls))
    assert [(type(error), error.unsaved) for error in errors] == [(LookupError, {"a": 2})] * 2
    assert errors[0] is not errors[1]


@pytest.mark.parametrize("name", ["run", "save", "load", "delete"])
@pytest.mark.parametrize("count", [1, 2])
def test_what_goes_to_s3_is_refused_inside_the_function_alone_or_in_a_group(d: D, name: str, count: int) -> None:
    """Otherwise, what a function may do would depend on who else calls at the same time."""
    argument = [len] if name == "run" else []
    errors = results(in_one_group(d, [lambda: d.run(lambda d: getattr(d, name)(*argument))] * count))
    assert [type(error) for error in errors] == [TransactionError] * count
    assert f"{name}() can't be done inside a run()" in str(errors[0])


def test_with_inside_the_function_is_a_transaction(s3: HookedS3, d: D) -> None:
    def nested(d: D) -> None:
        with d:
            log(d, "inner")
        with pytest.raises(Boom), d.transaction():
            fails(d)

    in_one_group(d, [partial(d.run, nested)])[0].result()
    assert_whole(d, s3, {"log": ["inner"]})


def test_unsaved_changes_from_before_are_saved_with_the_group(s3: HookedS3, d: D) -> None:
    d["before"] = 1
    results(in_one_group(d, logging(d, 1, 2)))
    assert_whole(d, s3, {"log": [1, 2], "before": 1})


def test_a_block_of_another_thread_gets_its_turn_between_groups(s3: HookedS3, d: D) -> None:
    """The waiting block comes before the group that forms behind it."""
    order: list[str] = []

    def block() -> None:
        with d:
            order.append("block")

    with Blocker(d):
        first = queue_up(d, [lambda: d.run(lambda d: order.append("first group"))])
        until(lambda: len(d._blocks.turns._waiting) == 1)
        thread = InThread(block)
        until(lambda: len(d._blocks.turns._waiting) == 2)
    results([*first, thread])
    d.run(lambda d: order.append("second group"))
    assert order == ["first group", "block", "second group"]


# Interrupts


@pytest.mark.parametrize("at", [0, 1, 2])
def test_an_interrupted_function_is_undone_and_the_others_go_on(s3: HookedS3, d: D, at: int) -> None:
    """It is the first, which has loaded, or the last, which would save."""

    def interrupt(d: D) -> None:
        log(d, "undone")
        raise KeyboardInterrupt

    calls = logging(d, 1, 2)
    calls.insert(at, partial(d.run, interrupt))
    found = results(in_one_group(d, calls))
    assert isinstance(found.pop(at), KeyboardInterrupt)
    assert found == [1, 2]
    assert_whole(d, s3, {"log": [1, 2]})


def raising_once(s3: HookedS3, operation: str, *, after: bool = False) -> None:
    """Raise Ctrl-C in the thread that sends the next of these requests."""

    def interrupt(sent: str) -> None:
        if sent == operation:
            s3.before = s3.after = lambda _: None
            raise KeyboardInterrupt

    if after:
        s3.after = interrupt
    else:
        s3.before = interrupt


def test_if_the_one_that_loads_is_interrupted_the_next_one_loads(s3: HookedS3, d: D) -> None:
    raising_once(s3, "GetObject")
    first, *others = results(in_one_group(d, logging(d, 1, 2, 3)))
    assert isinstance(first, KeyboardInterrupt)
    assert others == [2, 3]
    assert_whole(d, s3, {"log": [2, 3]})


@pytest.mark.parametrize("after", [False, True])
def test_if_the_one_that_saves_is_interrupted_the_others_are_told_that_the_outcome_is_not_known(
    s3: HookedS3, d: D, after: bool
) -> None:
    """The save may be in S3, so nothing is repeated. The errors carry what may not have been saved."""
    raising_once(s3, "PutObject", after=after)
    *others, last = results(in_one_group(d, logging(d, 1, 2, 3)))
    assert isinstance(last, KeyboardInterrupt)
    assert [type(error) for error in others] == [UnknownOutcomeError] * 2
    assert all(error.uri == d.uri and error.unsaved == {"log": [1, 2, 3]} for error in others)
    check_invariants(d)
    assert_usable(d)


def test_a_child_forked_inside_a_function_does_not_save_what_others_did(s3: HookedS3, d: D) -> None:
    """The parent saves it. The child continues alone with the function that forked."""
    read, write = os.pipe()

    def fork(d: D) -> None:
        log(d, "forks")
        if not children:
            children.append(os.fork())
            if not children[0]:
                children.append(1)

    def call() -> None:
        d.run(fork)
        if not children[0]:
            os.write(write, repr((s3.stored(), len(d._blocks.open))).encode())
            os._exit(0)

    children: list[int] = []
    results(in_one_group(d, [*logging(d, 1), call, *logging(d, 2)]))
    os.waitpid(children[0], 0)
    os.close(write)
    with os.fdopen(read) as pipe:
        assert pipe.read() == repr(({"log": ["forks"]}, 0))
    assert_whole(d, s3, {"log": [1, "forks", 2]})


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # fork with threads
def test_a_child_forked_inside_a_function_alone_goes_on_with_it(d: D) -> None:
    """There is nothing of others to undo, so the function isn't called again."""
    children: list[int] = []

    def fork(d: D) -> None:
        if children:
            os._exit(1)
        children.append(os.fork())

    d.run(fork)
    if not children[0]:
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0


@pytest.mark.parametrize("error", [None, Boom, KeyboardInterrupt])
def test_what_one_leaves_behind_keeps_neither_the_dict_nor_its_function_alive(
    d: D, error: type[BaseException] | None
) -> None:
    class Function:
        def __call__(self, d: D) -> None:
            log(d, 1)
            if error is not None:
                raise error

    def call() -> weakref.ref[Any]:
        function = Function()
        with suppress(Boom, KeyboardInterrupt):
            d.run(function)
        return weakref.ref(function)

    gc.disable()
    try:
        assert in_thread(call)() is None
    finally:
        gc.enable()


def test_a_call_that_is_refused_amid_a_step_leaves_no_group_behind(s3: HookedS3, d: D) -> None:
    """An example is a call by a signal handler while its own thread changes the dict."""
    with d._memory.lock, pytest.raises(TransactionError, match="in the middle of another operation"):
        d.run(log, "refused")
    assert in_thread(partial(d.run, log, 1)) == 1
    assert_whole(d, s3, {"log": [1]})
