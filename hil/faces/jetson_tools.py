"""``nvpmodel`` and ``tegrastats`` of an emulated Jetson: programs that a program can start.

``hil run --`` puts both first in the path of its program where the board's computer is a Jetson.
They do what NVIDIA's do, with the files that the computer shows: ``nvpmodel`` writes those that
``/etc/nvpmodel.conf`` names, ``tegrastats`` prints a line an interval. Sources: NVIDIA Jetson Linux
Developer Guide, "tegrastats Utility", and the power modes; the shapes of a line as the parsers and
tests of jetson-stats (rbonghi/jetson_stats) and captured lines of Jetson Linux 36 have them.

Not modelled: loads (0 %), memory in use (0), the engines (off), log files and the ``--start`` of
``tegrastats``; the boot that some modes take, which ``nvpmodel`` asks for and skips.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

CONF, STATUS = Path("/etc/nvpmodel.conf"), Path("/var/lib/nvpmodel/status")
_CPUS = Path("/sys/devices/system/cpu")
_DEVFREQ = Path("/sys/class/devfreq/17000000.gpu")
_EMC = Path("/sys/kernel/debug/bpmp/debug/clk/emc/rate")
_MASK = "TPC_POWER_GATING"


class Module(NamedTuple):
    """What a line of ``tegrastats`` has of a module: MB of memory, clocks of the GPU, engines."""

    ram_mb: int
    gpu_clocks: int
    engines: str


_MODULES = {
    "AGX": Module(
        62841,
        2,
        "NVENC off NVDEC off NVJPG off NVJPG1 off VIC off OFA off NVDLA0 off NVDLA1 off "
        "PVA0_FREQ off APE 174",
    ),
    "Nano": Module(7620, 1, "NVDEC off NVJPG off VIC off OFA off APE 200"),
}


class Conf(NamedTuple):
    """``nvpmodel.conf``: (parameter, argument) -> path; by mode its name and settings."""

    paths: Mapping[tuple[str, str], str]
    names: Mapping[int, str]
    settings: Mapping[int, list[tuple[str, str, str]]]
    default: int


def read_conf(text: str) -> Conf:
    """Return what a configuration says; what a line of another form says is left alone."""
    paths: dict[tuple[str, str], str] = {}
    names: dict[int, str] = {}
    settings: dict[int, list[tuple[str, str, str]]] = {}
    parameter, mode, default = "", -1, 0
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0].startswith("<"):
            inside = line.strip("<> ").split()
            given = dict(word.split("=", 1) for word in inside if "=" in word)
            if inside[0] == "PARAM":
                parameter, mode = given["NAME"], -1
            elif inside[0] == "POWER_MODEL":
                mode = int(given["ID"])
                names[mode], settings[mode] = given["NAME"], []
            elif inside[0] == "PM_CONFIG":
                default = int(given["DEFAULT"])
        elif mode < 0:
            paths[parameter, words[0]] = words[1]
        else:
            settings[mode].append((words[0], words[1], words[2]))
    return Conf(paths, names, settings, default)


def nvpmodel(words: Sequence[str]) -> int:
    """Show the power mode (``-q``), the configuration (``-p``), or take a mode (``-m ID``)."""
    conf = read_conf(CONF.read_text())
    if "-q" in words or "--query" in words:
        mode = int(STATUS.read_text().split()[0].removeprefix("pmode:"))
        print(f"NV Power Mode: {conf.names[mode]}\n{mode}")
        return 0
    if "-p" in words or "--parse" in words:
        if "--verbose" in words:
            print("\n".join(f"NVPM VERB: {line}" for line in described(conf)))
        print(f"succeed to parse file {CONF}.")
        return 0
    asked = [b for a, b in pairwise(words) if a in ("-m", "--mode")]
    if len(asked) != 1 or not asked[0].isdigit() or int(asked[0]) not in conf.names:
        known = ", ".join(f"{number} ({name})" for number, name in conf.names.items())
        print(f"NVPM ERROR: -q, -p, or -m with one of {known}", file=sys.stderr)
        return 1
    return _take(conf, int(asked[0]))


def described(conf: Conf) -> Iterable[str]:
    """Yield the lines of a configuration as ``nvpmodel -p --verbose`` has them."""
    yield f"PM_CONFIG: DEFAULT={conf.names[conf.default]}({conf.default})"
    seen = ""
    for (parameter, argument), path in conf.paths.items():
        if parameter != seen:
            kind = "CLOCK" if argument.endswith("FREQ") else "FILE"
            yield f"PARAM TYPE={kind} NAME={parameter}"
            seen = parameter
        yield f"{argument} {path}"
    for mode, name in conf.names.items():
        yield ""
        yield f"POWER_MODEL: ID={mode} NAME={name}"
        yield from (" ".join(row) for row in conf.settings[mode])


def _take(conf: Conf, mode: int) -> int:
    for parameter, argument, value in conf.settings[mode]:
        if parameter == _MASK:
            path = Path(conf.paths[parameter, argument])
            if path.read_text().strip() != value and not _boots(mode):
                return 1
    for parameter, argument, value in conf.settings[mode]:
        Path(conf.paths[parameter, argument]).write_text(value)
    STATUS.write_text(f"pmode:{mode:04d}\n")
    return 0


def _boots(mode: int) -> bool:
    """Ask whether the computer may boot anew, which other GPU clusters take."""
    print(
        "NVPM WARN: Golden image context is already created\n"
        f"NVPM WARN: Reboot required for changing to this power mode: {mode}\n"
        "NVPM WARN: DO YOU WANT TO REBOOT NOW? enter YES/yes to confirm:",
        flush=True,
    )
    if sys.stdin.readline().strip() not in ("YES", "yes"):
        print("NVPM ERROR: optMask is 1, no request for power mode")
        return False
    print("NVPM WARN: rebooting")
    return True


class Rail:
    """A rail that a power monitor watches, mW, and its mean since the start."""

    def __init__(self, name: str, volts: Path, amperes: Path) -> None:
        self.name = name
        self._files = volts, amperes
        self._sum = self._count = 0

    def text(self) -> str:
        """Read it, and return its field of a line."""
        try:
            now = int(self._files[0].read_text()) * int(self._files[1].read_text()) // 1000
        except OSError:  # a channel that is switched off
            now = 0
        self._sum, self._count = self._sum + now, self._count + 1
        return f"{self.name} {now}mW/{self._sum // self._count}mW"


def rails() -> list[Rail]:
    """Return the rails of all power monitors, in the order of their addresses."""
    found = []
    for label in sorted(Path("/sys/bus/i2c/drivers/ina3221").glob("*/hwmon/*/in[1-3]_label")):
        channel = label.name[2]
        found.append(
            Rail(
                label.read_text().strip(),
                label.with_name(f"in{channel}_input"),
                label.with_name(f"curr{channel}_input"),
            )
        )
    return found


def gpu_field(load: int | None, clocks_mhz: Sequence[int], listed: bool = True) -> str:
    """Return ``GR3D_FREQ``: ``10%@1300``, listed ``12%@[1300,1300]``, and ``@[1000]`` with no load.

    The first is what jetson-stats knows of JetPack 6, the last of Thor.
    """
    share = "" if load is None else f"{load}%"
    clocks = ",".join(map(str, clocks_mhz))
    return f"GR3D_FREQ {share}@{f'[{clocks}]' if listed else clocks}"


def _number(path: Path) -> int:
    return int(path.read_text())


def _core(number: int) -> str:
    if not _number(_CPUS / f"cpu{number}" / "online"):
        return "off"
    return f"0%@{_number(_CPUS / f'cpu{number}' / 'cpufreq' / 'scaling_cur_freq') // 1000}"


def line(watched: Sequence[Rail]) -> str:
    """Return one line of ``tegrastats`` of this computer as it is now."""
    model = Path("/proc/device-tree/model").read_text()
    module = _MODULES["AGX" if "AGX" in model else "Nano"]
    cores = Path("/proc/cpuinfo").read_text().count("processor\t:")
    zones = []
    for folder in sorted(Path("/sys/class/thermal").glob("thermal_zone*")):
        name = (folder / "type").read_text().strip().removesuffix("-thermal")
        zones.append(f"{name}@{_number(folder / 'temp') / 1000:g}C")
    gpu_mhz = _number(_DEVFREQ / "cur_freq") // 1_000_000
    return " ".join(
        (
            time.strftime("%m-%d-%Y %H:%M:%S"),
            f"RAM 0/{module.ram_mb}MB (lfb {module.ram_mb // 4}x4MB) SWAP 0/0MB (cached 0MB)",
            f"CPU [{','.join(_core(number) for number in range(cores))}]",
            f"EMC_FREQ 0%@{_number(_EMC) // 1_000_000}",
            gpu_field(0, [gpu_mhz] * module.gpu_clocks),
            module.engines,
            *zones,
            *(rail.text() for rail in watched),
        )
    )


def tegrastats(words: Sequence[str]) -> int:
    """Print a line an interval (``--interval`` in ms, 1000 if not given) until it is ended."""
    interval_ms = 1000
    left = list(words)
    while left:
        word = left.pop(0)
        if word != "--interval" or not left or not left[0].isdigit() or not int(left[0]):
            print(f"tegrastats: {word}: only --interval MILLISECONDS is known", file=sys.stderr)
            return 1
        interval_ms = int(left.pop(0))
    watched = rails()
    try:
        while True:
            print(line(watched), flush=True)
            time.sleep(interval_ms / 1000)
    except (KeyboardInterrupt, BrokenPipeError):
        sys.stderr.close()  # or the interpreter complains of what the pipe did not take
        return 0


def write_programs(folder: Path) -> None:
    """Put both programs into a folder, as scripts that run this module."""
    folder.mkdir()
    home = Path(__file__).resolve().parents[2]
    for name in ("nvpmodel", "tegrastats"):
        code = (
            f"import sys; sys.path.insert(0, {str(home)!r}); "
            f"from hil.faces.jetson_tools import {name}; sys.exit({name}(sys.argv[1:]))"
        )
        path = folder / name
        path.write_text(
            f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c {shlex.quote(code)} "$@"\n'
        )
        path.chmod(0o755)
