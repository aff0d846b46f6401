"""moto's server: light, and quick to start. It imitates AWS in memory, and doesn't check keys."""

from __future__ import annotations

import http.client
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from .server import HOST, Server, process_environment

_PROCESS = str(Path(__file__).with_name("moto_process.py"))


class Moto(Server):
    """moto's server, in a separate process, because moto keeps its buckets in module globals."""

    title = "moto's server"

    def start(self) -> None:
        if not all(find_spec(module) for module in ("moto", "flask", "flask_cors")):
            raise ImportError(
                "a local S3 needs moto's server: pip install 'S3Dictionary[local]>=1'; "
                "in a checkout: pip install '.[local]'"
            )
        self._process = subprocess.Popen(  # noqa: S603  # nothing in it comes from outside
            [sys.executable, "-I", _PROCESS, str(self.port), *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=process_environment(),
            start_new_session=True,  # a Ctrl-C must not end the server, which the block still needs
        )
        try:
            import boto3  # noqa: F401  # takes about as long as the server's start, and runs at the same time

            assert self._process.stdout is not None
            port = self._process.stdout.readline()
            if not port:
                raise RuntimeError(f"moto's server did not start (exit code {self._process.wait()})")
            self.port = int(port)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        if self._process is not None:
            with self._process as process:
                process.kill()
            self._process = None

    def clear(self) -> None:
        connection = http.client.HTTPConnection(HOST, self.port)
        connection.request("POST", "/moto-api/reset")
        connection.getresponse().read()
        connection.close()
