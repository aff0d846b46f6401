"""Runs random programs that edit instances of user classes, and compares them with programs on a plain dict."""

from __future__ import annotations

import copy
import gc
import os
import random
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s3dictionary import S3Dict
from s3dictionary._format import codec
from support.memory_s3 import MemoryS3
from support.own_classes import (
    TYPES,
    Account,
    Badge,
    Color,
    Event,
    Fixed,
    Money,
    Node,
    Pair,
    Point,
    Stack,
    Task,
    User,
    job,
)

TABLE = codec.types_of(tuple(TYPES), "")
KEYS = "abcdef"
LONG = "S3DICT_STRESS" in os.environ


class Boom(Exception):
    """The exception that undoes a block."""


class Program:
    """A dict, its model, and references into both."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.s3 = MemoryS3()
        self.model: dict[str, Any] = {}
        self.open()

    def open(self) -> None:
        self.d: S3Dict[str, Any] = S3Dict("b", file_name="a.json", client=self.s3, types=TYPES)
        self.held: dict[str, Any] = {}
        # In a file, what stands in two places is there twice
        self.model = {key: codec.decode(text(value), TABLE) for key, value in self.model.items()}

    def value(self, depth: int = 3) -> Any:
        inner = (lambda: self.value(depth - 1)) if depth else (lambda: self.random.choice([1, "a", None, Color.RED]))
        makers: list[Any] = [
            lambda: self.random.choice([0, "x", Color.GREEN, Path("a"), Fixed([1])]),
            lambda: [inner(), inner()],
            lambda: {"k": inner(), Color.RED: inner()},
            lambda: (inner(), 1),
            lambda: job("j", inner(), tries=2),
            lambda: Task("t", [inner()], job("p")),
            lambda: Point(x=1, y=inner()),
            lambda: Node("n", inner()),
            lambda: Pair(inner(), inner()),
            lambda: Account(1, [inner()]),
            lambda: Badge("b", [inner()]),
            lambda: Event("e", inner()),
            lambda: User(userName="u", tags=[inner()]),
            lambda: Money(1, [inner()]),
            lambda: Stack([inner()]),
            lambda: deque([inner()]),
            lambda: np.array([1, 2]),
            lambda: {Node("m"), Node("m")},
            lambda: frozenset({Node("f")}),
        ]
        return self.random.choice(makers)()

    # Steps

    def put(self) -> None:
        value, key = self.value(), self.random.choice(KEYS)
        self.d[key], self.model[key] = value, copy.deepcopy(value)

    def alias(self) -> None:
        keys = sorted(self.model)
        if len(keys) > 1:
            one, other = self.random.sample(keys, 2)
            self.d[one], self.model[one] = [self.d[other]], [self.model[other]]

    def delete(self) -> None:
        key = self.random.choice(KEYS)
        assert self.d.pop(key, 0) is not None or self.model[key] is None
        self.model.pop(key, None)

    def hold(self) -> None:
        if self.model:
            key = self.random.choice(sorted(self.model))
            self.held[key] = self.d[key]

    def let_go(self) -> None:
        self.held.clear()

    def edit(self) -> None:
        """The same edit in the same place of both."""
        if not self.model:
            return
        key = self.random.choice(sorted(self.model))
        ours, expected = self.d[key], self.model[key]
        for _ in range(self.random.randrange(4)):
            inside = children(ours)
            if not inside:
                break
            index = self.random.randrange(len(inside))
            ours, expected = inside[index], children(expected)[index]
        change = self.random.randrange(100)
        edit(ours, change)
        edit(expected, change)

    def block(self, depth: int = 0) -> None:
        before, expected = dict(self.held), copy.deepcopy(self.model)
        present = {key for key, value in self.held.items() if key in self.model and self.d[key] is value}
        try:
            with self.d if depth == 0 and self.random.random() < 0.5 else self.d.transaction():
                self.steps(depth + 1, self.random.randrange(1, 7))
                if self.random.random() < 0.5:
                    raise Boom
        except Boom:
            self.model = expected
            self.held = before
            for key in present:
                assert self.d[key] is before[key]

    def save(self) -> None:
        self.d.save()
        assert not self.d.changed

    def reload(self) -> None:
        self.d.save()
        self.open()

    def steps(self, depth: int, count: int) -> None:
        for _ in range(count):
            steps = [self.put, self.edit, self.edit, self.edit, self.alias, self.delete, self.hold, self.let_go]
            if depth < 3:
                steps.append(lambda: self.block(depth))
            if depth == 0:
                steps += [self.save, self.reload, lambda: self.block(), lambda: self.block()]
            self.random.choice(steps)()
            self.check(depth)

    def check(self, depth: int) -> None:
        if depth == 0:
            self.d._check()
        if self.random.random() < 0.3:  # reading wakes what is asleep
            assert {key: text(value) for key, value in self.d.items()} == {k: text(v) for k, v in self.model.items()}


def text(value: Any) -> bytes:
    return codec.encode(value, types=TABLE)


def children(value: Any) -> list[Any]:
    """The items of a value, in an order that is the same in a copy."""
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=lambda node: str(node.name))
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, (list, tuple, deque)):
        return list(value)
    if type(value) in TABLE.given and not isinstance(value, (Color, Path, np.ndarray)):
        parts = TABLE.find(type(value)).parts(value)  # type: ignore[union-attr, misc]
        return list(parts.values()) if isinstance(parts, dict) else list(parts)
    return []


def edit(value: Any, change: int) -> None:
    """Change a value in place, if it can be; the same way each time for the same number."""
    if isinstance(value, np.ndarray):
        value[change % 2] = change
    elif isinstance(value, (list, deque)) and change % 3:
        value.append(change)
    elif isinstance(value, (list, deque, dict)) and len(value):
        value.popitem() if isinstance(value, dict) else value.pop()
    elif isinstance(value, dict):
        value["new"] = [change]
    elif isinstance(value, Stack):
        value.name = f"{change}"
    elif isinstance(value, (Point, Badge, Fixed)):
        pass
    elif type(value) in TABLE.given and not isinstance(value, (Color, Path, tuple)):
        name = {Account: "total", Event: "kind", Money: "amount"}.get(type(value), "name")
        setattr(value, name, f"{change}" if name in ("name", "kind") else change)


@pytest.mark.parametrize("seed", range(2_000 if LONG else 25))
def test_a_program_comes_to_the_same_as_on_a_plain_dict(seed: int) -> None:
    """Programs edit in place, use aliases, undo blocks, let objects fall asleep, and reload files."""
    program = Program(seed)
    program.steps(0, 60)
    gc.collect()
    program.reload()
    assert {key: text(value) for key, value in program.d.items()} == {k: text(v) for k, v in program.model.items()}
