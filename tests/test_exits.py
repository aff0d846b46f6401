"""What a process reports and saves when it ends, or when a dict is dropped: no unsaved change is lost silently."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

BEGIN = """
import gc, sys, threading
from support.adversary.hooked_s3 import HookedS3
from s3dictionary import S3Dict
s3 = HookedS3()
def tell(operation):
    if operation != "GetObject":
        print(operation, s3.objects["key"][0].decode().strip() if s3.objects else "", flush=True)
s3.after = tell
"""

IN_A_BLOCK = """
inside = threading.Event()
def stay():
    with d:
        inside.set()
        {wait}
threading.Thread(target=stay, daemon=True).start()
inside.wait()
"""

UNTIL_THE_END = "threading.main_thread().join(); threading.Event().wait(0.3)"
FOR_EVER = "threading.Event().wait()"


@dataclass(frozen=True)
class Ended:
    """What a process has sent and printed."""

    sent: list[str]
    said: str

    def warnings(self) -> int:
        return self.said.count("UnsavedChangesWarning:")


def run(script: str, *, code: int = 0) -> Ended:
    """Run a program with Python's own warning filters. A program that doesn't end fails the test."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    here = Path(__file__).parent
    environ["PYTHONPATH"] = os.pathsep.join([str(here), str(here.parent), environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", BEGIN + script]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == code, done.stderr
    return Ended(done.stdout.splitlines(), done.stderr)


def test_an_autosaved_nested_edit_is_saved_though_a_thread_is_in_a_short_block_at_exit() -> None:
    """Python's exit waits for the end of the block."""
    script = "d = s3.open(data={'jobs': []}, autosave=True)\nd['jobs'].append('mine')\n"
    ended = run(script + IN_A_BLOCK.format(wait=UNTIL_THE_END))
    assert ended.sent[-1] == 'PutObject {"jobs":["mine"]}'
    assert ended.said == ""


def test_an_autosaved_nested_edit_is_saved_though_a_thread_has_one_block_after_the_other() -> None:
    """Python's exit gets its turn between two blocks."""
    script = """
d = s3.open(data={'jobs': []}, autosave=True)
inside = threading.Event()
def beat():
    while True:
        with d.transaction():
            inside.set()
            threading.Event().wait(0.02)
threading.Thread(target=beat, daemon=True).start()
inside.wait()
d['jobs'].append('mine')
"""
    assert run(script).sent[-1] == 'PutObject {"jobs":["mine"]}'


def test_a_thread_that_stays_in_a_block_does_not_keep_the_process_from_ending() -> None:
    """The wait is limited, and a warning names the file whose changes are lost."""
    script = "d = s3.open(data={'jobs': []}, autosave=True)\nd['jobs'].append('mine')\n"
    ended = run(script + IN_A_BLOCK.format(wait=FOR_EVER))
    assert ended.warnings() == 1
    assert "s3://bucket/key" in ended.said


def test_a_thread_that_stays_in_a_block_of_an_unchanged_dict_does_not_keep_the_process_from_ending() -> None:
    """This also holds without autosave."""
    ended = run("d = s3.begin({'jobs': []})\n" + IN_A_BLOCK.format(wait=FOR_EVER))
    assert ended.sent == ['PutObject {"jobs":[]}']


def test_a_warning_points_to_the_line_that_dropped_the_dict_and_at_exit_to_none() -> None:
    """A line inside the library would tell nothing. Python names `sys` for what is still open at exit."""
    ended = run("def drop():\n    s3.open()['n'] = 1\n\ndrop()\nd = s3.open()\nd['n'] = 2\n")
    first, last = [line for line in ended.said.splitlines() if "UnsavedChangesWarning" in line]
    assert first.startswith("<string>:")
    assert last.startswith(("sys:1: ", "<sys>:0: "))  # up to Python 3.11, and from 3.12 on


def test_a_warning_points_to_the_function_where_no_line_drops_the_dict() -> None:
    """An exception that holds the dict goes at the end of its `except`, in code that belongs to no line."""
    script = """
def drop():
    try:
        raise ValueError(s3.begin({}))
    except ValueError as error:
        if error.args:
            error.args[0]['n'] = 1
    return 1

drop()
"""
    first = (BEGIN + script).splitlines().index("def drop():") + 1
    (line,) = re.findall(r"<string>:(-?\d+): UnsavedChangesWarning", run(script).said)
    assert int(line) >= first


@pytest.mark.parametrize(
    "edit",
    ["d['n'] = 1", "d['jobs'].append(1)", "d.data['n'] = 1", "d.clear()", "d.load(); d.update(n=1)"],
)
def test_unsaved_changes_at_exit_give_a_warning_that_python_shows(edit: str) -> None:
    """There is one warning, with the file's address. Nothing is written, because nobody asked for it."""
    ended = run(f"d = s3.begin({{'jobs': []}})\n{edit}")
    assert ended.warnings() == 1
    assert "s3://bucket/key" in ended.said
    assert ended.sent == ['PutObject {"jobs":[]}']


@pytest.mark.parametrize("edit", ["d['n'] = 1", "d['jobs'].append(1)"])
@pytest.mark.parametrize("drop", ["del d", "d.itself = d\ndel d\ngc.collect()"])
def test_unsaved_changes_of_a_dict_that_is_dropped_give_a_warning(edit: str, drop: str) -> None:
    """The warning comes at once, not only at exit."""
    ended = run(f"d = s3.begin({{'jobs': []}})\n{edit}\n{drop}\nprint('-- exit --', file=sys.stderr)")
    assert ended.warnings() == 1
    before, _, after = ended.said.partition("-- exit --")
    assert "s3://bucket/key" in before
    assert after.strip() == ""


def test_a_dict_that_a_function_forgets_to_save_gives_a_warning() -> None:
    """This is the most common mistake."""
    script = """
s3.begin({'jobs': []})
def add():
    d = s3.open()
    d['jobs'].append(1)
add()
"""
    assert run(script).warnings() == 1


def test_a_dict_of_a_thread_that_has_ended_gives_a_warning() -> None:
    """The dict is dropped with the thread."""
    script = """
s3.begin({'jobs': []})
def add():
    d = s3.open()
    d['n'] = 1
thread = threading.Thread(target=add)
thread.start()
thread.join()
"""
    assert run(script).warnings() == 1


UNCHANGED = [
    "d['jobs'].append(1); d.save()",
    "d['jobs'].append(1); d.load()",
    "d['jobs'].append(1); d['jobs'].pop()",
    "d['n'] = 1; del d['n']",
    "d['n'] = 1; d.delete()",
    "d.update(n=1); d.run(lambda d: None)",
    "list(d.items()); d.data",
    "s3.objects.clear(); d = s3.open(default={'jobs': [1]})",
]


def test_a_dict_whose_keys_cannot_be_compared_gives_a_warning() -> None:
    """Nobody can tell whether it has unsaved changes, so it isn't silent."""
    ended = run("""
class Odd:
    def __hash__(self): return 1
    def __eq__(self, other): raise RuntimeError
d = s3.begin({"a": 1})
del d["a"]
d[Odd()] = 1
del d
gc.collect()
""")
    assert ended.warnings() == 1


def test_a_dict_without_unsaved_changes_is_silent() -> None:
    """It was saved, discarded or never changed. A default isn't a change."""
    script = f"""
kept = []
for edit in {UNCHANGED}:
    for keep in False, True:
        names = dict(s3=HookedS3())
        names["d"] = names["s3"].begin({{'jobs': []}})
        exec(edit, names)
        if keep:
            kept.append(names["d"])
        del names
        gc.collect()
        print(edit, file=sys.stderr)
print("exit", file=sys.stderr)
"""
    assert run(script).said.splitlines() == [edit for edit in UNCHANGED for _ in range(2)] + ["exit"]


def test_what_a_failed_block_has_undone_is_no_unsaved_change() -> None:
    """The exception has reported it."""
    ended = run("d = s3.begin({'jobs': []})\nwith d:\n    d['n'] = 1\n    raise ValueError('fails')", code=1)
    assert "ValueError: fails" in ended.said
    assert ended.warnings() == 0


def test_at_an_exit_from_inside_a_block_an_autosaved_nested_edit_is_saved_and_the_block_is_not() -> None:
    """The program ends by `sys.exit` in the block, or by Ctrl-C."""
    script = """
d = s3.open(data={'jobs': [], 'n': 0}, autosave=True)
d['jobs'].append(1)
with d.transaction():
    d['n'] = 1
    sys.exit(3)
"""
    ended = run(script, code=3)
    assert ended.sent[-1] == 'PutObject {"jobs":[1],"n":0}'
    assert ended.warnings() == 0


def test_a_block_that_was_never_left_is_not_saved_at_exit_and_that_is_said() -> None:
    """It is in a generator that was never exhausted."""
    script = """
d = s3.open(data={'n': 0}, autosave=True)
def half():
    with d.transaction():
        d['n'] = 1
        yield
generator = half()
next(generator)
"""
    ended = run(script)
    assert ended.sent == ['PutObject {"n":0}']
    assert "s3://bucket/key" in ended.said


def test_an_autosaved_nested_edit_of_a_dict_that_was_dropped_is_saved_at_exit() -> None:
    """It isn't saved when the dict is dropped, because that can happen anywhere."""
    script = """
d = s3.open(data={'jobs': []}, autosave=True)
d['jobs'].append(1)
del d
gc.collect()
print('dropped', flush=True)
"""
    ended = run(script)
    assert ended.sent == ['PutObject {"jobs":[]}', "dropped", 'PutObject {"jobs":[1]}']
    assert ended.said == ""


def test_what_cannot_be_saved_at_exit_is_told() -> None:
    """S3 refuses, or somebody else has written. An error is on stderr, and nothing is overwritten."""
    script = """
d = s3.open(data={'jobs': []}, autosave=True)
with s3.open() as other:
    other['theirs'] = 1
d['jobs'].append(1)
"""
    ended = run(script)
    assert "ConflictError" in ended.said
    assert ended.sent[-1] != 'PutObject {"jobs":[1]}'
    assert '"theirs":1' in [line for line in ended.sent if line.startswith("PutObject")][-1]


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


@needs_fork
def test_what_a_child_adds_to_the_unsaved_changes_of_its_parent_it_saves_with_them() -> None:
    ended = run("""
import os
d = s3.begin({"list": []}, autosave=True)
d["list"].append("parent")
if not os.fork():
    d["list"].append("child")
    sys.exit()
os.wait()
""")
    assert ended.sent[-2:] == [
        'PutObject {"list":["parent","child"]}',
        'PutObject {"list":["parent"]}',
    ]


@needs_fork
def test_a_fork_is_silent_also_if_something_cannot_be_saved() -> None:
    """That is told once, at the parent's exit."""
    ended = run("""
import os
d = s3.begin({"list": []}, autosave=True)
d["list"].append(object())
if not os.fork():
    os._exit(0)
os.wait()
print("forked", file=sys.stderr)
""")
    assert ended.said.startswith("forked")
    assert ended.said.count("unsaved changes could not be saved at exit") == 1
