"""The stack of a dict's open blocks: who may begin and end one, what is saved at the end, what is taken back.

Knows neither S3 nor JSON: loading and saving are functions that it is given.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ContextDecorator
from enum import Enum
from types import TracebackType
from typing import Any, Generic, TypeVar

from ._memory.values import Values
from .errors import Rollback, TransactionError

D = TypeVar("D")
F = TypeVar("F", bound=Callable[..., Any])


class Kind(Enum):
    """What kind of block it is."""

    WITH = "with"
    TRANSACTION = "transaction()"


class Blocks:
    """The open blocks of one dict. One thread at a time has blocks: it holds the lock as long."""

    def __init__(self, values: Values) -> None:
        self.lock = threading.RLock()
        self._values = values
        self._open: list[Kind] = []

    def __bool__(self) -> bool:
        """Does this thread have a block open?"""
        with self.lock:
            return bool(self._open)

    def enter(self, kind: Kind, load: Callable[[], None] | None = None) -> None:
        """Begin a block, and before an outermost one, load."""
        self.lock.acquire()
        try:
            if load is not None and not self._open:
                load()
            self._values.begin()
            self._open.append(kind)
        except BaseException:
            self.lock.release()
            raise

    def leave(self, error: BaseException | None, save: Callable[[], None]) -> bool:
        """End the innermost block: an outermost one that ends well is saved, and undone if that fails.

        Args:
            error: what the block was left by.
            save: saves what changed.

        Returns:
            Has the error done its work? So it is with `Rollback`.
        """
        try:
            if error is None and len(self._open) == 1:
                save()
        except BaseException:
            self._values.rollback()
            raise
        else:
            if error is None:
                self._values.commit()
            else:
                self._values.rollback()
        finally:
            self._open.pop()
            self.lock.release()
        return isinstance(error, Rollback)

    def refuse_inside(self, action: str, *, allowed: tuple[Kind, ...] = ()) -> None:
        """Raise a `TransactionError` if a block is open in which that can't be done."""
        with self.lock:  # so that it isn't another thread's block
            if self._open not in ([], *([kind] for kind in allowed)):
                raise TransactionError(
                    f"{action} can't be done inside a {self._open[-1].value} block, which may still be rolled back. "
                    "Do it after the block."
                )

    def after_fork_in_child(self) -> None:
        """Undo and end the blocks of a thread that isn't there any more."""
        if self.lock.acquire(blocking=False):  # nobody's, or this thread's own
            self.lock.release()
            return
        self.lock = threading.RLock()
        self._open.clear()
        self._values.rollback_all()

    def checkpoint(self) -> None:
        """What is in memory now is what a later rollback of the open `with` goes back to."""
        if self._open:
            self._values.commit()
            self._values.begin()


class Transaction(ContextDecorator, AbstractContextManager[D], Generic[D]):
    """A block in memory: `with d.transaction():`, or a decorator. It has no state, so it can be used again."""

    def __init__(self, owner: D, blocks: Blocks, save: Callable[[], None]) -> None:
        self._owner = owner
        self._blocks = blocks
        self._save = save

    def __enter__(self) -> D:
        self._blocks.enter(Kind.TRANSACTION)
        return self._owner

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        return self._blocks.leave(error, self._save)

    def __call__(self, function: F) -> F:
        for late in (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction):
            if late(function):
                name = getattr(function, "__qualname__", repr(function))  # a partial has none
                raise TypeError(
                    f"{name} would run after the transaction has ended, as it is a coroutine or a "
                    "generator. Use `with d.transaction():` inside it."
                )
        return super().__call__(function)
