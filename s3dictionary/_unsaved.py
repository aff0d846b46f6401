"""Warns about changes that are lost because nobody saved them."""

from __future__ import annotations

import sys
import warnings

from .errors import UnsavedChangesWarning

_PACKAGE = __file__.removesuffix("_unsaved.py")


def warn_unsaved(message: str) -> None:
    """Issue an `UnsavedChangesWarning` for the line outside this package that led here.

    At exit there is no such line, and Python names `sys`, as for files that were never closed. If the code has no
    line, as where `except … as error` ends, it is the first line of the function.
    """
    frame, level = sys._getframe(1), 2
    while frame.f_code.co_filename.startswith(_PACKAGE):
        level += 1
        if frame.f_back is None:
            break
        frame = frame.f_back
    if frame.f_lineno is None:
        code, names = frame.f_code, frame.f_globals
        registry = names.setdefault("__warningregistry__", {})
        warnings.warn_explicit(
            message, UnsavedChangesWarning, code.co_filename, code.co_firstlineno, names.get("__name__"), registry
        )
    else:
        warnings.warn(message, UnsavedChangesWarning, level)
