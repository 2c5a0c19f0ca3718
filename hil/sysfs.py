"""The tree of one board: its computer, its I2C adapters, and the parts that drivers hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hil.board import Board
from hil.faces.attributes import Attribute, Tree
from hil.faces.computers import WorldView, add_computer, add_hwmon
from hil.faces.hwmon import Bound
from hil.faces.nodes import Node


def tree_of(
    board: Board, nodes: Iterable[Node], parts: Mapping[str, Any], world: WorldView
) -> tuple[Tree, Callable[[], None]]:
    """Return the tree, and what is to be called every second; empty without a computer's name."""
    tree = Tree()
    firmware = None
    if board.computer is not None:
        firmware = add_computer(tree, board.computer, world)
    adapters = {node.lane.bus.name: node for node in nodes if node.lane.kind == "i2c"}
    bound = [spec for spec in board.parts if spec.kernel is not None]
    if bound or board.computer is not None:
        tree.whole |= {"/sys/bus/i2c", "/sys/class/hwmon"}
        for node in adapters.values():
            _add_adapter(tree, node)
    if any(spec.kernel == "tmp117" for spec in bound):
        tree.whole.add("/sys/bus/iio")
    for spec in bound:
        assert spec.kernel is not None, "chosen by that"
        one = Bound(parts[spec.name], spec.bus, spec.address, spec.kernel, spec.labels)
        tree.devices.append(one.device)
        _add_bound(tree, one, adapters[spec.bus], spec.kernel, spec.type)
    return tree, firmware.look if firmware else lambda: None


def _adapter_folder(node: Node) -> str:
    return f"/sys/devices/platform/{node.lane.bus.name}.adapter/{node.path.removeprefix('/dev/')}"


def _add_adapter(tree: Tree, node: Node) -> None:
    folder, name = _adapter_folder(node), node.path.removeprefix("/dev/")
    tree.text(f"{folder}/name", f"{node.lane.bus.profile.name} ({node.lane.bus.name})")
    tree.link(f"{folder}/subsystem", "/sys/bus/i2c")
    tree.link(f"/sys/bus/i2c/devices/{name}", folder)
    tree.link(f"/sys/class/i2c-adapter/{name}", folder)


def _add_bound(tree: Tree, one: Bound, node: Node, kernel: str, type_name: str) -> None:
    number = int(node.path.rpartition("-")[2])
    name = f"{number}-{one.device.address:04x}"
    device = f"{_adapter_folder(node)}/{name}"
    tree.text(f"{device}/name", type_name)
    tree.text(f"{device}/modalias", f"i2c:{type_name}")
    tree.link(f"{device}/subsystem", "/sys/bus/i2c")
    tree.link(f"{device}/driver", f"/sys/bus/i2c/drivers/{kernel}")
    tree.link(f"/sys/bus/i2c/devices/{name}", device)
    tree.link(f"/sys/bus/i2c/drivers/{kernel}/{name}", device)
    if one.table.iio:
        count = sum(path.startswith("/sys/bus/iio/devices/") for path in tree.links)
        folder = f"{device}/iio:device{count}"
        tree.text(f"{folder}/name", type_name)
        tree.link(f"{folder}/subsystem", "/sys/bus/iio")
        tree.link(f"/sys/bus/iio/devices/iio:device{count}", folder)
    else:
        folder = add_hwmon(tree, device, "jc42" if kernel == "jc42" else type_name)
    for file, content in one.attributes().items():
        if isinstance(content, Attribute):
            tree.live[f"{folder}/{file}"] = content
        else:
            tree.text(f"{folder}/{file}", content)
