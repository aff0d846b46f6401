"""The display of a dict in a notebook: its address, its state and its first items, as HTML or, in IPython, as text.

Decodes only what it shows. Of a big value it shows the beginning of its JSON. Doesn't know about S3. Styles are inline,
and leave the colours to the notebook's theme.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from html import escape
from itertools import islice
from typing import Any

from msgspec import Raw

from ._format import codec
from ._format.types import BRACKETS
from .errors import CorruptFileError

ROWS = 20
"""Most items that are shown."""

_WIDTH = 100
"""Most characters of a value that are shown, and of a key:"""
_KEY_WIDTH = 40

_PARTS = 8
"""Most items of a container that are shown, and most levels of nesting:"""
_DEPTH = 3

_DECODED = 2_000
"""The longest JSON text, in bytes, that is decoded to be shown."""

_JSON_KINDS = {"[": "list", "{": "dict", '"': "str"}
_TAGGED = re.compile(r'\{\s*"py/(\w+)"\s*:\s*')

_CELL = "text-align:left;vertical-align:top;padding:2px 16px 2px 0"
_TEXT = f"{_CELL};font-family:monospace;white-space:pre-wrap;overflow-wrap:anywhere"
_KEY = f"{_TEXT};min-width:7em"  # on a phone, a long key breaks, but not after each character
_VALUE = f"{_TEXT};min-width:10em"
_FAINT = "opacity:.7"


def html(
    uri: str,
    etag: str | None,
    modified: datetime | None,
    changed: bool,
    length: int,
    items: Iterable[tuple[Any, Any]],
    types: codec.Types = codec.BUILT_IN,
) -> str:
    """Render a dict as HTML.

    Args:
        uri: the address of the file.
        etag: the version that was loaded or saved last; `None` if there is no file.
        modified: when that version was written, if known.
        changed: whether there are unsaved changes.
        length: the number of items.
        items: the first items. Values that are still JSON are `Raw`.
        types: the dict's table of types.
    """
    rows = [_row(key, value, types) for key, value in islice(items, ROWS)]
    state = f"{length:,} key{'s' * (length != 1)} · {_version(etag, modified)}"
    head = (
        f'<code style="font-weight:bold;background:none;overflow-wrap:anywhere">{escape(uri)}</code> '
        f'<span style="{_FAINT}">{escape(state)}</span>{" · <b>unsaved changes</b>" if changed else ""}'
    )
    more = f'<div style="{_FAINT}">… and {length - len(rows):,} more</div>' if length > len(rows) else ""
    return f"<div>{head}{_table(rows) if rows else ''}{more}</div>"


def text(length: int, items: Iterable[tuple[Any, Any]], types: codec.Types = codec.BUILT_IN) -> str:
    """Render the first items in the style of a dict's repr, each one shortened. The arguments are those of `html`."""
    parts = [f"{_short(key)}: {_describe(value, types)[1]}" for key, value in islice(items, ROWS)]
    if length > len(parts):
        parts.append(f"… and {length - len(parts):,} more")
    separator = ", " if sum(map(len, parts)) < _WIDTH else ",\n "
    return f"{{{separator.join(parts)}}}"


def _table(rows: list[str]) -> str:
    names = "".join(f'<th style="{_CELL}">{name}</th>' for name in ("key", "type", "value"))
    return f'<table style="margin:4px 0"><thead><tr>{names}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def _row(key: Any, value: Any, types: codec.Types) -> str:
    kind, text = _describe(value, types)
    cells = ((_KEY, _cut(_short(key), _KEY_WIDTH)), (f"{_CELL};white-space:nowrap;{_FAINT}", kind), (_VALUE, text))
    return f"<tr>{''.join(f'<td style={style!r}>{escape(content)}</td>' for style, content in cells)}</tr>"


def _version(etag: str | None, modified: datetime | None) -> str:
    if etag is None:
        return "no file yet"
    name = _cut(etag.strip('"'), 12)
    return f"version {name} of {modified:%Y-%m-%d %H:%M:%S %Z}" if modified else f"version {name}"


def _describe(value: Any, types: codec.Types) -> tuple[str, str]:
    """The type of a value and its text, both shortened."""
    if type(value) is not Raw:
        return _kind(value), _short(value)
    text = memoryview(value)
    if len(text) <= _DECODED:
        try:
            item = codec.decode(value, types)
            return _kind(item), _short(item)
        except CorruptFileError:  # nested too deeply, or a class refuses it
            pass
    start = bytes(text[: 4 * _WIDTH]).decode(errors="ignore")
    tagged = _TAGGED.match(start)
    kind = tagged[1] if tagged else _JSON_KINDS.get(start[:1], "number")
    return f"{kind} ({_size(len(text))})", _cut(f"{start[tagged.end() :] if tagged else start}…")


def _kind(value: Any) -> str:
    counted = type(value) in BRACKETS or (type(value) in (str, bytes) and len(value) > _WIDTH)
    return f"{type(value).__name__} ({len(value):,})" if counted else type(value).__name__


def _short(value: Any) -> str:
    try:
        return _cut(_write(value, _DEPTH))
    except Exception:  # noqa: BLE001  # whatever its repr raises
        return f"<{type(value).__name__}>"


def _write(value: Any, depth: int) -> str:
    """The repr of a value's beginning. A full repr may be huge, and reprlib sorts dicts and sets first."""
    if type(value) in (str, bytes):
        return repr(value[:_WIDTH])
    if type(value) not in BRACKETS or not value:
        return repr(value)
    opening, closing = BRACKETS[type(value)]
    if not depth:
        return f"{opening}…{closing}"
    parts = [_write(item, depth - 1) for item in islice(value, _PARTS)]
    if type(value) is dict:
        values = [_write(item, depth - 1) for item in islice(value.values(), _PARTS)]
        parts = [f"{key}: {item}" for key, item in zip(parts, values, strict=True)]
    if len(value) > _PARTS:
        parts.append("…")
    trail = "," if type(value) is tuple and len(value) == 1 else ""
    return f"{opening}{', '.join(parts)}{trail}{closing}"


def _cut(text: str, width: int = _WIDTH) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{count / 1e3:,.1f} kB"
