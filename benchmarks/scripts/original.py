"""S3Dictionary 0.13 at work, for each question on the input. Run by a Python that has it: its package's name is taken.

A question is `[task, bucket, file, …]`; the answer is the seconds that it took.
"""

from __future__ import annotations

import json
import os
import sys
import time
from functools import cache

from s3dictionary import S3Dict


def opened(bucket, file, **options):
    keys = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    return S3Dict(bucket, *keys, file, **options)


@cache
def loaded(bucket, file):
    return opened(bucket, file)


@cache
def autosaved(bucket, file):
    return opened(bucket, file, autosave=True)


def open_(bucket, file):
    opened(bucket, file)


def read_one(bucket, file, key):
    return opened(bucket, file)[key]["visits"]


def edit_one(bucket, file, key):
    state = opened(bucket, file)
    state[key]["visits"] += 1
    state.save()


def rewrite(bucket, file):
    state = opened(bucket, file)
    for value in state.values():
        value["visits"] += 1
    state.save()


def autosave_one(bucket, file, key):
    state = autosaved(bucket, file)
    state[key] = {**state[key], "visits": time.perf_counter_ns()}


def read_only(bucket, file, key):
    state = loaded(bucket, file)
    state.load()
    return state[key]["visits"]


def read_items(bucket, file, times):
    state = loaded(bucket, file)
    for key in list(state) * times:
        state[key]


def write_items(bucket, file, times):
    state = loaded(bucket, file)
    for key in list(state) * times:
        state[key] = times


TASKS = {
    "open": open_,
    "read_one": read_one,
    "edit_one": edit_one,
    "rewrite": rewrite,
    "autosave_one": autosave_one,
    "read_only": read_only,
    "read_items": read_items,
    "write_items": write_items,
}

print(json.dumps("ready"))
for line in sys.stdin:
    task, *arguments = json.loads(line)
    clock = time.process_time if task.endswith("items") else time.perf_counter
    start = clock()
    TASKS[task](*arguments)
    print(json.dumps(clock() - start))
