"""Three-way merge of two versions of a file, by top-level key. Knows nothing of S3, nor of who wrote them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Raw

from ._format import codec
from ._memory import MISSING, Missing

Resolver = Callable[[Any, Any, Any, Any], Any]
"""`resolve(key, base, ours, theirs)` gives the value to store; `MISSING` stands for a key that isn't there."""


def merge(
    touched: Iterable[Any],
    base: codec.Members,
    ours: codec.Members,
    theirs: codec.Members,
    resolve: Resolver | None,
    types: codec.Types = codec.BUILT_IN,
) -> tuple[codec.Members, list[Any]]:
    """Do to `theirs` what was done to `base` to make `ours`. Costs what was touched, not what the files hold.

    Args:
        touched: the keys in which `ours` may differ from `base`.
        base: the version that both were made from; only the touched keys are looked at.
        ours: one version.
        theirs: the other version. Its order is kept.
        resolve: called for each key that both changed, also to the same value: two who both turn a counter from 5 to 6
            have counted to 7.
        types: the table of types.

    Returns:
        What both come to, and the keys that both changed to different values where there is no `resolve`.

    Raises:
        NotStorableError: `resolve` gave something that can't be stored.
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
