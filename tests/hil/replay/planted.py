"""Flights of flight software in which one line is another: what a mistake looks like."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
#: a first contact begins at 74 s
DURATION_S = 80
MODES = ("mock", "re-execute")

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
    found = importlib.util.find_spec("flightsw")
    assert found is not None
    assert found.origin is not None
    flown = Path(found.origin).parent
    shutil.copytree(flown, tree, ignore=shutil.ignore_patterns("__pycache__", "codec"))
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


def replayed(folder: Path, name: str, mode: str) -> Path:
    """Return where the verdict on a replay lies, of what was flown with nothing planted."""
    return folder / f"{name}.{mode}.json"


def main(folder: Path) -> None:
    """Fly with each, then replay the flight with nothing planted with each of the others."""
    for name in PLANTS:
        plant(name, folder / f"{name}-tree")
        aside(folder, name, partial(fly_to, folder / name))
    for name in PLANTS:
        for mode in MODES:
            aside(folder, name, partial(replay, replayed(folder, name, mode), mode))


def aside(folder: Path, name: str, work: Callable[[], None]) -> None:
    """Work in a copy of this process that takes the services from the tree of a plant."""
    import flightsw

    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    flightsw.__path__ = [str(folder / f"{name}-tree"), *flightsw.__path__]
    work()
    os._exit(0)


def fly_to(out: Path) -> None:
    """Fly into a run directory."""
    from hil.options import Options
    from hil.session import fly

    fly(Options(out=out, duration_s=DURATION_S, transport="direct", inference="threshold"))


def replay(file: Path, mode: str) -> None:
    """Replay the flight with nothing planted; the verdict goes into a file."""
    import contextlib

    from hil.cli import main as hil

    with file.open("w") as out, contextlib.redirect_stdout(out):
        hil(["replay", str(file.parent / "nothing"), "--mode", mode, "--json", "-q"])


if __name__ == "__main__":
    import hil.session  # noqa: F401 - once, and not in each copy

    main(Path(sys.argv[1]))
