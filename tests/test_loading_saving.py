"""Loading, saving and deleting: the effects on S3, and the number of requests."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from botocore.config import Config

import s3dictionary._loads
from s3dictionary import BucketNotFoundError, ConflictError, S3Dict, StorageError
from s3dictionary._s3.lineage import Record, parse
from s3dictionary._s3.version import MAX_USER_METADATA
from support.proxy import AlterHeaders, Answer, Call, CutOff, Response
from support.servers import Site

BODY = b'{"a":1,"list":[1]}'


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a busy machine take its time between the constructor and `with`, which isn't tested here."""
    monkeypatch.setattr(s3dictionary._loads, "_JUST_LOADED", 60)


@pytest.fixture
def no_waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Remove the waits before a request is repeated."""
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    return waits


def state(s3: Site, **options: Any) -> S3Dict:
    return S3Dict(s3.bucket, **{"file_name": "state.json", **s3.options, **options})


def loaded(s3: Site, **options: Any) -> S3Dict:
    """A dict that was loaded from a file, with its requests cleared."""
    s3.write("state.json", BODY)
    d = state(s3, **options)
    s3.requests.clear()
    return d


def head(s3: Site, key: str = "state.json") -> dict[str, Any]:
    return s3.client.head_object(Bucket=s3.bucket, Key=key)


# The requests of each call


def test_the_constructor_sends_one_get(moto_s3: Site) -> None:
    moto_s3.write("state.json", BODY)
    assert state(moto_s3) == json.loads(BODY)
    assert moto_s3.requests.count() == {"GET": 1}


def test_the_constructor_sends_one_get_where_there_is_no_file(moto_s3: Site) -> None:
    state(moto_s3, default={"a": 1})
    assert moto_s3.requests.count() == {"GET": 1}


def test_with_autosave_a_loaded_file_is_not_saved_again(moto_s3: Site) -> None:
    moto_s3.write("state.json", BODY)
    state(moto_s3, autosave=True)
    assert moto_s3.requests.count() == {"GET": 1}


def test_load_sends_one_get(moto_s3: Site) -> None:
    d = loaded(moto_s3)
    moto_s3.write("state.json", b'{"b": 2}')
    d.load()
    assert d == {"b": 2}
    assert moto_s3.requests.count() == {"GET": 1}


def test_load_of_a_file_that_is_still_the_same_gets_no_body(s3: Site) -> None:
    d = loaded(s3)
    d.load()
    (get,) = s3.requests.log
    assert (get.status, get.response_body) == (304, b"")
    assert d == json.loads(BODY)


def test_load_after_a_save_gets_no_body(moto_s3: Site) -> None:
    d = loaded(moto_s3)
    d["a"] = 2
    d.save()
    d.load()
    assert [(exchange.method, exchange.status) for exchange in moto_s3.requests.log] == [("PUT", 200), ("GET", 304)]


@pytest.mark.parametrize("edit", [None, lambda d: d["list"].append(2)], ids=["unchanged", "changed"])
def test_save_sends_one_put_changed_or_not(moto_s3: Site, edit: Any) -> None:
    d = loaded(moto_s3)
    if edit:
        edit(d)
    d.save()
    assert moto_s3.requests.count() == {"PUT": 1}


UPDATES = [
    ("d[k] = v", lambda d: d.__setitem__("b", 2), 1),
    ("d[k] = v, the same", lambda d: d.__setitem__("a", 1), 0),
    ("del", lambda d: d.__delitem__("a"), 1),
    ("update", lambda d: d.update({"b": 2, "c": 3}, d=4), 1),
    ("update with nothing", lambda d: d.update(), 0),
    ("update with the same", lambda d: d.update(a=1), 0),
    ("|=", lambda d: d.__ior__({"b": 2, "c": 3}), 1),
    ("setdefault, not there", lambda d: d.setdefault("b", []), 1),
    ("setdefault, there", lambda d: d.setdefault("a", 5), 0),
    ("pop", lambda d: d.pop("a"), 1),
    ("pop, not there", lambda d: d.pop("b", None), 0),
    ("popitem", lambda d: d.popitem(), 1),
    ("clear", lambda d: d.clear(), 1),
    ("data = …", lambda d: setattr(d, "data", {"x": 1, "y": 2}), 1),
]


@pytest.mark.parametrize(("update", "puts"), [pytest.param(update, puts, id=name) for name, update, puts in UPDATES])
def test_an_autosaved_update_is_one_save_however_many_keys_and_none_if_nothing_changed(
    moto_s3: Site, update: Any, puts: int
) -> None:
    d = loaded(moto_s3, autosave=True)
    update(d)
    assert moto_s3.requests.count() == ({"PUT": puts} if puts else {})
    assert json.loads(moto_s3.read("state.json")) == d.data


def test_clearing_an_empty_autosaved_dict_saves_nothing(moto_s3: Site) -> None:
    d = state(moto_s3, autosave=True)
    moto_s3.requests.clear()
    d.clear()
    assert moto_s3.requests.log == []


def test_a_failing_update_saves_nothing(moto_s3: Site) -> None:
    d = loaded(moto_s3, autosave=True)
    for update in (lambda: d.pop("x"), lambda: d.update(1), lambda: d.__delitem__("x"), lambda: d.__setitem__([], 1)):
        with pytest.raises((KeyError, TypeError)):
            update()
    assert moto_s3.requests.log == []
    assert d == json.loads(BODY)


def test_reading_sends_nothing(moto_s3: Site) -> None:
    d = loaded(moto_s3, autosave=True)
    assert (d["a"], d.get("x"), "a" in d, len(d), list(d), list(d.items()), repr(d), d.data, d == {}) is not None
    assert moto_s3.requests.log == []


def test_a_with_that_only_reads_sends_one_get_in_all(moto_s3: Site) -> None:
    moto_s3.write("state.json", BODY)
    with state(moto_s3) as d:
        assert d["list"] == [1]
    assert moto_s3.requests.count() == {"GET": 1}


def test_a_with_that_only_reads_needs_no_file_and_makes_none(moto_s3: Site) -> None:
    with state(moto_s3) as d:
        assert d == {}
    assert moto_s3.requests.count() == {"GET": 1}


@pytest.mark.parametrize("autosave", [False, True])
def test_a_with_that_edits_sends_one_get_and_one_put_in_all(moto_s3: Site, autosave: bool) -> None:
    moto_s3.write("state.json", BODY)
    with state(moto_s3, autosave=autosave) as d:
        d["b"] = 2
        d.update(c=3)
        d["list"].append(2)
    assert moto_s3.requests.count() == {"GET": 1, "PUT": 1}
    assert json.loads(moto_s3.read("state.json")) == {"a": 1, "list": [1, 2], "b": 2, "c": 3}


def test_delete_sends_one_delete(moto_s3: Site) -> None:
    d = loaded(moto_s3, autosave=True)
    d.delete()
    assert moto_s3.requests.count() == {"DELETE": 1}


def test_setting_autosave_saves_now(moto_s3: Site) -> None:
    d = loaded(moto_s3)
    d["b"] = 2
    d.autosave = True
    assert moto_s3.requests.count() == {"PUT": 1}
    d.autosave = False
    d["c"] = 3
    assert moto_s3.requests.count() == {"PUT": 1}


def test_nothing_but_the_file_is_ever_asked_for(moto_s3: Site) -> None:
    """This holds whatever else is in the bucket."""
    for number in range(5):
        moto_s3.write(f"state.json/{number}", b"{}")
    with state(moto_s3, autosave=True) as d:
        d["a"] = 1
    d["b"] = 2
    d.load()
    d.save()
    d.delete()
    assert {exchange.request.path for exchange in moto_s3.requests.log} == {f"/{moto_s3.bucket}/state.json"}
    assert "HEAD" not in moto_s3.requests.count()


@pytest.mark.parametrize("name", ["a/b/c.json", "ä ö/日本.json", "a+b&c=d?e#f%20.json", "a..b/.c", "no ending"])
def test_any_name_a_file_can_have_on_s3_works(s3: Site, name: str) -> None:
    state(s3, file_name=name, data={"a": 1}).save()
    assert state(s3, file_name=name) == {"a": 1}
    assert s3.read(name) == b'{"a":1}'


# Loading


def test_load_drops_unsaved_changes(moto_s3: Site) -> None:
    d = loaded(moto_s3)
    d["list"].append(2)
    d["b"] = 2
    del d["a"]
    d.load()
    assert d == json.loads(BODY)
    assert list(d) == ["a", "list"]
    assert not d.changed


def test_load_finds_that_the_file_is_gone(s3: Site) -> None:
    d = loaded(s3)
    s3.client.delete_object(Bucket=s3.bucket, Key="state.json")
    d.load()
    assert (d, d.etag, d.changed) == ({}, None, False)
    d["b"] = 2
    d.save()
    assert s3.read("state.json") == b'{"b":2}'


def test_a_with_finds_that_the_file_is_gone(moto_s3: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3dictionary._loads, "_JUST_LOADED", -1)
    d = loaded(moto_s3)
    moto_s3.client.delete_object(Bucket=moto_s3.bucket, Key="state.json")
    with d:
        assert d == {}


def test_the_default_stands_in_for_a_missing_file_at_each_load(moto_s3: Site) -> None:
    d = state(moto_s3, default={"a": 1})
    d["b"] = 2
    d.load()
    assert d == {"a": 1}
    assert not d.changed


def test_load_gives_the_dict(moto_s3: Site) -> None:
    d = loaded(moto_s3)
    assert d.load() is d


def test_a_failed_load_leaves_memory_as_it_was(moto_s3: Site) -> None:
    d = loaded(moto_s3)
    d["b"] = 2
    moto_s3.faults.append(Answer(403, "AccessDenied"))
    with pytest.raises(StorageError):
        d.load()
    assert d == {"a": 1, "list": [1], "b": 2}
    assert d.changed


@pytest.mark.parametrize("times", [1, 2])
def test_an_answer_that_breaks_off_is_asked_for_again(moto_s3: Site, times: int) -> None:
    moto_s3.write("state.json", BODY)
    moto_s3.faults.extend(CutOff() for _ in range(times))
    assert state(moto_s3) == json.loads(BODY)
    assert moto_s3.requests.count() == {"GET": times + 1}


def test_an_answer_that_always_breaks_off_is_an_error(moto_s3: Site) -> None:
    moto_s3.write("state.json", BODY)
    moto_s3.faults.append(CutOff(forever=True))
    with pytest.raises(StorageError, match="GetObject of s3://"):
        state(moto_s3)
    assert moto_s3.requests.count() == {"GET": 3}


# Saving, on a condition


def test_a_save_is_conditional_on_the_version_it_was_loaded_from(s3: Site) -> None:
    d = loaded(s3)
    etag = d.etag
    d["a"] = 2
    d.save()
    (put,) = s3.requests.log
    assert put.headers["If-Match"] == etag
    assert "If-None-Match" not in put.headers


def test_a_save_is_conditional_on_there_being_no_file_where_there_was_none(moto_s3: Site) -> None:
    d = state(moto_s3)
    moto_s3.requests.clear()
    d.save()
    (put,) = moto_s3.requests.log
    assert put.headers["If-None-Match"] == "*"
    assert "If-Match" not in put.headers


def test_a_second_save_is_conditional_on_the_first(moto_s3: Site) -> None:
    d = state(moto_s3)
    for number in range(3):
        d["a"] = number
        d.save()
    assert moto_s3.read("state.json") == b'{"a":2}'
    first, second = moto_s3.requests.log[-2:]
    assert second.headers["If-Match"] == first.response_headers["ETag"]


def _replace(s3: Site) -> None:
    s3.write("state.json", b'{"theirs": 1}')


def _remove(s3: Site) -> None:
    s3.client.delete_object(Bucket=s3.bucket, Key="state.json")


@pytest.mark.parametrize("meanwhile", [_replace, _remove])
def test_what_someone_else_did_since_the_load_is_a_conflict(s3: Site, meanwhile: Any) -> None:
    """If the file was written or deleted, nothing is overwritten, and memory is unchanged."""
    d = loaded(s3)
    d["list"].append(2)
    meanwhile(s3)
    done = "written" if meanwhile is _replace else "deleted"
    with pytest.raises(ConflictError, match=f"{d.uri} was {done} by someone else"):
        d.save()
    assert d == {"a": 1, "list": [1, 2]}
    assert d.changed
    if meanwhile is _replace:
        assert s3.read("state.json") == b'{"theirs": 1}'
    else:
        assert "Contents" not in s3.client.list_objects_v2(Bucket=s3.bucket)


def test_a_file_that_someone_else_has_created_is_a_conflict(s3: Site) -> None:
    d = state(s3, default={"ours": 1})
    _replace(s3)
    with pytest.raises(ConflictError, match="was created by someone else"):
        d.save()
    assert s3.read("state.json") == b'{"theirs": 1}'


def test_a_conflict_stays_one_until_load(moto_s3: Site) -> None:
    d = loaded(moto_s3)
    _replace(moto_s3)
    for _ in range(2):
        with pytest.raises(ConflictError):
            d.save()
    d.load()
    d["ours"] = 2
    d.save()
    assert json.loads(moto_s3.read("state.json")) == {"theirs": 1, "ours": 2}


def test_a_conflict_names_the_version_in_s3(moto_s3: Site) -> None:
    d = loaded(moto_s3)
    _replace(moto_s3)
    with pytest.raises(ConflictError) as error:
        d.save()
    theirs = head(moto_s3)
    assert (error.value.etag, error.value.last_modified) == (theirs["ETag"], theirs["LastModified"])
    assert (error.value.keys, error.value.status, error.value.operation) == ((), 412, "PutObject")


def test_a_conflict_is_one_even_if_its_version_cannot_be_seen(moto_s3: Site) -> None:
    """The PUT was sent once, so its refusal is proof."""
    d = loaded(moto_s3)
    _replace(moto_s3)
    moto_s3.faults.append(Answer(403, "AccessDenied", method="HEAD"))
    with pytest.raises(ConflictError) as error:
        d.save()
    assert (error.value.etag, error.value.last_modified) == (None, None)


def test_overwrite_sends_no_condition_and_the_last_writer_wins(s3: Site) -> None:
    d = loaded(s3, on_conflict="overwrite")
    _replace(s3)
    d["b"] = 2
    d.save()
    (put,) = s3.requests.log
    assert not {"If-Match", "If-None-Match"} & {name.title() for name in put.headers}
    assert json.loads(s3.read("state.json")) == {"a": 1, "list": [1], "b": 2}


def test_a_put_that_met_another_is_sent_again_after_a_moment(moto_s3: Site, no_waits: list[float]) -> None:
    d = loaded(moto_s3)
    d["a"] = 2
    moto_s3.faults.extend(Answer(409, "ConditionalRequestConflict") for _ in range(3))
    d.save()
    assert moto_s3.requests.count() == {"PUT": 4}
    assert json.loads(moto_s3.read("state.json"))["a"] == 2
    assert len(no_waits) == 3
    assert 0 < min(no_waits) < max(no_waits) < 1


BUSY = [Answer(409, "ConditionalRequestConflict"), Answer(409, "OperationAborted"), Answer(429, "TooManyRequests")]


@pytest.mark.parametrize("answer", BUSY, ids=lambda answer: answer.code)
def test_a_store_that_stays_busy_is_waited_for_then_it_is_an_error(
    moto_s3: Site, no_waits: list[float], answer: Answer
) -> None:
    """It isn't a conflict, because nobody else needs to have written."""
    d = loaded(moto_s3, config=Config(retries={"total_max_attempts": 1}))
    d["a"] = 2
    moto_s3.faults.append(replace(answer, method="PUT", forever=True))
    with pytest.raises(StorageError) as error:
        d.save()
    assert type(error.value) is StorageError
    assert (error.value.code, error.value.status) == (answer.code, answer.status)
    assert 20 < sum(no_waits) < 33
    assert moto_s3.read("state.json") == BODY


def test_a_store_without_conditional_writes_is_told_about_overwrite(moto_s3: Site) -> None:
    d = loaded(moto_s3)
    moto_s3.faults.append(Answer(501, "NotImplemented", "A header you provided implies functionality"))
    with pytest.raises(StorageError, match='on_conflict="overwrite"') as error:
        d.save()
    assert not isinstance(error.value, ConflictError)
    assert (error.value.code, error.value.status) == ("NotImplemented", 501)
    assert "not known" not in str(error.value)


def _refuse_quoted(request: Any, forward: Any) -> Any:
    """Refuse ETags in quotes, as older Ceph gateways do."""
    sent = request.headers["If-Match"]
    if sent.startswith('"'):
        return Answer(412, "PreconditionFailed")(request, forward)
    request.headers["If-Match"] = f'"{sent}"'
    return forward(request)


def test_a_quoted_etag_that_is_refused_is_sent_once_more_without_quotes(moto_s3: Site) -> None:
    d = loaded(moto_s3)
    moto_s3.faults.append(Call(_refuse_quoted, method="PUT", forever=True))
    for number in 2, 3:
        d["a"] = number
        d.save()
        assert json.loads(moto_s3.read("state.json"))["a"] == number
    assert moto_s3.requests.count() == {"PUT": 3, "HEAD": 1}  # it keeps in mind which form the store takes


def test_without_quotes_it_is_still_a_condition(moto_s3: Site) -> None:
    d = loaded(moto_s3)
    moto_s3.faults.append(Call(_refuse_quoted, method="PUT", forever=True))
    _replace(moto_s3)
    with pytest.raises(ConflictError):
        d.save()
    assert moto_s3.read("state.json") == b'{"theirs": 1}'


def test_someone_who_writes_just_before_the_unquoted_etag_is_not_overwritten(moto_s3: Site) -> None:
    d = loaded(moto_s3)

    def overtake(request: Any, forward: Any) -> Any:
        _replace(moto_s3)
        return _refuse_quoted(request, forward)

    moto_s3.faults.extend([Call(_refuse_quoted, method="PUT"), Call(overtake, method="PUT")])
    with pytest.raises(ConflictError):
        d.save()
    assert moto_s3.read("state.json") == b'{"theirs": 1}'


def test_a_store_that_refuses_the_current_etag_either_way_is_a_conflict_and_no_endless_loop(moto_s3: Site) -> None:
    d = loaded(moto_s3)
    moto_s3.faults.append(Answer(412, "PreconditionFailed", method="PUT", forever=True))
    with pytest.raises(ConflictError):
        d.save()
    assert moto_s3.requests.count() == {"PUT": 2, "HEAD": 2}


@pytest.mark.parametrize("etag", ["abc", 'W/"abc"', '"a-b_c.d/e="', '"0123456789abcdef0123456789abcdef-2"'])
def test_an_etag_goes_back_as_it_came(moto_s3: Site, etag: str) -> None:
    moto_s3.write("state.json", BODY)
    moto_s3.faults.append(AlterHeaders({"ETag": etag}))
    d = state(moto_s3)
    assert d.etag == etag
    moto_s3.faults.append(Answer(412, "PreconditionFailed", method="PUT"))
    with pytest.raises(ConflictError):
        d.save()
    assert moto_s3.requests.log[1].headers["If-Match"] == etag


# Who has saved it


def record(s3: Site) -> Record:
    found = parse(head(s3)["Metadata"]["s3dictionary-lineage"])
    assert found is not None
    return found


def test_an_object_says_how_many_saves_it_is_made_of(s3: Site) -> None:
    """Several dicts save it, each with its own row in the table."""
    d = state(s3)
    for number in range(1, 4):
        d.save()
        assert record(s3).generation == number
    other = state(s3)
    other.save()
    assert sorted(record(s3).rows.values()) == [3, 4]


def test_a_file_that_was_deleted_and_made_again_is_another_one(moto_s3: Site) -> None:
    """So a save without an answer isn't taken for a save of the new file."""
    d = state(moto_s3)
    d.save()
    before = record(moto_s3)
    d.delete()
    d.save()
    assert record(moto_s3).lineage != before.lineage


@pytest.mark.parametrize("length", [0, 1500, MAX_USER_METADATA - 4])
def test_metadata_that_fits_once_fits_for_ever(moto_s3: Site, length: int) -> None:
    """S3 allows 2 KB in total, and Swift 256 bytes for each header, however many writers have saved."""
    for _ in range(25):
        state(moto_s3, put_options={"Metadata": {"note": "x" * length}}).save()
    metadata = head(moto_s3)["Metadata"]
    assert len(metadata["s3dictionary-lineage"]) <= 256
    assert sum(len(name) + len(value) for name, value in metadata.items()) <= 2048


def test_metadata_that_cannot_fit_is_refused_at_construction(moto_s3: Site) -> None:
    with pytest.raises(ValueError, match="Metadata in put_options has 2004 bytes"):
        state(moto_s3, put_options={"Metadata": {"note": "x" * 2000}})


@pytest.mark.parametrize(
    "alter",
    [
        lambda name, value: {name: None, name.title(): value},
        lambda name, value: {name: value.upper()},
        lambda name, value: {name: f"  {value} "},
        lambda name, value: {name: value.replace("_", "%5F").replace(".", "%2e")},
    ],
    ids=["name in capitals", "in capitals", "blanks", "percent-encoded"],
)
def test_what_gateways_do_to_metadata_is_put_up_with(moto_s3: Site, alter: Any) -> None:
    state(moto_s3).save()
    before = record(moto_s3)
    headers = alter("x-amz-meta-s3dictionary-lineage", str(before))
    moto_s3.faults.append(AlterHeaders(headers))
    state(moto_s3).save()
    assert (record(moto_s3).lineage, record(moto_s3).generation) == (before.lineage, 2)


@pytest.mark.parametrize("metadata", [{}, {"s3dictionary-saves": "0123,4567"}], ids=["0.13", "1.0"])
def test_a_file_of_an_older_release_goes_over_at_the_next_save(moto_s3: Site, metadata: dict[str, str]) -> None:
    moto_s3.write("state.json", BODY, Metadata=metadata)
    state(moto_s3).save()
    assert record(moto_s3).generation == 1
    assert "s3dictionary-saves" not in head(moto_s3)["Metadata"]


def test_metadata_that_another_tool_has_kept_says_nothing(moto_s3: Site) -> None:
    """The number at the file's end must match the metadata."""
    d = state(moto_s3)
    d.save()
    before = head(moto_s3)["Metadata"]
    moto_s3.write("state.json", BODY, Metadata=before)
    state(moto_s3).save()
    assert record(moto_s3).lineage != parse(before["s3dictionary-lineage"]).lineage


# The object


def test_the_object_is_plain_json_and_says_so(s3: Site) -> None:
    state(s3, data={"ä": [1, None]}).save()
    assert json.loads(s3.read("state.json")) == {"ä": [1, None]}
    assert head(s3)["ContentType"] == "application/json"


def test_a_name_that_ends_in_gz_is_compressed(s3: Site) -> None:
    state(s3, file_name="state.json.gz", data={"a": "x" * 1000}).save()
    compressed = s3.read("state.json.gz")
    assert len(compressed) < 100
    assert json.loads(gzip.decompress(compressed)) == {"a": "x" * 1000}
    assert head(s3, "state.json.gz")["ContentEncoding"] == "gzip"
    assert head(s3, "state.json.gz")["ContentType"] == "application/json"
    assert state(s3, file_name="state.json.gz") == {"a": "x" * 1000}


@pytest.mark.parametrize("name", ["state.json", "state.json.gz"])
def test_no_two_saves_have_the_same_etag(moto_s3: Site, name: str) -> None:
    """So an ETag always identifies one version, and a late request can't undo a later save."""
    d = state(moto_s3, file_name=name, data={"a": 1})
    etags = set()
    for _ in range(5):
        d.save()
        etags.add(d.etag)
    assert len(etags) == 5


@pytest.mark.parametrize("encoding", ["gzip", "gzip,aws-chunked", "aws-chunked,gzip", "", "identity"])
@pytest.mark.parametrize("name", ["state.json", "state.json.gz"])
def test_loading_goes_by_what_the_object_is_not_by_its_name(moto_s3: Site, name: str, encoding: str) -> None:
    headers = {"ContentEncoding": encoding} if encoding else {}
    moto_s3.write(name, gzip.compress(BODY), **headers)
    assert state(moto_s3, file_name=name) == json.loads(BODY)


@pytest.mark.parametrize("encoding", ["gzip", "aws-chunked", ""])
def test_plain_json_loads_whatever_it_is_called(moto_s3: Site, encoding: str) -> None:
    headers = {"ContentEncoding": encoding} if encoding else {}
    moto_s3.write("state.json.gz", BODY, **headers)
    assert state(moto_s3, file_name="state.json.gz") == json.loads(BODY)


def test_put_options_go_with_every_put(s3: Site) -> None:
    d = state(s3, put_options={"CacheControl": "no-store", "Tagging": "team=blue"})
    for number in range(2):
        d["a"] = number
        d.save()
        assert s3.requests.log[-1].headers["x-amz-tagging"] == "team=blue"
        assert head(s3)["CacheControl"] == "no-store"
    tags = s3.client.get_object_tagging(Bucket=s3.bucket, Key="state.json")["TagSet"]
    assert tags == [{"Key": "team", "Value": "blue"}]


def test_put_options_encrypt(moto_s3: Site) -> None:
    options = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "a-key", "StorageClass": "STANDARD_IA"}
    state(moto_s3, put_options=options).save()
    found = head(moto_s3)
    assert (found["ServerSideEncryption"], found["StorageClass"]) == ("aws:kms", "STANDARD_IA")
    assert "a-key" in found["SSEKMSKeyId"]


def test_metadata_of_the_users_own_is_kept_beside_the_librarys(s3: Site) -> None:
    options = {"Metadata": {"owner": "me"}}
    d = state(s3, put_options=options)
    d.save()
    d.save()
    assert head(s3)["Metadata"]["owner"] == "me"
    assert record(s3).generation == 2
    assert options == {"Metadata": {"owner": "me"}}


def test_what_an_object_has_besides_its_content_stays(s3: Site) -> None:
    """This holds unless put_options sets these properties."""
    headers = {"CacheControl": "no-cache", "ContentDisposition": "inline", "ContentLanguage": "de"}
    s3.write("state.json", BODY, Metadata={"owner": "me", "stage": "test"}, **headers)
    d = state(s3, put_options={"Metadata": {"Stage": "live"}, "CacheControl": "max-age=1"})
    for _ in range(2):
        d.save()
        found = head(s3)
        kept = {name: value for name, value in found["Metadata"].items() if name != "s3dictionary-lineage"}
        assert kept == {"owner": "me", "stage": "live"}
        assert [found[name] for name in headers] == ["max-age=1", "inline", "de"]


def test_a_content_type_of_the_users_own_is_used(moto_s3: Site) -> None:
    state(moto_s3, put_options={"ContentType": "application/vnd.state+json"}).save()
    assert head(moto_s3)["ContentType"] == "application/vnd.state+json"


def test_a_customers_key_goes_with_reads_too(moto_s3: Site) -> None:
    """S3 can't read an object without its key. S3 requires TLS for it, so the test checks headers."""
    key = b"k" * 32
    headers = {
        "x-amz-server-side-encryption-customer-algorithm": "AES256",
        "x-amz-server-side-encryption-customer-key": base64.b64encode(key).decode(),
        "x-amz-server-side-encryption-customer-key-MD5": base64.b64encode(hashlib.md5(key).digest()).decode(),
    }
    d = state(moto_s3, put_options={"SSECustomerAlgorithm": "AES256", "SSECustomerKey": key})
    d.save()
    d.load()
    d.delete()
    get, put, again, delete = moto_s3.requests.log
    for exchange in get, put, again:
        assert {name: exchange.headers.get(name) for name in headers} == headers
    assert not set(headers) & set(delete.headers)


# Deleting


def test_delete_deletes_the_file_and_empties_the_dict(s3: Site) -> None:
    d = loaded(s3)
    d["b"] = 2
    d.delete()
    assert (d, d.etag, d.changed) == ({}, None, False)
    assert "Contents" not in s3.client.list_objects_v2(Bucket=s3.bucket)


def test_deleting_a_missing_file_is_no_error(s3: Site) -> None:
    d = state(s3, data={"a": 1})
    d.delete()
    assert d == {}


def test_a_failed_delete_keeps_the_data(moto_s3: Site) -> None:
    d = loaded(moto_s3)
    d["b"] = 2
    etag = d.etag
    moto_s3.faults.append(Answer(403, "AccessDenied"))
    with pytest.raises(StorageError, match="DeleteObject"):
        d.delete()
    assert (d, d.etag) == ({"a": 1, "list": [1], "b": 2}, etag)
    d.save()


def test_after_delete_it_can_be_used_on(moto_s3: Site) -> None:
    d = loaded(moto_s3, autosave=True)
    d.delete()
    d["new"] = 1
    assert moto_s3.read("state.json") == b'{"new":1}'


# A bucket that isn't there


def test_a_missing_bucket_never_looks_like_an_empty_dict(s3: Site) -> None:
    with pytest.raises(BucketNotFoundError, match=r"s3://no-such-bucket-0/state\.json"):
        S3Dict("no-such-bucket-0", file_name="state.json", **s3.options)


@pytest.mark.parametrize(
    "body", [b"", b"<html><body>Not here</body></html>", b"Not Found"], ids=["none", "html", "text"]
)
def test_a_404_that_is_not_s3s_is_no_empty_dict_either(moto_s3: Site, body: bytes) -> None:
    """An example is a wrong endpoint, or a proxy on the way."""
    moto_s3.faults.append(Call(lambda request, forward: Response(404, body=body), forever=True))
    with pytest.raises(StorageError, match="HeadBucket") as error:
        state(moto_s3)
    assert error.value.status == 404


def test_where_the_bucket_answers_such_a_404_means_that_there_is_no_file(moto_s3: Site) -> None:
    moto_s3.faults.append(Call(lambda request, forward: Response(404, body=b"<html>Not here</html>")))
    assert state(moto_s3) == {}


def test_a_bucket_that_goes_away_is_no_conflict(moto_s3: Site) -> None:
    d = loaded(moto_s3)
    moto_s3.client.delete_object(Bucket=moto_s3.bucket, Key="state.json")
    moto_s3.client.delete_bucket(Bucket=moto_s3.bucket)
    for action in d.save, d.load, d.delete:
        with pytest.raises(BucketNotFoundError):
            action()
    assert d == json.loads(BODY)
