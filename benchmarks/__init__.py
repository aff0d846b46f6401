"""Measures what S3Dict costs, side by side with what people use instead. `make bench` runs everything.

Each topic is a module with a function `measure(stage)` that returns a `Section` of the report.
"""

import sys
from pathlib import Path

sys.path.append(
    str(Path(__file__).parents[1] / "tests")
)  # for the S3 server and the recording proxy that the tests use
