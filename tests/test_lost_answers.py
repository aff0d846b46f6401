"""Answers that get lost: every save takes effect exactly once, and what isn't known is said to be so.

botocore sends a PUT again whose answer got lost, and S3 refuses the resend of one that did succeed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError

from s3dictionary import BucketNotFoundError, ConflictError, S3Dict, StorageError, UnknownOutcomeError
from support.proxy import Answer, Call, LateAnswer, LostAnswer, Reset
from support.servers import Site

ONCE = Config(retries={"total_max_attempts": 1})
IMPATIENT = Config(retries={"total_max_attempts": 1}, read_timeout=0.5)


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Remove botocore's random waits of up to 1 s, 2 s, 4 s … before it repeats a request."""
    monkeypatch.setattr("random.random", lambda: 0.0)
    return


def state(s3: Site, **options: Any) -> S3Dict:
    return S3Dict(s3.bucket, **{"file_name": "state.json", **s3.options, **options})


def loaded(s3: Site, **options: Any) -> S3Dict:
    """A counter that was loaded from a file, with its requests cleared."""
    S3Dict(s3.bucket, file_name="state.json", data={"n": 5}, **s3.direct).save()
    d = state(s3, **options)
    s3.requests.clear()
    return d


def others_add(s3: Site, times: int = 1) -> None:
    """Add with another program that uses this library."""
    other = S3Dict(s3.bucket, file_name="state.json", **s3.direct)
    for _ in range(times):
        other["n"] += 1
        other.save()


def content(s3: Site) -> Any:
    return json.loads(s3.read("state.json"))


def then_others_add(s3: Site, times: int = 1) -> Call:
    """Let the server execute the request, and let others save on top before the connection breaks."""

    def lose(request: Any, forward: Any) -> None:
        forward(request)
        others_add(s3, times)

    return Call(lose, method="PUT")


# botocore has sent it again


@pytest.mark.parametrize("exists", [True, False])
def test_a_save_whose_answer_is_lost_takes_effect_once(s3: Site, exists: bool) -> None:
    d = loaded(s3) if exists else state(s3, default={"n": 5})
    s3.requests.clear()
    d["n"] += 1
    s3.faults.append(LostAnswer())
    d.save()
    assert [(exchange.method, exchange.status) for exchange in s3.requests.log] == [
        ("PUT", 200),
        ("PUT", 412),
        ("HEAD", 200),
    ]
    assert content(s3) == {"n": 6}
    assert not d.changed


def test_after_a_lost_answer_saving_goes_on_as_always(moto_s3: Site) -> None:
    d = loaded(moto_s3)
    d["n"] += 1
    moto_s3.faults.append(LostAnswer())
    d.save()
    assert d.etag == moto_s3.client.head_object(Bucket=moto_s3.bucket, Key="state.json")["ETag"]
    moto_s3.requests.clear()
    d["n"] += 1
    d.save()
    assert moto_s3.requests.count() == {"PUT": 1}
    assert content(moto_s3) == {"n": 7}


def test_a_lost_answer_at_the_end_of_a_with_goes_unnoticed(moto_s3: Site) -> None:
    with loaded(moto_s3) as d:
        d["n"] += 1
        moto_s3.faults.append(LostAnswer(method="PUT"))
    assert content(moto_s3) == {"n": 6}


def test_a_lost_answer_to_an_autosaved_update_goes_unnoticed(moto_s3: Site) -> None:
    d = loaded(moto_s3, autosave=True)
    moto_s3.faults.append(LostAnswer())
    d["n"] += 1
    d["n"] += 1
    assert content(moto_s3) == {"n": 7}


@pytest.mark.parametrize("others", [1, 31])
def test_a_save_that_others_have_saved_on_top_of_took_effect(s3: Site, others: int) -> None:
    d = loaded(s3)
    d["n"] += 1
    s3.faults.append(then_others_add(s3, others))
    d.save()
    assert content(s3) == {"n": 6 + others}
    assert not d.changed


def test_and_the_next_save_after_that_meets_a_conflict(moto_s3: Site) -> None:
    d = loaded(moto_s3)
    d["n"] += 1
    moto_s3.faults.append(then_others_add(moto_s3))
    d.save()
    d["n"] += 1
    with pytest.raises(ConflictError):
        d.save()
    assert content(moto_s3) == {"n": 7}
    d.load()
    assert d == {"n": 7}


def test_and_a_block_after_that_has_what_the_others_saved(moto_s3: Site) -> None:
    d = loaded(moto_s3)
    d["n"] += 1
    moto_s3.faults.append(then_others_add(moto_s3))
    d.save()
    with d:
        assert d["n"] == 7
        d["n"] += 1
    assert content(moto_s3) == {"n": 8}


def test_an_equal_save_of_someone_else_is_not_taken_for_ours(s3: Site) -> None:
    """Both change 5 to 6, and upload the same value. Ours never reached the server."""
    d = loaded(s3)
    d["n"] += 1

    def overtaken(request: Any, forward: Any) -> None:
        others_add(s3)

    s3.faults.append(Call(overtaken))
    with pytest.raises(ConflictError):
        d.save()
    assert content(s3) == {"n": 6}
    assert d.changed


def test_a_request_that_never_reached_the_server_is_sent_again(moto_s3: Site) -> None:
    d = loaded(moto_s3)
    d["n"] += 1
    moto_s3.faults.append(Reset())
    d.save()
    assert moto_s3.requests.count() == {"PUT": 2}
    assert content(moto_s3) == {"n": 6}


def test_a_server_error_after_the_save_took_effect_is_no_second_save(moto_s3: Site) -> None:
    d = loaded(moto_s3)
    d["n"] += 1

    def fail(request: Any, forward: Any) -> Any:
        forward(request)
        return Answer(500, "InternalError")(request, forward)

    moto_s3.faults.append(Call(fail))
    d.save()
    assert content(moto_s3) == {"n": 6}


def test_a_deleted_file_tells_nothing_so_it_is_not_known(moto_s3: Site) -> None:
    d = loaded(moto_s3)
    d["n"] += 1

    def lose(request: Any, forward: Any) -> None:
        forward(request)
        moto_s3.client.delete_object(Bucket=moto_s3.bucket, Key="state.json")

    moto_s3.faults.append(Call(lose))
    with pytest.raises(UnknownOutcomeError):
        d.save()
    assert d.changed


@pytest.mark.parametrize("applied", [True, False])
def test_if_what_is_there_cannot_be_seen_the_outcome_is_not_known(s3: Site, applied: bool) -> None:
    """The library never guesses."""
    d = loaded(s3)
    d["n"] += 1
    if applied:
        s3.faults.append(LostAnswer(method="PUT"))
    else:
        s3.faults.append(Call(lambda request, forward: others_add(s3), method="PUT"))
    s3.faults.append(Answer(403, "AccessDenied", method="HEAD"))
    with pytest.raises(StorageError, match="not known whether the save took effect") as error:
        d.save()
    assert not isinstance(error.value, ConflictError)
    assert type(error.value.__cause__).__module__.startswith("botocore")
    assert d.changed

    if applied:
        d.save()
    else:
        with pytest.raises(ConflictError):
            d.save()
    assert content(s3) == {"n": 6}


# No answer at all


def test_no_answer_at_all_is_said_to_be_unknown(moto_s3: Site) -> None:
    d = loaded(moto_s3, config=ONCE)
    d["n"] += 1
    moto_s3.faults.append(LostAnswer())
    with pytest.raises(StorageError, match="not known whether the save took effect") as error:
        d.save()
    assert (error.value.status, error.value.code, error.value.operation) == (None, None, "PutObject")
    assert d == {"n": 6}
    assert d.changed


def test_a_late_answer_is_none(s3: Site) -> None:
    d = loaded(s3, config=IMPATIENT)
    d["n"] += 1
    s3.faults.append(LateAnswer(1))
    with pytest.raises(StorageError, match="not known"):
        d.save()
    d.save()
    assert content(s3) == {"n": 6}


@pytest.mark.parametrize("fault", [LostAnswer(), Reset()], ids=["applied", "not applied"])
@pytest.mark.parametrize("exists", [True, False])
def test_the_next_explicit_save_settles_it(s3: Site, fault: Any, exists: bool) -> None:
    d = loaded(s3, config=ONCE) if exists else state(s3, default={"n": 5}, config=ONCE)
    d["n"] += 1
    s3.faults.append(fault)
    with pytest.raises(StorageError, match="not known"):
        d.save()
    d["more"] = 1
    d.save()
    assert content(s3) == {"n": 6, "more": 1}
    assert not d.changed
    d.save()


def test_several_unknown_saves_in_a_row_are_settled(moto_s3: Site) -> None:
    d = loaded(moto_s3, config=ONCE)
    for fault in LostAnswer(), Reset(), LostAnswer(), Reset():
        d["n"] += 1
        moto_s3.faults.append(fault)
        with pytest.raises(StorageError, match="not known"):
            d.save()
    d.save()
    assert content(moto_s3) == {"n": 9}


def unknown(s3: Site, fault: Any) -> S3Dict:
    """A dict with a save of unknown outcome. Then others save."""
    d = loaded(s3, config=ONCE)
    d["n"] += 1
    s3.faults.append(fault)
    with pytest.raises(UnknownOutcomeError):
        d.save()
    others_add(s3)
    return d


def test_the_next_save_finds_that_it_took_effect_below_those_of_others(s3: Site) -> None:
    """The save is done, so it isn't sent again. Later changes are a conflict."""
    d = unknown(s3, LostAnswer())
    assert d.changed
    d.save()
    assert not d.changed
    d["more"] = 1
    with pytest.raises(ConflictError):
        d.save()
    assert content(s3) == {"n": 7}


def test_what_changed_since_it_took_effect_is_a_conflict_with_those_of_others(s3: Site) -> None:
    """The first change is in S3 and counts as saved. The second isn't, and is still in memory."""
    d = unknown(s3, LostAnswer())
    d["more"] = 1
    with pytest.raises(ConflictError):
        d.save()
    assert content(s3) == {"n": 7}
    assert d == {"n": 6, "more": 1}
    assert d.changed


def test_what_was_taken_back_since_it_took_effect_is_a_change(s3: Site) -> None:
    """A key is added, removed and added again, around a save without an answer."""
    d = loaded(s3, config=ONCE)
    del d["n"]
    s3.faults.append(LostAnswer())
    with pytest.raises(UnknownOutcomeError):
        d.save()
    d["n"] = 5
    d.save()
    assert content(s3) == {"n": 5}


def test_the_next_save_is_a_conflict_where_it_took_none(s3: Site) -> None:
    d = unknown(s3, Reset())
    with pytest.raises(ConflictError):
        d.save()
    assert content(s3) == {"n": 6}


def test_an_interrupted_save_is_one_that_got_no_answer(s3: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C comes while the answer is on its way. The next save finds out, and builds on it."""
    client = s3.proxied_client()
    S3Dict(s3.bucket, file_name="state.json", data={"n": 5}, **s3.direct).save()
    d = S3Dict(s3.bucket, file_name="state.json", client=client)
    d["n"] += 1
    put_object = client.put_object

    def interrupted(**request: Any) -> None:
        put_object(**request)
        raise KeyboardInterrupt

    monkeypatch.setattr(client, "put_object", interrupted)
    with pytest.raises(KeyboardInterrupt):
        d.save()
    monkeypatch.setattr(client, "put_object", put_object)
    assert d.changed
    d["n"] += 1
    d.save()
    assert content(s3) == {"n": 7}


def test_run_never_repeats_what_is_not_known(moto_s3: Site) -> None:
    d = loaded(moto_s3, config=ONCE)
    calls: list[Any] = []
    moto_s3.faults.append(LostAnswer(method="PUT"))
    with pytest.raises(UnknownOutcomeError):
        d.run(lambda d: calls.append(d.update(n=d["n"] + 1)))
    assert len(calls) == 1
    assert content(moto_s3) == {"n": 6}


def test_a_409_after_a_lost_answer_is_no_refusal(moto_s3: Site) -> None:
    """The library waits, and then finds that the save has taken effect."""
    d = loaded(moto_s3)
    d["n"] += 1
    moto_s3.faults.extend([LostAnswer(), Answer(409, "OperationAborted")])
    d.save()
    assert content(moto_s3) == {"n": 6}


def test_the_next_save_does_not_guess_either(moto_s3: Site) -> None:
    """It is refused because the unknown save took effect, or because of another writer. A HEAD shows which."""
    d = loaded(moto_s3, config=ONCE)
    d["n"] += 1
    moto_s3.faults.append(LostAnswer())
    with pytest.raises(StorageError, match="not known"):
        d.save()
    moto_s3.faults.append(Answer(500, "InternalError", method="HEAD"))
    with pytest.raises(StorageError, match="not known") as error:
        d.save()
    assert not isinstance(error.value, ConflictError)
    d.save()
    assert content(moto_s3) == {"n": 6}


@pytest.mark.parametrize("fault", [LostAnswer(), Reset()], ids=["applied", "not applied"])
def test_load_shows_which_way_it_went(moto_s3: Site, fault: Any) -> None:
    d = loaded(moto_s3, config=ONCE)
    d["n"] += 1
    moto_s3.faults.append(fault)
    with pytest.raises(StorageError, match="load\\(\\) shows"):
        d.save()
    d.load()
    assert d["n"] == content(moto_s3)["n"]
    d["n"] += 1
    d.save()
    assert content(moto_s3) == d


@pytest.mark.parametrize("fault", [LostAnswer(), Reset()], ids=["applied", "not applied"])
def test_after_a_block_of_unknown_outcome_the_next_one_starts_from_what_is_there(moto_s3: Site, fault: Any) -> None:
    """Memory was rolled back, so the next block loads. The error carries the block's changes."""
    d = loaded(moto_s3, config=ONCE)
    moto_s3.faults.append(Call(fault, method="PUT"))
    with pytest.raises(StorageError, match="not known") as error, d:
        d["n"] += 1
    assert error.value.unsaved == {"n": 6}
    assert d == {"n": 5}
    before = content(moto_s3)["n"]
    with d:
        assert d["n"] == before
        d["n"] += 1
    assert content(moto_s3) == {"n": before + 1}


def test_after_an_autosaved_update_of_unknown_outcome_nothing_is_overwritten(moto_s3: Site) -> None:
    """Memory was rolled back, so saving it would undo an update that took effect."""
    d = loaded(moto_s3, autosave=True, config=ONCE)
    moto_s3.faults.append(LostAnswer())
    with pytest.raises(StorageError, match="not known"):
        d["n"] += 1
    assert d == {"n": 5}
    with pytest.raises(ConflictError):
        d["other"] = 1
    assert content(moto_s3) == {"n": 6}


def test_a_server_error_is_an_unknown_outcome(moto_s3: Site) -> None:
    d = loaded(moto_s3, config=ONCE)
    d["n"] += 1
    moto_s3.faults.append(Answer(503, "ServiceUnavailable"))
    with pytest.raises(StorageError, match="not known"):
        d.save()


def _then_unreachable(d_client: Any) -> None:
    """After the first request, the endpoint can't be reached."""
    sent: list[Any] = []

    def refuse(request: Any, **_: Any) -> None:
        sent.append(request)
        if len(sent) > 1:
            raise EndpointConnectionError(endpoint_url=request.url)

    d_client.meta.events.register("before-send.s3.PutObject", refuse)


@pytest.mark.parametrize("fault", [LostAnswer(), Reset()], ids=["applied", "not applied"])
def test_a_lost_answer_and_then_no_connection_is_an_unknown_outcome(moto_s3: Site, fault: Any) -> None:
    """botocore reports only its last attempt. The first one may have taken effect."""
    moto_s3.write("state.json", b'{"n": 5}')
    client = moto_s3.proxied_client()
    d = S3Dict(moto_s3.bucket, file_name="state.json", client=client)
    d["n"] += 1
    moto_s3.faults.append(fault)
    _then_unreachable(client)
    with pytest.raises(StorageError, match="not known") as error:
        d.save()
    assert isinstance(error.value.__cause__, EndpointConnectionError)
    client.meta.events.unregister("before-send.s3.PutObject")


@pytest.mark.parametrize("code", ["ExpiredToken", "AccessDenied"])
def test_a_lost_answer_and_then_a_refusal_is_an_unknown_outcome(moto_s3: Site, code: str) -> None:
    """Credentials can expire between the two attempts."""
    d = loaded(moto_s3)
    d["n"] += 1
    moto_s3.faults.extend([LostAnswer(), Answer(403, code)])
    with pytest.raises(StorageError, match="not known") as error:
        d.save()
    assert error.value.code == code
    d.save()
    assert content(moto_s3) == {"n": 6}


@pytest.mark.parametrize(
    "answer", [Answer(403, "AccessDenied"), Answer(400, "ExpiredToken"), Answer(501, "NotImplemented")]
)
def test_a_plain_refusal_is_a_known_outcome(moto_s3: Site, answer: Answer) -> None:
    d = loaded(moto_s3)
    moto_s3.faults.append(answer)
    with pytest.raises(StorageError) as error:
        d.save()
    assert "not known" not in str(error.value)


def test_a_missing_bucket_is_a_known_outcome(moto_s3: Site) -> None:
    d = loaded(moto_s3)
    moto_s3.faults.append(Answer(404, "NoSuchBucket"))
    with pytest.raises(BucketNotFoundError) as error:
        d.save()
    assert "not known" not in str(error.value)


# Other requests


def test_a_get_or_delete_without_an_answer_does_not_speak_of_a_save(moto_s3: Site) -> None:
    d = loaded(moto_s3, config=ONCE)
    for action in d.load, d.delete:
        moto_s3.faults.append(LostAnswer())
        with pytest.raises(StorageError) as error:
            action()
        assert "save" not in str(error.value)


def test_a_delete_whose_answer_is_lost_is_sent_again(moto_s3: Site) -> None:
    d = loaded(moto_s3)
    moto_s3.faults.append(LostAnswer())
    d.delete()
    assert moto_s3.requests.count() == {"DELETE": 2}
    assert d == {}


def test_a_delete_without_an_answer_is_not_known_and_the_next_load_shows(moto_s3: Site) -> None:
    d = loaded(moto_s3, config=ONCE)
    moto_s3.faults.append(LostAnswer())
    with pytest.raises(UnknownOutcomeError, match="not known whether the file was deleted"):
        d.delete()
    assert d == {"n": 5}
    assert d.changed
    assert d.load() == {}


def test_a_delete_of_a_save_that_got_no_answer_deletes_just_that(moto_s3: Site) -> None:
    d = loaded(moto_s3, config=ONCE)
    d["n"] += 1
    moto_s3.faults.append(LostAnswer())
    with pytest.raises(UnknownOutcomeError):
        d.save()
    d.delete()
    assert state(moto_s3) == {}


# Many at once


def test_no_increment_is_lost_or_doubled_while_answers_get_lost(seaweed: Site) -> None:
    """Two programs take turns. Every second answer to a PUT is lost, and others save meanwhile."""
    ours = loaded(seaweed)
    for number in range(12):
        seaweed.faults.append(then_others_add(seaweed) if number % 3 == 0 else LostAnswer(method="PUT"))
        with ours:
            ours["n"] += 1
    assert content(seaweed) == {"n": 5 + 12 + 4}
