"""Inside a guest kernel: CAN and I2C of ours on drivers of that kernel. Prints what it found."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import platform
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flightsw.errors import BusError, DeviceTableError
from flightsw.hal import CanFrame
from flightsw.hal.linux.bus import LocalChannel
from flightsw.hal.linux.can import LinuxCAN
from flightsw.hal.linux.clock import WallClock
from flightsw.hal.linux.i2c import LinuxI2C

EXTENDED, REMOTE, ERROR = 1 << 31, 1 << 30, 1 << 29
FDF, BRS, ESI = 4 << 32, 1 << 32, 2 << 32
BURST = 4000
#: frames of every sort that a virtual interface carries
FRAMES = (
    (0x123, b"\x01\x02\x03"),
    (0x7FF, bytes(8)),
    (0x1ABCDEF0 | EXTENDED, b"\xff" * 8),
    (0x010 | EXTENDED, b""),
    (0x124 | REMOTE, b""),
    (0x125 | FDF, b"four"),
    (0x126 | FDF | BRS, bytes(range(64))),
    (0x127 | FDF | BRS | ESI, bytes(12)),
    (0x004 | ERROR, b"\0\x04\0\0\0\0\x7f\0"),
)
MODULES = Path("/usr/lib/uml/modules") / platform.release() / "kernel"
FINIT_MODULE = 313


def load(name: str, options: bytes = b"") -> None:
    """Load a module of the kernel."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open(MODULES / f"{name}.ko", os.O_RDONLY)
    code = libc.syscall(FINIT_MODULE, fd, options, 0)
    os.close(fd)
    assert code == 0, f"{name}: {os.strerror(ctypes.get_errno())}"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def until(what: Callable[[], Any]) -> Any:
    """Return what comes to be true in time."""
    limit_s = time.monotonic() + 20
    while not (found := what()):
        assert time.monotonic() < limit_s, "it did not come about"
        time.sleep(0.01)
    return found


def peer(name: str) -> socket.socket:
    """Return another user's socket on an interface, which hears everything."""
    found = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
    found.setsockopt(socket.SOL_CAN_RAW, socket.CAN_RAW_FD_FRAMES, 1)
    found.setsockopt(socket.SOL_CAN_RAW, 2, struct.pack("=I", 0x1FFF_FFFF))
    found.bind((name,))
    return found


def packed(can_id: int, data: bytes) -> bytes:
    shape = "=IBB2x64s" if can_id & FDF else "=IBB2x8s"
    return struct.pack(shape, can_id & 0xFFFF_FFFF, len(data), can_id >> 32, data)


def interface(name: str) -> LinuxCAN:
    return LinuxCAN(LocalChannel("can0", "can", name, {}), WallClock(time.monotonic_ns()))


def plain(frames: Any) -> list[list[Any]]:
    return [[frame.can_id, frame.data.hex()] for frame in frames]


def gathered(can: LinuxCAN, count: int) -> list[CanFrame]:
    """Return so many frames, or more."""
    frames: list[CanFrame] = []
    until(lambda: frames.extend(can.receive()) or len(frames) >= count)
    return frames


def virtual() -> dict[str, Any]:
    """Frames both ways on a virtual interface, their times, a burst that nobody reads."""
    ip("link", "add", "vcan0", "type", "vcan")
    ip("link", "set", "vcan0", "mtu", "72", "up")
    can, other = interface("vcan0"), peer("vcan0")
    before_ns = time.monotonic_ns()
    for frame in FRAMES:
        other.send(packed(*frame))
    after_ns = time.monotonic_ns()
    time.sleep(0.05)  # a stamp is when the frame came, and not when it was read
    heard = gathered(can, len(FRAMES))
    times = [frame.t_ns for frame in heard]
    slack_ns = 20_000_000  # two clocks of a guest whose time the host may take away
    found: dict[str, Any] = {
        "heard": plain(heard),
        "stamped": before_ns - slack_ns <= min(times) <= max(times) <= after_ns + slack_ns,
        "in order": times == sorted(times),
    }
    told = []
    for frame in FRAMES:
        can.send(*frame)
        told.append(other.recv(72).hex())
    found["sent"] = told
    for number in range(BURST):
        other.send(packed(number & 0x7FF, struct.pack("=I", number)))
    frames = gathered(can, 1)
    while more := can.receive():
        frames += more
    other.send(packed(1, b"last"))
    frames += gathered(can, 1)
    found["burst"] = [len(frames), can.dropped]
    found["down"] = away(can)
    can.close()
    return found


def away(can: LinuxCAN) -> dict[str, Any]:
    """What becomes of an interface that is taken down, and of one that is taken away."""
    ip("link", "set", "vcan0", "down")
    found: dict[str, Any] = {"heard": len(can.receive()), "losses": can.losses}
    try:
        can.send(0x1, b"")
    except BusError as error:
        found["errno"] = error.errno
    ip("link", "set", "vcan0", "up")
    peer("vcan0").send(packed(0x55, b"back"))  # another has its own error to take first
    found["back"] = plain(gathered(can, 1))
    ip("link", "del", "vcan0")
    until(lambda: can.receive() or can.losses > 2)
    ip("link", "add", "vcan0", "type", "vcan")
    ip("link", "set", "vcan0", "up")

    def returns() -> bool:
        with contextlib.suppress(BusError):
            can.send(0x66, b"")
            return True
        return False

    until(returns)
    return found


def on_a_bus() -> dict[str, Any]:
    """A frame to the emulated bus by the kernel's own serial driver, and the answer of a node."""
    can = interface("slcan0")
    can.send(0x7F0, b"")
    return {"answer": plain(gathered(can, 1))}


def stub(folder: Path) -> str:
    """What is said of an adapter that knows SMBus commands alone."""
    for name in ("i2c-core", "i2c-dev"):
        load(f"drivers/i2c/{name}")
    load("drivers/i2c/i2c-stub", b"chip_addr=0x48")
    (entry,) = Path("/sys/class/i2c-dev").iterdir()
    major, minor = map(int, (entry / "dev").read_text().split(":"))
    node = folder / "i2c-0"
    os.mknod(node, 0o020600, os.makedev(major, minor))
    try:
        LinuxI2C(LocalChannel("i2c-1", "i2c", str(node), {}), WallClock())
    except DeviceTableError as error:
        return str(error)
    return "it was taken"


if __name__ == "__main__":
    load("drivers/net/can/vcan")
    place = Path("/mnt")
    subprocess.run(["mount", "-t", "tmpfs", "none", str(place)], check=True)
    json.dump({"bus": on_a_bus(), "virtual": virtual(), "stub": stub(place)}, sys.stdout)
