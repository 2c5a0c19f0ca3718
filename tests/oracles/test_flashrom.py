"""flashrom, unmodified, finds the emulated flash and reads, erases, writes and verifies it.

It reaches the part by its own serprog protocol over TCP (Documentation/serprog-protocol.txt of
flashrom): the other end is a programmer of a few lines that puts each SPI operation on the bus.
"""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hil.buses.spi import SPIBus
from hil.parts.w25q import W25Q, W25Q16, W25Q32, W25Q64, W25Q128

FLASHROM = shutil.which("flashrom") or shutil.which("flashrom", path="/usr/sbin:/sbin")
pytestmark = pytest.mark.skipif(FLASHROM is None, reason="flashrom is not installed")

ACK, NAK = b"\x06", b"\x15"
COMMANDS = (
    0x00,
    0x01,
    0x02,
    0x03,
    0x04,
    0x05,
    0x07,
    0x08,
    0x0B,
    0x0E,
    0x0F,
    0x10,
    0x11,
    0x12,
    0x13,
)
ANSWERS = {
    0x00: ACK,
    0x01: ACK + struct.pack("<H", 1),
    0x02: ACK + sum(1 << command for command in COMMANDS).to_bytes(32, "little"),
    0x03: ACK + b"flatsat".ljust(16, b"\0"),
    0x04: ACK + struct.pack("<H", 0xFFFF),
    0x05: ACK + b"\x08",
    0x07: ACK + struct.pack("<H", 300),
    0x08: ACK + (4096).to_bytes(3, "little"),
    0x0B: ACK,
    0x0F: ACK,
    0x10: NAK + ACK,
    0x11: ACK + (4096).to_bytes(3, "little"),
}


class Programmer:
    """A serprog programmer with one part; its delays pass in virtual time."""

    def __init__(self, part: W25Q) -> None:
        self.bus = SPIBus("spi-0", "ideal")
        self.bus.attach(0, part, speed_hz=50_000_000)
        self.t_ns = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def arguments(self) -> tuple[str, str]:
        return "-p", f"serprog:ip=127.0.0.1:{self.port}"

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with connection, connection.makefile("rb") as stream:
                while command := stream.read(1):
                    connection.sendall(self._answer(command[0], stream.read))

    def _answer(self, command: int, read) -> bytes:
        if command == 0x13:
            head = read(6)
            nwrite, nread = (int.from_bytes(head[at : at + 3], "little") for at in (0, 3))
            tx = read(nwrite) + bytes(nread)
            _, duration_ns, rx = self.bus.transfer(self.t_ns, 0, tx)
            self.t_ns += duration_ns
            return ACK + rx[nwrite:]
        if command == 0x0E:
            self.t_ns += int.from_bytes(read(4), "little") * 1000
            return ACK
        if command == 0x12:
            return ACK if read(1) == b"\x08" else NAK
        return ANSWERS.get(command, NAK)


@pytest.fixture
def programmer() -> Iterator[object]:
    made: list[Programmer] = []

    def make(part: W25Q) -> Programmer:
        made.append(Programmer(part))
        return made[-1]

    yield make
    for each in made:
        each.close()


def flashrom(programmer: Programmer, model: type[W25Q], *arguments: str) -> str:
    """Run flashrom on a part and return what it printed."""
    assert FLASHROM is not None
    command = [FLASHROM, *programmer.arguments, "-c", NAMES[model], *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


#: flashrom's names; the older makes of 64 Mbit share the identity
NAMES = {W25Q16: "W25Q16.V", W25Q32: "W25Q32.V", W25Q64: "W25Q64JV-.Q", W25Q128: "W25Q128.V"}


@pytest.mark.parametrize("model", NAMES)
def test_flashrom_finds_each_size(programmer, model: type[W25Q]) -> None:
    """Among all chips that it knows flashrom finds the one of this size by its identity."""
    part = model("flash", 3)
    bench = programmer(part)
    known = subprocess.run(
        [FLASHROM, *bench.arguments], capture_output=True, text=True, check=False
    )
    assert f'chip "{NAMES[model]}" ({part.size // 1024} kB, SPI)' in known.stdout
    assert f'vendor="Winbond" name="{NAMES[model]}"' in flashrom(bench, model, "--flash-name")


def test_flashrom_writes_verifies_and_reads(programmer, tmp_path: Path) -> None:
    """2 MiB written are verified by flashrom, stand in the cells, and are read back."""
    part = W25Q16("flash", 3)
    bench = programmer(part)
    cells = np.full((part.size // 65536, 65536), 0xFF, np.uint8)  # mostly erased: a page takes time
    cells[:, :4096] = np.random.default_rng(5).integers(0, 256, (len(cells), 4096), np.uint8)
    image = cells.tobytes()
    (tmp_path / "in").write_bytes(image)
    assert "VERIFIED" in flashrom(bench, W25Q16, "-w", str(tmp_path / "in"))
    assert part.store.read(0, part.size) == image
    flashrom(bench, W25Q16, "-r", str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == image
    assert not part.ignored


def test_flashrom_erases(programmer) -> None:
    """After an erase every octet is FFh, and the wear is counted."""
    part = W25Q16("flash", 3)
    for address in (0, 0x12_3400, part.size - 256):
        part.store.program(address, bytes(256))
    flashrom(programmer(part), W25Q16, "-E")
    assert part.store.read(0, part.size) == b"\xff" * part.size
    assert sum(part.store.wear.values()) >= 3


def test_flashrom_sets_and_reads_the_protection(programmer) -> None:
    """The range that flashrom protects is the part's, and it reads the bits back as that range."""
    part = W25Q128("flash", 3)
    bench = programmer(part)
    half = f"{part.size // 2:#x}"
    flashrom(bench, W25Q128, "--wp-range", f"{half},{half}")
    assert part.protected() == (part.size // 2, part.size, True)
    status = flashrom(bench, W25Q128, "--wp-status")
    assert f"start=0x{part.size // 2:08x} length=0x{part.size // 2:08x}" in status
