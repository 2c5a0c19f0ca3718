"""I2C through i2c-dev, on the emulated device of the preload shim."""

from __future__ import annotations

from pathlib import Path

import pytest
from shimmed import shimmed

from flightsw.errors import DeviceTableError
from flightsw.hal.linux.bus import LocalChannel
from flightsw.hal.linux.clock import WallClock
from flightsw.hal.linux.i2c import LinuxI2C

PROGRAM = """
from flightsw.hal.linux.bus import LocalChannel
from flightsw.hal.linux.clock import WallClock
from flightsw.hal.linux.i2c import LinuxI2C

seen, clock = [], WallClock()
with_bus = LocalChannel("i2c-1", "i2c", "/dev/i2c-1", {})
bus = LinuxI2C(with_bus, clock, lambda *record: seen.append(record))
print(bus.transfer(0x48, b"\\x0f", 2), bus.transfer(0x48, b"", 1), bus.transfer(0x48, b""))
for asked in ((0x2F, b"\\0", 1), (0x2F, b""), (0x148, b"a"), (0x48, b"", 8193), (0x400, b"")):
    try:
        print(bus.transfer(*asked))
    except OSError as error:
        print(type(error).__name__, error.errno, error)
bus.close()
for flags, status, t_ns, took_ns, address, payload in seen:
    print(flags, status, took_ns, hex(address), payload.hex())
"""


def test_transactions_errors_and_records(tmp_path: Path) -> None:
    """A repeated start is one, an errno is the adapter's, and a record is what the bench makes."""
    lines = shimmed(tmp_path, PROGRAM).splitlines()
    assert lines[0] == r"b'\x01\x17' b'\x01' b''"
    assert [line.split()[:2] for line in lines[1:6]] == [
        ["BusError", "121"],
        ["BusError", "121"],
        ["BusError", "95"],
        ["BusError", "22"],
        ["BusError", "22"],
    ]
    assert lines[1].endswith("i2c-1 (/dev/i2c-1): transfer with 0x2f failed (Remote I/O error)")
    assert lines[6] == "129 0 120000 0x48 4800000001000f4800010002000117"
    assert [line.split()[1] for line in lines[6:]] == list("00011677")


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
