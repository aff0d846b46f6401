"""The lock of a dict's memory, which a signal handler's exception never leaves locked."""

from __future__ import annotations

import sys
import threading

if sys.version_info[:2] == (3, 14):
    _RLock = type(threading.RLock())

    class MemoryLock(_RLock):
        """An RLock whose `with` statement always calls `__exit__`.

        Python 3.14 runs signal handlers between the call of a built-in `__enter__` and the block, outside the reach of
        `__exit__` (python/cpython#148874). It doesn't after an operator or when a Python function returns.
        """

        __invert__ = _RLock.__enter__

        def __enter__(self) -> bool:
            return ~self

else:
    MemoryLock = threading.RLock
