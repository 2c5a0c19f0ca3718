"""Drivers against register dictionaries: identity, conversion, retries, and each way to fail."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest
from fake_hal import SECOND, FakeHal
from hypothesis import given
from hypothesis import strategies as st

from flightsw.codec import eps_frames
from flightsw.drivers import DRIVERS, lsm6dsox, make_driver, tmp117
from flightsw.drivers.pins import pin
from flightsw.errors import BusError, BusTimeoutError, DeviceTableError, PartMismatchError
from flightsw.hal import CanFrame, Device


def _driver(hal: FakeHal, role: str) -> Any:
    device = next(d for d in hal.devices if d.role == role)
    return make_driver(hal, device)


IDENTITIES = [
    ("power", 0x40, 0xFE, "manufacturer id is 0x1234, the ina3221 driver wants 0x5449"),
    ("power", 0x40, 0xFF, "die id is 0x1234, the ina3221 driver wants 0x3220"),
    ("temp_chip", 0x49, 0x0F, "device id is 0x234, the tmp117 driver wants 0x117"),
    ("imu", 0x6A, 0x0F, "WHO_AM_I is 0x12, the lsm6dsox driver wants 0x6C"),
]


@pytest.mark.parametrize(("role", "address", "register", "message"), IDENTITIES)
def test_another_part_at_the_address_is_refused_by_name(
    role: str, address: int, register: int, message: str
) -> None:
    """A wrong identity says what was found, what was wanted and where."""
    hal = FakeHal()
    hal.bus.targets[address][register] = b"\x12\x34"
    with pytest.raises(PartMismatchError) as caught:
        _driver(hal, role).start()
    assert message in str(caught.value)
    assert f"i2c-1 at 0x{address:02X}" in str(caught.value)


LM75 = Device("temp_board", "lm75", "i2c-1", 0x48, {})


@pytest.mark.parametrize(
    ("registers", "message"),
    [
        ({1: b"\x60"}, "configuration is 0x60, the lm75 driver wants 0x0"),
        ({2: b"\x4b\x01"}, "THYST below its 9 bits is 0x1, the lm75 driver wants 0x0"),
        ({3: b"\x50\x40"}, "TOS below its 9 bits is 0x40, the lm75 driver wants 0x0"),
    ],
)
def test_what_no_lm75_can_answer_is_refused(registers: dict[int, bytes], message: str) -> None:
    """A part without an identity is known by the bits that its registers do not have."""

    class ReadOnly(dict[int, bytes]):
        def __setitem__(self, register: int, value: bytes) -> None:
            """Keep what it has."""

    hal = FakeHal()
    good = {1: b"\x00", 2: b"\x4b\x00", 3: b"\x50\x00"}
    hal.bus.targets[0x48] = ReadOnly(good | registers)
    with pytest.raises(PartMismatchError) as caught:
        make_driver(hal, LM75).start()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("word", "cdeg"), [(0x7FE0, 12788), (0x1900, 2500), (0x0010, 6), (0xFFE0, -12), (0xC900, -5500)]
)
def test_an_lm75_tells_what_its_data_sheet_says(word: int, cdeg: int) -> None:
    """Words of 9, 11 and 12 bits become hundredths of a degree, negative ones too."""
    hal = FakeHal()
    driver: Any = make_driver(hal, LM75)
    hal.bus.targets[0x48] = {0: word.to_bytes(2, "big")}
    assert tmp117.centidegrees(driver.read()) == cdeg


@pytest.mark.parametrize("role", ["power", "temp_board", "temp_chip", "imu"])
@pytest.mark.parametrize("failures", [1, 2, -1])
def test_one_failure_is_tried_again_and_two_are_an_error(role: str, failures: int) -> None:
    """A read survives one failed transaction; more raise its errno; all is counted."""
    hal = FakeHal()
    driver = _driver(hal, role)
    driver.start()
    address = next(d.address for d in hal.devices if d.role == role)
    hal.bus.failing[address] = failures
    if failures == 1:
        driver.read()
    else:
        with pytest.raises(BusError) as caught:
            driver.read()
        assert caught.value.errno == errno.EREMOTEIO
    assert driver.traffic.retries == 1
    assert driver.traffic.errors == (failures != 1)


def test_fail_the_nth_transaction_of_the_power_monitor() -> None:
    """Whichever transaction of a read fails once, the row is that of an undisturbed read."""
    hal = FakeHal()
    driver = _driver(hal, "power")
    good = driver.read()
    for n in range(6):
        transfer, calls = hal.bus.transfer, 0

        def spoiled(
            address: int,
            write: bytes,
            nread: int = 0,
            transfer: Callable[..., bytes] = transfer,
            n: int = n,
        ) -> bytes:
            nonlocal calls
            calls += 1
            if calls == n + 1:
                raise BusError(errno.EREMOTEIO, "once")
            return transfer(address, write, nread)

        driver._registers._i2c = type("Once", (), {"transfer": staticmethod(spoiled)})
        assert driver.read() == good
        assert calls == 7


@given(volts=st.integers(0, 26000), amperes=st.integers(-1600, 1600), ohm=st.sampled_from([10, 50]))
def test_the_power_monitor_reads_within_one_step(volts: int, amperes: int, ohm: int) -> None:
    """Millivolts within 8 mV and milliamperes within one shunt step, also negative ones."""
    hal = FakeHal()
    device = Device("power", "ina3221", "i2c-1", 0x40, {"shunts": [ohm / 1000] * 3})
    registers = hal.bus.targets[0x40]
    steps = amperes * ohm // 40
    registers[1] = (steps << 3).to_bytes(2, "big", signed=True)
    registers[2] = (volts // 8 << 3).to_bytes(2, "big", signed=True)
    row = make_driver(hal, device).read()  # type: ignore[attr-defined]
    assert 0 <= volts - row[0] < 8
    assert abs(row[1] - amperes) <= 40 / ohm + 0.51


@given(st.integers(-0x8000, 0x7FFF))
def test_temperatures_are_rounded_to_hundredths(raw: int) -> None:
    """Raw TMP117 and LSM6DSOX temperatures come within half a hundredth of a degree."""
    assert abs(tmp117.centidegrees(raw) - raw / 1.28) <= 0.5
    assert abs(lsm6dsox.centidegrees(raw) - (2500 + raw / 2.56)) <= 0.5


@given(st.integers(-0x8000, 0x7FFF))
def test_motion_is_converted_to_si(raw: int) -> None:
    """17.50 mdeg/s and 0.122 mg a step, to a micro-unit."""
    assert (
        abs(lsm6dsox.urad_s(raw) - raw * 17.5e3 * 3.141592653589793 / 180) <= 0.5 + abs(raw) / 1e3
    )
    assert abs(lsm6dsox.um_s2(raw) - raw * 0.122e3 * 9.80665) <= 0.5 + abs(raw) / 1e3


def test_a_transaction_that_timed_out_is_not_tried_again() -> None:
    """A bus that hangs costs one timeout an operation, and the operation is counted as given up."""
    hal = FakeHal()
    driver = _driver(hal, "temp_chip")
    asked: list[int] = []

    def hung(address: int, write: bytes, nread: int = 0) -> bytes:
        asked.append(address)
        raise BusTimeoutError(errno.ETIMEDOUT, "i2c: clock line held low")

    hal.bus.transfer = hung  # type: ignore[method-assign]
    with pytest.raises(BusTimeoutError):
        driver.read()
    assert len(asked) == 1
    assert (driver.traffic.errors, driver.traffic.retries) == (1, 0)


def test_the_imu_is_set_up_for_bursts() -> None:
    """Start writes rate, range, block update and address increment; read is one transaction."""
    hal = FakeHal()
    driver = _driver(hal, "imu")
    driver.start()
    registers = hal.bus.targets[0x6A]
    assert (registers[0x10], registers[0x11], registers[0x12]) == (b"\x48", b"\x44", b"\x44")
    before = hal.bus.transactions
    assert driver.read() == (0,) * 7
    assert hal.bus.transactions - before == 1


def test_flash_programs_across_pages_and_reads_back() -> None:
    """Data over a page boundary goes in pages, each after write enable, and reads back."""
    hal = FakeHal()
    flash = _driver(hal, "flash")
    flash.start()
    data = bytes(range(256)) * 3
    flash.erase_sector(4096)
    flash.program(4096 + 200, data)
    assert flash.read(4096 + 200, len(data)) == data


def test_a_flash_that_stays_busy_is_given_up() -> None:
    """Polling is bounded by the clock: a stuck erase is a BusTimeoutError that says where."""
    hal = FakeHal()
    flash = _driver(hal, "flash")
    hal.flash.transfer = lambda tx: b"\xff" * len(tx)  # type: ignore[method-assign]
    with pytest.raises(BusTimeoutError, match="erase at 0x001000 still busy after 800 ms"):
        flash.erase_sector(4096)
    assert hal.clock.t_ns < 2 * SECOND
    assert flash.traffic.errors == 1


def test_the_eps_is_read_and_bad_frames_are_counted() -> None:
    """Battery, solar and load values come in milli-units; short and foreign frames are counts."""
    hal = FakeHal()
    eps = _driver(hal, "eps")
    frames = [
        CanFrame(5, *eps_frames.encode(eps_frames.Battery(3200, -30, 181, 0, 7))),
        CanFrame(6, *eps_frames.encode(eps_frames.Solar(2345, 1, 0, 7))),
        CanFrame(7, *eps_frames.encode(eps_frames.BusLoad(1234, 1, 7))),
        CanFrame(8, eps_frames.BATTERY_ID, b"\0"),
        CanFrame(9, 0x555, b"\0"),
    ]
    hal.can("can0").rx += frames
    eps.poll()
    assert (eps.battery_mv, eps.battery_ma, eps.soc_permille) == (16000, -300, 905)
    assert (eps.solar_mw, eps.load_mw, eps.t_ns) == (23450, 12340, 5)
    assert (eps.bad, eps.foreign) == (1, 1)


def test_every_kick_is_an_edge() -> None:
    """The watchdog sees a change of its line at each kick."""
    hal = FakeHal()
    watchdog = _driver(hal, "watchdog")
    watchdog.start()
    line = hal.gpio("gpiochip0", 24)
    for number in range(1, 6):
        watchdog.kick()
        assert line.changes == number


def test_an_unknown_driver_names_the_nearest() -> None:
    """The device table is refused with the driver that was probably meant."""
    with pytest.raises(DeviceTableError, match="no driver 'ina321'; nearest known is 'ina3221'"):
        make_driver(FakeHal(), Device("power", "ina321", "i2c-1", 0x40, {}))
    with pytest.raises(DeviceTableError, match="known are"):
        make_driver(FakeHal(), Device("power", "?", "i2c-1", 0x40, {}))


def test_a_pin_that_is_not_wired_is_named() -> None:
    """The error says which pin the driver wants and which there are."""
    device = Device("ttc", "ttc", "ttyAMA2", 0, {"pins": {"lock": ["gpiochip0", 1]}})
    with pytest.raises(DeviceTableError, match="wants pin 'carrier', the device table has lock"):
        pin(FakeHal(), device, "carrier")


def test_shunts_that_make_no_sense_are_refused() -> None:
    """Two shunts, or one of 0 ohm, are an error of the device table."""
    for shunts in ([0.01, 0.01], [0.01, 0, 0.01]):
        device = Device("power", "ina3221", "i2c-1", 0x40, {"shunts": shunts})
        with pytest.raises(DeviceTableError, match="wants three shunts above 0 ohm"):
            make_driver(FakeHal(), device)


@pytest.mark.parametrize("name", sorted(DRIVERS))
def test_every_driver_of_the_table_exists(name: str) -> None:
    """Each name of the registry leads to a class with the driver's interface."""
    hal = FakeHal()
    others = ("ublox", "lm75")
    device = next(d for d in hal.devices if d.driver == name or name in others)
    pins = {"pps": ["gpiochip0", 18]} if name == "ublox" else device.params.get("pins", {})
    driver = make_driver(hal, device._replace(driver=name, params={**device.params, "pins": pins}))
    assert driver.traffic.errors == 0
    assert callable(driver.start)
