"""Recorded stimulus, played into flight software, programs and the ground."""

from __future__ import annotations

import json
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from flightsw.codec.wire import Flag, Kind, pack
from hil.capture.reader import Capture
from hil.capture.writer import CaptureWriter
from hil.cli import main
from hil.options import Options
from hil.replay.flown import flown
from hil.replay.outcome import PLAY, ReplayOptions
from hil.replay.playing.judge import EARLY
from hil.replay.playing.mode import replay
from hil.session import fly

SECOND = 1_000_000_000
INPUT = int(Flag.INPUT)

#: reads a tty until so many octets have come; then one line of what came
TTY = """
import os, select, sys, tty, zlib
fd = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
tty.setraw(fd)
seen = b""
while len(seen) < int(sys.argv[2]) and select.select([fd], [], [], 20)[0]:
    seen += os.read(fd, 4096)
print(len(seen), zlib.crc32(seen), file=open(sys.argv[3], "w"))
"""

#: says something on a tty, then reads it
ASKS = TTY.replace("seen = b", "os.write(fd, sys.argv[4].encode())\nseen = b")

#: hears so many frames of a CAN bus
CAN = """
import sys, zlib, can
check = count = 0
with can.Bus(interface="hil", channel="can0") as bus:
    while count < int(sys.argv[1]) and (frame := bus.recv(20)) is not None:
        octets = frame.arbitration_id.to_bytes(4, "big") + bytes(frame.data)
        check, count = zlib.crc32(octets, check), count + 1
print(count, check, file=open(sys.argv[2], "w"))
"""

#: sees so many edges of line 4
GPIO = """
import sys, gpiod
from gpiod.line import Edge
asked = {4: gpiod.LineSettings(edge_detection=Edge.BOTH)}
rising, count = [], 0
with gpiod.request_lines("/dev/gpiochip0", config=asked) as lines:
    while count < int(sys.argv[1]) and lines.wait_edge_events(20):
        events = lines.read_edge_events(int(sys.argv[1]) - count)
        rising += [event.event_type is event.Type.RISING_EDGE for event in events]
        count += len(events)
print(count, "".join(map(str, map(int, rising))), file=open(sys.argv[2], "w"))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flight long enough for the first pass over a station."""
    out = tmp_path_factory.mktemp("runs") / "flight"
    return fly(Options(out=out, duration_s=420.0, transport="direct")).run_dir


def recorded(path: Path, records: list[bytes], names: dict[int, str]) -> Path:
    """Write an import by hand."""
    with CaptureWriter(path, 0, names, {"imported": '["x"]', "forms": '["x"]'}) as writer:
        writer.write(b"".join(records))
    return path


def serial(path: Path, count: int, step_ns: int) -> tuple[Path, str]:
    """Write a capture of octets on a serial line, and what a reader is to see of them."""
    octets = [bytes([i & 0xFF, i >> 8]) for i in range(count)]
    records = [
        pack(Kind.UART, 3, INPUT, 0, i * step_ns, 0, i, 0, one) for i, one in enumerate(octets)
    ]
    whole = b"".join(octets)
    return recorded(path, records, {3: "ttyAMA1"}), f"{len(whole)} {zlib.crc32(whole)}\n"


def played(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """Play by the command; return what it says as JSON."""
    assert main(["replay", *words[: words.index("--")], "--json", *words[words.index("--") :]]) == 0
    out = capsys.readouterr()
    found: dict[str, Any] = json.loads(out.out)
    found["told"] = out.err
    return found


def test_whose_lateness_is_not_counted_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Records that were due while the flight software was being loaded have no lateness; where
    that is all of them there is none, and both is said."""
    capture, _ = serial(tmp_path / "line.mcap", 200, SECOND // 5000)
    assert main(["replay", str(capture), "--pace", "real", "--json", "-q"]) == 0
    out = capsys.readouterr()
    found = json.loads(out.out)
    assert found["verdict"]["delivered"] == {"/bus/ttyAMA1": 200}
    assert "lateness_us" not in found["figures"]
    assert [note[:55] for note in found["notes"]] == [
        "200 records were due before the flight software was up, "[:55]
    ]


# --- into a program ---------------------------------------------------------------------------


def test_what_comes_behind_the_end_of_a_program_is_not_lost_by_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """While what it wrote last leaves the line, nothing more is played to a program that is gone:
    what it did not stay for is one count. The end of a program is seen a moment after it."""
    capture, _ = serial(tmp_path / "line.mcap", 100, SECOND // 100)
    script = (
        "import os, tty; fd = os.open('/dev/ttyAMA1', os.O_RDWR | os.O_NOCTTY); tty.setraw(fd);"
        "os.read(fd, 2); os.write(fd, bytes(4000)); os._exit(0)"
    )
    words = ["--pace", "real", "--json", "-q", "--", sys.executable, "-c", script]
    assert main(["replay", str(capture), *words]) == 1
    verdict = json.loads(capsys.readouterr().out)["verdict"]
    assert verdict["delivered"]["/bus/ttyAMA1"] + verdict["lost"].pop(EARLY) == 100
    assert sum(verdict["lost"].values()) < 20  # octets: it takes 347 ms, or 70 of them, to leave


@pytest.mark.parametrize("pace", ["real", "max"])
def test_a_program_reads_a_serial_line(
    tmp_path: Path, pace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """5,000 records a second reach a program that has the tty open, in order and none lost; how
    late they were is printed, where there is a wall to be late by."""
    capture, wanted = serial(tmp_path / "line.mcap", 5000, SECOND // 5000)
    seen = tmp_path / "seen"
    program = ("--", sys.executable, "-c", TTY, "/dev/ttyAMA1", "10000", str(seen))
    found = played(capsys, str(capture), "--pace", pace, *program)
    assert seen.read_text() == wanted
    assert found["identical"]
    assert found["verdict"]["delivered"] == {"/bus/ttyAMA1": 5000}
    assert found["verdict"]["lost"] == {}
    assert "silenced: gnss on ttyAMA1" in found["told"]
    if pace == "real":
        late = found["figures"]["lateness_us"]
        assert late["records"] == 5000
        assert set(late) == {"p50", "p99", "p99.9", "worst", "overruns", "records"}
        assert "lateness_us: p50" in found["told"]
    else:
        assert "lateness_us" not in found["figures"]


def test_a_program_hears_can_frames(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Frames of an imported log reach python-can, in order, FD and extended ones with their flags;
    the emulated node on the bus is not heard."""
    pytest.importorskip("can", reason="python-can is not installed")
    log, check = tmp_path / "bus.log", 0
    lines = []
    for i in range(500):
        number, data = (i * 7919) & 0x1FFFFFFF, bytes([i & 0xFF] * (i % 9))
        lines.append(f"(1000.{i:06}) can0 {number:08X}#{data.hex()}\n")
        check = zlib.crc32(number.to_bytes(4, "big") + data, check)
    log.write_text("".join(lines))
    capture, seen = tmp_path / "bus.mcap", tmp_path / "seen"
    assert main(["import", str(log), "--out", str(capture), "-q"]) == 0
    capsys.readouterr()
    program = ("--", sys.executable, "-c", CAN, "500", str(seen))
    found = played(capsys, str(capture), "--pace", "max", *program)
    assert seen.read_text() == f"500 {check}\n"
    assert found["verdict"]["delivered"] == {"/bus/can0": 500}


def test_a_program_sees_edges(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Edges of a recorded line reach libgpiod, each with its direction."""
    pytest.importorskip("gpiod", reason="libgpiod's Python bindings are not installed")
    records = [
        pack(Kind.GPIO, 0, INPUT, 0, i * 200_000, 0, i, 4, bytes([i + 1 & 1])) for i in range(400)
    ]
    capture = recorded(tmp_path / "edges.mcap", records, {0: "gpiochip0"})
    seen = tmp_path / "seen"
    program = ("--", sys.executable, "-c", GPIO, "400", str(seen))
    found = played(capsys, str(capture), *program)
    assert seen.read_text() == f"400 {'10' * 200}\n"
    assert found["verdict"]["lost"] == {}


def test_what_a_program_sends_is_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a run of a program, what the program sends on the lines that are played is compared with
    what it sent then; another word is named."""
    run, seen = tmp_path / "run", str(tmp_path / "seen")
    program = [sys.executable, "-c", ASKS, "/dev/ttyAMA1", "100", seen]
    assert main(["run", "--out", str(run), "-q", "--", *program, "PING"]) == 0
    assert main(["replay", str(run), "--mode", "play", "-q", "--", *program, "PING"]) == 0
    told = capsys.readouterr().err
    assert told.startswith("identical")
    assert "1 record on 1 topic" in told
    assert main(["replay", str(run), "--mode", "play", "--", *program, "PONG"]) == 1
    assert "[1]: 73 -> 79" in capsys.readouterr().err
    assert main(["replay", str(run), "--mode", "play", "-q"]) == 2
    assert "a program flew; say which is to listen now: -- " in capsys.readouterr().err


def test_a_program_that_ends_early(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was not due yet when the program ended is lost, counted, and the exit code is 1."""
    capture, _ = serial(tmp_path / "line.mcap", 3000, SECOND // 1000)
    program = ["--", sys.executable, "-c", TTY, "/dev/ttyAMA1", "20", str(tmp_path / "seen")]
    assert main(["replay", str(capture), "-q", "--json", *program]) == 1
    verdict = json.loads(capsys.readouterr().out)["verdict"]
    delivered = verdict["delivered"]["/bus/ttyAMA1"]
    assert 10 <= delivered < 3000
    assert verdict["lost"]["the program ended before it was due"] == 3000 - delivered


def test_a_program_that_opens_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A program that never listens is told of in one line, with its exit code."""
    capture, _ = serial(tmp_path / "line.mcap", 3, SECOND)
    assert main(["replay", str(capture), "-q", "--", sys.executable, "-c", "exit(3)"]) == 2
    told = capsys.readouterr().err
    assert "opened none of the devices that are played; it ended with code 3" in told


# --- into the flight software -----------------------------------------------------------------


def test_our_own_stimulus_gives_the_same_flight(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run whose serial lines, CAN bus and edges come from its capture is the run that was
    recorded, and the parts that are silenced are named."""
    assert main(["replay", str(run), "--mode", "play"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("identical")
    assert (
        "silenced: gnss on ttyAMA1, gpiochip0:18; ttc on ttyAMA2, gpiochip0:23; eps on can0" in out
    )
    assert "held back, records of the emulated parts: ttyAMA1" in out


def test_another_stimulus_gives_another_flight(run: Path, tmp_path: Path) -> None:
    """With one frame of the power system changed, the flight differs from there on, and nothing of
    the stimulus itself is called a difference."""
    with Capture(run / "capture.mcap") as capture:
        info = capture.metadata["flatsat"]
        names = {c.channel: c.topic.split("/", 2)[-1] for c in capture.channels.values()}
        changed = tmp_path / "changed.mcap"
        with CaptureWriter(changed, capture.epoch_ns, names, info) as writer:
            for name in capture.attachments:
                writer.add_attachment(name, "", capture.attachment(name))
            at = 0
            for record in capture.records():
                if record.kind == Kind.CAN and record.flags & INPUT and record.t_ns > 100 * SECOND:
                    at += 1
                if at == 1:
                    record = record._replace(payload=bytes(len(record.payload)))
                    at += 1
                writer.write(record.pack())
    with flown(changed) as before:
        outcome = replay(before, ReplayOptions(mode=PLAY), lambda text: None)
    assert not outcome.verdict.identical
    first = outcome.verdict.as_json()["first"]
    assert first["t_ns_replayed"] is None or first["t_ns_replayed"] > 100 * SECOND


def test_an_import_flies_with_what_there_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An imported log without outputs is delivered to the flight software; the run ends a second
    after it, and a bus that the board has not is told of and lost."""
    log, capture = tmp_path / "bus.log", tmp_path / "bus.mcap"
    log.write_text("(0.100000) can0 701#00\n(3.000000) can0 701#05\n(3.200000) can7 001#00\n")
    assert main(["import", str(log), "--out", str(capture), "-q"]) == 0
    assert main(["replay", str(capture)]) == 1
    out = capsys.readouterr().out
    assert "delivered 2 records on 1 topic, 1 lost" in out
    assert "lost: /bus/can7 is not on the board" in out
    assert "played 4.200 s" in out
    assert main(["replay", str(capture), "-q", "--board", "jetson_orin_nano"]) == 1


def test_answers_of_an_import_are_compared(run: Path, tmp_path: Path) -> None:
    """Of an import that also holds what the computer sent on a bus, that is compared with what it
    sends now, to the end of what was recorded; what it says on other buses is not."""
    with Capture(run / "capture.mcap") as capture:
        topics = ["/bus/ttyAMA2"]
        records = [record.pack() for record in capture.records(topics, end_ns=200 * SECOND)]
        facts = {"imported": '["x"]', "forms": '["pcapng"]'}
        facts["options"] = capture.metadata["flatsat"]["options"]
    names = {record[1]: "ttyAMA2" for record in records}
    path = tmp_path / "line.mcap"
    with CaptureWriter(path, 0, names, facts) as writer:
        writer.write(b"".join(records))
    with flown(path) as before:
        outcome = replay(before, ReplayOptions(mode=PLAY), lambda text: None)
    assert outcome.verdict.identical
    counts = outcome.verdict.as_json()["counts"]
    assert set(counts) == {"/bus/ttyAMA2"}
    sent = sum(not record[2] & INPUT for record in records)
    assert counts["/bus/ttyAMA2"]["recorded"] == sent > 10


def test_what_an_import_says_was_sent_is_missed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A frame that the log says the computer sent, and that the flight software does not send, is
    missing, on its own bus and on no other."""
    log, capture = tmp_path / "bus.log", tmp_path / "bus.mcap"
    log.write_text("(0.100000) can0 701#00 R\n(0.500000) can0 0AA#05 T\n(1.500000) can0 701#00 R\n")
    assert main(["import", str(log), "--out", str(capture), "-q"]) == 0
    capsys.readouterr()
    assert main(["replay", str(capture), "-q", "--json"]) == 1
    verdict = json.loads(capsys.readouterr().out)["verdict"]
    assert verdict["first"]["kind"] == "missing"
    assert set(verdict["counts"]) == {"/bus/can0"}
    assert verdict["counts"]["/bus/can0"]["recorded"] == 1


# --- into the ground --------------------------------------------------------------------------


def test_ground_acts_as_it_did(run: Path, tmp_path: Path) -> None:
    """The downlink of a run, played to its ground segment alone, makes it send the same
    telecommands and file the same packets and products."""
    with flown(run) as before:
        options = ReplayOptions(mode=PLAY, to="ground", out=tmp_path / "out")
        outcome = replay(before, options, lambda text: None)
    assert outcome.verdict.identical
    counts = outcome.verdict.as_json()["counts"]
    assert counts["/link/tc"]["recorded"] == counts["/link/tc"]["replayed"] > 0
    telemetry = (tmp_path / "out" / "telemetry.pkts").read_bytes()
    assert telemetry == (run / "telemetry.pkts").read_bytes()
    products = {p.name: p.read_bytes() for p in (run / "products").glob("*")}
    assert {p.name: p.read_bytes() for p in (tmp_path / "out" / "products").glob("*")} == products


def test_ground_reads_our_frames_by_a_channel_file(run: Path, tmp_path: Path) -> None:
    """The same downlink, decoded by a description, has the packets that were received."""
    file = tmp_path / "ours.toml"
    with flown(run) as before:
        nbytes = _frame_nbytes(run)
        file.write_text(
            f'[channel]\nname = "ours"\ninput = "octets"\nrandomiser = "tm"\n[marker]\n'
            f'[frames]\nkind = "tm"\nnbytes = {nbytes}\nocf = true\n'
            '[packets]\nerror_control = true\n[packets.pus]\nversion = "c"\n'
        )
        outcome = replay(before, ReplayOptions(mode=PLAY, to="ground", channel=file), print)
        mission = replay(before, ReplayOptions(mode=PLAY, to="ground"), lambda text: None)
    assert outcome.figures["pus"] == mission.figures["pus"]


def _frame_nbytes(run: Path) -> int:
    with Capture(run / "capture.mcap") as capture:
        return len(next(capture.records(["/link/tm"])).payload) - 4


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--to", "ground"], "holds no downlink"),
        (["--step"], "play has no world to stop in"),
        (["--transport", "ipc"], "--transport ipc: play flies direct"),
        (["--from", "2"], "--from 2: the last record of the run is number 0"),
        (["--board", "jetson_orin_nano"], "none of its channels (ttyAMA1) is on board"),
        (["--to", "ground", "--", "true"], "--to ground and a program behind `--`"),
    ],
)
def test_what_cannot_be_played(
    tmp_path: Path, words: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wish that play cannot fulfil ends in one line that says so."""
    log = tmp_path / "octets"
    log.write_bytes(b"$GNRMC")
    capture = tmp_path / "octets.mcap"
    words_in = ["import", str(log), "--as", "octets", "--bus", "ttyAMA1", "--channel"]
    channel = tmp_path / "c.toml"
    channel.write_text('[channel]\nname = "c"\ninput = "packets"\n')
    assert main([*words_in, str(channel), "--out", str(capture), "-q"]) == 0
    assert main(["replay", str(capture), "--mode", "play", "-q", *words]) == 2
    assert why in capsys.readouterr().err


def test_frames_without_a_description(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Frames of which nobody said what they are ask for a channel file."""
    file, capture = tmp_path / "frames", tmp_path / "frames.mcap"
    file.write_bytes(bytes(100))
    assert main(["import", str(file), "--frame-nbytes", "50", "--out", str(capture), "-q"]) == 0
    assert main(["replay", str(capture), "-q"]) == 2
    assert "give a channel file: --channel FILE" in capsys.readouterr().err


def test_records_that_no_bus_carries_go_nowhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A capture that somebody made up may hold anything: levels without an octet, lines that are
    not there, frames of 70 octets. They are lost, by topic, and the rest is delivered."""
    far = 2**63 + 5
    records = [
        pack(Kind.GPIO, 0, INPUT, 0, 10, 0, 0, 4, b"\1"),
        pack(Kind.GPIO, 0, INPUT, 0, 11, 0, 1, 4, b""),
        pack(Kind.GPIO, 0, INPUT, 0, 12, 0, 2, 58, b"\1"),
        pack(Kind.CAN, 1, INPUT, 0, 20, 0, 3, 0x123, bytes(8)),
        pack(Kind.CAN, 1, INPUT, 0, 21, 0, 4, 0x123, bytes(9)),
        pack(Kind.CAN, 1, INPUT | 0x40, 0, 22, 0, 5, 0x123, bytes(70)),
        pack(Kind.CAN, 1, INPUT, 0, 23, 0, 6, 0x20000004, b"short"),
        pack(Kind.CAN, 1, INPUT, 0, 24, 0, 7, 0x20000004, bytes(8)),
        pack(Kind.UART, 2, INPUT, 99, 30, 0, 8, 77, b""),
    ]
    never = pack(Kind.UART, 2, INPUT, 0, far, far, 9, 0, b"never")
    names = {0: "gpiochip0", 1: "can0", 2: "ttyAMA1"}
    program = ["--", sys.executable, "-c", TTY, "/dev/ttyAMA1", "1", str(tmp_path / "s")]
    for words, more in (([], records[-2:-1]), (program, [never])):
        capture = recorded(tmp_path / f"odd{len(words)}.mcap", [*records, *more], names)
        assert main(["replay", str(capture), "-q", "--json", "--pace", "max", *words]) == 1
        verdict = json.loads(capsys.readouterr().out)["verdict"]
        frames = 2 if words else 3
        delivered = {"/gpio/gpiochip0": 1, "/bus/can0": frames, "/bus/ttyAMA1": 1}
        assert verdict["delivered"] == delivered
        assert sum(verdict["lost"].values()) == (6 if words else 5)
        assert verdict["lost"]["/bus/can0 has what no such bus carries"] == 3
