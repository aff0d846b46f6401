"""`local_s3()`: a local S3 server with an empty bucket, and environment variables that point to it, for one block."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from .moto import Moto
from .seaweedfs import SeaweedFS
from .server import Server

Engine = Literal["moto", "seaweedfs"]

ENGINES: dict[str, type[Server]] = {"moto": Moto, "seaweedfs": SeaweedFS}


@dataclass(frozen=True)
class LocalS3:
    """The result of `local_s3()`.

    Attributes:
        bucket: the bucket's name.
        endpoint_url: where the server listens, such as `"http://127.0.0.1:40123"`.
        client: a boto3 S3 client for it.
        environ: the settings that the block adds to `os.environ`. For another process: `{**os.environ, **environ}`.
    """

    bucket: str
    endpoint_url: str
    client: Any = field(repr=False)  # without boto3-stubs, no type checker knows `S3Client`
    environ: dict[str, str] = field(repr=False)


@contextmanager
def local_s3(
    bucket: str = "s3dict", *, engine: Engine = "moto", port: int = 0, versioning: bool = False
) -> Iterator[LocalS3]:
    """Start an S3 server on 127.0.0.1 with one empty bucket, until the block ends.

    Inside the block, the `AWS_*` environment variables point boto3 to the server, and your own AWS settings aren't
    used: keys, profiles and configuration files. Afterwards the environment is restored, and the server's data is
    deleted. The environment belongs to the whole process, so don't use such blocks in several threads at once.

    Args:
        bucket: the bucket to create.
        engine: `"moto"`, which is light and starts in about a second; or `"seaweedfs"`, a production server, which
            starts in some seconds.
        port: the port to listen on; `0` for any free port.
        versioning: whether the bucket keeps old versions.

    Raises:
        ImportError: the engine isn't installed.
        OSError: the port is in use.

    >>> from s3dictionary import S3Dict
    >>> with local_s3() as s3:
    ...     with S3Dict(s3.bucket, file_name="state.json") as d:
    ...         d["runs"] = 1
    ...     s3.client.get_object(Bucket=s3.bucket, Key="state.json")["Body"].read().strip()
    b'{"runs":1}'
    """
    with new_server(engine, port) as server, new_bucket(server, bucket, versioning=versioning) as s3:
        yield s3


def new_server(engine: str, port: int = 0) -> Server:
    """A server that isn't started yet."""
    if engine not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(map(repr, ENGINES))}, not {engine!r}")
    return ENGINES[engine](port)


@contextmanager
def new_bucket(server: Server, bucket: str, *, versioning: bool = False) -> Iterator[LocalS3]:
    """Point boto3 to a running server with a new bucket, until the block ends."""
    environ = server.environ
    with _settings(server, environ):
        client = server.client
        client.create_bucket(Bucket=bucket)
        if versioning:
            client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        yield LocalS3(bucket, server.endpoint_url, client, environ)


@contextmanager
def _settings(server: Server, environ: Mapping[str, str]) -> Iterator[None]:
    """Set these environment variables and no other `AWS_*`, and a matching default session of boto3, for one block.

    A session keeps the keys that it has found, so the outer session's keys would be used inside the block.
    """
    import boto3

    variables, session = _take_aws_settings(environ), boto3.DEFAULT_SESSION
    try:
        os.environ.update(environ)
        boto3.DEFAULT_SESSION = server.session
        yield
    finally:
        boto3.DEFAULT_SESSION = session
        _take_aws_settings(environ)
        os.environ.update(variables)


def _take_aws_settings(others: Iterable[str]) -> dict[str, str]:
    names = {name for name in os.environ if name.startswith("AWS_")}.union(others)
    return {name: os.environ.pop(name) for name in names if name in os.environ}
