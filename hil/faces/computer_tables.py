"""Types of payload computer as tables: what each shows of itself, without any of the values.

Sources: the kernel's device trees ``bcm2711.dtsi``, ``bcm2712-ds.dtsi`` and
``bcm2712-rpi-5-b.dts`` (raspberrypi/linux), ``tegra234.dtsi``, ``tegra234-p3701.dtsi`` and
``tegra234-p3767.dtsi``; Raspberry Pi documentation, "Raspberry Pi revision codes"; NVIDIA Jetson
Linux Developer Guide, "Jetson Orin Nano Series, Jetson Orin NX Series and Jetson AGX Orin Series";
the power modes of the configurations ``nvpmodel_p3701_0000.conf``, ``nvpmodel_p3767_0003.conf`` and
``nvpmodel_p3767_0003_super.conf`` of Jetson Linux 36. JetPack 5 had other GPU limits for the AGX
Orin: 420.75, 624.75 and 828.75 MHz.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import NamedTuple

#: stands for no limit in a power mode (``nvpmodel.conf``: taken as INT_MAX)
UNLIMITED = -1


class Trip(NamedTuple):
    """A trip point of a thermal zone: type, m°C, hysteresis in m°C."""

    type: str
    at_mc: int
    hysteresis_mc: int = 0


class Zone(NamedTuple):
    """A thermal zone: type, m°C a count and m°C of count 0, trip points."""

    type: str
    step_mc: int = 1
    zero_mc: int = 0
    trips: tuple[Trip, ...] = ()
    #: also shown as a sensor of hwmon
    hwmon: bool = False

    def read(self, celsius: float) -> int:
        """Return a temperature as the zone's converter has it, m°C."""
        return self.zero_mc + round((celsius * 1000.0 - self.zero_mc) / self.step_mc) * self.step_mc


class Cluster(NamedTuple):
    """Cores that share a clock: the first, how many, clock range in kHz, driver and governor."""

    first: int
    cores: int
    least_khz: int
    most_khz: int
    driver: str
    governor: str


class Mode(NamedTuple):
    """A power mode of a Jetson: cores that are on, most kHz of these, most Hz of GPU and memory.

    The bits of ``gated`` switch off GPU clusters; a mode with other bits takes a reboot.
    """

    name: str
    cores: int
    cpu_khz: int
    gpu_hz: int
    emc_hz: int
    gated: int


class Jetson(NamedTuple):
    """What only Jetsons have: power modes, and the clocks that these limit."""

    modes: tuple[Mode, ...]
    default: int
    #: clock range of the GPU in Hz, and the top clock of the memory
    gpu_hz: tuple[int, int]
    emc_hz: int


class Computer(NamedTuple):
    """Everything about one type of computer."""

    model: str
    #: of the device tree, most specific first
    compatible: tuple[str, ...]
    zones: tuple[Zone, ...]
    clusters: tuple[Cluster, ...]
    #: of /proc/cpuinfo: part number of the cores (Arm), clock of the timer x 2 in MHz, features
    core: tuple[int, float, str]
    #: ends /proc/cpuinfo
    board: str = ""
    #: further files by path
    files: Mapping[str, bytes] = {}
    #: where a Raspberry Pi shows what its firmware says: get_throttled and rpi_volt
    firmware: str = ""
    jetson: Jetson | None = None


_ARMV8 = (
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop"
)


def _pi(
    model: str, compatible: str, chip: str, revision: int, serial: str, firmware: str
) -> Computer:
    tree = "/sys/firmware/devicetree/base"
    return Computer(
        model,
        (f"raspberrypi,{compatible}", f"brcm,{chip}"),
        zones=(),
        clusters=(),
        core=(0, 108.0, ""),
        board=f"Revision\t: {revision:x}\nSerial\t\t: {serial}\nModel\t\t: {model}\n",
        files={
            f"{tree}/serial-number": f"{serial}\0".encode(),
            f"{tree}/system/linux,revision": struct.pack(">I", revision),
        },
        firmware=firmware,
    )


_CRITICAL = Trip("critical", 110_000)
#: the fan of a Raspberry Pi 5: cpu-tepid, cpu-warm, cpu-hot, cpu-vhot
_FAN = tuple(Trip("active", at_mc, 5_000) for at_mc in (50_000, 60_000, 67_500, 75_000))

_RASPBERRYPI4 = _pi(
    "Raspberry Pi 4 Model B Rev 1.5",
    "4-model-b",
    "bcm2711",
    0xC03115,  # 4B, 4 GB, board revision 1.5
    "10000000f1a75a70",
    "/sys/devices/platform/soc/soc:firmware",
)._replace(
    zones=(Zone("cpu-thermal", 487, 410_040, (_CRITICAL,), hwmon=True),),
    clusters=(Cluster(0, 4, 600_000, 1_800_000, "cpufreq-dt", "ondemand"),),
    core=(0xD08, 108.0, "fp asimd evtstrm crc32 cpuid"),  # Cortex-A72
)
_RASPBERRYPI5 = _pi(
    "Raspberry Pi 5 Model B Rev 1.0",
    "5-model-b",
    "bcm2712",
    0xC04170,  # 5, 4 GB, board revision 1.0
    "10000000f1a75a75",
    "/sys/devices/platform/soc@107c000000/soc@107c000000:firmware",
)._replace(
    zones=(Zone("cpu-thermal", 550, 450_000, (_CRITICAL, *_FAN), hwmon=True),),
    clusters=(Cluster(0, 4, 1_500_000, 2_400_000, "cpufreq-dt", "ondemand"),),
    core=(0xD0B, 108.0, f"{_ARMV8} asimddp"),  # Cortex-A76
)

_ORIN_TRIPS = (Trip("passive", 99_000), Trip("critical", 104_500))
_ORIN_ZONES = ("cpu", "gpu", "cv0", "cv1", "cv2", "soc0", "soc1", "soc2", "tj")
#: Cortex-A78AE
_ORIN_CORE = (0xD42, 62.5, f"{_ARMV8} asimddp uscat ilrcpc flagm paca pacg")
_R36 = (
    b"# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, "
    b"DATE: Wed Jan  8 01:49:37 UTC 2025\n"
)


def _orin(
    model: str, compatible: tuple[str, ...], cores: tuple[int, ...], most_khz: int, jetson: Jetson
) -> Computer:
    """Return a Jetson Orin; ``cores``: how many each cluster has, of four places."""
    return Computer(
        model,
        (*compatible, "nvidia,tegra234"),
        tuple(Zone(f"{name}-thermal", trips=_ORIN_TRIPS) for name in _ORIN_ZONES),
        tuple(
            Cluster(4 * place, count, 115_200, most_khz, "tegra194", "schedutil")
            for place, count in enumerate(cores)
        ),
        _ORIN_CORE,
        files={"/etc/nv_tegra_release": _R36},
        jetson=jetson,
    )


_NANO = ("nvidia,p3768-0000+p3767-0005", "nvidia,p3767-0005")
_ORIN_NANO = _orin(
    "NVIDIA Jetson Orin Nano Developer Kit",
    _NANO,
    (4, 2),
    1_510_400,
    Jetson(
        (
            Mode("15W", 6, UNLIMITED, UNLIMITED, 0, 240),
            Mode("7W", 4, 960_000, 408_000_000, 2_133_000_000, 252),
        ),
        default=0,
        gpu_hz=(306_000_000, 624_750_000),
        emc_hz=2_133_000_000,
    ),
)
_ORIN_NANO_SUPER = _orin(
    "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
    ("nvidia,p3768-0000+p3767-0005-super", *_NANO),
    (4, 2),
    1_728_000,
    Jetson(
        (
            Mode("15W", 6, 1_497_600, 612_000_000, 2_133_000_000, 240),
            Mode("25W", 6, 1_344_000, 918_000_000, 3_199_000_000, 240),
            Mode("MAXN_SUPER", 6, UNLIMITED, UNLIMITED, UNLIMITED, 240),
        ),
        default=1,
        gpu_hz=(306_000_000, 1_020_000_000),
        emc_hz=3_199_000_000,
    ),
)
_AGX_ORIN = _orin(
    "NVIDIA Jetson AGX Orin Developer Kit",
    ("nvidia,p3737-0000+p3701-0005", "nvidia,p3701-0005"),
    (4, 4, 4),
    2_201_600,
    Jetson(
        (
            Mode("MAXN", 12, UNLIMITED, UNLIMITED, 0, 0),
            Mode("MODE_15W", 4, 1_113_600, 408_000_000, 2_133_000_000, 248),
            Mode("MODE_30W", 8, 1_728_000, 612_000_000, 0, 240),
            Mode("MODE_50W", 12, 1_497_600, 816_000_000, 0, 0),
        ),
        default=2,
        gpu_hz=(306_000_000, 1_300_500_000),
        emc_hz=3_199_000_000,
    ),
)

COMPUTERS: Mapping[str, Computer] = {
    "raspberrypi4": _RASPBERRYPI4,
    "raspberrypi5": _RASPBERRYPI5,
    "jetson_orin_nano": _ORIN_NANO,
    "jetson_orin_nano_super": _ORIN_NANO_SUPER,
    "jetson_agx_orin": _AGX_ORIN,
}
