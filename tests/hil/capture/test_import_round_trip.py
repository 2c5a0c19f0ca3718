"""A flight exported in the formats of other tools and imported again is the flight."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil.capture.reader import Capture
from hil.cli import main
from hil.options import Options
from hil.session import fly


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short flight with a fault of a bus, so that some records have a status."""
    out = tmp_path_factory.mktemp("runs") / "flight"
    faults = ("i2c-1:nak_address,address=0x40,first=5,last=9",)
    return fly(Options(out=out, duration_s=120.0, transport="direct", faults=faults)).run_dir


def test_a_whole_flight_through_pcapng(run: Path, tmp_path: Path) -> None:
    """Every record of a flight comes back through pcapng, octet for octet; `hil diff` agrees."""
    exported, back = tmp_path / "flight.pcapng", tmp_path / "back.mcap"
    assert main(["export", str(run), "--snaplen", "0", "--out", str(exported)]) == 0
    assert main(["import", str(exported), "--out", str(back), "-q"]) == 0
    with Capture(run / "capture.mcap") as before, Capture(back) as after:
        assert b"".join(after.buffers()) == b"".join(before.buffers())
        assert after.epoch_ns == before.epoch_ns
    assert main(["diff", str(run / "capture.mcap"), str(back)]) == 0


def test_can_frames_through_candump(run: Path, tmp_path: Path) -> None:
    """CAN frames of a flight come back through a candump log with their direction; only the time
    below a microsecond is lost, and a second round changes nothing."""
    log, again, back = tmp_path / "can.log", tmp_path / "again.log", tmp_path / "back.mcap"
    assert main(["export", str(run), "--topic", "can0", "--out", str(log)]) == 0
    assert main(["import", str(log), "--out", str(back), "-q"]) == 0
    assert main(["export", str(back), "--out", str(again)]) == 0
    assert again.read_bytes() == log.read_bytes()
    with Capture(run / "capture.mcap") as capture:
        sent = list(capture.records(["/bus/can0"]))
    with Capture(back) as capture:
        found = list(capture.records())
    assert [(r.address, r.flags, r.payload) for r in found] == [
        (r.address, r.flags, r.payload) for r in sent
    ]
    shift_ns = sent[0].t_ns - found[0].t_ns
    assert all(abs(a.t_ns - b.t_ns - shift_ns) <= 1000 for a, b in zip(sent, found, strict=True))
