"""Where Linux has the buses of a rig: device files, and the folder that stands in for them.

An overlay is a folder with what a program is to find below ``/dev`` and ``/sys``: a plain file in
``dev`` is a device of the bench, everything else is shown as it lies there. The preload shim looks
names up in it, and does not need to be told when one comes or goes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hil.transactions import Lane

_NUMBER = re.compile(r"\d+$")
#: The kernel takes the number for gpiochips at run time; the shim shows the same one.
GPIO_MAJOR = 254
#: Adapters without a limit get this one: a request and its reply fit into one message.
SPIDEV_MOST = 65536
#: A CAN bus is no file to Linux; it gets the tty of a serial adapter (``hil.faces.slcan``).
_PREFIXES = {
    "i2c": "/dev/i2c-",
    "spi": "/dev/spidev",
    "gpio": "/dev/gpiochip",
    "can": "/dev/ttyCAN",
}


class Node(NamedTuple):
    """One device file: its path, the channel behind it, and the chip select of a spidev."""

    path: str
    lane: Lane
    chip_select: int = 0


def nodes_of(lanes: Iterable[Lane]) -> dict[str, Node]:
    """Return the device files of channels by path; cameras and 1-Wire have none.

    A bus takes the number at the end of its name, or the first free one of its kind.
    """
    found: dict[str, Node] = {}
    for lane in lanes:
        for node in _nodes(lane, found):
            found[node.path] = node
    return found


def _nodes(lane: Lane, taken: dict[str, Node]) -> list[Node]:
    kind, name = lane.kind, str(lane.bus.name)
    if kind == "uart":
        return [Node(f"/dev/{name}", lane)]
    prefix = _PREFIXES.get(kind)
    if prefix is None:
        return []
    given = _NUMBER.search(name)
    number = int(given[0]) if given else 0
    used = {int(m[1]) for path in taken if (m := re.match(re.escape(prefix) + r"(\d+)", path))}
    while number in used:
        number += 1
    if kind != "spi":
        return [Node(f"{prefix}{number}", lane)]
    selects = sorted(map(int, lane.bus.describe()["chip_selects"])) or [0]
    return [Node(f"{prefix}{number}.{select}", lane, select) for select in selects]


def spidev_limit(lane: Lane) -> int:
    """Return the most octets of one SPI message: spidev's ``bufsiz``."""
    return min(int(lane.bus.profile.spi_max_octets), SPIDEV_MOST)


def write_overlay(root: Path, nodes: Iterable[Node], ttys: Mapping[str, str]) -> None:
    """Make the overlay of device files below ``root``; ``ttys``: path -> the terminal behind it."""
    for node in nodes:
        path = root / node.path.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        if node.path in ttys:
            path.symlink_to(ttys[node.path])
        else:
            path.touch()
            _describe(root, node)


def _describe(root: Path, node: Node) -> None:
    """Write the attributes in sysfs that tools look at before they open a device."""
    name = Path(node.path).name
    files: dict[str, Any] = {}
    if node.lane.kind == "i2c":
        adapter = node.lane.bus.profile.name
        files[f"sys/class/i2c-dev/{name}/name"] = f"{adapter} ({node.lane.bus.name})"
        files[f"sys/class/i2c-dev/{name}/device/name"] = f"{adapter} ({node.lane.bus.name})"
    elif node.lane.kind == "spi":
        files["sys/module/spidev/parameters/bufsiz"] = spidev_limit(node.lane)
    elif node.lane.kind == "gpio":
        number = _NUMBER.search(name)
        assert number is not None, f"{name} is numbered"
        device = f"{GPIO_MAJOR}:{number[0]}"
        files[f"sys/bus/gpio/devices/{name}/dev"] = device
        link = root / "sys" / "dev" / "char" / device / "subsystem"
        link.parent.mkdir(parents=True)
        link.symlink_to("../../../bus/gpio")
    for where, text in files.items():
        path = root / where
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
