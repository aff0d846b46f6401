"""The fixtures work as promised, so that the other tests can rely on them."""

from __future__ import annotations

import http.client
import io
import time
from urllib.parse import urlsplit

import pytest
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from support.proxy import (
    AlterBody,
    AlterHeaders,
    Answer,
    Call,
    CutOff,
    Forward,
    LateAnswer,
    LostAnswer,
    Request,
    Reset,
    Response,
)
from support.servers import Site

ONCE = Config(retries={"total_max_attempts": 1}, read_timeout=0.5)
TWICE = Config(retries={"total_max_attempts": 2, "mode": "standard"})


def status(error: pytest.ExceptionInfo[ClientError]) -> int:
    return error.value.response["ResponseMetadata"]["HTTPStatusCode"]


def test_requests_are_recorded_as_on_the_wire(s3: Site) -> None:
    client = s3.proxied_client()
    etag = client.put_object(Bucket=s3.bucket, Key="ä/b c.json", Body=b"{}")["ETag"]
    assert client.get_object(Bucket=s3.bucket, Key="ä/b c.json")["Body"].read() == b"{}"
    assert client.head_object(Bucket=s3.bucket, Key="ä/b c.json")["ContentLength"] == 2
    client.delete_object(Bucket=s3.bucket, Key="ä/b c.json")

    assert s3.requests.count() == {"PUT": 1, "GET": 1, "HEAD": 1, "DELETE": 1}
    put, get, head, delete = s3.requests.log
    assert {exchange.key for exchange in s3.requests.log} == {"ä/b c.json"}
    assert (put.status, get.status, head.status, delete.status) == (200, 200, 200, 204)
    assert put.body == get.response_body == b"{}"
    assert put.headers["authorization"].startswith("AWS4-HMAC-SHA256")
    assert get.response_headers["ETag"] == etag


def test_what_a_test_does_by_the_direct_client_is_not_recorded(s3: Site) -> None:
    s3.faults.append(Reset())
    s3.write("a", b"1")
    assert s3.read("a") == b"1"
    assert s3.requests.log == []


@pytest.mark.parametrize("body", [b"", b"{}", b"x" * 2_000_000], ids=len)
@pytest.mark.parametrize("as_file", [False, True], ids=["bytes", "file"])
def test_bodies_pass_unharmed(s3: Site, body: bytes, as_file: bool) -> None:
    client = s3.proxied_client()
    # boto3 sends `Expect: 100-continue` before the content of a file.
    client.put_object(Bucket=s3.bucket, Key="a", Body=io.BytesIO(body) if as_file else body)
    assert client.get_object(Bucket=s3.bucket, Key="a")["Body"].read() == body
    assert s3.requests.log[0].response_headers["ETag"] == s3.requests.log[1].response_headers["ETag"]


def test_a_chunked_body_passes(moto_s3: Site) -> None:
    """boto3 sends one for a trailing checksum. It has no signature, which moto doesn't require."""
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(moto_s3.endpoint_url).port)
    for key, chunks in (
        ("a", [b"ab", b"c"]),
        ("b", [b"d"]),
    ):  # both on one connection
        path = f"/{moto_s3.bucket}/{key}"
        connection.request("PUT", path, iter(chunks), {"Transfer-Encoding": "chunked"}, encode_chunked=True)
        connection.getresponse().read()
        assert moto_s3.read(key) == b"".join(chunks)
    connection.close()


def test_conditions_hold(s3: Site) -> None:
    client = s3.proxied_client()
    etag = client.put_object(Bucket=s3.bucket, Key="a", Body=b"1", IfNoneMatch="*")["ETag"]
    with pytest.raises(ClientError) as error:
        client.put_object(Bucket=s3.bucket, Key="a", Body=b"2", IfNoneMatch="*")
    assert status(error) == 412
    client.put_object(Bucket=s3.bucket, Key="a", Body=b"3", IfMatch=etag)
    with pytest.raises(ClientError) as error:
        client.put_object(Bucket=s3.bucket, Key="a", Body=b"4", IfMatch=etag)
    assert status(error) == 412
    assert s3.read("a") == b"3"


def test_304_comes_without_a_body_and_the_connection_lives_on(s3: Site) -> None:
    client = s3.proxied_client()
    etag = s3.write("a", b"1")
    for _ in range(2):
        with pytest.raises(ClientError) as error:
            client.get_object(Bucket=s3.bucket, Key="a", IfNoneMatch=etag)
        assert status(error) == 304
    assert [exchange.response_body for exchange in s3.requests.log] == [b"", b""]
    assert client.get_object(Bucket=s3.bucket, Key="a")["Body"].read() == b"1"


def test_a_wrong_secret_is_refused(seaweed: Site) -> None:
    with pytest.raises(ClientError) as error:
        seaweed.proxied_client(aws_secret_access_key="wrong").get_object(Bucket=seaweed.bucket, Key="a")
    assert status(error) == 403


def test_each_bucket_is_fresh(s3: Site) -> None:
    assert "Contents" not in s3.client.list_objects_v2(Bucket=s3.bucket)
    assert s3.requests.log == []
    assert not s3.faults


def test_reset_keeps_a_request_from_the_server(s3: Site) -> None:
    s3.faults.append(Reset())
    with pytest.raises(ConnectionClosedError):
        s3.proxied_client(config=ONCE).put_object(Bucket=s3.bucket, Key="a", Body=b"1")
    assert [(exchange.method, exchange.status) for exchange in s3.requests.log] == [("PUT", None)]
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.read("a")


def test_lost_answer_comes_after_the_write(s3: Site) -> None:
    s3.faults.append(LostAnswer())
    with pytest.raises(ConnectionClosedError):
        s3.proxied_client(config=ONCE).put_object(Bucket=s3.bucket, Key="a", Body=b"1")
    assert s3.requests.log[0].status == 200
    assert s3.read("a") == b"1"


def test_botocore_resends_after_a_lost_answer_and_is_refused(s3: Site) -> None:
    s3.faults.append(LostAnswer())
    with pytest.raises(ClientError) as error:
        s3.proxied_client(config=TWICE).put_object(Bucket=s3.bucket, Key="a", Body=b"1", IfNoneMatch="*")
    assert error.value.response["ResponseMetadata"]["RetryAttempts"] == 1
    assert [exchange.status for exchange in s3.requests.log] == [200, 412]


def test_late_answer_is_a_read_timeout_after_the_write(s3: Site) -> None:
    s3.faults.append(LateAnswer(1.0))
    with pytest.raises(ReadTimeoutError):
        s3.proxied_client(config=ONCE).put_object(Bucket=s3.bucket, Key="a", Body=b"1")
    assert s3.read("a") == b"1"


def test_answer_is_an_s3_error_without_asking_the_server(s3: Site) -> None:
    s3.write("a", b"1")
    s3.faults.append(Answer(409, "ConditionalRequestConflict"))
    with pytest.raises(ClientError, match="ConditionalRequestConflict") as error:
        s3.proxied_client(config=ONCE).put_object(Bucket=s3.bucket, Key="a", Body=b"2")
    assert status(error) == 409
    assert s3.requests.log[0].status == 409
    assert s3.read("a") == b"1"


def test_answer_to_a_head_has_no_body(s3: Site) -> None:
    s3.faults.append(Answer(403, "AccessDenied"))
    client = s3.proxied_client(config=Config(retries={"total_max_attempts": 1}))
    with pytest.raises(ClientError) as error:
        client.head_object(Bucket=s3.bucket, Key="a")
    assert status(error) == 403
    client.put_object(Bucket=s3.bucket, Key="a", Body=b"1")


def test_cut_off_ends_in_the_middle_of_a_body(s3: Site) -> None:
    s3.write("a", b"0123456789")
    s3.faults.append(CutOff())
    client = s3.proxied_client(config=ONCE)
    body = client.get_object(Bucket=s3.bucket, Key="a")["Body"]
    with pytest.raises(ResponseStreamingError):
        body.read()
    assert client.get_object(Bucket=s3.bucket, Key="a")["Body"].read() == b"0123456789"


def test_headers_can_be_altered(s3: Site) -> None:
    s3.write("a", b"1")
    s3.faults.append(AlterHeaders({"etag": '"wrong"', "Content-Encoding": "aws-chunked", "Last-Modified": None}))
    answer = s3.proxied_client().get_object(Bucket=s3.bucket, Key="a")
    assert (answer["ETag"], answer["ContentEncoding"], "LastModified" in answer) == ('"wrong"', "aws-chunked", False)


def test_a_body_can_be_altered(s3: Site) -> None:
    s3.write("a", b"1")
    s3.faults.append(AlterBody(lambda body: body + b"23"))
    config = Config(response_checksum_validation="when_required")
    assert s3.proxied_client(config=config).get_object(Bucket=s3.bucket, Key="a")["Body"].read() == b"123"


def test_a_fault_can_wait_for_its_method(moto_s3: Site) -> None:
    moto_s3.write("a", b"1")
    moto_s3.faults.append(Answer(503, "SlowDown", method="PUT"))
    client = moto_s3.proxied_client(config=ONCE)
    client.get_object(Bucket=moto_s3.bucket, Key="a")
    with pytest.raises(ClientError, match="SlowDown"):
        client.put_object(Bucket=moto_s3.bucket, Key="a", Body=b"2")
    client.put_object(Bucket=moto_s3.bucket, Key="a", Body=b"3")
    assert not moto_s3.faults


def test_a_fault_can_last(moto_s3: Site) -> None:
    moto_s3.faults.append(Answer(501, "NotImplemented", method="PUT", forever=True))
    client = moto_s3.proxied_client(config=ONCE)
    for _ in range(3):
        with pytest.raises(ClientError, match="NotImplemented"):
            client.put_object(Bucket=moto_s3.bucket, Key="a", Body=b"1")


def test_a_fault_can_be_a_function(moto_s3: Site) -> None:
    """Another program writes while a PUT is on its way."""

    def overtake(request: Request, forward: Forward) -> Response | None:
        moto_s3.write("a", b"theirs")
        return forward(request)

    moto_s3.faults.append(Call(overtake, method="PUT"))
    with pytest.raises(ClientError) as error:
        moto_s3.proxied_client().put_object(Bucket=moto_s3.bucket, Key="a", Body=b"ours", IfNoneMatch="*")
    assert status(error) == 412
    assert moto_s3.read("a") == b"theirs"


def test_seaweedfs_keeps_what_it_acknowledged_when_it_is_killed(seaweed: Site) -> None:
    client = seaweed.proxied_client(config=ONCE)
    etag = client.put_object(Bucket=seaweed.bucket, Key="a", Body=b"1")["ETag"]
    seaweed.server.kill()  # type: ignore[attr-defined]
    with pytest.raises(ConnectionClosedError):
        client.get_object(Bucket=seaweed.bucket, Key="a")
    seaweed.server.restart()  # type: ignore[attr-defined]
    assert client.get_object(Bucket=seaweed.bucket, Key="a")["ETag"] == etag
    client.put_object(Bucket=seaweed.bucket, Key="a", Body=b"2", IfMatch=etag)


def test_the_proxy_costs_next_to_nothing(moto_s3: Site) -> None:
    client = moto_s3.proxied_client()
    start = time.perf_counter()
    for _ in range(20):
        client.put_object(Bucket=moto_s3.bucket, Key="a", Body=b"1")
    assert time.perf_counter() - start < 2  # 40 ms more for each where Nagle's algorithm is on
