"""What a session loads that never asks for a rig."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from hil.testing.plugin.coexisting import spare

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
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"]}
    words = ("-W", "error", "-p", "hil", "-q", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**as_installed, **alone},
        cwd=tmp_path,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_our_own_assertions_are_left_as_they_are(within: pytest.Pytester) -> None:
    """pytest rewrites what comes with a plugin: of a bench that costs time, and snapshots know its
    code by what it is compiled to."""
    config = within.parseconfig()
    hook = config.pluginmanager.rewrite_hook
    hook.mark_rewrite("hil", "flightsw", "other")
    state = SimpleNamespace(trace=lambda text: None)
    assert hook._is_marked_for_rewrite("hil.rig", state)
    spare(config.pluginmanager)
    asked = {
        name: hook._is_marked_for_rewrite(name, state)
        for name in ("hil.rig", "flightsw.app", "other.x")
    }
    assert asked == {"hil.rig": False, "flightsw.app": False, "other.x": True}
