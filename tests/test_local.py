"""`local_s3()`: an S3 of one's own, and nothing of it left afterwards."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from s3dictionary.local import LocalS3, local_s3


def keys(s3: LocalS3) -> list[str]:
    return [item["Key"] for item in s3.client.list_objects_v2(Bucket=s3.bucket).get("Contents", [])]


def test_it_gives_an_empty_bucket_and_a_client() -> None:
    with local_s3() as s3:
        assert s3.bucket == "s3dict"
        assert s3.endpoint_url.startswith("http://127.0.0.1:")
        assert keys(s3) == []
        s3.client.put_object(Bucket=s3.bucket, Key="a", Body=b"1")
        assert keys(s3) == ["a"]


def test_boto3_finds_it_by_the_environment() -> None:
    with local_s3("my-bucket") as s3:
        buckets = boto3.Session().client("s3").list_buckets()["Buckets"]
        assert [bucket["Name"] for bucket in buckets] == ["my-bucket"]
        assert s3.environ.items() <= os.environ.items()


def test_the_users_own_settings_are_out_of_the_way_and_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    before = dict(os.environ)
    with local_s3() as s3:
        assert {name: value for name, value in os.environ.items() if name.startswith("AWS_")} == s3.environ
    assert dict(os.environ) == before


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_environment_comes_back_after_an_exception(error: type[BaseException]) -> None:
    before = dict(os.environ)
    with pytest.raises(error), local_s3():
        os.environ["AWS_PROFILE"] = "left behind"
        raise error
    assert dict(os.environ) == before


def test_the_environment_comes_back_when_the_bucket_cannot_be_made() -> None:
    before = dict(os.environ)
    with pytest.raises(ClientError, match="InvalidBucketName"), local_s3("x"):
        pass
    assert dict(os.environ) == before


def test_blocks_one_after_the_other_have_buckets_of_their_own() -> None:
    with local_s3() as s3:
        s3.client.put_object(Bucket=s3.bucket, Key="a", Body=b"1")
    with local_s3() as s3:
        assert keys(s3) == []


def test_blocks_inside_each_other_have_buckets_of_their_own() -> None:
    with local_s3() as outer:
        outer.client.put_object(Bucket=outer.bucket, Key="a", Body=b"1")
        with local_s3() as inner:
            assert keys(inner) == []
            inner.client.put_object(Bucket=inner.bucket, Key="b", Body=b"2")
        assert os.environ["AWS_ENDPOINT_URL_S3"] == outer.endpoint_url
        assert keys(outer) == ["a"]


def test_the_server_stops_with_the_block() -> None:
    with local_s3() as s3:
        client = boto3.Session().client("s3")
    with pytest.raises(EndpointConnectionError):
        client.list_objects_v2(Bucket=s3.bucket)


def test_boto3s_default_session_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    with local_s3():
        assert boto3.DEFAULT_SESSION is None
    assert boto3.DEFAULT_SESSION is None


def test_versioning() -> None:
    with local_s3(versioning=True) as s3:
        for body in b"1", b"2":
            s3.client.put_object(Bucket=s3.bucket, Key="a", Body=body)
        assert len(s3.client.list_object_versions(Bucket=s3.bucket)["Versions"]) == 2


def test_without_moto_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "moto", None)
    with pytest.raises(ImportError, match=r"pip install 'S3Dictionary\[local\]'"), local_s3():
        pass


def test_it_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with local_s3() as s3:
        s3.client.put_object(Bucket=s3.bucket, Key="a", Body=b"1")
        with pytest.raises(ClientError):
            s3.client.get_object(Bucket=s3.bucket, Key="b")
    assert capfd.readouterr() == ("", "")


def test_another_process_finds_it_by_the_environment() -> None:
    script = "import boto3; print(boto3.client('s3').list_buckets()['Buckets'][0]['Name'])"
    with local_s3("for-children"):
        assert subprocess.check_output([sys.executable, "-c", script], text=True) == "for-children\n"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_the_server_stops_when_its_process_is_killed() -> None:
    script = """
import sys
from s3dictionary.local import local_s3
with local_s3() as s3:
    print(s3.endpoint_url, flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", script], stdin=-1, stdout=-1, text=True) as process:
        port = int(process.stdout.readline().rpartition(":")[2])
        process.kill()
    deadline = time.monotonic() + 10
    with pytest.raises(ConnectionRefusedError):
        while time.monotonic() < deadline:
            socket.create_connection(("127.0.0.1", port)).close()
            time.sleep(0.05)


def test_the_representation_shows_no_secret() -> None:
    with local_s3() as s3:
        assert repr(s3) == f"LocalS3(bucket='s3dict', endpoint_url='{s3.endpoint_url}')"
