"""The members of a group by themselves: who joins which group, and what the remaining ones are told."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from s3dictionary import ConflictError, UnknownOutcomeError
from s3dictionary._groups import Group, Groups
from s3dictionary._runs import _ThreadMember as Member
from support.adversary.crowd import Blocker, queue_up
from support.adversary.hooked_s3 import HookedS3


@pytest.fixture
def groups() -> Groups[Member]:
    return HookedS3().begin({})._runs._groups


def joined(groups: Groups[Member], count: int) -> tuple[Group[Member], list[Member]]:
    """A group with this many members, the first of which holds it."""
    members = [Member(dict, 2) for _ in range(count)]
    return [groups.join(member) for member in members][0], members  # noqa: RUF015  # all of them join


@pytest.mark.parametrize("stay", [1, 0])
def test_nobody_waits_for_those_who_leave_while_a_group_gets_ready_to_go_again(
    groups: Groups[Member], stay: int
) -> None:
    """This also holds if all of them leave."""
    group, members = joined(groups, 3)

    def waits() -> Iterator[float]:
        for member in members[stay:]:
            groups.leave(member, KeyboardInterrupt())
        yield 0.0

    group.waits = waits()
    groups.failed(group, ConflictError("someone else has written"), repeats=True)
    assert group.members == members[:stay]


def test_who_knows_that_it_was_saved_is_not_told_otherwise(groups: Groups[Member]) -> None:
    """If the member that saves is interrupted while it notifies the others, only the rest don't know the outcome."""
    group, (holder, told, untold) = joined(groups, 3)
    group.is_saving = told.is_done = True
    groups.leave(holder, KeyboardInterrupt())
    assert told.outcome() is None
    with pytest.raises(UnknownOutcomeError):
        untold.outcome()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # fork with threads
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_threads_of_a_forked_child_join_no_group_of_the_parents() -> None:
    """Two calls at the same time form their own group, while a thread of the parent waits."""
    d = HookedS3().begin({})
    with Blocker(d):
        threads = queue_up(d, [lambda: d.run(dict)])
        child = os.fork()
        if not child:
            os._exit(not _two_that_join_are_in_a_group(d._runs._groups))
    threads[0].result()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _two_that_join_are_in_a_group(groups: Groups[Any]) -> bool:
    """Assert that both have joined before either continues."""
    group, members = joined(groups, 2)
    for member in members:
        assert member.group is not None
        groups.after_fork(member.group, member)
    return group.members == members
