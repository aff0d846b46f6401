"""The command line: `s3dictionary get s3://bucket/state.json`. The rest of the library doesn't know about it."""

from .program import main as main

__all__ = ["main"]
