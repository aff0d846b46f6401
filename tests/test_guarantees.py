"""Promises of docs/guarantees.md without a test elsewhere: defaults, read-only dicts, copies, unseen edits."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from s3dictionary import ConflictError, ReadOnlyError, S3Dict, UnsavedChangesWarning
from support.adversary.hooked_s3 import HookedS3

D = S3Dict[Any, Any]


@pytest.fixture
def s3() -> HookedS3:
    return HookedS3()


# A default ------------------------------------------------------------------------------------------------------------


def add(key: str, base: int, ours: int, theirs: int) -> int:
    return theirs + ours - base


def test_two_counters_that_begin_at_a_default_of_0_add_up(s3: HookedS3) -> None:
    """In a merge, the default is the common base, although it was never saved."""
    one, two = (s3.open(default={"hits": 0}, on_conflict=add) for _ in range(2))
    for d in one, two:
        d["hits"] += 1
        d.save()
    assert s3.stored() == {"hits": 2}


def test_a_block_that_leaves_a_default_as_it_is_makes_no_file(s3: HookedS3) -> None:
    with s3.open(default={"jobs": [1]}) as d:
        assert d["jobs"] == [1]
    assert s3.stored() is None


def test_a_default_stands_in_again_when_the_file_is_gone(s3: HookedS3) -> None:
    d = s3.open(default={"jobs": []})
    with d:
        d["jobs"].append(1)
    s3.objects.clear()
    assert d.load() == {"jobs": []}
    assert not d.changed


# Read only ------------------------------------------------------------------------------------------------------------


def add_a_key(d: D) -> None:
    d["b"] = 2


def edit_in_a_block(d: D) -> None:
    with d:
        d["list"].append(2)


REFUSED: dict[str, Callable[[D], Any]] = {
    "an update": add_a_key,
    "an update of several": lambda d: d.update(a=2),
    "a removal": lambda d: d.pop("a"),
    "save()": S3Dict.save,
    "delete()": S3Dict.delete,
    "a block that edits inside a value": edit_in_a_block,
}


@pytest.mark.parametrize("action", REFUSED.values(), ids=REFUSED)
def test_a_read_only_dict_refuses_what_would_change_the_file(s3: HookedS3, action: Callable[[D], Any]) -> None:
    """It sends only GETs, and its content is unchanged."""
    d = s3.begin({"a": 1, "list": [1]}, read_only=True)
    writes = s3.requests["PutObject"]
    with pytest.raises(ReadOnlyError, match="s3://bucket/key was opened with read_only=True"):
        action(d)
    assert d == s3.stored() == {"a": 1, "list": [1]}
    assert s3.requests["PutObject"] == writes


def test_a_read_only_dict_loads_what_others_have_saved(s3: HookedS3) -> None:
    d = s3.begin({"a": 1}, read_only=True)
    with s3.open() as other:
        other["a"] = 2
    assert d.load() == {"a": 2}


def edit_inside(d: D) -> None:
    d["list"].append(2)


def edit_data(d: D) -> None:
    d.data["a"] = 2


@pytest.mark.parametrize("edit", [edit_inside, edit_data])
def test_an_edit_before_a_read_only_block_is_undone_with_a_warning(
    s3: HookedS3, enter: Callable[[D], Any], edit: Callable[[D], None]
) -> None:
    """A block is refused only for its own changes, and the warning comes once for each edit."""
    d = s3.begin({"a": 1, "list": [1]}, read_only=True)
    edit(d)
    with pytest.warns(UnsavedChangesWarning, match="s3://bucket/key was opened with read_only=True"), enter(d):
        assert d == {"a": 1, "list": [1]}
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnsavedChangesWarning)
        with enter(d):
            assert d == {"a": 1, "list": [1]}
        with pytest.raises(ReadOnlyError), enter(d):
            edit(d)
        with enter(d):
            assert d == {"a": 1, "list": [1]}


def test_the_warning_of_a_read_only_block_shows_its_line(s3: HookedS3, enter: Callable[[D], Any]) -> None:
    d = s3.begin({"list": [1]}, read_only=True)
    edit_inside(d)
    with pytest.warns(UnsavedChangesWarning) as warned, enter(d):
        pass
    assert [warning.filename for warning in warned] == [__file__]


# Copies ---------------------------------------------------------------------------------------------------------------


def test_a_copy_that_is_dropped_with_changes_gives_no_warning(s3: HookedS3) -> None:
    """A copy saves only when it is told to, so nobody expects it to be saved."""
    d = s3.begin({"a": [1]})
    gc.collect()  # dicts of other tests
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnsavedChangesWarning)
        for copy in d.copy(), d | {"b": 2}:
            copy["c"] = 3
            del copy
            gc.collect()
    assert s3.stored() == {"a": [1]}


# What S3 can't give ---------------------------------------------------------------------------------------------------


def test_a_create_that_comes_after_the_file_was_deleted_brings_it_back(s3: HookedS3) -> None:
    """Its only condition is that there be no file. The condition of a later save names a version."""
    late: list[dict[str, Any]] = []
    put = s3.put_object

    def keep(**request: Any) -> dict[str, Any]:
        late.append(request)
        return put(**request)

    s3.put_object = keep  # type: ignore[method-assign]
    d = s3.open(default={"a": 0})
    d.save()
    d["a"] = 1
    d.save()
    d.delete()
    create, save = late
    with pytest.raises(ClientError, match="NoSuchKey"):
        put(**save)
    assert s3.stored() is None
    put(**create)
    assert s3.stored() == {"a": 0}


# Edits that nobody can see as they happen -----------------------------------------------------------------------------


def test_an_edit_inside_a_value_while_a_block_loads_what_others_have_saved_is_kept(s3: HookedS3) -> None:
    """Memory is checked again before the loaded content replaces it. The edit then meets a conflict."""
    d = s3.begin({"list": [1]})
    held = d["list"]
    with d:
        pass  # so that the next block has to load
    with s3.open() as other:
        other["theirs"] = 1
    s3.once("GetObject", lambda: held.append(2))
    with pytest.raises(ConflictError) as caught, d:
        assert d["list"] is held
    assert caught.value.unsaved == {"list": [1, 2]}
    assert s3.stored() == {"list": [1], "theirs": 1}


def test_an_edit_inside_a_value_while_it_is_saved_is_an_unsaved_change(s3: HookedS3) -> None:
    """The request determines what was saved, not the content of memory when the answer arrives."""
    d = s3.begin({"list": [1]})
    held = d["list"]
    held.append(2)
    s3.once("PutObject", lambda: held.append(3))
    d.save()
    assert s3.stored() == {"list": [1, 2]}
    assert d.changed
    with d:
        pass
    assert s3.stored() == {"list": [1, 2, 3]}


def test_data_that_somebody_holds_is_still_the_dict_after_a_load(s3: HookedS3) -> None:
    d = s3.begin({"a": 1})
    data = d.data
    with s3.open() as other:
        other["a"] = 2
    d.load()
    assert data == {"a": 2}
    data["b"] = 3
    assert d == {"a": 2, "b": 3}
