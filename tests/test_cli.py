"""The command line: what it prints, what it writes, and how it ends."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from functools import partialmethod
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest

from s3dictionary import S3Dict
from s3dictionary._format import codec
from s3dictionary._format.strict import mistakes
from s3dictionary._format.types import READERS
from s3dictionary.cli import main
from s3dictionary.cli.arguments import make_parser
from s3dictionary.cli.outcomes import ExitCode
from s3dictionary.cli.text import pretty
from support.command_line import FILE, CommandLine, meanwhile
from support.proxy import Answer, Call, Forward, Request, Response
from support.servers import Site

PAGE = Path(__file__).parent.parent / "docs" / "command-line.md"


@pytest.fixture
def versioned(moto_s3: Site) -> list[str]:
    """Three versions of the file. Returns their ids, oldest first."""
    moto_s3.client.put_bucket_versioning(Bucket=moto_s3.bucket, VersioningConfiguration={"Status": "Enabled"})
    bodies = [b'{"runs":1,"log":[1]}', b'{"runs":2,"log":[1]}', b'{"runs":3,"log":[1],"new":true}']
    for body in bodies:
        moto_s3.write(FILE, body)
    listed = moto_s3.client.list_object_versions(Bucket=moto_s3.bucket)["Versions"]
    return [item["VersionId"] for item in reversed(listed)]


# get and keys


def test_get_prints_the_file_as_json_indented(cli: CommandLine, moto_s3: Site) -> None:
    moto_s3.write(FILE, b'{"b":{"py/tuple":[1]},"a":null}')
    ended = cli("get")
    assert ended == (0, '{\n  "b": {\n    "py/tuple": [\n      1\n    ]\n  },\n  "a": null\n}\n', "")


def test_get_prints_numbers_and_doubled_keys_as_they_are(cli: CommandLine, moto_s3: Site) -> None:
    """Nothing is decoded, so nothing is rounded or lost."""
    digits = b"9" * 5000
    moto_s3.write(FILE, b'{"a":{"x":1.10,"x":1e5},"b":' + digits + b"}")
    assert cli("get", "a").out == '{\n  "x": 1.10,\n  "x": 1e5\n}\n'
    assert cli("get", "b").out == f"{digits.decode()}\n"


def test_get_prints_letters_that_the_file_has_escaped(cli: CommandLine, moto_s3: Site) -> None:
    r"""Other programs write é as \u00e9. What isn't printable or must be escaped stays escaped."""
    moto_s3.write(FILE, rb'{"caf\u00e9":"\ud83d\ude00 \\u00e9 \u0007 \ud83d \" \u200b"}')
    assert cli("get").out == '{\n  "café": "😀 \\\\u00e9 \\u0007 \\ud83d \\" \\u200b"\n}\n'


def test_get_prints_strict_json_of_a_file_with_nan(cli: CommandLine, moto_s3: Site) -> None:
    moto_s3.write(FILE, b'{"a":NaN}')
    assert cli("get").json == {"a": {"py/float": "nan"}}


def test_get_of_one_key_prints_its_value(cli: CommandLine, moto_s3: Site) -> None:
    moto_s3.write(FILE, b'{"a":[1,2],"b":"text"}')
    assert cli("get", "a").json == [1, 2]
    assert cli("get", "b").out == '"text"\n'
    assert cli("get", "b", "--raw").out == "text\n"
    assert cli("get", "a", "--raw").json == [1, 2]


def test_a_query_is_answered_with_what_it_finds(cli: CommandLine, moto_s3: Site) -> None:
    moto_s3.write(FILE, '{"jobs":[{"name":"a","done":true},{"name":"é","done":false}]}'.encode())
    assert cli("get", "--query", "jobs[?done].name").json == ["a"]
    assert cli("get", "jobs", "--query", "[1].name").out == '"é"\n'
    assert cli("get", "--query", "jobs[1].name", "-r").out == "é\n"
    assert cli("get", "--query", "nothing").out == "null\n"
    assert cli("keys", "--query", "[0]", "-r").out == "jobs\n"


@pytest.mark.parametrize("query", ["[", "abs(jobs)"])
def test_a_query_that_is_none_is_a_usage_error(cli: CommandLine, moto_s3: Site, query: str) -> None:
    moto_s3.write(FILE, b'{"jobs":[]}')
    ended = cli("get", "--query", query)
    assert (ended.code, ended.out) == (ExitCode.USAGE, "")
    assert "--query" in ended.err


def test_keys_are_listed_in_order(cli: CommandLine, moto_s3: Site) -> None:
    moto_s3.write(FILE, b'{"py/dict":[["b",1],[1,1],["a",1]]}')
    assert cli("keys").json == ["b", 1, "a"]
    assert cli("keys", "-r").out == "b\n1\na\n"


def test_a_file_that_is_not_there_never_looks_like_an_empty_one(cli: CommandLine) -> None:
    for command in (("get",), ("get", "a"), ("keys",), ("unset", "a"), ("history",), ("diff",)):
        ended = cli(*command)
        assert (ended.code, ended.out) == (ExitCode.NOT_THERE, ""), command
        assert f"there is no {cli.uri}" in ended.err


def test_a_key_that_is_not_there_is_an_error_that_names_it(cli: CommandLine, moto_s3: Site) -> None:
    moto_s3.write(FILE, b'{"a":1}')
    ended = cli("get", "b")
    assert (ended.code, ended.out) == (ExitCode.NO_KEY, "")
    assert '"b"' in ended.err
    assert cli.uri in ended.err


def test_looking_sends_one_request(cli: CommandLine, moto_s3: Site) -> None:
    moto_s3.write(FILE, b'{"a":1}')
    cli("get", "a")
    assert moto_s3.requests.count() == {"GET": 1}


# set, unset, update


def test_set_changes_one_key_and_leaves_the_others_as_they_are(cli: CommandLine, moto_s3: Site) -> None:
    moto_s3.write(FILE, b'{"a":1.10,"b":2}')
    moto_s3.requests.clear()
    assert cli("set", "b", '{"x": [1, null]}') == (0, "", "")
    assert moto_s3.read(FILE) == b'{"a":1.10,"b":{"x":[1,null]}}'
    # A block that begins later than a moment after the load asks whether anything is new
    assert [exchange.method for exchange in moto_s3.requests.log if exchange.status != 304] == ["GET", "PUT"]


def test_set_creates_a_file_and_says_so(cli: CommandLine, moto_s3: Site) -> None:
    """A new file may be the result of a typo in the address."""
    ended = cli("set", "a", "-5")
    assert (ended.code, ended.out) == (0, "")
    assert f"created {cli.uri}" in ended.err
    assert moto_s3.read(FILE) == b'{"a":-5}'


def test_set_to_what_it_is_writes_nothing(cli: CommandLine, moto_s3: Site) -> None:
    moto_s3.write(FILE, b'{"a":1}')
    moto_s3.requests.clear()
    assert cli("set", "a", "1").code == 0
    assert moto_s3.requests.count() == {"GET": 1}


def test_set_takes_a_string_literally_if_told_to(cli: CommandLine, moto_s3: Site) -> None:
    cli("set", "a", "--string", "1")
    cli("set", "b", "--string", "-", stdin=b"two\nlines\n")
    assert json.loads(moto_s3.read(FILE)) == {"a": "1", "b": "two\nlines"}


def test_set_reads_the_value_from_standard_input(cli: CommandLine, moto_s3: Site) -> None:
    """This keeps a secret out of the list of processes."""
    cli("set", "a", "-", stdin=b' {"b": 1}\n')
    assert moto_s3.read(FILE) == b'{"a":{"b":1}}'


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("hunter2", "--string"),
        ("NaN", '{"py/float": "nan"}'),
        ('{"a": 1, "a": 2}', "twice"),
        ("", "--string"),
        ("[" * 100_000, "too deeply"),
        ("[" * 600 + "]" * 600, "nested"),
    ],
    ids=["word", "nan", "twice", "nothing", "deep", "too deep to store"],
)
def test_what_is_not_strictly_json_is_refused_and_not_repeated(
    cli: CommandLine, moto_s3: Site, value: str, reason: str
) -> None:
    """The message doesn't show the text, because it may be a secret."""
    moto_s3.write(FILE, b'{"a":1}')
    ended = cli("set", "a", value)
    assert (ended.code, ended.out) == (ExitCode.INPUT, "")
    assert reason in ended.err
    assert "hunter2" not in ended.err
    assert moto_s3.read(FILE) == b'{"a":1}'


def test_keys_that_are_no_strings_are_given_as_json(cli: CommandLine, moto_s3: Site) -> None:
    moto_s3.write(FILE, b'{"py/dict":[[1,"number"],["1","string"]]}')
    assert cli("get", "1").json == "string"
    assert cli("get", "1", "--json-keys").json == "number"
    assert cli("set", '{"py/tuple": [1, 2]}', "3", "--json-keys").code == 0
    assert cli("unset", "1", "--json-keys").code == 0
    assert json.loads(moto_s3.read(FILE)) == {"1": "string", "py/dict": [[{"py/tuple": [1, 2]}, 3]]}
    assert cli("get", "[1]", "--json-keys").code == ExitCode.USAGE


def test_a_word_taken_for_a_number_is_told_apart(cli: CommandLine, moto_s3: Site) -> None:
    moto_s3.write(FILE, b'{"py/dict":[[1,"number"]]}')
    assert "--json-keys" in cli("get", "1").err


def test_unset_removes_keys(cli: CommandLine, moto_s3: Site) -> None:
    moto_s3.write(FILE, b'{"a":1,"b":2,"c":3}')
    assert cli("unset", "a", "c", "a") == (0, "", "")
    assert moto_s3.read(FILE) == b'{"b":2}'


def test_unset_of_a_key_that_is_not_there_removes_nothing(cli: CommandLine, moto_s3: Site) -> None:
    moto_s3.write(FILE, b'{"a":1}')
    ended = cli("unset", "a", "b", "c")
    assert ended.code == ExitCode.NO_KEY
    assert '"b", "c"' in ended.err
    assert moto_s3.read(FILE) == b'{"a":1}'


def test_update_sets_the_keys_of_an_object(cli: CommandLine, moto_s3: Site) -> None:
    moto_s3.write(FILE, b'{"a":1,"b":2}')
    ended = cli("update", stdin=b'{"b": {"py/date": "2026-01-02"}, "c": 4}')
    assert ended == (0, "", "")
    assert json.loads(moto_s3.read(FILE)) == {"a": 1, "b": {"py/date": "2026-01-02"}, "c": 4}


@pytest.mark.parametrize("text", [b"", b"[1]", b'{"a": 1', b'{"a": 1}}', b"\xff", b'{"a": {"b": 1, "b": 2}}'])
def test_update_with_what_is_no_object_is_refused(cli: CommandLine, moto_s3: Site, text: bytes) -> None:
    moto_s3.write(FILE, b'{"a":1}')
    ended = cli("update", stdin=text)
    assert (ended.code, ended.out) == (ExitCode.INPUT, "")
    assert "standard input" in ended.err
    assert moto_s3.read(FILE) == b'{"a":1}'


def test_what_get_prints_update_takes_back(cli: CommandLine, moto_s3: Site) -> None:
    """Every type, including int keys and odd strings, comes back with the same text."""
    d: S3Dict[Any, Any] = S3Dict(moto_s3.bucket, file_name=FILE, **moto_s3.options)
    d.update({1: (1, {2}), "s": '\ud83d \u00e9 " \\u00e9', "n": 10**400, "f": 0.1 + 0.2, "t": {"py/tuple": 1}})
    d.save()
    text, body = cli("get").out.encode(), moto_s3.read(FILE)
    cli("set", "1", "null", "--json-keys")
    assert moto_s3.read(FILE) != body
    cli("update", stdin=text)
    assert moto_s3.read(FILE) == body


def test_two_who_set_different_keys_lose_nothing(cli: CommandLine, moto_s3: Site) -> None:
    moto_s3.write(FILE, b'{"a":1}')
    moto_s3.faults.append(meanwhile(moto_s3, b'{"a":1,"theirs":1}'))
    assert cli("set", "ours", "1") == (0, "", "")
    assert json.loads(moto_s3.read(FILE)) == {"a": 1, "theirs": 1, "ours": 1}


def test_a_key_removed_meanwhile_is_not_there_any_more(cli: CommandLine, moto_s3: Site) -> None:
    moto_s3.write(FILE, b'{"a":1}')
    moto_s3.faults.append(meanwhile(moto_s3, b'{"b":1}'))
    assert cli("unset", "a").code == ExitCode.NO_KEY
    assert moto_s3.read(FILE) == b'{"b":1}'


def test_options_of_put_object_are_passed_on(cli: CommandLine, moto_s3: Site) -> None:
    cli("set", "a", "1", "--put-option", "ServerSideEncryption=AES256", "--put-option", "CacheControl=no-store")
    head = moto_s3.client.head_object(Bucket=moto_s3.bucket, Key=FILE)
    assert (head["ServerSideEncryption"], head["CacheControl"]) == ("AES256", "no-store")
    assert cli("set", "a", "1", "--put-option", "x").code == ExitCode.USAGE
    assert cli("set", "a", "1", "--put-option", "Bucket=x").code == ExitCode.USAGE


# history, diff, restore


def test_history_lists_the_versions_newest_first(cli: CommandLine, versioned: list[str]) -> None:
    listed = cli("history").json
    assert [item["version_id"] for item in listed] == versioned[::-1]
    assert list(listed[0]) == ["version_id", "last_modified", "size", "etag", "is_latest"]
    assert (
        cli(
            "history",
            "--query",
            "[1].version_id",
        ).json
        == versioned[1]
    )


def test_an_old_version_can_be_looked_at(cli: CommandLine, versioned: list[str]) -> None:
    assert cli("get", "runs", "--version", versioned[0]).json == 1
    assert cli("get", "runs", "--version", "-1").json == 2
    assert cli("keys", "--version", "-2").json == ["runs", "log"]


def test_diff_shows_what_the_last_save_changed(cli: CommandLine, versioned: list[str]) -> None:
    """It shows only the keys that differ, so that they are easy to find in a large file."""
    ended = cli("diff")
    assert ended.code == ExitCode.DIFFERENT
    assert ended.out.splitlines() == [
        f"--- {cli.uri} (version {versioned[1]})",
        f"+++ {cli.uri}",
        "@@ -1,3 +1,4 @@",
        " {",
        '-  "runs": 2',
        '+  "runs": 3,',
        '+  "new": true',
        " }",
    ]


def test_diff_compares_two_versions(cli: CommandLine, versioned: list[str]) -> None:
    ended = cli("diff", versioned[0], "-1")
    assert '-  "runs": 1\n+  "runs": 2\n' in ended.out
    assert "new" not in ended.out


def test_diff_of_what_is_equal_prints_nothing(cli: CommandLine, moto_s3: Site, versioned: list[str]) -> None:
    """Spaces, escapes and the order of keys don't count."""
    moto_s3.write(FILE, b'{"new": true, "log": [ 1 ], "r\\u0075ns": 3}')
    assert cli("diff") == (0, "", "")


def test_diff_with_a_local_file(cli: CommandLine, versioned: list[str], tmp_path: Any) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"runs": 3, "log": [1], "new": false}')
    ended = cli("diff", "--file", str(path))
    assert ended.code == ExitCode.DIFFERENT
    assert '-  "new": true\n+  "new": false\n' in ended.out
    assert cli("diff", "-1", "--file", str(path)).out.count("\n+ ") == 2
    assert cli("diff", "-2", "-1", "--file", str(path)).code == ExitCode.USAGE
    assert cli("diff", "--file", str(tmp_path / "nothing")).code == ExitCode.LOCAL_FILE


def test_restore_saves_an_old_version_as_a_new_one(cli: CommandLine, moto_s3: Site, versioned: list[str]) -> None:
    ended = cli("restore", "-2")
    assert (ended.code, ended.out) == (0, "")
    assert versioned[0] in ended.err
    assert json.loads(moto_s3.read(FILE)) == {"runs": 1, "log": [1]}
    assert len(cli("history").json) == 4


def test_restore_of_what_is_there_writes_nothing(cli: CommandLine, versioned: list[str]) -> None:
    assert "nothing was written" in cli("restore", versioned[-1]).err
    assert len(cli("history").json) == 3


def test_restore_replaces_a_file_that_is_broken(cli: CommandLine, moto_s3: Site, versioned: list[str]) -> None:
    moto_s3.write(FILE, b'{"runs": ')
    assert cli("get").code == ExitCode.CORRUPT
    assert cli("restore", "-1").code == 0
    assert cli("get", "runs").json == 3


def test_restore_brings_back_a_file_that_was_deleted(cli: CommandLine, moto_s3: Site, versioned: list[str]) -> None:
    """The version before is the last one that existed."""
    moto_s3.client.delete_object(Bucket=moto_s3.bucket, Key=FILE)
    assert cli("get").code == ExitCode.NOT_THERE
    assert cli("restore", "-1").code == 0
    assert cli("get", "runs").json == 3


def test_restore_overwrites_nobody(cli: CommandLine, moto_s3: Site, versioned: list[str]) -> None:
    moto_s3.faults.append(meanwhile(moto_s3, b'{"theirs":1}'))
    ended = cli("restore", "-1")
    assert ended.code == ExitCode.CONFLICT
    assert f"{cli.uri} was written by someone else" in ended.err
    assert "nothing was overwritten. Run the command again." in ended.err
    assert moto_s3.read(FILE) == b'{"theirs":1}'


@pytest.mark.parametrize("was", ["deleted", "created"])
def test_a_conflict_tells_whether_the_file_was_deleted_or_created(
    cli: CommandLine, moto_s3: Site, monkeypatch: pytest.MonkeyPatch, was: str
) -> None:
    """The message is the library's, without the advice for programs."""

    def delete(request: Request, forward: Forward) -> Response | None:
        moto_s3.client.delete_object(Bucket=moto_s3.bucket, Key=FILE)
        return forward(request)

    if was == "deleted":
        moto_s3.write(FILE, b'{"a":1}')
    monkeypatch.setattr(S3Dict, "run", partialmethod(S3Dict.run, attempts=1))
    moto_s3.faults.append(Call(delete, method="PUT") if was == "deleted" else meanwhile(moto_s3, b"{}"))
    ended = cli("set", "b", "1")
    assert ended.code == ExitCode.CONFLICT
    assert f"{cli.uri} was {was} by someone else" in ended.err
    assert "load()" not in ended.err


@pytest.mark.parametrize("version", ["00000000-0000-0000-0000-000000000000", "-3", "-99"])
def test_a_version_that_is_not_there_is_an_error(
    cli: CommandLine, moto_s3: Site, versioned: list[str], version: str
) -> None:
    before = moto_s3.read(FILE)
    for command in (
        ["get", "--version", version],
        ["get", f"--version={version}"],
        ["diff", version],
        ["restore", version],
    ):
        ended = cli(*command)
        assert (ended.code, ended.out) == (ExitCode.NOT_THERE, ""), command
        assert version in ended.err
    assert moto_s3.read(FILE) == before


# How it ends


def test_a_conflict_that_does_not_end_has_a_code_of_its_own(
    cli: CommandLine, moto_s3: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s3dictionary._groups.backoff", lambda: repeat(0.0))
    moto_s3.write(FILE, b'{"a":0}')
    moto_s3.faults.extend(meanwhile(moto_s3, b'{"a":%d}' % number) for number in range(1, 11))
    ended = cli("set", "b", "1")
    assert ended.code == ExitCode.CONFLICT
    assert cli.uri in ended.err
    assert moto_s3.read(FILE) == b'{"a":10}'


def test_a_file_that_is_no_json_object_has_a_code_of_its_own(cli: CommandLine, moto_s3: Site) -> None:
    moto_s3.write(FILE, b"[1]")
    for command in (["get"], ["set", "a", "1"], ["update"]):
        ended = cli(*command, stdin=b"{}")
        assert (ended.code, ended.out) == (ExitCode.CORRUPT, "")
        assert "not a JSON object but an array" in ended.err
    assert moto_s3.read(FILE) == b"[1]"


def test_no_bucket_no_way_there_and_no_permission_are_told_apart(cli: CommandLine, moto_s3: Site) -> None:
    assert cli("get", uri="s3://no-such-bucket/state.json").code == ExitCode.NOT_THERE
    moto_s3.faults.append(Answer(403, "AccessDenied"))
    denied = cli("get")
    assert denied.code == ExitCode.STORAGE
    assert "s3:GetObject" in denied.err


def test_an_address_that_is_none_is_a_usage_error(cli: CommandLine) -> None:
    for uri in ("state.json", "s3://bucket", "s3:///key", "https://bucket/key"):
        ended = cli("get", uri=uri)
        assert (ended.code, ended.out) == (ExitCode.USAGE, "")
        assert "s3://bucket/key" in ended.err


def test_no_credentials_say_what_to_do(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    ended = cli("get")
    assert ended.code == ExitCode.UNREACHED
    assert "--profile" in ended.err


def test_a_profile_that_is_not_there_is_a_usage_error(cli: CommandLine) -> None:
    ended = cli("get", "--profile", "nobody")
    assert ended.code == ExitCode.USAGE
    assert "nobody" in ended.err


def test_a_profile_counts_more_than_keys_in_the_environment(
    cli: CommandLine, moto_s3: Site, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This is as in the AWS CLI. The option may also come before the command."""
    config = tmp_path / "config"
    config.write_text("[profile other]\naws_access_key_id = OTHERKEY\naws_secret_access_key = x\nregion = eu-west-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    cli("set", "a", "1", "--profile", "other")
    assert "Credential=OTHERKEY/" in moto_s3.requests.log[0].headers["Authorization"]


def test_connection_options_may_stand_before_the_command(cli: CommandLine, moto_s3: Site) -> None:
    moto_s3.write(FILE, b'{"a":1}')
    assert main(["--region", "eu-north-1", "get", cli.uri]) == 0
    assert "/eu-north-1/s3/" in moto_s3.requests.log[0].headers["Authorization"]


def test_ctrl_c_while_looking_just_ends(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("s3dictionary.cli.files.connect", interrupt)
    assert cli("get") == (130, "", "s3dictionary: stopped\n")


def test_every_exit_code_is_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(f"{int(code):3d}  {code.meaning}" in text for code in ExitCode)


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ("get s3://b/k --raw a", {"key": "a", "raw": True}),
        ("get --json-keys s3://b/k 42", {"key": "42", "json_keys": True}),
        ("get s3://b/k --version -1 a", {"version": "-1", "key": "a"}),
        ("get s3://b/k", {"key": None}),
        ("get s3://b/k -- --a", {"key": "--a"}),
        ("set s3://b/k a -1.5", {"value": "-1.5"}),
        ("set s3://b/k --string a b --region x", {"key": "a", "value": "b", "string": True, "region": "x"}),
        ("set --string s3://b/k -- a -b", {"key": "a", "value": "-b", "string": True}),
        ("--region x set s3://b/k a -", {"value": "-", "region": "x"}),
        ("unset s3://b/k a --json-keys b", {"keys": ["a", "b"]}),
        ("diff s3://b/k --file x -1", {"old": "-1", "new": None, "file": "x"}),
        ("diff s3://b/k -2 -1", {"old": "-2", "new": "-1", "file": None}),
    ],
)
def test_options_and_words_may_come_in_any_order(words: str, given: dict[str, Any]) -> None:
    assert given.items() <= vars(make_parser().parse_args(words.split())).items()


@pytest.mark.parametrize("words", ["", "get", "get s3://b/k a b", "set s3://b/k a", "unset s3://b/k", "grab s3://b/k"])
def test_what_is_missing_or_too_much_is_a_usage_error(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    assert ended.value.code == ExitCode.USAGE
    assert capsys.readouterr().err.startswith("usage: s3dictionary")


def test_the_page_on_the_command_line_has_every_exit_code() -> None:
    page = PAGE.read_text()
    for code in ExitCode:
        assert f"| {int(code)} | {code.meaning}" in page


def test_every_example_on_the_page_is_understood() -> None:
    """The page shows all commands, and the parser accepts all options in it."""
    examples = re.findall(
        r"^s3dictionary .+|(?<=`)s3dictionary [^`]+(?=`)|(?<=\$\()s3dictionary [^)]+", PAGE.read_text(), re.MULTILINE
    )
    seen = set()
    for example in examples:
        words = shlex.split(re.split(r" [<>] ", example)[0], comments=True)[1:]
        if words[:1] == ["--print-completion"] or words[-1] == "--help":
            continue
        make_parser().parse_args(words)
        seen.add(words[0])
    assert seen == {
        "get",
        "keys",
        "set",
        "update",
        "unset",
        "edit",
        "diff",
        "history",
        "log",
        "restore",
        "ls",
        "doctor",
    }


def test_completion_is_something_that_bash_takes() -> None:
    pytest.importorskip("shtab")
    printed = [sys.executable, "-m", "s3dictionary", "--print-completion", "bash"]
    script = subprocess.run(printed, capture_output=True, check=True, text=True).stdout
    completing = f"{script}\nCOMP_WORDS=(s3dictionary rest) COMP_CWORD=1; _shtab_s3dictionary; echo $COMPREPLY"
    assert subprocess.run(["bash", "-c", completing], capture_output=True, text=True).stdout == "restore\n"


def test_completion_says_what_it_needs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    with pytest.raises(SystemExit) as ended:
        main(["--print-completion", "zsh"])
    assert ended.value.code == ExitCode.USAGE
    assert "pip install 'S3Dictionary[cli]>=1'" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["{}", "[]", '""', "0", '{"a":{"b":[{}]}}', r'"\\\" \u0041"'])
def test_pretty_printing_changes_nothing_but_spaces_and_escapes(text: str) -> None:
    assert json.loads(pretty(text.encode())) == json.loads(text)


# As a program


def run(site: Site, cli: CommandLine, *words: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, **cli.environment}
    return subprocess.run(
        [sys.executable, "-m", "s3dictionary", *words], env=environment, capture_output=True, timeout=60, **options
    )


def test_it_runs_as_a_module(cli: CommandLine, moto_s3: Site) -> None:
    """This also works if Python thinks that the terminal accepts only ASCII."""
    written = run(moto_s3, cli, "set", cli.uri, "é", '"ü"')
    assert (written.returncode, written.stdout) == (0, b"")
    environment = {**os.environ, **cli.environment, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "s3dictionary", "get", cli.uri]
    assert json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout) == {"é": "ü"}


def test_the_library_needs_no_command_line_and_its_help_no_boto3() -> None:
    check = """
import sys
import s3dictionary
assert "s3dictionary.cli" not in sys.modules
from s3dictionary.cli import main
from s3dictionary.cli.arguments import make_parser
make_parser().format_help()
assert not {"boto3", "botocore", "jmespath", "s3dictionary.cli.files"} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", check], check=True)


def test_only_a_program_that_ends_leaves_its_objects_to_the_system() -> None:
    """A caller of `main(words)` goes on, and its garbage must be collected."""
    check = """
import gc, sys
from s3dictionary.cli import main

def freezes(*words):
    before = gc.get_freeze_count()
    try:
        main(*words)
    except SystemExit:
        return gc.get_freeze_count() > before

sys.argv[1:] = ["--version"]
assert (freezes(["--version"]), freezes()) == (False, True)
"""
    subprocess.run([sys.executable, "-c", check], check=True)


def test_a_reader_that_goes_away_is_no_error(cli: CommandLine, moto_s3: Site) -> None:
    """An example is `| head`."""
    moto_s3.write(FILE, b'{"a":1}')
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "s3dictionary", "get", cli.uri]
    environment = {**os.environ, **cli.environment}
    ended = subprocess.run(command, env=environment, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (ExitCode.BROKEN_PIPE, b"")


# What there is


def test_ls_lists_the_files_below_an_address(cli: CommandLine, moto_s3: Site) -> None:
    for name in ("app/b.json", "app/a.json.gz", "app/picture.png", "other.json"):
        moto_s3.write(name, b"{}")
    folder = f"s3://{moto_s3.bucket}/app/"
    listed = cli("ls", uri=folder).json
    assert [(file["uri"], file["size"]) for file in listed] == [(f"{folder}a.json.gz", 2), (f"{folder}b.json", 2)]
    assert cli("ls", "--all", "--raw", uri=folder).out == f"{folder}a.json.gz\n{folder}b.json\n{folder}picture.png\n"
    assert cli("ls", "--raw", uri=f"s3://{moto_s3.bucket}").out.endswith("other.json\n")


def test_ls_lists_more_than_one_page(cli: CommandLine, moto_s3: Site) -> None:
    for name in ("a.json", "b.json"):
        moto_s3.write(name, b"{}")

    def one_key_a_page(request: Request, forward: Forward) -> Response | None:
        return forward(replace(request, path=f"{request.path}&max-keys=1"))

    moto_s3.faults.append(Call(one_key_a_page))
    assert len(cli("ls", uri=f"s3://{moto_s3.bucket}").json) == 2
    assert moto_s3.requests.count()["GET"] == 2


def test_ls_without_permission_names_the_permission(cli: CommandLine, moto_s3: Site) -> None:
    moto_s3.faults.append(Answer(403, "AccessDenied"))
    ended = cli("ls")
    assert (ended.code, ended.out) == (ExitCode.STORAGE, "")
    assert "s3:ListBucket" in ended.err


def test_log_tells_who_wrote_what_and_when(cli: CommandLine, moto_s3: Site, versioned: list[str]) -> None:
    with S3Dict(moto_s3.bucket, file_name=FILE, client=moto_s3.client) as d:
        del d["new"]
        d["runs"] = 4
    newest, before, *_, first = cli("log", "--json").json
    assert newest["keys"] == {"added": [], "changed": ['"runs"'], "removed": ['"new"']}
    assert newest["writer"]
    assert (before["version_id"], before["writer"]) == (versioned[-1], None)
    assert before["keys"] == {"added": ['"new"'], "changed": ['"runs"'], "removed": []}
    assert first["keys"]["added"] == ['"runs"', '"log"']
    lines = cli("log", "-n", "2").out.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [lines[0], lines[3]]
    assert f"writer {newest['writer']}" in lines[0]
    assert lines[1:3] == ['    changed  "runs"', '    removed  "new"']


def test_log_passes_over_what_is_not_json(cli: CommandLine, moto_s3: Site, versioned: list[str]) -> None:
    moto_s3.write(FILE, b"broken")
    assert [entry["keys"] is None for entry in cli("log", "--json").json] == [True, False, False, False]


def test_a_path_into_a_value_is_recognized(cli: CommandLine, moto_s3: Site) -> None:
    moto_s3.write(FILE, b'{"jobs":[{"name":"a"}]}')
    ended = cli("get", "jobs.0.name")
    assert ended.code == ExitCode.NO_KEY
    assert "--query 'jobs[0].name'" in ended.err
    assert cli("get", "--query", "jobs[0].name", "--raw").out == "a\n"


def test_an_endpoint_without_http_is_told_what_it_lacks(cli: CommandLine) -> None:
    ended = cli("get", "--endpoint-url", "localhost:9000")
    assert ended.code == ExitCode.USAGE
    assert "http://" in ended.err


@pytest.mark.parametrize(
    ("value", "place", "fits"),
    [
        ('{"py/datetime": "yesterday"}', "a py/datetime whose", '{"py/datetime":"2026-01-31T12:30:00+00:00"}'),
        ('{"jobs": [{"py/set": [1, [2]]}]}', "a py/set at ['jobs'][0] whose", '{"py/set":[1,2]}'),
        ('[{"py/tuple": [{"py/uuid": "1"}]}]', "a py/uuid at [0]['py/tuple'][0] whose", '{"py/uuid":"12345678'),
        ('{"a": 1, "py/dict": [[1]]}', "a py/dict whose", '{"py/dict":[[1,"one"]]}'),
    ],
)
def test_what_looks_like_a_type_but_does_not_fit_is_refused(
    cli: CommandLine, value: str, place: str, fits: str
) -> None:
    """Otherwise it would be saved as a plain dict. The message has a valid example."""
    for ended in (cli("set", "a", value), cli("update", stdin=b'{"a":%s}' % value.encode())):
        assert ended.code == ExitCode.INPUT
        assert fits in ended.err
        assert place in ended.err or "at ['a']" in ended.err
    assert cli("get").code == 3  # nothing was created


def test_each_type_says_what_fits() -> None:
    """The example in the message is valid."""
    for tag in READERS:
        [mistake] = mistakes(b'{"py/%s":null}' % tag.encode())
        assert mistake.is_wrong
        example = mistake.advice.removeprefix("A valid example is ").encode()
        assert f"py/{tag}".encode() in example
        assert not mistakes(example)
        assert type(codec.decode(example)) is not dict or tag == "dict"


@pytest.mark.parametrize("value", ['{"py/Job": {"id": 1}}', '{"py/dict": [["py/datetime", "yesterday"]]}'])
def test_names_that_are_not_known_and_dicts_that_only_look_like_a_type_can_be_set(cli: CommandLine, value: str) -> None:
    """An unknown name may be a user class, and `py/dict` is how such a dict is written."""
    assert cli("set", "a", value).code == 0
    assert cli("get", "a").json == json.loads(value)


def test_a_name_that_may_be_a_typo_is_told_and_kept(cli: CommandLine) -> None:
    ended = cli("set", "a", '{"py/datetme": "2026-01-31T12:30:00"}')
    assert ended.code == 0
    assert "Did you mean py/datetime?" in ended.err
    assert cli("get", "a").json == {"py/datetme": "2026-01-31T12:30:00"}
