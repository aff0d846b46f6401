"""`with` and `transaction()`: what they load, save and undo, what they refuse, and who waits for whom."""

from __future__ import annotations

import functools
import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import s3dictionary._loads
from s3dictionary import (
    AccessDeniedError,
    ConflictError,
    CorruptFileError,
    NotStorableError,
    Rollback,
    S3Dict,
    S3DictError,
    StorageError,
    TransactionError,
)
from s3dictionary._format import codec
from s3dictionary._memory import Memory
from s3dictionary._turns import Turn
from support.proxy import Answer
from support.servers import Site

KEY = "state.json"
CONTENT = {"a": 1, "list": [1], "nested": {"deep": [{"er": 2}]}}

State = S3Dict[str, Any]


class Failed(Exception):
    """The exception that ends a block."""


class FailedBadly(BaseException):
    """An exception that isn't an `Exception`, as `KeyboardInterrupt`."""


class Undo(Rollback):
    """A caller's own subclass."""


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a busy machine take its time between the constructor and `with`, which isn't tested here."""
    monkeypatch.setattr(s3dictionary._loads, "_JUST_LOADED", 60)


@pytest.fixture
def d(moto_s3: Site) -> Iterator[State]:
    """A dict loaded from a file, with its requests cleared. The next `with` loads again."""
    yield from opened(moto_s3)


@pytest.fixture
def auto(moto_s3: Site) -> Iterator[State]:
    """The same with autosave."""
    yield from opened(moto_s3, autosave=True)


def opened(s3: Site, **options: Any) -> Iterator[State]:
    s3.write(KEY, json.dumps(CONTENT).encode())
    d: State = S3Dict(s3.bucket, file_name=KEY, **s3.options, **options)
    d._store._loaded_at = float("-inf")
    s3.requests.clear()
    yield d
    s3.faults.clear()
    d._check()
    assert not d._memory.savepoints, "a block is still open"
    assert is_free(d)


def saved(s3: Site) -> Any:
    return json.loads(s3.read(KEY))


def is_free(d: State) -> bool:
    """Whether another thread can update the dict."""
    free = []
    thread = threading.Thread(target=lambda: free.append(d._blocks.turns.take(Turn(), seconds=1)))
    thread.start()
    thread.join()
    d._blocks.turns.current = None
    return free == [True]


def block(d: State, kind: str) -> Any:
    return d if kind == "with" else d.transaction()


both = pytest.mark.parametrize("kind", ["with", "transaction"])


# with: loading --------------------------------------------------------------------------------------------------------


def test_with_gives_the_dict(d: State) -> None:
    with d as inside:
        assert inside is d


def test_with_right_after_the_constructor_sends_one_get_in_all(moto_s3: Site) -> None:
    moto_s3.write(KEY, b'{"a":1}')
    with S3Dict(moto_s3.bucket, file_name=KEY, **moto_s3.options) as d:
        assert d["a"] == 1
    assert moto_s3.requests.count() == {"GET": 1}


def test_with_right_after_the_constructor_that_edits_sends_one_get_and_one_put_in_all(moto_s3: Site) -> None:
    moto_s3.write(KEY, b'{"a":1}')
    with S3Dict(moto_s3.bucket, file_name=KEY, **moto_s3.options) as d:
        d["a"] += 1
        d["b"] = 3
        del d["b"]
    assert moto_s3.requests.count() == {"GET": 1, "PUT": 1}
    assert saved(moto_s3) == {"a": 2}


def test_a_with_later_on_loads_and_is_told_that_nothing_changed(moto_s3: Site, d: State) -> None:
    with d:
        assert d == CONTENT
    [get] = moto_s3.requests.log
    assert (get.method, get.status, get.response_body) == ("GET", 304, b"")


def test_a_second_with_loads_again_however_soon(moto_s3: Site) -> None:
    with S3Dict(moto_s3.bucket, file_name=KEY, **moto_s3.options) as d:
        d["a"] = 1
    moto_s3.write(KEY, b'{"a":5}')
    with d:
        assert d["a"] == 5
        d["a"] += 1
    assert saved(moto_s3) == {"a": 6}


def test_with_brings_what_others_wrote(moto_s3: Site, d: State) -> None:
    held = d["list"]
    moto_s3.write(KEY, b'{"a": 7, "list": [1]}')
    with d:
        assert d == {"a": 7, "list": [1]}
        assert d["list"] is held  # unchanged, so it is still the one
    assert moto_s3.requests.count() == {"GET": 1}


def test_with_on_a_missing_file_that_only_reads_writes_nothing(moto_s3: Site) -> None:
    with S3Dict(moto_s3.bucket, file_name=KEY, **moto_s3.options) as d:
        assert d == {}
        assert d.get("a") is None
    assert moto_s3.requests.count() == {"GET": 1}
    assert d.etag is None


def test_with_that_changes_something_and_changes_it_back_writes_nothing(moto_s3: Site, d: State) -> None:
    with d:
        d["a"] += 1
        d["list"].append(2)
        d["a"] -= 1
        d["list"].pop()
    assert moto_s3.requests.count() == {"GET": 1}


def test_with_that_only_reads_needs_no_permission_to_write(moto_s3: Site, d: State) -> None:
    moto_s3.faults.append(Answer(403, "AccessDenied", method="PUT", forever=True))
    with d:
        assert list(d.values()) == list(CONTENT.values())


@pytest.mark.parametrize("edit", [lambda d: d.update(a=9), lambda d: d["nested"]["deep"][0].update(er=9)])
def test_changes_made_before_entering_are_kept_and_saved(
    moto_s3: Site, d: State, edit: Callable[[State], object]
) -> None:
    edit(d)
    changed = json.loads(json.dumps(dict(d)))
    with d:
        assert d == changed
    assert saved(moto_s3) == changed
    assert moto_s3.requests.count() == {"PUT": 1}


def test_changes_made_before_entering_are_saved_only_on_the_version_they_are_based_on(moto_s3: Site, d: State) -> None:
    d["a"] = 2
    moto_s3.write(KEY, b'{"a":"theirs"}')
    with pytest.raises(ConflictError) as raised, d:
        d["b"] = 3
    assert saved(moto_s3) == {"a": "theirs"}
    assert d == {**CONTENT, "a": 2}  # as on entering
    assert raised.value.unsaved == {**CONTENT, "a": 2, "b": 3}


def test_data_of_the_constructor_is_kept_and_saved(moto_s3: Site) -> None:
    with S3Dict(moto_s3.bucket, file_name=KEY, data={"a": 1}, **moto_s3.options) as d:
        assert d == {"a": 1}
    assert saved(moto_s3) == {"a": 1}
    assert moto_s3.requests.count() == {"GET": 1, "PUT": 1}


def test_a_default_is_saved_with_the_first_change_and_not_before(moto_s3: Site) -> None:
    d: State = S3Dict(moto_s3.bucket, file_name=KEY, default={"a": 1}, **moto_s3.options)
    with d:
        assert d == {"a": 1}
    assert moto_s3.requests.count() == {"GET": 1}
    with d:
        d["b"] = 2
    assert saved(moto_s3) == {"a": 1, "b": 2}


def test_data_given_to_the_constructor_overwrites_nobody_in_between(moto_s3: Site) -> None:
    moto_s3.write(KEY, b'{"old":1}')
    d = S3Dict(moto_s3.bucket, file_name=KEY, data={"a": 1}, **moto_s3.options)
    moto_s3.write(KEY, b'{"theirs":1}')
    with pytest.raises(ConflictError), d:
        d["b"] = 2
    assert saved(moto_s3) == {"theirs": 1}
    assert d == {"a": 1}


@pytest.mark.parametrize(
    ("fault", "error"),
    [(Answer(403, "AccessDenied", method="GET"), AccessDeniedError), (None, CorruptFileError)],
)
def test_if_loading_fails_the_block_is_not_entered_and_memory_is_as_before(
    moto_s3: Site, d: State, fault: Any, error: type[S3DictError]
) -> None:
    held = d["list"]
    if fault:
        moto_s3.faults.append(fault)
    else:
        moto_s3.write(KEY, b"{")
    entered = False
    with pytest.raises(error), d:
        entered = True
    assert not entered
    assert d == CONTENT
    assert d["list"] is held
    assert is_free(d)


# with: saving ---------------------------------------------------------------------------------------------------------


def test_with_saves_once_at_its_end(moto_s3: Site, d: State) -> None:
    with d:
        for number in range(5):
            d[f"k{number}"] = number
        d["nested"]["deep"].append(3)
        assert moto_s3.requests.count() == {"GET": 1}
    assert moto_s3.requests.count() == {"GET": 1, "PUT": 1}
    assert saved(moto_s3) == d
    assert not d.changed


def test_with_saves_what_only_an_alias_saw(moto_s3: Site, d: State) -> None:
    deep = d["nested"]["deep"][0]
    with d:
        deep["er"] = 3
    assert saved(moto_s3)["nested"] == {"deep": [{"er": 3}]}


def test_with_saves_a_change_of_order(moto_s3: Site, d: State) -> None:
    with d:
        d["a"] = d.pop("a")
    assert list(saved(moto_s3)) == ["list", "nested", "a"]


@both
@pytest.mark.parametrize("error", [Failed, KeyboardInterrupt, GeneratorExit, SystemExit, FailedBadly])
def test_any_exception_saves_nothing_restores_memory_and_goes_on(
    moto_s3: Site, auto: State, error: type[BaseException], kind: str
) -> None:
    d = auto
    held = d["list"]
    raised = error("this very one")
    with pytest.raises(error) as caught, block(d, kind):
        d["a"] = 2
        held.append(2)
        d["nested"]["deep"].clear()
        del d["list"]
        raise raised
    assert caught.value is raised
    assert moto_s3.requests.count()["PUT"] == 0
    assert list(d.items()) == list(CONTENT.items())
    assert d["list"] is held
    assert not d.changed


def test_a_generator_that_is_closed_in_a_block_undoes_it(moto_s3: Site, d: State) -> None:
    def work() -> Iterator[None]:
        with d:
            d["a"] = 2
            yield

    generator = work()
    next(generator)
    assert d["a"] == 2
    generator.close()  # type: ignore[attr-defined]
    assert d == CONTENT
    assert moto_s3.requests.count() == {"GET": 1}


def test_what_was_changed_before_entering_is_still_there_after_an_exception(d: State) -> None:
    d["a"] = 2
    d["list"].append(2)
    with pytest.raises(Failed), d:
        d["a"] = 3
        d["list"].append(3)
        raise Failed
    assert (d["a"], d["list"]) == (2, [1, 2])
    assert d.changed


def test_the_same_dict_can_be_entered_again(moto_s3: Site, d: State) -> None:
    for _ in range(3):
        with d:
            d["a"] += 1
        with pytest.raises(Failed), d:
            d["a"] += 1
            raise Failed
    assert saved(moto_s3)["a"] == 4


def test_with_inside_with_is_a_transaction(moto_s3: Site, d: State) -> None:
    with d:
        d["a"] = 2
        with d as inside:
            assert inside is d
            d["b"] = 3
        with pytest.raises(Failed), d:
            d["a"] = 4
            raise Failed
        assert moto_s3.requests.count() == {"GET": 1}
    assert moto_s3.requests.count() == {"GET": 1, "PUT": 1}
    assert saved(moto_s3) == {**CONTENT, "a": 2, "b": 3}


def test_with_inside_a_transaction_neither_loads_nor_saves(moto_s3: Site, d: State) -> None:
    with d.transaction(), d:
        d["a"] = 2
    assert not moto_s3.requests.log
    assert d["a"] == 2
    assert d.changed


# transaction() --------------------------------------------------------------------------------------------------------


def test_a_transaction_gives_the_dict(d: State) -> None:
    with d.transaction() as inside:
        assert inside is d


def test_a_transaction_without_autosave_is_in_memory_only(moto_s3: Site, d: State) -> None:
    with d.transaction():
        d["a"] = 2
    assert not moto_s3.requests.log
    d.save()
    assert saved(moto_s3)["a"] == 2


def test_transactions_in_with_are_saved_at_its_end(moto_s3: Site, d: State) -> None:
    with d:
        for number in range(3):
            with d.transaction():
                d["list"].append(number)
        assert moto_s3.requests.count() == {"GET": 1}
    assert moto_s3.requests.count() == {"GET": 1, "PUT": 1}
    assert saved(moto_s3)["list"] == [1, 0, 1, 2]


def test_an_exception_rolls_back_that_block_alone(moto_s3: Site, d: State) -> None:
    with d:
        d["a"] = 2
        with d.transaction():
            d["a"] = 3
            with pytest.raises(Failed), d.transaction():
                d["a"] = 4
                d["list"].append(4)
                raise Failed
            assert (d["a"], d["list"]) == (3, [1])
        assert d["a"] == 3
    assert saved(moto_s3)["a"] == 3


def test_caught_further_out_it_rolls_back_every_block_on_its_way(moto_s3: Site, d: State) -> None:
    with d:
        d["a"] = 2
        with pytest.raises(Failed), d.transaction():
            d["a"] = 3
            with d.transaction(), d.transaction():
                d["a"] = 4
                raise Failed
        assert d["a"] == 2
    assert saved(moto_s3)["a"] == 2


def test_a_committed_inner_block_is_undone_if_an_outer_one_fails(d: State) -> None:
    with pytest.raises(Failed), d:
        with d.transaction():
            d["a"] = 2
            d["list"].append(2)
        raise Failed
    assert d == CONTENT


def test_a_transaction_object_can_be_used_again_also_inside_itself(d: State) -> None:
    transaction = d.transaction()
    for _ in range(2):
        with transaction:
            d["a"] += 1
            with pytest.raises(Failed), transaction:
                d["a"] += 10
                raise Failed
    assert d["a"] == 3


# Rollback -------------------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("error", [Rollback, Rollback("why"), Undo])
def test_rollback_undoes_the_block_and_goes_on_quietly(moto_s3: Site, auto: State, error: Any, kind: str) -> None:
    d = auto
    with block(d, kind):
        d["a"] = 2
        d["list"].append(2)
        raise error
    assert d == CONTENT
    assert moto_s3.requests.count()["PUT"] == 0


def test_rollback_undoes_the_innermost_block_only(moto_s3: Site, d: State) -> None:
    with d:
        d["a"] = 2
        with d.transaction():
            d["a"] = 3
            raise Rollback
        d["b"] = 4
    assert saved(moto_s3) == {**CONTENT, "a": 2, "b": 4}


# save(), load() and delete() in a block -------------------------------------------------------------------------------


def test_save_in_with_is_a_checkpoint(moto_s3: Site, d: State) -> None:
    held = d["list"]
    with pytest.raises(Failed), d:
        held.append(2)
        d["a"] = 2
        d.save()
        held.append(3)
        d["a"] = 3
        raise Failed
    assert (d["a"], d["list"]) == (2, [1, 2])
    assert d["list"] is held
    assert saved(moto_s3) == d
    assert not d.changed


def test_after_a_save_in_with_its_end_saves_only_if_more_changed(moto_s3: Site, d: State) -> None:
    with d:
        d["a"] = 2
        d.save()
    assert moto_s3.requests.count() == {"GET": 1, "PUT": 1}
    with d:
        d["a"] = 3
        d.save()
        d["a"] = 4
    assert moto_s3.requests.count() == {"GET": 2, "PUT": 3}
    assert saved(moto_s3)["a"] == 4


def test_transactions_go_on_after_a_checkpoint(moto_s3: Site, d: State) -> None:
    with d:
        with d.transaction():
            d["list"].append(2)
        d.save()
        with pytest.raises(Failed), d.transaction():
            d["list"].append(3)
            raise Failed
        with d.transaction():
            d["list"].append(4)
    assert saved(moto_s3)["list"] == [1, 2, 4]


def test_a_save_in_with_that_fails_leaves_memory_and_the_block_as_they_are(moto_s3: Site, d: State) -> None:
    with d:
        d["a"] = 2
        moto_s3.faults.append(Answer(403, "AccessDenied", method="PUT"))
        with pytest.raises(AccessDeniedError) as raised:
            d.save()
        assert raised.value.unsaved is None
        assert d["a"] == 2
    assert saved(moto_s3)["a"] == 2


def test_after_a_save_in_with_that_failed_the_block_still_goes_back_to_its_begin(moto_s3: Site, d: State) -> None:
    moto_s3.faults.append(Answer(403, "AccessDenied", method="PUT"))
    with pytest.raises(AccessDeniedError), d:
        d["a"] = 2
        d.save()
    assert d == CONTENT


def test_load_in_with_is_a_checkpoint(moto_s3: Site, d: State) -> None:
    with pytest.raises(Failed), d:
        d["a"] = 2
        moto_s3.write(KEY, b'{"theirs":[1]}')
        d.load()
        assert d == {"theirs": [1]}
        d["theirs"].append(2)
        raise Failed
    assert d == {"theirs": [1]}
    assert not d.changed


def test_delete_in_with_is_a_checkpoint(moto_s3: Site, d: State) -> None:
    with pytest.raises(Failed), d:
        d["a"] = 2
        d.delete()
        assert d == {}
        d["b"] = 3
        raise Failed
    assert d == {}
    assert d.etag is None
    with d:
        d["c"] = 4
    assert saved(moto_s3) == {"c": 4}


FORBIDDEN = [
    pytest.param(lambda d: d.save(), id="save"),
    pytest.param(lambda d: d.load(), id="load"),
    pytest.param(lambda d: d.delete(), id="delete"),
    pytest.param(lambda d: d.run(lambda d: d.clear()), id="run"),
]


@contextmanager
def with_in_with(d: State) -> Iterator[None]:
    with d, d:
        yield


@contextmanager
def transaction_in_with(d: State) -> Iterator[None]:
    with d, d.transaction():
        yield


@pytest.mark.parametrize("forbidden", FORBIDDEN)
@pytest.mark.parametrize("inside", [lambda d: d.transaction(), with_in_with, transaction_in_with])
def test_in_a_transaction_they_are_refused_and_do_nothing(
    moto_s3: Site, d: State, inside: Any, forbidden: Callable[[State], object]
) -> None:
    with inside(d):
        d["a"] = 2
        before = moto_s3.requests.count()
        with pytest.raises(TransactionError, match="block"):
            forbidden(d)
        assert moto_s3.requests.count() == before
        assert d == {**CONTENT, "a": 2}
    assert d["a"] == 2


def test_run_is_refused_in_with_too(d: State) -> None:
    with d, pytest.raises(TransactionError, match=r"run\(\)"):
        d.run(lambda d: d.clear())
    assert d == CONTENT


def test_a_transaction_error_is_a_runtime_error_and_undoes_the_block_it_leaves(d: State) -> None:
    with pytest.raises(RuntimeError), d.transaction():
        d["a"] = 2
        d.save()
    assert d == CONTENT


# The decorator --------------------------------------------------------------------------------------------------------


def test_a_decorated_function_is_a_transaction(d: State) -> None:
    @d.transaction()
    def book(amount: int, *, fail: bool = False) -> str:
        """Book it."""
        d["a"] += amount
        if fail:
            raise Failed
        return "booked"

    assert book(2) == "booked"
    assert d["a"] == 3
    with pytest.raises(Failed):
        book(2, fail=True)
    assert d["a"] == 3
    assert (book.__name__, book.__doc__) == ("book", "Book it.")


def test_a_decorated_function_may_call_itself(d: State) -> None:
    @d.transaction()
    def count_down(number: int) -> None:
        d["list"].append(number)
        if number:
            try:
                count_down(number - 1)
            except Failed:
                d["list"].append("undone")
        else:
            raise Failed

    count_down(2)
    assert d["list"] == [1, 2, 1, "undone"]


def test_a_decorated_function_may_be_called_in_a_block_and_by_several_threads(moto_s3: Site, d: State) -> None:
    @d.transaction()
    def add() -> None:
        d["a"] += 1

    with d:
        add()
        add()
    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert saved(moto_s3)["a"] == 3
    assert d["a"] == 11


async def coroutine() -> None:
    pass


def generator() -> Iterator[None]:
    yield


async def async_generator() -> Any:
    yield


@pytest.mark.parametrize("function", [coroutine, generator, async_generator, functools.partial(coroutine)])
def test_a_function_that_would_run_after_the_transaction_is_refused(d: State, function: Any) -> None:
    with pytest.raises(TypeError, match=r"with d\.transaction"):
        d.transaction()(function)


def test_a_transaction_in_a_generator_lasts_until_its_end(d: State) -> None:
    def work() -> Iterator[int]:
        with d.transaction():
            d["a"] = 2
            yield d["a"]
            raise Failed

    with pytest.raises(Failed):
        list(work())
    assert d == CONTENT


# Autosave -------------------------------------------------------------------------------------------------------------


def test_with_autosave_the_outermost_transaction_saves_once_at_its_end(moto_s3: Site, auto: State) -> None:
    with auto.transaction():
        auto["a"] = 2
        with auto.transaction():
            auto["list"].append(2)
        auto.update(b=1, c=2)
        assert not moto_s3.requests.log
    assert moto_s3.requests.count() == {"PUT": 1}
    assert saved(moto_s3) == auto


@both
def test_with_autosave_a_block_that_changes_nothing_saves_nothing(moto_s3: Site, auto: State, kind: str) -> None:
    with block(auto, kind):
        assert auto["list"] == [1]
        auto["a"] = 1
    assert moto_s3.requests.count()["PUT"] == 0


def test_with_autosave_a_with_saves_once_at_its_end(moto_s3: Site, auto: State) -> None:
    with auto:
        auto["a"] = 2
        auto["b"] = 3
        auto.pop("a")
    assert moto_s3.requests.count() == {"GET": 1, "PUT": 1}


def test_with_autosave_a_transaction_that_was_undone_saves_nothing(moto_s3: Site, auto: State) -> None:
    with auto.transaction():
        auto["a"] = 2
        with auto.transaction():
            auto["list"].append(2)
        raise Rollback
    assert not moto_s3.requests.log


def test_after_a_block_autosave_saves_each_update_again(moto_s3: Site, auto: State) -> None:
    with auto.transaction():
        auto["a"] = 2
    auto["a"] = 3
    auto["a"] = 4
    assert moto_s3.requests.count() == {"PUT": 3}


# Saves that fail ------------------------------------------------------------------------------------------------------


def edit(d: State) -> None:
    d.update({"a": 2, "new": (3, {4})})
    d["list"].append(2)
    d.pop("nested")["deep"].clear()


def end_of_with(d: State) -> None:
    with d:
        edit(d)


def end_of_transaction(d: State) -> None:
    with d.transaction():
        edit(d)


UNSAVED = {"a": 2, "list": [1, 2], "new": (3, {4})}


def refused(s3: Site) -> type[S3DictError]:
    s3.faults.append(Answer(403, "AccessDenied", method="PUT"))
    return AccessDeniedError


def failing(s3: Site) -> type[S3DictError]:
    s3.faults.append(Answer(501, "NotImplemented", method="PUT"))
    return StorageError


@pytest.mark.parametrize("end", [end_of_with, end_of_transaction])
@pytest.mark.parametrize("fault", [refused, failing])
def test_if_the_save_at_the_end_fails_memory_goes_back_and_the_error_has_what_was_not_saved(
    moto_s3: Site, auto: State, end: Callable[[State], None], fault: Callable[[Site], type[S3DictError]]
) -> None:
    d = auto
    held = d["list"], d["nested"], d["nested"]["deep"]
    with pytest.raises(fault(moto_s3)) as raised:
        end(d)
    assert list(d.items()) == list(CONTENT.items())
    assert (d["list"], d["nested"], d["nested"]["deep"]) == held
    assert all(now is then for now, then in zip((d["list"], d["nested"], d["nested"]["deep"]), held, strict=True))
    assert not d.changed
    assert type(raised.value.unsaved) is dict
    assert raised.value.unsaved == UNSAVED
    assert raised.value.unsaved is raised.value.unsaved
    assert saved(moto_s3) == CONTENT


@pytest.mark.parametrize("end", [end_of_with, end_of_transaction])
def test_what_cannot_be_stored_undoes_the_block_too(moto_s3: Site, auto: State, end: Any) -> None:
    d = auto
    held = d["list"]
    odd = object()
    with pytest.raises(NotStorableError) as raised, d.transaction():
        held.append(odd)
        end(d)
    assert raised.value.path == "d['list'][1]"
    assert raised.value.unsaved == {**UNSAVED, "list": [1, odd, 2]}
    assert raised.value.unsaved["list"] is not held
    assert d == CONTENT
    assert d["list"] is held
    assert moto_s3.requests.count()["PUT"] == 0


UPDATES = [
    pytest.param(lambda d: d.__setitem__("a", 2), {**CONTENT, "a": 2}, id="setitem"),
    pytest.param(lambda d: d.__delitem__("a"), {"list": [1], "nested": CONTENT["nested"]}, id="delitem"),
    pytest.param(lambda d: d.update(a=2, b=3), {**CONTENT, "a": 2, "b": 3}, id="update"),
    pytest.param(lambda d: d.__ior__({"b": 3}), {**CONTENT, "b": 3}, id="ior"),
    pytest.param(lambda d: d.setdefault("b", [3]), {**CONTENT, "b": [3]}, id="setdefault"),
    pytest.param(lambda d: d.pop("a"), {"list": [1], "nested": CONTENT["nested"]}, id="pop"),
    pytest.param(lambda d: d.popitem(), {"a": 1, "list": [1]}, id="popitem"),
    pytest.param(lambda d: d.clear(), {}, id="clear"),
]


@pytest.mark.parametrize(("update", "unsaved"), UPDATES)
def test_an_autosaved_update_whose_save_fails_is_undone(
    moto_s3: Site, auto: State, update: Callable[[State], object], unsaved: dict[str, Any]
) -> None:
    held = auto["list"], auto["nested"]
    moto_s3.write(KEY, b'{"theirs":1}')
    with pytest.raises(ConflictError) as raised:
        update(auto)
    assert list(auto.items()) == list(CONTENT.items())
    assert (auto["list"] is held[0], auto["nested"] is held[1]) == (True, True)
    assert raised.value.unsaved == unsaved
    assert saved(moto_s3) == {"theirs": 1}


def test_an_autosaved_update_that_cannot_be_stored_is_undone(moto_s3: Site, auto: State) -> None:
    odd = object()
    with pytest.raises(NotStorableError) as raised:
        auto["a"] = odd
    assert auto == CONTENT
    assert raised.value.unsaved == {**CONTENT, "a": odd}
    assert not moto_s3.requests.log
    auto["a"] = 2
    assert saved(moto_s3)["a"] == 2


@pytest.mark.parametrize("value", [object(), [[object()]]])
def test_an_explicit_save_that_fails_leaves_memory_as_it_is(moto_s3: Site, d: State, value: Any) -> None:
    held = d["list"]
    held.append(2)
    moto_s3.faults.append(Answer(403, "AccessDenied", method="PUT"))
    with pytest.raises(AccessDeniedError) as raised:
        d.save()
    assert raised.value.unsaved is None
    d["odd"] = value
    with pytest.raises(NotStorableError):
        d.save()
    del d["odd"]
    assert d == {**CONTENT, "list": [1, 2]}
    assert d["list"] is held
    d.save()
    assert saved(moto_s3)["list"] == [1, 2]


def test_a_loop_that_tries_again_just_enters_again(moto_s3: Site, d: State) -> None:
    in_the_way = iter([b'{"a":10}', b'{"a":20}'])
    for _ in range(5):
        try:
            with d:
                for body in in_the_way:
                    moto_s3.write(KEY, body)
                    break
                d["a"] += 1
            break
        except ConflictError:
            continue
    assert saved(moto_s3) == {"a": 21}


# Threads --------------------------------------------------------------------------------------------------------------


@contextmanager
def block_in_another_thread(d: State, kind: str, edit: Callable[[], object]) -> Iterator[None]:
    """A thread that stays in a block after an edit, until this context ends."""
    inside, leave = threading.Event(), threading.Event()

    def work() -> None:
        with block(d, kind):
            edit()
            inside.set()
            leave.wait(30)

    thread = threading.Thread(target=work)
    thread.start()
    assert inside.wait(30)
    yield
    leave.set()
    thread.join()


def in_a_thread(function: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=function)
    thread.start()
    return thread


@both
@pytest.mark.parametrize(
    "update",
    [
        lambda d: d.__setitem__("b", 1),
        lambda d: d.pop("a"),
        lambda d: d.clear(),
        lambda d: d.save(),
        lambda d: d.load(),
        lambda d: d.transaction()(len)("a"),
    ],
)
def test_updates_of_other_threads_wait_for_the_end_of_a_block(d: State, kind: str, update: Any) -> None:
    done = threading.Event()

    def wait() -> None:
        update(d)
        done.set()

    with block_in_another_thread(d, kind, lambda: d.update(a=2)):
        thread = in_a_thread(wait)
        assert not done.wait(0.1)
        assert d["a"] == 2
    thread.join(30)
    assert done.is_set()


@both
def test_reads_of_other_threads_do_not_wait(d: State, kind: str) -> None:
    with block_in_another_thread(d, kind, lambda: d.update(a=2)):
        assert d["list"] == [1]  # not decoded yet
        assert d.get("a") == 2
        assert "nested" in d
        assert len(d) == 3
        assert list(d) == ["a", "list", "nested"]
        assert d.changed
        assert d == {**CONTENT, "a": 2}
        assert repr(d)
        assert dict(d.items())
        assert d.data


def test_what_another_thread_reads_first_in_a_block_is_undone_with_it(d: State) -> None:
    read = []

    def work() -> None:
        d["a"] = 2
        thread = in_a_thread(lambda: read.append(d["nested"]))
        thread.join()
        d["nested"]["deep"].clear()

    with pytest.raises(Failed), d.transaction():
        work()
        raise Failed
    assert read == [CONTENT["nested"]]
    assert d["nested"] is read[0]


def test_threads_that_touch_a_value_at_once_get_the_same_object(moto_s3: Site, d: State) -> None:
    for _ in range(20):
        d.load()
        moto_s3.write(KEY, json.dumps(CONTENT).encode())
        barrier = threading.Barrier(4)
        got = []

        def touch(barrier: threading.Barrier = barrier, got: list[Any] = got) -> None:
            barrier.wait()
            got.append(d["nested"])

        for thread in [in_a_thread(touch) for _ in range(4)]:
            thread.join()
        assert len({id(value) for value in got}) == 1


def test_a_value_that_is_read_and_replaced_at_once_is_replaced() -> None:
    """Reads don't wait, and the first one decodes the file's text."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(100):
            memory = Memory()
            memory.load({number: codec.Raw(b"[1]") for number in range(300)}, None)
            barrier = threading.Barrier(2)

            def read(memory: Memory = memory, barrier: threading.Barrier = barrier) -> None:
                barrier.wait()
                for number in range(300):
                    memory.touch(number)

            reader = in_a_thread(read)
            barrier.wait()
            for number in range(300):
                with memory.lock:
                    memory.put(number, "new")
            reader.join()
            assert set(memory.objects().values()) == {"new"}
            memory.check()
    finally:
        sys.setswitchinterval(interval)


def test_no_update_is_lost_between_threads(d: State) -> None:
    def work() -> None:
        for _ in range(50):
            with d.transaction():
                d["a"] += 1
                d["list"].append(d["a"])

    for thread in [in_a_thread(work) for _ in range(4)]:
        thread.join()
    assert d["a"] == 201
    assert d["list"] == list(range(1, 202))


def save_fails(s3: Site, d: State) -> None:
    s3.faults.append(Answer(403, "AccessDenied", method="PUT"))
    with d:
        d["a"] = 2


def load_fails(s3: Site, d: State) -> None:
    s3.faults.append(Answer(403, "AccessDenied", method="GET"))
    with d:
        pass


def body_fails(s3: Site, d: State) -> None:
    with d, d.transaction():
        raise Failed


def explicit_save_fails(s3: Site, d: State) -> None:
    s3.faults.append(Answer(403, "AccessDenied", method="PUT"))
    d.save()


def explicit_load_fails(s3: Site, d: State) -> None:
    s3.faults.append(Answer(403, "AccessDenied", method="GET"))
    d.load()


def delete_fails(s3: Site, d: State) -> None:
    s3.faults.append(Answer(403, "AccessDenied", method="DELETE"))
    d.delete()


def update_fails(s3: Site, d: State) -> None:
    d.autosave = True
    d["a"] = object()


def lookup_fails(s3: Site, d: State) -> None:
    del d["nothing"]


def hash_fails(s3: Site, d: State) -> None:
    d[[]] = 1  # type: ignore[index]


@pytest.mark.parametrize(
    "failure",
    [
        save_fails,
        load_fails,
        body_fails,
        explicit_save_fails,
        explicit_load_fails,
        delete_fails,
        update_fails,
        lookup_fails,
        hash_fails,
    ],
)
def test_the_lock_is_released_after_every_failure(
    moto_s3: Site, d: State, failure: Callable[[Site, State], None]
) -> None:
    with pytest.raises((S3DictError, Failed, KeyError, TypeError)):
        failure(moto_s3, d)
    assert is_free(d)
    assert d == CONTENT


def test_the_lock_is_released_if_a_block_is_interrupted_while_it_saves(
    moto_s3: Site, d: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(d._file, "put", interrupted)
    with pytest.raises(KeyboardInterrupt), d:
        d["a"] = 2
        d["list"].append(2)
    assert is_free(d)
    assert d == CONTENT
