"""Finds the block that a `with` statement entered, and detects when nothing can leave it any more.

An exception such as Ctrl-C may occur after a block was entered and before the first instruction of its `__exit__`. Then
only the interpreter knows that the block is over, and drops its reference to the bound `__exit__`, which a `with`
statement holds from before the call of `__enter__`. So each statement gets its own bound method, whose end is observed
here.
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

_SAME_STATEMENT = range(9 if sys.version_info >= (3, 14) else 1)
"""Bytes of code between the look-up of `__exit__` and the call of `__enter__` in a `with`: 0 up to Python 3.13, then 8.

Code that does both explicitly, as in `leave = d.__exit__; d.__enter__()`, takes more: 8 on 3.10, and later over 20.
"""


class Kind(Enum):
    """The kind of a block."""

    WITH = "with"
    TRANSACTION = "transaction()"
    RUN = "run()"


Place: TypeAlias = tuple[int, Any]
"""The frame that entered a block. The frame isn't kept alive."""


def _place_of(frame: FrameType | None) -> Place:
    return id(frame), frame and frame.f_code


class Manager(Protocol):
    """What a `with` statement is given."""

    def _leave(self, block: Block, error: BaseException | None) -> bool: ...


class Block(Savepoint, Turn):
    """An open block.

    Attributes:
        kind: the kind of the block.
        manager: the id of the object that was entered.
        place: where it was entered.
        instruction: the instruction that entered it.
        is_of_statement: whether a `with` statement entered it, rather than a direct call of `__enter__`.
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
        """Whether its owner is still inside it. If `__enter__` was called directly, others may be meant to leave it."""
        if self.owner != self.thread:
            return not self.owner.done()  # a task
        frame = sys._current_frames().get(self.thread)
        while frame is not None:
            if _place_of(frame) == self.place:
                return True
            frame = frame.f_back
        return False


class Exit(partial[bool]):
    """A bound `__exit__`."""


def _exit(
    manager: Manager,
    block: Block,
    kind: type[BaseException] | None,
    error: BaseException | None,
    traceback: TracebackType | None,
) -> bool:
    return manager._leave(block, error)


class ExitMethod:
    """The method `__exit__` of a context manager."""

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
    """The bound `__exit__` that this thread looked up last."""

    exit: weakref.ref[Exit] | None = None


_looked_up = _LookedUp()


def block_to_enter(kind: Kind, manager: Manager, frame: FrameType, abandon: Callable[[Block], None]) -> Block:
    """Create the block for a call of `__enter__`.

    Args:
        kind: the kind of the block.
        manager: the object that is entered.
        frame: the calling frame.
        abandon: called when nothing can leave the block any more.
    """
    block = Block(kind, manager, frame)
    exit_ = _looked_up.exit and _looked_up.exit()
    if exit_ and _is_entered_by(exit_, block):
        block = exit_.args[1]
        block.is_of_statement = True
    # Not `__del__`, which would swallow a Ctrl-C at the end of any block
    block.held = weakref.ref(exit_ if block.is_of_statement else manager, lambda _: abandon(block))
    return block


def _is_entered_by(exit_: Exit, block: Block) -> bool:
    """Whether the statement that holds a bound `__exit__` enters this block."""
    prepared = exit_.args[1]
    distance = block.instruction - prepared.instruction
    return (prepared.manager, prepared.place) == (block.manager, block.place) and distance in _SAME_STATEMENT
