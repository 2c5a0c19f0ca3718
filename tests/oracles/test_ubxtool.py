"""Debian's ubxtool, unmodified, sets up the emulated GNSS receiver and reads it back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hil.hosting import SHIM

ROOT = Path(__file__).resolve().parents[2]
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"

pytestmark = [
    pytest.mark.skipif(
        not (ROOT / "hil" / "faces" / SHIM).is_file(), reason="the preload shim was not built"
    ),
    pytest.mark.skipif(not shutil.which("ubxtool"), reason="ubxtool (gpsd-tools) is not installed"),
]
#: where a program asks something and what it must be told, in this order
STEPS = [
    ("-z CFG-RATE-MEAS,200,1", ["ACK to Class x06 (CFG) ID x8a (VALSET)"]),
    ("-g CFG-RATE-MEAS,0", ["item CFG-RATE-MEAS/0x30210001 val 200", "ID x8b (VALGET)"]),
    ("-z CFG-NAVSPG-DYNMODEL,1,1", ["NAK to Class x06 (CFG) ID x8a (VALSET)"]),
    ("-p MON-VER", ["extension PROTVER=32.01", "extension MOD=NEO-M9N"]),
    ("-p NAV-SAT", ["version 1 numSvs 18"]),
]


def test_ubxtool_sets_reads_back_and_polls(tmp_path: Path) -> None:
    """A rate is set and read, one is refused; version and satellites are told."""
    tool = "ubxtool -f /dev/ttyAMA1 -s 115200 -P 32.01 -w 3 -v 2"
    script = "sleep 40; " + "".join(f"echo STEP; {tool} {step} 2>/dev/null;" for step, _ in STEPS)
    words = [sys.executable, "-m", "hil", "run", "--pace", "x20", "--out", str(tmp_path / "run")]
    done = subprocess.run(
        [*words, "-q", "--", "sh", "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": PATH, "PYTHONPATH": str(ROOT)},
        timeout=120,
    )
    told = done.stdout.split("STEP\n")[1:]
    assert len(told) == len(STEPS), done.stderr
    for (step, wanted), text in zip(STEPS, told, strict=True):
        for words_wanted in wanted:
            assert words_wanted in text, f"ubxtool {step}: {text[-1500:]}"
