"""Run the benchmarks: print each table as soon as it is measured, and write the page. See `--help`."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import time
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from . import targets
from .local import SETTINGS
from .report import Section
from .rivals import OBJECT_PER_KEY, WHOLE_FILE
from .stage import Stage, stage

TOPICS = (
    *("files", "rewriting", "wire", "latency", "big_files", "crowd", "items", "transactions", "encoding"),
    *("peak_memory", "start", "package", "event_loop", "profiles"),
)
PACKAGES = ("S3Dictionary", "boto3", "msgspec", "persidict", "s3fs", "sqlitedict", "diskcache")

HEAD = """\
# Benchmarks

What S3Dict costs, compared with what people use instead. `make bench` writes this whole page from one run.

All contenders do the same work in turn, round after round, on the same server and the same machine. So you can rely
on the ratios. The times are comparable only with each other: on another machine, and with S3 itself, they differ.
Each time is a median, followed by the two quartiles that enclose half of the measurements. Each ratio is the median
of the rounds' ratios. Less is better everywhere. The first table shows what costs more than it should, and the last
ones show why.
"""


def main() -> None:
    options = _options()
    started = time.monotonic()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    with stage(quick=options.quick, original=os.environ.get("ORIGINAL")) as place:
        sections = [_measured(topic, place) for topic in options.topics]
        facts = {name: fact for section in sections for name, fact in section.facts.items()}
        reached = targets.table(facts).markdown()
        print(f"## What we aim for\n\n{reached}")
        taken = f"{(time.monotonic() - started) / 60:.0f} minutes"
        if options.write:
            page = [HEAD, f"## What we aim for\n\n{reached}", *(section.markdown("benchmarks") for section in sections)]
            page.append(_circumstances(place, load, taken))
            _write(options.write, "\n".join(page), sections)
            print(f"Written to {options.write / 'benchmarks.md'}, in {taken}.", file=sys.stderr)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and smaller files: less than a minute or so")
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="write benchmarks.md and its drawings there")
    parser.add_argument("topics", nargs="*", metavar="topic", default=TOPICS, help=f"of {', '.join(TOPICS)}; else all")
    return parser.parse_args()


def _measured(topic: str, place: Stage) -> Section:
    started = time.monotonic()
    section: Section = import_module(f".{topic}", __package__).measure(place)
    print(f"{topic}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    print("\n\n".join([f"## {section.title}", *(table.markdown() for table in section.tables)]), flush=True)
    return section


def _circumstances(place: Stage, load: float, taken: str) -> str:
    """The machine in general terms, the versions, and how each contender was used."""
    versions = [f"{name} {version(name)}" for name in PACKAGES]
    if place.original:
        versions.insert(1, "S3Dictionary 0.13")
    lines = [
        "## How it was measured\n",
        f"- Server: {place.server_name}, on the same machine, over plain HTTP.",
        f"- Machine: {platform.system()} on {platform.machine()}, {os.cpu_count()} processors{_memory()}.",
        f"- Load average of the machine at the start: {load:.1f}. The run took {taken}.",
        f"- {platform.python_implementation()} {platform.python_version()}; {', '.join(versions)}.",
        "- Checksums are `when_required` for everyone: by default, boto3 adds one to each body.",
        "- Settings:",
    ]
    lines += [f"  - {kind.name}: {kind.settings}." for kind in (*WHOLE_FILE, *OBJECT_PER_KEY)]
    lines += [f"  - {name}: {settings}." for name, settings in SETTINGS.items()]
    return "\n".join(lines) + "\n"


def _memory() -> str:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return ""
    return f", {total / 2**30:.0f} GB of memory"


def _write(folder: Path, page: str, sections: list[Section]) -> None:
    drawings = folder / "benchmarks"
    shutil.rmtree(drawings, ignore_errors=True)
    drawings.mkdir(parents=True)
    (folder / "benchmarks.md").write_text(page)
    for section in sections:
        for name, drawing in section.plot_files().items():
            (drawings / name).write_text(drawing)


if __name__ == "__main__":
    main()
