"""A call of a client: its progress, and its time limit."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, NamedTuple, TypeVar

from .._owners import acting_for, current_owner
from .._yielding import let_loop_run
from .clients import is_real, time_limit

T = TypeVar("T")

NOTICE = 2.0
"""Seconds after which `on_wait` is called."""

on_wait: Callable[[str], object] | None = None
"""Called with a description such as "GetObject of s3://bucket/key" when a call takes long."""

_BIG = 1 << 16
"""Largest body, in bytes, that is passed to the network at once."""

_STEP = 1.0
"""Seconds between checks of a call that hasn't sent anything yet, because finding credentials may take long."""

_current = threading.local()


class TooSlowError(OSError):
    """There was no answer in time, or the body arrived too slowly."""


class Counts(NamedTuple):
    """How often a request was started, and how often it was sent."""

    begun: int
    sent: int


class Call:
    """A call, which records its own progress.

    It runs in its own thread, for two reasons. botocore limits the time between two pieces of an answer, but not the
    total time: a call of a client with a time limit is abandoned if that time passes without progress. And botocore
    takes the exception of a signal handler for one of the network's, and sends the request again, so that a handler's
    deadline would have no effect.

    Args:
        what: a description, such as "GetObject of s3://bucket/key".

    Attributes:
        begun: how often the request was started; more than once if botocore sends it again.
        sent: how often it was sent.
        status: the HTTP status, once there is an answer whose body must still be read.
        may_get_in: whether it was refused for credentials that may have been renewed since.
        given_up: whether the caller has abandoned it.
    """

    def __init__(self, what: str) -> None:
        self.begun = 0
        self.sent = 0
        self.status: int | None = None
        self.may_get_in = False
        self.given_up = False
        self._what = what
        self._client: Any = None
        self._progress: float | None = None

    def run(self, client: Any, act: Callable[[Any], T]) -> T:
        """Call a function that sends a request with this client.

        Raises:
            TooSlowError: it exceeded the client's time limit.
        """
        self._client = client
        if is_real(client):
            events = client.meta.events
            events.register_first("request-created.s3", _begin, unique_id="s3dictionary-begun")
            events.register_first("before-send.s3", _send, unique_id="s3dictionary-sent")
            return self._elsewhere(act, time_limit(client))
        return self._here(act)

    def step(self) -> None:
        """Note progress.

        Raises:
            TooSlowError: the caller has abandoned it.
        """
        if self.given_up:
            raise TooSlowError
        self._progress = time.monotonic()

    def _here(self, act: Callable[[Any], T]) -> T:
        before, _current.call = getattr(_current, "call", None), self  # a signal handler may replace another call
        try:
            return act(self._client)
        finally:
            _current.call = before

    def _elsewhere(self, act: Callable[[Any], T], limit: float | None) -> T:
        done = threading.Event()
        answers: list[T] = []
        errors: list[BaseException] = []
        owner, context = current_owner(), copy_context()

        def work() -> None:
            try:
                with acting_for(owner):
                    answers.append(context.run(self._here, act))
            except BaseException as error:  # noqa: BLE001  # the waiting thread raises it
                errors.append(error)
            finally:
                done.set()

        thread = threading.Thread(target=work, name="s3dictionary", daemon=True)
        try:
            try:
                thread.start()
            except RuntimeError:  # no thread can be started, for example because Python is shutting down
                return self._here(act)
            self._wait(done, limit)
        finally:
            self.given_up = not done.is_set()
        if errors:
            raise errors.pop()
        return answers.pop()

    def _wait(self, done: threading.Event, limit: float | None) -> None:
        if on_wait is not None and not done.wait(NOTICE):
            waiting_for(self._what)
        while not done.wait(self._rest(limit)):
            if limit is not None and self._rest(limit) <= 0:
                raise TooSlowError(f"it made no progress for {limit:g} s")

    def _rest(self, limit: float | None) -> float:
        """Seconds until the time limit. It is checked again after `_STEP` while none applies."""
        return _STEP if limit is None or self._progress is None else self._progress + limit - time.monotonic()

    @property
    def counts(self) -> Counts | None:
        """The counts; `None` if they can't be observed."""
        if self._client is None or is_real(self._client):
            return Counts(self.begun, self.sent)
        return None

    @property
    def failed_to_sign(self) -> bool:
        """Whether the request couldn't be signed, and so wasn't sent, because of the credentials."""
        return self.begun > 0 and self.sent == 0


def waiting_for(what: str) -> None:
    """Call `on_wait`, because this takes long."""
    notice = on_wait
    if notice is not None:
        notice(what)


def step() -> None:
    """Note progress of this thread's call."""
    call = _call()
    if call is not None:
        call.step()


def answered(status: int) -> None:
    """Note that this thread's call has an answer whose body must still be read."""
    call = _call()
    if call is not None:
        call.status = status


def beside(act: Callable[..., object]) -> Callable[..., None]:
    """The same function, for another thread that works for this thread's call."""
    call, context = _call(), copy_context()

    def work(*arguments: Any) -> None:
        _current.call = call
        context.run(act, *arguments)

    return work


def _call() -> Call | None:
    return getattr(_current, "call", None)


def _begin(**_: Any) -> None:
    let_loop_run()
    call = _call()
    if call is not None:
        call.begun += 1


def _send(request: Any, **_: Any) -> None:
    """Note that a request is sent. Only the first time counts as progress, because botocore repeats requests."""
    let_loop_run()
    call = _call()
    if call is None:
        return
    if call.given_up:
        call.step()
    call.sent += 1
    if call.sent == 1:
        call.step()
    if time_limit(call._client) is not None:
        request.body = _in_pieces(request.body, call)


def _in_pieces(body: Any, call: Call) -> Any:
    """A body that is sent in pieces, because the time limits apply to one piece."""
    if isinstance(body, (bytes, bytearray)):
        return _Upload(io.BytesIO(body), call) if len(body) > _BIG else body
    return _Upload(body, call) if hasattr(body, "read") else body


class _Upload:
    """Wrap a body so that its first reading counts as progress of the call."""

    def __init__(self, body: Any, call: Call) -> None:
        self._body = body
        self._call = call

    def read(self, size: int = -1) -> bytes:
        if self._call.sent == 1 or self._call.given_up:
            self._call.step()
        piece: bytes = self._body.read(size)
        return piece

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)
