"""NVIDIA GPUs through ``nvidia-smi``, for hosts where the library cannot be loaded.

Slower than :mod:`flightsw.computer.nvml` by far: it starts a program. Bounded in time and octets.
"""

from __future__ import annotations

import shutil
import subprocess

from flightsw.computer.nvml import MOST
from flightsw.computer.reading import Absent, Reading, Result

_PATIENCE_S = 2.0
_OCTETS = 16 << 10
#: field of ``--query-gpu``, our name, unit, factor; a factor of 0 is a text
_FIELDS = (
    ("name", "name", "", 0),
    ("temperature.gpu", "temperature", "°C", 1),
    ("power.draw", "power", "mW", 1000),
    ("utilization.gpu", "busy", "%", 1),
    ("utilization.memory", "memory_busy", "%", 1),
    ("memory.used", "memory_used", "KiB", 1024),
    ("memory.total", "memory_total", "KiB", 1024),
    ("clocks.sm", "clock", "MHz", 1),
    ("ecc.errors.corrected.volatile.total", "ecc_corrected", "", 1),
    ("ecc.errors.uncorrected.volatile.total", "ecc_uncorrected", "", 1),
    ("clocks_throttle_reasons.active", "throttle", "bits", 16),
)
_DRIVER = "driver_version"
COMMAND = (
    f"--query-gpu={','.join(field for field, *_ in _FIELDS)},{_DRIVER}",
    "--format=csv,noheader,nounits",
)


def readings(program: str | None = None) -> list[Result]:
    """Return what the program tells of all GPUs, or the one reason why it tells nothing."""
    found = program or shutil.which("nvidia-smi")
    if found is None:
        return [Absent("gpu", "there is no nvidia-smi in the path")]
    try:
        done = subprocess.run(  # noqa: S603 - found in the path of who runs us
            [found, *COMMAND],
            capture_output=True,
            timeout=_PATIENCE_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return [Absent("gpu", f"nvidia-smi does not answer ({error})")]
    said = done.stdout[:_OCTETS].decode("ascii", "replace").strip()
    if done.returncode != 0:
        words = said.splitlines() or [f"exit code {done.returncode}"]
        return [Absent("gpu", f"nvidia-smi says {words[0][:80]}")]
    return parse(said)


def parse(text: str) -> list[Result]:
    """Return the readings of its table, a line a GPU."""
    found: list[Result] = []
    driver = ""
    for index, line in enumerate(text.splitlines()[:MOST]):
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) != len(_FIELDS) + 1:
            found.append(Absent(f"gpu{index}", f"nvidia-smi says {line[:40]!r}"))
            continue
        driver = cells[-1]
        found += [
            _value(f"gpu{index}.{name}", cell, unit, factor)
            for cell, (_, name, unit, factor) in zip(cells, _FIELDS, strict=False)
        ]
    if driver:
        found.insert(0, Reading("gpu.driver", driver, ""))
    return found or [Absent("gpu", "nvidia-smi names no GPU")]


def _value(name: str, cell: str, unit: str, factor: int) -> Result:
    try:
        if factor == 0:
            return Reading(name, cell, unit)
        if unit == "bits":
            return Reading(name, int(cell, factor), unit)
        return Reading(name, round(float(cell) * factor), unit)
    except ValueError:
        return Absent(name, f"nvidia-smi says {cell[:40]}")
