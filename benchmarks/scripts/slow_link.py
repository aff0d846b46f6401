"""A TCP proxy to a local port, like a server that is farther away: `slow_link.py PORT SECONDS BYTES_A_SECOND`.

Every answer is held back for so long, `100 Continue` too, and so many bytes a second pass on a connection, each way.
Prints its own port, and ends when its input does.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from contextlib import suppress

CHUNK = 1 << 18


def forward(source, sink, rate, hold):
    """Pass on everything, through one buffer, as server and clients need the processor as well."""
    buffer = memoryview(bytearray(CHUNK))
    free = 0.0
    with suppress(OSError):
        while size := source.recv_into(buffer):
            hold()
            free = max(free, time.monotonic()) + size / rate
            time.sleep(max(0, free - time.monotonic()))
            sink.sendall(buffer[:size])
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def connect(client, port, seconds, rate):
    server = socket.create_connection(("127.0.0.1", port))
    for end in (client, server):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    asked = threading.Event()

    def answer():
        if asked.is_set():
            asked.clear()
            time.sleep(seconds)

    threading.Thread(target=forward, args=(client, server, rate, asked.set), daemon=True).start()
    threading.Thread(target=forward, args=(server, client, rate, answer), daemon=True).start()


def accept(listener, *link):
    while True:
        connect(listener.accept()[0], *link)


def main(port, seconds, rate):
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=accept, args=(listener, port, seconds, rate), daemon=True).start()
    print(json.dumps(listener.getsockname()[1]), flush=True)
    sys.stdin.read()


main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
