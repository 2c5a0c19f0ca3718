"""Foreign programs and libraries on our python-can interface: they decide what is right."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

can = pytest.importorskip("can", reason="python-can is not installed")

from hil.faces.python_can import HilBus  # noqa: E402

DBC = """
VERSION ""
NS_ :
BS_:
BU_: EPS OBC
BO_ 256 Battery: 8 EPS
 SG_ voltage : 0|16@1+ (0.001,0) [0|20] "V" OBC
 SG_ current : 16|16@1- (0.001,0) [-10|10] "A" OBC
 SG_ temperature : 39|10@0- (0.25,-20) [-148|107] "degC" OBC
BO_ 2566844672 Heartbeat: 2 EPS
 SG_ count : 7|12@0+ (1,0) [0|4095] "" OBC
 SG_ mode : 8|4@1+ (1,0) [0|15] "" OBC
"""


@pytest.fixture
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[HilBus, HilBus]]:
    """Give two nodes that know CAN FD on a bus of their own."""
    name = request.node.name
    one, two = HilBus(name, fd=True), HilBus(name, fd=True)
    yield one, two
    one.shutdown()
    two.shutdown()


def test_cantools_reads_what_cantools_has_sent(pair: tuple[HilBus, HilBus]) -> None:
    """Signals in both byte orders and frame formats come out as they went in."""
    cantools = pytest.importorskip("cantools", reason="cantools is not installed")
    database = cantools.database.load_string(DBC, "dbc")
    one, two = pair
    for nth in range(100):
        for name, signals in (
            (
                "Battery",
                {"voltage": 0.2 * nth, "current": 5 - 0.1 * nth, "temperature": nth - 20.0},
            ),
            ("Heartbeat", {"count": nth * 41, "mode": nth % 16}),
        ):
            about = database.get_message_by_name(name)
            octets = about.encode(signals)
            extended = about.is_extended_frame
            one.send(
                can.Message(arbitration_id=about.frame_id, is_extended_id=extended, data=octets)
            )
            heard = two.recv(0)
            found = database.decode_message(heard.arbitration_id, heard.data)
            assert heard.is_extended_id == extended
            assert found == pytest.approx(signals, abs=0.126)


def test_the_tester_of_cantools_talks_to_a_node(pair: tuple[HilBus, HilBus]) -> None:
    """Its notifier, its periodic messages and its filters work on our bus."""
    pytest.importorskip("cantools", reason="cantools is not installed")
    from cantools import database, tester

    one, two = pair
    known = database.load_string(DBC, "dbc")
    obc = tester.Tester("EPS", known, two)
    obc.start()
    eps = known.get_message_by_name("Heartbeat")
    one.send(can.Message(arbitration_id=eps.frame_id, data=eps.encode({"count": 7, "mode": 3})))
    assert obc.expect("Heartbeat", {"count": 7}, timeout=30)["mode"] == 3
    obc.stop()
    for notifier in can.Notifier.find_instances(two):  # which stop() leaves running
        notifier.stop()


@given(payload=st.binary(min_size=1, max_size=300))
def test_isotp_carries_messages_of_any_length(payload: bytes) -> None:
    """ISO 15765-2 by can-isotp: first, flow control and consecutive frames arrive in order."""
    isotp = pytest.importorskip("isotp", reason="can-isotp is not installed")
    with HilBus("isotp") as one, HilBus("isotp") as two:
        there = isotp.Address(isotp.AddressingMode.Normal_11bits, txid=0x700, rxid=0x701)
        back = isotp.Address(isotp.AddressingMode.Normal_11bits, txid=0x701, rxid=0x700)
        params = {"blocking_send": False, "wait_func": lambda seconds: None}
        sender = isotp.CanStack(one, address=there, params=params)
        receiver = isotp.CanStack(two, address=back, params=params)
        sender.send(payload)
        found = None
        for _ in range(1000):
            sender.process()
            receiver.process()
            if receiver.available():
                found = receiver.recv()
                break
        assert found == payload


@pytest.mark.parametrize("suffix", [".asc", ".blf", ".csv", ".db", ".log", ".trc"])
def test_the_logger_writes_what_the_player_plays(
    pair: tuple[HilBus, HilBus], suffix: str, tmp_path: Path
) -> None:
    """Frames that python-can's logger took from our bus come back from its files as they were."""
    one, two = pair
    sent = [
        can.Message(arbitration_id=nth, is_extended_id=bool(nth & 1), data=bytes(range(nth % 9)))
        for nth in range(1, 40)
    ]
    path = tmp_path / f"log{suffix}"
    with can.Logger(path) as log:
        for message in sent:
            one.send(message)
            log(two.recv(0))
    with can.LogReader(path) as reader:
        for message in can.MessageSync(reader, timestamps=False):
            one.send(message)
    played = [two.recv(0) for _ in sent]
    assert two.recv(0) is None
    for message, heard in zip(sent, played, strict=True):
        assert heard.equals(
            message, timestamp_delta=None, check_channel=False, check_direction=False
        )


#: A program that knows nothing of this project: python-can, and the name of its interface.
PROGRAM = """
import can, sys
with can.Bus(interface="hil", channel="can0") as bus:
    frames = [bus.recv(30) for _ in range(20)]
    for frame in frames:
        print(f"{frame.arbitration_id:03X}", frame.dlc, frame.is_rx, frame.is_error_frame)
"""


def below_hil_run(folder: Path, env: dict[str, str], *words: str) -> str:
    """Run Python with ``words`` on the bench of the default board; return what it printed."""
    ours = [sys.executable, "-m", "hil", "run", "--pace", "x20", "--out", str(folder / "run")]
    done = subprocess.run(
        [*ours, "--", sys.executable, *words], env=env, capture_output=True, text=True, cwd=folder
    )
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr
    return done.stdout


def test_a_program_on_the_bench_hears_the_board(
    tmp_path: Path, as_installed: dict[str, str]
) -> None:
    """Below `hil run` a python-can program hears the EPS of the Raspberry Pi board."""
    (tmp_path / "program.py").write_text(PROGRAM)
    printed = below_hil_run(tmp_path, as_installed, "program.py")
    lines = re.findall(r"^([0-9A-F]{3}) (\d) True False$", printed, re.M)
    assert len(lines) == 20
    assert all(int(length) <= 8 for _, length in lines)


def test_the_player_of_python_can_plays_on_the_bench(
    tmp_path: Path, as_installed: dict[str, str]
) -> None:
    """`can_player` puts the frames of a log file on the CAN bus of the board, each one of them."""
    lines = (f"({1 + 0.001 * nth:.6f}) can0 7{nth:02X}#{nth:02X}55 R" for nth in range(50))
    (tmp_path / "frames.log").write_text("\n".join(lines) + "\n")
    words = ("-m", "can.player", "-i", "hil", "-c", "can0", "frames.log")
    below_hil_run(tmp_path, as_installed, *words)
    counters = json.loads((tmp_path / "run" / "run.json").read_text())["counters"]
    assert counters["host.can"]["sent"] == 50
