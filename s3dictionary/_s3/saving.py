"""Saves and deletes that take effect at most once, and the outcome of those without an answer."""

from __future__ import annotations

import random
import time
from hashlib import md5
from typing import Any

from ..errors import LOAD_AGAIN, ConflictError, StorageError, UnknownOutcomeError
from . import calls
from .failures import BUSY_CODES, UNKNOWABLE, UNKNOWN, sentences, unknown
from .lineage import Attempt, Outcome, Record, following, settle
from .requests import Requests, etag_of
from .secrets import Hidden
from .tries import Earlier, Tries, forms_of, opaque
from .version import Version, superseded, version_of, written


class _Request:
    """A conditional PUT or DELETE. It is repeated while the store is busy, and with other forms of the ETag."""

    operation = ""
    patience = 30.0
    """Seconds to wait in total while a store is busy."""

    def __init__(self, requests: Requests, tries: Tries, etag: str | None, form: int = 0) -> None:
        self._requests = requests
        self._tries = tries
        self._doubt = False
        self._waited = 0.0
        self._began = time.monotonic()
        self.form = form
        self._forms = [] if etag is None else forms_of(etag)
        if form < len(self._forms):
            self._forms = [self._forms[form], *self._forms]
        self._sent: list[str] = []

    def run(self) -> Any:
        """Send the request, and determine its outcome as far as possible."""
        while True:
            try:
                return self._send(self._condition())
            except StorageError as error:
                self._doubt = self._doubt or isinstance(error, UnknownOutcomeError)
                is_busy = error.code in BUSY_CODES or error.status == 429
                if self._is_refusal(error):
                    outcome = self._settle(error)
                    if outcome is not None:
                        return outcome
                elif not is_busy or self._is_tired():
                    if self._doubt:
                        raise unknown(error) from error.__cause__
                    self._refused()
                    raise
            if is_busy:
                self._wait()

    def _condition(self) -> Hidden:
        if not self._forms:
            return Hidden()
        self._sent.append(self._forms[0])
        return Hidden(IfMatch=self._forms[0])

    def _is_refusal(self, error: StorageError) -> bool:
        """Whether S3 refused the condition, because it has another version."""
        return error.status == 412 or (error.code == "NoSuchKey" and bool(self._forms))

    def _is_tired(self) -> bool:
        return max(self._waited, time.monotonic() - self._began) + self._next_wait > self.patience

    @property
    def _next_wait(self) -> float:
        return min(2.0, 0.1 + self._waited / 2)

    def _wait(self) -> None:
        seconds = self._next_wait * random.uniform(0.5, 1.5)
        if self._waited < calls.NOTICE <= self._waited + seconds:
            calls.waiting_for(f"{self.operation} of {self._requests.uri}")
        self._waited += seconds
        time.sleep(seconds)

    def _look(self) -> Version | None:
        """The current version; `None` if there is no such object."""
        try:
            return version_of(self._requests.head())
        except StorageError as error:
            if error.status == 404:
                return None
            raise

    def _look_after(self, refusal: StorageError) -> Version | None:
        """Look up the current version. After a lost answer, only this shows whether the request took effect."""
        try:
            return self._look()
        except StorageError as error:
            if not self._is_doubtful:
                self._refused()
                raise conflict(refusal, self._tries.base) from refusal.__cause__
            raise UnknownOutcomeError(
                f"{self.operation} of {self._requests.uri} was refused after an answer had been lost, and the current "
                f"content can't be checked. {UNKNOWN[self.operation]} {error}",
                uri=self._requests.uri,
                operation=self.operation,
                code=error.code,
                status=error.status,
            ) from error.__cause__

    def _try_another_form(self, found: Version | None) -> bool:
        """If the current version is the one that the condition names, use another form of its ETag."""
        if found is None or not self._forms or not self._is_base(found):
            return False
        forms = [form for form in (found.etag, *self._forms, *forms_of(found.etag)) if form not in self._sent]
        if forms:
            self._forms = forms
            self.form = next((at for at, form in enumerate(forms_of(found.etag)) if form == forms[0]), 0)
        return bool(forms)

    def _is_base(self, found: Version) -> bool:
        base = self._tries.base
        if base is None:
            return False
        if opaque(found.etag) == opaque(base.etag):
            return True
        if base.number is None or found.number != base.number:
            return False
        return self._is_by_content(found)

    def _is_by_content(self, found: Version) -> bool:
        """Whether the content is that of the save in the metadata. Another tool may have edited it."""
        seen = self._whole()
        return seen is not None and (seen.number, seen.etag) == (found.number, found.etag)

    def _whole(self) -> Version | None:
        """The current version, determined by its content."""
        try:
            return self._requests.get(Hidden(), 1 << 62).version
        except StorageError:
            return None

    def _unknown(self, error: StorageError) -> UnknownOutcomeError:
        return UnknownOutcomeError(
            sentences(
                f"{self.operation} of {self._requests.uri} got no answer, then it was refused, and the current content "
                "doesn't show whether it took effect before that",
                UNKNOWABLE[self.operation],
            ),
            uri=self._requests.uri,
            operation=self.operation,
            code=error.code,
            status=error.status,
        )

    @property
    def _is_doubtful(self) -> bool:
        return self._doubt

    def _send(self, condition: Hidden) -> Any:
        raise NotImplementedError

    def _settle(self, error: StorageError) -> Any:
        """Determine the outcome after a refusal; `None` to send the request again."""
        raise NotImplementedError

    def _refused(self) -> None:
        """Note that the request has certainly not taken effect."""
        raise NotImplementedError


class Save(_Request):
    """One save.

    Args:
        requests: sends the requests.
        tries: the saves from the same version, including this one.
        attempt: this save.
        upload: the arguments of PutObject.
        record: the record in the metadata.
        overwrite: whether to write without a condition.
        form: the form of the ETag that the store accepted last.
    """

    operation = "PutObject"

    def __init__(
        self,
        requests: Requests,
        tries: Tries,
        attempt: Attempt,
        upload: Hidden,
        record: Record,
        *,
        overwrite: bool,
        form: int,
    ) -> None:
        base = None if tries.gone else tries.base
        super().__init__(requests, tries, None if overwrite or base is None else base.etag, form)
        self._attempt = attempt
        self._upload = upload
        self._record = record
        self._create = Hidden(IfNoneMatch="*") if base is None and not overwrite else Hidden()

    def run(self) -> Version | Earlier:
        outcome: Version | Earlier = super().run()
        return outcome

    def _send(self, condition: Hidden) -> Version:
        answer = self._requests.put(Hidden({**self._upload, **self._create, **condition}))
        return written(etag_of(answer), self._record, self._upload)

    @property
    def _is_doubtful(self) -> bool:
        return self._doubt or len(self._attempts) > 1

    @property
    def _attempts(self) -> dict[Attempt, None]:
        """The saves that may have taken effect. A load in between assumes that none of them did; this save doesn't."""
        return dict.fromkeys([*self._tries.pending, self._attempt])

    def _settle(self, error: StorageError) -> Version | Earlier | None:
        found = self._look_after(error)
        if found is None and self._is_gone_by_delete():
            self._tries.delete_took_effect()
            raise conflict(error, self._tries.base, None, seen=True) from error.__cause__
        if self._try_another_form(found) or self._goes_on_from_undone(found):
            return None
        record, tries = found and found.record, self._tries
        outcome, attempt = settle(record, tries.record, self._attempts)
        if outcome is Outcome.UNKNOWN and self._is_doubtful and found is not None and record is None:
            found = self._whole() or found  # a store may not return metadata; the content has the number, too
            attempt = next((each for each in self._attempts if each.number == found.number), None)
        if attempt is not None and found is not None:
            return self._took_effect(attempt, found)
        if outcome is Outcome.UNKNOWN and self._is_doubtful:
            raise self._unknown(error) from error.__cause__
        tries.pending = {}  # saves based on another version can't take effect any more
        by_us = record is not None and record.rows.get(self._attempt.writer) == record.generation
        raise conflict(error, None if tries.gone else tries.base, found, seen=True, by_us=by_us) from error.__cause__

    def _is_gone_by_delete(self) -> bool:
        """Whether the file is missing because our delete took effect. Not if a later save may have arrived first."""
        deleted = self._tries.deleting
        return deleted is not None and not self._doubt and not set(self._tries.pending) - {*deleted, self._attempt}

    def _goes_on_from_undone(self, found: Version | None) -> bool:
        """Whether the current version is our own save that was rolled back in memory. If so, continue from it."""
        undone = self._tries.undone
        if found is None or found.number not in undone or undone[found.number] is not None:
            return False  # the caller must keep the content that it was merged with
        if found.etag in self._sent:
            return False
        if not self._is_by_content(found):
            return False
        self._create, self._forms = Hidden(), [found.etag]
        return True

    def _took_effect(self, attempt: Attempt, found: Version) -> Version | Earlier:
        is_last = found.number == attempt.number and self._is_intact(attempt, found)
        version = found if is_last else superseded(following(self._tries.record, attempt))
        if attempt == self._attempt:
            return version
        return Earlier(version, self._tries.pending[attempt])

    def _is_intact(self, attempt: Attempt, found: Version) -> bool:
        """Whether the content is still what was written. Another tool may have edited it and kept the metadata."""
        if opaque(found.etag) == md5(self._upload["Body"], usedforsecurity=False).hexdigest():
            return True  # in most stores this is the ETag, so it needs no other request
        seen = self._whole()
        return seen is not None and seen.number == attempt.number

    def _refused(self) -> None:
        self._tries.refused(self._attempt)


class Delete(_Request):
    """One delete of the version that the tries are based on, or of a save of unknown outcome from it."""

    operation = "DeleteObject"
    patience = 10.0

    def __init__(self, requests: Requests, tries: Tries, etag: str | None, form: int) -> None:
        super().__init__(requests, tries, etag, form)
        self._own = [attempt.number for attempt, content in tries.pending.items() if not content.merged]
        self._before = tries.deleting
        tries.deleting = tuple(tries.pending)

    def _send(self, condition: Hidden) -> bool:
        self._requests.delete(condition)
        return True

    def _settle(self, error: StorageError) -> bool | None:
        found = None if error.status == 404 else self._look_after(error)
        if found is None:
            return True  # deleted, as requested
        if self._try_another_form(found):
            return None
        if found.number in self._own and found.etag not in self._sent and self._is_by_content(found):
            self._forms = [found.etag]
            return None
        outcome, _ = settle(found.record, self._tries.record, ())
        if self._is_doubtful and outcome is Outcome.UNKNOWN:
            raise self._unknown(error) from error.__cause__
        self._refused()
        raise conflict(error, self._tries.base, found, seen=True) from error.__cause__

    def _refused(self) -> None:
        self._tries.deleting = self._before  # an earlier delete may still take effect


def conflict(
    refusal: StorageError,
    base: Version | None,
    found: Version | None = None,
    *,
    seen: bool = False,
    by_us: bool = False,
) -> ConflictError:
    """The error for a conflict with another writer.

    Args:
        refusal: S3's answer.
        base: the version that ours is based on.
        found: the current version, if known; `None` if there is no file.
        seen: whether the current version was looked up.
        by_us: whether an earlier save of the same dict wrote it, which was rolled back in memory.
    """
    done, since = "written", "after it was loaded"
    if base is None:
        done, since = "created", "after this dict had found no file"
    elif found is None and (seen or refusal.status == 404):
        done = "deleted"
    who, advice = "someone else", LOAD_AGAIN
    if by_us:
        who = "an earlier save of this dict, which was then rolled back in memory,"
        advice = "load() takes over its changes; then make only your later ones again."
    when = f" at {found.last_modified:%Y-%m-%d %H:%M:%S %Z}," if found and found.last_modified else ""
    kept = "deleted" if refusal.operation == Delete.operation else "overwritten"
    return ConflictError(
        f"{refusal.uri} was {done} by {who}{when} {since}; nothing was {kept}. {advice}",
        etag=found.etag if found else None,
        last_modified=found.last_modified if found else None,
        uri=refusal.uri,
        operation=refusal.operation,
        code=refusal.code,
        status=refusal.status,
    )
