"""Group commit: calls of `run` that wait at the same time share one load and one save.

The first one to wait begins a group; the others join it until it loads. One member at a time holds the group: it loads,
calls its function, or saves, and hands the group on to the member whose function comes next. So each function is called
by its own caller, and a member that is interrupted only has to hand on what it holds.
Knows neither S3 nor how members wait: that differs between threads and tasks.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from ._backoff import backoff
from ._blocks import Blocks
from ._leaving import Block, Kind
from ._turns import Turn
from .errors import NotStorableError, ReadOnlyError, interrupted, twin

M = TypeVar("M", bound="Member")


class Member(Turn):
    """One call of `run`.

    Attributes:
        call: the function, with its arguments.
        attempts: how often it may still be called.
        group: the group it is in.
        result: what the function returned.
        error: what the call of `run` is to raise.
        is_kept: the function has returned, and what it changed is in the group's block.
        is_done: the outcome is known.
    """

    def __init__(self, call: Callable[[], Any], attempts: int) -> None:
        super().__init__()
        self.call = call
        self.attempts = attempts
        self.group: Group[Any] | None = None
        self.result: Any = None
        self.error: BaseException | None = None
        self.is_kept = False
        self.is_done = False

    @property
    def has_gone(self) -> bool:
        """Will it never look again?"""
        return False

    def tell(self) -> None:
        """Let it look again: it may hold the group now, or its outcome be known."""
        raise NotImplementedError

    def reset(self) -> None:
        """Forget what came of the call before."""
        self.result, self.error, self.is_kept = None, None, False

    def outcome(self) -> Any:
        """What the function returned, or raise what is to be raised."""
        error, self.error, self.group = self.error, None, None  # the group refers to its members
        if error is not None:
            try:
                raise error
            finally:
                del error  # its traceback refers to this frame
        return self.result


class Group(Generic[M]):
    """Calls of `run` that share a load and a save.

    Attributes:
        members: in the order in which they came. Those that were interrupted are here no more.
        holder: the member that loads, calls its function, or saves.
        todo: the members whose functions have yet to be called.
        block: the block around all of them; open from the load to the end of the save.
        waits: how long to wait after each conflict.
        is_shared: there were several members when it was loaded.
        is_careful: each member's changes are encoded by itself, to find out whose can't be saved.
        is_spoilt: a member was interrupted after its function had returned, so what it did has to be undone.
        is_saving: the save has begun, so its outcome isn't known if the holder is interrupted.
        process: the process that it began in.
    """

    def __init__(self, first: M) -> None:
        self.members: list[M] = [first]
        self.holder = first
        self.todo: list[M] = []
        self.block = Block(Kind.RUN, self)
        self.waits = backoff()
        self.wait = 0.0
        self.is_shared = False
        self.is_careful = False
        self.is_spoilt = False
        self.is_saving = False
        self.process = os.getpid()


class Groups(Generic[M]):
    """The groups of one dict.

    Args:
        uri: the file's address.
        blocks: the dict's blocks.
    """

    def __init__(self, uri: str, blocks: Blocks) -> None:
        self._uri = uri
        self._blocks = blocks
        self._next: Group[M] | None = None
        self._last_size = 1
        """How many the last group had: they may be about to come again."""

    def is_open(self, group: Group[M]) -> bool:
        """Is the group's block open?"""
        return group.block in self._blocks.open

    def join(self, member: M) -> Group[M]:
        """Put a member into the next group. It holds the group if it is the first."""
        with self._blocks.lock:
            group = self._next
            if group is None or group.process != os.getpid() or group.holder.has_gone:
                member.group = Group(member)
                self._next = member.group
                return member.group
            member.group = group
            group.members.append(member)
            group.holder.tell()
            return group

    def begin(self, group: Group[M]) -> Block:
        """A new block for the group, which its holder is to enter."""
        group.block = Block(Kind.RUN, group)
        return group.block

    def is_expecting(self, group: Group[M]) -> bool:
        """Are some of those who were in the last group still to come?"""
        return self._next is group and len(group.members) < self._last_size

    def close(self, group: Group[M]) -> None:
        """Let nobody else join: what is loaded from now on may be older than their calls."""
        with self._blocks.lock:
            if self._next is group:
                self._next = None
            self._last_size = len(group.members)
            group.is_shared = len(group.members) > 1

    def loaded(self, group: Group[M]) -> None:
        """All functions are to be called now."""
        with self._blocks.lock:
            group.todo = list(group.members)

    def hand_on(self, group: Group[M]) -> None:
        """Let the member hold the group that comes next; if none does, anyone of them."""
        with self._blocks.lock:
            if not group.members:  # all have been interrupted meanwhile
                return
            member = (group.todo or group.members)[0]
            block = group.block
            block.owner, block.thread = member.owner, member.thread
            group.holder = member
        member.tell()

    def begin_saving(self, group: Group[M]) -> bool:
        """From now on, an interrupted member's changes stay. Returns False if one was interrupted before."""
        with self._blocks.lock:
            group.is_saving = not group.is_spoilt
            return group.is_saving

    def save(self, group: Group[M], save: Callable[[], None]) -> None:
        """Save what the functions have done, and end the group's block."""
        if any(member.is_kept for member in group.members):
            self._blocks.leave(group.block, None, save)
        else:
            self._blocks.turns.end(group.block)

    def call_again(self, group: Group[M]) -> None:
        """Undo what the functions have done, and call them again without those who have left meanwhile."""
        self._blocks.turns.end(group.block)
        self._again(group, group.members)

    def after_fork(self, group: Group[M], member: M) -> None:
        """In a forked child the others aren't there any more, and what they have done is the parent's to save."""
        if group.process == os.getpid():
            return
        was_shared, group.process = group.is_shared, os.getpid()
        group.members, group.holder = [member], member
        if was_shared:
            self.call_again(group)

    def succeeded(self, group: Group[M]) -> None:
        for member in group.members:
            member.is_done = True
            member.tell()

    def failed(self, group: Group[M], error: Exception, *, repeats: bool) -> None:
        """The group's load or save has failed, and its block was undone: call the functions again, or tell all.

        Args:
            group: the group.
            error: why.
            repeats: after this error, the functions may be called again.
        """
        self.close(group)
        if isinstance(error, (NotStorableError, ReadOnlyError)) and group.is_shared and not group.is_careful:
            group.is_careful = True
            self._again(group, group.members)
            return
        again = []
        for member in group.members:
            member.attempts -= 1
            if repeats and member.attempts > 0:
                again.append(member)
            else:
                self._fail(member, error if member is group.holder else twin(error))
        if again:
            group.wait = next(group.waits)
            self._again(group, again)

    def _fail(self, member: M, error: BaseException) -> None:
        member.error = member.error or error
        member.is_done = True
        member.tell()

    def _again(self, group: Group[M], members: list[M]) -> None:
        with self._blocks.lock:
            group.members, group.todo = [each for each in members if each in group.members], []
            group.is_spoilt = group.is_saving = False
            for member in group.members:
                member.reset()
            if self._next is None and group.members:
                self._next = group
        self.hand_on(group)

    def leave(self, member: M, error: BaseException) -> None:
        """End a member's part in its group, whatever it was interrupted at. The others go on. Can be done twice."""
        group = member.group
        if group is None:
            return
        with self._blocks.lock:
            group.members = [each for each in group.members if each is not member and not each.is_done]
            group.todo = [each for each in group.todo if each is not member]
            if not group.members and self._next is group:
                self._next = None
            group.is_spoilt = group.is_spoilt or (member.is_kept and not group.is_saving)
            holds = group.holder is member
        try:
            if holds:
                self._undo(group)
        finally:
            if holds:
                self._give_up(group, error)
            member.group = None  # which refers to its members

    def _undo(self, group: Group[M]) -> None:
        """Undo what the holder was at: its own changes; a load or a save as a whole."""
        if group.is_saving or not group.members or not self.is_open(group):
            self._blocks.turns.end(group.block)
        else:
            self.undo_call(group)

    def undo_call(self, group: Group[M]) -> None:
        """Undo what a function has done whose block wasn't ended, as the handler that should do it was interrupted."""
        opened = self._blocks.open
        inside = opened[opened.index(group.block) + 1 :] if self.is_open(group) else []
        if inside:
            self._blocks.turns.end(inside[0])

    def _give_up(self, group: Group[M], error: BaseException) -> None:
        """The holder goes: the others go on without it, or are told that the outcome isn't known."""
        if not group.is_saving:
            if group.members:
                self.hand_on(group)
            return
        for member in group.members:
            self._fail(member, interrupted(error, self._uri))

    def check(self) -> None:
        """Assert that nobody waits, for when nobody is at anything."""
        assert self._next is None, "somebody waits for a group, or has left it without a word"
