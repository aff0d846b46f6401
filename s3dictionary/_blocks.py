"""A dict's open blocks and their owners: who may begin and end one, and what is saved and undone then.

Knows neither S3 nor JSON: loading and saving are functions that it is given.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, ContextDecorator
from enum import Enum
from types import FrameType, TracebackType
from typing import Any, Generic, TypeAlias, TypeVar

from ._memory import Memory, Savepoint
from ._turns import Turn, Turns, current_owner
from .errors import Rollback, TransactionError

D = TypeVar("D")
F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

_LOOK_AGAIN = 0.2
"""Seconds after which a thread that waits for its turn looks by itself, should whoever had it not have told."""


class Kind(Enum):
    """What kind of block it is."""

    WITH = "with"
    TRANSACTION = "transaction()"


Place: TypeAlias = tuple[int, Any]
"""A `with` statement, told by its frame, which this doesn't keep alive."""


def place_of(frame: FrameType) -> Place:
    """The statement that is running in a frame."""
    return id(frame), frame.f_code


class Block(Savepoint, Turn):
    """An open block.

    Attributes:
        kind: what kind it is.
        token: what entered it and is to leave it: a `Transaction`, or the place of the `with` statement.
        place: where it was entered.
    """

    def __init__(self, kind: Kind, place: Place, token: object = None) -> None:
        Savepoint.__init__(self)
        Turn.__init__(self)
        self.kind = kind
        self.token = place if token is None else token
        self.place = place

    @property
    def is_busy(self) -> bool:
        """Is its owner still in it? A thread may have left it, as by a generator that another one goes on with."""
        if self.owner != self.thread:
            return not self.owner.done()  # a task
        frame = sys._current_frames().get(self.thread)
        while frame is not None:
            if place_of(frame) == self.place:
                return True
            frame = frame.f_back
        return False


class Blocks:
    """The open blocks of one dict: the savepoints of its memory, the outermost one first.

    Attributes:
        turns: whose turn it is to change the dict.

    Args:
        memory: what is changed.
        undone: called when an outermost block has been left, and what it didn't commit is undone.
    """

    def __init__(self, memory: Memory, undone: Callable[[Block], None] = lambda _: None) -> None:
        self.turns = Turns(memory)
        self._memory = memory
        self._was_left = undone

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
                load()
            self._memory.begin(block)
        except BaseException:
            self.end(block)
            raise

    def within(
        self, block: Block, load: Callable[[], None] | None, save: Callable[[], None], function: Callable[[], T]
    ) -> T:
        """Call a function in a block of its own. An interrupt could come before a `with` begins to end it."""
        try:
            self.enter(block, load)
            result = function()
            self.leave(block.token, None, save, [])
        except BaseException:
            self.end(block)
            raise
        return result

    def leave(self, token: object, error: BaseException | None, save: Callable[[], None], leaving: list[Block]) -> bool:
        """End the innermost block: an outermost one that ends well is saved, and undone if that fails.

        Args:
            token: what entered the block.
            error: what the block was left by.
            save: saves what changed, and commits the block.
            leaving: takes the block, as soon as it is known. So the caller knows what is to be ended, whatever happens.

        Returns:
            Whether the error is to be suppressed, as `Rollback` is.

        Raises:
            TransactionError: it is another's block, or not the innermost one. Nothing was saved.
        """
        try:
            block = self._to_leave(token)
            leaving.append(block)
            if error is None:
                if len(self.open) == 1:
                    save()
                self._memory.commit(block)
            self.end(block)
        except BaseException:
            self.end_left(token, leaving)
            raise
        return isinstance(error, Rollback)

    def _to_leave(self, token: object) -> Block:
        """The block that is to be left; it is the innermost one, and the caller's."""
        blocks, caller = self.open, current_owner()
        if blocks and blocks[-1].token == token and blocks[-1].owner == caller:
            return blocks[-1]
        block = self._find(token)
        if block is None:
            raise TransactionError("This block isn't open any more: it was rolled back when one around it was left.")
        if block.owner != caller and block.place != token:
            if block.is_busy:
                raise TransactionError(
                    "This is the block of another thread or task, which is still in it. Nothing was done."
                )
            raise self._undone(block, "was left by another thread or task than the one that entered it")
        if block is not blocks[-1]:
            raise self._undone(block, "was left before the one inside it, as by two generators that take turns")
        return block

    def _undone(self, block: Block, problem: str) -> TransactionError:
        """Undo and end a block that can't be ended well, and those inside it."""
        error = TransactionError(
            f"A {block.kind.value} block {problem}. It was rolled back, and nothing was saved. The error's .unsaved is "
            "what was in the dict."
        )
        error.keep_unsaved(self._memory.detached())
        self.end(block)
        return error

    def _find(self, token: object) -> Block | None:
        """The block that a token entered, the caller's innermost one if several; where it is of no use, by its kind."""
        caller, blocks = current_owner(), self.open
        entered = [block for block in blocks if block.token == token]
        entered = [block for block in entered if block.owner == caller] or entered
        if not entered and isinstance(token, tuple):  # an ExitStack, say, enters in one function and leaves in another
            entered = [block for block in blocks if block.kind is Kind.WITH]
        return entered[-1] if entered else None

    def end_left(self, token: object, leaving: list[Block]) -> None:
        """Undo and end the block that is being left, if it is still open. For what an exception has left undone."""
        if leaving:
            self.end(leaving[0])
            return
        block = self._find(token)
        if block is not None and block.owner == current_owner():
            self.end(block)

    def end(self, block: Block) -> None:
        """Undo what hasn't been committed of a block, and those inside it; then it is somebody else's turn."""
        failures: list[Exception] = []
        while block in self.open:
            failures += self._memory.rollback(self.open[-1])
        try:
            if self.turns.current is block:
                self._was_left(block)
        finally:
            self.turns.end(block)
        if failures:
            raise TransactionError(
                f"A block was rolled back, but for what could not be changed: {failures[0]}"
            ) from failures[0]

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

    def __init__(self, owner: D, blocks: Blocks, save: Callable[[], None]) -> None:
        self._owner = owner
        self._blocks = blocks
        self._save = save
        self._token = object()  # not itself, which would keep it alive

    def __enter__(self) -> D:
        block = Block(Kind.TRANSACTION, place_of(sys._getframe(1)), self._token)
        try:
            self._blocks.enter(block)
            return self._owner
        except BaseException:
            self._blocks.end(block)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        leaving: list[Block] = []
        try:
            return self._blocks.leave(self._token, error, self._save, leaving)
        except BaseException:
            self._blocks.end_left(self._token, leaving)
            raise

    def __del__(self) -> None:
        """An interrupt may come before `__exit__` begins. Nobody can leave the block any more then."""
        for block in reversed(self._blocks.open):
            if block.token is self._token:
                self._blocks.end(block)

    def __call__(self, function: F) -> F:
        for late in (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction):
            if late(function):
                name = getattr(function, "__qualname__", repr(function))  # a partial has none
                raise TypeError(
                    f"{name} would run after the transaction has ended, as it is a coroutine or a "
                    "generator. Use `with d.transaction():` inside it."
                )
        return super().__call__(function)
