"""Flight software with some buses of its computer and the others of a bench."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from shimmed import LIMIT_S, ROOT, board_with, words

from flightsw.codec import bus_payload
from flightsw.codec.wire import Flag, Kind, Record, unpack_all
from hil.board import load_board
from hil.missions import load as load_mission
from hil.rig import Rig
from hil.time.coordinator import Coordinator
from hil.time.transports import listen

BOARD_C, CHIP_C = 61.5, 72.25
KINDS = (Kind.I2C, Kind.SPI, Kind.UART, Kind.CAN, Kind.GPIO)
ADDRESSES = {0x48: BOARD_C, 0x49: CHIP_C}


class Flown:
    """A flight with buses of ``local`` on the shim of a second bench."""

    def __init__(self, folder: Path, local: Sequence[str], seconds: float) -> None:
        octets = bytearray()
        mission = load_mission("tiansuan_bupt1")
        board = load_board("raspberrypi4")
        self.rig = Rig(
            *(board, mission),
            seed=1,
            duration_s=seconds,
            inference="threshold",
            sink=octets.extend,
        )
        other = board_with(
            folder, thermal__board_c=f"{BOARD_C} degC", thermal__chip_c=f"{CHIP_C} degC"
        )
        with listen("seqpacket") as listener:
            fly = [sys.executable, "-m", "flightsw", "--bench", listener.endpoint]
            fly += ["--storage", str(folder / "storage")]
            fly += [word for bus in local for word in ("--local", bus)]
            process = subprocess.Popen(
                words(folder, *fly, board=other), env={**os.environ, "PYTHONPATH": str(ROOT)}
            )
            try:
                coordinator = Coordinator(self.rig.exchange)
                coordinator.add(
                    listener.channel(),
                    "fsw",
                    lambda: str(process.returncode) if process.poll() else None,
                    LIMIT_S,
                )
                coordinator.run()
                self.code = process.wait(LIMIT_S)
            finally:
                process.kill()
                process.wait()
        self.rig.finish()
        self.records = list(unpack_all(bytes(octets)))

    def of(self, kind: int) -> list[Record]:
        """Return the records of a kind."""
        return [record for record in self.records if record.kind == kind]


def temperatures(records: Sequence[Record]) -> dict[int, set[float]]:
    """Return what temperature sensors said, once they had converted, by address."""
    found: dict[int, set[float]] = {}
    for record in records:
        messages = bus_payload.unpack_i2c(record.payload, reply=True)
        if record.address in ADDRESSES and messages[0][2] == b"\0":
            (_, _, octets) = messages[1]
            assert isinstance(octets, bytes)
            value = int.from_bytes(octets, "big", signed=True) / 128
            found.setdefault(record.address, set()).add(value)
    return found


def test_half_of_the_buses_are_own_ones_and_the_rest_is_the_bench(tmp_path: Path) -> None:
    """The flight software reads sensors, flash and receiver on buses of its own, and power system,
    carrier and the ground's line from the bench, whose records hold both, marked."""
    flown = Flown(tmp_path, ["i2c-1", "spi-0=/dev/spidev0", "ttyAMA1=/dev/ttyAMA1"], 4.0)
    assert flown.code == 0
    own = flown.of(Kind.I2C)
    assert {r.flags for r in own} == {Flag.REPLY | Flag.BOARD}
    assert temperatures(own) == {address: {value} for address, value in ADDRESSES.items()}
    flash = flown.of(Kind.SPI)
    assert {r.flags for r in flash} == {Flag.REPLY | Flag.BOARD}
    assert any(r.payload.endswith(b"\xef\x40\x18") for r in flash), "the flash told who it is"
    lines = flown.of(Kind.UART)
    channels = {bus.name: bus.index for bus in flown.rig.board.buses}
    heard = b"".join(r.payload for r in lines if r.flags == Flag.INPUT | Flag.BOARD)
    assert b"$GNRMC" in heard, "the receiver on the own line"
    assert {r.flags & Flag.BOARD for r in lines if r.channel == channels["ttyAMA2"]} <= {0}
    assert {r.flags & Flag.BOARD for r in flown.of(Kind.CAN)} == {0}
    buses, exchange = flown.rig.wiring.buses, flown.rig.exchange
    assert buses["i2c-1"].transfers == 0, "no emulated part was asked"
    assert exchange.observed.buses == {
        "i2c-1": "/dev/i2c-1",
        "spi-0": "/dev/spidev0",
        "ttyAMA1": "/dev/ttyAMA1",
    }
    counted = exchange.counted["observed"]
    real = [r for r in flown.records if r.flags & Flag.BOARD and r.kind in KINDS]
    assert (counted["records"], counted["lost"]) == (len(real), 0)
    times = [r.t_ns for r in flown.records if r.kind in KINDS]
    assert times == sorted(times)
