"""Rails of a Jetson: the INA3221 power monitors, as the kernels of JetPack 4, 5 and 6 show them.

JetPack 5 and 6 have the driver ``ina3221`` of the kernel (``Documentation/hwmon/ina3221.rst``):
``in[1-3]_label``, ``in[1-3]_input`` in mV, ``curr[1-3]_input`` in mA. JetPack 4 has NVIDIA's
``ina3221x`` below IIO: ``rail_name_[0-2]``, ``in_power[0-2]_input`` in mW.
"""

from __future__ import annotations

from collections.abc import Callable
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

#: rails through which a module gets all its power, by generation: Orin Nano and NX, Nano and TX2,
#: AGX Orin (whose VDDQ_VDD2_1V8AO is fed from VIN_SYS_5V0)
INPUTS = (("VDD_IN",), ("POM_5V_IN",), ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"))
_UNUSED = ("NC", "")


def rails(root: Path = Path("/")) -> list[Result]:
    """Return the power of each rail by its label, ``rail.VDD_IN``, mW."""
    found: list[Result] = []
    for label in folders(root, "sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*/in[1-3]_label"):
        found += _rail(label, _by_hwmon)
    if not found:
        for label in folders(root, "sys/bus/i2c/drivers/ina3221x/*/iio:device*/rail_name_[0-2]"):
            found += _rail(label, _by_iio)
    return found or [Absent("rails", "no driver of the kernel holds an INA3221")]


def board_mw(found: list[Result]) -> int | None:
    """Return what the whole module draws; None where its input rails are not known.

    Never the sum of all: rails of a Jetson are fed from each other.
    """
    by_name = {
        one.name: one.value
        for one in found
        if isinstance(one, Reading) and isinstance(one.value, int)
    }
    for inputs in INPUTS:
        values = [by_name[f"rail.{label}"] for label in inputs if f"rail.{label}" in by_name]
        if len(values) == len(inputs):
            return sum(values)
    return None


def _rail(label: Path, power_mw: Callable[[Path], int]) -> list[Result]:
    name = f"rail.{label.parent.name}.{label.name}"
    try:
        text = text_of(label)
        if text in _UNUSED:
            return []
        name = f"rail.{text}"
        return [Reading(name, power_mw(label), "mW")]
    except Unreadable as why:
        return [Absent(name, str(why))]


def _by_hwmon(label: Path) -> int:
    channel = label.name[2]
    millivolts = number_of(label.with_name(f"in{channel}_input"))
    return millivolts * number_of(label.with_name(f"curr{channel}_input")) // 1000


def _by_iio(label: Path) -> int:
    return number_of(label.with_name(f"in_power{label.name[-1]}_input"))
