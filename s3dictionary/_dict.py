"""`S3Dict`: a dict that lives in one JSON file on S3, edited in `with` blocks, with transactions that roll back."""

from __future__ import annotations

import inspect
import sys
from collections import UserDict
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, overload

from ._base import FileDict, check_bool
from ._leaving import Block, ExitMethod, Kind, block_to_enter
from ._mapping import Data, Default, K, V
from ._memory import Memory
from ._runs import Runs
from ._s3.file import MAX_SIZE
from ._s3.secrets import Hidden, Secret
from ._s3.settings import Settings
from ._store import OnConflict
from ._store import Options as StoreOptions

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from typing_extensions import Self, Unpack

    from ._format.codec import Spec
    from ._options import CommonOptions
    from ._s3.file import FileVersion

P = ParamSpec("P")
T = TypeVar("T")
K2 = TypeVar("K2")
V2 = TypeVar("V2")


class S3Dict(FileDict[K, V]):
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
        types: classes to store as themselves: dataclasses, Enums, named tuples, attrs classes, `msgspec.Struct` and
            pydantic 2 models. Any other comes with two functions, to something storable and back:
            `{Path: (str, Path)}`, or in a list `(Path, str, Path)`.
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

    # `file_name` is needed, by name or as the fourth argument. A list of pairs comes first: of any other
    # iterable, pyright takes "a" in [("a", 1)] for the only key there may be

    @overload
    def __init__(
        self,
        bucket_name: str,
        access_key_id: str | None = None,
        access_secret_key: str | None = None,
        *,
        file_name: str,
        autosave: bool = False,
        data: list[tuple[K, V]],
        default: Default[K] | None = None,
        **options: Unpack[CommonOptions],
    ) -> None: ...
    @overload
    def __init__(
        self,
        bucket_name: str,
        access_key_id: str | None,
        access_secret_key: str | None,
        file_name: str,
        autosave: bool = False,
        *,
        data: Data[K, V] | None = None,
        default: Default[K] | None = None,
        **options: Unpack[CommonOptions],
    ) -> None: ...
    @overload
    def __init__(
        self,
        bucket_name: str,
        access_key_id: str | None = None,
        access_secret_key: str | None = None,
        *,
        file_name: str,
        autosave: bool = False,
        data: Data[K, V] | None = None,
        default: Default[K] | None = None,
        **options: Unpack[CommonOptions],
    ) -> None: ...
    def __init__(
        self,
        bucket_name: str = "",
        access_key_id: str | None = None,
        access_secret_key: str | None = None,
        file_name: str = "",
        autosave: bool = False,
        *,
        data: Data[K, V] | None = None,
        default: Default[K] | None = None,
        on_conflict: OnConflict = "raise",
        types: Spec = (),
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
        check_bool("autosave", autosave)
        self._open(
            settings,
            default=default,
            on_conflict=on_conflict,
            types=types,
            read_only=read_only,
            writes=autosave or data is not None,
        )
        self._store.load(replacing=data is not None)
        if data is not None:
            self.data = dict(data)
        if autosave:
            if self.etag is None or self.changed:
                self.save()
            self._store.autosave = True

    def _set_up(self, settings: Settings, memory: Memory, options: StoreOptions) -> None:
        super()._set_up(settings, memory, options)
        self._runs = Runs(self._blocks, self._store)

    @property
    def autosave(self) -> bool:
        """Is every update saved at once? Setting it to `True` saves now, or at the end of the block that is open."""
        return self._store.autosave

    @autosave.setter
    def autosave(self, autosave: bool) -> None:
        check_bool("autosave", autosave)
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
        block = block_to_enter(Kind.WITH, self, sys._getframe(1), self._blocks.abandon)
        self._blocks.enter(block, self._store.refresh)
        return self

    if TYPE_CHECKING:

        def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
        ) -> bool | None: ...  # a plain bool would mean to type checkers that the code after a block is always reached
    else:
        __exit__ = ExitMethod(Kind.WITH)

    def _leave(self, block: Block, error: BaseException | None) -> bool:
        return self._blocks.leave(block, error, self._store.save_changes)

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

        Calls of several threads that wait at the same time share one load and one save. Each function is called by its
        own thread, in a transaction of its own: what one raises undoes what that one did, and nothing else.

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
            TransactionError: inside a block; and `save()`, `load()`, `delete()` and `run()` inside the function.
            TypeError: it is a coroutine function, which would run after the block.
            ValueError: `attempts` isn't positive.
        """
        self._blocks.refuse_inside("run()")
        if inspect.iscoroutinefunction(function):
            raise TypeError(
                "run() can't call a coroutine function, which would do its work after the block. Use AsyncS3Dict.run()."
            )
        if attempts < 1:
            raise ValueError(f"attempts must be positive, not {attempts}")
        return self._runs.run(partial(function, self, *args, **kwargs), attempts)  # type: ignore[no-any-return]

    def _update(self, step: Callable[..., T], *args: Any) -> T:
        if self._store.autosave and not self._blocks.is_inside:
            block = Block(Kind.TRANSACTION)
            return self._blocks.within(block, None, self._autosave_changes, partial(step, *args))
        return super()._update(step, *args)

    # Others like it

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

    @overload  # type: ignore[override]
    def fromkeys(self, iterable: Iterable[K2], value: None = None) -> S3Dict[K2, Any | None]: ...
    @overload
    def fromkeys(self, iterable: Iterable[K2], value: V2) -> S3Dict[K2, V2]: ...
    def fromkeys(self, iterable: Iterable[Any], value: Any = None) -> S3Dict[Any, Any]:
        """A new one with this one's settings, on the same file, as if made with `data=dict.fromkeys(…)`."""
        return type(self)(autosave=self._store.autosave, **self._arguments(dict.fromkeys(iterable, value)))
