"""Flights of flight software in which one line is another: what a mistake looks like."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
#: a first contact begins at 74 s
DURATION_S = 90

#: name -> file of the flight software, (what stands there, what stands there instead), ...
PLANTS: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "nothing": ("services/collectors.py", ()),
    # a scale factor
    "scale": (
        "services/collectors.py",
        (("            eps.battery_mv,\n", "            eps.battery_mv * 101 // 100,\n"),),
    ),
    # two octets of a word that is written to a register
    "swap": ("drivers/ina3221.py", (('.to_bytes(2, "big")', '.to_bytes(2, "little")'),)),
    # one transaction that comes 2 ms late
    "late": (
        "drivers/ina3221.py",
        (
            ("self._device = device\n", "self._device, self.clk = device, hal.clock\n"),
            (
                "        row = []\n",
                "        row = []\n        self.reads = getattr(self, 'reads', 0) + 1\n"
                "        if self.reads == 50:\n"
                "            self.clk.sleep_until(self.clk.now_ns() + 2_000_000)\n",
            ),
        ),
    ),
    # one packet that is taken and not sent
    "missing": (
        "services/downlink.py",
        (
            (
                "            packet = self._store.take()\n",
                "            packet = self._store.take()\n"
                "            self.taken = getattr(self, 'taken', 0) + 1\n"
                "            if self.taken == 9:\n"
                "                packet = self._store.take()\n",
            ),
        ),
    ),
}  # fmt: skip
_HIL = "import sys; from hil.cli import main; sys.exit(main(sys.argv[1:]))"


def fly(name: str, folder: Path) -> Path:
    """Fly with one of PLANTS; return the run directory."""
    tree, out = folder / f"{name}-tree", folder / name
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "flightsw", tree / "flightsw", ignore=ignored)
    file, edits = PLANTS[name]
    text = (tree / "flightsw" / file).read_text()
    for old, new in edits:
        assert text.count(old) == 1, f"{file} is not what it was: {old!r}"
        text = text.replace(old, new)
    (tree / "flightsw" / file).write_text(text)
    words = ["run", "--transport", "direct", "--inference", "threshold", "-q"]
    words += ["--duration", str(DURATION_S), "--out", str(out)]
    env = {**os.environ, "PYTHONPATH": f"{tree}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", _HIL, *words], env=env, capture_output=True, text=True
    )
    assert (out / "capture.mcap").is_file(), done.stderr
    return out
