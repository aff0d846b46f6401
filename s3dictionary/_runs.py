"""`run` for threads. Each thread waits for its turn to call its function, and for the shared save."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from ._blocks import Blocks
from ._groups import Group, Groups, Member
from ._leaving import Block, Kind
from ._store import Store
from .errors import RUN_AGAIN, Rollback, S3DictError, is_conflict_about

_LOOK_AGAIN = 0.2
"""Seconds after which a waiting thread checks for itself, in case the thread that should notify it was interrupted."""

_GATHER = 0.001
"""Seconds to wait for each further member of the last group that hasn't called again yet."""


class _ThreadMember(Member):
    """A thread's call of `run`."""

    def __init__(self, call: Callable[[], Any], attempts: int) -> None:
        super().__init__(call, attempts)
        self._told = threading.Lock()
        self._told.acquire()  # `tell` releases it

    def tell(self) -> None:
        if self._told.locked():
            self._told.release()

    def wait(self, seconds: float = _LOOK_AGAIN) -> bool:
        """Wait for a notification, or for some time. Returns whether it was notified."""
        return self._told.acquire(timeout=seconds)


class Runs:
    """Calls functions in blocks, several of them in a shared one.

    Args:
        blocks: the dict's blocks.
        store: loads and saves.
    """

    def __init__(self, blocks: Blocks, store: Store) -> None:
        self._blocks = blocks
        self._store = store
        self._groups: Groups[_ThreadMember] = Groups(store.uri, blocks)

    def run(self, call: Callable[[], Any], attempts: int) -> Any:
        """Call a function in a block, again after conflicts, at most `attempts` times. Returns its result."""
        member = _ThreadMember(call, attempts)
        try:
            self._take_part(member)
        except BaseException as error:
            self._groups.leave(member, error)
            raise
        return member.outcome()

    def _take_part(self, member: _ThreadMember) -> None:
        try:
            self._blocks.turns.refuse_task()
            group = self._groups.join(member)
            while not member.is_done:
                self._groups.after_fork(group, member)
                if group.holder is member:
                    self._go_on(group, member)
                else:
                    member.wait()
        except BaseException as error:
            self._groups.leave(member, error)
            raise

    def _go_on(self, group: Group[_ThreadMember], member: _ThreadMember) -> None:
        if not self._groups.is_open(group):
            self._begin(group)
        elif not group.todo:
            self._end(group)
        elif group.todo[0] is member:
            group.todo.remove(member)
            self._call(group, member)
        else:
            self._groups.hand_on(group)

    def _begin(self, group: Group[_ThreadMember]) -> None:
        """Load when it is the group's turn, and open its block."""
        if group.wait:
            time.sleep(group.wait)
            group.wait = 0.0
        try:
            self._blocks.enter(self._groups.begin(group), lambda: self._load(group))
        except S3DictError as error:  # it is everybody's
            self._groups.failed(group, error, repeats=False)

    def _load(self, group: Group[_ThreadMember]) -> None:
        while self._groups.is_expecting(group) and group.holder.wait(_GATHER):
            pass
        self._groups.close(group)
        self._store.refresh()
        self._groups.loaded(group)

    def _call(self, group: Group[_ThreadMember], member: _ThreadMember) -> None:
        """Call a member's function, in its own block if others share the group's. Its exceptions go to the member."""
        member.reset()
        try:
            if group.is_shared:
                block = Block(Kind.RUN, member)
                check = self._store.check_changes if group.is_careful else None
                member.result = self._blocks.within(block, None, _nothing, lambda: _checked(member.call, check))
            else:
                member.result = member.call()
        except Exception as error:  # noqa: BLE001  # it is raised when the outcome is known
            self._groups.undo_call(group)
            member.error = None if isinstance(error, Rollback) else error
            return
        member.is_kept = True

    def _end(self, group: Group[_ThreadMember]) -> None:
        """Save, and notify all members."""
        if not self._groups.begin_saving(group):
            self._groups.call_again(group)
            return
        try:
            self._groups.save(group, partial(self._store.save_changes, RUN_AGAIN))
        except Exception as error:  # noqa: BLE001  # it is everybody's
            self._blocks.turns.end(group.block)  # an exception from a signal handler may have come before the end
            self._groups.failed(group, error, repeats=self._may_repeat(error))
        else:
            self._groups.succeeded(group)

    def _may_repeat(self, error: Exception) -> bool:
        """Whether it is a conflict about this file, and a fresh load would discard nothing."""
        if not is_conflict_about(self._store.uri, error):
            return False
        changed = self._blocks.turns.step(lambda: self._store.changed)  # changes in blocks of other callers don't count
        return not changed

    def check(self) -> None:
        """Assert that nothing waits. Call it while no operation is in progress."""
        self._groups.check()


def _nothing() -> None:
    """The save at the end of an inner block: nothing."""


def _checked(call: Callable[[], Any], check: Callable[[], None] | None) -> Any:
    result = call()
    if check is not None:
        check()
    return result
