"""The IAM policies in docs/guides/permissions.md suffice for what they are for, and nothing in them is too much.

moto obeys policies once it is told to. What it doesn't know is s3:ListBucket's part in a missing file's 404.
"""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from s3dictionary import AccessDeniedError, S3Dict
from s3dictionary.local import LocalS3, local_s3

PAGE = (Path(__file__).parent.parent / "docs/guides/permissions.md").read_text()
FILE = "state/app.json"

CALLS: dict[str, Callable[[S3Dict], Any]] = {
    "load": lambda state: state.load(),
    "only read in a block": lambda state: state.run(dict),
    "save": lambda state: state.save(),
    "edit in a block": lambda state: state.run(lambda state: state.update(runs=1)),
    "list versions": lambda state: state.versions(),
    "load a version": lambda state: state.load(version_id="null"),
    "delete": lambda state: state.delete(),
}
READING = {"load", "only read in a block"}
WRITING = READING | {"save", "edit in a block"}


def policy(title: str) -> dict[str, Any]:
    section = PAGE.split(f"\n## {title}\n")[1]
    found: dict[str, Any] = json.loads(section.split("```json\n")[1].split("```")[0])
    return found


class Account:
    """A user on a server that enforces policies."""

    def __init__(self, s3: LocalS3) -> None:
        root = {"aws_access_key_id": "root", "aws_secret_access_key": "root", "region_name": "us-east-1"}
        self.iam = boto3.Session().client("iam", endpoint_url=s3.endpoint_url, **root)
        self.iam.create_user(UserName="program")
        key = self.iam.create_access_key(UserName="program")["AccessKey"]
        self._options = {
            "access_key_id": key["AccessKeyId"],
            "access_secret_key": key["SecretAccessKey"],
            "endpoint_url": s3.endpoint_url,
            "region_name": "us-east-1",
        }
        self._s3 = s3

    def grant(self, document: dict[str, Any]) -> None:
        self.obey_policies(False)
        self.iam.put_user_policy(UserName="program", PolicyName="only", PolicyDocument=json.dumps(document))

    def can(self, call: Callable[[S3Dict], Any], file_name: str = FILE) -> bool:
        """Whether the user may load an existing file and then do this operation."""
        self.obey_policies(False)
        self._s3.client.put_object(Bucket="my-bucket", Key=file_name, Body=b"{}")
        self.obey_policies(True)
        try:
            call(S3Dict("my-bucket", file_name=file_name, **self._options))
        except AccessDeniedError:
            return False
        return True

    def allowed_calls(self) -> set[str]:
        return {name for name, call in CALLS.items() if self.can(call)}

    def obey_policies(self, obey: bool) -> None:
        url = f"{self._s3.endpoint_url}/moto-api/reset-auth"
        unchecked_requests = b"0" if obey else b"inf"
        urllib.request.urlopen(urllib.request.Request(url, unchecked_requests, {"Content-Type": "text/plain"})).close()


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    with local_s3("my-bucket") as s3:
        account = Account(s3)
        yield account
        account.iam.close()


@pytest.mark.parametrize(
    ("title", "calls"),
    [("Read only", READING), ("Read and write", WRITING), ("Everything", set(CALLS))],
    ids=["read only", "read and write", "everything"],
)
def test_a_policy_allows_just_what_it_says(account: Account, title: str, calls: set[str]) -> None:
    account.grant(policy(title))
    assert account.allowed_calls() == calls


@pytest.mark.parametrize(
    ("action", "denied"),
    [
        ("s3:GetObject", set(CALLS)),  # nothing begins without loading
        ("s3:PutObject", WRITING - READING),
        ("s3:ListBucketVersions", {"list versions"}),
        ("s3:GetObjectVersion", {"load a version"}),
        ("s3:DeleteObject", {"delete"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_without_a_permission_just_what_needs_it_is_denied(account: Account, action: str, denied: set[str]) -> None:
    document = policy("Everything")
    for statement in document["Statement"]:
        statement["Action"] = [other for other in statement["Action"] if other != action]
    account.grant(document)
    assert account.allowed_calls() == set(CALLS) - denied


def test_a_policy_is_for_the_files_it_names(account: Account) -> None:
    account.grant(policy("Read only"))
    assert account.can(CALLS["load"])
    assert not account.can(CALLS["load"], "elsewhere/app.json")


def test_the_pages_table_has_every_permission_of_the_largest_policy() -> None:
    table = "\n".join(re.findall(r"^\| .*\|$", PAGE, re.MULTILINE))
    for statement in policy("Everything")["Statement"]:
        for action in statement["Action"]:
            assert f"`{action}`" in table
