"""Reads botocore's descriptions of services faster: with msgspec, and little of services other than S3.

It is based on botocore's documented loaders. If a release of botocore works differently, its own slower loading
applies.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from botocore.loaders import JSONFileLoader, Loader

_Partitions = list[dict[str, msgspec.Raw]]


class _FastFiles(JSONFileLoader):
    def load_file(self, file_path: str) -> Any:
        """The content of a JSON file, which may be compressed; `None` if there is no file."""
        decode = _endpoints if Path(file_path).name == "endpoints" else msgspec.json.decode
        with suppress(OSError, KeyError, msgspec.MsgspecError):
            return decode(gzip.decompress(Path(f"{file_path}.json.gz").read_bytes()))
        with suppress(OSError, KeyError, msgspec.MsgspecError):
            return decode(Path(f"{file_path}.json").read_bytes())
        return super().load_file(file_path)


def _endpoints(text: bytes) -> Any:
    """The endpoints of all services, as JSON text, because only those of S3 are needed.

    As objects, they would slow down each full garbage collection, several of which happen when Python exits.
    """
    members = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    partitions = [_partition(each) for each in msgspec.json.decode(members.pop("partitions"), type=_Partitions)]
    return {**_Lazy(members), "partitions": partitions}


def _partition(members: dict[str, msgspec.Raw]) -> dict[str, Any]:
    services = msgspec.json.decode(members.pop("services"), type=dict[str, msgspec.Raw])
    return {**_Lazy(members), "services": _Lazy(services)}


class _Lazy(Mapping[str, Any]):
    """Values that stay JSON text, and are decoded at each access."""

    def __init__(self, members: dict[str, msgspec.Raw]) -> None:
        self._members = members

    def __getitem__(self, name: str) -> Any:
        return msgspec.json.decode(self._members[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)


class FastLoader(Loader):
    """A loader that knows S3's files. For other services, such as those for credentials, it searches as usual."""

    def __init__(self) -> None:
        super().__init__(file_loader=_FastFiles())

    def list_available_services(self, type_name: str) -> Any:
        return _Services(self, type_name)

    def look_for_services(self, type_name: str) -> list[str]:
        found: list[str] = super().list_available_services(type_name)
        return found


class _Services(Sequence[str]):
    """The names of services. Checks for S3 without listing the folders of all others."""

    def __init__(self, loader: FastLoader, type_name: str) -> None:
        self._loader = loader
        self._type_name = type_name

    def __contains__(self, name: object) -> bool:
        return name == "s3" or name in self._all()

    def __getitem__(self, index: Any) -> Any:
        return self._all()[index]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> list[str]:
        return self._loader.look_for_services(self._type_name)
