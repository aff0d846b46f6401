"""Writes and reads time zones by name: `2026-10-25T02:30:00+02:00[Europe/Berlin]`, as in RFC 9557.

The offset fixes the moment, even for a reader that doesn't know the zone.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Any

FOLD = "[_fold=1]"
"""Marks the second of two equal local times when clocks are set back, where the offset doesn't show it."""

_NAME = r"[A-Za-z_][\w.+-]*(?:/[\w.+-]+)*"
_is_name = re.compile(_NAME, re.ASCII).fullmatch
_split = re.compile(rf"([^\[]+)(?:\[!?({_NAME})\])?(\[_fold=1\])?", re.ASCII).fullmatch


@lru_cache
def find(name: str) -> tzinfo | None:
    """The zone with a name; None if this machine doesn't have it."""
    from zoneinfo import ZoneInfo  # imported late, because most programs don't need it

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def marks(text: str, zone: tzinfo | None, fold: int) -> str:
    """The suffix of a moment in ISO 8601 with which it comes back with its zone and its fold."""
    if zone is None and not fold:
        return ""
    name = _name_of(zone)
    found = None if name is None else find(name)
    if found is zone is not None and not fold:
        return f"[{name}]"
    local = None if found is None else _at(datetime.fromisoformat(text), found)
    # Another library's zone may differ from zoneinfo's, and an unknown name may not be a zone's
    keeps_name = local is not None or (name is not None and found is None and "/" in name)
    implied = 0 if local is None else local.fold
    return (f"[{name}]" if keeps_name else "") + (FOLD if fold > implied else "")


def read(kind: Any, text: str) -> Any:
    """Read a datetime or time that may have marks.

    Raises:
        ValueError: the text isn't a datetime or time, or names a zone that doesn't fit.
    """
    parts = _split(text)
    if not parts:
        raise ValueError
    iso, name, fold = parts.groups()
    value = kind.fromisoformat(f"{iso[:-1]}+00:00" if iso[-1] == "Z" else iso)  # Python 3.10 doesn't accept Z
    if name:
        value = _put(value, name)
    if fold:
        folded = value.replace(fold=1)
        value = folded if folded.utcoffset() == value.utcoffset() else value
    return value


def _name_of(zone: tzinfo | None) -> str | None:
    """The name of a zone from zoneinfo, pytz or dateutil, or of one that was read on a machine without that zone."""
    if zone is None:
        return None
    if type(zone) is timezone:
        name: Any = zone.tzname(None)
        return name if "/" in name and _is_name(name) else None
    for attribute in ("key", "zone", "_filename"):
        name = getattr(zone, attribute, None)
        if isinstance(name, str):
            name = name.rpartition("/zoneinfo/")[2]
            return name if _is_name(name) else None
    return None


def _put(moment: Any, name: str) -> datetime:
    """The same moment in a zone. If this machine lacks the zone, a fixed offset with its name."""
    offset = moment.utcoffset()
    if type(moment) is not datetime or offset is None:
        raise ValueError
    zone = find(name)
    if zone is None:
        return moment.replace(tzinfo=timezone(offset, name))
    try:
        return _at(moment, zone) or moment.astimezone(zone)  # the zone's rules may have changed since
    except OverflowError:  # close to datetime.min or datetime.max
        return moment


def _at(moment: datetime, zone: tzinfo) -> datetime | None:
    """The same local time in a zone, if that is the same moment."""
    offset: timedelta | None = moment.utcoffset()
    for fold in (0, 1):
        local = moment.replace(tzinfo=zone, fold=fold)
        if local.utcoffset() == offset:
            return local
    return None
