"""Load and memory of any Linux host: proc(5)."""

from __future__ import annotations

from pathlib import Path

from flightsw.computer.reading import Absent, Reading, Result, Unreadable, text_of

_JIFFIES = 10
_IDLE, _IOWAIT = 3, 4


def load(root: Path = Path("/")) -> Result:
    """Return the mean of runnable threads over a minute, in hundredths."""
    try:
        words = text_of(root / "proc/loadavg").split()
        return Reading("host.load", round(float(words[0]) * 100), "1/100")
    except (Unreadable, ValueError, IndexError) as why:
        return Absent("host.load", str(why))


def memory(root: Path = Path("/")) -> list[Result]:
    """Return memory in use and memory there is, KiB; what can be given back is not in use."""
    try:
        rows = dict(line.split(":", 1) for line in text_of(root / "proc/meminfo").splitlines()[:10])
        total, free = (int(rows[name].split()[0]) for name in ("MemTotal", "MemAvailable"))
    except (Unreadable, ValueError, KeyError, IndexError) as why:
        told = f"/proc/meminfo lacks {why}" if isinstance(why, KeyError) else str(why)
        return [Absent("host.memory_used", told), Absent("host.memory_total", told)]
    return [
        Reading("host.memory_used", total - free, "KiB"),
        Reading("host.memory_total", total, "KiB"),
    ]


class Utilisation:
    """How busy the cores were since the last look, from the first line of /proc/stat."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._path = root / "proc/stat"
        self._before = (0, 0)

    def read(self) -> Result:
        """Return thousandths of all cores; the first look has nothing to compare with."""
        name = "host.busy"
        try:
            words = text_of(self._path).split("\n", 1)[0].split()
            ticks = [int(word) for word in words[1 : _JIFFIES + 1]]
            now = sum(ticks[:8]), ticks[_IDLE] + ticks[_IOWAIT]
        except (Unreadable, ValueError, IndexError) as why:
            return Absent(name, str(why))
        (total, idle), self._before = self._before, now
        passed = now[0] - total
        if not total or passed <= 0:
            return Absent(name, "it takes two looks some time apart")
        return Reading(name, min(1000, max(0, 1000 - 1000 * (now[1] - idle) // passed)), "1/1000")
