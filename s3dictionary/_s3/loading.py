"""botocore's descriptions of services, read faster: by msgspec, and without looking for services other than S3.

It builds on botocore's documented loaders. A botocore that does it differently reads them by itself, as slowly as ever.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from botocore.loaders import JSONFileLoader, Loader


class _FastFiles(JSONFileLoader):
    def load_file(self, file_path: str) -> Any:
        """What a file of JSON holds, perhaps compressed; `None` if there is none."""
        with suppress(OSError, msgspec.DecodeError):
            return msgspec.json.decode(gzip.decompress(Path(f"{file_path}.json.gz").read_bytes()))
        with suppress(OSError, msgspec.DecodeError):
            return msgspec.json.decode(Path(f"{file_path}.json").read_bytes())
        return super().load_file(file_path)


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
