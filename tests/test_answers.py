"""Every odd answer or exception becomes an error of the library, and no work is lost."""

from __future__ import annotations

import gc
import gzip
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.awsrequest import HeadersDict
from botocore.config import Config

from s3dictionary import MISSING, ConflictError, CorruptFileError, S3Dict, StorageError, UnknownOutcomeError
from s3dictionary._s3 import addresses, clients
from support.memory_s3 import MemoryS3, refusal
from support.proxy import AlterHeaders, Answer, Call, LostAnswer, Response
from support.servers import Site

ONCE = Config(retries={"total_max_attempts": 1})


def state(s3: Site, **options: Any) -> S3Dict:
    return S3Dict(s3.bucket, **{"file_name": "state.json", "config": ONCE, **s3.options, **options})


def saved(s3: Site, **options: Any) -> S3Dict:
    d = state(s3, data={"n": 1}, **options)
    d.save()
    s3.requests.clear()
    return d


# Any exception

ODD = [
    RecursionError("redirected in circles"),
    ValueError("Invalid isoformat string"),
    RuntimeError("Credentials were refreshed, but the refreshed credentials are still expired."),
    UnicodeEncodeError("latin-1", "secret", 0, 1, "ordinal not in range(256)"),
    KeyError("Content-Length"),
    MemoryError(),
]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: type(odd).__name__)
@pytest.mark.parametrize("operation", ["GetObject", "PutObject", "DeleteObject"])
def test_any_exception_on_the_way_is_a_storage_error(moto_s3: Site, odd: Exception, operation: str) -> None:
    """botocore passes on exceptions of the libraries below it."""
    client = moto_s3.proxied_client()
    d = S3Dict(moto_s3.bucket, file_name="state.json", client=client, data={"n": 1})
    d.save()
    client.meta.events.register(f"before-call.s3.{operation}", lambda **_: _raise(odd))
    action = {"GetObject": d.load, "PutObject": d.save, "DeleteObject": d.delete}[operation]
    with pytest.raises(StorageError, match=type(odd).__name__) as error:
        action()
    assert not isinstance(error.value, UnknownOutcomeError), "it was never sent"
    assert d == {"n": 1}


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: type(odd).__name__)
def test_any_exception_after_a_save_was_sent_leaves_its_outcome_open(moto_s3: Site, odd: Exception) -> None:
    client = moto_s3.proxied_client()
    d = S3Dict(moto_s3.bucket, file_name="state.json", client=client)

    def fail(**_: Any) -> None:
        client.meta.events.unregister("after-call.s3.PutObject", fail)
        raise odd

    client.meta.events.register("after-call.s3.PutObject", fail)
    with pytest.raises(UnknownOutcomeError) as error, d:
        d["n"] = 1
    assert error.value.unsaved == {"n": 1}
    with d:
        assert d == {"n": 1}, "it had taken effect"


def _raise(error: BaseException) -> None:
    raise error


def test_an_exception_of_on_conflict_goes_on_and_carries_what_was_not_saved() -> None:
    """The exception is the caller's bug, and mustn't lose the block's work."""
    s3 = MemoryS3()
    S3Dict("b", file_name="k", client=s3, data={"n": 1}).save()
    d = S3Dict("b", file_name="k", client=s3, on_conflict=lambda key, base, ours, theirs: base / 0)
    with pytest.raises(ZeroDivisionError) as error, d:
        d["n"] = 2
        S3Dict("b", file_name="k", client=s3, data={"n": 3}).save()
    assert error.value.unsaved == {"n": 2}  # type: ignore[attr-defined]
    assert all("`unsaved`" in note for note in getattr(error.value, "__notes__", ["`unsaved`"]))
    assert d["n"] == 1


def test_ctrl_c_during_the_save_of_a_block_carries_what_was_not_saved() -> None:
    s3 = MemoryS3()
    d = S3Dict("b", file_name="k", client=s3)
    s3.faults.append(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt) as error, d:
        d["n"] = 1
    assert error.value.unsaved == {"n": 1}  # type: ignore[attr-defined]
    assert d == {}


@pytest.mark.parametrize("headers", [{"Last-Modified": "garbage"}, {"Content-Length": "abc"}], ids=str)
def test_an_answer_that_botocore_cannot_read_is_a_storage_error(moto_s3: Site, headers: dict[str, str]) -> None:
    saved(moto_s3)
    raw = b'HTTP/1.1 200 OK\r\nETag: "x"\r\n' + b"".join(f"{k}: {v}\r\n".encode() for k, v in headers.items())
    moto_s3.faults.append(Call(lambda request, forward: Response(200, raw=raw + b"\r\n{}")))
    with pytest.raises(StorageError):
        state(moto_s3)


@pytest.mark.parametrize("headers", [{"ETag": None}, {"Content-Type": "text/html"}], ids=str)
def test_a_page_acknowledges_no_save(moto_s3: Site, headers: dict[str, Any]) -> None:
    d = saved(moto_s3)
    shown = {name: value for name, value in {"ETag": '"x"', **headers}.items() if value is not None}
    page = Response(200, HeadersDict(shown), b"<html>Log in</html>")
    moto_s3.faults.append(Call(lambda request, forward: page))
    with pytest.raises(UnknownOutcomeError):
        d.save()
    assert d.changed


# ETags in any form


@pytest.mark.parametrize(
    "form",
    [lambda etag: f"W/{etag}", lambda etag: etag.strip('"'), lambda etag: f'{etag[:-1]}-gzip"'],
    ids=["weak", "bare", "gzip"],
)
@pytest.mark.parametrize("back", ["as shown", "as stored"])
def test_a_gateway_that_shows_etags_in_another_form_costs_no_conflict(moto_s3: Site, form: Any, back: str) -> None:
    """The gateway may accept the ETag in its own form, or only in the store's."""
    saved(moto_s3)

    def show(request: Any, forward: Any) -> Any:
        shown = {form(etag): etag for etag in [moto_s3.client.head_object(**address)["ETag"]]}
        if back == "as shown" and request.headers.get("If-Match") in shown:
            request.headers["If-Match"] = shown[request.headers["If-Match"]]
        answer = forward(request)
        if request.method in ("GET", "HEAD") and answer.headers.get("ETag"):
            answer.headers["ETag"] = form(answer.headers["ETag"])
        return answer

    address = {"Bucket": moto_s3.bucket, "Key": "state.json"}
    moto_s3.faults.append(Call(show, forever=True))
    d = state(moto_s3)
    for number in range(3):
        d["n"] = number
        d.save()
    moto_s3.faults.clear()
    assert state(moto_s3) == {"n": 2}


def test_another_etag_in_the_answer_to_a_save_costs_no_conflict(moto_s3: Site) -> None:
    """The file records its last save, and that decides."""
    d = saved(moto_s3)
    for number in range(2):
        moto_s3.faults.append(AlterHeaders({"ETag": '"another"'}, method="PUT"))
        d["n"] = number
        d.save()
    assert state(moto_s3) == {"n": 1}


def test_a_file_that_was_edited_with_its_metadata_kept_is_not_overwritten(moto_s3: Site) -> None:
    """The file's metadata still claims to be the known version."""
    d = saved(moto_s3)
    moto_s3.faults.append(AlterHeaders({"ETag": '"another"'}, method="PUT"))
    d.save()
    edit_and_keep_metadata(moto_s3)
    d["n"] = 2
    with pytest.raises(ConflictError):
        d.save()
    assert state(moto_s3) == {"n": 7}


def edit_and_keep_metadata(s3: Site) -> None:
    address = {"Bucket": s3.bucket, "Key": "state.json"}
    s3.write("state.json", b'{"n": 7}', Metadata=s3.client.head_object(**address)["Metadata"])


@pytest.mark.parametrize("action", [S3Dict.save, S3Dict.delete])
def test_nor_is_one_that_was_edited_so_after_a_save_that_got_no_answer(moto_s3: Site, action: Any) -> None:
    """The metadata shows that our save took effect, but the current content isn't ours."""
    d = saved(moto_s3)
    moto_s3.faults.append(LostAnswer(method="PUT"))
    d["n"] = 2
    with pytest.raises(UnknownOutcomeError):
        d.save()
    edit_and_keep_metadata(moto_s3)
    d["n"] = 3
    with pytest.raises(ConflictError):
        action(d)
    assert state(moto_s3) == {"n": 7}


# Sizes


@pytest.mark.parametrize("body", [b'{"a":"%s"}' % (b"x" * 200), gzip.compress(b'{"a":"%s"}' % (b"x" * 200_000))])
def test_a_file_that_is_too_big_is_refused(moto_s3: Site, body: bytes) -> None:
    """Both the stored and the uncompressed size are limited."""
    moto_s3.write("state.json", body)
    with pytest.raises(StorageError, match="more than max_size, 205") as error:
        state(moto_s3, max_size=205)
    assert not isinstance(error.value, CorruptFileError)
    assert moto_s3.requests.count() == {"GET": 1}
    assert len(state(moto_s3, max_size=200_008)["a"]) >= 200


def test_a_file_is_as_big_as_allowed(moto_s3: Site) -> None:
    moto_s3.write("state.json", b'{"a": 1}')
    assert state(moto_s3, max_size=8) == {"a": 1}
    with pytest.raises(StorageError, match="8 bytes, more than max_size, 7"):
        state(moto_s3, max_size=7)


def test_several_gzip_members_and_padding_are_one_file_as_for_gzip(moto_s3: Site) -> None:
    parts = gzip.compress(b'{"a":') + gzip.compress(b"1") + b"\0" * 10 + gzip.compress(b"}") + b"\0" * 3
    moto_s3.write("state.json", parts)
    assert state(moto_s3) == {"a": 1}
    moto_s3.write("state.json", parts + b"more")
    with pytest.raises(CorruptFileError, match="something else follows"):
        state(moto_s3)


# What errors keep


@contextmanager
def without_collecting() -> Iterator[None]:
    while gc.collect():  # what earlier tests left may take several rounds
        pass
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def test_a_run_with_conflicts_leaves_nothing_to_the_garbage_collector() -> None:
    """Neither the dict nor the bodies that it sent remain."""
    s3 = MemoryS3()
    S3Dict("b", file_name="k", client=s3, data={"n": 0, "blob": "x" * 100_000}).save()
    d: Any = S3Dict("b", file_name="k", client=s3)
    left = [9]

    def count(d: Any) -> None:
        d["n"] += 1
        if left[0]:
            left[0] -= 1
            S3Dict("b", file_name="k", client=s3, data={"n": 0, "blob": "y" * 100_000}).save()

    with without_collecting():
        d.run(count)
        alive = weakref.ref(d)
        del d
        assert alive() is None
        assert gc.collect() < 100


@pytest.mark.parametrize("fault", [refusal("PutObject", 412, "PreconditionFailed"), KeyError("odd"), OSError("odd")])
def test_an_error_that_was_dropped_keeps_no_dict(fault: Exception) -> None:
    s3 = MemoryS3()
    d: Any = S3Dict("b", file_name="k", client=s3, data={"n": 1})
    with without_collecting():
        s3.faults.append(fault)
        with pytest.raises(StorageError):
            d.save()
        alive = weakref.ref(d)
        del d
        assert alive() is None


# Addresses


@pytest.mark.parametrize(
    "bucket",
    [
        "my-bucket",
        "arn:aws:s3:us-west-2:123456789012:accesspoint/my-ap",
        "arn:aws-cn:s3:cn-north-1:123456789012:accesspoint:my-ap",
        "arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap",
        "arn:aws:s3-object-lambda:us-west-2:123456789012:accesspoint/my-olap",
        "arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-01ac5d28a6a232904/accesspoint/my-ap",
    ],
)
@pytest.mark.parametrize("key", ["state.json", "a/b:c@d.json", "/a//b"])
def test_an_address_is_split_as_the_aws_cli_does_it(bucket: str, key: str) -> None:
    assert addresses.split(f"s3://{bucket}/{key}") == (bucket, key, None)


@pytest.mark.parametrize("region", ["us-east-1", "cn-north-1", "us-gov-west-1", "eusc-de-east-1", "us-isob-east-1"])
def test_all_of_aws_keeps_boto3s_own_checksums(region: str) -> None:
    client = clients.connect({"region_name": region, "aws_access_key_id": "a", "aws_secret_access_key": "b"})
    assert client.meta.config.request_checksum_calculation == "when_supported"  # type: ignore[attr-defined]


def test_versions_look_at_no_other_key(moto_s3: Site) -> None:
    """A prefix isn't a key. The key itself comes first, so one request is enough."""
    d = saved(moto_s3)
    for number in range(5):
        moto_s3.write(f"state.json{number}", b"{}")
    moto_s3.requests.clear()
    assert [version.etag for version in d.versions()] == [d.etag]
    assert moto_s3.requests.count() == {"GET": 1}


def test_a_resolver_may_remove_a_key_that_both_changed() -> None:
    s3 = MemoryS3()
    S3Dict("b", file_name="k", client=s3, data={"n": 1}).save()
    d = S3Dict("b", file_name="k", client=s3, on_conflict=lambda *_: MISSING)
    S3Dict("b", file_name="k", client=s3, data={"n": 3}).save()
    d["n"] = 2
    d.save()
    assert d == S3Dict("b", file_name="k", client=s3) == {}


def test_a_store_that_answers_with_an_error_and_no_code_leaves_the_outcome_open(moto_s3: Site) -> None:
    """The answer may come from a proxy that has passed the request on."""
    d = saved(moto_s3)
    for status in (400, 403, 404, 409, 412, 500, 501):
        moto_s3.faults.append(Call(lambda request, forward, status=status: Response(status), method="PUT"))
        if status == 412:
            moto_s3.faults.append(Answer(403, "AccessDenied", method="HEAD"))
        if status == 409:  # busy, so it is sent again
            d.save()
            continue
        with pytest.raises(UnknownOutcomeError):
            d.save()
