"""Logs of processes that may be killed at any moment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Log:
    """Lines of two words, in a file to which only the writer appends."""

    path: Path

    def write(self, what: str, which: str) -> None:
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(file, f"{what} {which}\n".encode())
        finally:
            os.close(file)

    def __getitem__(self, what: str) -> set[str]:
        """All log lines of one kind."""
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        return {which for kind, _, which in (line.partition(" ") for line in lines) if kind == what}
