"""Where the examples keep their files: on a local S3 server, which runs as long as they do.

To use a real one, set S3DICT_BUCKET to your bucket, and the usual AWS environment (keys or a profile; AWS_ENDPOINT_URL
for a store that isn't AWS). Their files are below s3dictionary-examples/, and are removed at the end.
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from s3dictionary import S3Dict


@contextmanager
def new_file() -> Iterator[str]:
    """The address of a file that doesn't exist yet, like `s3://bucket/path/state.json`."""
    with ExitStack() as stack:
        bucket = os.environ.get("S3DICT_BUCKET")
        if not bucket:
            from s3dictionary.local import local_s3

            bucket = stack.enter_context(local_s3()).bucket
        uri = f"s3://{bucket}/s3dictionary-examples/{uuid.uuid4()}.json"
        try:
            yield uri
        finally:
            S3Dict.from_uri(uri).delete()
