"""Threads and asyncio tasks that do one thing at a time, when they are told to: for schedules that a seed decides.

Their blocks are `with` statements in which they wait for what they are told next.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from support.adversary.scenes import Boom
from support.adversary.threads import LONG_ENOUGH


class Command:
    """Tells an actor to call a function."""

    def __init__(self, function: Callable[[], object] = lambda: None) -> None:
        self._function = function
        self._done = threading.Event()
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._function()
        except Exception as error:  # noqa: BLE001  # it is raised where the result is asked for
            self.end(error)
        else:
            self.end()

    def end(self, error: BaseException | None = None) -> None:
        self._error = error
        self._done.set()

    @property
    def is_done(self) -> bool:
        return self._done.is_set()

    def wait(self) -> None:
        """Wait until the command is done, and raise its exception."""
        assert self._done.wait(LONG_ENOUGH), "it waits for ever"
        if self._error is not None:
            raise self._error


class Enter(Command):
    """Tells an actor to enter a block."""

    def __init__(self, block: AbstractContextManager[Any]) -> None:
        super().__init__()
        self.block = block


class Leave(Command):
    """Tells an actor to leave the innermost block, or outside of blocks to end."""

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__()
        self.fails = fails


@contextmanager
def told(commands: Sequence[Command]) -> Iterator[None]:
    """Report the outcome of a block to whoever gave the last command."""
    try:
        yield
    except Boom:
        commands[-1].end()
    except Exception as error:  # noqa: BLE001  # it is raised where the result is asked for
        commands[-1].end(error)
    else:
        commands[-1].end()


class Thread:
    """A thread without an event loop: one actor."""

    def __init__(self, name: str) -> None:
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self.actors = [Actor(name, self, self._commands.put)]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> Leave:
        while True:
            command = self._commands.get()
            if isinstance(command, Leave):
                return command
            if isinstance(command, Enter):
                self._stay(command)
            else:
                command.run()

    def _stay(self, command: Enter) -> None:
        given: list[Command] = [command]
        with told(given), command.block:
            command.end()
            leave = self._serve()
            given.append(leave)
            if leave.fails:
                raise Boom

    def end(self) -> None:
        self._commands.put(Leave())
        self._thread.join(LONG_ENOUGH)


class Loop:
    """A thread with an event loop. Each of its tasks is an actor."""

    def __init__(self, name: str, tasks: int) -> None:
        self._loop = asyncio.new_event_loop()
        self._queues: list[asyncio.Queue[Command]] = [asyncio.Queue() for _ in range(tasks)]
        self.actors = [Actor(f"{name}.{number}", self, self._sender(number)) for number in range(tasks)]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _sender(self, number: int) -> Callable[[Command], None]:
        return lambda command: self._send(number, command)

    def _send(self, number: int, command: Command) -> None:
        self._loop.call_soon_threadsafe(self._queues[number].put_nowait, command)

    def _run(self) -> None:
        async def main() -> None:
            await asyncio.gather(*map(self._serve, self._queues))

        self._loop.run_until_complete(main())
        self._loop.close()

    async def _serve(self, commands: asyncio.Queue[Command]) -> Leave:
        while True:
            command = await commands.get()
            if isinstance(command, Leave):
                return command
            if isinstance(command, Enter):
                await self._stay(command, commands)
            else:
                command.run()

    async def _stay(self, command: Enter, commands: asyncio.Queue[Command]) -> None:
        given: list[Command] = [command]
        with told(given), command.block:
            command.end()
            leave = await self._serve(commands)
            given.append(leave)
            if leave.fails:
                raise Boom

    def end(self) -> None:
        for number in range(len(self._queues)):
            self._send(number, Leave())
        self._thread.join(LONG_ENOUGH)


class Actor:
    """A thread, or a task of a thread's event loop, that carries out commands."""

    def __init__(self, name: str, thread: Thread | Loop, send: Callable[[Command], None]) -> None:
        self.name = name
        self.thread = thread
        self._send = send

    def begin(self, command: Command) -> Command:
        """Start the command without waiting for its end."""
        self._send(command)
        return command

    def __repr__(self) -> str:
        return self.name
