"""The contenders in memory: other mappings that persist on disk or in a database."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

import diskcache
from sqlitedict import SqliteDict

from s3dictionary import S3Dict

from .stage import Stage

SETTINGS = {
    "sqlitedict": "in memory (`:memory:`), `autocommit=False`, its default pickle",
    "diskcache": "in a temporary directory, `eviction_policy='none'`, `sqlite_synchronous=0`, its default pickle",
}


def s3dict(stage: Stage, records: Mapping[str, Any]) -> S3Dict[str, Any]:
    """A freshly loaded S3Dict."""
    file = f"local/{len(records)}.json"
    stage.s3.put_object(Bucket=stage.bucket, Key=file, Body=json.dumps(records).encode())
    return S3Dict(stage.bucket, file_name=file)


@contextmanager
def sqlite_dict(records: Mapping[str, Any]) -> Iterator[SqliteDict]:
    with SqliteDict(":memory:", autocommit=False) as mapping:
        mapping.update(records)
        mapping.commit()
        yield mapping


@contextmanager
def disk_cache(records: Mapping[str, Any]) -> Iterator[diskcache.Cache]:
    with (
        TemporaryDirectory() as directory,
        diskcache.Cache(
            directory,
            eviction_policy="none",
            sqlite_synchronous=0,
            disk_pickle_protocol=pickle.HIGHEST_PROTOCOL,
            size_limit=2**40,
        ) as cache,
    ):
        with cache.transact():
            for key, value in records.items():
                cache[key] = value
        yield cache
