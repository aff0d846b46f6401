"""The operations of a dict that the tests interrupt at each of their moments, and their results."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from s3dictionary import Rollback, S3Dict
from support.adversary.scenes import Boom, Content

D = S3Dict[Any, Any]


@dataclass(frozen=True)
class Operation:
    """Something to do with a dict.

    Attributes:
        act: does it.
        model: does the same to a plain dict.
        whole: it takes effect as a whole or not at all. Else that holds of each item.
        replaced: keys whose values it replaces.
        in_block: it can be done in a transaction, too.
        checkpoint: what a plain dict holds at a point where the operation has saved halfway.
    """

    act: Callable[[D], Any]
    model: Callable[[Content], Any] = lambda content: None
    whole: bool = True
    replaced: frozenset[str] = frozenset()
    in_block: bool = True
    checkpoint: Callable[[Content], Any] | None = field(default=None)

    def outcomes(self, before: Content) -> list[Content]:
        found = [before]
        for model in (self.checkpoint, self.model):
            if model is not None:
                content = deepcopy(before)
                model(content)
                found.append(content)
        return found


# Blocks ---------------------------------------------------------------------------------------------------------------


def edit(d: Any) -> None:
    """Edit at every depth, and add and remove items."""
    d["list"].append("edited")
    d["list"][1]["x"].append("edited")
    d["dict"]["k"] = ["edited"]
    d["set"].add("edited")
    d["n"] = "edited"
    del d["text"]
    d["new"] = [1]


def edit_more(d: Any) -> None:
    d["list"].clear()
    d["dict"]["more"] = 1
    d.pop("date", None)
    d["more"] = {"a": (1,)}


def with_that_commits(d: D) -> None:
    with d:
        edit(d)


def with_that_fails(d: D) -> None:
    with suppress(Boom), d:
        edit(d)
        raise Boom


def with_that_rolls_back(d: D) -> None:
    with d:
        edit(d)
        raise Rollback


def with_that_reads(d: D) -> None:
    with d:
        assert d["list"]
        assert d.get("date") is not None


def with_a_checkpoint(d: D) -> None:
    with suppress(Boom), d:
        edit(d)
        d.save()
        edit_more(d)
        raise Boom


def transaction_that_commits(d: D) -> None:
    with d.transaction():
        edit(d)


def transaction_that_fails(d: D) -> None:
    with suppress(Boom), d.transaction():
        edit(d)
        raise Boom


def transaction_that_is_empty(d: D) -> None:
    with d.transaction():
        pass


def nested_the_inner_one_fails(d: D) -> None:
    with d.transaction():
        edit(d)
        with suppress(Boom), d.transaction():
            edit_more(d)
            raise Boom


def nested_the_outer_one_fails(d: D) -> None:
    with suppress(Boom), d.transaction():
        edit(d)
        with d.transaction():
            edit_more(d)
        raise Boom


def nested_and_committed(d: D) -> None:
    with d, d.transaction():
        edit(d)
        with d.transaction():
            edit_more(d)


def decorated(d: D) -> None:
    @d.transaction()
    def function() -> None:
        edit(d)

    function()


def data_is_edited_in_a_block_that_fails(d: D) -> None:
    with suppress(Boom), d.transaction():
        edit(d.data)
        raise Boom


def edit_both(content: Content) -> None:
    edit(content)
    edit_more(content)


REPLACED_BY_EDIT = frozenset({"n", "text", "new"})

BLOCKS = {
    "with_that_commits": Operation(with_that_commits, edit, replaced=REPLACED_BY_EDIT),
    "with_that_fails": Operation(with_that_fails),
    "with_that_rolls_back": Operation(with_that_rolls_back),
    "with_that_reads": Operation(with_that_reads),
    "with_a_checkpoint": Operation(with_a_checkpoint, edit, replaced=REPLACED_BY_EDIT, in_block=False),
    "transaction_that_commits": Operation(transaction_that_commits, edit, replaced=REPLACED_BY_EDIT),
    "transaction_that_fails": Operation(transaction_that_fails),
    "transaction_that_is_empty": Operation(transaction_that_is_empty),
    "nested_the_inner_one_fails": Operation(nested_the_inner_one_fails, edit, replaced=REPLACED_BY_EDIT),
    "nested_the_outer_one_fails": Operation(nested_the_outer_one_fails),
    "nested_and_committed": Operation(nested_and_committed, edit_both, replaced=REPLACED_BY_EDIT | {"more"}),
    "decorated": Operation(decorated, edit, replaced=REPLACED_BY_EDIT),
    "data_is_edited_in_a_block_that_fails": Operation(data_is_edited_in_a_block_that_fails),
    "run": Operation(lambda d: d.run(edit), edit, replaced=REPLACED_BY_EDIT, in_block=False),
}


# Updates --------------------------------------------------------------------------------------------------------------

NEW = {"n": [5], "list": [6], "new": {"seven": 7}}


def set_data(d: Any) -> None:
    d.data = deepcopy(NEW)


def replace_all(content: Content) -> None:
    content.clear()
    content.update(deepcopy(NEW))


def or_new(d: Any) -> None:
    d |= deepcopy(NEW)


EVERYTHING = frozenset({"list", "dict", "tuple", "date", "set", "n", "text", "extra", "new"})

UPDATES = {
    "set_new": Operation(lambda d: d.__setitem__("new", (1, [2])), lambda c: c.__setitem__("new", (1, [2]))),
    "set_existing": Operation(
        lambda d: d.__setitem__("list", {"y"}), lambda c: c.__setitem__("list", {"y"}), replaced=frozenset({"list"})
    ),
    "del": Operation(lambda d: d.__delitem__("list"), lambda c: c.__delitem__("list")),
    "pop": Operation(lambda d: d.pop("set"), lambda c: c.pop("set")),
    "popitem": Operation(lambda d: d.popitem(), lambda c: c.popitem()),
    "setdefault_new": Operation(lambda d: d.setdefault("new", [1]), lambda c: c.setdefault("new", [1])),
    "setdefault_existing": Operation(lambda d: d.setdefault("list", 1)),
    "update": Operation(
        lambda d: d.update(deepcopy(NEW)), lambda c: c.update(deepcopy(NEW)), whole=False, replaced=frozenset(NEW)
    ),
    "or": Operation(or_new, or_new, whole=False, replaced=frozenset(NEW)),
    "clear": Operation(lambda d: d.clear(), lambda c: c.clear(), whole=False),
    "set_data": Operation(set_data, replace_all, whole=False, replaced=EVERYTHING),
}


# What changes nothing -------------------------------------------------------------------------------------------------


def iterate(d: D) -> Any:
    return [(key, d[key]) for key in d], list(d.items()), list(reversed(d)), [*d.values()], "n" in d, len(d)


READING = {
    "get": Operation(lambda d: (d["list"], d.get("date"), d.get("nothing"))),
    "iterate": Operation(iterate),
    "repr": Operation(repr),
    "equal": Operation(lambda d: d == {"list": 1}),
    "changed": Operation(lambda d: d.changed),
    "data": Operation(lambda d: d.data),
    "copy": Operation(lambda d: d.copy()),
    "copy_copy": Operation(copy.copy),
    "deepcopy": Operation(deepcopy),
    "combined": Operation(lambda d: d | {"n": 1}),
    "pickle": Operation(lambda d: pickle.loads(pickle.dumps(d))),
    "save": Operation(lambda d: d.save(), in_block=False),
}


# What is interrupted with autosave on

AUTOSAVED = {name: UPDATES[name] for name in UPDATES if name not in ("update", "or", "clear", "set_data")} | {
    "update": Operation(UPDATES["update"].act, UPDATES["update"].model, replaced=frozenset(NEW)),
    "clear": Operation(UPDATES["clear"].act, UPDATES["clear"].model),
    "transaction_that_commits": BLOCKS["transaction_that_commits"],
    "transaction_that_fails": BLOCKS["transaction_that_fails"],
    "with_that_commits": BLOCKS["with_that_commits"],
}
