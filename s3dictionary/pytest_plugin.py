"""A pytest plugin: the fixture `s3dict_bucket`, an empty bucket on a local S3 server.

pytest loads it in every run if the library is installed, so it imports the library only when a fixture is used.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .local import LocalS3
    from .local.server import Server


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option and the setting that choose the server."""
    text = "the server behind s3dict_bucket: moto (default) or seaweedfs"
    parser.getgroup("s3dictionary").addoption("--s3dict-engine", metavar="ENGINE", help=text)
    parser.addini("s3dict_engine", help=text, default="moto")


@pytest.fixture
def s3dict_bucket(s3dict_local: LocalS3) -> str:
    """The name of an empty bucket on a local S3 server, for one test. boto3 and S3Dict use that server."""
    return s3dict_local.bucket


@pytest.fixture
def s3dict_local(_s3dict_server: Server) -> Iterator[LocalS3]:
    """The same bucket with more access: `.bucket`, `.client` (a boto3 S3 client), `.endpoint_url`, `.environ`."""
    from .local.block import new_bucket

    with new_bucket(_s3dict_server, f"s3dict-{uuid.uuid4().hex[:12]}") as s3:
        yield s3
        _s3dict_server.clear()


@pytest.fixture(scope="session")
def _s3dict_server(pytestconfig: pytest.Config) -> Iterator[Server]:
    """One server for all tests; with xdist, one for each worker."""
    from .local.block import new_server

    engine = pytestconfig.getoption("--s3dict-engine") or pytestconfig.getini("s3dict_engine")
    with ExitStack() as stack:
        try:
            server = stack.enter_context(new_server(engine))
        except (ImportError, ValueError) as error:
            raise pytest.fail.Exception(f"s3dict_bucket: {error}", pytrace=False) from None
        yield server
