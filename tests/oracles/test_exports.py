"""Foreign programs read what we export, and find in it what was recorded."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import can
import pytest
from tshark import EPOCH_NS, NAMES

from flightsw.codec import bus_payload
from flightsw.codec.wire import Flag, Kind, Record
from hil.capture.reader import Capture
from hil.capture.writer import CaptureWriter
from hil.cli import main

# On import it has a broken pipe end the whole process, which would be the suite.
_BEFORE = signal.getsignal(signal.SIGPIPE)
from vcdvcd import VCDVCD  # noqa: E402

signal.signal(signal.SIGPIPE, _BEFORE)

FACTS = {"board": "raspberrypi4", "mission": "tiansuan_bupt1", "seed": "7"}
INPUT, REPLY = int(Flag.INPUT), int(Flag.REPLY)
FD = int(Flag.CAN_FD)

CAN = [
    Record(Kind.CAN, 1, INPUT, 0, 0, 0, 0, 0x123, b"\x01\xab"),
    Record(Kind.CAN, 1, 0, 0, 1_000_000, 0, 1, 0x80012345, b""),
    Record(Kind.CAN, 1, INPUT, 0, 2_001_000, 0, 2, 0x40000123, b""),
    Record(Kind.CAN, 1, INPUT, 0, 3_000_000, 0, 3, 0x20000080, bytes(8)),
    Record(Kind.CAN, 1, FD | int(Flag.CAN_BRS), 0, 4_000_000, 0, 4, 0x7FF, bytes(range(12))),
]


def exported(folder: Path, records: list[Record], name: str, *words: str) -> Path:
    """Return the export of a capture with these records."""
    with CaptureWriter(folder / "capture.mcap", EPOCH_NS, NAMES, FACTS) as writer:
        writer.write(b"".join(record.pack() for record in records))
    out = folder / name
    assert main(["export", str(folder / "capture.mcap"), "--out", str(out), *words]) == 0
    return out


def test_python_can_reads_the_log(tmp_path: Path) -> None:
    """Its reader of candump logs finds every frame with format, direction, data and time."""
    messages = list(can.CanutilsLogReader(exported(tmp_path, CAN, "x.log")))
    for message, record in zip(messages, CAN, strict=True):
        assert message.channel == ("can0" if not message.is_error_frame else None)
        assert message.timestamp == pytest.approx((EPOCH_NS + record.t_ns) / 1e9, abs=2e-6)
        assert message.is_rx == bool(record.flags & INPUT)
        assert message.is_remote_frame == bool(record.address & 0x40000000)
        assert message.is_error_frame == bool(record.address & 0x20000000)
        if not message.is_error_frame:
            assert message.arbitration_id == record.address & 0x1FFFFFFF
            assert bytes(message.data) == record.payload
            assert message.is_extended_id == bool(record.address & 0x80000000)
        assert message.is_fd == bool(record.flags & FD)
        assert message.bitrate_switch == bool(record.flags & Flag.CAN_BRS)


@pytest.mark.skipif(not shutil.which("log2asc"), reason="can-utils are not installed")
def test_can_utils_read_the_log(tmp_path: Path) -> None:
    """log2asc turns every frame into a line, with identifier, length and direction."""
    path = exported(tmp_path, CAN, "x.log")
    done = subprocess.run(
        ["log2asc", "-I", str(path), "can0"], capture_output=True, text=True, check=True, timeout=60
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    found = [line for line in lines if line and line[0].replace(".", "").isdigit()]
    assert [float(line[0]) for line in found] == [0.0, 0.001, 0.002001, 0.003, 0.004]
    assert found[0][1:8] == ["1", "123", "Rx", "d", "2", "01", "AB"]
    assert found[1][2:6] == ["12345x", "Tx", "d", "0"]
    assert found[2][4] == "r"
    assert "ErrorFrame" in found[3]
    assert "CANFD" in found[4]


def signals(path: Path) -> dict[str, list[tuple[int, str]]]:
    """Return the changes of every variable of a dump by its name, times in ns, without the values
    before."""
    dump = VCDVCD(str(path))
    unit_ns = int(dump.timescale["timescale"] * 10**9)
    return {
        name: [(at * unit_ns, value) for at, value in dump[name].tv]
        for name in dump.references_to_ids
    }


def gpio(line: int, levels: list[tuple[int, int]], seq: int = 0) -> list[Record]:
    """Return the edges of a line."""
    return [
        Record(Kind.GPIO, 2, 0, 0, t_ns, 0, seq + n, line, bytes([level]))
        for n, (t_ns, level) in enumerate(levels)
    ]


def test_lines_have_their_names_and_edges(tmp_path: Path) -> None:
    """Each edge of a GPIO line is a change at its time, under the name of the board file."""
    levels = [(0, 0), (1_000, 1), (2_500, 0), (10**12, 1)]
    records = gpio(24, levels) + gpio(3, [(700, 1)], seq=4)
    found = signals(exported(tmp_path, records, "x.vcd"))
    edges = [(t, str(level)) for t, level in levels]
    assert [change for change in found["gpiochip0.watchdog_kick"] if change[1] != "x"] == edges
    assert found["gpiochip0.line3"] == [(0, "x"), (700, "1")]


def test_transactions_are_seen_while_they_last(tmp_path: Path) -> None:
    """A bus is busy from begin to end, a chip select low; changes stand in order of time."""
    i2c = bus_payload.pack_i2c_reply([(0x40, 0, b"\xfe"), (0x40, 1, 2)], [b"TI"])
    spi = bus_payload.pack_spi([(b"\x9f", 0, 8, 0, 0)], [b"\xff"])
    records = [
        Record(Kind.I2C, 0, REPLY, 0, 5_000, 120_000, 0, 0x40, i2c),
        Record(Kind.SPI, 5, REPLY, 0, 2_000, 450, 1, 1, spi),
        Record(Kind.I2C, 0, REPLY, 0, 125_000, 10_000, 2, 0x41, i2c),
    ]
    found = signals(exported(tmp_path, records, "x.vcd"))
    assert found["i2c_1.busy"][1:] == [(5_000, "1"), (125_000, "0"), (125_000, "1"), (135_000, "0")]
    assert found["channel_5.cs1"][1:] == [(2_000, "0"), (2_450, "1")]
    assert [int(v, 2) for _, v in found["i2c_1.address"][1:]] == [0x40, 0x41]


def test_a_serial_line_is_drawn_bit_by_bit(tmp_path: Path) -> None:
    """Sampled in the middle of its bits, the line gives the octets back."""
    octets, bit_ns = b"U\x00\xffz", 1000
    record = Record(Kind.UART, 3, INPUT, 0, 50_000, len(octets) * 10 * bit_ns, 0, 0, octets)
    path = exported(tmp_path, [record], "x.vcd", "--waveforms")
    changes = signals(path)["ttyAMA1.rx"]

    def level(t_ns: int) -> int:
        return int([value for at, value in changes if at <= t_ns][-1])

    for n, octet in enumerate(octets):
        bits = [level(50_000 + (10 * n + k) * bit_ns + bit_ns // 2) for k in range(10)]
        assert bits == [0, *(octet >> k & 1 for k in range(8)), 1]


@pytest.mark.skipif(not shutil.which("sigrok-cli"), reason="sigrok-cli is not installed")
def test_sigrok_decodes_a_serial_line_out_of_the_drawing(tmp_path: Path) -> None:
    """Its UART decoder reads the octets that were sent, from the wire alone."""
    text = b"$GNRMC,,V,,,*37\r\n"
    times = [round(n * 1e10 / 115_200) for n in range(3)]
    pieces = [text[:5], text[5:6], text[6:]]
    records, at_ns = [], 1_000_000
    for n, piece in enumerate(pieces):
        duration_ns = len(piece) * times[1]
        records.append(Record(Kind.UART, 3, INPUT, 0, at_ns, duration_ns, n, 0, piece))
        at_ns += duration_ns + 50_000
    path = exported(tmp_path, records, "x.vcd", "--waveforms")
    words = ["sigrok-cli", "-l", "1", "-i", str(path), "-I", "vcd:downsample=100"]
    words += ["-P", "uart:rx=rx:baudrate=115200:format=hex", "-A", "uart=rx-data"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    assert bytes(int(line.split()[-1], 16) for line in done.stdout.splitlines()) == text


@pytest.mark.skipif(not shutil.which("vcd2fst"), reason="vcd2fst (gtkwave) is not installed")
def test_gtkwave_takes_every_kind_of_variable(tmp_path: Path) -> None:
    """Its converter reads wires, vectors, texts and real numbers, and says nothing."""
    world = [Record(Kind.WORLD, 242, 0, 0, n, 0, 9, 0, b'{"bus_v": 3.25}') for n in (1, 2)]
    records = gpio(24, [(0, 1), (9, 0)]) + CAN[:1] + world
    path = exported(tmp_path, records, "x.vcd")
    out = tmp_path / "x.fst"
    done = subprocess.run(
        ["vcd2fst", str(path), str(out)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == ""
    back = subprocess.run(
        ["fst2vcd", str(out)], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert "watchdog_kick" in back
    assert "r3.25" in back
    assert "s01ab" in back


def test_arrow_reads_the_parquet_file(tmp_path: Path) -> None:
    """Columns hold what the capture's table holds, and the file says its epoch."""
    parquet = pytest.importorskip("pyarrow.parquet")
    path = exported(tmp_path, CAN, "x.parquet")
    table = parquet.read_table(path)
    with Capture(tmp_path / "capture.mcap") as capture:
        ours = capture.table().to_arrow()
    assert table.column_names == ours.column_names
    assert table.to_pylist() == ours.to_pylist()
    assert table.schema.metadata[b"epoch_ns"] == str(EPOCH_NS).encode()
