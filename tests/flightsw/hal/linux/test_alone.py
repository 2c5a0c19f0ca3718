"""Flight software without a bench: device tables, and the whole of it on the computer's buses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from shimmed import LIMIT_S, ROOT, words

from flightsw.codec import bus_payload
from flightsw.codec.wire import Kind
from flightsw.errors import BusError, DeviceTableError, StorageError
from flightsw.hal.linux.alone import LinuxHal, count_start, read_table
from flightsw.hal.linux.local import default_device, parse_locals
from hil.board import load_board
from hil.capture.reader import Capture
from hil.cli.devices import main
from hil.devicetable import as_text, device_table
from hil.missions import load as load_mission


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "devices.json"
    assert main(["raspberrypi4", "--inference", "threshold", "--out", str(path)]) == 0
    return path


def test_the_table_of_a_board_is_what_a_bench_welcomes_with(table: Path) -> None:
    """Parts, settings of buses and configuration are those of board file and mission."""
    found = read_table(table)
    board, mission = load_board("raspberrypi4"), load_mission("tiansuan_bupt1")
    assert found == json.loads(as_text(device_table(board, mission, "threshold")))
    assert found["devices"] == json.loads(json.dumps(board.devices()))
    channels = {row["name"]: row for row in found["channels"]}
    assert channels["ttyAMA1"]["baud"] == 115_200
    assert channels["spi-0"]["chip_selects"]["0"] == {"mode": 0, "speed_hz": 20_000_000}
    assert "levels" not in channels["gpiochip0"]


@pytest.mark.parametrize("board", ["raspberrypi4", "raspberrypi5", "jetson_orin_nano"])
def test_every_board_has_a_table(board: str) -> None:
    """A table of each board that there is can be read back."""
    text = as_text(device_table(load_board(board), load_mission("tiansuan_bupt1")))
    assert json.loads(text)["board"] == board


def test_flight_software_flies_on_the_computers_own_buses_alone(
    table: Path, tmp_path: Path
) -> None:
    """With a device table and no bench it starts, reads its parts for four seconds, and stops."""
    fly = [sys.executable, "-m", "flightsw", "--devices", str(table)]
    fly += ["--storage", str(tmp_path / "storage"), "--local", "can0=/dev/ttyCAN0"]
    command = words(tmp_path, *fly)
    command[command.index("--") : command.index("--")] = ["--duration", "4"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=LIMIT_S,
    )
    assert (done.returncode, done.stdout) == (0, "")
    with Capture(tmp_path / "B" / "capture.mcap") as capture:
        records = list(capture.records())
    sensors = [r for r in records if r.kind == Kind.I2C and r.address in (0x48, 0x49)]
    read = [bus_payload.unpack_i2c(r.payload, reply=True)[0][2] for r in sensors]
    assert read.count(b"\0") >= 4, "both temperatures, once a second"
    kicks = [r for r in records if r.kind == Kind.GPIO and r.address == 24]
    assert len(kicks) >= 3, "the watchdog is fed once a second"
    assert (tmp_path / "storage" / "starts").read_text() == "1\n"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": 2}, "format 1"),
        ({"devices": {}}, "devices is missing or is no list"),
        ({"channels": [{"name": "i2c-1"}]}, r"channels\[0\] has no name and kind"),
        ({"devices": [{"role": "x"}]}, r"devices\[0\] must have role"),
        (
            {
                "devices": [
                    {"role": "x", "driver": "y", "channel": "z", "address": "1", "params": {}}
                ]
            },
            r"devices\[0\]\.address must be a int",
        ),
    ],
)
def test_a_table_that_is_none_is_refused(table: Path, change: dict[str, Any], says: str) -> None:
    """What is wrong is named with file and place, and with who writes a sound one."""
    table.write_text(json.dumps({**json.loads(table.read_text()), **change}))
    with pytest.raises(DeviceTableError, match=says) as raised:
        read_table(table)
    assert str(table) in str(raised.value)
    assert "hil devices" in str(raised.value)


def test_files_that_are_no_table_are_refused(tmp_path: Path) -> None:
    """Missing, no JSON, nested beyond sense, too long."""
    path = tmp_path / "table"
    with pytest.raises(DeviceTableError, match="No such file"):
        read_table(path)
    for octets in (b"\xff", b"[" * 100_000, b" " * (1 << 20) + b"{}", b"[]"):
        path.write_bytes(octets)
        with pytest.raises(DeviceTableError, match="hil devices"):
            read_table(path)


def test_own_buses_are_named_with_or_without_a_device() -> None:
    """Defaults follow the name; what says nothing, or twice the same bus, is refused."""
    assert parse_locals(["i2c-1", "spi-0", "can0=can3", "ttyAMA1"]) == {
        "i2c-1": "/dev/i2c-1",
        "spi-0": "/dev/spidev0",
        "can0": "can3",
        "ttyAMA1": "/dev/ttyAMA1",
    }
    assert default_device("can1") == "can1"
    for words_ in (["=x"], ["i2c-1="], [""], ["a", "a=b"]):
        with pytest.raises(DeviceTableError, match="--local"):
            parse_locals(words_)


def test_what_the_kernel_does_not_reach_fails_by_name(table: Path) -> None:
    """Images fail as those of a camera that is away, unless it was named; unknown buses are refused
    with those known."""
    with LinuxHal(read_table(table), {"i2c-1": "/dev/i2c-9"}) as hal:
        with pytest.raises(BusError, match="csi0: device /dev/video0 cannot be opened"):
            hal.imager("csi0").capture(100)
        with pytest.raises(DeviceTableError, match="/dev/i2c-9"):
            hal.i2c("i2c-1")
        with pytest.raises(DeviceTableError, match="there is i2c-1"):
            hal.i2c("i2c-2")
        with pytest.raises(DeviceTableError, match="1-Wire"):
            hal.onewire("w1")
        assert hal.cpu.begin("segmentation", 9) == (0, 0.0)
    with (
        LinuxHal(read_table(table), {"csi0": "/dev/null"}) as hal,
        pytest.raises(DeviceTableError, match="no camera that delivers"),
    ):
        hal.imager("csi0")
    with pytest.raises(DeviceTableError, match="no such bus"):
        LinuxHal(read_table(table), {"i2c-7": "x"})


def test_starts_are_counted_in_the_storage(tmp_path: Path) -> None:
    """Each start is one more; a count that was lost begins anew, a storage that is none is told."""
    storage = tmp_path / "deep" / "storage"
    assert [count_start(storage) for _ in range(3)] == [1, 2, 3]
    (storage / "starts").write_text("garbage")
    assert count_start(storage) == 1
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="starts"):
        count_start(tmp_path / "file")
