"""`ls`: the files below an address."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .._s3.requests import Requests
from .files import client_options, connect, split_uri
from .outcomes import ExitCode, Failure
from .terminal import out
from .text import compile_query, out_json

if TYPE_CHECKING:
    from argparse import Namespace

_NAMES = (".json", ".json.gz")
"""The suffixes of the files that are listed without `--all`. A listing doesn't show what an object contains."""


def ls(arguments: Namespace) -> None:
    """List the files whose addresses begin with this one."""
    query = compile_query(arguments.query)
    bucket, prefix = split_uri(arguments.uri)
    if not bucket:
        raise Failure(ExitCode.USAGE, f"{arguments.uri!r} isn't an address of the form s3://bucket/prefix")
    client = connect(arguments.uri, client_options(arguments))
    objects = Requests(bucket, prefix, lambda: client).objects()
    found = [
        {
            "uri": f"s3://{bucket}/{item['Key']}",
            "size": item["Size"],
            "last_modified": item["LastModified"].isoformat(),
        }
        for item in objects
        if arguments.all or item["Key"].endswith(_NAMES)
    ]
    if not arguments.raw or query is not None:
        return out_json(json.dumps(found).encode(), query, raw=arguments.raw)
    if found:
        out("\n".join(file["uri"] for file in found))
    return None
