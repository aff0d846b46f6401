"""Every operation meets every fault: it is done, or it isn't and says so, or it says that it isn't known.

Whichever it is, the next save overwrites nobody, and everything works again when the fault is over. The outcomes are
those in docs/faults.md, which `make faults` writes.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from botocore.awsrequest import HeadersDict
from botocore.config import Config

from s3dictionary import ConflictError, S3Dict, S3DictError, StorageError, UnknownOutcomeError
from s3dictionary import _store as store
from s3dictionary._s3 import saving
from support import fault_cells
from support.fault_cells import (
    AFTER_LOST_ANSWER,
    AFTER_THEIRS,
    DELETING,
    EDITED,
    LOADING,
    LOOKING,
    MERGING,
    SAVING,
    Cell,
    Section,
)
from support.proxy import (
    AlterBody,
    AlterHeaders,
    Answer,
    Call,
    CutOff,
    Fault,
    LostAnswer,
    Proxy,
    Request,
    Reset,
    Response,
)
from support.servers import SeaweedFS, Server, Site

TIMEOUT = 0.25
RETRIES = {
    "mode": "legacy",
    "total_max_attempts": 2,
}  # in the others, a client that has often tried again stops doing so
START = {"n": 1}
OURS = {"ours": 1}
THEIRS = {"theirs": 1}
EDIT = {"edited": 1}
UNDER_WAY = threading.Lock()
UNKNOWN = "unknown: UnknownOutcomeError"
ON_SEAWEEDFS = (
    "connection reset, done",
    "500 InternalError, done",
    "412 PreconditionFailed",
    "answer cut off in the body",
)
OPERATIONS = {"GET": "GetObject", "PUT": "PutObject", "DELETE": "DeleteObject", "HEAD": "HeadObject"}


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten botocore's and the library's waits before they repeat a request."""
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.001)))
    monkeypatch.setattr(store, "MERGE_ATTEMPTS", 3)
    monkeypatch.setattr(saving.Save, "patience", 1)
    monkeypatch.setattr(saving.Delete, "patience", 1)


# What goes wrong ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NoAnswerInTime(Fault):
    """Let the server execute the request, and let the client wait in vain."""

    def __call__(self, request: Request, forward: Any) -> Response | None:
        with UNDER_WAY:
            forward(request)
        threading.Event().wait(2 * TIMEOUT)  # not time.sleep, which is shortened here
        return None


@dataclass(frozen=True)
class DoneButError(Fault):
    """Let the server execute the request, and then report a failure."""

    def __call__(self, request: Request, forward: Any) -> Response | None:
        forward(request)
        return Answer(500, "InternalError")(request, forward)


@contextmanager
def refused_connections(proxy: Proxy, client: Any, method: str, *, forever: bool, passing: int) -> Iterator[None]:
    """From a request on nobody listens, so that the system refuses who connects: at the first attempt, or at each.

    botocore's events tell when that request comes, and when its first attempt has failed.
    """
    coming = passing + 1

    def before_sending(**_: Any) -> None:
        nonlocal coming
        coming -= 1
        if coming == 0 or (coming < 0 and forever):
            proxy.close()

    def after_attempt(**_: Any) -> None:
        if not forever:
            proxy.open()

    events = {
        f"before-send.s3.{OPERATIONS[method]}": before_sending,
        f"needs-retry.s3.{OPERATIONS[method]}": after_attempt,
    }
    for name, handler in events.items():
        client.meta.events.register_first(name, handler)
    try:
        yield
    finally:
        for name, handler in events.items():
            client.meta.events.unregister(name, handler)
        proxy.open()


def answer(fault: str) -> Answer:
    status, code = fault.partition(",")[0].split()
    return Answer(int(status), code)


FAULTS: dict[str, Fault] = {
    "connection reset, nothing done": Reset(),
    "connection reset, done": LostAnswer(),
    "no answer in time, done": NoAnswerInTime(),
    "500 InternalError, done": DoneButError(),
    "answer cut off in the body": CutOff(),
    "another ETag in the answer": AlterHeaders({"ETag": '"another"'}),
    "no ETag in the answer": AlterHeaders({"ETag": None}),
    "a web page with status 200": Call(
        lambda request, forward: Response(200, HeadersDict({"Content-Type": "text/html"}), b"<html>Log in</html>")
    ),
    "invalid gzip": AlterBody(lambda _: b"\x1f\x8b not gzip"),
    "not JSON": AlterBody(lambda body: body[:-1] + b","),
    **{fault: answer(fault) for fault in fault_cells.FAULTS if fault[0].isdigit() and not fault.endswith(", done")},
}


# What is being done ---------------------------------------------------------------------------------------------------


class Stage:
    """A bucket for many scenes, because creating one and its clients takes longer than a scene."""

    def __init__(self, server: Server, proxy: Proxy) -> None:
        self.site = Site(server, proxy)
        self.site.client.create_bucket(Bucket=self.site.bucket)
        self._clients: dict[float, Any] = {}

    def client(self, timeout: float) -> Any:
        if timeout not in self._clients:
            required: Any = dict.fromkeys(
                ("request_checksum_calculation", "response_checksum_validation"), "when_required"
            )
            config = Config(retries=RETRIES, read_timeout=timeout, **required)
            self._clients[timeout] = self.site.proxied_client(config=config)
        return self._clients[timeout]

    def scene(self, cell: Cell | None = None) -> Scene:
        timeout = TIMEOUT if cell is not None and cell.fault == "no answer in time, done" else 20
        return Scene(self.site, self.client(timeout))

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
        self.site.proxy.clear()


@pytest.fixture(scope="module")
def moto_stage(moto_proxy: tuple[Server, Proxy]) -> Iterator[Stage]:
    stage = Stage(*moto_proxy)
    yield stage
    stage.close()


@pytest.fixture(scope="module")
def seaweed_stage(seaweed_proxy: tuple[SeaweedFS, Proxy]) -> Iterator[Stage]:
    if not seaweed_proxy[0].running:
        seaweed_proxy[0].restart()
    stage = Stage(*seaweed_proxy)
    yield stage
    stage.close()


@dataclass
class Scene:
    """A file, a dict on it that uses the proxy, and another program that uses the server directly."""

    site: Site
    client: Any
    key: str = field(default_factory=lambda: f"{uuid.uuid4().hex}.json")
    merges: bool = False

    def open(self, **options: Any) -> S3Dict[str, Any]:
        self.merges = options.get("on_conflict") == "merge"
        return S3Dict(self.site.bucket, file_name=self.key, client=self.client, **options)

    def opened(self, **options: Any) -> S3Dict[str, Any]:
        """A dict on a file that holds `START`."""
        S3Dict(self.site.bucket, file_name=self.key, client=self.site.client, data=START).save()
        return self.open(**options)

    def stored(self) -> dict[str, Any] | None:
        """The content in S3; None if there is no file."""
        try:
            return json.loads(self.site.read(self.key))
        except self.site.client.exceptions.NoSuchKey:
            return None

    def others_save(self) -> None:
        """Save with another program that uses this library, so it continues the record of saves."""
        with S3Dict(self.site.bucket, file_name=self.key, client=self.site.client) as other:
            other["theirs"] = other.get("theirs", 0) + 1

    def others_edit(self, *, keep_metadata: bool) -> None:
        """Edit with another program that doesn't know this library."""
        place: dict[str, Any] = {"Bucket": self.site.bucket, "Key": self.key}
        found = self.site.client.get_object(**place)
        body = json.dumps(json.loads(found["Body"].read()) | EDIT).encode()
        self.site.client.put_object(**place, Body=body, Metadata=found["Metadata"] if keep_metadata else {})

    def edit(self, cell: Cell) -> Call:
        """Let such a program edit the file during a save."""
        before, lost = cell.fault.startswith("before"), "answer is lost" in cell.fault

        def act(request: Request, forward: Any) -> Response | None:
            if before:
                self.others_edit(keep_metadata=cell.fault.endswith("kept"))
            response = forward(request)
            if not before:
                self.others_edit(keep_metadata=cell.fault.endswith("kept"))
            return None if lost else response

        return Call(act, method="PUT")

    @contextmanager
    def fault(self, cell: Cell) -> Iterator[None]:
        """Let it happen meanwhile."""
        method, forever, faults = cell.section.method, cell.times == "always", self.site.faults
        passing = int(cell.section is SAVING and cell.operation == MERGING)  # the first PUT has to meet their save
        if cell.operation == AFTER_LOST_ANSWER:
            faults.append(LostAnswer(method="PUT"))
        faults.extend([Call(lambda request, forward: forward(request), method=method)] * passing)
        with ExitStack() as stack:
            stack.callback(lambda: UNDER_WAY.acquire() and UNDER_WAY.release())  # a busy server may take longer
            stack.callback(faults.clear)
            if cell.fault == "connection refused":
                refused = refused_connections(self.site.proxy, self.client, method, forever=forever, passing=passing)
                stack.enter_context(refused)
            else:
                faults.append(replace(FAULTS[cell.fault], method=method, forever=forever))
            yield


@dataclass
class Plan:
    """An operation that is about to begin.

    Attributes:
        d: the dict; None where the operation makes it.
        act: does it, and gives the dict.
        after: what S3 holds when it has been done, and memory, too.
        kept: what memory holds when it hasn't.
        unsaved: what the error carries then.
        creates: whether there was no file before.
    """

    d: S3Dict[str, Any] | None
    act: Callable[[], S3Dict[str, Any]]
    after: dict[str, Any] | None
    kept: dict[str, Any] | None
    unsaved: dict[str, Any] | None = None
    creates: bool = False


def construct(scene: Scene) -> Plan:
    scene.opened()
    return Plan(None, scene.open, START, None)


def load(scene: Scene) -> Plan:
    d = scene.opened()
    d["ours"] = 1  # goes by loading, and stays if that fails
    scene.others_save()
    return Plan(d, lambda: d.load() or d, START | THEIRS, START | OURS)


def save(scene: Scene) -> Plan:
    d = scene.opened()
    d["ours"] = 1
    return Plan(d, lambda: d.save() or d, START | OURS, START | OURS)


def first_save(scene: Scene) -> Plan:
    d = scene.open(default=OURS)
    return Plan(d, lambda: d.save() or d, OURS, OURS, creates=True)


def update(scene: Scene) -> Plan:
    d = scene.opened(autosave=True)
    return Plan(d, lambda: d.__ior__(OURS), START | OURS, START, START | OURS)


def block(scene: Scene) -> Plan:
    d = scene.opened()

    def act() -> S3Dict[str, Any]:
        with d:
            return d.__ior__(OURS)

    return Plan(d, act, START | OURS, START, START | OURS)


def run(scene: Scene) -> Plan:
    d = scene.opened()
    return Plan(d, lambda: d.run(lambda d: d.__ior__(OURS), attempts=3), START | OURS, START, START | OURS)


def after_theirs(operation: Callable[[Scene], Plan]) -> Callable[[Scene], Plan]:
    """Let someone else save after the load, so the operation must load that content, or meet a conflict."""

    def plan(scene: Scene) -> Plan:
        plan = operation(scene)
        scene.others_save()
        return replace(plan, after=START | THEIRS | OURS, unsaved=None)

    return plan


def merge(scene: Scene) -> Plan:
    d = scene.opened(on_conflict="merge")
    d["ours"] = 1
    return Plan(d, lambda: d.save() or d, START | OURS, START | OURS)


def delete(scene: Scene) -> Plan:
    d = scene.opened()
    return Plan(d, lambda: d.delete() or d, None, START)


PLANS: dict[tuple[Section, str], Callable[[Scene], Plan]] = {
    (LOADING, "S3Dict(…)"): construct,
    (LOADING, "load()"): load,
    (LOADING, "with d:"): after_theirs(block),
    (LOADING, "d.run(…)"): after_theirs(run),
    (LOADING, MERGING): after_theirs(merge),
    (SAVING, "save()"): save,
    (SAVING, "first save()"): first_save,
    (SAVING, "autosaved update"): update,
    (SAVING, "with d:"): block,
    (SAVING, "d.run(…)"): run,
    (SAVING, MERGING): after_theirs(merge),
    (DELETING, "delete()"): delete,
    (LOOKING, AFTER_LOST_ANSWER): save,
    (LOOKING, AFTER_THEIRS): after_theirs(save),
    (LOOKING, MERGING): after_theirs(merge),
    (EDITED, "save()"): save,
    (EDITED, "autosaved update"): update,
    (EDITED, "with d:"): block,
    (EDITED, "d.run(…)"): run,
    (EDITED, MERGING): merge,
}


# What comes of it -----------------------------------------------------------------------------------------------------


def attempt(scene: Scene, cell: Cell, plan: Plan) -> str:
    """Do the operation under the fault. Returns the outcome, which must be true."""
    before = scene.stored()
    try:
        with scene.fault(cell):
            plan.d = plan.act()
    except S3DictError as error:
        return failed(scene, plan, error, before)
    assert scene.stored() == plan.after
    assert plan.d == (plan.after or {})
    assert not plan.d.changed
    return "done"


def failed(scene: Scene, plan: Plan, error: S3DictError, before: dict[str, Any] | None) -> str:
    assert scene.site.server.secret_key not in str(error)
    unknown = isinstance(error, UnknownOutcomeError)
    assert unknown == ("not known whether" in str(error))
    if unknown:
        assert scene.stored() in (before, plan.after)
    else:
        assert scene.stored() == before
    if isinstance(error, StorageError):
        assert error.uri in str(error)
        assert error.operation in OPERATIONS.values()
    if plan.d is not None:
        assert plan.d in (plan.kept, before)  # a block whose load succeeded goes back to what that brought
    if plan.unsaved is not None:
        assert error.unsaved == plan.unsaved
    return UNKNOWN if unknown else f"not done: {type(error).__name__}"


def overwrites_nobody(scene: Scene, plan: Plan) -> None:
    """Another program saves; our next save meets a conflict, or both are merged.

    Where ours was to create the file and wasn't heard of, nothing tells whether theirs was made after ours was deleted.
    """
    d = plan.d
    if d is None:
        return
    scene.others_save()
    others = scene.stored()
    try:
        d["next"] = 1
        d.save()
    except UnknownOutcomeError:
        assert plan.creates
        assert scene.stored() == others
    except ConflictError:
        assert not scene.merges
        assert scene.stored() == others
    else:
        assert scene.merges
        assert scene.stored() == d == {**others, **OURS, "next": 1}


def works_again(scene: Scene, plan: Plan) -> None:
    d = plan.d
    if d is not None:
        d.load()
        d["again"] = 1
        d.save()
        assert scene.stored() == d


def can_be_repeated(scene: Scene, cell: Cell, plan: Plan) -> None:
    """The same once more, without a fault: it is done, and nothing is lost or done twice.

    Only an autosaved update, which doesn't load, meets a conflict with what it had saved itself: memory went back, so
    what it had then isn't a part of what it has now.
    """
    before = scene.stored()
    try:
        d = plan.act()
    except ConflictError:
        assert cell.operation == "autosaved update"
        assert scene.stored() == before == plan.after
    else:
        assert scene.stored() == plan.after
        assert d == (plan.after or {})


def check(stage: Stage, cell: Cell, record_property: Callable[[str, object], None], write_faults: bool) -> None:
    stage.site.requests.clear()
    make_plan = PLANS[cell.section, cell.operation]
    scene = stage.scene(cell)
    plan = make_plan(scene)
    outcome = attempt(scene, cell, plan)
    overwrites_nobody(scene, plan)
    if outcome != "done" and cell.times == "always":
        works_again(scene, plan)
    if outcome == UNKNOWN:
        scene = stage.scene(cell)
        plan = make_plan(scene)
        assert attempt(scene, cell, plan) == outcome
        can_be_repeated(scene, cell, plan)
    record_property("cell", (cell.name, outcome))
    if not write_faults:
        assert outcome == fault_cells.read()[cell.name]


def attempt_while_edited(scene: Scene, cell: Cell, plan: Plan) -> str:
    """Do the operation while another tool edits the file. Returns the outcome, which must be true."""
    scene.site.faults.append(scene.edit(cell))
    try:
        plan.act()
    except S3DictError as error:
        return failed_while_edited(scene, plan, error)
    assert scene.stored() == START | EDIT | OURS
    return "done"


def failed_while_edited(scene: Scene, plan: Plan, error: S3DictError) -> str:
    unknown = isinstance(error, UnknownOutcomeError)
    assert scene.stored() in (START | EDIT, *([START | EDIT | OURS] if unknown else []))
    assert plan.unsaved is None or error.unsaved in (plan.unsaved, {**plan.unsaved, **EDIT})
    return UNKNOWN if unknown else f"not done: {type(error).__name__}"


def overwrites_no_tool(scene: Scene, plan: Plan) -> None:
    """The other tool's change survives the next save, whether that meets a conflict or not."""
    before = scene.stored()
    try:
        plan.d["next"] = 1
        plan.d.save()
    except (ConflictError, UnknownOutcomeError):
        assert scene.stored() == before
    else:
        assert scene.stored() == {**before, **OURS, "next": 1}


def check_edited(stage: Stage, cell: Cell, record_property: Callable[[str, object], None], write_faults: bool) -> None:
    scene = stage.scene(cell)
    plan = PLANS[cell.section, cell.operation](scene)
    outcome = attempt_while_edited(scene, cell, plan)
    overwrites_no_tool(scene, plan)
    works_again(scene, plan)
    assert scene.stored().items() >= EDIT.items()
    record_property("cell", (cell.name, outcome))
    if not write_faults:
        assert outcome == fault_cells.read()[cell.name]


@pytest.fixture
def write_faults(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--write-faults"))


@pytest.mark.parametrize("cell", [pytest.param(cell, id=cell.name) for cell in fault_cells.cells() if cell.applies])
def test_it_is_done_or_not_done_or_said_to_be_unknown(
    moto_stage: Stage, cell: Cell, record_property: Any, write_faults: bool
) -> None:
    (check_edited if cell.section is EDITED else check)(moto_stage, cell, record_property, write_faults)


def on_seaweedfs() -> Iterator[Any]:
    """The cells in which a real server may differ from an imitation."""
    for cell in fault_cells.cells():
        if cell.applies and cell.fault in ON_SEAWEEDFS and cell.operation not in ("S3Dict(…)", "first save()"):
            yield pytest.param(cell, id=cell.name)


@pytest.mark.parametrize("cell", list(on_seaweedfs()))
def test_the_same_on_seaweedfs(seaweed_stage: Stage, cell: Cell, record_property: Any, write_faults: bool) -> None:
    check(seaweed_stage, cell, record_property, write_faults)


def test_the_page_has_just_these_cells(write_faults: bool) -> None:
    assert write_faults or list(fault_cells.read()) == [cell.name for cell in fault_cells.cells() if cell.applies]


# What can't be told from a single outcome -----------------------------------------------------------------------------


def add(key: str, base: Any, ours: Any, theirs: Any) -> Any:
    return theirs + ours - base


@pytest.mark.parametrize("fault", [LostAnswer(), Reset()], ids=["done", "not done"])
@pytest.mark.parametrize("theirs_later", [False, True], ids=["nobody else saves", "someone else saves"])
def test_a_merge_of_unknown_outcome_takes_nobodys_change_back_and_counts_once(
    moto_stage: Stage, fault: Fault, theirs_later: bool
) -> None:
    """The save wrote a merge of both sides. Memory has only our side, and later changes."""
    scene = moto_stage.scene()
    d = scene.opened(on_conflict=add)
    d["n"] += 10
    with S3Dict(scene.site.bucket, file_name=scene.key, client=scene.site.client) as other:
        other.update(n=101, theirs=1)
    cell = Cell(SAVING, fault_named(fault), "always", MERGING)
    with pytest.raises(StorageError, match="not known whether"), scene.fault(cell):
        d.save()
    assert d == {"n": 11}
    d["n"] += 1000
    if theirs_later:
        scene.others_save()
    d.save()
    assert d == scene.stored() == {"n": 1111, "theirs": 1 + theirs_later}


def fault_named(fault: Fault) -> str:
    return next(name for name, known in FAULTS.items() if known == fault)


@pytest.mark.parametrize("operation", [save, update, block, run])
def test_a_save_that_came_too_late_to_be_heard_of_is_no_danger(moto_stage: Stage, operation: Any) -> None:
    """The server executes it only after the client has given up and has loaded again."""
    scene = moto_stage.scene()
    plan = operation(scene)
    late = []

    def keep(request: Request, forward: Any) -> None:
        late.append(lambda: forward(request))

    scene.site.faults.append(Call(keep, method="PUT", forever=True))
    with pytest.raises(StorageError, match="not known whether"):
        plan.act()
    scene.site.faults.clear()
    plan.d.load()
    assert plan.d == START
    for save_now in late:
        save_now()
    assert scene.stored() == START | OURS
    overwrites_nobody(scene, plan)


# Stores with quirks of their own --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OnlyUnquotedETags(Fault):
    """Older Ceph gateways never accept an `If-Match` with quotes."""

    def __call__(self, request: Request, forward: Any) -> Response | None:
        etag = request.headers.get("If-Match", "")
        if etag.startswith('"'):
            return Answer(412, "PreconditionFailed")(request, forward)
        headers = HeadersDict({**request.headers, **({"If-Match": f'"{etag}"'} if etag else {})})
        return forward(replace(request, headers=headers))


@dataclass(frozen=True)
class NoConditions(Fault):
    """OpenStack Swift answers 501 to requests with conditions."""

    def __call__(self, request: Request, forward: Any) -> Response | None:
        if request.headers.get("If-Match") or request.headers.get("If-None-Match"):
            return Answer(501, "NotImplemented")(request, forward)
        return forward(request)


@dataclass(frozen=True)
class LostRaceIsAnError(Fault):
    """Ceph sometimes answers 500 to a save that came second."""

    def __call__(self, request: Request, forward: Any) -> Response | None:
        response = forward(request)
        return response if response.status != 412 else Answer(500, "InternalError")(request, forward)


@dataclass(frozen=True)
class CapitalizedMetadata(Fault):
    def __call__(self, request: Request, forward: Any) -> Response | None:
        response = forward(request)
        headers = {
            name.title() if name.lower().startswith("x-amz-meta") else name: value
            for name, value in response.headers.items()
        }
        return replace(response, headers=HeadersDict(headers))


CHANGES = [update, save, block, run]


@pytest.fixture
def scene(moto_stage: Stage) -> Iterator[Scene]:
    moto_stage.site.requests.clear()
    yield moto_stage.scene()
    moto_stage.site.faults.clear()


@pytest.mark.parametrize("operation", CHANGES)
def test_a_store_that_wants_etags_unquoted(scene: Scene, operation: Any) -> None:
    scene.site.faults.append(OnlyUnquotedETags(method="PUT", forever=True))
    plan = operation(scene)
    plan.act()
    assert scene.stored() == plan.d == START | OURS
    overwrites_nobody(scene, plan)


def test_a_store_that_wants_etags_unquoted_and_an_answer_that_is_lost(scene: Scene) -> None:
    plan = save(scene)
    scene.site.faults.append(Call(lambda request, forward: OnlyUnquotedETags()(request, forward), method="PUT"))
    scene.site.faults.append(
        Call(lambda request, forward: OnlyUnquotedETags()(request, forward) and None, method="PUT")
    )
    scene.site.faults.append(OnlyUnquotedETags(method="PUT", forever=True))
    plan.act()
    assert scene.stored() == plan.d == START | OURS
    assert scene.site.requests.count()["HEAD"] == 2


@pytest.mark.parametrize("operation", CHANGES)
def test_a_store_without_conditions_says_what_helps(scene: Scene, operation: Any) -> None:
    plan = operation(scene)
    scene.site.faults.append(NoConditions(method="PUT", forever=True))
    with pytest.raises(StorageError, match='on_conflict="overwrite"') as error:
        plan.act()
    assert "not known" not in str(error.value)
    assert scene.stored() == START
    with scene.open(on_conflict="overwrite") as d:
        d["ours"] = 1
    assert scene.stored() == START | OURS


@pytest.mark.parametrize("times", ["once", "always"])
def test_a_lost_race_that_is_answered_500_overwrites_nobody(scene: Scene, times: str) -> None:
    plan = save(scene)
    scene.others_save()
    others = scene.stored()
    scene.site.faults.append(LostRaceIsAnError(method="PUT", forever=times == "always"))
    with pytest.raises(ConflictError if times == "once" else StorageError) as error:
        plan.act()
    assert ("not known whether" in str(error.value)) == (times == "always")
    assert scene.stored() == others
    scene.site.faults.clear()
    overwrites_nobody(scene, plan)


@pytest.mark.parametrize("times", ["once", "always"])
def test_a_lost_race_with_ones_own_save_that_is_answered_500(scene: Scene, times: str) -> None:
    """The save takes effect, its answer is lost, and the repeated request comes second."""
    plan = save(scene)
    scene.site.faults.extend([LostAnswer(method="PUT"), LostRaceIsAnError(method="PUT", forever=times == "always")])
    with pytest.raises(StorageError, match="not known whether"):
        plan.act()
    assert scene.stored() == START | OURS
    scene.site.faults.clear()
    plan.act()
    assert scene.stored() == plan.d == START | OURS


@pytest.mark.parametrize("name", ["state.json", "state.json.gz"])
@pytest.mark.parametrize("encoding", ["aws-chunked", "gzip,aws-chunked", "aws-chunked,gzip"])
def test_a_store_that_leaves_aws_chunked_in_the_encoding(scene: Scene, name: str, encoding: str) -> None:
    scene.key = f"{uuid.uuid4().hex}-{name}"
    scene.site.faults.append(AlterHeaders({"Content-Encoding": encoding}, method="GET", forever=True))
    for number in range(2):
        with scene.open() as d:
            assert d == dict.fromkeys(range(number), "ä" * 100)
            d[number] = "ä" * 100


def test_a_store_that_capitalizes_metadata(scene: Scene) -> None:
    plan = save(scene)
    for method in "GET", "HEAD":
        scene.site.faults.append(CapitalizedMetadata(method=method, forever=True))
    scene.site.faults.append(LostAnswer(method="PUT"))
    plan.act()
    assert scene.stored() == plan.d == START | OURS
    overwrites_nobody(scene, plan)


def test_a_look_that_is_refused_after_a_refused_resend(seaweed_stage: Stage) -> None:
    """The server checks signatures and permissions."""
    scene = seaweed_stage.scene()
    plan = save(scene)
    scene.site.faults.extend([LostAnswer(method="PUT"), Answer(403, "AccessDenied", method="HEAD")])
    with pytest.raises(StorageError, match="not known whether"):
        plan.act()
    plan.act()
    assert scene.stored() == plan.d == START | OURS


def test_an_error_page_with_status_200_is_no_file(scene: Scene) -> None:
    """A proxy, or the login page of a wireless network, may answer like this."""
    page = Response(200, HeadersDict({"Content-Type": "text/html"}), b"<html>Welcome!</html>")
    d = scene.opened()
    d["ours"] = 1
    scene.site.faults.append(Call(lambda request, forward: page, forever=True))
    with pytest.raises(StorageError, match="no ETag"):
        d.load()
    with pytest.raises(StorageError, match=r"no ETag.*not known whether"):
        d.save()
    scene.site.faults.clear()
    assert d == START | OURS
    d.save()
    assert scene.stored() == START | OURS
