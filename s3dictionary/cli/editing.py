"""`edit`: opens a file in the user's editor. Never overwrites another writer, even with a text kept from earlier."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._format import codec
from .._merge import merge
from ..errors import CorruptFileError
from .drafts import EDITED, Draft, Kept
from .files import File, file_of
from .outcomes import ExitCode, Failure
from .terminal import say, say_first
from .text import check_keys, check_tags, members_text, pretty
from .versions import differences

if TYPE_CHECKING:
    from argparse import Namespace

    from msgspec import Raw

    from .._dict import S3Dict
    from .._s3.file import Found


def edit(arguments: Namespace) -> None:
    """Edit a file, and save it on condition that nobody else has written it meanwhile."""
    if arguments.overwrite and arguments.draft is None:
        raise Failure(ExitCode.USAGE, "--overwrite goes with --from: an edit of the current file overwrites nothing")
    file = file_of(arguments)
    kept = None if arguments.draft is None else Kept.read(Path(arguments.draft), file.uri)
    found = file.find()
    content = b"{}" if found is None else file.content(found)
    before = _members(file, found)
    with _draft(file, kept, content, before) as draft:
        after = draft.edited(lambda text, members: _check(text, before or {}, members))
        if kept is not None and kept.base != content:
            after = _brought_up_to_date(file, kept, before, after, overwrite=arguments.overwrite)
        is_changed = before is None or not _same(before, after)
        saved = is_changed and _save(file, found, before, after)
    if kept is not None:
        kept.remove()
    say(f"saved {file.uri}" if saved else "nothing changed, so nothing was written")


def _members(file: File, found: Found | None) -> codec.Members | None:
    """The file's members; `None` if it isn't valid JSON, which the edit may be meant to repair."""
    if found is None:
        return {}
    try:
        return file.split(found)
    except CorruptFileError as error:
        say_first(f"{str(error).rstrip('.')}. The editor shows its raw content; what you save replaces it.")
        return None


def _draft(file: File, kept: Kept | None, content: bytes, before: codec.Members | None) -> Draft:
    if kept is not None:
        return Draft(file, kept.text, kept.base, kept.path)
    return Draft(file, content if before is None else f"{members_text(before)}\n".encode(), content)


# Bringing a kept text up to date


def _brought_up_to_date(
    file: File, kept: Kept, theirs: codec.Members | None, ours: codec.Members, *, overwrite: bool
) -> codec.Members:
    """Merge other writers' changes since a text was started into it, key by key.

    Raises:
        Failure: some of their changes would be lost, and `overwrite` doesn't allow that.
    """
    base = _base_members(kept)
    if theirs is None or base is None:
        lost = [] if theirs is None else [key for key in theirs if key not in ours or key in _changed(theirs, ours)]
        if (lost or theirs is None) and not overwrite:
            reason = "it isn't known which version your text began with" if base is None else "the file is damaged"
            raise _refusal(file, reason, theirs, ours, lost, "as it is")
        return ours
    merged, clashes = merge({**base, **ours}, base, ours, theirs, None)
    if clashes and not overwrite:
        raise _refusal(file, "someone else has changed what you have changed", theirs, ours, clashes, "in these keys")
    for key in clashes:
        merged.pop(key, None)
        merged.update({key: ours[key]} if key in ours else {})
    return {key: merged[key] for key in ours} if merged.keys() == ours.keys() else merged


def _base_members(kept: Kept) -> codec.Members | None:
    try:
        return None if kept.base is None else codec.split(kept.base)
    except CorruptFileError:
        return None


def _refusal(
    file: File, reason: str, theirs: codec.Members | None, ours: codec.Members, keys: list[Any], where: str
) -> Failure:
    """The failure that shows what saving a text would undo in some keys, and says where `--overwrite` saves it."""
    if theirs is None:
        lines = ["the whole file, which can't be read as JSON"]
    else:
        lines = [f"the removal of {codec.encode(key).decode()}" for key in keys if key not in theirs]
        lines += differences((file.uri, theirs), ("your text", ours), [key for key in keys if key in theirs])
    shown = "\n".join(f"  {line}" for line in lines)
    return Failure(
        ExitCode.CONFLICT,
        f"{reason}, and nothing was overwritten. This would be lost:\n{shown}\n"
        f"Change your text accordingly, or pass --overwrite to save it {where}.",
    )


# Saving


def _same(before: codec.Members, after: codec.Members) -> bool:
    return list(map(repr, before)) == list(map(repr, after)) and not _changed(before, after)


def _changed(before: codec.Members, after: codec.Members) -> list[Any]:
    """The keys that were added or have another text, spaces aside."""
    return [key for key, raw in after.items() if key not in before or _text(before[key]) != _text(raw)]


def _text(raw: Raw) -> str:
    return pretty(bytes(raw))


def _save(file: File, found: Found | None, before: codec.Members | None, after: codec.Members) -> bool:
    """Save the changes. Returns whether there were any."""
    with file.dict(data={} if before is None else None) as d:
        if d.etag != (found.version.etag if found else None):
            done = "created" if found is None else "deleted" if d.etag is None else "written"
            raise Failure(
                ExitCode.CONFLICT,
                f"{file.uri} was {done} by someone else while you edited it, and nothing was overwritten.",
            )
        _apply(d, before or {}, after)
        changed = d.changed
    return changed  # noqa: RET504  # for mypy, the block may swallow an exception


def _check(text: bytes, before: codec.Members, after: codec.Members) -> None:
    """Check that changed `py/…` members are valid. Ignores unchanged ones."""
    changed = {key: after[key] for key in _changed(before, after)}
    check_tags(codec.join(changed), EDITED, is_file=True)
    check_keys(text, EDITED)


def _apply(d: S3Dict[Any, Any], before: codec.Members, after: codec.Members) -> None:
    for key in [key for key in d if key not in after]:
        del d[key]
    for key in _changed(before, after):
        d[key] = codec.decode(after[key])
    if list(map(repr, d)) != list(map(repr, after)):
        for key in after:
            d[key] = d.pop(key)
