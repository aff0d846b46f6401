"""The file that a command works on, and the connection to it.

Commands that only read it keep its values raw. Commands that write it use `S3Dict`, as any program does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from .._dict import S3Dict
from .._format import codec
from .._s3 import addresses, clients
from .._s3.failures import Situation, translated
from .._s3.file import S3File
from .._s3.requests import Requests
from .._s3.secrets import without_passwords
from ..errors import CorruptFileError, S3DictError, StorageError
from . import progress, save_outcome
from .outcomes import ExitCode, Failure

if TYPE_CHECKING:
    from argparse import Namespace

    from mypy_boto3_s3 import S3Client

    from .._s3.file import FileVersion, Found

_NO_VERSION = ("NoSuchVersion", "NoSuchKey", "InvalidArgument")
"""S3's error codes for a missing version. AWS uses the last one for a malformed version id."""


@dataclass(frozen=True)
class File:
    """A file on S3.

    Attributes:
        uri: its address, as typed.
        client_options: the options with which the library creates clients, again if credentials have expired.
        put_options: further arguments of PutObject.
    """

    uri: str
    client_options: dict[str, Any] = field(repr=False)
    put_options: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        return self.uri.rpartition("/")[2]

    def dict(self, **options: Any) -> S3Dict[Any, Any]:
        """Load the file as an `S3Dict` with these options."""
        save_outcome.watch(clients.connect(self.client_options))
        try:
            return S3Dict.from_uri(self.uri, put_options=self.put_options, **self.client_options, **options)
        except S3DictError:
            raise
        except ValueError as error:  # an option that the library sets itself
            raise Failure(ExitCode.USAGE, str(error)) from error

    def find(self, version_id: str | None = None) -> Found | None:
        """The object as it is; `None` if there is no such file."""
        return self._object().get(version_id=version_id)

    def members(self, version: str | None = None) -> codec.Members:
        """The keys, each with the JSON text of its value.

        Args:
            version: an old version: its id, or `-1` for the one before the current, `-2` …

        Raises:
            Failure: there is no such file or version.
            CorruptFileError: the file isn't a JSON object in UTF-8.
        """
        version_id = None if version is None else self.version_id(version)
        try:
            found = self.find(version_id)
        except StorageError as error:
            self.check_version(error, version)
            raise
        if found is None:
            raise self.missing(version)
        return self.split(found)

    def split(self, found: Found) -> codec.Members:
        """Split an object into its members; see `members`."""
        try:
            return codec.split(found.content())
        except CorruptFileError as error:
            raise self._corrupt(error) from error

    def content(self, found: Found) -> bytes:
        """The text of an object, whether or not it is JSON.

        Raises:
            CorruptFileError: it is compressed and damaged.
        """
        try:
            return found.content()
        except CorruptFileError as error:
            raise self._corrupt(error) from error

    def _corrupt(self, error: CorruptFileError) -> CorruptFileError:
        return CorruptFileError(f"{self.uri} can't be read: {error}")

    def versions(self) -> list[FileVersion]:
        """The versions that the bucket keeps, newest first.

        Raises:
            Failure: there are none.
        """
        versions = self._object().versions()
        if not versions:
            raise self.missing()
        return versions

    def version_id(self, version: str) -> str:
        """The id of a version, which may be written as `-1`, `-2` …, counted back from the current one."""
        if not re.fullmatch(r"-\d+", version):
            return version
        versions, back = self.versions(), -int(version)
        # If the file was deleted, the newest version is already -1
        index = back if versions[0].is_latest else back - 1
        if index not in range(len(versions)):
            raise Failure(ExitCode.NOT_THERE, f"{self.uri} has no version {version}: the bucket keeps {len(versions)}.")
        return versions[index].version_id

    def check_version(self, error: StorageError, version: str | None) -> None:
        """Raise a `Failure` if the error says that there is no such version."""
        if version is not None and error.code in _NO_VERSION:
            raise self.missing(version) from error

    def missing(self, version: str | None = None) -> Failure:
        """The failure for a missing file, or a missing version."""
        if version is not None:
            return Failure(
                ExitCode.NOT_THERE, f"{self.uri} has no version {version}. `history` lists the existing ones."
            )
        return Failure(ExitCode.NOT_THERE, f"there is no {self.uri}. Check the address; `set` would create it.")

    def _object(self) -> S3File:
        options = self.client_options
        renew = partial(clients.renew, options)
        connect = partial(clients.connect, options)
        return S3File(Requests(*split_uri(self.uri), connect, self.put_options, renew=renew))


def file_of(arguments: Namespace) -> File:
    """The file that the command line names.

    Raises:
        Failure: the address is invalid, or no client can be created.
    """
    bucket, key = split_uri(arguments.uri)
    if not bucket or not key:
        raise Failure(ExitCode.USAGE, f"{arguments.uri!r} isn't an address of the form s3://bucket/key")
    options = client_options(arguments)
    connect(arguments.uri, options)  # so that it fails before anything else is done
    return File(arguments.uri, options, dict(getattr(arguments, "put_option", None) or ()))


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of an address. Either may be empty.

    Raises:
        Failure: the address is invalid.
    """
    bucket, key, problem = addresses.split(uri)
    if problem:
        raise Failure(ExitCode.USAGE, problem)
    return bucket, key


def client_options(arguments: Namespace, **config: Any) -> dict[str, Any]:
    """The options of the client, from the command line. Others have the library's defaults.

    Args:
        arguments: the parsed command line, with `profile`, `region` and `endpoint_url`.
        config: arguments of botocore's `Config`.
    """
    from botocore.config import Config

    options: dict[str, Any] = {
        "profile_name": arguments.profile,  # takes precedence over keys in the environment, as in the AWS CLI
        "region_name": arguments.region,
        "endpoint_url": arguments.endpoint_url,
    }
    if config or progress.is_wanted():  # its own configuration makes sure that the client isn't shared
        options["config"] = Config(**config)
    return {name: value for name, value in options.items() if value}


def connect(uri: str, options: dict[str, Any]) -> S3Client:
    """Create a client with these options.

    Raises:
        Failure: there is no such profile, no region, or the endpoint isn't a URL.
        StorageError: no credentials were found.
    """
    from botocore.exceptions import BotoCoreError

    try:
        client = clients.connect(options)
    except Exception as error:
        if isinstance(error, BotoCoreError) or type(error) is ValueError:
            hint = ". An endpoint begins with http:// or https://" if "Invalid endpoint" in str(error) else ""
            raise Failure(ExitCode.USAGE, without_passwords(str(error)) + hint) from error
        bucket, key = split_uri(uri)
        raise translated(error, Situation("connecting", {"Bucket": bucket, "Key": key})) from error
    if progress.is_wanted():
        progress.show(client)
    return client
