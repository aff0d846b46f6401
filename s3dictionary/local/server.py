"""An S3 server in a process of its own, on 127.0.0.1 only. Knows no particular server.

A server never outlives the process that started it: it ends with its standard input, so also when that is killed.
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
    """An S3 server with one account, from `start()` to `stop()`, or for a `with` block.

    Attributes:
        title: what to call it in a sentence.
        port: where it listens; before the start, `0` for any.
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
        """Start it, and wait until it stores objects."""

    @abstractmethod
    def stop(self) -> None:
        """Stop it and leave nothing behind."""

    @abstractmethod
    def clear(self) -> None:
        """Remove all its buckets."""

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def wait(self) -> None:
        """Wait until it ends of its own accord."""
        if self._process is not None:
            self._process.wait()

    @property
    def endpoint_url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        """The environment variables that lead boto3 here, whatever the user's configuration files say."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint_url,  # for all of AWS: nothing is to reach the real one
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            **_past_proxies(),
        }

    @cached_property
    def session(self) -> boto3.Session:
        """A boto3 session for it. To be asked for first where `environ` is the environment."""
        import boto3

        return boto3.Session()

    @cached_property
    def client(self) -> S3Client:
        """A boto3 client for it. To be asked for first where `environ` is the environment."""
        return self.session.client("s3")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if "client" in self.__dict__:
            self.client.close()
        if self._owner == os.getpid():  # else this is a fork of the block, and the server is still needed
            self.stop()


def process_environment() -> dict[str, str]:
    """This process's, without the user's AWS settings: moto uses boto3 itself, and a profile would lead it astray."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def check_free(port: int) -> None:
    """Raise an `OSError` that says so, if a server can't listen there."""
    try:
        socket.create_server((HOST, port)).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = "is in use by another program"
        else:
            reason = f"can't be used ({error.strerror})"
        raise OSError(error.errno, f"port {port} of {HOST} {reason}; without a port, a free one is taken") from None


def _past_proxies() -> dict[str, str]:
    """A proxy that the environment names would be asked for 127.0.0.1, too."""
    proxies = getproxies_environment()
    excepted = proxies.get("no")
    if not proxies.keys() & {"http", "all"} or excepted == "*":
        return {}
    return dict.fromkeys(("no_proxy", "NO_PROXY"), f"{excepted},{HOST}" if excepted else HOST)
