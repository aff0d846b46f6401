"""`S3Dict`: a dict that lives in one JSON file on S3, edited in `with` blocks, with transactions that roll back."""

from __future__ import annotations

import inspect
import sys
from collections import UserDict
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, overload

from ._base import FileDict, check_bool, check_call, dict_of
from ._leaving import Block, ExitMethod, Kind, block_to_enter
from ._mapping import Data, Default, K, V
from ._memory import Memory
from ._runs import Runs
from ._s3.addresses import REQUIRED
from ._s3.file import MAX_SIZE
from ._s3.secrets import Secret
from ._s3.settings import Settings, put_options_of, with_profile
from ._store import OnConflict
from ._store import Options as StoreOptions
from .errors import ENTER_AGAIN

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

    The constructor loads the file into memory. `save()` writes it back, on condition that nobody else has written
    since. It is better to edit in a block, which loads when it begins, saves when it ends, and rolls back if an
    exception leaves it:

    >>> with S3Dict(bucket, file_name="state.json") as state:
    ...     state["runs"] = state.get("runs", 0) + 1
    ...     with state.transaction():  # can be rolled back alone
    ...         state.setdefault("log", []).append("started")

    Args:
        bucket_name: the bucket. It must exist.
        access_key_id: the AWS access key. Without it, boto3 looks for credentials as usual.
        access_secret_key: the secret key that belongs to it.
        file_name: the object's key, such as `"app/state.json"`. If it ends in `.gz`, the file is compressed.
        autosave: whether to save every update at once. Wrap nested edits in `transaction()`.
        data (dict or pairs): the content to use instead of the file's.
        default (dict or pairs): the content to use while there is no file. It is copied, and isn't an unsaved change.
        on_conflict (str or function): what a save does if someone else has written since the load: `"raise"` a
            `ConflictError`, `"overwrite"` the file, or `"merge"` key by key, which raises only if both sides changed
            the same key to different values. A function `resolve(key, base, ours, theirs)` is called for each key that
            both sides changed, even to the same value, and returns the value to store. `MISSING` stands for a missing
            key.
        types (list or dict of classes): classes to store as themselves: dataclasses, Enums, named tuples, attrs
            classes, `msgspec.Struct` and pydantic 2 models. For other classes, pass two functions that convert to
            something storable and back: `{Path: (str, Path)}`, or in a list `(Path, str, Path)`.
        read_only: whether updates and saves raise a `ReadOnlyError`. Needs no permission to write.
        max_size: the most bytes that the file may have, stored or uncompressed. A larger file is refused before it is
            read into memory.
        client: a boto3 S3 client to use instead of keys and options.
        profile_name: the profile in `~/.aws/config` that has the credentials and settings.
        put_options: additional arguments for every PutObject, such as `{"ServerSideEncryption": "aws:kms"}`.
        client_options: additional arguments for `boto3.client("s3", …)`, such as `endpoint_url` or `region_name`.

    Raises:
        ValueError: an argument is missing, invalid, or can't be combined with another.
        TypeError: an argument has an unknown name, or the wrong type.
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
        bucket_name: str = REQUIRED,
        access_key_id: str | None = None,
        access_secret_key: str | None = None,
        file_name: str = REQUIRED,
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
        secret, access_secret_key = Secret(access_secret_key), None  # a traceback can show what the variables hold
        options = with_profile(client_options, profile_name)
        client_options.clear()
        put_options = put_options_of(put_options)
        settings = Settings(bucket_name, file_name, access_key_id, secret, client, options, put_options, max_size)
        replaces = data is not None
        self._open(settings, default, on_conflict, types, read_only=read_only, autosave=autosave, replaces=replaces)
        content = None if data is None else dict_of("data", data)
        self._store.load(replacing=replaces)
        if content is not None:
            self.data = content
        if autosave:
            if self.etag is None or self.changed:
                self.save()
            self._store.autosave = True

    def _set_up(self, settings: Settings, memory: Memory, options: StoreOptions) -> None:
        super()._set_up(settings, memory, options)
        self._runs = Runs(self._blocks, self._store)

    @property
    def autosave(self) -> bool:
        """Whether every update is saved at once. Setting it to `True` saves now, or at the end of the open block."""
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
        """Replace the content of memory with that of the file. Unsaved changes are lost.

        Values that equal those in the file stay the same objects. Sends one GET; the answer has no body if nothing
        changed.

        Args:
            version_id: an old version from `versions()`, to load as an unsaved change. `save()` then restores it.

        Returns:
            The dict, so that `d.load()["key"]` is the current value.

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
        """Write the content of memory to S3, on condition that S3 still has the version that was loaded. One PUT.

        Inside `with d:`, this is a checkpoint: the saved changes stay, even if the block fails later.

        Raises:
            ConflictError: someone else has written since. Nothing was overwritten, and memory is as before.
            UnknownOutcomeError: it isn't known whether the save took effect. The next save finds out.
            NotStorableError: a value can't be stored as JSON. Nothing was sent.
            ReadOnlyError: the dict was opened with `read_only=True`.
            StorageError: S3 refused, or wasn't reached. Memory is as before.
            TransactionError: inside a `transaction()`.
        """
        self._request("save()", self._store.save)

    def delete(self) -> None:
        """Delete the file, on condition that S3 still has the version that was loaded, and empty the dict.

        One DELETE. With `on_conflict="overwrite"`, any version is deleted.

        Raises:
            ReadOnlyError: the dict was opened with `read_only=True`.
            ConflictError: someone else has written since. Nothing was deleted.
            UnknownOutcomeError: it isn't known whether the file was deleted. The data is kept.
            StorageError: S3 refused, or wasn't reached. The data is kept.
            TransactionError: inside a `transaction()`.
        """
        self._request("delete()", self._store.delete)

    def _request(self, name: str, action: Callable[..., None], *args: Any) -> None:
        """Load, save or delete, if the open blocks allow it. In a `with` block, this is a checkpoint."""

        def act() -> None:
            self._blocks.refuse_inside(name, allowed=(Kind.WITH,))
            action(*args)

        self._blocks.turns.exclusively(act)

    def versions(self) -> list[FileVersion]:
        """List the versions of the file that the bucket keeps, newest first. `load(version_id=…)` loads one.

        Without versioning on the bucket, the list has the current version only. Needs `s3:ListBucketVersions`.

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
        ) -> bool | None: ...  # with a plain bool, type checkers would take the code after a block as always reached
    else:
        __exit__ = ExitMethod(Kind.WITH)

    def _leave(self, block: Block, error: BaseException | None) -> bool:
        return self._blocks.leave(block, error, partial(self._store.save_changes, ENTER_AGAIN))

    @overload
    def run(self, function: Callable[[Self], T], *, attempts: int = 10) -> T: ...
    @overload
    def run(self, function: Callable[Concatenate[Self, P], T], *args: P.args, **kwargs: P.kwargs) -> T: ...
    @overload
    def run(self, function: Callable[..., T], arg: Any, /, *args: Any, attempts: int = 10, **kwargs: Any) -> T: ...
    def run(  # type: ignore[misc]  # the function's own arguments may have any name
        self, function: Callable[..., T], *args: Any, attempts: int = 10, **kwargs: Any
    ) -> T:
        """Call a function in a `with` block, and again on fresh data if someone else has written meanwhile.

        Calls from several threads that wait at the same time share one load and one save. Each function runs in its
        caller's thread, in its own transaction. If it raises, only its own changes are rolled back.

        >>> def count(state):
        ...     state["runs"] = state.get("runs", 0) + 1
        ...     return state["runs"]
        >>> state.run(count)
        1

        Args:
            function: called with the dict and the other arguments, possibly several times. It should have no other side
                effects, because these aren't rolled back.
            args: additional arguments for the function.
            kwargs: keyword arguments for the function.
            attempts: how often to call the function at most. The wait between attempts grows.

        Returns:
            The function's result; `None` if it raised `Rollback`.

        Raises:
            ConflictError: every attempt met a conflict; or the dict had unsaved changes before the call, which a fresh
                load would discard.
            TransactionError: called inside a block; or the function calls `save()`, `load()`, `delete()` or `run()`.
            TypeError: the function is a coroutine function, which would run after the block.
            ValueError: `attempts` isn't positive.
        """
        self._blocks.refuse_inside("run()")
        check_call(function, attempts)
        if inspect.iscoroutinefunction(function):
            raise TypeError(
                "run() can't call a coroutine function, which would do its work after the block. Use AsyncS3Dict.run()."
            )
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError("run() can't call a generator function, which would do its work after the block.")
        return self._runs.run(partial(function, self, *args, **kwargs), attempts)  # type: ignore[no-any-return]

    def _update(self, step: Callable[..., T], *args: Any) -> T:
        if self._store.autosave and not self._blocks.is_inside:
            block = Block(Kind.TRANSACTION)
            return self._blocks.within(block, None, self._autosave_changes, partial(step, *args))
        return super()._update(step, *args)

    # Other dicts

    if TYPE_CHECKING:  # implemented by `LazyDict`, which doesn't know this class

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
        """Create a dict with the same settings and file, as if with `data=dict.fromkeys(…)`."""
        return type(self)(autosave=self._store.autosave, **self._arguments(dict.fromkeys(iterable, value)))
