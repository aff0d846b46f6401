"""The public names, and the cost of importing them."""

from __future__ import annotations

import importlib.resources
import inspect
import subprocess
import sys
from importlib import metadata
from types import ModuleType

import pytest

import s3dictionary
from s3dictionary import S3Dict

NAMES = {
    "MISSING",
    "AccessDeniedError",
    "AsyncS3Dict",
    "BucketNotFoundError",
    "ConflictError",
    "CorruptFileError",
    "FileVersion",
    "LeaseHeldError",
    "LeaseLostError",
    "NotStorableError",
    "ReadOnlyError",
    "Rollback",
    "S3Dict",
    "S3DictError",
    "StorageError",
    "TransactionError",
    "UnknownOutcomeError",
    "UnsavedChangesWarning",
    "__version__",
}


def test_the_public_names() -> None:
    assert set(s3dictionary.__all__) == NAMES
    assert len(s3dictionary.__all__) == len(NAMES)


def test_all_is_just_what_is_exported() -> None:
    for name in s3dictionary.__all__:
        assert getattr(s3dictionary, name) is not None
    exported = {name for name in dir(s3dictionary) if not isinstance(getattr(s3dictionary, name), ModuleType)}
    assert {name for name in exported if not name.startswith("_")} | {"__version__"} == set(s3dictionary.__all__)


def test_a_star_import_gives_them_all() -> None:
    names: dict[str, object] = {}
    exec("from s3dictionary import *", names)
    assert names.keys() - {"__builtins__"} == NAMES


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        s3dictionary.nothing  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(ImportError):
        from s3dictionary import nothing  # type: ignore[attr-defined]  # noqa: F401


def test_the_version_is_that_of_the_package() -> None:
    assert s3dictionary.__version__ == metadata.version("S3Dictionary")


def test_the_type_information_ships() -> None:
    assert importlib.resources.files("s3dictionary").joinpath("py.typed").is_file()


def test_every_public_name_says_what_it_is() -> None:
    for name in NAMES - {"__version__", "MISSING"}:
        assert inspect.getdoc(getattr(s3dictionary, name))


@pytest.mark.parametrize(
    "name", [name for name, _ in inspect.getmembers(S3Dict, inspect.isfunction) if not name.startswith("_")]
)
def test_every_public_method_of_its_own_says_what_it_does(name: str) -> None:
    assert inspect.getdoc(getattr(S3Dict, name))  # that of a dict's methods may be inherited


# S3Dict


def test_the_arguments_of_the_constructor() -> None:
    parameters = inspect.signature(S3Dict).parameters
    positional = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    by_name = [p.name for p in parameters.values() if p.kind is p.KEYWORD_ONLY]
    others = [p.name for p in parameters.values() if p.kind not in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    assert positional == ["bucket_name", "access_key_id", "access_secret_key", "file_name", "autosave"]
    assert by_name == [
        *("data", "default", "on_conflict", "types", "read_only", "max_size"),
        *("client", "profile_name", "put_options"),
    ]
    assert others == ["client_options"]
    defaults = {name: p.default for name, p in parameters.items() if p.default is not p.empty}
    assert defaults.pop("on_conflict") == "raise"
    assert defaults.pop("autosave") is False
    assert defaults.pop("max_size") == 2**30
    assert not any(defaults.values())


@pytest.mark.parametrize(
    "name", ["bucket_name", "access_key_id", "access_secret_key", "file_name", "uri", "etag", "changed"]
)
def test_what_can_only_be_read(name: str) -> None:
    attribute = getattr(S3Dict, name)
    assert isinstance(attribute, property)
    assert attribute.fset is None


@pytest.mark.parametrize("name", ["autosave", "data"])
def test_what_can_be_set(name: str) -> None:
    assert getattr(S3Dict, name).fset is not None


@pytest.mark.parametrize(
    "name", ["from_uri", "load", "save", "delete", "transaction", "run", "versions", "copy", "fromkeys"]
)
def test_the_methods(name: str) -> None:
    assert callable(getattr(S3Dict, name))


# Errors


def test_the_tree_of_errors() -> None:
    from s3dictionary import (
        AccessDeniedError,
        BucketNotFoundError,
        ConflictError,
        CorruptFileError,
        NotStorableError,
        Rollback,
        S3DictError,
        StorageError,
        TransactionError,
    )

    assert S3DictError.__bases__ == (Exception,)
    assert StorageError.__bases__ == (S3DictError,)
    assert BucketNotFoundError.__bases__ == AccessDeniedError.__bases__ == ConflictError.__bases__ == (StorageError,)
    assert CorruptFileError.__bases__ == (S3DictError, ValueError)
    assert NotStorableError.__bases__ == (S3DictError, TypeError)
    assert TransactionError.__bases__ == (S3DictError, RuntimeError)
    assert Rollback.__bases__ == (Exception,)


def test_what_an_error_carries() -> None:
    error = s3dictionary.ConflictError("message", uri="s3://b/k", operation="PutObject", code="c", status=412)
    assert (error.uri, error.operation, error.code, error.status) == ("s3://b/k", "PutObject", "c", 412)
    assert (error.keys, error.etag, error.last_modified, error.unsaved) == ((), None, None, None)
    assert s3dictionary.NotStorableError("message", path="d['a']").path == "d['a']"


def test_missing_says_its_name() -> None:
    assert repr(s3dictionary.MISSING) == "MISSING"


# What an import costs


@pytest.mark.parametrize("module", ["boto3", "botocore", "s3transfer", "urllib3", "importlib.metadata"])
def test_the_import_does_not_import(module: str) -> None:
    script = f"import sys, s3dictionary; s3dictionary.S3Dict; sys.exit({module!r} in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_package_alone_imports_next_to_nothing() -> None:
    script = (
        "import sys, s3dictionary; sys.exit(any(name.startswith(('s3dictionary.', 'msgspec')) for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_import_makes_no_output_and_sets_up_no_logging() -> None:
    script = "import logging, s3dictionary; assert not logging.root.handlers; print(end='')"
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")
