"""`s3dictionary edit` saves or keeps each text, and overwrites nobody. The editors are small scripts."""

from __future__ import annotations

import errno
import json
import re
import shlex
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from s3dictionary.cli.outcomes import ExitCode
from support.command_line import FILE, CommandLine, Ended, meanwhile
from support.proxy import Answer
from support.servers import Site

BODY = b'{"a":1.10,"b":[1,2],"c":"x"}'

Editor = Callable[[str], None]


@pytest.fixture(autouse=True)
def drafts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of the texts that are being edited."""
    directory = tmp_path / "drafts"
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    return directory


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Editor:
    """Sets the editor to a Python script, which has the file's `path` and its `text`."""

    def make(code: str) -> None:
        script = tmp_path / "editor.py"
        script.write_text(f"import sys, pathlib\npath = pathlib.Path(sys.argv[1])\ntext = path.read_text()\n{code}\n")
        monkeypatch.delenv("VISUAL", raising=False)
        monkeypatch.setenv("EDITOR", f"{shlex.quote(sys.executable)} -S {shlex.quote(str(script))}")

    return make


def replacing(old: str, new: str) -> str:
    return f"path.write_text(text.replace({old!r}, {new!r}))"


def kept(ended: Ended) -> Path:
    """The path of a text that could not be saved, as the message shows it."""
    found = re.search(r"Your text is kept in (.+)", ended.err)
    assert found, ended.err
    return Path(found[1])


def is_empty(directory: Path) -> bool:
    return not list(directory.iterdir())


def test_what_was_changed_is_saved_and_nothing_else(
    cli: CommandLine, moto_s3: Site, editor: Editor, drafts: Path
) -> None:
    moto_s3.write(FILE, BODY)
    editor(replacing('"x"', '"y"'))
    ended = cli("edit")
    assert (ended.code, ended.out) == (0, "")
    assert f"saved {cli.uri}" in ended.err
    assert moto_s3.read(FILE) == BODY.replace(b"x", b"y")
    assert is_empty(drafts)


def test_the_text_is_that_of_get_and_only_its_owner_can_read_it(
    cli: CommandLine, moto_s3: Site, editor: Editor, tmp_path: Path
) -> None:
    moto_s3.write(FILE, BODY)
    seen = tmp_path / "seen"
    editor(
        f"modes = [oct(p.stat().st_mode)[-3:] for p in (path, path.parent)]\n"
        f"pathlib.Path({str(seen)!r}).write_text(repr((path.name, modes, text)))"
    )
    cli("edit")
    assert seen.read_text() == repr((FILE, ["600", "700"], cli("get").out))


def test_a_file_that_is_not_there_begins_empty_and_is_created(cli: CommandLine, moto_s3: Site, editor: Editor) -> None:
    editor(replacing("{}", '{"a": {"py/tuple": [1]}}'))
    assert cli("edit").code == 0
    assert moto_s3.read(FILE) == b'{"a":{"py/tuple":[1]}}'


def test_nothing_changed_is_nothing_written(cli: CommandLine, moto_s3: Site, editor: Editor, drafts: Path) -> None:
    """Spaces don't count as a change."""
    moto_s3.write(FILE, BODY)
    for code in ("pass", replacing("\n", "\n\n")):
        editor(code)
        moto_s3.requests.clear()
        ended = cli("edit")
        assert ended.code == 0
        assert "nothing changed" in ended.err
        assert moto_s3.requests.count()["PUT"] == 0
    editor("pass")
    cli("edit", uri=f"s3://{moto_s3.bucket}/new.json")
    assert moto_s3.requests.count()["PUT"] == 0
    assert is_empty(drafts)


def test_keys_can_be_removed_added_and_put_in_another_order(cli: CommandLine, moto_s3: Site, editor: Editor) -> None:
    moto_s3.write(FILE, BODY)
    editor("""path.write_text('{"c": "x", "d": 1, "a": 1.10}')""")
    assert cli("edit").code == 0
    assert moto_s3.read(FILE) == b'{"c":"x","d":1,"a":1.10}'


def test_another_order_alone_is_saved(cli: CommandLine, moto_s3: Site, editor: Editor) -> None:
    moto_s3.write(FILE, b'{"a":1,"b":2}')
    editor("""path.write_text('{"b": 2, "a": 1}')""")
    cli("edit")
    assert moto_s3.read(FILE) == b'{"b":2,"a":1}'


def test_keys_that_are_no_strings_stay_what_they_are(cli: CommandLine, moto_s3: Site, editor: Editor) -> None:
    moto_s3.write(FILE, b'{"py/dict":[[1,"one"],["1","x"]]}')
    editor(replacing('"one"', '"two"'))
    cli("edit")
    assert moto_s3.read(FILE) == b'{"1":"x","py/dict":[[1,"two",0]]}'


def test_a_compressed_file_is_edited_as_text(cli: CommandLine, moto_s3: Site, editor: Editor) -> None:
    uri = f"s3://{moto_s3.bucket}/state.json.gz"
    cli("set", "a", "1", uri=uri)
    editor(replacing("1", "2"))
    assert cli("edit", uri=uri).code == 0
    assert cli("get", "a", uri=uri).json == 2


# What can't be saved is kept


def test_a_text_that_is_not_json_is_kept(cli: CommandLine, moto_s3: Site, editor: Editor) -> None:
    moto_s3.write(FILE, BODY)
    editor(replacing('"x"', "x"))
    ended = cli("edit")
    assert ended.code == ExitCode.INPUT
    assert "line 7" in ended.err
    assert '"c": x' in kept(ended).read_text()
    assert moto_s3.read(FILE) == BODY


def test_a_key_that_was_typed_twice_is_not_lost(cli: CommandLine, moto_s3: Site, editor: Editor) -> None:
    moto_s3.write(FILE, BODY)
    editor(replacing('"b"', '"a"'))
    ended = cli("edit")
    assert ended.code == ExitCode.INPUT
    assert "'a' occurs twice" in ended.err
    assert moto_s3.read(FILE) == BODY


def test_a_text_that_was_kept_can_be_edited_further(cli: CommandLine, moto_s3: Site, editor: Editor) -> None:
    """The command in the message does that."""
    moto_s3.write(FILE, BODY)
    editor(replacing('"x"', "y"))
    ended = cli("edit")
    [line] = [line for line in ended.err.splitlines() if "--from" in line]
    editor(replacing("y", '"y"'))
    assert cli("edit", *shlex.split(line.partition(cli.uri)[2])).code == 0
    assert moto_s3.read(FILE) == BODY.replace(b"x", b"y")


def test_at_a_terminal_it_can_be_edited_again_at_once(
    cli: CommandLine, moto_s3: Site, editor: Editor, drafts: Path
) -> None:
    moto_s3.write(FILE, BODY)
    editor("""path.write_text(text.replace('"x"', 'y') if '"x"' in text else text.replace('y', '"y"'))""")
    ended = cli("edit", stdin=b"\n", terminal=True)
    assert ended.code == 0
    assert "Edit it again? [Y/n]" in ended.err
    assert moto_s3.read(FILE) == BODY.replace(b"x", b"y")
    assert is_empty(drafts)


def test_at_a_terminal_one_can_give_up_and_the_text_is_kept(cli: CommandLine, moto_s3: Site, editor: Editor) -> None:
    moto_s3.write(FILE, BODY)
    editor(replacing('"x"', "y"))
    for answer in (b"n\n", b""):
        ended = cli("edit", stdin=answer, terminal=True)
        assert ended.code == ExitCode.INPUT
        assert '"c": y' in kept(ended).read_text()


def test_ctrl_c_keeps_the_text(
    cli: CommandLine, moto_s3: Site, editor: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(question: str) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr("s3dictionary.cli.drafts.agree", interrupt)
    moto_s3.write(FILE, BODY)
    editor(replacing('"x"', "y"))
    ended = cli("edit")
    assert ended.code == ExitCode.INTERRUPTED
    assert '"c": y' in kept(ended).read_text()


def test_someone_else_who_wrote_meanwhile_is_not_overwritten(
    cli: CommandLine, moto_s3: Site, editor: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other writer saves while the editor is open. The message says how to see the differences."""
    moto_s3.write(FILE, BODY)
    monkeypatch.setenv(
        "URL", moto_s3.client.generate_presigned_url("put_object", Params={"Bucket": moto_s3.bucket, "Key": FILE})
    )
    theirs = BODY.replace(b"1.10", b"2")
    editor(
        "import os, urllib.request as r\n"
        "json = {'Content-Type': 'application/json'}\n"
        f"r.urlopen(r.Request(os.environ['URL'], method='PUT', headers=json, data={theirs!r}))\n"
        + replacing('"x"', '"y"')
    )
    ended = cli("edit")
    assert ended.code == ExitCode.CONFLICT
    assert moto_s3.read(FILE) == theirs
    assert '"c": "y"' in kept(ended).read_text()
    [line] = [line for line in ended.err.splitlines() if "--file" in line]
    shown = cli("diff", *shlex.split(line.partition(cli.uri)[2])).out
    assert shown.splitlines()[3:] == [" {", '-  "a": 2,', '-  "c": "x"', '+  "a": 1.10,', '+  "c": "y"', " }"]


THEIRS = "data=b'{}', headers={'Content-Type': 'application/json'}, "


@pytest.mark.parametrize(("was", "action", "request_"), [
    ("deleted", "delete_object", "method='DELETE'"),
    ("created", "put_object", f"{THEIRS}method='PUT'"),
])  # fmt: skip
def test_a_conflict_tells_whether_the_file_was_deleted_or_created_while_it_was_edited(
    cli: CommandLine, moto_s3: Site, editor: Editor, was: str, action: str, request_: str
) -> None:
    if was == "deleted":
        moto_s3.write(FILE, BODY)
    url = moto_s3.client.generate_presigned_url(action, Params={"Bucket": moto_s3.bucket, "Key": FILE})
    editor(f"import urllib.request as r\nr.urlopen(r.Request({url!r}, {request_}))\npath.write_text('{{\"ours\": 1}}')")
    ended = cli("edit")
    assert ended.code == ExitCode.CONFLICT
    assert f"{cli.uri} was {was} by someone else while you edited it" in ended.err
    assert '"ours"' in kept(ended).read_text()


@pytest.mark.parametrize("what", ["conflict", "refusal"])
def test_a_save_that_fails_keeps_the_text(cli: CommandLine, moto_s3: Site, editor: Editor, what: str) -> None:
    moto_s3.write(FILE, BODY)
    editor(replacing('"x"', '"y"'))
    denied = Answer(403, "AccessDenied", method="PUT")
    moto_s3.faults.append(meanwhile(moto_s3, b'{"theirs":1}') if what == "conflict" else denied)
    ended = cli("edit")
    assert ended.code == (ExitCode.CONFLICT if what == "conflict" else ExitCode.STORAGE)
    assert '"c": "y"' in kept(ended).read_text()
    assert moto_s3.read(FILE) == (b'{"theirs":1}' if what == "conflict" else BODY)


# A file that is broken


def test_a_broken_file_can_be_repaired(cli: CommandLine, moto_s3: Site, editor: Editor) -> None:
    moto_s3.write(FILE, b'{"a": 1,, "b": 2}')
    editor(replacing(",,", ","))
    ended = cli("edit")
    assert ended.code == 0
    assert "can't be read" in ended.err
    assert json.loads(moto_s3.read(FILE)) == {"a": 1, "b": 2}


def test_a_broken_file_that_is_left_so_stays_so(cli: CommandLine, moto_s3: Site, editor: Editor, drafts: Path) -> None:
    moto_s3.write(FILE, b"[1]")
    editor("pass")
    assert cli("edit").code == ExitCode.INPUT
    assert moto_s3.read(FILE) == b"[1]"
    assert is_empty(drafts)


def test_a_file_that_is_no_text_cannot_be_edited(cli: CommandLine, moto_s3: Site, editor: Editor) -> None:
    moto_s3.write(FILE, b"\x1f\x8b damaged")
    editor("pass")
    ended = cli("edit")
    assert ended.code == ExitCode.CORRUPT
    assert f"{cli.uri} can't be read: not valid gzip" in ended.err


# Editors


def test_an_editor_that_fails_writes_nothing(cli: CommandLine, moto_s3: Site, editor: Editor, drafts: Path) -> None:
    """An example is vi's `:cq`. A changed text is kept."""
    moto_s3.write(FILE, BODY)
    editor("sys.exit(3)")
    ended = cli("edit")
    assert ended.code == ExitCode.EDITOR
    assert "exit code 3" in ended.err
    assert is_empty(drafts)
    editor(replacing('"x"', '"y"') + "; sys.exit(3)")
    ended = cli("edit")
    assert ended.code == ExitCode.EDITOR
    assert '"c": "y"' in kept(ended).read_text()
    assert moto_s3.read(FILE) == BODY


@pytest.mark.parametrize("command", ["/no/such/editor", "'"])
def test_an_editor_that_cannot_be_started_has_a_code_of_its_own(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, drafts: Path, command: str
) -> None:
    monkeypatch.setenv("VISUAL", command)
    ended = cli("edit")
    assert ended.code == ExitCode.EDITOR
    assert "EDITOR" in ended.err
    assert is_empty(drafts)


def test_an_editor_may_put_another_file_in_its_place(cli: CommandLine, moto_s3: Site, editor: Editor) -> None:
    moto_s3.write(FILE, BODY)
    editor("new = path.with_suffix('.new'); new.write_text(text.replace('x', 'y')); new.replace(path)")
    assert cli("edit").code == 0
    assert moto_s3.read(FILE) == BODY.replace(b"x", b"y")


def test_an_editor_that_removes_the_file_writes_nothing(cli: CommandLine, moto_s3: Site, editor: Editor) -> None:
    moto_s3.write(FILE, BODY)
    editor("path.unlink()")
    ended = cli("edit")
    assert ended.code == ExitCode.EDITOR
    assert "removed" in ended.err
    assert moto_s3.read(FILE) == BODY


def test_an_editor_that_is_back_at_once_is_waited_for(
    cli: CommandLine, moto_s3: Site, editor: Editor, drafts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has opened a window, and the user presses Enter after editing the text there."""
    moto_s3.write(FILE, BODY)
    editor("pass")
    monkeypatch.setattr("s3dictionary.cli.drafts._AT_ONCE", 60.0)

    def press_enter_when_done() -> str:
        [draft] = drafts.glob("*/*.json")
        draft.write_text(draft.read_text().replace('"x"', '"y"'))
        return "\n"

    monkeypatch.setattr("s3dictionary.cli.drafts.wait_for_enter", press_enter_when_done)
    ended = cli("edit", terminal=True)
    assert ended.code == 0
    assert "returned at once" in ended.err
    assert moto_s3.read(FILE) == BODY.replace(b"x", b"y")


@pytest.fixture
def ctrl_c() -> Iterator[Any]:
    """What Ctrl-C does: it raises, also where the tests run in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(sys.platform == "win32", reason="there, a process can't send Ctrl-C to one other alone")
def test_ctrl_c_belongs_to_the_editor_while_that_runs(
    cli: CommandLine, moto_s3: Site, editor: Editor, ctrl_c: Any
) -> None:
    moto_s3.write(FILE, BODY)
    editor("import os, signal\nos.kill(os.getppid(), signal.SIGINT)\n" + replacing('"x"', '"y"'))
    assert cli("edit").code == ExitCode.DONE
    assert moto_s3.read(FILE) == BODY.replace(b"x", b"y")
    assert signal.getsignal(signal.SIGINT) is ctrl_c


def test_a_text_that_cannot_be_written_leaves_nothing_behind(
    cli: CommandLine, moto_s3: Site, drafts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_up(path: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    moto_s3.write(FILE, BODY)
    monkeypatch.setattr(Path, "write_bytes", fill_up)
    ended = cli("edit")
    assert ended.code == ExitCode.LOCAL_FILE
    assert "No space left on device" in ended.err
    assert is_empty(drafts)


# Going on with a text that was kept


@pytest.fixture
def kept_text(cli: CommandLine, moto_s3: Site, editor: Editor) -> Path:
    """The kept text of an edit of `c`, which met another writer's edit of `a`."""
    moto_s3.write(FILE, BODY)
    moto_s3.faults.append(meanwhile(moto_s3, BODY.replace(b"1.10", b"2")))
    editor(replacing('"x"', '"y"'))
    path = kept(cli("edit"))
    editor("pass")
    return path


def test_what_others_have_changed_stays_when_a_kept_text_is_saved(
    cli: CommandLine, moto_s3: Site, kept_text: Path
) -> None:
    moto_s3.write(FILE, b'{"a":2,"b":[1,2],"c":"x","theirs":1}')
    ended = cli("edit", "--from", str(kept_text))
    assert (ended.code, ended.out) == (ExitCode.DONE, "")
    assert json.loads(moto_s3.read(FILE)) == {"a": 2, "b": [1, 2], "c": "y", "theirs": 1}


def test_a_kept_text_is_removed_once_it_is_saved(cli: CommandLine, kept_text: Path, drafts: Path) -> None:
    cli("edit", "--from", str(kept_text))
    assert is_empty(drafts)


def test_a_kept_text_that_cannot_be_saved_stays(cli: CommandLine, moto_s3: Site, kept_text: Path, drafts: Path) -> None:
    before = kept_text.read_bytes()
    moto_s3.faults.append(Answer(403, "AccessDenied", method="PUT"))
    ended = cli("edit", "--from", str(kept_text))
    assert ended.code == ExitCode.STORAGE
    assert kept(ended) == kept_text
    assert kept_text.read_bytes() == before


def test_a_key_that_both_have_changed_is_shown_and_nothing_is_saved(
    cli: CommandLine, moto_s3: Site, kept_text: Path
) -> None:
    theirs = BODY.replace(b'"x"', b'"z"')
    moto_s3.write(FILE, theirs)
    ended = cli("edit", "--from", str(kept_text))
    assert ended.code == ExitCode.CONFLICT
    assert '-  "c": "z"' in ended.err
    assert '+  "c": "y"' in ended.err
    assert moto_s3.read(FILE) == theirs
    assert kept_text.exists()


def test_overwrite_decides_only_what_both_have_changed(cli: CommandLine, moto_s3: Site, kept_text: Path) -> None:
    moto_s3.write(FILE, b'{"a":2,"b":[1,2],"c":"z","theirs":1}')
    assert cli("edit", "--from", str(kept_text), "--overwrite").code == ExitCode.DONE
    assert json.loads(moto_s3.read(FILE)) == {"a": 2, "b": [1, 2], "c": "y", "theirs": 1}


def test_overwrite_removes_what_was_removed_though_others_have_changed_it(
    cli: CommandLine, moto_s3: Site, kept_text: Path
) -> None:
    kept_text.write_text('{"a": 1.10, "b": [1, 2]}')
    moto_s3.write(FILE, BODY.replace(b'"x"', b'"z"'))
    assert cli("edit", "--from", str(kept_text), "--overwrite").code == ExitCode.DONE
    assert "c" not in json.loads(moto_s3.read(FILE))


def test_the_order_of_a_kept_text_stays_where_nobody_has_added_keys(
    cli: CommandLine, moto_s3: Site, kept_text: Path
) -> None:
    kept_text.write_text('{"c": "y", "b": [1, 2], "a": 1.10}')
    assert cli("edit", "--from", str(kept_text)).code == ExitCode.DONE
    assert list(json.loads(moto_s3.read(FILE))) == ["c", "b", "a"]


def test_a_kept_text_of_another_file_is_a_text_of_unknown_origin(
    cli: CommandLine, moto_s3: Site, kept_text: Path
) -> None:
    other = f"s3://{moto_s3.bucket}/other.json"
    moto_s3.write("other.json", b'{"mine":1}')
    ended = cli("edit", "--from", str(kept_text), uri=other)
    assert ended.code == ExitCode.CONFLICT
    assert '"mine": 1' in ended.err
    assert moto_s3.read("other.json") == b'{"mine":1}'


def test_a_text_of_unknown_origin_takes_nothing_away_unasked(
    cli: CommandLine, moto_s3: Site, editor: Editor, tmp_path: Path
) -> None:
    moto_s3.write(FILE, BODY)
    path = tmp_path / "mine.json"
    path.write_bytes(b'{"a": 1.10, "new": 1}')
    editor("pass")
    ended = cli("edit", "--from", str(path))
    assert ended.code == ExitCode.CONFLICT
    assert '"c": "x"' in ended.err
    assert moto_s3.read(FILE) == BODY
    assert cli("edit", "--from", str(path), "--overwrite").code == ExitCode.DONE
    assert json.loads(moto_s3.read(FILE)) == {"a": 1.1, "new": 1}
    assert path.exists()


def test_nor_does_it_replace_a_broken_file_unasked(
    cli: CommandLine, moto_s3: Site, editor: Editor, tmp_path: Path
) -> None:
    moto_s3.write(FILE, b'{"a": 1,, "b": 2}')
    path = tmp_path / "mine.json"
    path.write_bytes(b'{"new": 1}')
    editor("pass")
    ended = cli("edit", "--from", str(path))
    assert ended.code == ExitCode.CONFLICT
    assert "the whole file, which can't be read as JSON" in ended.err
    assert moto_s3.read(FILE) == b'{"a": 1,, "b": 2}'


def test_a_broken_file_is_repaired_with_a_kept_text(cli: CommandLine, moto_s3: Site, editor: Editor) -> None:
    moto_s3.write(FILE, b'{"a": 1,, "b": 2}')
    editor(replacing('"b"', '"c"'))
    path = kept(cli("edit"))
    editor(replacing(",,", ","))
    assert cli("edit", "--from", str(path)).code == ExitCode.DONE
    assert json.loads(moto_s3.read(FILE)) == {"a": 1, "c": 2}


@pytest.mark.parametrize("wrong", ['{"py/date": "tomorrow"}', '2, "py/dict": [[1]]'])
def test_what_looks_like_a_type_but_does_not_fit_is_not_saved(
    cli: CommandLine, moto_s3: Site, editor: Editor, wrong: str
) -> None:
    """The text is kept, and the message has a valid example."""
    moto_s3.write(FILE, BODY)
    editor(replacing("1.10", wrong))
    ended = cli("edit")
    assert ended.code == ExitCode.INPUT
    assert "whose content is invalid. A valid example is" in ended.err
    assert wrong in kept(ended).read_text()
    assert moto_s3.read(FILE) == BODY


def test_what_did_not_fit_before_stays_as_it_is(cli: CommandLine, moto_s3: Site, editor: Editor) -> None:
    """It doesn't concern somebody who edits another key."""
    odd = b'{"a":1,"b":{"py/date":"tomorrow"},"py/dict":"odd"}'
    moto_s3.write(FILE, odd)
    editor(replacing('"a": 1', '"a": 2'))
    assert cli("edit").code == 0
    assert json.loads(moto_s3.read(FILE)) == {"a": 2, "b": {"py/date": "tomorrow"}, "py/dict": [["py/dict", "odd"]]}
