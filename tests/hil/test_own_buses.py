"""What a run says of buses that were the payload computer's own."""

from __future__ import annotations

import json
from pathlib import Path

from flightsw.codec import bus_payload
from flightsw.codec.wire import Flag, Kind, pack
from hil.board import load_board
from hil.cli.run import summary
from hil.missions import load as load_mission
from hil.options import Options
from hil.rundir import RunDirectory
from hil.session import Session
from hil.testing.bench import Bench, BenchOptions

SECOND = 1_000_000_000
I2C = 0


def test_a_run_with_own_buses_names_them_and_is_not_repeatable(tmp_path: Path) -> None:
    """run.json, what is printed, and the report name bus and device; the count of records is in the
    counters, and no command is said to give the same again."""
    asked = Options(transport="direct", inference="threshold", duration_s=5.0)
    mission, board = load_mission(asked.mission), load_board(asked.board)
    with RunDirectory(tmp_path / "run").open() as directory:
        session = Session(asked, board, mission, directory, lambda view: None)
        exchange = session.rig.exchange

        def tell(t_ns: int) -> None:
            (participant,) = exchange.participants
            assert participant.claim({"i2c-1": "/dev/i2c-7\n<b>"}) == ""
            payload = bus_payload.pack_i2c(0x48, b"\0", 2) + b"\x1e\xc0"
            flags = Flag.REPLY | Flag.BOARD
            record = pack(Kind.I2C, I2C, flags, 0, t_ns, 90_000, 0, 0x48, payload)
            exchange.begin(participant, record, posted=True)

        session.rig.kernel.at(2 * SECOND, 0, 99, tell)
        outcome = session.run()
    assert not outcome.repeatable
    said = summary(outcome)
    assert "real: i2c-1 by /dev/i2c-7<b> of the payload computer" in said
    assert "what was real is not repeated" in said
    found = json.loads((tmp_path / "run" / "run.json").read_text())
    assert found["repeatable"] is False
    assert found["boards"]["local"] == {"i2c-1": "/dev/i2c-7<b>"}
    assert found["counters"]["observed"]["records"] == 1
    report = (tmp_path / "run" / "report.html").read_text()
    assert "Real buses" in report
    assert "/dev/i2c-7&lt;b&gt;" in report
    assert "What was real is not repeated" in report


def test_a_run_without_own_buses_says_nothing_of_them(tmp_path: Path) -> None:
    """Where all is emulated neither counters nor report mention what was real."""
    asked = Options(transport="direct", inference="threshold", duration_s=2.0)
    with RunDirectory(tmp_path / "run").open() as directory:
        args = load_board(asked.board), load_mission(asked.mission)
        outcome = Session(asked, *args, directory, lambda view: None).run()
    assert outcome.repeatable
    found = json.loads((tmp_path / "run" / "run.json").read_text())
    assert "boards" not in found
    assert "observed" not in found["counters"]
    assert "Real buses" not in (tmp_path / "run" / "report.html").read_text()


def test_the_bench_of_tests_names_own_buses_as_real() -> None:
    """Its kind, which goes into captures and results of tests, has bus and device."""
    with Bench.open(BenchOptions(duration_s=5.0, inference="threshold", flight="none")) as bench:
        assert bench.kind == "emulated"
        participant = bench.emulation.exchange.join("stand-in")
        assert participant.claim({"i2c-1": "/dev/i2c-1", "can0": "can0"}) == ""
        assert bench.kind == "local: i2c-1=/dev/i2c-1, can0=can0"
        bench.emulation.exchange.leave(participant, "done")
