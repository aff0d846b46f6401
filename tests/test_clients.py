"""Clients are found as boto3 finds them, shared, and replaced if necessary."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

import s3dictionary._s3.clients
from s3dictionary import AccessDeniedError, S3Dict, StorageError, TransactionError, UnknownOutcomeError
from support.proxy import Answer, Call, Forward, Request, Response
from support.servers import Site

WHERE_NEEDED = "when_required"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The options of each client that is created."""
    options: list[dict[str, Any]] = []
    make = boto3.Session.client

    def client(self: boto3.Session, *args: Any, **kwargs: Any) -> Any:
        options.append(kwargs)
        return make(self, *args, **kwargs)

    monkeypatch.setattr(boto3.Session, "client", client)
    return options


def use_keys(monkeypatch: pytest.MonkeyPatch, key: str = "fromtheenvironment") -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


def state(s3: Site, **options: Any) -> S3Dict:
    return S3Dict(s3.bucket, **{"file_name": "state.json", **s3.options, **options})


def bare(s3: Site, **options: Any) -> S3Dict:
    """A dict with only the endpoint as an option."""
    return S3Dict(s3.bucket, file_name="state.json", endpoint_url=s3.endpoint_url, **options)


def signer(s3: Site) -> str:
    """The access key that signed the last request."""
    return s3.requests.log[-1].headers["Authorization"].partition("Credential=")[2].partition("/")[0]


# Credentials


def test_given_keys_are_used(moto_s3: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    use_keys(monkeypatch)
    state(moto_s3, access_key_id="given", access_secret_key="secret")
    assert signer(moto_s3) == "given"


def test_given_keys_work_where_signatures_are_checked(seaweed: Site) -> None:
    state(seaweed, data={"a": 1}).save()
    assert seaweed.read("state.json") == b'{"a":1}'


def test_keys_left_out_come_from_the_environment(moto_s3: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    use_keys(monkeypatch)
    bare(moto_s3)
    assert signer(moto_s3) == "fromtheenvironment"


def test_keys_left_out_come_from_a_profile(moto_s3: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    path.write_text("[work]\naws_access_key_id = fromtheprofile\naws_secret_access_key = secret\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    monkeypatch.setenv("AWS_PROFILE", "work")
    bare(moto_s3)
    assert signer(moto_s3) == "fromtheprofile"


def test_the_session_token_is_sent(moto_s3: Site) -> None:
    state(moto_s3, aws_session_token="a-token")
    assert moto_s3.requests.log[-1].headers["X-Amz-Security-Token"] == "a-token"


def test_the_region_is_used(moto_s3: Site) -> None:
    state(moto_s3, region_name="eu-west-3")
    assert "/eu-west-3/s3/" in moto_s3.requests.log[-1].headers["Authorization"]


def test_the_config_is_used(moto_s3: Site) -> None:
    state(moto_s3, config=Config(user_agent_extra="my-program/1"))
    assert "my-program/1" in moto_s3.requests.log[-1].headers["User-Agent"]


def test_the_endpoint_can_come_from_the_environment(moto_s3: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    use_keys(monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", moto_s3.endpoint_url)
    assert S3Dict(moto_s3.bucket, file_name="state.json") == {}


def test_an_option_that_boto3_does_not_know_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="regionname"):
        S3Dict("bucket", file_name="state.json", regionname="eu-west-1")


# A client of the user's own


def test_a_given_client_is_used_as_it_is(moto_s3: Site, made: list[Any]) -> None:
    client = moto_s3.proxied_client(aws_access_key_id="theirs")
    made.clear()
    with S3Dict(moto_s3.bucket, file_name="state.json", client=client) as d:
        d["a"] = 1
    assert {exchange.method for exchange in moto_s3.requests.log} == {"GET", "PUT"}
    assert signer(moto_s3) == "theirs"
    assert made == []


# Sharing


def test_dicts_with_the_same_options_share_a_client(moto_s3: Site, made: list[Any]) -> None:
    state(moto_s3)
    made.clear()
    for number in range(5):
        state(moto_s3, file_name=f"{number}.json").save()
    assert made == []


@pytest.mark.parametrize(
    "other", [{"region_name": "eu-west-3"}, {"access_key_id": "other"}, {"aws_session_token": "t"}]
)
def test_dicts_with_other_options_have_others(moto_s3: Site, other: dict[str, str]) -> None:
    def signature(d: S3Dict) -> tuple[str, str | None]:
        d.load()
        headers = moto_s3.requests.log[-1].headers
        return headers["Authorization"].partition(", ")[0], headers.get("X-Amz-Security-Token")

    d = state(moto_s3)
    before = signature(d)
    assert signature(state(moto_s3, **other)) != before
    assert signature(d) == before


def test_a_changed_environment_means_another_client(moto_s3: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    use_keys(monkeypatch, "first")
    d = bare(moto_s3)
    assert signer(moto_s3) == "first"
    use_keys(monkeypatch, "second")
    bare(moto_s3)
    assert signer(moto_s3) == "second"
    d.load()
    assert signer(moto_s3) == "second"
    use_keys(monkeypatch, "first")
    d.save()
    assert signer(moto_s3) == "first"


def test_a_changed_endpoint_in_the_environment_is_seen(moto_s3: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """An example is a test with a new S3 server."""
    use_keys(monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", moto_s3.server.endpoint_url)
    S3Dict(moto_s3.bucket, file_name="state.json")
    assert moto_s3.requests.log == []
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", moto_s3.endpoint_url)
    S3Dict(moto_s3.bucket, file_name="state.json")
    assert moto_s3.requests.count() == {"GET": 1}


def test_threads_that_start_together_get_one_client(moto_s3: Site, made: list[Any]) -> None:
    barrier = threading.Barrier(8)
    config = Config(user_agent_extra="threads")

    def make() -> None:
        barrier.wait()
        state(moto_s3, config=config)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(options["config"]) for options in made}) <= 2
    assert len(made) <= 2
    assert moto_s3.requests.count() == {"GET": 8}


# boto3's default session


def test_boto3s_default_session_is_never_made_by_this_library(moto_s3: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    use_keys(monkeypatch)
    with bare(moto_s3) as d:
        d["a"] = 1
    state(moto_s3)
    assert boto3.DEFAULT_SESSION is None


def test_the_programs_default_session_is_respected(moto_s3: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    use_keys(monkeypatch)
    boto3.setup_default_session(aws_access_key_id="thesessions", aws_secret_access_key="secret")
    bare(moto_s3)
    assert signer(moto_s3) == "thesessions"


def test_a_default_session_made_after_the_first_dict_is_respected_too(
    moto_s3: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_keys(monkeypatch)
    bare(moto_s3)
    assert signer(moto_s3) == "fromtheenvironment"
    boto3.setup_default_session(aws_access_key_id="thesessions", aws_secret_access_key="secret")
    bare(moto_s3)
    assert signer(moto_s3) == "thesessions"
    boto3.setup_default_session(aws_access_key_id="another", aws_secret_access_key="secret")
    bare(moto_s3)
    assert signer(moto_s3) == "another"


def test_given_keys_go_before_the_default_sessions(moto_s3: Site) -> None:
    boto3.setup_default_session(aws_access_key_id="thesessions", aws_secret_access_key="secret")
    state(moto_s3, access_key_id="given", access_secret_key="secret")
    assert signer(moto_s3) == "given"


def test_the_programs_default_session_stays_in_use_in_a_changed_environment(
    moto_s3: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`boto3.client` does the same."""
    boto3.setup_default_session(aws_access_key_id="thesessions", aws_secret_access_key="secret")
    bare(moto_s3)
    use_keys(monkeypatch, "second")
    bare(moto_s3)
    assert signer(moto_s3) == "thesessions"


# Credentials that change


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A credentials file instead of keys in the environment."""
    for name in "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN":
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return path


def keys(key: str, profile: str = "default") -> str:
    return f"[{profile}]\naws_access_key_id = {key}\naws_secret_access_key = secret\n"


def helper(answer: Path, key: str) -> str:
    """A configuration with a credential process that prints this key."""
    facts = {"Version": 1, "AccessKeyId": key, "SecretAccessKey": "secret"}
    answer.write_text(json.dumps(facts))
    return f"[default]\ncredential_process = cat {answer}\n"


def refuse_all_but(s3: Site, key: str) -> None:
    """Let the store accept only one key."""
    refuse = Answer(403, "InvalidAccessKeyId")

    def check(request: Request, forward: Forward) -> Response | None:
        is_known = f"Credential={key}/" in request.headers["Authorization"]
        return forward(request) if is_known else refuse(request, forward)

    s3.faults.append(Call(check, forever=True))


def test_who_logs_in_after_a_failed_login_gets_in(moto_s3: Site, credentials: Path) -> None:
    with pytest.raises(StorageError, match="credentials"):
        bare(moto_s3)
    credentials.write_text(keys("loggedin"))
    bare(moto_s3)
    assert signer(moto_s3) == "loggedin"


def test_a_renewed_credentials_file_is_read_by_the_next_request_of_an_old_dict(
    moto_s3: Site, credentials: Path
) -> None:
    credentials.write_text(keys("first"))
    d = bare(moto_s3)
    assert signer(moto_s3) == "first"
    credentials.write_text(keys("second"))
    d.save()
    assert signer(moto_s3) == "second"


def test_keys_that_a_helper_exchanges_are_asked_for_when_the_old_ones_are_refused(
    moto_s3: Site, credentials: Path, tmp_path: Path
) -> None:
    """Nothing visible has changed, but the store doesn't accept the old keys any more."""
    answer = tmp_path / "answer"
    credentials.with_name("config").write_text(helper(answer, "first"))
    d = bare(moto_s3)
    helper(answer, "second")
    refuse_all_but(moto_s3, "second")
    with d:
        d["work"] = "of an hour"
    assert moto_s3.read("state.json") == b'{"work":"of an hour"}'
    assert [exchange.status for exchange in moto_s3.requests.log].count(403) == 1


def test_keys_that_never_worked_are_tried_once(moto_s3: Site, credentials: Path) -> None:
    credentials.write_text(keys("wrong"))
    refuse_all_but(moto_s3, "right")
    with pytest.raises(AccessDeniedError, match="InvalidAccessKeyId"):
        bare(moto_s3)
    assert moto_s3.requests.count() == {"GET": 1}


def test_given_keys_are_not_tried_again_when_they_are_refused(moto_s3: Site) -> None:
    d = state(moto_s3)
    refuse_all_but(moto_s3, "another")
    with pytest.raises(AccessDeniedError):
        d.load()
    assert moto_s3.requests.count() == {"GET": 2}


def test_a_helper_that_fails_in_the_middle_of_a_block_loses_no_work(
    moto_s3: Site, credentials: Path, tmp_path: Path
) -> None:
    answer = tmp_path / "answer"
    credentials.with_name("config").write_text(helper(answer, "first"))
    d = bare(moto_s3)
    with pytest.raises(StorageError) as caught, d:
        d["work"] = "of an hour"
        answer.write_text("your login has run out")
        refuse_all_but(moto_s3, "second")
    assert not isinstance(caught.value, UnknownOutcomeError)
    assert caught.value.unsaved == {"work": "of an hour"}


# Profiles


def test_the_named_profile_is_used_even_if_the_environment_has_keys(
    moto_s3: Site, credentials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_keys(monkeypatch)
    credentials.write_text(keys("work", "work"))
    bare(moto_s3, profile_name="work")
    assert signer(moto_s3) == "work"


def test_the_named_profile_goes_before_the_programs_default_session(moto_s3: Site, credentials: Path) -> None:
    boto3.setup_default_session(aws_access_key_id="thesessions", aws_secret_access_key="secret")
    credentials.write_text(keys("work", "work"))
    bare(moto_s3, profile_name="work")
    assert signer(moto_s3) == "work"


def test_a_profile_that_is_not_there_is_named(credentials: Path) -> None:
    with pytest.raises(StorageError, match="missing"):
        S3Dict("bucket", file_name="state.json", profile_name="missing")


def test_an_unpickled_dict_uses_the_same_profile(moto_s3: Site, credentials: Path) -> None:
    credentials.write_text(keys("work", "work"))
    pickle.loads(pickle.dumps(bare(moto_s3, profile_name="work"))).load()
    assert signer(moto_s3) == "work"


@pytest.mark.parametrize("profile", ["", 1])
def test_a_profile_name_that_is_no_name_is_a_value_error(profile: Any) -> None:
    with pytest.raises(ValueError, match="profile_name"):
        S3Dict("bucket", file_name="state.json", profile_name=profile)


def test_a_client_has_a_profile_already(moto_s3: Site) -> None:
    with pytest.raises(ValueError, match="client"):
        S3Dict("bucket", file_name="state.json", client=moto_s3.proxied_client(), profile_name="work")


# Several at once


def test_a_signal_handler_that_saves_while_a_client_is_made_makes_one_for_itself(
    moto_s3: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It interrupts its own thread, which would wait forever for itself."""
    make, inside = boto3.Session.client, []

    def client(self: boto3.Session, *args: Any, **options: Any) -> Any:
        if not inside:
            inside.append(True)
            state(moto_s3, config=config, data={"a": 1}).save()
        return make(self, *args, **options)

    config = Config(user_agent_extra="in its midst")
    monkeypatch.setattr(boto3.Session, "client", client)
    state(moto_s3, config=config)
    assert moto_s3.read("state.json") == b'{"a":1}'


def test_a_slow_login_keeps_only_those_waiting_who_need_it(moto_s3: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    make, inside, leave = boto3.Session.client, threading.Event(), threading.Event()

    def client(self: boto3.Session, *args: Any, **options: Any) -> Any:
        if "slow" in options["config"].user_agent_extra:
            inside.set()
            leave.wait()
        return make(self, *args, **options)

    slow_config, config = Config(user_agent_extra="slow"), Config(user_agent_extra="fast")
    monkeypatch.setattr(boto3.Session, "client", client)
    slow = threading.Thread(target=state, args=[moto_s3], kwargs={"config": slow_config})
    slow.start()
    inside.wait()
    try:
        state(moto_s3, config=config)
        assert slow.is_alive()
    finally:
        leave.set()
        slow.join()


# Checksums


def _checksum_settings(options: dict[str, Any]) -> tuple[str, str]:
    config = s3dictionary._s3.clients.connect({"region_name": "us-east-1", **options}).meta.config
    return config.request_checksum_calculation, config.response_checksum_validation  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:9000", "https://s3.example.com", "https://nyc3.digitaloceanspaces.com"]
)
def test_for_an_endpoint_that_is_not_aws_checksums_are_sent_where_required(endpoint: str) -> None:
    assert _checksum_settings({"endpoint_url": endpoint}) == (WHERE_NEEDED, WHERE_NEEDED)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"region_name": "cn-north-1"},
        {"endpoint_url": "https://s3.eu-west-1.amazonaws.com"},
        {"endpoint_url": "https://bucket.vpce-1a2b3c4d-5e6f.s3.us-east-1.vpce.amazonaws.com"},
        {"config": Config(s3={"use_dualstack_endpoint": True})},
    ],
)
def test_for_aws_they_are_as_boto3_has_them(options: dict[str, Any]) -> None:
    own = boto3.Session().client("s3", **{"region_name": "us-east-1", **options}).meta.config
    assert _checksum_settings(options) == (own.request_checksum_calculation, own.response_checksum_validation)  # type: ignore[attr-defined]


def test_a_host_that_only_looks_like_aws_is_not() -> None:
    assert _checksum_settings({"endpoint_url": "http://amazonaws.com.example.com"}) == (WHERE_NEEDED, WHERE_NEEDED)


def test_an_endpoint_from_the_environment_counts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000")
    assert _checksum_settings({}) == (WHERE_NEEDED, WHERE_NEEDED)


def test_checksums_chosen_by_a_config_stay() -> None:
    options = {"endpoint_url": "http://127.0.0.1:9", "config": Config(request_checksum_calculation="when_supported")}
    assert _checksum_settings(options)[0] == "when_supported"


def test_checksums_chosen_by_the_environment_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_supported")
    assert _checksum_settings({"endpoint_url": "http://127.0.0.1:9"})[0] == "when_supported"


def test_checksums_chosen_by_a_profile_stay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("[profile work]\nrequest_checksum_calculation = when_supported\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(path))
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert _checksum_settings({"endpoint_url": "http://127.0.0.1:9"})[0] == "when_supported"


def test_other_choices_in_a_config_stay_beside_them() -> None:
    config = Config(user_agent_extra="my-program/1")
    options = {"endpoint_url": "http://127.0.0.1:9", "config": config}
    assert _checksum_settings(options) == (WHERE_NEEDED, WHERE_NEEDED)
    client = s3dictionary._s3.clients.connect({"region_name": "us-east-1", **options})
    assert client.meta.config.user_agent_extra == "my-program/1"  # type: ignore[attr-defined]


def test_a_put_to_another_store_has_no_checksum_of_boto3s_own_accord(moto_s3: Site) -> None:
    state(moto_s3).save()
    (put,) = (exchange for exchange in moto_s3.requests.log if exchange.method == "PUT")
    assert not [name for name in put.headers if "checksum" in name.lower() or name.lower() == "x-amz-trailer"]


# Other processes


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_after_a_fork_the_child_makes_a_client_of_its_own(moto_s3: Site, made: list[Any]) -> None:
    d = state(moto_s3, data={"a": 1})
    d.save()
    made.clear()
    receiver, sender = os.pipe()
    child = os.fork()
    if not child:
        try:
            d["a"] = 2
            d.save()
            os.write(sender, str(len(made)).encode())
        finally:
            os._exit(0)
    os.close(sender)
    clients_made = os.read(receiver, 10)
    os.close(receiver)
    os.waitpid(child, 0)
    assert int(clients_made) >= 1
    assert moto_s3.read("state.json") == b'{"a":2}'
    d.load()
    assert d == {"a": 2}
    assert made == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_after_a_fork_the_child_uses_no_connection_of_a_given_clients(moto_s3: Site) -> None:
    """A request on a shared connection may get the answer to the other process's request."""
    connections: list[int] = []

    def note(request: Request, forward: Forward) -> Response | None:
        connections.append(threading.get_ident())  # the proxy has a thread for each
        return forward(request)

    moto_s3.faults.append(Call(note, forever=True))
    d = S3Dict(moto_s3.bucket, file_name="state.json", client=moto_s3.proxied_client())
    d.load()
    child = os.fork()
    if not child:
        try:
            d.load()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    d.load()
    first, second, childs, third = connections
    assert childs not in (first, second)
    assert first == second == third


def test_an_unpickled_one_uses_the_credentials_of_its_place(moto_s3: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    pickled = pickle.dumps(state(moto_s3, aws_session_token="token", config=Config(user_agent_extra="my-program/1")))
    use_keys(monkeypatch, "elsewhere")
    d = pickle.loads(pickled)
    assert (d.access_key_id, d.access_secret_key) == (None, None)
    d.load()
    assert signer(moto_s3) == "elsewhere"
    headers = moto_s3.requests.log[-1].headers
    assert "X-Amz-Security-Token" not in headers
    assert "my-program/1" in headers["User-Agent"]


def test_one_with_a_given_client_goes_to_the_same_place_when_unpickled(
    moto_s3: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    pickled = pickle.dumps(S3Dict(moto_s3.bucket, file_name="state.json", client=moto_s3.proxied_client()))
    use_keys(monkeypatch, "elsewhere")
    pickle.loads(pickled).load()
    assert signer(moto_s3) == "elsewhere"


# The import


def test_importing_the_library_does_not_import_boto3() -> None:
    script = "import sys, s3dictionary; print([name for name in sys.modules if name.startswith(('boto', 'urllib3'))])"
    assert subprocess.check_output([sys.executable, "-c", script], text=True) == "[]\n"


# Round trips


@pytest.mark.parametrize(("size", "asks"), [(10, False), (2_000_000, True)], ids=["small", "big"])
def test_only_a_big_body_waits_for_the_servers_consent(moto_s3: Site, size: int, asks: bool) -> None:
    """boto3 would let each body wait, which takes another round trip."""
    state(moto_s3, data={"a": "x" * size}).save()
    assert ("Expect" in moto_s3.requests.log[-1].headers) == asks
    assert len(moto_s3.read("state.json")) == size + len(b'{"a":""}')


def test_a_client_of_the_callers_is_used_as_it_is(moto_s3: Site) -> None:
    S3Dict(moto_s3.bucket, file_name="state.json", client=moto_s3.proxied_client(), data={"a": 1}).save()
    assert "Expect" in moto_s3.requests.log[-1].headers


# What happens during a request of a client of the caller's


class Deadline(Exception):
    """What a handler of SIGALRM raises."""


@pytest.mark.parametrize("error", [Deadline, TimeoutError, ConnectionError, MemoryError, KeyboardInterrupt])
@pytest.mark.parametrize("own", [False, True], ids=["client=", "own client"])
def test_the_exception_of_a_signal_handler_ends_the_block_and_is_not_retried(
    moto_s3: Site, error: type[BaseException], own: bool
) -> None:
    """botocore would take it for an error of the network, and send the request again.

    As the outcome isn't known, that is the error, and what the handler raised is its cause.
    """

    def interrupt(request: Request, forward: Forward) -> Response | None:
        os.kill(os.getpid(), signal.SIGALRM)
        return forward(request)

    def handle(*_: object) -> None:
        raise error

    options = moto_s3.options if own else {"client": moto_s3.proxied_client()}
    d: S3Dict[str, Any] = S3Dict(moto_s3.bucket, file_name="k", **options)
    d.load()
    before = signal.signal(signal.SIGALRM, handle)
    try:
        moto_s3.faults.append(Call(interrupt, method="PUT"))
        expected = UnknownOutcomeError if issubclass(error, Exception) else error
        with pytest.raises(expected) as info, d:
            d["n"] = d.get("n", 0) + 1
    finally:
        signal.signal(signal.SIGALRM, before)
    assert expected is error or type(info.value.__cause__) is error
    assert info.value.unsaved == {"n": 1}  # type: ignore[attr-defined]
    assert d == {}
    for thread in threading.enumerate():
        if thread.name == "s3dictionary":  # it still sends what was given up
            thread.join()
    with d:
        d["later"] = 1
    assert json.loads(moto_s3.read("k")) == d
    assert d["later"] == 1


def test_a_hook_of_a_client_cannot_change_the_dict_that_waits_for_it(moto_s3: Site) -> None:
    """It would wait for the request that waits for it."""
    client = moto_s3.proxied_client()
    d: S3Dict[str, Any] = S3Dict(moto_s3.bucket, file_name="k", client=client)
    refusals = []

    def hook(**_: Any) -> None:
        with pytest.raises(TransactionError) as info:
            d["hook"] = 1
        refusals.append(info.value)

    client.meta.events.register("before-send.s3.PutObject", hook)
    with d:
        d["n"] = 1
    assert len(refusals) == 1
    assert json.loads(moto_s3.read("k")) == d == {"n": 1}
