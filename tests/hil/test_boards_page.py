"""The page of boards tells the truth: its commands run one after the other, its verbs exist."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.boards.boardtype import load_type, type_names
from hil.boards.doctor import CHECKS
from hil.cli import main
from hil.cli.boards import VERBS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "boards.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


class Reader:
    """Who follows the page: types its commands, leaves running what has an ampersand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: list[subprocess.Popen[str]] = []

    def write(self, toml: str) -> None:
        """Write the lab file."""
        (self.folder / "lab.toml").write_text(toml)

    def type(self, line: str) -> None:
        """Do what a line says; wait for its end, or until it is under way."""
        words = [sys.executable, "-m", *shlex.split(line.partition("#")[0].rstrip("& "))]
        if "&" not in line:
            done = subprocess.run(words, cwd=self.folder, capture_output=True, text=True)
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
            return
        process = subprocess.Popen(words, cwd=self.folder, stdout=subprocess.PIPE, text=True)
        self.running.append(process)
        if " run " in line:
            self.await_run(process)
            return
        assert process.stdout is not None
        assert any(told.startswith("port ") for told in process.stdout), line

    def await_run(self, process: subprocess.Popen[str]) -> None:
        """Wait until the run listens."""
        while process.poll() is None and not list(self.folder.glob("runs/*.partial/control")):
            signal.sigtimedwait([signal.SIGCHLD], 0.05)
        assert process.poll() is None, "the run has ended"

    def close(self) -> None:
        """End what was left running."""
        for process in self.running:
            process.terminate()
            process.communicate()


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """Return a reader with a folder of its own and nobody else's boards."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("HIL_PORTS", str(tmp_path / "ports"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("HIL_LAB", raising=False)
    reading = Reader(tmp_path)
    yield reading
    reading.close()


def test_the_page_can_be_followed_from_top_to_bottom(reader: Reader) -> None:
    """Every command of every block ends well, in the order in which they stand."""
    for kind, text in BLOCKS:
        if kind == "toml":
            reader.write(text)
            continue
        for line in text.splitlines():
            reader.type(line)


def test_every_command_in_the_text_exists(capsys: pytest.CaptureFixture[str]) -> None:
    """Each verb and option that the page names beside its blocks is in the help of that verb."""
    named = re.findall(r"`hil boards (\w+)([^`]*)`", PAGE)
    assert len(named) > 5
    for verb, words in named:
        if verb == "VERB":
            continue
        assert verb in VERBS
        with pytest.raises(SystemExit):
            main(["boards", verb, "--help"])
        text = capsys.readouterr().out
        assert [o for o in re.findall(r"--[a-z-]+", words) if o not in text] == [], verb


def test_every_board_type_is_on_the_page() -> None:
    """A type that people flash or plug in has its row; two are there for QEMU only."""
    emulated_only = {"lm3s6965evb", "mps2-an385"}
    assert [n for n in type_names() if f"`{n}`" not in PAGE and n not in emulated_only] == []


def test_every_fault_of_the_doctor_is_in_the_table() -> None:
    """What the doctor can find, it is said how it looks to who does not ask the doctor."""
    rows = PAGE.partition("## When it does not work")[2].count("\n| ") - 1
    told_elsewhere = 1  # the ports themselves are no fault
    assert rows >= len(CHECKS) - told_elsewhere


def test_every_board_type_is_in_the_table_of_capabilities() -> None:
    """Type by type it is said how it is emulated, with each kind that its file names."""
    table = (ROOT / "docs" / "capabilities.md").read_text().partition("## Dev boards")[2]
    for name in type_names():
        (row,) = re.findall(rf"^\| `{name}` \|.*$", table, re.MULTILINE)
        assert [kind for kind in load_type(name).emulations if f"`{kind}`" not in row] == [], name
