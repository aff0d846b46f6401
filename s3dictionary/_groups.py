"""Group commit: calls of `run` that wait at the same time share one load and one save.

The first one to wait begins a group; the others join it until it loads. One member at a time holds the group: it loads,
calls its function, or saves, and then hands the group on to the next member. So each function is called by its own
caller, and an interrupted member only has to hand on the group.
Doesn't know about S3, or how members wait, which differs between threads and tasks.
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
        group: the member's group.
        result: what the function returned.
        error: the exception that the call of `run` must raise.
        is_kept: whether the function has returned, and its changes are in the group's block.
        is_done: whether the outcome is known.
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
        """Whether the caller can't continue any more."""
        return False

    def tell(self) -> None:
        """Notify the member that it may hold the group now, or that its outcome may be known."""
        raise NotImplementedError

    def reset(self) -> None:
        """Forget the result of the previous call."""
        self.result, self.error, self.is_kept = None, None, False

    def outcome(self) -> Any:
        """The function's result. Raises the member's error, if there is one."""
        error, self.error, self.group = self.error, None, None  # the group refers to its members: avoid a cycle
        if error is not None:
            try:
                raise error
            finally:
                del error  # its traceback refers to this frame
        return self.result


class Group(Generic[M]):
    """Calls of `run` that share a load and a save.

    Attributes:
        members: the members in order of arrival. Interrupted ones are removed.
        holder: the member that loads, calls its function, or saves.
        todo: the members whose functions have yet to be called.
        block: the block around all calls, open from the load to the end of the save.
        waits: the seconds to wait after each conflict.
        wait: the seconds to wait before the next load.
        is_shared: whether there were several members at the load.
        is_careful: whether to encode each member's changes separately, to find out which can't be saved.
        is_spoilt: whether a member was interrupted after its function had returned, so its changes must be undone.
        is_saving: whether the save has begun. If the holder is interrupted now, the outcome isn't known.
        process: the process that the group began in.
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
        """The size of the last group. Its members may be about to call `run` again."""

    def is_open(self, group: Group[M]) -> bool:
        """Whether the group's block is open."""
        return group.block in self._blocks.open

    def join(self, member: M) -> Group[M]:
        """Put a member into the next group. The first member holds the group."""
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
        """Create a new block for the group, which its holder must enter."""
        group.block = Block(Kind.RUN, group)
        return group.block

    def is_expecting(self, group: Group[M]) -> bool:
        """Whether the group has fewer members so far than the last one had."""
        return self._next is group and len(group.members) < self._last_size

    def close(self, group: Group[M]) -> None:
        """Let nobody else join, because the content that is loaded now may be older than a later call."""
        with self._blocks.lock:
            if self._next is group:
                self._next = None
            self._last_size = len(group.members)
            group.is_shared = len(group.members) > 1

    def loaded(self, group: Group[M]) -> None:
        """Note that the group is loaded, and all functions must be called."""
        with self._blocks.lock:
            group.todo = list(group.members)

    def hand_on(self, group: Group[M]) -> None:
        """Hand the group on to the next member whose function must be called, or else to any member."""
        with self._blocks.lock:
            if not group.members:  # all of them were interrupted
                return
            member = (group.todo or group.members)[0]
            block = group.block
            block.owner, block.thread = member.owner, member.thread
            group.holder = member
        member.tell()

    def begin_saving(self, group: Group[M]) -> bool:
        """Note that the save begins, so that an interrupted member's changes stay. Returns whether it may begin.

        It may not if a member was interrupted before, because its changes must be undone.
        """
        with self._blocks.lock:
            group.is_saving = not group.is_spoilt
            return group.is_saving

    def save(self, group: Group[M], save: Callable[[], None]) -> None:
        """Save what the functions have changed, and end the group's block."""
        if any(member.is_kept for member in group.members):
            self._blocks.leave(group.block, None, save)
        else:
            self._blocks.turns.end(group.block)

    def call_again(self, group: Group[M]) -> None:
        """Undo what the functions have changed, and call them again, except those of members that have left."""
        self._blocks.turns.end(group.block)
        self._again(group, group.members)

    def after_fork(self, group: Group[M], member: M) -> None:
        """In a forked child, drop the other members: they don't exist there, and the parent saves their changes."""
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
        """Handle a failed load or save, after its block was undone: call the functions again, or notify the members.

        Args:
            group: the group.
            error: the exception.
            repeats: whether the functions may be called again after this error.
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
        """Remove an interrupted member from its group. The others continue. May be called twice."""
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
            member.group = None  # avoids a reference cycle: the group refers to its members

    def _undo(self, group: Group[M]) -> None:
        """Undo what the holder was doing: the changes of its own call, or a load or save as a whole."""
        if group.is_saving or not group.members or not self.is_open(group):
            self._blocks.turns.end(group.block)
        else:
            self.undo_call(group)

    def undo_call(self, group: Group[M]) -> None:
        """Undo a call whose block is still open, because the handler that should end it was interrupted."""
        opened = self._blocks.open
        inside = opened[opened.index(group.block) + 1 :] if self.is_open(group) else []
        if inside:
            self._blocks.turns.end(inside[0])

    def _give_up(self, group: Group[M], error: BaseException) -> None:
        """After the holder has left: let the others continue, or tell them that the outcome isn't known."""
        if not group.is_saving:
            if group.members:
                self.hand_on(group)
            return
        for member in group.members:
            self._fail(member, interrupted(error, self._uri))

    def check(self) -> None:
        """Assert that nothing waits. Call it while no operation is in progress."""
        assert self._next is None, "a member still waits for a group, or left it without telling it"
