"""The methods of a dict on top of `Memory`. Knows neither S3 nor blocks: `_update` decides what an update involves."""

from __future__ import annotations

import sys
import threading
from collections import UserDict
from collections.abc import Callable, Collection, ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from operator import itemgetter
from reprlib import recursive_repr
from types import CodeType, FrameType, MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, overload

from ._memory import MISSING, Memory

T = TypeVar("T")

if TYPE_CHECKING:
    from _typeshed import SupportsKeysAndGetItem
    from typing_extensions import Self
    from typing_extensions import TypeVar as TypeVarWithDefault

    # `S3Dict("bucket", file_name="a.json")` alone doesn't determine the types of its items
    K = TypeVarWithDefault("K", default=Any)
    V = TypeVarWithDefault("V", default=Any)
    Data = Mapping[K, V] | Iterable[tuple[K, V]]
    Default = Mapping[K, Any] | list[tuple[Any, Any]] | Iterator[tuple[Any, Any]]  # pyright takes {} for any iterable
    _Source = SupportsKeysAndGetItem[K, V] | Iterable[tuple[K, V]]
else:
    Data = Default = Any
    K = TypeVar("K")
    V = TypeVar("V")


class _DictView(Collection[T]):
    """Methods that a dict's views have, and those of `collections.abc` lack."""

    _name: str
    _mapping: Mapping[Any, Any]

    @recursive_repr("...")
    def __repr__(self) -> str:
        return f"{self._name}({list(self)!r})"

    @property
    def mapping(self) -> MappingProxyType[Any, Any]:
        return MappingProxyType(self._mapping)


class _Keys(_DictView[K], KeysView[K]):
    _name = "dict_keys"

    def __iter__(self) -> Iterator[K]:
        return iter(self._mapping)

    def __reversed__(self) -> Iterator[K]:
        return reversed(self._mapping)


class _DecodingView(_DictView[T]):
    """A view whose values are decoded one after the other, while other threads may remove keys.

    `list`, `tuple` and `sorted` get the content of one moment, as from a dict. They differ from a loop in that one
    instruction gets the iterator and the first item.
    """

    _mapping: LazyDict[Any, Any]

    def _pairs(self) -> Iterator[tuple[Any, Any]]:
        """The iterator for `__iter__`, whose caller is the one that iterates."""
        return self._iterate(_instruction_of(sys._getframe(2)))

    def _iterate(self, begun_by: _Instruction) -> Iterator[tuple[Any, Any]]:
        mapping = self._mapping
        if _instruction_of(sys._getframe(1)) == begun_by and type(mapping).__getitem__ is LazyDict.__getitem__:
            yield from mapping._memory.objects().items()
        else:
            yield from _pairs(mapping, mapping)


def _pairs(mapping: LazyDict[Any, Any], keys: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    for key in keys:
        try:
            value = mapping[key]
        except KeyError:
            raise _removed_meanwhile() from None
        yield key, value


def _removed_meanwhile() -> RuntimeError:
    return RuntimeError("dictionary changed size during iteration")


class _Values(_DecodingView[V], ValuesView[V]):
    _name = "dict_values"

    def __contains__(self, value: object) -> bool:
        return any(item is value or item == value for item in list(self))

    def __iter__(self) -> Iterator[V]:
        return map(itemgetter(1), self._pairs())

    def __reversed__(self) -> Iterator[V]:
        return map(itemgetter(1), _pairs(self._mapping, reversed(self._mapping)))


class _Items(_DecodingView[tuple[K, V]], ItemsView[K, V]):
    _name = "dict_items"

    def __contains__(self, item: object) -> bool:
        # Not the inherited method, which fails for objects other than pairs, and calls __missing__
        if not isinstance(item, tuple) or len(item) != 2 or item[0] not in self._mapping:
            return False
        try:
            value = self._mapping[item[0]]
        except KeyError:  # another thread removed it meanwhile
            return False
        return value is item[1] or bool(value == item[1])

    def __iter__(self) -> Iterator[tuple[K, V]]:
        return self._pairs()

    def __reversed__(self) -> Iterator[tuple[K, V]]:
        return _pairs(self._mapping, reversed(self._mapping))


_Instruction: TypeAlias = tuple[int, CodeType, int]


def _instruction_of(frame: FrameType) -> _Instruction:
    return id(frame), frame.f_code, frame.f_lasti


class _Listed(threading.local):
    """The instruction that last called `keys()` in this thread, as `dict(d)` does before it reads the items."""

    by: _Instruction | None = None


_listed = _Listed()


class LazyDict(UserDict[K, V]):
    """A dict whose values are decoded when they are first read.

    The mutators aren't inherited from `MutableMapping`, whose methods process one item at a time: each item would be a
    separate update.
    """

    _memory: Memory

    def _update(self, step: Callable[..., T], *args: Any) -> T:
        """Call a function that changes memory, under the lock."""
        raise NotImplementedError

    @property
    def data(self) -> dict[K, V]:
        """A real dict with all items, decoded. Changing it changes this dict."""
        return self._memory.hand_out()

    @data.setter
    def data(self, content: Mapping[K, V]) -> None:
        self._update(self._memory.replace, dict(content))

    # Reading never waits for a block of another thread

    def __getitem__(self, key: K) -> V:
        try:
            return self._memory.readable[key].value  # type: ignore[union-attr, no-any-return]  # only what is awake has it
        except (AttributeError, KeyError):
            return self._touch(key)

    def _touch(self, key: K) -> V:
        """Read a key without an entry: it is missing, or in a dict that was handed out."""
        try:
            return self._memory.touch(key)  # type: ignore[no-any-return]
        except KeyError:
            if _listed.by == _instruction_of(sys._getframe(2)):
                raise _removed_meanwhile() from None
            missing = getattr(type(self), "__missing__", None)
            if missing is None:
                raise
        return missing(self, key)  # type: ignore[no-any-return]

    @overload
    def get(self, key: K, default: None = None) -> V | None: ...
    @overload
    def get(self, key: K, default: V) -> V: ...
    @overload
    def get(self, key: K, default: T) -> V | T: ...
    def get(self, key: K, default: Any = None) -> Any:
        # Not by __getitem__, which would call __missing__; nor after a check, as another thread may remove the key
        try:
            return self._memory.readable[key].value  # type: ignore[union-attr]
        except (KeyError, AttributeError):
            pass
        try:
            return self._memory.touch(key)
        except KeyError:
            return default

    def __contains__(self, key: object) -> bool:
        return key in self._memory.keys

    def __len__(self) -> int:
        return len(self._memory.keys)

    def __iter__(self) -> Iterator[K]:
        return iter(self._memory.keys)

    def __reversed__(self) -> Iterator[K]:
        keys: dict[K, Any] = self._memory.keys
        return reversed(keys)

    def keys(self) -> _Keys[K]:
        _listed.by = _instruction_of(sys._getframe(1))
        return _Keys(self)

    def values(self) -> _Values[V]:
        return _Values(self)

    def items(self) -> _Items[K, V]:
        return _Items(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        return self._memory.objects() == _plain(other)

    __hash__ = None  # type: ignore[assignment]

    @recursive_repr("{...}")
    def __repr__(self) -> str:
        return repr(self._memory.objects())

    # Updating

    def __setitem__(self, key: K, value: V) -> None:
        self._update(self._memory.put, key, value)

    def __delitem__(self, key: K) -> None:
        self._update(self._remove, key)

    def _remove(self, key: K) -> None:
        if key not in self._memory.keys:
            raise KeyError(key)
        self._memory.delete(key)

    @overload
    def pop(self, key: K) -> V: ...
    @overload
    def pop(self, key: K, default: V) -> V: ...
    @overload
    def pop(self, key: K, default: T) -> V | T: ...
    def pop(self, key: K, default: Any = MISSING) -> Any:
        return self._update(self._take, key, default)

    def _take(self, key: K, default: Any = MISSING) -> Any:
        if key in self._memory.keys:
            value = self._memory.touch(key)
            self._memory.delete(key)
            return value
        if default is MISSING:
            raise KeyError(key)
        return default

    def popitem(self) -> tuple[K, V]:
        return self._update(self._take_last)

    def _take_last(self) -> tuple[K, V]:
        if not self._memory.keys:
            raise KeyError("popitem(): dictionary is empty")
        key = next(reversed(self._memory.keys))
        return key, self._take(key)

    def clear(self) -> None:
        self._update(self._memory.clear)

    @overload
    def update(self, other: _Source[K, V] = (), /) -> None: ...
    @overload
    def update(self: LazyDict[str, V], other: _Source[str, V] = (), /, **items: V) -> None: ...
    def update(self, other: Any = (), /, **items: Any) -> None:
        self._update(self._set_all, {**_plain(other), **items} if items else _plain(other))

    @overload
    def setdefault(self: LazyDict[K, T | None], key: K, default: None = None) -> T | None: ...
    @overload
    def setdefault(self, key: K, default: V) -> V: ...
    def setdefault(self, key: K, default: Any = None) -> Any:
        return self._update(self._set_default, key, default)

    def _set_default(self, key: K, default: Any) -> Any:
        if key not in self._memory.keys:
            self._memory.put(key, default)
        return self[key]

    def __ior__(self, other: _Source[K, V]) -> Self:  # type: ignore[misc, override]  # takes more than `|` does
        self.update(other)
        return self

    def _set_all(self, items: dict[K, V]) -> None:
        for key, value in items.items():
            self._memory.put(key, value)

    # Combining

    def __or__(self, other: Any) -> Any:
        if not isinstance(other, (UserDict, dict)):
            return NotImplemented
        combined = self.copy()
        combined.update(other)
        return combined

    def __ror__(self, other: Any) -> Any:
        if not isinstance(other, (UserDict, dict)):
            return NotImplemented
        combined = self.copy()
        combined.clear()
        combined.update(other)
        combined.update(self)
        return combined


def _plain(items: Any) -> dict[Any, Any]:
    return items._memory.objects() if isinstance(items, LazyDict) else dict(items)
