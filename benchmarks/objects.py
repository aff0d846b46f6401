"""Puts many small objects into a bucket, fast."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from urllib.parse import urlsplit

from support.servers import SeaweedFS

from .stage import Stage

THREADS = 8


def upload(stage: Stage, bucket: str, objects: Mapping[str, str]) -> None:
    """Put objects into a bucket, by their keys."""
    if isinstance(stage.server, SeaweedFS):
        # SeaweedFS's own interface is faster than S3's, because it needs no signatures. The objects are the same
        filer = stage.server.ports["filer"]
        send, address = _to_filer, f"http://127.0.0.1:{filer}/buckets/{bucket}"
    else:
        send, address = _to_bucket, bucket
    share = -(-len(objects) // THREADS)
    items = iter(objects.items())
    parts = [dict(islice(items, share)) for _ in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda part: send(stage, address, part), parts))


def _to_filer(stage: Stage, address: str, objects: Mapping[str, str]) -> None:
    place = urlsplit(address)
    connection = http.client.HTTPConnection(place.hostname or "", place.port)
    for key, content in objects.items():
        connection.request("PUT", f"{place.path}/{key}", content.encode(), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 201, answer.status
    connection.close()


def _to_bucket(stage: Stage, bucket: str, objects: Mapping[str, str]) -> None:
    s3 = stage.s3
    for key, content in objects.items():
        s3.put_object(Bucket=bucket, Key=key, Body=content.encode())
