"""Every fenced block of README and the manual, and which commands stand in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
_FENCE = re.compile(r"^(?:`([\w./-]+)`:\n\n)?```(\S*)[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)

#: What a block may be, and what is done with it; a block of another kind fails.
KINDS = {
    "sh": "its commands are run in order, in a folder that holds what they name",
    "python": "it is run, the blocks of a page one after the other in one module",
    "toml": "it is read by the loader of its kind of file",
    "json": "it is parsed",
    "yaml": "it is parsed; what it runs stands in a block of its page, too",
    "c": "it is compiled with every warning an error",
    "text": "it is what a command prints: that of the block before it, but for figures",
    "frames": "it is octets of the board protocol",
    "{toctree}": "it is a list of pages, which the build of the site reads",
}


class Block(NamedTuple):
    """One block: its page as seen from the root, the line of its fence, its language, its text."""

    page: str
    line: int
    kind: str
    text: str
    #: what the page calls it: the line before is this name and a colon
    file: str = ""

    def __str__(self) -> str:
        """Return where it stands."""
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """The commands of a shell block, one each, without what is said of them."""
        whole = self.text.replace("\\\n", " ")
        lines = (re.sub(r"(^|\s)#(\s.*|$)", "", line).strip() for line in whole.splitlines())
        return [line for line in lines if line]


def blocks() -> list[Block]:
    """Return all blocks, in the order of pages and lines."""
    found = []
    for path in PAGES:
        text = path.read_text()
        for match in _FENCE.finditer(text):
            line = text.count("\n", 0, match.start(2)) + 1
            page = str(path.relative_to(ROOT))
            found.append(Block(page, line, match[2], match[3], match[1] or ""))
    return found


BLOCKS = blocks()
