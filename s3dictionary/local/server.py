"""The base of local S3 servers: a separate process that listens on 127.0.0.1 only.

A server never outlives the process that started it, even if that is killed, because it ends with its standard input.
"""

from __future__ import annotations

import errno
import os
import socket
import subprocess
from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.request import getproxies_environment

if TYPE_CHECKING:
    import boto3
    from mypy_boto3_s3 import S3Client
    from typing_extensions import Self

HOST = "127.0.0.1"
REGION = "us-east-1"


class Server(ABC):
    """An S3 server with one account, which runs from `start()` to `stop()`, or during a `with` block.

    Attributes:
        title: its name in a sentence.
        port: the port that it listens on; before the start, `0` for any.
    """

    title: str

    def __init__(self, port: int = 0, access_key: str = "local", secret_key: str = "local") -> None:  # noqa: S107
        if port:
            check_free(port)
        self.port = port
        self.access_key = access_key
        self.secret_key = secret_key
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()

    @abstractmethod
    def start(self) -> None:
        """Start the server, and wait until it stores objects."""

    @abstractmethod
    def stop(self) -> None:
        """Stop the server, and remove its data."""

    @abstractmethod
    def clear(self) -> None:
        """Remove all buckets."""

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def wait(self) -> None:
        """Wait until the server ends by itself."""
        if self._process is not None:
            self._process.wait()

    @property
    def endpoint_url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        """The environment variables that point boto3 to the server, whatever the user's configuration files say."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint_url,  # for all services, so that nothing reaches the real AWS
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            **_past_proxies(),
        }

    @cached_property
    def session(self) -> boto3.Session:
        """A boto3 session for the server. Its first use must be while `environ` is in effect."""
        import boto3

        return boto3.Session()

    @cached_property
    def client(self) -> S3Client:
        """A boto3 client for the server. Its first use must be while `environ` is in effect."""
        return self.session.client("s3")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if "client" in self.__dict__:
            self.client.close()
        if self._owner == os.getpid():  # in a fork, leave the server to the parent
            self.stop()


def process_environment() -> dict[str, str]:
    """This process's environment without the user's AWS settings, which moto's own use of boto3 would apply."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def check_free(port: int) -> None:
    """Raise an `OSError` if a server can't listen on this port."""
    try:
        socket.create_server((HOST, port)).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = "is in use by another program"
        else:
            reason = f"can't be used ({error.strerror})"
        raise OSError(error.errno, f"port {port} of {HOST} {reason}; without a port, a free one is taken") from None


def _past_proxies() -> dict[str, str]:
    """The variables that keep boto3 from using the environment's proxy for 127.0.0.1."""
    proxies = getproxies_environment()
    excepted = proxies.get("no")
    if not proxies.keys() & {"http", "all"} or excepted == "*":
        return {}
    return dict.fromkeys(("no_proxy", "NO_PROXY"), f"{excepted},{HOST}" if excepted else HOST)
