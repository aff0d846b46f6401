"""A program that runs a command until its own standard input ends, so that the command never outlives the parent.

Run as `python -I -S keeper.py LOG LEFTOVERS COMMAND...`. When the input ends, it kills the command and removes
LEFTOVERS, files and directories separated by `os.pathsep`. The byte `k` only kills; the byte `r` kills and removes.
"""

import os
import shutil
import subprocess
import sys
import threading

KILL = b"k"
KILL_AND_REMOVE = b"r"  # closing the input may not be enough, because a fork of the parent may hold it open


def main(log: str, leftovers: str, command: list[str]) -> None:
    """Run the command until it ends, or until the input says so."""
    with open(log, "ab") as output:  # noqa: PTH123  # importing pathlib takes time
        kept = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)  # noqa: S603
    heard: list[bytes] = []

    def listen() -> None:
        heard.append(os.read(0, 1))
        kept.kill()

    threading.Thread(target=listen, daemon=True).start()
    kept.wait()
    if heard and heard != [KILL]:
        remove(leftovers.split(os.pathsep))


def remove(leftovers: list[str]) -> None:
    """Remove those of these files and directories that exist."""
    for path in leftovers:
        if os.path.isdir(path):  # noqa: PTH112
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.remove(path)  # noqa: PTH107


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
