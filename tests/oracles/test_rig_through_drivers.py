"""The whole rig, read by programs that are not ours: what they find is what the world holds."""

from __future__ import annotations

import math
from io import BytesIO
from pathlib import Path

import adafruit_ina3221
import adafruit_lsm6ds
import pynmea2
import pytest
import pyubx2
from adafruit_lsm6ds.lsm6dsox import LSM6DSOX
from adafruit_tmp117 import TMP117

from flightsw.hal.bench import DirectHal
from hil.board import load_board
from hil.faces.busio import I2C, virtual_sleep
from hil.missions import load
from hil.rig import Rig
from hil.time.transports.direct import DirectPort

ROOT = Path(__file__).resolve().parents[2]
SECOND = 1_000_000_000
SHUNT_OHM = 0.01


class RigBench:
    """The default rig and a foreign program on its payload computer's buses."""

    def __init__(self, board: str = "raspberrypi4") -> None:
        self.rig = Rig(load_board(board), load("tiansuan_bupt1"), seed=3, duration_s=900)
        exchange = self.rig.exchange
        self.hal = DirectHal(DirectPort(exchange, exchange.join("foreign")))
        self.i2c = I2C(self.hal.i2c("i2c-1").transfer, self.hal.clock)


@pytest.fixture
def bench():
    """A rig at 600 s of its orbit, with the drivers' sleeps in its virtual time."""
    bench = RigBench()
    bench.hal.clock.sleep_until(600 * SECOND)
    with virtual_sleep(bench.hal.clock, adafruit_lsm6ds):
        yield bench


def test_adafruit_ina3221_reads_the_rails_of_the_world(bench):
    """Voltages and currents of the three rails are the world's, within the register steps."""
    driver = adafruit_ina3221.INA3221(bench.i2c, 0x40)
    driver.averaging_mode = adafruit_ina3221.AVG_MODE.AVG_1_SAMPLE
    bench.hal.clock.sleep_until(bench.hal.clock.now_ns() + SECOND)
    state = bench.rig.world.state
    rails = (("payload_v", "payload_a"), ("battery_v", "battery_a"), ("solar_v", "solar_a"))
    for channel, (volts, amperes) in enumerate(rails):
        rail = driver[channel]
        rail.shunt_resistance = SHUNT_OHM
        part = bench.rig.wiring.parts["power_monitor"]
        epsilon_v = part.QUANTITIES[f"bus{channel + 1}_v"].epsilon
        assert rail.bus_voltage == pytest.approx(state[f"power.{volts}"], abs=2 * epsilon_v)
        # one step of 40 uV, and the driver's own step for negative words
        step_a = 40e-6 / SHUNT_OHM
        assert rail.current / 1000 == pytest.approx(state[f"power.{amperes}"], abs=2.1 * step_a)


def test_adafruit_tmp117_reads_the_temperatures_of_the_world(bench):
    """Board and chip sensor read the two nodes of the thermal model."""
    for address, name in ((0x48, "thermal.board_c"), (0x49, "thermal.chip_c")):
        driver = TMP117(bench.i2c, address)
        reading = driver.temperature
        assert reading == pytest.approx(bench.rig.world.state[name], abs=0.1)


def test_adafruit_lsm6dsox_reads_the_motion_of_the_world(bench):
    """The mean of many samples is the orbital rate about pitch and no acceleration."""
    driver = LSM6DSOX(bench.i2c, 0x6A)
    rates, accelerations = [], []
    for _ in range(200):
        bench.hal.clock.sleep_until(bench.hal.clock.now_ns() + SECOND // 50)
        rates.append(driver.gyro)
        accelerations.append(driver.acceleration)
    state = bench.rig.world.state
    quantities = bench.rig.wiring.parts["imu"].QUANTITIES
    for axis, letter in enumerate("xyz"):
        mean = math.fsum(sample[axis] for sample in rates) / len(rates)
        epsilon = quantities[f"gyro_{letter}_rad_s"].epsilon
        assert mean == pytest.approx(state[f"att.gyro_{letter}_rad_s"], abs=epsilon)
        mean = math.fsum(sample[axis] for sample in accelerations) / len(accelerations)
        epsilon = quantities[f"accel_{letter}_m_s2"].epsilon
        assert mean == pytest.approx(state[f"att.accel_{letter}_m_s2"], abs=epsilon)


def test_adafruit_lis3mdl_reads_the_field_of_the_world(tmp_path):
    """A magnetometer added to the board feels the Earth's field along the orbit, in body axes."""
    adafruit_lis3mdl = pytest.importorskip("adafruit_lis3mdl", reason="it is not installed")
    board = (ROOT / "boards" / "raspberrypi4.toml").read_text()
    (tmp_path / "b.toml").write_text(
        f'{board}\n[part.mag]\ntype = "lis3mdl"\nbus = "i2c-1"\naddress = 0x1C\n[part.mag.world]\n'
        + "".join(f'mag_{axis}_t = "att.mag_{axis}_t"\n' for axis in "xyz")
    )
    bench = RigBench(str(tmp_path / "b.toml"))
    clock = bench.hal.clock
    with virtual_sleep(clock, adafruit_lis3mdl):
        driver = adafruit_lis3mdl.LIS3MDL(bench.i2c)
        for minute in (2, 7, 12):
            clock.sleep_until(minute * 60 * SECOND + SECOND // 2)
            told = driver.magnetic  # microtesla
            state, part = bench.rig.world.state, bench.rig.wiring.parts["mag"]
            for axis, microtesla in zip("xyz", told, strict=True):
                epsilon = part.QUANTITIES[f"mag_{axis}_t"].epsilon
                assert microtesla * 1e-6 == pytest.approx(state[f"att.mag_{axis}_t"], abs=epsilon)
            assert 20 < math.hypot(*told) < 60


def test_pyubx2_and_pynmea2_read_the_orbit_of_the_world(bench):
    """Both parsers find position, height and speed of the world in the serial stream."""
    line = bench.hal.uart("ttyAMA1")
    line.read()  # what came before
    bench.hal.clock.sleep_until(603 * SECOND + SECOND // 2)
    stream = line.read()
    world = bench.rig.world
    fixes = [
        parsed
        for _, parsed in pyubx2.UBXReader(BytesIO(stream), protfilter=pyubx2.UBX_PROTOCOL)
        if parsed.identity == "NAV-PVT"
    ]
    assert len(fixes) >= 3
    last = fixes[-1]
    latitude, longitude, altitude_km = world.geodetic(603 * SECOND)
    assert last.lat == pytest.approx(latitude, abs=2e-5)
    assert last.lon == pytest.approx(longitude, abs=1e-4)
    assert last.height / 1000 == pytest.approx(altitude_km * 1000, abs=5.0)
    assert last.second == (bench.rig.mission.start_utc.second + 603) % 60
    sentences = [
        pynmea2.parse(part.decode(), check=True)
        for part in stream.split(b"\r\n")
        if part.startswith(b"$G")
    ] or [
        pynmea2.parse(part[part.index(b"$G") :].decode(), check=True)
        for part in stream.split(b"\r\n")
        if b"$G" in part
    ]
    positions = [s for s in sentences if s.sentence_type == "GGA"]
    assert positions[-1].latitude == pytest.approx(latitude, abs=2e-5)
    assert positions[-1].longitude == pytest.approx(longitude, abs=1e-4)
