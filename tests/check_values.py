"""What always holds inside of a `Values`, whatever was done with it."""

from __future__ import annotations

from typing import Any

from msgspec import Raw

from s3dictionary._memory.snapshots import SCALARS
from s3dictionary._memory.values import MISSING, Values


def check_values(values: Values) -> None:
    """Assert it, without touching anything. Not for values that are `Raw` themselves."""
    assert set(values.live) <= set(values.items)
    is_open = values.live is values.items
    _check_file(values, is_open)
    if is_open:
        assert Raw not in map(type, values.items.values()), "whoever holds the dict sees a raw value"
    else:
        _check_states(values)
    _check_savepoints(values, is_open)


def _check_file(values: Values, is_open: bool) -> None:
    loaded = values._loaded
    for key, item in values.items.items():
        if type(item) is Raw:
            assert loaded.get(key, item) is item, f"{key!r} is raw, but not as the file holds it"
        elif not is_open:
            assert key in loaded, f"{key!r} isn't raw, but taken for what the file holds"
    for key, raw in loaded.items():
        assert raw is MISSING or type(raw) is Raw
        if key not in values.items and raw is not MISSING:
            assert values._loaded_order is not None, f"{key!r} was removed, and its place forgotten"
    if values._loaded_order is not None:
        known = {key for key, raw in loaded.items() if raw is not MISSING}
        assert known <= set(values._loaded_order)


def _check_states(values: Values) -> None:
    for key, item in values.live.items():
        if key not in values.overwritable:
            assert item is values.items[key], f"{key!r} reads other than it will be saved"
        assert key in values._exposed or type(item) in SCALARS, f"{key!r} was handed out and not exposed"
    for key in values._exposed:
        assert key in values.live, f"{key!r} is exposed, but not live"
        assert key in values._loaded, f"{key!r} is exposed, and its change would not be seen"
    if values.overwritable:
        assert values.overwritable is values._exposed
        assert not values._savepoints, "another thread's writes wouldn't wait for the block"


def _check_savepoints(values: Values, is_open: bool) -> None:
    for savepoint in values._savepoints:
        for key in savepoint.snapshots:
            item = savepoint.journal[key]
            if savepoint.whole is not None:
                assert savepoint.whole.get(key, MISSING) is item, f"{key!r} would come back from the dead"
    if not values._savepoints:
        return
    innermost = values._savepoints[-1]
    if is_open:
        assert innermost.whole is not None, "changes in the dict itself couldn't be undone"
    if innermost.whole is None:
        assert values._exposed <= innermost.journal.keys(), "a write to what is exposed couldn't be undone"


def containing(values: Values, container: Any) -> list[Any]:
    """The keys of the values in which an object is, at any depth, without touching anything."""
    items = values.items | values.live
    return [key for key, item in items.items() if type(item) is not Raw and _contains(item, container)]


def _contains(item: Any, container: Any) -> bool:
    if item is container:
        return True
    if isinstance(item, dict):
        return any(_contains(inner, container) for inner in item.values())
    return isinstance(item, (list, tuple)) and any(_contains(inner, container) for inner in item)
