"""An S3 of one's own on this machine, for trying things out and for tests: `with local_s3() as s3:`.

Two servers can stand behind it: moto's (extra `[local]`) and SeaweedFS (extra `[local-seaweedfs]`). For a shell there
is `python -m s3dictionary.local`, for pytest the fixture `s3dict_bucket`.
"""

from .block import LocalS3 as LocalS3
from .block import local_s3 as local_s3

__all__ = ["LocalS3", "local_s3"]
