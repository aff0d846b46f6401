"""A pause of the garbage collector, for steps that make many objects which all stay, or are gone at once."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_PYTHONS_OWN = 1000
"""More objects than Python has frozen by itself: 375 in 3.12. If there are more, the program has frozen them."""


@contextmanager
def collector_paused(*, for_good: bool = False) -> Iterator[None]:
    """Don't look for garbage in this block: the collector would find none, and take half as long again.

    Args:
        for_good: what the block makes stays as long as the process, such as modules. So the collector takes it for old.
            It takes everything else for old, too, garbage included: not for steps that are done again and again.
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
