"""The command line: `s3dictionary get s3://bucket/state.json`. Nothing else of the library knows of it."""

from .program import main as main

__all__ = ["main"]
