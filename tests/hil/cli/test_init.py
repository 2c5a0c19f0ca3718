"""`hil init` writes projects that pass as they are, and touches nothing that is there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hil.board import load_board
from hil.cli import main
from hil.projects import CI, KINDS


def test_what_is_there_is_never_touched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One file in the way: nothing is written, and the file is named."""
    (tmp_path / "board.toml").write_text("mine")
    assert main(["init", str(tmp_path)]) == 2
    assert "board.toml is there already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["board.toml"]
    assert (tmp_path / "board.toml").read_text() == "mine"


@pytest.mark.parametrize("name", ["", "9lives", "a" * 33, "white space", "../up"])
def test_a_name_that_no_board_can_have_is_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name that would not load is refused before anything is written."""
    assert main(["init", str(tmp_path / "new"), "--name", name]) == 2
    assert "--name" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_the_folder_gives_the_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --name project and board are called as their folder, without what names lack."""
    assert main(["init", str(tmp_path / "my guard"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "my-guard"
    assert load_board(str(tmp_path / "my guard" / "board.toml")).name == "my-guard"


@pytest.mark.parametrize("ci", [*CI, "none"])
def test_one_ci_file_or_none(ci: str, tmp_path: Path) -> None:
    """The CI file that was asked for is there, and no other."""
    assert main(["init", str(tmp_path), "--name", "mine", "--ci", ci]) == 0
    there = {name for name, (place, _) in CI.items() if (tmp_path / place).exists()}
    assert there == {ci} - {"none"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_project_passes(kind: str, tmp_path: Path, as_installed: dict[str, str]) -> None:
    """The tests of a project that was just written pass, all of them, and none is skipped."""
    if kind == "c" and not (shutil.which("make") and shutil.which("cc")):
        pytest.skip("no make or no C compiler")
    assert main(["init", str(tmp_path / "mine"), "--kind", kind]) == 0
    said = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path / "mine",
        env={**as_installed, "PYTHONDONTWRITEBYTECODE": "1", "LANG": os.environ.get("LANG", "C")},
        capture_output=True,
        text=True,
    )
    assert said.returncode == 0, said.stdout + said.stderr
    assert "3 passed" in said.stdout
    if shutil.which("git"):
        git = ["git", "-C", str(tmp_path / "mine")]
        subprocess.run([*git, "init", "-q"], check=True)
        told = subprocess.run([*git, "add", "-An"], capture_output=True, text=True, check=True)
        written = {row.removeprefix("add '").removesuffix("'") for row in told.stdout.splitlines()}
        assert written == {*KINDS[kind], CI["github"][0]}, "what was built is no source"
