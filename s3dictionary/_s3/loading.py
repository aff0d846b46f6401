"""botocore's descriptions of services, read faster: by msgspec, and little of services other than S3.

It builds on botocore's documented loaders. A botocore that does it differently reads them by itself, as slowly as ever.
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
        """What a file of JSON holds, perhaps compressed; `None` if there is none."""
        decode = _endpoints if Path(file_path).name == "endpoints" else msgspec.json.decode
        with suppress(OSError, KeyError, msgspec.MsgspecError):
            return decode(gzip.decompress(Path(f"{file_path}.json.gz").read_bytes()))
        with suppress(OSError, KeyError, msgspec.MsgspecError):
            return decode(Path(f"{file_path}.json").read_bytes())
        return super().load_file(file_path)


def _endpoints(text: bytes) -> Any:
    """The endpoints of all services, each still JSON text: only those of S3 are needed.

    As objects they would slow down each full garbage collection, of which there are several when Python exits.
    """
    members = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    partitions = [_partition(each) for each in msgspec.json.decode(members.pop("partitions"), type=_Partitions)]
    return {**_Lazy(members), "partitions": partitions}


def _partition(members: dict[str, msgspec.Raw]) -> dict[str, Any]:
    services = msgspec.json.decode(members.pop("services"), type=dict[str, msgspec.Raw])
    return {**_Lazy(members), "services": _Lazy(services)}


class _Lazy(Mapping[str, Any]):
    """Values that stay JSON text, and are decoded each time they are looked at."""

    def __init__(self, members: dict[str, msgspec.Raw]) -> None:
        self._members = members

    def __getitem__(self, name: str) -> Any:
        return msgspec.json.decode(self._members[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)


class FastLoader(Loader):
    """A loader that finds S3 at once; for other services, such as those that give credentials, it looks as always."""

    def __init__(self) -> None:
        super().__init__(file_loader=_FastFiles())

    def list_available_services(self, type_name: str) -> Any:
        return _Services(self, type_name)

    def look_for_services(self, type_name: str) -> list[str]:
        found: list[str] = super().list_available_services(type_name)
        return found


class _Services(Sequence[str]):
    """Names of services, of which S3 is known to be one without looking at the folders of all others."""

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
