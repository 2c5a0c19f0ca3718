"""What a payload computer shows of itself below /sys, /proc and /etc: temperatures, clocks, names.

A computer is a table: thermal zones with their trip points, clusters of cores with their clocks,
and files that never change. Values come from the world: the temperature of the chip, the step of
its clock, its supply. Sources: ``Documentation/driver-api/thermal/sysfs-api.rst`` and
``Documentation/admin-guide/pm/cpufreq.rst`` of the kernel; Raspberry Pi documentation, "vcgencmd
get_throttled" and "Frequency management and thermal control"; NVIDIA Jetson Linux Developer Guide,
"Jetson Orin Nano Series, Jetson Orin NX Series and Jetson AGX Orin Series", thermal and power.
The tables are in :mod:`hil.faces.computer_tables`.

All zones of a computer have the temperature of the chip. Not modelled: fans, cooling devices,
utilisation, idle states, the mailbox behind ``vcgencmd``, the converter of the RP1, what a write to
a governor would do, and to a frequency limit of a Raspberry Pi (these files are read-only here).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol

from hil.faces.attributes import Attribute, Tree, constant
from hil.faces.computer_tables import COMPUTERS, Cluster, Computer, Zone
from hil.faces.jetson import Limits, add_modes


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
    limits = None
    for cluster in computer.clusters:
        _add_cluster(tree, cluster)
    if computer.jetson is not None:
        limits = add_modes(tree, computer.clusters, computer.jetson)
    for cluster in computer.clusters:
        _add_clock(tree, cluster, world, limits)
    if not computer.firmware:
        return None
    firmware = Firmware(world)
    soc = computer.firmware
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
    for number, trip in enumerate(zone.trips):
        tree.text(f"{folder}/trip_point_{number}_type", trip.type)
        tree.text(f"{folder}/trip_point_{number}_temp", str(trip.at_mc))
        tree.text(f"{folder}/trip_point_{number}_hyst", str(trip.hysteresis_mc))
    tree.link(f"/sys/class/thermal/thermal_zone{index}", folder)
    tree.link(f"{folder}/subsystem", "/sys/class/thermal")
    if zone.hwmon:
        sensor = add_hwmon(tree, folder, zone.type.replace("-", "_"))
        tree.live[f"{sensor}/temp1_input"] = temperature
        for trip in zone.trips:
            if trip.type == "critical":
                tree.text(f"{sensor}/temp1_crit", str(trip.at_mc))


def _clock(cluster: Cluster, world: WorldView, limits: Limits | None) -> str:
    """Return the clock in kHz: the top one, brought down as the payload and a mode have it."""
    payload = world.payload
    share = payload.clock_hz[payload.clock_step] / payload.clock_hz[0]
    khz = round(cluster.most_khz * share) if limits is None else limits.clock_khz(cluster, share)
    return f"{khz}\n"


def _policy(cluster: Cluster) -> str:
    return f"/sys/devices/system/cpu/cpufreq/policy{cluster.first}"


def _add_cluster(tree: Tree, cluster: Cluster) -> None:
    cores = range(cluster.first, cluster.first + cluster.cores)
    folder = _policy(cluster)
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
    for core in cores:
        tree.link(f"/sys/devices/system/cpu/cpu{core}/cpufreq", folder)
        tree.text(f"/sys/devices/system/cpu/cpu{core}/online", "1")


def _add_clock(tree: Tree, cluster: Cluster, world: WorldView, limits: Limits | None) -> None:
    folder = _policy(cluster)
    clock = Attribute(constant(partial(_clock, cluster, world, limits)))
    tree.live[f"{folder}/scaling_cur_freq"] = tree.live[f"{folder}/cpuinfo_cur_freq"] = clock
