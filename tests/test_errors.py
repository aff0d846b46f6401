"""Errors say what went wrong, where, and what to do, and never show a secret."""

from __future__ import annotations

import copy
import gzip
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

import s3dictionary
from s3dictionary import (
    AccessDeniedError,
    BucketNotFoundError,
    ConflictError,
    CorruptFileError,
    LeaseHeldError,
    LeaseLostError,
    NotStorableError,
    Rollback,
    S3Dict,
    S3DictError,
    StorageError,
    TransactionError,
)
from support.proxy import Answer, Call, Reset, Response
from support.servers import Site

ONCE = Config(retries={"total_max_attempts": 1})


def state(s3: Site, **options: Any) -> S3Dict:
    return S3Dict(s3.bucket, **{"file_name": "state.json", **s3.options, **options})


def raised(action: Callable[[], Any], kind: type[BaseException] = S3DictError) -> Any:
    with pytest.raises(kind) as info:
        action()
    return info.value


# The tree


@pytest.mark.parametrize(
    ("error", "bases"),
    [
        (S3DictError, {Exception}),
        (StorageError, {S3DictError}),
        (BucketNotFoundError, {StorageError}),
        (AccessDeniedError, {StorageError}),
        (ConflictError, {StorageError}),
        (CorruptFileError, {S3DictError, ValueError}),
        (NotStorableError, {S3DictError, TypeError}),
        (LeaseHeldError, {S3DictError}),
        (LeaseLostError, {S3DictError}),
        (TransactionError, {S3DictError, RuntimeError}),
        (Rollback, {Exception}),
    ],
)
def test_the_tree_is_as_promised(error: type[BaseException], bases: set[type]) -> None:
    assert set(error.__bases__) == bases
    assert getattr(s3dictionary, error.__name__) is error


def test_what_the_package_exports_is_what_it_says() -> None:
    assert sorted(name for name in dir(s3dictionary) if not name.startswith("_") and name[0].isupper()) == sorted(
        name for name in s3dictionary.__all__ if not name.startswith("_")
    )


FACTS = {"uri": "s3://b/k", "operation": "PutObject", "code": "X", "status": 412}


@pytest.mark.parametrize(
    "error",
    [
        S3DictError("it failed"),
        StorageError("it failed", **FACTS),
        BucketNotFoundError("it failed", **FACTS),
        AccessDeniedError("it failed", **FACTS),
        ConflictError("it failed", keys=["a", 1], etag='"e"', last_modified=datetime.now(timezone.utc), **FACTS),
        CorruptFileError("it failed"),
        NotStorableError("it failed", path="d['a']"),
        LeaseHeldError("it failed", name="n", holder="h", until=datetime.now(timezone.utc)),
        LeaseLostError("it failed", name="n"),
        TransactionError("it failed"),
        Rollback("it failed"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("transport", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
def test_every_error_can_be_pickled_with_its_attributes(error: Exception, transport: Any) -> None:
    if isinstance(error, S3DictError):
        error.keep_unsaved({"a": [1]})
    twin = transport(error)
    assert type(twin) is type(error)
    assert str(twin) == "it failed"
    assert vars(twin) == vars(error)
    assert getattr(twin, "unsaved", None) == getattr(error, "unsaved", None)


def test_the_unsaved_of_a_pickled_error_can_still_be_got_at(moto_s3: Site) -> None:
    d = state(moto_s3, autosave=True)
    moto_s3.faults.append(Answer(403, "AccessDenied"))
    error = raised(lambda: d.update(a=(1, 2)))
    assert pickle.loads(pickle.dumps(error)).unsaved == {"a": (1, 2)}


# What S3 says


def test_a_refusal_tells_where_what_and_why(moto_s3: Site) -> None:
    moto_s3.faults.append(Answer(400, "InvalidArgument", "Something is wrong"))
    error = raised(lambda: state(moto_s3))
    uri = f"s3://{moto_s3.bucket}/state.json"
    assert type(error) is StorageError
    assert (error.uri, error.operation, error.code, error.status, error.unsaved) == (
        uri,
        "GetObject",
        "InvalidArgument",
        400,
        None,
    )
    assert str(error) == f"GetObject of {uri} was refused with 400 InvalidArgument: Something is wrong."


@pytest.mark.parametrize(
    ("method", "action", "operation"),
    [
        ("GET", lambda d: d.load(), "GetObject"),
        ("PUT", lambda d: d.save(), "PutObject"),
        ("DELETE", lambda d: d.delete(), "DeleteObject"),
    ],
)
@pytest.mark.parametrize("fault", [Answer(400, "Strange"), Answer(500, "InternalError"), Reset()], ids=repr)
def test_the_botocore_error_is_the_cause(moto_s3: Site, method: str, action: Any, operation: str, fault: Any) -> None:
    moto_s3.write("state.json", b"{}")
    d = state(moto_s3, config=ONCE)
    moto_s3.faults.append(Call(fault, method=method))
    error = raised(lambda: action(d), StorageError)
    assert error.operation == operation
    assert isinstance(error.__cause__, (ClientError, BotoCoreError))
    assert error.uri in str(error)


def test_a_conflict_has_the_refusal_as_its_cause(moto_s3: Site) -> None:
    d = state(moto_s3)
    moto_s3.write("state.json", b"{}")
    error = raised(d.save, ConflictError)
    assert isinstance(error.__cause__, ClientError)


@pytest.mark.parametrize("status", [400, 403, 404, 500, 503])
@pytest.mark.parametrize(
    "body", [b"", b"<html>Sorry</html>", b"{}", b"<Error><Code>Half"], ids=["none", "html", "json", "cut"]
)
def test_an_answer_that_is_not_s3s_is_a_storage_error_too(moto_s3: Site, status: int, body: bytes) -> None:
    moto_s3.faults.append(Call(lambda request, forward: Response(status, body=body), forever=True))
    assert raised(lambda: state(moto_s3, config=ONCE), StorageError).status == status


def test_an_endpoint_that_is_not_there_is_a_storage_error(moto_s3: Site) -> None:
    error = raised(lambda: state(moto_s3, endpoint_url="http://127.0.0.1:9", config=ONCE), StorageError)
    assert "http://127.0.0.1:9" in str(error)
    assert (error.code, error.status) == (None, None)


def test_put_options_that_boto3_does_not_know_are_a_storage_error(moto_s3: Site) -> None:
    d = state(moto_s3, put_options={"StorageClas": "STANDARD_IA"})
    moto_s3.requests.clear()
    error = raised(d.save, StorageError)
    assert "StorageClas" in str(error)
    assert "not known" not in str(error)
    assert moto_s3.requests.log == []


def test_without_any_credentials_the_error_says_what_to_do() -> None:
    error = raised(lambda: S3Dict("bucket", file_name="state.json", endpoint_url="http://127.0.0.1:9"))
    assert isinstance(error, StorageError)
    assert "access_key_id" in str(error)
    assert "environment, profile, SSO or role" in str(error)


def test_a_profile_that_is_not_there_is_a_storage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    error = raised(lambda: S3Dict("bucket", file_name="state.json"), StorageError)
    assert "nobody" in str(error)


@pytest.mark.parametrize(
    ("action", "permission"),
    [
        (lambda d: d.load(), "s3:GetObject"),
        (lambda d: d.save(), "s3:PutObject"),
        (lambda d: d.delete(), "s3:DeleteObject"),
    ],
)
def test_a_403_says_which_permission_it_needs_on_what(moto_s3: Site, action: Any, permission: str) -> None:
    moto_s3.write("state.json", b"{}")
    d = state(moto_s3)
    moto_s3.faults.append(Answer(403, "AccessDenied"))
    error = raised(lambda: action(d), AccessDeniedError)
    assert f"{permission} on arn:aws:s3:::{moto_s3.bucket}/state.json" in str(error)


def test_a_403_on_a_get_says_that_the_file_may_just_be_missing(moto_s3: Site) -> None:
    moto_s3.faults.append(Answer(403, "AccessDenied"))
    error = raised(lambda: state(moto_s3), AccessDeniedError)
    assert "without s3:ListBucket" in str(error)
    assert "no such file" in str(error)


@pytest.mark.parametrize(
    ("status", "code", "advice"),
    [
        (403, "InvalidAccessKeyId", "access key isn't known"),
        (403, "SignatureDoesNotMatch", "secret key doesn't belong"),
        (403, "RequestTimeTooSkewed", "clock"),
        (400, "ExpiredToken", "expired"),
        (404, "NoSuchBucket", "Create the bucket"),
    ],
)
def test_a_known_code_comes_with_advice(moto_s3: Site, status: int, code: str, advice: str) -> None:
    moto_s3.faults.append(Answer(status, code))
    assert advice in str(raised(lambda: state(moto_s3), StorageError))


def test_a_wrong_secret_is_access_denied(seaweed: Site) -> None:
    error = raised(lambda: state(seaweed, access_secret_key="wrong"), AccessDeniedError)
    assert error.code == "SignatureDoesNotMatch"


def test_an_unknown_key_is_access_denied(seaweed: Site) -> None:
    error = raised(lambda: state(seaweed, access_key_id="unknown"), AccessDeniedError)
    assert error.code == "InvalidAccessKeyId"


# Files that can't be read


CORRUPT = {
    "empty": (b"", "empty"),
    "blank": (b" \n", "empty"),
    "text": (b"hello", "line 1 column 1"),
    "array": (b"[1, 2]", "an array"),
    "string": (b'"text"', "a string"),
    "null": (b"null", "null"),
    "number": (b"5", "a number"),
    "cut off": (b'{"a": 1,\n "b": [1, 2', "line 2 column"),
    "two objects": (b"{}{}", "line 1 column 3"),
    "single quotes": (b"{'a': 1}", "line 1 column 2"),
    "not UTF-8": (b'{"a": "x\xffy"}', "byte 8"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "byte 0"),
    "not UTF-8, later": (b'{"a": "' + b"x" * 1000 + b'\xe4"}', "byte 1007"),
    "gzip, not valid": (b"\x1f\x8b\x08garbage", "gzip"),
    "gzip, cut off": (gzip.compress(b'{"a": 1}')[:-9], "gzip"),
    "gzip, wrong checksum": (gzip.compress(b'{"a": 1}')[:-8] + b"\0" * 8, "gzip"),
    "gzip of an array": (gzip.compress(b"[1]"), "an array"),
    "nested too deeply": (b'{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", "deep"),
}


@pytest.mark.parametrize(("body", "reason"), CORRUPT.values(), ids=CORRUPT)
def test_a_file_that_is_no_json_object_is_refused_at_load_with_address_and_reason(
    moto_s3: Site, body: bytes, reason: str
) -> None:
    moto_s3.write("state.json", body)
    error = raised(lambda: state(moto_s3, autosave=True), CorruptFileError)
    assert f"s3://{moto_s3.bucket}/state.json" in str(error)
    assert reason in str(error)
    assert moto_s3.read("state.json") == body
    assert "PUT" not in moto_s3.requests.count()


@pytest.mark.parametrize(("body", "reason"), CORRUPT.values(), ids=CORRUPT)
def test_a_file_that_became_unreadable_is_not_overwritten(moto_s3: Site, body: bytes, reason: str) -> None:
    moto_s3.write("state.json", b'{"a": 1}')
    d = state(moto_s3, autosave=True)
    moto_s3.write("state.json", body)
    assert reason in str(raised(d.load, CorruptFileError))
    assert d == {"a": 1}
    for action in (lambda: d.update(b=2), d.save):
        raised(action, ConflictError)
    assert moto_s3.read("state.json") == body


def test_a_file_without_json_at_the_end_of_a_block_is_not_overwritten(moto_s3: Site) -> None:
    moto_s3.write("state.json", b"oops")
    with pytest.raises(CorruptFileError), state(moto_s3) as d:
        d["a"] = 1
    assert moto_s3.read("state.json") == b"oops"


# What can't be stored


def test_what_cannot_be_stored_is_refused_with_its_place_and_nothing_is_sent(moto_s3: Site) -> None:
    d = state(moto_s3)
    d["jobs"] = [1, 2, 3, {"when": object()}]
    moto_s3.requests.clear()
    error = raised(d.save, NotStorableError)
    assert error.path == "d['jobs'][3]['when']"
    assert "state.json: d['jobs'][3]['when'] is an object, which can't be stored; " in str(error)
    assert moto_s3.requests.log == []
    assert d["jobs"][:3] == [1, 2, 3]


def test_an_autosaved_update_that_cannot_be_stored_is_undone(moto_s3: Site) -> None:
    d = state(moto_s3, data={"a": 1}, autosave=True)
    moto_s3.requests.clear()
    thing = object()
    error = raised(lambda: d.update(b=2, c=thing), NotStorableError)
    assert error.unsaved == {"a": 1, "b": 2, "c": thing}
    assert d == {"a": 1}
    assert not d.changed
    assert moto_s3.requests.log == []


def test_a_block_beside_what_could_not_be_stored_before_it_is_undone_and_its_error_carries_it(moto_s3: Site) -> None:
    d = state(moto_s3, data={"a": [1]})
    d.save()
    thing = object()
    d["a"].append(thing)
    with pytest.raises(NotStorableError) as info, d:
        d["n"] = "work"
    assert info.value.unsaved == {"a": [1, thing], "n": "work"}
    assert dict(d) == {"a": [1, thing]}


# What could not be saved


FAILURES = [
    Answer(403, "AccessDenied", method="PUT"),
    Reset(method="PUT"),
    Answer(412, "X", method="PUT", forever=True),
]


@pytest.mark.parametrize("fault", FAILURES, ids=repr)
def test_a_failed_autosaved_update_is_undone_and_its_error_carries_it(moto_s3: Site, fault: Any) -> None:
    d = state(moto_s3, data={"a": [1]}, autosave=True, config=ONCE)
    a = d["a"]
    moto_s3.faults.append(fault)
    error = raised(lambda: d.update(b=2), StorageError)
    assert error.unsaved == {"a": [1], "b": 2}
    assert type(error.unsaved) is dict
    assert d == {"a": [1]}
    assert d["a"] is a


@pytest.mark.parametrize("fault", FAILURES, ids=repr)
def test_a_failed_save_at_the_end_of_a_block_is_undone_and_its_error_carries_it(moto_s3: Site, fault: Any) -> None:
    d = state(moto_s3, data={"a": [1]}, config=ONCE)
    d.save()
    moto_s3.faults.append(fault)
    with pytest.raises(StorageError) as error, d:
        d["a"].append(2)
    assert error.value.unsaved == {"a": [1, 2]}
    assert d == {"a": [1]}


@pytest.mark.parametrize("fault", FAILURES, ids=repr)
def test_a_failed_explicit_save_leaves_memory_as_it_is(moto_s3: Site, fault: Any) -> None:
    d = state(moto_s3, data={"a": [1]}, config=ONCE)
    moto_s3.faults.append(fault)
    error = raised(d.save, StorageError)
    assert error.unsaved is None
    assert d == {"a": [1]}
    assert d.changed


def test_what_is_unsaved_shares_nothing_with_the_dict(moto_s3: Site) -> None:
    """It can be changed and saved elsewhere while the dict is used further."""
    d = state(moto_s3, data={"a": {"b": [1]}}, autosave=True)
    moto_s3.faults.append(Answer(403, "AccessDenied"))
    unsaved = raised(lambda: d.update(c=1), StorageError).unsaved
    unsaved["a"]["b"].append(2)
    assert d["a"] == {"b": [1]}


# Secrets

SECRETS = {
    "access_secret_key": "aVerySecretKey/1",
    "aws_session_token": "aVerySecretToken/2",
    "SSECustomerKey": "aVerySecretCustomersKey/3......!",
}


def secretive(s3: Site, **options: Any) -> S3Dict:
    keys = {"access_key_id": "AKIAEXAMPLE", "access_secret_key": SECRETS["access_secret_key"]}
    put_options = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": SECRETS["SSECustomerKey"]}
    return state(
        s3, **{**keys, "aws_session_token": SECRETS["aws_session_token"], "put_options": put_options, **options}
    )


def assert_tells_no_secret(text: str | bytes) -> None:
    for secret in SECRETS.values():
        assert secret not in text if isinstance(text, str) else secret.encode() not in text


def test_no_secret_shows_in_a_repr_or_str_or_format(moto_s3: Site) -> None:
    d = secretive(moto_s3, data={"a": 1})
    for text in repr(d), str(d), f"{d}", repr(vars(d)), repr(d.data):
        assert_tells_no_secret(text)


def test_no_secret_shows_in_a_pickle(moto_s3: Site) -> None:
    d = secretive(moto_s3, data={"a": 1})
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert_tells_no_secret(pickle.dumps(d, protocol))


def test_a_pickle_has_no_client_either(moto_s3: Site) -> None:
    d = S3Dict(moto_s3.bucket, file_name="state.json", client=moto_s3.client)
    pickled = pickle.dumps(d)
    assert moto_s3.server.secret_key.encode() not in pickled
    assert pickle.loads(pickled) == {}


FAULTS = [
    Answer(403, "SignatureDoesNotMatch"),
    Answer(403, "InvalidAccessKeyId"),
    Answer(404, "NoSuchBucket"),
    Answer(412, "PreconditionFailed"),
    Answer(500, "InternalError"),
    Answer(501, "NotImplemented"),
    Reset(),
]


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
@pytest.mark.parametrize("action", [S3Dict.load, S3Dict.save, S3Dict.delete])
def test_no_secret_shows_in_an_error_its_traceback_its_pickle_or_the_log(
    moto_s3: Site, caplog: pytest.LogCaptureFixture, fault: Any, action: Any
) -> None:
    caplog.set_level(logging.DEBUG, "s3dictionary")
    d = secretive(moto_s3, config=ONCE)
    moto_s3.faults.append(fault)
    try:
        action(d)
    except StorageError as error:
        logging.getLogger("s3dictionary").exception("it failed")
        assert_tells_no_secret("".join(traceback.format_exception(error)))
        assert_tells_no_secret(repr(error) + repr(vars(error)))
        assert_tells_no_secret(pickle.dumps(error))
    assert_tells_no_secret(caplog.text)


@pytest.mark.parametrize("name", ["access_secret_key", "aws_session_token", "SSECustomerKey"])
def test_a_secret_with_a_line_break_in_it_does_not_show_either(moto_s3: Site, name: str) -> None:
    """A token from a file often ends in a line break, which HTTP doesn't allow in a header."""
    secret = SECRETS[name] + "\n"
    options = {"put_options": {"SSECustomerKey": secret}} if name == "SSECustomerKey" else {name: secret}
    try:
        secretive(moto_s3, config=ONCE, **options).save()
    except (S3DictError, ValueError) as error:
        assert_tells_no_secret("".join(traceback.format_exception(error)))


def test_a_token_with_a_line_break_from_the_environment_does_not_show_either(
    moto_s3: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRETS["access_secret_key"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", SECRETS["aws_session_token"] + "\n")
    error = raised(
        lambda: S3Dict(moto_s3.bucket, file_name="state.json", endpoint_url=moto_s3.endpoint_url, config=ONCE)
    )
    assert "line break" in str(error)
    assert_tells_no_secret("".join(traceback.format_exception(error)))


@pytest.mark.parametrize(
    "arguments",
    [
        {"access_secret_key": SECRETS["access_secret_key"]},
        {"access_key_id": "", "access_secret_key": SECRETS["access_secret_key"], "file_name": ""},
        {"access_key_id": "AKIA", "access_secret_key": SECRETS["access_secret_key"], "autosave": "yes"},
        {"access_key_id": "AKIA", "access_secret_key": SECRETS["access_secret_key"], "client": object()},
        {"aws_session_token": SECRETS["aws_session_token"], "client": object()},
        {"put_options": {"SSECustomerKey": SECRETS["SSECustomerKey"], "Body": b""}},
    ],
)
def test_no_secret_shows_in_the_error_about_wrong_arguments(arguments: dict[str, Any]) -> None:
    """The original printed the secret key."""
    error = raised(lambda: S3Dict("bucket", **{"file_name": "state.json", **arguments}), ValueError)
    assert_tells_no_secret("".join(traceback.format_exception(error)))


# The log


def test_each_request_is_logged_at_debug_level_with_address_size_and_etag(
    moto_s3: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "s3dictionary")
    d = state(moto_s3, data={"a": 1})
    d.save()
    etag = d.etag
    d.load()
    moto_s3.write("state.json", b'{"a": 22}')
    d.load()
    d.delete()
    uri = d.uri
    assert [record.getMessage() for record in caplog.records if record.name == "s3dictionary"] == [
        f"GET {uri}: no such object",
        f"PUT {uri}: 104 bytes, ETag {etag}",
        f"GET {uri}: still {etag}",
        f"GET {uri}: 9 bytes, ETag {json.dumps(moto_s3.requests.log[3].response_headers['ETag'].strip(chr(34)))}",
        f"DELETE {uri}",
    ]
    assert {record.levelname for record in caplog.records} == {"DEBUG"}
