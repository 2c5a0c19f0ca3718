"""README tells the truth: its commands run, its files exist, its lines are what make does."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
from pathlib import Path

import pytest

from hil.cli import main

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
COMMANDS = sorted(set(re.findall(r"`(hil [^`]+)`", README)))
#: What makes a command of README quick enough for the suite; its meaning stays.
QUICK = {
    "run": ["--duration", "30", "--inference", "threshold", "-q"],
    "bench": ["--quick"],
    "checkout": [],
    "doctor": [],
    "boards": [],
    "codec": [],
    "replay": [],
    "diff": [],
    "bisect": ["--duration", "8", "--inference", "threshold", "--fails", "lost", "-q"],
    "tap": ["--out", "tapped", "--quiet"],
    "export": ["--out", "exported"],
    "import": ["-q"],
    "recover": [],
    "snapshot": ["-q"],
    "pack": [],
}
#: What `hil bisect` is given: two rows that nothing dies of.
PLAN = """
[[fault]]
on = "i2c-1"
kind = "delay"
ns = 1000

[[fault]]
on = "can0"
kind = "crc"
rate = 0.1
"""


@pytest.fixture(scope="module")
def flown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run, and another beside it, as the commands of README name them."""
    folder = tmp_path_factory.mktemp("flown")
    for name, seed in (("RUN", 1), ("OTHER", 2)):
        words = ["--duration", "8", "--inference", "threshold", "--transport", "direct", "-q"]
        main(["run", "--seed", str(seed), "--out", str(folder / name), *words])
    main(["export", str(folder / "RUN"), "--out", str(folder / "trace.pcapng")])
    return folder


def test_the_first_screen_has_one_command_to_run_and_one_to_test():
    """The first forty lines hold the run and the test command."""
    first = "\n".join(README.splitlines()[:40])
    assert "make run" in first
    assert "make test" in first


@pytest.mark.parametrize("command", [c for c in COMMANDS if not c.startswith("hil bench time")])
def test_every_command_in_readme_runs(command, flown, tmp_path, monkeypatch, capsys):
    """Each `hil` command ends with success, or with the verdict of too short a flight."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "docs" / "channels" / "mars2020.toml", "channel.toml")
    Path("pass.bin").write_bytes(bytes(2230))
    Path("plan.toml").write_text(PLAN)
    shutil.copytree(flown, tmp_path, dirs_exist_ok=True)
    words = shlex.split(command)[1:]
    words = [word.replace("kill@1200", "kill@12") for word in words]
    quick = QUICK[words[0]]
    if words[:2] == ["bench", "codec"]:
        quick = [*quick, "--only", "bch"]
    if "--pace" in words:
        quick = [*quick, "--duration", "2"]
    if "--" in words:
        if not shutil.which(words[-3], path=f"{os.environ['PATH']}:/usr/sbin"):
            pytest.skip(f"{words[-3]} is not installed")
        monkeypatch.setenv("PATH", f"{os.environ['PATH']}:/usr/sbin")
        quick = []
    assert main([*words, *quick]) in {0, 1}
    assert "Traceback" not in capsys.readouterr().err


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
