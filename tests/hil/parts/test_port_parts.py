"""MCP23017, PCA9685 and VEML7700 at register level, against their data sheets."""

from __future__ import annotations

import pytest

from hil.parts.base import Part
from hil.parts.mcp23017 import Mcp23017
from hil.parts.pca9685 import Pca9685
from hil.parts.registers import RegisterTarget
from hil.parts.veml7700 import Veml7700, apparent_lx, corrected_lx
from hil.testing.contracts.part import check_part
from hil.testing.simple_scheduler import SimpleScheduler

MS = 1_000_000


def read(part: RegisterTarget, address: int, nread: int = 1, t_ns: int = 0) -> bytes:
    answer = part.i2c_write_read(t_ns, bytes((address,)), nread)
    assert isinstance(answer, bytes)
    return answer


@pytest.mark.parametrize("kind", [Mcp23017, Pca9685, Veml7700])
def test_contract(kind: type[Part]) -> None:
    """The parts pass the public contract suite."""
    check_part(lambda: kind("part", 3))


# MCP23017 (DS20001952C) ------------------------------------------------------------------------


def test_mcp23017_sequence_and_byte_mode() -> None:
    """Section 3.2.1: in sequence the pointer runs round; with SEQOP it toggles in its pair."""
    part = Mcp23017("io")
    part.i2c_write(0, b"\x00\x12\x34\x56")
    assert read(part, 0x00, 4) == b"\x12\x34\x56\x00"
    assert read(part, 0x15, 2) == b"\x00\x12"
    part.i2c_write(0, b"\x0a\x20")
    assert read(part, 0x00, 4) == b"\x12\x34\x12\x34"


def test_mcp23017_bank_moves_the_registers() -> None:
    """Table 3-2: with BANK set port A is at 00h to 0Ah, port B at 10h to 1Ah; byte mode stays."""
    part = Mcp23017("io")
    part.i2c_write(0, b"\x0a\x80")
    part.i2c_write(0, b"\x00\x12")
    part.i2c_write(0, b"\x10\x34")
    assert (read(part, 0x00, 2), read(part, 0x10), read(part, 0x15)) == (
        b"\x12\x00",
        b"\x34",
        b"\x80",
    )
    part.i2c_write(0, b"\x05\xa0")
    assert read(part, 0x10, 2) == b"\x34\x34"
    assert read(part, 0x0C, 2) == b"\0\0"
    assert part.touched == {"access 0Ch, where there is no register": 1}
    part.i2c_write(0, b"\x05\x00")
    assert read(part, 0x00, 2) == b"\x12\x34"


def test_mcp23017_polarity_and_latch() -> None:
    """IPOL inverts what inputs read; GPIO and OLAT write the same latch."""
    part = Mcp23017("io")
    part.set("gpa0", 1)
    part.i2c_write(0, b"\x02\x03")
    assert read(part, 0x12) == b"\x02"
    part.i2c_write(0, b"\x01\x0f")
    part.i2c_write(0, b"\x13\xa5")
    assert read(part, 0x13, 3) == b"\xa0\x00\xa5"
    assert [part.output(f"gpb{n}") for n in range(8)] == [None] * 4 + [0, 1, 0, 1]


def test_mcp23017_interrupt_on_change() -> None:
    """Section 3.6: a change is flagged and captured once, and reading the capture clears it."""
    part = Mcp23017("io")
    part.i2c_write(0, b"\x04\x01")
    part.set("gpa1", 1)
    assert not part.interrupt(0)
    part.set("gpa0", 1)
    part.set("gpa0", 0)
    assert read(part, 0x0E) == b"\x01"
    assert read(part, 0x10) == b"\x03"
    assert not part.interrupt(0)


def test_mcp23017_interrupt_on_level_lasts() -> None:
    """Compared with DEFVAL the flag comes back until the pin is what it should be."""
    part = Mcp23017("io")
    for pair in (b"\x07\x01", b"\x09\x01", b"\x05\x01"):
        part.i2c_write(0, pair)
    assert part.interrupt(1)
    read(part, 0x13)
    assert part.interrupt(1)
    part.set("gpb0", 1)
    read(part, 0x13)
    assert not part.interrupt(1)


@pytest.mark.parametrize(
    ("iocon", "edges"),
    [
        (0x00, [("intb", 0), ("intb", 1)]),
        (0x02, [("intb", 1), ("intb", 0)]),
        (0x06, [("intb", 0), ("intb", 1)]),
        (0x40, [("inta", 0), ("intb", 0), ("inta", 1), ("intb", 1)]),
    ],
)
def test_mcp23017_interrupt_pins(iocon: int, edges: list[tuple[str, int]]) -> None:
    """IOCON: INTPOL turns the level, ODR wins over it, MIRROR puts either port on both pins."""
    part = Mcp23017("io")
    clock = SimpleScheduler(5 * MS)
    part.start(clock, 200)
    part.i2c_write(0, bytes((0x0A, iocon)))
    part.i2c_write(0, b"\x05\x80")
    seen: list[tuple[int, str, int]] = []
    part.gpio_drive = lambda t_ns, pin, level: seen.append((t_ns, pin, level))
    part.set("gpb7", 1)
    read(part, 0x13)
    assert seen == [(5 * MS, pin, level) for pin, level in edges]


# PCA9685 (revision 4) --------------------------------------------------------------------------


def test_pca9685_reset_values() -> None:
    """Table 4: asleep, totem pole, 200 Hz, every output fully off."""
    part = Pca9685("pwm")
    assert [read(part, at)[0] for at in (0, 1, 2, 3, 4, 5)] == [0x11, 4, 0xE2, 0xE4, 0xE8, 0xE0]
    assert [read(part, 6 + n)[0] for n in range(4)] == [0, 0, 0, 0x10]
    assert read(part, 0xFE) == b"\x1e"
    assert part.frequency_hz == pytest.approx(196.9, abs=0.1)
    assert part.duty(0) == 0.0


def test_pca9685_auto_increment_wraps_after_the_last_output() -> None:
    """With AI the pointer goes from 45h to 00h; without it stays."""
    part = Pca9685("pwm")
    assert read(part, 0x00, 3) == b"\x11\x11\x11"
    part.i2c_write(0, b"\x00\x21")
    assert read(part, 0x45, 3) == b"\x10\x21\x04"
    assert read(part, 0xFE, 2) == b"\x1e\x21"


def test_pca9685_pulses() -> None:
    """Section 7.3.3: on and off counts make the share, round the end of the cycle too."""
    part = Pca9685("pwm")
    part.i2c_write(0, b"\x00\x31")
    part.i2c_write(0, b"\x06\x99\x01\xcc\x04")
    assert part.duty(0) == 0.0
    part.i2c_write(0, b"\x00\x20")
    assert part.duty(0) == pytest.approx((0x4CC - 0x199) / 4096)
    part.i2c_write(0, b"\x0a\x00\x0f\xff\x00")
    assert part.duty(1) == pytest.approx((0xFF + 4096 - 0xF00) / 4096)
    part.i2c_write(0, b"\xfa\x00\x10\x00\x00")
    assert [part.duty(n) for n in range(16)] == [1.0] * 16
    part.i2c_write(0, b"\x01\x14")
    assert part.duty(0) == 0.0


def test_pca9685_prescaler_needs_sleep() -> None:
    """Section 7.3.5: written while the oscillator runs, the prescaler stays; 3 is its least."""
    part = Pca9685("pwm")
    part.i2c_write(0, b"\xfe\x79")
    assert part.frequency_hz == pytest.approx(50.0, abs=0.1)
    part.i2c_write(0, b"\x00\x01")
    part.i2c_write(0, b"\xfe\x01")
    assert read(part, 0xFE) == b"\x79"
    assert part.prescale_ignored == 1
    part.i2c_write(0, b"\x00\x11")
    part.i2c_write(0, b"\xfe\x01")
    assert read(part, 0xFE) == b"\x03"


def test_pca9685_restart() -> None:
    """Section 7.3.1.1: outputs stopped by sleep wait for RESTART, which then reads 0."""
    part = Pca9685("pwm")
    part.i2c_write(0, b"\x00\x20")
    part.i2c_write(0, b"\x06\x00\x00\x00\x08")
    part.i2c_write(0, b"\x00\x30")
    assert read(part, 0x00) == b"\xb0"
    part.i2c_write(0, b"\x00\x20")
    assert (read(part, 0x00), part.duty(0)) == (b"\xa0", 0.0)
    part.i2c_write(0, b"\x00\xa0")
    assert (read(part, 0x00), part.duty(0)) == (b"\x20", 0.5)


def test_pca9685_software_reset() -> None:
    """Section 7.1.4: 06h to the general call brings the values of power-up back."""
    part = Pca9685("pwm")
    part.i2c_write(0, b"\x00\x20")
    part.i2c_write(0, b"\x06\x00\x00\x00\x08")
    assert part.i2c_general_call(0, b"\x06") == 1
    assert (read(part, 0x00), read(part, 0x09), part.duty(0)) == (b"\x11", b"\x10", 0.0)


# VEML7700 (84286) ------------------------------------------------------------------------------


def awake(conf: int, saving: int = 0) -> Veml7700:
    part = Veml7700("light")
    part.i2c_write(0, bytes((3, saving, 0)))
    part.i2c_write(0, bytes((0, *conf.to_bytes(2, "little"))))
    return part


def test_veml7700_sleeps_until_it_is_woken() -> None:
    """After power-up the sensor is shut down; its identity can be read."""
    part = Veml7700("light")
    part.set("light_lx", 100.0)
    assert read(part, 4, 2, 1000 * MS) == b"\0\0"
    assert read(part, 7, 2) == b"\x81\xc4"


@pytest.mark.parametrize(
    ("conf", "lx_a_count"),
    [(0x08C0, 0.0042), (0x0800, 0.0336), (0x0000, 0.0672), (0x0300, 0.2688)],
)
def test_veml7700_resolution(conf: int, lx_a_count: float) -> None:
    """Table of resolutions: 0.0042 lx at gain 2 and 800 ms, doubled by each halving."""
    part = awake(conf)
    part.set("light_lx", 100.0)
    counts = int.from_bytes(read(part, 4, 2, 800 * MS), "little")
    assert counts == pytest.approx(100.0 / lx_a_count, abs=1)


def test_veml7700_refresh_time() -> None:
    """With power saving mode 2 and 100 ms a result comes every 1100 ms."""
    part = awake(0x0000, 0b011)
    part.set("light_lx", 67.2)
    assert read(part, 4, 2, 100 * MS - 1) == b"\0\0"
    assert read(part, 4, 2, 100 * MS) == b"\xe8\x03"
    part.set("light_lx", 134.4)
    assert read(part, 4, 2, 1200 * MS - 1) == b"\xe8\x03"
    assert read(part, 4, 2, 1200 * MS) == b"\xd0\x07"


def test_veml7700_persistence() -> None:
    """With ALS_PERS 2 the flag waits for four results in a row outside the window."""
    part = awake(0x0022)
    part.i2c_write(0, b"\x01\x00\x01")
    part.set("light_lx", 67.2)
    for n in range(1, 4):
        assert read(part, 6, 2, n * 100 * MS) == b"\0\0"
    part.refresh(400 * MS)
    assert part.file.values[6] == 0x4000


def test_veml7700_compression_is_what_the_correction_undoes() -> None:
    """Over the range, light to apparent light and back is the light."""
    for lx in (0.0, 1.0, 99.0, 1000.0, 30_000.0, 120_000.0):
        assert corrected_lx(apparent_lx(lx)) == pytest.approx(lx, abs=1e-6)


def test_veml7700_saturates() -> None:
    """Light beyond the range reads FFFFh and is counted."""
    part = awake(0x08C0)
    part.set("light_lx", 1000.0)
    assert read(part, 4, 2, 800 * MS) == b"\xff\xff"
    assert part.saturated == 1
