"""Which file a dict lives in, and how to get there."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

from . import clients
from .file import S3File

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_SECRET_OPTIONS = frozenset({"aws_access_key_id", "aws_secret_access_key", "aws_session_token"})
_SECRET_PUT_OPTIONS = frozenset({"SSECustomerKey", "SSECustomerKeyMD5"})
_EXAMPLE = 'S3Dict("my-bucket", file_name="state.json")'
_OWN_PUT_OPTIONS = frozenset({"Bucket", "Key", "Body", "IfMatch", "IfNoneMatch", "ContentEncoding"})


@dataclass(frozen=True)
class Settings:
    """The address and the way to it. What is secret shows neither in its repr nor in a pickle of it."""

    bucket_name: str
    file_name: str
    access_key_id: str | None = field(default=None, repr=False)
    access_secret_key: str | None = field(default=None, repr=False)
    client: S3Client | None = field(default=None, repr=False)
    client_options: dict[str, Any] = field(default_factory=dict, repr=False)
    put_options: dict[str, Any] = field(default_factory=dict, repr=False)

    def check(self) -> None:
        """Raise a `ValueError` that says what is wrong with them, if something is."""
        for name in ("bucket_name", "file_name"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name):
                raise ValueError(f"{name} must be a str that isn't empty, as in {_EXAMPLE}")
            if getattr(self, name).startswith("s3://"):
                raise ValueError(
                    f"{name} must be the name alone, without s3://; S3Dict.from_uri() takes a whole address"
                )
        if (self.access_key_id is None) != (self.access_secret_key is None):
            raise ValueError(
                "access_key_id and access_secret_key go together: pass both, or neither for boto3's own credentials"
            )
        if self.client is not None and (self.access_key_id is not None or self.client_options):
            raise ValueError("a client has its keys and options already: pass either a client, or keys and options")
        endpoint = self.client_options.get("endpoint_url")
        if endpoint is not None and not str(endpoint).startswith(("https://", "http://")):
            raise ValueError(f"endpoint_url must begin with https:// or http://, not be {endpoint!r}")
        metadata = self.put_options.get("Metadata", {})
        if not isinstance(metadata, dict) or not set(map(type, chain(*metadata.items()))) <= {str}:
            raise ValueError("Metadata in put_options must be a dict of str to str")
        own = _OWN_PUT_OPTIONS & self.put_options.keys()
        if own:
            raise ValueError(
                f"put_options can't have {', '.join(sorted(own))}: the library sets it itself, so leave it out"
            )

    def file(self) -> S3File:
        return S3File(self.bucket_name, self.file_name, self._connect, self.put_options)

    def _connect(self) -> S3Client:
        if self.client is not None:
            return self.client
        options = dict(self.client_options)
        if self.access_key_id is not None:
            options |= {"aws_access_key_id": self.access_key_id, "aws_secret_access_key": self.access_secret_key}
        return clients.connect(options)

    def __getstate__(self) -> dict[str, Any]:
        options = {name: value for name, value in self.client_options.items() if name not in _SECRET_OPTIONS}
        if self.client is not None:  # the next one should go to the same place
            options = {"endpoint_url": self.client.meta.endpoint_url, "region_name": self.client.meta.region_name}
        put_options = {name: value for name, value in self.put_options.items() if name not in _SECRET_PUT_OPTIONS}
        return {
            "bucket_name": self.bucket_name,
            "file_name": self.file_name,
            "client_options": options,
            "put_options": put_options,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({"access_key_id": None, "access_secret_key": None, "client": None, **state})
