"""CAN logs and recorded downlink become captures: foreign frames, rates, times, damage."""

from __future__ import annotations

import io
import random
import struct
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.codec.packet.find import PacketFinder
from flightsw.codec.wire import Flag, Kind, Record
from hil.capture.importing.candump import CandumpSource
from hil.capture.importing.downlink import PacketSource
from hil.capture.importing.unit import Unit
from hil.capture.reader import Capture
from hil.cli import main

EXTENDED, REMOTE = 0x8000_0000, 0x4000_0000
SECOND = 1_000_000_000
INPUT = int(Flag.INPUT)


def records(path: Path) -> list[Record]:
    """Return the records of a capture."""
    with Capture(path) as capture:
        return list(capture.records())


def imported(tmp_path: Path, file: Path, *options: str) -> Path:
    """Import a file by the command; return the capture."""
    out = tmp_path / f"{file.name}.mcap"
    assert main(["import", str(file), *options, "--out", str(out), "-q"]) == 0
    return out


def rewritten(octets: bytes, rnd: random.Random) -> bytes:
    """Return octets with some overwritten, and perhaps the end cut off."""
    out = bytearray(octets)
    for _ in range(rnd.randrange(1, 6)):
        out[rnd.randrange(len(out))] = rnd.choice((0, 0xFF, rnd.randrange(256)))
    return bytes(out[: rnd.randrange(1, len(out) + 1)] if rnd.random() < 0.3 else out)


# --- CAN logs ---------------------------------------------------------------------------------


FRAMES = st.builds(
    lambda number, extended, data, remote, fd, flags, rx: (
        number & (0x1FFFFFFF if extended else 0x7FF),
        extended,
        data[:8] if not fd else data[: (0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 32, 48, 64)[-1]],
        remote and not fd,
        fd,
        flags,
        rx,
    ),
    st.integers(0, 0x1FFFFFFF),
    st.booleans(),
    st.sampled_from([0, 1, 2, 8, 12, 64]).flatmap(lambda n: st.binary(min_size=n, max_size=n)),
    st.booleans(),
    st.booleans(),
    st.tuples(st.booleans(), st.booleans()),
    st.booleans(),
)


def messages(frames: list[tuple[Any, ...]], can: Any) -> list[Any]:
    """Return frames as python-can has them, 1.25 ms apart."""
    return [
        can.Message(
            timestamp=1_700_000_000.5 + i * 0.00125,
            arbitration_id=number,
            is_extended_id=extended,
            data=None if remote else data,
            is_remote_frame=remote,
            is_fd=fd,
            bitrate_switch=fd and flags[0],
            error_state_indicator=fd and flags[1],
            is_rx=rx,
            channel=0,
        )
        for i, (number, extended, data, remote, fd, flags, rx) in enumerate(frames)
    ]


@pytest.mark.parametrize("form", ["blf", "asc", "log"])
@settings(max_examples=25, deadline=None)
@given(frames=st.lists(FRAMES, min_size=1, max_size=6))
def test_frames_that_python_can_wrote(form: str, frames: list[tuple[Any, ...]]) -> None:
    """Logs of python-can's writers come back frame by frame: identifier, data, flags, direction and
    time to the microsecond."""
    can = pytest.importorskip("can", reason="python-can is not installed")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"frames.{form}"
        sent = messages(frames, can)
        with can.Logger(str(file)) as logger:
            for message in sent:
                logger(message)
        found = records(imported(Path(folder), file))
    assert len(found) == len(sent)
    for i, (record, message) in enumerate(zip(found, sent, strict=True)):
        flags = INPUT if message.is_rx else 0
        flags |= Flag.CAN_FD if message.is_fd else 0
        flags |= Flag.CAN_BRS if message.bitrate_switch else 0
        flags |= Flag.CAN_ESI if message.error_state_indicator else 0
        address = message.arbitration_id | (EXTENDED if message.is_extended_id else 0)
        address |= REMOTE if message.is_remote_frame else 0
        assert (record.address, record.payload) == (address, bytes(message.data))
        assert record.flags == flags
        assert abs(record.t_ns - i * 1_250_000) <= 1_000


def test_every_form_of_candump() -> None:
    """Logs, printouts with and without time, direction, colour and ASCII give the same frame."""
    forms = [
        b"(1436509052.249713) can0 123#1122\n",
        b"(1436509052.249713) can0 123#1122 R\n",
        b" (1436509052.249713)  can0  123   [2]  11 22\n",
        b" (2015-07-10 06:17:32.249713)  can0  RX - -  123   [2]  11 22   '.\"'\n",
        b" (1436509052.249713)  \x1b[31mcan0  123   [2]  11 22\x1b[0m\n",
    ]
    for text in forms:
        (unit,) = CandumpSource(io.BytesIO(text), "log")
        assert unit == Unit(
            1436509052_249713000, Kind.CAN, "can0", b"\x11\x22", INPUT, address=0x123
        )
    (bare,) = CandumpSource(io.BytesIO(b"can0  12345678   [0] \n"), "log")
    assert (bare.t_ns, bare.address, bare.payload) == (0, 0x12345678 | EXTENDED, b"")


def test_lines_that_are_no_frames_are_counted() -> None:
    """A garbled line is skipped; how many, and where the first one is, is in the counters."""
    text = b"(1.000000) can0 123#11\nrubbish\n(2.000000) can0 123#1\n(3.000000) can0 1#11\n"
    text += b"(4.000000) can0 124#22\n"
    source = CandumpSource(io.BytesIO(text), "log")
    assert [unit.address for unit in source] == [0x123, 0x124]
    assert source.counters["skipped_lines"] == 3
    assert source.counters["first_skipped_line_at_octet"] == 23
    assert source.counters["first_skipped_line"] == 2


@pytest.mark.parametrize("form", ["blf", "asc"])
def test_damaged_logs_of_python_can(
    tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Octets that python-can's readers give up on end the import with a line, never a traceback."""
    can = pytest.importorskip("can", reason="python-can is not installed")
    file, rnd = tmp_path / f"frames.{form}", random.Random(3)
    with can.Logger(str(file)) as logger:
        for i in range(20):
            logger(can.Message(timestamp=1e9 + i, arbitration_id=i, data=bytes([i])))
    octets = file.read_bytes()
    for i in range(40):
        file.write_bytes(rewritten(octets, rnd))
        code = main(["import", str(file), "--as", form, "--out", str(tmp_path / f"{i}.mcap"), "-q"])
        told = capsys.readouterr().err
        assert code == (1 if told else 0)
        made = tmp_path / f"{i}.mcap"
        assert made.exists() != ("no capture was made" in told)
        assert not made.exists() or 0 < len(records(made)) <= 40


# --- downlink ---------------------------------------------------------------------------------


def space_packet(apid: int, seq: int, data: bytes) -> bytes:
    """Return a telemetry packet."""
    return struct.pack(">HHH", 0x0800 | apid, 0xC000 | seq, len(data) - 1) + data


def test_frames_without_times_come_at_a_rate(tmp_path: Path) -> None:
    """At a given rate each frame begins where the one before ends, and takes its bits' time."""
    file = tmp_path / "frames.bin"
    file.write_bytes(bytes(range(250)))
    out = imported(tmp_path, file, "--frame-nbytes", "125", "--rate", "1k")
    found = [(r.kind, r.t_ns, r.duration_ns, r.payload) for r in records(out)]
    assert found == [
        (Kind.TM, 0, SECOND, bytes(range(125))),
        (Kind.TM, SECOND, SECOND, bytes(range(125, 250))),
    ]


def test_the_last_frame_is_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that ends inside a frame names the octet and keeps the frames before."""
    file, out = tmp_path / "frames.bin", tmp_path / "out.mcap"
    file.write_bytes(bytes(25))
    assert main(["import", str(file), "--frame-nbytes", "10", "--out", str(out)]) == 1
    assert "octet 20: the file ends 5 octets into a frame of 10" in capsys.readouterr().err
    assert len(records(out)) == 2


def test_packets_with_times_of_their_own(tmp_path: Path) -> None:
    """Times come out of the packets where they are told to be, behind record headers, too."""
    packets = [space_packet(5, i, struct.pack(">IH", 100 + i, 0x8000)) for i in range(3)]
    file = tmp_path / "packets.bin"
    file.write_bytes(b"".join(b"HEAD" + one for one in packets))
    options = ("--packet-prefix", "4", "--packet-time", "cuc 4 2 @ 6")
    out = imported(tmp_path, file, *options, "--start", "2024-10-07T16:24:20Z")
    found = records(out)
    assert [(r.t_ns, r.payload) for r in found] == [
        (i * SECOND, one) for i, one in enumerate(packets)
    ]
    with Capture(out) as capture:
        assert capture.epoch_ns == 1728318260 * SECOND


def test_octets_between_packets_are_counted() -> None:
    """What is no packet is skipped, and every octet of the file is in a counter."""
    packets = [space_packet(5, i, bytes(20)) for i in range(6)]
    octets = b"".join(packets[:3]) + b"\xff" * 7 + b"".join(packets[3:])
    finder = PacketFinder(apids=[5])
    source = PacketSource(io.BytesIO(octets), "p", finder)
    assert [unit.payload for unit in source] == packets
    assert source.counters["skipped_octets"] == 7


def test_a_stream_off_the_air_is_kept_whole(tmp_path: Path) -> None:
    """Records of a stream are cut at its markers, and together they are the stream."""
    marker, rnd = bytes.fromhex("1acffc1d"), random.Random(5)
    units = [marker + rnd.randbytes(60) for _ in range(20)]
    octets = b"noise" + b"".join(units) + marker + b"end"
    channel, file = tmp_path / "c.toml", tmp_path / "pass.cadu"
    channel.write_text(
        '[channel]\nname = "c"\ninput = "octets"\n[marker]\n[frames]\nkind = "tm"\nnbytes = 60\n'
    )
    file.write_bytes(octets)
    found = records(imported(tmp_path, file, "--channel", str(channel)))
    assert [r.payload for r in found] == [b"noise", *units, marker + b"end"]
