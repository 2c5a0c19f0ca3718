"""The files that pages show, read by what reads them in earnest."""

from __future__ import annotations

import importlib.resources
import json
import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from blocks import BLOCKS, ROOT, Block

from hil.board import load_board
from hil.boards.lab import load_lab
from hil.channel import load_channel
from hil.faults.plan import read_plan
from hil.missions import load as load_mission
from hil.missions.schema import SCHEMA


def read(block: Block, folder: Path) -> None:
    """Read a block as the file that it is; raise for one that is none."""
    if block.kind == "yaml":
        workflow(block)
    elif block.kind == "json":
        json.loads(block.text)
    else:
        {"toml": toml, "c": compiled}[block.kind](block.text, folder)


def workflow(block: Block) -> None:
    """Parse a file of a CI service, whose commands the page has its reader type, too."""
    yaml = pytest.importorskip("yaml", reason="PyYAML, of the extra docs, is not installed")
    text = json.dumps(yaml.safe_load(block.text))
    ran = [line for b in BLOCKS if b.page == block.page and b.kind == "sh" for line in b.commands]
    steps = [
        line for run in re.findall(r'"run": "(.*?)"', text) for line in run.split("\\n") if line
    ]
    assert steps
    assert [step for step in steps if step not in ran] == []


def compiled(text: str, folder: Path) -> None:
    """Compile a C program with every warning an error."""
    source = folder / "block.c"
    source.write_text(text)
    words = ["cc", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", str(source)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def toml(text: str, folder: Path) -> None:
    """Give a file to the loader that knows its tables."""
    tables = set(tomllib.loads(text))
    path = folder / "block.toml"
    for known, load in LOADERS:
        if tables <= known:
            load(text, path)
            return
    raise AssertionError(f"no file of ours has the tables {sorted(tables)}")


def _written(load: Callable[[Path], object]) -> Callable[[str, Path], object]:
    def from_text(text: str, path: Path) -> object:
        path.write_text(text)
        return load(path)

    return from_text


def _board(text: str, path: Path) -> object:
    """Load a board file; where it is only a few tables, the default one with these for its own."""
    if "[board]" not in text:
        base = (ROOT / "boards" / "raspberrypi4.toml").read_text()
        for name in re.findall(r"^\[([^\[\]]*)\]", text, re.MULTILINE):
            base = re.sub(
                rf"^\[{re.escape(name)}\][^\n]*\n.*?(?=^\[|\Z)", "", base, flags=re.M | re.S
            )
        text = f"{base}\n{text}"
    path.write_text(text)
    return load_board(str(path))


def _mission(text: str, path: Path) -> object:
    """Load the default profile with the keys of a block in the place of its own."""
    profile = importlib.resources.files("hil.missions") / "tiansuan_bupt1.toml"
    base = profile.read_text()
    for line in text.splitlines():
        key = line.partition(" ")[0]
        base, count = re.subn(rf"^{key} = .*$", lambda _, line=line: line, base, flags=re.MULTILINE)
        assert count == 1, key
    path.write_text(base)
    return load_mission(str(path))


def _project(text: str, path: Path) -> None:
    """Know the tables of a package and of the tools that read them."""
    found = tomllib.loads(text)
    assert "project" not in found or found["project"]["name"]
    assert set(found.get("tool", {})) <= {"pytest", "hatch", "hil"}


#: tables of a file -> what reads it
LOADERS: tuple[tuple[set[str], Callable[[str, Path], object]], ...] = (
    ({"schema", "instance"}, _written(load_lab)),
    ({"fault"}, _written(lambda path: read_plan((), path))),
    (
        {"channel", "convolutional", "marker", "reed_solomon", "frames", "packets", "layout"},
        _written(load_channel),
    ),
    ({"board", "computer", "bus", "part", "replay", "schema"}, _board),
    ({"build-system", "project", "tool", "dependency-groups"}, _project),
    ({key for fields in SCHEMA.values() for key in fields}, _mission),
)
