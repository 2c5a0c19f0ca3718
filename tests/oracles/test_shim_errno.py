"""Faults of a bus reach an unmodified program as the errno that Linux gives with each adapter."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from hil.buses.adapters import PROFILES
from hil.buses.faults import BusFault
from hil.buses.i2c import I2CBus
from hil.buses.spi import SPIBus
from hil.digest import RecordStream
from hil.exchange import Exchange
from hil.faces.host import Host
from hil.faces.nodes import write_overlay
from hil.hosting import SHIM, environment
from hil.testing.contracts.bus import ADDRESS, I2CMemory, SPIShifter
from hil.time.kernel import Kernel

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / "hil" / "faces" / SHIM

pytestmark = pytest.mark.skipif(not BUILT.is_file(), reason="the preload shim was not built")

#: Writes a pointer and reads two octets in one transaction, as often as there are faults and once.
PROGRAM = f"""
import ctypes, fcntl, os, struct
fd = os.open("/dev/i2c-1", os.O_RDWR)
pointer, answer = ctypes.create_string_buffer(b"\\x10", 1), ctypes.create_string_buffer(2)
head = struct.Struct("HHHxxP")
first = head.pack({ADDRESS}, 0, 1, ctypes.addressof(pointer))
both = ctypes.create_string_buffer(first + head.pack({ADDRESS}, 1, 2, ctypes.addressof(answer)))
asked = bytearray(struct.pack("PI4x", ctypes.addressof(both), 2))
for _ in range(7):
    try:
        fcntl.ioctl(fd, 0x0707, asked)
        print(0)
    except OSError as error:
        print(error.errno)
"""


def serve(folder: Path, bus: object, program: str) -> list[str]:
    """Run a program on a bench of one bus; return the lines that it printed."""
    exchange = Exchange(Kernel(), RecordStream(), 10**15)
    exchange.connect(0, bus, bus.profile.errno)  # type: ignore[attr-defined]
    host = Host(exchange, folder / "bench", "max")
    write_overlay(folder / "root", host.nodes.values(), {})
    env = environment(folder / "bench", BUILT)
    try:
        with subprocess.Popen(
            [sys.executable, "-c", program], env=env, stdout=subprocess.PIPE, text=True
        ) as child:
            host.serve_until_exit(child.pid)
            assert child.stdout is not None
            return child.stdout.read().splitlines()
    finally:
        host.close()


#: kind of fault -> errno by adapter
FAULTS = {
    "absent": {"ideal": 6, "bcm2835": 121, "tegra": 121, "rp1": 121, "mcp2221": 6},
    "nak_address": {"ideal": 6, "bcm2835": 121, "tegra": 121, "rp1": 121, "mcp2221": 6},
    "nak_data": {"ideal": 5, "bcm2835": 121, "tegra": 121, "rp1": 121, "mcp2221": 6},
    "stuck_sda": dict.fromkeys(PROFILES, errno.ETIMEDOUT),
    "stuck_scl": dict.fromkeys(PROFILES, errno.ETIMEDOUT),
    "arbitration": {"ideal": 11, "bcm2835": 5, "tegra": 11, "rp1": 11, "mcp2221": 11},
}


@pytest.mark.parametrize("adapter", ["ideal", "bcm2835", "tegra", "rp1", "mcp2221"])
def test_i2c_faults_have_the_errno_of_the_adapter(tmp_path: Path, adapter: str) -> None:
    """Each transaction fails as the adapter's driver fails, and one without a fault is good."""
    bus = I2CBus("i2c-1", 400_000, adapter)
    bus.attach(ADDRESS, I2CMemory())
    for nth, kind in enumerate(FAULTS):
        bus.add_fault(BusFault("i2c-1", kind, first=nth, last=nth))
    assert serve(tmp_path, bus, PROGRAM) == [str(by[adapter]) for by in FAULTS.values()] + ["0"]


def test_an_smbus_only_adapter_has_no_i2c_messages(tmp_path: Path) -> None:
    """I2C_RDWR, read and write are EOPNOTSUPP where the adapter does SMBus alone."""
    bus = I2CBus("i2c-1", 100_000, "smbus")
    bus.attach(ADDRESS, I2CMemory())
    assert set(serve(tmp_path, bus, PROGRAM)) == {str(errno.EOPNOTSUPP)}


def test_what_an_adapter_refuses_is_eopnotsupp(tmp_path: Path) -> None:
    """A quick write on a Jetson, and a second read message on a Raspberry Pi, are refused."""
    program = PROGRAM.replace("head.pack(80, 1, 2", "head.pack(80, 1, 0")
    quick = program.replace(", 2))\n", ", 1))\n").replace("0, 1, ctypes", "0, 0, ctypes")
    bus = I2CBus("i2c-1", 400_000, "tegra")
    bus.attach(ADDRESS, I2CMemory())
    assert serve(tmp_path, bus, quick) == ["95"] * 7


def test_too_much_for_one_spi_message_is_emsgsize(tmp_path: Path) -> None:
    """spidev takes no more than its buffer: 4096 octets with spi-bcm2835."""
    program = """
import os
fd = os.open("/dev/spidev0.0", os.O_RDWR)
for nbytes in (4096, 4097):
    try:
        print(os.write(fd, bytes(nbytes)))
    except OSError as error:
        print(error.errno)
"""
    bus = SPIBus("spi-0", "bcm2835")
    bus.attach(0, SPIShifter())
    assert serve(tmp_path, bus, program) == ["4096", str(errno.EMSGSIZE)]
