"""A lease: a lock with one holder among all machines, which expires if its holder disappears.

It is stored in an object beside the dict's file. Renewing it inside the file would create a version each time, and
conflicts for everyone with an open block. All times are compared by the store's clock: when S3 says that the object
was written, and when S3 says that it answered.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
import threading
import time
import weakref
from datetime import datetime, timedelta, timezone
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from ._format import codec
from ._s3.addresses import key_problem
from .errors import ConflictError, CorruptFileError, LeaseHeldError, LeaseLostError, S3DictError, UnknownOutcomeError

if TYPE_CHECKING:
    from typing_extensions import Self

    from ._s3.file import Found, S3File

log = logging.getLogger("s3dictionary")

SHORTEST = 2.0
"""Shortest lease in seconds, because S3 reports times in whole seconds."""

LONGEST = 7 * 24 * 3600
"""Longest lease in seconds: a week. If a holder is killed, nobody can take the lease for that long."""

_MARGIN = timedelta(seconds=2)
"""How long after its expiry a lease can't be taken: S3 drops fractions of seconds, and its servers' clocks differ."""

_ATTEMPTS = 3
"""How often to try again after somebody else took the lease, who may already have given it back."""

_TAKEN = "was taken by somebody else, because it had not been renewed in time or its object had been deleted"
_DELETED = "was lost, because its object was deleted"


class State(NamedTuple):
    """The content of the lease's object.

    Attributes:
        holder: the last holder's host and process, for messages.
        token: random, different each time that the lease is taken.
        seconds: how long the lease lasts after the object was written.
        fence: how often the lease has been taken.
        held: whether it hasn't been given back.
    """

    holder: str
    token: str
    seconds: float
    fence: int
    held: bool


class Lease:
    """A lease, for `with` and `async with`. While it is held, a thread renews it.

    Attributes:
        name: the name of the lease.
        seconds: how long after the last renewal it expires.
    """

    def __init__(self, file: S3File, name: str, seconds: float) -> None:
        self.name = name
        self.seconds = seconds
        self._file = file
        self._state: State | None = None
        self._process = 0
        self._renewed = Mark()
        self._loss = ""  # how it was lost, as far as S3 has shown that
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def fence(self) -> int:
        """How often the lease has been taken: a number that grows with each holder.

        Pass it to other systems that you write to, so that they can refuse an earlier holder that hasn't noticed yet
        that its lease has expired.

        Raises:
            LeaseLostError: the lease isn't held.
        """
        if self._state is None:
            raise LeaseLostError(f"{self._what} isn't held. Use it in `with d.lease({self.name!r}):`.", name=self.name)
        return self._state.fence

    @property
    def held(self) -> bool:
        """Whether the lease is certainly still held, judging by the time since the last renewal. Sends no request."""
        is_here = self._state is not None and self._process == os.getpid()
        return is_here and not self._loss and self._renewed.elapsed < self.seconds

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}, {self._file.uri}, {'held' if self.held else 'not held'}>"

    @property
    def _what(self) -> str:
        return f"The lease {self.name!r}, {self._file.uri},"

    # Taking it and giving it back

    def __enter__(self) -> Self:
        if self._state is not None:
            raise LeaseHeldError(
                f"{self._what} is already held by this object. Leave its block first.", name=self.name, holder=_here()
            )
        self._take()
        try:
            self._stop = threading.Event()
            keeping = (weakref.ref(self), self._stop, self.seconds / 3)
            self._thread = threading.Thread(target=_keep, args=keeping, name="s3dictionary lease", daemon=True)
            self._thread.start()
        except BaseException:
            self._give_back()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process != os.getpid():
            return  # a child that was forked in the block; its parent goes on
        held = self.held
        self._give_back()
        if (self._loss or not held) and error is None:
            raise self._lost_error()

    def _take(self) -> None:
        token = secrets.token_hex(8)
        for attempt in range(1, _ATTEMPTS + 1):
            found = self._file.get()
            last = self._state_in(found)
            self._refuse_if_held(found, last)
            state = State(_here(), token, self.seconds, last.fence + 1 if last else 1, held=True)
            began = Mark()
            try:
                self._write(found, state)
            except ConflictError:
                if attempt == _ATTEMPTS:
                    raise
                continue
            except UnknownOutcomeError:
                if self._state_in(self._file.get()) != state:
                    raise
                self._renewed = began
            self._state, self._process, self._loss = state, os.getpid(), ""
            return

    def _refuse_if_held(self, found: Found | None, last: State | None) -> None:
        if found is None or last is None or not last.held:
            return
        written = found.version.last_modified
        until = None if written is None else written + timedelta(seconds=last.seconds)
        now = found.date or datetime.now(timezone.utc)  # a stand-in for S3 may not tell the time
        if until is None or now < until + _MARGIN:
            when = "" if until is None else f" until {until:%Y-%m-%d %H:%M:%S %Z}, unless it is renewed"
            raise LeaseHeldError(
                f"{self._what} is held by {last.holder}{when}. Try again after that.",
                name=self.name,
                holder=last.holder,
                until=until,
            )

    def _give_back(self) -> None:
        """Stop renewing, and release the lease. If that fails, it expires."""
        self._stop.set()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join()
        state, self._state, self._thread = self._state, None, None
        if state is None:
            return
        try:
            found = self._file.get()
            self._loss = self._loss_in(found, state)
            if not self._loss:
                self._write(found, state._replace(held=False))
        except S3DictError as error:
            log.warning("%s could not be given back, and will expire: %s", self._what, error)

    # While it is held

    def renew(self) -> bool:
        """Renew the lease. Returns whether it is still held: not if it was deleted, or somebody else has taken it."""
        state = self._state
        if state is None or self._loss or self._process != os.getpid():
            return False
        try:
            found = self._file.get()
            self._loss = self._loss_in(found, state)
            if not self._loss:
                self._write(found, state)
        except ConflictError:
            self._loss = self._loss_in(self._file.get(), state)
        if self._loss:
            log.warning("%s %s.", self._what, self._loss)
        return not self._loss

    def _loss_in(self, found: Found | None, state: State) -> str:
        """How the lease was lost, judging by its object; empty if it wasn't."""
        if found is None:
            return _DELETED
        return "" if self._state_in(found) == state else _TAKEN

    def _lost_error(self) -> LeaseLostError:
        loss = self._loss or (
            f"expired before its block ended: it could not be renewed for {self.seconds:g} s, for example because the "
            "network failed or the process was suspended. A longer lease makes this less likely"
        )
        return LeaseLostError(
            f"{self._what} {loss}. Somebody else may have done the same work meanwhile, so check what was done.",
            name=self.name,
        )

    def _write(self, found: Found | None, state: State) -> None:
        began = Mark()  # from before the request on: the store's time begins later
        version = None if found is None else found.version
        self._file.loaded(version)
        self._file.put(codec.join_in_buffer(codec.encode_all(state._asdict())), version, members=state)
        self._renewed = began

    def _state_in(self, found: Found | None) -> State | None:
        if found is None:
            return None
        try:
            values = {key: codec.decode(raw) for key, raw in codec.split(found.content()).items()}
            return State(**values)
        except (CorruptFileError, TypeError) as error:
            raise CorruptFileError(
                f"{self._file.uri} isn't a lease, so {self.name!r} can't be leased. Use another name."
            ) from error

    # asyncio

    async def __aenter__(self) -> Self:
        await _in_thread(self.__enter__, undo=lambda: self.__exit__(None, None, None))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await _in_thread(self.__exit__, kind, error, None)


class Mark:
    """A moment, by this machine's clocks. A clock may stand still while the machine sleeps, or be set back."""

    def __init__(self) -> None:
        self._monotonic = time.monotonic()
        self._wall = time.time()

    @property
    def elapsed(self) -> float:
        """Seconds since then, by the clock that has gone further."""
        return max(time.monotonic() - self._monotonic, time.time() - self._wall)


def check(name: object, seconds: object, key: str) -> None:
    """Raise a `ValueError` that says what is wrong with a lease's name, length or object's key, if something is."""
    if not isinstance(name, str) or not name or not name.isprintable():
        raise ValueError(f"a lease's name must be a str of printable characters, not {name!r}")
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not SHORTEST <= seconds <= LONGEST:
        raise ValueError(f"a lease's seconds must be a number from {SHORTEST:g} to {LONGEST} (a week), not {seconds!r}")
    problem = key_problem(key)
    if problem:
        raise ValueError(f"a lease's name must be shorter: the key of its object {problem}")


def _keep(lease: weakref.ref[Lease], stop: threading.Event, every: float) -> None:
    """Renew a lease while its object exists."""
    wait = every
    while not stop.wait(wait):
        wait = every
        held = lease()
        if held is None:
            return
        try:
            if not held.renew():
                return
        except Exception as error:  # noqa: BLE001  # it is tried again, and `held` tells when that is too late
            log.warning("%s could not be renewed: %s", held._what, error)
            wait = every / 4
        del held


def _here() -> str:
    return f"{socket.gethostname()}, process {os.getpid()}"


async def _in_thread(function: Any, *arguments: Any, undo: Any = None) -> None:
    """Call a function in a thread, and wait for its end also when cancelled."""
    import asyncio

    call = asyncio.ensure_future(asyncio.to_thread(function, *arguments))
    try:
        await asyncio.shield(call)
    except asyncio.CancelledError:
        while not call.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([call])
        if undo is not None and call.exception() is None:
            await asyncio.shield(asyncio.to_thread(undo))
        raise
