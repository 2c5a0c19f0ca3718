"""What our pages need of Sphinx: generated parts of the reference, the way through the pages.

* A line ``<!-- made here: NAME -->`` of a page becomes what :data:`MADE` makes, each time the site
  is built; so the reference says what the code says, and nothing of it is in the repository.
* The tables of an ``index.md`` are the way through the pages: each section with links to pages
  becomes an entry of the sidebar, so that a page is added by a row.
* What a docstring sets off by four blanks is code.
* A reference in a docstring to something that exists but has no page (of Python, of a library, or
  of ours and not public) is shown as plain code; one to nothing is a warning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from docutils import nodes
from pygments.lexers.special import TextLexer
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.ext.napoleon import Config
from sphinx.ext.napoleon.docstring import GoogleDocstring
from sphinx.util.nodes import make_refnode

from flatsat_docs import api, commands, errors, parts, schemas
from flatsat_docs.names import full_name

MADE: Mapping[str, Callable[[], str]] = {
    "commands": commands.page,
    "errors": errors.page,
    "parts": parts.page,
    "board": schemas.board,
    "world": schemas.world,
    "mission": schemas.mission,
    "faults": schemas.faults,
    "channel": schemas.channel,
    "lab": schemas.lab,
    "record": schemas.record,
    **{f"api {group}": partial(api.page, group) for group in api.PUBLIC},
}
MARK = re.compile(r"^<!-- made here: ([a-z ]+) -->$", re.MULTILINE)
LINK = re.compile(r"\]\((\w[\w./-]*)\.md\)")


def made(text: str) -> str:
    """Return a page with its generated parts in their places."""
    return MARK.sub(lambda mark: MADE[mark[1]](), text)


def with_ways(text: str) -> str:
    """Return the index with a hidden table of contents behind each section that links to pages."""
    sections = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    return "".join(_with_way(section) for section in sections)


def _with_way(section: str) -> str:
    pages = list(dict.fromkeys(LINK.findall(section)))
    if not pages:
        return section
    title = re.match(r"## (.*)", section)
    caption = [f":caption: {title[1]}"] if title else []
    lines = ["```{toctree}", ":hidden:", *caption, "", *pages, "```", ""]
    return section.rstrip() + "\n\n" + "\n".join(lines) + "\n"


def on_source(app: Sphinx, name: str, source: list[str]) -> None:
    """Put into a page what is made for it."""
    source[0] = made(source[0])
    if name.rpartition("/")[2] == "index":
        source[0] = with_ways(source[0])


def on_docstring(
    app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]
) -> None:
    """Take what a docstring sets off by four blanks for code, and know ``Args:`` and its like."""
    if what in ("class", "function", "method"):
        known: Any = Config(napoleon_use_rtype=False)  # its options, of a type of its own
        lines[:] = GoogleDocstring(lines, known).lines()
    is_code = False
    taken: list[str] = []
    for line in lines:
        starts = line.startswith("    ") and not is_code and taken[-1:] == [""]
        before = next((each for each in reversed(taken) if each), "")
        if starts and not before.startswith((" ", "..", ":")) and not before.endswith("::"):
            taken += ["::", ""]
        is_code = line.startswith("    ") or (is_code and not line)
        taken.append(line)
    lines[:] = taken


def on_missing(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, shown: nodes.TextElement
) -> nodes.Element | None:
    """Find what a short name stands for; show it without a link if it is there and has no page."""
    if node.get("refdomain") != "py":
        return None
    module, holder = (str(node.get(key) or "") for key in ("py:module", "py:class"))
    name = full_name(str(node["reftarget"]), module, holder, str(node.source or ""))
    if name is None:
        return None
    found = env.domains.python_domain.find_obj(env, "", "", name, None)
    if len(found) != 1:
        return shown
    entry = found[0][1]
    return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, shown, name)


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx what is to be done when."""
    app.add_lexer("frames", TextLexer)  # octets of docs/board-protocol.md
    app.connect("source-read", on_source)
    app.connect("autodoc-process-docstring", on_docstring)
    app.connect("missing-reference", on_missing)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
