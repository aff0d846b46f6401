"""How the site is built from the pages beside this file, by `make docs`. The pages know nothing of Sphinx."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from s3dictionary import __version__

PAGES = {
    "Start": ["is-it-for-me", "tutorial", "guides/saving"],
    "Guides": [
        "guides/own-classes",
        "guides/recipes",
        "guides/many-writers",
        "guides/threads",
        "guides/asyncio",
        "guides/lambda",
        "guides/cron",
        "guides/notebooks",
        "guides/tests",
        "guides/permissions",
        "guides/encryption",
        "guides/other-stores",
        "guides/old-versions",
        "guides/from-0.13",
        "guides/from-shelve",
    ],
    "Reference": ["reference", "command-line", "errors", "guarantees", "costs", "file-format", "glossary"],
    "Background": ["design", "faults", "contention", "benchmarks", "changes"],
}
"""The order of the pages. `docs/index.md` is the first one."""

project = "S3Dictionary"
release = __version__
html_title = f"S3Dictionary {release}"
html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_copyright = False
html_copy_source = False
html_use_index = False
highlight_language = "none"  # where a block says no language
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["benchmarks/*"]

myst_heading_anchors = 3  # as code hosts name them
suppress_warnings = ["misc.highlighting_failure"]  # `…` in Python

napoleon_use_rtype = False
napoleon_custom_sections = [("Attributes", "params_style")]  # in a list, as arguments are
autodoc_member_order = "bysource"
autodoc_typehints = "both"
autodoc_typehints_description_target = "documented"
autodoc_typehints_format = "short"
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True
python_maximum_signature_line_length = 80
add_module_names = False
toc_object_entries_show_parents = "hide"  # longer names would be cut off


def add_navigation(app: Sphinx, page: str, source: list[str]) -> None:
    """Append the tables of contents to the first page: Sphinx finds all others by them."""
    if page == "index":
        source[0] += "".join(_contents(caption, pages) for caption, pages in PAGES.items())


def _contents(caption: str, pages: list[str]) -> str:
    here = Path(__file__).parent
    found = "\n".join(page for page in pages if (here / f"{page}.md").exists())
    return f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{found}\n```\n"


def translate_docstring(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Docstrings have code in single backticks, as Markdown does; Sphinx wants two."""
    lines[:] = [re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", line) for line in lines]


def setup(app: Sphinx) -> None:
    """Sphinx calls this."""
    app.connect("source-read", add_navigation)
    app.connect("autodoc-process-docstring", translate_docstring, priority=400)  # before napoleon reads it
