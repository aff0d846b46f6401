"""The moments of a library call at which an interrupt can come, or another thread can act; and steps in at one of them.

CPython delivers signals, and switches threads, only where it looks at its "eval breaker": where a Python function
begins, after a call, and after a jump backwards. Three kinds of moments follow from that:

- SIGNAL: a function of the library begins, or a built-in one that it has called returns (`sys.setprofile`). Every
  CPython looks there. (But for a built-in `__enter__`: only 3.14 looks between that and the block.)
- OPCODE: the library is about to execute an instruction, and the one before it in that frame was a call, a RESUME or
  a jump backwards (`sys.settrace`). So in addition to the above, that is where a Python function returns: 3.10 looks.
- LINE: those of them at which a line begins.

Between the last instruction of a `with lock:` and the call of its `__exit__` nobody looks, so an exception there would
be unfair. The rule above leaves one such place: a call that is the last instruction of the body. An exception of the
eval breaker's counts as raised by the call, one of a trace function as raised by the next instruction, which belongs to
the body no more. So a moment counts only if both are covered by the same handler.
"""

from __future__ import annotations

import dis
import gc
import inspect
import sys
from collections.abc import Callable, Collection
from enum import Enum
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import s3dictionary
from support.adversary.hooked_s3 import HookedS3

PACKAGE = str(Path(s3dictionary.__file__).parent) + "/"
_ON_THE_WIRE = {HookedS3.request_arrives.__code__, HookedS3.answer_leaves.__code__}
_CALLS = {"CALL", "CALL_KW", "CALL_FUNCTION", "CALL_FUNCTION_KW", "CALL_FUNCTION_EX", "CALL_METHOD", "RESUME"}
_GENERATORS = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


class Kind(Enum):
    SIGNAL = "signal"
    LINE = "line"
    OPCODE = "opcode"


class Moments:
    """While this context lasts, moments of this thread's are counted, and `action` is called at the one of a number.

    The garbage collector is off meanwhile: what is raised in its callbacks goes nowhere.

    Args:
        kind: what kind of moments.
        number: the number of the one at which to step in.
        action: how.
        modules: names of the library's modules whose moments count; if empty, all do.

    Attributes:
        count: how many there were; those after the action aren't counted.
        where: the place at which `action` was called.
    """

    def __init__(
        self,
        kind: Kind,
        number: int = 0,
        action: Callable[[], None] | None = None,
        modules: Collection[str] = (),
    ) -> None:
        self._kind, self._number, self._action, self._modules = kind, number, action, modules
        self._outermost: FrameType | None = None
        self.count = 0
        self.where: str | None = None

    def __enter__(self) -> Moments:
        self._collects = gc.isenabled()
        gc.disable()
        self._traced_before = sys.gettrace()  # a debugger's, or coverage's
        self._outermost = sys._getframe(1)
        if self._kind is Kind.SIGNAL:
            sys.setprofile(self._profile)
        else:
            sys._getframe().f_trace_opcodes = True  # 3.12 has to hear of it before settrace
            sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        sys.settrace(self._traced_before)
        if self._collects:
            gc.enable()

    def _stop(self) -> None:
        sys.setprofile(None)
        sys.settrace(None)
        self._outermost = None  # a frame keeps its local variables alive

    def _reached(self, frame: FrameType, event: str) -> None:
        if self._modules and Path(frame.f_code.co_filename).stem not in self._modules:
            return
        self.count += 1
        if self.count != self._number or self._action is None:
            return
        self._stop()
        self.where = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} {frame.f_code.co_name}, {event}"
        self._action()

    def _profile(self, frame: FrameType, event: str, argument: Any) -> None:
        if frame.f_code in _ON_THE_WIRE:
            counts = event == "call"
        elif not _is_ours(frame):
            counts = False
        elif event == "call":
            # A generator that is resumed would be ended here without its `finally`; its other moments are enough
            counts = not frame.f_code.co_flags & _GENERATORS
        else:
            counts = event == "c_return" and not _goes_on_into_block(argument)
        if counts and not _is_swallowed(frame, self._outermost):
            self._reached(frame, event)

    def _trace(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if not _is_ours(frame) or _is_swallowed(frame, self._outermost):
            return None
        frame.f_trace_opcodes = True
        code = _Code.of(frame.f_code)
        previous, begins_line = -1, False

        def local(frame: FrameType, event: str, _argument: Any) -> Any:
            nonlocal previous, begins_line
            if event == "line":
                begins_line = True
            elif event == "opcode":
                offset = frame.f_lasti
                counts = begins_line or self._kind is Kind.OPCODE
                if counts and code.may_be_interrupted(previous, offset):
                    self._reached(frame, event)
                previous, begins_line = offset, False
            return local

        return local


def interrupt_begin_of_exit() -> None:
    """Raise Ctrl-C at the next call of the library, which is where a block begins to be left."""

    def interrupt(frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call" and _is_ours(frame):
            sys.setprofile(None)
            raise KeyboardInterrupt

    sys.setprofile(interrupt)


class _Code:
    """What is known about a function's instructions."""

    def __init__(self, code: CodeType) -> None:
        bytecode = dis.Bytecode(code)
        self._names = {instruction.offset: instruction.opname for instruction in bytecode}
        self._handlers = list(
            getattr(bytecode, "exception_entries", ())
        )  # 3.10 has blocks, which end by an instruction

    @staticmethod
    @cache
    def of(code: CodeType) -> _Code:
        return _Code(code)

    def may_be_interrupted(self, previous: int, offset: int) -> bool:
        """Whether CPython looks between these two instructions, and the same handler covers both."""
        name = self._names.get(previous, "")
        looks = name in _CALLS or ("JUMP" in name and offset <= previous and "NO_INTERRUPT" not in name)
        return looks and self._handler(previous) == self._handler(offset)

    def _handler(self, offset: int) -> int | None:
        for entry in self._handlers:
            if entry.start <= offset < entry.end:
                return int(entry.target)
        return None


def can_be_interrupted(frame: FrameType) -> bool:
    """Whether an exception of a signal handler would propagate from here."""
    return not _is_swallowed(frame)


def _goes_on_into_block(function: Any) -> bool:
    return sys.version_info >= (3, 15) and function.__name__ == "__enter__"


def _is_ours(frame: FrameType | None) -> bool:
    return frame is not None and frame.f_code.co_filename.startswith(PACKAGE)


def _is_swallowed(frame: FrameType | None, outermost: FrameType | None = None) -> bool:
    """Whether this runs while an object is freed. Python only prints exceptions that are raised then.

    Args:
        frame: the current frame.
        outermost: a caller that isn't called while an object is freed. The search ends there.
    """
    while frame is not outermost and frame is not None:
        if frame.f_code.co_name == "__del__" or frame.f_code.co_filename.endswith("weakref.py"):
            return True
        frame = frame.f_back
    return False
