"""Makes the rows of the table of types for user classes: those passed in `types=`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from .contents import Contents
from .instances import (
    ARRAY,
    SEQUENCE,
    attributes_of,
    attributes_reader,
    has_attributes,
    is_array,
    is_sequence,
    owns_items,
    with_attributes,
)
from .opaque import opaque_contents
from .records import NoRecord, Record, record_of
from .refusals import name_of
from .rejections import Rejection
from .types import BUILT_IN, READERS, TABLE, Form, Type, Types
from .writing import write_exactly

Write: TypeAlias = Callable[[Any], Any]
"""Turns an instance into something storable."""

Read: TypeAlias = Callable[[Any], Any]
"""Turns what `Write` returned into an instance again."""

Spec: TypeAlias = Iterable[type | tuple[type, Write, Read]] | Mapping[Any, tuple[Write, Read] | None]
"""The argument `types=`."""


def types_of(spec: Spec, place: str = "") -> Types:
    """The table of types with these user classes.

    Args:
        spec: the classes. A class of an unknown kind comes with a function to write and one to read.
        place: the file's address, for messages.

    Raises:
        ValueError: a class can't be stored that way, or two classes have the same name.
    """
    rows = [_row(*item) if isinstance(item, tuple) else _row(item) for item in items_of(spec)]
    seen: dict[str, type] = {}
    for row in rows:
        other = seen.setdefault(row.tag, row.kind)
        if other is not row.kind:
            raise ValueError(
                f"types has two classes named {row.tag}, {name_of(other)} and {name_of(row.kind)}, which a file can't "
                "tell apart. Rename one of them."
            )

    def write(instance: Any) -> bytes:
        return write_exactly(instance, (), types)

    def is_known(value: Any) -> bool:
        return types.find(type(value)) is not None

    may_hide = [row for row in rows if _may_hide(row)]
    rows += [row._replace(contents=opaque_contents(row.kind, write, is_known)) for row in may_hide]
    types = Types(rows, place)
    return types


def _may_hide(row: Type) -> bool:
    """Whether an instance may hold something that its attributes don't show."""
    if row.exact or row.contents is ARRAY or BUILT_IN.find(row.kind):
        return False
    if row.contents is not None:
        return row.contents is not SEQUENCE
    return not _hashes_by_value(row.kind)


def _hashes_by_value(kind: type) -> bool:
    """Whether a class defines its own hash. If so, its instances are meant as keys, and don't change."""
    return getattr(kind, "__hash__", None) not in (None, object.__hash__)


def items_of(spec: Spec) -> tuple[Any, ...]:
    """The classes as a tuple; a class with two functions as `(class, write, read)`."""
    if isinstance(spec, Mapping):
        return tuple(kind if functions is None else (kind, *_pair(kind, functions)) for kind, functions in spec.items())
    if isinstance(spec, (str, type)) or not isinstance(spec, Iterable):
        name = getattr(spec, "__name__", "")
        hint = f". Pass types=[{name}]" if name else ""
        raise ValueError(f"types must be a list of classes or a dict of pairs, not {spec!r}{hint}")  # noqa: TRY004
    return tuple(spec)


def _pair(kind: Any, functions: Any) -> tuple[Write, Read]:
    if isinstance(functions, (tuple, list)) and len(functions) == 2 and all(map(callable, functions)):
        return functions[0], functions[1]
    raise ValueError(
        f"types has {kind!r} with {functions!r}. Pass a function to write and one to read, as in {{Path: (str, Path)}}."
    )


def _row(kind: Any, *functions: Any) -> Type:
    if not isinstance(kind, type):
        raise ValueError(f"types must contain classes, not {kind!r}")  # noqa: TRY004
    tag = kind.__name__
    if any(kind is row.kind for row in TABLE if row.write):
        raise ValueError(f"types has {name_of(kind)}, which S3Dict stores without types=. Leave it out.")
    if not tag.isidentifier():
        raise ValueError(f"types has a class named {tag!r}, which isn't an identifier. Rename the class.")
    if tag in READERS:
        raise ValueError(f"types has {name_of(kind)}, but py/{tag} is the tag of the built-in {tag}. Rename the class.")
    if functions:
        return _row_of_pair(kind, *_pair(kind, functions))
    record = record_of(kind)
    if record is None:
        raise ValueError(
            f"types has {name_of(kind)}, which isn't a dataclass, an Enum, a named tuple, an attrs class, a Struct or "
            f"a pydantic 2 model. Pass it with two functions: types={{{tag}: (write, read)}}, as in "
            "{Path: (str, Path)}."
        )
    return _row_of_record(kind, record)


def _row_of_record(kind: type, record: Record) -> Type:
    base = BUILT_IN.find(kind)
    if base is not None and record.names is not None and base.kind is not tuple:
        raise ValueError(
            f"types has {name_of(kind)}, which derives from {base.kind.__name__} and so holds more than its fields. "
            f"Pass it with two functions: types={{{kind.__name__}: (write, read)}}."
        )
    row = _given(kind, record.parts, record.make)._replace(exact=True)
    if record.names is None:
        return row
    if base is not None:
        return row._replace(contents=base.contents)
    names, read = frozenset(record.names), attributes_reader(kind)
    is_whole = record.is_whole or (lambda instance: read(instance).keys() <= names)
    return row._replace(contents=attributes_of(kind), is_whole=is_whole)


def _row_of_pair(kind: type, write: Write, read: Read) -> Type:
    may_sleep = owns_items if is_array(kind) else None
    return _given(kind, write, read)._replace(contents=_contents_of(kind), may_sleep=may_sleep)


def _contents_of(kind: type) -> Contents | None:
    """How memory looks into instances of a class with two functions; None if they can't change."""
    base = BUILT_IN.find(kind)
    if is_array(kind):
        return ARRAY
    if base is not None and base.contents is not None:
        return with_attributes(base.contents, kind) if has_attributes(kind) else base.contents
    if base is not None or _is_value(kind):
        return None
    if has_attributes(kind):
        return attributes_of(kind)
    return SEQUENCE if is_sequence(kind) else None


def _is_value(kind: type) -> bool:
    """Whether it is a standard-library class of immutable values, such as paths and IP addresses."""
    return kind.__module__.partition(".")[0] in sys.stdlib_module_names and _hashes_by_value(kind)


def _given(kind: type, parts: Write, make: Read) -> Type:
    def read(content: Any) -> Any:
        try:
            return make(content)
        except NoRecord as error:
            raise TypeError from error
        except RecursionError:
            raise
        except Exception as error:
            raise Rejection(kind, error) from error

    return Type(kind, Form.PARTS, kind.__name__, read, parts=parts)
