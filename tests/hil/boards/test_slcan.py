"""A CAN stick as a board: python-can on one side, our emulated SLCAN adapter on the other."""

from __future__ import annotations

import builtins
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("can", reason="python-can is not installed")

from flightsw.codec.wire import Status
from hil.boards.link import LinkState
from hil.boards.protocol import Capability, Event, EventType, Reply, Request
from hil.boards.slcan import HELLO_LIMIT_NS, POLL_NS, StickLink
from hil.buses.can import CANBus
from hil.buses.can_faults import FAULT_KINDS, CANFault
from hil.buses.can_frame import EXTENDED_FLAG, REMOTE_FLAG
from hil.errors import BoardError
from hil.faces.slcan import SlcanAdapter
from hil.parts.fault_windows import FaultWindows
from hil.time.kernel import Kernel

SECOND = 1_000_000_000
FD, BRS = 4, 1

Frame = tuple[int, bytes]


class Peer:
    """Another node of the real bus."""

    can_send: Callable[[int, int, bytes], None]
    can_fd = True
    name = "peer"

    def __init__(self) -> None:
        self.heard: list[Frame] = []

    def can_receive(self, t_ns: int, can_id: int, data: bytes) -> None:
        """Keep what was heard."""
        self.heard.append((can_id, data))


class Bench:
    """A link, a stick, a bus with a peer; octets cross at once, time moves by hand."""

    def __init__(self, bitrate_hz: int = 500_000, data_bitrate_hz: int = 0) -> None:
        self.kernel = Kernel()
        rates = {"bitrate_hz": bitrate_hz, "data_bitrate_hz": data_bitrate_hz}
        self.bus = CANBus("real", self.kernel, 1, lambda *record: None, **rates)
        self.peer = Peer()
        self.bus.attach(self.peer)
        self.said: list[bytes] = []
        self.stick = SlcanAdapter(self.bus, self.said.append, name="stick")
        self.link = StickLink()
        self.events: list[Event] = []
        self.link.on_event = self.events.append
        self.plugged = True

    @property
    def now_ns(self) -> int:
        """The time of both sides."""
        return self.kernel.now_ns

    def cross(self) -> None:
        """Carry octets both ways until both sides are silent."""
        while True:
            octets = self.link.output()
            if self.plugged:
                self.stick.feed(self.now_ns, octets)
            said = b"".join(self.said)
            self.said.clear()
            if said and self.plugged:
                self.link.feed(said, self.now_ns)
            elif not octets:
                return

    def run(self, ns: int) -> None:
        """Let time pass, in steps of a millisecond."""
        end_ns = self.now_ns + ns
        while self.now_ns < end_ns:
            self.kernel.run_until(min(self.now_ns + 1_000_000, end_ns))
            self.link.service(self.now_ns)
            self.cross()

    def open(self) -> None:
        """Bring the link up."""
        self.link.hello(self.now_ns)
        self.cross()
        assert self.link.state is LinkState.OPEN, self.link.reason

    def ask(self, request: int, payload: bytes) -> Reply | None:
        """Ask the stick, and return its reply."""
        replies: list[Reply | None] = []
        self.link.request(request, payload, replies.append)
        self.link.service(self.now_ns)
        self.cross()
        (reply,) = replies
        return reply

    def configure(self, flags: int = 0) -> None:
        """Open the channel at the rates of the bus."""
        rates = self.bus.bitrate_hz, self.bus.data_bitrate_hz
        reply = self.ask(Request.CAN_CONFIG, struct.pack("<BIIB", 0, *rates, flags))
        assert reply is not None
        assert reply.ok, self.link.reason

    def send(self, can_id: int, data: bytes, flags: int = 0) -> int:
        """Send a frame by way of the stick, and return the status of the reply."""
        head = struct.pack("<BIB", 0, can_id, flags)
        reply = self.ask(Request.CAN_SEND, head + data)
        assert reply is not None
        return reply.status

    def heard(self) -> list[tuple[int, int, bytes]]:
        """Return (identifier, flags, data) of each frame that the stick has told."""
        found = []
        for event in self.events:
            if event.type == EventType.CAN_RX:
                _, _, can_id, flags = struct.unpack_from("<BIIB", event.payload)
                found.append((can_id, flags, event.payload[10:]))
        return found

    def states(self) -> list[tuple[int, int, int]]:
        """Return (state, TEC, REC) of each change that the stick has told."""
        states = [event.payload for event in self.events if event.type == EventType.CAN_STATE]
        return [(payload[1], payload[2], payload[3]) for payload in states]


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Give a bench whose link is open and whose stick is on the bus."""
    bench = Bench()
    bench.open()
    bench.configure()
    yield bench
    bench.link.close()


FRAMES = [
    (0x123, b"\x01\x02\x03"),
    (0x7FF, b""),
    (0x1ABCDEF0 | EXTENDED_FLAG, bytes(range(8))),
    (0x10 | EXTENDED_FLAG, b"\xff"),
    (0x321 | REMOTE_FLAG, bytes(5)),
    (0x1FFFFFFF | EXTENDED_FLAG | REMOTE_FLAG, bytes(8)),
]


def test_a_stick_says_who_it_is() -> None:
    """V brings the version, and a stick can do CAN and nothing else that a board can."""
    bench = Bench()
    bench.open()
    identity = bench.link.identity
    assert identity is not None
    assert (identity.firmware, identity.version) == ("slcan", (0, 10, 13))
    assert identity.capabilities == Capability.CAN | Capability.CAN_FD
    assert not bench.stick.is_open


def test_the_channel_is_opened_at_the_rate_of_the_bus_and_never_before(bench: Bench) -> None:
    """A stick that opened at another rate would destroy frames of the real bus."""
    assert bench.stick.is_open
    assert bench.stick.rates_hz[0] == 500_000
    assert bench.stick.counters["refused"] == 2  # a C of the greeting and one of python-can
    bench.run(20_000_000)
    assert bench.bus.counters["stuff_error"] == bench.bus.counters["bit_error"] == 0


@pytest.mark.parametrize("frame", FRAMES)
def test_frames_of_every_sort_go_both_ways(bench: Bench, frame: Frame) -> None:
    """What is asked for arrives at a node of the bus, and what that sends comes back, the same."""
    assert bench.send(*frame) == Status.OK
    bench.run(5_000_000)
    assert bench.peer.heard == [frame]
    bench.peer.can_send(bench.now_ns, *frame)
    bench.run(5_000_000)
    assert bench.heard() == [(frame[0], 0, frame[1])]


def test_fd_frames_go_both_ways() -> None:
    """64 octets with a switch of the bit rate, by the stick's b and B lines."""
    bench = Bench(data_bitrate_hz=2_000_000)
    bench.stick.can_fd = True
    bench.open()
    bench.configure()
    data = bytes(range(64))
    assert bench.send(0x1ABC | EXTENDED_FLAG, data, FD | BRS) == Status.OK
    bench.run(5_000_000)
    can_id = 0x1ABC | EXTENDED_FLAG | (FD | BRS) << 32
    assert bench.peer.heard == [(can_id, data)]
    bench.peer.can_send(bench.now_ns, can_id, data[:48])
    bench.run(5_000_000)
    assert bench.heard() == [(0x1ABC | EXTENDED_FLAG, FD | BRS, data[:48])]


def test_a_thousand_frames_each_way_lose_nothing(bench: Bench) -> None:
    """All arrive in order while both sides send at once."""
    sent = [(0x100 + n % 0x400, n.to_bytes(4, "big")) for n in range(1000)]
    for place, frame in enumerate(sent):
        assert bench.send(*frame) == Status.OK
        bench.peer.can_send(bench.now_ns, 0x600, place.to_bytes(2, "big"))
        bench.run(1_000_000)
    bench.run(SECOND // 10)
    assert bench.peer.heard == sent
    assert [data for _, _, data in bench.heard()] == [n.to_bytes(2, "big") for n in range(1000)]
    assert bench.link.counters["unreadable"] == 0
    assert bench.link.counters["bells"] == 2  # C, where the channel is closed


def test_a_rate_that_no_stick_has_is_refused_with_the_reason() -> None:
    """python-can knows the ten rates of the protocol; the link says which one it was asked."""
    bench = Bench(bitrate_hz=600_000)
    bench.open()
    reply = bench.ask(Request.CAN_CONFIG, struct.pack("<BIIB", 0, 600_000, 0, 0))
    assert reply is not None
    assert reply.status == Status.UNSUPPORTED
    assert "not at 600000 bit/s" in bench.link.reason
    assert not bench.stick.is_open


@pytest.mark.parametrize(
    ("request_", "payload", "status"),
    [
        (Request.CAN_SEND, b"\0", Status.INVALID),
        (Request.CAN_SEND, struct.pack("<BIB", 0, 0x800, 0), Status.INVALID),
        (Request.CAN_SEND, struct.pack("<BIB", 0, 0x100, 0) + bytes(9), Status.INVALID),
        (Request.CAN_CONFIG, b"\0", Status.INVALID),
        (Request.I2C_XFER, b"\0\0", Status.UNSUPPORTED),
        (Request.PING, b"hello", Status.OK),
    ],
)
def test_what_a_stick_cannot_do_is_said_in_the_status(
    bench: Bench, request_: Request, payload: bytes, status: Status
) -> None:
    """Nothing of a malformed frame reaches the line, and every request has its answer."""
    before = bench.stick.counters["sent"]
    reply = bench.ask(request_, payload)
    assert reply is not None
    assert reply.status == status
    assert bench.stick.counters["sent"] == before


def test_listening_only_sends_nothing(bench: Bench) -> None:
    """With the flag for it the channel is opened by L: frames come, and none go."""
    bench.configure(flags=1)
    assert bench.stick.listens
    bench.send(0x100, b"")
    assert bench.link.counters["bells"] == 3
    bench.run(5_000_000)
    assert bench.peer.heard == []


def test_error_states_of_the_stick_are_told(bench: Bench) -> None:
    """Passive while nobody acknowledges, bus off by force, and active again: by lines and by F."""
    bench.bus.faults.add(CANFault("ack", can_id=0x111))
    bench.send(0x111, b"")
    bench.run(50_000_000)
    assert bench.states() == [(1, 96, 0), (2, 128, 0)]
    bench.send(0x222, b"")
    bench.bus.faults = FaultWindows("can", FAULT_KINDS)
    bench.bus.faults.add(CANFault("bus_off", can_id=0x222))
    bench.run(50_000_000)
    assert bench.states()[-1][0] == 3
    bench.bus.faults = FaultWindows("can", FAULT_KINDS)
    bench.configure()
    bench.run(2 * SECOND)
    assert bench.states()[-1][0] == 0


def test_status_bits_are_states_and_counts_where_a_stick_tells_no_states() -> None:
    """F04 is a warning, F20 passive, F08 an overrun, F80 a bus error; F00 active again."""
    link = StickLink()
    events: list[Event] = []
    link.on_event = events.append
    link.hello(0)
    link.feed(b"V0102\r", 0)
    for answer in (b"F04\r", b"F24\r", b"FA8\r", b"F00\r", b"FXX\r"):
        link.feed(answer, 0)
    assert [event.payload[1] for event in events] == [1, 2, 0]
    counted = {name: link.counters[name] for name in ("overruns", "bus_errors", "unreadable")}
    assert counted == {"overruns": 1, "bus_errors": 1, "unreadable": 1}


def test_silence_is_a_loss_after_three_questions(bench: Bench) -> None:
    """A stick that was pulled out of a hub says nothing; requests then have no answer."""
    bench.plugged = False
    bench.run(3 * POLL_NS)
    assert bench.link.state is LinkState.OPEN
    bench.run(2 * POLL_NS)
    assert bench.link.state is LinkState.LOST
    assert "said nothing for 3 s" in bench.link.reason
    assert bench.ask(Request.CAN_SEND, struct.pack("<BIB", 0, 1, 0)) is None
    bench.plugged = True
    bench.open()
    bench.configure()
    assert bench.send(0x123, b"again") == Status.OK
    bench.run(5_000_000)
    assert bench.peer.heard == [(0x123, b"again")]


def test_what_is_no_stick_is_given_up() -> None:
    """Noise and a text console bring no greeting; the link is lost at the limit and says why."""
    link = StickLink()
    link.hello(0)
    link.feed(b"login: \x00\xff" * 100, 1)
    link.feed(b"\rNo such command\r", 2)
    for now_ns in range(0, HELLO_LIMIT_NS + 1, 10_000_000):
        link.service(now_ns)
    assert link.state is LinkState.LOST
    assert link.reason == "no answer to V within 1500 ms"
    assert link.counters["unreadable"] > 0


def test_a_stick_that_was_left_in_the_middle_of_a_line_answers_the_first_greeting() -> None:
    """The greeting ends what another program has begun, and closes its channel."""
    bench = Bench()
    bench.stick.feed(0, b"S6\rO\rt12381122")
    bench.open()
    assert bench.link.counters["hello_tries"] == 1
    assert not bench.stick.is_open


def test_leaving_a_stick_takes_it_off_the_bus(bench: Bench) -> None:
    """Its channel is closed by the last that the line carries."""
    bench.link.close()
    bench.cross()
    assert not bench.stick.is_open
    assert bench.link.due_ns is None


def test_without_python_can_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says what is missing and which extra brings it."""
    real: Any = builtins.__import__

    def absent(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("can."):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(BoardError, match=r"pip install 'flatsat\[can\]'"):
        StickLink()
