"""``hil://`` for pySerial: emulated serial lines by URL, with a real ``fileno()``.

Importing this package is enough; from then on ``serial.serial_for_url`` knows the scheme::

    import hil.faces.pyserial
    port = serial.serial_for_url("hil://ttyAMA1", 115200, timeout=1)

The line is one of a bench that this process has registered (:func:`register`), or of the one that
``hil run -- CMD`` has started us beside. ``docs/serial.md`` is the manual.
"""

from __future__ import annotations

import serial

from hil.faces.pyserial.benches import Served, line_with, null_modem, register

__all__ = ["Served", "install", "line_with", "null_modem", "register"]


def install() -> None:
    """Make pySerial look for schemes here, once."""
    if __name__ not in serial.protocol_handler_packages:
        serial.protocol_handler_packages.append(__name__)


install()
