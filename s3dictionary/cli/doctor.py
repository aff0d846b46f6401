"""`doctor`: tests a store, and reports what works, what doesn't, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .checks import CHECKS, Result, Status, examine
from .files import client_options, connect, split_uri
from .outcomes import ExitCode, Failure
from .terminal import out
from .text import plain_text

if TYPE_CHECKING:
    from argparse import Namespace

    from mypy_boto3_s3 import S3Client

_WIDTH = max(map(len, CHECKS))


def doctor(arguments: Namespace) -> ExitCode:
    """Test a store, and report what works, what doesn't, and what to do."""
    bucket, key = split_uri(arguments.uri)
    if not bucket:
        raise Failure(ExitCode.USAGE, f"{arguments.uri!r} isn't an address of the form s3://bucket/folder")
    # Send each request once, because repeats would hide what the store does
    options = client_options(arguments, retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=30)
    client = connect(arguments.uri, options)
    # Closing it removes the temporary object, even if nothing can be printed
    with closing(examine(client, bucket, _folder(key), arguments.profile)) as checking:
        results = list(checking if arguments.json else _printed(client, arguments.uri, checking))
    if arguments.json:
        _print_json(client, results)
    return ExitCode.UNFIT if any(result.status is Status.FAILS for result in results) else ExitCode.DONE


def _folder(key: str) -> str:
    """The folder to test in: the key itself, or the folder of a file."""
    above, slash, last = key.rpartition("/")
    if "." in last:
        return above + slash
    return f"{key}/" if last else key


def _endpoint(client: S3Client) -> str:
    """The endpoint, without a password or a query."""
    url = urlsplit(client.meta.endpoint_url)
    return f"{url.scheme}://{url.hostname}" + (f":{url.port}" if url.port else "")


def _print_json(client: S3Client, results: list[Result]) -> None:
    facts = {"endpoint": _endpoint(client), "region": client.meta.region_name}
    out(plain_text({**facts, "results": [asdict(result) for result in results]}))


def _printed(client: S3Client, uri: str, results: Iterator[Result]) -> Iterator[Result]:
    """Print each result as soon as it is known."""
    out(f"{uri} at {_endpoint(client)}, region {client.meta.region_name}\n")
    fails, said = 0, {""}
    for result in results:
        fails += result.status is Status.FAILS
        out(f"{_WORDS[result.status]:7}  {result.check:{_WIDTH}}  {result.detail}")
        if result.advice not in said:
            out(f"{'':7}  {'':{_WIDTH}}  {result.advice}")
            said.add(result.advice)
        yield result
    failures = "1 check fails" if fails == 1 else f"{fails} checks fail"
    out(f"\n{failures}: S3Dictionary can't rely on this store." if fails else "\nS3Dictionary can rely on this store.")


_WORDS = {Status.WORKS: "works", Status.FAILS: "FAILS", Status.LACKS: "lacks", Status.UNKNOWN: "unknown"}
