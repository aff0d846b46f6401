"""Many writers save one object over a network that loses, delays and repeats requests: what each is told is true.

They use the library's own code, `S3File`, on a store in memory that is driven step by step, so a seed gives the same
run again.
"""

from __future__ import annotations

import hashlib
import io
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from s3dictionary import ConflictError, StorageError, UnknownOutcomeError
from s3dictionary._memory import SavepointState
from s3dictionary._s3 import version
from s3dictionary._s3.file import Earlier, S3File, Version
from s3dictionary._s3.lineage import Attempt, Outcome, first_record, following, parse, settle
from s3dictionary._s3.requests import Requests
from support.stress import seeded, times

Request = dict[str, Any]
LINEAGE = "1234567890ab"


def refusal(operation: str, status: int, code: str, resent: int = 0) -> ClientError:
    metadata: Any = {"HTTPStatusCode": status, "RetryAttempts": resent}
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": metadata}, operation)


@dataclass
class Stored:
    request: Request
    etag: str
    serial: int

    def answer(self) -> dict[str, Any]:
        body = self.request["Body"]
        return {
            "Body": io.BytesIO(body),
            "ContentLength": len(body),
            "ETag": self.etag,
            "Metadata": self.request["Metadata"],
        }


@dataclass
class World:
    """The store, the network before it, and what really happened.

    Attributes:
        applied: how often each save took effect.
        refused: the saves whose writers were told that they didn't.
        wrong: what was told, or done, that isn't as promised.
        serials: which version each save has made.
        gone: the saves whose file was deleted, and then brought back without them by a create that came late.
    """

    random: random.Random
    others: Callable[[], None] = lambda: None
    stored: Stored | None = None
    serial: int = 0
    under_way: list[tuple[int, Request, int | None]] = field(default_factory=list)
    applied: Counter[int] = field(default_factory=Counter)
    refused: set[int] = field(default_factory=set)
    wrong: Counter[str] = field(default_factory=Counter)
    serials: dict[int, int] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)

    def apply(self, save: int, request: Request, base: int | None) -> str | None:
        """Execute a PUT in the store. Returns the new ETag, or `None` if the condition isn't met."""
        held = self.stored
        if request.get("IfMatch") != (held and held.etag) or (request.get("IfNoneMatch") and held):
            return None
        self.wrong["took effect on another version than it was made from"] += base != (held and held.serial)
        self.serial += 1
        self.serials.setdefault(save, self.serial)  # what a late create brings back is the version that it was
        self.stored = Stored(request, f'"{hashlib.md5(request["Body"]).hexdigest()}"', self.serials[save])
        if "IfMatch" in request:
            self.wrong["took effect twice"] += self.applied[save] > 0
            self.wrong["told that it was refused, took effect later"] += save in self.refused
        elif self.applied[save]:  # a create that comes late can find the file deleted: no condition of S3's helps
            self.gone |= set(self.applied)
        self.applied[save] += 1
        return self.stored.etag

    def put(self, save: int, request: Request, base: int | None) -> dict[str, Any]:
        """Send a PUT as botocore does: again, if there is no answer."""
        for resent in range(self.random.choice((1, 3))):
            self.arrive_late()
            chance = self.random.random()
            if chance < 0.15:
                self.under_way.append((save, request, base))
                continue
            if chance < 0.3:
                self.apply(save, request, base)
            elif chance > 0.4:
                etag = self.apply(save, request, base)
                if etag is None:
                    raise refusal("PutObject", 412, "PreconditionFailed", resent)
                return {"ETag": etag}
            self.others()
        raise ReadTimeoutError(endpoint_url="https://s3.example.com")

    def arrive_late(self) -> None:
        if self.under_way and self.random.random() < 0.5:
            self.apply(*self.under_way.pop(self.random.randrange(len(self.under_way))))

    def find(self, operation: str, code: str) -> dict[str, Any]:
        if self.random.random() < 0.05:
            raise ReadTimeoutError(endpoint_url="https://s3.example.com")
        if self.stored is None:
            raise refusal(operation, 404, code)
        return self.stored.answer()

    def is_edited(self) -> None:
        """Let another tool edit the object. It keeps or drops the metadata, and the white space at the file's end."""
        if self.stored is not None:
            self.serial += 1
            end = self.random.choice((b"", self.stored.request["Body"].partition(b"}")[2]))
            body = b'{"edited":%d}' % self.random.randrange(3) + end
            metadata = self.random.choice(({}, self.stored.request["Metadata"]))
            self.stored = Stored({"Body": body, "Metadata": metadata}, f'"edit {self.serial}"', self.serial)


class Writer:
    """One open dict, and what it was told."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.file = S3File(Requests("b", "k", lambda: self))  # type: ignore[arg-type, return-value]
        self.base: Version | None = None
        self.serial: int | None = None
        self.is_loaded = False
        self.block = SavepointState()
        self.is_busy = False
        self.save = 0

    # As a client

    def put_object(self, **request: Any) -> dict[str, Any]:
        return self.world.put(self.save, request, self.serial)

    def head_object(self, **_: Any) -> dict[str, Any]:
        return self.world.find("HeadObject", "404")

    def get_object(self, **_: Any) -> dict[str, Any]:
        return self.world.find("GetObject", "NoSuchKey")

    # As a dict

    def step(self, saves: Iterator[int], outcomes: Counter[str]) -> None:
        if self.is_busy:
            return
        self.is_busy = True
        try:
            if self.is_loaded:
                self.put(next(saves), outcomes)
            else:
                self.load()
        finally:
            self.is_busy = False

    def load(self) -> None:
        try:
            found = self.file.get()
        except StorageError:
            return
        self.goes_on(None if found is None else found.version, self.world.stored and self.world.stored.serial)

    def goes_on(self, base: Version | None, serial: int | None) -> None:
        self.base, self.serial, self.is_loaded = base, serial, True
        self.file.loaded(base)

    def put(self, save: int, outcomes: Counter[str]) -> None:
        world, self.save = self.world, save
        content = b'{"n":%d}' % world.random.randrange(3)
        open_saves = [content.members for content in self.file._tries.pending.values()]
        try:
            outcome = self.file.put(io.BytesIO(content), self.base, members=save, block=self.block)
        except ConflictError:
            outcomes["conflict"] += 1
            for each in (save, *open_saves):
                if each not in world.gone:
                    world.wrong["told that it was refused, but took effect"] += world.applied[each] > 0
                world.refused.add(each)
            self.is_loaded = False
        except UnknownOutcomeError:
            outcomes["not known"] += 1
            if world.random.random() < 0.3:
                self.block.is_rolled_back = True
                self.file.went_back(self.block, None, unsaved=False)
                self.block = SavepointState()
            self.is_loaded = world.random.random() < 0.8
        else:
            self.saved(outcome, save, outcomes)

    def saved(self, outcome: Version | Earlier, save: int, outcomes: Counter[str]) -> None:
        earlier = isinstance(outcome, Earlier)
        outcomes["earlier" if earlier else "saved"] += 1
        told = outcome.content.members if isinstance(outcome, Earlier) else save
        self.world.wrong["told that it was saved, but took effect another number of times"] += (
            self.world.applied[told] != 1 and told not in self.world.gone
        )
        if earlier:
            self.world.wrong["told that an earlier one was saved, but this one was"] += self.world.applied[save] > 0
            self.world.refused.add(save)
        version = outcome.version if isinstance(outcome, Earlier) else outcome
        if version.current:
            self.goes_on(version, self.world.stored and self.world.stored.serial)
        else:
            self.is_loaded = False


@pytest.mark.parametrize("length", [256, version.MIN_LENGTH], ids=["many rows", "one row"])
@pytest.mark.parametrize("trouble", ["none", "deletes", "edits"])
def test_what_a_writer_is_told_is_true(monkeypatch: pytest.MonkeyPatch, trouble: str, length: int) -> None:
    """Saved, refused or unknown: each is reported only if it is true, whatever the network does."""
    monkeypatch.setattr(version, "MAX_LENGTH", length)
    chances, outcomes, wrong = seeded(), Counter[str](), Counter[str]()
    for _ in range(times(quick=12, long=400)):
        world = World(chances)
        writers = [Writer(world) for _ in range(5)]
        saves = iter(range(1, 1_000_000))

        def step(writers: list[Writer] = writers, saves: Iterator[int] = saves) -> None:
            chances.choice(writers).step(saves, outcomes)

        world.others = lambda step=step: [step() for _ in range(chances.randrange(4))] and None  # type: ignore[assignment]
        for _ in range(250):
            if trouble == "deletes" and chances.random() < 0.02:
                world.stored = None
            elif trouble == "edits" and chances.random() < 0.02:
                world.is_edited()
            step()
        wrong += world.wrong
    print(dict(outcomes))
    assert not +wrong
    assert min(outcomes[name] for name in ("saved", "conflict", "not known", "earlier")) > 10


# The record


def test_a_record_says_the_same_after_its_way_through_metadata() -> None:
    record = first_record()
    for number in range(40):
        record = following(record, Attempt(LINEAGE, f"{number:012x}", number + 1, number))
        assert parse(str(record)) == record


def test_the_oldest_rows_are_dropped_and_the_floor_tells() -> None:
    """So the save of a writer without a row doesn't count as refused."""
    record = base = following(first_record(), Attempt(LINEAGE, "a", 1, 1))
    for number in range(2, 40):
        record = following(record, Attempt(LINEAGE, f"{number:012x}", number, number), room=120)
    assert len(str(record)) <= 120
    assert record.generation == 39
    assert 39 in record.rows.values()
    assert record.floor == 39 - len(record.rows)
    assert settle(record, base, [Attempt(LINEAGE, "mine", 2, 5)]) == (Outcome.UNKNOWN, None)


@pytest.mark.parametrize("length", range(1, 60))
def test_a_record_that_was_cut_off_says_nothing(length: int) -> None:
    """A missing row would look like a refusal."""
    text = str(following(first_record(), Attempt(LINEAGE, "abc", 1, 2**63)))
    assert parse(text[: -min(length, len(text))]) is None
