"""The address of a dict's file, and the settings to reach it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

from . import clients
from .addresses import bucket_problem, key_problem
from .failures import closest
from .file import MAX_SIZE, S3File
from .requests import Requests
from .secrets import SECRET_OPTIONS, SECRET_PUT_OPTIONS, Hidden, Secret, has_password, secrets_in, url_without_password
from .version import MAX_USER_METADATA, METADATA_NAME, length_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_OWN_PUT_OPTIONS = frozenset({"Bucket", "Key", "Body", "IfMatch", "IfNoneMatch", "ContentEncoding"})
OWN_OPTIONS = (
    *("bucket_name", "file_name", "access_key_id", "access_secret_key", "autosave", "data", "default", "on_conflict"),
    *("types", "read_only", "max_size", "client", "profile_name", "put_options"),
)
"""The constructor's arguments, for suggestions."""

_GUESSES = {
    **dict.fromkeys(("region", "aws_region"), "region_name"),
    **dict.fromkeys(("endpoint", "url", "host"), "endpoint_url"),
    **dict.fromkeys(("filename", "file", "key", "path"), "file_name"),
    **dict.fromkeys(("bucket", "bucketname"), "bucket_name"),
    **dict.fromkeys(("access_key", "key_id"), "access_key_id"),
    **dict.fromkeys(("secret", "secret_key", "secret_access_key", "access_secret"), "access_secret_key"),
    **dict.fromkeys(("session_token", "token"), "aws_session_token"),
    **dict.fromkeys(("session", "boto3_session"), "client"),
    **dict.fromkeys(("profile", "aws_profile"), "profile_name"),
}


@dataclass(frozen=True)
class Settings:
    """The address and connection settings. Neither the repr nor a pickle contains secrets."""

    bucket_name: str
    file_name: str
    access_key_id: str | None = field(default=None, repr=False)
    secret: Secret[str | None] = field(default_factory=lambda: Secret(None), repr=False)
    client: S3Client | None = field(default=None, repr=False)
    client_options: Hidden = field(default_factory=Hidden, repr=False)
    put_options: Hidden = field(default_factory=Hidden, repr=False)
    max_size: int = MAX_SIZE

    @property
    def access_secret_key(self) -> str | None:
        return self.secret.reveal()

    def check(self) -> None:
        """Raise a `ValueError` or `TypeError` if a setting is invalid."""
        _check_names(self.client_options)  # first, because a misspelt name leaves another setting empty
        problem = bucket_problem(self.bucket_name)
        if problem:
            raise ValueError(f"bucket_name {problem}")
        problem = key_problem(self.file_name)
        if problem:
            raise ValueError(f"file_name {problem}")
        if (self.access_key_id is None) != (self.access_secret_key is None):
            raise ValueError(
                "access_key_id and access_secret_key go together: pass both, or neither for boto3's own credentials"
            )
        if not _is_text(self.access_key_id) or not _is_text(self.access_secret_key):
            raise TypeError("access_key_id and access_secret_key must be str: pass both as text, or neither")
        if self.client is not None and (self.access_key_id is not None or self.client_options):
            raise ValueError("client has its own keys and options: pass either client, or keys and options")
        _check_client(self.client)
        if type(self.max_size) is not int or self.max_size < 1:
            raise ValueError(f"max_size must be a positive number of bytes, not {self.max_size!r}")
        _check_client_options(self.client_options)
        _check_put_options(self.put_options)

    def file(self) -> S3File:
        requests = Requests(
            self.bucket_name,
            self.file_name,
            self._connect,
            self.put_options,
            secrets=[*secrets_in(self.client_options, self.put_options), *filter(None, [self.access_secret_key])],
            renew=self._renew,
        )
        return S3File(requests, max_size=self.max_size)

    def _connect(self) -> S3Client:
        if self.client is not None:
            return clients.without_inherited_connections(self.client)
        return clients.connect(self._all_options())

    def _renew(self, client: S3Client) -> bool:
        return self.client is None and clients.renew(self._all_options(), client)

    def _all_options(self) -> Hidden:
        options = Hidden(self.client_options)
        if self.access_key_id is not None:
            options |= {"aws_access_key_id": self.access_key_id, "aws_secret_access_key": self.access_secret_key}
        return options

    def __getstate__(self) -> dict[str, Any]:
        options = {name: value for name, value in self.client_options.items() if name not in SECRET_OPTIONS}
        if self.client is not None:  # a client created later should use the same place
            options = {"endpoint_url": self.client.meta.endpoint_url, "region_name": self.client.meta.region_name}
        if isinstance(options.get("endpoint_url"), str):
            options["endpoint_url"] = url_without_password(options["endpoint_url"])
        if options.get("config") is not None:
            options["config"] = _without_proxy_passwords(options["config"])
        put_options = {name: value for name, value in self.put_options.items() if name not in SECRET_PUT_OPTIONS}
        return {
            "bucket_name": self.bucket_name,
            "file_name": self.file_name,
            "client_options": Hidden(options),
            "put_options": Hidden(put_options),
            "max_size": self.max_size,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({"access_key_id": None, "secret": Secret(None), "client": None, **state})


def _is_text(key: object) -> bool:
    return key is None or isinstance(key, str)


def _check_names(options: Mapping[str, Any]) -> None:
    for name in options:
        if name not in clients.OPTIONS and name not in clients.all_options():
            meant = _GUESSES.get(name.lower()) or closest(name.lower(), [*OWN_OPTIONS, *sorted(clients.OPTIONS)])
            hint = f" Did you mean {meant}?" if meant else ""
            raise TypeError(f"S3Dict() got an unexpected keyword argument {name!r}.{hint}")


def _check_client(client: Any) -> None:
    if client is None or hasattr(client, "get_object"):
        return
    if hasattr(getattr(client, "meta", None), "client"):
        hint = " Pass its .meta.client."
    else:
        hint = ' Pass its .client("s3").' if hasattr(client, "client") else ""
    kind = type(client)
    raise TypeError(
        f'client must be an S3 client, as boto3.client("s3") returns it, not of type {kind.__module__}.'
        f"{kind.__qualname__}.{hint}"
    )


def _check_client_options(options: Mapping[str, Any]) -> None:
    profile = options.get("profile_name")
    if profile is not None and (not isinstance(profile, str) or not profile):
        raise ValueError(f"profile_name must be the name of a profile in ~/.aws/config, not {profile!r}")
    if options.get("endpoint_url") is None:
        return
    if not str(options["endpoint_url"]).startswith(("https://", "http://")):
        raise ValueError(f"endpoint_url must begin with https:// or http://, not be {_shown(options)!r}")
    if "?" in str(options["endpoint_url"]):
        raise ValueError(f"endpoint_url can't have a query: leave out what follows {_shown(options)!r}")


def _shown(options: Mapping[str, Any]) -> str:
    return url_without_password(str(options["endpoint_url"]))


def _check_put_options(options: Mapping[str, Any]) -> None:
    own = _OWN_PUT_OPTIONS & options.keys()
    if own:
        raise ValueError(f"put_options must not contain {', '.join(sorted(own))}: S3Dict sets it, so leave it out")
    metadata = options.get("Metadata", {})
    if not isinstance(metadata, dict) or not set(map(type, chain(*metadata.items()))) <= {str}:
        raise ValueError("Metadata in put_options must be a dict of str to str")
    if METADATA_NAME in map(str.lower, metadata):
        raise ValueError(f"Metadata in put_options must not contain {METADATA_NAME!r}: S3Dict sets it, so leave it out")
    for name, value in metadata.items():
        if not (name + value).isascii() or not (name + value).isprintable() or not name.strip():
            raise ValueError(f"Metadata in put_options must be printable ASCII, which {name!r} isn't")
    if length_of(metadata) > MAX_USER_METADATA:
        raise ValueError(
            f"Metadata in put_options has {length_of(metadata)} bytes; S3 takes 2 KB in all, so it must be "
            f"{MAX_USER_METADATA} at most"
        )


def put_options_of(given: Any) -> Hidden:
    """The argument `put_options` as a dict."""
    if given is None:
        return Hidden()
    options = None
    with suppress(TypeError, ValueError):
        options = Hidden(given)
    if options is None or isinstance(given, str) or not all(isinstance(name, str) for name in options):
        got = "names of another type" if isinstance(given, dict) else type(given).__name__  # no value: it may be secret
        raise TypeError(
            "put_options must be a dict of names and values for PutObject, as in "
            f'put_options={{"StorageClass": "STANDARD_IA"}}, not {got}'
        )
    return options


def with_profile(client_options: Mapping[str, Any], profile_name: str | None) -> Hidden:
    """The options of a client, with the profile if there is one."""
    return Hidden(client_options) if profile_name is None else Hidden({**client_options, "profile_name": profile_name})


def _without_proxy_passwords(config: Any) -> Any:
    """A botocore configuration without proxies that need a password, which belong to the place."""
    proxies = getattr(config, "proxies", None)
    if not isinstance(proxies, dict) or not any(has_password(str(url)) for url in proxies.values()):
        return config
    from botocore.config import Config

    return config.merge(Config(proxies={name: url for name, url in proxies.items() if not has_password(str(url))}))
