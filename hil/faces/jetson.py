"""Power modes of a Jetson: the files through which ``nvpmodel`` limits cores and clocks.

A mode is nothing but values for files of sysfs. ``nvpmodel`` (:mod:`hil.faces.jetson_tools`) is a
program that reads ``/etc/nvpmodel.conf`` and writes them, as NVIDIA's does. Sources: NVIDIA Jetson
Linux Developer Guide, "Jetson Orin Nano Series, Jetson Orin NX Series and Jetson AGX Orin Series",
power modes; the format described at the head of each ``nvpmodel*.conf`` of Jetson Linux 36; the
kernel's ``Documentation/ABI/testing/sysfs-class-devfreq``.

The clocks that programs read follow the limits. Not modelled: what a mode saves (the power of the
payload is the mission profile's), accelerators and their clocks, the boot that a change of GPU
clusters takes, fan modes, load of cores and GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from hil.faces.attributes import Attribute, Steps, Tree, constant, whole_number
from hil.faces.computer_tables import UNLIMITED, Cluster, Jetson, Mode

CONF, STATUS = "/etc/nvpmodel.conf", "/var/lib/nvpmodel/status"
_CPUS, _GPU = "/sys/devices/system/cpu", "/sys/devices/platform/17000000.gpu"
_DEVFREQ = f"{_GPU}/devfreq/17000000.gpu"
_EMC = "/sys/kernel/nvpmodel_clk_cap/emc"
_MASK = f"{_GPU}/tpc_pg_mask"
_INT_MAX = 2_147_483_647
#: no mode lets the cores run slower, kHz
_LEAST_KHZ = 729_600


class Setting:
    """A number in a file that can be written; it is kept within its range, as the kernel does."""

    def __init__(self, value: int, least: int, most: int) -> None:
        self.value = value
        self.range = (least, most)

    def show(self) -> str:
        """Return the text of the file."""
        return f"{self.value}\n"

    def store(self, text: str) -> Steps:
        """Take what was written; raises ``OSError`` with EINVAL for what is no number."""
        least, most = self.range
        self.value = min(max(whole_number(text), least), most)
        return ""
        yield b"", 0  # makes it a generator

    def attribute(self) -> Attribute:
        """Return the live file."""
        return Attribute(constant(self.show), self.store)


class Limits:
    """Everything that a power mode of one computer sets, by path of its file."""

    def __init__(self, clusters: tuple[Cluster, ...], jetson: Jetson) -> None:
        self.jetson = jetson
        settings = {}
        for cluster in clusters:
            span = cluster.least_khz, cluster.most_khz
            for name, value in zip(("min", "max"), span, strict=True):
                settings[_cpufreq(cluster, f"scaling_{name}_freq")] = Setting(value, *span)
            for core in range(cluster.first, cluster.first + cluster.cores):
                settings[f"{_CPUS}/cpu{core}/online"] = Setting(1, 0, 1)
        for name, value in zip(("min", "max"), jetson.gpu_hz, strict=True):
            settings[f"{_DEVFREQ}/{name}_freq"] = Setting(value, *jetson.gpu_hz)
        settings[_EMC] = Setting(0, 0, jetson.emc_hz)
        settings[_MASK] = Setting(0, 0, 0xFF)
        self.settings = settings
        self._apply(jetson.modes[jetson.default], clusters)

    def _apply(self, mode: Mode, clusters: tuple[Cluster, ...]) -> None:
        for _, _, path, value in _assignments(mode, clusters):
            setting = self.settings[path]
            setting.value = min(max(value, setting.range[0]), setting.range[1])

    def clock_khz(self, cluster: Cluster, share: float) -> int:
        """Return the clock of a cluster that the world has brought down to ``share``."""
        least, most = (
            self.settings[_cpufreq(cluster, f"scaling_{name}_freq")].value
            for name in ("min", "max")
        )
        return max(min(round(cluster.most_khz * share), most), least)

    def gpu_hz(self) -> int:
        """Return the clock of the GPU: without load the least that is allowed."""
        return self.settings[f"{_DEVFREQ}/min_freq"].value

    def memory_hz(self) -> int:
        """Return the clock of the memory: the top one, or its limit."""
        return self.settings[_EMC].value or self.jetson.emc_hz


def _cpufreq(cluster: Cluster, file: str) -> str:
    return f"{_CPUS}/cpufreq/policy{cluster.first}/{file}"


def _assignments(mode: Mode, clusters: tuple[Cluster, ...]) -> list[tuple[str, str, str, int]]:
    """Return (parameter, argument, path, value) of what a mode sets, as ``nvpmodel.conf`` has it.

    Clusters that are off have no clock.
    """
    rows = []
    cores = [n for one in clusters for n in range(one.first, one.first + one.cores)]
    for place, core in enumerate(cores):
        rows.append(
            ("CPU_ONLINE", f"CORE_{core}", f"{_CPUS}/cpu{core}/online", int(place < mode.cores))
        )
    rows.append(("TPC_POWER_GATING", "TPC_PG_MASK", _MASK, mode.gated))
    for number, cluster in enumerate(clusters):
        if cores.index(cluster.first) < mode.cores:
            for name, khz in (("MIN", _LEAST_KHZ), ("MAX", _limit(mode.cpu_khz))):
                path = _cpufreq(cluster, f"scaling_{name.lower()}_freq")
                rows.append((f"CPU_A78_{number}", f"{name}_FREQ", path, khz))
    for name, hz in (("MIN", 0), ("MAX", _limit(mode.gpu_hz))):
        rows.append(("GPU", f"{name}_FREQ", f"{_DEVFREQ}/{name.lower()}_freq", hz))
    # 0 is no limit here: INT_MAX is less than the memory of some modules can do.
    rows.append(("EMC", "MAX_FREQ", _EMC, max(mode.emc_hz, 0)))
    return rows


def _limit(value: int) -> int:
    return _INT_MAX if value == UNLIMITED else value


def conf_of(clusters: tuple[Cluster, ...], jetson: Jetson) -> str:
    """Return ``nvpmodel.conf``: the files of each parameter, then what each mode sets."""
    every = Mode("", sum(one.cores for one in clusters), UNLIMITED, UNLIMITED, 0, 0)
    lines, seen = ["# What each power mode sets, and through which file."], ""
    for parameter, argument, path, _ in _assignments(every, clusters):
        if parameter != seen:
            kind = "CLOCK" if argument.endswith("FREQ") else "FILE"
            lines += ["", f"< PARAM TYPE={kind} NAME={parameter} >"]
            seen = parameter
        lines.append(f"{argument} {path}")
    for number, mode in enumerate(jetson.modes):
        lines += ["", f"< POWER_MODEL ID={number} NAME={mode.name} >"]
        lines += [f"{row[0]} {row[1]} {row[3]}" for row in _assignments(mode, clusters)]
    return "\n".join([*lines, "", f"< PM_CONFIG DEFAULT={jetson.default} >", ""])


class _Status:
    """What the kept file says of the mode: ``pmode:0002``."""

    def __init__(self, number: int) -> None:
        self.text = f"pmode:{number:04d}\n"

    def show(self) -> str:
        return self.text

    def store(self, text: str) -> Steps:
        self.text = text
        return ""
        yield b"", 0  # makes it a generator


def add_modes(tree: Tree, clusters: tuple[Cluster, ...], jetson: Jetson) -> Limits:
    """Put the files that modes set, their configuration and GPU and memory clock into ``tree``."""
    limits = Limits(clusters, jetson)
    for path, setting in limits.settings.items():
        tree.files.pop(path, None)
        tree.live[path] = setting.attribute()
    tree.files[CONF] = conf_of(clusters, jetson).encode()
    status = _Status(jetson.default)
    tree.live[STATUS] = Attribute(constant(status.show), status.store)
    tree.text("/sys/devices/platform/17000000.gpu/of_node/name", "gpu")
    tree.text(f"{_DEVFREQ}/governor", "nvhost_podgov")
    tree.text(f"{_GPU}/load", "0")
    tree.link(f"{_DEVFREQ}/device", _GPU)
    tree.link("/sys/class/devfreq/17000000.gpu", _DEVFREQ)
    tree.whole.add("/sys/class/devfreq")
    clocks: tuple[tuple[str, Callable[[], int]], ...] = (
        (f"{_DEVFREQ}/cur_freq", limits.gpu_hz),
        ("/sys/kernel/debug/bpmp/debug/clk/emc/rate", limits.memory_hz),
    )
    for path, clock in clocks:
        tree.live[path] = Attribute(constant(partial(_number, clock)))
    return limits


def _number(clock: Callable[[], int]) -> str:
    return f"{clock()}\n"
