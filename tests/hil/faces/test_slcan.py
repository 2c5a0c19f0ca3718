"""A serial CAN adapter: commands and answers, frames both ways, error states, malformed input."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.buses.can import CANBus
from hil.buses.can_faults import CANFault
from hil.buses.can_frame import (
    BRS_FLAG,
    EXTENDED_FLAG,
    FD_FLAG,
    FD_LENGTHS,
    REMOTE_FLAG,
)
from hil.buses.can_length import frame_nbits
from hil.buses.can_node import State
from hil.errors import ConfigError
from hil.faces import slcan_filter, slcan_lines
from hil.faces.slcan import BACKLOG_NBYTES, SlcanAdapter
from hil.faces.slcan_port import FIFO_NFRAMES
from hil.testing.simple_scheduler import SimpleScheduler

BIT_NS = 2_000
OPEN = b"S6\rO\r"


class Peer:
    """Another node on the bus."""

    can_send: Callable[[int, int, bytes], None]
    can_fd = True

    def __init__(self) -> None:
        self.heard: list[tuple[int, int, bytes]] = []

    def can_receive(self, t_ns: int, can_id: int, data: bytes) -> None:
        self.heard.append((t_ns, can_id, data))


class Bench:
    """An adapter on a bus of 500 kbit/s with a peer."""

    def __init__(self, name: str = "", peers: int = 1, **options: object) -> None:
        self.scheduler = SimpleScheduler()
        self.records: list[tuple[int, int, int, int, int, bytes]] = []
        self.bus = CANBus(
            "can0",
            self.scheduler,
            1,
            lambda *record: self.records.append(record),
            500_000,
            **options,  # type: ignore[arg-type]
        )
        self.said = bytearray()
        self.adapter = SlcanAdapter(self.bus, self.said.extend, name)
        self.peers = [Peer() for _ in range(peers)]
        for peer in self.peers:
            self.bus.attach(peer)

    def ask(self, octets: bytes, run_ns: int = 0) -> bytes:
        """Feed octets, let time pass, return what the adapter has said."""
        self.adapter.feed(self.scheduler.now_ns, octets)
        self.scheduler.run_until(self.scheduler.now_ns + run_ns)
        return self.take()

    def take(self) -> bytes:
        """Return what the adapter has said since."""
        said = bytes(self.said)
        self.said.clear()
        return said


@pytest.mark.parametrize(
    ("line", "can_id", "data"),
    [
        ("t1230", 0x123, b""),
        ("t7FF811223344556677AA", 0x7FF, bytes.fromhex("11223344556677AA")),
        ("T1ABCDEF02aa55", 0x1ABCDEF0 | EXTENDED_FLAG, b"\xaa\x55"),
        ("r1004", 0x100 | REMOTE_FLAG, bytes(4)),
        ("R000001000", 0x100 | REMOTE_FLAG | EXTENDED_FLAG, b""),
    ],
)
def test_a_frame_is_queued_answered_and_crosses_the_bus(
    line: str, can_id: int, data: bytes
) -> None:
    """A frame command has z or Z and CR, and the other node gets the frame at its exact end."""
    bench = Bench()
    assert bench.ask(OPEN) == b"\r\r"
    answer = b"Z\r" if line[0].isupper() else b"z\r"
    assert bench.ask(f"{line}\r".encode(), 1_000_000) == answer
    end_ns = frame_nbits(can_id, data) * BIT_NS
    assert bench.peers[0].heard == [(end_ns, can_id, data)]
    assert bench.records == [(0, end_ns, 0, 0, can_id, data)]


@pytest.mark.parametrize(
    ("can_id", "data", "line"),
    [
        (0x123, b"\x0a", b"t12310A\r"),
        (0x123 | EXTENDED_FLAG, b"", b"T000001230\r"),
        (0x7FF | REMOTE_FLAG, bytes(8), b"r7FF8\r"),
        (0x1FFFFFFF | REMOTE_FLAG | EXTENDED_FLAG, bytes(3), b"R1FFFFFFF3\r"),
    ],
)
def test_a_frame_of_another_node_is_told_when_it_ends(
    can_id: int, data: bytes, line: bytes
) -> None:
    """Frames of others come as lines in capitals, not before they are over."""
    bench = Bench()
    bench.ask(OPEN)
    bench.peers[0].can_send(0, can_id, data)
    end_ns = frame_nbits(can_id, data) * BIT_NS
    assert bench.ask(b"", end_ns - 1) == b""
    assert bench.ask(b"", 1) == line


def test_a_time_stamp_is_milliseconds_modulo_a_minute() -> None:
    """Z1 puts four digits behind a frame, 0000 to EA5F (59,999 ms)."""
    bench = Bench()
    bench.ask(b"Z1\r" + OPEN)
    bench.scheduler.run_until(59_999_500_000)
    bench.peers[0].can_send(59_999_500_000, 0x1, b"")
    assert bench.ask(b"", 500_000) == b"t0010EA5F\r"
    bench.peers[0].can_send(60_001_000_000, 0x1, b"")
    assert bench.ask(b"", 2_000_000) == b"t00100001\r"


@pytest.mark.parametrize(
    "commands",
    [
        *(b"C", b"F", b"t1230", b"P"),  # closed
        *(b"S6\rO\rO", b"O\rL", b"O\rS6", b"O\rs001C", b"O\rZ1", b"O\rM00000000", b"L\rt1230"),
        *(b"O\rP", b"O\rA", b"Y2", b"O\rd1230"),
        *(b"S", b"S66", b"Sx", b"sZZ00", b"s001", b"Z2", b"M123", b"m0000000g", b"O1", b"V1"),
        *(b"O\rt123", b"O\rt8000", b"O\rt1239", b"O\rt12311", b"O\rt123111223", b"O\rr123100"),
        *(b"O\rT200000000", b"O\rt+120", b"O\rt 120", b"O\rt1_20", b"?", b"Q1", b"\xff", b"U7"),
    ],
)
def test_what_cannot_be_done_or_understood_is_answered_with_bell(commands: bytes) -> None:
    """A command out of place or malformed has BELL, is counted, and changes nothing."""
    bench = Bench()
    assert bench.ask(commands + b"\r").endswith(b"\a")
    bench.scheduler.run_until(10_000_000)
    assert bench.adapter.counters["refused"] + bench.adapter.counters["malformed"] == 1
    assert bench.bus.counters["frames"] == 0
    assert bench.ask(b"V\r") == b"V1013\r"


@pytest.mark.parametrize(
    ("command", "answer"),
    [(b"", b"\r"), (b"V", b"V1013\r"), (b"N", b"NFS01\r"), (b"W1", b"\r"), (b"U1", b"\r")],
)
def test_what_an_adapter_knows_of_itself(command: bytes, answer: bytes) -> None:
    """An empty line, version, serial number and settings without effect have their answers."""
    assert Bench().ask(command + b"\r") == answer


@pytest.mark.parametrize(
    ("command", "fits"),
    [
        *((f"S{n}", n == 6) for n in range(10)),
        *(("s001C", True), ("s0014", False), ("s011C", False), ("s4314", False)),
    ],
)
def test_a_bit_rate_that_is_not_that_of_the_bus_is_deaf_and_mute(command: str, fits: bool) -> None:
    """S6 and BTR 00 1C are 500 kbit/s; with any other rate nothing crosses, and it is counted."""
    bench = Bench()
    assert bench.ask(f"{command}\rO\r".encode()) == b"\r\r"
    bench.ask(b"t1230\r", 1_000_000)
    bench.peers[0].can_send(2_000_000, 0x7, b"")
    said = bench.ask(b"", 5_000_000)
    assert (len(bench.peers[0].heard) == 1) is fits
    assert (said == b"t0070\r") is fits
    assert bench.adapter.counters["mismatch"] == (0 if fits else 1)
    assert bench.ask(b"F\r") == (b"F00\r" if fits else b"F80\r")


def test_without_a_rate_it_has_that_of_the_bus() -> None:
    """O alone opens the channel at the rate of the bus."""
    bench = Bench()
    assert bench.ask(b"O\rt1230\r", 1_000_000) == b"\rz\r"
    assert len(bench.peers[0].heard) == 1


def test_a_listener_hears_and_does_not_acknowledge() -> None:
    """With L a frame of the only other node finds nobody who acknowledges it."""
    bench = Bench()
    bench.ask(b"L\r")
    bench.peers[0].can_send(0, 0x7, b"")
    assert bench.ask(b"", 3_000_000) == b""
    assert bench.bus.counters["ack_error"] > 0
    other = Peer()
    bench.bus.attach(other)
    assert bench.ask(b"", 3_000_000) == b"t0070\r"


def test_a_closed_adapter_of_its_own_is_not_on_the_bus() -> None:
    """Before O and after C it neither hears nor acknowledges; the controller goes on."""
    bench = Bench("stick", peers=0)
    node = bench.adapter.node
    assert node is not bench.bus.controller
    bench.bus.send(0, 0x1, b"")
    assert bench.ask(b"", 3_000_000) == b""
    assert bench.bus.counters["frames"] == 0
    assert bench.ask(b"O\r", 3_000_000) == b"\rt0010\r"
    bench.ask(b"C\r")
    bench.bus.send(bench.scheduler.now_ns, 0x2, b"")
    assert bench.ask(b"", 3_000_000) == b""
    assert bench.bus.counters["frames"] == 1


def test_a_full_fifo_holds_back_what_comes_behind() -> None:
    """A hundred frames and a command fed at once are answered in order, at the pace of the bus."""
    bench = Bench()
    bench.ask(OPEN)
    order = [n * 37 % 100 for n in range(100)]  # not that of their priority
    first = bench.ask(b"".join(f"t{n:03X}0\r".encode() for n in order) + b"V\r")
    assert first == b"z\r" * FIFO_NFRAMES
    assert bench.adapter.held
    told: list[int] = []
    bench.adapter.more = told.append
    assert bench.ask(b"", 100_000_000) == b"z\r" * (100 - FIFO_NFRAMES) + b"V1013\r"
    assert [can_id for _, can_id, _ in bench.peers[0].heard] == order
    assert len(told) == 1
    assert not bench.adapter.held


def test_what_is_fed_beyond_the_backlog_is_lost_and_counted() -> None:
    """Whoever does not heed ``held`` loses octets; the adapter says so and goes on."""
    bench = Bench()
    bench.ask(OPEN)
    bench.ask(b"t1230\r" * FIFO_NFRAMES)
    bench.ask(b"t1230\r" * 1000)
    assert bench.adapter.counters["overflow"] == 6000 - BACKLOG_NBYTES
    bench.ask(b"", 1_000_000_000)
    assert bench.ask(b"\rV\r") == b"\aV1013\r"  # the last frame was cut
    assert len(bench.peers[0].heard) == FIFO_NFRAMES + BACKLOG_NBYTES // 6


@pytest.mark.parametrize(("kind", "heard"), [("drop", [1, 3]), ("duplicate", [1, 2, 2, 3])])
def test_a_fault_of_the_sender_does_not_stop_the_queue(kind: str, heard: list[int]) -> None:
    """A frame that is lost or doubled in the controller is followed by the next ones."""
    bench = Bench()
    bench.ask(OPEN)
    bench.bus.faults.add(CANFault(kind, can_id=2))
    bench.ask(b"t0010\rt0020\rt0030\r", 5_000_000)
    assert [can_id for _, can_id, _ in bench.peers[0].heard] == heard


def test_frames_of_a_one_shot_controller_follow_one_another() -> None:
    """A frame that is given up makes room for the next one, which is heard."""
    bench = Bench(one_shot=True)
    bench.ask(OPEN)
    bench.bus.faults.add(CANFault("crc", can_id=1))
    bench.ask(b"t0010\rt0020\r", 5_000_000)
    assert [can_id for _, can_id, _ in bench.peers[0].heard] == [2]
    assert bench.bus.counters["one_shot_lost"] == 1


def test_back_to_back_frames_leave_no_gap() -> None:
    """The next frame of the queue starts right behind the three bits between frames."""
    bench = Bench()
    bench.ask(OPEN + b"t1230\rt1230\r", 5_000_000)
    first, second = (record[0] for record in bench.records)
    assert second - first == (frame_nbits(0x123, b"") + 3) * BIT_NS


def test_alone_on_the_bus_it_becomes_passive_and_a_full_fifo_says_bell() -> None:
    """Nobody acknowledges: warning at 96, passive at 128, never bus off; and C gets through."""
    bench = Bench(peers=0)
    bench.ask(OPEN)
    said = bench.ask(b"t1230\r" * (FIFO_NFRAMES + 8), 20_000_000)
    assert said.startswith(b"z\r" * FIFO_NFRAMES + b"sw000096\rsp000128\r")
    assert said.count(b"\a") == 8
    assert bench.adapter.counters["tx_full"] == 8
    assert bench.ask(b"F\r") == b"FA6\r"  # bus error, passive, warning, transmit FIFO full
    assert bench.ask(b"C\r") == b"\r"
    assert bench.adapter.counters["cut"] in (FIFO_NFRAMES, FIFO_NFRAMES - 1)  # one on the bus


def test_bus_off_stays_until_it_is_closed_and_opened() -> None:
    """After bus off nothing is sent; C and O bring it back after 128 times 11 recessive bits."""
    bench = Bench(restart_ms=1)
    bench.ask(OPEN)
    bench.bus.faults.add(CANFault("bus_off", 0, 1))
    assert bench.ask(b"t1230\r", 100_000_000) == b"z\rsb000256\r"
    assert bench.bus.controller.state == State.BUS_OFF
    assert bench.ask(b"t1230\r") == b"\a"
    assert bench.bus.counters["refused_bus_off"] == 1
    begin_ns = bench.scheduler.now_ns
    # A frame waits until the controller is back; it is not refused.
    assert bench.ask(b"C\rO\rt1230\r", 128 * 11 * BIT_NS - 1) == b"\r\r"
    assert bench.ask(b"", 1_000_000) == b"sa000000\rz\r"
    end_ns, can_id, _ = bench.peers[0].heard[0]
    back_ns = begin_ns + 128 * 11 * BIT_NS
    assert (end_ns, can_id) == (back_ns + frame_nbits(0x123, b"") * BIT_NS, 0x123)


def test_the_counters_of_a_receiver_are_told() -> None:
    """A receiver that sees errors first adds nine each time; REC stands before TEC."""
    bench = Bench()
    bench.ask(OPEN)
    bench.bus.faults.add(CANFault("crc", 0, 8_000_000))
    bench.peers[0].can_send(0, 0x7, b"")
    said = bench.ask(b"", 3_000_000)
    assert said == b"sw099000\rsp135000\r"


@pytest.mark.parametrize(
    ("kind", "letter"), [("bit", "b"), ("crc", "c"), ("form", "f"), ("stuff", "s"), ("ack", "a")]
)
def test_errors_are_told_where_the_bus_reports_them(kind: str, letter: str) -> None:
    """An error line has at least five octets, because Linux passes over shorter ones."""
    bench = Bench(bus_errors=True)
    bench.ask(OPEN)
    bench.bus.faults.add(CANFault(kind, 0, 1))
    assert bench.ask(b"t1230\r", 5_000_000) == f"z\re3{letter * 3}\r".encode()
    assert bench.ask(b"F\r") == b"F80\r"
    assert bench.ask(b"F\r") == b"F00\r"


def test_lost_arbitration_is_a_flag_of_the_status() -> None:
    """A frame that loses against a lower identifier is sent later, and F shows it once."""
    bench = Bench()
    bench.ask(OPEN)
    bench.peers[0].can_send(0, 0x10, b"")
    assert bench.ask(b"t7000\r", 5_000_000) == b"z\rt0100\r"
    assert bench.ask(b"F\rF\r") == b"F40\rF00\r"


def test_frames_wait_for_a_poll() -> None:
    """With X0 frames are told one by one (P) or all (A), and those that find no room are lost."""
    bench = Bench()
    bench.ask(b"X0\rO\r")
    assert bench.ask(b"t7FF0\r", 1_000_000) == b"\r"
    for n in range(FIFO_NFRAMES + 2):
        bench.peers[0].can_send(bench.scheduler.now_ns, n, b"")
    assert bench.ask(b"", 100_000_000) == b"e3ooo\r" * 2
    assert bench.ask(b"F\r") == b"F09\r"
    assert bench.ask(b"P\r") == b"t0000\r"
    rest = b"".join(f"t{n:03X}0\r".encode() for n in range(1, FIFO_NFRAMES))
    assert bench.ask(b"A\r") == rest + b"A\r"
    assert bench.ask(b"P\r") == b"\r"
    assert bench.adapter.counters["rx_overrun"] == 2


@pytest.mark.parametrize(
    ("letter", "flags"),
    [
        *(("d", FD_FLAG), ("D", FD_FLAG | EXTENDED_FLAG)),
        *(("b", FD_FLAG | BRS_FLAG), ("B", FD_FLAG | BRS_FLAG | EXTENDED_FLAG)),
    ],
)
def test_can_fd_frames_of_every_length_pass_both_ways(letter: str, flags: int) -> None:
    """The length digit is the DLC, to F for 64 octets, at both bit rates."""
    bench = Bench(data_bitrate_hz=2_000_000)
    bench.ask(b"S6\rY2\rO\r")
    identifier = "00000155" if letter.isupper() else "155"
    for code, nbytes in enumerate(FD_LENGTHS):
        data = bytes(range(nbytes))
        line = f"{letter}{identifier}{code:X}{data.hex().upper()}\r".encode()
        assert bench.ask(line, 2_000_000) == (b"Z\r" if letter.isupper() else b"z\r")
        assert bench.peers[0].heard[-1][1:] == (0x155 | flags, data)
        bench.peers[0].can_send(bench.scheduler.now_ns, 0x155 | flags, data)
        assert bench.ask(b"", 2_000_000) == line


def test_another_rate_of_the_data_is_deaf_on_a_can_fd_bus() -> None:
    """Y5 on a bus whose data goes at 2 Mbit/s hears and sends nothing."""
    bench = Bench(data_bitrate_hz=2_000_000)
    bench.ask(b"Y5\rO\rb1230\r", 1_000_000)
    assert bench.peers[0].heard == []
    assert bench.adapter.counters["mismatch"] == 1


FRAMES = [
    *((can_id, b"") for can_id in (0x000, 0x001, 0x123, 0x7FF, 0x123 | REMOTE_FLAG)),
    *((0x123, data) for data in (b"\x00", b"\x12", b"\x12\x34", b"\x12\x35", b"\xff")),
    *((can_id | EXTENDED_FLAG, b"") for can_id in (0, 0x123 << 18, 0x12345678, 0x12344000)),
]


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ("", FRAMES),
        # One standard identifier by both short filters; its bits are the upper ones of another.
        (
            "M24602460\rm001F001F",
            [f for f in FRAMES if f[0] & 0x9FFFFFFF in (0x123, 0x123 << 18 | EXTENDED_FLAG)],
        ),
        # The first short filter has a data octet too, which does not matter where there is none.
        (
            "M2461FFE2\rm00000000",
            [
                (0x7FF, b""),
                (0x123, b""),
                (0x123, b"\x12"),
                (0x123, b"\x12\x34"),
                (0x123, b"\x12\x35"),
            ],
        ),
        # One long filter has two of them.
        ("W1\rM24601234\rm000F0000", [(0x123, b""), (0x123, b"\x12"), (0x123, b"\x12\x34")]),
        # One extended identifier, by 29 bits and by its upper 16.
        ("W1\rM91A2B3C0\rm00000003", [(0x12345678 | EXTENDED_FLAG, b"")]),
        (
            "M91A291A2\rm00000000",
            [(0x12345678 | EXTENDED_FLAG, b""), (0x12344000 | EXTENDED_FLAG, b"")],
        ),
    ],
)
def test_the_filter_lets_pass_what_the_sja1000_would(
    settings: str, wanted: list[tuple[int, bytes]]
) -> None:
    """Acceptance code and mask as in section 6.4.15 of the SJA1000's data sheet."""
    bench = Bench()
    bench.ask(f"{settings}\rO\r".encode())
    for can_id, data in FRAMES:
        bench.peers[0].can_send(bench.scheduler.now_ns, can_id, data)
    told = bench.ask(b"", 100_000_000)
    expected = sorted(slcan_lines.frame_line(*frame) for frame in wanted)
    assert sorted(told.decode().splitlines(keepends=True)) == expected
    assert bench.adapter.counters["filtered"] == len(FRAMES) - len(wanted)


identifiers = st.one_of(
    st.integers(0, 0x7FF), st.integers(0, 0x1FFFFFFF).map(lambda n: n | EXTENDED_FLAG)
)


@given(identifiers, st.binary(max_size=8), st.booleans())
def test_lines_and_frames_are_inverse(can_id: int, data: bytes, remote: bool) -> None:
    """Every frame has a line, and that line is the frame again."""
    if remote:
        can_id, data = can_id | REMOTE_FLAG, bytes(len(data))
    line = slcan_lines.frame_line(can_id, data)
    assert slcan_lines.parse_frame(line[:-1]) == (can_id, data)


commands = st.one_of(
    st.sampled_from(sorted("OLCFVNPA")),
    st.from_regex(r"[SZXWUYMmstTrRdDbB][0-9A-Fa-f]{0,20}", fullmatch=True),
    st.text(st.characters(max_codepoint=255, exclude_characters="\r"), max_size=200),
)


@given(st.lists(commands, max_size=40), st.integers(1, 64))
def test_every_line_has_one_answer_however_it_is_cut(texts: list[str], step: int) -> None:
    """Any octets in pieces of any size: an answer a line, every counter adds up, no exception."""
    bench = Bench()
    stream = "".join(f"{text}\r" for text in texts).encode("latin-1")
    for at in range(0, len(stream), step):
        bench.adapter.feed(0, stream[at : at + step])
    bench.scheduler.run_until(10_000_000_000)
    counters = bench.adapter.counters
    assert counters["commands"] == len(texts)
    bells = bench.take().count(b"\a")
    assert bells == counters["refused"] + counters["malformed"]
    closing = bench.ask(b"\rC\r")
    assert closing[-1:] in (b"\r", b"\a")


@given(st.binary(max_size=400))
def test_no_octets_stop_an_adapter(octets: bytes) -> None:
    """Whatever was fed, a version is told afterwards."""
    bench = Bench()
    bench.ask(octets)
    bench.scheduler.run_until(10_000_000_000)
    assert bench.ask(b"\rV\r").endswith(b"V1013\r")


def test_the_controller_is_driven_by_one_adapter_at_a_time() -> None:
    """A second adapter needs a name of its own; the message says what holds the controller."""
    bench = Bench()
    with pytest.raises(ConfigError, match="can0"):
        SlcanAdapter(bench.bus, bench.said.extend)
    assert SlcanAdapter(bench.bus, bench.said.extend, "stick").node.name == "stick"


def test_filters_start_open() -> None:
    """Power-up values of code and mask let every frame pass (``M00000000``, ``mFFFFFFFF``)."""
    for single in (False, True):
        for frame in FRAMES:
            assert slcan_filter.accepts(0, 0xFFFFFFFF, single, *frame)
