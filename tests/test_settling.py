"""What a save or delete finds out about itself and about those before it, on a store in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError

from s3dictionary import ConflictError, S3Dict, StorageError, UnknownOutcomeError
from s3dictionary._s3 import saving
from support.adversary.hooked_s3 import HookedS3
from support.memory_s3 import refusal

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # dicts with unsaved changes are dropped on purpose

D = S3Dict[Any, Any]


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s3dictionary._s3.saving.time.sleep", lambda _: None)


class Store(HookedS3):
    def lose_answer(self, act: Callable[[], object], error: BaseException | None = None) -> None:
        """Do something whose request takes effect, and whose answer doesn't come; or an error comes in its place."""
        lost = error or ConnectionClosedError(endpoint_url="https://s3.example.com")
        self.once("PutObject", lambda: _raise(lost), after=True)
        with pytest.raises(UnknownOutcomeError if error is None else type(error)):
            act()

    def edit(self) -> None:
        """Another tool writes the file, which keeps no metadata."""
        self.write("key", b'{"theirs": 1}')


def _raise(error: BaseException) -> None:
    raise error


@pytest.fixture
def s3() -> Store:
    return Store()


@pytest.fixture
def d(s3: Store) -> D:
    return s3.begin({"n": 0})


def refused(status: int, code: str, *, retries: int = 0) -> BaseException:
    error = refusal("PutObject", status, code)
    error.response["ResponseMetadata"]["RetryAttempts"] = retries
    return error


# Busy stores


def test_a_save_that_was_busy_after_a_lost_answer_is_not_known_to_be_refused(s3: Store, d: D) -> None:
    """botocore had no answer, tried again, and was told to slow down. The first request may have taken effect."""
    s3.once("PutObject", lambda: _raise(refused(503, "SlowDown", retries=1)), after=True)
    s3.before = lambda operation: s3.edit() if operation == "HeadObject" else None
    d["n"] = 1
    with pytest.raises(UnknownOutcomeError):
        d.save()


def test_a_429_asks_to_try_again_whatever_its_code(s3: Store, d: D) -> None:
    s3.faults.append(refused(429, "QuotaExceeded"))
    d["n"] = 1
    d.save()
    assert s3.stored() == {"n": 1}


def test_requests_that_take_long_count_as_waiting_for_a_busy_store(
    s3: Store, d: D, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("s3dictionary._s3.saving.time.monotonic", lambda: clock[0])
    s3.requests.clear()

    def be_slow(operation: str) -> None:
        clock[0] += saving._Request.patience / 2
        s3.faults.append(refused(503, "SlowDown"))

    s3.before = be_slow
    with pytest.raises(StorageError, match="SlowDown"):
        d.save()
    assert s3.requests["PutObject"] == 2


# Refusals


def test_a_save_that_was_refused_leaves_no_doubt_to_the_next_one(s3: Store, d: D) -> None:
    d["n"] = 1
    s3.faults.append(refused(403, "AccessDenied"))
    with pytest.raises(StorageError):
        d.save()
    s3.edit()
    with pytest.raises(ConflictError):
        d.save()


@pytest.mark.parametrize("done", ["written", "deleted"])
def test_a_conflict_is_one_also_if_it_cannot_be_looked_at(s3: Store, d: D, done: str) -> None:
    """No answer was lost, so the refusal alone proves it, and leaves no doubt to the next save."""
    if done == "written":
        s3.edit()
    else:
        s3.objects.clear()
    d["n"] = 1
    s3.once("HeadObject", lambda: _raise(refusal("HeadObject", 403, "AccessDenied")))
    with pytest.raises(ConflictError, match=f"was {done} by someone else"):
        d.save()
    with pytest.raises(ConflictError, match=f"was {done} by someone else"):
        d.save()


def test_a_missing_key_is_no_conflict_where_there_was_no_condition(s3: Store) -> None:
    d = s3.open(on_conflict="overwrite", data={"n": 1})
    s3.faults.append(refused(404, "NoSuchKey"))
    with pytest.raises(StorageError, match="NoSuchKey") as error:
        d.save()
    assert not isinstance(error.value, ConflictError)


def test_a_conflict_settles_the_saves_before_it(s3: Store, d: D) -> None:
    """One that never arrived can't any more, once somebody else has saved."""
    d["n"] = 1
    s3.faults.append(ConnectionClosedError(endpoint_url="https://s3.example.com"))
    with pytest.raises(UnknownOutcomeError):
        d.save()
    with s3.open() as other:
        other["theirs"] = 1
    with pytest.raises(ConflictError):
        d.save()
    s3.edit()
    with pytest.raises(ConflictError):
        d.save()


def test_where_no_metadata_comes_back_the_end_of_the_file_tells_whose_it_is(s3: Store, d: D) -> None:
    d["n"] = 1
    s3.lose_answer(d.save)
    body, etag, _ = s3.objects["key"]
    s3.objects["key"] = (body, etag, {})
    d["n"] = 2
    d.save()
    assert s3.stored() == {"n": 2}


def test_a_file_whose_middle_was_edited_is_not_overwritten(s3: Store, d: D) -> None:
    """Though its metadata and its end, which a tool has kept, are those of our save."""
    body, _, metadata = s3.objects["key"]
    s3.write("key", body.replace(b'"n":0', b'"n":0,"theirs":1'), metadata)
    d["n"] = 1
    with pytest.raises(ConflictError):
        d.save()
    assert s3.stored() == {"n": 0, "theirs": 1}


def test_a_store_that_compares_etags_without_quotes_is_understood(s3: Store, d: D) -> None:
    """As older Ceph gateways do. From the second save on, that costs no further request."""
    put, sent = s3.put_object, []

    def put_object(**request: Any) -> dict[str, Any]:
        sent.append(request["IfMatch"])
        if '"' in request["IfMatch"]:
            raise refusal("PutObject", 412, "PreconditionFailed")
        return put(**request | {"IfMatch": f'"{request["IfMatch"]}"'})

    s3.put_object = put_object  # type: ignore[method-assign]
    for number in (1, 2):
        d["n"] = number
        d.save()
    assert s3.stored() == {"n": 2}
    assert len(sent) == 3


def test_a_save_without_an_answer_that_was_edited_since_is_none_to_go_on_from(s3: Store, d: D) -> None:
    """Its middle was: its metadata and its end are those of our save, which took effect before."""

    def edit() -> None:
        body, _, metadata = s3.objects["key"]
        s3.write("key", body.replace(b'"n":1', b'"n":7'), metadata)
        raise refused(503, "SlowDown", retries=1)

    s3.once("PutObject", edit, after=True)
    d["n"] = 1
    d.save()
    d["n"] = 2
    with pytest.raises(ConflictError):
        d.save()
    assert s3.stored() == {"n": 7}


# Saves that were undone in memory after an interrupt


def interrupted(s3: Store, d: D) -> None:
    """A block's save takes effect, and Ctrl-C comes before its answer."""

    def block() -> None:
        with d:
            d["undone"] = 1

    s3.lose_answer(block, KeyboardInterrupt())
    d["n"] = 2


@pytest.fixture(params=["update", "create"])
def undone(request: pytest.FixtureRequest, s3: Store) -> D:
    d = s3.begin({"n": 0}) if request.param == "update" else s3.open()
    interrupted(s3, d)
    return d


def test_a_save_takes_the_place_of_an_interrupted_one(s3: Store, undone: D) -> None:
    undone.save()
    assert undone == s3.stored() == {"n": 2}


def test_not_if_somebody_has_edited_it_since(s3: Store, undone: D) -> None:
    body, _, metadata = s3.objects["key"]
    s3.write("key", b'{"theirs": 1}', metadata)
    with pytest.raises(ConflictError):
        undone.save()
    assert s3.objects["key"][0] == b'{"theirs": 1}' != body


def test_it_gives_up_if_the_store_refuses_that(s3: Store, undone: D) -> None:
    s3.faults.extend(refused(412, "PreconditionFailed") for _ in range(5))
    with pytest.raises(ConflictError):
        undone.save()
    assert len(s3.faults) == 3, "it has tried twice"


# Deletes


def test_a_delete_that_was_refused_leaves_no_doubt(s3: Store, d: D) -> None:
    s3.edit()
    with pytest.raises(ConflictError):
        d.delete()
    assert not d.changed


@pytest.mark.parametrize("saved", [False, True])
def test_a_file_that_is_made_anew_after_our_own_delete_was_created_by_someone_else(
    s3: Store, d: D, saved: bool
) -> None:
    """Nothing that had no answer is in doubt any more, be it the delete or a save before it."""
    d["n"] = 1
    if saved:
        s3.lose_answer(d.save)
    lost = ConnectionClosedError(endpoint_url="https://s3.example.com")
    s3.after = lambda _: None if s3.objects else _raise(lost)
    with pytest.raises(UnknownOutcomeError):
        d.delete()
    s3.once("HeadObject", s3.edit, after=True)
    with pytest.raises(ConflictError, match="was created by someone else"):
        d.save()


@pytest.fixture
def after_lost_delete(s3: Store, d: D) -> D:
    """A dict whose delete never arrived, which it doesn't know."""
    lost = ConnectionClosedError(endpoint_url="https://s3.example.com")
    s3.once("DeleteObject", lambda: _raise(lost))
    with pytest.raises(UnknownOutcomeError):
        d.delete()
    return d


def test_a_file_that_somebody_deleted_after_a_later_save_is_not_made_anew(s3: Store, after_lost_delete: D) -> None:
    """Our own delete explains that it is gone only if no save may have come in between."""
    s3.lose_answer(after_lost_delete.save)
    s3.objects.clear()
    with pytest.raises(UnknownOutcomeError):
        after_lost_delete.save()
    assert not s3.objects


def test_nor_is_one_that_somebody_deleted_while_it_was_being_saved(s3: Store, after_lost_delete: D) -> None:
    def delete() -> None:
        s3.objects.clear()
        raise refused(503, "SlowDown", retries=1)

    s3.once("PutObject", delete, after=True)
    with pytest.raises(UnknownOutcomeError):
        after_lost_delete.save()
    assert not s3.objects


def test_a_delete_does_not_take_along_a_block_that_was_undone_in_memory(s3: Store, d: D) -> None:
    """Its save took effect after all, so there is more in the file than whoever deletes it knows."""
    d["n"] = 1

    def block() -> None:
        with d:
            d["undone"] = 1

    s3.lose_answer(block)
    with pytest.raises(ConflictError):
        d.delete()
    assert s3.stored() == {"n": 1, "undone": 1}


def test_a_delete_gives_up_if_the_store_refuses_every_version(s3: Store, d: D) -> None:
    """That of a save without an answer, too, which it would delete."""
    d["n"] = 1
    s3.lose_answer(d.save)
    refusals: list[Any] = []

    def refuse(**request: Any) -> dict[str, Any]:
        refusals.append(request["IfMatch"])
        assert len(refusals) < 10, "it never gives up"
        raise refusal("DeleteObject", 412, "PreconditionFailed")

    s3.delete_object = refuse  # type: ignore[method-assign]
    with pytest.raises(ConflictError):
        d.delete()
    assert d == {"n": 1}


# What others conclude from a file that was made anew


def test_a_save_that_was_overwritten_is_not_known_to_be_refused(s3: Store, d: D) -> None:
    other = s3.open(on_conflict="overwrite")
    d["n"] = 1
    s3.lose_answer(d.save)
    other["other"] = 1
    other.save()
    with pytest.raises(UnknownOutcomeError):
        d.save()


def test_a_save_that_was_deleted_is_not_known_to_be_refused_by_a_late_creator(s3: Store) -> None:
    """Who has made the file, without an answer, makes it once more after others have saved on it and deleted it."""
    creator = s3.open(data={"n": 0})
    s3.lose_answer(creator.save)
    d = s3.open()
    d["n"] = 1
    s3.lose_answer(d.save)
    s3.open().delete()
    creator.save()
    with pytest.raises(UnknownOutcomeError):
        d.save()


def test_a_save_that_an_unconditional_delete_has_removed_is_not_known_to_be_refused(s3: Store, d: D) -> None:
    """Some stores ignore the condition of a delete."""
    other, delete = s3.open(), s3.delete_object
    d["n"] = 1
    s3.lose_answer(d.save)

    def delete_object(**request: Any) -> dict[str, Any]:
        delete(**{name: value for name, value in request.items() if name != "IfMatch"})
        raise ConnectionClosedError(endpoint_url="https://s3.example.com")

    s3.delete_object = delete_object  # type: ignore[method-assign]
    with pytest.raises(UnknownOutcomeError):
        other.delete()
    other.save()
    with pytest.raises(UnknownOutcomeError):
        d.save()


def test_a_block_that_took_effect_after_a_lost_save_is_found(s3: Store, d: D) -> None:
    """It was undone in memory, with nothing unsaved before it but a save that never arrived."""
    s3.faults.append(ConnectionClosedError(endpoint_url="https://s3.example.com"))
    with pytest.raises(UnknownOutcomeError):
        d.save()

    def block() -> None:
        with d:
            d["undone"] = 1

    s3.lose_answer(block)
    with pytest.raises(ConflictError, match="an earlier save took effect, although it was rolled back in memory"):
        d.save()
