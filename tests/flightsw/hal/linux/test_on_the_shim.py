"""Buses through the kernel's interfaces, on the emulated devices of the preload shim."""

from __future__ import annotations

from pathlib import Path

import pytest
from shimmed import shimmed

from flightsw.errors import DeviceTableError
from flightsw.hal.linux.bus import LocalChannel
from flightsw.hal.linux.clock import WallClock
from flightsw.hal.linux.gpio import LinuxGPIOChip
from flightsw.hal.linux.i2c import LinuxI2C
from flightsw.hal.linux.spi import LinuxSPI

PROGRAM = """
from flightsw.errors import DeviceTableError
from flightsw.hal.linux.bus import LocalChannel
from flightsw.hal.linux.clock import WallClock
from flightsw.hal.linux.local import LocalBuses

def attempt(what, *arguments):
    try:
        print(what(*arguments))
    except (OSError, DeviceTableError) as error:
        print(type(error).__name__, getattr(error, "errno", ""), error)

seen, clock = [], WallClock()
chip_selects = {"0": {"mode": 0, "speed_hz": 20_000_000}}
buses = LocalBuses(
    [
        LocalChannel("i2c-1", "i2c", "/dev/i2c-1", {}),
        LocalChannel("spi-0", "spi", "/dev/spidev0", {"chip_selects": chip_selects}),
        LocalChannel("gpiochip0", "gpio", "/dev/gpiochip0", {}),
    ],
    clock,
    lambda name, kind: lambda *record: seen.append(record),
)
i2c, flash = buses.i2c("i2c-1"), buses.spi("spi-0", 0)
print(i2c.transfer(0x48, b"\\x0f", 2), i2c.transfer(0x48, b"", 1), i2c.transfer(0x48, b""))
for asked in ((0x2F, b"\\0", 1), (0x2F, b""), (0x148, b"a"), (0x48, b"", 8193), (0x400, b"")):
    attempt(i2c.transfer, *asked)
print(flash.transfer(b"\\x9f\\0\\0\\0"), flash.transfer(b""))
attempt(flash.transfer, bytes(4097))
pps, kick = buses.gpio("gpiochip0", 18), buses.gpio("gpiochip0", 24)
print(pps.get(), pps.edges(), kick.get())
kick.set(1)
kick.set(0)
kick.set(1)
print(kick.get(), kick.edges())
attempt(buses.gpio, "gpiochip0", 58)
other = LocalBuses([LocalChannel("gpiochip0", "gpio", "/dev/gpiochip0", {})], clock)
attempt(other.gpio, "gpiochip0", 24)
begun_ns = clock.now_ns()
clock.sleep_until(32_000_000_000)
print([(edge.t_ns / 1e9, edge.value) for edge in pps.edges()], pps.dropped)
buses.close()
for flags, status, t_ns, took_ns, address, payload in seen:
    print(flags, status, took_ns, hex(address), payload[:32].hex())
"""


def test_transactions_errors_edges_and_records(tmp_path: Path) -> None:
    """A repeated start is one, an errno is the adapter's, an edge has the time at which it was, and
    records are what a bench makes of the same."""
    lines = shimmed(tmp_path, PROGRAM).splitlines()
    assert lines[0] == r"b'\x01\x17' b'\x01' b''"
    errors = [line.split()[1] for line in lines[1:6]]
    assert errors == ["121", "121", "95", "22", "22"]
    assert lines[1].endswith("i2c-1 (/dev/i2c-1): transfer with 0x2f failed (Remote I/O error)")
    assert lines[6] == r"b'\xff\xef@\x18' b''"
    assert "4097 octets at once, 4096 are its bufsiz" in lines[7]
    assert lines[8:10] == ["0 [] 0", "1 []"]
    assert "no line 58; it has 0 to 57" in lines[10]
    assert "line 24 of /dev/gpiochip0 is held by flightsw" in lines[11]
    edges = "[(29.0, 1), (29.1, 0), (30.0, 1), (30.1, 0), (31.0, 1), (31.1, 0), (32.0, 1)] 0"
    assert lines[12] == edges
    records = [line.split() for line in lines[13:]]
    assert records[0] == ["129", "0", "120000", "0x48", "4800000001000f4800010002000117"]
    assert [row[1] for row in records[:8]] == list("00011677"), "outcomes of I2C"
    assert [row[:2] for row in records[8:11]] == [["129", "0"], ["129", "0"], ["129", "9"]]
    assert [row[0] for row in records[11:14]] == ["128"] * 3, "the levels that were set"
    assert [row[0] for row in records[14:]] == ["130"] * 7, "the edges that came"


@pytest.mark.parametrize(
    ("device", "says"),
    [("/dev/i2c-77", "No such file or directory); switch"), ("/dev/null", "is no I2C adapter")],
)
def test_a_device_that_is_none_is_told_in_one_line(device: str, says: str) -> None:
    """Missing, or no I2C adapter: the error names bus, device and remedy."""
    with pytest.raises(DeviceTableError) as raised:
        LinuxI2C(LocalChannel("i2c-1", "i2c", device, {}), WallClock())
    text = str(raised.value)
    assert all(word in text for word in ("i2c-1", device, says, "--local"))


def test_devices_of_another_kind_are_refused() -> None:
    """No chip select and no GPIO chip: the error names device and remedy."""
    with pytest.raises(DeviceTableError, match="/dev/null is no GPIO chip"):
        LinuxGPIOChip(LocalChannel("gpiochip0", "gpio", "/dev/null", {}), WallClock())
    with pytest.raises(DeviceTableError, match=r"/dev/spidev9\.1 cannot be opened"):
        LinuxSPI(LocalChannel("spi-9", "spi", "/dev/spidev9", {}), 1, WallClock())
