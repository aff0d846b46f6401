"""Requests and bytes on the wire."""

from __future__ import annotations

from collections.abc import Iterable

from support.proxy import Exchange, Proxy

from .report import Section, Table, size
from .rivals import OBJECT_PER_KEY, TASKS, WHOLE_FILE, Ours, line_up
from .stage import Stage

COUNT = 1_000

TEXT = """\
What a recording proxy saw of each task, done once, with {count:,} records. Bodies only, without headers. S3Dictionary
0.13 lists the bucket, so it needs more if the bucket has more objects."""


def measure(stage: Stage) -> Section:
    section = Section("Requests and bytes", TEXT.format(count=COUNT))
    proxy = Proxy(stage.endpoint_url)
    bucket = stage.new_bucket()
    try:
        with stage.at(proxy.endpoint_url), line_up(stage, (*WHOLE_FILE, *OBJECT_PER_KEY), bucket, COUNT) as rivals:
            for task in TASKS:
                if task == "rewrite":
                    continue
                rows = []
                for name, rival in rivals.items():
                    rival.seconds(task)  # first without recording, to load what it keeps
                    proxy.clear()
                    rival.seconds(task)
                    log = list(proxy.requests.log)
                    rows.append([name, _requests(log), size(_sent(log)), size(_received(log))])
                    if name == Ours.name:
                        section.facts[f"304s of {task}"] = sum(exchange.status == 304 for exchange in log)
                        section.facts[f"requests of {task}"] = len(log)
                section.tables.append(Table(["", "requests", "sent", "received"], rows, TASKS[task]))
    finally:
        proxy.close()
    return section


def _requests(log: Iterable[Exchange]) -> str:
    """The requests as text, such as `GET 200, PUT 200`."""
    kinds: dict[str, int] = {}
    for exchange in log:
        kind = f"{'' if exchange.key else 'bucket '}{exchange.method} {exchange.status}"
        kinds[kind] = kinds.get(kind, 0) + 1
    return ", ".join(kind if count == 1 else f"{count} times {kind}" for kind, count in kinds.items()) or "none"


def _sent(log: Iterable[Exchange]) -> int:
    return sum(len(exchange.body) for exchange in log)


def _received(log: Iterable[Exchange]) -> int:
    return sum(len(exchange.response_body) for exchange in log)
