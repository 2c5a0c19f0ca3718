"""Options of verbs that keep a cable: how the port is shown, what the line does to octets."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from hil.errors import UsageError

if TYPE_CHECKING:
    from hil.boards.identity import PortInfo
    from hil.boards.line import Trouble

_USB = re.compile(r"([0-9a-fA-F]{4}):([0-9a-fA-F]{4})")


def add_plug_options(p: argparse.ArgumentParser) -> None:
    """Add them to the options of a verb."""
    p.add_argument("--link", type=Path, metavar="PATH", help="also a link of this name to the port")
    p.add_argument("--id", metavar="ID", help="stand in for this emulated instance of lab.toml")
    p.add_argument("--usb", metavar="VVVV:PPPP", help="list the port with these USB numbers")
    p.add_argument("--serial", metavar="TEXT", help="and with this USB serial number")
    p.add_argument("--baud", type=int, default=0, help="rate of the board (default: no line rate)")
    for name in ("garble", "drop", "duplicate"):
        p.add_argument(f"--{name}", type=float, default=0.0, metavar="SHARE", help="of the octets")
    p.add_argument("--latency", type=float, default=0.0, metavar="MS", help="delay of each octet")
    p.add_argument("--seed", type=int, default=1, help="of the damage (default 1)")


def trouble(args: argparse.Namespace) -> Trouble:
    """Return what the line does. Raises UsageError for shares that make no sense."""
    from hil.boards.line import Trouble

    latency_ns = round(args.latency * 1e6)
    return Trouble(args.garble, args.drop, args.duplicate, latency_ns)


def port_info(args: argparse.Namespace) -> PortInfo | None:
    """Return how the port is listed, None: not at all. Raises UsageError."""
    from hil.boards.identity import PortInfo
    from hil.boards.ports import emulated_port

    if args.id is not None:
        return emulated_port(args.id, "")
    if args.usb is None:
        return None
    match = _USB.fullmatch(args.usb)
    if not match:
        raise UsageError(f"--usb {args.usb[:32]}: vendor and product in hex, such as 2341:0043")
    return PortInfo(
        "", int(match[1], 16), int(match[2], 16), serial=args.serial, interface=0, usb_path="9-1"
    )
