"""Records in the names of board, part and dictionary; octets that mean nothing stay octets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import accumulate, pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.codec import bus_payload, dictionary, eps_frames
from flightsw.codec.coding import cltu
from flightsw.codec.link import tc_frame, tm_frame
from flightsw.codec.link.frames import Frames
from flightsw.codec.packet import pus
from flightsw.codec.wire import Flag, Kind, Record
from hil.board import load_board
from hil.parts.ublox import ubx
from hil.replay.decode import Decoder
from hil.replay.decoding.lines import GnssLine, Line, TelecommandLine, TelemetryLine, Unit
from hil.replay.rules import plain

BOARD = load_board("raspberrypi4")
NAMES = {bus.index: bus.name for bus in BOARD.buses}
I2C, SPI, GNSS, TTC, CAN, GPIO, CAMERA = range(7)


def record(kind: Kind, channel: int, payload: bytes, address: int = 0, flags: int = 1) -> Record:
    """Return a record at one second."""
    return Record(kind, channel, flags, 0, 10**9, 120_000, 7, address, payload)


def decoded(*records: Record) -> dict[str, int | float | str]:
    """Return the fields of the last of some records, decoded in order."""
    decoder = Decoder(BOARD, None, NAMES)
    return [decoder.fields(one) for one in records][-1]


def packets() -> list[bytes]:
    """Return a report of each kind that the dictionary has numbers for."""
    made = []
    for n, structure in enumerate(dictionary.STRUCTURES):
        data = bytes((structure.sid,)) + bytes(structure.struct.sizeof())
        made.append(pus.pack_tm(257, n, 3, 25, data, t_ns=n * 10**9, counter=n))
    data = (3).to_bytes(2, "big") + bytes((dictionary.ModeReason.POWER,))
    made.append(pus.pack_tm(257, 9, 5, 4, data, t_ns=10**9, counter=0))
    return made


def cadus(rows: list[bytes]) -> bytes:
    """Return packets in frames as the transceiver radiates them."""
    encoder = tm_frame.Encoder(Frames("tm", 256, 0x105, ocf=True))
    for packet in rows:
        encoder.add(0, packet)
    out = []
    while (frame := encoder.next_frame(0, b"\x01\0\0\0", flush=True)) is not None:
        out.append(tm_frame.cadu(frame))
    return b"".join(out)


def test_a_read_names_register_bits_and_reading() -> None:
    """A read of a register has its name, its value, and the reading in its unit."""
    payload = bus_payload.pack_i2c_reply([(0x40, 0, b"\x04"), (0x40, 1, 2)], [b"\x3d\xe8"])
    told = decoded(record(Kind.I2C, I2C, payload, 0x40))
    assert list(told)[:5] == ["t_ns", "duration_ns", "flags", "status", "address"]
    assert told["i2c.power_monitor.register"] == "BUS_VOLTAGE_2"
    assert told["i2c.power_monitor.access"] == "read"
    assert told["i2c.power_monitor.BUS_VOLTAGE_2"] == 0x3DE8
    assert told["i2c.power_monitor.bus2_v"] == pytest.approx(15.848)


def test_a_read_without_its_pointer_goes_on_from_the_last() -> None:
    """Registers that are read behind an earlier write of the pointer have their names."""
    point = bus_payload.pack_i2c_reply([(0x40, 0, b"\x00")], [])
    read = bus_payload.pack_i2c_reply([(0x40, 1, 2)], [b"\x71\x27"])
    alone = decoded(record(Kind.I2C, I2C, read, 0x40))
    assert alone["i2c.power_monitor.read[0]"] == 0x71
    both = decoded(record(Kind.I2C, I2C, point, 0x40), record(Kind.I2C, I2C, read, 0x40))
    assert both["i2c.power_monitor.CONFIG"] == 0x7127


def test_registers_of_one_octet_follow_each_other() -> None:
    """A burst names every register that it reads, and the words that these make up."""
    row = bytes(range(14))
    payload = bus_payload.pack_i2c_reply([(0x6A, 0, b"\x20"), (0x6A, 1, 14)], [row])
    told = decoded(record(Kind.I2C, I2C, payload, 0x6A))
    assert [told[f"i2c.imu.OUT_{n:X}"] for n in range(14)] == list(row)
    assert told["i2c.imu.temperature_c"] == pytest.approx(25 + 0x0100 / 256)


def test_an_address_without_a_part_keeps_its_octets() -> None:
    """What nobody on the board answers to is written and read octet by octet."""
    payload = bus_payload.pack_i2c_reply([(0x33, 0, b"\x01\x02"), (0x33, 1, 1)], [b"\x09"])
    told = decoded(record(Kind.I2C, I2C, payload, 0x33))
    assert (told["write[0]"], told["write[1]"], told["read[0]"]) == (1, 2, 9)


def test_other_buses_are_named_too() -> None:
    """Flash, CAN frames of the power system, pins, pictures and work have names."""
    flash = bus_payload.pack_spi([(b"\x20\x00\x10\x00", *bus_payload.SPI_DEFAULTS)], [bytes(4)])
    told = decoded(record(Kind.SPI, SPI, flash))
    assert (told["spi.flash.command"], told["spi.flash.address"]) == ("sector_erase", 0x1000)
    can_id, data = eps_frames.encode(eps_frames.Battery(3000, -5, 200, 1, 7))
    told = decoded(record(Kind.CAN, CAN, data, can_id))
    assert (told["can.battery.voltage_v"], told["can.battery.current_a"]) == (15.0, -0.05)
    told = decoded(record(Kind.GPIO, GPIO, b"\x01", 24))
    assert told["gpio.watchdog.kick"] == 1
    head = bus_payload.FRAME_HEADER.pack(2, 1, 3, 8, 0)
    told = decoded(record(Kind.FRAME, CAMERA, head + bytes(6)))
    assert (told["image.width"], told["image.nbytes"]) == (2, 6)
    work = bus_payload.LOAD_REPLY.pack(5, 6) + bus_payload.LOAD_REQUEST.pack(8) + b"segmentation"
    told = decoded(record(Kind.LOAD, 255, work))
    assert (told["load.units"], told["load.model"]) == (8, "segmentation")
    told = decoded(record(Kind.EVENT, 241, json.dumps({"name": "BOOT", "a": [1, 2]}).encode()))
    assert (told["event.name"], told["event.a[1]"]) == ("BOOT", 2)


def test_a_packet_is_told_by_the_record_that_completes_it() -> None:
    """Packets that come in pieces of 64 octets are told whole, by name, with the last piece."""
    stream = cadus(packets())
    decoder = Decoder(BOARD, None, NAMES)
    told: dict[str, int | float | str] = {}
    for at in range(0, len(stream), 64):
        piece = record(Kind.UART, TTC, stream[at : at + 64], flags=0)
        told |= {plain(name): value for name, value in decoder.fields(piece).items()}
    assert told["tm.status.mode"] == "BOOT"
    assert told["tm.event.SAFE_MODE.reason"] == "POWER"
    assert told["frame.scid"] == 0x105
    assert told["frame.fecf"] == "good"


def test_packets_of_one_record_have_numbers() -> None:
    """Where a record completes several packets, each has its own names."""
    packet = packets()[0]
    told = decoded(record(Kind.TM, 240, cadus([packet, packet, packet]), flags=0))
    assert {"tm.seq", "tm[1].seq", "tm[2].seq", "tm[2].status.mode"} <= set(told)


def test_a_telecommand_is_told_on_line_and_link() -> None:
    """A function on the uplink has its name and its arguments, in the unit or in pieces of it."""
    function = dictionary.FUNCTION_BY_ID[1]
    values = {"job": 5, "exposure_us": 2000, "priority": 1, "max_cloud": 255}
    data = function.id.to_bytes(2, "big") + function.struct.build(values)
    frame = tc_frame.pack(0x105, 0, 3, pus.pack_tc(257, 0, 8, 1, data))
    unit = cltu.encode(frame)
    told = decoded(record(Kind.TC, 240, unit, flags=0))
    assert (told["tc.name"], told["tc.take_image.job"]) == ("take_image", 5)
    assert told["tcframe.seq"] == 3
    pieces = [record(Kind.UART, TTC, p, flags=Flag.INPUT) for p in (unit[:30], unit[30:])]
    assert decoded(*pieces)["tc.take_image.exposure_us"] == 2000


def test_messages_of_the_receiver_have_names() -> None:
    """UBX messages and NMEA sentences are named; NAV-PVT is told field by field."""
    message = ubx.frame(ubx.NAV_PVT, bytes(92)) + b"$GPZDA,1,2*00\r\n"
    told = decoded(record(Kind.UART, GNSS, message, flags=Flag.INPUT))
    assert (told["ubx.name"], told["ubx.nav_pvt.fix_type"]) == ("nav_pvt", 0)
    assert (told["nmea.name"], told["nmea.GPZDA[2]"]) == ("GPZDA", "2")


LINES = {"tm": lambda: TelemetryLine(256), "tc": TelecommandLine, "gnss": GnssLine}


def units(line: Line, stream: bytes, cuts: list[int]) -> Iterator[Unit]:
    """Yield the units of a stream that comes in pieces."""
    for begin, end in pairwise([0, *cuts, len(stream)]):
        yield from line.feed(stream[begin:end])


@pytest.mark.parametrize("name", LINES)
@given(st.data())
@settings(max_examples=30, deadline=None)
def test_pieces_and_damage_do_not_lose_octets(name: str, data: st.DataObject) -> None:
    """However a damaged stream is cut, the units are the same, and their places lie in it."""
    whole = {
        "tm": cadus(packets() * 3),
        "tc": cltu.encode(tc_frame.pack(5, 0, 1, pus.pack_tc(257, 1, 17, 1, b""))) * 4,
        "gnss": (ubx.frame(ubx.ACK_ACK, b"\x06\x8a") + b"$GPGLL,1*00\r\n") * 20,
    }[name]
    stream = bytearray(whole)
    for at in data.draw(st.lists(st.integers(0, len(stream) - 1), max_size=6)):
        stream[at] ^= data.draw(st.integers(1, 255))
    sizes = data.draw(st.lists(st.integers(1, 200), max_size=30))
    cuts = [at for at in accumulate(sizes) if at < len(stream)]
    once = list(units(LINES[name](), bytes(stream), []))
    pieces = list(units(LINES[name](), bytes(stream), cuts))
    rest = [b"".join(u.octets for u in found if u.kind == "octets") for found in (once, pieces)]
    assert rest[0] == rest[1]
    kept = [[(u.kind, u.begin, u.end, u.octets) for u in found if u.kind != "octets"]
            for found in (once, pieces)]  # fmt: skip
    assert kept[0] == kept[1]
    assert all(0 <= unit.begin < unit.end <= len(stream) and unit.fields for unit in once)


@pytest.mark.parametrize("name", LINES)
def test_what_is_never_completed_is_told_at_the_end(name: str) -> None:
    """However a line is cut off, the octets behind its last unit are given, and only once."""
    whole = {
        "tm": cadus(packets()),
        "tc": cltu.encode(tc_frame.pack(5, 0, 1, pus.pack_tc(257, 1, 17, 1, b""))),
        "gnss": ubx.frame(ubx.ACK_ACK, b"\x06\x8a") + b"$GPGLL,1*00\r\n",
    }[name]
    for cut in (1, 3, 5, len(whole) // 2, len(whole) - 1):
        line = LINES[name]()
        list(line.feed(whole[:cut]))
        told = list(line.end())
        assert b"".join(unit.octets for unit in told)
        assert all(unit.kind == "octets" and unit.end <= cut for unit in told)
        assert not list(line.end())


def test_segments_that_make_no_packet_are_told() -> None:
    """The data of a telecommand whose other segments never come is in its frame."""
    frames = [tc_frame.pack(5, 0, 1, bytes((n,)) * 8, segment_flags=1) for n in (1, 2)]
    told = [list(TelecommandLine().feed(cltu.encode(frame))) for frame in frames]
    assert [unit.kind for found in told for unit in found] == ["frames", "frames"]
    assert told[0][0].octets != told[1][0].octets
    assert told[1][0].fields["tcframe.segment[0]"] == 2


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*Kind, 0x77]),
            st.integers(0, 8),
            st.integers(0, 2**32 - 1),
            st.integers(0, 7),
            st.binary(max_size=80),
        ),
        max_size=8,
    )
)
@settings(max_examples=300, deadline=None)
def test_nothing_is_raised_on_odd_octets(rows: list[tuple[int, int, int, int, bytes]]) -> None:
    """Whatever a record holds, it is decoded: into octets, if into nothing else."""
    decoder = Decoder(BOARD, None, NAMES)
    for kind, channel, address, flags, payload in rows:
        odd = Record(kind, channel, flags, 99, 1, 2, 3, address, payload)
        told = decoder.fields(odd)
        assert told["address"] == address
        assert decoder.describe(odd).isprintable()


def test_a_line_stays_a_line() -> None:
    """What steers a terminal is spelt out where a record is described, whatever says it."""
    decoder = Decoder(BOARD, None, NAMES)
    for odd in (
        record(Kind.LOAD, 0, bytes(bus_payload.LOAD_REPLY.size + 8) + b"a\nb\x1b[31m"),
        record(Kind.EVENT, 0, json.dumps({"name": "a\nb\x1b[31m", "\x07": 1}).encode()),
    ):
        told = decoder.describe(odd)
        assert r"a\nb\x1b[31m" in told
        assert told.isprintable()


@given(st.binary(min_size=1, max_size=60), st.integers(0, 59), st.integers(1, 255))
@settings(max_examples=200, deadline=None)
def test_two_payloads_that_differ_differ_in_a_field(data: bytes, at: int, bits: int) -> None:
    """No difference of octets goes unnamed, on whatever kind of record."""
    other = bytearray(data)
    other[at % len(data)] ^= bits
    draw = Random(bits)
    decoder = Decoder(BOARD, None, NAMES)
    for kind in Kind:
        one = record(kind, draw.randrange(8), data, 0x40)
        assert decoder.changes(one, one._replace(payload=bytes(other)))
