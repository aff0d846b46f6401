"""A dict's items in memory: raw JSON until touched, with savepoints for rollback. Doesn't know about S3 or blocks."""

from .entries import MISSING as MISSING
from .entries import Awake as Awake
from .entries import Missing as Missing
from .lock import MemoryLock as MemoryLock
from .memory import Memory as Memory
from .refcounts import GIL as GIL
from .savepoint import Savepoint as Savepoint
from .savepoint import SavepointState as SavepointState
