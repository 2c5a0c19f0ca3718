"""Inside the guest: USB serial devices of the kernel's own, to be plugged in and pulled out."""

from __future__ import annotations

import time
from pathlib import Path

CONFIG = Path("/sys/kernel/config/usb_gadget")
#: VID:PID of a Raspberry Pi Pico whose firmware is a serial port
VENDOR, PRODUCT = "2e8a", "000a"


class Gadget:
    """A CDC-ACM device behind one port of the USB host; its own end is ``/dev/ttyGS<number>``."""

    def __init__(self, number: int, serial_number: str) -> None:
        self.number = number
        self.serial_number = serial_number
        self.tty = f"/dev/ttyGS{number}"
        self._folder = CONFIG / f"board{number}"
        self._folder.mkdir()
        self._write("idVendor", f"0x{VENDOR}")
        self._write("idProduct", f"0x{PRODUCT}")
        self._write("bcdDevice", "0x0100")
        strings = "strings/0x409"
        (self._folder / strings).mkdir()
        self._write(f"{strings}/serialnumber", serial_number)
        self._write(f"{strings}/manufacturer", "Raspberry Pi")
        self._write(f"{strings}/product", "Pico")
        function = self._folder / "functions" / f"acm.{number}"
        function.mkdir()
        config = self._folder / "configs" / "c.1"
        config.mkdir()
        (config / function.name).symlink_to(function)

    def _write(self, file: str, text: str) -> None:
        (self._folder / file).write_text(f"{text}\n")

    def plug(self) -> None:
        """Connect it: the host side sees a new device and asks for its descriptors."""
        self._write("UDC", f"dummy_udc.{self.number}")

    def unplug(self) -> None:
        """Disconnect it: the host side hangs up whoever has its port open."""
        self._write("UDC", "")


def ports() -> list[Path]:
    """Return the ports that the host side has made of what is plugged in."""
    return sorted(Path("/dev").glob("ttyACM*"))


def wait_for(count: int) -> list[Path]:
    """Wait until there are so many ports, and return them; a guest that hangs is ended."""
    while len(found := ports()) != count:
        time.sleep(0.002)
    return found
