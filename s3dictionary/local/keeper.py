"""A program that keeps another one for as long as its own standard input lasts, so never longer than its parent.

Run as `python -I -S keeper.py LOG LEFTOVERS COMMAND...`. At the end of the input the command is killed, and the files
and directories LEFTOVERS (with `os.pathsep` between them) are removed. A byte of input does it before, or a part of it.
"""

import os
import shutil
import subprocess
import sys
import threading

KILL = b"k"
KILL_AND_REMOVE = b"r"  # closing the input might not do: a fork of the parent may hold it open


def main(log: str, leftovers: str, command: list[str]) -> None:
    """Run the command until it ends, or is to end."""
    with open(log, "ab") as output:  # noqa: PTH123  # importing pathlib would take its time
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
    """Remove files and directories, as far as they are there."""
    for path in leftovers:
        if os.path.isdir(path):  # noqa: PTH112
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.remove(path)  # noqa: PTH107


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
