"""``hil codec``: every option, and every kind of input and output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from decoding import FRAMES, PACKETS, VALUES, air, here, rows_of

from flightsw.codec.coding.reed_solomon import ReedSolomon
from flightsw.codec.link import aos_frame
from flightsw.codec.link.frames import Frames
from flightsw.codec.link.receiver import CHANNEL_COUNTERS
from flightsw.codec.packet import space_packet
from flightsw.codec.packet.pus_format import PUS_C
from flightsw.codec.packet.sequence import COUNTERS as PACKET_COUNTERS
from flightsw.codec.serial import cobs
from flightsw.codec.xtce.channel import channel_xtce
from hil.channel import load_channel
from hil.cli.counters import PLAIN, TROUBLE

pytestmark = pytest.mark.usefixtures("workplace")


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


def test_an_apid_that_no_packet_has_is_hinted_at(packets: str, capsys: Any) -> None:
    """Where --apid names what is not there, a hint lists what is; where it is there, none comes."""
    _, _, err = here(capsys, packets, "p", "--apid", "6,9,7")
    assert "hint: no packet has APID 7, 9; there are 5, 6, 8" in err
    _, _, err = here(capsys, packets, "p", "--apid", "6")
    assert not [line for line in err if "APID" in line]


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


def test_a_serial_line(capsys: Any) -> None:
    """Packets in COBS frames come out; frames that hold none are counted and marked."""
    Path("c.toml").write_text('[channel]\nname = "line"\ninput = "cobs"\n')
    sent = [space_packet.pack(3, i, b"abc") for i in range(3)]
    Path("in").write_bytes(cobs.frames([*sent, b"no packet"]))
    code, out, _ = here(capsys, "c.toml", "in", "--strict")
    assert code == 1
    assert any("not_packets" in line and "!" in line for line in out)


def test_units_are_what_is_no_packet(capsys: Any) -> None:
    """--units has a file a virtual channel with the data fields of opaque ones, in order."""
    encoder = aos_frame.Encoder(Frames("aos", 64, 9))
    fields = [bytes([i] * encoder.field_nbytes) for i in range(6)]
    frames = [encoder.opaque_frame(3 + i % 2, field) for i, field in enumerate(fields)]
    frames.append(encoder.idle_frame())
    Path("in").write_bytes(b"".join(frames))
    Path("c.toml").write_text(
        '[channel]\nname = "x"\ninput = "frames"\n[frames]\nkind = "aos"\nnbytes = 64\n'
        '[frames.services]\n3 = "opaque"\n4 = "opaque"\n'
    )
    code, _, err = here(capsys, "c.toml", "in", "--units", "out")
    assert (code, len(err)) == (0, 2)
    assert Path("out/vc3.bin").read_bytes() == b"".join(fields[::2])
    assert Path("out/vc4.bin").read_bytes() == b"".join(fields[1::2])
    code, out, err = here(capsys, "c.toml", "in", "--units", "out")
    assert (code, out, len(err)) == (2, [], 1)


HINTED = """
[channel]
name = "x"
input = "frames"
[reed_solomon]
e = 16
[frames]
kind = "aos"
nbytes = 223
[packets]
error_control = true
[packets.pus]
version = "c"
[[layout]]
name = "a"
apid = 100
service = 3
fields = [{name = "n", type = "u16"}]
"""


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        ("e = 16", 'basis = "conventional"', "passed the Reed-Solomon code: look at randomiser"),
        ("e = 16", "interleave = 2", "frames.nbytes"),
        ("apid = 100", "apid = 101", "no packet is for layout a (apid 101, service 3)"),
        ('type = "u16"', 'type = "u24"', "no packet has the 3 octets that layout a describes"),
        ('version = "c"', 'version = "a"', "no packet has the PUS header described"),
        ("error_control = true", "no_pus = [100]", "no packet is for layout a"),
        ("e = 16", "", ""),
    ],
)
def test_hints_name_the_keys(capsys: Any, old: str, new: str, hint: str) -> None:
    """Each stage that gives nothing at all has a hint of its own; where all is well, none comes."""
    encoder = aos_frame.Encoder(Frames("aos", 223, 9))
    encoder.add(0, PUS_C.pack_tm(100, 0, 3, 25, b"ab", t_ns=0))
    frame = encoder.next_frame(0, flush=True)
    assert frame is not None
    Path("in").write_bytes(ReedSolomon(interleave=1).encode(frame))
    text = HINTED.replace(old, new, 1)
    if "interleave" in new:
        text = text.replace("nbytes = 223", "nbytes = 446")
    Path("c.toml").write_text(text)
    _, _, err = here(capsys, "c.toml", "in")
    assert bool(err) is bool(hint)
    assert hint in "".join(err)


def test_xtce_says_what_the_channel_says(packets: str, capsys: Any) -> None:
    """--xtce alone writes the document and decodes nothing; a file there is not written over."""
    refused = here(capsys, packets, "p", "--xtce", "x.xml")
    assert (refused[:2], len(refused[2])) == ((2, []), 1)
    text = Path(packets).read_text()
    text = "\n".join(line for line in text.splitlines() if "rest" not in line)
    Path(packets).write_text(text)
    wanted = channel_xtce(load_channel(packets))
    assert here(capsys, packets, "--xtce", "x.xml") == (0, [], [])
    assert Path("x.xml").read_text(encoding="utf-8") == wanted
    code, out, err = here(capsys, packets, "--xtce", "x.xml")
    assert (code, out, len(err)) == (2, [], 1)
    assert here(capsys, packets, "p", "--xtce", "y.xml", "-q")[1][0] == "input"


@pytest.mark.parametrize(
    "stage",
    [
        'input = "octets"\nrandomiser = "tm"\n[marker]\n[frames]\nkind = "tm"\nnbytes = 64',
        'input = "symbols"\n[convolutional]\n[marker]\n[frames]\nkind = "aos"\nnbytes = 64',
        'input = "octets"\n[marker]\n[reed_solomon]\n[frames]\nkind = "aos"\nnbytes = 223',
        'input = "frames"\n[reed_solomon]\n[frames]\nkind = "uslp"\nnbytes = 223',
        'input = "packets"',
        'input = "cltu"\nrandomiser = "tc"\n[frames]\nkind = "tc"\nnbytes = 1024',
        'input = "cobs"',
        'input = "slip"',
        'input = "hdlc"',
    ],
)
def test_every_counter_is_explained(stage: str, capsys: Any) -> None:
    """Each counter of each stage has its sentence, on one side of trouble and no trouble."""
    Path("c.toml").write_text(f'[channel]\nname = "x"\n{stage}\n')
    Path("in").write_bytes(bytes(2000) + space_packet.pack(5, 0, b"abc") * 40)
    _, out, _ = here(capsys, "c.toml", "in", "--json")
    found = json.loads(out[-1])["counters"]
    names = {name for values in found.values() for name in values}
    names |= {"rows", "wrong_length", "undecodable", *CHANNEL_COUNTERS, *PACKET_COUNTERS}
    assert names - set(TROUBLE) - set(PLAIN) == set()
    assert set(TROUBLE) & set(PLAIN) == set()
