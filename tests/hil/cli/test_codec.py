"""``hil codec``: every option, every input and output, and what a user can get wrong."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flightsw.codec import cobs, space_packet, tm_frame
from flightsw.codec.pus_format import PUS_C
from hil.channel import load_channel
from hil.cli import main

HIL = [sys.executable, "-m", "hil", "codec"]

PACKETS = """
[channel]
name = "packets"
input = "packets"
[packets]
error_control = true
[packets.pus]
version = "c"
[[layout]]
name = "status"
apid = 5
service = 3
fields = [
    {name = "mode", type = "u4", enum = {idle = 0, imaging = 3}},
    {name = "armed", type = "flag"},
    {type = "pad 3"},
    {name = "bus", type = "u16", unit = "mV", scale = 0.001, scaled_unit = "V", doc = "bus"},
    {name = "pair", type = "u8[2]"},
    {name = "gain", type = "f32"},
    {name = "count", type = "u8"},
    {name = "samples", type = "i16[count]"},
    {name = "level", type = "u64", when = "armed"},
    {name = "tag", type = "bytes 2"},
    {name = "note", type = "text 4", when = "mode", equals = "imaging"},
    {name = "words", type = "text 2[count]"},
    {name = "at", type = "cuc 4 2"},
    {name = "rest", type = "text rest"},
]
[[layout]]
name = "fixed"
apid = 6
fields = [{name = "n", type = "u16"}, {name = "v", type = "i8[3]"}]
[[layout]]
name = "never"
apid = 7
fields = [{name = "n", type = "u16"}]
"""
VALUES: tuple[dict[str, Any], ...] = (
    {"mode": 1, "armed": False, "bus": 0, "pair": [1, 2], "gain": float("nan"), "count": 0}
    | {"samples": [], "tag": b"\0\xff", "words": [], "at": 0, "rest": ""},
    {"mode": "imaging", "armed": True, "bus": 5012, "pair": [3, 4], "gain": 0.5, "count": 2}
    | {"samples": [-7, 300], "level": 2**64 - 1, "tag": b"ab", "note": "hey", "words": ["a", "bc"]}
    | {"at": 1_500_000_000, "rest": 'a,"b" ü'},
)
FRAMES = """
[channel]
name = "air"
input = "{input}"
randomiser = "tm"
[marker]
[frames]
kind = "tm"
nbytes = 64
scid = 9
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def packets() -> str:
    """Return the channel of packets, and put a file of them beside it: p."""
    Path("c.toml").write_text(PACKETS)
    layout = load_channel("c.toml").rules[0].layout
    rows = [PUS_C.pack_tm(5, i, 3, 25, layout.encode(v), t_ns=i) for i, v in enumerate(VALUES)]
    rows += [PUS_C.pack_tm(6, 0, 5, 1, bytes([1, 2, 3, 4, 255]), t_ns=10**9)]
    rows += [PUS_C.pack_tm(8, 0, 17, 2, b"", t_ns=2 * 10**9)]
    Path("p").write_bytes(b"".join(rows))
    return "c.toml"


def air(count: int = 20) -> tuple[bytes, list[bytes]]:
    """Return frames as they come off the air, and the packets in them."""
    encoder = tm_frame.Encoder(scid=9, nbytes=64)
    sent = [space_packet.pack(100 + i % 2, i // 2, bytes([i] * 30)) for i in range(count)]
    for packet in sent:
        encoder.add(0, packet)
    octets = b""
    while (frame := encoder.next_frame(0, ocf=bytes(4), flush=True)) is not None:
        octets += tm_frame.cadu(frame)
    return octets, sent


def run(*words: str, stdin: bytes = b"") -> tuple[int, str, str]:
    """Run the command as a process of its own; return exit code, stdout and stderr."""
    done = subprocess.run([*HIL, *words], input=stdin, capture_output=True, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def here(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[str], list[str]]:
    """Run the command in this process; return exit code, and lines of stdout and stderr."""
    code = main(["codec", *words])
    captured = capsys.readouterr()
    return code, captured.out.splitlines(), captured.err.splitlines()


def rows_of(path: str) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_without_options_the_counters_come(packets: str, capsys: Any) -> None:
    """Counters of each stage that has any stand on stdout, hints on stderr."""
    code, out, err = here(capsys, packets, "p")
    assert code == 0
    assert out[:2] == ["input", f"  octets{Path('p').stat().st_size:>32,}"]
    assert "layout status" in out
    assert err == ["hint: no packet is for layout never (apid 7)"]


def test_json_has_a_packet_a_line_and_the_counters_last(packets: str, capsys: Any) -> None:
    """Each line is an object; nested values are those encoded, the last line is the counters."""
    code, out, _ = here(capsys, packets, "p", "--json")
    rows = [json.loads(line, parse_constant=pytest.fail) for line in out]
    assert code == 0
    assert [row["packet"] for row in rows[:-1]] == [0, 1, 2, 3]
    assert rows[-1]["counters"]["packets"]["packets"] == 4
    assert rows[0]["layouts"]["status"] == {
        "mode": 1,
        "armed": False,
        "bus": 0,
        "pair": [1, 2],
        "gain": "NaN",
        "count": 0,
        "samples": [],
        "tag": "00ff",
        "words": [],
        "at": 0,
        "rest": "",
    }
    want = VALUES[1] | {"mode": 3, "tag": b"ab".hex()}
    assert rows[1]["layouts"]["status"] == want
    assert rows[2]["layouts"] == {"fixed": {"n": 258, "v": [3, 4, -1]}}
    assert (rows[3]["service"], rows[3]["subtype"], rows[3]["t_ns"]) == (17, 2, 2 * 10**9)
    assert "layouts" not in rows[3]


def test_calibrated_gives_units_and_labels(packets: str, capsys: Any) -> None:
    """With --calibrated a field comes in its unit, an enum as its label or its number."""
    _, out, _ = here(capsys, packets, "p", "--json", "--calibrated")
    first, second = (json.loads(line)["layouts"]["status"] for line in out[:2])
    assert (first["mode"], second["mode"]) == ("1", "imaging")
    assert second["bus"] == pytest.approx(5.012)


def test_csv_has_what_json_has(packets: str, capsys: Any) -> None:
    """Tables have a line a packet: arrays as columns, lists as JSON, nothing where nothing is."""
    code, _, err = here(capsys, packets, "p", "--csv", "out")
    assert code == 0
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "fixed.csv",
        "never.csv",
        "packets.csv",
        "status.csv",
    ]
    status = rows_of("out/status.csv")
    assert [row["packet"] for row in status] == ["0", "1"]
    assert status[1]["samples"] == "[-7, 300]"
    assert status[1]["words"] == '["a", "bc"]'
    assert (status[1]["pair[0]"], status[1]["pair[1]"]) == ("3", "4")
    assert (status[0]["level"], status[1]["level"]) == ("", str(2**64 - 1))
    assert status[1]["rest"] == 'a,"b" ü'
    assert [row["v[2]"] for row in rows_of("out/fixed.csv")] == ["-1"]
    assert Path("out/never.csv").read_text() == "packet,n\n"
    assert [row["apid"] for row in rows_of("out/packets.csv")] == ["5", "5", "6", "8"]
    assert "out/status.csv: 2 rows" in err


@pytest.mark.parametrize("more", [[], ["--calibrated"]], ids=["raw", "calibrated"])
def test_parquet_equals_csv(packets: str, capsys: Any, more: list[str]) -> None:
    """Every cell of a Parquet file is that of the CSV; types, units and lists are kept."""
    parquet = pytest.importorskip("pyarrow.parquet")
    assert here(capsys, packets, "p", "--csv", "a", "--parquet", "b", *more)[0] == 0
    for name in ("packets", "status", "fixed", "never"):
        table = parquet.read_table(f"b/{name}.parquet")
        cells = [
            {key: "" if cell is None else text_of(cell) for key, cell in row.items()}
            for row in table.to_pylist()
        ]
        assert cells == rows_of(f"a/{name}.csv")
    schema = parquet.read_schema("b/status.parquet")
    assert str(schema.field("samples").type) == "list<element: int16>"
    assert schema.field("bus").metadata[b"unit"] == (b"V" if more else b"mV")
    assert str(parquet.read_schema("b/never.parquet").field("n").type) == "uint16"


def text_of(cell: Any) -> str:
    """Return a cell as CSV has it."""
    return json.dumps(cell) if isinstance(cell, list) else str(cell)


def test_a_group_that_comes_late_fits_its_parquet_column(capsys: Any) -> None:
    """A field that is not in the first pieces of a file has its own type from the start."""
    parquet = pytest.importorskip("pyarrow.parquet")
    Path("c.toml").write_text(PACKETS)
    layout = load_channel("c.toml").rules[0].layout
    many = PUS_C.pack_tm(5, 0, 3, 25, layout.encode(VALUES[0]), t_ns=0) * 40_000
    last = PUS_C.pack_tm(5, 0, 3, 25, layout.encode(VALUES[1]), t_ns=0)
    Path("p").write_bytes(many + last)
    assert here(capsys, "c.toml", "p", "--parquet", "out")[0] == 0
    table = parquet.read_table("out/status.parquet", columns=["packet", "samples", "level"])
    assert table.num_rows == 40_001
    assert table.slice(40_000).to_pylist() == [
        {"packet": 40_000, "samples": [-7, 300], "level": 2**64 - 1}
    ]


def test_without_pyarrow_the_remedy_is_named(
    packets: str, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--parquet on a host without pyarrow is one line, exit code 3, and nothing is made."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, out, err = here(capsys, packets, "p", "--parquet", "out")
    assert (code, out, len(err)) == (3, [], 1)
    assert "flatsat[parquet]" in err[0]
    assert not Path("out").exists()


def test_packets_are_written_as_they_came(packets: str, capsys: Any) -> None:
    """--packets gives the packets one behind the other, those of --apid alone if asked."""
    whole = Path("p").read_bytes()
    assert here(capsys, packets, "p", "--packets", "all")[0] == 0
    assert Path("all").read_bytes() == whole
    _, out, _ = here(capsys, packets, "p", "--packets", "some", "--apid", "6,0x8", "--json")
    assert [json.loads(line)["apid"] for line in out[:-1]] == [6, 8]
    assert whole.endswith(Path("some").read_bytes())
    assert json.loads(out[-1])["counters"]["packets"]["packets"] == 4


def test_apid_picks_rows_of_every_table(packets: str, capsys: Any) -> None:
    """With --apid, tables hold rows of those packets only, under their own numbers."""
    assert here(capsys, packets, "p", "--csv", "out", "--apid", "6")[0] == 0
    assert [row["packet"] for row in rows_of("out/packets.csv")] == ["2"]
    assert [row["packet"] for row in rows_of("out/fixed.csv")] == ["2"]
    assert rows_of("out/status.csv") == []


def test_hex_gives_the_octets(packets: str, capsys: Any) -> None:
    """With --hex every packet's own octets are there, in JSON and in the table."""
    _, out, _ = here(capsys, packets, "p", "--json", "--hex", "--csv", "out")
    octets = b"".join(bytes.fromhex(json.loads(line)["octets"]) for line in out[:-1])
    assert octets == Path("p").read_bytes()
    assert [row["octets"] for row in rows_of("out/packets.csv")][2] == json.loads(out[2])["octets"]


@pytest.mark.parametrize("kind", ["octets", "bits"])
def test_frames_off_the_air(kind: str, capsys: Any) -> None:
    """Octets or bits with markers give the packets sent, with their virtual channel and frame."""
    octets, sent = air()
    bits = np.unpackbits(np.frombuffer(octets, np.uint8)).tobytes()
    Path("in").write_bytes(octets if kind == "octets" else bits)
    Path("c.toml").write_text(FRAMES.format(input=kind))
    code, out, err = here(capsys, "c.toml", "in", "--json", "--hex", "--strict")
    rows = [json.loads(line) for line in out]
    assert (code, err) == (0, [])
    assert [bytes.fromhex(row["octets"]) for row in rows[:-1]] == sent
    assert [row["vcid"] for row in rows[:-1]] == [0] * 20
    assert rows[-2]["frame"] == rows[-1]["counters"]["link"]["frames"] - 1


def test_strict_minds_what_was_lost(capsys: Any) -> None:
    """--strict is exit code 1 exactly when a counter bears a mark."""
    octets, _ = air()
    Path("c.toml").write_text(FRAMES.format(input="octets"))
    noise = bytes(range(7))
    for data, code in (
        (octets, 0),
        (octets + noise, 1),
        (noise + octets, 1),
        (octets[:68] + octets[136:], 1),
        (octets[:40] + b"\xff" + octets[41:], 1),
    ):
        Path("in").write_bytes(data)
        got, out, _ = here(capsys, "c.toml", "in", "--strict")
        assert got == code
        assert any(line.count("!") for line in out) is bool(code)


def test_a_pipe_is_read_as_it_comes(packets: str) -> None:
    """From - the packets that are there are printed before the writer is done."""
    with subprocess.Popen(
        [*HIL, packets, "-", "--json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        whole = Path("p").read_bytes()
        process.stdin.write(whole)
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["packet"] == 0
        process.stdin.write(whole)
        process.stdin.close()
        rest = process.stdout.read().splitlines()
    assert process.returncode == 0
    assert len(rest) == 8
    assert json.loads(rest[-1])["counters"]["input"]["octets"] == 2 * len(whole)


def test_a_pipe_gives_the_same_as_a_file(packets: str, capsys: Any) -> None:
    """The answer does not depend on how the octets come."""
    _, out, _ = here(capsys, packets, "p", "--json")
    code, text, _ = run(packets, "-", "--json", stdin=Path("p").read_bytes())
    assert code == 0
    assert text.splitlines() == out


def test_ctrl_c_gives_what_was_decoded(packets: str) -> None:
    """Interrupted, the counters so far are printed, tables are whole, and the exit code is 130."""
    command = [*HIL, packets, "-", "--json", "--csv", "out"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(Path("p").read_bytes())
        process.stdin.flush()
        lines = [process.stdout.readline() for _ in range(4)]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 130
    assert json.loads(lines[-1])["packet"] == 3
    assert json.loads(out)["counters"]["packets"]["packets"] == 4
    assert err.decode().splitlines()[-1] == "hil codec: interrupted"
    assert len(rows_of("out/packets.csv")) == 4


def test_a_reader_that_leaves_ends_it_quietly(packets: str) -> None:
    """A closed pipe on stdout is no traceback."""
    Path("p").write_bytes(Path("p").read_bytes() * 20_000)
    with subprocess.Popen(
        [*HIL, packets, "p", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 128 + signal.SIGPIPE
    assert b"Traceback" not in err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["c.toml", "absent"], 2, "absent: No such file"),
        (["c.toml", "."], 2, "Is a directory"),
        (["absent.toml", "p"], 2, "absent.toml"),
        (["p", "c.toml"], 2, "hil codec c.toml p"),
        (["c.toml", "p", "--packets", "p"], 2, "give the name of a new file"),
        (["c.toml", "p", "--csv", "p"], 3, "give another directory"),
        (["c.toml", "p", "--csv", "/proc/none"], 3, "give another directory"),
        (["c.toml", "p", "--csv", "full"], 2, "full holds x.csv already"),
        (["c.toml", "p", "--apid", "x"], 2, "numbers with commas"),
        (["c.toml", "p", "--apid", "2048"], 2, "0 to 2047"),
        (["c.toml"], 2, "FILE"),
    ],
)
def test_what_is_wrong_is_said_once(
    packets: str, capsys: Any, words: list[str], code: int, says: str
) -> None:
    """A wrong path or option is one line with the remedy, and leaves no output behind."""
    Path("full").mkdir()
    Path("full/x.csv").write_text("precious")
    before = sorted(str(path) for path in Path().rglob("*"))
    try:
        got = main(["codec", *words, "--json"])
    except SystemExit as stop:
        got = int(stop.code or 0)
    captured = capsys.readouterr()
    assert got == code
    assert says in captured.err.strip().splitlines()[-1]
    assert captured.out == ""
    assert "Traceback" not in captured.err
    assert sorted(str(path) for path in Path().rglob("*")) == before


def test_a_closed_stdin_is_one_line(packets: str) -> None:
    """- without a standard input is wrong usage, not a traceback."""
    command = " ".join([*HIL, packets, "-", "<&-"])
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_a_full_disk_is_one_line(packets: str) -> None:
    """Output that cannot be written ends with exit code 3."""
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [*HIL, packets, "p", "--json"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 3
    assert b"No space left" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("suffix", ["", "--json", "--csv"])
def test_an_empty_file_is_said_to_be_empty(packets: str, capsys: Any, suffix: str) -> None:
    """No octets are no error: counters of 0, tables with headers, and a hint."""
    Path("none").write_bytes(b"")
    words = [suffix] if suffix == "--json" else ["--csv", "out"] if suffix else []
    code, out, err = here(capsys, packets, "none", *words)
    assert code == 0
    assert err[-1] == "hint: the input is empty"
    assert len(out) == 1 if suffix == "--json" else out[0] == "input"
    if suffix == "--csv":
        assert rows_of("out/packets.csv") == []


def test_garbage_is_counted_and_hinted_at(capsys: Any) -> None:
    """A file of noise decodes to nothing, says so, and says where to look."""
    noise = np.random.default_rng(1).integers(0, 256, 50_000, np.uint8).tobytes()
    Path("noise").write_bytes(noise)
    Path("c.toml").write_text(FRAMES.format(input="octets"))
    code, out, err = here(capsys, "c.toml", "noise", "--strict")
    assert code == 1
    assert "link" in out
    assert len(err) == 1
    assert err[0].startswith("hint: no marker 1acffc1d was found: look at channel.input")
    assert here(capsys, "c.toml", "noise", "--quiet")[2] == []


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        ("nbytes = 64", "nbytes = 70", "are bad_fecf: look at frames.nbytes"),
        ("scid = 9", "scid = 8", "are foreign_frames: look at frames.scid"),
        ('kind = "tm"', 'kind = "aos"', "are bad_version: look at frames.kind"),
        ('randomiser = "tm"', "", "look at frames.nbytes, frames.fecf, channel.randomiser"),
        ("nbytes = 64", "nbytes = 64\nfecf = 'none'", ""),
    ],
)
def test_a_wrong_stage_is_named(capsys: Any, old: str, new: str, hint: str) -> None:
    """Where no frame passes, the hint names the keys of the stage that refused them."""
    Path("in").write_bytes(air(200)[0])
    Path("c.toml").write_text(FRAMES.format(input="octets").replace(old, new))
    _, _, err = here(capsys, "c.toml", "in")
    assert hint in "\n".join(err)
    assert len(err) == (1 if hint else 0)


def test_a_serial_line(capsys: Any) -> None:
    """Packets in COBS frames come out; frames that hold none are counted and marked."""
    Path("c.toml").write_text('[channel]\nname = "line"\ninput = "cobs"\n')
    sent = [space_packet.pack(3, i, b"abc") for i in range(3)]
    Path("in").write_bytes(cobs.frames([*sent, b"no packet"]))
    code, out, _ = here(capsys, "c.toml", "in", "--strict")
    assert code == 1
    assert any("not_packets" in line and "!" in line for line in out)


def test_bits_that_are_none_are_refused(capsys: Any) -> None:
    """Octets above 1 in a file of bits are said to be wrong, with what to do."""
    Path("c.toml").write_text(FRAMES.format(input="bits"))
    Path("in").write_bytes(b"\0\1\7")
    code, _, err = here(capsys, "c.toml", "in")
    assert code != 0
    assert len(err) == 1
    assert "octets or symbols" in err[0]


def test_progress_is_for_terminals_only(packets: str) -> None:
    """Nothing but lines of text goes to stderr when it is no terminal."""
    _, _, err = run(packets, "p")
    assert "\r" not in err
    assert "\x1b" not in err


def test_progress_is_drawn_on_a_terminal(packets: str) -> None:
    """On a terminal a bar is drawn, and taken away before the counters come."""
    import pty

    main_end, side = pty.openpty()
    with os.fdopen(main_end, "rb", buffering=0) as terminal:
        done = subprocess.run([*HIL, packets, "p"], stdout=subprocess.PIPE, stderr=side, check=True)
        os.close(side)
        drawn = os.read(terminal.fileno(), 65_536).decode()
    assert "100%" in drawn
    assert drawn.split("\r\x1b[K")[-1].startswith("hint: ")
    assert "\x1b" not in done.stdout.decode()
