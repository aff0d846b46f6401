"""A dict in full over `Values`. Knows neither S3 nor blocks: what an update involves is up to `_updating`."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Collection, ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from contextlib import AbstractContextManager
from reprlib import recursive_repr
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ._memory.values import MISSING, Values

T = TypeVar("T")

if TYPE_CHECKING:
    from _typeshed import SupportsKeysAndGetItem
    from typing_extensions import Self
    from typing_extensions import TypeVar as TypeVarWithDefault

    # `S3Dict("bucket", file_name="a.json")` alone doesn't tell what is in it
    K = TypeVarWithDefault("K", default=Any)
    V = TypeVarWithDefault("V", default=Any)
    _Source = SupportsKeysAndGetItem[K, V] | Iterable[tuple[K, V]]
else:
    K = TypeVar("K")
    V = TypeVar("V")


class _DictView(Collection[T]):
    """What dict's views have and those of `collections.abc` lack."""

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

    def __reversed__(self) -> Iterator[K]:
        return reversed(self._mapping)


class _Values(_DictView[V], ValuesView[V]):
    _name = "dict_values"

    def __reversed__(self) -> Iterator[V]:
        return (self._mapping[key] for key in reversed(self._mapping))


class _Items(_DictView[tuple[K, V]], ItemsView[K, V]):
    _name = "dict_items"

    def __contains__(self, item: object) -> bool:
        # Not the inherited one, which fails for what isn't a pair, and asks __missing__
        if not isinstance(item, tuple) or len(item) != 2 or item[0] not in self._mapping:
            return False
        value = self._mapping[item[0]]
        return value is item[1] or bool(value == item[1])

    def __reversed__(self) -> Iterator[tuple[K, V]]:
        return ((key, self._mapping[key]) for key in reversed(self._mapping))


class LazyDict(UserDict[K, V]):
    """A dict whose values are decoded when they are touched.

    The mutators are written out, not inherited from `MutableMapping`: those go item by item, and each would be an
    update of its own.
    """

    _values: Values

    def _updating(self) -> AbstractContextManager[Any]:
        """What to hold while the dict is updated."""
        raise NotImplementedError

    @property
    def data(self) -> dict[K, V]:
        """The dict itself, a real one, with everything in it decoded."""
        return self._values.open()

    @data.setter
    def data(self, content: Mapping[K, V]) -> None:
        items = dict(content)
        with self._updating():
            self._values.clear()
            self._set_all(items)

    # Reading. Nothing here waits for a block of another thread

    def __getitem__(self, key: K) -> V:
        try:
            return self._values.live[key]  # type: ignore[no-any-return]
        except KeyError:
            return self._touch(key)

    def _touch(self, key: K) -> V:
        try:
            return self._values.touch(key)  # type: ignore[no-any-return]
        except KeyError:
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
        # Not by __getitem__, which would ask __missing__; nor by asking first, as another thread may remove it
        value = self._values.live.get(key, MISSING)
        if value is not MISSING:
            return value
        try:
            return self._values.touch(key)
        except KeyError:
            return default

    def __contains__(self, key: object) -> bool:
        return key in self._values.items

    def __len__(self) -> int:
        return len(self._values.items)

    def __iter__(self) -> Iterator[K]:
        return iter(self._values.items)

    def __reversed__(self) -> Iterator[K]:
        keys: dict[K, Any] = self._values.items
        return reversed(keys)

    def keys(self) -> _Keys[K]:
        return _Keys(self)

    def values(self) -> _Values[V]:
        return _Values(self)

    def items(self) -> _Items[K, V]:
        return _Items(self)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, LazyDict):
            return self._values.decoded() == other._values.decoded()
        if isinstance(other, Mapping):
            return self._values.decoded() == dict(other.items())
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self._values.decoded())

    # Updating

    def __setitem__(self, key: K, value: V) -> None:
        values = self._values
        live = values.live
        if key in values.overwritable:  # a lock would cost more than all the rest
            live[key] = value
            if (live is values.live and key in values.overwritable) or key not in live:
                return
        with self._updating():
            values.set(key, value)

    def __delitem__(self, key: K) -> None:
        with self._updating():
            if key not in self._values.items:
                raise KeyError(key)
            self._values.delete(key)

    @overload
    def pop(self, key: K) -> V: ...
    @overload
    def pop(self, key: K, default: V) -> V: ...
    @overload
    def pop(self, key: K, default: T) -> V | T: ...
    def pop(self, key: K, default: Any = MISSING) -> Any:
        with self._updating():
            if key in self._values.items:
                value = self[key]
                self._values.delete(key)
                return value
        if default is MISSING:
            raise KeyError(key)
        return default

    def popitem(self) -> tuple[K, V]:
        with self._updating():
            if not self._values.items:
                raise KeyError("popitem(): dictionary is empty")
            key = next(reversed(self._values.items))
            value = self[key]
            self._values.delete(key)
            return key, value

    def clear(self) -> None:
        with self._updating():
            self._values.clear()

    @overload
    def update(self, other: _Source[K, V] = (), /) -> None: ...
    @overload
    def update(self: LazyDict[str, V], other: _Source[str, V] = (), /, **items: V) -> None: ...
    def update(self, other: Any = (), /, **items: Any) -> None:
        new = dict(other, **items)
        with self._updating():
            self._set_all(new)

    @overload
    def setdefault(self: LazyDict[K, T | None], key: K, default: None = None) -> T | None: ...
    @overload
    def setdefault(self, key: K, default: V) -> V: ...
    def setdefault(self, key: K, default: Any = None) -> Any:
        with self._updating():
            if key not in self._values.items:
                self._values.set(key, default)
            return self[key]

    def __ior__(self, other: _Source[K, V]) -> Self:  # type: ignore[misc, override]  # takes more than `|` does
        self.update(other)
        return self

    def _set_all(self, items: dict[K, V]) -> None:
        for key, value in items.items():
            self._values.set(key, value)

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
