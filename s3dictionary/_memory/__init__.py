"""Values that stay raw JSON until touched, and what it takes to roll them back. Knows neither S3 nor blocks."""

from .entries import MISSING as MISSING
from .entries import Awake as Awake
from .entries import Missing as Missing
from .holding import GIL as GIL
from .lock import MemoryLock as MemoryLock
from .memory import Memory as Memory
from .savepoint import Savepoint as Savepoint
