"""The reception of the bench's socket: which device a client wants, and what it is told of it."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

from flightsw.codec.wire import Flag, Kind, Status, pack
from hil.errors import HostError
from hil.exchange import Exchange
from hil.faces.attributes import Tree
from hil.faces.handles import STREAM, Client, Desk
from hil.faces.nodes import Node
from hil.faces.spi_settings import SpiSettings

ERRNO_TABLE = struct.Struct("<16h")
_OPEN, _REPLY = int(Kind.OPEN), int(Flag.REPLY)
_KIND_OF = {kind: int(Kind[kind.upper()]) for kind in ("i2c", "spi", "gpio", "uart", "can")}


class RefusedError(HostError):
    """A client cannot have what it asks for; the text is for it."""


class Reception:
    """Gives devices to clients. ``ttys``: what stands for UART and CAN buses, by device path."""

    def __init__(
        self,
        exchange: Exchange,
        nodes: Mapping[str, Node],
        ttys: Mapping[str, Any],
        desks: Mapping[str, Desk],
        tree: Tree,
    ) -> None:
        self._exchange = exchange
        self._nodes = nodes
        self._ttys = ttys
        self._desks = desks
        self._tree = tree
        self._spi = SpiSettings()

    def open(self, client: Client, header: tuple[int, ...], payload: bytes) -> bytes:
        """Give a client the device that it names; return the reply.

        Without a name the reply has the channels. Raises :class:`RefusedError`.
        """
        if header[0] != _OPEN:
            raise RefusedError("a handle begins with OPEN: " + self._there())
        if not payload:
            lanes = self._exchange.lanes.values()
            return self._text({"channels": [lane.describe() for lane in lanes]})
        name = payload.decode(errors="replace")
        client.attribute = self._tree.find(name)
        if client.attribute is not None:
            client.path = name
            return self._text({"path": name, "mode": f"{client.attribute.mode:o}"})
        node = self._nodes.get(name) or self._nodes.get(f"/dev/{name}") or self._of_bus(name)
        if node is None:
            raise RefusedError(f"open {name!r}: no such device; {self._there()}")
        lane = node.lane
        desk = self._desks.get(lane.kind)
        if header[8] == STREAM and desk is None:
            raise RefusedError(f"open {name!r}: a {lane.kind} has no stream")
        client.node, client.lane = node, lane
        about = self._settings(node)
        if header[8] == STREAM or node.path not in self._ttys:
            client.kind, client.desk = _KIND_OF.get(lane.kind, 0), desk
        if client.desk is not None:
            try:
                about = client.desk.open(client, lane)
            except OSError as error:  # no descriptors left
                raise RefusedError(
                    f"open {name!r}: {error.strerror}; close some and try again"
                ) from None
        return self._about(node, Status.OK, about)

    def settle(self, node: Node, payload: bytes) -> bytes:
        """Change the settings of an open device; without a payload only tell them again."""
        status = Status.OK
        if payload:
            spi = node.lane.kind == "spi"
            status = self._spi.change(node, payload) if spi else Status.INVALID
        return self._about(node, status, self._settings(node))

    def _there(self) -> str:
        lanes = self._exchange.lanes.values()
        fileless = [lane.bus.name for lane in lanes if lane.kind == "can"]
        return "there are " + ", ".join([*self._nodes, *fileless])

    def _text(self, what: Mapping[str, Any]) -> bytes:
        """Return a reply that is about no channel."""
        octets = bytes(ERRNO_TABLE.size) + json.dumps(what).encode()
        return pack(_OPEN, 0, _REPLY, t_ns=self._exchange.kernel.now_ns, payload=octets)

    def _about(self, node: Node, status: int, settings: Mapping[str, Any]) -> bytes:
        """Return what a client is told of what it has opened."""
        lane = node.lane
        table = [lane.errno.get(status, 0) for status in range(16)]
        about = {**lane.describe(), "path": node.path, **settings}
        about |= {key: self._exchange.identity.get(key, "") for key in ("rig", "board")}
        text = json.dumps(about, separators=(",", ":")).encode()
        return pack(
            _OPEN,
            lane.index,
            _REPLY,
            int(status),
            t_ns=self._exchange.kernel.now_ns,
            address=node.chip_select,
            payload=ERRNO_TABLE.pack(*table) + text,
        )

    def _settings(self, node: Node) -> dict[str, Any]:
        """Return what a program may know besides the channel, or change."""
        if node.path in self._ttys:
            return {"pty": self._ttys[node.path].path}
        held = self._tree.held(node.lane.bus.name)
        if held and node.lane.kind == "i2c":
            return {"held": held}
        return self._spi.of(node) if node.lane.kind == "spi" else {}

    def _of_bus(self, name: str) -> Node | None:
        """Return the first device of a bus; one without files is its own, if a desk serves it.

        The tty of a CAN bus is only one way to it: its name means the bus.
        """
        for node in self._nodes.values():
            if node.lane.bus.name == name and node.lane.kind != "can":
                return node
        for lane in self._exchange.lanes.values():
            if lane.bus.name == name and lane.kind in self._desks:
                return Node(name, lane)
        return None
