"""The pytest plugin, in separate runs: `s3dict_bucket` gives each test an empty bucket."""

from __future__ import annotations

import re
from pathlib import Path

import boto3
import pytest

from s3dictionary import S3Dict
from s3dictionary.local import LocalS3
from s3dictionary.local.seaweedfs import SeaweedFS
from support.servers import Site

pytest_plugins = ["pytester"]

GUIDE = Path(__file__).parent.parent / "docs" / "guides" / "tests.md"


@pytest.fixture(autouse=True)
def without_hypothesis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disable hypothesis's plugin, whose import at the end of each run takes longer than the run."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest")


def test_one_test_leaves_nothing_to_the_next(pytester: pytest.Pytester) -> None:
    """S3, the environment and boto3's default session are restored, and one server serves all tests."""
    pytester.makepyfile("""
        import boto3, os, pytest

        SERVERS = set()

        @pytest.fixture(autouse=True)
        def outside(monkeypatch):
            monkeypatch.setenv("AWS_PROFILE", "production")

        @pytest.mark.parametrize("run", range(3))
        def test(s3dict_bucket, run):
            assert "AWS_PROFILE" not in os.environ
            client = boto3.client("s3")
            assert [bucket["Name"] for bucket in client.list_buckets()["Buckets"]] == [s3dict_bucket]
            client.put_object(Bucket=s3dict_bucket, Key="state.json", Body=b"{}", IfNoneMatch="*")
            client.create_bucket(Bucket="another")
            SERVERS.add(os.environ["AWS_ENDPOINT_URL"])

        def test_without_it():
            assert len(SERVERS) == 1
            assert os.environ["AWS_PROFILE"] == "production"
            assert "AWS_ENDPOINT_URL" not in os.environ
            assert boto3.DEFAULT_SESSION is None
    """)
    pytester.runpytest_inprocess().assert_outcomes(passed=4)


def test_workers_of_xdist_have_servers_of_their_own(pytester: pytest.Pytester) -> None:
    """With a shared server, one worker's test would find another one's buckets."""
    pytester.makepyfile("""
        import boto3, pytest, time

        @pytest.mark.parametrize("run", range(4))
        def test(s3dict_bucket, run):
            for _ in range(5):
                assert [bucket["Name"] for bucket in boto3.client("s3").list_buckets()["Buckets"]] == [s3dict_bucket]
                time.sleep(0.02)
    """)
    pytester.runpytest_inprocess("-n2").assert_outcomes(passed=4)


def test_a_run_that_does_not_use_it_imports_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import sys

        def test():
            ours = {name for name in sys.modules if name.startswith("s3dictionary")}
            assert ours == {"s3dictionary", "s3dictionary.pytest_plugin"}
            assert not {"boto3", "botocore", "moto", "msgspec"} & sys.modules.keys()
    """)
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_the_projects_settings_choose_the_engine(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the engine isn't installed, one line says what to install."""
    monkeypatch.setattr(SeaweedFS, "program", staticmethod(lambda: None))
    pytester.makeini("[pytest]\ns3dict_engine = seaweedfs")
    pytester.makepyfile("def test(s3dict_bucket): pass")
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["s3dict_bucket: SeaweedFS needs *pip install 'S3Dictionary?local-seaweedfs?>=1'*"])
    result.stdout.no_fnmatch_line("*During handling of*")


def test_the_command_line_has_the_last_word_on_the_engine(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\ns3dict_engine = seaweedfs")
    pytester.makepyfile("def test(s3dict_bucket): pass")
    result = pytester.runpytest_inprocess("--s3dict-engine=minio")
    result.stdout.fnmatch_lines(["s3dict_bucket: engine must be one of 'moto', 'seaweedfs', not 'minio'"])


def test_its_fixtures_say_what_they_are(pytester: pytest.Pytester) -> None:
    lines = pytester.runpytest_inprocess("--fixtures").outlines
    for name in "s3dict_bucket", "s3dict_local":
        place = next(index for index, line in enumerate(lines) if line.startswith(name))
        assert lines[place + 1].strip()
    assert not any(line.startswith("_s3dict") for line in lines)


def test_the_tests_in_the_guide_pass(pytester: pytest.Pytester) -> None:
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    module = "".join(block for block in blocks if "def test_" in block or "@pytest.fixture" in block)
    pytester.makepyfile(module)
    pytester.runpytest_inprocess("-Werror").assert_outcomes(passed=module.count("def test_"))


def test_it_goes_with_other_servers_in_one_test(s3dict_bucket: str, s3dict_local: LocalS3, moto_s3: Site) -> None:
    """This project's own fixtures work beside both of the plugin's."""
    with S3Dict(s3dict_bucket, file_name="a") as ours, S3Dict(moto_s3.bucket, file_name="a", **moto_s3.direct) as other:
        ours["server"], other["server"] = "ours", "other"
    assert s3dict_local.client.get_object(Bucket=s3dict_bucket, Key="a")["Body"].read().strip() == b'{"server":"ours"}'
    assert moto_s3.read("a") == b'{"server":"other"}'
    assert boto3.client("s3").meta.endpoint_url == s3dict_local.endpoint_url != moto_s3.server.endpoint_url
