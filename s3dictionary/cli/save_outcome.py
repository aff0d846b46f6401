"""The outcome of a command's save, observed from its requests: what to say after Ctrl-C."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class SaveOutcome(Enum):
    """The outcome of a save, as far as it is known."""

    NOT_SAVED = "nothing was saved"
    SAVED = "it was saved"
    UNKNOWN = "it isn't known whether it was saved; `get` shows the current content"


class _Save:
    """A command's save. A request of an earlier command, still under way, notes its outcome elsewhere."""

    def __init__(self) -> None:
        self.outcome = SaveOutcome.NOT_SAVED

    def sent(self, **_: Any) -> None:
        self.outcome = SaveOutcome.UNKNOWN

    def answered(self, http_response: Any, parsed: dict[str, Any], **_: Any) -> None:
        """Note what an answer proves. A refusal proves nothing about an earlier attempt without an answer."""
        was_sent_once = not parsed.get("ResponseMetadata", {}).get("RetryAttempts")
        if http_response.status_code < 300:
            self.outcome = SaveOutcome.SAVED
        elif was_sent_once and 400 <= http_response.status_code < 500:
            self.outcome = SaveOutcome.NOT_SAVED


_save: _Save | None = None


def current() -> SaveOutcome | None:
    """The outcome of this command's last save; `None` if the command saves nothing."""
    return None if _save is None else _save.outcome


def forget() -> None:
    """Forget the previous command."""
    global _save
    _save = None


def watch(client: S3Client) -> None:
    """Watch the saves that a client sends from now on."""
    global _save
    _save = _Save()
    client.meta.events.register("before-send.s3.PutObject", _save.sent)
    client.meta.events.register("after-call.s3.PutObject", _save.answered)
