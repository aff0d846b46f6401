"""The keyword options of the constructors, for type checkers: a misspelt option is an error.

They describe the constructors' `**options`; `S3Dict` documents each of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from ._format.codec import Spec
    from ._store import OnConflict


class CommonOptions(TypedDict, total=False):
    """Options of every dict."""

    on_conflict: OnConflict
    types: Spec
    read_only: bool
    max_size: int
    client: S3Client | None
    profile_name: str | None
    put_options: Mapping[str, Any] | None
    # Options of boto3.client
    api_version: str | None
    aws_account_id: str | None
    aws_session_token: str | None
    config: Any
    endpoint_url: str | None
    region_name: str | None
    use_ssl: bool | None
    verify: bool | str | None


class AllOptions(CommonOptions, total=False):
    """Options of `from_uri()`."""

    access_key_id: str | None
    access_secret_key: str | None
    autosave: bool
    data: Any
    default: Any
