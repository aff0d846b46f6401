"""The common base of the dicts: their properties and display, transactions in memory, copies and pickles.

Sends no requests: the derived classes decide when to load and save.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from ._blocks import Blocks, Transaction
from ._exits import Ending
from ._format import codec
from ._format.types import ATOMS
from ._mapping import Default, K, LazyDict, V
from ._memory import GIL, Awake, Memory
from ._s3 import addresses
from ._s3.settings import Settings
from ._store import OnConflict, Options, Store

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from ._lease import Lease
    from ._options import AllOptions

T = TypeVar("T")

_STRATEGIES = ("raise", "overwrite", "merge")
_NOT_PICKLED = frozenset({"_file", "_store", "_blocks", "_ending", "_runs", "_turns", "_content"})


class FileDict(LazyDict[K, V]):
    """A dict over one file on S3."""

    _runs: Any
    """Calls the functions of `run`. Each derived class has its own."""

    if TYPE_CHECKING:  # each class has its own

        def __init__(self, *args: Any, **options: Any) -> None: ...

    def _open(
        self,
        settings: Settings,
        default: Default[K] | None,
        on_conflict: OnConflict,
        types: codec.Spec,
        *,
        read_only: bool,
        autosave: bool = False,
        replaces: bool,
    ) -> None:
        """Check the constructor's arguments and set up the dict.

        Args:
            settings: the file, and how to reach it.
            default: the content to use while there is no file.
            on_conflict: what a save does if someone else has written.
            types: classes to store as themselves.
            read_only: whether writing is forbidden.
            autosave: whether each update is saved.
            replaces: whether `data` replaces the file's content.
        """
        self._memory = Memory()  # so that the dict can be shown from here on
        settings.check()
        check_bool("autosave", autosave)
        check_bool("read_only", read_only)
        if read_only and (autosave or replaces):
            raise ValueError("read_only=True can't be combined with autosave or data, because these save")
        if on_conflict not in _STRATEGIES and not callable(on_conflict):
            raise ValueError(
                f"on_conflict must be a function or one of {', '.join(map(repr, _STRATEGIES))}, not {on_conflict!r}"
            )
        content = None if default is None else deepcopy(dict_of("default", default))
        options = Options(on_conflict, content, read_only, codec.items_of(types))
        self._set_up(settings, self._memory, options)

    def _set_up(self, settings: Settings, memory: Memory, options: Options) -> None:
        self._settings = settings
        self._options = options
        self._file = settings.file()
        self._memory = memory
        memory.types = codec.types_of(options.types, self._file.uri)
        self._store = Store(self._file, memory, options)
        self._blocks = Blocks(memory, self._store.rolled_back)
        self._ending = Ending(self._store, memory, self._blocks)

    @classmethod
    def from_uri(cls, uri: str, **options: Unpack[AllOptions]) -> Self:
        """Create a dict from an address such as `s3://bucket/path/state.json`, with the options of the constructor.

        In place of the bucket's name, the address can have the ARN of an access point, as for the AWS CLI.

        Raises:
            ValueError: the address is invalid.
        """
        bucket, key, problem = addresses.split(uri)
        if problem:
            uri = ""  # a traceback can show what a function's variables hold
            raise ValueError(problem)
        if not bucket or not key:
            raise ValueError(f"{uri!r} isn't an address of the form s3://bucket/key")
        return cls(bucket, file_name=key, **options)

    # Properties

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
        """The ETag of the version that was loaded or saved last, as S3 returned it; `None` while there is no file.

        If the answer to a save was lost, and others have saved since, it isn't known. Then this begins with
        `"superseded-`, which is no version's ETag.
        """
        version = self._store.version
        return None if version is None else version.etag

    @property
    def changed(self) -> bool:
        """Whether there are unsaved changes, including nested edits. Sends no request."""
        return self._store.changed

    def _repr_html_(self) -> str:
        """The display in notebooks. It decodes only the values that it shows."""
        from . import notebook

        version = self._store.version
        modified = None if version is None else version.last_modified
        return notebook.html(
            self.uri,
            self.etag,
            modified,
            self.changed,
            len(self),
            self._memory.first(notebook.ROWS),
            self._memory.types,
        )

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """The text display in IPython, which also goes into a notebook's file. `print` shows everything."""
        from . import notebook

        printer.text(notebook.text(len(self), self._memory.first(notebook.ROWS), self._memory.types))

    def transaction(self) -> Transaction[Self]:
        """Open a block in memory, with `with` or as a decorator. An exception rolls it back and propagates.

        Transactions nest to any depth; `with` returns the dict. A rollback is exact and in place: a list that was taken
        out of the dict is restored itself, and is still the one in the dict. `raise Rollback` rolls back without
        propagating. With `autosave`, the outermost transaction saves at its end if anything changed; if that fails, it
        is rolled back.

        >>> with state.transaction():
        ...     state["runs"] += 1
        """
        prepare = self._store.undo_read_only if self._options.read_only else None
        return Transaction(self, self._blocks, prepare, self._autosave_changes)

    def lease(self, name: str, *, seconds: float = 300) -> Lease:
        """A lock with one holder among all machines, for `with` and `async with`. Without them, nothing is taken.

        The lease is stored in an object beside the file, `<file_name>.<name>.lease`, which isn't deleted. The lease is
        renewed while it is held, and expires if its holder is killed. It doesn't prevent others from using the dict.

        >>> with state.lease("nightly", seconds=300) as lease:
        ...     print(lease.held)
        True

        Args:
            name: the name of the lease, the same for all programs that compete for it.
            seconds: how long after the last renewal the lease expires, from 2 to 604800 (a week). It is renewed
                three times within that time.

        Raises:
            LeaseHeldError: on entering, if somebody else holds it. The error has the holder and the time of expiry.
            LeaseLostError: on leaving, if it could not be renewed in time or its object was deleted, so that somebody
                else may have taken it.
            StorageError: S3 refused, or wasn't reached.
            ReadOnlyError: the dict was opened with `read_only=True`.
            ValueError: the name or the seconds are invalid.
        """
        from ._lease import Lease, check

        if self._options.read_only:
            self._store.refuse_read_only()
        key = f"{self.file_name}.{name}.lease"
        check(name, seconds, key)
        return Lease(replace(self._settings, file_name=key).file(), name, seconds)

    if not TYPE_CHECKING:  # each class overrides one pair; type checkers report the use of the other
        __exit__ = __aexit__ = None

        def __enter__(self):
            raise TypeError("AsyncS3Dict has no `with` blocks. Use `async with d:`.")

        def __aenter__(self):
            raise TypeError("S3Dict has no `async with` blocks. Use `with d:`, or AsyncS3Dict.")

    def __setitem__(self, key: K, value: V) -> None:
        if GIL and type(key) is str and type(value) in ATOMS:
            # A lock would cost more than all the rest. From the look-up to the assignment nothing is called, so with
            # the GIL neither another thread nor a signal gets in between
            memory, turns, store = self._memory, self._blocks.turns, self._store
            try:
                entry = memory.readable[key]
                if entry.__class__ is Awake and turns.current is None and store.is_plain:
                    entry.value = value
                    return
            except KeyError:
                pass
        self._update(self._memory.put, key, value)

    def _update(self, step: Callable[..., T], *args: Any) -> T:
        if self._options.read_only:
            self._store.refuse_read_only()
        return self._blocks.turns.step(step, *args)

    def _autosave_changes(self) -> None:
        """Save at the end of an outermost transaction, with autosave."""
        if self._store.autosave or self._options.read_only:
            self._store.save_changes()

    # Other dicts

    def copy(self) -> Self:
        """A shallow copy on the same file, with autosave off. It is written only when you save it."""
        return self._twin(self._blocks.turns.step(self._memory.copy))

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # Known before its values are copied: they may contain this dict
        twin = memo[id(self)] = self.__class__.__new__(self.__class__)
        self._furnish(twin, self._blocks.turns.step(self._memory.deepcopy, memo))
        twin.__dict__.update(deepcopy(self._own_attributes(twin), memo))
        return twin

    def _arguments(self, data: Mapping[Any, Any]) -> dict[str, Any]:
        """The constructor's arguments for a dict with the same settings and other data."""
        settings = self._settings
        return {
            "bucket_name": settings.bucket_name,
            "access_key_id": settings.access_key_id,
            "access_secret_key": settings.access_secret_key,
            "file_name": settings.file_name,
            "data": data,
            "on_conflict": self._options.on_conflict,
            "types": self._options.types,
            "client": settings.client,
            "put_options": settings.put_options,
            **settings.client_options,
        }

    def _twin(self, memory: Memory) -> Self:
        twin = self.__class__.__new__(self.__class__)
        self._furnish(twin, memory)
        twin.__dict__.update(self._own_attributes(twin))
        return twin

    def _own_attributes(self, twin: Self) -> dict[str, Any]:
        """Attributes that a subclass or a user has added."""
        return {name: value for name, value in self.__dict__.items() if name not in twin.__dict__}

    def _furnish(self, twin: Self, memory: Memory) -> None:
        twin._set_up(self._settings, memory, self._options)
        twin._store.unreadable, twin._store.late = self._store.unreadable, self._store.late
        twin._file.inherit(self._file.unknown)
        twin._ending.is_twin = True

    def __getstate__(self) -> dict[str, Any]:
        """Everything except client, lock and credentials. The unpickling process finds its own credentials."""
        state = {name: value for name, value in self.__dict__.items() if name not in _NOT_PICKLED}
        memory = self._blocks.turns.step(self._memory.__getstate__)
        store = (self._store.unreadable, self._store.autosave, self._store.late)
        return state | {"_memory": memory, "_store": store, "_file": self._file.unknown}

    def __setstate__(self, state: dict[str, Any]) -> None:
        unreadable, autosave, late = (*state.pop("_store"), [])[:3]  # an older pickle has no late keys
        unknown = state.pop("_file", None)
        state["_memory"] = Memory.restored(state["_memory"])
        self._set_up(state["_settings"], state["_memory"], state["_options"])
        self._store.unreadable, self._store.late = unreadable, late
        self._file.inherit(unknown)
        self.__dict__.update(state)
        self._store.autosave = autosave
        self._ending.inherit()

    def __del__(self) -> None:
        if hasattr(self, "_ending"):  # not if the constructor failed
            self._ending.without_dict()

    def _check(self) -> None:
        """Assert the invariants of memory, blocks and groups."""
        self._memory.check()
        self._blocks.check()
        self._runs.check()


def dict_of(name: str, content: Any) -> dict[Any, Any]:
    """A copy of the argument `data` or `default` as a dict."""
    try:
        if isinstance(content, (str, bytes)):  # an empty one would become an empty dict
            raise TypeError
        return dict(content)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f'{name} must be a dict or (key, value) pairs, as in {name}={{"runs": 0}}, not {reprlib.repr(content)}'
        ) from error


def check_call(function: object, attempts: Any) -> None:
    """Check the arguments of `run`."""
    if not callable(function):
        raise TypeError(
            f"run() must be given a function, not {reprlib.repr(function)}. Pass the function itself and its "
            "arguments, not the result of a call: d.run(f, 1), not d.run(f(d, 1))."
        )
    if not isinstance(attempts, (int, float)) or attempts < 1:
        raise ValueError(f"attempts must be positive, not {attempts!r}")


def check_bool(name: str, value: object) -> None:
    if not isinstance(value, bool):
        kind = type(value).__name__  # not the value, which may be a key that took the wrong place
        raise ValueError(f"{name} must be True or False, not of type {kind}")  # noqa: TRY004  # as it always was
