"""Debian's gpsd, unmodified, on the emulated GNSS receiver: a daemon on a tty of the bench."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hil.hosting import SHIM

ROOT = Path(__file__).resolve().parents[2]
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"

pytestmark = pytest.mark.skipif(
    not (ROOT / "hil" / "faces" / SHIM).is_file(), reason="the preload shim was not built"
)
SCRIPT = """
gpsd -N -n $2 -s 115200 -S "$1" /dev/ttyAMA1 2>/dev/null &
until gpspipe -w -n 1 "127.0.0.1:$1" >/dev/null 2>&1; do sleep 0.1; done
gpspipe -w -n 400 "127.0.0.1:$1" | grep -m 1 "$3"
kill $!
"""


def free_port() -> int:
    """Return a port of the loopback interface that nobody uses now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def told_by_gpsd(tmp_path: Path, options: str, pattern: str) -> dict[str, Any]:
    """Run gpsd on the receiver; return the first JSON object of its clients with a pattern."""
    for tool in ("gpsd", "gpspipe"):
        if not shutil.which(tool, path=PATH):
            pytest.skip(f"{tool} is not installed")
    words = [sys.executable, "-m", "hil", "run", "--pace", "x20", "--out", str(tmp_path / "run")]
    given = ["sh", "-c", SCRIPT, "sh", str(free_port()), options, pattern]
    done = subprocess.run(
        [*words, "-q", "--", *given],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": PATH, "PYTHONPATH": str(ROOT)},
        timeout=120,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_gpsd_finds_the_receiver_and_its_fix(tmp_path: Path) -> None:
    """gpsd knows it for a u-blox receiver and reports a fix in three dimensions, in orbit."""
    fix = told_by_gpsd(tmp_path, "-b", '"mode":3')
    assert fix["class"] == "TPV"
    assert fix["device"] == "/dev/ttyAMA1"
    assert -90 <= fix["lat"] <= 90
    assert 300_000 < fix["alt"] < 700_000


def test_gpsd_sets_the_receiver_up_for_its_sky(tmp_path: Path) -> None:
    """Allowed to write, gpsd switches UBX-NAV-SAT on and reports the satellites and their use."""
    sky = told_by_gpsd(tmp_path, "-D0", '"uSat":14')
    assert (sky["class"], sky["nSat"], len(sky["satellites"])) == ("SKY", 18, 18)
    assert sum(satellite["used"] for satellite in sky["satellites"]) == 14
    assert (sky["pdop"], sky["hdop"]) == (1.2, 0.8)
