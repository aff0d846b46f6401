"""How much memory it takes to open a file, edit one record and save: `peak.py HOW BUCKET SMALL_FILE FILE`.

Prints how many bytes the process had at most, more than before it opened the file. Before, it has done the same with a
small file, so that everything is imported and connected.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
from pathlib import Path

KEY = "user-000050"
STATUS = Path("/proc/self/status")


def s3dict(bucket, file):
    from s3dictionary import S3Dict

    with S3Dict(bucket, file_name=file) as state:
        state[KEY]["visits"] += 1


def original(bucket, file):
    from s3dictionary import S3Dict

    state = S3Dict(bucket, os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"], file)
    state[KEY]["visits"] += 1
    state.save()


def by_hand(bucket, file):
    s3 = client()
    state = json.loads(s3.get_object(Bucket=bucket, Key=file)["Body"].read())
    state[KEY]["visits"] += 1
    s3.put_object(Bucket=bucket, Key=file, Body=json.dumps(state).encode())


def same_bytes(bucket, file):
    s3 = client()
    s3.put_object(Bucket=bucket, Key=file, Body=s3.get_object(Bucket=bucket, Key=file)["Body"].read())


def client(made=[]):  # noqa: B006  # one for all
    if not made:
        import boto3

        made.append(boto3.client("s3"))
    return made[0]


def from_status(name):
    return next(int(line.split()[1]) for line in STATUS.read_text().splitlines() if line.startswith(name)) * 1024


def peak():
    if STATUS.exists():  # Linux's getrusage() also counts what the parent had
        return from_status("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


how, bucket, small_file, file = sys.argv[1:]
open_and_edit = {"s3dict": s3dict, "original": original, "by_hand": by_hand, "same_bytes": same_bytes}[how]
open_and_edit(bucket, small_file)
gc.collect()
before = peak()
if STATUS.exists():
    Path("/proc/self/clear_refs").write_text("5")  # from here on, the peak counts anew
    before = from_status("VmRSS")
open_and_edit(bucket, file)
print(peak() - before)
