"""What a message tells about its case, beyond what docs/errors.md lists."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from s3dictionary import AsyncS3Dict, ConflictError, ReadOnlyError, S3Dict, StorageError, errors
from s3dictionary._s3.settings import OWN_OPTIONS
from support.adversary.hooked_s3 import HookedS3
from support.servers import Site

D = S3Dict[Any, Any]


@pytest.fixture
def s3() -> HookedS3:
    return HookedS3()


# Arguments ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("filename", "file_name"),
        ("key", "file_name"),
        ("bucket", "bucket_name"),
        ("region", "region_name"),
        ("on_conflit", "on_conflict"),
        ("readonly", "read_only"),
        ("autosav", "autosave"),
        ("endpoint_ulr", "endpoint_url"),
    ],
)
def test_a_misspelt_option_is_named_before_the_one_that_it_leaves_empty(given: str, meant: str) -> None:
    """`filename=` leaves `file_name` empty, which isn't what the caller did wrong."""
    for make in S3Dict, AsyncS3Dict:
        with pytest.raises(TypeError, match=rf"unexpected keyword argument '{given}'. Did you mean {meant}\?$"):
            make(**{given: "x"})


def test_suggestions_are_made_for_every_option() -> None:
    """All names in the constructor's signature are known."""
    names = set(inspect.signature(S3Dict).parameters) - {"client_options"}
    assert set(OWN_OPTIONS) == names


def test_another_boto3_object_in_place_of_a_client_says_where_its_client_is() -> None:
    """A resource has one, and a session makes one."""
    session = boto3.Session(region_name="eu-west-1")
    for given, hint in (session, r'\.client\("s3"\)'), (session.resource("s3"), r"\.meta\.client"):
        with pytest.raises(TypeError, match=rf"client must be an S3 client, .* Pass its {hint}\.$"):
            S3Dict("bucket", file_name="key", client=given)


def test_a_misspelt_put_option_names_the_closest(moto_s3: Site) -> None:
    """botocore only lists all that exist."""
    d: D = S3Dict(
        moto_s3.bucket, file_name="state.json", client=moto_s3.client, put_options={"StorageClas": "STANDARD_IA"}
    )
    with pytest.raises(StorageError, match=r"Did you mean StorageClass\? Check put_options"):
        d.save()


def test_an_async_run_checks_its_function_as_well(s3: HookedS3) -> None:
    """The result of a call isn't a function."""
    d: AsyncS3Dict[str, int] = AsyncS3Dict("bucket", file_name="key", client=s3)
    with pytest.raises(TypeError, match="Pass the function itself"):
        asyncio.run(d.run(None))


@pytest.mark.parametrize("uri", [None, Path("s3://bucket/key")])
def test_an_address_that_is_not_a_str_is_refused(uri: Any) -> None:
    """A path has lost one of the slashes."""
    with pytest.raises(ValueError, match="an address must be a str"):
        S3Dict.from_uri(uri)


def test_help_shows_which_arguments_are_required() -> None:
    """The signature has a default for each argument, because `file_name` follows optional ones."""
    for shown in S3Dict, AsyncS3Dict:
        defaults = {name: repr(each.default) for name, each in inspect.signature(shown).parameters.items()}
        assert [name for name, default in defaults.items() if default == "<required>"] == ["bucket_name", "file_name"]


# What could not be saved ----------------------------------------------------------------------------------------------


def test_the_note_on_an_exception_says_what_unsaved_is_and_how_to_use_it(s3: HookedS3) -> None:
    """Writing it back as a whole would overwrite what others have saved."""
    d = s3.begin({"n": 1, "other": 1}, on_conflict=lambda *_: 1 / 0)
    s3.once("PutObject", rival(s3))
    with pytest.raises(ZeroDivisionError) as error, d:
        d["n"] = 3
    assert error.value.unsaved == {"n": 3, "other": 1}  # type: ignore[attr-defined]
    (note,) = getattr(error.value, "__notes__", [errors._NOTE])  # Python 3.10 has no notes
    for phrase in "`unsaved`", "including keys you didn't change", "Don't write it back with update()":
        assert phrase in note


# Conflicts ------------------------------------------------------------------------------------------------------------

ENTER_AGAIN = r"; nothing was overwritten\. The block was rolled back\. Enter it again, or use run\(\)\.$"
RUN_AGAIN = (
    r"; nothing was overwritten\. What run\(\) did was rolled back\. Call it again, or allow it more attempts\.$"
)
LOAD_AGAIN = r"load\(\) replaces what is in memory"
KEPT_BEFORE = r"The dict had unsaved changes before this block or call of run\(\)"


def edit(d: D) -> None:
    d["n"] = 1


def block(d: D) -> None:
    with d:
        d["n"] = 1


def transaction(d: D) -> None:
    with d.transaction():
        d["n"] = 1


def run(d: D) -> None:
    d.run(edit, attempts=1)


def rival(s3: HookedS3) -> Callable[[], None]:
    """Another writer, of the same key."""
    return lambda: s3.open(data={"n": 2}, on_conflict="overwrite").save()


@pytest.mark.parametrize(("way", "advice"), [(block, ENTER_AGAIN), (run, RUN_AGAIN)])
def test_a_conflict_of_a_block_alone_says_how_to_repeat_it(s3: HookedS3, way: Callable[[D], None], advice: str) -> None:
    """Entering a block loads, so nobody needs to call `load()`."""
    d = s3.begin({})
    s3.once("PutObject", rival(s3))
    with pytest.raises(ConflictError, match=advice):
        way(d)
    way(d)
    assert s3.stored() == {"n": 1}


@pytest.mark.parametrize("on_conflict", ["raise", "merge"])
@pytest.mark.parametrize("way", [block, run])
def test_a_conflict_says_if_the_dict_had_unsaved_changes_before(
    s3: HookedS3, way: Callable[[D], None], on_conflict: Any
) -> None:
    """Such a block doesn't load, so entering it again meets the same conflict."""
    d = s3.begin({"jobs": []}, on_conflict=on_conflict)
    d["jobs"].append(1)
    rival(s3)()
    for _ in range(2):
        with pytest.raises(ConflictError, match=KEPT_BEFORE):
            way(d)
    d.load()
    way(d)


def test_a_conflict_of_a_transaction_or_an_update_says_to_load(s3: HookedS3) -> None:
    """Neither of them loads when it begins."""
    d = s3.begin({}, autosave=True)
    rival(s3)()
    for way in edit, transaction:
        with pytest.raises(ConflictError, match=LOAD_AGAIN):
            way(d)


def test_a_conflict_of_an_async_block_says_how_to_repeat_it(s3: HookedS3) -> None:
    """The same holds for `async with`, and with unsaved changes before it."""
    d: AsyncS3Dict[str, int] = AsyncS3Dict("bucket", file_name="key", client=s3)

    async def enter() -> None:
        async with d:
            d["n"] = 1

    async def main() -> None:
        await d.load()
        s3.once("PutObject", rival(s3))
        with pytest.raises(ConflictError, match=ENTER_AGAIN):
            await enter()
        await d.load()
        d["before"] = 1
        rival(s3)()
        with pytest.raises(ConflictError, match=KEPT_BEFORE):
            await enter()

    asyncio.run(main())


def test_a_conflict_says_when_someone_else_has_written(moto_s3: Site) -> None:
    """The time is that of the other save, and has its zone."""
    moto_s3.write("state.json", b"{}")
    d = S3Dict(moto_s3.bucket, file_name="state.json", client=moto_s3.client)
    moto_s3.write("state.json", b'{"n": 2}')
    with pytest.raises(ConflictError, match=r"written by someone else at [-\d]{10} [:\d]{8} UTC, after it was loaded;"):
        d.save()


def test_a_conflict_says_if_no_file_was_loaded(s3: HookedS3) -> None:
    """The dict saw no file, so somebody has created it."""
    d = s3.open()
    rival(s3)()
    with pytest.raises(ConflictError, match=r"created by someone else .*after this dict had found no file;"):
        d.save()


# Read-only dicts ------------------------------------------------------------------------------------------------------


def edit_in_a_block(d: D) -> None:
    with d:
        d["list"].append(2)


@pytest.mark.parametrize(
    ("action", "done"),
    [
        (edit, "Nothing was done."),
        (edit_in_a_block, "The change was undone."),
        (lambda d: d.run(lambda d: d["list"].append(2)), "The change was undone."),
    ],
    ids=["an update", "a block", "run()"],
)
def test_a_read_only_dict_says_what_became_of_the_change(s3: HookedS3, action: Callable[[D], None], done: str) -> None:
    """An edit inside a value is noticed only at the end of the block, after it was made."""
    d = s3.begin({"list": [1]}, read_only=True)
    with pytest.raises(ReadOnlyError, match=done):
        action(d)
