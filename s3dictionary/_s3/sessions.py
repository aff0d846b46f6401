"""Sessions: where boto3 finds credentials and settings, and the S3 clients that it makes from them."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import boto3
    from botocore.config import Config
    from mypy_boto3_s3 import S3Client

_CHECKSUMS = ("request_checksum_calculation", "response_checksum_validation")
_PREFIX = "AWS_"
_VARIABLES = frozenset({"HOME", "USERPROFILE", "BOTO_CONFIG", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"})
_FILES = {"AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials", "AWS_CONFIG_FILE": "~/.aws/config"}


class Place(NamedTuple):
    """What a client depends on besides its options. While it is the same, so is the client.

    Attributes:
        process: a forked one has clients of its own.
        environment: the variables that boto3 reads.
        files: when its files were written, and how big they are.
        session: boto3's default session, if the program has one.
    """

    process: int
    environment: frozenset[tuple[str, str]]
    files: tuple[tuple[int, int, int] | None, ...]
    session: Any


_idle: dict[tuple[Place, str | None], boto3.Session] = {}


def place() -> Place:
    """The place where the program is now."""
    environment = frozenset(
        (name, value) for name, value in os.environ.items() if name.startswith(_PREFIX) or name.upper() in _VARIABLES
    )
    files = tuple(_stamp(os.environ.get(name, default)) for name, default in _FILES.items())
    return Place(os.getpid(), environment, files, getattr(sys.modules.get("boto3"), "DEFAULT_SESSION", None))


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(os.path.expanduser(path))  # noqa: PTH111, PTH116  # at each request, and pathlib is slower
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def make_client(options: dict[str, Any], place: Place) -> S3Client:
    """Make a client, with the program's default session if it has one, else with one for this place.

    A session isn't thread-safe, so who uses one takes it out of the idle ones, and puts it back afterwards: others
    that need one meanwhile make another. A default session that this library made would outlive a test's settings.
    """
    options = dict(options)
    profile = options.pop("profile_name", None)
    if place.session is not None and profile is None:
        return _client(place.session, options)
    session = _idle.pop((place, profile), None) or _new_session(profile)
    client = _client(session, options)
    _idle.clear()  # whatever was there is from another place, or the same again
    _idle[place, profile] = session
    return client


def forget(place: Place, profile: str | None) -> None:
    """Don't use the session of a place again: a new one reads everything anew."""
    _idle.pop((place, profile), None)


def _new_session(profile: str | None) -> boto3.Session:
    import boto3

    return boto3.Session(profile_name=profile)


def _client(session: boto3.Session, options: dict[str, Any]) -> S3Client:
    client: S3Client = session.client("s3", **options)
    config = _checksums_when_required(session, client.meta.endpoint_url, options.get("config"))
    return client if config is None else session.client("s3", **{**options, "config": config})


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
