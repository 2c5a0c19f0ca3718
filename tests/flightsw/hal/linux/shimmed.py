"""Programs of ours as unmodified ones: under the preload shim, on a bench in virtual time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
#: only a guard: programs take two seconds here, on a machine that is busy sixty times as long
LIMIT_S = 400


def words(folder: Path, *command: str, board: str = "raspberrypi4", clock: str = "") -> list[str]:
    """Return the words that run a command on a board's emulated buses."""
    if not (ROOT / "hil" / "faces" / "_shim.so").is_file():
        pytest.skip("the preload shim was not built")
    hil = [sys.executable, "-m", "hil", "run", "-q", "--board", board, "--out", str(folder / "B")]
    return [*hil, clock or "--virtual-time", "--", *command]


def shimmed(folder: Path, program: str, board: str = "raspberrypi4") -> str:
    """Run a Python program under the shim; return what it printed."""
    path = folder / "program.py"
    path.write_text(program)
    done = subprocess.run(
        words(folder, sys.executable, str(path), board=board),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=folder,
        timeout=LIMIT_S,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def board_with(folder: Path, **inputs: str) -> str:
    """Return the path of the default board on which values of the world are those given."""
    text = (ROOT / "boards" / "raspberrypi4.toml").read_text()
    for name, value in inputs.items():
        text, count = re.subn(rf'"{re.escape(name.replace("__", "."))}"', f'"{value}"', text)
        assert count, f"nothing on the board feels {name}"
    path = folder / "board.toml"
    path.write_text(text)
    return str(path)
