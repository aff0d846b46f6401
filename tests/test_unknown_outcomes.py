"""Whatever happens to the requests of a few dicts on one file, what each is told is true, and nothing is done twice.

A model of what they were told goes along with the real `S3Dict`, at random, on a store in memory that loses requests
and answers, delays them, refuses, and interrupts. Each update adds a token, and 1 to a count; so what was lost, saved
after all, or done twice shows in some version of the file.
"""

from __future__ import annotations

import copy
import gc
import json
import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError

from s3dictionary import MISSING, ConflictError, S3Dict, StorageError, UnknownOutcomeError
from support.adversary.scenes import check_invariants
from support.memory_s3 import MemoryS3, refusal
from support.stress import TIME_LIMIT, seeded, times

pytestmark = [
    pytest.mark.timeout(TIME_LIMIT),
    pytest.mark.filterwarnings("ignore::UserWarning"),  # dicts with unsaved changes are dropped on purpose
]

D = S3Dict[Any, Any]
FAULTS = {
    "PutObject": [
        "lost",
        "answer lost",
        "late",
        "interrupt",
        "late interrupt",
        "denied",
        "busy",
        "error",
        "late error",
    ],
    "DeleteObject": ["lost", "answer lost", "interrupt", "late interrupt", "denied", "late error"],
    "GetObject": ["lost", "denied"],
    "HeadObject": ["lost", "denied", "interrupt"],
}


@pytest.fixture(autouse=True)
def _without_waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("s3dictionary._s3.saving.time.sleep", lambda _: None)
    monkeypatch.setattr("s3dictionary._s3.saving._Request.patience", 0.0)
    monkeypatch.setattr("s3dictionary._s3.saving.Delete.patience", 0.0)
    yield
    gc.collect()


def resolve(key: str, base: Any, ours: Any, theirs: Any) -> Any:
    """Do to theirs what was done to ours, as it is: what is done twice shows."""
    nothing: Any = [] if key == "tokens" else 0
    base, ours, theirs = ((nothing if value is MISSING else value) for value in (base, ours, theirs))
    if key == "tokens":
        kept = [token for token in theirs if token in ours or token not in base]
        return kept + [token for token in ours if token not in base]
    return theirs + ours - base


class Network(MemoryS3):
    """A store, and what happens on the way to it.

    Attributes:
        versions: the content of all versions, the newest last; `{}` after a delete.
        deleted: the tokens that were deleted with the file.
        losing: raised in place of each answer to a PUT or DELETE that took effect.
    """

    def __init__(self, chances: random.Random) -> None:
        super().__init__()
        self.chances = chances
        self.faults_on = False
        self.losing: BaseException | None = None
        self.rate = chances.choice((0.15, 0.3, 0.5))
        self.versions: list[dict[str, Any]] = []
        self.deleted: set[int] = set()
        self.delayed: list[dict[str, Any]] = []
        self.trace: list[Any] = []

    def write(self, key: str, body: bytes, metadata: dict[str, str] | None = None) -> str:
        self.versions.append(json.loads(body))
        return super().write(key, body, metadata)

    def get_object(self, **request: Any) -> dict[str, Any]:
        return self._on_the_way("GetObject", super().get_object, request)

    def head_object(self, **request: Any) -> dict[str, Any]:
        return self._on_the_way("HeadObject", super().head_object, request)

    def put_object(self, **request: Any) -> dict[str, Any]:
        return self._on_the_way("PutObject", super().put_object, request)

    def refuse_after(self, requests: int) -> None:
        """Let some PUTs pass, and refuse the next one."""
        put, left = super().put_object, iter(range(requests))

        def refuse(**request: Any) -> dict[str, Any]:
            if next(left, None) is None:
                raise refusal("PutObject", 403, "AccessDenied")
            return put(**request)

        self.put_object = refuse  # type: ignore[method-assign]

    def delete_object(self, **request: Any) -> dict[str, Any]:
        return self._on_the_way("DeleteObject", self._delete, request)

    def _delete(self, **request: Any) -> dict[str, Any]:
        there = "key" in self.objects
        answer = super().delete_object(**request)
        if there:
            self.deleted |= set(tokens_of(self.versions[-1]))
            self.versions.append({})
        return answer

    def _on_the_way(self, operation: str, arrives: Callable[..., dict[str, Any]], request: dict[str, Any]) -> Any:
        if self.losing is not None and operation in ("PutObject", "DeleteObject"):
            arrives(**request)
            raise self.losing
        if self.delayed and self.chances.random() < 0.3:
            self.deliver()
        if not self.faults_on or self.chances.random() > self.rate / (1 if operation == "PutObject" else 2):
            return arrives(**request)
        fault = self.chances.choice(FAULTS[operation])
        self.trace.append((operation, fault))
        if fault == "late" and "IfMatch" in request:  # a late create can bring back what was deleted
            self.delayed.append(request)
        if fault in ("answer lost", "late interrupt", "late error"):
            arrives(**request)
        if "interrupt" in fault:
            raise KeyboardInterrupt
        if "error" in fault:
            raise refusal(operation, 500, "InternalError")
        if fault == "denied":
            raise refusal(operation, 403, "AccessDenied")
        if fault == "busy":
            raise refusal(operation, 503, "SlowDown")
        raise ConnectionClosedError(endpoint_url="http://127.0.0.1:9")

    def deliver(self) -> None:
        """Let a delayed save arrive."""
        request = self.delayed.pop(self.chances.randrange(len(self.delayed)))
        try:
            super().put_object(**request)
        except StorageError:
            raise
        except Exception as error:  # noqa: BLE001  # nobody hears of its refusal
            self.trace.append(("late", str(error)[:40]))
        else:
            self.trace.append(("late", "took effect"))


def tokens_of(content: Any) -> list[int]:
    return [int(token) for token in (*content.get("tokens", ()), *(key[1:] for key in content if key[0] == "k"))]


class Writer:
    """One dict, and what is known about its tokens."""

    def __init__(self, world: World, mode: str) -> None:
        self.world = world
        self.mode = mode
        self.d: D = S3Dict("bucket", file_name="key", client=world.s3, on_conflict=resolve if mode == "own" else mode)  # type: ignore[arg-type]
        self.pending: list[int] = []

    def add(self) -> int:
        token = self.world.next_token()
        if self.mode == "merge":
            self.d[f"k{token}"] = token
        else:
            self.d.setdefault("tokens", []).append(token)
            self.d["count"] = self.d.get("count", 0) + 1
        return token

    # What it does

    def edit(self) -> None:
        self.pending.append(self.add())

    def load(self) -> None:
        self.d.load()
        self.pending = []

    def save(self) -> None:
        before = dict(self.d)
        try:
            self.d.save()
        except (StorageError, KeyboardInterrupt) as error:
            if is_unknown(error):
                self.world.unknown.update(self.pending)
            assert dict(self.d) == before or self.mode != "raise", "a save that failed changed memory"
            raise
        self.was_saved(self.pending)

    def block(self, checkpoint: bool = False) -> None:
        before, tokens = self.snapshot(), []
        try:
            with self.d:
                before = self.snapshot()
                tokens.append(self.add())
                if checkpoint:
                    self.d.save()
                    self.was_saved([*self.pending, *tokens])
                    before, tokens = self.snapshot(), [self.add()]
        except (StorageError, KeyboardInterrupt) as error:
            self.block_failed(tokens, before, is_unknown(error) or checkpoint)
            raise
        self.was_saved([*self.pending, *tokens])

    def checkpointed_block(self) -> None:
        self.block(checkpoint=True)

    def autosaved(self) -> None:
        before, token = self.snapshot(), self.world.next_token()
        self.d._store.autosave = True
        try:
            self.d[f"k{token}"] = token
        except (StorageError, KeyboardInterrupt) as error:
            self.block_failed([token], before, is_unknown(error))
            raise
        finally:
            self.d._store.autosave = False
        self.was_saved([*self.pending, token])

    def delete(self) -> None:
        seen = set(tokens_of(self.d)) | self.world.unknown
        deleted = set(self.world.s3.deleted)
        try:
            self.d.delete()
            self.pending = []
        finally:
            assert self.world.s3.deleted - deleted <= seen, "it deleted what it had never seen"

    def snapshot(self) -> tuple[list[str], dict[str, Any]]:
        return list(self.d), json.loads(json.dumps(dict(self.d)))

    def block_failed(self, tokens: list[int], before: Any, unknown: bool) -> None:
        assert self.snapshot() == before, "a block that failed has left something in memory"
        if unknown:
            self.world.unknown.update([*self.pending, *tokens])
        else:
            self.world.refused.update(tokens)

    def was_saved(self, tokens: list[int]) -> None:
        self.world.saved.update(tokens)
        self.pending = []


def is_unknown(error: BaseException) -> bool:
    return isinstance(error, (UnknownOutcomeError, KeyboardInterrupt))


class World:
    """A few dicts on one file."""

    def __init__(self, chances: random.Random, deletes: bool) -> None:
        self.chances = chances
        self.s3 = Network(chances)
        self.saved: set[int] = set()
        self.refused: set[int] = set()
        self.unknown: set[int] = set()
        self.last = 0
        mode = chances.choice(("raise", "merge", "own"))
        self.writers = [Writer(self, mode) for _ in range(chances.choice((1, 2, 3)))]
        self.actions = [Writer.edit, Writer.save, Writer.save, Writer.load, Writer.checkpointed_block, Writer.autosaved]
        self.actions += [Writer.block, Writer.block]
        self.actions += [Writer.delete] * deletes

    def next_token(self) -> int:
        self.last += 1
        return self.last

    def run(self, outcomes: Counter[str]) -> None:
        for _ in range(self.chances.randint(3, 16)):
            writer, action = self.chances.choice(self.writers), self.chances.choice(self.actions)
            outcome = self.step(writer, action)
            outcomes[outcome] += 1
            self.s3.trace.append((self.writers.index(writer), writer.mode, action.__name__, outcome, self.last))
            check_invariants(writer.d)
        while self.s3.delayed:
            self.s3.deliver()
        self.check()

    def step(self, writer: Writer, action: Callable[[Writer], None]) -> str:
        self.s3.faults_on = True
        try:
            action(writer)
        except (StorageError, KeyboardInterrupt) as error:
            return type(error).__name__
        finally:
            self.s3.faults_on = False
        return "done"

    def check(self) -> None:
        versions = [Counter(tokens_of(content)) for content in self.s3.versions]
        there = set(versions[-1]) if versions else set()
        assert not [seen for seen in versions if seen and max(seen.values()) > 1], "done twice"
        assert not [each for each in self.s3.versions if each.get("count", 0) != len(each.get("tokens", ()))], (
            "by halves"
        )
        assert not self.saved - there - self.s3.deleted, "told that it was saved, but it is gone"
        assert not (self.refused - self.unknown) & {token for seen in versions for token in seen}, "refused, but saved"


@pytest.mark.parametrize("deletes", [False, True], ids=["no deletes", "deletes"])
def test_what_each_dict_is_told_is_true(deletes: bool) -> None:
    """Each operation is saved, refused or unknown, at most once, and memory is as before if it failed."""
    chances, outcomes = seeded(), Counter[str]()
    for _ in range(times(quick=150, long=20_000)):
        seed = chances.randrange(2**32)
        world = World(random.Random(seed), deletes)
        try:
            world.run(outcomes)
        except AssertionError:
            print(f"random.Random({seed})", *world.s3.trace, sep="\n")
            raise
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
        s3.refuse_after(1)
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


@pytest.mark.parametrize("copied", [S3Dict.copy, copy.copy, copy.deepcopy])
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


@pytest.mark.parametrize("created", [False, True], ids=["opened without a file", "opened with one"])
def test_a_refused_delete_does_not_forget_a_merge_without_an_answer(created: bool) -> None:
    """The next save doesn't add again what the merge has saved."""
    s3 = MemoryS3()
    if created:
        _others_add(s3, 0)
    d = _opened(s3, on_conflict=add)
    if created:
        d.load()
    d["n"] = d.get("n", 0) + 1
    _others_add(s3, 10)
    put, answers = s3.put_object, [False, True]

    def lose_second(**request: Any) -> Any:
        is_lost = answers.pop(0)
        answer = put(**request)
        if is_lost:
            raise ConnectionClosedError(endpoint_url="https://s3.example.com")
        return answer

    s3.put_object = lose_second  # type: ignore[method-assign]
    with pytest.raises(UnknownOutcomeError):
        d.save()
    s3.put_object = put  # type: ignore[method-assign]
    with pytest.raises(ConflictError):
        d.delete()
    d["n"] += 100
    d.save()
    assert _opened(s3)["n"] == d["n"] == 111


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
