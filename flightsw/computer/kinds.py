"""Which sources belong to which kind of computer, and what kind this host is."""

from __future__ import annotations

from pathlib import Path

from flightsw.computer import clocks, nvidia_smi, nvml, rails, raspberrypi, zones
from flightsw.computer.host import Utilisation, load, memory
from flightsw.computer.reading import Absent, Reading, Result, Unreadable, text_of

KINDS = ("auto", "none", "pi", "jetson", "gpu")
_COMPATIBLE = "sys/firmware/devicetree/base/compatible"


def kind_of(root: Path = Path("/"), library: str = nvml.LIBRARY) -> str:
    """Return ``pi``, ``jetson`` or ``gpu`` for what this host is, ``none`` for any other."""
    if raspberrypi.is_pi(root):
        return "pi"
    if _is_jetson(root):
        return "jetson"
    return "gpu" if isinstance(gpus(library)[0], Reading) else "none"


def _is_jetson(root: Path) -> bool:
    try:
        return "nvidia,tegra" in text_of(root / _COMPATIBLE)
    except Unreadable:  # an ordinary computer has no device tree
        return False


def gpus(library: str = nvml.LIBRARY) -> list[Result]:
    """Return what GPUs of NVIDIA tell: by the library of the driver, else by its program."""
    found = nvml.readings(library)
    if len(found) > 1 or isinstance(found[0], Reading):
        return found
    by_program = nvidia_smi.readings()
    if isinstance(by_program[0], Reading):
        return by_program
    reasons = [one.because for one in (found[0], by_program[0]) if isinstance(one, Absent)]
    return [Absent("gpu", "; ".join(reasons))]


class Computer:
    """This host, read source by source. ``auto`` finds out what it is."""

    def __init__(
        self, kind: str = "auto", root: Path = Path("/"), library: str = nvml.LIBRARY
    ) -> None:
        assert kind in KINDS, f"no kind of computer is called {kind!r}"
        self.root = root
        self._library = library
        self.kind = kind_of(root, library) if kind == "auto" else kind
        self._busy = Utilisation(root)
        # Open from the first look on: to open it may take the driver a second.
        self._nvml: nvml.Nvml | None = None

    def temperatures(self) -> list[Result]:
        """Return the thermal zones alone, which a governor looks at every second."""
        return zones.zones(self.root)

    def read(self) -> list[Result]:
        """Return everything that a computer of this kind tells."""
        root = self.root
        found = [load(root), self._busy.read(), *memory(root), *clocks.cores(root)]
        found += self.temperatures()
        if self.kind == "pi":
            found += [raspberrypi.throttled(root), raspberrypi.under_voltage(root)]
        elif self.kind == "jetson":
            found += [*clocks.gpu(root), *rails.rails(root)]
        elif self.kind == "gpu":
            found += self._gpus()
        return found

    def _gpus(self) -> list[Result]:
        try:
            self._nvml = self._nvml or nvml.Nvml(self._library)
        except nvml.Refused:
            return gpus(self._library)
        return self._nvml.readings()

    def close(self) -> None:
        """Let go of the driver of a GPU."""
        if self._nvml is not None:
            self._nvml.close()
            self._nvml = None
