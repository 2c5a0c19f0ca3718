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


def plant(name: str, tree: Path) -> None:
    """Make flight software with one of PLANTS; the codec, which nothing is planted in, is left."""
    shutil.copytree(ROOT / "flightsw", tree, ignore=shutil.ignore_patterns("__pycache__", "codec"))
    file, edits = PLANTS[name]
    text = (tree / file).read_text()
    for old, new in edits:
        assert text.count(old) == 1, f"{file} is not what it was: {old!r}"
        text = text.replace(old, new)
    (tree / file).write_text(text)


def fly_all(folder: Path) -> dict[str, Path]:
    """Fly once with each of PLANTS, in a process of its own; return the run directories."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-P", __file__, str(folder)], env=env, capture_output=True, text=True
    )
    runs = {name: folder / name for name in PLANTS}
    assert all((run / "capture.mcap").is_file() for run in runs.values()), done.stderr
    return runs


def main(folder: Path) -> None:
    """Fly each in a copy of this process that takes the services from its own tree."""
    import flightsw
    from hil.options import Options
    from hil.session import fly

    for name in PLANTS:
        tree = folder / f"{name}-tree"
        plant(name, tree)
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            continue
        flightsw.__path__ = [str(tree), *flightsw.__path__]
        out = folder / name
        options = Options(out=out, duration_s=DURATION_S, transport="direct", inference="threshold")
        fly(options)
        os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
