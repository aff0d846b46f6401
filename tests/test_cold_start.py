"""What a process does before its first value: as little as possible, and never less than necessary."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import botocore.session
import msgspec
import pytest
from botocore.exceptions import UnknownServiceError
from botocore.loaders import Loader
from botocore.regions import EndpointResolver
from botocore.utils import deep_merge

from s3dictionary import S3Dict
from s3dictionary._s3 import sessions
from s3dictionary._s3.loading import FastLoader, _FastFiles
from support.servers import Site

MODELS = [("s3", "service-2"), ("s3", "endpoint-rule-set-1"), ("sts", "service-2"), ("sso", "service-2")]


def run(s3: Site, code: str, **environment: str) -> str:
    """Run a program that finds the server in its environment. Returns what it printed."""
    keys = {
        "AWS_ACCESS_KEY_ID": s3.server.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.server.secret_key,
        "AWS_DEFAULT_REGION": s3.server.region,
        "AWS_ENDPOINT_URL": s3.endpoint_url,
    }
    program = f"from s3dictionary import S3Dict\nd = S3Dict({s3.bucket!r}, file_name='state.json')\n{code}"
    return subprocess.check_output(
        [sys.executable, "-c", program], text=True, env={**os.environ, **keys, **environment}
    )


def decoded(value: Any) -> Any:
    """A description as plain dicts and lists, with everything decoded."""
    if isinstance(value, dict):
        return {name: decoded(each) for name, each in value.items()}
    return list(map(decoded, value)) if isinstance(value, list) else value


def decoded_names(value: dict[str, Any]) -> set[str]:
    return {name for name, each in dict.items(value) if not isinstance(each, msgspec.Raw)}


def test_a_first_load_does_not_import_boto3(moto_s3: Site) -> None:
    assert run(moto_s3, "import sys; print('boto3' in sys.modules)") == "False\n"


def test_the_garbage_collector_is_as_it_was(moto_s3: Site) -> None:
    """It works, and nothing additional is frozen. Python 3.12 begins with some frozen objects."""
    look = "import gc; print(gc.isenabled(), gc.get_freeze_count())"
    before = subprocess.check_output([sys.executable, "-c", look], text=True).split()
    enabled, frozen = run(moto_s3, look).split()
    assert enabled == before[0] == "True"
    assert int(frozen) <= int(before[1])


def test_a_first_load_finds_descriptions_that_somebody_has_added(moto_s3: Site, tmp_path: Path) -> None:
    assert run(moto_s3, "print(d)", AWS_DATA_PATH=str(tmp_path)) == "{}\n"


# botocore's loaders. If one of these fails, botocore has changed them: see `loading.py`


@pytest.mark.parametrize(("service", "kind"), MODELS)
def test_descriptions_are_the_same_as_botocore_reads(service: str, kind: str) -> None:
    assert decoded(FastLoader().load_service_model(service, kind)) == Loader().load_service_model(service, kind)


@pytest.mark.parametrize("name", ["endpoints", "partitions", "_retry", "sdk-default-configuration"])
def test_other_files_are_the_same_as_botocore_reads(name: str) -> None:
    assert decoded(FastLoader().load_data(name)) == Loader().load_data(name)


@pytest.mark.parametrize(("service", "region"), [("s3", "eu-west-1"), ("sts", "us-gov-west-1"), ("s3", "cn-north-1")])
def test_endpoints_are_the_same_as_botocore_resolves(service: str, region: str) -> None:
    ours, botocores = (EndpointResolver(loader.load_data("endpoints")) for loader in (FastLoader(), Loader()))
    assert ours.construct_endpoint(service, region) == botocores.construct_endpoint(service, region)
    assert ours.get_available_endpoints(service) == botocores.get_available_endpoints(service)


def test_endpoints_of_other_services_are_not_decoded() -> None:
    (aws, *_) = FastLoader().load_data("endpoints")["partitions"]
    assert aws["services"]["s3"]["endpoints"]
    assert decoded_names(aws["services"]) == {"s3"}


@pytest.mark.parametrize("member", ["operations", "shapes"])
def test_of_a_description_only_what_is_looked_up_is_decoded(member: str) -> None:
    model = FastLoader().load_service_model("s3", "service-2")
    (first, second, *_) = model[member]
    assert model[member][first] is model[member].get(first)
    assert model[member].get("no-such-name", 1) == 1
    assert first in decoded_names(model[member])
    assert second not in decoded_names(model[member])
    assert dict(model[member].items())[second] in model[member].values()


def test_additions_to_a_description_are_merged_into_what_is_not_decoded_yet() -> None:
    model = FastLoader().load_service_model("s3", "service-2")
    deep_merge(model, {"shapes": {"Body": {"sensitive": True}}})
    assert model["shapes"]["Body"] == {
        **Loader().load_service_model("s3", "service-2")["shapes"]["Body"],
        "sensitive": True,
    }
    assert len(model["shapes"]) > 100


def test_a_file_of_endpoints_in_another_form_is_read_as_botocore_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "endpoints"
    path.with_suffix(".json").write_text('{"version": 4}')
    assert _FastFiles().load_file(str(path)) == {"version": 4}


def test_a_service_that_is_not_there_is_unknown() -> None:
    with pytest.raises(UnknownServiceError, match="sts"):
        FastLoader().load_service_model("no-such-service", "service-2")


def test_the_services_are_the_same_as_botocore_finds() -> None:
    found = FastLoader().list_available_services("service-2")
    assert list(found) == Loader().list_available_services("service-2")
    assert len(found) > 100
    assert found[0] == min(found)


def test_sessions_use_the_fast_loader() -> None:
    assert isinstance(sessions._new_session(None).core.get_component("data_loader"), FastLoader)


def test_sessions_look_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    assert str(tmp_path) in sessions._new_session(None).core.get_component("data_loader").search_paths


def test_without_that_component_botocore_reads_by_itself(moto_s3: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    register = botocore.session.Session.register_component

    def refuse(self: Any, name: str, component: Any) -> None:
        if name == "data_loader":
            raise AttributeError(name)
        register(self, name, component)

    monkeypatch.setattr(botocore.session.Session, "register_component", refuse)
    assert type(sessions._new_session(None).core.get_component("data_loader")) is Loader


# Credentials of the environment


def test_an_empty_key_in_the_environment_is_none(
    moto_s3: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "credentials"
    path.write_text("[default]\naws_access_key_id = fromthefile\naws_secret_access_key = secret\n")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    S3Dict(moto_s3.bucket, file_name="state.json", endpoint_url=moto_s3.endpoint_url)
    assert "Credential=fromthefile/" in moto_s3.requests.log[-1].headers["Authorization"]


def test_the_environments_credentials_are_those_that_botocore_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    ours = sessions._new_session(None).core.get_credentials().get_frozen_credentials()
    assert ours == botocore.session.Session().get_credentials().get_frozen_credentials()
