"""A bench on which nobody flies: the test has the buses, and time goes on with what it does."""

from __future__ import annotations

import sys

import pytest

from hil.errors import ExpectationError, UnknownNameError, UsageError
from hil.testing.bench import Bench, s


def test_drivers_in_the_test_read_emulated_parts():
    """A read takes its time on the bus, brings what the world face says, and fails as on Linux."""
    with Bench.open(flight="none", duration_s=60.0) as rig:
        rig.part("temp_board").set(temperature_c=33.0)
        rig.run_for(2 * s)
        bus = rig.smbus(1)
        before_ns = rig.now_ns
        word = bus.read_word_data(0x48, 0)
        assert ((word & 0xFF) << 8 | word >> 8) / 128 == 33.0
        assert rig.now_ns - before_ns == 120_000
        with pytest.raises(OSError, match="Remote I/O error"):
            bus.read_byte(0x33)
        assert rig.spidev(0, 0).xfer2([0x9F, 0, 0, 0])[1:] == [0xEF, 0x40, 0x18]
        i2c = rig.busio("i2c-1")
        assert i2c.try_lock()
        assert i2c.scan() == [0x40, 0x48, 0x49, 0x6A]
        with pytest.raises(UnknownNameError, match="no i2c bus 'i2c-7'"):
            rig.smbus(7)


def test_lines_wait_in_virtual_time():
    """A serial line and a CAN bus bring what comes, and give up when their time is over."""
    with Bench.open(flight="none", duration_s=60.0) as rig:
        gnss = rig.serial("ttyAMA1", timeout=2.0)
        assert gnss.readline().startswith(b"$G")
        assert 0 < rig.now_ns < 2 * s
        can = rig.can("can0")
        first, second = can.recv(timeout=3.0), can.recv(timeout=3.0)
        assert (first.arbitration_id, second.arbitration_id) == (0x100, 0x101)
        assert second.timestamp > first.timestamp > 0.0
        quiet = rig.serial("ttyAMA2", timeout=1.5)
        before_ns = rig.now_ns
        assert quiet.read(1) == b""
        assert rig.now_ns == before_ns + 1_500_000_000


def test_a_program_runs_in_virtual_time_and_is_told_of():
    """An unmodified program has the bus and the clock; code, words and transactions come back."""
    said = (
        "import fcntl, os, sys, time\n"
        "t = time.monotonic()\n"
        "time.sleep(5)\n"
        "fd = os.open('/dev/i2c-1', os.O_RDWR)\n"
        "fcntl.ioctl(fd, 0x0703, 0x48)\n"
        "os.write(fd, b'\\x0f')\n"
        "print(os.read(fd, 2).hex(), time.monotonic() - t >= 5.0)\n"
        "sys.exit('not today')\n"
    )
    with Bench.open(flight="none", duration_s=120.0) as rig:
        ran = rig.program([sys.executable, "-c", said])
        assert (ran.code, ran.stdout, ran.stderr) == (1, "0117 True\n", "not today\n")
        assert ran.took_ns >= 5 * s
        assert [one.values["address"] for one in ran.transactions("i2c-1")] == [0x48, 0x48]
        with pytest.raises(ExpectationError, match="did not within 10") as late:
            rig.program(
                [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(99)"],
                within=10 * s,
            )
        assert "stdout:\nup" in str(late.value)
        rig.run_for(1 * s)
        assert not rig.over


def test_who_flies_has_the_buses():
    """Where flight software flies, a test that asks for its buses is told how to have them."""
    with Bench.open() as rig:
        with pytest.raises(UsageError, match='flight="none"'):
            rig.smbus(1)
        with pytest.raises(UsageError, match='flight="none"'):
            rig.program(["true"])


def test_a_program_keeps_no_interrupt_to_itself():
    """Who interrupts a test while a program runs interrupts the test, too."""
    said = "import os, signal, time; os.kill(os.getppid(), signal.SIGINT); time.sleep(9)"
    with Bench.open(flight="none", duration_s=60.0) as rig:
        with pytest.raises(KeyboardInterrupt):
            rig.program([sys.executable, "-c", said])
        rig.run_for(1 * s)


def test_a_program_that_is_not_there_is_no_program_that_failed():
    """A misspelt program is told before time passes; its exit code could be what is wanted."""
    with Bench.open(flight="none", duration_s=60.0) as rig:
        with pytest.raises(UsageError, match="'i2cdetekt' is not there"):
            rig.program(["i2cdetekt", "-y", "1"])
        assert rig.now_ns == 0
