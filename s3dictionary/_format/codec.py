"""The interface of this package: everything that others call, except `strict`, which only the command line needs.

Splits a file into its members, each still raw, and joins them again. Decodes a member only on request. Writes a value
that JSON lacks as an object with one `py/…` member: see docs/file-format.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Raw as Raw

from .changes import Touched as Touched
from .changes import any_change as any_change
from .changes import encode_changes as encode_changes
from .changes import encode_unshared as encode_unshared
from .changes import remember as remember
from .encoding import canonical as canonical
from .encoding import decode_together as decode_together
from .encoding import encode as encode
from .encoding import encode_all as encode_all
from .files import Members as Members
from .files import decode_all as decode_all
from .files import join as join
from .files import join_in_buffer as join_in_buffer
from .files import split as split
from .plain import MAX_NESTING as MAX_NESTING
from .reading import decode as decode
from .reading import decode_leniently as decode_leniently
from .reading import is_tagged as is_tagged
from .scalars import MAX_DIGITS as MAX_DIGITS
from .types import BUILT_IN as BUILT_IN
from .types import Types as Types
from .verifying import verify as verify

if TYPE_CHECKING:
    from .user_classes import Spec as Spec


def items_of(spec: Spec) -> tuple[Any, ...]:
    """The argument `types=` as a tuple of classes and of `(class, write, read)`."""
    if spec == ():
        return ()
    from . import user_classes  # imported late, because few dicts have user classes

    return user_classes.items_of(spec)


def types_of(items: tuple[Any, ...], place: str) -> Types:
    """The table of types for a dict with these user classes; `place` is the file's address.

    Raises:
        ValueError: a class can't be stored that way.
    """
    if not items:
        return Types(place=place)
    from . import user_classes

    return user_classes.types_of(items, place)
