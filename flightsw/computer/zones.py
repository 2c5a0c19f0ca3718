"""Thermal zones of the kernel: ``Documentation/driver-api/thermal/sysfs-api.rst``, in m°C.

A zone may refuse to be read while what it measures has no power (EAGAIN on a Jetson).
"""

from __future__ import annotations

from pathlib import Path

from flightsw.computer.reading import (
    Absent,
    Reading,
    Result,
    Unreadable,
    folders,
    number_of,
    text_of,
)

#: a zone that says more or less than this is broken, m°C
LEAST_MDEGC, MOST_MDEGC = -80_000, 200_000
#: types of the zone of the processor, by kernel: Raspberry Pi, Jetson before and since R35, x86
PROCESSOR = ("cpu-thermal", "CPU-therm", "x86_pkg_temp", "soc_thermal", "tj-thermal")
GPU = ("gpu-thermal", "GPU-therm")


def zones(root: Path = Path("/")) -> list[Result]:
    """Return each zone by its type, ``zone.cpu-thermal``; several of one type by number."""
    found: list[Result] = []
    for folder in folders(root, "sys/class/thermal/thermal_zone*"):
        name = f"zone.{folder.name}"
        try:
            name = f"zone.{text_of(folder / 'type')}"
            if any(one.name == name for one in found):
                name += f".{folder.name.removeprefix('thermal_zone')}"
            value = number_of(folder / "temp")
        except Unreadable as why:
            found.append(Absent(name, str(why)))
            continue
        if LEAST_MDEGC <= value <= MOST_MDEGC:
            found.append(Reading(name, value, "m°C"))
        else:
            found.append(Absent(name, f"{folder}/temp says {value} m°C, which no chip has"))
    return found or [Absent("zones", "this kernel shows no thermal zone")]


def hottest(found: list[Result], types: tuple[str, ...] = ()) -> int | None:
    """Return the highest of some zones in m°C, of all without ``types``; None: there is none."""
    return max(
        (
            one.value
            for one in found
            if isinstance(one, Reading)
            and isinstance(one.value, int)
            and (not types or one.name.removeprefix("zone.") in types)
        ),
        default=None,
    )
