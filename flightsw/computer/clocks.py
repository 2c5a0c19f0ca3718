"""Clocks of cores and of a Jetson's GPU and its load, as cpufreq and devfreq show them."""

from __future__ import annotations

from pathlib import Path

from flightsw.computer.reading import Absent, Reading, Result, Unreadable, first, folders, number_of

#: the GPU in devfreq: Orin (JetPack 6, 5), Xavier, TX2, Nano
_GPUS = ("17000000.gpu", "17000000.ga10b", "17000000.gv11b", "17000000.gp10b", "57000000.gpu")
#: load of the GPU in thousandths: JetPack 6 and 5, then 4
_LOADS = ("sys/devices/platform/17000000.gpu/load", "sys/devices/platform/17000000.ga10b/load")
_OLD_LOADS = ("sys/devices/gpu.0/load", "sys/devices/platform/gpu.0/load")


def cores(root: Path = Path("/")) -> list[Result]:
    """Return the clock of each cpufreq policy in kHz; one without cores that are on is absent."""
    found: list[Result] = []
    for folder in folders(root, "sys/devices/system/cpu/cpufreq/policy*"):
        name = f"clock.{folder.name}"
        try:
            found.append(Reading(name, number_of(folder / "scaling_cur_freq"), "kHz"))
        except Unreadable as why:
            found.append(Absent(name, str(why)))
    return found or [Absent("clock", "this kernel has no cpufreq")]


def gpu(root: Path = Path("/")) -> list[Result]:
    """Return clock in Hz and load in thousandths of the GPU of a Jetson."""
    clocks = (root / f"sys/class/devfreq/{name}/cur_freq" for name in _GPUS)
    loads = (root / path for path in (*_LOADS, *_OLD_LOADS))
    return [
        first("gpu.clock", clocks, "Hz", "devfreq has no GPU of a Jetson"),
        first("gpu.load", loads, "1/1000", "this kernel shows no load of a GPU of a Jetson"),
    ]
