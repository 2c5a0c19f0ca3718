"""Eight unmodified programs on one bench at once: nothing is lost, mixed up or kept for ever."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flightsw.codec.bus_payload import unpack_i2c
from hil.capture.reader import Capture
from hil.hosting import SHIM

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(
    not (ROOT / "hil" / "faces" / SHIM).is_file(), reason="the preload shim was not built"
)

#: Six programs each count in a register of their own, on one bus; one reads the flash's identity,
#: one moves a GPIO line. Each checks every answer. The first process watches the bench's memory.
PROGRAM = """
import ctypes, fcntl, os, struct, sys
count = int(sys.argv[1])
def counting(address, register):
    fd = os.open("/dev/i2c-1", os.O_RDWR)
    fcntl.ioctl(fd, 0x0703, address)
    buffer = ctypes.create_string_buffer
    pointer, answer = buffer(bytes([register]), 1), buffer(2)
    head = struct.Struct("HHHxxP")
    both = head.pack(address, 0, 1, ctypes.addressof(pointer))
    both = ctypes.create_string_buffer(both + head.pack(address, 1, 2, ctypes.addressof(answer)))
    asked = bytearray(struct.pack("PI4x", ctypes.addressof(both), 2))
    for n in range(count // 2):
        want = struct.pack(">H", n % 4096 << 3)
        os.write(fd, bytes([register]) + want)
        fcntl.ioctl(fd, 0x0707, asked)
        if answer.raw != want:
            sys.exit(f"{address:#x} {register}: not what was written")
def flash():
    fd = os.open("/dev/spidev0.0", os.O_RDWR)
    tx, rx = ctypes.create_string_buffer(b"\\x9f" + bytes(3), 4), ctypes.create_string_buffer(4)
    ends = ctypes.addressof(tx), ctypes.addressof(rx)
    one = bytearray(struct.pack("QQIIHBBBBBx", *ends, 4, 0, *[0] * 6))
    for _ in range(count):
        if fcntl.ioctl(fd, 0x40206B00, one) != 4 or rx.raw[1:] != b"\\xef\\x40\\x18":
            sys.exit("flash: another identity")
def line():
    fd = os.open("/dev/gpiochip0", os.O_RDWR)
    asked = bytearray(struct.pack("64I32sQI20x240xII20xi", 26, *[0] * 63, b"eight", 8, 0, 1, 0, 0))
    fcntl.ioctl(fd, 0xC250B407, asked)
    held = struct.unpack_from("i", asked, 588)[0]
    for n in range(count // 2):
        fcntl.ioctl(held, 0xC010B40F, bytearray(struct.pack("QQ", n & 1, 1)))
        values = bytearray(struct.pack("QQ", 0, 1))
        fcntl.ioctl(held, 0xC010B40E, values)
        if values[0] != n & 1:
            sys.exit("line: another level")
def memory():
    text = open(f"/proc/{os.getppid()}/status").read()
    return int(text.split("VmRSS:")[1].split()[0])
places = [(0x48, 2), (0x48, 3), (0x49, 2), (0x49, 3), (0x40, 7), (0x40, 8)]
work = [lambda p=p: counting(*p) for p in places] + [flash, line]
children = []
for act in work:
    pid = os.fork()
    if pid == 0:
        act()
        os._exit(0)
    children.append(pid)
codes = [os.waitpid(pid, 0)[1] for pid in children]
print(codes, memory())
"""


def run(folder: Path, count: int) -> tuple[list[int], int]:
    """Run the programs; return their exit codes and the bench's memory in KiB at the end."""
    words = [sys.executable, "-m", "hil", "run", "--pace", "max", "--out", str(folder), "-q", "--"]
    done = subprocess.run(
        [*words, sys.executable, "-c", PROGRAM, str(count)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=7200,
    )
    assert done.returncode == 0, done.stderr
    codes, kib = done.stdout.rsplit(maxsplit=1)
    return json.loads(codes), int(kib)


def check(folder: Path, count: int) -> None:
    """Check that every transaction is in the capture, those of each program in its order."""
    counters = json.loads((folder / "run.json").read_text())["counters"]
    # A counting step is two transactions, as is one of the line, which is asked for once.
    assert counters["host"]["requests"] == 8 * count + 1
    assert "refused" not in counters["host"]
    assert counters["bus.i2c-1"]["transfers"] == 6 * count
    written: dict[tuple[int, int], int] = {}
    spi = 0
    with Capture(folder / "capture.mcap") as capture:
        for record in capture.records():
            if record.kind == 0x10:
                address, _, data = unpack_i2c(record.payload, reply=True)[0]
                if isinstance(data, bytes) and len(data) == 3:
                    place = (address, data[0])
                    n = written.get(place, 0)
                    assert data[1:] == (n % 4096 << 3).to_bytes(2, "big")
                    written[place] = n + 1
            spi += record.kind == 0x11
    assert spi == count
    assert set(written.values()) == {count // 2}
    assert len(written) == 6


def test_eight_programs_at_once(tmp_path: Path) -> None:
    """Each program reads what it has written, and the capture holds every transaction in order."""
    codes, _ = run(tmp_path / "run", 400)
    assert codes == [0] * 8
    check(tmp_path / "run", 400)


@pytest.mark.soak
def test_ten_million_transactions_cost_no_memory(tmp_path: Path) -> None:
    """After ten million transactions the bench holds what it held after a tenth of them."""
    _, before_kib = run(tmp_path / "short", 125_000)
    codes, after_kib = run(tmp_path / "long", 1_250_000)
    assert codes == [0] * 8
    check(tmp_path / "long", 1_250_000)
    assert after_kib < before_kib * 1.1
