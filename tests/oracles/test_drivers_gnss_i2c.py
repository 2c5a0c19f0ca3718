"""Libraries for u-blox receivers read one over I2C, through look-alikes of busio and smbus2."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest

from hil.faces.busio import I2C, virtual_sleep
from hil.faces.smbus2 import Adapter, look_alike
from hil.parts.ublox import Ublox
from hil.testing.contracts.part import sweep
from hil.testing.driver_bench import DriverBench
from hil.testing.simple_scheduler import SimpleScheduler

pyubx2 = pytest.importorskip("pyubx2", reason="pyubx2 is not installed")

EPOCH = datetime(2023, 4, 3, 11, 59, 58, tzinfo=UTC)


class Clocked(DriverBench):
    """A bench whose receiver lives in the time of its I2C bus."""

    def __init__(self, receiver: Ublox) -> None:
        super().__init__({0x42: receiver})
        self.scheduler = SimpleScheduler()
        receiver.epoch_utc = EPOCH
        receiver.start(self.scheduler, 1)
        self._transfer = super().transfer

    def follow(self, address: int, data: bytes, nread: int) -> bytes:
        """Let the receiver come up to the time of the bus, then transfer."""
        self.scheduler.run_until(self.now_ns())
        return self._transfer(address, data, nread)


def test_adafruit_gps_sweeps_over_i2c() -> None:
    """GPS_GtopI2C, made for a part that pads with line feeds, reads altitudes from u-blox's stream.

    u-blox pads with FFh, which costs the driver the first sentence of each epoch.
    """
    adafruit_gps = pytest.importorskip("adafruit_gps", reason="adafruit_gps is not installed")
    receiver = Ublox("gnss", ttff_s=0.0, space=True)
    receiver.store.set_all({"MSGOUT-NMEA_ID_GGA_I2C": 1, "I2C-EXTENDEDTIMEOUT": 1})
    bench = Clocked(receiver)
    with virtual_sleep(bench):
        gps = adafruit_gps.GPS_GtopI2C(I2C(bench.follow, bench), address=0x42)

        def read() -> float:
            for _ in range(60):
                bench.wait(0.05)
                gps.update()
            return gps.altitude_m  # type: ignore[no-any-return]

        sweep(receiver, "alt_m", read, points=5)


def test_pyubx2_reads_the_stream_over_smbus2() -> None:
    """Counted by FDh and FEh and read from FFh through smbus2's look-alike, NAV-PVT parses."""
    receiver = Ublox("gnss", ttff_s=0.0, space=True)
    receiver.store.set_all({"MSGOUT-UBX_NAV_PVT_I2C": 1, "I2C-EXTENDEDTIMEOUT": 1})
    for name in ("RMC", "VTG", "GGA", "GSA", "GSV", "GLL"):
        receiver.store.set_all({f"MSGOUT-NMEA_ID_{name}_I2C": 0})
    receiver.set("lat_deg", 12.5)
    bench = Clocked(receiver)
    smbus2 = look_alike({1: Adapter(bench.follow)})
    bus = smbus2.SMBus(1)
    bench.wait(1.2)
    found = []
    for _ in range(3):
        high, low = bus.read_i2c_block_data(0x42, 0xFD, 2)
        octets = smbus2.i2c_msg.read(0x42, high << 8 | low)
        bus.i2c_rdwr(smbus2.i2c_msg.write(0x42, [0xFF]), octets)
        found += [m for _, m in pyubx2.UBXReader(io.BytesIO(bytes(octets)))]
        bench.wait(1.0)
    assert [message.identity for message in found] == ["NAV-PVT"] * 4
    assert all(abs(message.lat - 12.5) < 2e-5 for message in found)
