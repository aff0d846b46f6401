"""A TCP proxy to a local port, that holds every answer back for a while. Prints its own port.

What a server says before it has the whole request (`100 Continue`) isn't held back: so it is a delay for each request.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress


async def forward(reader, writer, seconds, asked):
    try:
        while data := await reader.read(1 << 18):
            if seconds is None:
                asked.set()
            elif asked.is_set() and not data.startswith(b"HTTP/1.1 100"):
                asked.clear()
                await asyncio.sleep(seconds)
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def main(port, seconds):
    async def serve(client_reader, client_writer):
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)
        asked = asyncio.Event()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(
                forward(client_reader, server_writer, None, asked),
                forward(server_reader, client_writer, seconds, asked),
            )

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(json.dumps(server.sockets[0].getsockname()[1]), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
