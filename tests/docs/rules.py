"""What ``rules.toml`` says of the blocks: who holds them, what is not run, what makes one short."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import NamedTuple

from blocks import BLOCKS, Block


class Held(NamedTuple):
    """Blocks of a page that a test with a stage of its own runs, or compares."""

    page: str
    kind: str
    #: what stands in the block; empty: all of this kind
    has: str
    #: file below tests/ and function
    test: str


_RULES = tomllib.loads(Path(__file__).with_name("rules.toml").read_text())
HELD = [Held(**row) for row in _RULES["held"]]
NOT_HERE = {row["command"]: row["why"] for row in _RULES["not_here"]}
SHOWN = {(row["page"], row["begins"]): row["why"] for row in _RULES["shown"]}
SHORTER = [(row["what"], row["instead"]) for row in _RULES["shorter"]]


def held(block: Block) -> list[Held]:
    """Return who holds a block."""
    return [h for h in HELD if (h.page, h.kind) == (block.page, block.kind) and h.has in block.text]


def why_not(command: str) -> str | None:
    """Return why a command is not run; None for one that is."""
    return next((why for what, why in NOT_HERE.items() if re.search(what, command)), None)


def shown(block: Block) -> bool:
    """Tell whether a block of output is of a command that does not stand before it."""
    return any(block.page == page and block.text.startswith(start) for page, start in SHOWN)


def short(command: str) -> str:
    """Return a command with what makes it short."""
    for pattern, instead in SHORTER:
        command, count = re.subn(pattern, instead, command)
        if count and pattern.startswith("^"):
            break
    return command


def left(kind: str) -> list[Block]:
    """Return the blocks of a kind that nobody else holds."""
    return [block for block in BLOCKS if block.kind == kind and not held(block)]
