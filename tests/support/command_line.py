"""Runs the command line in this process."""

from __future__ import annotations

import io
import json
from typing import Any, NamedTuple

import boto3
import pytest

from s3dictionary.cli import main
from support.proxy import Call, Forward, Request, Response
from support.servers import Site

FILE = "state.json"


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class CommandLine:
    """Runs `s3dictionary` in this process, with an environment for the test's bucket."""

    def __init__(self, site: Site, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
        self.site = site
        self.uri = f"s3://{site.bucket}/{FILE}"
        self._monkeypatch = monkeypatch
        self._capture = capsysbinary
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)

    @property
    def environment(self) -> dict[str, str]:
        server = self.site.server
        return {
            "AWS_ACCESS_KEY_ID": server.access_key,
            "AWS_SECRET_ACCESS_KEY": server.secret_key,
            "AWS_DEFAULT_REGION": server.region,
            "AWS_ENDPOINT_URL": self.site.endpoint_url,
        }

    def __call__(
        self, command: str, *words: str, uri: str | None = None, stdin: bytes = b"", terminal: bool = False
    ) -> Ended:
        """Run `s3dictionary COMMAND URI WORDS…`; the URI is that of a file `state.json`, unless given.

        Args:
            terminal: whether standard input is one; `stdin` is then what somebody types.
        """
        typed = io.TextIOWrapper(io.BytesIO(stdin))
        typed.isatty = lambda: terminal  # type: ignore[method-assign]
        self._monkeypatch.setattr("sys.stdin", typed)
        self._capture.readouterr()
        try:
            code = main([command, self.uri if uri is None else uri, *words])
        except SystemExit as exit_:  # argparse's
            code = int(exit_.code or 0)
        out, err = self._capture.readouterr()
        ended = Ended(int(code), out.decode(), err.decode())
        assert self.site.server.secret_key not in out.decode() + err.decode()
        assert "Traceback" not in ended.err
        return ended


def meanwhile(site: Site, body: bytes) -> Call:
    """Let someone else write the file just before a PUT arrives."""

    def write(request: Request, forward: Forward) -> Response | None:
        site.write(FILE, body)
        return forward(request)

    return Call(write, method="PUT")
