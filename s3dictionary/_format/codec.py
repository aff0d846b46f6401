"""The front of this package: all that others call.

A file is split into its members, each still raw, and joined from them again; a member is decoded only when somebody
asks for it. What JSON lacks is written as an object with one `py/…` member: see docs/file-format.md.
"""

from msgspec import Raw as Raw

from .changes import Touched as Touched
from .changes import any_change as any_change
from .changes import encode_changes as encode_changes
from .encoding import canonical as canonical
from .encoding import encode as encode
from .encoding import encode_all as encode_all
from .files import Members as Members
from .files import join as join
from .files import split as split
from .plain import MAX_NESTING as MAX_NESTING
from .reading import decode as decode
from .reading import decode_plain as decode_plain
from .scalars import MAX_DIGITS as MAX_DIGITS
