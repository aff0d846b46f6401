"""Constructing a dict, and its properties."""

from __future__ import annotations

import copy
import pickle
import re
from collections import UserDict
from typing import Any

import pytest

from s3dictionary import ConflictError, CorruptFileError, NotStorableError, S3Dict
from support.servers import Site

KEYS = {"access_key_id": "key", "access_secret_key": "secret"}


def state(s3: Site, **options: Any) -> S3Dict:
    return S3Dict(s3.bucket, **{"file_name": "state.json", **s3.options, **options})


def exists(s3: Site, key: str = "state.json") -> bool:
    return "Contents" in s3.client.list_objects_v2(Bucket=s3.bucket, Prefix=key)


# Arguments


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({}, "bucket_name"),
        ({"bucket_name": "", "file_name": "state.json"}, "bucket_name"),
        ({"bucket_name": None, "file_name": "state.json"}, "bucket_name"),
        ({"bucket_name": "bucket"}, "file_name"),
        ({"bucket_name": "bucket", "file_name": ""}, "file_name"),
        ({"bucket_name": "bucket", "file_name": "state.json", "access_key_id": "key"}, "go together"),
        ({"bucket_name": "bucket", "file_name": "state.json", "access_secret_key": "secret"}, "go together"),
        ({"bucket_name": "bucket", "file_name": "state.json", "autosave": 1}, "autosave"),
        ({"bucket_name": "bucket", "file_name": "state.json", "autosave": None}, "autosave"),
        ({"bucket_name": "bucket", "file_name": "state.json", "on_conflict": "ask"}, "on_conflict"),
        ({"bucket_name": "bucket", "file_name": "state.json", "put_options": {"IfMatch": "*"}}, "IfMatch"),
        ({"bucket_name": "bucket", "file_name": "state.json", "put_options": {"Body": b"", "Key": ""}}, "Body, Key"),
    ],
)
def test_an_argument_that_makes_no_sense_is_a_value_error(arguments: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        S3Dict(**arguments)


@pytest.mark.parametrize("more", [KEYS, {"region_name": "eu-west-1"}, {"endpoint_url": "http://127.0.0.1:1"}])
def test_a_client_together_with_keys_or_options_is_a_value_error(moto_s3: Site, more: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="client"):
        S3Dict(moto_s3.bucket, file_name="state.json", client=moto_s3.client, **more)


def test_a_value_error_comes_before_any_request(moto_s3: Site) -> None:
    with pytest.raises(ValueError, match="autosave"):
        state(moto_s3, autosave="yes")
    assert moto_s3.requests.log == []


def test_arguments_up_to_autosave_can_be_positional(moto_s3: Site) -> None:
    keys = moto_s3.server.access_key, moto_s3.server.secret_key
    d = S3Dict(moto_s3.bucket, *keys, "state.json", True, endpoint_url=moto_s3.endpoint_url)
    assert (d.bucket_name, d.access_key_id, d.access_secret_key, d.file_name, d.autosave) == (
        moto_s3.bucket,
        *keys,
        "state.json",
        True,
    )


@pytest.mark.parametrize(
    "uri", ["", "state.json", "bucket/state.json", "s3://", "s3://bucket", "s3://bucket/", "s3:///state.json"]
)
def test_from_uri_refuses_what_is_no_such_address(uri: str) -> None:
    with pytest.raises(ValueError, match="s3://bucket/key"):
        S3Dict.from_uri(uri)


def test_from_uri_takes_the_same_options(moto_s3: Site) -> None:
    uri = f"s3://{moto_s3.bucket}/some/path/state.json"
    d = S3Dict.from_uri(uri, default={"a": 1}, autosave=True, **moto_s3.options)
    assert (d.bucket_name, d.file_name, d.uri) == (moto_s3.bucket, "some/path/state.json", uri)
    assert moto_s3.read("some/path/state.json") == b'{"a":1}'


def test_from_uri_makes_one_of_the_subclass(moto_s3: Site) -> None:
    class Jobs(S3Dict):
        pass

    assert type(Jobs.from_uri(f"s3://{moto_s3.bucket}/state.json", **moto_s3.options)) is Jobs


# What it is


def test_it_is_a_user_dict_whose_data_is_a_real_dict(moto_s3: Site) -> None:
    moto_s3.write("state.json", b'{"a": {"b": [1]}, "c": null}')
    d = state(moto_s3)
    assert isinstance(d, UserDict)
    assert type(d.data) is dict
    assert d.data == {"a": {"b": [1]}, "c": None}


def test_its_repr_is_the_dicts(moto_s3: Site) -> None:
    assert repr(state(moto_s3, data={"a": [1, "x"], 2: None})) == "{'a': [1, 'x'], 2: None}"


@pytest.mark.parametrize(
    "name",
    ["bucket_name", "access_key_id", "access_secret_key", "file_name", "uri", "etag", "changed"],
)
def test_properties_other_than_autosave_are_read_only(moto_s3: Site, name: str) -> None:
    d = state(moto_s3)
    with pytest.raises(AttributeError):
        setattr(d, name, "other")


def test_the_keys_are_none_where_boto3_finds_them(moto_s3: Site) -> None:
    d = S3Dict(moto_s3.bucket, file_name="state.json", client=moto_s3.client)
    assert (d.access_key_id, d.access_secret_key) == (None, None)


def test_the_etag_is_what_s3_gave(s3: Site) -> None:
    d = state(s3)
    assert d.etag is None
    d.save()
    assert d.etag == s3.client.head_object(Bucket=s3.bucket, Key="state.json")["ETag"]
    theirs = s3.write("state.json", b'{"a": 1}')
    d.load()
    assert d.etag == theirs
    d.delete()
    assert d.etag is None


# data and default


def test_a_missing_file_is_an_empty_dict_and_is_not_created(moto_s3: Site) -> None:
    assert state(moto_s3) == {}
    assert not exists(moto_s3)


def test_with_autosave_a_missing_file_is_created(moto_s3: Site) -> None:
    state(moto_s3, autosave=True)
    assert moto_s3.read("state.json") == b"{}"


def test_default_is_used_where_there_is_no_file(moto_s3: Site) -> None:
    d = state(moto_s3, default={"a": 1})
    assert d == {"a": 1}
    assert not d.changed
    assert not exists(moto_s3)
    d.save()
    assert moto_s3.read("state.json") == b'{"a":1}'


def test_default_is_ignored_where_there_is_a_file(moto_s3: Site) -> None:
    moto_s3.write("state.json", b"{}")
    d = state(moto_s3, default={"a": 1})
    assert d == {}
    assert not d.changed


def test_data_replaces_what_the_file_holds_with_the_next_save(moto_s3: Site) -> None:
    moto_s3.write("state.json", b'{"a": 1, "b": 2}')
    d = state(moto_s3, data={"b": 3})
    assert d == {"b": 3}
    assert moto_s3.read("state.json") == b'{"a": 1, "b": 2}'
    d.save()
    assert moto_s3.read("state.json") == b'{"b":3}'


def test_data_goes_before_default(moto_s3: Site) -> None:
    assert state(moto_s3, data={"a": 1}, default={"b": 2}) == {"a": 1}


def test_empty_data_empties_it(moto_s3: Site) -> None:
    moto_s3.write("state.json", b'{"a": 1}')
    d = state(moto_s3, data={})
    assert d == {}
    assert d.changed


def test_data_with_autosave_is_saved_at_once(moto_s3: Site) -> None:
    moto_s3.write("state.json", b'{"a": 1}')
    state(moto_s3, data={"b": 2}, autosave=True)
    assert moto_s3.read("state.json") == b'{"b":2}'


@pytest.mark.parametrize("content", [{"a": [1]}, [("a", [1])], UserDict(a=[1])])
def test_data_is_copied_as_dict_copies(moto_s3: Site, content: Any) -> None:
    d = state(moto_s3, data=content)
    assert d["a"] is dict(content)["a"]
    d["b"] = 2
    assert "b" not in dict(content)


@pytest.mark.parametrize("content", [{"a": [1]}, [("a", [1])], UserDict(a=[1])])
def test_default_is_copied_deeply_at_each_load(moto_s3: Site, content: Any) -> None:
    """Two files with the same default don't share its lists."""
    one, other = state(moto_s3, default=content), state(moto_s3, default=content)
    one["a"].append(2)
    assert other["a"] == dict(content)["a"] == [1]
    assert one.load() == {"a": [1]}


def test_default_gives_way_to_a_file_that_somebody_has_created_meanwhile(moto_s3: Site) -> None:
    d = state(moto_s3, default={"a": 1})
    moto_s3.write("state.json", b'{"b": 2}')
    with d:
        assert d == {"b": 2}
        d["c"] = 3
    assert moto_s3.read("state.json") == b'{"b":2,"c":3}'


def test_a_default_that_cannot_be_stored_is_refused(moto_s3: Site) -> None:
    with pytest.raises(NotStorableError, match=re.escape("d['a']")):
        state(moto_s3, default={"a": object()})


@pytest.mark.parametrize("options", [{"autosave": True}, {"data": {}}])
def test_read_only_goes_with_nothing_that_would_be_saved(moto_s3: Site, options: Any) -> None:
    with pytest.raises(ValueError, match="read_only"):
        state(moto_s3, read_only=True, **options)


def test_data_can_be_another_s3_dict(moto_s3: Site) -> None:
    moto_s3.write("other.json", b'{"a": [1]}')
    other = S3Dict(moto_s3.bucket, file_name="other.json", **moto_s3.options)
    assert state(moto_s3, data=other) == {"a": [1]}


@pytest.mark.parametrize(
    "body",
    [b"", b"[1]", b'{"a": ', b'{"a": "\xff"}', b"\x1f\x8bnot gzip"],
    ids=["empty", "array", "cut", "bytes", "gzip"],
)
def test_data_replaces_a_file_that_cannot_be_read(moto_s3: Site, body: bytes) -> None:
    moto_s3.write("state.json", body)
    d = state(moto_s3, data={"a": 1})
    assert d.changed
    assert moto_s3.read("state.json") == body
    d.save()
    assert moto_s3.read("state.json") == b'{"a":1}'
    assert not d.changed


def test_data_replaces_an_unreadable_file_with_one_get_and_one_put(moto_s3: Site) -> None:
    moto_s3.write("state.json", b"not JSON")
    state(moto_s3, data={"a": 1}, autosave=True)
    assert moto_s3.requests.count() == {"GET": 1, "PUT": 1}


def test_data_does_not_replace_what_someone_else_made_of_an_unreadable_file(moto_s3: Site) -> None:
    """The other writer has repaired the file, which is a conflict like any other."""
    moto_s3.write("state.json", b"not JSON")
    d = state(moto_s3, data={"a": 1})
    moto_s3.write("state.json", b'{"theirs": 1}')
    with pytest.raises(ConflictError):
        d.save()
    assert moto_s3.read("state.json") == b'{"theirs": 1}'


def test_empty_data_replaces_an_unreadable_file_too(moto_s3: Site) -> None:
    moto_s3.write("state.json", b"not JSON")
    with state(moto_s3, data={}):
        pass
    assert moto_s3.read("state.json") == b"{}"


def test_default_does_not_replace_a_file_that_cannot_be_read(moto_s3: Site) -> None:
    moto_s3.write("state.json", b"not JSON")
    with pytest.raises(CorruptFileError):
        state(moto_s3, default={"a": 1}, autosave=True)
    assert moto_s3.read("state.json") == b"not JSON"


def test_loading_a_repaired_file_ends_the_wish_to_replace_it(moto_s3: Site) -> None:
    moto_s3.write("state.json", b"not JSON")
    d = state(moto_s3, data={"a": 1})
    moto_s3.write("state.json", b'{"b": 2}')
    d.load()
    assert d == {"b": 2}
    assert not d.changed


# changed


def test_what_was_just_loaded_is_not_changed(moto_s3: Site) -> None:
    moto_s3.write("state.json", b'{"a": {"b": [1]}}')
    assert not state(moto_s3).changed


@pytest.mark.parametrize(
    "edit",
    [
        lambda d: d.update(b=1),
        lambda d: d.pop("a"),
        lambda d: d["a"]["b"].append(2),
        lambda d: d["a"].clear(),
        lambda d: d.data["a"]["b"].pop(),
        lambda d: d.data.pop("a"),
    ],
)
def test_any_edit_is_a_change_at_any_depth(moto_s3: Site, edit: Any) -> None:
    moto_s3.write("state.json", b'{"a": {"b": [1]}}')
    d = state(moto_s3)
    edit(d)
    assert d.changed
    d.save()
    assert not d.changed


def test_an_edit_taken_back_is_no_change(moto_s3: Site) -> None:
    moto_s3.write("state.json", b'{"a": [1]}')
    d = state(moto_s3)
    d["a"].append(2)
    d["a"].pop()
    d["b"] = 1
    del d["b"]
    assert not d.changed


def test_asking_what_has_changed_sends_no_request(moto_s3: Site) -> None:
    d = state(moto_s3)
    moto_s3.requests.clear()
    assert not d.changed
    assert moto_s3.requests.log == []


# Others like it


def test_fromkeys_makes_a_new_one_with_the_same_settings_on_the_same_file(moto_s3: Site) -> None:
    d = state(moto_s3, data={"a": 1}, put_options={"CacheControl": "no-store"}, on_conflict="overwrite")
    new = d.fromkeys(["x", 7], 0)
    assert type(new) is S3Dict
    assert (new, new.uri, new.changed) == ({"x": 0, 7: 0}, d.uri, True)
    new.save()
    assert moto_s3.requests.log[-1].headers["Cache-Control"] == "no-store"
    assert d == {"a": 1}


def test_fromkeys_of_an_autosaved_one_saves_at_once(moto_s3: Site) -> None:
    state(moto_s3, autosave=True).fromkeys("ab")
    assert moto_s3.read("state.json") == b'{"a":null,"b":null}'


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, S3Dict.copy, lambda d: d | {}])
def test_a_copy_writes_nothing_until_it_is_told_to(moto_s3: Site, make: Any) -> None:
    d = state(moto_s3, data={"a": 1}, autosave=True)
    moto_s3.requests.clear()
    twin = make(d)
    twin["b"] = 2
    assert not twin.autosave
    assert moto_s3.requests.log == []
    twin.save()
    assert moto_s3.read("state.json") == b'{"a":1,"b":2}'


def test_a_pickled_one_keeps_data_address_version_and_options(moto_s3: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    d = state(moto_s3, data={"a": 1}, autosave=True, put_options={"CacheControl": "no-store"})
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "elsewhere")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "elsewhere")
    moto_s3.requests.clear()
    twin = pickle.loads(pickle.dumps(d))
    assert (twin, twin.uri, twin.etag, twin.autosave) == ({"a": 1}, d.uri, d.etag, True)
    assert moto_s3.requests.log == []
    twin["b"] = 2
    (put,) = moto_s3.requests.log
    assert put.headers["If-Match"] == d.etag
    assert put.headers["Cache-Control"] == "no-store"
    assert "Credential=elsewhere/" in put.headers["Authorization"]


# As in S3Dictionary 0.13: every call that its page shows


def original(s3: Site, monkeypatch: pytest.MonkeyPatch, **options: Any) -> S3Dict:
    """A dict with keyword arguments, as on the original's page. The environment names the S3 server."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.endpoint_url)
    return S3Dict(
        bucket_name=s3.bucket,
        access_key_id=s3.server.access_key,
        access_secret_key=s3.server.secret_key,
        **{"file_name": "test.json", **options},
    )


def test_the_originals_example_works(s3: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    state = original(s3, monkeypatch)
    state["foo"] = "bar"
    state.save()
    assert s3.read("test.json") == b'{"foo":"bar"}'
    assert original(s3, monkeypatch) == {"foo": "bar"}


def test_the_originals_options_work(moto_s3: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    assert original(moto_s3, monkeypatch, autosave=False, data=None, default={"a": 1}) == {"a": 1}
    assert original(moto_s3, monkeypatch, autosave=True, data={"b": 2}, default={"a": 1}) == {"b": 2}
    assert original(moto_s3, monkeypatch, default={"a": 1}) == {"b": 2}


def test_the_originals_autosave_works(moto_s3: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    state = original(moto_s3, monkeypatch)
    state.autosave = True
    assert state.autosave
    state["foo"] = "bar"
    assert moto_s3.read("test.json") == b'{"foo":"bar"}'
    state.autosave = False
    state["foo"] = "baz"
    assert moto_s3.read("test.json") == b'{"foo":"bar"}'


def test_the_originals_load_and_properties_work(moto_s3: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    state = original(moto_s3, monkeypatch)
    moto_s3.write("test.json", b'{"foo": "external"}')
    state.load()
    assert state == {"foo": "external"}
    assert (state.file_name, state.access_key_id, state.access_secret_key, state.bucket_name) == (
        "test.json",
        moto_s3.server.access_key,
        moto_s3.server.secret_key,
        moto_s3.bucket,
    )


def test_the_originals_delete_works(moto_s3: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    mys3dict = original(moto_s3, monkeypatch, data={"a": 1}, autosave=True)
    mys3dict.delete()
    assert mys3dict == {}
    del mys3dict
    assert not exists(moto_s3, "test.json")


def test_keys_that_are_no_str_come_back_as_they_were(moto_s3: Site) -> None:
    d = state(moto_s3)
    d[1], d[(2, 3)], d[None] = "int", "tuple", "none"
    d["1"] = "str"
    d.save()
    assert state(moto_s3) == {1: "int", (2, 3): "tuple", None: "none", "1": "str"}


def test_a_file_of_the_originals_loads(moto_s3: Site) -> None:
    """It was written by `json.dumps`: int keys have become str, and NaN isn't standard JSON."""
    moto_s3.write("state.json", b'{"1": [1.0, NaN, "\\u00e4"], "a": {"b": null}}')
    d = state(moto_s3)
    assert (d["1"][0], d["1"][2], d["a"]) == (1.0, "ä", {"b": None})
    assert d["1"][1] != d["1"][1]


def test_files_in_folders_are_told_apart(moto_s3: Site) -> None:
    """The original took `folder/state.json` for an existing `state.json`."""
    state(moto_s3, file_name="folder/state.json", data={"a": 1}).save()
    assert state(moto_s3) == {}
    assert state(moto_s3, file_name="folder/state.json") == {"a": 1}


def test_another_files_load_and_save_in_between_disturb_nothing(moto_s3: Site) -> None:
    d = state(moto_s3, autosave=True)
    other = state(moto_s3, file_name="other.json", autosave=True)
    for number in range(3):
        with d:
            d["n"] = number
            with other:
                other["n"] = -number
            other.load()
            d["seen"] = other["n"]
    assert moto_s3.read("state.json") == b'{"n":2,"seen":-2}'
    assert moto_s3.read("other.json") == b'{"n":-2}'


def test_load_and_save_inside_a_with_are_allowed(moto_s3: Site) -> None:
    with state(moto_s3) as d:
        d["a"] = 1
        d.save()
        assert moto_s3.read("state.json") == b'{"a":1}'
        d["b"] = 2
        d.load()
        assert d == {"a": 1}
        d["c"] = 3
    assert moto_s3.read("state.json") == b'{"a":1,"c":3}'
