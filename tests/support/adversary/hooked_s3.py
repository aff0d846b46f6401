"""An in-memory S3 with hooks that run during a request, and the dicts on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from s3dictionary import S3Dict
from support.memory_s3 import MemoryS3, refusal


class HookedS3(MemoryS3):
    """One bucket. While a hook runs, the library waits for the answer, and no lock of this client's is held.

    Attributes:
        before: called with the operation's name when a request arrives, before it takes effect.
        after: called with it before the answer goes back.
    """

    meta = SimpleNamespace(
        endpoint_url="http://127.0.0.1:9", region_name="us-east-1"
    )  # what pickling asks a client for

    def __init__(self) -> None:
        super().__init__()
        self.before: Callable[[str], None] = _nothing
        self.after: Callable[[str], None] = _nothing

    def open(self, **options: Any) -> S3Dict[Any, Any]:
        return S3Dict("bucket", file_name="key", client=self, **options)

    def begin(self, content: Mapping[Any, Any], **options: Any) -> S3Dict[Any, Any]:
        """A dict that has just loaded this content, with nothing touched yet."""
        self.open(data=content).save()
        return self.open(**options)

    def stored(self) -> dict[Any, Any] | None:
        """What a new dict would load; `None` if there is no file."""
        return dict(self.open()) if self.objects else None

    def once(self, operation: str, action: Callable[[], None], *, after: bool = False) -> None:
        """Call `action` during the next request of a kind, by default before it takes effect."""
        name = "after" if after else "before"

        def hook(seen: str) -> None:
            if seen == operation:
                setattr(self, name, _nothing)
                action()

        setattr(self, name, hook)

    def get_object(self, **request: Any) -> dict[str, Any]:
        return self._request("GetObject", super().get_object, request)

    def head_object(self, **request: Any) -> dict[str, Any]:
        return self._request("HeadObject", super().head_object, request)

    def put_object(self, **request: Any) -> dict[str, Any]:
        return self._request("PutObject", super().put_object, request)

    def delete_object(self, **request: Any) -> dict[str, Any]:
        return self._request("DeleteObject", self._delete_if_match, request)

    def _delete_if_match(self, **request: Any) -> dict[str, Any]:
        held, match = self.objects.get(request["Key"]), request.get("IfMatch")
        if held is not None and match not in (None, held[1]):
            raise refusal("DeleteObject", 412, "PreconditionFailed")
        return super().delete_object(**request)

    def _request(self, operation: str, method: Any, request: dict[str, Any]) -> dict[str, Any]:
        self.request_arrives(operation)
        try:
            answer: dict[str, Any] = method(**request)
        finally:  # a refusal, or that nothing has changed, is an answer, too
            self.answer_leaves(operation)
        return answer

    # Their begins are moments, too: an interrupt there hits a request that is on the wire.

    def request_arrives(self, operation: str) -> None:
        self.before(operation)

    def answer_leaves(self, operation: str) -> None:
        self.after(operation)


def _nothing(_operation: str) -> None:
    pass
