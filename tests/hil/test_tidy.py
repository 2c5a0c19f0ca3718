"""The house style, held by a test: sizes, marks, silent errors, docstrings, places."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILE_LINES, FUNCTION_LINES, COLUMNS = 500, 70, 100
#: C is wider: prototypes of kernels carry their (pointer, length) pairs on few lines.
C_COLUMNS = 120

#: Written by the build where Python's headers are missing; not ours to keep tidy.
GENERATED = ROOT / "flightsw" / "codec" / "_codec_plain_ffi.py"
PYTHON = sorted(
    path
    for name in ("flightsw", "hil", "tests", "csrc", "docs")
    for path in (ROOT / name).rglob("*.py")
    if path != GENERATED
)
C = sorted(
    path
    for pattern in ("*.c", "*.h")
    for path in (ROOT / "csrc").rglob(pattern)
    if path.parent.name != "tables"  # scripts write them
)
TEXT = sorted(
    path
    for pattern in ("README.md", "CHANGELOG.md", "Makefile", "docs/**/*.md", "boards/**/*.toml")
    for path in ROOT.glob(pattern)
)
TEXT += sorted((ROOT / "hil" / "missions").glob("*.toml"))

#: Spelt apart, so that this file does not find itself.
MARKS = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")
PLACES = re.compile("|".join(("/wo" + "rk/", "/ho" + "me/", "/ro" + "ot/", "/Us" + "ers/")))

Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: Path) -> str:
    """Return a path as a test id."""
    return str(path.relative_to(ROOT))


@cache
def tree(path: Path) -> ast.Module:
    """Return a file as Python reads it."""
    return ast.parse(path.read_text())


def functions(path: Path) -> Iterator[Function]:
    """Yield every function of a file."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", PYTHON + C, ids=name_of)
def test_files_and_lines_are_short(path: Path) -> None:
    """A file has one subject and at most 500 lines; a line fits a screen."""
    lines = path.read_text().splitlines()
    limit = COLUMNS if path.suffix == ".py" else C_COLUMNS
    assert len(lines) <= FILE_LINES
    assert [i for i, line in enumerate(lines, 1) if len(line) > limit] == []


@pytest.mark.parametrize("path", PYTHON, ids=name_of)
def test_functions_fit_a_screen(path: Path) -> None:
    """A function has at most 70 lines."""
    long = [
        f"{node.name}, line {node.lineno}"
        for node in functions(path)
        if (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_LINES
    ]
    assert long == []


@pytest.mark.parametrize("path", PYTHON + C + TEXT, ids=name_of)
def test_no_marks_and_no_places(path: Path) -> None:
    """Nothing is left for later, and nothing names a folder of the machine it was written on."""
    text = path.read_text()
    assert MARKS.findall(text) == []
    assert PLACES.findall(text) == []


def swallows(handler: ast.ExceptHandler, has_else: bool) -> bool:
    """Return whether a handler catches everything and tells nobody, or does nothing at all.

    Where the ``try`` has an ``else``, doing nothing is a branch taken, not an error lost.
    """
    names = {node.id for node in ast.walk(handler.type or ast.Pass()) if isinstance(node, ast.Name)}
    catches_all = handler.type is None or bool(names & {"Exception", "BaseException"})
    told = any(
        isinstance(node, ast.Raise) or (isinstance(node, ast.Name) and node.id == handler.name)
        for statement in handler.body
        for node in ast.walk(statement)
    )
    is_empty = all(
        isinstance(node, ast.Pass)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for node in handler.body
    )
    return (is_empty and not has_else) or (catches_all and not told)


@pytest.mark.parametrize("path", PYTHON, ids=name_of)
def test_no_error_is_swallowed(path: Path) -> None:
    """No handler is empty, and none catches everything without telling of it."""
    lost = [
        handler.lineno
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Try)
        for handler in node.handlers
        if swallows(handler, bool(node.orelse))
    ]
    assert lost == []


@pytest.mark.parametrize(
    "path", [path for path in PYTHON if path.name.startswith("test_")], ids=name_of
)
def test_each_test_says_what_must_hold(path: Path) -> None:
    """Every test function has a docstring that is a sentence."""
    silent = [
        node.name
        for node in functions(path)
        if node.name.startswith("test_")
        and not (ast.get_docstring(node) or "").split("\n\n")[0].endswith(".")
    ]
    assert silent == []


@pytest.mark.parametrize(
    "path",
    [p for p in PYTHON if p.is_relative_to(ROOT / "flightsw") or p.is_relative_to(ROOT / "hil")],
    ids=name_of,
)
def test_each_module_says_what_it_is(path: Path) -> None:
    """Every module that holds code starts with a docstring."""
    assert not tree(path).body or ast.get_docstring(tree(path))


def test_nothing_else_lies_at_the_top() -> None:
    """The top of the repository holds the rooms and a handful of files, and no leftovers."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("no repository: what an archive holds is what was put into it")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    rooms = {".ci", "boards", "csrc", "docs", "flightsw", "hil", "tests"}
    files = {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "Makefile", ".gitignore"}
    assert {name.split("/")[0] for name in listed.stdout.split("\0") if name} <= rooms | files
