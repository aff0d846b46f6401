"""Names that the examples in docstrings use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from s3dictionary import S3Dict
from s3dictionary.local import local_s3


@pytest.fixture(autouse=True)
def _names_of_examples(request: pytest.FixtureRequest) -> Iterator[None]:
    if type(request.node).__name__ != "DoctestItem":
        yield
        return
    names: dict[str, Any] = request.getfixturevalue("doctest_namespace")
    with local_s3() as s3:
        names["bucket"] = s3.bucket
        names["state"] = S3Dict(s3.bucket, file_name="examples.json", data={"runs": 0})
        yield
