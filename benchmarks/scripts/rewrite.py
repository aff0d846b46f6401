"""The processor time of opening a file, editing every record and saving: `rewrite.py HOW BUCKET SMALL_FILE FILE`.

Before, it has done the same with a small file, so that everything is imported and connected.
"""

from __future__ import annotations

import gc
import json
import sys
import time


def s3dict(bucket, file):
    from s3dictionary import S3Dict

    with S3Dict(bucket, file_name=file) as state:
        for record in state.values():
            record["visits"] += 1


def by_hand(bucket, file):
    s3 = client()
    state = json.loads(s3.get_object(Bucket=bucket, Key=file)["Body"].read())
    for record in state.values():
        record["visits"] += 1
    s3.put_object(Bucket=bucket, Key=file, Body=json.dumps(state).encode())


def client(made=[]):  # noqa: B006  # one for all
    if not made:
        import boto3

        made.append(boto3.client("s3"))
    return made[0]


how, bucket, small_file, file = sys.argv[1:]
globals()[how](bucket, small_file)
gc.collect()
start = time.process_time()
globals()[how](bucket, file)
print(time.process_time() - start)
