"""Pauses the garbage collector during steps that create many long-lived objects."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_PYTHONS_OWN = 1000
"""More objects than Python itself freezes (375 in 3.12). If more are frozen, the program has frozen them."""


@contextmanager
def collector_paused() -> Iterator[None]:
    """Disable garbage collection in this block.

    During the import of botocore, the collector would scan all modules several times, which takes a sixth of the total
    time, and find nothing. Freezing and unfreezing the objects afterwards moves them to the oldest generation.
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
