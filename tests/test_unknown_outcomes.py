"""Whatever happens to the requests of a few dicts on one file, what each is told is true, and nothing is done twice.

A model of what they were told goes along with the real `S3Dict`, at random, on a store in memory that loses requests
and answers, delays them, refuses, and interrupts, while other dicts and another tool use the file. What the model has
found is tested one by one, too.
"""

from __future__ import annotations

import copy
import gc
import json
import os
import pickle
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from s3dictionary import MISSING, AccessDeniedError, ConflictError, S3Dict, StorageError, UnknownOutcomeError
from support.adversary.network import Network
from support.adversary.scenes import check_invariants
from support.adversary.writers import World, resolve
from support.memory_s3 import MemoryS3, refusal
from support.stress import TIME_LIMIT, seeded, times

pytestmark = [
    pytest.mark.timeout(TIME_LIMIT),
    pytest.mark.filterwarnings("ignore::UserWarning"),  # dicts with unsaved changes are dropped on purpose
]

D = S3Dict[Any, Any]


@pytest.fixture(autouse=True)
def _without_waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("s3dictionary._s3.saving.time.sleep", lambda _: None)
    monkeypatch.setattr("s3dictionary._loads._JUST_LOADED", -1.0)  # the same requests each time
    monkeypatch.setattr("s3dictionary._s3.saving._Request.patience", 0.0)
    monkeypatch.setattr("s3dictionary._s3.saving.Delete.patience", 0.0)
    yield
    gc.collect()


@pytest.mark.parametrize("deletes", [False, True], ids=["no deletes", "deletes"])
def test_what_each_dict_is_told_is_true(deletes: bool) -> None:
    """Each operation is saved, refused or unknown, at most once, and memory is as before if it failed."""
    chances, outcomes = seeded(), Counter[str]()
    for _ in range(times(quick=120, long=20_000)):
        seed = chances.randrange(2**32)
        world = World(random.Random(seed), deletes)
        try:
            world.run()
        except AssertionError:
            print(f"random.Random({seed})", *world.s3.trace, sep="\n")
            raise
        outcomes += world.outcomes
    print(dict(outcomes))
    assert min(outcomes[name] for name in ("done", "ConflictError", "UnknownOutcomeError", "KeyboardInterrupt")) > 10


def add_one(d: D) -> None:
    d["count"] = d.get("count", 0) + 1


@pytest.mark.parametrize("mode", ["raise", "merge", resolve])
def test_what_was_saved_with_a_block_of_unknown_outcome_is_not_merged_again(mode: Any) -> None:
    """Changes from before a block stay in memory when it is undone, but may have been saved with it."""
    s3 = Network(random.Random(0))
    d: D = S3Dict("bucket", file_name="key", client=s3, on_conflict=mode, data={"count": 0})  # type: ignore[arg-type]
    d.save()
    add_one(d)
    lose_answer(s3, lambda: _block(d))
    if mode == "raise":
        with pytest.raises(ConflictError, match="an earlier save took effect"):
            d.save()
        d.load()
    else:
        d.save()
    assert d == {"count": 1, "other": 1}
    assert s3.versions[-1] == {"count": 1, "other": 1}


def _block(d: D) -> None:
    with d:
        d["other"] = 1


def lose_answer(s3: Network, action: Callable[[], None], error: type[BaseException] = UnknownOutcomeError) -> None:
    """Let a request take effect and its answer get lost, or interrupt it before the answer."""
    s3.losing = KeyboardInterrupt() if error is KeyboardInterrupt else ConnectionClosedError(endpoint_url="http://s3")
    with pytest.raises(error):
        action()
    s3.losing = None


def test_the_next_save_takes_the_place_of_an_interrupted_one_that_was_merged() -> None:
    """The content that it was merged with stays."""
    s3 = Network(random.Random(0))
    d: D = S3Dict("bucket", file_name="key", client=s3, on_conflict=resolve, data={"count": 0})  # type: ignore[arg-type]
    d.save()
    d._store.autosave = True
    other: D = S3Dict("bucket", file_name="key", client=s3, data={"count": 10})  # type: ignore[arg-type]
    other.save()
    lose_answer(s3, lambda: add_one(d), KeyboardInterrupt)
    assert d == {"count": 0}
    add_one(d)
    assert d == s3.versions[-1] == {"count": 11}


@pytest.mark.parametrize("keeps_metadata", [True, False])
@pytest.mark.parametrize("error", [UnknownOutcomeError, KeyboardInterrupt])
@pytest.mark.parametrize("way", ["save", "merge", "delete"])
def test_an_edit_of_a_save_that_is_not_known_stays(way: str, error: type[BaseException], keeps_metadata: bool) -> None:
    """Another tool edits what the save wrote, and keeps the white space at its end, by which saves are recognised."""
    s3 = Network(random.Random(0))
    mode: Any = "merge" if way == "merge" else "raise"
    with S3Dict("bucket", file_name="key", client=s3) as other:  # type: ignore[arg-type]
        other.update(a=0, b=0)
    d: D = S3Dict("bucket", file_name="key", client=s3, on_conflict=mode, autosave=True)  # type: ignore[arg-type]
    d.load()
    lose_answer(s3, lambda: update_in_block(d, a=1), error)
    body, _, metadata = s3.objects["key"]
    s3.write("key", body.replace(b'"b":0', b'"b":5'), metadata if keeps_metadata else {})
    if way == "delete":
        with pytest.raises((ConflictError, UnknownOutcomeError)):
            d.delete()
    else:
        with suppress(ConflictError, UnknownOutcomeError):
            update_in_block(d, a=2)
    assert json.loads(s3.objects["key"][0])["b"] == 5


def update_in_block(d: D, **items: Any) -> None:
    with d.transaction():
        d.update(items)


def test_data_that_a_lost_delete_left_in_memory_is_not_dropped_by_a_merge() -> None:
    """It is a conflict with the writer that created the file again."""
    s3 = Network(random.Random(0))
    d: D = S3Dict("bucket", file_name="key", client=s3, on_conflict="merge", data={"kept": 1})  # type: ignore[arg-type]
    d.save()
    lose_answer(s3, d.delete)
    other: D = S3Dict("bucket", file_name="key", client=s3, data={"theirs": 1})  # type: ignore[arg-type]
    other.save()
    d["new"] = 1
    with pytest.raises(ConflictError, match="has created the file again"):
        d.save()
    assert d == {"kept": 1, "new": 1}
    assert s3.versions[-1] == {"theirs": 1}


def test_a_lost_delete_leaves_all_data_to_the_next_save() -> None:
    """This includes changes from before a block of unknown outcome."""
    s3 = Network(random.Random(0))
    d: D = S3Dict("bucket", file_name="key", client=s3, on_conflict=resolve, data={"count": 0})  # type: ignore[arg-type]
    d.save()
    add_one(d)
    s3.faults.append(ConnectionClosedError(endpoint_url="http://127.0.0.1:9"))
    with pytest.raises(UnknownOutcomeError):
        _block(d)
    lose_answer(s3, d.delete)
    assert s3.versions[-1] == {}
    d.save()
    assert d == s3.versions[-1] == {"count": 1}
    assert not d.changed


def lose_checkpoint(s3: Network, d: D, error: type[BaseException] = UnknownOutcomeError) -> None:
    """Let a save() in a block take effect without an answer, which ends the block."""

    def save_in_block() -> None:
        with d:
            add_one(d)
            d.save()

    lose_answer(s3, save_in_block, error)


def test_a_checkpoint_of_unknown_outcome_that_was_rolled_back_is_not_taken_back() -> None:
    """It is in the file, so the next block begins with it."""
    s3 = Network(random.Random(0))
    d: D = S3Dict("bucket", file_name="key", client=s3, data={"count": 0})  # type: ignore[arg-type]
    d.save()
    lose_checkpoint(s3, d)
    assert d == {"count": 0}
    assert not d.changed
    with d:
        assert d == s3.versions[-1] == {"count": 1}


def test_with_unsaved_changes_a_checkpoint_of_unknown_outcome_that_was_rolled_back_is_a_conflict() -> None:
    """The changes from before the block stay in memory, so the next block can't load."""
    s3 = Network(random.Random(0))
    d: D = S3Dict("bucket", file_name="key", client=s3, data={"count": 0})  # type: ignore[arg-type]
    d.save()
    d["other"] = 1
    lose_checkpoint(s3, d)
    assert d == {"count": 0, "other": 1}
    with pytest.raises(ConflictError, match="an earlier save took effect, although it was rolled back in memory"):
        d.save()
    assert s3.versions[-1] == {"count": 1, "other": 1}


def test_the_next_save_takes_the_place_of_an_interrupted_checkpoint_that_was_rolled_back() -> None:
    """Ctrl-C was meant for the whole block."""
    s3 = Network(random.Random(0))
    d: D = S3Dict("bucket", file_name="key", client=s3, data={"count": 0})  # type: ignore[arg-type]
    d.save()
    lose_checkpoint(s3, d, KeyboardInterrupt)
    d["other"] = 1
    d.save()
    assert s3.versions[-1] == {"count": 0, "other": 1}


def test_a_block_goes_on_after_a_checkpoint_of_unknown_outcome() -> None:
    """The save at its end finds that the checkpoint took effect."""
    s3 = Network(random.Random(0))
    d: D = S3Dict("bucket", file_name="key", client=s3, data={"count": 0})  # type: ignore[arg-type]
    d.save()
    with d:
        add_one(d)
        lose_answer(s3, d.save)
        add_one(d)
    assert d == s3.versions[-1] == {"count": 2}
    assert not d.changed


def test_a_block_whose_own_save_is_unknown_keeps_its_changes_in_the_error_and_in_the_file() -> None:
    """The next save doesn't take them back: it is a conflict."""
    s3 = Network(random.Random(0))
    d: D = S3Dict("bucket", file_name="key", client=s3, data={"count": 0})  # type: ignore[arg-type]
    d.save()
    s3.losing = ConnectionClosedError(endpoint_url="http://s3")
    with pytest.raises(UnknownOutcomeError) as info:
        _block(d)
    s3.losing = None
    assert info.value.unsaved == {"count": 0, "other": 1}
    assert d == {"count": 0}
    add_one(d)
    with pytest.raises(ConflictError, match=r"by an earlier save of this dict, .* only your later ones"):
        d.save()
    assert s3.versions[-1] == {"count": 0, "other": 1}


def test_a_block_that_fails_does_not_go_back_behind_a_save_before_it() -> None:
    """What that one has saved is still in memory. So the next save finds that it took effect, and meets no conflict."""
    s3 = Network(random.Random(0))
    d: D = S3Dict("bucket", file_name="key", client=s3, data={"count": 0})  # type: ignore[arg-type]
    d.save()
    add_one(d)
    lose_answer(s3, d.save)
    s3.faults.append(refusal("PutObject", 403, "AccessDenied"))
    with pytest.raises(StorageError):
        _block(d)
    d.save()
    assert d == s3.versions[-1] == {"count": 1}
    assert not d.changed


def test_what_was_taken_back_since_a_save_of_unknown_outcome_is_a_change_even_if_memory_has_let_go_of_it() -> None:
    """Nobody holds the list in the block, and it equals what the file held before the save."""
    s3 = Network(random.Random(0))
    S3Dict("bucket", file_name="key", client=s3, data={"l": [1]}).save()  # type: ignore[arg-type]
    d: D = S3Dict("bucket", file_name="key", client=s3)  # type: ignore[arg-type]
    d["l"].append(2)
    lose_answer(s3, d.save)
    d["l"].pop()
    with d:
        pass
    d.save()
    assert d == s3.versions[-1] == {"l": [1]}
    assert not d.changed


def refuse_after(s3: Network, requests: int) -> None:
    """Let some PUTs pass, and refuse the next one."""
    put, left = s3.put_object, iter(range(requests))

    def refuse(**request: Any) -> dict[str, Any]:
        if next(left, None) is None:
            raise refusal("PutObject", 403, "AccessDenied")
        return put(**request)

    s3.put_object = refuse  # type: ignore[method-assign]


def test_a_block_that_finds_its_checkpoint_in_the_file_can_still_be_undone_exactly() -> None:
    """It has decoded the list from a text that isn't the file's any more."""
    s3 = Network(random.Random(0))
    S3Dict("bucket", file_name="key", client=s3, data={"l": [1], "m": [1]}).save()  # type: ignore[arg-type]
    d: D = S3Dict("bucket", file_name="key", client=s3)  # type: ignore[arg-type]
    with pytest.raises(StorageError), d:
        d["l"].append(2)
        d["m"] = [2]
        lose_answer(s3, d.save)
        d["l"].append(3)
        refuse_after(s3, 1)
    assert d == {"l": [1], "m": [1]}
    check_invariants(d)


# One by one


def add(key: str, base: Any, ours: Any, theirs: Any) -> Any:
    base, ours, theirs = (0 if value is MISSING else value for value in (base, ours, theirs))
    return theirs + ours - base


def _opened(s3: MemoryS3, **options: Any) -> D:
    return S3Dict("bucket", file_name="key", client=s3, **options)


def _others_add(s3: MemoryS3, number: int) -> None:
    with _opened(s3) as other:
        other["n"] = other.get("n", 0) + number


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ConnectionClosedError(endpoint_url="https://s3.example.com")])
def test_what_a_merge_without_an_answer_has_saved_is_not_added_again_if_others_overtake_the_next_save(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """The next save meets the interrupted one, replaces it, and is overtaken by another writer."""
    s3 = MemoryS3()
    _others_add(s3, 0)
    d = _opened(s3, on_conflict=add)
    d["n"] += 1
    _others_add(s3, 10)
    put, acts = s3.put_object, [lambda: None, lambda: None, lambda: _others_add(s3, 100)]

    def put_object(**request: Any) -> dict[str, Any]:
        monkeypatch.setattr(s3, "put_object", put)
        acts.pop(0)()
        answer = put(**request)
        monkeypatch.setattr(s3, "put_object", put_object if acts else put)
        if len(acts) == 1:
            raise error
        return answer

    def refused(**request: Any) -> dict[str, Any]:
        acts.pop(0)
        monkeypatch.setattr(s3, "put_object", put_object)
        return put(**request)

    monkeypatch.setattr(s3, "put_object", refused)
    with pytest.raises(type(error) if isinstance(error, KeyboardInterrupt) else UnknownOutcomeError), d:
        d["m"] = 1
    with d:
        d["z"] = 1
    assert _opened(s3)["n"] == 111


def pickled(d: D) -> D:
    """A pickle has no client, so this one keeps the settings."""
    state = d.__getstate__()
    settings = {"_settings": state.pop("_settings")}
    twin: D = S3Dict.__new__(S3Dict)
    twin.__setstate__(pickle.loads(pickle.dumps(state)) | settings)
    return twin


@pytest.mark.parametrize("copied", [S3Dict.copy, copy.copy, copy.deepcopy, pickled])
def test_a_copy_knows_what_is_not_known(copied: Callable[[D], D]) -> None:
    """The copy doesn't add what the original's save has written."""
    s3 = MemoryS3()
    d = _opened(s3, on_conflict=add)
    d["n"] = 1
    put = s3.put_object

    def lost(**request: Any) -> Any:
        s3.put_object = put  # type: ignore[method-assign]
        put(**request)
        raise ConnectionClosedError(endpoint_url="https://s3.example.com")

    s3.put_object = lost  # type: ignore[method-assign]
    with pytest.raises(UnknownOutcomeError):
        d.save()
    with _opened(s3) as other:
        other["other"] = 1
    copied(d).save()
    assert dict(_opened(s3)) == {"n": 1, "other": 1}


def test_a_late_save_is_not_taken_for_a_later_one_from_another_version() -> None:
    """Both start from a missing file and are merged with the same version, so their generations could be equal."""
    s3 = MemoryS3()
    d = _opened(s3, on_conflict="merge")
    d.load()
    d._store.autosave = True
    with _opened(s3) as other:
        other["theirs"] = 1
    late: list[dict[str, Any]] = []
    put = s3.put_object

    def lose(**request: Any) -> Any:
        if "IfMatch" not in request:
            return put(**request)
        late.append(request)
        raise ConnectionClosedError(endpoint_url="https://s3.example.com")

    def overtake(**request: Any) -> Any:
        if "IfMatch" in request and late:
            put(**late.pop())
        return put(**request)

    s3.put_object = lose  # type: ignore[method-assign]
    with pytest.raises(UnknownOutcomeError):
        d["a"] = 1
    s3.put_object = overtake  # type: ignore[method-assign]
    d["b"] = 1
    assert not late
    assert _opened(s3) == {"theirs": 1, "a": 1, "b": 1}


def test_a_save_that_arrives_after_the_next_was_sent_is_not_added_again() -> None:
    """Each of them replaces an interrupted save. They are two requests on the same version, read twice."""
    s3 = Network(random.Random(0))
    d: D = S3Dict("bucket", file_name="key", client=s3, on_conflict=resolve)  # type: ignore[arg-type]
    add_one(d)
    lose_answer(s3, lambda: _block(d), KeyboardInterrupt)
    put, late = s3.put_object, []

    def lose(**request: Any) -> Any:
        late.append(request)
        raise ConnectionClosedError(endpoint_url="https://s3.example.com")

    s3.put_object = lose  # type: ignore[method-assign]
    for _ in range(2):
        add_one(d)
        with pytest.raises(UnknownOutcomeError):
            d.save()
    s3.put_object = put  # type: ignore[method-assign]
    s3.put_object(**late[0])
    add_one(d)
    d.save()
    assert d["count"] == s3.versions[-1]["count"] == 4


def test_an_interrupted_save_is_not_forgotten_with_the_refusal_of_the_one_that_replaces_it() -> None:
    """Others save on top of it before the next try, which doesn't add again what it has saved."""
    s3 = Network(random.Random(0))
    d: D = S3Dict("bucket", file_name="key", client=s3, on_conflict=resolve, data={"count": 0})  # type: ignore[arg-type]
    d.save()
    add_one(d)
    lose_answer(s3, lambda: _block(d), KeyboardInterrupt)
    s3.faults.append(refusal("PutObject", 403, "AccessDenied"))
    with pytest.raises(StorageError):
        d.save()
    with S3Dict("bucket", file_name="key", client=s3) as other:  # type: ignore[arg-type]
        other["count"] += 10
    add_one(d)
    d.save()
    assert d["count"] == s3.versions[-1]["count"] == 12


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_does_not_take_back_the_checkpoint_of_a_thread_of_the_parent() -> None:
    """The thread doesn't exist in the child, so its block is rolled back there, behind the checkpoint."""
    s3 = Network(random.Random(0))
    d: D = S3Dict("bucket", file_name="key", client=s3, data={"count": 0})  # type: ignore[arg-type]
    d.save()
    d["other"] = 1
    is_saved, is_forked = threading.Event(), threading.Event()

    def hold_block() -> None:
        with d:
            add_one(d)
            lose_answer(s3, d.save)
            is_saved.set()
            is_forked.wait()

    thread = threading.Thread(target=hold_block)
    thread.start()
    is_saved.wait()
    child = os.fork()
    if child == 0:
        try:
            d.save()
        except ConflictError:
            os._exit(0 if s3.versions[-1] == {"count": 1, "other": 1} else 1)
        finally:
            os._exit(2)
    is_forked.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert d == s3.versions[-1] == {"count": 1, "other": 1}


LOST = ConnectionClosedError(endpoint_url="https://s3.example.com")


class Line:
    """What happens to the next PUTs, GETs or DELETEs of a client: each in its turn, and the others arrive as usual."""

    def __init__(self, s3: MemoryS3, method: str, *happens: Callable[[Callable[[], Any]], Any]) -> None:
        self.late: list[Callable[[], Any]] = []
        self._send, self._happens = getattr(s3, method), list(happens)
        setattr(s3, method, self._meet)

    def _meet(self, **request: Any) -> Any:
        arrives = partial(self._send, **request)
        happens = self._happens.pop(0) if self._happens else _arrives
        if happens is _late:
            self.late.append(arrives)
        return happens(arrives)


def _arrives(arrives: Callable[[], Any]) -> Any:
    return arrives()


def _late(arrives: Callable[[], Any]) -> Any:
    raise LOST


def _answer_lost(arrives: Callable[[], Any]) -> Any:
    arrives()
    raise LOST


def _interrupted(arrives: Callable[[], Any]) -> Any:
    arrives()
    raise KeyboardInterrupt


def _overtaken_by(others: Callable[[], Any]) -> Callable[[Callable[[], Any]], Any]:
    def overtaken(arrives: Callable[[], Any]) -> Any:
        others()
        return arrives()

    return overtaken


def _denied(arrives: Callable[[], Any]) -> Any:
    raise refusal("PutObject", 403, "AccessDenied")


@pytest.mark.parametrize("mode", ["raise", "merge"])
def test_a_denied_delete_says_nothing_about_the_one_before(mode: Any) -> None:
    """The first one has deleted the file, so the next save writes all data to a new one."""
    s3 = MemoryS3()
    d = _opened(s3, on_conflict=mode, data={"kept": 1})
    d.save()
    d["new"] = 1
    Line(s3, "delete_object", _answer_lost, _denied)
    with pytest.raises(UnknownOutcomeError):
        d.delete()
    with pytest.raises(AccessDeniedError):
        d.delete()
    d.save()
    assert d == _opened(s3) == {"kept": 1, "new": 1}


@pytest.mark.parametrize("mode", ["raise", "merge"])
@pytest.mark.parametrize("denied", [False, True], ids=["at once", "after a refusal"])
def test_a_late_delete_does_not_remove_what_counts_as_saved(mode: Any, denied: bool) -> None:
    """The next save finds that an earlier one took effect. It writes a new version, which the delete doesn't match."""
    s3 = MemoryS3()
    d = _opened(s3, on_conflict=mode, data={"a": 1})
    d.save()
    d["b"] = 1
    Line(s3, "put_object", _answer_lost, *([_arrives, _denied] if denied else []))
    deletes = Line(s3, "delete_object", _arrives, _late)
    for act in (d.save, d.delete):
        with pytest.raises(UnknownOutcomeError):
            act()
    if denied:
        with pytest.raises(AccessDeniedError):
            d.save()
        assert d.changed
        deletes.late.pop()()
    d.save()
    assert not d.changed
    for late in deletes.late:
        with pytest.raises(ClientError):
            late()
    assert d == _opened(s3) == {"a": 1, "b": 1}


def test_a_late_merge_does_not_bring_back_what_was_removed_since() -> None:
    """The next save writes, although memory and file are equal."""
    s3 = MemoryS3()
    d = _opened(s3, on_conflict="merge", data={"a": 1})
    d.save()
    d["removed"] = 1
    with _opened(s3) as other:
        other["theirs"] = 1
    puts = Line(s3, "put_object", _arrives, _late)
    with pytest.raises(UnknownOutcomeError):
        d.save()
    del d["removed"]
    d.save()
    with pytest.raises(ClientError):
        puts.late[0]()
    assert d == _opened(s3) == {"a": 1, "theirs": 1}


def test_a_replaced_save_is_not_forgotten_if_the_next_one_fails() -> None:
    """What was in it isn't added again."""
    s3 = MemoryS3()
    d = _opened(s3, on_conflict=add, data={"n": 0})
    d.save()
    d["n"] += 1
    Line(s3, "put_object", _interrupted)
    with pytest.raises(KeyboardInterrupt), d:
        d["m"] = 1
    Line(s3, "put_object", _overtaken_by(lambda: _others_add(s3, 10)))
    Line(s3, "get_object", _arrives, _arrives, _arrives, _denied)
    with pytest.raises(AccessDeniedError):
        d.save()
    d.save()
    assert d == _opened(s3) == {"n": 11, "m": 1}


def test_an_interrupt_after_memory_has_taken_over_a_merge_adds_nothing_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory shows that the save took effect, even if nothing else has noted it."""
    s3 = MemoryS3()
    d = _opened(s3, on_conflict=add, data={"n": 0})
    d.save()
    d["n"] += 1
    _others_add(s3, 10)
    monkeypatch.setattr(d._file, "loaded", interrupt)
    with pytest.raises(KeyboardInterrupt):
        d.save()
    monkeypatch.undo()
    d.save()
    assert d == _opened(s3) == {"n": 11}


def interrupt(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_a_save_of_unknown_content_is_not_taken_for_the_content_of_a_later_rollback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An interrupt kept the first rollback from noting what the save had written, and an edit came after it."""
    s3 = MemoryS3()
    d = _opened(s3, on_conflict=add, data={"n": 0})
    d.save()
    d["n"] += 1
    Line(s3, "put_object", _answer_lost)
    monkeypatch.setattr(d._file, "went_back", interrupt)
    with pytest.raises(KeyboardInterrupt), d:
        d["m"] = 1
    monkeypatch.undo()
    _others_add(s3, 10)
    d["n"] += 100
    for _ in range(2):
        with pytest.raises(ConflictError, match="an earlier save took effect"), d:
            d["m"] = 2
    assert d == {"n": 101}
    assert d.changed


def test_each_save_that_creates_the_file_after_a_lost_delete_begins_a_lineage() -> None:
    """The next one may create it once more, and others save on top of that. This proves nothing about the first."""
    s3 = MemoryS3()
    d = _opened(s3, data={"a": 1})
    d.save()
    Line(s3, "delete_object", _answer_lost)
    with pytest.raises(UnknownOutcomeError):
        d.delete()
    puts = Line(s3, "put_object", _arrives, _late, _late)
    lineages = set()
    for _ in range(2):
        with pytest.raises(UnknownOutcomeError):
            d.save()
        puts.late[-1]()
        lineages.add(_opened(s3)._store.version.record.lineage)  # type: ignore[union-attr]
        _opened(s3).delete()
    assert len(lineages) == 2


def test_a_file_that_a_late_request_created_again_is_not_what_a_lost_delete_had_left() -> None:
    """It has the same lineage. All data stays in memory, and the file as it is."""
    s3 = MemoryS3()
    first = _opened(s3, data={"a": 1})
    puts = Line(s3, "put_object", _late)
    with pytest.raises(UnknownOutcomeError):
        first.save()
    puts.late[0]()
    d = _opened(s3, on_conflict="merge")
    d["mine"] = 1
    d.save()
    Line(s3, "delete_object", _answer_lost)
    with pytest.raises(UnknownOutcomeError):
        d.delete()
    puts.late[0]()
    for number in range(3):
        with _opened(s3) as other:
            other["theirs"] = number
    d["new"] = 1
    with pytest.raises(ConflictError, match="has created the file again"):
        d.save()
    assert d == {"a": 1, "mine": 1, "new": 1}
    assert _opened(s3) == {"a": 1, "theirs": 2}


@pytest.mark.parametrize("created", [False, True], ids=["opened without a file", "opened with one"])
@pytest.mark.parametrize("is_late", [False, True], ids=["answer lost", "late"])
def test_a_refused_delete_does_not_forget_a_merge_without_an_answer(created: bool, is_late: bool) -> None:
    """The next save doesn't add again what the merge has saved, or saves while the next save is under way."""
    s3 = MemoryS3()
    if created:
        _others_add(s3, 0)
    d = _opened(s3, on_conflict=add)
    if created:
        d.load()
    d["n"] = d.get("n", 0) + 1
    _others_add(s3, 10)
    puts = Line(s3, "put_object", _arrives, _late if is_late else _answer_lost)
    with pytest.raises(UnknownOutcomeError):
        d.save()
    with pytest.raises(ConflictError):
        d.delete()
    d["n"] += 100
    if is_late:
        Line(s3, "put_object", _overtaken_by(puts.late[0]))
    d.save()
    assert _opened(s3)["n"] == d["n"] == 111


@pytest.mark.parametrize("copied", [S3Dict.copy, copy.deepcopy, pickled])
def test_an_edit_that_came_during_the_save_of_a_merge_is_a_conflict_until_the_next_load(
    copied: Callable[[D], D],
) -> None:
    """Saving it would overwrite what the merge has taken over from the other writer."""
    s3 = MemoryS3()
    d = _opened(s3, on_conflict="merge", data={"l": [1], "n": 0})
    d.save()
    held = d["l"]
    with _opened(s3) as other:
        other["l"].append(2)
    d["n"] = 1
    Line(s3, "put_object", _arrives, _overtaken_by(lambda: held.append(3)))
    d.save()
    for writer in (copied(d), d, d):
        with pytest.raises(ConflictError) as info:
            writer.save()
        assert info.value.keys == ("l",)
    assert _opened(s3) == {"l": [1, 2], "n": 1}
    d.load()["l"].append(3)
    d.save()
    assert _opened(s3) == {"l": [1, 2, 3], "n": 1}
