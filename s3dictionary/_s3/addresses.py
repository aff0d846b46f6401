"""Addresses of files, in the form of the AWS CLI, and checks of names."""

from __future__ import annotations

import re
from typing import NamedTuple

from .secrets import has_password, without_passwords

MAX_KEY = 1024
"""Most bytes of a key in UTF-8."""


class _Required(str):
    """A default that `help` shows as what it stands for."""

    def __repr__(self) -> str:
        return "<required>"


REQUIRED = _Required()
"""An empty name."""

_EMPTY = 'must be a str that isn\'t empty, as in S3Dict("my-bucket", file_name="state.json")'
_ARN = r"""(?x)arn:aws[a-z-]*:
    (?: (?:s3|s3-object-lambda):[a-z0-9-]*:[0-9]{12}:accesspoint[:/][^/:]+
      | s3-outposts:[a-z0-9-]+:[0-9]{12}:outpost[:/][a-zA-Z0-9-]{1,63}[:/]accesspoint[:/][a-zA-Z0-9-]{1,63}
    )"""


class Address(NamedTuple):
    """The parts of an address.

    Attributes:
        bucket: the bucket's name, or an access point's ARN; empty if there is none.
        key: the object's key; empty if there is none.
        problem: what is wrong with the address. In this case, no attribute contains a password.
    """

    bucket: str
    key: str
    problem: str | None = None


def split(uri: object) -> Address:
    """Split an address of the form `s3://bucket/key`."""
    if not isinstance(uri, str):
        return Address("", "", f"an address must be a str, as in 's3://bucket/key', not of type {type(uri).__name__}")
    if not uri.startswith("s3://"):
        return Address("", "", f"{without_passwords(uri)!r} isn't an address of the form s3://bucket/key")
    rest = uri.removeprefix("s3://")
    arn = re.match(_ARN, rest)
    if arn is not None and rest[arn.end() :][:1] in ("", "/", ":"):
        return Address(arn[0], rest[arn.end() + 1 :])
    bucket, _, key = rest.partition("/")
    if "@" in bucket or ":" in bucket:  # a secret key may have a slash in it
        return Address(
            "",
            "",
            "an address of a file can't have user:password@ in it. Pass access_key_id and access_secret_key, or set "
            "up boto3's credentials, and leave it out",
        )
    return Address(bucket, key)


def bucket_problem(bucket: object) -> str | None:
    """What is wrong with a bucket's name, as far as that is known without a request; otherwise `None`."""
    if not isinstance(bucket, str) or not bucket:
        return _no_name(bucket)
    if bucket.startswith("s3://"):
        return "must be the name alone, without s3://; S3Dict.from_uri() takes a whole address"
    if has_password(bucket):
        return "must be the name alone, without user:password@"
    if "/" in bucket and not re.fullmatch(_ARN, bucket):
        return f"must be a bucket name, without a folder, not {bucket!r}; put the folder into file_name"
    return None


def _no_name(given: object) -> str:
    if given is None or isinstance(given, str):
        return _EMPTY
    return f"must be a str, not of type {type(given).__name__}; convert it, as with .as_posix() of a path"


def key_problem(key: object) -> str | None:
    """What is wrong with an object's key; otherwise `None`."""
    if not isinstance(key, str) or not key:
        return _no_name(key)
    if key.startswith("s3://"):
        return "must be the name alone, without s3://; S3Dict.from_uri() takes a whole address"
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        return f"must be text that UTF-8 can encode, not {key!r} with half of a surrogate pair"
    if size > MAX_KEY:
        return f"has {size} bytes; S3 takes {MAX_KEY} at most"
    return None
