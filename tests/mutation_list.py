"""The breakages that `mutations.py` tries: each one is something that the tests must notice."""

from __future__ import annotations

from typing import NamedTuple

OWNERS = ("tests/test_block_owners.py", "tests/test_block_tasks.py", "tests/test_scheduled_threads.py")
THREADS = ("tests/test_requests_under_way.py", "tests/test_threads_at_any_moment.py")
INTERRUPTS = ("tests/test_interrupts.py",)
EXITS = ("tests/test_exits.py",)
PROMISES = ("tests/test_guarantees.py",)
TURN_TAKING = ("tests/test_turns.py",)
OUTCOMES = ("tests/test_unknown_outcomes.py",)
LEAVING = ("tests/test_leaving.py",)
HANDLERS = ("tests/test_signal_handlers.py",)
GROUP_TESTS = ("tests/test_groups.py",)
CLASSES = ("tests/test_classes.py", "tests/test_classes_machine.py")
MEMBERS = ("tests/test_group_members.py",)
TASKS = ("tests/test_tasks.py",)
BLOCK_TASKS = ("tests/test_block_tasks.py",)
SETTLING = ("tests/test_settling.py",)
RANGES = ("tests/test_ranges.py",)
LEASES = ("tests/test_lease.py",)
CONTENTS = ("tests/test_class_contents.py",)
MERGES = ("tests/test_merge.py",)
REST = ("tests/test_at_rest.py",)


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


MEMORY, FILED, SAVEPOINT = "_memory/memory.py", "_memory/filed.py", "_memory/savepoint.py"
ITEMS, UNDOING, RESTING = "_memory/items.py", "_memory/undoing.py", "_memory/resting.py"
GROUPS = "_groups.py"
TURNS, BLOCKS, LOADS, STORE = "_turns.py", "_blocks.py", "_loads.py", "_store.py"
DICT, EXIT, SAVING, TRIES = "_dict.py", "_exits.py", "_s3/saving.py", "_s3/tries.py"
STATEMENTS, MAPPING, BASE = "_leaving.py", "_mapping.py", "_base.py"
TASK_RUNS, TURNS_OF_TASKS, LEASE, MERGE = "_task_runs.py", "_tasks.py", "_lease.py", "_merge.py"
RANGE, USER_CLASSES, INSTANCES = "_s3/ranges.py", "_format/user_classes.py", "_format/instances.py"

MUTATIONS: list[Mutation] = [
    # Whose turn it is
    Mutation(
        "anybody may act in another's block",
        TURNS,
        "if current.owner == current_owner():",
        "if True:",
        OWNERS,
    ),
    Mutation(
        "a task waits for another one of its thread",
        TURNS,
        "        self.refuse_task()\n        return False",
        "        return False",
        ("tests/test_block_tasks.py",),
    ),
    Mutation(
        "the turn is not given back after a block",
        TURNS,
        "                self.current = None\n            if not turn.is_abandoned",
        "                pass\n            if not turn.is_abandoned",
        OWNERS,
    ),
    Mutation(
        "the turn is not given back after a request",
        TURNS,
        "            if self.current is turn:\n                self.current = None\n            self.end(turn)",
        "            pass",
        (*OWNERS, *THREADS),
    ),
    Mutation(
        "whoever enters a block in one's own takes the turn over",
        TURNS,
        "self.current = self.current or turn",
        "self.current = turn",
        OWNERS,
    ),
    Mutation(
        "whoever comes first takes a turn that is kept for one who waits",
        TURNS,
        "if ahead is not None and ahead is not waiting and not ahead.has_gone:",
        "if False:",
        TURN_TAKING,
    ),
    Mutation(
        "the turn is kept for one who was interrupted, forever",
        TURNS,
        "return time.monotonic() > self._until",
        "return False",
        TURN_TAKING,
    ),
    Mutation(
        "who waits last is served first",
        TURNS,
        "waiting = self._waiting.pop(0)",
        "waiting = self._waiting.pop()",
        TURN_TAKING,
    ),
    Mutation(
        "nobody is told that it is his turn",
        TURNS,
        "                self._tell_next()\n        if failures",
        "                pass\n        if failures",
        TURN_TAKING,
    ),
    Mutation(
        "an update in between doesn't pass the turn on",
        TURNS,
        "        if self._waiting:\n            self._tell_next()\n        return function(*args)",
        "        return function(*args)",
        TURN_TAKING,
    ),
    Mutation(
        "a block that isn't innermost is left as if it were",
        BLOCKS,
        "if block is not self.open[-1]:",
        "if False:",
        OWNERS,
    ),
    Mutation(
        "a stranger may leave a block that its owner is in",
        BLOCKS,
        "(by_hand[-1].owner != caller and by_hand[-1].is_busy)",
        "False",
        LEAVING,
    ),
    # Statements that don't leave their blocks, and signal handlers
    Mutation(
        "a statement's end doesn't end its block",
        BLOCKS,
        "        if not self.turns.is_amid_step:\n            self.turns.end(block)",
        "        pass",
        LEAVING,
    ),
    Mutation(
        "who wants the turn doesn't look for those who have gone",
        TURNS,
        "        if self.current is not None:\n            self.end_gone()",
        "",
        LEAVING,
    ),
    Mutation(
        "a look-up of `__exit__` by hand counts as a statement's",
        STATEMENTS,
        "and distance in _SAME_STATEMENT",
        "",
        LEAVING,
    ),
    Mutation(
        "anybody may leave what a statement has entered",
        BLOCKS,
        "[item for item in entered if not item.is_of_statement]",
        "entered",
        LEAVING,
    ),
    Mutation(
        "Ctrl-C gives way to the error of a block that wasn't left",
        BLOCKS,
        "if error is not None and not isinstance(error, Exception):",
        "if False:",
        LEAVING,
    ),
    Mutation(
        "a handler may change the dict in the midst of a step",
        TURNS,
        "        if self.is_amid_step:\n            raise _interrupted()",
        "        pass",
        HANDLERS,
    ),
    Mutation(
        "a handler may change the dict during a request",
        TURNS,
        "            if current.is_requesting:",
        "            if False:",
        HANDLERS,
    ),
    Mutation(
        "what a handler reads while it falls asleep is noted without its containers",
        ITEMS,
        "entry.found or containers(entry.kept, self.types)",
        "entry.found",
        HANDLERS,
    ),
    Mutation(
        "what a handler reads as a block begins isn't noted",
        UNDOING,
        "                self.savepoints.append(savepoint)\n                self._note_awake(savepoint)",
        "                self._note_awake(savepoint)\n                self.savepoints.append(savepoint)",
        HANDLERS,
    ),
    Mutation(
        "a save lets go of what a handler has just read",
        FILED,
        "                and self.items[key] is entry  # no signal",
        "                # no signal",
        ("tests/test_signal_handlers.py::test_what_a_handler_reads_at_the_last_moment_before_that_does_too",),
    ),
    Mutation(
        "a list isn't of one moment",
        MAPPING,
        "if _instruction_of(sys._getframe(1)) == begun_by and",
        "if False and",
        THREADS,
    ),
    Mutation(
        "a key that another thread removes is a KeyError in dict()",
        MAPPING,
        "if _listed.by == _instruction_of(sys._getframe(2)):",
        "if False:",
        THREADS,
    ),
    # Blocks and what they undo
    Mutation(
        "a block that fails is committed",
        BLOCKS,
        "            elif error is None:",
        "            else:",
        ("tests/test_block_owners.py",),
    ),
    Mutation(
        "an interrupt in leaving ends nothing",
        BLOCKS,
        "            self.turns.end(block)\n            raise\n        return isinstance",
        "            raise\n        return isinstance",
        LEAVING,
    ),
    Mutation(
        "an inner block's notes are not handed on when it commits",
        UNDOING,
        "                self._hand_on(savepoint)  # can be repeated after an interrupt",
        "                pass",
        ("tests/test_interrupts.py", "tests/test_scheduled_threads.py"),
    ),
    Mutation(
        "an inner block's notes are not handed on when it is undone",
        UNDOING,
        "                self._hand_on(savepoint)\n        if",
        "                pass\n        if",
        INTERRUPTS,
    ),
    Mutation(
        "the savepoint goes before the rollback is done",
        UNDOING,
        "            failures.clear()\n            savepoint.restore_contents(failures)",
        "            self.savepoints.pop()\n            self.savepoints.append(Savepoint())\n"
        "            savepoint.restore_contents(failures)",
        INTERRUPTS,
    ),
    Mutation(
        "what was interrupted is not finished",
        ITEMS,
        "        self._unfinished = step\n        step()",
        "        step()",
        INTERRUPTS,
    ),
    Mutation(
        "containers that were awake are not copied at a block's begin",
        SAVEPOINT,
        "snapshot(containers(entry.value, self.types), self.types)",
        "snapshot(())",
        ("tests/test_block_owners.py", "tests/test_requests_under_way.py", "tests/test_interrupts.py"),
    ),
    Mutation(
        "the order of keys is not noted before one is removed",
        SAVEPOINT,
        "self.order = _without_new(keys, self.journal)",
        "pass",
        ("tests/test_interrupts.py", "tests/test_scheduled_threads.py"),
    ),
    Mutation(
        "values that somebody holds fall asleep",
        UNDOING,
        " or is_held(found, known):",
        ":",
        ("tests/test_interrupts.py",),
    ),
    # Values at rest
    Mutation(
        "values at rest can be read without the lock",
        FILED,
        "self._at_rest, self.readable = at_rest, {}",
        "self._at_rest = at_rest",
        REST,
    ),
    Mutation(
        "values are at rest although somebody is reading",
        FILED,
        "if is_held([self.items], {}):",
        "if False:",
        REST,
    ),
    Mutation(
        "values that somebody holds are at rest",
        RESTING,
        "apart = apart or which_are_held(values, repeat(0))",
        "pass",
        REST,
    ),
    Mutation(
        "values are at rest although somebody holds a container in them",
        RESTING,
        "return bool(which_are_held([*control, *level], chain((0,), known)))",
        "return False",
        REST,
    ),
    Mutation(
        "values stay at rest although somebody has reached one",
        ITEMS,
        "            self._unfinished()\n        self._end_rest()\n",
        "            self._unfinished()\n",
        REST,
    ),
    Mutation(
        "what somebody holds at rest is in no table after a save",
        FILED,
        "        left = dict.fromkeys(at_rest.left)\n",
        "        left = {}\n",
        REST,
    ),
    # Groups
    Mutation(
        "who comes while a group is at work joins it",
        GROUPS,
        "            if self._next is group:\n                self._next = None\n            self._last_size",
        "            self._last_size",
        GROUP_TESTS,
    ),
    Mutation(
        "the others are not told when the one that saves is interrupted",
        GROUPS,
        "        for member in group.members:\n            self._fail(member, interrupted(error, self._uri))",
        "        pass",
        GROUP_TESTS,
    ),
    Mutation(
        "what an interrupted member has done is saved with the others'",
        GROUPS,
        "(member.is_kept and not group.is_saving)",
        "False",
        ("tests/test_async.py",),
    ),
    Mutation(
        "all members get the same exception",
        GROUPS,
        "error if member is group.holder else twin(error)",
        "error",
        GROUP_TESTS,
    ),
    Mutation(
        "attempts are not counted for each caller",
        GROUPS,
        "if repeats and member.attempts > 0:",
        "if repeats:",
        GROUP_TESTS,
    ),
    # Loading and saving
    Mutation(
        "a block's load takes no second look at memory",
        LOADS,
        "elif not self._memory.changed:  # by a caller",
        "else:  # by one",
        PROMISES,
    ),
    Mutation(
        "a save at a block's end begins the block anew, in place of ending it",
        STORE,
        "members, ending=True))",
        "members, ending=False))",
        ("tests/test_costs.py::test_the_end_of_a_with_takes_no_snapshot_of_what_somebody_holds",),
    ),
    Mutation(
        "what is saved is noted for the values of now, not for those that were encoded",
        FILED,
        "            entry.rebase(raw)\n",
        "            entry.raw = codec.encode_all({0: entry.kept if type(entry) is Asleep else entry.value})[0]\n",
        PROMISES,
    ),
    Mutation(
        "edits made while others are merged with are not kept",
        MEMORY,
        "for key, value in (edited or {}).items():",
        "for key, value in {}.items():",
        THREADS,
    ),
    Mutation(
        "data that somebody holds is let go of at a load",
        MEMORY,
        "if self.data is not None and is_held([self.data], {}) else None",
        "if False else None",
        PROMISES,
    ),
    Mutation(
        "a write without a lock doesn't look whether somebody's turn began meanwhile",
        BASE,
        "if entry.__class__ is Awake and turns.current is None and store.is_plain:",
        "if entry.__class__ is Awake and store.is_plain:",
        ("tests/test_threads_and_forks.py", *THREADS),
    ),
    Mutation(
        "a default is handed out itself, so edits inside it are in the next default, too",
        LOADS,
        "values = deepcopy(self._default) if",
        "values = self._default if",
        ("tests/test_construction.py",),
    ),
    # Saves and deletes that were undone, disturbed, or got no answer
    Mutation(
        "what was saved with an undone block is as if somebody else had written it",
        STORE,
        "self._file.went_back(block.state, members, unsaved=changed)",
        "self._file.went_back(block.state, members, unsaved=False)",
        OUTCOMES,
    ),
    Mutation(
        "memory still has what a save of a block has written after its rollback",
        TRIES,
        "return self.block is not None and self.block.is_rolled_back",
        "return False",
        OUTCOMES,
    ),
    Mutation(
        "memory isn't compared with an earlier save where nothing was touched",
        FILED,
        "if type(entry) is Raw and entry != members.get(key):",
        "if False:",
        OUTCOMES,
    ),
    Mutation(
        "an open block can't be undone exactly after an earlier save turned out to have taken effect",
        FILED,
        "savepoint.prepare_rebase(members)",
        "pass",
        OUTCOMES,
    ),
    Mutation(
        "a file that is gone by a delete of our own was deleted by someone else",
        SAVING,
        "if found is None and self._is_gone_by_delete():",
        "if False:",
        OUTCOMES,
    ),
    Mutation(
        "data that a lost delete kept is merged with the file that someone else made anew",
        STORE,
        "if self._file.is_after_delete(version):",
        "if False:",
        OUTCOMES,
    ),
    Mutation(
        "what an interrupted save was merged with is forgotten",
        TRIES,
        "attempt.number: self.open[attempt].theirs}",
        "attempt.number: None}",
        OUTCOMES,
    ),
    Mutation(
        "a writer uses a generation again in another lineage",
        TRIES,
        "            self.record = first_record()\n",
        "            self.record, self._generation = first_record(), 0\n",
        OUTCOMES,
    ),
    Mutation(
        "a save that is being replaced is forgotten if the next one fails",
        TRIES,
        "            if content is not None:  # the others",
        "            if True:  # the others",
        OUTCOMES,
    ),
    Mutation(
        "a rollback counts as the content of a save that it knows nothing of",
        TRIES,
        "self._pending.items() if content.block is block]",
        "self._pending.items() if content.is_undone]",
        OUTCOMES,
    ),
    Mutation(
        "a file that is made after a delete has the lineage of the one before",
        TRIES,
        "if overwrite or self.base is None or self.gone:",
        "if overwrite or self.base is None:",
        OUTCOMES,
    ),
    Mutation(
        "a file that a late request created again counts as saved on top of the version before",
        "_s3/lineage.py",
        "return all(found.rows.get(writer, found.floor) >= generation for writer, generation in base.rows.items())",
        "return True",
        OUTCOMES,
    ),
    Mutation(
        "a refused delete makes one forget another that may have taken effect",
        SAVING,
        "self._tries.deleting = self._before",
        "self._tries.deleting = None",
        OUTCOMES,
    ),
    Mutation(
        "a late delete removes what an earlier save turned out to have written",
        STORE,
        "if self._has_changes or (version.current and self._file.pending_delete):",
        "if self._has_changes:",
        OUTCOMES,
    ),
    Mutation(
        "a delete that may still take effect is forgotten if the save after it fails",
        "_s3/file.py",
        "after.deleting = before.deleting",
        "pass",
        OUTCOMES,
    ),
    Mutation(
        "a merge isn't written over one that may still arrive",
        STORE,
        "replaces or self._memory.changed or self._file.pending)",
        "replaces or self._memory.changed)",
        OUTCOMES,
    ),
    Mutation(
        "an interrupt after memory took over a merge makes the next save merge it again",
        STORE,
        "        self._file.builds_on(base)\n",
        "        pass\n",
        OUTCOMES,
    ),
    Mutation(
        "a copy forgets an edit that came during the save of a merge",
        "_base.py",
        "twin._store.unreadable, twin._store.late = self._store.unreadable, self._store.late",
        "twin._store.unreadable = self._store.unreadable",
        OUTCOMES,
    ),
    Mutation(
        "a pickle forgets saves of unknown outcome",
        "_base.py",
        '"_store": store, "_file": self._file.unknown}',
        '"_store": store}',
        OUTCOMES,
    ),
    Mutation(
        "a delete of a missing file forgets a merge of unknown outcome",
        "_s3/file.py",
        "if (is_superseded or merges_from_another) and not overwrite:",
        "if is_superseded and not overwrite:",
        OUTCOMES,
    ),
    Mutation(
        "the save that the next one replaces is forgotten with a refusal",
        "_s3/file.py",
        "        return self._tries.replaced is not None or any(",
        "        return any(",
        OUTCOMES,
    ),
    Mutation(
        "nothing notes that a block was rolled back",
        "_memory/undoing.py",
        "savepoint.state.is_rolled_back = True",
        "pass",
        OUTCOMES,
    ),
    # Exits
    Mutation(
        "at exit, blocks of other threads are not waited for",
        EXIT,
        "if not self._blocks.turns.take(Turn(), _BLOCK_SECONDS):",
        "if not self._blocks.turns.take(Turn(), 0):",
        EXITS,
    ),
    Mutation(
        "a dict that is dropped says nothing",
        EXIT,
        "if sys.is_finalizing() or not self._is_unsaved():",
        "if True:",
        EXITS,
    ),
    Mutation(
        "a dict whose keys can't be compared is dropped silently",
        EXIT,
        "is told so\n            return True",
        "is told so\n            return False",
        EXITS,
    ),
    Mutation(
        "slots of an instance are not put back",
        "_format/instances.py",
        "slot.__set__(instance, attributes[name])",
        "pass",
        CLASSES,
    ),
    Mutation(
        "instances among keys and in sets are not looked into",
        "_format/types.py",
        "WITH_KEYS.get(row.kind, row.contents)",
        "row.contents",
        CLASSES,
    ),
    Mutation(
        "what was made of a text in a block is not noted",
        ITEMS,
        "snapshot(containers(value, self.types), self.types)",
        "snapshot((), self.types)",
        CLASSES,
    ),
    Mutation(
        "a text known before a save is still compared after it",
        "_memory/entries.py",
        "            self.written = None  # first, because it belongs to the old text\n",
        "",
        ("tests/test_reading_ahead.py",),
    ),
    Mutation(
        "brackets are not counted",
        "_memory/snapshots.py",
        'if text.count(b"{") == len(values) and text.count(b"[") == 1 + sum(map(len, lists)):',
        "if lists or SCALARS.issuperset(map(type, values)):",
        ("tests/test_reading_ahead.py",),
    ),
    Mutation(
        "what is written of instances is not read again",
        FILED,
        "codec.verify(compress(written, map(is_not, texts, touched.raws)), self.types)",
        "pass",
        CLASSES,
    ),
    Mutation(
        "a view of an array falls asleep",
        UNDOING,
        "not shows_all(found, self.types) or ",
        "",
        CLASSES,
    ),
    # Groups, once more: forks, those who leave, those who come late
    Mutation(
        "a forked child's threads join a group of its parent",
        GROUPS,
        "group.process != os.getpid() or group.holder.has_gone",
        "group.holder.has_gone",
        MEMBERS,
    ),
    Mutation(
        "a group of two is none",
        GROUPS,
        "group.is_shared = len(group.members) > 1",
        "group.is_shared = len(group.members) > 2",
        GROUP_TESTS,
    ),
    Mutation(
        "a child that was forked in a function calls it again, though it is alone",
        GROUPS,
        "        if was_shared:\n",
        "        if True:\n",
        GROUP_TESTS,
    ),
    Mutation(
        "the error of the save covers a function's own",
        GROUPS,
        "member.error = member.error or error",
        "member.error = error",
        GROUP_TESTS,
    ),
    Mutation(
        "those who have left meanwhile are called again",
        GROUPS,
        "[each for each in members if each in group.members], []",
        "members, []",
        MEMBERS,
    ),
    Mutation(
        "what came of the call before stays",
        GROUPS,
        "                member.reset()\n",
        "                pass\n",
        GROUP_TESTS,
    ),
    Mutation(
        "nobody can join a group that waits to go again",
        GROUPS,
        "            if self._next is None and group.members:\n                self._next = group\n",
        "",
        GROUP_TESTS,
    ),
    Mutation(
        "those who know that it was saved are told otherwise",
        GROUPS,
        "if each is not member and not each.is_done]",
        "if each is not member]",
        MEMBERS,
    ),
    Mutation(
        "a group that was refused stays open, with nobody in it",
        GROUPS,
        "        self.close(group)\n        if isinstance",
        "        if isinstance",
        GROUP_TESTS,
    ),
    Mutation(
        "an error stays with the frame that raised it",
        GROUPS,
        "            finally:\n                del error  # its traceback refers to this frame",
        "            finally:\n                pass",
        GROUP_TESTS,
    ),
    # Tasks
    Mutation(
        "who has raised waits for the others' save, although it was cancelled",
        TASK_RUNS,
        " or not self.is_kept:",
        ":",
        TASKS,
    ),
    Mutation(
        "a function is called again although its task was cancelled",
        TASK_RUNS,
        "if member.cancelled is not None and not group.is_saving:",
        "if False:",
        TASKS,
    ),
    Mutation(
        "a load that fails keeps the turn",
        TASK_RUNS,
        "            self._turns.end(block)\n            self._groups.failed(group, error, repeats=False)",
        "            self._groups.failed(group, error, repeats=False)",
        TASKS,
    ),
    Mutation(
        "`Rollback` is raised where a task calls `run`",
        TASK_RUNS,
        "None if isinstance(error, Rollback) else error",
        "error",
        TASKS,
    ),
    Mutation(
        "another attempt of a task throws unsaved changes away",
        TASK_RUNS,
        "is_conflict_about(self._store.uri, error) and not self._store.changed",
        "is_conflict_about(self._store.uri, error)",
        TASKS,
    ),
    Mutation(
        "each member of a group of tasks tries to load",
        TASK_RUNS,
        "self._groups.failed(group, error, repeats=False)",
        "self._groups.failed(group, error, repeats=True)",
        TASKS,
    ),
    Mutation(
        "a request that outlives its event loop fails loudly",
        TURNS_OF_TASKS,
        "with suppress(RuntimeError):",
        "if True:",
        TASKS,
    ),
    Mutation(
        "a turn is taken away during its request",
        TURNS_OF_TASKS,
        "and not current.is_requesting and",
        "and",
        TASKS,
    ),
    Mutation(
        "a task that has ended keeps its turn",
        TURNS_OF_TASKS,
        "(owner.done() or owner.get_loop().is_closed())",
        "owner.get_loop().is_closed()",
        TASKS,
    ),
    Mutation(
        "requests don't see the context of their task",
        TURNS_OF_TASKS,
        "self._context.run(self._function, *self._args)",
        "self._function(*self._args)",
        TASKS,
    ),
    Mutation(
        "a coroutine that is closed doesn't wait for its save",
        TURNS_OF_TASKS,
        "                self._is_done.wait(_LONGEST_SAVE)\n                raise",
        "                raise",
        TASKS,
    ),
    Mutation(
        "a save isn't waited for if its task is cancelled",
        TURNS_OF_TASKS,
        "cancelled = cancellation",
        "raise",
        TASKS,
    ),
    # What a save or delete finds out about itself
    Mutation(
        "a save without a condition goes on with the lineage of what it overwrites",
        TRIES,
        "if overwrite or self.base is None or self.gone:",
        "if self.base is None or self.gone:",
        SETTLING,
    ),
    Mutation(
        "a file that is made once more has the lineage of the first",
        TRIES,
        "if overwrite or self.base is None or self.gone:",
        "if overwrite or self.gone:",
        SETTLING,
    ),
    Mutation(
        "saves before a delete that took effect are still in doubt",
        TRIES,
        "self.open, self.deleting = {}, None",
        "self.deleting = None",
        SETTLING,
    ),
    Mutation(
        "no ETag is sent without quotes",
        TRIES,
        "(etag, f'\"{opaque(etag)}\"', opaque(etag))",
        "(etag, f'\"{opaque(etag)}\"')",
        SETTLING,
    ),
    Mutation(
        "a lost answer is forgotten when the next one says that the store is busy",
        SAVING,
        "self._doubt = self._doubt or isinstance(error, UnknownOutcomeError)",
        "self._doubt = isinstance(error, UnknownOutcomeError)",
        SETTLING,
    ),
    Mutation(
        "a save that was refused is still in doubt",
        SAVING,
        "                    self._refused()\n                    raise",
        "                    raise",
        SETTLING,
    ),
    Mutation(
        "slow requests don't count as waiting",
        SAVING,
        "max(self._waited, time.monotonic() - self._began)",
        "self._waited",
        SETTLING,
    ),
    Mutation(
        "a file whose middle was edited is gone on from",
        SAVING,
        "return seen is not None and (seen.number, seen.etag) == (found.number, found.etag)",
        "return True",
        SETTLING,
    ),
    Mutation(
        "a store that refuses every version is asked forever",
        SAVING,
        "        if found.etag in self._sent:\n            return False\n        if not",
        "        if not",
        SETTLING,
    ),
    Mutation(
        "an interrupted save that a tool has edited is written over",
        SAVING,
        "        if not self._is_by_content(found):\n            return False\n        self._create",
        "        self._create",
        SETTLING,
    ),
    Mutation(
        "an interrupted save that made the file is in the way of the next",
        SAVING,
        "self._create, self._forms = Hidden(), [found.etag]",
        "self._forms = [found.etag]",
        SETTLING,
    ),
    Mutation(
        "a file that somebody deleted after a later save is made anew",
        SAVING,
        "not self._doubt and not set(self._tries.open) - {*deleted, self._attempt}",
        "not self._doubt",
        SETTLING,
    ),
    Mutation(
        "a delete takes along a block that was undone in memory",
        SAVING,
        " if not content.merged]",
        "]",
        SETTLING,
    ),
    Mutation(
        "a delete that was refused is still in doubt",
        SAVING,
        "            raise self._unknown(error) from error.__cause__\n        self._refused()\n        raise",
        "            raise self._unknown(error) from error.__cause__\n        raise",
        SETTLING,
    ),
    Mutation(
        "a save that was edited before it was known to have taken effect is gone on from",
        SAVING,
        "return seen is not None and seen.number == attempt.number",
        "return True",
        SETTLING,
    ),
    Mutation(
        "the form of an ETag that a store takes is found out with each save",
        SAVING,
        "self.form = next(",
        "_ = next(",
        SETTLING,
    ),
    # Ranges, leases, blocks left by hand, instances, merges
    Mutation(
        "ranges are asked of a store that offers none",
        RANGE,
        ' or answer.get("AcceptRanges") != "bytes" or',
        " or",
        RANGES,
    ),
    Mutation(
        "a range of another version is mixed in",
        RANGE,
        'if answer["ETag"] != self._request["IfMatch"]:',
        "if False:",
        RANGES,
    ),
    Mutation(
        "a range that is too short is taken",
        RANGE,
        "    if start != end:\n",
        "    if False:\n",
        RANGES,
    ),
    Mutation(
        "requests for ranges don't see the context of the caller",
        RANGE,
        "target=beside(self._work)",
        "target=self._work",
        RANGES,
    ),
    Mutation(
        "a lease that no thread can renew is kept",
        LEASE,
        "        except BaseException:\n            self._give_back()\n            raise",
        "        except BaseException:\n            raise",
        LEASES,
    ),
    Mutation(
        "a lease that was taken without an answer counts from the making of its object",
        LEASE,
        "                self._renewed = began\n",
        "                pass\n",
        LEASES,
    ),
    Mutation(
        "a forked child renews the lease of its parent",
        LEASE,
        "or self._loss or self._process != os.getpid():\n            return False",
        "or self._loss:\n            return False",
        LEASES,
    ),
    Mutation(
        "a lease that was lost is renewed",
        LEASE,
        "            if not held.renew():\n                return",
        "            held.renew()",
        LEASES,
    ),
    Mutation(
        "a block entered by hand is that of the statement around it",
        STATEMENTS,
        "(prepared.manager, prepared.place) == (block.manager, block.place)",
        "prepared.manager == block.manager",
        LEAVING,
    ),
    Mutation(
        "another task may leave a block that its owner is in",
        STATEMENTS,
        "return not self.owner.done()  # a task",
        "return False",
        BLOCK_TASKS,
    ),
    Mutation(
        "instances with a hash of their own can't change",
        USER_CLASSES,
        'kind.__module__.partition(".")[0] in sys.stdlib_module_names and _hashes',
        "_hashes",
        CONTENTS,
    ),
    Mutation(
        "attributes that aren't stored vanish",
        USER_CLASSES,
        "record.is_whole or (lambda instance: read(instance).keys() <= names)",
        "record.is_whole",
        CONTENTS,
    ),
    Mutation(
        "a slot that was set in a block stays set",
        INSTANCES,
        "                slot.__delete__(instance)",
        "                pass",
        CONTENTS,
    ),
    Mutation(
        "attributes of a list aren't looked into",
        INSTANCES,
        "base.children(instance) + own.children(instance)",
        "base.children(instance)",
        CONTENTS,
    ),
    Mutation(
        "an array keeps the shape that it got in a block",
        INSTANCES,
        "        array.resize(held.shape, refcheck=False)\n",
        "        pass\n",
        CONTENTS,
    ),
    Mutation(
        "a function is asked about a key that both removed",
        MERGE,
        " or mine is other is MISSING",
        "",
        MERGES,
    ),
    Mutation(
        "a function isn't asked about a key that both changed to the same",
        MERGE,
        "(resolve is None and _same(mine, other))",
        "_same(mine, other)",
        MERGES,
    ),
]
