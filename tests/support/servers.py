"""The S3 servers that the tests run against, and a test's view of them."""

from __future__ import annotations

import re
import uuid
from collections import deque
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import boto3

from s3dictionary.local import seaweedfs
from support.proxy import Fault, Proxy, Requests


@cache
def _session() -> boto3.Session:
    """One session for all, because creating one takes 65 ms. Not boto3's default session, which tests may set."""
    return boto3.Session()


@dataclass
class Server:
    """An S3 server with its one account."""

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

    @cached_property
    def shared_client(self) -> Any:
        """One for all buckets on it, since making one takes longer than a request."""
        return self.client()

    def close(self) -> None:
        """Stop it and leave nothing behind."""
        if "shared_client" in self.__dict__:
            self.shared_client.close()


class SeaweedFS(Server):
    """The library's SeaweedFS, which a test can kill and restart."""

    def __init__(self) -> None:
        self.local = seaweedfs.SeaweedFS(access_key=self.access_key, secret_key=self.secret_key)
        super().__init__(self.local.endpoint_url)
        self.ports = self.local.ports

    @staticmethod
    def binary() -> str | None:
        return seaweedfs.SeaweedFS.program()

    @property
    def running(self) -> bool:
        return self.local.running

    @property
    def pid(self) -> int | None:
        """The id of the process whose child the server is."""
        return self.local._process and self.local._process.pid

    def start(self) -> None:
        self.local.start()

    def kill(self) -> None:
        self.local.kill()

    def close(self) -> None:
        super().close()
        self.local.stop()

    def restart(self) -> None:
        """Kill the server, if it still runs, and start it again with everything that it has stored."""
        self.kill()
        self.start()


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
        """The proxy's address."""
        return self.proxy.endpoint_url

    @property
    def options(self) -> dict[str, str]:
        """For `S3Dict(bucket, file_name=…, **options)`, through the proxy."""
        return {**self.server.options(), "endpoint_url": self.proxy.endpoint_url}

    @property
    def direct(self) -> dict[str, str]:
        """The same options without the proxy."""
        return self.server.options()

    @property
    def client(self) -> Any:
        """A boto3 client that goes to the server direct: what a test does by it is neither recorded nor disturbed."""
        return self.server.shared_client

    def proxied_client(self, **options: Any) -> Any:
        """A boto3 client that uses the proxy, with options as in `boto3.client`."""
        return self.server.client(**{"endpoint_url": self.proxy.endpoint_url, **options})

    @property
    def requests(self) -> Requests:
        """The requests that went through the proxy."""
        return self.proxy.requests

    @property
    def faults(self) -> deque[Fault]:
        """The faults to inject, first one first."""
        return self.proxy.faults

    def read(self, key: str) -> bytes:
        """Read an object directly from the server, without the white space at the end of a save."""
        body = self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return re.sub(rb"[ \t]{96}\n\Z", b"", body)

    def write(self, key: str, body: bytes, **options: Any) -> str:
        """Put an object directly, as another program would. Returns its ETag."""
        return self.client.put_object(Bucket=self.bucket, Key=key, Body=body, **options)["ETag"]
