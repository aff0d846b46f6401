"""A dict's open blocks and their owners: who may begin and end one, and what is saved and undone then.

Knows neither S3 nor JSON: loading and saving are functions that it is given.
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
from ._turns import Turns, current_owner
from .errors import Rollback, TransactionError, keep_unsaved

D = TypeVar("D")
F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


class Blocks:
    """The open blocks of one dict: the savepoints of its memory, the outermost one first.

    Attributes:
        turns: whose turn it is to change the dict.

    Args:
        memory: what is changed.
        undone: called when an outermost block was undone, before anybody else's turn.
    """

    def __init__(self, memory: Memory, undone: Callable[[Block], None] = lambda _: None) -> None:
        self.turns = Turns(memory, undone)
        self._memory = memory

    @property
    def lock(self) -> AbstractContextManager[Any]:
        """Memory's lock. It is another one in a forked child."""
        return self._memory.lock

    @property
    def open(self) -> list[Block]:
        return self._memory.savepoints  # type: ignore[return-value]

    @property
    def is_inside(self) -> bool:
        """Is the caller in a block of its own?"""
        if not self.open:
            return False
        caller = current_owner()
        return any(block.owner == caller for block in self.open)

    def enter(self, block: Block, load: Callable[[], None] | None = None) -> None:
        """Begin a block; before an outermost one, load."""
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
        """Call a function in a block of its own. An interrupt could come before a `with` begins to end it."""
        try:
            self.enter(block, load)
            result = function()
            self.leave(block, None, save)
        except BaseException:
            self.turns.end(block)
            raise
        return result

    def leave(self, block: Block, error: BaseException | None, save: Callable[[], None]) -> bool:
        """End the innermost block: an outermost one that ends well is saved, and undone if that fails.

        Args:
            block: what the one who leaves it knows of it: the block itself, or another one with the same manager.
            error: what the block was left by.
            save: saves what changed, and commits the block.

        Returns:
            Whether the error is to be suppressed, as `Rollback` is.

        Raises:
            TransactionError: it is another's block, or not the innermost one. Nothing was saved.
        """
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
        """The open block that is to be left.

        Raises:
            TransactionError: there is none, or its owner is still in it. Nothing was done.
        """
        self.turns.end_abandoned()
        if block in self.open:
            return block
        if not block.is_of_statement:  # `__exit__` was called by hand
            caller = current_owner()
            entered = [item for item in self.open if item.manager == block.manager]
            by_hand = [item for item in entered if not item.is_of_statement]
            by_hand = [item for item in by_hand if item.owner == caller] or by_hand
            if entered and (not by_hand or (by_hand[-1].owner != caller and by_hand[-1].is_busy)):
                raise TransactionError(
                    "This is the block of another thread, task or `with` statement, which is still in it. Nothing was "
                    "done."
                )
            if by_hand:
                return by_hand[-1]
        raise TransactionError("This block isn't open any more: it was rolled back when one around it was left.")

    def _problem_of(self, block: Block) -> str | None:
        """Why a block can't be left, if so."""
        if block.owner != current_owner():
            return "by a thread or task other than the one that entered it"
        if block is not self.open[-1]:
            return "before the one inside it, as by two generators that take turns"
        return None

    def _undo(self, block: Block, problem: str, error: BaseException | None) -> None:
        """Undo and end a block that can't be left, and those inside it. Ctrl-C goes on, and all else tells of it."""
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
        """Undo and end a block that nobody can leave any more. In the midst of a step, the next one does it."""
        if not self.turns.is_amid_step:
            self.turns.end(block)

    def refuse_inside(self, action: str, *, allowed: tuple[Kind, ...] = ()) -> None:
        """Raise a `TransactionError` if the caller is in a block in which that can't be done."""
        kinds = [block.kind for block in self.open if block.owner == current_owner()]
        if kinds not in ([], *([kind] for kind in allowed)):
            raise TransactionError(
                f"{action} can't be done inside a {kinds[-1].value} block, which may still be rolled back. "
                "Do it after the block."
            )

    def check(self) -> None:
        """Assert that no turn is held without a block, for one who is at nothing just now."""
        current = self.turns.current
        assert current is None or current in self.open, "a turn was never given back"
        assert not self.open or current is not None, "a block is open, and anybody may change the dict"

    def after_fork_in_child(self) -> None:
        """Undo and end the blocks of a thread that isn't there any more."""
        self.turns.after_fork_in_child()
        while self.open and self.turns.current is None:
            self._memory.rollback(self.open[-1])


class Transaction(ContextDecorator, AbstractContextManager[D], Generic[D]):
    """A block in memory: `with d.transaction():`, or a decorator. It can be used again."""

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
        ) -> bool | None: ...  # a plain bool would mean to type checkers that the code after a block is always reached
    else:
        __exit__ = ExitMethod(Kind.TRANSACTION)

    def _leave(self, block: Block, error: BaseException | None) -> bool:
        return self._blocks.leave(block, error, self._save)

    def __call__(self, function: F) -> F:
        for late in (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction):
            if late(function):
                name = getattr(function, "__qualname__", repr(function))  # a partial has none
                raise TypeError(
                    f"{name} would run after the transaction has ended, as it is a coroutine or a "
                    "generator. Use `with d.transaction():` inside it."
                )
        return super().__call__(function)
