"""One run: its options, what it leaves behind, and what ends it before its time."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from flightsw.codec.wire import FIRST_DIGEST_KIND, Kind, unpack_all
from hil import __version__
from hil.board import find_board, load_board
from hil.cli.run import options, parser, summary
from hil.errors import ConfigError, HostError, UsageError
from hil.missions import load as load_mission
from hil.missions.loader import FOLDER
from hil.options import TRANSPORTS, Options
from hil.rundir import RunDirectory
from hil.session import Session, fly

SHORT = Options(transport="direct", inference="threshold", duration_s=20.0)
PROFILE = (FOLDER / "tiansuan_bupt1.toml").read_text()


@pytest.mark.parametrize("duration_s", [None, 20.0, 5650.123456789, 863_999.999])
def test_the_command_of_a_run_flies_the_same_run(duration_s):
    """Parsing the printed command gives the options back, to the last digit."""
    asked = replace(SHORT, seed=7, duration_s=duration_s, faults=("kill@10", "kill@12.25"))
    words = shlex.split(asked.command())
    assert words[:2] == ["hil", "run"]
    parsed: argparse.Namespace = parser().parse_args(words[2:])
    assert options(parsed) == asked


def test_the_command_of_a_run_holds_only_what_was_asked():
    """An option that keeps its default is not printed, one that does not is, --no-pin too."""
    assert Options().command() == "hil run --seed 1"
    asked = Options(pin=False, stall_limit_s=5.0)
    assert options(parser().parse_args(shlex.split(asked.command())[2:])) == asked


@pytest.mark.parametrize("transport", ["direct", "inproc", "seqpacket"])
def test_the_object_of_a_run_is_for_machines(transport, tmp_path):
    """It says what flew, holds numbers, and its keys are plain names without blanks."""
    outcome = fly(replace(SHORT, transport=transport, seed=3, out=tmp_path / "run"))
    found = outcome.as_json()
    flown = ("seed", "mission", "board", "version", "transport")
    assert tuple(found[key] for key in flown) == (
        *(3, "tiansuan_bupt1", "raspberrypi4", __version__, transport),
    )
    times = found["where_time_goes_s"]
    assert all(key == key.strip() and " " not in key for key in times)
    assert ("flight_software" in times) is (transport == "seqpacket")
    battery = next(c for c in found["conditions"] if c["name"] == "battery")
    assert battery["limit_value"] == 13.0
    assert battery["unit"] == "V"
    assert 12.3 < battery["value"] < 16.5


def test_a_run_that_was_stopped_from_outside_does_not_promise_its_digest(tmp_path):
    """What a person did with a signal stands in no command, and summary says so."""
    outcome = fly(replace(SHORT, out=tmp_path / "run"))
    assert outcome.repeatable
    assert "digest will differ" not in summary(outcome)
    assert "digest will differ" in summary(replace(outcome, repeatable=False))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_run_leaves_no_key_and_no_lock_behind(transport, tmp_path):
    """Whoever is given a run directory finds the files of the manual in it, and nothing else."""
    outcome = fly(replace(SHORT, transport=transport, out=tmp_path / "run"))
    names = {path.name for path in outcome.run_dir.iterdir()}
    whole = {"run.json", "capture.mcap", "events.jsonl", "report.html", "telemetry.pkts", "payload"}
    assert names == whole


def test_a_fault_after_the_end_is_refused(tmp_path):
    """A fault that could never take effect is an error, not a run that looks as if it had."""
    with pytest.raises(UsageError, match="the run ends at 20 s"):
        fly(replace(SHORT, faults=("kill@20.5",), out=tmp_path / "run"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("t_s", ["0", "0.001", "19.99", "20"])
def test_a_kill_at_any_time_is_the_same_on_each_transport(t_s, tmp_path):
    """Also while the software starts, and in the last instant, a kill ends no run."""
    killed = replace(SHORT, faults=(f"kill@{t_s}",))
    here = fly(replace(killed, out=tmp_path / "direct"))
    there = fly(replace(killed, transport="seqpacket", out=tmp_path / "seqpacket"))
    assert here.digest == there.digest


@pytest.mark.parametrize("transport", ["direct", "inproc", "ipc"])
@pytest.mark.parametrize("what", ["board", "mission"])
def test_what_the_flight_software_cannot_use_ends_the_run_at_once(transport, what, tmp_path):
    """A device table or configuration that it refuses is a usage error, not a row of crashes."""
    path = tmp_path / f"{what}.toml"
    if what == "board":
        path.write_text(
            find_board("raspberrypi4").read_text().replace('"tmp117"\nw', '"tmp118"\nw')
        )
    else:
        path.write_text(PROFILE + "\nnonesuch = 3\n")
    wrong = replace(SHORT, **{what: str(path), "transport": transport, "out": tmp_path / "run"})
    with pytest.raises(Exception, match=r"cannot use this|nonesuch|tmp118") as raised:
        fly(wrong)
    assert raised.value.exit_code == ConfigError.exit_code
    assert [left.name for left in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("transport", ["direct", "seqpacket"])
def test_a_brown_out_while_the_software_starts_ends_no_run(transport, tmp_path):
    """A computer that has no supply from the start is a bad verdict, not a traceback."""
    high = PROFILE.replace("brown_out = { value = 12.3", "brown_out = { value = 16")
    high = high.replace("recovery = { value = 13.0", "recovery = { value = 16.2")
    assert "{ value = 16," in high
    assert "{ value = 16.2," in high
    path = tmp_path / "mission.toml"
    path.write_text(high)
    outcome = fly(replace(SHORT, mission=str(path), transport=transport, out=tmp_path / "run"))
    failed = {c.name: c.figure for c in outcome.verdict.conditions if not c.good}
    assert failed["no brown-out"] == "1 brown-out"
    restarts = next(c for c in outcome.verdict.conditions if c.name == "restarts")
    assert restarts.figure == "0 restarts, 1 stopped: supply, down for the last 20 s"


def without(part, tmp_path):
    """Write the default board without one of its parts; return its path."""
    tables = re.split(r"(?m)^(?=\[)", find_board("raspberrypi4").read_text())
    kept = [t for t in tables if not t.startswith((f"[part.{part}]", f"[part.{part}."))]
    assert len(kept) < len(tables)
    path = tmp_path / "board.toml"
    path.write_text("".join(kept))
    return str(path)


@pytest.mark.parametrize(("board", "back"), [("raspberrypi4", True), ("no watchdog", False)])
def test_a_computer_that_nothing_brings_back_is_a_bad_verdict(board, back, tmp_path):
    """After a kill that is not its fault it must fly again in the time that a restart takes."""
    if not back:
        board = without("watchdog", tmp_path)
    killed = replace(SHORT, board=board, duration_s=160.0, faults=("kill@40",))
    outcome = fly(replace(killed, out=tmp_path / "run"))
    restarts = next(c for c in outcome.verdict.conditions if c.name == "restarts")
    assert restarts.good is back
    assert restarts.figure.endswith("stopped: injected" if back else "down for the last 120 s")


@pytest.mark.parametrize("missing", ["ttc", "imager", "gnss", "watchdog", "eps", "flash"])
def test_a_board_without_a_part_flies_all_the_same(missing, tmp_path):
    """No part is indispensable to bench or flight software; the verdict says what it comes to."""
    board = without(missing, tmp_path)
    outcome = fly(replace(SHORT, board=board, duration_s=160.0, out=tmp_path / "run"))
    restarts = next(c for c in outcome.verdict.conditions if c.name == "restarts")
    assert restarts.figure == "0 restarts"


def test_a_board_with_an_lm75_is_flown_as_one_with_a_tmp117(tmp_path):
    """Either part in the place of the board's thermometer is read, believed and never lost."""
    text = find_board("raspberrypi4").read_text()
    head, tail = text.split("[part.temp_board]")
    path = tmp_path / "board.toml"
    path.write_text(head + "[part.temp_board]" + tail.replace("tmp117", "lm75", 2))
    names = []
    for board, folder in (("raspberrypi4", "tmp117"), (str(path), "lm75")):
        outcome = fly(replace(SHORT, board=board, duration_s=160.0, out=tmp_path / folder))
        events = (outcome.run_dir / "events.jsonl").read_text().splitlines()
        names.append([json.loads(event)["name"] for event in events])
    assert "BOOT" in names[1]
    assert names[0] == names[1]


def test_a_camera_that_cannot_be_is_refused(tmp_path):
    """A footprint wider than the horizon is one line, before anything is written."""
    wide = PROFILE.replace("footprint = { value = 512,", "footprint = { value = 9900,")
    low = wide.replace("15.29378720 12017", "16.29378720 12018")
    path = tmp_path / "mission.toml"
    path.write_text(low)
    with pytest.raises(ConfigError, match="footprint: camera of 512x512"):
        fly(replace(SHORT, mission=str(path), out=tmp_path / "run"))
    assert [left.name for left in tmp_path.iterdir()] == ["mission.toml"]


@pytest.mark.parametrize("transport", ["ipc", "inproc", "direct"])
def test_a_host_without_the_network_runtime_ends_the_run_at_once(transport, tmp_path, monkeypatch):
    """A missing package is the exit code of an unfit host, not a verdict on the software."""
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "onnxruntime.py").write_text("raise ImportError('not here')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"), prepend=os.pathsep)
    monkeypatch.syspath_prepend(tmp_path / "path")
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    wanting = replace(SHORT, transport=transport, inference="onnx", out=tmp_path / "run")
    with pytest.raises(Exception, match=r"cannot use this host|onnxruntime") as raised:
        fly(wanting)
    assert raised.value.exit_code == HostError.exit_code
    assert [left.name for left in tmp_path.iterdir()] == ["path"]


@pytest.mark.parametrize("error", [AssertionError("too large"), MemoryError(), OSError(28, "full")])
def test_a_report_that_fails_leaves_the_run(error, tmp_path, monkeypatch):
    """A flight that is over keeps capture and verdict, whatever becomes of its picture book."""

    def fail(path, data):
        path.write_text("half a page")
        raise error

    monkeypatch.setattr("hil.session.write_report", fail)
    outcome = fly(replace(SHORT, out=tmp_path / "run"))
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"run.json", "capture.mcap", "events.jsonl"} <= names
    assert "report.html" not in names
    told = [line for line in summary(outcome).splitlines() if line.startswith("report ")]
    assert len(told) == 1
    assert f"report could not be written ({type(error).__name__}" in told[0]


def test_in_a_paced_run_every_record_is_in_the_capture_each_second(tmp_path):
    """Who looks at the capture of a run in real time finds it at most a second behind."""
    given = 0
    behind = []

    class Counted(Session):
        """Counts the digest records that the capture was given."""

        def _sink(self, octets):
            nonlocal given
            kinds = [record.kind for record in unpack_all(octets)]
            given += sum(kind >= FIRST_DIGEST_KIND and kind != Kind.WORLD for kind in kinds)
            super()._sink(octets)

    def note(_):
        behind.append(session.rig.stream.count - given)

    asked = replace(SHORT, pace="x1000")
    board, mission = load_board(asked.board), load_mission(asked.mission)
    with RunDirectory(tmp_path / "run") as directory:
        session = Counted(asked, board, mission, directory, note)
        outcome = session.run()
    assert behind == [0] * 21
    assert outcome.records == given > 500


def test_roles_that_the_board_leaves_open_are_told(tmp_path):
    """A board without a part for a role flies, and the outcome and its text name the role."""
    text = (Path(__file__).resolve().parents[2] / "boards" / "raspberrypi4.toml").read_text()
    before, _, rest = text.partition("[part.imu]")
    path = tmp_path / "no_imu.toml"
    path.write_text(before + rest[rest.index("# --- SPI-0") :])
    options = Options(
        board=str(path),
        transport="direct",
        inference="threshold",
        duration_s=20.0,
        out=tmp_path / "run",
    )
    outcome = fly(options)
    assert outcome.missing_roles == ("imu",)
    assert "no part for: imu" in summary(outcome)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["missing_roles"] == ["imu"]
