"""The progress bar of the command line: on a terminal, for large bodies, and without an effect on what is saved."""

from __future__ import annotations

import json
import random
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from s3dictionary._s3 import ranges
from s3dictionary.cli import progress
from support.command_line import FILE, CommandLine
from support.proxy import CutOff, Fault, LostAnswer, Proxy, Reset
from support.servers import Site

pytest.importorskip("tqdm")

CONTENT = {f"key {number}": random.Random(number).random() for number in range(20_000)}
BODY = json.dumps(CONTENT).encode()


@pytest.fixture(autouse=True)
def terminal(capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of a common size. The test's body is large enough for a bar."""
    monkeypatch.setattr(progress, "LARGE", len(BODY) // 2)
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda self: True, raising=False)
    monkeypatch.setattr("tqdm.std._screen_shape_wrapper", lambda: lambda file: (80, 24))


@pytest.fixture(params=["http", "https with checksums"])
def cli(
    request: pytest.FixtureRequest,
    moto_s3: Site,
    monkeypatch: pytest.MonkeyPatch,
    capsysbinary: pytest.CaptureFixture[bytes],
    tmp_path: Path,
) -> Iterator[CommandLine]:
    """The command line over HTTPS, where botocore sends chunks with a trailing checksum, as it does to AWS."""
    if request.param == "http":
        yield CommandLine(moto_s3, monkeypatch, capsysbinary)
        return
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_supported")
    proxy = Proxy(moto_s3.server.endpoint_url, tls=context)
    yield CommandLine(Site(moto_s3.server, proxy, moto_s3.bucket), monkeypatch, capsysbinary)
    proxy.close()


def test_loading_and_saving_show_a_bar_each_and_change_nothing(cli: CommandLine) -> None:
    cli.site.write(FILE, BODY)
    ended = cli("set", "key 0", "1")
    assert (ended.code, ended.out) == (0, "")
    assert "Loading: " in ended.err
    assert "Saving: " in ended.err
    assert json.loads(cli.site.read(FILE)) == CONTENT | {"key 0": 1}


@pytest.mark.parametrize(
    ("fault", "twice"),
    [(Reset(method="PUT"), "Saving"), (LostAnswer(method="PUT"), "Saving"), (CutOff(method="GET"), "Loading")],
    ids=["reset", "lost answer", "cut off"],
)
def test_what_has_to_be_sent_again_is_sent_whole(cli: CommandLine, fault: Fault, twice: str) -> None:
    cli.site.write(FILE, BODY)
    cli.site.faults.append(fault)
    ended = cli("set", "key 0", "1")
    assert ended.code == 0
    assert ended.err.count(f"{twice}:   0%") == 2
    assert json.loads(cli.site.read(FILE)) == CONTENT | {"key 0": 1}


def test_a_file_that_comes_over_several_connections_shows_one_bar(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "BIG", len(BODY) // 2)
    monkeypatch.setattr(ranges, "PART", len(BODY) // 4)
    cli.site.write(FILE, BODY)
    ended = cli("get", "key 0")
    assert json.loads(ended.out) == CONTENT["key 0"]
    assert ended.err.count("Loading:   0%") == 1
    assert [exchange.status for exchange in cli.site.requests.log].count(206) == 3


def test_small_files_and_output_to_a_file_have_none(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.site.write(FILE, b'{"a":1}')
    assert cli("get").err == ""
    cli.site.write(FILE, BODY)
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda self: False, raising=False)
    assert cli("get", "key 0").err == ""


def test_without_tqdm_there_is_none(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "find_spec", lambda name: None)
    cli.site.write(FILE, BODY)
    assert cli("get", "key 0") == (0, f"{CONTENT['key 0']}\n", "")
