"""A TCP proxy to a local port, like a server that is farther away: `slow_link.py PORT SECONDS BYTES_A_SECOND`.

Every answer is held back for so long, `100 Continue` too, and so many bytes a second pass on a connection, each way.
Prints its own port, and ends when its input does.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import suppress

CHUNK = 1 << 18


async def forward(reader, writer, rate, hold):
    free = 0.0
    with suppress(ConnectionError):
        while data := await reader.read(CHUNK):
            await hold(data)
            free = max(free, time.monotonic()) + len(data) / rate
            await asyncio.sleep(free - time.monotonic())
            writer.write(data)
            await writer.drain()
    writer.close()


async def connect(port, seconds, rate, client_reader, client_writer):
    server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port, limit=CHUNK)
    asked = False

    async def ask(data):
        nonlocal asked
        asked = True

    async def answer(data):
        nonlocal asked
        if asked:
            asked = False
            await asyncio.sleep(seconds)

    with suppress(asyncio.CancelledError):  # the end
        await asyncio.gather(
            forward(client_reader, server_writer, rate, ask),
            forward(server_reader, client_writer, rate, answer),
        )


async def main(port, seconds, rate):
    server = await asyncio.start_server(
        lambda reader, writer: connect(port, seconds, rate, reader, writer), "127.0.0.1", 0, limit=CHUNK
    )
    print(json.dumps(server.sockets[0].getsockname()[1]), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))
