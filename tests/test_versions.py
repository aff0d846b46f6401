"""Old versions of a file, on a bucket with versioning."""

from __future__ import annotations

import json
from typing import Any

import pytest

from s3dictionary import ConflictError, S3Dict, StorageError, TransactionError
from support.servers import Site

FILE = "state.json"


@pytest.fixture
def d(s3: Site) -> S3Dict[str, Any]:
    """A file with three versions, and another file whose name begins the same."""
    s3.client.put_bucket_versioning(Bucket=s3.bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.write(f"{FILE}.bak", b"{}")
    d: S3Dict[str, Any] = S3Dict(s3.bucket, file_name=FILE, **s3.options)
    for content in ({"a": 1, "b": [1]}, {"a": 1, "b": [1, 2]}, {"c": (3,), "a": 1}):
        d.clear()
        d.update(content)
        d.save()
    return d


def test_they_are_listed_newest_first(s3: Site, d: S3Dict[str, Any]) -> None:
    versions = d.versions()
    assert len(versions) == 3
    assert [version.is_latest for version in versions] == [True, False, False]
    assert versions[0].etag == d.etag
    assert versions[0].size == s3.client.head_object(Bucket=s3.bucket, Key=FILE)["ContentLength"]
    assert len({version.version_id for version in versions}) == 3
    assert versions[0].last_modified >= versions[-1].last_modified


def test_a_file_that_is_not_there_has_none(moto_s3: Site) -> None:
    assert S3Dict(moto_s3.bucket, file_name=FILE, **moto_s3.options).versions() == []


def test_without_versioning_there_is_the_current_one(moto_s3: Site) -> None:
    moto_s3.write(FILE, b'{"a":1}')
    d = S3Dict(moto_s3.bucket, file_name=FILE, **moto_s3.options)
    assert [version.etag for version in d.versions()] == [d.etag]


def test_loading_one_brings_it_into_memory_as_an_unsaved_change(s3: Site, d: S3Dict[str, Any]) -> None:
    d.load(version_id=d.versions()[-1].version_id)
    assert d == {"a": 1, "b": [1]}
    assert list(d) == ["a", "b"], "in its order"
    assert d.changed
    assert json.loads(s3.read(FILE)) == {"c": {"py/tuple": [3]}, "a": 1}


def test_saving_it_restores_it_as_a_new_version(s3: Site, d: S3Dict[str, Any]) -> None:
    d.load(version_id=d.versions()[-1].version_id)
    d.save()
    assert s3.read(FILE) == b'{"a":1,"b":[1]}'
    assert not d.changed
    assert len(d.versions()) == 4


def test_loading_the_current_one_changes_nothing(s3: Site, d: S3Dict[str, Any]) -> None:
    d["unsaved"] = 1
    d.load(version_id=d.versions()[0].version_id)
    assert d == {"c": (3,), "a": 1}
    assert not d.changed


def test_what_someone_else_wrote_meanwhile_is_not_overwritten_by_restoring(s3: Site, d: S3Dict[str, Any]) -> None:
    d.load(version_id=d.versions()[-1].version_id)
    s3.write(FILE, b'{"theirs":1}')
    with pytest.raises(ConflictError):
        d.save()


def test_load_goes_back_to_the_current_one(s3: Site, d: S3Dict[str, Any]) -> None:
    d.load(version_id=d.versions()[-1].version_id)
    d.load()
    assert d == {"c": (3,), "a": 1}
    assert not d.changed


def test_a_with_block_restores_and_a_failure_afterwards_keeps_it_in_memory(s3: Site, d: S3Dict[str, Any]) -> None:
    """A rollback goes back to a load inside the block."""
    with d:
        d.load(version_id=d.versions()[-1].version_id)
        d["a"] = 2
    assert json.loads(s3.read(FILE)) == {"a": 2, "b": [1]}


def test_inside_a_transaction_it_is_refused(d: S3Dict[str, Any]) -> None:
    version_id = d.versions()[-1].version_id
    with d.transaction(), pytest.raises(TransactionError):
        d.load(version_id=version_id)


def test_one_that_does_not_exist_is_an_error_and_memory_stays(d: S3Dict[str, Any]) -> None:
    with pytest.raises(StorageError, match="GetObject of s3://"):
        d.load(version_id="00000000-0000-0000-0000-000000000000")
    assert d == {"c": (3,), "a": 1}


def test_nor_does_one_of_a_file_that_does_not_exist_empty_memory(s3: Site) -> None:
    d = S3Dict(s3.bucket, file_name=FILE, default={"a": 1}, **s3.options)
    with pytest.raises(StorageError):
        d.load(version_id="00000000-0000-0000-0000-000000000000")
    assert d == {"a": 1}
