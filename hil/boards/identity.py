"""Which port is which board: by what the board and its place are, never by the name of a tty.

Linux hands out ``ttyACM0`` and ``ttyUSB1`` in the order of arrival, so a name says nothing of what
is behind it. An instance says what it is by, from the surest on:

1. ``uid``: the eight octets that the firmware tells in its HELLO; only asking finds them out.
2. ``usb_serial`` and ``interface``: what its USB descriptors say, and which of its interfaces.
3. ``usb_path``: the socket of the hub that it hangs at (``1-1.3``); ``device``: the UART of the
   computer itself, by the name that its bus gives it (``fe201000.serial``).
4. nothing but its type: the one port with the USB numbers of that type.

What fits more than one port fits none: :class:`Match` then holds them all and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hil.boards.boardtype import BoardType
from hil.printable import printable


@dataclass(frozen=True)
class PortInfo:
    """A serial port as a :class:`~hil.boards.ports.PortSource` lists it; None: not known."""

    #: path to open now; good for this one listing
    path: str
    vid: int | None = None
    pid: int | None = None
    serial: str | None = None
    #: number of the USB interface
    interface: int | None = None
    #: socket at the hub, ``1-1.3``
    usb_path: str | None = None
    #: name of a UART on a bus of the computer itself
    device: str | None = None
    driver: str | None = None
    product: str | None = None
    #: what sets this arrival apart from the last one of the same name; equal: still plugged in
    arrival: str = ""

    @property
    def is_usb(self) -> bool:
        """Whether USB vouches for what is behind the port."""
        return self.vid is not None

    def describe(self) -> str:
        """Return the port in words, as an error lists it."""
        facts = []
        if self.vid is not None and self.pid is not None:
            facts.append(f"{self.vid:04x}:{self.pid:04x}")
        if self.serial:
            facts.append(f"serial {printable(self.serial)}")
        if self.interface:
            facts.append(f"interface {self.interface}")
        if self.usb_path:
            facts.append(f"USB path {self.usb_path}")
        if self.device:
            facts.append(f"device {self.device}")
        return f"{self.path} ({', '.join(facts) or 'no identity'})"


@dataclass(frozen=True)
class Wanted:
    """What an instance is known by; None: not by that."""

    uid: bytes | None = None
    usb_serial: str | None = None
    interface: int | None = None
    usb_path: str | None = None
    device: str | None = None
    #: a path given for this one time (``--port``); it is in no file
    port: str | None = None

    def describe(self) -> str:
        """Return what is sought, in words."""
        facts = []
        if self.uid is not None:
            facts.append(f"uid {self.uid.hex()}")
        if self.usb_serial is not None:
            facts.append(f"USB serial {self.usb_serial}")
        if self.interface is not None:
            facts.append(f"interface {self.interface}")
        if self.usb_path is not None:
            facts.append(f"USB path {self.usb_path}")
        if self.device is not None:
            facts.append(f"device {self.device}")
        if self.port is not None:
            facts.append(f"port {self.port}")
        return ", ".join(facts)


@dataclass(frozen=True)
class Match:
    """What a listing holds for an instance.

    ``ports``: where to ask, one after the other. ``is_sure``: the first is it as far as USB can
    tell; else each is to be asked for its uid. ``ambiguous``: none may be taken; ``why`` says it.
    """

    ports: tuple[PortInfo, ...]
    is_sure: bool = False
    ambiguous: bool = False
    why: str = ""


def match_ports(wanted: Wanted, kind: BoardType, ports: Sequence[PortInfo]) -> Match:
    """Return which of ``ports`` may be the instance; see the head of the module for the order."""
    sought = wanted.describe() or f"a {kind.name}"
    if wanted.port is not None:
        named = [port for port in ports if port.path == wanted.port]
        # A path that nobody lists (a PTY of the user's own) is as good as the user's word.
        return Match((named[0] if named else PortInfo(wanted.port),), is_sure=wanted.uid is None)
    fitting = [port for port in ports if _fits(wanted, port)]
    by_place = replace(wanted, uid=None, interface=None) != Wanted()
    if not by_place:
        fitting = _of_type(wanted, kind, fitting)
    if not fitting:
        return Match((), why=f"no port has {sought}")
    if wanted.uid is not None:
        return Match(tuple(fitting), why=f"{len(fitting)} ports to ask for {sought}")
    if len(fitting) > 1:
        listed = "; ".join(port.describe() for port in fitting)
        remedy = _remedy(wanted, fitting)
        return Match(
            tuple(fitting),
            ambiguous=True,
            why=f"{len(fitting)} ports fit {sought}: {listed}; {remedy}",
        )
    return Match((fitting[0],), is_sure=True)


def _fits(wanted: Wanted, port: PortInfo) -> bool:
    """Return whether nothing that is known of the port speaks against it."""
    return all(
        sought is None or sought == found
        for sought, found in (
            (wanted.usb_serial, port.serial),
            (wanted.interface, port.interface),
            (wanted.usb_path, port.usb_path),
            (wanted.device, port.device),
        )
    )


def _of_type(wanted: Wanted, kind: BoardType, ports: list[PortInfo]) -> list[PortInfo]:
    """Return the ports with the USB numbers of the type.

    With a uid to ask for, a UART without any identity may be it too, and comes last: a board on a
    UART of the computer has no USB numbers, and a type without USB numbers is never on USB.
    """
    usb = [port for port in ports if (port.vid, port.pid) in kind.usb]
    plain = [port for port in ports if not port.is_usb]
    if wanted.uid is not None:
        return usb + plain
    return usb if kind.usb else plain


def _remedy(wanted: Wanted, ports: Sequence[PortInfo]) -> str:
    """Return what sets ports apart that now look the same."""
    for name, key in (
        ("serial", "usb_serial"),
        ("interface", "interface"),
        ("usb_path", "usb_path"),
        ("device", "device"),
    ):
        found = [getattr(port, name) for port in ports]
        if getattr(wanted, key) is None and None not in found and len(set(found)) == len(found):
            return f"say {key} in lab.toml"
    return "say uid in lab.toml (hil boards identify shows it)"
