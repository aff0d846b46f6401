"""Which block a `with` statement has entered, and whether it can still leave it. Knows neither memory's rules nor S3.

An exception such as Ctrl-C may come after a block was entered and before the first instruction of its `__exit__`. Only
the interpreter knows then that the block is over. It shows by letting go of the bound `__exit__`, which a `with`
statement holds from before the call of `__enter__` on. So that bound method is an object of its own for each statement.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable
from enum import Enum
from functools import partial
from types import FrameType, TracebackType
from typing import Any, Protocol, TypeAlias

from ._memory import Savepoint
from ._turns import Turn

_SAME_STATEMENT = range(9)
"""Bytes of code between the look-up of `__exit__` and the call of `__enter__` in a `with`: 0 up to Python 3.13, then 8.

Code that does both by hand, as in `leave = d.__exit__; d.__enter__()`, takes more.
"""


class Kind(Enum):
    """What kind of block it is."""

    WITH = "with"
    TRANSACTION = "transaction()"
    RUN = "run()"


Place: TypeAlias = tuple[int, Any]
"""Where a block was entered, told by a frame, which this doesn't keep alive."""


def _place_of(frame: FrameType | None) -> Place:
    return id(frame), frame and frame.f_code


class Manager(Protocol):
    """What a `with` statement is given."""

    def _leave(self, block: Block, error: BaseException | None) -> bool: ...


class Block(Savepoint, Turn):
    """An open block.

    Attributes:
        kind: what kind it is.
        manager: the id of what was entered.
        place: where it was entered.
        instruction: the instruction that entered it.
        is_of_statement: it was entered by a `with` statement, and not by calling `__enter__`.
    """

    def __init__(self, kind: Kind, manager: object = None, frame: FrameType | None = None) -> None:
        Savepoint.__init__(self)
        Turn.__init__(self)
        self.kind = kind
        self.manager = id(manager)
        self.place = _place_of(frame)
        self.instruction = 0 if frame is None else frame.f_lasti
        self.is_of_statement = False

    @property
    def is_busy(self) -> bool:
        """Is its owner still in it? A block that was entered by hand may have been left to others."""
        if self.owner != self.thread:
            return not self.owner.done()  # a task
        frame = sys._current_frames().get(self.thread)
        while frame is not None:
            if _place_of(frame) == self.place:
                return True
            frame = frame.f_back
        return False


class Exit(partial[bool]):
    """A bound `__exit__`, called with what a block is left by."""


def _exit(
    manager: Manager,
    block: Block,
    kind: type[BaseException] | None,
    error: BaseException | None,
    traceback: TracebackType | None,
) -> bool:
    return manager._leave(block, error)


class ExitMethod:
    """The method `__exit__` of what can be entered."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    def __get__(self, manager: Any, owner: type | None = None) -> Callable[..., bool]:
        if manager is None:
            return self._of_class
        return self._bound(manager, sys._getframe(1))

    def _bound(self, manager: Manager, frame: FrameType) -> Exit:
        block = Block(self._kind, manager, frame)
        exit_ = Exit(_exit, manager, block)
        _looked_up.exit = weakref.ref(exit_)
        return exit_

    def _of_class(self, manager: Any, *error: Any) -> bool:
        """The unbound method, which an `ExitStack` calls."""
        return self._bound(manager, sys._getframe(1))(*error)


class _LookedUp(threading.local):
    """The bound `__exit__` that this thread has looked up last."""

    exit: weakref.ref[Exit] | None = None


_looked_up = _LookedUp()


def block_to_enter(kind: Kind, manager: Manager, frame: FrameType, abandon: Callable[[Block], None]) -> Block:
    """The block for an `__enter__` that a frame has called.

    Args:
        kind: what kind it is.
        manager: what is entered.
        frame: where.
        abandon: called if nobody can leave the block any more.
    """
    block = Block(kind, manager, frame)
    exit_ = _looked_up.exit and _looked_up.exit()
    if exit_ and _is_entered_by(exit_, block):
        block = exit_.args[1]
        block.is_of_statement = True
    # No `__del__` of these, in which a Ctrl-C at the end of any block would be swallowed
    block.held = weakref.ref(exit_ if block.is_of_statement else manager, lambda _: abandon(block))
    return block


def _is_entered_by(exit_: Exit, block: Block) -> bool:
    """Does the statement that holds a bound `__exit__` enter this block?"""
    prepared = exit_.args[1]
    distance = block.instruction - prepared.instruction
    return (prepared.manager, prepared.place) == (block.manager, block.place) and distance in _SAME_STATEMENT
