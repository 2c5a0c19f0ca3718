"""The bench's socket: what programs that are no participants ask, and what they get."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from flightsw.codec import bus_payload
from flightsw.codec.wire import Flag, Kind, Record, Status, pack, unpack_all, unpack_from
from hil.faces.host import Host
from hil.faces.reception import ERRNO_TABLE
from hil.testing.contracts.bus import ADDRESS
from hil.testing.small_rig import I2C, SmallRig

END_NS = 3_600_000_000_000
READ_TWO = bus_payload.pack_i2c(ADDRESS, b"\x10", 2)


class Bench:
    """A small rig behind a socket, served by the thread of the test."""

    def __init__(self, folder: Path, pace: str = "max") -> None:
        self.rig = SmallRig(END_NS)
        self.path = folder / "bench"
        self.host = Host(self.rig.exchange, self.path, pace)
        self.sockets: list[socket.socket] = []

    def connect(self) -> socket.socket:
        """Return a new connection."""
        one = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        one.connect(str(self.path))
        one.setblocking(False)
        self.sockets.append(one)
        return one

    def answer(self, one: socket.socket) -> bytes:
        """Serve until a message for ``one`` is there; return it."""
        for _ in range(1000):
            try:
                return one.recv(1 << 20)
            except BlockingIOError:
                self.host.step(0.01)
        raise AssertionError("no answer")

    def ask(self, one: socket.socket, *record: object, **fields: object) -> Record:
        """Send a record and return the reply."""
        one.send(pack(*record, **fields))  # type: ignore[arg-type]
        return unpack_from(self.answer(one))[0]

    def open(self, name: str) -> socket.socket:
        """Return a handle on a device."""
        one = self.connect()
        assert self.ask(one, Kind.OPEN, payload=name.encode()).kind == Kind.OPEN
        return one

    def i2c(self, one: socket.socket, payload: bytes = READ_TWO) -> Record:
        """Run an I2C request on an open handle."""
        return self.ask(one, Kind.I2C, payload=payload)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Give a bench that does not wait for bus time."""
    bench = Bench(tmp_path)
    yield bench
    for one in bench.sockets:
        one.close()
    bench.host.close()


def test_what_boards_say_while_they_are_looked_after_is_heard_at_once(tmp_path: Path) -> None:
    """What is put on the clock before a wait is done before it, not after it."""
    bench = Bench(tmp_path, "real")
    heard: list[int] = []

    def look_after() -> None:
        if not heard:
            bench.rig.kernel.at(bench.host.present.now_ns(), 0, 400, heard.append)

    bench.host.look_after = look_after
    bench.host.step(0.0)
    bench.host.close()
    assert len(heard) == 1


def test_a_bus_given_back_stays_with_who_still_has_it(bench: Bench) -> None:
    """While a board still owes an answer on a bus, programs wait for it, route or not."""
    lane = bench.rig.exchange.lanes[I2C]
    lane.pending = True
    one = bench.open("/dev/i2c-1")
    one.send(pack(Kind.I2C, payload=READ_TWO))
    for _ in range(3):
        bench.host.step(0.0)
    with pytest.raises(BlockingIOError):
        one.recv(1 << 20)
    assert len(lane.waiting) == 1


def test_open_tells_the_channel_and_the_errno_of_its_adapter(bench: Bench) -> None:
    """OPEN answers with channel, errno by status, and the channel's entry of WELCOME."""
    one = bench.connect()
    reply = bench.ask(one, Kind.OPEN, payload=b"/dev/i2c-1")
    table = ERRNO_TABLE.unpack_from(reply.payload)
    about = json.loads(reply.payload[ERRNO_TABLE.size :])
    lane = bench.rig.exchange.lanes[reply.channel]
    assert reply.flags == Flag.REPLY
    assert {status: code for status, code in enumerate(table) if code} == dict(lane.errno)
    where = {"path": "/dev/i2c-1", "rig": "small", "board": "none"}
    assert about == {**lane.describe(), **where}


def test_a_bus_can_be_opened_by_its_name(bench: Bench) -> None:
    """The name of a bus in the board file opens it as its device path does."""
    assert bench.ask(bench.connect(), Kind.OPEN, payload=b"i2c-1").channel == 0


def test_what_is_not_there_is_refused_by_name(bench: Bench) -> None:
    """OPEN of an unknown device is refused with what there is, and the connection ends."""
    one = bench.connect()
    reply = bench.ask(one, Kind.OPEN, payload=b"/dev/i2c-9")
    assert reply.kind == Kind.REFUSE
    assert b"/dev/i2c-9" in reply.payload
    assert b"/dev/i2c-1" in reply.payload
    assert bench.answer(one) == b""


def test_the_reply_is_what_the_capture_stores(bench: Bench) -> None:
    """A reply is octet for octet the record of the transaction, with its bus time."""
    one = bench.open("/dev/i2c-1")
    one.send(pack(Kind.I2C, payload=READ_TWO))
    octets = bench.answer(one)
    bench.rig.stream.flush()
    assert bytes(bench.rig.octets).endswith(octets)
    assert unpack_from(octets)[0].duration_ns == 120_000


def test_a_nak_is_a_status_and_the_handle_goes_on(bench: Bench) -> None:
    """Nobody at an address is NAK_ADDRESS; the next request of the handle is served."""
    one = bench.open("/dev/i2c-1")
    assert bench.i2c(one, bus_payload.pack_i2c(0x2F, b"", 0)).status == Status.NAK_ADDRESS
    assert bench.i2c(one).status == Status.OK


@pytest.mark.parametrize("payload", [b"", b"\x00", struct.pack("<HHH", 0x50, 0, 9) + b"abc"])
def test_a_request_that_cannot_be_read_is_invalid(bench: Bench, payload: bytes) -> None:
    """A payload that does not decode is answered with INVALID; nothing crosses the bus."""
    one = bench.open("/dev/i2c-1")
    assert bench.i2c(one, payload).status == Status.INVALID
    assert bench.rig.i2c.counters["transfers"] == 0
    assert bench.i2c(one).status == Status.OK


@pytest.mark.parametrize(
    "message", [b"x", pack(Kind.I2C, channel=3), pack(Kind.SPI), pack(Kind.I2C)[:-1] + b"\0\0"]
)
def test_a_message_that_breaks_the_protocol_ends_the_handle(bench: Bench, message: bytes) -> None:
    """What is no request of the handle's device is refused; other handles do not notice."""
    one, other = bench.open("/dev/i2c-1"), bench.open("/dev/i2c-1")
    one.send(message)
    assert unpack_from(bench.answer(one))[0].kind == Kind.REFUSE
    assert bench.answer(one) == b""
    assert bench.i2c(other).status == Status.OK
    assert bench.host.counters["refused"] == 1


def test_many_handles_lose_nothing(bench: Bench) -> None:
    """Fifty handles that ask at once each get every answer, in order; the bus runs one by one."""
    handles = [bench.open("/dev/i2c-1") for _ in range(50)]
    seqs: list[list[int]] = [[] for _ in handles]
    for _ in range(20):
        for one in handles:
            one.send(pack(Kind.I2C, payload=READ_TWO))
        for one, seen in zip(handles, seqs, strict=True):
            seen.append(unpack_from(bench.answer(one))[0].seq)
    assert all(seen == sorted(seen) for seen in seqs)
    assert sorted(seq for seen in seqs for seq in seen) == list(range(1000))
    bench.rig.stream.flush()
    records = list(unpack_all(bytes(bench.rig.octets)))
    ends = [record.t_ns + record.duration_ns for record in records]
    assert all(record.t_ns >= end for record, end in zip(records[1:], ends, strict=False))


def test_a_busy_bus_queues_what_comes(tmp_path: Path) -> None:
    """At real pace two handles on one bus are served one after the other."""
    bench = Bench(tmp_path, "real")
    one, two = bench.open("/dev/i2c-1"), bench.open("/dev/i2c-1")
    one.send(pack(Kind.I2C, payload=READ_TWO))
    two.send(pack(Kind.I2C, payload=READ_TWO))
    replies = [unpack_from(bench.answer(s))[0] for s in (one, two)]
    first, second = sorted(replies, key=lambda reply: reply.t_ns)
    assert second.t_ns >= first.t_ns + first.duration_ns
    for s in bench.sockets:
        s.close()
    bench.host.close()


def test_who_leaves_while_waiting_takes_nothing_along(tmp_path: Path) -> None:
    """A handle that closes before its answer is forgotten; those behind it are served."""
    bench = Bench(tmp_path, "real")
    one, two = bench.open("/dev/i2c-1"), bench.open("/dev/i2c-1")
    one.send(pack(Kind.I2C, payload=READ_TWO))
    one.close()
    assert bench.i2c(two).status == Status.OK
    two.close()
    for _ in range(10):
        bench.host.step(0.01)
    assert not bench.host._clients
    bench.host.close()


def test_the_end_of_the_run_ends_the_loop(tmp_path: Path) -> None:
    """The host serves until the end of the run and not beyond."""
    bench = Bench(tmp_path)
    bench.host.present.jump(END_NS)
    bench.host.run()
    assert bench.rig.exchange.over
    assert bench.rig.kernel.now_ns == END_NS
    bench.host.close()
