"""The breakages that `mutations.py` tries: each one is something that the tests must notice."""

from __future__ import annotations

from typing import NamedTuple

OWNERS = ("tests/test_block_owners.py", "tests/test_block_tasks.py", "tests/test_scheduled_threads.py")
THREADS = ("tests/test_requests_under_way.py", "tests/test_threads_at_any_moment.py")
INTERRUPTS = ("tests/test_interrupts.py",)
EXITS = ("tests/test_exits.py",)


class Mutation(NamedTuple):
    """A textual replacement in a file of the package.

    Attributes:
        name: what is broken.
        file: its path in the package.
        old: what stands there, once.
        new: what is put in its place.
        tests: those of which one must fail.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTATIONS: list[Mutation] = []
