"""ICM-20948 and its AK09916 at register level, against DS-000189 and MS1807."""

from __future__ import annotations

import struct

import pytest

from hil.buses.i2c import I2CBus
from hil.parts.ak09916 import Ak09916
from hil.parts.icm20948 import BASE_NS, Icm20948
from hil.testing.contracts.part import check_part
from hil.wiring import attach_i2c

MS = 1_000_000
UT = 1e-6
G = 9.80665


class Imu:
    """The part awake on a bus, and the time."""

    def __init__(self) -> None:
        self.part = Icm20948("imu", 5)
        self.bus = I2CBus("i2c-1", 400_000, "ideal")
        attach_i2c(self.bus, 0x68, self.part)
        self.t_ns = 0
        self.write(0, 0x06, 0x01)

    def bank(self, bank: int) -> None:
        self.bus.transfer(self.t_ns, 0x68, bytes((0x7F, bank << 4)), 0)

    def write(self, bank: int, address: int, *values: int) -> None:
        self.bank(bank)
        self.bus.transfer(self.t_ns, 0x68, bytes((address, *values)), 0)

    def read(self, bank: int, address: int, nread: int = 1) -> bytes:
        self.bank(bank)
        return self.bus.transfer(self.t_ns, 0x68, bytes((address,)), nread)[2]

    def wait(self, ns: int) -> None:
        self.t_ns += ns

    def words(self) -> tuple[int, ...]:
        return struct.unpack(">7h", self.read(0, 0x2D, 14))


@pytest.fixture
def imu() -> Imu:
    return Imu()


@pytest.mark.parametrize("make", [Icm20948, Ak09916])
def test_contract(make: type[Icm20948] | type[Ak09916]) -> None:
    """Both parts pass the public contract suite."""
    check_part(lambda: make("imu", 3))


def test_reset_values(imu: Imu) -> None:
    """Section 7: the registers of each bank after power-up."""
    part = Icm20948("imu")
    for bank, expected in (
        (0, {0x00: 0xEA, 0x03: 0, 0x05: 0x40, 0x06: 0x41, 0x07: 0, 0x0F: 0}),
        (2, {0x00: 0, 0x01: 1, 0x02: 0, 0x10: 0, 0x11: 0, 0x14: 1}),
        (3, {0x00: 0, 0x01: 0, 0x02: 0, 0x03: 0, 0x05: 0, 0x15: 0}),
    ):
        part.i2c_write(0, bytes((0x7F, bank << 4)))
        found = {a: part.i2c_write_read(0, bytes((a,)), 1) for a in expected}
        assert found == {address: bytes((value,)) for address, value in expected.items()}
    assert not part.touched


def test_banks_hold_registers_of_their_own(imu: Imu) -> None:
    """The same address is another register in each bank; the selection reads back in all."""
    imu.write(2, 0x01, 0x3B)
    imu.write(3, 0x01, 0x07)
    assert (imu.read(2, 0x01), imu.read(3, 0x01)) == (b"\x3b", b"\x07")
    assert [imu.read(bank, 0x7F)[0] for bank in range(4)] == [0x00, 0x10, 0x20, 0x30]


@pytest.mark.parametrize(("code", "per_g"), [(0, 16384), (1, 8192), (2, 4096), (3, 2048)])
def test_accelerometer_scales(imu: Imu, code: int, per_g: int) -> None:
    """Table 2: one g is 16384, 8192, 4096 or 2048 LSB by ACCEL_FS_SEL."""
    imu.write(2, 0x14, 0x31 | code << 1)
    imu.part.set("accel_y_m_s2", -G)
    imu.wait(2 * MS)
    assert imu.words()[1] == pytest.approx(-per_g, abs=per_g * 0.006)


@pytest.mark.parametrize(("code", "per_dps"), [(0, 131), (1, 65.5), (2, 32.8), (3, 16.4)])
def test_gyroscope_scales(imu: Imu, code: int, per_dps: float) -> None:
    """Table 1: one degree per second is 131, 65.5, 32.8 or 16.4 LSB by GYRO_FS_SEL."""
    imu.write(2, 0x01, 0x31 | code << 1)
    imu.part.set("gyro_z_rad_s", 1.7453292519943295)
    imu.wait(2 * MS)
    assert imu.words()[5] == pytest.approx(100 * per_dps, abs=per_dps * 0.4)


def test_temperature_scale(imu: Imu) -> None:
    """Section 3.4: 333.87 LSB per degree, 0 at 21 degrees."""
    imu.part.set("temperature_c", 22.0)
    imu.wait(2 * MS)
    assert imu.words()[6] == 334


@pytest.mark.parametrize(
    ("registers", "period_ns"),
    [({0x14: 1, 0x11: 0}, BASE_NS), ({0x14: 1, 0x11: 9}, 10 * BASE_NS), ({0x14: 0}, 222_222)],
)
def test_accelerometer_rate(imu: Imu, registers: dict[int, int], period_ns: int) -> None:
    """Table 18: 1125 Hz over 1 + divider, or 4.5 kHz without filter; a flag a sample."""
    imu.write(0, 0x07, 0x07)  # gyroscope off
    for address, value in registers.items():
        imu.write(2, address, value)
    imu.t_ns = 500 * period_ns
    imu.read(0, 0x1A)
    imu.t_ns = 501 * period_ns - 1
    # The gyroscope is off, so only the accelerometer raises the flag.
    assert imu.read(0, 0x1A) == b"\x00"
    imu.t_ns += 1
    assert imu.read(0, 0x1A) == b"\x01"


def test_asleep_nothing_moves() -> None:
    """The part wakes up asleep: outputs stand still until SLEEP is cleared."""
    part = Icm20948("imu", 5)
    part.set("accel_z_m_s2", G)
    assert part.i2c_write_read(50 * MS, b"\x2d", 14) == bytes(14)


def test_device_reset_restores_every_bank(imu: Imu) -> None:
    """DEVICE_RESET clears itself and leaves bank and registers as after power-up."""
    imu.write(2, 0x01, 0x07)
    imu.write(0, 0x06, 0x81)
    assert (imu.read(0, 0x06), imu.read(2, 0x01)) == (b"\x41", b"\x01")


# The magnetometer ---------------------------------------------------------------------------------


def test_bypass_shows_the_magnetometer_on_the_main_bus(imu: Imu) -> None:
    """Address 0Ch answers exactly while BYPASS_EN is set and the auxiliary controller is off."""
    assert imu.bus.transfer(0, 0x0C, b"\x00", 2)[0] != 0
    imu.write(0, 0x0F, 0x02)
    assert imu.bus.transfer(0, 0x0C, b"\x00", 2)[2] == b"\x48\x09"
    imu.write(0, 0x03, 0x20)
    assert imu.bus.transfer(0, 0x0C, b"\x00", 2)[0] != 0


def test_two_on_one_bus_need_one_without_bypass() -> None:
    """Two magnetometers cannot share an address; ``bypass`` false keeps one off the bus."""
    bus = I2CBus("i2c-1", 400_000, "ideal")
    attach_i2c(bus, 0x68, Icm20948("one"))
    attach_i2c(bus, 0x69, Icm20948("two", bypass=False))
    assert bus.transfer(0, 0x69, b"\x00", 1)[2] == b"\xea"


def slave4(imu: Imu, address: int, register: int, out: int = 0) -> None:
    imu.write(3, 0x13, address, register)
    imu.write(3, 0x16, out)
    imu.write(3, 0x15, 0x80)
    imu.wait(MS)


def test_slave_4_makes_single_transactions(imu: Imu) -> None:
    """Slave 4 reads and writes one octet in the next round, says that it is done, and stops."""
    imu.write(0, 0x03, 0x20)
    slave4(imu, 0x8C, 0x01)
    assert imu.read(0, 0x17) == b"\x40"
    assert imu.read(0, 0x17) == b"\x00"
    assert (imu.read(3, 0x17), imu.read(3, 0x15)) == (b"\x09", b"\x00")
    slave4(imu, 0x0C, 0x31, 0x08)
    slave4(imu, 0x8C, 0x31)
    assert imu.read(3, 0x17) == b"\x08"


def test_an_absent_slave_is_reported(imu: Imu) -> None:
    """Slaves that do not acknowledge set their bit; slave 4 is done all the same."""
    imu.write(0, 0x03, 0x20)
    slave4(imu, 0xD0, 0x00)
    assert imu.read(0, 0x17) == b"\x50"
    imu.write(3, 0x07, 0xD0, 0x00, 0x81)  # slave 1
    imu.wait(2 * MS)
    assert imu.read(0, 0x17) == b"\x02"
    assert imu.part.snapshot()["auxiliary_nacks"] > 1


def test_nothing_happens_while_the_controller_is_off(imu: Imu) -> None:
    """Without I2C_MST_EN slave 4 waits."""
    slave4(imu, 0x8C, 0x01)
    assert imu.read(0, 0x17) == b"\x00"
    imu.write(0, 0x03, 0x20)
    imu.wait(MS)
    assert imu.read(0, 0x17) == b"\x40"


def magnetic(imu: Imu, control: int = 0x89) -> None:
    """Have slave 0 read the data of a magnetometer that runs at 100 Hz."""
    imu.write(0, 0x03, 0x20)
    slave4(imu, 0x0C, 0x31, 0x08)
    imu.write(3, 0x03, 0x8C, 0x10, control)


def test_slave_0_fills_the_external_data(imu: Imu) -> None:
    """Status and three axes of 0.15 uT appear in EXT_SLV_SENS_DATA, and follow the field."""
    magnetic(imu)
    for x, y, z in ((30.0, -45.0, 60.0), (-4000.0, 150.0, 0.0)):
        for axis, value in zip("xyz", (x, y, z), strict=True):
            imu.part.set(f"mag_{axis}_t", value * UT)
        imu.wait(30 * MS)
        words = struct.unpack("<3h", imu.read(0, 0x3C, 6))
        assert words == (round(x / 0.15), round(y / 0.15), round(z / 0.15))
    assert imu.read(0, 0x44) == b"\x00"  # ST2 comes in the ninth octet, no overflow


def test_slaves_follow_each_other_in_the_external_data(imu: Imu) -> None:
    """The octets of slave 1 lie behind those of slave 0; byte swap turns each word."""
    imu.write(0, 0x03, 0x20)
    imu.write(3, 0x03, 0x8C, 0x00, 0x82)
    imu.write(3, 0x07, 0x8C, 0x00, 0xC2)
    imu.wait(2 * MS)
    assert imu.read(0, 0x3B, 4) == b"\x48\x09\x09\x48"


def test_rounds_come_at_the_rate_of_the_duty_cycle_or_of_the_samples(imu: Imu) -> None:
    """I2C_MST_ODR_CONFIG divides 1.1 kHz by a power of two; without I2C_MST_CYCLE samples count."""
    imu.write(3, 0x00, 5)  # 34.4 Hz
    imu.write(0, 0x03, 0x20)
    imu.write(3, 0x13, 0x8C, 0x01, 0x80)
    imu.wait(29 * MS)
    assert imu.read(0, 0x17) == b"\x00"
    imu.wait(MS)
    assert imu.read(0, 0x17) == b"\x40"
    imu.write(0, 0x05, 0x00)
    imu.write(3, 0x15, 0x80)
    imu.wait(BASE_NS)
    assert imu.read(0, 0x17) == b"\x40"


def test_single_measurement_takes_its_time_and_ends(imu: Imu) -> None:
    """MS1807 section 9.4.2: 7.2 ms after mode 1 data is ready, and the part is down again."""
    part = imu.part.magnetometer
    part.values["mag_z_t"] = 15 * UT
    part.i2c_write(0, b"\x31\x01")
    assert part.i2c_write_read(7 * MS, b"\x10", 1) == b"\x00"
    assert part.i2c_write_read(8 * MS, b"\x31", 1) == b"\x00"
    assert part.i2c_write_read(8 * MS, b"\x10", 1) == b"\x01"
    assert part.i2c_write_read(8 * MS, b"\x15", 2) == b"\x64\x00"
    assert part.i2c_write_read(8 * MS, b"\x10", 1) == b"\x00"


def test_data_is_protected_until_st2_is_read() -> None:
    """MS1807 section 9.4.3: between a read of data and that of ST2 nothing is updated."""
    part = Ak09916("mag")
    part.i2c_write(0, b"\x31\x08")
    part.i2c_write_read(8 * MS, b"\x11", 6)
    part.set("mag_x_t", 150 * UT)
    assert part.i2c_write_read(28 * MS, b"\x11", 2) == b"\x00\x00"
    part.i2c_write_read(28 * MS, b"\x18", 1)
    assert part.i2c_write_read(38 * MS, b"\x11", 2) == (1000).to_bytes(2, "little")


def test_overrun_and_overflow_are_flagged() -> None:
    """DOR stands when data was skipped, HOFL when the axes add up to 4912 uT."""
    part = Ak09916("mag")
    part.i2c_write(0, b"\x31\x02")
    part.set("mag_x_t", 2500 * UT)
    part.set("mag_y_t", -2500 * UT)
    assert part.i2c_write_read(8 * MS, b"\x10", 1) == b"\x01"
    assert part.i2c_write_read(308 * MS, b"\x10", 9)[::8] == b"\x03\x08"


def test_the_pointer_goes_round_in_two_loops() -> None:
    """MS1807 section 10.3: 03h is followed by 10h, 18h by 00h, 32h by 30h."""
    part = Ak09916("mag")
    assert part.i2c_write_read(0, b"\x00", 16) == b"\x48\x09" + bytes(11) + b"\x48\x09\x00"
    part.i2c_write(0, b"\x31\x08")
    assert part.i2c_write_read(0, b"\x31", 4) == b"\x08\x00\x00\x08"
