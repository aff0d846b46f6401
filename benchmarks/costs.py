"""What things cost, in a minute, as a few ratios measured side by side: `python benchmarks/costs.py`.

`make bench` measures much more, and beside other libraries.

The S3 server is one on this machine, or a real one with S3DICT_BUCKET and the usual AWS environment set. S3Dictionary
0.13 has the same package name, so it is measured in a process of its own, by the Python that ORIGINAL names.
"""

from __future__ import annotations

import copy
import json
import os
import statistics
import subprocess
import time
from collections import UserDict
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import boto3

from s3dictionary import S3Dict

RECORDS = 100_000
FILE = "s3dictionary-benchmark/records.json"
RAW_FILE = "s3dictionary-benchmark/raw.json"


def record(number: int) -> dict[str, Any]:
    """What a user's record might be, about 130 bytes of JSON."""
    return {
        "name": f"user {number}",
        "email": f"user{number}@example.com",
        "visits": number,
        "active": True,
        "score": number / 7,
        "tags": ["a", "b"],
    }


def records(count: int) -> dict[str, Any]:
    """A dict of that many."""
    return {f"user-{number:06d}": record(number) for number in range(count)}


def seconds(function: Callable[[], object]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def side_by_side(*functions: Callable[[], object], rounds: int = 7) -> list[float]:
    """The median time of each, taken in turn, so that a machine that slows down slows all of them down."""
    times = [[seconds(function) for function in functions] for _ in range(rounds + 1)]
    return [statistics.median(column[1:]) for column in zip(*times, strict=True)]


def report(what: str, ratio: float) -> None:
    """Print a line of the table."""
    print(f"{ratio:10.2f}  {what}", flush=True)


def edit_one_record(bucket: str) -> None:
    """Open a file of 100,000 records, edit one, save."""
    s3 = boto3.client("s3")
    body = json.dumps(records(RECORDS)).encode()
    for key in (FILE, RAW_FILE):
        s3.put_object(Bucket=bucket, Key=key, Body=body)

    def raw() -> None:
        content = s3.get_object(Bucket=bucket, Key=RAW_FILE)["Body"].read()
        s3.put_object(Bucket=bucket, Key=RAW_FILE, Body=content)

    def edit() -> None:
        with S3Dict(bucket, file_name=FILE, client=s3) as state:
            state["user-000500"]["visits"] += 1

    size = f"{RECORDS:,} records, {len(body) / 1e6:.1f} MB"
    print(f"\n{size}:")
    edited, plain = side_by_side(edit, raw)
    report("editing one in a with block / GET + PUT of the same bytes by boto3", edited / plain)
    original = os.environ.get("ORIGINAL")
    if original:
        pairs = [(_original(original, bucket), seconds(edit)) for _ in range(3)]
        ratio = statistics.median(old / new for old, new in pairs)
        report("the same with S3Dictionary 0.13 / a with block (more is better)", ratio)
    for key in (FILE, RAW_FILE):
        s3.delete_object(Bucket=bucket, Key=key)


_ORIGINAL = """
import os, sys, time
from s3dictionary import S3Dict
bucket, file = sys.argv[1:]
keys = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
def edit():
    state = S3Dict(bucket, *keys, file)
    state["user-000500"]["visits"] += 1
    state.save()
edit()
start = time.perf_counter()
edit()
print(time.perf_counter() - start)
"""


def _original(python: str, bucket: str) -> float:
    """How long it takes S3Dictionary 0.13, its imports and first connection not counted."""
    command = [python, "-P", "-c", _ORIGINAL, bucket, FILE]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def share_clients(bucket: str) -> None:
    """The first dict makes a client, the next ones share it."""
    print("\nclients:")
    first = seconds(lambda: S3Dict(bucket, file_name=FILE))
    client = boto3.client("s3")
    second, given = side_by_side(
        lambda: S3Dict(bucket, file_name=FILE),
        lambda: S3Dict(bucket, file_name=FILE, client=client),
    )
    report("opening the second dict / the first", second / first)
    report("opening one with a shared client / with a client that is given", second / given)


def read_items(bucket: str) -> None:
    """Item access, next to UserDict."""
    state = S3Dict(bucket, file_name=FILE, data=records(1000))
    plain = UserDict(records(1000))
    keys = list(plain) * 100

    def read(mapping: Any) -> None:
        for key in keys:
            mapping[key]

    print("\nin memory:")
    ours, theirs = side_by_side(lambda: read(state), lambda: read(plain))
    report("reading an item / in UserDict", ours / theirs)


def transactions(bucket: str) -> None:
    """Transactions that touch one record each."""

    def run(state: S3Dict[str, Any], keys: list[str]) -> float:
        def all_of_them() -> None:
            for key in keys:
                with state.transaction():
                    state[key]["visits"] += 1

        return seconds(all_of_them) / len(keys)

    def opened(count: int) -> S3Dict[str, Any]:
        state = S3Dict(bucket, file_name=FILE, data=records(count))
        state.save()
        return S3Dict(bucket, file_name=FILE)

    small, large, ten_thousand = opened(1000), opened(300_000), opened(10_000)
    keys = list(small)
    in_small, in_large = (statistics.median(run(state, keys) for _ in range(7)) for state in (small, large))
    report("a transaction on one of 300,000 records / of 1,000", in_large / in_small)
    keys = list(ten_thousand)
    first, *_, last = (run(ten_thousand, keys[start : start + 1000]) for start in range(0, 10_000, 1000))
    report("one of the last 1,000 of 10,000 transactions / of the first", last / first)
    everything = dict(ten_thousand)
    copied = seconds(lambda: copy.deepcopy(everything))
    report("copy.deepcopy of 10,000 records / one of 10,000 transactions (more is better)", copied / last)
    small.delete()


if __name__ == "__main__":
    with ExitStack() as stack:
        bucket = os.environ.get("S3DICT_BUCKET")
        if bucket is None:
            from s3dictionary.local import local_s3

            bucket = stack.enter_context(local_s3()).bucket
        print("Ratios; less is better, except where it says so.")
        for measure in (share_clients, edit_one_record, read_items, transactions):
            measure(bucket)
