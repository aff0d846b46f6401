"""An S3 of one's own on this machine, for trying things out and for tests: moto's server (extra `[local]`).

Each server is a process of its own, because moto keeps its buckets in module globals: so every `local_s3()` starts
empty, also inside another one, and nothing is left when it ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["LocalS3", "local_s3"]


@dataclass(frozen=True)
class LocalS3:
    """What `local_s3()` gives.

    Attributes:
        bucket: the bucket's name.
        endpoint_url: where the server listens, as in `"http://127.0.0.1:40123"`.
        client: a boto3 S3 client for it.
        environ: the AWS settings that are in `os.environ` meanwhile. For another process: `{**os.environ, **environ}`.
    """

    bucket: str
    endpoint_url: str
    client: S3Client = field(repr=False)
    environ: dict[str, str] = field(repr=False)


@contextmanager
def local_s3(bucket: str = "s3dict", *, versioning: bool = False) -> Iterator[LocalS3]:
    """Start an S3 server on a free port of 127.0.0.1, with one empty bucket, for as long as the block lasts.

    Inside the block the `AWS_*` environment variables point boto3 there, and none of the user's own AWS settings are
    used: keys, profiles and configuration files alike. Afterwards the environment is as it was before. The environment
    is the whole process's, so blocks in several threads at once would disturb each other.

    Args:
        bucket: the bucket to create.
        versioning: whether the bucket keeps old versions.

    Raises:
        ImportError: moto's server isn't installed.

    >>> from s3dictionary import S3Dict
    >>> with local_s3() as s3:
    ...     with S3Dict(s3.bucket, file_name="state.json") as d:
    ...         d["runs"] = 1
    ...     s3.client.get_object(Bucket=s3.bucket, Key="state.json")["Body"].read()
    b'{"runs":1}'
    """
    with moto_server() as endpoint_url:
        environ = {
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_S3": endpoint_url,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        with _aws_settings(environ):
            import boto3

            # A session of its own: boto3's default session would remember this server after the block.
            client = boto3.Session().client("s3")
            try:
                client.create_bucket(Bucket=bucket)
                if versioning:
                    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
                yield LocalS3(bucket, endpoint_url, client, environ)
            finally:
                client.close()


# The parent's sys.path is handed over, so that the same moto is found. The process ends with its standard input, so
# also when the parent is killed.
_SERVE = """
import sys
sys.path[:] = sys.argv[1:]
import logging
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)  # no line for each request
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
import moto.s3.urls  # or the first request would wait for it
sys.stdin.read()
"""


@contextmanager
def moto_server() -> Iterator[str]:
    """Run moto's server in a process of its own; gives its URL."""
    if not all(find_spec(module) for module in ("moto", "flask", "flask_cors")):
        raise ImportError("a local S3 needs moto's server: pip install 'S3Dictionary[local]'")
    with subprocess.Popen(  # noqa: S603  # nothing in it comes from outside
        [sys.executable, "-c", _SERVE, *sys.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a Ctrl-C is for the block, which still needs its server
    ) as process:
        try:
            import boto3  # noqa: F401  # takes about as long as the server's start, so meanwhile

            assert process.stdout is not None
            port = process.stdout.readline().strip()
            if not port:
                raise RuntimeError(f"moto's server did not start (exit code {process.wait()})")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


@contextmanager
def _aws_settings(environ: Mapping[str, str]) -> Iterator[None]:
    """Have just these `AWS_*` variables in the environment for a while."""
    before = _take_aws_settings()
    os.environ.update(environ)
    try:
        yield
    finally:
        _take_aws_settings()
        os.environ.update(before)


def _take_aws_settings() -> dict[str, str]:
    return {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("AWS_")}
