"""Debian's gpsd, unmodified, on the emulated GNSS receiver: a daemon on a tty of the bench."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hil.hosting import SHIM

ROOT = Path(__file__).resolve().parents[2]
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"

pytestmark = pytest.mark.skipif(
    not (ROOT / "hil" / "faces" / SHIM).is_file(), reason="the preload shim was not built"
)
SCRIPT = """
gpsd -N -n -b -s 115200 -S "$1" /dev/ttyAMA1 2>/dev/null &
until gpspipe -w -n 1 "127.0.0.1:$1" >/dev/null 2>&1; do sleep 0.1; done
gpspipe -w -n 400 "127.0.0.1:$1" | grep -m 1 '"mode":3'
kill $!
"""


def free_port() -> int:
    """Return a port of the loopback interface that nobody uses now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_gpsd_finds_the_receiver_and_its_fix(tmp_path: Path) -> None:
    """gpsd knows it for a u-blox receiver and reports a fix in three dimensions, in orbit."""
    for tool in ("gpsd", "gpspipe"):
        if not shutil.which(tool, path=PATH):
            pytest.skip(f"{tool} is not installed")
    words = [sys.executable, "-m", "hil", "run", "--pace", "x20", "--out", str(tmp_path / "run")]
    done = subprocess.run(
        [*words, "-q", "--", "sh", "-c", SCRIPT, "sh", str(free_port())],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": PATH, "PYTHONPATH": str(ROOT)},
        timeout=120,
    )
    fix = json.loads(done.stdout)
    assert fix["class"] == "TPV"
    assert fix["device"] == "/dev/ttyAMA1"
    assert -90 <= fix["lat"] <= 90
    assert 300_000 < fix["alt"] < 700_000
