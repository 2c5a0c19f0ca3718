"""Serial lines behind pseudo-terminals: rate, pace, and what nobody reads."""

from __future__ import annotations

import os
import select
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import serial

from hil.faces.host import Host
from hil.testing.small_rig import SmallRig


class Bench:
    """A small rig whose UART has an echo at its end, served by the thread of the test."""

    def __init__(self, folder: Path) -> None:
        self.rig = SmallRig(3_600_000_000_000)
        self.host = Host(self.rig.exchange, folder / "bench", "real")
        self.line = self.host.lines["/dev/ttyAMA1"]

    def until(self, done: Callable[[], bool]) -> None:
        """Serve until ``done()``."""
        for _ in range(2000):
            if done():
                return
            self.host.step(0.005)
        raise AssertionError("it never happened")

    def read(self, port: serial.Serial, nbytes: int) -> bytes:
        """Serve until a port has so many octets; return them."""
        self.until(lambda: port.in_waiting >= nbytes)
        return bytes(port.read(nbytes))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Give a bench."""
    bench = Bench(tmp_path)
    yield bench
    bench.host.close()


def test_what_is_written_comes_back_and_is_recorded(bench: Bench) -> None:
    """Octets pass unchanged at the device's rate, both ways, and take their line time."""
    with serial.Serial(bench.line.path, bench.rig.uart.baud) as port:
        port.write(b"hello, line\x00\xff")
        assert bench.read(port, 13) == b"hello, line\x00\xff"
    assert bench.rig.uart.counters["tx_octets"] == 13
    line_ns = bench.rig.uart.line_time_ns(26)
    assert bench.rig.kernel.now_ns >= line_ns


def test_the_rate_of_the_terminal_is_one_that_libc_knows(bench: Bench) -> None:
    """tcgetattr tells the device's rate by its name, as of a UART, until a program sets another."""
    tty_fd = os.open(bench.line.path, os.O_RDWR | os.O_NOCTTY)
    try:
        assert bench.rig.uart.baud == 115_200
        assert termios.tcgetattr(tty_fd)[4:6] == [termios.B115200, termios.B115200]
    finally:
        os.close(tty_fd)


def test_another_rate_is_read_from_the_terminal_and_garbles(bench: Bench) -> None:
    """A program at a quarter of the device's rate is not understood, nor does it understand."""
    with serial.Serial(bench.line.path, bench.rig.uart.baud // 4) as port:
        port.write(b"U" * 8)
        bench.until(lambda: bench.rig.uart.counters["baud_mismatch"] > 0)
    assert bench.line.counters["baud_changes"] == 1
    assert bench.rig.uart.baud == bench.rig.uart.device_setting.baud // 4


def test_a_long_write_leaves_at_the_line_rate(bench: Bench) -> None:
    """Two kilo-octets are not ahead of the UART by more than what a driver hands it."""
    with serial.Serial(bench.line.path, bench.rig.uart.baud) as port:
        text = bytes(range(256)) * 8
        port.write(text)
        most = 0
        back = b""
        for _ in range(4000):
            bench.host.step(0.005)
            most = max(most, bench.rig.uart.tx_backlog)
            back += port.read(port.in_waiting)
            if len(back) == len(text):
                break
        assert back == text
        assert 0 < most <= 256


def test_octets_for_a_closed_tty_are_dropped_and_counted(bench: Bench) -> None:
    """What arrives while nobody has the tty open is gone, and the next program starts clean."""
    bench.rig.uart._rx.push(0, b"nobody there")
    bench.until(lambda: bench.line.counters["rx_unopened"] == 12)
    fd = os.open(bench.line.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    assert select.select([fd], [], [], 0)[0] == []
    os.close(fd)
