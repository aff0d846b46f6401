"""Autosave saves each update at once, and nested edits with the next update, or at exit at the latest."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from s3dictionary import S3Dict, StorageError
from s3dictionary import _exits as exits
from support.proxy import Answer
from support.servers import Site


def state(s3: Site, **options: Any) -> S3Dict:
    return S3Dict(s3.bucket, **{"file_name": "state.json", **s3.options, **options})


def autosaved(s3: Site) -> S3Dict:
    """An autosaved dict that was loaded from a file, with its requests cleared."""
    s3.write("state.json", b'{"jobs":[1],"n":{"a":1}}')
    d = state(s3, autosave=True)
    s3.requests.clear()
    return d


def content(s3: Site) -> Any:
    return json.loads(s3.read("state.json"))


# Switching it on and off


def test_it_is_off_unless_asked_for(moto_s3: Site) -> None:
    d = state(moto_s3)
    moto_s3.requests.clear()
    d["a"] = 1
    d.update(b=2)
    assert not d.autosave
    assert moto_s3.requests.log == []


def test_switching_it_on_saves_also_what_was_edited_before(moto_s3: Site) -> None:
    d = state(moto_s3)
    d["a"] = [1]
    d["a"].append(2)
    d.autosave = True
    assert content(moto_s3) == {"a": [1, 2]}


def test_if_that_save_fails_it_stays_off(moto_s3: Site) -> None:
    d = state(moto_s3)
    d["a"] = 1
    moto_s3.faults.append(Answer(403, "AccessDenied"))
    with pytest.raises(StorageError):
        d.autosave = True
    assert not d.autosave
    assert d == {"a": 1}


@pytest.mark.parametrize("value", [1, 0, None, "yes"])
def test_it_must_be_a_bool(moto_s3: Site, value: Any) -> None:
    d = state(moto_s3)
    with pytest.raises(ValueError, match="autosave"):
        d.autosave = value
    assert d.autosave is False


def test_switched_on_inside_a_block_it_saves_at_the_end(moto_s3: Site) -> None:
    d = state(moto_s3)
    with d.transaction():
        d["a"] = 1
        d.autosave = True
        assert "PUT" not in moto_s3.requests.count()
    assert content(moto_s3) == {"a": 1}


# Updates


def test_every_update_is_in_s3_when_it_returns(moto_s3: Site) -> None:
    d = state(moto_s3, autosave=True)
    d["a"] = 1
    assert content(moto_s3) == {"a": 1}
    d |= {"b": 2}
    assert content(moto_s3) == {"a": 1, "b": 2}
    assert d.pop("a") == 1
    assert content(moto_s3) == {"b": 2}
    assert d.setdefault("c", []) == []
    assert content(moto_s3) == {"b": 2, "c": []}
    assert d.popitem() == ("c", [])
    assert content(moto_s3) == {"b": 2}
    d.clear()
    assert content(moto_s3) == {}


def test_inside_a_block_it_waits_for_the_end(moto_s3: Site) -> None:
    d = autosaved(moto_s3)
    with d.transaction():
        d["a"] = 1
        d["b"] = 2
        assert moto_s3.requests.log == []
    assert moto_s3.requests.count() == {"PUT": 1}


# Nested edits


def test_a_nested_edit_is_a_change_but_not_yet_saved(moto_s3: Site) -> None:
    d = autosaved(moto_s3)
    d["jobs"].append(2)
    assert d.changed
    assert moto_s3.requests.log == []
    d.load()


@pytest.mark.parametrize(
    "update",
    [
        lambda d: d.update(other=1),
        lambda d: d.pop("n"),
        lambda d: d.__setitem__("jobs", d["jobs"]),
        lambda d: d.setdefault("jobs", []),
        lambda d: d.update(),
    ],
)
def test_a_nested_edit_is_written_with_the_next_update(moto_s3: Site, update: Any) -> None:
    d = autosaved(moto_s3)
    d["jobs"].append(2)
    update(d)
    assert moto_s3.requests.count() == {"PUT": 1}
    assert content(moto_s3) == d
    assert content(moto_s3)["jobs"] == [1, 2]


def test_a_nested_edit_is_written_by_save(moto_s3: Site) -> None:
    d = autosaved(moto_s3)
    d["n"]["b"] = 2
    d.save()
    assert content(moto_s3)["n"] == {"a": 1, "b": 2}
    assert not d.changed


@pytest.mark.parametrize("block", [S3Dict.transaction, lambda d: d], ids=["transaction", "with"])
def test_a_nested_edit_in_a_block_is_written_at_its_end(moto_s3: Site, block: Any) -> None:
    d = autosaved(moto_s3)
    with block(d):
        d["jobs"].append(2)
        d["n"]["deep"] = {"er": [1]}
        d["n"]["deep"]["er"].append(2)
    assert moto_s3.requests.count()["PUT"] == 1
    assert content(moto_s3) == {"jobs": [1, 2], "n": {"a": 1, "deep": {"er": [1, 2]}}}


def test_a_nested_edit_through_an_alias_is_seen(moto_s3: Site) -> None:
    d = state(moto_s3, autosave=True)
    jobs: list[int] = []
    d["jobs"] = jobs
    jobs.append(1)
    assert d.changed
    d["other"] = 1
    assert content(moto_s3) == {"jobs": [1], "other": 1}


def test_a_nested_edit_before_a_failed_update_is_kept(moto_s3: Site) -> None:
    """Only the update is undone, because the edit wasn't part of it."""
    d = autosaved(moto_s3)
    d["jobs"].append(2)
    moto_s3.faults.append(Answer(403, "AccessDenied"))
    with pytest.raises(StorageError) as error:
        d["other"] = 1
    assert error.value.unsaved == {"jobs": [1, 2], "n": {"a": 1}, "other": 1}
    assert d == {"jobs": [1, 2], "n": {"a": 1}}
    assert d.changed
    d.save()


# The end of a dict


def test_a_dict_that_is_dropped_sends_nothing(moto_s3: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exits, "_kept", kept := [])
    d = autosaved(moto_s3)
    d["jobs"].append(2)
    del d
    gc.collect()
    assert moto_s3.requests.log == []
    assert [ending._memory.objects() for ending in kept] == [{"jobs": [1, 2], "n": {"a": 1}}]


@pytest.mark.parametrize("autosave", [True, False])
def test_a_dict_that_is_dropped_with_nothing_to_autosave_is_gone(
    moto_s3: Site, monkeypatch: pytest.MonkeyPatch, autosave: bool
) -> None:
    monkeypatch.setattr(exits, "_kept", kept := [])
    d = autosaved(moto_s3)
    d.autosave = autosave
    if not autosave:
        d["jobs"].append(2)
    del d
    gc.collect()
    assert kept == []


# The end of the program


def run(s3: Site, script: str, *, code: int = 0) -> str:
    """Run a script. Returns its standard error, without boto3's warnings about open connections."""
    environ = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": s3.server.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.server.secret_key,
        "AWS_DEFAULT_REGION": s3.server.region,
        "AWS_ENDPOINT_URL_S3": s3.endpoint_url,
        "AWS_MAX_ATTEMPTS": "1",
        "BUCKET": s3.bucket,
    }
    begin = """
import os, sys, threading
from s3dictionary import S3Dict

def state(**options):
    return S3Dict(os.environ["BUCKET"], **{"file_name": "state.json", **options})
"""
    command = [sys.executable, "-W", "ignore", "-W", "always::UserWarning", "-c", begin + script]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    return "".join(line for line in done.stderr.splitlines(keepends=True) if "unclosed <socket" not in line)


def test_a_nested_edit_under_autosave_is_saved_at_exit(moto_s3: Site) -> None:
    output = run(moto_s3, "d = state(data={'jobs': []}, autosave=True)\nd['jobs'].append(1)")
    assert output == ""
    assert content(moto_s3) == {"jobs": [1]}
    assert moto_s3.requests.count() == {"GET": 1, "PUT": 2}


def test_a_dict_that_was_dropped_with_a_nested_edit_is_still_saved_at_exit(moto_s3: Site) -> None:
    script = """
import gc
def edit():
    d = state(data={'jobs': []}, autosave=True)
    d['jobs'].append(1)
    d.itself = d  # so that the garbage collector has to find it
edit()
gc.collect()
"""
    assert run(moto_s3, script) == ""
    assert content(moto_s3) == {"jobs": [1]}


@pytest.mark.parametrize(("end", "code"), [("sys.exit(3)", 3), ("raise ValueError", 1)])
def test_it_is_saved_at_exit_however_the_program_ends(moto_s3: Site, end: str, code: int) -> None:
    run(moto_s3, f"d = state(data={{'jobs': []}}, autosave=True)\nd['jobs'].append(1)\n{end}", code=code)
    assert content(moto_s3) == {"jobs": [1]}


def test_with_nothing_to_save_nothing_is_sent_or_said_at_exit(moto_s3: Site) -> None:
    script = """
saved = state(data={'jobs': []}, autosave=True)
read = state()
read['jobs']
other = state(file_name='other.json')
"""
    assert run(moto_s3, script) == ""
    assert moto_s3.requests.count() == {"GET": 3, "PUT": 1}


def test_without_autosave_unsaved_changes_give_one_warning_at_exit_and_no_write(moto_s3: Site) -> None:
    moto_s3.write("state.json", b'{"jobs":[]}')
    output = run(moto_s3, "d = state()\nd['jobs'].append(1)\nd['other'] = 1")
    assert output.count("UnsavedChangesWarning:") == 1
    assert f"s3://{moto_s3.bucket}/state.json had unsaved changes when Python exited" in output
    assert moto_s3.requests.count() == {"GET": 1}
    assert content(moto_s3) == {"jobs": []}


def test_one_that_cannot_be_saved_at_exit_is_reported_and_the_others_are_saved(moto_s3: Site) -> None:
    script = """
names = [f'{number}.json' for number in range(3)]
dicts = [state(file_name=name, data={'jobs': []}, autosave=True) for name in names]
dicts[1].data['jobs'].append(object())
for d in dicts:
    d['jobs'].append(1)
"""
    output = run(moto_s3, script)
    assert ": d['jobs'][0] is an object" in output
    assert json.loads(moto_s3.read("0.json")) == json.loads(moto_s3.read("2.json")) == {"jobs": [1]}
    assert json.loads(moto_s3.read("1.json")) == {"jobs": []}


def test_a_conflict_at_exit_is_reported_and_overwrites_nothing(moto_s3: Site) -> None:
    script = """
d = state(data={'jobs': []}, autosave=True)
state(data={'theirs': 1}).save()
d['jobs'].append(1)
"""
    assert "ConflictError" in run(moto_s3, script)
    assert content(moto_s3) == {"theirs": 1}


def test_a_block_that_never_ended_is_not_saved_at_exit(moto_s3: Site) -> None:
    """Its changes were never committed."""
    script = """
d = state(data={'a': 1}, autosave=True)
def half():
    with d.transaction():
        d['a'] = 2
        yield
generator = half()
next(generator)
"""
    output = run(moto_s3, script)
    assert "UnsavedChangesWarning:" in output
    assert content(moto_s3) == {"a": 1}


def test_a_block_that_another_thread_is_in_does_not_keep_the_program_from_its_end(moto_s3: Site) -> None:
    script = """
d = state(data={'a': 1}, autosave=True)
inside = threading.Event()
def half():
    with d.transaction():
        d['a'] = 2
        inside.set()
        threading.Event().wait()
threading.Thread(target=half, daemon=True).start()
inside.wait()
"""
    output = run(moto_s3, script)
    assert "UnsavedChangesWarning:" in output
    assert content(moto_s3) == {"a": 1}
