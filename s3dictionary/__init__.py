"""S3Dictionary: a dict that lives in one JSON file on S3, edited in `with` blocks, with transactions that roll back."""

import importlib
import typing

if typing.TYPE_CHECKING:
    from ._async import AsyncS3Dict as AsyncS3Dict
    from ._dict import S3Dict as S3Dict
    from ._memory import MISSING as MISSING
    from ._s3.version import FileVersion as FileVersion
    from .errors import AccessDeniedError as AccessDeniedError
    from .errors import BucketNotFoundError as BucketNotFoundError
    from .errors import ConflictError as ConflictError
    from .errors import CorruptFileError as CorruptFileError
    from .errors import LeaseHeldError as LeaseHeldError
    from .errors import LeaseLostError as LeaseLostError
    from .errors import NotStorableError as NotStorableError
    from .errors import ReadOnlyError as ReadOnlyError
    from .errors import Rollback as Rollback
    from .errors import S3DictError as S3DictError
    from .errors import StorageError as StorageError
    from .errors import TransactionError as TransactionError
    from .errors import UnknownOutcomeError as UnknownOutcomeError
    from .errors import UnsavedChangesWarning as UnsavedChangesWarning

    __version__: str

__all__ = [
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
]

_HOMES = {"S3Dict": "_dict", "AsyncS3Dict": "_async", "MISSING": "_memory", "FileVersion": "_s3.version"}


def _get(name: str) -> typing.Any:
    """Import a name on its first use, so that code that doesn't need the dict, such as `--help`, starts faster."""
    if name == "__version__":
        from importlib.metadata import version

        return version("S3Dictionary")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._collector import collector_paused

    home = _HOMES.get(name, "errors")
    with collector_paused(for_good=True):
        module = importlib.import_module(f".{home}", __name__)
    return globals().setdefault(name, getattr(module, name))


if not typing.TYPE_CHECKING:  # a type checker would let any name pass
    __getattr__ = _get


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
