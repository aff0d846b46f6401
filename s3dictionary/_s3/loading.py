"""Reads botocore's descriptions of services faster: with msgspec, and little of services other than S3.

It is based on botocore's documented loaders. If a release of botocore works differently, its own slower loading
applies.
"""

from __future__ import annotations

import zlib
from collections.abc import ItemsView, Iterator, Sequence, ValuesView
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from botocore.loaders import JSONFileLoader, Loader

_LARGE = ("operations", "shapes")
"""The large members of a service's description, which have a member for each operation or type."""

_GZIP = 16 + zlib.MAX_WBITS
_Members = dict[str, msgspec.Raw]


class _FastFiles(JSONFileLoader):
    def load_file(self, file_path: str) -> Any:
        """The content of a JSON file, which may be compressed; `None` if there is no file."""
        decode = _DECODERS.get(Path(file_path).name, msgspec.json.decode)
        with suppress(OSError, KeyError, zlib.error, msgspec.MsgspecError):
            return decode(_uncompressed(Path(f"{file_path}.json.gz").read_bytes()))
        with suppress(OSError, KeyError, msgspec.MsgspecError):
            return decode(Path(f"{file_path}.json").read_bytes())
        return super().load_file(file_path)


def _uncompressed(file: bytes) -> bytes:
    """Uncompress a gzip file. Its end has the size of the content, which avoids the copies that `gzip` makes."""
    return zlib.decompress(file, _GZIP, int.from_bytes(file[-4:], "little"))


def _endpoints(text: bytes) -> Any:
    members = msgspec.json.decode(text, type=_Members)
    partitions = msgspec.json.decode(members.pop("partitions"), type=list[_Members])
    return {**_decoded(members), "partitions": [_partition(each) for each in partitions]}


def _partition(members: _Members) -> dict[str, Any]:
    services = members.pop("services")
    return {**_decoded(members), "services": _Lazy(services)}


def _service(text: bytes) -> Any:
    members = msgspec.json.decode(text, type=_Members)
    large = {name: _Lazy(members.pop(name)) for name in _LARGE if name in members}
    return {**_decoded(members), **large}


def _decoded(members: _Members) -> dict[str, Any]:
    return {name: msgspec.json.decode(value) for name, value in members.items()}


_DECODERS = {"endpoints": _endpoints, "service-2": _service}
"""The decoders for files with much more content than needed."""


class _Lazy(dict[str, Any]):
    """A JSON object whose values are decoded when they are looked up.

    Most values never are. As objects, they would take time to build, and slow down each full garbage collection,
    several of which happen when Python exits. It is a dict, because botocore merges additions only into dicts.
    """

    def __init__(self, text: msgspec.Raw) -> None:
        super().__init__(msgspec.json.decode(text, type=_Members))

    def __getitem__(self, name: str) -> Any:
        value = super().__getitem__(name)
        if type(value) is msgspec.Raw:
            value = self[name] = msgspec.json.decode(value)
        return value

    def get(self, name: str, default: Any = None) -> Any:
        with suppress(KeyError):
            return self[name]
        return default

    def values(self) -> Any:
        return ValuesView(self)

    def items(self) -> Any:
        return ItemsView(self)


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
