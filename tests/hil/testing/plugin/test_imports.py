"""What a session loads that never asks for a rig."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HEAVY = ("numpy", "zmq", "construct", "cffi", "serial", "sgp4", "zstandard", "hil.rig", "hil.board")


def test_a_session_without_a_rig_loads_nothing_of_the_bench(
    as_installed: dict[str, str], tmp_path: Path
) -> None:
    """Installing us costs other projects' tests neither NumPy nor ZeroMQ nor the rig."""
    (tmp_path / "test_it.py").write_text(
        "import sys\n"
        "def test_plain():\n"
        f"    assert [name for name in {HEAVY} if name in sys.modules] == []\n"
        "def test_there(request):\n"
        "    assert request.config.pluginmanager.hasplugin('hil')\n"
    )
    words = (*("-W", "error", "-p", "no:xdist", "-p", "no:hypothesispytest"), "-q", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        capture_output=True,
        text=True,
        check=False,
        env=as_installed,
        cwd=tmp_path,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr
