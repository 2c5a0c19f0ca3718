"""TC frames, the control word, and FARM-1 event by event."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.codec.coding import cltu
from flightsw.codec.coding.crc import crc16
from flightsw.codec.errors import ChecksumError, FieldRangeError, SyncError, TruncatedError
from flightsw.codec.link import tc_frame
from flightsw.codec.link.cop1 import UNLOCK, Clcw, Farm, FarmState, set_vr
from flightsw.codec.link.tc_frame import TcFrame


def with_fecf(body: bytes) -> bytes:
    """Return a frame body with a right CRC, whatever else it says."""
    return body + crc16(body).to_bytes(2, "big")


def test_header_of_a_frame() -> None:
    """Each field stands where the standard puts it; the length field is the total less one."""
    frame = tc_frame.pack(0x2F6, 5, 0xA7, b"abc", map_id=9)
    assert frame[:6].hex() == "02f6140aa7c9"
    assert frame[6:9] == b"abc"
    assert len(frame) == 0x0A + 1
    assert crc16(frame) == 0
    assert tc_frame.pack(0x2F6, 5, 0, b"x", bypass=True)[0] == 0x22
    control = tc_frame.pack(0x2F6, 5, 0, UNLOCK, control=True)
    assert control[:6].hex() == "32f614070000"
    assert len(control) == 8


def test_published_frame_and_its_codeblocks() -> None:
    """A published frame of spacecraft 758, its CRC, and the codeblocks around it, octet for octet.

    The octets are those of the unit tests of SpacePyLibrary (github.com/Stefan-Korner), whose tail
    sequence is that of an older issue of the standard.
    """
    data = bytes.fromhex("000F001DFF000000000F001EFF000000000F001FFF000000000FAC8F")
    frame = tc_frame.pack(758, 0, 0, data, bypass=True, map_id=2, segment_flags=2)
    assert frame == bytes.fromhex("22F600230082") + data + bytes.fromhex("0068")
    codeblocks = bytes.fromhex(
        "22F6002300820024" "0F001DFF00000034" "000F001EFF000010" "00000F001FFF00D8"
        "0000000FAC8F0090" "6855555555555506"
    )  # fmt: skip
    assert cltu.encode(frame)[:-8] == b"\xeb\x90" + codeblocks
    (unit,) = cltu.decode(b"\xeb\x90" + codeblocks + b"\x55" * 8)
    assert tc_frame.unpack(unit) == TcFrame(758, 0, 0, True, False, 2, 2, data)


def test_published_frame_of_256_octets() -> None:
    """The first segment of the same telecommand: its CRC, its map and its flags."""
    head = bytes.fromhex("1A8CC00E010D19060200000100000000010000" "00FF000000000F")  # fmt: skip
    steps = b"".join(i.to_bytes(2, "big") + bytes.fromhex("FF000000000F") for i in range(1, 29))
    data = (head + steps)[:-2]
    frame = tc_frame.pack(758, 0, 0, data, bypass=True, map_id=2, segment_flags=1)
    assert frame[:6].hex() == "22f600ff0042"
    assert (len(frame), frame[-2:].hex()) == (256, "ad1a")
    blocks = cltu.encode(frame)[2:]
    assert blocks[8:16].hex() == "8cc00e010d19065a"
    assert blocks[-16:-8].hex() == "0000ad1a555555ec"


@settings(deadline=None)
@given(
    st.integers(0, 1023),
    st.integers(0, 63),
    st.integers(0, 255),
    st.binary(min_size=1, max_size=300),
    st.booleans(),
    st.integers(0, 63),
    st.integers(0, 3),
    st.booleans(),
)
def test_frame_comes_back_through_its_cltu(
    scid: int,
    vcid: int,
    seq: int,
    data: bytes,
    bypass: bool,
    map_id: int,
    flags: int,
    header: bool,
) -> None:
    """Every field comes back, also with the fill that the CLTU leaves behind the frame."""
    frame = tc_frame.pack(
        scid,
        vcid,
        seq,
        data,
        bypass=bypass,
        map_id=map_id,
        segment_flags=flags,
        segment_header=header,
    )
    (unit,) = cltu.decode(cltu.encode(frame))
    want = TcFrame(scid, vcid, seq, bypass, False, map_id, flags, data)
    if not header:
        want = want._replace(map_id=0, segment_flags=tc_frame.UNSEGMENTED)
    assert tc_frame.unpack(unit, header) == tc_frame.unpack(frame, header) == want


@pytest.mark.parametrize(
    ("frame", "error", "says"),
    [
        (b"", TruncatedError, "0 octets"),
        (bytes(7), TruncatedError, "7 octets"),
        (with_fecf(bytes.fromhex("02f6140aa7c9"))[:8], TruncatedError, "says 11 octets, 8"),
        (bytes.fromhex("02f61403a7c90000"), SyncError, "says 4 octets"),
        (bytes.fromhex("02f61407a7c90000"), ChecksumError, "does not match"),
        (with_fecf(bytes.fromhex("42f61407a7c9")), SyncError, "version 1"),
        (with_fecf(bytes.fromhex("06f61407a7c9")), SyncError, "spare 1"),
        (with_fecf(bytes.fromhex("12f61407a700")), SyncError, "bypass"),
    ],
)
def test_each_fault_is_named(frame: bytes, error: type[Exception], says: str) -> None:
    """Short, cut, damaged and impossible frames are refused, each with its reason."""
    with pytest.raises(error, match=says):
        tc_frame.unpack(frame)


@pytest.mark.parametrize(
    "wrong",
    [
        {"scid": 1024},
        {"vcid": 64},
        {"seq": 256},
        {"map_id": 64},
        {"segment_flags": 4},
        {"data": b""},
        {"data": bytes(1017)},
        {"seq": -1},
    ],
)
def test_values_must_fit(wrong: dict[str, Any]) -> None:
    """What does not fit its field, or the longest frame, is refused."""
    values: dict[str, Any] = {"scid": 1, "vcid": 1, "seq": 1, "data": b"x"}
    with pytest.raises(FieldRangeError, match="TC frame"):
        tc_frame.pack(**values | wrong)


def test_longest_frame() -> None:
    """A frame of exactly 1,024 octets is legal."""
    frame = tc_frame.pack(1, 1, 1, bytes(1016))
    assert len(frame) == 1024
    assert len(tc_frame.unpack(frame).data) == 1016


@given(
    st.builds(
        Clcw,
        st.integers(0, 63),
        st.integers(0, 255),
        st.integers(0, 3),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.integers(0, 7),
    )
)
def test_control_word_comes_back(clcw: Clcw) -> None:
    """Every field of the control word comes back; the COP in effect reads 1."""
    octets = clcw.pack()
    assert Clcw.unpack(octets) == clcw
    assert octets[0] & 0xE3 == 0x01


def test_control_word_bits() -> None:
    """Each flag of the control word is the bit that the standard gives it."""
    assert Clcw(0, 0).pack().hex() == "01000000"
    assert Clcw(1, 0x55, 1, retransmit=True).pack().hex() == "01040a55"
    assert Clcw(0, 0, wait=True).pack().hex() == "01001000"
    assert Clcw(0, 0, lockout=True).pack().hex() == "01002000"
    assert Clcw(0, 0, no_bit_lock=True).pack().hex() == "01004000"
    assert Clcw(63, 255, 3, no_rf=True, status=7).pack().hex() == "1dfc86ff"
    with pytest.raises(SyncError, match="type and version"):
        Clcw.unpack(bytes.fromhex("81000000"))
    with pytest.raises(TruncatedError, match="3 octets"):
        Clcw.unpack(bytes(3))
    with pytest.raises(FieldRangeError, match="64"):
        Clcw(64, 0).pack()


def ad(seq: int) -> TcFrame:
    """Return a frame under sequence control."""
    return TcFrame(1, 0, seq & 0xFF, False, False, 0, 3, b"x")


def bd(data: bytes = b"x", control: bool = False) -> TcFrame:
    """Return a frame that bypasses sequence control, or a control command."""
    return TcFrame(1, 0, 0, True, control, 0, 3, data)


def test_frames_in_sequence_are_taken_past_the_wrap() -> None:
    """Three hundred frames in order are all taken; the report follows modulo 256."""
    farm = Farm(vcid=3)
    for seq in range(300):
        assert farm.accept(ad(seq))
        assert farm.clcw() == Clcw(3, (seq + 1) & 0xFF)
    assert farm.counters["accepted"] == 300


@pytest.mark.parametrize("window", [2, 10, 254])
@pytest.mark.parametrize("expected", [0, 100, 250])
def test_window_decides_for_every_number(window: int, expected: int) -> None:
    """For each N(S): taken, gap, repetition or lockout, exactly where the window has its edges."""
    half = window // 2
    for ahead in range(256):
        farm = Farm(window=window)
        farm.accept(bd(set_vr(expected), control=True))
        assert farm.accept(ad(expected + ahead)) is (ahead == 0)
        clcw = farm.clcw()
        assert clcw.retransmit is (0 < ahead < half)
        assert clcw.lockout is (half <= ahead < 256 - half)
        assert clcw.report == (expected + (ahead == 0)) & 0xFF


def test_gap_asks_for_repetition_until_the_missing_frame_comes() -> None:
    """After a gap the flag stays until the expected frame is taken."""
    farm = Farm()
    farm.accept(ad(0))
    assert not farm.accept(ad(2))
    assert farm.clcw().retransmit
    assert not farm.accept(ad(0))
    assert farm.clcw().retransmit
    assert farm.accept(ad(1))
    assert not farm.clcw().retransmit
    assert (farm.counters["refused_gap"], farm.counters["refused_repeat"]) == (1, 1)


def test_lockout_holds_until_unlock() -> None:
    """In lockout nothing but bypass frames is taken, Set V(R) has no effect, Unlock ends it."""
    farm = Farm(window=10)
    assert not farm.accept(ad(100))
    assert farm.state is FarmState.LOCKOUT
    assert not farm.accept(ad(0))
    assert farm.accept(bd())
    assert not farm.accept(bd(set_vr(7), control=True))
    assert (farm.expected, farm.state) == (0, FarmState.LOCKOUT)
    assert not farm.accept(bd(UNLOCK, control=True))
    assert farm.clcw() == Clcw(0, 0, farm_b=3)
    assert farm.accept(ad(0))


def test_wait_for_a_buffer() -> None:
    """Without room a frame is refused and WAIT reported until release; lockout from there too."""
    farm = Farm(window=10)
    assert not farm.accept(ad(0), room=False)
    assert farm.clcw() == Clcw(0, 0, retransmit=True, wait=True)
    assert not farm.accept(ad(0))
    farm.release()
    assert farm.clcw() == Clcw(0, 0, retransmit=True)
    assert farm.accept(ad(0))
    assert farm.clcw() == Clcw(0, 1)
    farm.accept(ad(1), room=False)
    farm.accept(ad(100))
    farm.release()
    assert farm.state is FarmState.LOCKOUT
    assert not farm.clcw().wait


def test_set_vr_opens_from_wait() -> None:
    """Set V(R) sets the expected number and leaves WAIT."""
    farm = Farm()
    farm.accept(ad(0), room=False)
    farm.accept(bd(set_vr(200), control=True))
    assert farm.clcw() == Clcw(0, 200, farm_b=1)
    assert farm.accept(ad(200))


@pytest.mark.parametrize("command", [b"\x01", b"\x82\x00", b"\x82\x01\x05", b"\x00\x00", b"\xff"])
def test_unknown_control_commands_change_nothing(command: bytes) -> None:
    """A control command that is neither Unlock nor Set V(R) is counted and has no effect."""
    farm = Farm()
    before = farm.clcw()
    assert not farm.accept(bd(command, control=True))
    assert farm.clcw() == before
    assert farm.counters["bad_controls"] == 1


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 255), st.booleans()), max_size=80))
def test_never_out_of_order(events: list[tuple[int, int, bool]]) -> None:
    """Whatever arrives, frames are taken in sequence, and each is taken once or counted refused."""
    farm, taken, offered = Farm(window=20), [], 0
    for kind, seq, room in events:
        if kind == 0:
            farm.release()
        elif kind == 1:
            farm.accept(bd(UNLOCK, control=True))
        else:
            offered += 1
            before = farm.expected
            if farm.accept(ad(seq if kind == 2 else before + kind - 4), room):
                taken.append(before)
        assert farm.clcw().lockout is (farm.state is FarmState.LOCKOUT)
        # The wait flag outlives a lockout from WAIT, until a buffer is released.
        assert farm.clcw().wait or farm.state is not FarmState.WAIT
        assert not farm.clcw().wait or farm.state is not FarmState.OPEN
    assert taken == [i & 0xFF for i in range(len(taken))]
    refused = sum(n for name, n in farm.counters.items() if name.startswith("refused"))
    assert farm.counters["accepted"] + refused == offered


@pytest.mark.parametrize("window", [0, 3, 256, -2])
def test_window_is_even_and_in_range(window: int) -> None:
    """W must be even and from 2 to 254; a number for Set V(R) has eight bits."""
    with pytest.raises(FieldRangeError, match="window"):
        Farm(window=window)
    with pytest.raises(FieldRangeError, match="256"):
        set_vr(256)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.binary(min_size=1, max_size=400)), max_size=8))
def test_units_come_back_from_their_segments(plan: list[tuple[int, bytes]]) -> None:
    """Units cut into segments on their MAPs come back whole, in whatever order MAPs take turns."""
    receiver, got = tc_frame.SegmentReceiver(), []
    queues: dict[int, list[bytes]] = {0: [], 1: [], 2: []}
    for i, (map_id, unit) in enumerate(plan):
        for flags, piece in tc_frame.segments(unit, 60):
            queues[map_id].append(tc_frame.pack(1, 0, i, piece, map_id=map_id, segment_flags=flags))
    while any(queues.values()):
        for map_id, queue in queues.items():
            if queue and (unit := receiver.accept(tc_frame.unpack(queue.pop(0)))) is not None:
                got.append((map_id, unit))
    for map_id in queues:
        assert [u for m, u in got if m == map_id] == [u for m, u in plan if m == map_id]
    assert receiver.counters["units"] == len(plan)
    assert receiver.counters["lost_octets"] == 0


def segment(flags: int, data: bytes, map_id: int = 0) -> TcFrame:
    """Return a frame that holds one segment."""
    return TcFrame(1, 0, 0, False, False, map_id, flags, data)


def test_segments_that_miss_others_are_counted() -> None:
    """A rest without begin, a begin without rest, and a unit too long are dropped by reason."""
    receiver = tc_frame.SegmentReceiver(limit=10)
    assert receiver.accept(segment(tc_frame.LAST, b"rest")) is None
    assert receiver.accept(segment(tc_frame.FIRST, b"begin")) is None
    assert receiver.pending() == 5
    assert receiver.accept(segment(tc_frame.UNSEGMENTED, b"whole")) == b"whole"
    assert receiver.accept(segment(tc_frame.FIRST, b"other", 7)) is None
    assert receiver.accept(segment(tc_frame.FIRST, b"012345")) is None
    assert receiver.accept(segment(tc_frame.CONTINUING, b"6789a")) is None
    assert receiver.accept(segment(tc_frame.LAST, b"b")) is None
    assert receiver.accept(segment(tc_frame.LAST, b" unit", 7)) == b"other unit"
    assert receiver.counters == {
        "segments": 8,
        "units": 2,
        "lost_pieces": 1,
        "orphans": 2,
        "oversize": 1,
        "lost_octets": 4 + 5 + 11 + 1,
    }


def test_units_that_cannot_be_segmented_are_refused() -> None:
    """Nothing, more than the longest packet, and frames without room are refused; the rest fits."""
    assert tc_frame.segments(b"abc", 3) == [(tc_frame.UNSEGMENTED, b"abc")]
    assert [flags for flags, _ in tc_frame.segments(bytes(65_542), 1016)][::64] == [1, 2]
    for unit, room in ((b"", 10), (bytes(65_543), 10), (b"x", 0)):
        with pytest.raises(FieldRangeError, match="TC segments"):
            tc_frame.segments(unit, room)
