"""PUS-A and PUS-C of any mission: one at a time, and as columns over many."""

from __future__ import annotations

import random
from typing import Any

import pytest
from guard import Guard

from flightsw.codec.errors import CodecError, FieldRangeError, SyncError, TruncatedError
from flightsw.codec.native import ffi, lib
from flightsw.codec.packet import pus, space_packet
from flightsw.codec.packet.find import scan
from flightsw.codec.packet.pus_format import PUS_A, PUS_C, PusFault, PusFormat
from flightsw.codec.packet.table import PacketTable
from flightsw.codec.time_code import DAY_NS, TimeFormat

FORMATS = [
    PUS_C,
    PUS_A,
    PusFormat(1, 1, 1, 1, TimeFormat("cds", 2, 2), tm_spare_nbytes=1, tc_spare_nbytes=2),
    PusFormat(2, 4, 3, 4, TimeFormat("cuc", 4, 4), preamble_sent=False),
    PusFormat(2, 2, 2, 2, None, error_control=False),
    PusFormat(1, 1, 0, 0, TimeFormat("cds", 3, 4), preamble_sent=False),
    PusFormat(2, 2, 2, 0, TimeFormat("cuc", 1, 0), tm_spare_nbytes=3),
]


def report(rnd: random.Random, mission: PusFormat) -> dict[str, Any]:
    """Return random values of a report that fit the mission's fields; times are exact."""
    unit = 2**24 // mission.time.coarse if mission.time is not None else 1
    seconds = rnd.randrange(200 if unit == 2**24 else 2**31)
    return {
        "apid": rnd.randrange(2047),
        "seq": rnd.randrange(16384),
        "service": rnd.randrange(256),
        "subtype": rnd.randrange(256),
        "data": rnd.randbytes(rnd.choice([0, 1, 30]) + (not mission.error_control)),
        "t_ns": None if mission.time is None else seconds * 10**9,
        "counter": rnd.randrange(1 << 8 * mission.counter_nbytes),
        "destination": rnd.randrange(1 << 8 * mission.destination_nbytes),
        "time_status": rnd.randrange(16 if mission.version == 2 else 1),
    }


def telecommand(rnd: random.Random, mission: PusFormat) -> dict[str, Any]:
    """Return random values of a telecommand that fit the mission's fields."""
    return {
        "apid": rnd.randrange(2047),
        "seq": rnd.randrange(16384),
        "service": rnd.randrange(256),
        "subtype": rnd.randrange(256),
        "data": rnd.randbytes(rnd.choice([0, 1, 30])),
        "ack": rnd.randrange(16),
        "source": rnd.randrange(1 << 8 * mission.source_nbytes),
    }


def test_published_octets() -> None:
    """TC[17,1] and TM[17,2] of PUS-C are the published octets, PUS-A differs by its rules."""
    assert PUS_C.pack_tc(1, 0, 17, 1, b"").hex().upper() == "1801C00000062F11010000161D"
    plain = PusFormat(time=None)
    assert plain.pack_tm(1, 0, 17, 2, b"").hex().upper() == "0801C00000082011020000000086D7"
    assert PUS_A.pack_tc(1, 22, 17, 1, b"").hex(",").startswith("18,01,c0,16,00,04,1f,11,01,")
    old = PusFormat(1, 0, 0, 0, TimeFormat("cds", 2, 0, epoch=1))
    ping = old.pack_tm(1, 5, 17, 2, b"", t_ns=0)
    assert ping[:-9].hex(",") == "08,01,c0,05,00,0b,10,11,02"
    assert ping[-9:-2] == bytes.fromhex("40000000000000")


@pytest.mark.parametrize("mission", FORMATS, ids=range(len(FORMATS)))
def test_one_by_one_and_columns_give_back_what_went_in(mission: PusFormat) -> None:
    """Every field of random packets comes back from both readers, in any mission's format."""
    rnd = random.Random(1)
    sent = [report(rnd, mission) for _ in range(300)]
    packets = [mission.pack_tm(**values) for values in sent]
    table = scan(b"".join(packets))
    columns = mission.tm_columns(table)
    assert columns.good.all()
    for i, (values, packet) in enumerate(zip(sent, packets, strict=True)):
        wanted = {**values}
        assert columns.status[i] == wanted.pop("time_status")
        assert mission.unpack_tm(packet)._asdict() == wanted
        assert (columns.service[i], columns.subtype[i]) == (values["service"], values["subtype"])
        assert (columns.counter[i], columns.party[i]) == (values["counter"], values["destination"])
        assert columns.t_ns[i] == (values["t_ns"] or 0)
        at = int(columns.data_offset[i])
        assert bytes(table.buf[at : at + int(columns.data_nbytes[i])]) == values["data"]
    sent = [telecommand(rnd, mission) for _ in range(300)]
    packets = [mission.pack_tc(**values) for values in sent]
    columns = mission.tc_columns(scan(b"".join(packets)))
    assert columns.good.all()
    for i, (values, packet) in enumerate(zip(sent, packets, strict=True)):
        assert mission.unpack_tc(packet)._asdict() == values
        assert (columns.status[i], columns.party[i]) == (values["ack"], values["source"])
        assert columns.data_nbytes[i] == len(values["data"])


@pytest.mark.parametrize(
    "time",
    [TimeFormat("cuc", a, b) for a in (1, 2, 3, 4) for b in range(5)]
    + [TimeFormat("cds", a, b) for a in (2, 3) for b in (0, 2, 4)],
    ids=str,
)
def test_times_of_columns_are_those_of_single_packets(time: TimeFormat) -> None:
    """Whatever stands in a time field, both readers make the same nanoseconds of it or refuse."""
    rnd = random.Random(2)
    mission = PusFormat(time=time, preamble_sent=False)
    days = [0, 1, 4383, 65_000 if time.coarse == 2 else 106_000]
    packets = []
    for i in range(200):
        octets = rnd.randbytes(time.nbytes)
        if time.code == "cds" and i % 4:
            octets = time.pack(rnd.choice(days) * DAY_NS + rnd.randrange(DAY_NS))
        packets.append(space_packet.pack(1, 0, b"\x20\x03\x19" + bytes(4) + octets + b"PE"))
    good = 0
    columns = mission.tm_columns(scan(b"".join(packets)))
    for i, packet in enumerate(packets):
        octets = packet[13 : 13 + time.nbytes]
        try:
            t_ns = time.unpack(octets)
        except SyncError:
            t_ns = 1 << 64
        if t_ns < 106_750 * DAY_NS:
            assert columns.t_ns[i] == t_ns
            good += 1
        elif t_ns >= 1 << 63:
            assert (columns.fault[i], columns.t_ns[i]) == (PusFault.TIME, 0)
    assert good >= 100


def with_fault(packet: bytes, at: int, octet: int) -> bytes:
    """Return a packet with another octet."""
    return packet[:at] + bytes([octet]) + packet[at + 1 :]


def test_each_fault_has_its_code_and_its_row_is_blank() -> None:
    """Packets that have no header of the format say why, and hold zeros."""
    good = PUS_C.pack_tm(9, 1, 3, 25, b"abc", t_ns=10**9, counter=7, destination=8)
    rows = [
        (good, PusFault.GOOD),
        (PUS_C.pack_tc(9, 1, 3, 25, bytes(20)), PusFault.OTHER_TYPE),
        (space_packet.pack(9, 0, bytes(30), secondary=False), PusFault.NO_HEADER),
        (space_packet.pack(2047, 0, bytes(30)), PusFault.NO_HEADER),
        (PUS_C.pack_tm(10, 1, 3, 25, b"abc", t_ns=0), PusFault.NO_HEADER),
        (with_fault(good, 6, 0x10), PusFault.VERSION),
        (with_fault(good, 6, 0xA0), PusFault.VERSION),
        (space_packet.pack(9, 0, good[6:22]), PusFault.SHORT),
        (space_packet.pack(9, 0, b"\x20"), PusFault.SHORT),
        (with_fault(good, 13, 0x1F), PusFault.TIME),
    ]
    columns = PUS_C.tm_columns(scan(b"".join(packet for packet, _ in rows)), apids=[9])
    assert columns.fault.tolist() == [fault for _, fault in rows]
    assert columns.good.tolist() == [True] + [False] * 9
    for name, column in columns._asdict().items():
        assert name == "fault" or not column[1:].any()
    assert [int(column[0]) for column in columns[1:7]] == [0, 3, 25, 7, 8, 10**9]


def test_hera_times_without_preamble_are_read() -> None:
    """A format whose preamble is not sent reads seven octets of time."""
    mission = PusFormat(preamble_sent=False)
    packet = mission.pack_tm(1, 2, 3, 25, b"x", t_ns=5 * 10**9)
    assert pus.unpack_tm(packet, 7, b"\x2f").t_ns == 5 * 10**9
    assert mission.tm_columns(scan(packet)).t_ns.tolist() == [5 * 10**9]


def test_the_functions_of_our_own_mission_write_the_same() -> None:
    """PUS_C and the functions of flightsw.codec.packet.pus agree octet for octet, both ways."""
    rnd = random.Random(3)
    for _ in range(300):
        values, command = report(rnd, PUS_C), telecommand(rnd, PUS_C)
        packet = pus.pack_tm(**values)
        assert PUS_C.pack_tm(**values) == packet
        assert PUS_C.unpack_tm(packet) == pus.unpack_tm(packet)
        packet = pus.pack_tc(**command)
        assert PUS_C.pack_tc(**command) == packet
        assert PUS_C.unpack_tc(packet) == pus.unpack_tc(packet)


@pytest.mark.parametrize(
    "wrong",
    [
        {"apid": 2048},
        {"seq": -1},
        {"service": 256},
        {"subtype": -1},
        {"counter": 256},
        {"destination": 1},
        {"time_status": 1},
        {"t_ns": None},
        {"t_ns": -(10**9)},
        {"data": bytes(65_530)},
    ],
)
def test_values_must_fit_their_fields(wrong: dict[str, Any]) -> None:
    """A value too large, a field that the mission leaves out, and a missing time are refused."""
    mission = PusFormat(1, 1, 0, 0, TimeFormat("cuc", 4, 0))
    values = {"apid": 1, "seq": 1, "service": 3, "subtype": 25, "data": b"", "t_ns": 0}
    assert mission.unpack_tm(mission.pack_tm(**values)).t_ns == 0
    with pytest.raises(FieldRangeError):
        mission.pack_tm(**values | wrong)


@pytest.mark.parametrize("wrong", [{"source": 1}, {"ack": 16}, {"apid": -1}, {"subtype": 256}])
def test_telecommand_values_must_fit_too(wrong: dict[str, Any]) -> None:
    """The same for telecommands."""
    values = {"apid": 1, "seq": 1, "service": 3, "subtype": 25, "data": b""}
    with pytest.raises(FieldRangeError):
        PUS_A.pack_tc(**values | wrong)


def test_single_faults_are_exceptions_of_their_own() -> None:
    """Each way of being wrong has the exception that the mission's own functions raise."""
    packet = PUS_A.pack_tm(1, 0, 1, 1, b"", t_ns=0)
    other = PusFormat(1, 0, 0, 0, TimeFormat("cuc", 4, 2))
    for octets, error in (
        (packet[:10], pus.ShortPacketError),
        (packet + b"\0", pus.PacketLengthError),
        (with_fault(packet, 8, 9), pus.PecError),
        (PUS_A.pack_tc(1, 0, 1, 1, bytes(20)), pus.PacketTypeError),
        (PUS_C.pack_tm(1, 0, 1, 1, b"", t_ns=0), pus.PusVersionError),
        (other.pack_tm(1, 0, 1, 1, b"x", t_ns=0), pus.PusVersionError),
    ):
        with pytest.raises(error, match="telemetry"):
            PUS_A.unpack_tm(octets)


@pytest.mark.parametrize(
    "wrong",
    [{"version": 0}, {"counter_nbytes": 5}, {"source_nbytes": -1}, {"tm_spare_nbytes": 256}],
)
def test_formats_that_are_none_are_refused(wrong: dict[str, int]) -> None:
    """A format of another version or with wider fields is an error."""
    with pytest.raises(FieldRangeError, match="PUS format"):
        PusFormat(**wrong)  # type: ignore[arg-type]


def test_columns_refuse_what_they_cannot_read() -> None:
    """Times wider than 64 bits of nanoseconds and packets behind the buffer are errors."""
    table = scan(PUS_C.pack_tm(1, 0, 1, 1, b"", t_ns=0))
    for time in (TimeFormat("cuc", 5, 3), TimeFormat("cuc", 4, 5)):
        with pytest.raises(CodecError, match="one by one"):
            PusFormat(time=time).tm_columns(table)
    table.buf = bytes(table.buf)[:-1]
    with pytest.raises(TruncatedError, match="PUS columns"):
        PUS_C.tm_columns(table)


@pytest.mark.parametrize("mission", FORMATS, ids=range(len(FORMATS)))
def test_no_octet_outside_is_read(guard: Guard, mission: PusFormat) -> None:
    """Packets of every length at both ends of a guarded buffer are read inside of it."""
    whole = mission.pack_tm(**report(random.Random(4), mission))
    kinds = ["uint8_t[]"] * 4 + ["uint32_t[]"] * 2 + ["int64_t[]", "uint64_t[]", "uint32_t[]"]
    arrays = [ffi.new(kind, 1) for kind in kinds]
    out = ffi.new("fs_pus_columns *", arrays)
    described = mission.described(telecommand=False)
    for n in range(7, len(whole) + 1):
        for buf in guard.both(whole[:n]):
            code = lib.fs_pus_decode_columns(
                described, ffi.NULL, buf, n, ffi.new("uint64_t[1]"), ffi.new("uint32_t[1]", [n]),
                1, out,
            )  # fmt: skip
            assert code in (0, 1)
    assert code == 1


def test_an_empty_table_gives_empty_columns() -> None:
    """No packets, no rows."""
    empty: PacketTable = scan(b"")
    assert [len(column) for column in PUS_C.tm_columns(empty)] == [0] * 9
