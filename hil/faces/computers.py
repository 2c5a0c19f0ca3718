"""What a payload computer shows of itself below /sys, /proc and /etc: temperatures, clocks, names.

A computer is a table: thermal zones with their trip points, clusters of cores with their clocks,
and files that never change. Values come from the world: the temperature of the chip, the step of
its clock, its supply. Sources: ``Documentation/driver-api/thermal/sysfs-api.rst`` and
``Documentation/admin-guide/pm/cpufreq.rst`` of the kernel; Raspberry Pi documentation, "vcgencmd
get_throttled" and "Frequency management and thermal control"; NVIDIA Jetson Linux Developer Guide,
"Jetson Orin Nano Series, Jetson Orin NX Series and Jetson AGX Orin Series", thermal and power.

All zones of a computer have the temperature of the chip. Not modelled: fans, cooling devices,
utilisation, idle states, the mailbox behind ``vcgencmd``, what a write to a governor or to a
frequency limit would do (these files are read-only here).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple, Protocol

from hil.faces.attributes import Attribute, Tree, constant


class Zone(NamedTuple):
    """A thermal zone: type, m°C a count and m°C of count 0, trip points (type, m°C)."""

    type: str
    step_mc: int = 1
    zero_mc: int = 0
    trips: tuple[tuple[str, int], ...] = ()
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
    #: get_throttled and rpi_volt
    firmware: bool = False


_PI_REVISION = 0xC03115  # 4B, 4 GB, board revision 1.5
_PI_SERIAL = "10000000f1a75a70"
_ORIN_TRIPS = (("passive", 99_000), ("critical", 104_500))
_ORIN_ZONES = ("cpu", "gpu", "cv0", "cv1", "cv2", "soc0", "soc1", "soc2", "tj")

COMPUTERS: Mapping[str, Computer] = {
    "raspberrypi4": Computer(
        "Raspberry Pi 4 Model B Rev 1.5",
        ("raspberrypi,4-model-b", "brcm,bcm2711"),
        (Zone("cpu-thermal", 487, 410_040, (("critical", 110_000),), hwmon=True),),
        (Cluster(0, 4, 600_000, 1_800_000, "cpufreq-dt", "ondemand"),),
        (0xD08, 108.0, "fp asimd evtstrm crc32 cpuid"),  # Cortex-A72
        f"Revision\t: {_PI_REVISION:x}\nSerial\t\t: {_PI_SERIAL}\n"
        "Model\t\t: Raspberry Pi 4 Model B Rev 1.5\n",
        {
            "/sys/firmware/devicetree/base/serial-number": f"{_PI_SERIAL}\0".encode(),
            "/sys/firmware/devicetree/base/system/linux,revision": struct.pack(">I", _PI_REVISION),
        },
        firmware=True,
    ),
    "jetson_orin_nano": Computer(
        "NVIDIA Jetson Orin Nano Developer Kit",
        ("nvidia,p3768-0000+p3767-0005", "nvidia,p3767-0005", "nvidia,tegra234"),
        tuple(Zone(f"{name}-thermal", trips=_ORIN_TRIPS) for name in _ORIN_ZONES),
        (
            Cluster(0, 4, 115_200, 1_510_400, "tegra194", "schedutil"),
            Cluster(4, 2, 115_200, 1_510_400, "tegra194", "schedutil"),
        ),
        (  # Cortex-A78AE
            0xD42,
            62.5,
            "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc "
            "dcpop asimddp uscat ilrcpc flagm paca pacg",
        ),
        "",
        {
            "/etc/nv_tegra_release": b"# R36 (release), REVISION: 4.3, GCID: 38968081, "
            b"BOARD: generic, EABI: aarch64, DATE: Wed Jan  8 01:49:37 UTC 2025\n",
        },
    ),
}


class WorldView(Protocol):
    """What a computer needs of the world; see :class:`hil.world.world.World`."""

    @property
    def state(self) -> Mapping[str, float]:
        """The state vector."""
        ...

    @property
    def payload(self) -> Any:
        """The computer as a load (:class:`hil.world.payload.Payload`)."""
        ...


#: Raspberry Pi documentation, "get_throttled": bit -> what holds now; 16 higher: held since boot
UNDER_VOLTAGE, CAPPED, THROTTLED, SOFT_LIMIT = (1 << bit for bit in range(4))
#: the firmware's under-voltage detector trips here (documentation: 4.63 V, 5 %)
UNDER_VOLTAGE_V = 4.63
#: above this the documentation has ARM and GPU throttled back
HARD_LIMIT_C = 85.0


class Firmware:
    """The throttle flags of a Raspberry Pi. The soft limit exists on the 3A+ and 3B+ only."""

    def __init__(self, world: WorldView) -> None:
        self.world = world
        self.since_boot = 0
        self._polled_low = False

    def now(self) -> int:
        """Return the flags that hold now."""
        state, flags = self.world.state, 0
        if 0.0 < state["power.payload_v"] < UNDER_VOLTAGE_V:
            flags |= UNDER_VOLTAGE | THROTTLED
        if self.world.payload.clock_step:
            flags |= CAPPED
        if state["thermal.chip_c"] >= HARD_LIMIT_C:
            flags |= THROTTLED
        self.since_boot |= flags
        return flags

    def look(self) -> None:
        """Take note of what holds now; called every second."""
        self._polled_low = bool(self.now() & UNDER_VOLTAGE)

    def throttled(self) -> str:
        """Return the text of ``get_throttled``."""
        flags = self.now()
        return f"{flags | self.since_boot << 16:x}\n"

    def low_voltage(self) -> str:
        """Return the text of the alarm of ``rpi_volt``, which holds until the next poll."""
        return f"{int(self._polled_low or bool(self.now() & UNDER_VOLTAGE))}\n"


def add_computer(tree: Tree, name: str, world: WorldView) -> Firmware | None:
    """Put the files of a computer into ``tree``; return its firmware, to :meth:`Firmware.look`."""
    computer = COMPUTERS[name]
    base = "/sys/firmware/devicetree/base"
    tree.whole |= {base, "/sys/class/hwmon", "/sys/class/thermal", "/sys/devices/virtual/thermal"}
    tree.whole |= {"/sys/class/power_supply", "/sys/devices/system/cpu/cpufreq"}
    tree.files[f"{base}/model"] = f"{computer.model}\0".encode()
    tree.files[f"{base}/compatible"] = "".join(f"{one}\0" for one in computer.compatible).encode()
    tree.link("/proc/device-tree", base)
    tree.files |= computer.files
    tree.files["/proc/cpuinfo"] = _cpuinfo(computer).encode()
    for index, zone in enumerate(computer.zones):
        _add_zone(tree, index, zone, world)
    for cluster in computer.clusters:
        _add_cluster(tree, cluster, world)
    if not computer.firmware:
        return None
    firmware = Firmware(world)
    soc = "/sys/devices/platform/soc/soc:firmware"
    tree.live[f"{soc}/get_throttled"] = Attribute(constant(firmware.throttled))
    sensor = add_hwmon(tree, f"{soc}/raspberrypi-hwmon", "rpi_volt")
    tree.live[f"{sensor}/in0_lcrit_alarm"] = Attribute(constant(firmware.low_voltage))
    return firmware


def _cpuinfo(computer: Computer) -> str:
    part, bogomips, features = computer.core
    cores = sum(cluster.cores for cluster in computer.clusters)
    lines = (
        f"BogoMIPS\t: {bogomips:.2f}",
        f"Features\t: {features}",
        "CPU implementer\t: 0x41",
        "CPU architecture: 8",
    )
    text = "\n".join((*lines, f"CPU part\t: {part:#x}"))
    return "".join(f"processor\t: {n}\n{text}\n\n" for n in range(cores)) + computer.board


def add_hwmon(tree: Tree, device: str, name: str) -> str:
    """Add a sensor device below a device; return its folder."""
    number = sum(path.startswith("/sys/class/hwmon/") for path in tree.links)
    folder = f"{device}/hwmon/hwmon{number}"
    tree.text(f"{folder}/name", name)
    tree.link(f"{folder}/device", device)
    tree.link(f"{folder}/subsystem", "/sys/class/hwmon")
    tree.link(f"/sys/class/hwmon/hwmon{number}", folder)
    return folder


def _temperature(zone: Zone, world: WorldView) -> str:
    return f"{zone.read(world.state['thermal.chip_c'])}\n"


def _add_zone(tree: Tree, index: int, zone: Zone, world: WorldView) -> None:
    folder = f"/sys/devices/virtual/thermal/thermal_zone{index}"
    tree.text(f"{folder}/type", zone.type)
    tree.text(f"{folder}/mode", "enabled")
    tree.text(f"{folder}/policy", "step_wise")
    temperature = Attribute(constant(partial(_temperature, zone, world)))
    tree.live[f"{folder}/temp"] = temperature
    for number, (kind, millicelsius) in enumerate(zone.trips):
        tree.text(f"{folder}/trip_point_{number}_type", kind)
        tree.text(f"{folder}/trip_point_{number}_temp", str(millicelsius))
        tree.text(f"{folder}/trip_point_{number}_hyst", "0")
    tree.link(f"/sys/class/thermal/thermal_zone{index}", folder)
    tree.link(f"{folder}/subsystem", "/sys/class/thermal")
    if zone.hwmon:
        sensor = add_hwmon(tree, folder, zone.type.replace("-", "_"))
        tree.live[f"{sensor}/temp1_input"] = temperature
        for kind, millicelsius in zone.trips:
            if kind == "critical":
                tree.text(f"{sensor}/temp1_crit", str(millicelsius))


def _clock(cluster: Cluster, world: WorldView) -> str:
    """Return the clock in kHz: the top one, brought down as the world's payload is."""
    payload = world.payload
    share = payload.clock_hz[payload.clock_step] / payload.clock_hz[0]
    return f"{round(cluster.most_khz * share)}\n"


def _add_cluster(tree: Tree, cluster: Cluster, world: WorldView) -> None:
    cores = range(cluster.first, cluster.first + cluster.cores)
    folder = f"/sys/devices/system/cpu/cpufreq/policy{cluster.first}"
    listed = " ".join(map(str, cores))
    for file, text in (
        ("affected_cpus", listed),
        ("related_cpus", listed),
        ("cpuinfo_min_freq", str(cluster.least_khz)),
        ("cpuinfo_max_freq", str(cluster.most_khz)),
        ("scaling_min_freq", str(cluster.least_khz)),
        ("scaling_max_freq", str(cluster.most_khz)),
        ("scaling_driver", cluster.driver),
        ("scaling_governor", cluster.governor),
        ("scaling_available_governors", f"performance powersave userspace {cluster.governor}"),
    ):
        tree.text(f"{folder}/{file}", text)
    clock = Attribute(constant(partial(_clock, cluster, world)))
    tree.live[f"{folder}/scaling_cur_freq"] = tree.live[f"{folder}/cpuinfo_cur_freq"] = clock
    for core in cores:
        tree.link(f"/sys/devices/system/cpu/cpu{core}/cpufreq", folder)
        tree.text(f"/sys/devices/system/cpu/cpu{core}/online", "1")
