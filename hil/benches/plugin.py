"""What a test with a rig costs under pytest, beside a plain test of the same session's length.

Each figure is a session of pytest in a process of its own, less one that has a single test of the
same kind: imports, and what happens once, are left out. Of each kind there is the time of the wall
and that of the processor, which others who use the machine disturb less. The limit is in the
column of the peer.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

#: What is promised of a test with a rig of ten parts, milliseconds beyond a plain test.
LIMIT_MS = 10.0
_HEAD = "import pytest\nfrom hil.testing.bench import ms\n"
_CASES = '@pytest.mark.parametrize("n", range({count}))\n'
#: what a test of each kind does
KINDS = {
    "plain": _HEAD + _CASES + "def test_it(n):\n    assert n >= 0\n",
    "rig": _HEAD
    + _CASES
    + '@pytest.mark.hil(flight="none")\ndef test_it(rig, n):\n'
    + "    rig.run_for(10 * ms)\n    assert rig.now_ns == 10 * ms\n",
    "rig, flight software": _HEAD
    + _CASES
    + "def test_it(rig, n):\n    rig.run_for(10 * ms)\n    assert rig.now_ns == 10 * ms\n",
}


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Return two rows a kind of test, milliseconds each."""
    count, repeats = (100, 1) if quick else (1000, 2)
    with tempfile.TemporaryDirectory(prefix="flatsat-") as place:
        folder = Path(place)
        _installed(folder / "installed")
        each = {kind: each_ms(folder, text, count, repeats) for kind, text in KINDS.items()}
    clocks = ("wall", "processor")
    return [
        _row(f"test, {kind}, {clock}", ms, None if kind == "plain" else plain)
        for nth, clock in enumerate(clocks)
        for kind, ms, plain in ((kind, each[kind][nth], each["plain"][nth]) for kind in each)
    ]


def each_ms(folder: Path, text: str, count: int, repeats: int) -> tuple[float, float]:
    """Return what one test more costs a session, milliseconds of wall and processor.

    The best of a few sessions, of each clock.
    """
    few, many = (
        [
            min(times)
            for times in zip(*(session_s(folder, text, n) for _ in range(repeats)), strict=True)
        ]
        for n in (1, count + 1)
    )
    wall, processor = (1000.0 * (b - a) / count for a, b in zip(few, many, strict=True))
    return wall, processor


def session_s(folder: Path, text: str, count: int) -> tuple[float, float]:
    """Run a session of so many tests; return the time of the wall and of processors."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_it.py").write_text(text.format(count=count))
    path = os.pathsep.join([str(folder / "installed"), *sys.path])
    begin_s, used_s = time.perf_counter(), _used_s()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    wall_s = time.perf_counter() - begin_s
    assert f"{count} passed" in done.stdout, done.stdout + done.stderr
    return wall_s, _used_s() - used_s


def _used_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _installed(folder: Path) -> None:
    """Make the plugin known to pytest, also where this tree is not installed."""
    about = folder / "flatsat_bench-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: flatsat-bench\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[pytest11]\nhil = hil.testing.plugin\n")


def _row(op: str, ours: float, floor: float | None) -> dict[str, Any]:
    limit = None if floor is None else LIMIT_MS
    return {
        "op": op,
        "ours": ours,
        "unit": "ms",
        "floor": floor,
        "peer": limit,
        "peer_name": None if limit is None else "the limit",
        "ratio_to_floor": None if floor is None else ours / floor,
        "ratio_to_peer": None if limit is None else ours / limit,
    }
