"""A small web application with a visit counter, and 200 visitors at the same time. Needs `starlette` and `httpx`.

Prints:
    200 visitors have 200 different numbers
    the counter is at 200
"""

import asyncio

import httpx
from playground import new_file
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from s3dictionary import AsyncS3Dict


def count(visits: AsyncS3Dict[str, int], page: str) -> int:
    visits[page] = visits.get(page, 0) + 1
    return visits[page]


def application(uri: str) -> Starlette:
    visits: AsyncS3Dict[str, int] = AsyncS3Dict.from_uri(uri)

    async def visit(request: Request) -> JSONResponse:
        return JSONResponse({"visitor": await visits.run(count, request.url.path)})

    async def total(request: Request) -> JSONResponse:
        return JSONResponse(dict(await visits.load()))

    return Starlette(routes=[Route("/", visit), Route("/total", total)])


async def main(uri: str) -> None:
    transport = httpx.ASGITransport(application(uri))  # in this process: no server, no port
    async with httpx.AsyncClient(transport=transport, base_url="http://app", timeout=60) as client:
        answers = await asyncio.gather(*(client.get("/") for _ in range(200)))
        numbers = {answer.json()["visitor"] for answer in answers}
        print(len(answers), "visitors have", len(numbers), "different numbers")
        print("the counter is at", (await client.get("/total")).json()["/"])


if __name__ == "__main__":
    with new_file() as uri:
        asyncio.run(main(uri))
