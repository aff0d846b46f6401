"""`s3dictionary doctor` finds what works and what doesn't, on stores with various faults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import Barrier
from typing import Any

import pytest
from botocore.awsrequest import HeadersDict

from s3dictionary.cli import checks
from s3dictionary.cli.outcomes import ExitCode
from support.command_line import CommandLine
from support.proxy import AlterBody, AlterHeaders, Answer, Call, Fault, Forward, Request, Response
from support.servers import Site

WORKING = {
    "credentials": "works",
    "open": "works",
    "write": "works",
    "read": "works",
    "create twice": "works",
    "update": "works",
    "outdated update": "works",
    "updates at once": "works",
    "outdated delete": "works",
    "delete": "works",
    "update of a deleted file": "works",
    "create": "works",
    "versioning": "lacks",
    "clock": "works",
    "tidy up": "works",
}
"""On a bucket without versioning."""


def examine(cli: CommandLine, *faults: Fault, uri: str = "") -> tuple[int, dict[str, dict[str, str]]]:
    """The exit code, and the results by name."""
    cli.site.faults.extend(faults)
    ended = cli("doctor", "--json", uri=uri or f"s3://{cli.site.bucket}/app")
    cli.site.faults.clear()
    return ended.code, {result["check"]: result for result in ended.json["results"]}


def statuses(results: dict[str, dict[str, str]]) -> dict[str, str]:
    return {name: result["status"] for name, result in results.items()}


def left(site: Site) -> list[dict[str, Any]]:
    """What is left in the bucket."""
    listed = site.client.list_object_versions(Bucket=site.bucket)
    return listed.get("Versions", []) + listed.get("DeleteMarkers", [])


def without_conditions(*names: str) -> Call:
    """A store that silently ignores these conditions."""

    def ignore(request: Request, forward: Forward) -> Response | None:
        headers = HeadersDict({name: value for name, value in request.headers.items() if name.lower() not in names})
        return forward(replace(request, headers=headers))

    return Call(ignore, method="PUT", forever=True)


def when(condition: Callable[[Request], object], status: int, code: str) -> Call:
    """A store that refuses some requests."""

    def refuse(request: Request, forward: Forward) -> Response | None:
        return Answer(status, code)(request, forward) if condition(request) else forward(request)

    return Call(refuse, forever=True)


def test_a_store_that_does_everything_right(
    s3: Site, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    code, results = examine(CommandLine(s3, monkeypatch, capsysbinary))
    assert statuses(results) == WORKING
    assert code == ExitCode.DONE
    assert left(s3) == []


def test_with_versioning_no_version_is_left(
    s3: Site, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    s3.client.put_bucket_versioning(Bucket=s3.bucket, VersioningConfiguration={"Status": "Enabled"})
    code, results = examine(CommandLine(s3, monkeypatch, capsysbinary))
    assert statuses(results) == {**WORKING, "versioning": "works"}
    assert code == ExitCode.DONE
    assert left(s3) == []


def test_it_tries_beside_a_file_and_touches_nothing_else(cli: CommandLine, moto_s3: Site) -> None:
    for uri, folder in {"app/state.json": "app/", "app": "app/", "": ""}.items():
        moto_s3.requests.clear()
        examine(cli, uri=f"s3://{moto_s3.bucket}/{uri}")
        keys = {exchange.key for exchange in moto_s3.requests.log} - {""}
        assert len(keys) == 1
        assert keys.pop().startswith(f"{folder}s3dictionary-doctor-")


@pytest.mark.parametrize(
    ("ignored", "fails"),
    [
        (
            ["if-match", "if-none-match"],
            ["create twice", "outdated update", "updates at once", "update of a deleted file"],
        ),
        (["if-match"], ["outdated update", "updates at once", "update of a deleted file"]),
        (["if-none-match"], ["create twice"]),
    ],
    ids=["both", "if-match", "if-none-match"],
)
def test_a_store_that_ignores_conditions_is_found_out(
    cli: CommandLine, moto_s3: Site, ignored: list[str], fails: list[str]
) -> None:
    """It answers with success, and writers overwrite each other's changes."""
    code, results = examine(cli, without_conditions(*ignored))
    assert statuses(results) == {**WORKING, **dict.fromkeys(fails, "fails")}
    assert code == ExitCode.UNFIT
    assert all("overwrite each other's changes" in results[name]["advice"] for name in fails)
    assert left(moto_s3) == []


def test_a_store_that_checks_first_and_writes_later_is_found_out(cli: CommandLine) -> None:
    """It handles sequential requests correctly."""
    arrived = Barrier(8)

    def check_and_write(request: Request, forward: Forward) -> Response | None:
        if b"race" not in request.body:
            return forward(request)
        arrived.wait(10)  # every one of them has found the condition met
        headers = HeadersDict({name: value for name, value in request.headers.items() if name.lower() != "if-match"})
        return forward(replace(request, headers=headers))

    code, results = examine(cli, Call(check_and_write, method="PUT", forever=True))
    assert statuses(results) == {**WORKING, "updates at once": "fails"}
    assert "8 of 8" in results["updates at once"]["detail"]
    assert code == ExitCode.UNFIT


def test_a_store_that_does_not_know_conditions(cli: CommandLine) -> None:
    has_condition = when(
        lambda request: (
            {"if-match", "if-none-match"} & set(map(str.lower, request.headers)) and request.method == "PUT"
        ),
        501,
        "NotImplemented",
    )
    code, results = examine(cli, has_condition)
    assert code == ExitCode.UNFIT
    assert "doesn't support conditional writes" in results["create twice"]["detail"]
    assert {name for name, status in statuses(results).items() if status == "fails"} == {
        "create twice",
        "update",
        "outdated update",
        "update of a deleted file",
        "create",
    }


def test_a_store_that_wants_etags_without_quotes_works(cli: CommandLine) -> None:
    """The library handles that."""

    def unquoted_only(request: Request, forward: Forward) -> Response | None:
        if request.headers.get("If-Match", "").startswith('"'):
            return Answer(412, "PreconditionFailed")(request, forward)
        return forward(request)

    code, results = examine(cli, Call(unquoted_only, method="PUT", forever=True))
    assert statuses(results) == WORKING
    assert "without quotes" in results["update"]["detail"]
    assert code == ExitCode.DONE


def test_a_store_that_loses_metadata(cli: CommandLine) -> None:
    code, results = examine(cli, AlterHeaders({"x-amz-meta-s3dictionary-doctor": None}, method="GET", forever=True))
    assert statuses(results) == {**WORKING, "read": "fails"}
    assert "metadata" in results["read"]["detail"]
    assert code == ExitCode.UNFIT


def test_a_store_that_gives_something_else_back(cli: CommandLine) -> None:
    _, results = examine(cli, AlterBody(lambda body: body.replace(b"write", b"wrote"), method="GET", forever=True))
    assert results["read"]["status"] == "fails"


def test_an_answer_that_breaks_off(cli: CommandLine, moto_s3: Site) -> None:
    def cut_off(request: Request, forward: Forward) -> Response | None:
        answer = forward(request)
        return replace(answer, sent=3) if answer is not None and b"write" in answer.body else answer

    _, results = examine(cli, Call(cut_off, method="GET", forever=True))
    assert results["read"]["status"] == "fails"
    assert left(moto_s3) == []


def test_an_answer_without_an_etag(cli: CommandLine) -> None:
    code, results = examine(cli, AlterHeaders({"ETag": None}, method="PUT"))
    assert results["write"]["status"] == "fails"
    assert code == ExitCode.UNFIT


# Permissions


def test_without_the_permission_to_write(cli: CommandLine, moto_s3: Site) -> None:
    code, results = examine(cli, when(lambda request: request.method == "PUT", 403, "AccessDenied"))
    assert results["write"]["status"] == "fails"
    assert f"s3:PutObject on arn:aws:s3:::{moto_s3.bucket}/app/*" in results["write"]["advice"]
    assert results["the rest"]["status"] == "unknown"
    assert code == ExitCode.UNFIT


def test_without_the_permission_to_list_a_missing_file_looks_forbidden(cli: CommandLine, moto_s3: Site) -> None:
    code, results = examine(cli, Answer(403, "AccessDenied", method="GET"))
    assert statuses(results) == {**WORKING, "open": "lacks"}
    assert f"s3:ListBucket on arn:aws:s3:::{moto_s3.bucket}." in results["open"]["advice"]
    assert code == ExitCode.DONE


def test_without_the_permission_to_delete_it_says_what_is_left(cli: CommandLine, moto_s3: Site) -> None:
    code, results = examine(cli, when(lambda request: request.method == "DELETE", 403, "AccessDenied"))
    assert results["delete"]["status"] == "lacks"
    assert "s3:DeleteObject" in results["delete"]["advice"]
    assert results["create"]["status"] == "unknown"
    [item] = left(moto_s3)
    assert f"s3://{moto_s3.bucket}/{item['Key']}" in results["tidy up"]["detail"]
    assert code == ExitCode.DONE


def test_without_the_permission_to_list_versions(cli: CommandLine, moto_s3: Site) -> None:
    moto_s3.client.put_bucket_versioning(Bucket=moto_s3.bucket, VersioningConfiguration={"Status": "Enabled"})
    _, results = examine(cli, when(lambda request: "versions" in request.query, 403, "AccessDenied"))
    assert results["versioning"]["status"] == "lacks"
    assert f"s3:ListBucketVersions on arn:aws:s3:::{moto_s3.bucket}." in results["versioning"]["advice"]
    assert "old versions of" in results["tidy up"]["detail"]


def test_wrong_keys_end_it_at_once(cli: CommandLine) -> None:
    code, results = examine(cli, when(lambda request: True, 403, "SignatureDoesNotMatch"))
    assert list(results) == ["credentials", "open", "the rest"]
    assert results["open"]["status"] == "fails"
    assert "The secret key doesn't belong to the access key" in results["open"]["detail"]
    assert code == ExitCode.UNFIT


def test_no_credentials_end_it_at_once(cli: CommandLine, monkeypatch: pytest.MonkeyPatch, moto_s3: Site) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    code, results = examine(cli)
    assert statuses(results) == {"credentials": "fails", "the rest": "unknown"}
    assert "--profile" in results["credentials"]["advice"]
    assert code == ExitCode.UNFIT
    assert not moto_s3.requests.log


# The rest


def test_no_bucket_ends_it_at_once(cli: CommandLine) -> None:
    code, results = examine(cli, uri="s3://no-such-bucket")
    assert results["open"]["status"] == "fails"
    assert "NoSuchBucket" in results["open"]["detail"]
    assert code == ExitCode.UNFIT


@pytest.mark.parametrize(("date", "status"), [("Mon, 05 Jan 2026 10:00:00 GMT", "lacks"), (None, "unknown")])
def test_a_clock_that_is_wrong(cli: CommandLine, date: str | None, status: str) -> None:
    code, results = examine(cli, AlterHeaders({"Date": date}, forever=True))
    assert statuses(results) == {**WORKING, "clock": status}
    assert code == ExitCode.DONE


def test_what_people_read(cli: CommandLine, moto_s3: Site) -> None:
    """The report has one line for each check, advice below it, and a verdict."""
    moto_s3.faults.append(without_conditions("if-match"))
    ended = cli("doctor")
    lines = ended.out.splitlines()
    assert moto_s3.endpoint_url in lines[0]
    [line] = [line for line in lines if "outdated update" in line]
    assert line.startswith("FAILS    outdated update")
    assert "overwrite each other's changes" in lines[lines.index(line) + 1]
    assert lines[-1] == "3 checks fail: S3Dictionary can't rely on this store."
    moto_s3.faults.clear()
    assert cli("doctor").out.splitlines()[-1] == "S3Dictionary can rely on this store."


def test_an_interruption_leaves_nothing_either(
    cli: CommandLine, moto_s3: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        assert len(left(moto_s3)) == 1
        raise KeyboardInterrupt

    monkeypatch.setitem(checks.CHECKS, "read", interrupt)
    assert cli("doctor").code == ExitCode.INTERRUPTED
    assert left(moto_s3) == []
