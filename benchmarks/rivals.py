"""Who is compared with S3Dict where files are opened, edited and saved, and how each does the same work.

Each rival gets the records in its own form, and does one task at a time. Tasks that take no connection are elsewhere.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property, partial
from typing import Any, ClassVar

import s3fs
from botocore.exceptions import ClientError
from persidict import BasicS3Dict

from s3dictionary import S3Dict

from .data import KEY, body, record, records
from .objects import upload
from .stage import Helper, Stage
from .timing import Contender

TASKS = {
    "open": "opening it",
    "read_one": "opening it and reading one record",
    "edit_one": "opening it, editing one record, saving",
    "rewrite": "opening it, editing every record, saving",
    "autosave_one": "an update that is saved at once, on a loaded dict",
    "read_only": "a block that only reads, on a loaded dict that is unchanged in S3",
}


class Rival:
    """Does the tasks.

    Attributes:
        name: as in the tables.
        settings: how it is used: the best way that it has.
        count: how many records there are.
    """

    name: str
    settings: str

    def __init__(self, stage: Stage, bucket: str, count: int) -> None:
        self.bucket = bucket
        self.count = count
        self._stage = stage

    def fill(self) -> None:
        """Store the records."""
        raise NotImplementedError

    def seconds(self, task: str) -> float:
        """The time of a task in seconds."""
        start = time.perf_counter()
        getattr(self, task)()
        return time.perf_counter() - start

    def close(self) -> None:
        pass


class WholeFile(Rival):
    """All records in one file. Each rival has its own file."""

    @property
    def file(self) -> str:
        return f"{type(self).__name__}/{self.count}.json"

    @cached_property
    def s3(self) -> Any:
        return self._stage.s3

    def get(self, **options: Any) -> bytes:
        content: bytes = self.s3.get_object(Bucket=self.bucket, Key=self.file, **options)["Body"].read()
        return content

    def put(self, content: bytes) -> Any:
        return self.s3.put_object(Bucket=self.bucket, Key=self.file, Body=content)

    def fill(self) -> None:
        self.put(body(self.count))


class SameBytes(WholeFile):
    name = "raw requests"
    settings = "the lower limit: the same requests with the same bytes, by one boto3 client, without decoding"

    @cached_property
    def content(self) -> bytes:
        return self.get()

    @cached_property
    def etag(self) -> str:
        found: str = self.put(self.content)["ETag"]
        return found

    def open(self) -> None:
        self.get()

    def read_one(self) -> None:
        self.get()

    def edit_one(self) -> None:
        self.put(self.get())

    rewrite = edit_one

    def autosave_one(self) -> None:
        self.put(self.content)

    def read_only(self) -> None:
        with suppress(ClientError):  # a 304 is one
            self.get(IfNoneMatch=self.etag)


class Ours(WholeFile):
    name = "S3Dict"
    settings = "defaults; it shares its client by itself"

    def opened(self, **options: Any) -> S3Dict[str, Any]:
        return S3Dict(self.bucket, file_name=self.file, **options)

    @cached_property
    def loaded(self) -> S3Dict[str, Any]:
        state = self.opened()
        assert state[KEY]
        return state

    @cached_property
    def autosaved(self) -> S3Dict[str, Any]:
        return self.opened(autosave=True)

    def open(self) -> None:
        self.opened()

    def read_one(self) -> int:
        visits: int = self.opened()[KEY]["visits"]
        return visits

    def edit_one(self) -> None:
        with self.opened() as state:
            state[KEY]["visits"] += 1

    def rewrite(self) -> None:
        with self.opened() as state:
            for value in state.values():
                value["visits"] += 1

    def autosave_one(self) -> None:
        self.autosaved[KEY] = {**self.autosaved[KEY], "visits": time.perf_counter_ns()}

    def read_only(self) -> int:
        with self.loaded as state:
            visits: int = state[KEY]["visits"]
            return visits


class ByHand(WholeFile):
    name = "boto3 + json by hand"
    settings = "one client for everything, the standard library's `json`, no conditional writes"

    def decoded(self) -> dict[str, Any]:
        decoded: dict[str, Any] = json.loads(self.get())
        return decoded

    def encode(self, state: dict[str, Any]) -> None:
        self.put(json.dumps(state).encode())

    @cached_property
    def loaded(self) -> dict[str, Any]:
        return self.decoded()

    def open(self) -> None:
        self.decoded()

    def read_one(self) -> int:
        visits: int = self.decoded()[KEY]["visits"]
        return visits

    def edit_one(self) -> None:
        state = self.decoded()
        state[KEY]["visits"] += 1
        self.encode(state)

    def rewrite(self) -> None:
        state = self.decoded()
        for value in state.values():
            value["visits"] += 1
        self.encode(state)

    def autosave_one(self) -> None:
        self.loaded[KEY] = {**self.loaded[KEY], "visits": time.perf_counter_ns()}
        self.encode(self.loaded)

    read_only = read_one


class Original(WholeFile):
    name = "S3Dictionary 0.13"
    settings = (
        "in a separate process, because its package has the same name; `save()` after the edits, `load()` to reload"
    )
    _WITHOUT_KEY = ("open", "rewrite")

    @cached_property
    def helper(self) -> Helper:
        return Helper("original.py", python=self._stage.original)

    def seconds(self, task: str) -> float:
        key = () if task in self._WITHOUT_KEY else (KEY,)
        taken: float = self.helper.ask(task, self.bucket, self.file, *key)
        return taken

    def close(self) -> None:
        if "helper" in self.__dict__:
            self.helper.close()


class ObjectPerKey(Rival):
    """One object for each record. All rivals of this kind share the objects."""

    prefix = "records"
    _filled: ClassVar[set[tuple[str, int]]] = set()

    def fill(self) -> None:
        if (self.bucket, self.count) not in self._filled:
            encoded = {f"{self.prefix}/{key}.json": json.dumps(value) for key, value in records(self.count).items()}
            upload(self._stage, self.bucket, encoded)
            self._filled.add((self.bucket, self.count))

    def opened(self) -> Any:
        raise NotImplementedError

    def read(self, state: Any, key: str) -> Any:
        raise NotImplementedError

    def write(self, state: Any, key: str, value: Any) -> None:
        raise NotImplementedError

    @cached_property
    def loaded(self) -> Any:
        return self.opened()

    def open(self) -> None:
        self.opened()

    def read_one(self) -> int:
        visits: int = self.read(self.opened(), KEY)["visits"]
        return visits

    def edit(self, state: Any, key: str) -> None:
        value = self.read(state, key)
        value["visits"] += 1
        self.write(state, key, value)

    def edit_one(self) -> None:
        self.edit(self.opened(), KEY)

    def rewrite(self) -> None:
        state = self.opened()
        for key in records(self.count):
            self.edit(state, key)

    def autosave_one(self) -> None:
        self.write(self.loaded, KEY, record(time.perf_counter_ns()))

    def read_only(self) -> int:
        visits: int = self.read(self.loaded, KEY)["visits"]
        return visits


class Persidict(ObjectPerKey):
    name = "persidict"
    settings = "`BasicS3Dict` without copies on disk, in its JSON format; one object for each key"

    def opened(self) -> Any:
        return BasicS3Dict(bucket_name=self.bucket, root_prefix=self.prefix, serialization_format="json")

    def read(self, state: Any, key: str) -> Any:
        return state[key]

    def write(self, state: Any, key: str, value: Any) -> None:
        state[key] = value


class S3fsMapper(ObjectPerKey):
    name = "s3fs mapping"
    settings = "`get_mapper`, which shares its client by itself, with values in `json`; one object for each key"

    def opened(self) -> Any:
        files = s3fs.S3FileSystem(endpoint_url=self._stage.endpoint_url)
        return files.get_mapper(f"{self.bucket}/{self.prefix}")

    def read(self, state: Any, key: str) -> Any:
        return json.loads(state[f"{key}.json"])

    def write(self, state: Any, key: str, value: Any) -> None:
        state[f"{key}.json"] = json.dumps(value).encode()


LIMIT = SameBytes.name
WHOLE_FILE = (SameBytes, Ours, ByHand, Original)
OBJECT_PER_KEY = (Persidict, S3fsMapper)


@contextmanager
def line_up(
    stage: Stage, kinds: Iterable[type[Rival]], bucket: str, count: int, *, filled: bool = False
) -> Iterator[dict[str, Rival]]:
    """The rivals by name. Stores their records, unless `filled` says that they are there."""
    with ExitStack() as stack:
        rivals = [kind(stage, bucket, count) for kind in kinds if kind is not Original or stage.original]
        for rival in rivals:
            stack.callback(rival.close)
            if not filled:
                rival.fill()
        yield {rival.name: rival for rival in rivals}


def contenders(rivals: dict[str, Rival], task: str) -> dict[str, Contender]:
    """All rivals as contenders for a task."""
    return {name: partial(rival.seconds, task) for name, rival in rivals.items()}
