"""How long `AsyncS3Dict` holds up the event loop while a file is loaded, edited and saved."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType

from s3dictionary import AsyncS3Dict

from .data import body
from .report import Section, Table, duration, size
from .stage import Stage

TEXT = """\
One task loads a file with `async with`, edits ten of its records, and saves it. Meanwhile, another task only yields,
and measures its longest wait. Requests, and the splitting and encoding of a big file, run in worker threads, which
hold Python's global lock for part of the time. Python takes the lock from a thread only after 5 ms. The figures are the
median of {rounds} rounds."""

EDITED = 10


class Pauses:
    """Measures the event loop's longest pause inside the context, in seconds."""

    longest = 0.0

    async def __aenter__(self) -> Pauses:
        self._task = asyncio.ensure_future(self._watch())
        await asyncio.sleep(0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _watch(self) -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0)
            now = time.perf_counter()
            self.longest, last = max(self.longest, now - last), now


def measure(stage: Stage) -> Section:
    rounds = 1 if stage.quick else 9
    section = Section("Pauses of the event loop", TEXT.format(rounds=rounds))
    rows = []
    for count in (1_000, 8_000) if stage.quick else (8_000, 115_000):
        content = body(count)
        stage.s3.put_object(Bucket=stage.bucket, Key="loop.json", Body=content)
        pauses = sorted(asyncio.run(_edit(stage.bucket)) for _ in range(rounds))
        section.facts[f"pause {count}"] = pauses[rounds // 2]
        rows.append([size(len(content)), duration(pauses[rounds // 2]), duration(pauses[0]), duration(pauses[-1])])
    section.tables.append(Table(["file", "longest pause", "in the best round", "in the worst"], rows))
    return section


async def _edit(bucket: str) -> float:
    state: AsyncS3Dict[str, dict[str, int]] = AsyncS3Dict(bucket, file_name="loop.json")
    await state.versions()  # the client is there, which isn't what is measured
    async with Pauses() as pauses, state:
        for key in list(state)[:EDITED]:
            state[key]["edited"] = state[key].get("edited", 0) + 1
    return pauses.longest
