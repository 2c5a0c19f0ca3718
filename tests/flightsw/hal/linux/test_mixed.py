"""Flight software with some buses of its computer and the others of a bench."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from shimmed import ROOT, board_with, words

from flightsw.codec import bus_payload
from flightsw.codec.wire import Flag, Kind, Record, unpack_all
from hil.board import load_board
from hil.missions import load as load_mission
from hil.rig import Rig
from hil.time.coordinator import Coordinator
from hil.time.transports import listen

BOARD_C, CHIP_C = 61.5, 72.25
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
                )
                coordinator.run()
                self.code = process.wait(60)
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


def test_sensors_on_an_own_bus_and_the_rest_on_the_bench(tmp_path: Path) -> None:
    """The flight software reads the sensors of its own I2C bus and everything else from the bench,
    whose records hold both, marked."""
    flown = Flown(tmp_path, ["i2c-1"], 6.0)
    assert flown.code == 0
    own = flown.of(Kind.I2C)
    assert {r.flags for r in own} == {Flag.REPLY | Flag.BOARD}
    assert temperatures(own) == {address: {value} for address, value in ADDRESSES.items()}
    assert {r.flags for r in flown.of(Kind.SPI)} == {int(Flag.REPLY)}
    assert flown.of(Kind.CAN), "the power system was heard"
    assert flown.of(Kind.UART), "the receiver was heard"
    assert flown.rig.wiring.buses["i2c-1"].transfers == 0
    assert flown.rig.exchange.observed.buses == {"i2c-1": "/dev/i2c-1"}
    assert flown.rig.exchange.counted["observed"] == {
        "records": len(own),
        "lost": 0,
        "after_end": 0,
    }
