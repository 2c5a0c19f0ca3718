"""How Sphinx makes the site of these pages: `make docs`, then open `build/docs/index.html`."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

from hil import __version__  # noqa: E402 - the checkout, which the line above makes importable

project = "FlatSat"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "flatsat_docs"]
exclude_patterns = ["_ext", "channels"]

html_theme = "furo"
html_title = f"FlatSat {__version__}"
html_show_copyright = False
html_show_sourcelink = True

myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
add_module_names = False
nitpicky = True
# Blocks of no language are what a program prints.
highlight_language = "text"
