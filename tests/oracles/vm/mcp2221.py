"""Inside the guest: a USB-to-I2C adapter, so that I2C and GPIO of ours run on the kernel's drivers.

UHID gives the kernel a HID device whose other end is a program: here an MCP2221 (Microchip
DS20005565, section 3.1, HID commands) in front of an emulated bus with a TMP117 and a memory. The
kernel's ``hid-mcp2221`` makes an I2C adapter and a GPIO chip of it.
"""

from __future__ import annotations

import json
import os
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flightsw.drivers import make_driver
from flightsw.errors import BusError, DeviceTableError
from flightsw.hal import Device
from flightsw.hal.linux import camera
from flightsw.hal.linux.alone import LinuxHal
from flightsw.hal.linux.bus import LocalChannel
from flightsw.hal.linux.clock import WallClock
from flightsw.hal.linux.gpio import LinuxGPIOChip
from flightsw.hal.linux.i2c import LinuxI2C
from hil.buses.i2c import I2CBus
from hil.parts.tmp117 import Tmp117
from hil.testing.contracts.bus import I2CMemory

MEMORY, SENSOR, ABSENT = 0x50, 0x48, 0x2F
TEMPERATURE_C = 41.5
LIMIT_S = 60.0
#: linux/uhid.h
CREATE2, INPUT2, OUTPUT = 11, 12, 6
_CREATE2 = struct.Struct("=I128s64s64sHHIIII4096s")
_INPUT2 = struct.Struct("=IH4096s")
_OUTPUT = struct.Struct("=I4096sHB")
_USB, _MICROCHIP, _MCP2221 = 3, 0x04D8, 0x00DD
#: one report of 64 octets each way, without numbers
_REPORTS = bytes.fromhex("0600ff0901a1010902150026ff0075089540810209039102c0")
_NBYTES = 64
_STATUS, _GET_DATA, _GPIO_SET, _GPIO_GET, _SRAM = 0x10, 0x40, 0x50, 0x51, 0x61
_WRITE, _READ, _READ_AGAIN, _WRITE_ON = 0x90, 0x91, 0x93, 0x94
_NO_ACK, _READ_OVER = 0x25, 0x55


class Adapter:
    """The device side, served by a thread of its own."""

    def __init__(self) -> None:
        self.sensor = Tmp117("sensor")
        self.sensor.set("temperature_c", TEMPERATURE_C)
        self.bus = I2CBus("i2c-1", 400_000, "mcp2221")
        self.bus.attach(SENSOR, self.sensor)
        self.bus.attach(MEMORY, I2CMemory())
        self.pins = [[0, 1] for _ in range(4)]  # level, 1 for an input
        self._fd = os.open("/dev/uhid", os.O_RDWR)
        self._held, self._wanted = b"", 0
        self._read = b""
        self._state = 0
        words = (b"MCP2221", b"bench", b"1", len(_REPORTS), _USB, _MICROCHIP, _MCP2221, 0, 0)
        os.write(self._fd, _CREATE2.pack(CREATE2, *words, _REPORTS))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            octets = os.read(self._fd, 4380)
            if struct.unpack_from("=I", octets)[0] != OUTPUT:
                continue
            _, data, size, _ = _OUTPUT.unpack_from(octets)
            answer = bytearray(_NBYTES)
            answer[0] = data[0]
            self._do(data[:size].ljust(_NBYTES, b"\0"), answer)
            os.write(self._fd, _INPUT2.pack(INPUT2, _NBYTES, bytes(answer)))

    def _do(self, asked: bytes, answer: bytearray) -> None:
        """Do one command; ``answer`` is its report."""
        kind = asked[0]
        if kind == _STATUS:
            answer[2:4] = asked[2:4]
            self._state = 0 if asked[2] == _STATUS else self._state
            answer[8] = self._state
        elif kind in (_WRITE, _WRITE_ON):
            self._write(kind, asked)
        elif kind in (_READ, _READ_AGAIN):
            held, self._held = self._held, b""
            self._transfer(asked[3] >> 1, held, asked[1] | asked[2] << 8)
        elif kind == _GET_DATA:
            piece, self._read = self._read[:60], self._read[60:]
            answer[2] = self._state or _READ_OVER
            answer[3:4] = bytes((len(piece),))
            answer[4 : 4 + len(piece)] = piece
        elif kind == _GPIO_SET:
            answer[2:] = asked[2:]
            for pin, at in zip(self.pins, range(2, 18, 4), strict=True):
                pin[0] = asked[at + 1] if asked[at] else pin[0]
                pin[1] = asked[at + 3] if asked[at + 2] else pin[1]
        elif kind == _GPIO_GET:
            answer[2:10] = bytes(value for pin in self.pins for value in pin)

    def _write(self, kind: int, asked: bytes) -> None:
        length = asked[1] | asked[2] << 8
        self._held += asked[4 : 4 + min(60, length - len(self._held))]
        if kind == _WRITE and len(self._held) == length:
            held, self._held = self._held, b""
            self._transfer(asked[3] >> 1, held, 0)

    def _transfer(self, address: int, write: bytes, nread: int) -> None:
        status, _, self._read = self.bus.transfer(time.monotonic_ns(), address, write, nread)
        self._state = _NO_ACK if status else 0


def until(look: Callable[[], Any]) -> Any:
    """Return what comes to be true in time."""
    limit_s = time.monotonic() + LIMIT_S
    while not (found := look()):
        assert time.monotonic() < limit_s, "the kernel made no device of the adapter"
        time.sleep(0.05)
    return found


def device(folder: str, name: str) -> str:
    """Return the device file that a driver has made, by the name of its adapter or chip."""

    def look() -> str:
        for entry in Path(folder).glob("*"):
            label = entry / "name" if (entry / "name").is_file() else entry / "label"
            if label.is_file() and name in label.read_text().lower():
                return f"/dev/{entry.name}"
        return ""

    return str(until(look))


def transactions(path: str) -> dict[str, Any]:
    """Reads, writes and refusals, as the adapter's driver does them."""
    told: list[list[Any]] = []
    channel = LocalChannel("i2c-1", "i2c", path, {})
    bus = LinuxI2C(channel, WallClock(), lambda *record: told.append([record[1], record[2]]))
    octets = bytes(range(100))
    found: dict[str, Any] = {"functions": bus.functions & 1}
    bus.transfer(MEMORY, b"\x10" + octets)
    found["memory"] = bus.transfer(MEMORY, b"\x10", 100).hex() == octets.hex()
    found["goes on"] = bus.transfer(MEMORY, b"", 2).hex()
    refused: list[Any] = []
    for asked in ((ABSENT, b"\0", 1), (ABSENT, b""), (0x148, b"a")):
        try:
            refused.append(bus.transfer(*asked).hex())
        except BusError as error:
            refused.append(error.errno)
    found["refused"] = refused
    found["statuses"] = [status for status, _ in told]
    found["times"] = min(took for _, took in told[:3]) if told else 0
    bus.close()
    return found


def driven(path: str) -> float:
    """The driver of the flight software on the kernel's adapter."""
    row = {"name": "i2c-1", "kind": "i2c", "device": path}
    table = {"devices": [], "channels": [row], "config": {}}
    with LinuxHal(table, {}) as hal:
        driver = make_driver(hal, Device("temp_board", "tmp117", "i2c-1", SENSOR, {}))
        driver.start()
        hal.clock.sleep_until(hal.clock.now_ns() + 1_500_000_000)
        return int(driver.read()) / 128


def lines(path: str, adapter: Adapter) -> dict[str, Any]:
    """Lines of a chip that has no interrupts."""
    chip = LinuxGPIOChip(LocalChannel("gpiochip0", "gpio", path, {}), WallClock())
    out, back = chip.line(0), chip.line(1)
    levels = []
    for level in (1, 0, 1):
        out.set(level)
        levels.append(list(adapter.pins[0]))
    # What it reads is not looked at: the driver of Linux 6.1 takes a direction for the level.
    back.get()
    found: dict[str, Any] = {"out": levels, "in": list(adapter.pins[1])}
    found |= {"edges": len(back.edges()), "has": back.has_edges}
    other = LinuxGPIOChip(LocalChannel("gpiochip0", "gpio", path, {}), WallClock())
    try:
        other.line(0)
    except DeviceTableError as error:
        found["held"] = str(error)
    other.close()
    chip.close()
    return found


def photographed(name: str) -> dict[str, Any]:
    """Frames of the kernel's own test camera, whose picture has bars of known colours."""
    camera._FORMATS = {name.encode(): {"RGB3": 3, "GREY": 1, "YUYV": 2}[name]}
    clock, told = WallClock(), []
    path = device("/sys/class/video4linux", "vivid-000-vid-cap")
    channel = LocalChannel("csi0", "frames", path, {"width": 640, "height": 480})
    port = camera.LinuxImager(channel, clock, lambda *record: told.append(record[1:3] + record[5:]))
    before_ns = clock.now_ns()
    images = [port.capture(10_000) for _ in range(2)]
    port.close()
    pixels = images[0].pixels
    row = pixels[pixels.shape[0] // 2]
    return {
        "shape": list(pixels.shape),
        "bars": [row[at].tolist() for at in range(pixels.shape[1] // 16, pixels.shape[1], 80)],
        "times": [before_ns, *(image.t_ns for image in images), clock.now_ns()],
        "told": [[status, took > 0, len(octets)] for status, took, octets in told],
    }


def main() -> None:
    """Do all of it, and leave the result."""
    adapter = Adapter()
    # What the adapter answers while its driver starts is not heard (driver_input_lock of hid-core),
    # and the chip is the last thing that the driver makes.
    chip = until(lambda: sorted(Path("/dev").glob("gpiochip*")))[-1]
    time.sleep(1.0)
    path = device("/sys/class/i2c-dev", "mcp2221")
    result = {"i2c": transactions(path), "driver": driven(path), "gpio": lines(str(chip), adapter)}
    result["camera"] = {name: photographed(name) for name in ("RGB3", "GREY", "YUYV")}
    Path("result").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
