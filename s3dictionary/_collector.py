"""Pauses the garbage collector during steps whose many objects all stay, or are freed at once."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_PYTHONS_OWN = 1000
"""More objects than Python itself freezes (375 in 3.12). If more are frozen, the program has frozen them."""


@contextmanager
def collector_paused(*, for_good: bool = False) -> Iterator[None]:
    """Disable garbage collection in this block, where it would find nothing and add half of the time.

    Args:
        for_good: whether the block's objects, such as modules, stay as long as the process. They are then moved to the
            oldest generation. So is everything else, including garbage, so don't use this for repeated steps.
    """
    if not gc.isenabled():
        yield
        return
    try:
        gc.disable()
        yield
    finally:
        if for_good and gc.get_freeze_count() < _PYTHONS_OWN:
            gc.freeze()
            gc.unfreeze()
        gc.enable()
