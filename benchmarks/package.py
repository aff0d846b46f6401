"""The size of a package for AWS Lambda, and the share of S3Dict in it."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from importlib.metadata import distribution
from pathlib import Path

import s3dictionary

from .report import Section, Table, size
from .stage import Stage

BOTO3 = ("boto3", "botocore", "jmespath", "python-dateutil", "s3transfer", "six", "urllib3")

TEXT = """\
The files of the packages, uncompressed, and each of them compressed, which is about their size in a zip file. Without
byte code. Lambda's own runtimes include some release of boto3."""


def measure(stage: Stage) -> Section:
    own = Path(s3dictionary.__file__).parent
    weights = {
        "S3Dictionary": _weights(own.rglob("*.py")),
        "msgspec": _weights(_files("msgspec")),
        "boto3 and what it needs": _weights(path for name in BOTO3 for path in _files(name)),
    }
    rows = [[name, size(plain), size(packed)] for name, (plain, packed) in weights.items()]
    section = Section("Package size", TEXT)
    section.tables.append(Table(["", "as it is", "compressed"], rows))
    ours = sum(weights[name][1] for name in ("S3Dictionary", "msgspec"))
    section.facts["package"] = ours / weights["boto3 and what it needs"][1]
    return section


def _files(name: str) -> Iterator[Path]:
    return (Path(str(file.locate())) for file in distribution(name).files or () if file.suffix != ".pyc")


def _weights(paths: Iterable[Path]) -> tuple[int, int]:
    """The total size of files in bytes, uncompressed and compressed."""
    contents = [path.read_bytes() for path in paths]
    return sum(map(len, contents)), sum(len(zlib.compress(content)) for content in contents)
