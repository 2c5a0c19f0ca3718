"""LSM6DSOX at register level, against DS12814 and AN5272."""

from __future__ import annotations

import struct

import pytest

from hil.parts.lsm6dsox import BASE_NS, Lsm6dsox

PERIOD_NS = BASE_NS << 6  # 104 Hz
G = 9.80665


def make(name: str = "imu", seed: int = 5, setup: bytes = b"\x10\x48\x40\x44") -> Lsm6dsox:
    part = Lsm6dsox(name, seed)
    part.i2c_write(0, setup)
    return part


def read(part: Lsm6dsox, t_ns: int, address: int, nread: int = 1) -> bytes:
    answer = part.i2c_write_read(t_ns, bytes((address,)), nread)
    assert isinstance(answer, bytes)
    return answer


def slowly(part: Lsm6dsox, t_ns: int) -> bytes:
    """Read the outputs as two messages, the way that has no short cut."""
    part.i2c_write(t_ns, b"\x20")
    data = part.i2c_read(t_ns, 14)
    part.i2c_stop(t_ns)
    assert data is not None
    return data


def test_reset_values() -> None:
    """Section 9: identity and control registers after power-up."""
    part = Lsm6dsox("imu")
    expected = {0x0F: 0x6C, 0x10: 0, 0x11: 0, 0x12: 0x04, 0x02: 0x3F, 0x18: 0xE0, 0x1E: 0}
    assert {address: read(part, 0, address)[0] for address in expected} == expected


@pytest.mark.parametrize(
    ("name", "steps", "set_at"),
    [("steady", 200, 0), ("changing", 200, 7), ("saturated", 40, 5)],
)
def test_the_short_way_and_the_long_way_agree(name: str, steps: int, set_at: int) -> None:
    """Bursts give the same octets whichever way they are read, inputs changing or at the end."""
    one, two = make(), make()
    for step in range(1, steps):
        t_ns = step * 7_777_777
        if set_at and step % set_at == 0:
            for part in (one, two):
                part.set("gyro_x_rad_s", 34.9 if name == "saturated" else step * 0.01)
                part.set("accel_z_m_s2", -156.0 if name == "saturated" else step * 0.02)
                part.set("temperature_c", 20 + step * 0.1)
        assert read(one, t_ns, 0x20, 14) == slowly(two, t_ns)
        assert read(one, t_ns, 0x22, 12) == read(two, t_ns, 0x20, 14)[2:]
        assert read(one, t_ns, 0x1E) == read(two, t_ns, 0x1E)
        assert one.pointer == two.pointer
    assert one.saturated == two.saturated
    assert bool(one.saturated) == (name == "saturated")


def test_polling_rate_changes_nothing() -> None:
    """A sample depends on its index alone: reading more or less often reads the same values."""
    often, seldom = make(), make()
    for t_ns in range(0, 2_000_000_000, 3_000_000):
        data = read(often, t_ns, 0x22, 12)
        if t_ns % 51_000_000 == 0:
            assert data == read(seldom, t_ns, 0x22, 12)


def test_seed_and_name_make_the_noise() -> None:
    """Same seed and name: same noise; another of either: another."""
    t_ns = 10 * PERIOD_NS
    first, same, seed, name = make(), make(), make(seed=6), make("other")
    data = read(first, t_ns, 0x22, 12)
    assert read(same, t_ns, 0x22, 12) == data
    assert len({data, read(seed, t_ns, 0x22, 12), read(name, t_ns, 0x22, 12)}) == 3


def test_no_sample_before_the_first_instant() -> None:
    """Outputs are zero until the first sampling instant after a sensor is switched on."""
    part = make()
    assert read(part, PERIOD_NS - 1, 0x22, 12) == bytes(12)
    assert read(part, PERIOD_NS, 0x22, 12) != bytes(12)


@pytest.mark.parametrize(("ctrl", "divider"), [(0x10, 9), (0x40, 6), (0x70, 3), (0xA0, 0)])
def test_rates_are_6667_hz_over_powers_of_two(ctrl: int, divider: int) -> None:
    """AN5272 section 3: a new sample comes each 2**n-th of the fastest, and not before."""
    part = make(setup=bytes((0x10, ctrl, ctrl)))
    period_ns = BASE_NS << divider
    before = read(part, 5 * period_ns, 0x22, 12)
    assert read(part, 6 * period_ns - 1, 0x22, 12) == before
    assert read(part, 6 * period_ns, 0x22, 12) != before


def test_status_follows_the_reads() -> None:
    """A data-ready bit rises with a sample and falls when a high octet of that sensor is read."""
    part = make()
    assert read(part, PERIOD_NS - 1, 0x1E) == b"\x00"
    assert read(part, PERIOD_NS, 0x1E) == b"\x07"
    read(part, PERIOD_NS, 0x22, 1)  # a low octet clears nothing
    assert read(part, PERIOD_NS, 0x1E) == b"\x07"
    read(part, PERIOD_NS, 0x23, 1)
    assert read(part, PERIOD_NS, 0x1E) == b"\x05"
    read(part, PERIOD_NS, 0x28, 6)
    assert read(part, PERIOD_NS, 0x1E) == b"\x04"
    read(part, PERIOD_NS, 0x20, 2)
    assert read(part, PERIOD_NS, 0x1E) == b"\x00"


def test_block_data_update_keeps_a_pair_together() -> None:
    """With BDU the high octet belongs to the low one read before; without it may be newer."""
    for setup, together in ((b"\x10\x48\x40\x44", True), (b"\x10\x48\x40\x04", False)):
        part, fresh = make(setup=setup), make(setup=setup)
        for each in (part, fresh):
            each.set("accel_z_m_s2", G)
        old = read(fresh, PERIOD_NS, 0x2C, 2)
        assert read(part, PERIOD_NS, 0x2C, 1) == old[:1]
        for each in (part, fresh):
            each.set("accel_z_m_s2", -G)
        new = read(fresh, 2 * PERIOD_NS, 0x2C, 2)
        assert old[1] != new[1]
        assert read(part, 2 * PERIOD_NS, 0x2D, 1) == (old[1:] if together else new[1:])
        assert read(part, 2 * PERIOD_NS, 0x2C, 2) == new


@pytest.mark.parametrize(("fs", "g"), [(0x0, 2), (0x8, 4), (0xC, 8), (0x4, 16)])
def test_accelerometer_scales(fs: int, g: int) -> None:
    """One g reads 32768 / range in each full scale, within the noise."""
    part = make(setup=bytes((0x10, 0x40 | fs, 0x40)))
    part.set("accel_y_m_s2", G)
    counts = struct.unpack("<h", read(part, PERIOD_NS, 0x2A, 2))[0]
    assert counts == pytest.approx(1000 / {2: 0.061, 4: 0.122, 8: 0.244, 16: 0.488}[g], abs=60 / g)


def test_full_scale_saturates_and_is_counted() -> None:
    """An input beyond the full scale reads as its end."""
    part = make(setup=b"\x10\x40\x42")  # 2 g, 125 dps
    part.set("accel_x_m_s2", -3 * G)
    part.set("gyro_z_rad_s", 3.0)
    sample = struct.unpack("<6h", read(part, PERIOD_NS, 0x22, 12))
    assert (sample[2], sample[3]) == (0x7FFF, -0x8000)
    assert part.saturated == 2


def test_xl_fs_mode_turns_16_g_into_2_g() -> None:
    """With XL_FS_MODE the code of 16 g means 2 g."""
    part = make(setup=b"\x10\x44\x40")
    part.i2c_write(0, b"\x17\x02")
    part.set("accel_x_m_s2", G)
    counts = struct.unpack("<h", read(part, PERIOD_NS, 0x28, 2))[0]
    assert counts == pytest.approx(16393, abs=60)


def test_software_reset_switches_off_and_clears_itself() -> None:
    """SW_RESET restores the control registers and reads back 0; sampling stops."""
    part = make()
    read(part, PERIOD_NS, 0x22, 12)
    part.i2c_write(PERIOD_NS, b"\x12\x01")
    assert read(part, PERIOD_NS, 0x10, 3) == b"\x00\x00\x04"
    last = read(part, 2 * PERIOD_NS, 0x22, 12)
    assert read(part, 9 * PERIOD_NS, 0x22, 12) == last


def test_address_increment_can_be_switched_off() -> None:
    """Without IF_INC a burst reads one register again and again."""
    part = make()
    part.i2c_write(0, b"\x12\x00")
    assert read(part, 0, 0x0F, 3) == b"\x6c\x6c\x6c"


def test_timestamp_counts_25_us() -> None:
    """The counter starts when it is enabled, and again when AAh is written to TIMESTAMP2."""
    part = Lsm6dsox("imu")
    part.i2c_write(1_000_000, b"\x19\x20")
    assert int.from_bytes(read(part, 1_000_000 + 25_000 * 1234, 0x40, 4), "little") == 1234
    part.i2c_write(2_000_000_000, b"\x42\xaa")
    assert int.from_bytes(read(part, 2_000_000_000 + 75_000, 0x40, 4), "little") == 3


def test_other_banks_are_stored_and_counted() -> None:
    """The embedded bank is memory only; the user bank behind it stays as it was."""
    part = make()
    part.i2c_write(0, b"\x01\x80")
    part.i2c_write(0, b"\x04\x18")
    assert read(part, 0, 0x04) == b"\x18"
    part.i2c_write(0, b"\x01\x00")
    assert read(part, 0, 0x10, 3) == b"\x48\x40\x44"
    assert part.touched["write bank 80h register 04h"] == 1
    assert part.touched["read bank 80h register 04h"] == 1


def test_fifo_is_tagged() -> None:
    """Touching the FIFO or the machine-learning core is counted by register name."""
    part = make()
    part.i2c_write(0, b"\x0a\x06")
    read(part, 0, 0x3A, 2)
    read(part, 0, 0x38, 1)
    assert part.touched["write FIFO_CTRL4"] == 1
    assert part.touched["read FIFO_STATUS1"] == part.touched["read FIFO_STATUS2"] == 1
    assert part.touched["read MLC_STATUS_MAINPAGE"] == 1
