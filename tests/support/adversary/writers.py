"""A few dicts on one file, what they do at random, and what each was told: the model that must agree with the file.

Each update adds a token, and mostly 1 to a count. So what was lost, saved after all, or done twice shows in some
version of the file.
"""

from __future__ import annotations

import copy
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import pytest

from s3dictionary import MISSING, Rollback, S3Dict, StorageError, TransactionError, UnknownOutcomeError
from support.adversary.network import Network, tokens_ever, tokens_of
from support.adversary.scenes import check_invariants

D = S3Dict[Any, Any]
Snapshot = tuple[list[str], dict[str, Any]]


class Boom(Exception):
    """Leaves a block."""


class ResolverError(Exception):
    """Raised by a function passed as `on_conflict`."""


FAILURES = (StorageError, KeyboardInterrupt, ResolverError)


def is_unknown(error: BaseException) -> bool:
    return isinstance(error, (UnknownOutcomeError, KeyboardInterrupt))


def resolve(key: str, base: Any, ours: Any, theirs: Any) -> Any:
    """Do to theirs what was done to ours, as it is: what is done twice shows."""
    nothing: Any = [] if key == "tokens" else 0
    base, ours, theirs = ((nothing if value is MISSING else value) for value in (base, ours, theirs))
    if key == "tokens":
        kept = [token for token in theirs if token in ours or token not in base]
        return kept + [token for token in ours if token not in base]
    return theirs + ours - base


class Writer:
    """One dict, and what is known about its tokens.

    Attributes:
        amid_step: whether an interrupt came between two steps of the library, so that memory is as before or after it.
        pending: the tokens that are in memory, and not known to be in the file.
        taken: those that were taken out of memory again. The file may have them.
        seen: how much of the log memory is certainly based on.
    """

    def __init__(self, world: World, name: str, mode: str) -> None:
        self.world = world
        self.name = name
        self.mode = mode
        self.pending: list[int] = []
        self.taken: list[int] = []
        self.seen = 0
        on_conflict: Any = self.resolve if mode == "own" else mode
        client: Any = world.s3
        self.d: D = S3Dict("bucket", file_name="key", client=client, on_conflict=on_conflict, default=world.default)
        self.amid_step = False
        self.make_interruptible()

    def make_interruptible(self) -> None:
        """Interrupt the dict now and then between a step in memory and the note of it for the file."""
        for name in ("loaded", "builds_on", "settled", "interrupted", "went_back"):
            setattr(self.d._file, name, partial(self.interrupted, getattr(self.d._file, name)))

    def interrupted(self, step: Callable[..., None], *args: Any, **options: Any) -> None:
        if self.world.s3.faults_on and self.world.chances.random() < self.world.interrupts:
            self.world.s3.author.amid_step = True
            self.world.s3.trace.append(("interrupted before", step.__name__))
            raise KeyboardInterrupt
        step(*args, **options)

    def resolve(self, key: str, base: Any, ours: Any, theirs: Any) -> Any:
        if self.world.s3.faults_on and self.world.chances.random() < self.world.failing_resolver:
            raise ResolverError
        return resolve(key, base, ours, theirs)

    def may_delete(self) -> set[int]:
        return set(tokens_of(self.d)) | self.world.unknown

    def snapshot(self) -> Snapshot:
        return list(self.d), json.loads(json.dumps(dict(self.d)))

    # Updates

    def add(self) -> int:
        token = self.world.next_token()
        if self.mode == "merge":
            self.d[f"k{token}"] = 1
        else:
            self.d.setdefault("tokens", []).append(token)
            self.d["count"] = self.d.get("count", 0) + 1
        return token

    def take_out(self, token: int) -> None:
        if self.d.pop(f"k{token}", None) is None:
            self.d["tokens"].remove(token)
            self.d["count"] -= 1

    # What it does outside of blocks

    def edit(self) -> None:
        self.pending.append(self.add())

    def take_back(self) -> None:
        if self.pending:
            token = self.pending.pop()
            self.take_out(token)
            self.taken.append(token)

    def load(self) -> None:
        s3 = self.world.s3
        begin = len(s3.log) - 1
        with self.leaving_memory_alone():
            self.d.load()
        memory = sorted(tokens_of(self.d))
        assert memory in [sorted(tokens_of(content)) for content in s3.versions[begin:]], "it loaded something else"
        self.goes_on(begin)

    def save(self) -> None:
        self.saving(self.d.save)

    def switch_on_autosave(self) -> None:
        self.saving(lambda: setattr(self.d, "autosave", True))
        self.d.autosave = False

    def saving(self, save: Callable[[], None]) -> None:
        before = tokens_of(self.d)
        try:
            with self.leaving_memory_alone():
                save()
        except FAILURES as error:
            if is_unknown(error):
                self.world.unknown.update(self.pending)
            if isinstance(error, UnknownOutcomeError):
                assert self.d.changed, "what isn't known counts as saved"
            raise
        self.was_saved(self.pending, before)

    def autosaved(self) -> None:
        before, token = self.snapshot(), self.world.next_token()
        self.d._store.autosave = True
        try:
            self.d[f"k{token}"] = 1
        except FAILURES as error:
            self.failed([token], before, error)
            raise
        finally:
            self.d._store.autosave = False
        self.was_saved([*self.pending, token], before[1])

    def run(self) -> None:
        token = self.world.next_token()

        def add(d: D) -> None:
            d[f"k{token}"] = 1

        try:
            self.d.run(add, attempts=3)
        except FAILURES as error:
            assert self.amid_step or token not in tokens_of(self.d), "run() failed, and has left something in memory"
            self.told([token], error)
            raise
        self.was_saved([*self.pending, token], {})

    def delete(self) -> None:
        with self.leaving_memory_alone():
            self.d.delete()
        s3 = self.world.s3
        last = s3.log[-1]
        assert "key" not in s3.objects or last.author is not self or last.was_late, "it is still there"
        assert not self.d
        self.goes_on(len(s3.log) - 1)

    def copy(self) -> None:
        """Go on with a copy. The original loads, and is used by another writer."""
        original, self.d = self.d, copy.deepcopy(self.d)
        self.make_interruptible()
        with self.world.s3.without_faults():
            original.load()
        other = Writer.__new__(Writer)
        other.__dict__.update(self.__dict__, d=original, name=f"{self.name}'", pending=[], taken=[], seen=0)
        if len(self.world.writers) < 5:
            self.world.writers.append(other)

    # Blocks

    def block(self) -> None:
        Body(self).run()

    # What it was told

    @contextmanager
    def leaving_memory_alone(self) -> Iterator[None]:
        """Check that memory is as before if this fails."""
        before = self.snapshot()
        try:
            yield
        except BaseException:
            assert self.amid_step or self.snapshot() == before, "what failed has changed memory"
            raise

    def was_saved(self, tokens: list[int], before: Any) -> None:
        """Everything in memory is in the file, and nothing of it has got lost, except by others.

        Args:
            tokens: those that are known to be in the file now.
            before: memory before, or its tokens.
        """
        s3 = self.world.s3
        self.world.saved.update(tokens)
        self.world.removed.update(self.taken)
        assert not self.d.changed, "changed, although it was saved"
        last = s3.log[-1]
        if last.author is self and last.way != "delete" and not last.was_late:
            assert s3.versions[-1] == dict(self.d), "it saved something else"
        before = tokens_of(before) if isinstance(before, dict) else before
        lost = set(before) - set(tokens_of(self.d))
        later = [write for write in s3.log[self.seen :] if write.author is not self or write.was_late]
        assert lost <= {token for write in later for token in write.removed}, f"{lost} got lost in memory"
        own = [at for at, write in enumerate(s3.log) if write.author is self and not write.was_late]
        self.goes_on(max([self.seen, *own]))

    def goes_on(self, seen: int) -> None:
        self.pending, self.taken, self.seen = [], [], seen

    def after_interrupt(self) -> None:
        """If it came between two steps, memory may already be as after a load or a delete."""
        if self.amid_step:
            self.pending, self.taken = [each for each in self.pending if each in tokens_of(self.d)], []
        self.amid_step = False

    def failed(self, tokens: list[int], before: Snapshot, error: BaseException) -> None:
        """A block failed, or an update that is saved at once."""
        assert self.amid_step or self.snapshot() == before, "a block that failed has left something in memory"
        self.told(tokens, error)

    def told(self, tokens: list[int], error: BaseException) -> None:
        if is_unknown(error):
            self.world.unknown.update([*self.pending, *tokens])
        else:
            self.world.refused.update(tokens)


class Body:
    """What a writer does in one `with` block.

    Attributes:
        tokens: those that were added since the block began, or since the last checkpoint.
        before: memory then, which a rollback goes back to.
    """

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.world = writer.world
        self.d = writer.d
        self.chances = writer.world.chances
        self.tokens: list[int] = []
        self.before = writer.snapshot()

    def run(self) -> None:
        ended: dict[str, Any] | None = None
        try:
            with suppress(Boom), self.d:
                self.before = self.writer.snapshot()
                for _ in range(self.chances.randint(1, 3)):
                    self.chances.choice(self.world.steps)(self)
                if self.chances.random() < 0.1:
                    raise Boom
                ended = dict(self.d)
        except FAILURES as error:
            self.writer.failed(self.tokens, self.before, error)
            raise
        if ended is None:
            assert self.writer.snapshot() == self.before, "a block was not rolled back"
            self.world.refused.update(self.tokens)
        elif self.tokens:
            self.writer.was_saved([*self.writer.pending, *self.tokens], ended)
        elif not self.d.changed:  # there may have been nothing to save
            self.world.saved.update(self.writer.pending)
            self.writer.pending = []

    def add(self) -> None:
        self.tokens.append(self.writer.add())

    def inner(self) -> None:
        """A block in the block, which may fail."""
        before, tokens = self.writer.snapshot(), []
        fails = self.chances.choice((None, Boom, Rollback))
        with suppress(Boom), self.chances.choice((self.d, self.d.transaction())):
            tokens.append(self.writer.add())
            with pytest.raises(TransactionError):
                self.d.save()
            if self.chances.random() < 0.3:
                with self.d.transaction():
                    tokens.append(self.writer.add())
            if fails:
                raise fails
        if fails:
            assert self.writer.snapshot() == before, "an inner block was not rolled back"
            self.world.refused.update(tokens)
        else:
            self.tokens += tokens

    def checkpoint(self) -> None:
        before = tokens_of(self.d)
        try:
            with self.writer.leaving_memory_alone():
                self.d.save()
        except FAILURES as error:
            self.writer.told([], error)
            if is_unknown(error):
                self.world.unknown.update(self.tokens)
            raise
        self.writer.was_saved([*self.writer.pending, *self.tokens], before)
        self.before, self.tokens = self.writer.snapshot(), []

    def careful_checkpoint(self) -> None:
        """If it fails, the block goes on."""
        with suppress(StorageError):
            self.checkpoint()


ACTIONS: list[Callable[[Writer], None]] = [
    Writer.edit,
    Writer.take_back,
    Writer.load,
    Writer.save,
    Writer.switch_on_autosave,
    Writer.autosaved,
    Writer.block,
    Writer.run,
    Writer.copy,
]
STEPS: list[Callable[[Body], None]] = [Body.add, Body.inner, Body.checkpoint, Body.careful_checkpoint]


class World:
    """A few dicts on one file, and what they were told of their tokens.

    Attributes:
        saved: they are in the file.
        removed: they aren't any more.
        refused: they never were.
        unknown: they may have been.
    """

    def __init__(self, chances: random.Random, deletes: bool) -> None:
        self.chances = chances
        self.s3 = Network(chances)
        self.s3.others = self.others
        self.saved: set[int] = set()
        self.removed: set[int] = set()
        self.refused: set[int] = set()
        self.unknown: set[int] = set()
        self.last = 0
        self.interrupts = chances.choice((0, 0, 0.02, 0.1))
        self.failing_resolver = chances.choice((0, 0.1))
        self.outcomes: Counter[str] = Counter()
        self.acting: list[Writer] = []
        self.seen_objects: list[Any] = []
        self.with_tool = chances.random() < 0.2
        modes = chances.choice((("raise",), ("merge",), ("own",), ("own",), ("raise", "merge", "own")))
        if chances.random() < 0.1:
            modes = (*modes, "overwrite")
        self.default = {"count": 0, "tokens": []} if modes == ("own",) and chances.random() < 0.3 else None
        count = chances.choice((1, 2, 2, 3))
        self.writers = [Writer(self, f"{number}", chances.choice(modes)) for number in range(count)]
        actions = [*ACTIONS, *[Writer.delete] * deletes]
        # A few of them at a time reach rare sequences more often
        self.actions = chances.sample(actions, chances.randint(2, len(actions)))
        self.steps = chances.sample(STEPS, chances.randint(1, len(STEPS)))

    def next_token(self) -> int:
        self.last += 1
        return self.last

    def run(self) -> None:
        for _ in range(self.chances.randint(3, 20)):
            self.s3.faults_on = True
            self.step(self.chances.choice(self.writers), self.chances.choice(self.actions))
            self.s3.faults_on = False
            if self.with_tool and self.chances.random() < 0.2:
                self.tool()
            if "key" in self.s3.objects:
                self.seen_objects.append(self.s3.objects["key"])
        self.come_to_rest()
        self.check()

    def others(self) -> None:
        idle = [writer for writer in self.writers if writer not in self.acting]
        if idle:
            try:
                self.step(self.chances.choice(idle), self.chances.choice(self.actions))
            except Exception as error:  # noqa: BLE001  # raised again after the request that it came in
                self.s3.wrong.append(error)
        elif self.with_tool:
            self.tool()

    def step(self, writer: Writer, action: Callable[[Writer], None]) -> str:
        """Let a writer do something. Returns the outcome."""
        self.acting.append(writer)
        self.s3.author = writer
        outcome = "done"
        try:
            action(writer)
        except FAILURES as error:
            outcome = type(error).__name__
        finally:
            for wrong in self.s3.wrong:
                raise wrong
            writer.after_interrupt()
            self.acting.pop()
            self.s3.author = self.acting[-1] if self.acting else None
        self.outcomes[outcome] += 1
        self.s3.trace.append((writer.name, writer.mode, action.__name__, outcome, self.last))
        check_invariants(writer.d)
        return outcome

    def tool(self) -> None:
        if self.seen_objects and not self.s3.late and not self.acting and self.chances.random() < 0.3:
            self.s3.restore(self.chances.choice(self.seen_objects))
        elif "key" in self.s3.objects:
            token = self.next_token()
            self.s3.edit(token)
            self.saved.add(token)

    def come_to_rest(self) -> None:
        """Nothing fails any more: no dict is stuck."""
        self.s3.trace.append("now nothing fails any more")
        for writer in self.writers:
            while self.s3.late and self.chances.random() < 0.5:
                self.s3.deliver()
            self.step(writer, self.chances.choice((Writer.save, Writer.block, Writer.load)))
        while self.s3.late:
            self.s3.deliver()
        for writer in self.writers:
            for action in (Writer.load, Writer.edit, Writer.save):
                assert self.step(writer, action) == "done", "stuck"

    def check(self) -> None:
        s3 = self.s3
        versions = [Counter(tokens_of(content)) for content in s3.versions]
        there = set(versions[-1])
        ever = tokens_ever(s3.versions)
        deleted = {
            token for write in s3.log if write.way in ("delete", "overwrite", "restore") for token in write.removed
        }
        brought_back = {
            token
            for write, seen in zip(s3.log, versions, strict=True)
            if write.way in ("overwrite", "restore") or (write.way == "create" and write.was_late)
            for token in seen
        }
        assert not [seen for seen in versions if seen and max(seen.values()) > 1], "done twice"
        if not deleted:  # else `resolve` may subtract what was removed here, and by others with the file
            assert all(each.get("count", 0) == len(each.get("tokens", ())) for each in s3.versions), "by halves"
        assert not self.saved - self.removed - there - deleted, "told that it was saved, but it is gone"
        assert not (self.removed & there) - brought_back, "told that it was removed, but it is there"
        assert not (self.refused - self.unknown) & ever, "refused, but saved"
