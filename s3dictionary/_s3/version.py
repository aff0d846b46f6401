"""A version of the object: what S3 and the object's metadata say of it, and what is uploaded as the next one."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from .bodies import numbered, packed
from .lineage import MAX_LENGTH, MIN_LENGTH, Record, parse
from .secrets import Hidden

METADATA_NAME = "s3dictionary-lineage"
MAX_USER_METADATA = 2048 - len(METADATA_NAME) - MIN_LENGTH
"""Bytes of names and values that leave room for the library's own: AWS takes 2 KB in all."""

_OLD_NAME = "s3dictionary-saves"  # of release 1.0, which listed the ids of saves there
_KEPT = ("CacheControl", "ContentDisposition", "ContentLanguage")


class Version(NamedTuple):
    """A version of the object.

    Attributes:
        etag: opaque, as S3 gave it.
        record: what it says of the saves that it is made of; `None` if it says nothing, or another tool edited it.
        number: that of the save that wrote it, where known.
        size: its length in bytes as it is stored, where known.
        last_modified: when S3 says it was written; `None` for one that was written just now.
        kept: what it has besides its content, and what stays through a save.
        current: whether it was the current one when it was last seen. One of ours that others saved on top of
            before we heard of it never was, and its ETag isn't known.
    """

    etag: str
    record: Record | None = None
    number: int | None = None
    size: int | None = None
    last_modified: datetime | None = None
    kept: Hidden = Hidden()
    current: bool = True


class FileVersion(NamedTuple):
    """A version of a file that the bucket keeps.

    Attributes:
        version_id: to load it with; `"null"` for one from before the bucket had versioning.
        last_modified: when it was written.
        size: its length in bytes.
        etag: its ETag.
        is_latest: whether it is the current one.
    """

    version_id: str
    last_modified: datetime
    size: int
    etag: str
    is_latest: bool


def version_of(answer: Mapping[str, Any], number: int | None = None, *, seen: bool = False) -> Version:
    """The version in an answer of GetObject or HeadObject.

    Args:
        answer: what botocore gave.
        number: the number that the content ends in.
        seen: whether the content has been looked at. If its end disagrees with the metadata, another tool has edited
            it and kept the metadata, which says nothing then.
    """
    metadata = {name.strip().lower(): value for name, value in (answer.get("Metadata") or {}).items()}
    record = parse(metadata.pop(METADATA_NAME, ""))
    metadata.pop(_OLD_NAME, None)
    if record is not None and seen and record.number != number:
        record = None
    kept = Hidden({name: answer[name] for name in _KEPT if answer.get(name)}, Metadata=metadata)
    number = number if record is None else record.number
    return Version(answer["ETag"], record, number, answer.get("ContentLength"), answer.get("LastModified"), kept)


def written(etag: str, record: Record, sent: Mapping[str, Any]) -> Version:
    """The version that an upload has made."""
    metadata = {name.lower(): value for name, value in sent["Metadata"].items() if name != METADATA_NAME}
    kept = Hidden({name: sent[name] for name in _KEPT if name in sent}, Metadata=metadata)
    return Version(etag, record, record.number, len(sent["Body"]), kept=kept)


def superseded(record: Record) -> Version:
    """A version that a save wrote and that others have saved on top of, so that its ETag isn't known any more."""
    return Version(f'"superseded-{record.number:016x}"', record, record.number, current=False)


def kept_options(base: Version | None, put_options: Mapping[str, Any]) -> Hidden:
    """What the next version has besides its content: as `put_options` says, else as the one before."""
    before = Hidden() if base is None else base.kept
    own = put_options.get("Metadata") or {}
    theirs = {name: value for name, value in before.get("Metadata", {}).items() if name not in map(str.lower, own)}
    metadata = {**{name: _sendable(value) for name, value in theirs.items()}, **own}
    return Hidden({**before, **put_options, "Metadata": metadata})


def upload(content: bytes, record: Record, options: Mapping[str, Any], *, compress: bool) -> Hidden:
    """Arguments of PutObject for a save. A record for which there is no room is left out."""
    body = packed(numbered(content, record.number), compress=compress)
    metadata = dict(options["Metadata"])
    if len(str(record)) <= room(metadata):
        metadata[METADATA_NAME] = str(record)
    encoding = {"ContentEncoding": "gzip"} if compress else {}
    return Hidden({**options, **encoding, "Body": body, "Metadata": metadata})


def room(metadata: Mapping[str, str]) -> int:
    """Bytes that an object's other metadata leaves for a record."""
    return min(MAX_LENGTH, MAX_USER_METADATA + MIN_LENGTH - length_of(metadata))


def length_of(metadata: Mapping[str, str]) -> int:
    return sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items())


def _sendable(value: str) -> str:
    """Metadata that isn't ASCII can't be sent as it was received, but as RFC 2047 has it, which S3 decodes."""
    if value.isascii():
        return value
    try:
        raw = value.encode("latin-1")  # as http.client reads headers
    except UnicodeEncodeError:
        raw = value.encode()
    return f"=?UTF-8?B?{base64.b64encode(raw).decode()}?="
