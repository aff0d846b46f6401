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


_outcome: SaveOutcome | None = None


def current() -> SaveOutcome | None:
    """The outcome of this command's last save; `None` if the command saves nothing."""
    return _outcome


def forget() -> None:
    """Forget the previous command."""
    _note(None)


def watch(client: S3Client) -> None:
    """Watch the saves that a client sends from now on."""
    _note(SaveOutcome.NOT_SAVED)
    client.meta.events.register("before-send.s3.PutObject", _sent, unique_id="s3dictionary-outcome-sent")
    client.meta.events.register("after-call.s3.PutObject", _answered, unique_id="s3dictionary-outcome-answered")


def _note(outcome: SaveOutcome | None) -> None:
    global _outcome
    _outcome = outcome


def _sent(**_: Any) -> None:
    _note(SaveOutcome.UNKNOWN)


def _answered(http_response: Any, parsed: dict[str, Any], **_: Any) -> None:
    """Note what an answer proves. A refusal proves nothing about an earlier attempt without an answer."""
    was_sent_once = not parsed.get("ResponseMetadata", {}).get("RetryAttempts")
    if http_response.status_code < 300:
        _note(SaveOutcome.SAVED)
    elif was_sent_once and 400 <= http_response.status_code < 500:
        _note(SaveOutcome.NOT_SAVED)
