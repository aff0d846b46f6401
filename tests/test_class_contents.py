"""What memory sees in instances of users' classes, wherever they keep it: it is saved, rolled back, and kept."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from s3dictionary import S3Dict
from support.adversary.scenes import Boom
from support.memory_s3 import MemoryS3
from support.own_classes import Job, job


class Named:
    """Can be a key, as it has the hash of what it holds, and yet changes."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Named) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)


class Slotted:
    __slots__ = ("first", "second")

    def __init__(self, *values: Any) -> None:
        for name, value in zip(self.__slots__, values, strict=False):
            setattr(self, name, value)

    def values(self) -> list[Any]:
        return [getattr(self, name) for name in self.__slots__ if hasattr(self, name)]


class Noted(list[Any]):
    def __init__(self, items: list[Any], notes: list[Any]) -> None:
        super().__init__(items)
        self.notes = notes


TYPES: Any = [
    (Named, lambda named: named.name, Named),
    (Slotted, Slotted.values, lambda values: Slotted(*values)),
    (Noted, lambda noted: [list(noted), noted.notes], lambda parts: Noted(*parts)),
    (array, list, lambda items: array("i", items)),
    (np.ndarray, lambda items: [items.dtype.str, items.tolist()], lambda parts: np.array(parts[1], parts[0])),
]
SHOWN: dict[type, Callable[[Any], Any]] = {row[0]: row[1] for row in TYPES}

EDITS: dict[str, tuple[Callable[[], Any], Callable[[Any], None]]] = {
    "an attribute of what can be a key": (lambda: Named("a"), lambda value: setattr(value, "name", "b")),
    "a slot that was set": (lambda: Slotted(1), lambda value: setattr(value, "second", 2)),
    "a slot that was deleted": (lambda: Slotted(1, 2), lambda value: delattr(value, "second")),
    "inside an attribute of a list": (lambda: Noted([1], [2]), lambda value: value.notes.append(3)),
    "a sequence of Python's": (lambda: array("i", [1]), lambda value: value.append(2)),
    "the shape of an array": (lambda: np.array([1]), lambda value: value.resize(3, refcheck=False)),
    "the layout of an array": (lambda: np.array([1, 2]), lambda value: value.resize((2, 1), refcheck=False)),
    "inside an item of an array": (
        lambda: np.array([[1], None], dtype=object),
        lambda value: value[0].append(2),
    ),
}


@pytest.fixture
def s3() -> MemoryS3:
    return MemoryS3()


def opened(s3: MemoryS3, **options: Any) -> S3Dict[Any, Any]:
    return S3Dict("bucket", file_name="key", client=s3, types=TYPES, **options)


def shown(value: Any) -> Any:
    return SHOWN[type(value)](value)


@pytest.mark.parametrize("where", EDITS)
def test_an_edit_is_seen_rolled_back_and_saved(s3: MemoryS3, where: str) -> None:
    make, edit = EDITS[where]
    opened(s3, data={"a": make()}).save()
    d = opened(s3)
    held = d["a"]
    with pytest.raises(Boom), d:
        edit(held)
        assert d.changed
        raise Boom
    assert d["a"] is held
    assert shown(held) == shown(make())
    assert not d.changed
    with d:
        edit(held)
    expected = make()
    edit(expected)
    assert shown(opened(s3)["a"]) == shown(expected)


def test_what_is_not_stored_of_an_instance_stays_in_memory(s3: MemoryS3) -> None:
    """Also if nobody holds it but the dict, which could make it again from the file."""
    d = S3Dict[str, Job]("bucket", file_name="key", client=s3, types=[Job], data={"a": job("a")})
    d["a"].cached = 1  # type: ignore[attr-defined]
    for number in range(3):
        with d:
            d["n"] = job(str(number))
    assert d["a"].cached == 1  # type: ignore[attr-defined]


def test_an_edit_by_way_of_an_item_of_an_array_is_saved(s3: MemoryS3) -> None:
    """Though nobody holds the array itself."""
    item = [1]
    d = opened(s3, data={"a": np.array([item, None], dtype=object)})
    for number in range(3):
        with d:
            d["n"] = number
    item.append(2)
    d.save()
    assert opened(s3)["a"].tolist() == [[1, 2], None]


def test_a_class_whose_name_cannot_stand_in_a_file_is_refused(s3: MemoryS3) -> None:
    with pytest.raises(ValueError, match="has a class named 'a b'"):
        S3Dict("bucket", file_name="key", client=s3, types=[type("a b", (Job,), {})])
