"""The open blocks of a dict and their owners: who may begin and end a block, and what that saves or rolls back.

Knows neither S3 nor JSON: callers pass the functions that load and save.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, ContextDecorator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ._leaving import Block, ExitMethod, Kind, block_to_enter
from ._memory import Memory
from ._owners import current_owner
from ._turns import Turns
from .errors import Rollback, TransactionError, keep_unsaved

D = TypeVar("D")
F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


class Blocks:
    """The open blocks of one dict: the savepoints of its memory, the outermost one first.

    Attributes:
        turns: the turns to change the dict.

    Args:
        memory: the memory that the blocks change.
        rolled_back: called when an outermost block was rolled back, before the next turn. An interrupt may omit it.
    """

    def __init__(self, memory: Memory, rolled_back: Callable[[Block], None] = lambda _: None) -> None:
        self.turns = Turns(memory, rolled_back)
        self._memory = memory

    @property
    def lock(self) -> AbstractContextManager[Any]:
        """The lock of memory. A forked child has a different one."""
        return self._memory.lock

    @property
    def open(self) -> list[Block]:
        return self._memory.savepoints  # type: ignore[return-value]

    @property
    def is_inside(self) -> bool:
        """Whether the caller owns an open block."""
        if not self.open:
            return False
        caller = current_owner()
        return any(block.owner == caller for block in self.open)

    def enter(self, block: Block, load: Callable[[], None] | None = None) -> None:
        """Begin a block. If it is an outermost one, load before."""
        try:
            self.turns.take(block)
            if load is not None and not self.open:
                self.turns.requesting(load)
            self._memory.begin(block)
        except BaseException:
            self.turns.end(block)
            raise

    def within(
        self, block: Block, load: Callable[[], None] | None, save: Callable[[], None], function: Callable[[], T]
    ) -> T:
        """Call a function in a new block. An interrupt could leave a `with` statement without ending the block."""
        try:
            self.enter(block, load)
            result = function()
            self.leave(block, None, save)
        except BaseException:
            self.turns.end(block)
            raise
        return result

    def leave(self, block: Block, error: BaseException | None, save: Callable[[], None]) -> bool:
        """End the innermost block. Without an error, an outermost block is saved; if that fails, it is rolled back.

        Args:
            block: the block itself, or another one with the same manager.
            error: the exception that leaves the block.
            save: saves the changes and commits the block.

        Returns:
            Whether to suppress the error, as for `Rollback`.

        Raises:
            TransactionError: the block has another owner, or isn't the innermost one. Nothing was saved.
        """
        if isinstance(error, GeneratorExit) and block.is_abandoned:
            self.abandon(block)  # unless it was done before: the garbage collector is ending a generator
            return False
        block = self._entered(block)
        try:
            problem = self._problem_of(block)
            if problem is not None:
                self._undo(block, problem, error)
            elif error is None:
                if len(self.open) == 1:
                    self.turns.requesting(save)
                self._memory.commit(block)
            self.turns.end(block)
        except BaseException:
            self.turns.end(block)
            raise
        return isinstance(error, Rollback)

    def _entered(self, block: Block) -> Block:
        """Find the open block to leave.

        Raises:
            TransactionError: there is none, or its owner is still inside it. Nothing was done.
        """
        self.turns.end_abandoned()
        if block in self.open:
            return block
        if not block.is_of_statement:  # `__exit__` was called directly
            caller = current_owner()
            entered = [item for item in self.open if item.manager == block.manager]
            by_hand = [item for item in entered if not item.is_of_statement]
            by_hand = [item for item in by_hand if item.owner == caller] or by_hand
            if entered and (not by_hand or (by_hand[-1].owner != caller and by_hand[-1].is_busy)):
                raise TransactionError(
                    "This block belongs to another thread, task or `with` statement, which is still inside it. Nothing "
                    "was done. Only its owner can leave it."
                )
            if by_hand:
                return by_hand[-1]
        raise TransactionError("This block isn't open any more: it was rolled back when a block around it was left.")

    def _problem_of(self, block: Block) -> str | None:
        """The reason why a block can't be left; `None` if it can."""
        if block.owner != current_owner():
            return "by a thread or task other than the one that entered it"
        if block is not self.open[-1]:
            return "before the block inside it, as two alternating generators do"
        return None

    def _undo(self, block: Block, problem: str, error: BaseException | None) -> None:
        """Roll back a block that can't be left, and those inside it. Ctrl-C propagates; otherwise raise an error."""
        unsaved = self._memory.detached()
        self.turns.end(block)
        if error is not None and not isinstance(error, Exception):
            keep_unsaved(error, lambda: unsaved)
            return
        told = TransactionError(
            f"A {block.kind.value} block was left {problem}. It was rolled back, and nothing was saved. The error's "
            ".unsaved holds the content of the dict."
        )
        told.keep_unsaved(unsaved)
        raise told

    def abandon(self, block: Block) -> None:
        """Roll back a block that nothing can leave any more. If this interrupts a step, the next caller does it."""
        if not self.turns.is_amid_step:
            self.turns.end(block)

    def refuse_inside(self, action: str, *, allowed: tuple[Kind, ...] = ()) -> None:
        """Raise a `TransactionError` if the caller is in a block that doesn't allow the action."""
        kinds = [block.kind for block in self.open if block.owner == current_owner()]
        if kinds not in ([], *([kind] for kind in allowed)):
            raise TransactionError(
                f"{action} can't be done inside a {kinds[-1].value} block, which may still be rolled back. "
                "Do it after the block."
            )

    def check(self) -> None:
        """Assert that no turn is left without a block. Call it while no operation is in progress."""
        current = self.turns.current
        assert current is None or current in self.open, "a turn was never given back"
        assert not self.open or current is not None, "a block is open, and anybody may change the dict"

    def after_fork_in_child(self) -> None:
        """Roll back the blocks of threads that don't exist in the child."""
        self.turns.after_fork_in_child()
        while self.open and self.turns.current is None:
            self._memory.rollback(self.open[-1])


class Transaction(ContextDecorator, AbstractContextManager[D], Generic[D]):
    """A block in memory: `with d.transaction():`, or a decorator. It is reusable."""

    def __init__(self, owner: D, blocks: Blocks, prepare: Callable[[], None] | None, save: Callable[[], None]) -> None:
        self._owner = owner
        self._blocks = blocks
        self._prepare = prepare
        self._save = save

    def __enter__(self) -> D:
        block = block_to_enter(Kind.TRANSACTION, self, sys._getframe(1), self._blocks.abandon)
        self._blocks.enter(block, self._prepare)
        return self._owner

    if TYPE_CHECKING:

        def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
        ) -> bool | None: ...  # with a plain bool, type checkers would take the code after a block as always reached
    else:
        __exit__ = ExitMethod(Kind.TRANSACTION)

    def _leave(self, block: Block, error: BaseException | None) -> bool:
        return self._blocks.leave(block, error, self._save)

    def __call__(self, function: F) -> F:
        for late in (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction):
            if late(function):
                name = getattr(function, "__qualname__", repr(function))  # a partial has none
                raise TypeError(
                    f"{name} would run after the transaction has ended, because it is a coroutine or a "
                    "generator. Use `with d.transaction():` inside it."
                )
        return super().__call__(function)
