"""Sessions: where boto3 finds credentials and settings, and the S3 clients that it makes from them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from botocore.config import Config
    from mypy_boto3_s3 import S3Client

_CHECKSUMS = ("request_checksum_calculation", "response_checksum_validation")
_TIMEOUTS = {"connect_timeout": 5, "read_timeout": 14}
_RETRIES = {"mode": "standard", "total_max_attempts": 3}
"""A request without an answer ends after 3 * (5 + 14) s. With boto3's defaults, it could wait for 5 or 14 minutes."""

_PREFIX = "AWS_"
_VARIABLES = frozenset({"HOME", "USERPROFILE", "BOTO_CONFIG", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"})
_FILES = {"AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials", "AWS_CONFIG_FILE": "~/.aws/config"}


class Place(NamedTuple):
    """The environment that a client depends on. Clients are shared while it stays the same.

    Attributes:
        process: the process; a forked one has its own clients.
        environment: the variables that boto3 reads.
        files: the modification times and sizes of the configuration files.
        session: boto3's default session, if the program has one.
    """

    process: int
    environment: frozenset[tuple[str, str]]
    files: tuple[tuple[int, int, int] | None, ...]
    session: Any


class _Session(NamedTuple):
    """A session.

    Attributes:
        core: botocore's session.
        outer: boto3's session around it, if there is one.
    """

    core: Any
    outer: Any

    def client(self, **options: Any) -> S3Client:
        make = self.core.create_client if self.outer is None else self.outer.client
        return cast("S3Client", make("s3", **options))


_idle: dict[tuple[Place, str | None], _Session] = {}


def place() -> Place:
    """The program's current environment."""
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
    """Create a client with the program's default session, if there is one, or else with a session for this place.

    Sessions aren't thread-safe. So a caller removes a session from the idle ones and returns it afterwards; another
    caller creates a new one meanwhile. The library doesn't create a default session, which would outlive a test's
    settings.
    """
    options = dict(options)
    profile = options.pop("profile_name", None)
    if place.session is not None and profile is None:
        return _client(_Session(place.session._session, place.session), options)
    session = _idle.pop((place, profile), None) or _new_session(profile)
    client = _client(session, options)
    _idle.clear()  # any other idle session is from another place, or equivalent
    _idle[place, profile] = session
    return client


def forget(place: Place, profile: str | None) -> None:
    """Forget the session of a place. A new session reads all settings again."""
    _idle.pop((place, profile), None)


def _new_session(profile: str | None) -> _Session:
    """Create a session of botocore, which is faster; or of boto3 if the program uses it and may have patched it.

    It searches for descriptions of services that were added, as usual.
    """
    _import_early()
    import botocore.session

    core = botocore.session.Session()
    if profile is not None:
        core.set_config_variable("profile", profile)
    elif os.environ.get("AWS_ACCESS_KEY_ID"):
        _use_environment(core)
    if core.get_config_variable("data_path") is None:
        _read_faster(core)
    boto3 = sys.modules.get("boto3")
    return _Session(core, None if boto3 is None else boto3.Session(botocore_session=core))


def _import_early() -> None:
    """Import urllib3 before botocore would, some 50 calls deeper.

    CPython keeps the frames of calls in chunks of 16 kB, and allocates and frees one with each call that crosses the
    end of a chunk. Compiling urllib3's patterns down there would do that a thousand times.
    """
    import urllib3  # noqa: F401


def _use_environment(core: Any) -> None:
    """Look for credentials only in the environment, where boto3 looks first. Other providers take time to set up."""
    from botocore.credentials import CredentialResolver, EnvProvider

    core.register_component("credential_provider", CredentialResolver([EnvProvider()]))


def _read_faster(core: Any) -> None:
    try:
        from .loading import FastLoader

        core.register_component("data_loader", FastLoader())
    except (ImportError, AttributeError, TypeError):  # a release of botocore that works differently
        return


def _client(session: _Session, options: dict[str, Any]) -> S3Client:
    """Create a client. Checksums depend on its endpoint, which is known only when there is a client."""
    given = options.get("config")
    for_aws = _is_aws(session.core, options.get("endpoint_url") or _likely_endpoint(session.core))
    client = session.client(**{**options, "config": _config(session.core, given, for_aws=for_aws)})
    if _is_aws(session.core, client.meta.endpoint_url) != for_aws:
        client = session.client(**{**options, "config": _config(session.core, given, for_aws=not for_aws)})
    return client


def _likely_endpoint(core: Any) -> str:
    found = next(filter(None, map(os.environ.get, ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"))), None)
    return found or _profile(core).get("endpoint_url", "https://s3.amazonaws.com")


def _profile(core: Any) -> Mapping[str, Any]:
    found: Mapping[str, Any] = {}
    return core.get_scoped_config() if (core.profile or "default") in core.available_profiles else found


def _config(core: Any, given: Config | None, *, for_aws: bool) -> Config:
    """The configuration: this library's values for what the user hasn't configured."""
    from botocore.config import Config

    profile = _profile(core)
    own: dict[str, Any] = dict(_TIMEOUTS)
    if not any(_is_chosen(name, profile) for name in ("retry_mode", "max_attempts")):
        own["retries"] = dict(_RETRIES)
    theirs = [each for each in (core.get_default_client_config(), given) if each is not None]
    if not for_aws and not any(
        _is_chosen(name, profile) or any(getattr(each, name, None) for each in theirs) for name in _CHECKSUMS
    ):
        own |= dict.fromkeys(_CHECKSUMS, "when_required")
    config = Config(**own)
    for each in theirs:
        config = config.merge(each)
    return config


def _is_chosen(name: str, profile: Mapping[str, Any]) -> bool:
    return f"{_PREFIX}{name.upper()}" in os.environ or name in profile


def _is_aws(core: Any, endpoint_url: str) -> bool:
    return (urlsplit(endpoint_url).hostname or "").endswith(_suffixes_of_aws(core))


def _suffixes_of_aws(core: Any) -> tuple[str, ...]:
    """The suffixes of host names in all of AWS's partitions, from botocore: amazonaws.com is only one of them."""
    data = core.get_component("data_loader").load_data("partitions")
    outputs = [partition.get("outputs", {}) for partition in data["partitions"]]
    names = {output.get(name) for output in outputs for name in ("dnsSuffix", "dualStackDnsSuffix")}
    return tuple(f".{name}" for name in names if name)
