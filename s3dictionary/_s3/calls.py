"""One call of a client's: how often its request was begun and sent, as far as that can be seen."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from .clients import is_real

T = TypeVar("T")

_current = threading.local()


class Counts(NamedTuple):
    """How often a request was begun, and how often it went out."""

    begun: int
    sent: int


class Call:
    """One call. Whatever becomes of it, it knows how far it came.

    Attributes:
        begun: how often the request was begun; more than once if botocore sends it again.
        sent: how often it went out.
        may_get_in: whether it was refused for credentials that may be renewed since.
    """

    def __init__(self) -> None:
        self.begun = 0
        self.sent = 0
        self.may_get_in = False
        self._client: Any = None

    def run(self, client: Any, act: Callable[[Any], T]) -> T:
        """Call something that sends a request with this client."""
        self._client = client
        if is_real(client):
            events = client.meta.events
            events.register_first("request-created.s3", _begin, unique_id="s3dictionary-begun")
            events.register_first("before-send.s3", _send, unique_id="s3dictionary-sent")
        before, _current.call = getattr(_current, "call", None), self  # a signal handler's stands in for another one
        try:
            return act(client)
        finally:
            _current.call = before

    @property
    def counts(self) -> Counts | None:
        """What was counted; `None` if that can't be seen."""
        if self._client is None or is_real(self._client):
            return Counts(self.begun, self.sent)
        return None

    @property
    def failed_to_sign(self) -> bool:
        """Was there no way to sign the request, so that nothing was sent? Then it is the credentials."""
        return self.begun > 0 and self.sent == 0


def _begin(**_: Any) -> None:
    call: Call | None = getattr(_current, "call", None)
    if call is not None:
        call.begun += 1


def _send(**_: Any) -> None:
    call: Call | None = getattr(_current, "call", None)
    if call is not None:
        call.sent += 1
