"""Provokes each error. Its message must be on the page docs/errors.md, and have what a user needs."""

from __future__ import annotations

import ast
import asyncio
import errno
import gzip
import json
import os
import re
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import InitVar, dataclass
from datetime import datetime, time, timedelta, tzinfo
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import boto3
import botocore.exceptions
import pytest
from botocore.awsrequest import HeadersDict
from botocore.config import Config

from s3dictionary import AsyncS3Dict, S3Dict, TransactionError, UnknownOutcomeError, UnsavedChangesWarning
from s3dictionary._s3 import addresses, failures
from s3dictionary._s3.lineage import Outcome
from s3dictionary.local import local_s3
from s3dictionary.local.block import Engine
from support.adversary.crowd import in_one_group
from support.command_line import meanwhile
from support.proxy import Answer, Call, CutOff, LateAnswer, LostAnswer, Reset, Response
from support.servers import Site

ROOT = Path(__file__).parent.parent
ENTRY = re.compile(r"^### ([^\n]+)\n\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PLACEHOLDER = re.compile(r"\{[^}]*\}")

ONCE = Config(retries={"total_max_attempts": 1})
TWICE = Config(retries={"total_max_attempts": 2})
IMPATIENT = Config(retries={"total_max_attempts": 1}, connect_timeout=0.1, read_timeout=0.1)


def flat(text: str) -> str:
    return " ".join(text.split())


PAGE = (ROOT / "docs" / "errors.md").read_text()
ENTRIES = {heading: flat(message) for heading, message in ENTRY.findall(PAGE)}


def fits(message: str, entry: str) -> bool:
    """Whether a message matches the page, where text in braces stands for anything."""
    return re.fullmatch(".*".join(map(re.escape, PLACEHOLDER.split(entry))), flat(message)) is not None


# How to provoke them. Each function is given a site, and raises the error

Provoke = Callable[[Site], Any]


def state(s3: Site, **options: Any) -> S3Dict:
    return S3Dict(**{"bucket_name": s3.bucket, "file_name": "state.json", **s3.options, "config": ONCE, **options})


def arguments(**options: Any) -> Provoke:
    return lambda s3: state(s3, **options).save()


def environment(config: str = "", **environ: str) -> Provoke:
    """Create a dict with only an endpoint. Everything else comes from the environment and boto3's configuration."""

    def provoke(s3: Site) -> None:
        with pytest.MonkeyPatch.context() as patch, NamedTemporaryFile("w") as file:
            file.write(config)
            file.flush()
            for name, value in {**environ, "AWS_CONFIG_FILE": file.name}.items():
                patch.setenv(name, value)
            S3Dict(s3.bucket, file_name="state.json", endpoint_url=s3.endpoint_url)

    return provoke


def fault(fault: Any, action: Callable[[S3Dict], Any] = S3Dict.load, config: Config = ONCE) -> Provoke:
    def provoke(s3: Site) -> None:
        d = state(s3)
        d.save()
        s3.faults.append(fault)
        action(state(s3, config=config) if action is S3Dict.load else d)

    return provoke


def body(content: bytes) -> Provoke:
    def provoke(s3: Site) -> None:
        s3.write("state.json", content)
        state(s3)

    return provoke


def value(item: Any) -> Provoke:
    return lambda s3: state(s3, data={"jobs": [item]}).save()


def typed(item: Any) -> Provoke:
    types = [Job, Failing, Prefixed, Unreadable, (Path, str, str)]
    return lambda s3: state(s3, data={"jobs": [item]}, types=types).save()


@dataclass
class Job:
    name: str


class Special(Job):
    pass


@dataclass
class Failing:
    name: str

    @property  # type: ignore[no-redef]
    def name(self) -> str:
        raise OSError("no such file")

    @name.setter
    def name(self, name: str) -> None:
        pass


@dataclass
class Bag(dict[str, Any]):
    name: str


def refused_by_class(s3: Site) -> None:
    s3.write("state.json", b'{"jobs": [{"py/Job": {}}]}')
    state(s3, types=[Job])["jobs"]


@dataclass
class Prefixed:
    name: str

    def __post_init__(self) -> None:
        self.name = f"Job {self.name}"


@dataclass
class Unreadable:
    name: int
    seed: InitVar[int]


def conflict(s3: Site) -> None:
    d = state(s3)
    s3.write("state.json", b"{}")
    d.save()


def conflict_at_the_end(s3: Site) -> None:
    with state(s3) as d:
        s3.write("state.json", b"{}")
        d["a"] = 1


def conflict_in_run(s3: Site) -> None:
    state(s3).run(lambda d: s3.write("state.json", b"{}") and d.update(a=1), attempts=1)


def conflict_of_before(s3: Site) -> None:
    d = state(s3, data={"a": 1})
    s3.write("state.json", b"{}")
    with d:
        d["b"] = 1


def clash(s3: Site) -> None:
    d = state(s3, on_conflict="merge")
    s3.write("state.json", b'{"a": 1}')
    d["a"] = 2
    d.save()


def local(name: str, broken: Any, engine: Engine = "moto", port: int = 0) -> Provoke:
    """A local server, with a part of it replaced."""

    def provoke(_: Site) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(name, broken)
            with local_s3(engine=engine, port=port):
                pass

    return provoke


def generator_function(d: S3Dict[Any, Any]) -> Iterator[None]:
    yield


async def coroutine_function(_: S3Dict) -> None:
    pass


def in_anothers_async_block(s3: Site) -> None:
    d: AsyncS3Dict = AsyncS3Dict(s3.bucket, file_name="state.json", **s3.options)

    async def update() -> None:
        d["a"] = 1

    async def main() -> None:
        async with d:
            await asyncio.create_task(update())

    asyncio.run(main())


def together_with_an_interrupted_one(s3: Site) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    d = state(s3, on_conflict=lambda *_: interrupt())
    s3.faults.append(meanwhile(s3, b'{"a":0}'))
    first, last = in_one_group(d, [lambda: d.run(lambda d: d.update(a=1))] * 2)
    with pytest.raises(KeyboardInterrupt):
        last.result()
    first.result()


def in_anothers_task(s3: Site) -> None:
    d = state(s3)

    async def update() -> None:
        d["a"] = 1

    async def main() -> None:
        with d:
            await asyncio.create_task(update())

    asyncio.run(main())


def edit_read_only(s3: Site) -> None:
    d = state(s3, default={"a": []}, read_only=True)
    d["a"].append(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnsavedChangesWarning)
        with d:
            pass


def wrong_with(s3: Site) -> None:
    d: Any = AsyncS3Dict(s3.bucket, file_name="state.json")
    with d:
        pass


def wrong_async_with(s3: Site) -> None:
    async def enter(d: Any) -> None:
        async with d:
            pass

    asyncio.run(enter(state(s3)))


def change_by_a_handler(s3: Site) -> None:
    d = state(s3)
    before = signal.signal(signal.SIGUSR1, lambda *_: d.update(b=1))
    try:
        with d._memory.lock:
            signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)


def leave_anothers_block(s3: Site) -> None:
    transaction = state(s3).transaction()
    with transaction, ThreadPoolExecutor() as pool:
        pool.submit(transaction.__exit__, None, None, None).result()


def taking_turns(s3: Site) -> tuple[Iterator[None], Iterator[None]]:
    """Two generators with open blocks, the second one inside the first."""
    d = state(s3)

    def edit() -> Iterator[None]:
        with d:
            d["a"] = 1
            yield

    first, second = edit(), edit()
    next(first)
    next(second)
    return first, second


def leave_the_outer_one(s3: Site) -> None:
    first, second = taking_turns(s3)
    try:
        next(first)
    finally:
        with suppress(TransactionError):
            second.close()  # type: ignore[attr-defined]


def leave_the_inner_one_after_that(s3: Site) -> None:
    first, second = taking_turns(s3)
    with suppress(TransactionError):
        next(first)
    next(second)


def roll_back_what_is_looked_into(s3: Site) -> None:
    d = state(s3, data={"a": bytearray(b"a")})
    with d.transaction():
        d["a"].append(1)
        view = memoryview(d["a"])
        raise ValueError(view)


def port_in_use(_: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, local_s3(port=listener.getsockname()[1]):
        pass


def not_permitted(*_: Any) -> None:
    raise PermissionError(errno.EACCES, "Permission denied")


def lost_answer(s3: Site) -> None:
    d = state(s3, config=TWICE)
    s3.faults.extend([LostAnswer(method="PUT"), Answer(403, "AccessDenied", method="HEAD")])
    d.save()


def lost_answer_and_file(s3: Site) -> None:
    d = state(s3, config=TWICE)
    s3.faults.append(LostAnswer(method="PUT"))
    s3.faults.append(Call(lambda request, forward: s3.write("state.json", b"{}") and forward(request), method="PUT"))
    d.save()


def undone_but_saved(s3: Site) -> None:
    d = state(s3)
    d["unsaved"] = 1
    s3.faults.append(LostAnswer(method="PUT"))
    with suppress(UnknownOutcomeError), d:
        d["in the block"] = 1
    d.save()


def too_big(s3: Site) -> None:
    s3.write("state.json", b'{"a": 1}')
    state(s3, max_size=7)


def too_big_when_uncompressed(s3: Site) -> None:
    s3.write("state.json", gzip.compress(b'{"a": "%s"}' % (b"x" * 1000)))
    state(s3, max_size=500)


def save_inside(s3: Site) -> None:
    with state(s3) as d, d.transaction():
        d.save()


def run_inside(s3: Site) -> None:
    with state(s3) as d:
        d.run(len)


def decorated_generator(s3: Site) -> None:
    @state(s3).transaction()
    def each() -> Iterator[int]:
        yield 1


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def deep_with_room(s3: Site) -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(5_000)
    try:
        value(deep(600))(s3)
    finally:
        sys.setrecursionlimit(limit)


class Thing:
    """A type that can't be stored."""


class Name(str):
    """A str with its own equality."""

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = str.__hash__


class Span(timedelta):
    """A timedelta that differs from its microseconds, as pandas' can."""

    def __ne__(self, other: object) -> bool:
        return True


class Named(tzinfo):
    """A zone whose offset depends on the date."""

    def utcoffset(self, when: datetime | None) -> timedelta | None:
        return when and timedelta(hours=when.month)


class Stamp(datetime):
    """A datetime that differs from its microseconds, as pandas' can."""

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = datetime.__hash__


CIRCULAR: list[Any] = []
CIRCULAR.append(CIRCULAR)

LOGIN_PAGE = Call(lambda request, forward: Response(200, body=b"<html>Log in</html>"), forever=True)
PAGE_WITH_ETAG = Call(
    lambda request, forward: Response(
        200, HeadersDict({"ETag": '"x"', "Content-Type": "text/html"}), b"<html>Log in</html>"
    )
)
BAD_GATEWAY = Call(lambda request, forward: Response(502, body=b"<html>Sorry</html>"))
FORBIDDEN = Call(lambda request, forward: Response(403, body=b"<html>Sorry</html>"))
SSO = """
[profile team]
sso_session = team
sso_account_id = 123456789012
sso_role_name = reader
[sso-session team]
sso_region = us-east-1
sso_start_url = https://team.example/start
"""


def leased_twice(s3: Site) -> None:
    with state(s3).lease("nightly"), state(s3).lease("nightly"):
        pass


def leased_again(s3: Site) -> None:
    lease = state(s3).lease("nightly")
    with lease, lease:
        pass


def lease_that_runs_out(s3: Site) -> None:
    with state(s3).lease("nightly") as lease:
        lease.seconds = 0.0


def lease_that_is_taken(s3: Site) -> None:
    with state(s3).lease("nightly"):
        other = {"holder": "another machine", "token": "", "seconds": 300, "fence": 2, "held": True}
        s3.write("state.json.nightly.lease", json.dumps(other).encode())


def lease_that_is_deleted(s3: Site) -> None:
    with state(s3).lease("nightly"):
        s3.client.delete_object(Bucket=s3.bucket, Key="state.json.nightly.lease")


def lease_of_a_file(s3: Site) -> None:
    s3.write("state.json.nightly.lease", b"{}")
    with state(s3).lease("nightly"):
        pass


CASES: list[tuple[str, Provoke]] = [
    ("A name is missing", arguments(bucket_name="")),
    ("A name is missing", arguments(file_name=None)),
    ("Not an address", lambda s3: S3Dict.from_uri("my-bucket/state.json", **s3.options)),
    ("One key without the other", arguments(access_secret_key=None)),
    ("A client and its options", arguments(client=object())),
    ("A put option that the library sets", arguments(put_options={"IfMatch": "x", "Body": b""})),
    ("An unknown value of on_conflict", arguments(on_conflict="mrege")),
    ("A class of an unknown kind", arguments(types=[Path])),
    ("Two classes with the same name", arguments(types=[Job, type("Job", (Special,), {})])),
    ("A class with the name of a built-in type", arguments(types=[type("set", (Special,), {})])),
    ("A class that holds more than its fields", arguments(types=[Bag])),
    ("Not a bool for autosave", arguments(autosave="yes")),
    ("Read-only and something to save", arguments(read_only=True, data={})),
    ("No attempts", lambda s3: state(s3).run(len, attempts=0)),
    ("A name that isn't a str", arguments(file_name=Path("state.json"))),
    ("Keys that aren't text", arguments(access_key_id=1)),
    ("Not a client", lambda s3: S3Dict(s3.bucket, file_name="state.json", client=boto3.Session())),
    ("Put options that aren't a dict", arguments(put_options="STANDARD_IA")),
    ("Put options that aren't a dict", arguments(put_options={1: "STANDARD_IA"})),
    ("Content that isn't a dict", arguments(default=[1, 2])),
    ("Content that isn't a dict", arguments(data="")),
    ("Not a list of classes", arguments(types=Job)),
    ("Autosave in an AsyncS3Dict", lambda s3: AsyncS3Dict(s3.bucket, file_name="state.json", autosave=True)),
    ("with in place of async with", wrong_with),
    ("async with in place of with", wrong_async_with),
    ("Not a function", lambda s3: state(s3).run(5)),
    ("An unknown argument", arguments(bogus=1)),
    ("An argument with another name", arguments(regoin_name="eu-central-1")),
    ("An argument with another name", arguments(region="eu-central-1")),
    ("Not an endpoint", arguments(endpoint_url="localhost:9000")),
    ("No credentials", environment()),
    ("Half of the credentials", environment(AWS_ACCESS_KEY_ID="id")),
    ("No such profile", environment(AWS_PROFILE="nobody")),
    ("Not logged in", environment(SSO, AWS_PROFILE="team")),
    ("A credential helper that prints something else", environment("[default]\ncredential_process = echo no\n")),
    ("Not a region", arguments(region_name="eu central")),
    ("An address in place of a name", arguments(bucket_name="s3://my-bucket")),
    ("An address in place of a name", arguments(file_name="s3://my-bucket/state.json")),
    ("Metadata that isn't text", arguments(put_options={"Metadata": {"runs": 1}})),
    ("Metadata that can't be sent", arguments(put_options={"Metadata": {"who": "\n"}})),
    ("Metadata that the library sets", arguments(put_options={"Metadata": {"S3Dictionary-Lineage": "x"}})),
    ("Too much metadata", arguments(put_options={"Metadata": {"note": "x" * 2000}})),
    ("A password in an address", lambda s3: S3Dict.from_uri("s3://user:password@my-bucket/state.json")),
    ("A folder in the bucket's name", arguments(bucket_name="my-bucket/app")),
    ("A password in place of a bucket's name", arguments(bucket_name="user:password@my-bucket")),
    ("A name that is too long", arguments(file_name="k" * 1025)),
    ("A name that UTF-8 can't encode", arguments(file_name="\ud800")),
    ("Not a size", arguments(max_size=0)),
    ("An endpoint with a query", arguments(endpoint_url="http://localhost:9000/?token=x")),
    ("Not a profile's name", arguments(profile_name="")),
    ("The file is too big", too_big),
    ("The file is too big", too_big_when_uncompressed),
    ("Not a name, or not an option", arguments(bucket_name="my bucket")),
    ("Not a name, or not an option", arguments(put_options={"StorageClas": "STANDARD_IA"})),
    ("No connection", arguments(endpoint_url="http://127.0.0.1:9")),
    ("No answer in time", fault(LateAnswer(0.5), config=IMPATIENT)),
    ("The connection broke", fault(Reset())),
    ("The answer broke off", fault(CutOff(method="GET", forever=True))),
    ("No valid certificate", lambda s3: state(s3, endpoint_url=s3.endpoint_url.replace("http:", "https:"))),
    ("A line break in a header", arguments(aws_session_token="secret token\n")),
    ("Not an S3 store", fault(LOGIN_PAGE)),
    ("A save that is answered with a web page", fault(PAGE_WITH_ETAG, S3Dict.save)),
    ("A delete that isn't answered as S3 does", fault(LOGIN_PAGE, S3Dict.delete)),
    ("Too much metadata for the store", fault(Answer(400, "MetadataTooLarge"), S3Dict.save)),
    ("The bucket doesn't exist", arguments(bucket_name="no-such-bucket")),
    ("No permission to read", fault(Answer(403, "AccessDenied"))),
    ("No permission to read", fault(FORBIDDEN)),
    ("No permission to write", fault(Answer(403, "AccessDenied"), S3Dict.save)),
    ("No permission for something else", fault(Answer(403, "AccessDenied"), S3Dict.delete)),
    ("No permission for something else", fault(Answer(403, "AccessDenied"), S3Dict.versions)),
    ("No permission for something else", fault(Answer(403, "AccessDenied"), lambda d: d.load(version_id="old"))),
    ("The access key isn't known", fault(Answer(403, "InvalidAccessKeyId"))),
    ("The secret key is wrong", fault(Answer(403, "SignatureDoesNotMatch"), S3Dict.save)),
    ("The clock is wrong", fault(Answer(403, "RequestTimeTooSkewed"))),
    ("The credentials have expired", fault(Answer(400, "ExpiredToken"))),
    ("The session token is wrong", fault(Answer(400, "InvalidToken"))),
    ("Another region", fault(Answer(301, "PermanentRedirect", method="GET", forever=True))),
    ("Another region", fault(Answer(400, "AuthorizationHeaderMalformed", method="GET", forever=True))),
    ("Archived", fault(Answer(403, "InvalidObjectState"))),
    ("No such version", fault(Answer(404, "NoSuchVersion"), lambda d: d.load(version_id="old"))),
    ("No such version, on other stores", fault(Answer(404, "NoSuchKey"), lambda d: d.load(version_id="old"))),
    ("The store is busy or failing", fault(Answer(503, "SlowDown"))),
    ("The store is busy or failing", fault(BAD_GATEWAY)),
    ("Other answers of S3", fault(Answer(400, "InvalidArgument"), S3Dict.save)),
    ("The file is empty", body(b" \n")),
    ("The file isn't JSON", body(b"{'a': 1}")),
    ("The file isn't a JSON object", body(b"[1]")),
    ("The file isn't UTF-8", body(b'{"a": "\xe4"}')),
    ("The file isn't valid gzip", body(b"\x1f\x8b\x08garbage")),
    ("A class rejects what the file holds", refused_by_class),
    ("The file is nested too deeply", body(b'{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}")),
    ("An integer has too many digits", body(b'{"a": ' + b"9" * 100_001 + b"}")),
    ("Read-only", arguments(read_only=True)),
    ("A read-only dict was edited", edit_read_only),
    ("Someone else has written", conflict),
    ("Someone else has written", conflict_at_the_end),
    ("Someone else has written", conflict_in_run),
    ("Someone else has written", conflict_of_before),
    ("Both sides changed the same keys", clash),
    ("Changes that can't be merged", undone_but_saved),
    ("It isn't known whether a save took effect", fault(Reset(), S3Dict.save)),
    ("It isn't known whether a save took effect", fault(BAD_GATEWAY, S3Dict.save)),
    ("It isn't known whether a save took effect", fault(LOGIN_PAGE, S3Dict.save)),
    ("A lost answer can't be cleared up", lost_answer),
    ("The current content doesn't show it", lost_answer_and_file),
    ("It isn't known whether the file was deleted", fault(Reset(), S3Dict.delete)),
    ("The store has no conditional writes", fault(Answer(501, "NotImplemented"), S3Dict.save)),
    ("A value of another type", value(Thing())),
    ("An instance of a subclass", typed(Special("a"))),
    ("An instance whose class fails", typed(Failing("a"))),
    ("An instance that would come back as another", typed(Prefixed("a"))),
    ("An instance that would come back as another type", typed(Path("a"))),
    ("An instance that could not be read again", typed(Unreadable(1, 2))),
    ("An integer of too many digits", value(10**100_000)),
    ("A circular reference", value(CIRCULAR)),
    ("Too many levels", value(deep(100_000))),
    ("More than 500 levels", deep_with_room),
    ("A time that ISO 8601 can't express", value(Stamp(2026, 1, 1))),
    ("A time of day with a named zone", value(time(7, 30, tzinfo=Named()))),
    ("A time with a zone that fails", value(datetime(2026, 1, 1, tzinfo=tzinfo()))),
    ("A timedelta with nanoseconds", value(Span(1))),
    ("A key or element of another type", value({Thing(): 1})),
    ("A key or element of another type", value({Thing()})),
    ("Keys or elements that would become equal", value({Name("a"), Name("a")})),
    ("Not inside this block", save_inside),
    ("Not inside this block", run_inside),
    ("A coroutine function in run()", lambda s3: state(s3).run(coroutine_function)),
    ("A generator function in run()", lambda s3: state(s3).run(generator_function)),
    ("The block of another task", in_anothers_task),
    ("An AsyncS3Dict in another task's block", in_anothers_async_block),
    ("Not loaded yet", lambda s3: AsyncS3Dict(s3.bucket, file_name="state.json", **s3.options)["a"]),
    ("Saved together with one that was interrupted", together_with_an_interrupted_one),
    ("A change in the middle of an operation", change_by_a_handler),
    ("The block of another thread", leave_anothers_block),
    ("A block left by another thread, or out of order", leave_the_outer_one),
    ("A block that isn't open any more", leave_the_inner_one_after_that),
    ("A value that can't be restored", roll_back_what_is_looked_into),
    ("A transaction around a coroutine or a generator", decorated_generator),
    ("The lease is held", leased_twice),
    ("The lease is held by this object", leased_again),
    ("The lease has expired", lease_that_runs_out),
    ("The lease was taken", lease_that_is_taken),
    ("The lease was deleted", lease_that_is_deleted),
    ("The lease isn't held", lambda s3: state(s3).lease("nightly").fence),
    ("Not a lease", lease_of_a_file),
    ("Not a name for a lease", lambda s3: state(s3).lease("")),
    ("Not a time for a lease", lambda s3: state(s3).lease("nightly", seconds=0)),
    ("A lease's name that is too long", lambda s3: state(s3).lease("n" * 1024)),
    ("moto isn't installed", local("s3dictionary.local.moto.find_spec", lambda _: None)),
    (
        "SeaweedFS isn't installed",
        local("s3dictionary.local.seaweedfs.SeaweedFS.program", lambda *_: None, "seaweedfs"),
    ),
    ("No such engine", lambda _: local_s3(engine="minio").__enter__()),
    ("The port is in use", port_in_use),
    ("The port can't be used", local("socket.create_server", not_permitted, port=80)),
    ("moto's server doesn't start", local("s3dictionary.local.moto._PROCESS", "no-such-program.py")),
    ("SeaweedFS doesn't start", local("s3dictionary.local.seaweedfs.SeaweedFS._options", lambda *_: [], "seaweedfs")),
]

ABOUT_LOCAL_S3 = {heading for heading, _ in CASES[-7:]}
ABOUT_ARGUMENTS = {*list(ENTRIES)[: list(ENTRIES).index("No credentials")]}
ABOUT_BLOCKS = {  # and leases
    *list(ENTRIES)[list(ENTRIES).index("Not inside this block") : list(ENTRIES).index("moto isn't installed")]
}
AT_EXIT = {*list(ENTRIES)[list(ENTRIES).index("Unsaved changes") :]}
HARD_TO_PROVOKE = {
    "No connection in time",  # it takes an address that swallows packets
    "An answer that makes no progress",  # it takes a server that answers drop by drop, as the tests of time limits have
}


@pytest.mark.parametrize(("heading", "provoke"), CASES, ids=[heading for heading, _ in CASES])
def test_the_message_is_on_the_page_and_has_what_a_user_needs(moto_s3: Site, heading: str, provoke: Provoke) -> None:
    with pytest.raises(Exception) as info:  # noqa: PT011  # the page says which
        provoke(moto_s3)
    message = str(info.value)
    assert fits(message, ENTRIES[heading]), message
    assert_tells_only_what_it_should(message, moto_s3)
    if "can't be stored" in message:
        assert re.match(r"s3://\S+/state\.json: d\['jobs'\]", message)
    elif heading not in ABOUT_ARGUMENTS | ABOUT_BLOCKS | ABOUT_LOCAL_S3:
        assert re.search(r"s3://[^/]+.*/state\.json\b", message)


def assert_tells_only_what_it_should(message: str, s3: Site) -> None:
    assert s3.server.secret_key not in message
    assert "secret token" not in message
    for name in dir(botocore.exceptions):
        assert not name.endswith(("Error", "Exception")) or name not in message
    assert "An error occurred" not in message  # botocore's words
    assert not re.search(r"\bNone\b", message)


END_OF_PROGRAM = """
import os, threading, time
from s3dictionary import S3Dict
from s3dictionary._s3 import addresses
from s3dictionary._s3.lineage import Outcome

def state(name, **options):
    return S3Dict(os.environ["BUCKET"], file_name=f"{name}/state.json", **options)

def edit(d):
    with d:
        d["a"] = 1
        yield

def stay(d):
    with d:
        d["a"] = 1
        ready.set()
        time.sleep(60)

unsaved, held, autosaved = state("unsaved", data={}), state("held"), state("autosaved", data={"a": []}, autosave=True)
unsaved["a"] = 1
dropped = state("dropped", data={"a": 1})
del dropped
autosaved["a"].append(object())
generator = edit(state("generator"))
next(generator)
ready = threading.Event()
threading.Thread(target=stay, args=[held], daemon=True).start()
ready.wait()
"""


def test_what_is_said_at_the_end_of_the_program_is_on_the_page_too(moto_s3: Site) -> None:
    environ = {
        "AWS_ACCESS_KEY_ID": moto_s3.server.access_key,
        "AWS_SECRET_ACCESS_KEY": moto_s3.server.secret_key,
        "AWS_ENDPOINT_URL_S3": moto_s3.endpoint_url,
        "BUCKET": moto_s3.bucket,
    }
    command = [sys.executable, "-c", END_OF_PROGRAM]
    ended = subprocess.run(command, env={**os.environ, **environ}, capture_output=True, text=True, check=True)
    messages = re.findall(rf"(?m)^(?:.*Warning: )?(s3://{moto_s3.bucket}/.*)", ended.stderr)
    assert len(messages) == len(AT_EXIT)
    for heading in AT_EXIT:
        assert any(fits(message, ENTRIES[heading]) for message in messages), ended.stderr
    assert moto_s3.server.secret_key not in ended.stderr


def test_nothing_else_is_on_the_page() -> None:
    assert {heading for heading, _ in CASES} | AT_EXIT | HARD_TO_PROVOKE == ENTRIES.keys()
    assert PAGE.count("\n### ") == len(ENTRIES)


NEXT_STEP = re.compile(
    r"\b(add|a free one is taken|as in|call|check|close|correct|create|did you mean|do it|edit in|get|give it"
    r"|it needs|join|leave|load\(\) (discards|replaces|shows)|log in|look|must be|of the form|pass|pip install"
    r"|rename|repair|restore|run it|set|store|try again|use|versions\(\) lists|what to do)\b",
    re.IGNORECASE,
)
SAID_BY_OTHERS = {
    "An unknown argument",
    "An instance whose class fails",
    "Not an endpoint",
    "Other answers of S3",
    "Too much metadata for the store",
    "moto's server doesn't start",
    "SeaweedFS doesn't start",
    "Autosave's last save failed",
}
SAYS_ENOUGH = {
    "A name that is too long",
    "Read-only and something to save",
    "Read-only",
    "A block left by another thread, or out of order",
    "A block that isn't open any more",
    "A value that can't be restored",
}
"""What they say can't be done is what has to be done otherwise; the page says how."""


def test_each_message_says_what_to_do() -> None:
    """Except those that only pass on another program's message, or say enough."""
    without = {heading for heading, message in ENTRIES.items() if not NEXT_STEP.search(message)}
    assert without == SAID_BY_OTHERS | SAYS_ENOUGH


# The code

OTHERS = {"notebook", "__main__", "pytest_plugin"}  # what shows it, and programs with words of their own
PACKAGES = ("s3dictionary", "s3dictionary/_s3", "s3dictionary/local")
MODULES = [path for name in PACKAGES for path in sorted((ROOT / name).glob("*.py")) if path.stem not in OTHERS]
NO_MESSAGES = {
    "has no attribute",  # as every module says it
    "popitem(): dictionary is empty",  # as a dict says it
    "dictionary changed size during iteration",
    "%Y-%m-%d %H:%M:%S %Z",
    "Invalid header value",  # only looked for
    ", not loaded yet>",  # the repr says it
    *(outcome.value for outcome in Outcome),  # only named
    flat(addresses._ARN),
    failures._MISSPELT,
}


def phrases(tree: ast.AST) -> Iterator[str]:
    """Every str of three words or more in the code, except docstrings, assertions and log messages."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if isinstance(node, ast.Assert):
            continue
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("log."):
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value.split()) > 2:
            yield flat(node.value)
        yield from phrases(node)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_all_that_the_code_can_say_is_on_the_page(module: Path) -> None:
    listed = flat(PAGE)
    said = set(phrases(ast.parse(module.read_text()))) - NO_MESSAGES
    assert {phrase for phrase in said if phrase not in listed} == set()
