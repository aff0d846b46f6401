"""`AsyncS3Dict`: the dict for asyncio. Methods that send requests are coroutines; the others work as in `S3Dict`."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from functools import partial
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, overload

from ._base import FileDict, check_call, dict_of
from ._leaving import Block, Kind
from ._loads import Fetched
from ._mapping import Data, Default, K, V
from ._memory import Memory
from ._not_loaded import NotLoaded
from ._s3.addresses import REQUIRED
from ._s3.file import MAX_SIZE
from ._s3.secrets import Secret
from ._s3.settings import Settings, put_options_of, with_profile
from ._store import OnConflict
from ._store import Options as StoreOptions
from ._task_runs import TaskRuns
from ._tasks import TaskTurns, in_thread, to_the_end
from ._turns import Turn
from .errors import ENTER_AGAIN

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from typing_extensions import Self, Unpack

    from ._format.codec import Spec
    from ._options import CommonOptions
    from ._s3.file import FileVersion

P = ParamSpec("P")
T = TypeVar("T")

_SMALL = 100_000
"""Largest file, in bytes, that is decoded in the event loop's thread: that takes less than a millisecond."""


class AsyncS3Dict(FileDict[K, V]):
    """An `S3Dict` for asyncio, whose requests never block the event loop.

    The constructor sends no request. Before you read the dict, load the file with `async with` or `load()`:

    >>> async def main():
    ...     async with AsyncS3Dict(bucket, file_name="state.json") as state:
    ...         state["runs"] = state.get("runs", 0) + 1
    ...         await asyncio.sleep(0)
    ...     return state["runs"]

    One task at a time can have a block open; others wait in order of arrival. You may await inside a block. If a task
    is cancelled while it waits, nothing has happened. If it is cancelled inside its block, the block is rolled back. If
    it is cancelled while the block is being saved, the cancellation continues after the save.

    Args:
        bucket_name: the bucket. It must exist.
        access_key_id: the AWS access key. Without it, boto3 looks for credentials as usual.
        access_secret_key: the secret key that belongs to it.
        file_name: the object's key, such as `"app/state.json"`. If it ends in `.gz`, the file is compressed.
        data (dict or pairs): the content to use instead of the file's, from the first load on.
        default (dict or pairs): the content to use while there is no file. It is copied, and isn't an unsaved change.
        on_conflict (str or function): as for `S3Dict`. A function is called in a worker thread.
        types (list or dict of classes): classes to store as themselves, as for `S3Dict`.
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
    """

    _first: dict[K, V] | None
    """The content that replaces the file's at the first load."""

    @overload
    def __init__(
        self,
        bucket_name: str,
        access_key_id: str | None = None,
        access_secret_key: str | None = None,
        *,
        file_name: str,
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
        if "autosave" in options:
            raise TypeError("AsyncS3Dict has no autosave. Edit in `async with d:` or `run()`.")
        settings = Settings(bucket_name, file_name, access_key_id, secret, client, options, put_options, max_size)
        self._open(settings, default, on_conflict, types, read_only=read_only, replaces=data is not None)
        self._first = None if data is None else dict_of("data", data)
        self._memory = NotLoaded(self.uri)

    def _set_up(self, settings: Settings, memory: Memory, options: StoreOptions) -> None:
        super()._set_up(settings, memory, options)
        self._turns = self._blocks.turns = TaskTurns(memory, self._store.rolled_back)
        self._content = memory
        self._first = None
        self._runs = TaskRuns(self._blocks, self._turns, self._store)

    @property
    def _is_loaded(self) -> bool:
        return self._memory is self._content

    def __repr__(self) -> str:
        return super().__repr__() if self._is_loaded else f"<{type(self).__name__} {self.uri}, not loaded yet>"

    # Loading, saving, deleting

    async def load(self, *, version_id: str | None = None) -> Self:
        """Replace the content of memory with that of the file, as `S3Dict.load` does. Returns the dict.

        Raises:
            CorruptFileError: the file isn't a JSON object in UTF-8. Memory is as before.
            StorageError: S3 refused, or wasn't reached. Memory is as before.
            TransactionError: inside a `transaction()`.
        """
        await self._in_turn("load()", partial(self._load, version_id))
        return self

    async def _load(self, version_id: str | None = None) -> None:
        if version_id is None or not self._is_loaded:
            replacing = self._first is not None
            await self._take_over(await in_thread(lambda: self._store.fetch(replacing=replacing)))
            self._memory = self._content
            if self._first is not None:
                self._turns.step(self._memory.replace, self._first)
                self._first = None
        if version_id is not None:
            await self._take_over(await in_thread(self._store.fetch_version, version_id))

    async def _refresh(self) -> None:
        """Load before a block, if necessary."""
        if not self._is_loaded:
            await self._load()
            return
        fetched = await in_thread(self._store.fetch_fresh)
        if fetched is not None:
            await self._take_over(fetched)

    async def _take_over(self, fetched: Fetched) -> None:
        if fetched.size <= _SMALL:
            fetched.take()
        else:
            (await to_the_end(fetched.take)).get()

    async def save(self) -> None:
        """Write the content of memory to S3, on condition that S3 still has the version that was loaded. One PUT.

        If the task is cancelled meanwhile, the cancellation continues after the save.

        Raises:
            ConflictError: someone else has written since. Nothing was overwritten, and memory is as before.
            UnknownOutcomeError: it isn't known whether the save took effect. The next save finds out.
            NotStorableError: a value can't be stored as JSON. Nothing was sent.
            ReadOnlyError: the dict was opened with `read_only=True`.
            StorageError: S3 refused, or wasn't reached. Memory is as before.
            TransactionError: inside a `transaction()`, or before the first load.
        """
        self._memory.raw(None)  # raises before the first load
        await self._in_turn("save()", partial(self._send, self._store.save))

    async def delete(self) -> None:
        """Delete the file, on condition that S3 still has the version that was loaded, and empty the dict.

        Raises:
            ConflictError: someone else has written since. Nothing was deleted.
            UnknownOutcomeError: it isn't known whether it was deleted. The data is kept.
            ReadOnlyError: the dict was opened with `read_only=True`.
            StorageError: S3 refused, or wasn't reached. The data is kept.
            TransactionError: inside a `transaction()`, or before the first load.
        """
        self._memory.raw(None)  # raises before the first load
        await self._in_turn("delete()", partial(self._send, self._store.delete))

    async def _send(self, action: Callable[[], None]) -> None:
        (await to_the_end(self._turns.requesting, action)).get()

    async def _in_turn(self, name: str, action: Callable[[], Awaitable[None]]) -> None:
        """Load, save or delete in the caller's turn, if the open blocks allow it. In a block, this is a checkpoint."""
        self._blocks.refuse_inside(name, allowed=(Kind.WITH,))
        if self._blocks.is_inside:
            await action()
            return
        turn = Turn()
        await self._turns.take_later(turn)
        try:
            await action()
        finally:
            self._turns.end(turn)

    async def versions(self) -> list[FileVersion]:
        """List the versions of the file that the bucket keeps, newest first. `load(version_id=…)` loads one."""
        return await in_thread(self._file.versions)

    # Blocks. `async with` calls these before it awaits what they give, so that its frame is known

    def __aenter__(self) -> Coroutine[Any, Any, Self]:
        return self._enter(Block(Kind.WITH, self, sys._getframe(1)))

    async def _enter(self, block: Block) -> Self:
        if not self._blocks.is_inside:
            await self._turns.take_later(block)
            try:
                await self._refresh()
            except BaseException:
                self._turns.end(block)
                raise
        self._blocks.enter(block)
        return self

    def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Coroutine[Any, Any, bool | None]:  # for type checkers, as in `S3Dict.__exit__`
        return self._leave(error, sys._getframe(1))

    async def _leave(self, error: BaseException | None, frame: FrameType) -> bool:
        block = Block(Kind.WITH, self, frame)
        if isinstance(error, GeneratorExit):  # the task was garbage-collected, so the block has no owner any more
            for dropped in [each for each in self._blocks.open if each.place == block.place]:
                self._turns.end(dropped)
            return False
        del frame
        if error is not None or len(self._blocks.open) != 1:
            return self._blocks.leave(block, error, _nothing)
        return (await to_the_end(self._blocks.leave, block, None, partial(self._store.save_changes, ENTER_AGAIN))).get()

    @overload
    async def run(self, function: Callable[[Self], Awaitable[T]], *, attempts: int = 10) -> T: ...
    @overload
    async def run(self, function: Callable[[Self], T], *, attempts: int = 10) -> T: ...
    @overload
    async def run(
        self, function: Callable[Concatenate[Self, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T: ...
    @overload
    async def run(self, function: Callable[Concatenate[Self, P], T], *args: P.args, **kwargs: P.kwargs) -> T: ...
    @overload
    async def run(
        self, function: Callable[..., Awaitable[T]], arg: Any, /, *args: Any, attempts: int = 10, **kwargs: Any
    ) -> T: ...
    @overload
    async def run(
        self, function: Callable[..., T], arg: Any, /, *args: Any, attempts: int = 10, **kwargs: Any
    ) -> T: ...
    async def run(  # type: ignore[misc]  # the function's own arguments may have any name
        self, function: Callable[..., Any], *args: Any, attempts: int = 10, **kwargs: Any
    ) -> Any:
        """Call a function in a block, and again on fresh data if someone else has written meanwhile.

        Calls from several tasks that wait at the same time share one load and one save. Each function runs in its
        caller's task, in its own transaction. If it raises, only its own changes are rolled back.

        Args:
            function: a plain or coroutine function, called with the dict and the other arguments, possibly several
                times. Its other side effects aren't rolled back. While it awaits, the other calls of its group wait.
            args: additional arguments for the function.
            kwargs: keyword arguments for the function.
            attempts: how often to call the function at most. The wait between attempts grows.

        Returns:
            The function's result; `None` if it raised `Rollback`.

        Raises:
            ConflictError: every attempt met a conflict; or the dict had unsaved changes before the call, which a fresh
                load would discard.
            TransactionError: called inside a block; or the function calls `save()`, `load()`, `delete()` or `run()`.
            ValueError: `attempts` isn't positive.
        """
        self._blocks.refuse_inside("run()")
        check_call(function, attempts)
        return await self._runs.run(self._refresh, partial(function, self, *args, **kwargs), attempts)

    def fromkeys(self, iterable: Iterable[Any], value: Any = None) -> AsyncS3Dict[Any, Any]:  # type: ignore[override]
        """Create a dict with the same settings and file, as if with `data=dict.fromkeys(…)`."""
        return type(self)(**self._arguments(dict.fromkeys(iterable, value)))


def _nothing() -> None:
    """The save at the end of an inner block: nothing."""
