"""boto3 clients, shared by the dicts that have the same credentials and options.

A client takes boto3 some 100 ms to make, the next one for the same session 4 ms, a shared one nothing.
"""

from __future__ import annotations

import os
import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import boto3
    from botocore.config import Config
    from mypy_boto3_s3 import S3Client

_CHECKSUMS = ("request_checksum_calculation", "response_checksum_validation")
_SMALL = 1 << 20
"""Bytes of the largest body that is sent without waiting for `100 Continue`."""

_lock = threading.Lock()  # boto3 sessions aren't thread-safe
_default_session: tuple[Any, frozenset[tuple[str, str]]] | None = None


OPTIONS = frozenset(
    {
        *("api_version", "config", "endpoint_url", "region_name", "use_ssl", "verify"),
        *("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_account_id"),
    }
)
"""The arguments of `boto3.client` besides the service's name, that all releases have or will have."""


def all_options() -> frozenset[str]:
    """Those of the installed release."""
    import inspect

    import boto3

    return frozenset(inspect.signature(boto3.Session.client).parameters) - {"self", "service_name"}


def connect(options: dict[str, Any]) -> S3Client:
    """Make or share an S3 client.

    Args:
        options: arguments of `boto3.client("s3", …)`. For an endpoint that isn't AWS, checksums default to
            `when_required`: what newer boto3 sends of its own accord breaks several S3-compatible stores.
    """
    with _lock:
        session = _session(_environment())
        key = tuple(sorted(options.items()))
        try:
            hash(key)
        except TypeError:
            return _make_client(options, session)
        return _shared_client(key, session)


def _environment() -> frozenset[tuple[str, str]]:
    """What boto3 reads from the environment; when it changes, credentials and endpoint may, too."""
    return frozenset((name, value) for name, value in os.environ.items() if name.startswith("AWS_"))


@lru_cache(maxsize=32)
def _shared_client(key: tuple[tuple[str, Any], ...], session: boto3.Session) -> S3Client:
    return _make_client(dict(key), session)


def _make_client(options: dict[str, Any], session: boto3.Session) -> S3Client:
    client: S3Client = session.client("s3", **options)
    config = _checksums_when_required(session, client.meta.endpoint_url, options.get("config"))
    if config is not None:
        client = session.client("s3", **{**options, "config": config})
    client.meta.events.register_last("before-call.s3", _send_at_once)
    return client


def _send_at_once(params: dict[str, Any], **_: Any) -> None:
    """Send a small body along with the headers.

    boto3 has every upload wait for the server's `100 Continue`: one more round trip, and with servers that don't give
    it, a second. It keeps a body from being sent in vain if the condition is refused, so a big one still waits.
    """
    from botocore.utils import determine_content_length

    size = determine_content_length(params["body"])
    if size is not None and size <= _SMALL:
        params["headers"].pop("Expect", None)


def _session(environment: frozenset[tuple[str, str]]) -> boto3.Session:
    """boto3's default session, if the program has one and its settings are today's; else one for these settings.

    A session keeps the credentials it found first, so one that was made in another environment won't do; and a
    default session that this library made would outlive the settings of a test.
    """
    global _default_session
    import boto3

    session = boto3.DEFAULT_SESSION
    if session is None:
        return _own_session(environment)
    if _default_session is None or _default_session[0] is not session:
        _default_session = (session, environment)
    return session if _default_session[1] == environment else _own_session(environment)


@lru_cache(maxsize=8)
def _own_session(_environment: frozenset[tuple[str, str]]) -> boto3.Session:
    import boto3

    return boto3.Session()


def _checksums_when_required(session: boto3.Session, endpoint_url: str, config: Config | None) -> Config | None:
    """The configuration to use instead, where the endpoint isn't AWS and nobody has chosen checksums."""
    from botocore.config import Config

    host = urlsplit(endpoint_url).hostname or ""
    if host.endswith(_suffixes_of_aws(session)):
        return None
    profile = session._session.get_scoped_config() if session.profile_name in session.available_profiles else {}
    chosen = [
        name
        for name in _CHECKSUMS
        if getattr(config, name, None) or f"AWS_{name.upper()}" in os.environ or name in profile
    ]
    if chosen:
        return None
    required: Any = dict.fromkeys(_CHECKSUMS, "when_required")
    return Config(**required) if config is None else config.merge(Config(**required))


def _suffixes_of_aws(session: boto3.Session) -> tuple[str, ...]:
    """How the host names end in all of AWS's partitions, which botocore lists: amazonaws.com is but one."""
    data = session._session.get_component("data_loader").load_data("partitions")
    outputs = [partition.get("outputs", {}) for partition in data["partitions"]]
    names = {output.get(name) for output in outputs for name in ("dnsSuffix", "dualStackDnsSuffix")}
    return tuple(f".{name}" for name in names if name)


def _after_fork_in_child() -> None:
    """Connections are the parent's; and a thread that isn't there any more may have been at work in a session."""
    global _lock
    _lock = threading.Lock()
    _shared_client.cache_clear()
    _own_session.cache_clear()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork_in_child)


# How often a request was sent -----------------------------------------------------------------------------------------

_counts = threading.local()


class Counts(NamedTuple):
    """How often a request was begun, and how often it went out."""

    begun: int
    sent: int


def count_requests(client: Any) -> None:
    """Begin to count the requests of this thread, so that it is known of one that fails whether it was sent."""
    _counts.value = Counts(0, 0)
    if is_real(client):
        events = client.meta.events
        events.register_first("request-created.s3", _count_begun, unique_id="s3dictionary-begun")
        events.register_first("before-send.s3", _count_sent, unique_id="s3dictionary-sent")


def requests_counted(client: Any) -> Counts | None:
    """What was counted since; `None` if that can't be seen."""
    if client is None:
        return Counts(0, 0)
    return _counted() if is_real(client) else None


def is_real(client: Any) -> bool:
    """Is it a client of boto3's, not something that stands in for one?"""
    from botocore.client import BaseClient

    return isinstance(client, BaseClient)


def _counted() -> Counts:
    counts: Counts = getattr(_counts, "value", Counts(0, 0))
    return counts


def _count_begun(**_: Any) -> None:
    begun, sent = _counted()
    _counts.value = Counts(begun + 1, sent)


def _count_sent(**_: Any) -> None:
    begun, sent = _counted()
    _counts.value = Counts(begun, sent + 1)
