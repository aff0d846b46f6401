"""A pause of the garbage collector, for steps that make many objects which all stay."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_PYTHONS_OWN = 1000
"""More objects than Python has frozen by itself: 375 in 3.12. If there are more, the program has frozen them."""


@contextmanager
def collector_paused() -> Iterator[None]:
    """Don't look for garbage in this block.

    Importing botocore, the collector would look through all modules several times, for a sixth of the whole time, and
    find nothing. Freezing what there is, and letting go of it again, has it take that for old.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        if gc.get_freeze_count() < _PYTHONS_OWN:
            gc.freeze()
            gc.unfreeze()
        gc.enable()
