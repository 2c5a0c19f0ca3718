"""A board behind an emulated bus: deferral, absence, loss, what cannot be, and octets in pieces."""

from __future__ import annotations

import pytest

from flightsw.codec import bus_payload
from flightsw.codec.wire import HEADER, HEADER_NBYTES, Flag, Kind, Record, Status, pack, unpack_all
from hil.boards.bridge import I2CRoute, Seat, SPIRoute, SPISeat
from hil.boards.protocol import Request
from hil.buses.faults import BusFault
from hil.testing.contracts.bus import ADDRESS, I2CMemory, SPIShifter
from hil.testing.small_rig import I2C, SPI, SmallRig
from hil.time.pacing import Pacer
from hil.time.participant import Participant
from hil.time.transports.direct import DirectPort
from tests.hil.boards.stub_board import StubBoard, Wall

MS = 1_000_000
END_NS = 1_000 * MS
#: Where the real part is; the emulated memory is at ADDRESS.
REAL = 0x48


class Bench:
    """A small rig at the pace of a simulated wall, with a board behind address REAL."""

    def __init__(self, payload_nbytes: int = 130, latency_ns: int = 300_000) -> None:
        self.wall = Wall()
        self.rig = SmallRig(END_NS)
        self.board = StubBoard(self.wall, payload_nbytes, latency_ns)
        self.pacer = Pacer(self.rig.kernel, "real", clock=self.wall.clock)
        self.pacer.watch = self.board
        self.board.pacer = self.pacer
        self.memory = I2CMemory()
        self.board.targets[REAL] = self.memory
        self.lane = self.rig.exchange.lanes[I2C]
        self.route = I2CRoute(self.lane, self.rig.exchange.transactor)
        self.route.seats[REAL, False] = Seat(self.board, 0)
        self.lane.lead(self.route)
        self.fsw = self.rig.exchange.join("fsw")

    def ask(self, message: bytes, participant: Participant | None = None) -> list[Record]:
        octets = self.rig.exchange.handle(participant or self.fsw, message)
        return list(unpack_all(octets))

    def i2c(self, write: bytes, nread: int = 0, address: int = REAL) -> Record:
        request = bus_payload.pack_i2c(address, write, nread)
        return self.message(address, request)

    def message(self, address: int, request: bytes) -> Record:
        now_ns = self.rig.kernel.now_ns
        return self.ask(pack(Kind.I2C, I2C, t_ns=now_ns, address=address, payload=request))[-1]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def read_of(record: Record) -> bytes:
    data = bus_payload.unpack_i2c(record.payload, reply=True)[-1][2]
    assert isinstance(data, bytes)
    return data


def test_a_board_answers_for_an_address(bench: Bench) -> None:
    """What a board says comes back as from an emulated part, and the record says that it was one.

    The participant is answered when the board's answer is there, 300 us after it asked, though the
    bus time is less; the emulated part beside it is answered by bus time alone.
    """
    record = bench.i2c(b"\x05", 2)
    assert (record.status, read_of(record)) == (Status.OK, b"\x05\x06")
    assert record.flags == Flag.REPLY | Flag.BOARD
    assert record.t_ns == 0
    assert record.duration_ns == bench.rig.kernel.now_ns == 300_000
    other = bench.i2c(b"\x05", 2, ADDRESS)
    assert (other.flags, other.duration_ns) == (Flag.REPLY, 120_000)


def test_an_answer_that_is_early_waits_for_the_bus_time() -> None:
    """A board that is faster than the emulated bus does not make the bus faster."""
    bench = Bench(latency_ns=10_000)
    record = bench.i2c(b"\x05", 2)
    assert (record.duration_ns, bench.rig.kernel.now_ns) == (120_000, 120_000)


def test_nobody_else_waits_for_a_board(bench: Bench) -> None:
    """While a board has a transaction, time goes on for others; its bus alone is busy."""
    other = bench.rig.exchange.join("other")
    seen: list[int] = []
    bench.rig.pulse(100_000, seen.append)
    exchange = bench.rig.exchange
    exchange.disturbed = False
    slow = bus_payload.pack_i2c(REAL, b"\x05", 2)
    exchange.begin(bench.fsw, pack(Kind.I2C, I2C, address=REAL, payload=slow))
    exchange.begin(other, pack(Kind.NEXT, t_ns=50_000))
    assert exchange.run() == [other]
    assert bench.rig.kernel.now_ns == 50_000
    exchange.reply(other)
    quick = bus_payload.pack_i2c(ADDRESS, b"\x05", 2)
    exchange.begin(other, pack(Kind.I2C, I2C, t_ns=50_000, address=ADDRESS, payload=quick))
    assert exchange.run() == [bench.fsw]
    (first,) = unpack_all(exchange.reply(bench.fsw))
    assert (first.t_ns, first.duration_ns, seen) == (0, 300_000, [100_000])
    exchange.begin(bench.fsw, pack(Kind.NEXT, t_ns=2 * MS))
    assert exchange.run() == [other]
    (second,) = unpack_all(exchange.reply(other))
    assert (second.t_ns, second.status) == (300_000, Status.OK), "queued behind the board"


def test_a_board_that_is_away_is_a_part_that_is_away(bench: Bench) -> None:
    """Before it is ready the address is not acknowledged, and no record names a board."""
    bench.board.ready = False
    record = bench.i2c(b"\x05", 2)
    assert (record.status, record.flags) == (Status.NAK_ADDRESS, Flag.REPLY)
    assert record.duration_ns == bench.rig.i2c.duration_ns(11)
    assert bench.board.counters["absent"] == 1
    assert not bench.board.requests


def test_a_board_pulled_in_the_middle_of_a_transaction_is_not_acknowledged(bench: Bench) -> None:
    """The link's own limit ends a transaction; it then fails as one to an absent part does."""
    bench.board.pulled = True
    record = bench.i2c(b"\x05", 2)
    assert (record.status, record.flags) == (Status.NAK_ADDRESS, Flag.REPLY)
    assert record.t_ns == 200 * MS + 300_000
    assert bench.board.counters["lost"] == 1
    assert bench.lane.busy_ns == bench.rig.kernel.now_ns


def test_time_never_stands_for_a_dead_board(bench: Bench) -> None:
    """A run whose board never answers again comes to its end on time."""
    bench.board.pulled = True
    bench.board.latency_ns = 10 * END_NS
    request = bus_payload.pack_i2c(REAL, b"\x05", 2)
    assert bench.ask(pack(Kind.I2C, I2C, address=REAL, payload=request)) == []
    assert bench.rig.exchange.over
    assert bench.rig.kernel.now_ns == END_NS


@pytest.mark.parametrize("ready", [True, False])
def test_those_who_queue_for_a_bus_have_it_one_after_the_other(bench: Bench, ready: bool) -> None:
    """Requests of one window to a board, there or away, run in order, each when the bus is free."""
    bench.board.ready = ready
    request = bus_payload.pack_i2c(REAL, b"\x05", 2)
    posted = pack(Kind.I2C, I2C, address=REAL, payload=request)
    until = pack(Kind.NEXT, t_ns=5 * MS)
    *results, granted = bench.ask(4 * posted + until)
    assert (granted.kind, granted.t_ns) == (Kind.GRANT, 5 * MS)
    step_ns = 300_000 if ready else bench.rig.i2c.duration_ns(11)
    assert [one.t_ns for one in results] == [n * step_ns for n in range(4)]
    assert {one.status for one in results} == {Status.OK if ready else Status.NAK_ADDRESS}


def test_a_bus_given_back_in_the_middle_of_a_transaction_stays_busy(bench: Bench) -> None:
    """A board that is swapped away while it has a transaction answers it; others wait till then."""
    other = bench.rig.exchange.join("other")
    exchange = bench.rig.exchange
    exchange.disturbed = False
    slow = bus_payload.pack_i2c(REAL, b"\x05", 2)
    exchange.begin(bench.fsw, pack(Kind.I2C, I2C, address=REAL, payload=slow))
    bench.rig.pulse(100_000, lambda t_ns: bench.lane.lead(None))
    quick = bus_payload.pack_i2c(ADDRESS, b"\x05", 2)
    exchange.begin(other, pack(Kind.I2C, I2C, t_ns=150_000, address=ADDRESS, payload=quick))
    assert exchange.run() == [bench.fsw]
    (first,) = unpack_all(exchange.reply(bench.fsw))
    assert (first.t_ns, first.duration_ns, bench.lane.quick) == (0, 300_000, True)
    exchange.begin(bench.fsw, pack(Kind.NEXT, t_ns=2 * MS))
    assert exchange.run() == [other]
    (second,) = unpack_all(exchange.reply(other))
    assert second.t_ns == 300_000


def test_messages_to_both_are_refused(bench: Bench) -> None:
    """One transaction cannot go over two buses at once: UNSUPPORTED, an event, and neither acts."""
    parts = [(REAL, 0, b"\x05"), (ADDRESS, 1, 2)]
    request = b"".join(
        bus_payload.I2C_MESSAGE.pack(a, f, d if isinstance(d, int) else len(d))
        + (b"" if isinstance(d, int) else d)
        for a, f, d in parts
    )
    record = bench.message(REAL, request)
    assert record.status == Status.UNSUPPORTED
    assert bench.board.told[0][0] == "BOARD_MIXED"
    assert bench.board.counters["mixed"] == 1
    assert not bench.board.requests
    assert bench.rig.memory.pointer == 0


@pytest.mark.parametrize(
    ("status", "taken", "bits"),
    [(Status.NAK_ADDRESS, 0, 11), (Status.NAK_DATA, 1, 29), (Status.ARBITRATION_LOST, 0, None)],
)
def test_failures_map_by_value(status: Status, taken: int, bits: int | None) -> None:
    """What the board says went wrong is what the record says, with the bus time of that failure."""

    class Failing(I2CMemory):
        def i2c_write(self, t_ns: int, data: bytes) -> int:
            return taken

    bench = Bench(latency_ns=1_000)
    bench.board.targets[REAL] = Failing()
    bench.board._failed = lambda *_: (  # type: ignore[method-assign]
        int(status),
        bytes(4) + bytes((taken, 0)),
    )
    record = bench.i2c(b"\x05\x06\x07")
    assert (record.status, record.flags) == (status, Flag.REPLY | Flag.BOARD)
    if bits is not None:
        assert record.duration_ns == bench.rig.i2c.duration_ns(bits)


def test_faults_of_the_bus_spoil_what_a_board_says(bench: Bench) -> None:
    """A fault row acts on a board's transaction as on any other, and the record has both flags."""
    fault = BusFault("i2c-1", "bit_flip", args={"bit": 7})
    bench.rig.i2c.add_fault(fault)
    record = bench.i2c(b"\x05", 2)
    assert read_of(record) == b"\x85\x06"
    assert record.flags == Flag.REPLY | Flag.BOARD | Flag.FAULTED
    bench.rig.i2c.remove_fault(fault)
    assert read_of(bench.i2c(b"\x05", 2)) == b"\x05\x06"


@pytest.mark.parametrize("room", [58, 130, 246])
@pytest.mark.parametrize("nbytes", [1, 50, 51, 125, 126, 256, 600])
def test_long_messages_go_in_pieces(room: int, nbytes: int) -> None:
    """What does not fit a frame of the board goes in several, held together, and is whole."""
    bench, twin = Bench(payload_nbytes=room), I2CMemory()
    octets = bytes(n * 7 & 0xFF for n in range(nbytes))
    assert bench.i2c(b"\x00" + octets[:200]).status == Status.OK
    twin.i2c_write(0, b"\x00" + octets[:200])
    assert bench.memory.cells == twin.cells
    twin.i2c_write(0, b"\x03")
    record = bench.i2c(b"\x03", nbytes)
    assert (record.status, read_of(record)) == (Status.OK, twin.i2c_read(0, nbytes))
    assert all(len(payload) <= room for _, payload in bench.board.requests)


def test_the_direct_way_defers_too(bench: Bench) -> None:
    """Flight software that calls in the same process is answered as over a channel."""
    port = DirectPort(bench.rig.exchange, bench.fsw)
    transfer = port.i2c(I2C)
    assert transfer(0, REAL, b"\x05", 2) == (Status.OK, 300_000, b"\x05\x06")
    assert transfer(300_000, ADDRESS, b"\x05", 2) == (Status.OK, 420_000, b"\x05\x06")
    bench.board.ready = False
    assert transfer(420_000, REAL, b"\x05", 2) == (Status.NAK_ADDRESS, 447_500, b"")


# --- SPI ------------------------------------------------------------------------------------------


def spi(bench: Bench, segments: list[bus_payload.SPISegment]) -> Record:
    request = bus_payload.pack_spi(segments)
    now_ns = bench.rig.kernel.now_ns
    return bench.ask(pack(Kind.SPI, SPI, t_ns=now_ns, address=0, payload=request))[-1]


@pytest.fixture
def shifter(bench: Bench) -> SPIShifter:
    """A real shifter at chip select 0, and nothing emulated there."""
    lane = bench.rig.exchange.lanes[SPI]
    route = SPIRoute(lane, bench.rig.exchange.transactor)
    route.seats[0] = SPISeat(bench.board, 0, 0, "shifter")
    lane.bus.replace(0, route.seats[0].peripheral)
    lane.lead(route)
    bench.board.peripherals[0] = part = SPIShifter()
    return part


def received(record: Record) -> list[bytes]:
    return bus_payload.unpack_spi(record.payload, reply=True)[1]


@pytest.mark.parametrize("nbytes", [1, 3, 127, 128, 500])
def test_a_chip_select_answered_by_a_board(bench: Bench, shifter: SPIShifter, nbytes: int) -> None:
    """Octets come back from the real part, in one selection however many frames they take."""
    tx = bytes(n & 0xFF for n in range(nbytes))
    record = spi(bench, [(tx, 0, 8, 0, 0)])
    assert (record.status, received(record)) == (Status.OK, [bytes(1) + tx[:-1]])
    assert record.flags == Flag.REPLY | Flag.BOARD
    assert (shifter.selects, shifter.deselects) == (1, 1)


def test_segments_stay_apart(bench: Bench, shifter: SPIShifter) -> None:
    """Segments under one chip select are one selection; one that asks for it ends it."""
    record = spi(bench, [(b"\x01\x02", 0, 8, 0, 0), (b"\x03", 0, 8, 0, 0)])
    assert received(record) == [b"\x00\x01", b"\x02"]
    assert shifter.selects == 1
    record = spi(bench, [(b"\x01\x02", 0, 8, 1, 0), (b"\x03", 500_000, 8, 0, 0)])
    assert received(record) == [b"\x00\x01", b"\x00"]
    assert shifter.selects == 3
    configs = [payload for kind, payload in bench.board.requests if kind == Request.SPI_CONFIG]
    assert [int.from_bytes(one[3:], "little") for one in configs] == [1_000_000, 500_000]


def test_a_chip_select_whose_board_is_away_reads_as_nothing_there(
    bench: Bench, shifter: SPIShifter
) -> None:
    """FFh, and no error: an SPI controller cannot tell."""
    bench.board.ready = False
    record = spi(bench, [(b"\x01\x02", 0, 8, 0, 0)])
    assert (record.status, received(record)) == (Status.OK, [b"\xff\xff"])
    assert record.flags == Flag.REPLY


def test_words_that_no_board_can_do_are_unsupported(bench: Bench, shifter: SPIShifter) -> None:
    """Two lines at once, or words other than of 8 bits, are refused before the board is asked."""
    record = spi(bench, [(b"\x01\x02", 0, 9, 0, 0)])
    assert record.status == Status.UNSUPPORTED
    assert not bench.board.requests


def test_a_reply_tells_the_time_at_which_the_participant_goes_on(bench: Bench) -> None:
    """Start and duration in the header add up to the kernel's time: no participant falls behind."""
    request = bus_payload.pack_i2c(REAL, b"\x05", 2)
    octets = bench.rig.exchange.handle(bench.fsw, pack(Kind.I2C, I2C, payload=request))
    header = HEADER.unpack_from(octets)
    assert len(octets) == HEADER_NBYTES + header[4]
    assert header[5] + header[6] == bench.rig.kernel.now_ns


@pytest.mark.parametrize("pulled", [False, True])
def test_an_emulated_part_that_is_swapped_in_meanwhile_is_left_alone(
    bench: Bench, shifter: SPIShifter, pulled: bool
) -> None:
    """What was put to a board is its own to answer: the part that takes its place has no part."""
    lane, emulated = bench.rig.exchange.lanes[SPI], SPIShifter()
    assert isinstance(lane.route, SPIRoute)
    route = lane.route
    bench.board.pulled = pulled

    def swap(t_ns: int) -> None:
        del route.seats[0]
        lane.bus.replace(0, emulated)
        lane.lead(None)

    bench.rig.pulse(100_000, swap)
    record = spi(bench, [(b"\x01\x02", 0, 8, 0, 0)])
    assert (emulated.selects, received(record)) == (0, [b"\xff\xff" if pulled else b"\x00\x01"])
    assert record.flags == Flag.REPLY | (Flag(0) if pulled else Flag.BOARD)
    assert spi(bench, [(b"\x03", 0, 8, 0, 0)]).flags == Flag.REPLY
    assert emulated.selects == 1
