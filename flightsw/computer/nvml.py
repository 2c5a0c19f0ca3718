"""NVIDIA GPUs through the library of their driver, ``libnvidia-ml.so.1``, by ctypes.

Names, types and numbers of what is called are those of the public header ``nvml.h`` of NVIDIA's
"NVML API Reference Guide"; the interface is kept stable, and what a driver lacks is looked up by
name and told as absent. Nothing is ever set. The library is closed before the object goes.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from flightsw.closing import Closing
from flightsw.computer.reading import Absent, Reading, Result

LIBRARY = "libnvidia-ml.so.1"
#: GPUs of one host that are looked at
MOST = 16
_TEMPERATURE_GPU, _CLOCK_SM = 0, 1
_CORRECTED, _UNCORRECTED = 0, 1
#: counts of errors of this boot of the driver; 1 would be those of the GPU's life
_VOLATILE = 0
_TEXT_NBYTES = 96
_uint, _ulonglong = ctypes.c_uint, ctypes.c_ulonglong


class _Utilisation(ctypes.Structure):
    _fields_ = (("gpu", _uint), ("memory", _uint))


class _Memory(ctypes.Structure):
    _fields_ = (("total", _ulonglong), ("free", _ulonglong), ("used", _ulonglong))


#: bits of the throttle reasons (nvmlClocksThrottleReason...)
REASONS = {
    0x1: "idle",
    0x2: "clocks set by an application",
    0x4: "software power cap",
    0x8: "hardware slowdown",
    0x10: "synchronous boost",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "hardware power brake",
    0x100: "display clock setting",
}


class Refused(Exception):  # noqa: N818 - a cause, turned into Absent where the name is known
    """A call of the library did not succeed; the text says how, as a clause."""


class Nvml(Closing):
    """The library, initialised. Raises :class:`Refused` where there is none or it fails."""

    def __init__(self, library: str = LIBRARY) -> None:
        try:
            self._library = ctypes.CDLL(library)
        except OSError:
            raise Refused(f"there is no {library}, so no driver of NVIDIA") from None
        self._call("nvmlInit_v2")
        self._open = True

    def close(self) -> None:
        """Let go of the driver."""
        if self._open:
            self._open = False
            with suppress(Refused):  # a GPU that is lost has nothing left to let go of
                self._call("nvmlShutdown")

    def readings(self) -> list[Result]:
        """Return what each GPU tells, ``gpu0.temperature``, and the driver's version."""
        found = [self._told("gpu.driver", self._driver, "")]
        try:
            count = self._number("nvmlDeviceGetCount_v2")
        except Refused as why:
            return [*found, Absent("gpu", str(why))]
        for index in range(min(count, MOST)):
            found += self._gpu(index)
        if count == 0:
            found.append(Absent("gpu", "the driver has no GPU"))
        return found

    def _gpu(self, index: int) -> list[Result]:
        lead = f"gpu{index}"
        device = ctypes.c_void_p()
        try:
            self._call("nvmlDeviceGetHandleByIndex_v2", _uint(index), ctypes.byref(device))
        except Refused as why:
            return [Absent(lead, str(why))]
        usage, memory = _Utilisation(), _Memory()

        def number(name: str, *arguments: Any, kind: Any = _uint) -> Callable[[], int]:
            return lambda: self._number(name, device, *arguments, kind=kind)

        def filled(name: str, struct: Any, field: str, divisor: int = 1) -> Callable[[], int]:
            def read() -> int:
                self._call(name, device, ctypes.byref(struct))
                return int(getattr(struct, field)) // divisor

            return read

        ecc, rates = "nvmlDeviceGetTotalEccErrors", "nvmlDeviceGetUtilizationRates"
        fits, room = "nvmlDeviceGetMemoryInfo", 1024
        rows: tuple[tuple[str, Callable[[], int | str], str], ...] = (
            ("name", lambda: self._text("nvmlDeviceGetName", device), ""),
            ("temperature", number("nvmlDeviceGetTemperature", _uint(_TEMPERATURE_GPU)), "°C"),
            ("power", number("nvmlDeviceGetPowerUsage"), "mW"),
            ("busy", filled(rates, usage, "gpu"), "%"),
            ("memory_busy", filled(rates, usage, "memory"), "%"),
            ("memory_used", filled(fits, memory, "used", room), "KiB"),
            ("memory_total", filled(fits, memory, "total", room), "KiB"),
            ("clock", number("nvmlDeviceGetClockInfo", _uint(_CLOCK_SM)), "MHz"),
            (
                "ecc_corrected",
                number(ecc, _uint(_CORRECTED), _uint(_VOLATILE), kind=_ulonglong),
                "",
            ),
            (
                "ecc_uncorrected",
                number(ecc, _uint(_UNCORRECTED), _uint(_VOLATILE), kind=_ulonglong),
                "",
            ),
            (
                "throttle",
                number("nvmlDeviceGetCurrentClocksThrottleReasons", kind=_ulonglong),
                "bits",
            ),
        )
        return [self._told(f"{lead}.{name}", read, unit) for name, read, unit in rows]

    def _told(self, name: str, read: Callable[[], int | str], unit: str) -> Result:
        try:
            return Reading(name, read(), unit)
        except Refused as why:
            return Absent(name, str(why))

    def _driver(self) -> str:
        return self._text("nvmlSystemGetDriverVersion")

    def _number(self, name: str, *arguments: Any, kind: Any = _uint) -> int:
        value = kind()
        self._call(name, *arguments, ctypes.byref(value))
        return int(value.value)

    def _text(self, name: str, *arguments: Any) -> str:
        text = ctypes.create_string_buffer(_TEXT_NBYTES)
        self._call(name, *arguments, text, _uint(_TEXT_NBYTES))
        return text.value.decode("ascii", "replace")

    def _call(self, name: str, *arguments: Any) -> None:
        try:
            function = getattr(self._library, name)
        except AttributeError:
            raise Refused(f"this driver has no {name}") from None
        code = int(function(*arguments))
        if code != 0:
            raise Refused(f"{name} says {self._words(code)}")

    def _words(self, code: int) -> str:
        try:
            words = self._library.nvmlErrorString
        except AttributeError:
            return f"error {code}"
        words.restype = ctypes.c_char_p
        said: bytes | None = words(_uint(code))
        return said.decode("ascii", "replace") if said else f"error {code}"


def readings(library: str = LIBRARY) -> list[Result]:
    """Return what NVML tells of all GPUs, or the one reason why it tells nothing."""
    try:
        with Nvml(library) as nvml:
            return nvml.readings()
    except Refused as why:
        return [Absent("gpu", str(why))]
