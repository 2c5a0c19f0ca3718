"""The list of tests that the emulated ARM leaves out is held to be whole and true."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TESTS = """
import pytest

def test_passes():
    pass

@pytest.mark.parametrize("number", [1, 2])
def test_skips(number):
    pytest.skip("not here")

def test_fails():
    raise AssertionError
"""


def session(folder: Path, listed: str, *words: str) -> tuple[int, str]:
    """Run pytest on four tests and a list; return exit code and what it said."""
    (folder / "tests").mkdir()
    (folder / "tests" / "test_some.py").write_text(TESTS)
    (folder / "tests" / "test_wreck.py").write_text("import pytest\npytest.importorskip('nowhere')")
    (folder / "pytest.ini").write_text("[pytest]\ntestpaths = tests\n")
    (folder / "list.txt").write_text(listed)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "left_out", "--left-out=list.txt"]
    env = {**os.environ, "PYTHONPATH": str(ROOT / ".ci")}
    done = subprocess.run(
        [*command, *words], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout


WHOLE = """
# a remark
tests/test_wreck.py             a module that is nowhere
tests/test_some.py::test_skips  cannot be here
tests/test_some.py::test_f*     fails
"""


def test_what_is_listed_does_not_run(tmp_path: Path) -> None:
    """With a whole list a session passes that would fail."""
    code, said = session(tmp_path, WHOLE)
    assert (code, "1 passed, 3 skipped" in said) == (0, True), said


def test_a_skip_that_is_not_listed_fails_the_session(tmp_path: Path) -> None:
    """A test and a file that skip themselves are named with their reasons, in workers too."""
    code, said = session(tmp_path, "tests/test_some.py::test_fails  it does\n", "-n", "1")
    assert code == 1
    assert "not on the list: tests/test_some.py::test_skips[2]: Skipped: not here" in said
    assert "not on the list: tests/test_wreck.py: Skipped: could not import 'nowhere'" in said


def test_an_entry_that_fits_nothing_fails_the_session(tmp_path: Path) -> None:
    """A test that has gone leaves the list, too."""
    code, said = session(tmp_path, WHOLE + "tests/test_gone.py  it was slow\n")
    assert code == 1
    assert "no test is of that name: tests/test_gone.py" in said


def test_a_part_of_the_suite_uses_a_part_of_the_list(tmp_path: Path) -> None:
    """Entries of other files do not count where only one file is asked for."""
    code, said = session(tmp_path, WHOLE + "tests/test_gone.py  slow\n", "tests/test_some.py")
    assert (code, "1 passed, 3 skipped" in said) == (0, True), said


def test_an_entry_without_a_reason_is_refused(tmp_path: Path) -> None:
    """Each name has its reason beside it."""
    assert session(tmp_path, "tests/test_some.py\n")[0] == pytest.ExitCode.USAGE_ERROR


def test_what_may_skip_runs_where_it_can(tmp_path: Path) -> None:
    """An entry with a question mark lets its tests run, and skip."""
    listed = WHOLE.replace("tests/test_some.py::test_skips", "?tests/test_*.py::test_[sp]*")
    assert session(tmp_path, listed)[0] == 1  # brackets are letters of a name
    listed = WHOLE.replace("tests/test_some.py::test_skips", "?tests/test_*.py")
    (tmp_path / "again").mkdir()
    code, said = session(tmp_path / "again", listed)
    assert (code, "1 passed, 3 skipped" in said) == (0, True), said
