"""Credentials that expire while a program runs are renewed, or cause a clear error that keeps the changes."""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from s3dictionary import S3Dict, StorageError, UnknownOutcomeError
from s3dictionary.cli.outcomes import ExitCode
from support.command_line import FILE, CommandLine
from support.proxy import Answer, Call, Forward, Request, Response
from support.servers import Site

SSO = """
[default]
sso_session = corp
sso_account_id = 123456789012
sso_role_name = reader
[sso-session corp]
sso_region = us-east-1
sso_start_url = https://corp.example/start
"""
WORK = {"work": "of an hour"}

Login = Callable[..., None]


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty home directory, and no keys in the environment."""
    for name in "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY":
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    return tmp_path


@pytest.fixture
def log_in(home: Path) -> Login:
    """Let a credential process return a key that is valid for some minutes, or, with a negative number, has expired."""

    def make(key: str, minutes: int = 60) -> None:
        over = datetime.now(timezone.utc) + timedelta(minutes=minutes)
        answer = {"Version": 1, "AccessKeyId": key, "SecretAccessKey": "secret", "Expiration": over.isoformat()}
        (home / "answer").write_text(json.dumps(answer))
        if not (home / "config").exists():
            (home / "config").write_text(f"[default]\ncredential_process = cat {home / 'answer'}\n")

    return make


def bare(s3: Site) -> S3Dict:
    """A dict with the credentials that boto3 finds."""
    return S3Dict(s3.bucket, file_name=FILE, endpoint_url=s3.endpoint_url)


def signer(s3: Site) -> str:
    """The access key that signed the last request."""
    return s3.requests.log[-1].headers["Authorization"].partition("Credential=")[2].partition("/")[0]


def expire(s3: Site, key: str) -> None:
    """Let the store say that this key has expired."""
    refuse = Answer(400, "ExpiredToken")

    def check(request: Request, forward: Forward) -> Response | None:
        is_expired = f"Credential={key}/" in request.headers["Authorization"]
        return refuse(request, forward) if is_expired else forward(request)

    s3.faults.append(Call(check, forever=True))


def expired_sso_login(home: Path) -> None:
    (home / "config").write_text(SSO)
    token = {"startUrl": "https://corp.example/start", "region": "us-east-1", "accessToken": "aSecretToken"}
    cache = home / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    name = hashlib.sha1(b"corp").hexdigest()  # as botocore names it
    (cache / f"{name}.json").write_text(json.dumps({**token, "expiresAt": "2020-01-01T00:00:00Z"}))


# In the middle of a block


def test_credentials_that_run_out_in_a_block_are_renewed_before_the_save(moto_s3: Site, log_in: Login) -> None:
    """botocore renews credentials with a known expiry a few minutes before it."""
    log_in("first", minutes=5)
    with bare(moto_s3) as d:
        log_in("second")
        d.update(WORK)
    assert signer(moto_s3) == "second"
    assert json.loads(moto_s3.read(FILE)) == WORK


def test_a_token_that_the_store_takes_for_expired_in_a_block_is_renewed(moto_s3: Site, log_in: Login) -> None:
    log_in("first")
    with bare(moto_s3) as d:
        log_in("second")
        expire(moto_s3, "first")
        d.update(WORK)
    assert signer(moto_s3) == "second"
    assert json.loads(moto_s3.read(FILE)) == WORK


def test_keys_exchanged_in_the_environment_in_a_block_are_used(
    moto_s3: Site, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "first")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with bare(moto_s3) as d:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "second")
        d.update(WORK)
    assert signer(moto_s3) == "second"


def given_keys(s3: Site) -> S3Dict:
    return S3Dict(s3.bucket, "first", "secret", FILE, aws_session_token="t", endpoint_url=s3.endpoint_url)


def given_client(s3: Site) -> S3Dict:
    return S3Dict(s3.bucket, file_name=FILE, client=s3.proxied_client(aws_access_key_id="first"))


@pytest.mark.parametrize("make", [bare, given_keys, given_client])
def test_what_can_not_be_renewed_is_a_clear_error_that_has_the_work(
    moto_s3: Site, log_in: Login, make: Callable[[Site], S3Dict]
) -> None:
    log_in("first")
    d = make(moto_s3)
    with pytest.raises(StorageError, match="expired: get new ones") as caught, d:
        expire(moto_s3, "first")
        d.update(WORK)
    assert not isinstance(caught.value, UnknownOutcomeError)
    assert caught.value.unsaved == WORK
    assert d == {}


def test_credentials_that_a_helper_does_not_renew_are_a_clear_error_that_has_the_work(
    moto_s3: Site, log_in: Login
) -> None:
    """botocore raises a `RuntimeError` in this case."""
    log_in("first", minutes=5)
    d = bare(moto_s3)
    with pytest.raises(StorageError, match="expired") as caught, d:
        log_in("first", minutes=-5)
        d.update(WORK)
    assert not isinstance(caught.value, UnknownOutcomeError)
    assert caught.value.unsaved == WORK


# The command line


@pytest.fixture
def prompt(moto_s3: Site, monkeypatch: pytest.MonkeyPatch, capsysbinary: Any, home: Path) -> CommandLine:
    """The command line, with the credentials of a home directory."""
    made = CommandLine(moto_s3, monkeypatch, capsysbinary)
    for name in "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY":
        monkeypatch.delenv(name)
    return made


def test_a_text_that_took_longer_than_the_token_is_saved(
    prompt: CommandLine, moto_s3: Site, log_in: Login, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moto_s3.write(FILE, b'{"a":1}')
    log_in("first")
    editor = home / "editor.py"
    answer = home / "answer"
    editor.write_text(
        "import pathlib, sys\n"
        "text, answer = (pathlib.Path(path) for path in (sys.argv[-1], sys.argv[1]))\n"
        "text.write_text(text.read_text().replace('1', '2'))\n"
        "answer.write_text(answer.read_text().replace('first', 'second'))\n"
    )
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", shlex.join([sys.executable, "-S", str(editor), str(answer)]))

    def check(request: Request, forward: Forward) -> Response | None:
        if request.method == "PUT" and "Credential=first/" in request.headers["Authorization"]:
            return Answer(400, "ExpiredToken")(request, forward)
        return forward(request)

    moto_s3.faults.append(Call(check, forever=True))
    assert prompt("edit").code == 0
    assert moto_s3.read(FILE) == b'{"a":2}'


@pytest.mark.parametrize("command", ["get", "doctor"])
def test_the_command_line_says_how_to_log_in_again(prompt: CommandLine, home: Path, command: str) -> None:
    expired_sso_login(home)
    ended = prompt(command)
    assert ended.code != 0
    assert "aws sso login" in ended.out + ended.err
    assert "aSecretToken" not in ended.out + ended.err


@pytest.mark.parametrize("command", ["get", "doctor"])
def test_the_command_line_copes_with_a_helper_that_prints_text(prompt: CommandLine, home: Path, command: str) -> None:
    (home / "config").write_text("[default]\ncredential_process = echo your login has run out\n")
    ended = prompt(command)
    assert ended.code == ExitCode.UNREACHED
    assert "credential_process" in ended.err


def test_the_doctor_looks_for_the_credentials_of_the_profile(prompt: CommandLine, home: Path) -> None:
    (home / "credentials").write_text("[work]\naws_access_key_id = first\naws_secret_access_key = secret\n")
    assert "found in: shared-credentials-file" in prompt("doctor", "--profile", "work").out
