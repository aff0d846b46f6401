"""`S3Dict`: a dict that lives in one JSON file on S3, edited in `with` blocks, with transactions that roll back."""

from __future__ import annotations

import inspect
import sys
import time
from collections import UserDict
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, overload

from ._blocks import Block, Blocks, Kind, Place, Transaction, place_of
from ._exits import Ending
from ._format.types import SCALARS
from ._mapping import K, LazyDict, V
from ._memory import GIL, Awake, Memory
from ._s3 import addresses
from ._s3.file import MAX_SIZE
from ._s3.secrets import Hidden, Secret
from ._s3.settings import Settings
from ._store import OnConflict, Options, Store, backoff
from .errors import ConflictError, Rollback

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from typing_extensions import Self

    from ._s3.file import FileVersion

P = ParamSpec("P")
T = TypeVar("T")
K2 = TypeVar("K2")
V2 = TypeVar("V2")

_STRATEGIES = ("raise", "overwrite", "merge")
_NOT_PICKLED = frozenset({"_file", "_store", "_blocks", "_ending"})


class S3Dict(LazyDict[K, V]):
    """A dict that lives in one JSON file on S3.

    It is a `dict` in memory, loaded by the constructor. `save()` writes it, on condition that nobody else has written
    since; better still, edit it in a block, which loads at its begin, saves at its end, and undoes everything if
    something fails:

    >>> with S3Dict(bucket, file_name="state.json") as state:
    ...     state["runs"] = state.get("runs", 0) + 1
    ...     with state.transaction():  # undone alone if it fails
    ...         state.setdefault("log", []).append("started")

    Args:
        bucket_name: the bucket. It must exist.
        access_key_id: the AWS access key; left out, boto3 finds credentials as always.
        access_secret_key: its secret.
        file_name: the object's key, as in `"app/state.json"`. If it ends in `.gz`, the file is compressed.
        autosave: save every update at once. For nested edits under autosave use `transaction()`.
        data: what the dict is to hold instead of what the file holds.
        default: what it is to hold as long as there is no file. It is copied, and isn't an unsaved change.
        on_conflict: what a save does if someone else has written since the load: `"raise"` a `ConflictError`,
            `"overwrite"` what they wrote, or `"merge"` key by key, which raises only if both changed the same key to
            different values. A function `resolve(key, base, ours, theirs)` is called for just the keys that both
            changed, also to the same value, and gives the value to store; `MISSING` stands for a key that isn't there.
        read_only: updates and saves raise a `ReadOnlyError`. Needs no permission to write.
        max_size: bytes that the file may have, stored or uncompressed; a bigger one is refused before it is read.
        client: a boto3 S3 client to use as it is, instead of keys and options.
        profile_name: the profile in `~/.aws/config` whose credentials and settings to use.
        put_options: further arguments of every PutObject, as in `{"ServerSideEncryption": "aws:kms"}`.
        client_options: further arguments of `boto3.client("s3", …)`, as in `endpoint_url` or `region_name`.

    Raises:
        ValueError: an argument is missing or doesn't fit with others.
        BucketNotFoundError, AccessDeniedError, StorageError: the file can't be loaded.
        CorruptFileError: the file isn't a JSON object in UTF-8.
    """

    def __init__(
        self,
        bucket_name: str = "",
        access_key_id: str | None = None,
        access_secret_key: str | None = None,
        file_name: str = "",
        autosave: bool = False,
        *,
        data: Mapping[K, V] | Iterable[tuple[K, V]] | None = None,
        default: Mapping[K, V] | Iterable[tuple[K, V]] | None = None,
        on_conflict: OnConflict = "raise",
        read_only: bool = False,
        max_size: int = MAX_SIZE,
        client: S3Client | None = None,
        profile_name: str | None = None,
        put_options: Mapping[str, Any] | None = None,
        **client_options: Any,
    ) -> None:
        if profile_name is not None:
            client_options["profile_name"] = profile_name
        self._memory = Memory()  # so that it can be shown from here on
        settings = Settings(
            bucket_name,
            file_name,
            access_key_id,
            Secret(access_secret_key),
            client,
            Hidden(client_options),
            Hidden(put_options or {}),
            max_size,
        )
        access_secret_key, put_options = None, None  # a traceback can show what a function's variables hold
        client_options.clear()
        settings.check()
        _check_bool("autosave", autosave)
        _check_bool("read_only", read_only)
        if read_only and (autosave or data is not None):
            raise ValueError("read_only=True goes with neither autosave nor data: there would be something to save")
        if on_conflict not in _STRATEGIES and not callable(on_conflict):
            raise ValueError(
                f"on_conflict must be a function or one of {', '.join(map(repr, _STRATEGIES))}, not {on_conflict!r}"
            )
        options = Options(on_conflict, None if default is None else deepcopy(dict(default)), read_only)
        self._set_up(settings, self._memory, options)
        self._store.load(replacing=data is not None)
        if data is not None:
            self.data = dict(data)
        if autosave:
            if self.etag is None or self.changed:
                self.save()
            self._store.autosave = True

    def _set_up(self, settings: Settings, memory: Memory, options: Options) -> None:
        self._settings = settings
        self._options = options
        self._file = settings.file()
        self._memory = memory
        self._store = Store(self._file, memory, options)
        self._blocks = Blocks(memory, self._store.undone)
        self._ending = Ending(self._store, memory, self._blocks)

    @classmethod
    def from_uri(cls, uri: str, **options: Any) -> Self:
        """Make one from an address like `s3://bucket/path/state.json`. The options are those of the constructor.

        In place of the bucket's name it may have the ARN of an access point, as for the AWS CLI.

        Raises:
            ValueError: it isn't such an address.
        """
        bucket, key, problem = addresses.split(uri)
        if problem:
            uri = ""  # a traceback can show what a function's variables hold
            raise ValueError(problem)
        if not bucket or not key:
            raise ValueError(f"{uri!r} isn't an address of the form s3://bucket/key")
        return cls(bucket, file_name=key, **options)

    # What it is

    @property
    def bucket_name(self) -> str:
        return self._settings.bucket_name

    @property
    def file_name(self) -> str:
        return self._settings.file_name

    @property
    def access_key_id(self) -> str | None:
        return self._settings.access_key_id

    @property
    def access_secret_key(self) -> str | None:
        return self._settings.access_secret_key

    @property
    def uri(self) -> str:
        """The file's address, `s3://bucket/key`."""
        return self._file.uri

    @property
    def etag(self) -> str | None:
        """The ETag of the version that was loaded or saved last, as S3 gave it; `None` while there is no file."""
        version = self._store.version
        return None if version is None else version.etag

    @property
    def changed(self) -> bool:
        """Is there anything here that is not in S3? Nested edits count. Sends no request."""
        return self._store.changed

    def _repr_html_(self) -> str:
        """How notebooks show it. Looking changes nothing, and decodes only what is shown."""
        from . import notebook

        version = self._store.version
        modified = None if version is None else version.last_modified
        return notebook.html(self.uri, self.etag, modified, self.changed, len(self), self._memory.first(notebook.ROWS))

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """How IPython shows it as text, which it also puts into a notebook's file. `print` shows all of it."""
        from . import notebook

        printer.text(notebook.text(len(self), self._memory.first(notebook.ROWS)))

    @property
    def autosave(self) -> bool:
        """Is every update saved at once? Setting it to `True` saves now, or at the end of the block that is open."""
        return self._store.autosave

    @autosave.setter
    def autosave(self, autosave: bool) -> None:
        _check_bool("autosave", autosave)
        self._blocks.turns.exclusively(self._set_autosave, autosave)

    def _set_autosave(self, autosave: bool) -> None:
        if autosave and not self._blocks.open:
            self._store.save()
        self._store.autosave = autosave

    # Loading, saving, deleting

    def load(self, *, version_id: str | None = None) -> Self:
        """Replace what is in memory by what the file holds. Unsaved changes go.

        Values that are still as the file has them stay the same objects. One GET, without a body if nothing changed.

        Args:
            version_id: an old version, one of `versions()`, to bring into memory as an unsaved change; `save()`
                restores it.

        Returns:
            The dict, so that `d.load()["key"]` is the freshest value.

        Raises:
            CorruptFileError: the file isn't a JSON object in UTF-8. Memory is as before.
            StorageError: S3 refused, or wasn't reached. Memory is as before.
            TransactionError: inside a `transaction()`.
        """
        self._request(
            "load()", *((self._store.load,) if version_id is None else (self._store.load_version, version_id))
        )
        return self

    def save(self) -> None:
        """Write what is in memory, on condition that S3 still holds the version that it was loaded from. One PUT.

        Inside `with d:` this is a checkpoint: what it saved stays, also if the block fails later.

        Raises:
            ConflictError: someone else has written since. Nothing was overwritten, and memory is as before.
            UnknownOutcomeError: it isn't known whether it took effect. The next save finds out.
            NotStorableError: a value can't be stored as JSON. Nothing was sent.
            ReadOnlyError: the dict was opened with `read_only=True`.
            StorageError: S3 refused, or wasn't reached. Memory is as before.
            TransactionError: inside a `transaction()`.
        """
        self._request("save()", self._store.save)

    def delete(self) -> None:
        """Delete the file, on condition that S3 still holds the version that was loaded; then empty the dict.

        One DELETE. With `on_conflict="overwrite"` it is deleted whatever version it is.

        Raises:
            ReadOnlyError: the dict was opened with `read_only=True`.
            ConflictError: someone else has written since. Nothing was deleted.
            UnknownOutcomeError: it isn't known whether it was deleted. The data is kept.
            StorageError: S3 refused, or wasn't reached. The data is kept.
            TransactionError: inside a `transaction()`.
        """
        self._request("delete()", self._store.delete)

    def _request(self, name: str, action: Callable[..., None], *args: Any) -> None:
        """Load, save or delete, where that is allowed. In an open `with` block it is a checkpoint."""

        def act() -> None:
            self._blocks.refuse_inside(name, allowed=(Kind.WITH,))
            action(*args)

        self._blocks.turns.exclusively(act)

    def versions(self) -> list[FileVersion]:
        """The file's versions that the bucket keeps, newest first. `load(version_id=…)` brings one back.

        On a bucket without versioning that is the current one. Needs `s3:ListBucketVersions`.

        Raises:
            StorageError: S3 refused, or wasn't reached.
        """
        return self._file.versions()

    # Blocks

    def __enter__(self) -> Self:
        block = Block(Kind.WITH, place_of(sys._getframe(1)))
        try:
            self._blocks.enter(block, self._store.refresh)
            return self
        except BaseException:
            self._blocks.end(block)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        leaving: list[Block] = []
        place: Place | None = None
        try:
            place = place_of(sys._getframe(1))
            return self._blocks.leave(place, error, self._store.save_changes, leaving)
        except BaseException:
            self._blocks.end_left(place or place_of(sys._getframe(1)), leaving)
            raise

    def transaction(self) -> Transaction[Self]:
        """A block in memory, for `with` or as a decorator. An exception undoes it, and goes on.

        It nests to any depth, and gives the dict. Undoing is exact and in place: a list that was taken out of the dict
        before or in the block is undone itself, and is still the one in the dict. `raise Rollback` undoes it quietly.
        With `autosave`, the outermost one saves at its end if anything changed; if that fails, it is undone.

        >>> with state.transaction():
        ...     state["runs"] += 1
        """
        return Transaction(self, self._blocks, self._autosave_changes)

    @overload
    def run(self, function: Callable[[Self], T], *, attempts: int = 10) -> T: ...
    @overload
    def run(self, function: Callable[Concatenate[Self, P], T], *args: P.args, **kwargs: P.kwargs) -> T: ...
    @overload
    def run(self, function: Callable[..., T], arg: Any, /, *args: Any, attempts: int = 10, **kwargs: Any) -> T: ...
    def run(  # type: ignore[misc]  # the function's own arguments may have any name
        self, function: Callable[..., T], *args: Any, attempts: int = 10, **kwargs: Any
    ) -> T:
        """Call a function in a `with` block, again from a fresh load if someone else has written meanwhile.

        >>> def count(state):
        ...     state["runs"] = state.get("runs", 0) + 1
        ...     return state["runs"]
        >>> state.run(count)
        1

        Args:
            function: called with the dict and the other arguments, maybe several times. What it does elsewhere is not
                undone.
            args: further arguments of the function.
            kwargs: its keyword arguments.
            attempts: how often at most. Between them it waits, longer each time.

        Returns:
            What the function returned; `None` if it raised `Rollback`.

        Raises:
            ConflictError: someone else was faster every time; or there were unsaved changes before, which a fresh load
                would throw away.
            TransactionError: inside a block.
            TypeError: it is a coroutine function, which would run after the block.
            ValueError: `attempts` isn't positive.
        """
        self._blocks.refuse_inside("run()")
        if inspect.iscoroutinefunction(function):
            raise TypeError("run() can't call a coroutine function, which would do its work after the block.")
        if attempts < 1:
            raise ValueError(f"attempts must be positive, not {attempts}")
        for wait in backoff(attempts - 1):
            try:
                return self._run_once(function, args, kwargs)
            except ConflictError as error:
                if error.uri != self.uri or self._left_unsaved():
                    raise
            time.sleep(wait)
        return self._run_once(function, args, kwargs)

    def _run_once(self, function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
        block = Block(Kind.WITH, place_of(sys._getframe()))
        call = partial(function, self, *args, **kwargs)
        try:
            return self._blocks.within(block, self._store.refresh, self._store.save_changes, call)
        except Rollback:
            return None  # type: ignore[return-value]  # as the docs say

    def _left_unsaved(self) -> bool:
        return self._blocks.turns.step(
            lambda: self.changed
        )  # another thread's changes in a block of its own don't count

    def _autosave_changes(self) -> None:
        if self._store.autosave or self._options.read_only:
            self._store.save_changes()

    def __setitem__(self, key: K, value: V) -> None:
        if GIL and type(key) is str and type(value) in SCALARS:
            # A lock would cost more than all the rest. From the look-up to the assignment nothing is called, so with
            # the GIL neither another thread nor a signal gets in between
            memory, turns, store = self._memory, self._blocks.turns, self._store
            try:
                entry = memory.items[key]
                if entry.__class__ is Awake and turns.current is None and store.is_plain:
                    entry.value = value
                    return
            except KeyError:
                pass
        self._update(self._memory.put, key, value)

    def _update(self, step: Callable[..., T], *args: Any) -> T:
        if self._options.read_only:
            self._store.refuse_read_only()
        if self._store.autosave and not self._blocks.is_inside:
            block = Block(Kind.TRANSACTION, place_of(sys._getframe()))
            return self._blocks.within(block, None, self._autosave_changes, partial(step, *args))
        return self._blocks.turns.step(step, *args)

    # Others like it

    def copy(self) -> Self:
        """A shallow copy: an `S3Dict` on the same file, with autosave off. It writes nothing until it is told to."""
        return self._twin(self._blocks.turns.step(self._memory.copy))

    __copy__ = copy

    if TYPE_CHECKING:  # `LazyDict` does it, and doesn't know of this class

        @overload
        def __or__(self, other: UserDict[K, V] | dict[K, V]) -> Self: ...
        @overload
        def __or__(self, other: UserDict[K2, V2] | dict[K2, V2]) -> S3Dict[K | K2, V | V2]: ...
        def __or__(self, other: Any) -> Any: ...

        @overload
        def __ror__(self, other: UserDict[K, V] | dict[K, V]) -> Self: ...
        @overload
        def __ror__(self, other: UserDict[K2, V2] | dict[K2, V2]) -> S3Dict[K | K2, V | V2]: ...  # type: ignore[misc]
        def __ror__(self, other: Any) -> Any: ...

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # Known before its values are copied: they may contain this dict
        twin = memo[id(self)] = self.__class__.__new__(self.__class__)
        self._furnish(twin, self._blocks.turns.step(self._memory.deepcopy, memo))
        twin.__dict__.update(deepcopy(self._own_attributes(twin), memo))
        return twin

    @overload  # type: ignore[override]
    def fromkeys(self, iterable: Iterable[K2], value: None = None) -> S3Dict[K2, Any | None]: ...
    @overload
    def fromkeys(self, iterable: Iterable[K2], value: V2) -> S3Dict[K2, V2]: ...
    def fromkeys(self, iterable: Iterable[Any], value: Any = None) -> S3Dict[Any, Any]:
        """A new one with this one's settings, on the same file, as if made with `data=dict.fromkeys(…)`."""
        settings = self._settings
        return type(self)(
            settings.bucket_name,
            settings.access_key_id,
            settings.access_secret_key,
            settings.file_name,
            self._store.autosave,
            data=dict.fromkeys(iterable, value),
            on_conflict=self._options.on_conflict,
            client=settings.client,
            put_options=settings.put_options,
            **settings.client_options,
        )

    def _twin(self, memory: Memory) -> Self:
        twin = self.__class__.__new__(self.__class__)
        self._furnish(twin, memory)
        twin.__dict__.update(self._own_attributes(twin))
        return twin

    def _own_attributes(self, twin: Self) -> dict[str, Any]:
        """What a subclass or a user has added."""
        return {name: value for name, value in self.__dict__.items() if name not in twin.__dict__}

    def _furnish(self, twin: Self, memory: Memory) -> None:
        twin._set_up(self._settings, memory, self._options)
        twin._store.unreadable = self._store.unreadable
        twin._ending.is_twin = True

    def __getstate__(self) -> dict[str, Any]:
        """Everything but client, lock and keys: what unpickles it finds credentials of its own."""
        state = {name: value for name, value in self.__dict__.items() if name not in _NOT_PICKLED}
        memory = self._blocks.turns.step(self._memory.__getstate__)
        return state | {"_memory": memory, "_store": (self._store.unreadable, self._store.autosave)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        unreadable, autosave = state.pop("_store")
        state["_memory"] = Memory.restored(state["_memory"])
        self._set_up(state["_settings"], state["_memory"], state["_options"])
        self._store.unreadable = unreadable
        self.__dict__.update(state)
        self._store.autosave = autosave
        self._ending.inherit()

    def __del__(self) -> None:
        if hasattr(self, "_ending"):  # not if the constructor failed
            self._ending.without_dict()

    def _check(self) -> None:
        """Assert the invariants of memory and blocks."""
        self._memory.check()
        self._blocks.check()


def _check_bool(name: str, value: object) -> None:
    if not isinstance(value, bool):
        kind = type(value).__name__  # not the value, which may be a key that took the wrong place
        raise ValueError(f"{name} must be True or False, not of type {kind}")  # noqa: TRY004  # as it always was
