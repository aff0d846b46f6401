"""A version of the object: its metadata, and the upload of the next version."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from .bodies import numbered, packed, unpacked
from .lineage import MAX_LENGTH, MIN_LENGTH, Record, parse
from .secrets import Hidden

METADATA_NAME = "s3dictionary-lineage"
MAX_USER_METADATA = 2048 - len(METADATA_NAME) - MIN_LENGTH
"""Most bytes of the caller's metadata, which leave room for the library's: AWS allows 2 KB in total."""

_OLD_NAME = "s3dictionary-saves"  # of release 1.0, which stored the ids of saves there
_KEPT = ("CacheControl", "ContentDisposition", "ContentLanguage")


class Version(NamedTuple):
    """A version of the object.

    Attributes:
        etag: opaque, as S3 returned it.
        record: the history of its saves; `None` if it has none, or another tool edited the object.
        number: the number of the save that wrote it, if known.
        last_modified: when S3 says it was written; `None` for a version that was written just now.
        kept: properties besides the content that a save keeps.
        current: whether it was the current version when it was last seen. If others saved on top of our save before we
            learnt of its success, it never was, and its ETag isn't known.
    """

    etag: str
    record: Record | None = None
    number: int | None = None
    last_modified: datetime | None = None
    kept: Hidden = Hidden()
    current: bool = True


class Found(NamedTuple):
    """The result of a GET.

    Attributes:
        body: the body as it was sent; `None` if it is still the known version.
        version: the version of the object.
        text: the body, uncompressed if it was gzip; `None` if it is damaged.
        date: when it was read, by the store's clock; `None` if the store doesn't report it.
    """

    body: bytes | None
    version: Version
    text: bytes | None = None
    date: datetime | None = None

    def content(self) -> bytes:
        """The body, uncompressed if it was gzip.

        Raises:
            CorruptFileError: it begins like gzip, but isn't valid.
        """
        assert self.body is not None
        return unpacked(self.body, len(self.body)) if self.text is None else self.text


class FileVersion(NamedTuple):
    """A version of a file that the bucket keeps.

    Attributes:
        version_id: the id to load it with; `"null"` for a version from before the bucket had versioning.
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


def is_same(one: Version | None, other: Version | None) -> bool:
    """Whether two answers show the same version of the object, or both that there is none."""
    return one is other or (one is not None and other is not None and one.etag == other.etag)


def version_of(answer: Mapping[str, Any], number: int | None = None, *, seen: bool = False) -> Version:
    """The version in an answer of GetObject or HeadObject.

    Args:
        answer: botocore's answer.
        number: the number at the end of the content.
        seen: whether the content was read. If its number differs from the metadata's, another tool has edited the
            object and kept the metadata, which then proves nothing.
    """
    metadata = {name.strip().lower(): value for name, value in (answer.get("Metadata") or {}).items()}
    record = parse(metadata.pop(METADATA_NAME, ""))
    metadata.pop(_OLD_NAME, None)
    if record is not None and seen and record.number != number:
        record = None
    kept = Hidden({name: answer[name] for name in _KEPT if answer.get(name)}, Metadata=metadata)
    number = number if record is None else record.number
    return Version(answer["ETag"], record, number, answer.get("LastModified"), kept)


def written(etag: str, record: Record, sent: Mapping[str, Any]) -> Version:
    """The version that an upload created."""
    metadata = {name.lower(): value for name, value in sent["Metadata"].items() if name != METADATA_NAME}
    kept = Hidden({name: sent[name] for name in _KEPT if name in sent}, Metadata=metadata)
    return Version(etag, record, record.number, kept=kept)


def superseded(record: Record) -> Version:
    """A version of ours that others have saved on top of, so that its ETag isn't known."""
    return Version(f'"superseded-{record.number:016x}"', record, record.number, current=False)


def kept_options(base: Version | None, put_options: Mapping[str, Any]) -> Hidden:
    """The properties of the next version besides its content: from `put_options`, or else from the previous version."""
    before = Hidden() if base is None else base.kept
    own = put_options.get("Metadata") or {}
    theirs = {name: value for name, value in before.get("Metadata", {}).items() if name not in map(str.lower, own)}
    metadata = {**{name: _sendable(value) for name, value in theirs.items()}, **own}
    return Hidden({**before, **put_options, "Metadata": metadata})


def upload(content: io.BytesIO, record: Record, options: Mapping[str, Any], *, compress: bool) -> Hidden:
    """The arguments of PutObject for a save. A record that doesn't fit is left out."""
    body = packed(numbered(content, record.number), compress=compress)
    metadata = dict(options["Metadata"])
    if len(str(record)) <= room(metadata):
        metadata[METADATA_NAME] = str(record)
    encoding = {"ContentEncoding": "gzip"} if compress else {}
    return Hidden({**options, **encoding, "Body": body, "Metadata": metadata})


def room(metadata: Mapping[str, str]) -> int:
    """The bytes that an object's other metadata leaves for a record."""
    return min(MAX_LENGTH, MAX_USER_METADATA + MIN_LENGTH - length_of(metadata))


def length_of(metadata: Mapping[str, str]) -> int:
    return sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items())


def _sendable(value: str) -> str:
    """Encode metadata that isn't ASCII as in RFC 2047, which S3 decodes."""
    if value.isascii():
        return value
    try:
        raw = value.encode("latin-1")  # http.client decodes headers like this
    except UnicodeEncodeError:
        raw = value.encode()
    return f"=?UTF-8?B?{base64.b64encode(raw).decode()}?="
