"""The keyword options of a dict's constructor, for type checkers alone: a misspelt one is an error.

They stand for what the constructors' `**options` take; `S3Dict.__init__` says what each one means.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from ._format.codec import Spec
    from ._store import OnConflict


class CommonOptions(TypedDict, total=False):
    """What goes for any dict over a file."""

    on_conflict: OnConflict
    types: Spec
    read_only: bool
    max_size: int
    client: S3Client | None
    profile_name: str | None
    put_options: Mapping[str, Any] | None
    # Those of boto3.client
    api_version: str | None
    aws_account_id: str | None
    aws_session_token: str | None
    config: Any
    endpoint_url: str | None
    region_name: str | None
    use_ssl: bool | None
    verify: bool | str | None


class AllOptions(CommonOptions, total=False):
    """What `from_uri()` takes: all but the address."""

    access_key_id: str | None
    access_secret_key: str | None
    autosave: bool
    data: Any
    default: Any
