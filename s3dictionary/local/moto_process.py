"""A program that runs moto's server until standard input ends. Prints the port when it is ready.

Run as `python -I moto_process.py PORT PATH...`, with the caller's `sys.path`, so that it finds the same moto.
"""

from __future__ import annotations

import sys
from io import BytesIO
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment  # wsgiref.types is not in Python 3.10


def one_write_at_a_time(app: WSGIApplication) -> WSGIApplication:
    """Make conditional writes atomic: moto checks the condition first, and stores the object a moment later."""
    lock = Lock()

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in ("PUT", "DELETE"):
            return app(environ, start_response)
        body = environ["wsgi.input"]
        chunked = environ.get("wsgi.input_terminated")
        content = body.read() if chunked else body.read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = BytesIO(content)  # read before the lock, so that a slow sender delays nobody else
        with lock:
            return app(environ, start_response)

    return serve


def list_services_once() -> None:
    """Let moto list its services only once, not at every request, which takes a third of its time."""
    from moto import backends

    services = frozenset(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: services


def main(port: int) -> None:
    """Serve until standard input ends."""
    import logging

    from moto.server import ThreadedMotoServer

    list_services_once()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # no line for each request
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    assert server._server is not None
    server._server.app = one_write_at_a_time(server._server.app)
    print(server.get_host_and_port()[1], flush=True)  # noqa: T201

    import moto.s3.urls  # noqa: F401  # otherwise the first request would wait for this import

    sys.stdin.read()


if __name__ == "__main__":
    sys.path[:] = sys.argv[2:]
    main(int(sys.argv[1]))
