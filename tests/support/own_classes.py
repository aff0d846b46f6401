"""Classes of users, of every kind that `types=` accepts."""

from __future__ import annotations

import enum
import ipaddress
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import attrs
import msgspec
import numpy as np
import pandas as pd
import pydantic


@dataclass
class Job:
    name: str
    tags: list[Any] = field(default_factory=list)
    tries: int = field(default=0, init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    x: int
    y: Any = None


@dataclass
class Task(Job):
    parent: Job | None = None


@dataclass(eq=False)
class Node:
    """Hashable by identity, so it can be a key and still change."""

    name: str = ""
    inner: Any = None


class Color(enum.Enum):
    RED = "r"
    GREEN = ("g", 1)


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class Pair(NamedTuple):
    left: Any
    right: Any = 0


@attrs.define
class Account:
    _id: int
    notes: list[Any] = attrs.field(factory=list)
    total: int = attrs.field(default=0, init=False)


@attrs.frozen(slots=False)
class Badge:
    owner: str
    rights: list[Any] = attrs.field(factory=list)


class Event(msgspec.Struct):
    kind: str
    data: Any = None


class Fixed(msgspec.Struct, frozen=True):
    items: list[Any]


class User(pydantic.BaseModel):
    name: str = pydantic.Field(alias="userName")
    tags: list[Any] = []


class Numbers(pydantic.RootModel[list[int]]):
    pass


class Open(pydantic.BaseModel, extra="allow"):
    pass


class Money:
    """Has nothing that says how to store it."""

    def __init__(self, amount: int, parts: list[Any]) -> None:
        self.amount = amount
        self.parts = parts

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and (self.amount, self.parts) == (other.amount, other.parts)


class Stack(list[Any]):
    """A list with a name."""

    name = ""


RECORDS = [Job, Point, Task, Node, Color, Access, Pair, Account, Badge, Event, Fixed, User, Numbers, Open]
PAIRS: list[Any] = [
    (Path, str, Path),
    (ipaddress.IPv4Address, str, ipaddress.IPv4Address),
    (np.ndarray, lambda array: [array.dtype.str, array.tolist()], lambda parts: np.array(parts[1], parts[0])),
    (np.generic, lambda number: [number.dtype.str, number.item()], lambda parts: np.dtype(parts[0]).type(parts[1])),
    (pd.Timestamp, pd.Timestamp.isoformat, pd.Timestamp),
    (deque, list, deque),
    (bytearray, bytes, bytearray),
    (Money, lambda money: [money.amount, money.parts], lambda parts: Money(*parts)),
    (Stack, lambda stack: [stack.name, list(stack)], lambda parts: _stack(*parts)),
]
TYPES: list[Any] = [*RECORDS, *PAIRS]


def _stack(name: str, items: list[Any]) -> Stack:
    stack = Stack(items)
    stack.name = name
    return stack


def job(name: str, *tags: Any, tries: int = 0) -> Job:
    made = Job(name, list(tags))
    made.tries = tries
    return made


def account(number: int, *notes: Any, total: int = 0) -> Account:
    made = Account(number, list(notes))
    made.total = total
    return made


def examples() -> list[Any]:
    """New instances of each kind."""
    return [
        job("a", 1, tries=3),
        Point(x=1, y=[2]),
        Task("b", [1], job("c")),
        Color.RED,
        Color.GREEN,
        Access.READ | Access.WRITE,
        Pair([1], (2,)),
        account(7, "note", total=5),
        Badge("a", [1]),
        Event("start", {"a": [1]}),
        Fixed([1]),
        User(userName="a", tags=[1]),
        Numbers([1, 2]),
        Open.model_validate({"py/tuple": 1}),
        Path("/var/log"),
        ipaddress.IPv4Address("127.0.0.1"),
        np.float32(1.5),
        pd.Timestamp("2026-01-01 00:00:00.000000001"),
        deque([1, [2]]),
        bytearray(b"a"),
        Money(1, [2]),
        _stack("s", [1, 2]),
    ]
