"""The flight software alone, answered from the record of its run, does what it did."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from hil.board import load_board
from hil.capture.reader import Capture
from hil.cli import main
from hil.faults.swarm import places, swarm
from hil.missions import load
from hil.options import Options
from hil.replay.flown import flown
from hil.replay.mocking.mode import replay
from hil.replay.outcome import MOCK, Replayed, ReplayOptions
from hil.rig import Rig
from hil.session import fly

DURATION_S = 60.0
BOARDS = ("raspberrypi4", "raspberrypi5", "jetson_orin_nano", "jetson_agx_orin")


def storm(board: str, seed: int) -> tuple[str, ...]:
    """Return sixty random faults, and a kill."""
    rig = Rig(load_board(board), load("tiansuan_bupt1"), seed=1, duration_s=60, flight=False)
    rows = swarm(seed, 60, DURATION_S, places(rig.wiring))
    told = ("".join(f",{key}={value}" for key, value in row.values.items()) for row in rows)
    named = (f"{row.on}:{row.kind}" for row in rows)
    return (*(a + b for a, b in zip(named, told, strict=True)), f"kill@{10 + seed}")


def mocked(run: Path, transport: str = "direct", until: int | None = None) -> Replayed:
    """Replay a run in mock."""
    with flown(run) as recorded:
        options = ReplayOptions(mode=MOCK, transport=transport, until=until)
        return replay(recorded, options, print)


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
@pytest.mark.parametrize("board", BOARDS)
def test_what_flew_through_faults_flies_again_without_a_world(
    tmp_path: Path, board: str, seed: int
) -> None:
    """On every board a run with random faults of all buses and a kill is answered identically."""
    faults = storm(board, seed)
    options = Options(
        board=board,
        out=tmp_path / "run",
        duration_s=DURATION_S,
        transport="direct",
        seed=seed,
        faults=faults,
        inference="threshold",
    )
    run = fly(options).run_dir
    replayed = mocked(run)
    assert replayed.verdict.identical, "\n".join(replayed.lines())
    assert replayed.figures["answered"] >= 10
    assert "improvised" not in replayed.figures


@pytest.mark.parametrize(
    ("recorded", "again"), [("ipc", "direct"), ("direct", "seqpacket"), ("seqpacket", "inproc")]
)
def test_transports_do_not_matter(tmp_path: Path, recorded: str, again: str) -> None:
    """A run over one transport is answered identically over another, through a kill and a boot."""
    faults = ("kill@20", "i2c-1:nak_address,address=0x40,first=50,last=90")
    options = Options(
        out=tmp_path / "run",
        duration_s=180.0,
        transport=recorded,
        faults=faults,
        inference="threshold",
    )
    replayed = mocked(fly(options).run_dir, again)
    assert replayed.verdict.identical, "\n".join(replayed.lines())


def test_flight_software_in_its_place_is_answered(tmp_path: Path) -> None:
    """Whatever speaks the time protocol is started with the endpoint of the mock, and compared."""
    run = fly(Options(out=tmp_path / "run", duration_s=60.0, faults=("kill@20",))).run_dir
    words = (sys.executable, "-m", "flightsw", "--bench", "{endpoint}")
    program = (*words, "--storage", "{storage}", "--name", "mine")
    with flown(run) as recorded:
        replayed = replay(recorded, ReplayOptions(mode=MOCK, program=program), print)
    assert replayed.verdict.identical, "\n".join(replayed.lines())


def test_a_sleeper_in_its_place_is_missed(tmp_path: Path) -> None:
    """A program that asks for nothing ends with the run, and all that was asked is missing."""
    run = fly(Options(out=tmp_path / "run", duration_s=20.0, transport="direct")).run_dir
    sleeper = tmp_path / "sleeper.py"
    sleeper.write_text(
        "import sys\n"
        "from flightsw.errors import Shutdown\n"
        "from flightsw.hal.channel import connect\n"
        "with connect(sys.argv[1], name='mine') as hal:\n"
        "    try:\n"
        "        hal.clock.sleep_until(10**18)\n"
        "    except Shutdown:\n"
        "        pass\n"
    )
    program = (sys.executable, str(sleeper), "{endpoint}")
    with flown(run) as recorded:
        replayed = replay(recorded, ReplayOptions(mode=MOCK, program=program), print)
    assert not replayed.verdict.identical
    counts = replayed.verdict.as_json()["counts"]
    assert counts["/bus/i2c-1"]["missing"] == counts["/bus/i2c-1"]["recorded"] > 0


def test_the_short_way_diverges_as_the_long_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Called directly or over a socket, other flight software gets the same verdict."""
    run = fly(Options(out=tmp_path / "run", duration_s=60.0, transport="direct")).run_dir
    monkeypatch.setattr("flightsw.drivers.ina3221._CONFIGURATION_WORD", 0x7227)
    monkeypatch.setattr("flightsw.drivers.w25q._PROGRAM_STEP_NS", 450_000)
    one, other = mocked(run), mocked(run, "inproc")
    assert not one.verdict.identical
    assert one.verdict.as_json() == other.verdict.as_json()
    assert one.figures == other.figures


def test_what_a_mock_cannot_do_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Beginning in a world that is not there ends in one line, and nothing flies."""
    run = fly(Options(out=tmp_path / "run", duration_s=5.0, transport="direct")).run_dir
    for words in (["--from", "5"], ["--pace", "x3"]):
        assert main(["replay", str(run), "--mode", "mock", "-q", *words]) == 2
        assert capsys.readouterr().err.startswith(f"hil replay: {words[0]}")


def test_the_new_run_is_kept(tmp_path: Path) -> None:
    """With --out what was done is a capture of its own, and the same as was recorded."""
    run = fly(Options(out=tmp_path / "run", duration_s=20.0, transport="direct")).run_dir
    out = tmp_path / "again"
    assert main(["replay", str(run), "--mode", "mock", "-q", "--out", str(out)]) == 0
    with Capture(run / "capture.mcap") as one, Capture(out / "capture.mcap") as other:
        topics = ["/bus/i2c-1", "/bus/spi-0", "/load"]
        found = [t for t in topics if t in {c.topic for c in other.channels.values()}]
        assert "/bus/i2c-1" in found
        assert list(one.records(found)) == list(other.records(found))


def test_a_part_of_a_run_is_compared_as_far_as_asked(tmp_path: Path) -> None:
    """Up to a record number nothing is missing behind it, and what was made before is the same."""
    run = fly(Options(out=tmp_path / "run", duration_s=30.0, transport="direct")).run_dir
    whole, part = mocked(run), mocked(run, until=400)
    assert whole.verdict.identical
    assert part.verdict.identical, "\n".join(part.lines())
    assert 0 < part.figures["answered"] < whole.figures["answered"]


def test_the_command_says_what_it_came_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`hil replay RUN --mode mock --json` ends in the verdict and its figures, exit code 0."""
    run = fly(Options(out=tmp_path / "run", duration_s=30.0, transport="direct")).run_dir
    assert main(["replay", str(run), "--mode", "mock", "--json", "-q"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["mode"] == "mock"
    assert told["identical"]
    assert told["figures"]["answered"] > 100
