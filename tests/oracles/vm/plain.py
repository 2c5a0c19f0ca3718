"""Inside the guest: what pySerial finds and reads over three cycles of unplugging, and of twins."""

import json
import os
import tty
from pathlib import Path

import serial
from serial.tools import list_ports
from usb import Gadget, wait_for


def found() -> list[tuple[str, str, int, int, str]]:
    """Return (device, serial number, VID, PID, USB path) of each port with an identity."""
    return sorted(
        (port.device, port.serial_number, port.vid, port.pid, port.location)
        for port in list_ports.comports()
        if port.vid is not None
    )


def echo(port: serial.Serial, own: int, text: bytes) -> bool:
    """Tell whether octets arrive both ways."""
    port.write(text)
    heard = os.read(own, 64)
    os.write(own, heard[::-1])
    return heard == text and port.read(len(text)) == text[::-1]


board, twin = Gadget(0, "E6614103E7452D2F"), Gadget(1, "E6614103E7452D2F")
result: dict[str, object] = {}
cycles = []
held: serial.Serial | None = None
for hold in (True, False, False):  # the first one's port stays open while the board is away
    board.plug()
    wait_for(1)
    ((device, *identity),) = found()
    own = os.open(board.tty, os.O_RDWR)
    tty.setraw(own)
    with serial.Serial(device, timeout=5, exclusive=True) as port:
        cycles.append((device, identity, echo(port, own, b"HELLO %d" % len(cycles))))
        if hold:
            held = serial.Serial(os.ttyname(port.fd))
    os.close(own)
    board.unplug()
    if held is not None and not hold:
        held.close()
    wait_for(0)
result["cycles"] = cycles
board.plug()
twin.plug()
wait_for(2)
result["twins"] = found()
Path("result").write_text(json.dumps(result))
