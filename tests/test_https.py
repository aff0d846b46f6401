"""HTTPS: with boto3's checksums and without, with lost answers, and with a certificate that nobody has signed."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from botocore.config import Config

from s3dictionary import ConflictError, S3Dict, StorageError
from support.proxy import Fault, LostAnswer, Proxy, Request, Reset, Response
from support.servers import Site

LIBRARYS_DEFAULTS = None
WHEN_SUPPORTED = Config(request_checksum_calculation="when_supported", response_checksum_validation="when_supported")
CHECKSUMS = [pytest.param(LIBRARYS_DEFAULTS, id="default"), pytest.param(WHEN_SUPPORTED, id="when_supported")]


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_bundle(authority: trustme.CA, tmp_path: Path) -> str:
    """A file with the certificate of the authority that signed the server's."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def https(s3: Site, authority: trustme.CA, ca_bundle: str) -> Iterator[Site]:
    """A fresh bucket on each server in turn, over HTTPS, with a new certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    proxy = Proxy(s3.server.endpoint_url, tls=context)
    assert proxy.endpoint_url.startswith("https:")
    site = Site(s3.server, proxy, s3.bucket)
    yield site
    proxy.close()


@pytest.fixture
def options(https: Site, ca_bundle: str) -> Iterator[dict[str, Any]]:
    """The options of the library's own client, which checks the certificate."""
    return {**https.options, "verify": ca_bundle}


def stored(site: Site, name: str) -> Any:
    with S3Dict(site.bucket, file_name=name, **site.direct) as d:
        return d.data


@pytest.mark.parametrize(
    "config", [LIBRARYS_DEFAULTS, WHEN_SUPPORTED], ids=["the library's defaults", "when_supported"]
)
@pytest.mark.parametrize("name", ["state.json", "state.json.gz"])
def test_everything_works(https: Site, options: dict[str, Any], config: Config | None, name: str) -> None:
    if config is not None:
        options["config"] = config
    content = {"name": "Zoë", "random": os.urandom(70_000).hex(), "list": [1, (2, 3)]}
    with S3Dict(https.bucket, file_name=name, **options) as d:
        d.update(content)
    d = S3Dict(https.bucket, file_name=name, **options)
    assert d == stored(https, name) == content
    d["list"].append(4)
    d.save()
    d.load()
    assert d == stored(https, name) == {**content, "list": [1, (2, 3), 4]}
    requests = https.requests.count()
    assert requests in ({"GET": 3, "PUT": 2}, {"GET": 4, "PUT": 2}), "a slow machine loads once more before the block"

    with S3Dict(https.bucket, file_name=name, **https.direct) as other:
        other["theirs"] = 1
    with pytest.raises(ConflictError):
        d.save()
    with pytest.raises(ConflictError):
        d.delete()
    d.load()
    d.delete()
    with S3Dict(https.bucket, file_name=name, **options) as d:
        assert d == {}


def test_checksums_are_sent_if_one_asks_for_them(https: Site, options: dict[str, Any]) -> None:
    for config, expected in (LIBRARYS_DEFAULTS, False), (WHEN_SUPPORTED, True):
        https.requests.clear()
        with S3Dict(https.bucket, file_name="state.json", **options, config=config) as d:
            d[str(expected)] = 1
        (put,) = (exchange for exchange in https.requests.log if exchange.method == "PUT")
        assert ("aws-chunked" in put.headers.get("Content-Encoding", "")) == expected


@pytest.mark.parametrize(
    "config", [LIBRARYS_DEFAULTS, WHEN_SUPPORTED], ids=["the library's defaults", "when_supported"]
)
def test_an_answer_that_is_lost_is_no_second_save(https: Site, options: dict[str, Any], config: Config | None) -> None:
    https.write("state.json", b'{"n": 5}')
    with S3Dict(https.bucket, file_name="state.json", **options, config=config) as d:
        https.faults.extend([Reset(method="PUT"), LostAnswer(method="PUT")])
        d["n"] += 1
    assert json.loads(https.client.get_object(Bucket=https.bucket, Key="state.json")["Body"].read()) == {"n": 6}


@dataclass(frozen=True)
class BrokenTLS(Fault):
    """Let the server execute the request, and then answer without TLS."""

    def __call__(self, request: Request, forward: Any) -> Response | None:
        forward(request)
        return Response(200, body=b"", raw=b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def test_an_answer_that_is_no_tls_is_an_unknown_outcome(https: Site, options: dict[str, Any]) -> None:
    https.write("state.json", b'{"n": 5}')
    d = S3Dict(https.bucket, file_name="state.json", **options)
    d["n"] += 1
    https.faults.append(BrokenTLS(method="PUT", forever=True))
    with pytest.raises(StorageError, match="not known whether the save took effect"):
        d.save()
    https.faults.clear()
    d.save()
    assert stored(https, "state.json") == {"n": 6}


def test_a_certificate_that_nobody_vouches_for_is_refused(https: Site) -> None:
    with pytest.raises(StorageError, match="CERTIFICATE_VERIFY_FAILED") as error:
        S3Dict(https.bucket, file_name="state.json", **https.options)
    assert error.value.__cause__ is not None
    assert https.server.secret_key not in str(error.value)
    assert https.requests.log == []
