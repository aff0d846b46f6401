"""Transactions in memory: short, long, nested and rolled back."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import cycle, islice
from typing import Any

from s3dictionary import Rollback

from .data import records
from .local import disk_cache, s3dict, sqlite_dict
from .plots import lines
from .report import Section, Table, duration, spread
from .rivals import Ours
from .stage import Stage
from .timing import Contender, Times, cpu, side_by_side

TEXT = """\
Each transaction edits a record. In the first table, it is one of the same 100 records, whatever the size. The times
are processor time. `copy.deepcopy` stands for a hand-written rollback of a dict: copy everything, and put the copy
back if something fails. sqlitedict has only `commit()`, and no rollback. diskcache has `transact()`, which flattens
nested transactions. Both write a row for each edit, so their times hardly depend on the size; they were measured up
to 100,000 records. In a dict of 100 records, "1,000 edited" edits each record ten times."""

DEEPCOPY = "dict + copy.deepcopy"


def measure(stage: Stage) -> Section:
    section = Section("Transactions", TEXT)
    sizes = (100, 10_000) if stage.quick else (100, 1_000, 10_000, 100_000, 1_000_000)
    series: dict[str, dict[int, float]] = {}
    kinds: dict[str, list[str]] = {name: [] for name in KINDS}
    for size in sizes:
        times, of_kinds = _at_size(stage, size)
        for name, its in times.items():
            series.setdefault(name, {})[size] = its.median
        for name, its in of_kinds.items():
            kinds[name].append(duration(its.median))
        section.facts[f"transaction {size}"] = times[Ours.name].median
    names = list(series)
    rows = [[f"{size:,}", *(_cell(series[name].get(size)) for name in names)] for size in sizes]
    section.tables.append(Table(["records", *names], rows, "A transaction that edits one record"))
    columns = ["", *(f"{size:,} records" for size in sizes)]
    section.tables.append(
        Table(columns, [[name, *cells] for name, cells in kinds.items()], "S3Dict, kinds of transactions")
    )
    table, last_over_first = _one_after_the_other(stage)
    section.tables.append(table)
    section.facts["last over first"] = last_over_first
    title = "A transaction that edits one record"
    section.plots[title] = lines(series, title=title, x_label="records in the dict", y_text=duration)
    return section


def _cell(seconds: float | None) -> str:
    return "" if seconds is None else duration(seconds)


def _at_size(stage: Stage, size: int) -> tuple[dict[str, Times], dict[str, Times]]:
    """Times of a transaction in each contender, and of each kind of transaction in S3Dict."""
    content = records(size)
    copied = {100: 100, 1_000: 20}.get(size, 1)
    with ExitStack() as stack:
        state = s3dict(stage, content)
        contenders: dict[str, Contender] = {
            Ours.name: _timed(partial(_ours, state), content, 2_000),
            DEEPCOPY: _timed(partial(_by_deepcopy, content), content, copied),
        }
        if size <= 100_000:
            sqlite = stack.enter_context(sqlite_dict(content))
            disk = stack.enter_context(disk_cache(content))
            contenders["sqlitedict"] = _timed(partial(_in_sqlitedict, sqlite), content, 200)
            contenders["diskcache"] = _timed(partial(_in_diskcache, disk), content, 200)
        rounds = 3 if stage.quick else 7
        times = side_by_side(contenders, rounds, seldom={DEEPCOPY: 1} if size > 10_000 else {})
        return times, _kinds(state, cycle(list(content)), rounds)


def _timed(transaction: Callable[[str], None], content: dict[str, Any], times: int) -> Contender:
    """This many transactions in each round, on the same 100 records whatever the size."""
    keys = cycle(list(content)[:: len(content) // 100])

    def run() -> None:
        for _ in range(times):
            transaction(next(keys))

    return cpu(run, per=times)


def _ours(state: Any, key: str) -> None:
    with state.transaction():
        state[key]["visits"] += 1


def _by_deepcopy(state: dict[str, Any], key: str) -> None:
    before = copy.deepcopy(state)
    try:
        state[key]["visits"] += 1
    except BaseException:
        state.clear()
        state.update(before)
        raise


def _in_sqlitedict(mapping: Any, key: str) -> None:
    value = mapping[key]
    value["visits"] += 1
    mapping[key] = value
    mapping.commit()


def _in_diskcache(cache: Any, key: str) -> None:
    with cache.transact():
        value = cache[key]
        value["visits"] += 1
        cache[key] = value


# Kinds ----------------------------------------------------------------------------------------------------------------

Keys = Iterator[str]

DEPTH = 10
EDITS = 1_000


def _nothing(state: Any, keys: Keys) -> None:
    with state.transaction():
        pass


def _one_edited(state: Any, keys: Keys) -> None:
    _ours(state, next(keys))


def _one_rolled_back(state: Any, keys: Keys) -> None:
    with state.transaction():
        state[next(keys)]["visits"] += 1
        raise Rollback


def _nested(state: Any, keys: Keys, depth: int = DEPTH) -> None:
    with state.transaction():
        if depth > 1:
            _nested(state, keys, depth - 1)
        else:
            state[next(keys)]["visits"] += 1


def _long(state: Any, keys: Keys) -> None:
    with state.transaction():
        for key in islice(keys, EDITS):
            state[key]["visits"] += 1


def _long_rolled_back(state: Any, keys: Keys) -> None:
    with state.transaction():
        for key in islice(keys, EDITS):
            state[key]["visits"] += 1
        raise Rollback


def _one_replaced(state: Any, keys: Keys) -> None:
    with state.transaction():
        state[next(keys)] = 5


# How often a round, and by how many its time is divided. The last one leaves nothing to edit behind
KINDS: dict[str, tuple[Callable[[Any, Keys], None], int, int]] = {
    "nothing in it": (_nothing, 1_000, 1),
    "one record edited": (_one_edited, 1_000, 1),
    "one edited, rolled back": (_one_rolled_back, 1_000, 1),
    f"one edited, {DEPTH} blocks deep: for each block": (_nested, 100, DEPTH),
    f"{EDITS:,} edited: for each": (_long, 2, EDITS),
    f"{EDITS:,} edited, rolled back: for each": (_long_rolled_back, 2, EDITS),
    "one record replaced": (_one_replaced, 1_000, 1),
}


def _kinds(state: Any, keys: Keys, rounds: int) -> dict[str, Times]:
    times = {}
    for name, (transaction, often, per) in KINDS.items():
        contender = cpu(partial(_repeat, partial(transaction, state, keys), often), per=often * per)
        times |= side_by_side({name: contender}, rounds)
    return times


def _repeat(function: Callable[[], None], times: int) -> None:
    for _ in range(times):
        function()


def _one_after_the_other(stage: Stage) -> tuple[Table, float]:
    """Measure whether earlier transactions make later ones slower."""
    content = records(20_000)
    keys = list(content)
    state = s3dict(stage, content)
    part = [
        cpu(partial(_many, state, keys[start : start + 1_000]), per=1_000)() for start in range(0, len(keys), 1_000)
    ]
    first, last = Times(tuple(part[:5])), Times(tuple(part[-5:]))
    rows = [[name, duration(its.median), spread(its)] for name, its in (("first", first), ("last", last))]
    title = "S3Dict, the first and the last 5,000 of 20,000 transactions, each on another record"
    return Table(["", "median", "half of them"], rows, title), last.median / first.median


def _many(state: Any, keys: list[str]) -> None:
    for key in keys:
        _ours(state, key)
