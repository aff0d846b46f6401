"""delete() removes nothing that others have saved, and says so if its outcome is unknown."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.config import Config

from s3dictionary import ConflictError, S3Dict, UnknownOutcomeError
from support.proxy import AlterHeaders, Answer, Call, LostAnswer, Reset, Response
from support.servers import Site

ONCE = Config(retries={"total_max_attempts": 1})


def state(s3: Site, **options: Any) -> S3Dict:
    return S3Dict(s3.bucket, **{"file_name": "state.json", **s3.options, **options})


def saved(s3: Site, **options: Any) -> S3Dict:
    """A dict that matches its file, with its requests cleared."""
    d = state(s3, data={"n": 1}, **options)
    d.save()
    s3.requests.clear()
    return d


def others_save(s3: Site) -> None:
    with S3Dict(s3.bucket, file_name="state.json", **s3.direct) as other:
        other["theirs"] = 1


def exists(s3: Site) -> bool:
    return "Contents" in s3.client.list_objects_v2(Bucket=s3.bucket)


def test_it_names_the_version_that_may_be_deleted(s3: Site) -> None:
    """It sends one DELETE, and nothing else."""
    d = saved(s3)
    etag = d.etag
    d.delete()
    assert s3.requests.count() == {"DELETE": 1}
    assert s3.requests.log[0].headers["If-Match"] == etag
    assert not exists(s3)
    assert (d, d.etag, d.changed) == ({}, None, False)


def test_it_takes_along_nobody_elses_save(s3: Site) -> None:
    d = saved(s3)
    others_save(s3)
    with pytest.raises(ConflictError, match=r"written by someone else.*nothing was deleted") as error:
        d.delete()
    assert error.value.operation == "DeleteObject"
    assert d == {"n": 1}
    assert state(s3) == {"n": 1, "theirs": 1}
    d.load()
    d.delete()
    assert not exists(s3)


def test_with_overwrite_it_deletes_whatever_is_there(s3: Site) -> None:
    d = saved(s3, on_conflict="overwrite")
    others_save(s3)
    d.delete()
    assert s3.requests.count()["DELETE"] == 1
    assert not exists(s3)


def test_a_file_that_is_gone_already_is_no_error(s3: Site) -> None:
    d = saved(s3)
    s3.client.delete_object(Bucket=s3.bucket, Key="state.json")
    d.delete()
    assert d == {}


def test_a_file_that_somebody_has_created_meanwhile_is_not_deleted(s3: Site) -> None:
    """DELETE has no condition for a missing file, so the library looks first."""
    d = state(s3, default={"n": 1})
    others_save(s3)
    with pytest.raises(ConflictError, match=r"created by someone else.*nothing was deleted"):
        d.delete()
    assert state(s3) == {"theirs": 1}
    assert d == {"n": 1}


def test_a_resent_delete_that_finds_nothing_is_done(s3: Site) -> None:
    d = saved(s3)
    s3.faults.append(LostAnswer())
    d.delete()
    assert s3.requests.count()["DELETE"] == 2
    assert d == {}


def test_a_delete_that_got_no_answer_and_then_a_file_of_others_is_not_known(moto_s3: Site) -> None:
    """The other writer may have created the file after ours was deleted."""
    d = saved(moto_s3)

    def lose(request: Any, forward: Any) -> None:
        forward(request)
        others_save(moto_s3)

    moto_s3.faults.append(Call(lose, method="DELETE"))
    with pytest.raises(UnknownOutcomeError, match="not known whether the file was deleted"):
        d.delete()
    assert state(moto_s3) == {"theirs": 1}


def test_a_delete_that_never_arrived_before_others_saved_is_a_conflict(moto_s3: Site) -> None:
    """Their file continues from ours, so ours wasn't deleted."""
    d = saved(moto_s3)
    moto_s3.faults.append(Call(lambda request, forward: others_save(moto_s3), method="DELETE"))
    with pytest.raises(ConflictError):
        d.delete()
    assert state(moto_s3) == {"n": 1, "theirs": 1}


@pytest.mark.parametrize("fault", [LostAnswer(), Reset()], ids=["done", "not done"])
def test_after_a_delete_that_is_not_known_the_next_save_keeps_the_data(moto_s3: Site, fault: Any) -> None:
    """Nobody else has deleted the file."""
    d = saved(moto_s3, config=ONCE)
    moto_s3.faults.append(fault)
    with pytest.raises(UnknownOutcomeError):
        d.delete()
    assert d == {"n": 1}
    assert d.changed
    d["m"] = 2
    d.save()
    assert state(moto_s3) == {"n": 1, "m": 2}
    assert not d.changed


def test_after_such_a_delete_a_block_does_not_load_over_the_data(moto_s3: Site) -> None:
    """Others may have created the file again, so the data may be only in memory."""
    d = saved(moto_s3, config=ONCE)
    moto_s3.faults.append(LostAnswer())
    with pytest.raises(UnknownOutcomeError):
        d.delete()
    moto_s3.write("state.json", b'{"theirs": 1}')
    kept = dict(d)
    with pytest.raises(ConflictError), d:
        d["more"] = 1
    assert dict(d) == kept
    assert d.changed


@pytest.mark.parametrize("status", [200, 404, 503])
def test_a_web_page_acknowledges_no_delete(moto_s3: Site, status: int) -> None:
    d = saved(moto_s3, config=ONCE)
    moto_s3.faults.append(Call(lambda request, forward: Response(status, body=b"<html>Log in</html>")))
    with pytest.raises(UnknownOutcomeError):
        d.delete()
    assert d == {"n": 1}


def test_a_weak_etag_is_sent_back_as_the_store_wants_it(moto_s3: Site) -> None:
    """A gateway shows the ETag as weak, and the store behind it expects it as strong."""
    saved(moto_s3)
    etag = moto_s3.client.head_object(Bucket=moto_s3.bucket, Key="state.json")["ETag"]
    for method in "GET", "HEAD":
        moto_s3.faults.append(AlterHeaders({"ETag": f"W/{etag}"}, method=method, forever=True))
    d = state(moto_s3)
    d.delete()
    assert not exists(moto_s3)


def test_a_busy_store_is_waited_for(moto_s3: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    d = saved(moto_s3)
    moto_s3.faults.extend([Answer(409, "OperationAborted"), Answer(429, "TooManyRequests")])
    d.delete()
    assert not exists(moto_s3)
