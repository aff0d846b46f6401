"""Three-way merge of two versions of a file, by top-level key. Knows nothing of S3 or of the writers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Raw

from ._format import codec
from ._memory import MISSING, Missing

Resolver = Callable[[Any, Any, Any, Any], Any]
"""`resolve(key, base, ours, theirs)` returns the value to store. `MISSING` stands for a missing key."""


def merge(
    touched: Iterable[Any],
    base: codec.Members,
    ours: codec.Members,
    theirs: codec.Members,
    resolve: Resolver | None,
    types: codec.Types = codec.BUILT_IN,
) -> tuple[codec.Members, list[Any]]:
    """Apply the changes from `base` to `ours` to `theirs`. The cost depends on the number of touched keys.

    Args:
        touched: the keys in which `ours` may differ from `base`.
        base: the version that both are based on. Only the touched keys are compared.
        ours: one version.
        theirs: the other version. Its order is kept.
        resolve: called for each key that both sides changed, even to the same value: if both change a counter from 5 to
            6, the result should be 7.
        types: the table of types.

    Returns:
        The merged members, and the keys that both sides changed to different values, if there is no `resolve`.

    Raises:
        NotStorableError: `resolve` returned a value that can't be stored.
    """
    merged = dict(theirs)
    clashes = []
    for key in touched:
        before, mine, other = (version.get(key, MISSING) for version in (base, ours, theirs))
        if _same(mine, before) or mine is other is MISSING or (resolve is None and _same(mine, other)):
            continue
        if not _same(other, before):
            if resolve is None:
                clashes.append(key)
                continue
            value = resolve(key, *(_value(raw, types, key) for raw in (before, mine, other)))
            mine = MISSING if value is MISSING else codec.encode_all({key: value}, types)[key]
        if mine is MISSING:
            merged.pop(key, None)
        else:
            merged[key] = mine
    return merged, clashes


def _same(one: Raw | Missing, other: Raw | Missing) -> bool:
    if one is MISSING or other is MISSING:
        return one is other
    return bytes(one) == bytes(other) or codec.canonical(one) == codec.canonical(other)


def _value(raw: Raw | Missing, types: codec.Types, key: Any) -> Any:
    return MISSING if raw is MISSING else codec.decode(raw, types, (key,))
