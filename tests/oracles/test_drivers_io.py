"""Foreign drivers of converters, clocks, switches and port expanders, unmodified."""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Iterator
from types import ModuleType

import adafruit_ds3231
import adafruit_ina219
import adafruit_pca9685
import adafruit_tca9548a
import digitalio
import pytest
from adafruit_ads1x15.ads1x15 import Comp_Polarity, Mode, Pin
from adafruit_ads1x15.ads1115 import ADS1115
from adafruit_ads1x15.analog_in import AnalogIn
from adafruit_mcp230xx.mcp23017 import MCP23017

from hil.faces.busio import I2C, virtual_sleep
from hil.faces.smbus2 import Adapter, installed, look_alike
from hil.parts.ads1115 import Ads1115
from hil.parts.ds3231 import Ds3231
from hil.parts.ina219 import Ina219
from hil.parts.mcp23017 import Mcp23017
from hil.parts.pca9685 import Pca9685
from hil.parts.tca9548a import Tca9548a
from hil.testing.contracts.part import sweep
from hil.testing.driver_bench import DriverBench

ADC = 0x48


@pytest.fixture
def adc() -> Iterator[tuple[DriverBench, Ads1115]]:
    """An ADS1115 on a bench."""
    part = Ads1115("adc", 7, vdd=5.0)
    bench = DriverBench({ADC: part})
    with virtual_sleep(bench):
        yield bench, part


@pytest.mark.parametrize(
    ("gain", "full_v"), [(2 / 3, 5.3), (1, 4.09), (2, 2.04), (4, 1.02), (8, 0.51), (16, 0.25)]
)
def test_adafruit_ads1115(adc: tuple[DriverBench, Ads1115], gain: float, full_v: float) -> None:
    """adafruit_ads1x15 reads every input at every gain, single-ended and as differences."""
    bench, part = adc
    driver = ADS1115(I2C(bench.transfer, bench), gain=gain, data_rate=860)
    epsilon = 6.144 / 32768 if gain == 2 / 3 else 4.096 / gain / 32768
    for n in range(4):
        channel = AnalogIn(driver, n)
        sweep(part, f"ain{n}_v", lambda c=channel: c.voltage, 17, epsilon, (-0.25, full_v))
        part.set(f"ain{n}_v", 0.0)
    pair = AnalogIn(driver, Pin.A2, Pin.A3)
    part.set("ain2_v", 0.1)
    part.set("ain3_v", 0.3)
    assert pair.voltage == pytest.approx(-0.2, abs=epsilon)


def test_adafruit_ads1115_continuous(adc: tuple[DriverBench, Ads1115]) -> None:
    """In continuous mode each read brings the latest result, without the pointer being set anew."""
    bench, part = adc
    driver = ADS1115(I2C(bench.transfer, bench), mode=Mode.CONTINUOUS)
    pair = AnalogIn(driver, Pin.A0, Pin.A1)
    part.set("ain1_v", 1.0)
    read = bench.after(1 / 64, lambda: pair.voltage + 1.0)
    sweep(part, "ain0_v", read, 17, 4.096 / 32768, (0.0, 5.0))


def test_adafruit_ads1115_comparator(adc: tuple[DriverBench, Ads1115]) -> None:
    """The driver's thresholds, queue and polarity move the alert pin."""
    bench, part = adc
    levels: list[int] = []
    part.gpio_drive = lambda t_ns, pin, level: levels.append(level)
    driver = ADS1115(I2C(bench.transfer, bench), comparator_queue_length=1)
    driver.comparator_low_threshold, driver.comparator_high_threshold = 8000, 16000
    driver.comparator_polarity = Comp_Polarity.ACTIVE_HIGH
    channel = AnalogIn(driver, 0)
    assert [driver.comparator_low_threshold, driver.comparator_high_threshold] == [8000, 16000]
    for volts, level in ((0.5, 0), (2.1, 1), (1.5, 1), (0.9, 0)):
        part.set("ain0_v", volts)
        assert channel.voltage == pytest.approx(volts, abs=2e-4)
        assert levels[-1] == level


DRIVER = "adafruit-circuitpython-ads1x15 3.0.5: "


@pytest.mark.xfail(strict=True, reason=DRIVER + "in continuous mode the input never changes")
def test_adafruit_ads1115_changes_its_input_in_continuous_mode(
    adc: tuple[DriverBench, Ads1115],
) -> None:
    """In continuous mode another input can be read."""
    bench, part = adc
    driver = ADS1115(I2C(bench.transfer, bench), mode=Mode.CONTINUOUS)
    part.set("ain1_v", 1.5)
    assert AnalogIn(driver, 1).voltage == pytest.approx(1.5, abs=2e-4)


@pytest.mark.xfail(strict=True, reason=DRIVER + "after a change of settings it reads CONFIG back")
def test_adafruit_ads1115_changes_its_gain_in_continuous_mode(
    adc: tuple[DriverBench, Ads1115],
) -> None:
    """In continuous mode the gain can be changed between two reads of an input."""
    bench, part = adc
    driver = ADS1115(I2C(bench.transfer, bench), mode=Mode.CONTINUOUS)
    pair = AnalogIn(driver, Pin.A0, Pin.A1)
    part.set("ain0_v", 0.25)
    assert pair.voltage == pytest.approx(0.25, abs=2e-4)
    driver.gain = 8
    bench.wait(1.0)
    assert pair.voltage == pytest.approx(0.25, abs=2e-4)


@pytest.mark.parametrize("rate", [8, 128, 860])
def test_polling_session_makes_the_transfers_of_a_400_khz_bus(
    adc: tuple[DriverBench, Ads1115], rate: int
) -> None:
    """Polling for the end of a conversion makes as many transfers as fit in at 400 kHz."""
    bench, _ = adc
    driver = ADS1115(I2C(bench.transfer, bench), data_rate=rate)
    channels = [AnalogIn(driver, n) for n in range(4)]
    before = bench.i2c_bus.transfers
    for channel in channels:
        channel.voltage  # noqa: B018 - reading it is what makes the transfers
    made = bench.i2c_bus.transfers - before
    # The settings take 38 bits to write; a poll writes a pointer and reads two octets, 48 bits of
    # 2.5 us, until one begins after 25 us and a data period; one more transfer reads the result.
    polls = 1 + math.ceil((25e-6 + 1 / rate - 38 * 2.5e-6) / (48 * 2.5e-6))
    assert made == pytest.approx(4 * (1 + polls + 1), rel=0.05)


@pytest.fixture
def ads1115_package(adc: tuple[DriverBench, Ads1115]) -> Iterator[ModuleType]:
    """The package ADS1115, which opens bus 1 of smbus2 itself."""
    bench, _ = adc
    with installed({1: Adapter(bench.transfer)}):
        yield importlib.reload(importlib.import_module("ADS1115"))


@pytest.mark.parametrize(
    ("pga", "full_v"),
    [(6144, 5.3), (4096, 4.09), (2048, 2.0), (1024, 1.0), (512, 0.5), (256, 0.25)],
)
def test_ads1115_package(
    adc: tuple[DriverBench, Ads1115], ads1115_package: ModuleType, pga: int, full_v: float
) -> None:
    """ADS1115 reads every input at every gain (it reads negative words one step high)."""
    _, part = adc
    driver = ads1115_package.ADS1115(ADC)
    step_v = pga / 32768e3
    for n in range(4):
        read = lambda n=n: driver.readADCSingleEnded(n, pga, 860) / 1000  # noqa: E731
        sweep(part, f"ain{n}_v", read, 17, step_v, (0.0, full_v))
        sweep(part, f"ain{n}_v", read, 5, 1.51 * step_v, (-0.2, -0.01))


def test_adafruit_ds3231() -> None:
    """adafruit_ds3231 sets and reads the time, calendar, alarms, temperature and aging."""
    part = Ds3231("clock", 7)
    bench = DriverBench({0x68: part})
    driver = adafruit_ds3231.DS3231(I2C(bench.transfer, bench))
    assert driver.lost_power
    driver.datetime = time.struct_time((2026, 12, 31, 23, 59, 30, 3, -1, -1))
    assert not driver.lost_power
    bench.wait(45.0)
    assert tuple(driver.datetime)[:7] == (2027, 1, 1, 0, 0, 15, 4)
    driver.alarm1 = (time.struct_time((2027, 1, 1, 0, 1, 0, 4, -1, -1)), "hourly")
    driver.alarm1_status = False
    bench.wait(44.0)
    assert not driver.alarm1_status
    bench.wait(1.0)
    assert driver.alarm1_status
    driver.alarm1_status = False
    assert not driver.alarm1_status
    sweep(part, "temperature_c", driver.force_temperature_conversion, points=51)
    levels: list[int] = []
    part.gpio_drive = lambda t_ns, pin, level: levels.append(level)
    driver.alarm2 = (time.struct_time((2027, 1, 1, 0, 0, 0, 4, -1, -1)), "daily")
    driver.alarm2_interrupt = True
    bench.wait(86_400.0)
    assert driver.alarm2_status
    driver.alarm2_status = False
    assert levels == [0, 1]
    driver.calibration = -20
    assert driver.calibration == -20


def test_adafruit_tca9548a_reaches_one_address_on_two_channels() -> None:
    """adafruit_tca9548a switches between two monitors at one address behind a switch."""
    switch = Tca9548a("switch")
    one, other = Ina219("one", 7), Ina219("other", 7)
    switch.segment(1).attach(0x40, one)
    switch.segment(6).attach(0x40, other)
    bench = DriverBench({0x70: switch})
    mux = adafruit_tca9548a.TCA9548A(I2C(bench.transfer, bench))
    drivers = [adafruit_ina219.INA219(mux[channel]) for channel in (1, 6)]
    one.set("bus_v", 5.0)
    other.set("bus_v", 12.0)
    bench.wait(0.2)
    assert [driver.bus_voltage for driver in drivers] == [5.0, 12.0]
    for channel in range(8):
        assert mux[channel].try_lock()
        assert mux[channel].scan() == ([0x40, 0x70] if channel in (1, 6) else [0x70])
        mux[channel].unlock()
    assert not switch.enabled
    with pytest.raises(ValueError, match="No I2C device"):
        adafruit_ina219.INA219(mux[2])


def test_adafruit_mcp23017() -> None:
    """adafruit_mcp230xx drives every pin, reads every pin, and its pull-ups and interrupts work."""
    part = Mcp23017("expander", 7)
    bench = DriverBench({0x20: part})
    driver = MCP23017(I2C(bench.transfer, bench))
    names = list(part.QUANTITIES)
    for number, name in enumerate(names):
        pin = driver.get_pin(number)
        assert part.output(name) is None
        for level in (True, False):
            part.set(name, level)
            assert pin.value == level
        part.release(name)
        pin.switch_to_input(pull=digitalio.Pull.UP)
        assert pin.value
        pin.switch_to_input()
        assert not pin.value
        for level in (True, False, True):
            pin.switch_to_output(value=level)
            assert part.output(name) == level
            assert pin.value == level
    driver.iodir = 0xFFFF
    driver.interrupt_enable = 0x0101
    driver.clear_ints()
    part.set("gpb0", 1)
    assert driver.int_flag == [8]
    assert (driver.int_flaga, driver.int_flagb) == ([], [8])
    assert driver.int_capb == [1] + [0] * 7
    assert not part.interrupt(1)


def test_adafruit_pca9685() -> None:
    """adafruit_pca9685 sets the frequency within a step of the prescaler, and every duty cycle."""
    part = Pca9685("pwm", 7)
    bench = DriverBench({0x40: part})
    with virtual_sleep(bench):
        driver = adafruit_pca9685.PCA9685(I2C(bench.transfer, bench))
        for hertz in (24, 50, 60, 200, 1000, 1526):
            driver.frequency = hertz
            assert part.frequency_hz == pytest.approx(driver.frequency)
            assert part.frequency_hz == pytest.approx(hertz, rel=0.13)
        assert not part.prescale_ignored
        for n in range(16):
            for duty in (0, 0x10, 0x3210, 0x8000, 0xFFE0, 0xFFFF):
                driver.channels[n].duty_cycle = duty
                assert part.duty(n) == pytest.approx(duty / 0xFFFF, abs=1 / 4096)
                assert driver.channels[n].duty_cycle == duty
        assert [part.duty(n) for n in range(16)] == [1.0] * 16


@pytest.mark.xfail(
    strict=True,
    reason="adafruit-circuitpython-pca9685 3.4.22: its reset turns auto-increment off, and only "
    "setting the frequency turns it on again",
)
def test_adafruit_pca9685_before_the_frequency_is_set() -> None:
    """A duty cycle that is set first arrives."""
    part = Pca9685("pwm", 7)
    bench = DriverBench({0x40: part})
    driver = adafruit_pca9685.PCA9685(I2C(bench.transfer, bench))
    driver.channels[3].duty_cycle = 0x8000
    assert part.duty(3) == pytest.approx(0.5)


@pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")
def test_pca9685_driver() -> None:
    """pca9685_driver sets the frequency and every channel, octet by octet."""
    part = Pca9685("pwm", 7)
    bench = DriverBench({0x40: part})
    with installed({1: Adapter(bench.transfer)}, "smbus"):
        package = importlib.reload(importlib.import_module("pca9685_driver.device"))
        driver = package.Device(0x40, 1)
    driver.set_pwm_frequency(50)
    assert driver.get_pwm_frequency() == 50
    assert part.frequency_hz == pytest.approx(50, rel=0.01)
    for n in range(16):
        for value in (0, 1, 307, 2048, 4095):
            driver.set_pwm(n, value)
            assert driver.get_pwm(n) == value
            assert part.duty(n) == pytest.approx(value / 4096)
    driver.sleep()
    assert part.duty(3) == 0.0
    driver.wake()
    assert part.duty(3) == pytest.approx(4095 / 4096)


def test_mcp23017_package() -> None:
    """mcp23017 writes and reads every pin by itself, and sees an interrupt and its capture."""
    part = Mcp23017("expander", 7)
    bench = DriverBench({0x20: part})
    package = importlib.import_module("mcp23017")
    bus = look_alike({1: Adapter(bench.transfer)}).SMBus(1)
    driver = package.MCP23017(0x20, bus)
    for gpio, name in enumerate(part.QUANTITIES):
        driver.pin_mode(gpio, package.OUTPUT)
        for level in (package.HIGH, package.LOW):
            driver.digital_write(gpio, level)
            assert part.output(name) == (level == package.HIGH)
        driver.pin_mode(gpio, package.INPUT)
        for level in (1, 0):
            part.set(name, level)
            assert driver.digital_read(gpio) == (package.HIGH if level else package.LOW)
    driver.set_interrupt(package.GPB2, True)
    part.set("gpb2", 1)
    assert driver.read_interrupt_flags()[1] == list("00100000")
    assert driver.read_interrupt_captures()[1] == list("00100000")
    assert driver.read_interrupt_flags()[1] == list("00000000")


def test_tca9548a_package() -> None:
    """tca9548a selects, reads back and scans its channels, over smbus2's combined transactions."""
    switch = Tca9548a("switch")
    for channel in (0, 7):
        switch.segment(channel).attach(0x48, Ads1115(f"adc{channel}"))
    bench = DriverBench({0x70: switch})
    with installed({1: Adapter(bench.transfer)}):
        package = importlib.reload(importlib.import_module("tca9548a.TCA9548A"))
    mux = package.TCA9548A(0x70)
    assert mux.begin()
    for channel in range(8):
        assert mux[channel].scan() == ([0x48, 0x70] if channel in (0, 7) else [0x70])
        assert mux.get_selected_channels() == [channel]
    mux[7].writeto(0x48, b"\x02\x12\x34")
    mux[7].writeto(0x48, b"\x02")
    assert mux[7].readfrom(0x48, 2) == b"\x12\x34"
    mux[0].writeto(0x48, b"\x02")
    assert mux[0].readfrom(0x48, 2) == b"\x80\x00"
    assert mux.write_control(0x81) == package.TCA9548A_OK
    assert mux.get_selected_channels() == [0, 7]
    mux.close()
