"""Boards in flight: bound, swapped, unplugged, dying, coming back; what flight software sees."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from flightsw.codec.wire import Flag, Kind, Status
from hil.board import load_board
from hil.boards import control, emulators
from hil.boards.binding import taking_part
from hil.boards.desk import Boards
from hil.boards.session import State
from hil.errors import BoardError, ConfigError, UsageError
from hil.hosting import host_program, shim_path
from hil.missions import load as load_mission
from hil.options import Options
from hil.rig import Rig
from hil.session import fly
from tests.hil.boards.flying import LAB, Flown
from tests.hil.boards.test_two_minutes import board_with_lm75

OK, NAK = int(Status.OK), int(Status.NAK_ADDRESS)


@pytest.fixture
def flown(tmp_path: Path) -> Flown:
    return Flown(tmp_path, bind=("power_monitor=bench",))


def good_but_for_products(outcome: Any) -> bool:
    """Tell whether every condition holds but that a short flight brings no product down."""
    return all(c.good for c in outcome.verdict.conditions if c.name != "delivery")


def test_a_board_flies_in_the_place_of_a_part(flown: Flown) -> None:
    """Every transaction with the part is answered by the firmware, good, and marked so."""
    outcome = flown.fly()
    assert good_but_for_products(outcome), "\n".join(outcome.verdict.lines())
    rows = flown.power()
    assert len(rows) > 10
    assert {(status, by) for _, status, by in rows} == {(OK, True)}
    assert outcome.boards["real"] == ["power_monitor by bench:i2c0"]
    assert not outcome.repeatable
    run = json.loads((outcome.run_dir / "run.json").read_text())
    board = run["boards"]["boards"]["bench"]
    assert board["firmware"].startswith("hilwire-posix")
    assert board["round_trips"] >= len(rows)
    assert "BOARD_READY" in [event["name"] for event in flown.events()]
    page = (outcome.run_dir / "report.html").read_text()
    assert "Real boards" in page
    assert ">bench:i2c0<" in page


def test_a_part_is_swapped_in_flight_and_back(tmp_path: Path) -> None:
    """The flight software reads on, good throughout; the record tells who answered when."""
    flown = Flown(tmp_path)
    flown.at(1.5, lambda boards: boards.swap("power_monitor", "bench"))
    flown.at(3.0, lambda boards: boards.swap("power_monitor", "emulated"))
    outcome = flown.fly()
    assert good_but_for_products(outcome), "\n".join(outcome.verdict.lines())
    ready_s = next(e["t_s"] for e in flown.events() if e["name"] == "BOARD_READY")
    rows = flown.power()
    assert {by for t_s, _, by in rows if t_s < 1.5 or t_s > 3.01} == {False}
    assert {by for t_s, _, by in rows if ready_s < t_s < 2.9} == {True}
    assert {status for t_s, status, _ in rows if not 1.5 <= t_s <= ready_s} == {OK}
    moves = [(row["what"], row["by"]) for row in outcome.boards["history"]]
    assert moves == [("power_monitor", "bench:i2c0"), ("power_monitor", "emulated")]


def test_parts_on_two_buses_fly_behind_one_board(tmp_path: Path) -> None:
    """Flash on SPI and sensor on I2C of the same board: each is answered by it, and good."""
    flown = Flown(tmp_path, bind=("flash=bench", "imu=bench"), duration_s=2.0)
    assert good_but_for_products(flown.fly())
    rows = [r for r in flown.records() if r.kind == Kind.SPI]
    rows += [r for r in flown.records() if r.kind == Kind.I2C and r.address == 0x6A]
    assert {r.kind for r in rows} == {Kind.SPI, Kind.I2C}
    assert {(r.status, bool(r.flags & Flag.BOARD)) for r in rows} == {(OK, True)}


def test_a_whole_bus_is_swapped(tmp_path: Path) -> None:
    """All parts of a bus are the board's; the flight software knows nothing of it."""
    flown = Flown(tmp_path, bind=("i2c-1=bench",))
    assert good_but_for_products(flown.fly())
    i2c = [r for r in flown.records() if r.kind == Kind.I2C]
    assert len({r.address for r in i2c}) >= 4
    assert all(r.flags & Flag.BOARD for r in i2c)


def test_a_board_pulled_in_flight_is_a_part_that_does_not_answer(flown: Flown) -> None:
    """From the plug on the address is not acknowledged; replugged, the board answers again."""
    flown.at(1.2, lambda boards: boards.sources.unplug("bench"))
    flown.at(2.4, lambda boards: boards.sources.replug("bench"))
    outcome = flown.fly()
    assert good_but_for_products(outcome), "\n".join(outcome.verdict.lines())
    rows = flown.power()
    away = {(status, by) for t_s, status, by in rows if 1.3 < t_s < 2.4}
    assert away == {(NAK, False)}
    back_s = [e["t_s"] for e in flown.events() if e["name"] == "BOARD_READY"][1]
    assert {(status, by) for t_s, status, by in rows if t_s > back_s} == {(OK, True)}
    board = outcome.boards["boards"]["bench"]
    assert (board["losses"], board["reconnects"]) == (1, 1)
    assert 1.0 < board["away_s"] < 2.0
    assert "BOARD_LOST" in [event["name"] for event in flown.events()]


def test_a_board_that_dies_leaves_the_flight_alone(flown: Flown) -> None:
    """Its firmware is gone for good: the run ends on time, and the flight software was up."""
    flown.at(1.2, lambda boards: boards.sources.emulators["bench"].close())
    outcome = flown.fly()
    assert good_but_for_products(outcome), "\n".join(outcome.verdict.lines())
    assert {status for t_s, status, _ in flown.power() if t_s > 1.5} == {NAK}
    assert outcome.boards["boards"]["bench"]["state"] != "READY"
    assert outcome.virtual_s == 4.0


def on_qemu(tmp_path: Path, duration_s: float) -> Flown:
    """Return a flight with its LM75 behind QEMU, which can play nothing else."""
    if lack := emulators.missing("qemu"):
        pytest.skip(lack)
    lab = LAB.replace(
        'type = "posix"\nemulate = "posix"', 'type = "lm3s6965evb"\nemulate = "qemu"', 1
    )
    board = board_with_lm75(tmp_path)
    return Flown(tmp_path, lab, bind=("temp_board=bench",), duration_s=duration_s, board=board)


def test_an_emulation_that_dies_leaves_the_flight_alone(tmp_path: Path) -> None:
    """QEMU is killed: it can be told nothing of the world any more, and the run goes on."""
    flown = on_qemu(tmp_path, 2.5)

    def die(boards: Any) -> None:
        boards.sources.emulators["bench"]._machine._keeper.stdin.close()

    flown.at(1.0, die)
    assert good_but_for_products(flown.fly())
    assert [e["board"] for e in flown.events("BOARD_NUMB")] == ["bench"]


def test_a_swap_that_cannot_be_leaves_the_board_as_it_was(tmp_path: Path) -> None:
    """Asked for a part that it cannot have, an emulated board keeps those that it has."""
    flown = on_qemu(tmp_path, 3.0)

    def swap(boards: Any) -> None:
        with pytest.raises(BoardError, match="imu"):
            boards.swap("imu", "bench")

    flown.at(1.0, swap)
    assert good_but_for_products(flown.fly())
    ready_s = [e["t_s"] for e in flown.events() if e["name"] == "BOARD_READY"][-1]
    rows = [r for r in flown.records() if r.kind == Kind.I2C and r.address == 0x48]
    late = [r for r in rows if r.t_ns > ready_s * 1e9]
    assert late
    assert {(r.status, bool(r.flags & Flag.BOARD)) for r in late} == {(OK, True)}


@pytest.mark.parametrize("kind", ["posix", "uno"])
def test_the_port_of_an_emulation_that_died_is_left_alone(tmp_path: Path, kind: str) -> None:
    """Its tty may be anybody's by now: it is not opened again, nor its board told to be there."""
    lab = LAB.replace('type = "posix"', f'type = "{kind}"', 1)
    flown = Flown(tmp_path, lab, bind=("power_monitor=bench",))

    def die(boards: Any) -> None:
        one = boards.sources.emulators["bench"]
        (one._board if one.cable is None else one._machine._board).process.kill()

    flown.at(1.2, die)
    flown.fly()
    names = [e["name"] for e in flown.events() if e["name"] in ("BOARD_OPENING", "BOARD_READY")]
    assert names == ["BOARD_OPENING", "BOARD_READY"]
    assert flown.power()[-1][1:] == (NAK, False)


def test_a_board_that_restarts_in_flight_is_greeted_anew(flown: Flown) -> None:
    """After a reset of the board its bus is set up again, and it answers again by itself."""
    flown.at(1.2, lambda boards: boards.sources.emulators["bench"].reset("brown-out"))
    outcome = flown.fly()
    assert good_but_for_products(outcome)
    assert {status for t_s, status, _ in flown.power() if t_s > 2.0} == {OK}
    assert outcome.boards["boards"]["bench"]["reset_cause"] == "BROWN_OUT"


def test_a_board_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    """With a wait the start ends with the board, its state and what to do; no run is left."""
    lab = LAB.replace('emulate = "posix"', 'usb_serial = "NOT-THERE"', 1)
    flown = Flown(tmp_path, lab, bind=("power_monitor=bench",), boards_wait_s=0.2)
    with pytest.raises(BoardError, match=r"bench: ABSENT.*power_monitor.*--boards-wait 0"):
        flown.fly()
    assert not list(tmp_path.glob("run*"))


def test_a_start_says_why_a_board_was_refused(tmp_path: Path) -> None:
    """The reason of the last refusal is told while the port is tried again; READY ends it."""
    (tmp_path / "lab.toml").write_text(LAB.replace('emulate = "posix"', 'device = "none"', 1))
    options = Options(pace="real", lab=tmp_path / "lab.toml", bind=("imu=bench",))
    board = load_board(options.board)
    taking = taking_part(options, board)
    assert taking is not None
    rig = Rig(board, load_mission(options.mission), seed=1)
    boards = Boards(rig, taking[0], lambda: 0, lambda source, act: act(0))
    boards.open(taking[1], 0.0)
    session = boards.stations["bench"].session
    for state, why in ((State.REFUSED, "it is busy"), (State.SYNCING, "HELLO is out")):
        session._change(state, why)
        with pytest.raises(BoardError, match=r"bench: REFUSED: it is busy; it is to be imu"):
            boards.open((), 1e-10)
    session._change(State.READY, "there")
    session._change(State.LOST, "it has gone")
    with pytest.raises(BoardError, match=r"bench: LOST: it has gone; it is to be imu"):
        boards.open((), 1e-10)
    boards.close()


def test_a_start_without_its_board_flies_with_the_part_absent(tmp_path: Path) -> None:
    """With --boards-wait 0 the part is not acknowledged until the board comes."""
    lab = LAB.replace('emulate = "posix"', 'usb_serial = "NOT-THERE"', 1)
    flown = Flown(tmp_path, lab, bind=("power_monitor=bench",), boards_wait_s=0.0)
    flown.options.__dict__.update(duration_s=1.5)
    flown.fly()
    assert {(status, by) for _, status, by in flown.power()} == {(NAK, False)}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("power_monitr=bench",), "did you mean 'power_monitor'"),
        (("power_monitor=bensh",), "did you mean 'bench'"),
        (("power_monitor=bench:spi0",), "of kind i2c; bench:spi0 is spi"),
        (("imager=bench",), "no board can stand in on a bus of kind frames"),
        (("power_monitor",), "PART=INSTANCE"),
        (("power_monitor=bench", "i2c-1=other"), "all of which is bound"),
    ],
)
def test_what_cannot_be_bound_is_said_before_anything_starts(
    tmp_path: Path, asked: tuple[str, ...], words: str
) -> None:
    """Each mistake is one line with the object and the nearest that would do."""
    (tmp_path / "lab.toml").write_text(LAB)
    options = Options(pace="real", lab=tmp_path / "lab.toml", bind=asked, out=tmp_path / "run")
    with pytest.raises((UsageError, ConfigError), match=words):
        fly(options)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("pace", ["max", "x10"])
def test_boards_need_the_pace_of_the_wall(tmp_path: Path, pace: str) -> None:
    """At another pace a binding is refused, and the message says which pace it needs."""
    (tmp_path / "lab.toml").write_text(LAB)
    options = Options(pace=pace, lab=tmp_path / "lab.toml", bind=("imu=bench",))
    with pytest.raises(UsageError, match="--pace real"):
        fly(options)


def test_a_board_file_may_name_its_board(tmp_path: Path) -> None:
    """``board = "bench"`` of a part in the board file is all that it takes."""
    text = Path("boards/raspberrypi4.toml").read_text()
    text = text.replace('type = "ina3221"\n', 'type = "ina3221"\nboard = "bench:i2c0"\n')
    (tmp_path / "mine.toml").write_text(text)
    flown = Flown(tmp_path, board=str(tmp_path / "mine.toml"), duration_s=1.5)
    assert flown.fly().boards["real"] == ["power_monitor by bench:i2c0"]


# --- from outside -----------------------------------------------------------------------------


def test_a_run_is_spoken_to_while_it_flies(tmp_path: Path) -> None:
    """Swap and shadow by way of the run's socket; what cannot be is answered in words."""
    replies: list[Any] = []
    code = (
        "import json, sys, time\n"
        "from pathlib import Path\n"
        "from hil.boards import control\n"
        "from hil.errors import UsageError\n"
        "run = Path(sys.argv[1])\n"
        "for act in (lambda: control.swap('power_monitr', 'bench', run),\n"
        "            lambda: control.swap('power_monitor', 'bench', run),\n"
        "            lambda: control.shadow('imu', 'other', run=run),\n"
        "            lambda: control.swap('power_monitor', 'emulated', run)):\n"
        "    try: print(json.dumps(act()), flush=True)\n"
        "    except UsageError as error: print(json.dumps(str(error)), flush=True)\n"
    )
    import subprocess

    started: list[subprocess.Popen[str]] = []
    flown = Flown(tmp_path)
    words = [sys.executable, "-c", code, str(tmp_path / "run")]
    flown.at(
        1.0,
        lambda boards: started.append(subprocess.Popen(words, stdout=subprocess.PIPE, text=True)),
    )
    outcome = flown.fly()
    output, _ = started[0].communicate(timeout=30)
    replies = [json.loads(line) for line in output.splitlines()]
    assert "did you mean 'power_monitor'" in replies[0]
    assert replies[1]["bound"] == {"power_monitor": "bench:i2c0"}
    assert replies[2]["shadow"] == ["imu"]
    assert replies[3]["bound"] == {"imu": "other:i2c0"}
    assert [row["by"] for row in outcome.boards["history"]] == [
        "bench:i2c0",
        "other:i2c0",
        "emulated",
    ]
    assert not (outcome.run_dir / control.NAME).exists()


def test_nobody_listens_where_no_run_flies(tmp_path: Path) -> None:
    """Without a run, and with one that has ended, the message says which runs can be spoken to."""
    with pytest.raises(UsageError, match="--pace real"):
        control.find_run(None, tmp_path)
    with pytest.raises(UsageError, match=r"--run"):
        control.find_run(tmp_path / "gone")


# --- programs ---------------------------------------------------------------------------------

READER = """
import smbus2, sys
bus = smbus2.SMBus(1)
print(hex(bus.read_word_data(0x40, 0xFE)))
"""


@pytest.fixture
def shim() -> Path:
    try:
        return shim_path()
    except Exception as error:  # noqa: BLE001
        pytest.skip(str(error))


def hosted(tmp_path: Path, lab: str, wait_s: float, program: str) -> Any:
    (tmp_path / "lab.toml").write_text(lab)
    options = Options(
        pace="real",
        lab=tmp_path / "lab.toml",
        bind=("power_monitor=bench",),
        boards_wait_s=wait_s,
        out=tmp_path / "run",
        duration_s=60.0,
    )
    return host_program(options, [sys.executable, "-c", program])


def test_a_program_reads_a_board_as_it_reads_a_part(
    tmp_path: Path, shim: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """An unmodified program on smbus2 reads the manufacturer's number from behind the firmware."""
    pytest.importorskip("smbus2")
    ended = hosted(tmp_path, LAB, 10.0, READER)
    assert (ended.code, capfd.readouterr().out) == (0, "0x4954\n")
    assert ended.boards["boards"]["bench"]["counters"]["transactions"] == 1


def test_a_program_gets_the_errno_of_the_adapter_while_a_board_is_away(
    tmp_path: Path, shim: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """EREMOTEIO, as the driver of the Pi's controller has it, as with no chip at the address."""
    pytest.importorskip("smbus2")
    lab = LAB.replace('emulate = "posix"', 'usb_serial = "NOT-THERE"', 1)
    ended = hosted(tmp_path, lab, 0.0, READER)
    assert ended.code == 1
    assert "[Errno 121] Remote I/O error" in capfd.readouterr().err
