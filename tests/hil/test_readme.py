"""README tells the truth: its files exist, its lines are what make does.

That its commands run is held with those of all pages, by ``tests/docs/test_blocks.py``.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def test_the_first_screen_has_one_command_to_run_and_one_to_test():
    """The first forty lines hold the run and the test command."""
    first = "\n".join(README.splitlines()[:40])
    assert "make run" in first
    assert "make test" in first


def test_the_lines_without_make_are_what_make_does():
    """The pip and pytest lines beside make are those of the Makefile."""
    makefile = (ROOT / "Makefile").read_text()
    for extra in ("orbit", "test"):
        assert f"-e '.[{extra}]'" in README
        assert f"-e '.[{extra}]'" in makefile
    assert ".venv/bin/python -m pytest" in README
    assert "$(BIN)/python -m pytest" in makefile


def test_ci_calls_the_test_command_of_readme():
    """CI runs what README says, and nothing that a reader does not get."""
    assert "make test" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)#]+)\)", README))
def test_every_file_that_readme_shows_exists(path):
    """Links and pictures lead somewhere."""
    assert (ROOT / path).is_file()


@pytest.mark.parametrize("folder", re.findall(r"^\| `([a-z]+)/`", README, re.MULTILINE))
def test_every_room_of_readme_exists(folder):
    """The folders that README names are there, are installed, or are made by a run."""
    there = (ROOT / folder).is_dir() or importlib.util.find_spec(folder) is not None
    assert there or folder in {"products", "payload"}
