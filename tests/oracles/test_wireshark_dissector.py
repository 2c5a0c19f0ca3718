"""Our dissector in Wireshark says what our codec packed, and survives whatever else comes."""

from __future__ import annotations

import random
import struct
from collections import Counter
from pathlib import Path

import pytest
from tshark import NAMES, exported, needs_tshark, table, tshark

from flightsw.codec import bus_payload
from flightsw.codec.coding import cltu
from flightsw.codec.coding.randomiser import tm_randomise
from flightsw.codec.link import tc_frame, tm_frame
from flightsw.codec.link.frames import Frames
from flightsw.codec.packet import pus
from flightsw.codec.wire import Flag, Kind, Record, Status
from hil.capture.export.naming import Names, name_of
from hil.capture.export.pcapng import LINKTYPE_CAN_SOCKETCAN, LINKTYPE_USER0, PcapngWriter, block
from hil.capture.topics import topic_of

REPLY = int(Flag.REPLY)
SCID = 0x105


def bus_records() -> list[Record]:
    """Return a record of each bus, with its fields known."""
    i2c = bus_payload.pack_i2c_reply([(0x40, 0, b"\xfe"), (0x40, 1, 2)], [b"TI"])
    spi = bus_payload.pack_spi([(b"\x9f\0", 5_000_000, 8, 1, 7)], [b"\xff\xef"])
    wire = bus_payload.pack_onewire([(0, b""), (1, b"\xcc"), (2, 2)], [b"\1", b"\x10\x20"])
    load = bus_payload.LOAD_REPLY.pack(2_500, 77) + bus_payload.LOAD_REQUEST.pack(9) + b"net"
    can_flags = int(Flag.INPUT | Flag.CAN_FD)
    return [
        Record(Kind.I2C, 0, REPLY, 0, 10, 120_000, 0, 0x40, i2c),
        Record(Kind.SPI, 5, REPLY, 0, 20, 450, 1, 1, spi),
        Record(Kind.ONEWIRE, 6, REPLY, 0, 30, 960_000, 2, 0, wire),
        Record(Kind.UART, 3, 2, 0, 40, 86_805, 3, 0, b"$GNRMC,\r\n"),
        Record(Kind.CAN, 1, can_flags, 0, 50, 99_000, 4, 0x123, b"\1\2"),
        Record(Kind.GPIO, 2, 0, 0, 60, 0, 5, 24, b"\1"),
        Record(Kind.LOAD, 255, REPLY, 0, 70, 0, 6, 0, load),
        Record(Kind.EVENT, 241, 0, 0, 80, 0, 7, 0, b'{"name":"SAFE_MODE","severity":4}'),
        Record(Kind.CAN, 1, 0, int(Status.BUS_OFF), 90, 0, 8, 0x1FFFFFFF, b""),
    ]


@needs_tshark
def test_every_field_of_the_header_can_be_filtered(tmp_path: Path) -> None:
    """Header fields of each record, also behind a CAN frame, are what the record holds."""
    path = exported(tmp_path, bus_records())
    keys = ("kind", "channel", "flags", "status", "length", "t_ns", "duration_ns", "seq", "address")
    rows = table(path, *(f"flatsat.{key}" for key in keys), lua=True)
    for row, record in zip(rows, bus_records(), strict=True):
        values = [int(row[f"flatsat.{key}"], 0) for key in keys]
        assert values == [*record[:4], len(record.payload), *record[4:8]]
    only = "flatsat.status == 8 && flatsat.seq >= 8 && flatsat.flags.input == 0"
    (row,) = table(path, "can.len", "_ws.expert.message", only=only, lua=True)
    assert (row["can.len"], row["_ws.expert.message"]) == (
        "0",
        "seq=8: status BUS_OFF;Status BUS_OFF",
    )


@needs_tshark
def test_payloads_of_buses_are_taken_apart(tmp_path: Path) -> None:
    """Messages, segments, steps, octets, levels and loads read as they were packed."""
    fields = ["i2c.address", "i2c.read", "i2c.data", "spi.speed_hz", "spi.cs_change", "spi.tx"]
    fields += ["spi.rx", "onewire.op", "onewire.data", "uart.data", "gpio.line", "gpio.level"]
    fields += ["load.energy_uj", "load.units", "load.class"]
    keys = [f"flatsat.{field}" for field in fields]
    rows = table(exported(tmp_path, bus_records()), *keys, "json.value.string", lua=True)
    told = [[value for value in row.values() if value] for row in rows]
    assert told == [
        ["0x0040;0x0040", "0;1", "fe;5449"],
        ["5000000", "1", "9f00", "ffef"],
        ["0;1;2", "01;cc;1020"],
        [b"$GNRMC,\r\n".hex()],
        [],
        ["24", "1"],
        ["77", "9", "net"],
        ["SAFE_MODE"],
        [],
    ]


def packets_of(count: int, size: int = 90) -> list[bytes]:
    """Return telemetry packets of different sizes, each of the next number."""
    return [
        pus.pack_tm(257, n, 3, 25, bytes(size + 7 * n), t_ns=n * 1_500_000_000, counter=n)
        for n in range(count)
    ]


def frames_of(packets: list[bytes], vcid: int = 1) -> list[bytes]:
    """Return the packets in frames of 256 octets with a CLCW."""
    encoder = tm_frame.Encoder(Frames("tm", 256, SCID, ocf=True))
    for packet in packets:
        encoder.add(vcid, packet)
    frames = []
    while (frame := encoder.next_frame(vcid, b"\x01\x00\x02\x05", flush=True)) is not None:
        frames.append(frame)
    return frames


def on_air(frames: list[bytes], randomised: bool = True) -> list[Record]:
    """Return records of frames as the air carries them, the numbers without a gap."""
    units = [tm_frame.ASM + (tm_randomise(f) if randomised else f) for f in frames]
    return [Record(Kind.TM, 240, 0, 0, n, 1, n, 0, unit) for n, unit in enumerate(units)]


@needs_tshark
@pytest.mark.parametrize("randomised", [True, False])
def test_packets_across_frames_are_found_whole(tmp_path: Path, randomised: bool) -> None:
    """Every packet that was put into frames comes out once, with its PUS header and time."""
    packets = packets_of(40)
    path = exported(tmp_path, on_air(frames_of(packets), randomised))
    fields = ["flatsat.sp.count", "flatsat.sp.crc_good", "flatsat.pus.service", "flatsat.sp.length"]
    fields += ["flatsat.pus.time_s", "flatsat.sp.apid", "flatsat.tm.vc_count", "flatsat.tm.scid"]
    fields += ["flatsat.tm.randomised", "flatsat.clcw.report", "_ws.expert.message"]
    rows = table(path, *fields, lua=True)
    found = {
        key: [v for row in rows for v in row[f"flatsat.{key}"].split(";") if v]
        for key in ("sp.count", "sp.length", "pus.service", "pus.time_s", "sp.crc_good")
    }
    real = [n for n, apid in enumerate(_flat(rows, "flatsat.sp.apid")) if apid == "257"]
    assert [int(found["sp.count"][n]) for n in real] == list(range(40))
    assert [int(found["sp.length"][n]) for n in real] == [len(p) - 7 for p in packets]
    assert set(found["sp.crc_good"]) == {"1"}
    assert len(found["pus.service"]) == 40
    times = [float(t) for t in found["pus.time_s"]]
    assert times == pytest.approx([1.5 * n for n in range(40)], abs=1e-6)
    assert [int(row["flatsat.tm.vc_count"]) for row in rows] == list(range(len(rows)))
    assert {row["flatsat.tm.scid"] for row in rows} == {"0x0105"}
    assert {row["flatsat.tm.randomised"] for row in rows} == {str(int(randomised))}
    assert {row["flatsat.clcw.report"] for row in rows} == {"5"}
    assert {row["_ws.expert.message"] for row in rows} == {""}


def _flat(rows: list[dict[str, str]], key: str) -> list[str]:
    return [value for row in rows for value in row[key].split(";") if value]


@needs_tshark
def test_what_is_missing_or_damaged_is_remarked_where_it_is(tmp_path: Path) -> None:
    """A lost record, lost frame, lost packet, bad FECF and bad packet CRC are told, no others."""
    packets = packets_of(60)
    packets[50] = packets[50][:-1] + bytes([packets[50][-1] ^ 1])
    del packets[20:23]
    frames = frames_of(packets)
    records = on_air(frames)
    bad = bytearray(records[4].payload)
    bad[100] ^= 0x10
    records[4] = records[4]._replace(payload=bytes(bad), status=int(Status.DAMAGED))
    lost = records.pop(30)
    path = exported(tmp_path, records)
    keys = ["flatsat.seq", "_ws.expert.message", "_ws.expert.severity"]
    rows = {row["flatsat.seq"]: row["_ws.expert.message"] for row in table(path, *keys, lua=True)}
    told = {int(seq): words for seq, words in rows.items() if words}
    gap = told.pop(lost.seq + 1)
    assert "1 records are missing before #31" in gap
    assert "1 frames of virtual channel 1 are missing" in gap
    assert "Status DAMAGED" in told[4]
    assert "Frame error control field does not match" in told.pop(4)
    assert "1 frames of virtual channel 1 are missing" in told.pop(5)
    words = Counter("; ".join(told.values()).split("; "))
    joined = "; ".join(words)
    assert "3 packets of APID 257 before this one have not come" in joined
    assert "Packet error control does not match" in joined


@needs_tshark
def test_a_selection_of_channels_is_no_loss(tmp_path: Path) -> None:
    """With one channel of several exported, numbers jump and nothing is remarked."""
    records = bus_records()
    path = exported(tmp_path, records, "--topic", "can0", "--topic", "gpiochip0")
    rows = table(path, "flatsat.seq", "frame.drop_count", "_ws.expert.message", lua=True)
    assert [row["flatsat.seq"] for row in rows] == ["4", "5", "8"]
    assert {row["frame.drop_count"] for row in rows} == {""}
    assert [row["_ws.expert.message"] for row in rows][:2] == ["", ""]


@needs_tshark
@pytest.mark.parametrize("randomised", [False, True])
def test_telecommands_are_read_through_their_code_blocks(tmp_path: Path, randomised: bool) -> None:
    """Frame, segment header, packet and PUS header of a CLTU come out; damage is told."""
    packet = pus.pack_tc(257, 9, 17, 1, b"", ack=0b1001)
    units = [
        cltu.encode(tc_frame.pack(SCID, 3, 77, packet, map_id=5), randomised=randomised),
        cltu.encode(tc_frame.pack(SCID, 3, 0, b"\x82\0\0", bypass=True, control=True)),
    ]
    broken = bytearray(units[0])
    broken[12] ^= 4
    records = [
        Record(Kind.TC, 240, 0, 0, n, 1, n, 0, unit)
        for n, unit in enumerate([*units, bytes(broken)])
    ]
    keys = ["tc.scid", "tc.vcid", "tc.seq", "tc.map", "tc.control", "tc.fecf_good", "sp.count"]
    keys += ["pus.service", "pus.acks", "sp.crc_good", "tc.randomised"]
    rows = table(exported(tmp_path, records), *(f"flatsat.{k}" for k in keys), lua=True)
    good = ["0x0105", "3", "77", "5", "0", "1", "9", "17", "0x09", "1", str(int(randomised))]
    assert list(rows[0].values()) == good
    assert list(rows[1].values()) == ["0x0105", "3", "0", "", "1", "1", "", "", "", "", "0"]
    text = tshark(tmp_path / "exported.pcapng", "-Y", "flatsat.seq == 2", "-V", lua=True)
    assert "code block 2 is damaged" in text


@needs_tshark
def test_counts_of_every_channel_are_those_of_the_capture(tmp_path: Path) -> None:
    """Packets by interface are records by channel; a gap on any of them is told once."""
    rng = random.Random(5)
    kinds = [(Kind.I2C, 0), (Kind.CAN, 1), (Kind.GPIO, 2), (Kind.UART, 3), (Kind.EVENT, 241)]
    records, seq, gaps = [], 0, 0
    for n in range(3000):
        if rng.random() < 0.01:
            seq, gaps = seq + rng.randrange(1, 50), gaps + (n > 0)
        kind, channel = rng.choice(kinds)
        data = b'{"n":1}' if kind == Kind.EVENT else rng.randbytes(rng.randrange(9))
        records.append(Record(kind, channel, 2, 0, n * 200_000, 0, seq, 0x42, data))
        seq += 1
    path = exported(tmp_path, records)
    rows = table(path, "frame.interface_name", "flatsat.expert.gap", lua=True)
    counts = Counter(row["frame.interface_name"] for row in rows)
    assert counts == Counter(name_of(topic_of(r.kind, r.channel, NAMES)) for r in records)
    assert sum(bool(row["flatsat.expert.gap"]) for row in rows) == gaps > 10


def fuzzed(path: Path, count: int, seed: int) -> None:
    """Write packets of all our link types whose octets were changed, cut or made up."""
    rng = random.Random(seed)
    frames = [tm_frame.ASM + tm_randomise(frame) for frame in frames_of(packets_of(30))]
    units = [cltu.encode(tc_frame.pack(SCID, 3, n, packets_of(2)[0])) for n in range(4)]
    seeds = [r.pack() for r in bus_records()]
    seeds += [Record(Kind.TM, 240, 0, 0, 0, 0, 0, 0, frame).pack() for frame in frames]
    seeds += [Record(Kind.TC, 240, 0, 0, 0, 0, 0, 0, unit).pack() for unit in units]
    can = [struct.pack(">IBBH", 5, 2, 0, 0) + b"ab" + seeds[4][:32], bytes(8), b""]
    kinds = [seeds, frames, units, packets_of(5), can]
    types = [LINKTYPE_USER0 + n for n in range(4)] + [LINKTYPE_CAN_SOCKETCAN]
    with path.open("wb") as file:
        PcapngWriter(file.write, Names(), {})
        for link_type in types:
            file.write(block(1, struct.pack("<HHI", link_type, 0, 0)))
        for _ in range(count):
            nth = rng.choices(range(5), [8, 2, 2, 2, 1])[0]
            data = bytearray(rng.choice(kinds[nth]))
            if data and nth == 0 and rng.random() < 0.3:
                data[0] = rng.choice([*Kind, rng.randrange(256)])
            for _ in range(rng.randrange(6)):
                if data:
                    data[rng.randrange(len(data))] = rng.choice(
                        [0, 1, 0x7F, 0xFF, rng.randrange(256)]
                    )
            if rng.random() < 0.3:
                del data[rng.randrange(len(data) + 1) :]
            if rng.random() < 0.1:
                data += rng.randbytes(rng.randrange(300))
            whole = len(data) + (rng.randrange(9) if rng.random() < 0.1 else 0)
            head = struct.pack("<IIIII", nth, 0, rng.randrange(2**32), len(data), whole)
            file.write(block(6, head + bytes(data) + bytes(-len(data) % 4)))


@needs_tshark
@pytest.mark.parametrize(
    "count",
    [pytest.param(3000, id="quick"), pytest.param(100_000, id="long", marks=pytest.mark.soak)],
)
def test_no_octets_make_the_dissector_fail(tmp_path: Path, count: int) -> None:
    """Changed, cut and made-up packets are all dissected without an error of Lua."""
    path = tmp_path / "fuzzed.pcapng"
    fuzzed(path, count, seed=count)
    numbers = tshark(path, "-V", lua=True).count("\nFrame ")
    assert numbers == count - 1
    assert len(table(path, "flatsat.expert.cut", "frame.number", lua=True)) == count
