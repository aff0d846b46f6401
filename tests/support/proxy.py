"""A recording HTTP proxy between an S3 client and an S3 server, with faults on demand.

It knows HTTP and a little of S3's paths, nothing of the library. The `Host` header passes through as sent, so request
signatures stay valid.
"""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import struct
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from botocore.awsrequest import HeadersDict  # a dict that ignores the case of its keys

# Between one hop and the next only, or made anew by the proxy.
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect", "content-length"}


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    """As sent: `/bucket/key?query`, with its percent-escapes."""
    headers: HeadersDict
    body: bytes = field(repr=False)

    @property
    def key(self) -> str:
        """The object's key; empty for a request to the bucket."""
        return unquote(urlsplit(self.path).path.lstrip("/").partition("/")[2])

    @property
    def query(self) -> str:
        return urlsplit(self.path).query


@dataclass(frozen=True)
class Response:
    status: int
    headers: HeadersDict = field(default_factory=HeadersDict)
    body: bytes = field(default=b"", repr=False)
    sent: int | None = None
    """How many bytes of the body to send before the connection breaks; None: all of them, and it doesn't."""
    raw: bytes | None = field(default=None, repr=False)
    """What to send instead of all this, past TLS; then the connection ends."""


@dataclass(frozen=True)
class Exchange:
    """A request and the server's answer, whether or not the answer reached the client."""

    request: Request
    response: Response | None
    """None where the server wasn't asked, or didn't answer."""

    @property
    def method(self) -> str:
        return self.request.method

    @property
    def key(self) -> str:
        return self.request.key

    @property
    def query(self) -> str:
        return self.request.query

    @property
    def headers(self) -> HeadersDict:
        return self.request.headers

    @property
    def body(self) -> bytes:
        return self.request.body

    @property
    def status(self) -> int | None:
        return self.response and self.response.status

    @property
    def response_headers(self) -> HeadersDict:
        return self.response.headers if self.response else HeadersDict()

    @property
    def response_body(self) -> bytes:
        return self.response.body if self.response else b""


@dataclass
class Requests:
    """The requests on the wire so far, including repeated ones."""

    log: list[Exchange] = field(default_factory=list)

    def clear(self) -> None:
        self.log = []  # a request that is still under way goes to the old one

    def count(self) -> Counter[str]:
        """The number of requests of each method, as in `{"GET": 1, "PUT": 1}`."""
        return Counter(exchange.method for exchange in self.log)


Forward = Callable[[Request], "Response | None"]


@dataclass(frozen=True)
class Fault:
    """Stands between client and server for one request: is given it and the way on, and gives the answer.

    No answer (None) resets the connection. A fault is used once and in turn: queue as many as there are to be.
    """

    _: KW_ONLY
    method: str | None = None
    """Wait for a request of this method, and let others pass."""
    forever: bool = False
    """Not just once."""

    def __call__(self, request: Request, forward: Forward) -> Response | None:
        raise NotImplementedError


@dataclass(frozen=True)
class Reset(Fault):
    """Reset the connection before the server has seen the request."""

    def __call__(self, request: Request, forward: Forward) -> Response | None:
        return None


@dataclass(frozen=True)
class LostAnswer(Fault):
    """Let the server execute the request, then reset the connection."""

    def __call__(self, request: Request, forward: Forward) -> Response | None:
        forward(request)
        return None


@dataclass(frozen=True)
class LateAnswer(Fault):
    """Let the server execute the request at once, and delay its answer by `seconds`."""

    seconds: float

    def __call__(self, request: Request, forward: Forward) -> Response | None:
        response = forward(request)
        time.sleep(self.seconds)
        return response


@dataclass(frozen=True)
class Answer(Fault):
    """Answer with an S3 error, without asking the server."""

    status: int
    code: str
    message: str = "as the test wants it"

    def __call__(self, request: Request, forward: Forward) -> Response | None:
        error = f"<Error><Code>{self.code}</Code><Message>{self.message}</Message></Error>"
        return Response(self.status, HeadersDict({"Content-Type": "application/xml"}), error.encode())


@dataclass(frozen=True)
class CutOff(Fault):
    """End the connection after `sent` bytes of the answer's body. The default is half of them."""

    sent: int | None = None

    def __call__(self, request: Request, forward: Forward) -> Response | None:
        response = forward(request)
        return response and replace(response, sent=len(response.body) // 2 if self.sent is None else self.sent)


@dataclass(frozen=True)
class AlterHeaders(Fault):
    """Replace headers of the answer. None removes one."""

    headers: Mapping[str, str | None]

    def __call__(self, request: Request, forward: Forward) -> Response | None:
        response = forward(request)
        if response is None:
            return None
        headers = HeadersDict({**HeadersDict(response.headers), **HeadersDict(self.headers)})
        return replace(response, headers=HeadersDict({k: v for k, v in headers.items() if v is not None}))


@dataclass(frozen=True)
class AlterBody(Fault):
    """Replace the body of the answer."""

    alter: Callable[[bytes], bytes]

    def __call__(self, request: Request, forward: Forward) -> Response | None:
        response = forward(request)
        return response and replace(response, body=self.alter(response.body))


@dataclass(frozen=True)
class Call(Fault):
    """Call `function(request, forward)`, which can change, delay or repeat a request."""

    function: Callable[[Request, Forward], Response | None]

    def __call__(self, request: Request, forward: Forward) -> Response | None:
        return self.function(request, forward)


class Proxy:
    """Listens on a free port of 127.0.0.1 and passes everything on to `target` (`http://host:port`).

    Attributes:
        requests: the requests so far.
        faults: the faults to come, first one first.
        tls: with it, the proxy speaks HTTPS to the client; to the target it is HTTP all the same.
    """

    def __init__(self, target: str, *, tls: ssl.SSLContext | None = None) -> None:
        self.target = target
        self.tls = tls
        self.requests = Requests()
        self.faults: deque[Fault] = deque()
        self._lock = threading.Lock()
        self._port = 0
        self._listen()

    @property
    def endpoint_url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self._port}"

    def clear(self) -> None:
        self.requests.clear()
        self.faults.clear()

    def open(self) -> None:
        """Listen again after `close()`, on the same port as before."""
        if not self._thread.is_alive():
            self._listen()

    def _listen(self) -> None:
        self._server = _Server(("127.0.0.1", self._port), _Handler)
        self._server.proxy = self
        self._port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, and end the existing connections, so that new ones are refused."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server.end_connections()

    def handle(self, request: Request) -> Response | None:
        """Answer a request, using the first fault that concerns it."""
        answers: list[Response | None] = []

        def forward(request: Request) -> Response | None:
            answers.append(self._send(request))
            return answers[-1]

        log = self.requests.log
        fault = self._next_fault(request)
        response = fault(request, forward) if fault else forward(request)
        log.append(Exchange(request, answers[-1] if answers else response))
        return response

    def _next_fault(self, request: Request) -> Fault | None:
        with self._lock:
            for fault in self.faults:
                if fault.method in (None, request.method):
                    if not fault.forever:
                        self.faults.remove(fault)
                    return fault
        return None

    def _send(self, request: Request) -> Response | None:
        address = urlsplit(self.target)
        connection = http.client.HTTPConnection(address.hostname or "", address.port)
        try:
            connection.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers.items():
                if name.lower() not in HOP_BY_HOP:
                    connection.putheader(name, value)
            if request.body or request.method in ("PUT", "POST"):
                connection.putheader("Content-Length", str(len(request.body)))
            connection.endheaders(request.body or None)
            answer = connection.getresponse()
            headers = HeadersDict(answer.getheaders())
            return Response(answer.status, headers, answer.read())
        except (OSError, http.client.HTTPException):  # down, or killed meanwhile
            return None
        finally:
            connection.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    proxy: Proxy

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._connections: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self.proxy.tls:  # the handshake comes with the first read, in the connection's own thread
            connection = self.proxy.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self._connections.add(connection)
        return connection, address

    def end_connections(self) -> None:
        for connection in list(self._connections):
            with suppress(OSError):  # it has ended already
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore the error, because a client may go away."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections alive, and answers `Expect: 100-continue`
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        headers = HeadersDict(self.headers.items())
        response = self.server.proxy.handle(Request(self.command, self.path, headers, self._read_body()))
        if response is None:
            self._reset()
        elif response.raw is not None:
            os.write(self.connection.fileno(), response.raw)
            self.close_connection = True
        else:
            self._answer(response)

    def handle_expect_100(self) -> bool:
        super().handle_expect_100()
        self.wfile.flush()
        return True

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():  # trailers
            pass
        return b"".join(chunks)

    def _answer(self, response: Response) -> None:
        self.log_request(response.status)
        self.send_response_only(response.status)
        for name, value in response.headers.items():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        if self.command == "HEAD":
            self.send_header("Content-Length", response.headers.get("Content-Length", "0"))
        elif response.status not in (204, 304):
            self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD" and response.status not in (204, 304):
            self.wfile.write(response.body[: response.sent])
        self.wfile.flush()
        self.close_connection = self.close_connection or response.sent is not None

    def _reset(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            # Closed with a linger time of 0, a socket sends RST in place of FIN.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass
