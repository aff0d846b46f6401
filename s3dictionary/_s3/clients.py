"""S3 clients, shared by dicts with the same options, and replaced when credentials may have changed.

Creating a client takes about 100 ms. No lock is held meanwhile: a signal handler may need a client at that moment, and
a credential process may take long.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from .._collector import collector_paused
from . import sessions

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_SMALL = 1 << 20
"""Largest body, in bytes, that is sent without waiting for `100 Continue`."""

_SHARED = 32
"""Most clients to keep."""

_PATIENCE = 5.0
"""Seconds to wait for another thread that is creating the same client."""


OPTIONS = frozenset(
    {
        *("api_version", "config", "endpoint_url", "region_name", "use_ssl", "verify", "profile_name"),
        *("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_account_id"),
    }
)
"""The arguments of `boto3.client` besides the service's name, in all known releases, and the profile."""

_Key = tuple[sessions.Place, tuple[tuple[str, Any], ...]]

_clients: dict[_Key, Any] = {}
_worked: weakref.WeakSet[Any] = weakref.WeakSet()
_limits: weakref.WeakKeyDictionary[Any, float] = weakref.WeakKeyDictionary()


def all_options() -> frozenset[str]:
    """The arguments in the installed release."""
    import inspect

    import boto3

    return frozenset(inspect.signature(boto3.Session.client).parameters) - {"self", "service_name"}


def connect(options: dict[str, Any]) -> S3Client:
    """Create or share an S3 client.

    Args:
        options: arguments of `boto3.client("s3", …)`, and `profile_name`. For an endpoint that isn't AWS, checksums
            default to `when_required`, because boto3's newer defaults break several S3-compatible stores.
    """
    key = _key(options)
    try:
        client = _clients.get(key)
    except TypeError:  # an option that can't be hashed
        return _make(options, key[0])
    if client is None:
        _once(key, lambda: _publish(key, _make(options, key[0])))
        client = _clients.get(key)
    if client is None:
        client = _publish(key, _make(options, key[0]))
    made: S3Client = client
    return made


def worked(client: Any) -> None:
    """Note that the credentials of a client were accepted."""
    if client not in _worked:
        _worked.add(client)


def time_limit(client: Any) -> float | None:
    """Seconds that a request may take without progress; `None` for a client that wasn't created here.

    This is the time that its configuration allows for all attempts to connect and wait.
    """
    return _limits.get(client) if is_real(client) else None


def renew(options: dict[str, Any], client: Any) -> bool:
    """Forget a client whose credentials were refused, and the session that it was made from.

    Returns:
        Whether a new client may succeed: the old one did, with credentials that boto3 found.
    """
    key = _key(options)
    with suppress(TypeError):  # an option that can't be hashed, so it isn't shared
        if _clients.get(key) is client:
            _clients.pop(key, None)
            sessions.forget(key[0], options.get("profile_name"))
    return client in _worked and "aws_access_key_id" not in options


def _key(options: dict[str, Any]) -> _Key:
    return sessions.place(), tuple(sorted(options.items()))


def _publish(key: _Key, client: Any) -> Any:
    """Share a client. If another thread was faster, return that thread's client."""
    client = _clients.setdefault(key, client)
    for old in list(_clients)[:-_SHARED]:
        _clients.pop(old, None)
    return client


def _make(options: dict[str, Any], place: sessions.Place) -> S3Client:
    is_cold = "botocore.client" not in sys.modules
    with collector_paused(for_good=True) if is_cold else nullcontext():
        client = sessions.make_client(options, place)
    client.meta.events.register_last("before-call.s3", _send_at_once)
    limit = _limit(client.meta.config)
    if limit is not None:
        _limits[client] = limit
    return client


def _limit(config: Any) -> float | None:
    """The time limit of a configuration; `None` if a request may wait without limit."""
    if config.connect_timeout is None or config.read_timeout is None:
        return None
    retries = config.retries or {}
    attempts = retries.get("total_max_attempts") or (3 if retries.get("mode") in ("standard", "adaptive") else 5)
    return float(attempts * (config.connect_timeout + config.read_timeout))


def _send_at_once(params: dict[str, Any], **_: Any) -> None:
    """Send a small body along with the headers.

    By default, boto3's uploads wait for `100 Continue` from the server: one more round trip, or a second if the server
    doesn't send it. This avoids sending a body when the condition is refused, so large bodies still wait.
    """
    from botocore.utils import determine_content_length

    size = determine_content_length(params["body"])
    if size is not None and size <= _SMALL:
        params["headers"].pop("Expect", None)


# Work that one thread does for all --------------------------------------------------------------------------------


class _Turn(NamedTuple):
    """A thread whose work others wait for."""

    thread: int
    done: threading.Event


_turns: dict[Any, _Turn] = {}


def _once(key: Any, act: Callable[[], object], *, forget: bool = True) -> None:
    """Do something, unless another thread is doing it; then wait for that thread, for a limited time.

    A signal handler that interrupts its own thread's work doesn't wait.
    """
    mine = _Turn(threading.get_ident(), threading.Event())
    turn = _turns.setdefault(key, mine)
    if turn is not mine:
        if turn.thread != mine.thread:
            turn.done.wait(_PATIENCE)
        return
    try:
        act()
    finally:
        if forget:
            _turns.pop(key, None)
        mine.done.set()


# The caller's clients ----------------------------------------------------------------------------------------------

_process = os.getpid()


def is_real(client: Any) -> bool:
    """Whether it is boto3's client, and not a stand-in."""
    from botocore.client import BaseClient

    return isinstance(client, BaseClient)


def without_inherited_connections(client: S3Client) -> S3Client:
    """A caller's client, which shares no connection with the parent after a fork.

    On a shared connection, a request could get the answer to the other process's request. Closing the connection here
    leaves it open in the parent.
    """
    if _is_forked() and is_real(client):
        _once((os.getpid(), id(client)), client.close, forget=False)
    return client


def _is_forked() -> bool:
    """Whether a parent process may have had the client. This module may have been imported after the fork."""
    processes = sys.modules.get("multiprocessing.process")
    return os.getpid() != _process or (processes is not None and processes.parent_process() is not None)
