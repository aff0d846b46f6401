"""A load, save or delete in the middle of another one, as by a signal handler or an `on_conflict` function.

Whatever comes of the two, memory belongs to the version that it says it is of, and what each is told is true.
"""

from __future__ import annotations

import gc
import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count, product
from typing import Any

import pytest

from s3dictionary import MISSING, ConflictError, S3Dict, StorageError, TransactionError
from support.adversary.hooked_s3 import HookedS3
from support.adversary.scenes import check_invariants
from support.stress import LONG

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # dicts with unsaved changes are dropped on purpose

D = S3Dict[Any, Any]


@pytest.fixture(autouse=True, scope="module")
def _collect_while_warnings_are_ignored() -> Iterator[None]:
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


@pytest.fixture(autouse=True)
def _no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s3dictionary._store.time.sleep", lambda _: None)


def join(key: str, base: Any, ours: Any, theirs: Any) -> Any:
    if not isinstance(ours, list):
        return ours
    return theirs + [item for item in ours if base is MISSING or item not in base]


MODES: list[Any] = ["raise", join, "merge", "overwrite"] if LONG else ["raise", join]


class Site(HookedS3):
    """Remembers every version, and lets somebody act during one request.

    Attributes:
        versions: the content of each version, by ETag.
        acts: acts during the request with this number, counted by their begins and ends.
    """

    def __init__(self) -> None:
        super().__init__()
        self.versions: dict[str | None, dict[Any, Any]] = {None: {}}
        self.acts: Callable[[], object] | None = None
        self.at = -1
        self.was_at = False
        self.before = self.after = self._passes

    def write(self, key: str, body: bytes, metadata: dict[str, str] | None = None) -> str:
        etag = super().write(key, body, metadata)
        self.versions[etag] = json.loads(body)
        return etag

    def act_at(self, moment: int, acts: Callable[[], object]) -> None:
        self.at, self.acts = moment, acts

    def _passes(self, _operation: str) -> None:
        if self.acts is None:
            return
        if self.at == 0:
            acts, self.acts, self.was_at = self.acts, None, True
            acts()
        self.at -= 1

    @property
    def current(self) -> str | None:
        return self.objects["key"][1] if self.objects else None


# What is under way


def save(d: D) -> None:
    d["k"] = "ours"
    d["l"].append("ours")
    d.save()


def block(d: D) -> None:
    with d:
        d["k"] = "ours"
        d.setdefault("l", []).append("ours")


def autosaved(d: D) -> None:
    d._store.autosave = True  # without the save that comes with it
    try:
        d.update(k="ours", l=[*d["l"], "ours"])
    finally:
        d._store.autosave = False  # or it would be saved at exit


def load(d: D) -> None:
    d.load()


def delete(d: D) -> None:
    d.delete()


SAVES = {"save": save, "block": block, "autosaved update": autosaved}
OPERATIONS = {**SAVES, "load": load, "delete": delete}


# What comes in between


def edit(d: D) -> None:
    d["l"].append("handler's")
    d["h"] = "handler's"


def edit_and_save(d: D) -> None:
    edit(d)
    d.save()


def load_edit_and_save(d: D) -> None:
    d.load()
    edit_and_save(d)


def save_and_load(d: D) -> None:
    edit_and_save(d)
    d.load()


def handlers_block(d: D) -> None:
    with d:
        edit(d)


HANDLERS = {
    "loads": load,
    "saves": S3Dict.save,
    "deletes": delete,
    "edits": edit,
    "edits and saves": edit_and_save,
    "loads, edits and saves": load_edit_and_save,
    "saves and loads": save_and_load,
    "has a block": handlers_block,
}


class Meeting:
    """An operation, and what somebody else does in the middle of it."""

    def __init__(self, mode: Any, others: bool) -> None:
        self.s3 = Site()
        self.d = self.s3.begin({"l": [0], "k": 0, "untouched": [1]}, on_conflict=mode)
        self.handler_is_told: str | None = None
        self.others = others
        if others:
            with self.s3.open() as other:
                other["z"] = "others'"
                other["l"].append("others'")

    def handle(self, handler: Callable[[D], object]) -> None:
        self.handler_is_told = told(lambda: handler(self.d))

    def take_place(self, operation: Callable[[D], object], handler: Callable[[D], object], moment: int) -> str:
        self.s3.act_at(moment, lambda: self.handle(handler))
        return told(lambda: operation(self.d))

    def was_saved(self, key: str) -> bool:
        """Whether any version has the content of this save."""
        return any(content.get(key) in ("ours", "handler's") for content in self.s3.versions.values())

    def check(self) -> None:
        d, s3 = self.d, self.s3
        check_invariants(d)
        filed = {key: json.loads(bytes(raw)) for key, raw in d._memory.filed_members().items()}
        assert filed == s3.versions[d.etag], "memory takes another content for what that version holds"
        if not d.changed:
            assert dict(d) == s3.versions[d.etag]


def told(action: Callable[[], object]) -> str:
    try:
        action()
    except (StorageError, TransactionError) as error:
        return type(error).__name__
    return "done"


def meetings(operation: Any, handler: Any) -> Iterator[tuple[Meeting, str]]:
    """Meet at each moment of the operation's requests, with and without other writers' saves before."""
    for mode, others in product(MODES, [False, True]):
        for moment in count():
            meeting = Meeting(mode, others)
            outcome = meeting.take_place(operation, handler, moment)
            if not meeting.s3.was_at:
                assert moment > 1, "there was no request"
                break
            print(mode, f"others={others}", f"moment {moment}:", outcome, meeting.handler_is_told)
            yield meeting, outcome


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_memory_and_version_belong_together(operation: str, handler: str) -> None:
    """Neither operation leaves memory with the content of another version, and the next block works."""
    for meeting, _ in meetings(OPERATIONS[operation], HANDLERS[handler]):
        meeting.check()
        with suppress(ConflictError):  # what is in memory may be older than what is there
            meeting.d["next"] = 1
            meeting.d.save()
            assert meeting.s3.versions[meeting.s3.current]["next"] == 1
        meeting.check()


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("operation", SAVES)
def test_what_a_save_is_told_is_true(operation: str, handler: str) -> None:
    """Saved means that it was in the file, refused that it never was. No other writer is overwritten."""
    for meeting, outcome in meetings(SAVES[operation], HANDLERS[handler]):
        assert outcome in ("done", "ConflictError")
        assert meeting.was_saved("k") == (outcome == "done")
        if meeting.others and meeting.d._options.on_conflict != "overwrite" and meeting.s3.current is not None:
            assert meeting.s3.versions[meeting.s3.current]["z"] == "others'"


@pytest.mark.parametrize("handler", ["edits", "edits and saves", "has a block"])
@pytest.mark.parametrize("operation", SAVES)
def test_what_a_handler_did_is_kept(operation: str, handler: str) -> None:
    """Its change is in the file or in memory, unless it was in a block that was undone."""
    for meeting, outcome in meetings(SAVES[operation], HANDLERS[handler]):
        if meeting.handler_is_told == outcome == "done":
            assert meeting.d["h"] == "handler's" or meeting.was_saved("h")


def test_a_function_that_loads_while_it_resolves_is_refused() -> None:
    """The load would discard the changes that are being saved."""
    s3 = HookedS3()

    def resolve(key: str, base: Any, ours: Any, theirs: Any) -> Any:
        d.load()
        return ours

    d = s3.begin({"n": 0}, on_conflict=resolve)
    with s3.open() as other:
        other["n"] = 10
    d["n"] = 1
    with pytest.raises(TransactionError, match="a function that the library calls, such as on_conflict"):
        d.save()
    assert d == {"n": 1}
    assert s3.stored() == {"n": 10}
