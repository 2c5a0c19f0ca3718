"""What keeps a host from its boards, each with the command that mends it.

A check is a function of a :class:`Bench` (the host and the ports that ``lab.toml`` claims) that
returns findings. What stops a claimed board is bad; on a port that nobody claims it is a warning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hil.boards.boardtype import BoardType, load_type, type_names
from hil.boards.emulators import missing
from hil.boards.flashing import damage, image_path
from hil.boards.host import Host, HostPort, Process
from hil.boards.lab import Lab, load_lab
from hil.boards.ports import FolderPorts, JoinedPorts, MachinePorts, PortSource
from hil.boards.whereabouts import claimed_names, survey
from hil.errors import ConfigError
from hil.findings import BAD, GOOD, WARN, Finding

#: USB to serial converters that braille displays have too: brltty takes them (its udev rules).
BRAILLE = frozenset({"1a86:7523", "10c4:ea60", "0403:6001"})
LATENCY_WANTED_MS = 1
_MODEM_MANAGER, _BRLTTY, _GETTYS = "ModemManager", "brltty", ("agetty", "getty")
_RELOAD = "sudo udevadm control --reload && sudo udevadm trigger"


@dataclass(frozen=True)
class Bench:
    """The host whose boards are to work, and the names of ports that instances claim."""

    host: Host = field(default_factory=Host)
    claimed: frozenset[str] = frozenset()
    lab: Lab = field(default_factory=lambda: Lab({}))
    #: what is wrong with the lab file
    lab_error: str = ""
    sources: PortSource | None = None
    #: board types whose images and emulations are looked at
    types: tuple[BoardType, ...] = ()

    @classmethod
    def of(cls, host: Host, lab: str | None = None) -> Bench:
        """Return the bench of a host, with the lab file that applies and every board type."""
        ports = JoinedPorts(MachinePorts(lambda: host), FolderPorts())
        types = tuple(load_type(name) for name in type_names())
        try:
            loaded = load_lab(lab)
        except ConfigError as wrong:
            return cls(host, lab_error=str(wrong), sources=ports, types=types)
        return cls(host, claimed_names(loaded, ports), loaded, "", ports, types)

    def weight(self, port: HostPort) -> str:
        """How grave it is that a port cannot be used."""
        return BAD if port.name in self.claimed else WARN


def rule_line(text: str) -> str:
    """Return the command that adds a line to the udev rules of boards."""
    return f"echo '{text}' | sudo tee -a /etc/udev/rules.d/60-hil.rules && {_RELOAD}"


def ports(bench: Bench) -> Iterator[Finding]:
    """Name the ports that boards may hang on."""
    found = bench.host.ports
    if not found:
        yield Finding("serial ports", GOOD, "none here; emulated boards need none")
        return
    told = (f"{p.path} ({p.usb.ids})" if p.usb else p.path for p in found)
    yield Finding("serial ports", GOOD, ", ".join(told))


def permissions(bench: Bench) -> Iterator[Finding]:
    """A port opens for who owns it, for a group, or for who sits at the machine (uaccess)."""
    host = bench.host
    for port in host.ports:
        if host.may_open(port):
            continue
        told = port.node.stat()
        group, members = host.group(told.st_gid)
        if host.user in members:
            fix = "log out and in again, or `newgrp " + group + "` in this shell"
            detail = f"no access; {host.user} is of the group {group}, this session is not yet"
        else:
            detail = f"no access for {host.user}; it is of the group {group}"
            fix = f"sudo usermod -aG {group} {host.user}, then log in again"
            if port.usb is not None:
                fix += "; or " + rule_line(_usb_rule(port, 'MODE="0660", TAG+="uaccess"'))
        yield Finding(f"permission {port.name}", bench.weight(port), detail, fix)


def _usb_rule(port: HostPort, what: str) -> str:
    assert port.usb is not None
    vid, pid = port.usb.vid, port.usb.pid
    return f'SUBSYSTEM=="tty", ATTRS{{idVendor}}=="{vid}", ATTRS{{idProduct}}=="{pid}", {what}'


def holders(bench: Bench) -> Iterator[Finding]:
    """A port that another program has open answers two masters."""
    for port in bench.host.ports:
        held = [p for p in bench.host.processes if p.has_open(port.path)]
        held = [p for p in held if p.name not in _GETTYS]  # told of by its own check
        if held:
            who = ", ".join(f"{p.name} ({p.pid})" for p in held)
            fix = "end it, or wait until it is done: kill " + " ".join(str(p.pid) for p in held)
            yield Finding(f"holder {port.name}", bench.weight(port), f"open in {who}", fix)
        elif lock := bench.host.text(f"run/lock/LCK..{port.name}"):
            detail = f"/run/lock/LCK..{port.name} says that process {lock.split()[0]} has it"
            fix = f"end it, or sudo rm /run/lock/LCK..{port.name} if it is gone"
            yield Finding(f"holder {port.name}", bench.weight(port), detail, fix)


def modem_manager(bench: Bench) -> Iterator[Finding]:
    """ModemManager writes AT commands into a new serial port unless it is told not to."""
    if not any(p.name == _MODEM_MANAGER for p in bench.host.processes):
        return
    for port in bench.host.ports:
        if port.usb is None or _modem_manager_ignores(bench.host, port):
            continue
        fix = rule_line(_usb_rule(port, 'ENV{ID_MM_DEVICE_IGNORE}="1"'))
        detail = f"{_MODEM_MANAGER} runs and may write into {port.path}"
        yield Finding(f"modems {port.name}", WARN, detail, fix)


def _modem_manager_ignores(host: Host, port: HostPort) -> bool:
    assert port.usb is not None
    keys = ("ID_MM_DEVICE_IGNORE", "ID_MM_PORT_IGNORE")
    if any(host.udev_says(port, key) for key in keys):
        return True
    wanted = (f'"{port.usb.vid}"', f'"{port.usb.pid}"')
    rules = (line for _, line in host.rules() if any(key in line for key in keys))
    return any(all(number in line.lower() for number in wanted) for line in rules)


def braille(bench: Bench) -> Iterator[Finding]:
    """Brltty takes converters that its braille displays use too, and the port goes away."""
    host = bench.host
    rules = {path for path, line in host.rules() if _BRLTTY in line or _BRLTTY in path.name}
    running = any(p.name == _BRLTTY for p in host.processes)
    if not rules and not running:
        return
    why = "brltty runs" if running else f"{host.shown(sorted(rules)[0])} is there"
    fix = "sudo apt remove brltty, or sudo systemctl mask --now brltty.service brltty-udev.service"
    with_port = {port.usb.folder for port in host.ports if port.usb}
    for device in host.usb_devices:
        if device.ids not in BRAILLE:
            continue
        if device.folder in with_port:
            yield Finding("braille", WARN, f"{why} and may take the converter {device.ids}", fix)
        else:
            yield Finding("braille", BAD, f"{why}: the converter {device.ids} has no port", fix)


def latency(bench: Bench) -> Iterator[Finding]:
    """FTDI converters keep received octets back, 16 ms by default."""
    for port in bench.host.ports:
        path = f"sys/bus/usb-serial/devices/{port.name}/latency_timer"
        kept = bench.host.text(path)
        if kept.isdigit() and int(kept) > LATENCY_WANTED_MS:
            rule = 'ACTION=="add", SUBSYSTEM=="usb-serial", DRIVER=="ftdi_sio", '
            fix = f"echo {LATENCY_WANTED_MS} | sudo tee /{path}; to keep it so: "
            fix += rule_line(f'{rule}ATTR{{latency_timer}}="{LATENCY_WANTED_MS}"')
            detail = f"keeps octets back for {kept} ms: a round trip takes as long"
            yield Finding(f"latency {port.name}", WARN, detail, fix)


def gettys(bench: Bench) -> Iterator[Finding]:
    """A login or the kernel's console on the port talks into it."""
    host = bench.host
    for port in host.ports:
        names = (port.name, *port.aliases)
        for process in _gettys_of(host, names):
            fix = f"sudo systemctl disable --now serial-getty@{port.name}.service"
            if port.name.startswith("ttyTHS"):
                fix += " nvgetty.service"
            detail = f"{process.name} ({process.pid}) asks for a login on it"
            yield Finding(f"login {port.name}", bench.weight(port), detail, fix)
            break
        else:
            if unit := _getty_unit(host, names):
                fix = f"sudo systemctl disable --now {unit.name}"
                detail = f"{host.shown(unit)} asks for a login on it at the next start"
                yield Finding(f"login {port.name}", bench.weight(port), detail, fix)
        consoles = re.findall(r"\bconsole=(\w+)", host.text("proc/cmdline"))
        if said := [console for console in consoles if console in names]:
            fix = f"take console={said[0]} out of /boot/firmware/cmdline.txt (Raspberry Pi: "
            fix += "sudo raspi-config nonint do_serial_cons 1) or /boot/extlinux/extlinux.conf "
            fix += "(Jetson), then start again"
            detail = f"the kernel's console is on it: console={said[0]}"
            yield Finding(f"console {port.name}", bench.weight(port), detail, fix)


def _gettys_of(host: Host, names: tuple[str, ...]) -> Iterator[Process]:
    for process in host.processes:
        words = {word.removeprefix("/dev/") for word in process.words}
        if process.name in _GETTYS and words & set(names):
            yield process


def _getty_unit(host: Host, names: tuple[str, ...]) -> Path | None:
    folder = host.root / "etc/systemd/system/getty.target.wants"
    units = (folder / f"serial-getty@{name}.service" for name in names)
    return next((unit for unit in units if unit.is_symlink()), None)


def autosuspend(bench: Bench) -> Iterator[Finding]:
    """A USB device that is put to sleep wakes too late, or not at all."""
    for port in bench.host.ports:
        if port.usb is None:
            continue
        control = port.usb.folder / "power/control"
        if bench.host.text(control) == "auto":
            path = bench.host.shown(control)
            rule = (
                f'ACTION=="add", SUBSYSTEM=="usb", ATTR{{idVendor}}=="{port.usb.vid}", '
                f'ATTR{{idProduct}}=="{port.usb.pid}", ATTR{{power/control}}="on"'
            )
            fix = f"echo on | sudo tee {path}; to keep it so: {rule_line(rule)}"
            detail = "the USB device is put to sleep when it is idle (autosuspend)"
            yield Finding(f"sleep {port.name}", WARN, detail, fix)


def lab_file(bench: Bench) -> Iterator[Finding]:
    """The lab file can be read, and its boards are there, each at one port."""
    if bench.lab_error:
        yield Finding("lab file", BAD, bench.lab_error, "mend that line of the file")
        return
    if bench.lab.path is None:
        yield Finding("lab file", GOOD, "none; boards need one, emulations do not")
        return
    told = f"{bench.lab.path}: {len(bench.lab.instances)} boards"
    yield Finding("lab file", GOOD, told)
    rows = survey(bench.lab, bench.sources, bench.host) if bench.sources else []
    for row in rows:
        if row.state == "ambiguous":
            yield Finding(f"board {row.id}", BAD, row.why, "hil boards identify PORT, for each")
        elif row.state == "absent":
            yield Finding(f"board {row.id}", WARN, row.why, "plug it in; hil boards list")


def images(bench: Bench) -> Iterator[Finding]:
    """The images of the firmware are those whose hashes lie beside them."""
    wrong = {}
    for kind in bench.types:
        path = image_path(kind)
        if path is not None and path.suffix == ".hex" and (text := damage(path)):
            wrong[kind.name] = text
    for name, text in wrong.items():
        detail, _, fix = text.rpartition("; ")
        yield Finding(f"image {name}", BAD, detail, fix.removesuffix(" builds it").strip("`"))
    if bench.types and not wrong:
        yield Finding("images", GOOD, "each has the hash that its build wrote")


def emulations(bench: Bench) -> Iterator[Finding]:
    """The programs that emulate boards are installed: those of absent ones cannot be run."""
    kinds = sorted({kind for type_ in bench.types for kind in type_.emulations})
    lacks = {kind: lack for kind in kinds if (lack := missing(kind))}
    for kind, lack in lacks.items():
        detail, _, fix = lack.rpartition("; ")
        yield Finding(f"emulation {kind}", WARN, detail, fix)
    if there := [kind for kind in kinds if kind not in lacks]:
        yield Finding("emulations", GOOD, ", ".join(there))


Check = Callable[[Bench], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (
    ports,
    permissions,
    holders,
    gettys,
    modem_manager,
    braille,
    latency,
    autosuspend,
    lab_file,
    images,
    emulations,
)


def examine(bench: Bench) -> list[Finding]:
    """Return what every check of the host finds."""
    return [finding for check in CHECKS for finding in check(bench)]
