"""A job that may be killed at any time, and then continues where it was. Each step takes effect once.

Run it on your own file, stop it at any time, and run it again: `python resumable_job.py s3://my-bucket/job.json`.
Without an address, it does this by itself.

Prints:
    step 1
    step 2
    step 3
    killed
    step 4
    step 5
    step 6
    done: [1, 4, 9, 16, 25, 36]
"""

import os
import signal
import subprocess
import sys

from playground import new_file

from s3dictionary import S3Dict

STEPS = 6


def job(uri: str, power_cut_at: int | None = None) -> None:
    """Save each result together with the progress."""
    state = S3Dict.from_uri(uri, default={"next": 1, "results": []})
    while state["next"] <= STEPS:
        with state:
            state["results"].append(state["next"] ** 2)  # the work
            if state["next"] == power_cut_at:
                os.kill(os.getpid(), signal.SIGKILL)  # half done: not a trace of it is in the file
            state["next"] += 1
        print("step", state["next"] - 1, flush=True)


if __name__ == "__main__":
    if sys.argv[1:]:
        job(sys.argv[1], *map(int, sys.argv[2:]))
    else:
        with new_file() as uri:
            killed = subprocess.run([sys.executable, __file__, uri, "4"])
            print("killed" if killed.returncode == -signal.SIGKILL else killed, flush=True)
            subprocess.run([sys.executable, __file__, uri], check=True)
            print("done:", S3Dict.from_uri(uri)["results"])
