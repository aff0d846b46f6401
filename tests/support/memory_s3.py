"""A fast S3 client in memory, with the four requests that the library sends and their conditions."""

from __future__ import annotations

import io
from collections import Counter, deque
from functools import wraps
from itertools import count
from typing import Any

from botocore.exceptions import ClientError

from s3dictionary._memory import MemoryLock


def _one_at_a_time(method: Any) -> Any:
    @wraps(method)
    def locked(self: MemoryS3, *arguments: Any, **options: Any) -> Any:
        with self._lock:  # so that a condition that was checked holds until the write is done
            return method(self, *arguments, **options)

    return locked


class MemoryS3:
    """One bucket, whatever it is called.

    Attributes:
        objects: by key: body, ETag and metadata.
        requests: how many there were, by operation.
        faults: exceptions to raise in place of the next PutObjects, first one first.
    """

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, str, dict[str, str]]] = {}
        self.requests: Counter[str] = Counter()
        self.faults: deque[BaseException] = deque()
        self._numbers = count(1)  # not a generator, which an interrupt in it would end for good
        self._lock = MemoryLock()

    @_one_at_a_time
    def get_object(self, **request: Any) -> dict[str, Any]:
        found = self._find("GetObject", request["Key"], "NoSuchKey")
        if found["ETag"] == request.get("IfNoneMatch"):
            raise refusal("GetObject", 304, "304")
        return found

    @_one_at_a_time
    def head_object(self, **request: Any) -> dict[str, Any]:
        return self._find("HeadObject", request["Key"], "404")

    @_one_at_a_time
    def put_object(self, **request: Any) -> dict[str, Any]:
        self.requests["PutObject"] += 1
        if self.faults:
            raise self.faults.popleft()
        key, match = request["Key"], request.get("IfMatch")
        etag = self.objects[key][1] if key in self.objects else None
        if match is not None and etag is None:
            raise refusal("PutObject", 404, "NoSuchKey")
        if match not in (None, etag) or (request.get("IfNoneMatch") == "*" and etag is not None):
            raise refusal("PutObject", 412, "PreconditionFailed")
        return {"ETag": self.write(key, request["Body"], request["Metadata"])}

    @_one_at_a_time
    def delete_object(self, **request: Any) -> dict[str, Any]:
        self.requests["DeleteObject"] += 1
        held = self.objects.get(request["Key"])
        if held is not None and request.get("IfMatch") not in (None, held[1]):
            raise refusal("DeleteObject", 412, "PreconditionFailed")
        self.objects.pop(request["Key"], None)
        return {}

    @_one_at_a_time
    def write(self, key: str, body: bytes, metadata: dict[str, str] | None = None) -> str:
        """Write as another program would, without a condition. Returns the new ETag."""
        self.objects[key] = (body, f'"{next(self._numbers)}"', dict(metadata or {}))
        return self.objects[key][1]

    def _find(self, operation: str, key: str, missing: str) -> dict[str, Any]:
        self.requests[operation] += 1
        if key not in self.objects:
            raise refusal(operation, 404, missing)
        body, etag, metadata = self.objects[key]
        return {"Body": io.BytesIO(body), "ETag": etag, "Metadata": metadata}


def refusal(operation: str, status: int, code: str) -> ClientError:
    """The exception that botocore raises for an error answer of S3."""
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, operation)  # type: ignore[typeddict-item]
