"""S3Dictionary: a dict that lives in one JSON file on S3, edited in `with` blocks, with transactions that roll back."""

from .errors import AccessDeniedError as AccessDeniedError
from .errors import BucketNotFoundError as BucketNotFoundError
from .errors import ConflictError as ConflictError
from .errors import CorruptFileError as CorruptFileError
from .errors import NotStorableError as NotStorableError
from .errors import Rollback as Rollback
from .errors import S3DictError as S3DictError
from .errors import StorageError as StorageError
from .errors import TransactionError as TransactionError
from .s3dict import S3Dict as S3Dict
from .values import MISSING as MISSING

__all__ = [
    "MISSING",
    "AccessDeniedError",
    "BucketNotFoundError",
    "ConflictError",
    "CorruptFileError",
    "NotStorableError",
    "Rollback",
    "S3Dict",
    "S3DictError",
    "StorageError",
    "TransactionError",
    "__version__",
]


def __getattr__(name: str) -> str:
    if name == "__version__":  # looked up only when asked for: it would be most of the time that the import takes
        from importlib.metadata import version

        return version("S3Dictionary")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
