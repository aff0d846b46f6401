"""Cold start: the time until a command-line tool, a cron job or a Lambda function has its first value."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial

from .data import KEY, body
from .plots import bars
from .report import Section, Table, comparison, duration, size
from .rivals import ByHand, Original, Ours, Persidict, S3fsMapper
from .stage import Stage
from .timing import Contender, Times, cpu_of_children, side_by_side, wall

COUNT = 100

TEXT = """\
A whole process that opens a file of {count} records and prints a value of one, from its start to its end. The imports
are timed inside separate processes, without the interpreter's start and without a connection. The package itself
imports almost nothing; accessing `S3Dict` imports the rest. Memory is the peak of the resident set."""

SCRIPTS = {
    "an empty script": "",
    Ours.name: """
from s3dictionary import S3Dict
print(S3Dict("{bucket}", file_name="start.json")["{key}"]["visits"])
""",
    ByHand.name: """
import json
import boto3
s3 = boto3.client("s3")
print(json.loads(s3.get_object(Bucket="{bucket}", Key="start.json")["Body"].read())["{key}"]["visits"])
""",
    Original.name: """
import os
from s3dictionary import S3Dict
keys = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
print(S3Dict("{bucket}", *keys, "start.json")["{key}"]["visits"])
""",
    Persidict.name: """
from persidict import BasicS3Dict
print(BasicS3Dict(bucket_name="{bucket}", root_prefix="start", serialization_format="json")["{key}"]["visits"])
""",
    S3fsMapper.name: """
import json
import s3fs
files = s3fs.S3FileSystem(endpoint_url="{endpoint}")
print(json.loads(files.get_mapper("{bucket}/start")["{key}.json"])["visits"])
""",
}
PEAK = """
import resource, sys
try:
    with open("/proc/self/status") as status:
        print(next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024)
except OSError:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
"""
IMPORTS = ("import s3dictionary", "from s3dictionary import S3Dict", "import boto3", "import persidict", "import s3fs")


def measure(stage: Stage) -> Section:
    stage.s3.put_object(Bucket=stage.bucket, Key="start.json", Body=body(COUNT))
    stage.s3.put_object(Bucket=stage.bucket, Key=f"start/{KEY}.json", Body=b'{"visits": 50}')
    rounds = 3 if stage.quick else 31
    scripts = side_by_side(_scripts(stage, wall), rounds)
    cpu = side_by_side(_scripts(stage, cpu_of_children), rounds)
    memory = side_by_side(_scripts(stage, _peak), 1 if stage.quick else 5)
    imports = side_by_side({statement: partial(_import, statement) for statement in IMPORTS}, rounds)

    section = Section("Cold start", TEXT.format(count=COUNT))
    section.tables.append(comparison(scripts, ByHand.name, title="From the start of the process to its end"))
    section.tables.append(comparison(cpu, ByHand.name, title="The processor's time of it"))
    section.tables.append(_memory(memory))
    section.tables.append(comparison(imports, "import boto3", title="Imports alone"))
    title = "A process that reads one value"
    medians = {name: its.median for name, its in scripts.items()}
    section.plots[title] = bars(medians, title=title, text=duration)
    section.facts["start_cpu"] = cpu[Ours.name].over(cpu[ByHand.name])
    section.facts["start"] = scripts[Ours.name].over(scripts[ByHand.name])
    section.facts["start_memory"] = memory[Ours.name].over(memory[ByHand.name])
    section.facts["import"] = imports["import s3dictionary"].over(imports["import boto3"])
    return section


def _memory(peaks: dict[str, Times]) -> Table:
    rows = [[name, size(its.median), f"{its.over(peaks[ByHand.name]):.2f}"] for name, its in peaks.items()]
    return Table(["", "median", f"ratio to {ByHand.name}"], rows, "The most memory that it had")


def _scripts(stage: Stage, timed: Callable[[partial[str]], Contender]) -> dict[str, Contender]:
    contenders = {}
    for name, script in SCRIPTS.items():
        python = stage.original if name == Original.name else sys.executable
        if python is not None:
            code = script.format(bucket=stage.bucket, key=KEY, endpoint=stage.endpoint_url)
            contenders[name] = timed(partial(_run, python, code))
    return contenders


def _run(python: str, code: str) -> str:
    run = [python, "-P", "-c", code]
    return subprocess.run(run, check=True, stdout=subprocess.PIPE, text=True, env=environment()).stdout


def _peak(run: partial[str]) -> Contender:
    """Measure the peak memory of a process instead of its time."""

    def peak() -> float:
        python, code = run.args
        return float(_run(python, code + PEAK).split()[-1])

    return peak


def environment() -> dict[str, str]:
    """One in which byte code is cached, as that of an installed package is."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _import(statement: str) -> float:
    code = f"import time; start = time.perf_counter(); {statement}; print(time.perf_counter() - start)"
    return float(_run(sys.executable, code))
