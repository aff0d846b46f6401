"""Random edits, blocks, saves and failures, against a model; and after each step what always holds inside.

The model is a plain dict. At the begin of a block it remembers everything that can be reached, and puts all of it back
when the block fails. Whoever holds an object of the `S3Dict` has its counterpart in the model.

`S3DICT_EXAMPLES=5000` looks longer.
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec import Raw

from s3dictionary import ConflictError, NotStorableError, Rollback, S3Dict, S3DictError, StorageError, _loads
from s3dictionary._format import codec
from support import inside
from support.memory_s3 import MemoryS3, refusal
from support.stress import TIME_LIMIT, times

pytestmark = pytest.mark.timeout(TIME_LIMIT)

EXAMPLES = int(os.environ.get("S3DICT_EXAMPLES") or times(60, 4000))


class Unstorable:
    """A value that JSON can't hold. It stands for itself in the model."""


class Failed(Exception):
    """The exception that ends a block."""


UNSTORABLE = Unstorable()
KEYS = st.sampled_from(["a", "b", "c", "d", "e"])
SCALARS = st.sampled_from([None, True, 1, 1.0, 0, False, "", "a", 2])
# What makes a value is drawn, not the value itself: Hypothesis would hold it
SHAPES = st.recursive(
    SCALARS.map(lambda item: ("scalar", item)),
    lambda inner: st.one_of(
        st.tuples(st.just("list"), st.lists(inner, max_size=3)),
        st.tuples(st.just("tuple"), st.lists(inner, max_size=2)),
        st.tuples(st.just("dict"), st.lists(st.tuples(KEYS, inner), max_size=3)),
        st.tuples(st.just("set"), st.lists(SCALARS, max_size=3)),
    ),
    max_leaves=5,
)
PATHS = st.lists(st.integers(0, 3), max_size=3)


def build(shape: tuple[str, Any]) -> Any:
    kind, content = shape
    if kind == "scalar":
        return content
    if kind == "dict":
        return {key: build(item) for key, item in content}
    if kind == "set":
        return set(content)
    return (list if kind == "list" else tuple)(map(build, content))


def exact(value: Any) -> Any:
    """A form of a value in which equal means the same types and the same order."""
    if isinstance(value, dict):
        return dict, [(exact(key), exact(item)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return type(value), [exact(item) for item in value]
    if isinstance(value, set):
        return set, sorted(map(repr, value))
    return type(value), value


def fresh(value: Any) -> Any:
    """A copy that shares nothing, as from a file."""
    if isinstance(value, dict):
        return {key: fresh(item) for key, item in value.items()}
    return type(value)(map(fresh, value)) if isinstance(value, (list, tuple, set)) else value


def children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, (list, tuple)) else []


def reachable(value: Any) -> list[Any]:
    return [value, *(inner for child in children(value) for inner in reachable(child))]


def storable(value: Any) -> bool:
    return UNSTORABLE not in [item for item in reachable(value) if isinstance(item, Unstorable)]


class Memory:
    """What the containers of a model held."""

    def __init__(self, model: dict[str, Any]) -> None:
        self._contents = [(item, item.copy()) for item in reachable(model) if isinstance(item, (dict, list, set))]

    def restore(self) -> None:
        for item, contents in self._contents:
            if isinstance(item, list):
                item[:] = contents
            else:
                item.clear()
                item.update(contents)


class S3DictMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.just_loaded, _loads._JUST_LOADED = (
            _loads._JUST_LOADED,
            -1.0,
        )  # what a block loads mustn't depend on the clock
        self.s3 = MemoryS3()
        self.file: dict[str, Any] | None = None  # what S3 holds
        self.base: dict[str, Any] = {}  # what was loaded or saved last
        self.current = True  # and whether it is what S3 holds
        self.model: dict[str, Any] = {}
        self.held: list[tuple[Any, Any]] = []  # objects that somebody holds, each with its counterpart
        self.whole: Any = None  # d.data, if somebody holds it
        self.blocks: list[tuple[Any, str, Memory]] = []

    @initialize(autosave=st.booleans(), shapes=st.dictionaries(KEYS, SHAPES))
    def make(self, autosave: bool, shapes: dict[str, Any]) -> None:
        self.someone_else_writes(shapes)
        self.open_file(autosave)

    def open_file(self, autosave: bool) -> None:
        self.d: S3Dict[str, Any] = S3Dict("bucket", file_name="key", client=self.s3, autosave=autosave)
        self.autosave = autosave
        self.forget_changes()

    def teardown(self) -> None:
        _loads._JUST_LOADED = self.just_loaded
        while self.blocks:
            self.blocks.pop()[0].__exit__(Failed, Failed(), None)
        if hasattr(self, "d"):
            self.d.autosave = False  # nothing is left to be saved at exit

    # The model of the file

    def forget_changes(self) -> None:
        """Load. Values that equal the file's stay the same objects."""
        self.base, self.current = fresh(self.file or {}), True
        loaded = {
            key: self.model[key] if key in self.model and exact(self.model[key]) == exact(item) else fresh(item)
            for key, item in self.base.items()
        }
        self.model.clear()
        self.model.update(loaded)

    @property
    def changed(self) -> bool:
        return exact(self.model) != exact(self.base)

    def saving(self) -> type[S3DictError] | None:
        """The error that a save now raises. If there is none, save the model."""
        if not storable(self.model):
            return NotStorableError
        if self.s3.faults:
            return StorageError
        if not self.current:
            return ConflictError
        self.file, self.base = fresh(self.model), fresh(self.model)
        return None

    def update(self, on_dict: Any, on_model: Any) -> None:
        """Do the same to the dict and the model, with autosave if it is on."""
        memory = Memory(self.model)
        on_model(self.model)
        error = None
        if self.autosave and not self.blocks and self.changed:
            attempted = fresh(self.model)
            error = self.saving()
        if error is None:
            on_dict(self.d)
            return
        with pytest.raises(error) as raised:
            on_dict(self.d)
        assert exact(raised.value.unsaved) == exact(attempted)
        memory.restore()

    # Edits of the dict

    @rule(key=KEYS, shape=SHAPES)
    def set_item(self, key: str, shape: Any) -> None:
        value = build(shape)
        self.update(lambda d: d.__setitem__(key, value), lambda m: m.__setitem__(key, build(shape)))

    @rule(key=KEYS, shape=SHAPES)
    def put_in_and_hold(self, key: str, shape: Any) -> None:
        value, counterpart = build(shape), build(shape)
        self.hold(value, counterpart)
        self.update(lambda d: d.__setitem__(key, value), lambda m: m.__setitem__(key, counterpart))

    @precondition(lambda self: self.held)
    @rule(key=KEYS, index=st.integers(0))
    def put_in_what_is_held(self, key: str, index: int) -> None:
        value, counterpart = self.held[index % len(self.held)]
        self.update(lambda d: d.__setitem__(key, value), lambda m: m.__setitem__(key, counterpart))

    @rule(key=KEYS)
    def put_in_what_cannot_be_stored(self, key: str) -> None:
        self.update(lambda d: d.__setitem__(key, UNSTORABLE), lambda m: m.__setitem__(key, UNSTORABLE))

    @rule(key=KEYS)
    def delete_item(self, key: str) -> None:
        if key in self.model:
            self.update(lambda d: d.__delitem__(key), lambda m: m.__delitem__(key))
        else:
            with pytest.raises(KeyError):
                del self.d[key]

    @rule(key=KEYS)
    def pop_and_hold(self, key: str) -> None:
        if key in self.model:
            self.hold(self.d[key], self.model[key])
        self.update(lambda d: d.pop(key, None), lambda m: m.pop(key, None))

    @precondition(lambda self: self.model)
    @rule()
    def popitem(self) -> None:
        self.update(lambda d: d.popitem(), lambda m: m.popitem())

    @rule(key=KEYS, shape=SHAPES)
    def setdefault(self, key: str, shape: Any) -> None:
        value = build(shape)
        self.update(lambda d: d.setdefault(key, value), lambda m: m.setdefault(key, build(shape)))

    @rule(shapes=st.dictionaries(KEYS, SHAPES), in_place=st.booleans())
    def update_several(self, shapes: dict[str, Any], in_place: bool) -> None:
        new = {key: build(shape) for key, shape in shapes.items()}
        self.update(
            lambda d: d.__ior__(new) if in_place else d.update(new),
            lambda m: m.update({key: build(shape) for key, shape in shapes.items()}),
        )

    @rule()
    def clear(self) -> None:
        self.update(lambda d: d.clear(), lambda m: m.clear())

    # Reading

    @rule(key=KEYS)
    def read(self, key: str) -> None:
        assert exact(self.d.get(key)) == exact(self.model.get(key))

    @rule()
    def read_all(self) -> None:
        assert [exact(item) for item in self.d.values()] == [exact(item) for item in self.model.values()]

    @rule()
    def compare(self) -> None:
        assert self.d == self.model

    @rule()
    def is_changed(self) -> None:
        assert self.d.changed == self.changed

    # Holding parts of it, and editing those

    def hold(self, value: Any, counterpart: Any) -> None:
        if any(isinstance(item, (dict, list, set)) for item in reachable(value)):
            self.held.append((value, counterpart))

    @rule(key=KEYS, path=PATHS)
    def take(self, key: str, path: list[int]) -> None:
        if key in self.model:
            self.follow(self.d[key], self.model[key], path)

    @precondition(lambda self: self.held)
    @rule(index=st.integers(0), path=PATHS)
    def take_inside(self, index: int, path: list[int]) -> None:
        self.follow(*self.held[index % len(self.held)], path)

    def follow(self, value: Any, counterpart: Any, path: list[int]) -> None:
        for step in path:
            inner = list(zip(children(value), children(counterpart), strict=True))
            if not inner:
                break
            value, counterpart = inner[step % len(inner)]
        self.hold(value, counterpart)

    @precondition(lambda self: self.held)
    @rule(index=st.integers(0))
    def let_go(self, index: int) -> None:
        del self.held[index % len(self.held)]

    @rule()
    def let_go_of_all(self) -> None:
        self.held.clear()
        self.whole = None

    @rule()
    def hand_out_data(self) -> None:
        self.whole = self.d.data

    @precondition(lambda self: self.held or self.whole is not None)
    @rule(index=st.integers(0), what=st.integers(0, 5), key=KEYS, shape=SHAPES)
    def edit(self, index: int, what: int, key: str, shape: Any) -> None:
        places = self.held if self.whole is None else [*self.held, (self.whole, self.model)]
        value, counterpart = places[index % len(places)]
        inner = (build(shape), build(shape))
        edit_container(value, what, key, inner[0])
        edit_container(counterpart, what, key, inner[1])

    @precondition(lambda self: self.held)
    @rule(index=st.integers(0), other=st.integers(0), key=KEYS)
    def nest(self, index: int, other: int, key: str) -> None:
        value, counterpart = self.held[index % len(self.held)]
        inner, inner_counterpart = self.held[other % len(self.held)]
        if any(item is counterpart for item in reachable(inner_counterpart)) or len(reachable(self.model)) > 200:
            return  # it would go round in a circle; that is for other tests
        for container, item in ((value, inner), (counterpart, inner_counterpart)):
            if isinstance(container, dict):
                container[key] = item
            elif isinstance(container, list):
                container.append(item)

    # Blocks

    @precondition(lambda self: len(self.blocks) < 4)
    @rule()
    def begin_with(self) -> None:
        if not self.blocks and not self.changed:
            self.forget_changes()
        self.begin(self.d, "with")

    @precondition(lambda self: len(self.blocks) < 4)
    @rule()
    def begin_transaction(self) -> None:
        self.begin(self.d.transaction(), "transaction")

    def begin(self, block: Any, kind: str) -> None:
        assert block.__enter__() is self.d
        self.blocks.append((block, kind, Memory(self.model)))

    @precondition(lambda self: self.blocks)
    @rule()
    def end(self) -> None:
        block, kind, memory = self.blocks.pop()
        error = None
        if not self.blocks and (kind == "with" or self.autosave) and self.changed:
            attempted = fresh(self.model)
            error = self.saving()
        if error is None:
            assert not block.__exit__(None, None, None)
            return
        with pytest.raises(error) as raised:
            block.__exit__(None, None, None)
        assert exact(raised.value.unsaved) == exact(attempted)
        memory.restore()

    @precondition(lambda self: self.blocks)
    @rule(error=st.sampled_from([Failed, Rollback, KeyboardInterrupt, GeneratorExit]))
    def fail(self, error: type[BaseException]) -> None:
        block, _, memory = self.blocks.pop()
        assert bool(block.__exit__(error, error(), None)) == (error is Rollback)
        memory.restore()

    # The file

    @property
    def may_save(self) -> bool:
        return [kind for _, kind, _ in self.blocks] in ([], ["with"])

    def checkpoint(self) -> None:
        if self.blocks:
            self.blocks[0] = (*self.blocks[0][:2], Memory(self.model))

    @precondition(lambda self: self.may_save)
    @rule()
    def save(self) -> None:
        error = self.saving()
        if error is not None:
            with pytest.raises(error):
                self.d.save()
            return
        self.d.save()
        self.checkpoint()

    @precondition(lambda self: self.may_save)
    @rule()
    def load(self) -> None:
        self.d.load()
        self.forget_changes()
        self.checkpoint()

    @precondition(lambda self: self.may_save)
    @rule()
    def delete(self) -> None:
        if not self.current and self.file is not None:
            with pytest.raises(ConflictError):
                self.d.delete()
            return
        self.d.delete()
        self.file = None
        self.forget_changes()
        self.checkpoint()

    @precondition(lambda self: not self.blocks)
    @rule(autosave=st.booleans())
    def reopen(self, autosave: bool) -> None:
        """Open the file as another program would. Unsaved changes are lost, and held objects belong to no dict."""
        self.d.autosave = False
        self.held.clear()
        self.whole = None
        self.model = {}
        faults, self.s3.faults = self.s3.faults, type(self.s3.faults)()
        if autosave and self.file is None:
            self.file = {}
        self.open_file(autosave)
        self.s3.faults = faults

    @rule(shapes=st.dictionaries(KEYS, SHAPES))
    def someone_else_writes(self, shapes: dict[str, Any]) -> None:
        """Write with other spacing than the library's."""
        self.file = {key: build(shape) for key, shape in shapes.items()}
        members = {key: json.loads(codec.encode(item)) for key, item in self.file.items()}
        self.s3.write("key", json.dumps(members, indent=1).encode())
        self.current = False

    @precondition(lambda self: not self.s3.faults)
    @rule()
    def the_next_save_will_fail(self) -> None:
        self.s3.faults.append(refusal("PutObject", 403, "AccessDenied"))

    # What always holds

    @invariant()
    def what_is_inside_fits_together(self) -> None:
        if hasattr(self, "d"):
            self.d._check()
            assert len(self.d._memory.savepoints) == len(self.blocks)

    @invariant()
    def it_is_as_the_model(self) -> None:
        if hasattr(self, "d"):
            items = inside.contents(self.d).items()
            seen = {key: codec.decode(item) if type(item) is Raw else item for key, item in items}
            assert exact(seen) == exact(self.model)

    @invariant()
    def what_is_held_is_where_it_was(self) -> None:
        for value, counterpart in self.held:
            assert exact(value) == exact(counterpart)
            keys = [key for key, item in self.model.items() if any(part is counterpart for part in reachable(item))]
            if not isinstance(counterpart, tuple):  # equal ones may be one
                assert inside.containing(self.d, value) == keys
            assert inside.awake_keys(self.d).issuperset(inside.containing(self.d, value))
        if self.whole is not None:
            assert self.whole is self.d._memory.data

    @invariant()
    def s3_holds_what_was_saved(self) -> None:
        if self.file is None:
            assert not self.s3.objects
        else:
            members = codec.split(self.s3.objects["key"][0])
            assert exact({key: codec.decode(raw) for key, raw in members.items()}) == exact(self.file)


def edit_container(container: Any, what: int, key: str, new: Any) -> None:
    if isinstance(container, dict):
        edit_dict(container, what, key, new)
    elif isinstance(container, list):
        edit_list(container, what, new)
    elif isinstance(container, set):
        {0: container.clear, 1: lambda: container.discard(1)}.get(what, lambda: container.add(key))()


def edit_dict(container: dict[str, Any], what: int, key: str, new: Any) -> None:
    if what == 0:
        container.pop(key, None)
    elif what == 1 and container:
        first = next(iter(container))
        container[first] = container.pop(first)  # to the end
    elif what == 2 and container:
        container.popitem()
    elif what == 3 and container:
        container[key] = container[next(iter(container))]  # the same object twice
    else:
        container[key] = new


def edit_list(container: list[Any], what: int, new: Any) -> None:
    if what == 0 and container:
        container.pop()
    elif what == 1:
        container.reverse()
    elif what == 2 and container:
        container[0] = new
    elif what == 3:
        container.clear()
    else:
        container.append(new)


S3DictMachine.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=50,
    deadline=None,
    print_blob=True,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestS3Dict = S3DictMachine.TestCase
