"""One object in a store, and everything that can go wrong on the way to it. Keeps a log of what really happened."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import contextmanager
from typing import Any, NamedTuple

from botocore.exceptions import ClientError, ConnectionClosedError

from support.memory_s3 import MemoryS3, refusal

Content = dict[str, Any]
TOOL = "another tool"


class Fault(NamedTuple):
    """What happens to a request.

    Attributes:
        name: shown in the trace.
        arrives: how often the store executes it. botocore sends a request again that got no answer.
        error: what the client raises; `None` for the store's own answer.
        is_late: whether it arrives once more, some time later.
    """

    name: str
    arrives: int
    error: Callable[[str], BaseException] | None
    is_late: bool = False


def _lost(operation: str) -> BaseException:
    return ConnectionClosedError(endpoint_url="http://127.0.0.1:9")


def _interrupt(operation: str) -> BaseException:
    return KeyboardInterrupt()


def _refused(status: int, code: str) -> Callable[[str], BaseException]:
    return lambda operation: refusal(operation, status, code)


_LOST = Fault("lost", 0, _lost)
_DENIED = Fault("denied", 0, _refused(403, "AccessDenied"))
_INTERRUPT = Fault("interrupted", 0, _interrupt)
_READING = (_LOST, _DENIED, _INTERRUPT)
_WRITING = (
    _LOST,
    _DENIED,
    _INTERRUPT,
    Fault("answer lost", 1, _lost),
    Fault("answer lost", 1, _lost),
    Fault("late", 0, _lost, is_late=True),
    Fault("late", 0, _lost, is_late=True),
    Fault("late, interrupted", 0, _interrupt, is_late=True),
    Fault("interrupted after it arrived", 1, _interrupt),
    Fault("error", 0, _refused(500, "InternalError")),
    Fault("error after it arrived", 1, _refused(500, "InternalError")),
    Fault("busy", 0, _refused(503, "SlowDown")),
    Fault("conflict", 0, _refused(409, "ConditionalRequestConflict")),
    Fault("unavailable after it arrived", 1, _refused(503, "ServiceUnavailable")),
    Fault("sent twice", 2, None),
    Fault("late, sent again", 1, None, is_late=True),
)
FAULTS = {"GetObject": _READING, "HeadObject": _READING, "PutObject": _WRITING, "DeleteObject": _WRITING}


class Write(NamedTuple):
    """A write that took effect.

    Attributes:
        author: who sent it.
        way: `"save"`, `"create"`, `"overwrite"`, `"delete"`, `"edit"` or `"restore"`.
        removed: the tokens that it removed from the file.
        was_late: whether its author had stopped waiting for it.
    """

    author: object
    way: str
    removed: frozenset[int]
    was_late: bool


class Request(NamedTuple):
    """A request on the way.

    Attributes:
        operation: S3's name of the operation.
        options: its arguments.
        author: who sent it.
        may_delete: the tokens that its author has seen, so that it may delete them.
    """

    operation: str
    options: dict[str, Any]
    author: Any
    may_delete: Set[int] = frozenset()


class Network(MemoryS3):
    """A store, and what happens on the way to it.

    Attributes:
        rate: how many of the requests meet a fault.
        faults_on: whether any do.
        losing: raised in place of each answer to a PUT or DELETE that took effect.
        interference: how often others act while a request is under way.
        author: who sends the requests now.
        keeps_metadata: whether the store keeps what the metadata says.
        others: what other authors do while a request is under way.
        versions: the content of all versions, the newest last; `{}` after a delete.
        log: the write that made each of them.
        wrong: what went wrong in a request, which the library would report as a failed request.
        late: requests that haven't arrived yet.
        trace: for the message of a failed test.
    """

    def __init__(self, chances: random.Random) -> None:
        super().__init__()
        self.chances = chances
        self.author: Any = None
        self.faults_on = False
        self.losing: BaseException | None = None
        self.rate = chances.choice((0.15, 0.3, 0.5, 0.8))
        self.interference = chances.choice((0.0, 0.05, 0.2))
        self.kinds = {name: chances.sample(all_of, chances.randint(1, len(all_of))) for name, all_of in FAULTS.items()}
        self.keeps_metadata = chances.random() < 0.9
        self.others: Callable[[], None] = lambda: None
        self.versions: list[Content] = [{}]
        self.log: list[Write] = [Write(None, "delete", frozenset(), was_late=False)]
        self.wrong: list[BaseException] = []
        self.late: list[Request] = []
        self.trace: list[Any] = []

    # The way to the store

    def get_object(self, **request: Any) -> Any:
        return self._send(Request("GetObject", request, self.author))

    def head_object(self, **request: Any) -> Any:
        return self._send(Request("HeadObject", request, self.author))

    def put_object(self, **request: Any) -> Any:
        return self._send(Request("PutObject", request, self.author))

    def delete_object(self, **request: Any) -> Any:
        return self._send(Request("DeleteObject", request, self.author, self._seen_by_author()))

    def _seen_by_author(self) -> Set[int]:
        return tokens_ever(self.versions) if self.author is None else self.author.may_delete()

    @contextmanager
    def without_faults(self) -> Iterator[None]:
        before, self.faults_on = self.faults_on, False
        yield
        self.faults_on = before

    def _send(self, request: Request) -> Any:
        if self.losing is not None and request.operation in ("PutObject", "DeleteObject"):
            self._arrive(request)
            raise self.losing
        if not self.faults_on:
            return self._arrive(request)
        self._meanwhile()
        fault = self._fault(request)
        if fault is None:
            return self._arrive(request)
        self.trace.append((request.operation, fault.name))
        answer = self._execute(fault, request)
        if fault.is_late:
            self.late.append(request)
        self._meanwhile()
        if fault.error is not None:
            raise fault.error(request.operation)
        if isinstance(answer, ClientError):
            raise answer
        return answer

    def _fault(self, request: Request) -> Fault | None:
        rate = self.rate if request.operation in ("PutObject", "DeleteObject") else self.rate / 2
        return self.chances.choice(self.kinds[request.operation]) if self.chances.random() < rate else None

    def _meanwhile(self) -> None:
        if self.late and self.chances.random() < 0.3:
            self.deliver()
        if self.chances.random() < self.interference:
            self.others()

    def _execute(self, fault: Fault, request: Request) -> Any:
        """Execute it as often as it arrives. Returns the last answer, even if it is a refusal."""
        answer: Any = None
        for attempt in range(fault.arrives):
            try:
                answer = self._arrive(request)
            except ClientError as error:
                error.response["ResponseMetadata"]["RetryAttempts"] = attempt + fault.is_late
                answer = error
        return answer

    def deliver(self) -> None:
        """Let one of the late requests arrive."""
        request = self.late.pop(self.chances.randrange(len(self.late)))
        try:
            self._arrive(request, was_late=True)
        except ClientError as error:  # nobody hears of its refusal
            self.trace.append(("late", request.operation, str(error)[:40]))
        else:
            self.trace.append(("late", request.operation, "arrived"))

    # The store

    def _arrive(self, request: Request, *, was_late: bool = False) -> Any:
        if request.operation == "GetObject":
            return super().get_object(**request.options)
        if request.operation == "HeadObject":
            return super().head_object(**request.options)
        if request.operation == "PutObject":
            return self._put(request, was_late)
        return self._delete(request, was_late)

    def _put(self, request: Request, was_late: bool) -> Any:
        options = request.options if self.keeps_metadata else {**request.options, "Metadata": {}}
        answer = super().put_object(**options)
        way = "save" if "IfMatch" in options else "create" if "IfNoneMatch" in options else "overwrite"
        self._note(request.author, way, json.loads(options["Body"]), was_late)
        return answer

    def _delete(self, request: Request, was_late: bool) -> Any:
        there = "key" in self.objects
        answer = super().delete_object(**request.options)
        if there:
            self._note(request.author, "delete", {}, was_late)
            if "IfMatch" in request.options and not self.log[-1].removed <= request.may_delete:
                self.wrong.append(AssertionError("it deleted what it had never seen"))
        return answer

    def _note(self, author: object, way: str, content: Content, was_late: bool = False) -> None:
        removed = frozenset(tokens_of(self.versions[-1])) - frozenset(tokens_of(content))
        self.trace.append(("  version", len(self.versions), way, getattr(author, "name", author), content))
        self.versions.append(content)
        self.log.append(Write(author, way, removed, was_late))

    # Another tool, which knows nothing of conditions or metadata

    def edit(self, token: int) -> None:
        """Add a token to the file, as a tool does that keeps everything else, and the metadata or not."""
        body, _, metadata = self.objects["key"]
        separator = b", " if json.loads(body) else b""
        body = body.replace(b"{", b'{"k%d": 1%s' % (token, separator), 1)
        self.write("key", body, self.chances.choice((metadata, {})))
        self._note(TOOL, "edit", json.loads(body))

    def restore(self, version: tuple[bytes, str, dict[str, str]]) -> None:
        """Put an old version back, with the same ETag."""
        self.objects["key"] = version
        self._note(TOOL, "restore", json.loads(version[0]))


def tokens_ever(versions: Iterable[Content]) -> set[int]:
    return {token for content in versions for token in tokens_of(content)}


def tokens_of(content: Any) -> list[int]:
    """The tokens in a content, as often as they are there."""
    keys = [int(key[1:]) for key in content if re.fullmatch(r"k\d+", key) for _ in range(content[key])]
    return [*content.get("tokens", ()), *keys]
