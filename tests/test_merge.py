"""Merging the changes of two writers of one file."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.config import Config

from s3dictionary import MISSING, ConflictError, CorruptFileError, NotStorableError, S3Dict, StorageError
from s3dictionary._format import codec
from s3dictionary._merge import merge
from support.memory_s3 import MemoryS3
from support.own_classes import Job, job
from support.proxy import LostAnswer
from support.servers import Site

FILE = "state.json"
START = {"a": 1, "b": [1], "c": {"x": 1}, "d": "gone soon"}


def open_file(s3: Site, **options: Any) -> S3Dict[str, Any]:
    return S3Dict(s3.bucket, file_name=FILE, **s3.options, **options)


def stored(s3: Site) -> Any:
    return json.loads(s3.read(FILE))


@pytest.fixture
def ours(s3: Site) -> S3Dict[str, Any]:
    """A dict that merges, loaded from `START`."""
    s3.write(FILE, json.dumps(START).encode())
    return open_file(s3, on_conflict="merge")


# What a merge gives


def test_changes_of_different_keys_are_both_kept(s3: Site, ours: S3Dict[str, Any]) -> None:
    ours["b"].append(2)
    s3.write(FILE, json.dumps({**START, "c": {"x": 2}}).encode())
    ours.save()
    assert stored(s3) == {**START, "b": [1, 2], "c": {"x": 2}}


def test_afterwards_memory_holds_the_merged_state(s3: Site, ours: S3Dict[str, Any]) -> None:
    ours["new"] = 1
    s3.write(FILE, json.dumps({**START, "theirs": 2}).encode())
    ours.save()
    assert ours == stored(s3) == {**START, "theirs": 2, "new": 1}
    assert not ours.changed
    assert list(ours) == list(stored(s3)), "in the order of the file"


def test_the_next_save_goes_on_from_there(s3: Site, ours: S3Dict[str, Any]) -> None:
    ours["new"] = 1
    s3.write(FILE, json.dumps({**START, "theirs": 2}).encode())
    ours.save()
    s3.requests.clear()
    ours["new"] = 2
    ours.save()
    assert s3.requests.count() == {"PUT": 1}


def test_aliases_of_values_that_nobody_else_changed_stay_valid(s3: Site, ours: S3Dict[str, Any]) -> None:
    changed, read, theirs = ours["b"], ours["c"], ours["c"]
    changed.append(2)
    s3.write(FILE, json.dumps({**START, "a": 2}).encode())
    ours.save()
    assert ours["b"] is changed
    assert ours["c"] is read is theirs
    changed.append(3)
    ours.save()
    assert stored(s3)["b"] == [1, 2, 3]


def test_a_deletion_is_a_change(s3: Site, ours: S3Dict[str, Any]) -> None:
    del ours["d"]
    s3.write(FILE, json.dumps({**START, "a": 2}).encode())
    ours.save()
    assert stored(s3) == {"a": 2, "b": [1], "c": {"x": 1}}


def test_what_they_deleted_stays_deleted(s3: Site, ours: S3Dict[str, Any]) -> None:
    ours["a"] = 2
    s3.write(FILE, json.dumps({"a": 1, "b": [1]}).encode())
    ours.save()
    assert ours == stored(s3) == {"a": 2, "b": [1]}


def test_the_same_change_on_both_sides_is_no_conflict(s3: Site, ours: S3Dict[str, Any]) -> None:
    ours["a"] = 5
    del ours["d"]
    s3.write(FILE, b'{"a" : 5, "b": [1], "c": {"x": 1}, "theirs": 1}')
    ours.save()
    assert stored(s3) == {"a": 5, "b": [1], "c": {"x": 1}, "theirs": 1}


def test_another_spacing_is_no_change(s3: Site, ours: S3Dict[str, Any]) -> None:
    ours["c"]["x"] = 2
    s3.write(FILE, json.dumps({**START, "a": 2}, indent=4).encode())
    ours.save()
    assert stored(s3) == {**START, "a": 2, "c": {"x": 2}}


def test_a_file_that_someone_created_first_is_merged_with(s3: Site) -> None:
    ours = open_file(s3, on_conflict="merge")
    ours["ours"] = 1
    s3.write(FILE, b'{"theirs": 2}')
    ours.save()
    assert stored(s3) == {"theirs": 2, "ours": 1}


def test_a_file_that_someone_deleted_holds_just_our_changes(s3: Site, ours: S3Dict[str, Any]) -> None:
    ours["new"] = 1
    s3.client.delete_object(Bucket=s3.bucket, Key=FILE)
    ours.save()
    assert ours == stored(s3) == {"new": 1}


def test_the_block_at_whose_end_it_merges_sees_the_merged_state(s3: Site, ours: S3Dict[str, Any]) -> None:
    with ours:
        ours["new"] = 1
        s3.write(FILE, json.dumps({**START, "theirs": 2}).encode())
    assert ours == stored(s3) == {**START, "theirs": 2, "new": 1}


def test_a_checkpoint_merges_too_and_is_what_a_rollback_goes_back_to(s3: Site, ours: S3Dict[str, Any]) -> None:
    with pytest.raises(ZeroDivisionError), ours:
        ours["new"] = 1
        s3.write(FILE, json.dumps({**START, "theirs": 2}).encode())
        ours.save()
        ours["newer"] = 1 / 0
    assert ours == stored(s3) == {**START, "theirs": 2, "new": 1}


# When it can't


def test_a_key_that_both_changed_is_a_conflict_that_names_it(s3: Site, ours: S3Dict[str, Any]) -> None:
    ours["a"], ours["b"] = 2, [2]
    ours["mine"] = 1
    etag = s3.write(FILE, json.dumps({**START, "a": 3, "b": [3]}).encode())
    with pytest.raises(ConflictError, match=r"'a', 'b'") as caught:
        ours.save()
    assert caught.value.keys == ("a", "b")
    assert caught.value.etag == etag
    assert caught.value.last_modified is not None
    assert caught.value.__cause__ is not None
    assert stored(s3) == {**START, "a": 3, "b": [3]}
    assert ours == {**START, "a": 2, "b": [2], "mine": 1}, "memory is untouched by an explicit save()"


def test_deleting_what_they_changed_is_a_conflict(s3: Site, ours: S3Dict[str, Any]) -> None:
    del ours["a"]
    s3.write(FILE, json.dumps({**START, "a": 3}).encode())
    with pytest.raises(ConflictError) as caught:
        ours.save()
    assert caught.value.keys == ("a",)


def test_at_the_end_of_a_block_a_conflict_undoes_it_and_keeps_what_was_unsaved(
    s3: Site, ours: S3Dict[str, Any]
) -> None:
    with pytest.raises(ConflictError) as caught, ours:
        ours["a"] = 2
        s3.write(FILE, json.dumps({**START, "a": 3}).encode())
    assert ours == START
    assert caught.value.unsaved == {**START, "a": 2}


def test_what_they_wrote_must_be_readable(s3: Site, ours: S3Dict[str, Any]) -> None:
    ours["a"] = 2
    s3.write(FILE, b"not JSON")
    with pytest.raises(CorruptFileError):
        ours.save()
    assert s3.read(FILE) == b"not JSON"
    assert ours["a"] == 2


# A function that resolves


def add(key: str, base: Any, ours: Any, theirs: Any) -> Any:
    return theirs + ours - (0 if base is MISSING else base)


def test_a_function_makes_a_shared_counter(s3: Site) -> None:
    s3.write(FILE, b'{"n":5,"other":1}')
    ours = open_file(s3, on_conflict=add)
    ours["n"] += 2
    s3.write(FILE, b'{"n":105,"other":1}')
    ours.save()
    assert ours == stored(s3) == {"n": 107, "other": 1}


def test_it_is_called_for_just_the_keys_that_both_changed(s3: Site) -> None:
    """Also if both changed one to the same value, but not if both removed it."""
    calls = []

    def resolve(*arguments: Any) -> Any:
        calls.append(arguments)
        return "resolved"

    start = {**START, "same": 1, "removed": 1}
    s3.write(FILE, json.dumps(start).encode())
    ours = open_file(s3, on_conflict=resolve)
    ours.update(a=2, b=[2], same=2, new=1)
    del ours["d"], ours["removed"]
    theirs = {**start, "a": 3, "c": 3, "d": "changed", "same": 2, "new": 2}
    del theirs["removed"]
    s3.write(FILE, json.dumps(theirs).encode())
    ours.save()
    assert calls == [
        ("a", 1, 2, 3),
        ("same", 1, 2, 2),
        ("new", MISSING, 1, 2),
        ("d", "gone soon", MISSING, "changed"),
    ]
    assert stored(s3) == {"a": "resolved", "b": [2], "c": 3, "d": "resolved", "same": "resolved", "new": "resolved"}


def test_it_gets_and_gives_instances_of_the_classes_that_were_given() -> None:
    s3 = MemoryS3()

    def opened(**options: Any) -> S3Dict[str, Job]:
        return S3Dict("bucket", file_name=FILE, client=s3, types=[Job], **options)

    def join(key: str, base: Any, ours: Job, theirs: Job) -> Job:
        return job(f"{ours.name} and {theirs.name}")

    ours = opened(on_conflict=join)
    ours["a"] = job("ours")
    opened(data={"a": job("theirs")}).save()
    ours.save()
    assert opened() == {"a": job("ours and theirs")}


def test_it_can_take_a_key_away(s3: Site) -> None:
    s3.write(FILE, b'{"n":5}')
    ours = open_file(s3, on_conflict=lambda *_: MISSING)
    ours["n"] = 6
    s3.write(FILE, b'{"n":7}')
    ours.save()
    assert ours == stored(s3) == {}


def test_what_it_gives_must_be_storable(s3: Site) -> None:
    s3.write(FILE, b'{"n":5}')
    ours = open_file(s3, on_conflict=lambda *_: [object()])
    ours["n"] = 6
    s3.write(FILE, b'{"n":7}')
    with pytest.raises(NotStorableError, match=r"d\['n'\]\[0\]"):
        ours.save()
    assert stored(s3) == {"n": 7}
    assert ours == {"n": 6}


def test_what_it_raises_goes_on_and_nothing_is_saved(s3: Site) -> None:
    s3.write(FILE, b'{"n":5}')
    ours = open_file(s3, on_conflict=lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError), ours:
        ours["n"] = 6
        s3.write(FILE, b'{"n":7}')
    assert stored(s3) == {"n": 7}
    assert ours == {"n": 5}


def test_a_save_that_got_no_answer_but_took_effect_is_not_counted_twice(moto_s3: Site) -> None:
    """Its id shows that the increment is already in the file."""
    moto_s3.write(FILE, b'{"n":5}')
    once = Config(retries={"total_max_attempts": 1})
    ours = open_file(moto_s3, on_conflict=add, config=once)
    ours["n"] += 1
    moto_s3.faults.append(LostAnswer(method="PUT"))
    with pytest.raises(StorageError, match="not known"):
        ours.save()
    with open_file(moto_s3) as theirs:
        assert theirs["n"] == 6
        theirs["n"] += 1
    ours.save()
    assert ours["n"] == stored(moto_s3)["n"] == 7


# What it costs


def test_only_what_was_touched_here_is_decoded_and_encoded(moto_s3: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Merging takes time for the changes, not for the whole file."""
    content = {f"key-{number}": [number] for number in range(1000)}
    moto_s3.write(FILE, json.dumps(content).encode())
    ours = open_file(moto_s3, on_conflict="merge")
    ours["key-7"].append(8)
    moto_s3.write(FILE, json.dumps({**content, "key-9": 0}).encode())
    coded = []
    for name in ("decode", "encode"):
        real = getattr(codec, name)
        monkeypatch.setattr(codec, name, lambda *args, real=real: coded.append(args) or real(*args))
    ours.save()
    assert len(coded) < 20
    monkeypatch.undo()
    assert stored(moto_s3) == {**content, "key-7": [7, 8], "key-9": 0}


def test_merging_is_by_key_and_knows_types() -> None:
    """1 and True are equal in Python, but they are different values."""
    base, ours, theirs = (codec.split(body) for body in (b'{"a":1,"b":1}', b'{"a":true,"b":1}', b'{"a":1.0,"b":2}'))
    merged, clashes = merge(["a", "b"], base, ours, theirs, None)
    assert clashes == ["a"]
    assert codec.join(merged) == b'{"a":1.0,"b":2}'
