"""`run` for asyncio. Each task waits for its turn to call its function, and for the shared save."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from ._blocks import Blocks
from ._groups import Group, Groups, Member
from ._leaving import Block, Kind
from ._store import Store
from ._tasks import Notification, TaskTurns, to_the_end
from .errors import RUN_AGAIN, Rollback, S3DictError, is_conflict_about


class _TaskMember(Member):
    """A task's call of `run`.

    Attributes:
        cancelled: the cancellation that continues when the outcome of the save is known.
    """

    def __init__(self, call: Callable[[], Any], attempts: int) -> None:
        super().__init__(call, attempts)
        self.cancelled: asyncio.CancelledError | None = None
        self._notification = Notification()

    @property
    def has_gone(self) -> bool:
        return self._notification.is_undeliverable

    def tell(self) -> None:
        self._notification.send()

    async def wait(self) -> None:
        """Wait for a notification, even if the task is cancelled during its save."""
        try:
            await self._notification.received()
        except asyncio.CancelledError as error:
            if self.group is None or not self.group.is_saving or not self.is_kept:
                raise
            self.cancelled = error


class TaskRuns:
    """Calls functions in blocks, several of them in a shared one.

    Args:
        blocks: the dict's blocks.
        turns: their turns.
        store: saves.
    """

    def __init__(self, blocks: Blocks, turns: TaskTurns, store: Store) -> None:
        self._blocks = blocks
        self._turns = turns
        self._store = store
        self._groups: Groups[_TaskMember] = Groups(store.uri, blocks)

    async def run(self, load: Callable[[], Awaitable[None]], call: Callable[[], Any], attempts: int) -> Any:
        """Call a function in a block, again after conflicts. Returns its result.

        Args:
            load: loads if necessary.
            call: the function. An awaitable result is awaited.
            attempts: how often to call it at most.
        """
        member = _TaskMember(call, attempts)
        try:
            group = self._groups.join(member)
            while not member.is_done:
                if group.holder is member:
                    await self._go_on(group, member, load)
                else:
                    await member.wait()
                if member.cancelled is not None and not group.is_saving:
                    raise member.cancelled  # the save has failed, and it would be called again
            if member.cancelled is not None:
                raise member.cancelled from member.error
        except BaseException as error:
            self._groups.leave(member, error)
            raise
        return member.outcome()

    async def _go_on(self, group: Group[_TaskMember], member: _TaskMember, load: Callable[[], Awaitable[None]]) -> None:
        if not self._groups.is_open(group):
            await self._begin(group, load)
        elif not group.todo:
            await self._end(group)
        elif group.todo[0] is member:
            group.todo.remove(member)
            await self._call(group, member)
        else:
            self._groups.hand_on(group)

    async def _begin(self, group: Group[_TaskMember], load: Callable[[], Awaitable[None]]) -> None:
        """Load when it is the group's turn, and open its block."""
        if group.wait:
            await asyncio.sleep(group.wait)
            group.wait = 0.0
        block = self._groups.begin(group)
        try:
            await self._turns.take_later(block)
            await asyncio.sleep(0)  # members of the last group, and calls made at the same time, join this one
            self._groups.close(group)
            await load()
            self._groups.loaded(group)
            self._blocks.enter(block)
        except S3DictError as error:  # an error for all members
            self._turns.end(block)
            self._groups.failed(group, error, repeats=False)

    async def _call(self, group: Group[_TaskMember], member: _TaskMember) -> None:
        """Call a member's function, in its own block if others share the group's. Its exceptions go to the member."""
        member.reset()
        block = Block(Kind.RUN, member)
        try:
            if group.is_shared:
                self._blocks.enter(block)
            result = member.call()
            member.result = await result if inspect.isawaitable(result) else result
            if group.is_careful:
                self._store.check_changes()
            if group.is_shared:
                self._blocks.leave(block, None, _nothing)
        except Exception as error:  # noqa: BLE001  # it is raised when the outcome is known
            self._groups.undo_call(group)
            member.error = None if isinstance(error, Rollback) else error
            return
        member.is_kept = True

    async def _end(self, group: Group[_TaskMember]) -> None:
        """Save, and notify all members. A cancellation of the member that saves continues after that."""
        if not self._groups.begin_saving(group):
            self._groups.call_again(group)
            return
        finished = await to_the_end(self._groups.save, group, partial(self._store.save_changes, RUN_AGAIN))
        if finished.error is None:
            self._groups.succeeded(group)
        elif isinstance(finished.error, Exception):
            self._groups.failed(group, finished.error, repeats=self._may_repeat(finished.error))
        else:
            raise finished.error
        if finished.cancelled is not None:
            finished.get()

    def _may_repeat(self, error: Exception) -> bool:
        """Whether it is a conflict about this file, and a fresh load would discard nothing."""
        return is_conflict_about(self._store.uri, error) and not self._store.changed

    def check(self) -> None:
        """Assert that nothing waits. Call it while no operation is in progress."""
        self._groups.check()


def _nothing() -> None:
    """The save at the end of an inner block: nothing."""
