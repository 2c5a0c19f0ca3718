"""How long flashrom takes to rewrite a flash: 2 MiB of other data read, erased, written, verified.

flashrom runs unmodified at a pace at which the part's busy times are hardly waited for. The floor
is the bare transport: as many small messages to another process and back.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hil.board import load_board

PACE = 100
NBYTES = 2 << 20
OP = "flashrom, 2 MiB rewritten"

#: Writes one image after the other; prints how long the second took by its own clock.
PROGRAM = """
import subprocess, sys, time
for image in ("first", "second"):
    begin = time.monotonic()
    words = [sys.argv[1], "-p", "linux_spi:dev=/dev/spidev0.0,spispeed=20000", "-w", image]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
print(time.monotonic() - begin)
"""


def rows(echo_us: Callable[[], float]) -> list[dict[str, Any]]:
    """Return the row of the table; none where flashrom is not installed.

    ``echo_us()`` measures one message there and back.
    """
    flashrom = shutil.which("flashrom", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if flashrom is None:
        return []
    seconds, messages = rewritten(flashrom)
    floor = messages * echo_us() / 1e6
    ratio = seconds / floor
    row = {"op": OP, "ours": seconds, "unit": "s", "floor": floor, "ratio_to_floor": ratio}
    return [{**row, "peer": None, "peer_name": None, "ratio_to_peer": None}]


def rewritten(flashrom: str) -> tuple[float, int]:
    """Return the seconds of the wall that the second image took, and its messages."""
    with tempfile.TemporaryDirectory(prefix="hil-bench-") as name:
        folder = Path(name)
        for image in ("first", "second"):
            (folder / image).write_bytes(hashlib.shake_128(image.encode()).digest(NBYTES))
        board = load_board("raspberrypi4").source
        (folder / "board.toml").write_text(board.replace('"w25q128"', '"w25q16"'))
        words = [sys.executable, "-m", "hil", "run", "--pace", f"x{PACE}", "--board", "board.toml"]
        words += ["--out", "run", "-q", "--", sys.executable, "-c", PROGRAM, flashrom]
        done = subprocess.run(words, cwd=folder, check=True, capture_output=True, text=True)
        known = json.loads((folder / "run" / "run.json").read_text())
        # Both images take nearly the same messages; the first one erases nothing.
        return float(done.stdout) / PACE, known["counters"]["host"]["requests"] // 2
