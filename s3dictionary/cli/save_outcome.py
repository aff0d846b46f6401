"""The outcome of a command's save, observed from its requests: what to say after Ctrl-C."""

from __future__ import annotations

from contextvars import ContextVar
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
    def __init__(self) -> None:
        self.outcome = SaveOutcome.NOT_SAVED


_save: ContextVar[_Save | None] = ContextVar("save", default=None)
"""The command's save. A request of an earlier command that is still under way has that one's, in its own context."""


def current() -> SaveOutcome | None:
    """The outcome of this command's last save; `None` if the command saves nothing."""
    save = _save.get()
    return None if save is None else save.outcome


def forget() -> None:
    """Forget the previous command."""
    _save.set(None)


def watch(client: S3Client) -> None:
    """Watch the saves that a client sends from now on."""
    _save.set(_Save())
    client.meta.events.register("before-send.s3.PutObject", _sent, unique_id="s3dictionary-outcome-sent")
    client.meta.events.register("after-call.s3.PutObject", _answered, unique_id="s3dictionary-outcome-answered")


def _note(outcome: SaveOutcome) -> None:
    save = _save.get()
    if save is not None:
        save.outcome = outcome


def _sent(**_: Any) -> None:
    _note(SaveOutcome.UNKNOWN)


def _answered(http_response: Any, parsed: dict[str, Any], **_: Any) -> None:
    """Note what an answer proves. A refusal proves nothing about an earlier attempt without an answer."""
    was_sent_once = not parsed.get("ResponseMetadata", {}).get("RetryAttempts")
    if http_response.status_code < 300:
        _note(SaveOutcome.SAVED)
    elif was_sent_once and 400 <= http_response.status_code < 500:
        _note(SaveOutcome.NOT_SAVED)
