"""The temporary object with which `doctor` tests a store. Sends each request only once."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from threading import Barrier
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .._s3.calls import Call
from .._s3.secrets import censored, secrets_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from typing_extensions import Self

METADATA = {"s3dictionary-doctor": "metadata"}


@dataclass(frozen=True)
class Answer:
    """The outcome of a request.

    Attributes:
        status: the HTTP status; 0 if there was no answer.
        code: S3's error code, or the name of the exception; empty after success.
        message: the error message of S3 or botocore.
        content: the answer's content.
    """

    status: int
    code: str = ""
    message: str = ""
    content: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def ok(self) -> bool:
        return not self.code

    @property
    def is_refusal(self) -> bool:
        """Whether the store refused the condition. For a missing object, a 404 does that."""
        return self.status in (404, 409, 412)

    @property
    def is_unknown_condition(self) -> bool:
        return self.status == 501

    def __str__(self) -> str:
        return "done" if self.ok else f"refused with {self.status or 'no answer'} {self.code}: {self.message}"


class Trial:
    """The temporary object, with a random name. It is removed with all its versions at the end of the block.

    Attributes:
        profile: the profile of the client, if one was named.
        etag: the ETag of the last write.
        old_etag: the ETag of the write before it.
        quotes: whether the store accepts ETags in quotes, as it returns them.
        versioned: whether writes returned version ids.
        skew: the seconds by which this machine's clock is ahead of the store's; `None` if the store doesn't report it.
        has_written: whether there may be something to remove.
        left: what could not be removed.
    """

    def __init__(self, client: S3Client, bucket: str, folder: str, profile: str | None = None) -> None:
        self.bucket = bucket
        self.profile = profile
        self.key = f"{folder}s3dictionary-doctor-{secrets.token_hex(8)}.json"
        self.etag = ""
        self.old_etag = ""
        self.quotes = True
        self.versioned = False
        self.skew: float | None = None
        self.left: list[str] = []
        self._client = client
        self._address = {"Bucket": bucket, "Key": self.key}
        self.has_written = False

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @property
    def current(self) -> dict[str, str]:
        """The condition that the object is still the last version that was written."""
        return self._still(self.etag)

    @property
    def outdated(self) -> dict[str, str]:
        """The condition that it is still the version before that."""
        return self._still(self.old_etag)

    def _still(self, etag: str) -> dict[str, str]:
        return {"IfMatch": etag if self.quotes else etag.strip('"')}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.has_written:
            self._remove()

    # Requests

    def put(self, body: bytes, **condition: str) -> Answer:
        """Write the object."""
        answer = self._put(body, condition)
        self._note(answer)
        return answer

    def put_at_once(self, bodies: list[bytes], **condition: str) -> list[Answer]:
        """Write the object several times at once. Returns the answers of the writes that took effect."""
        start = Barrier(len(bodies))

        def put(body: bytes) -> Answer:
            start.wait()
            return self._put(body, condition)

        with ThreadPoolExecutor(len(bodies)) as threads:
            taken = [answer for answer in threads.map(put, bodies) if answer.ok]
        for answer in taken:
            self._note(answer)
        return taken

    def _put(self, body: bytes, condition: dict[str, str]) -> Answer:
        self.has_written = True
        return self._ask("put_object", **self._address, Body=body, Metadata=METADATA, **condition)

    def _note(self, answer: Answer) -> None:
        if answer.ok:
            self.old_etag, self.etag = self.etag, answer.content.get("ETag", "")
            self.versioned = answer.content.get("VersionId", "null") != "null"

    def get(self) -> Answer:
        """Read the object. `content["Body"]` is bytes."""
        return self._ask("get_object", **self._address)

    def look(self) -> None:
        """Look up the current version, because the order of simultaneous writes isn't known."""
        found = self.get().content.get("ETag", self.etag)
        if found != self.etag:
            self.old_etag, self.etag = self.etag, found

    def delete(self, **condition: str) -> Answer:
        """Delete the object."""
        return self._ask("delete_object", **self._address, **condition)

    def versions(self) -> Answer:
        """List the object's versions."""
        return self._ask("list_object_versions", Bucket=self.bucket, Prefix=self.key)

    def _ask(self, operation: str, **arguments: Any) -> Answer:
        from botocore.exceptions import ClientError

        def act(client: Any) -> Any:
            answer = getattr(client, operation)(**arguments)
            if operation == "get_object":
                answer["Body"] = answer["Body"].read()
            return answer

        try:
            content = Call(f"{operation} of {self.uri}").run(self._client, act)
        except ClientError as error:
            self._read_clock(error.response)
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            details = error.response.get("Error", {})
            said = details.get("Message") or str(error)
            return Answer(status, details.get("Code") or "error", censored(said, secrets_of(self._client)))
        except Exception as error:  # noqa: BLE001  # botocore passes on exceptions of the libraries below it
            return Answer(0, type(error).__name__, censored(str(error), secrets_of(self._client)))
        self._read_clock(content)
        return Answer(200, content=content)

    def _read_clock(self, response: Any) -> None:
        date = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        if date is not None:
            self.skew = (datetime.now(timezone.utc) - parsedate_to_datetime(date)).total_seconds()

    # Cleaning up

    def _remove(self) -> None:
        """Remove all versions. If they can't be listed, remove the current one."""
        answer = self.versions()
        found = [*answer.content.get("Versions", ()), *answer.content.get("DeleteMarkers", ())]
        ids = [item["VersionId"] for item in found if item["Key"] == self.key] if self.versioned else []
        for options in [{"VersionId": version_id} for version_id in ids] or [{}]:
            answer = self._ask("delete_object", **self._address, **options)
            if not answer.ok:
                self.left.append(f"{self.uri} {options.get('VersionId', '')}".rstrip())
        if self.versioned and not ids:
            self.left.append(f"old versions of {self.uri}")
