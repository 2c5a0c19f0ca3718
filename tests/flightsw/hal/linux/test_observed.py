"""What flight software tells a bench of buses that are its computer's own."""

from __future__ import annotations

import json

import pytest

from flightsw.codec import bus_payload
from flightsw.codec.wire import Flag, Kind, Record, Status, pack, unpack_all
from flightsw.errors import BenchRefusedError
from flightsw.hal.bench import BenchHal, DirectHal
from flightsw.hal.session import OBSERVED_LIMIT_NBYTES
from hil.errors import ParticipantError
from hil.exchange import Exchange
from hil.greeting import answer_hello
from hil.testing.contracts.bus import ADDRESS
from hil.testing.small_rig import FRAMES, GPIO, I2C, UART, SmallRig
from hil.time.transports.direct import DirectPort

END_NS = 1_000_000_000
MS = 1_000_000
DONE = int(Flag.REPLY | Flag.BOARD)
READ = bus_payload.pack_i2c(ADDRESS, b"\x07", 2) + b"\xab\xcd"


class Call:
    """A channel to a rig in the same thread."""

    endpoint = "call"

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.participant = exchange.join("fsw")

    def exchange(self, message: bytes) -> bytes:
        if message[0] == Kind.HELLO:
            return answer_hello(self.participant, message, self._exchange.welcome())
        return self._exchange.handle(self.participant, message) or self._exchange.end(
            self.participant
        )

    def close(self) -> None:
        """Nothing is held."""


@pytest.fixture
def rig() -> SmallRig:
    return SmallRig(END_NS)


@pytest.fixture(params=["channel", "lazy", "direct"])
def hal(rig: SmallRig, request: pytest.FixtureRequest) -> BenchHal | DirectHal:
    """A hal whose I2C bus, serial line and GPIO chip are its computer's own."""
    local = {"i2c-1": "/dev/i2c-1", "ttyAMA1": "/dev/ttyS0", "gpiochip0": "/dev/gpiochip0"}
    if request.param == "direct":
        participant = rig.exchange.join("fsw")
        assert participant.claim(local) == ""
        return DirectHal(DirectPort(rig.exchange, participant))
    return BenchHal(Call(rig.exchange), lazy=request.param == "lazy", local=local)


def let_pass(hal: BenchHal | DirectHal, t_ns: int) -> None:
    """Sleep, and have the bench know."""
    hal.clock.sleep_until(t_ns)
    hal.session.sync()


def told(rig: SmallRig, kind: int) -> list[Record]:
    """Return the records of a kind that something real is said to have made."""
    return [r for r in rig.records() if r.kind == kind and r.flags & Flag.BOARD]


def test_what_crossed_an_own_bus_is_recorded(rig: SmallRig, hal: BenchHal | DirectHal) -> None:
    """The record has the time, outcome and octets that were told, and the part was not asked."""
    session, memory = hal.session, rig.memory
    let_pass(hal, 5 * MS)
    session.observe(Kind.I2C, I2C, DONE, 0, 5 * MS, 140_000, ADDRESS, READ)
    assert hal.clock.now_ns() == 5 * MS + 140_000
    let_pass(hal, 9 * MS)
    assert told(rig, Kind.I2C) == [
        Record(Kind.I2C, I2C, DONE, 0, 5 * MS, 140_000, 0, ADDRESS, READ)
    ]
    assert (memory.stops, memory.pointer) == (0, 0)
    assert rig.exchange.observed.buses["i2c-1"] == "/dev/i2c-1"
    assert rig.exchange.counted["observed"]["records"] == 1


def test_an_own_bus_and_one_of_the_bench_take_turns(rig: SmallRig, hal: BenchHal) -> None:
    """A transaction of the bench comes after what was told before it, in time and in number."""
    spi = hal.spi("spi-0", 0)
    for n in range(3):
        now_ns = hal.clock.now_ns()
        hal.session.observe(Kind.I2C, I2C, DONE, 0, now_ns, 100_000, ADDRESS, READ)
        spi.transfer(bytes((n,)))
    let_pass(hal, 2 * MS)
    both = [r for r in rig.records() if r.kind in (Kind.I2C, Kind.SPI)]
    assert [r.kind for r in both] == [Kind.I2C, Kind.SPI] * 3
    assert [r.seq for r in both] == list(range(6))
    ends = [r.t_ns + r.duration_ns for r in both]
    assert all(r.t_ns >= end for r, end in zip(both[1:], ends, strict=False))


def test_emulated_parts_on_an_own_bus_are_not_heard(rig: SmallRig, hal: BenchHal) -> None:
    """What an emulated part sends there reaches nobody, and is counted."""
    emit = rig.exchange.emitter(UART, Kind.UART)
    rig.pulse(3 * MS, lambda t: emit(t, 0, Flag.INPUT, 0, 0, b"emulated"))
    let_pass(hal, 5 * MS)
    assert hal.uart("ttyAMA1").read() == b""
    assert told(rig, Kind.UART) == []
    assert rig.exchange.held_back[UART] == 1


def test_levels_driven_on_own_lines_reach_emulated_parts(
    rig: SmallRig, hal: BenchHal | DirectHal
) -> None:
    """An emulated part feels a line that flight software drives for real; the record is one."""
    hal.session.observe(Kind.GPIO, GPIO, Flag.BOARD, 0, 0, 0, 0, b"\x01")
    let_pass(hal, MS)
    levels = rig.exchange.welcome()["channels"][GPIO]["levels"]
    assert levels == [1, 1, 0, 1], "the pins `out` and `wire` follow the pin `in`"
    (record,) = [r for r in rig.records() if r.kind == Kind.GPIO]
    assert (record.flags, record.address, record.payload) == (Flag.BOARD, 0, b"\x01")


def test_what_waits_for_the_bench_is_bounded_and_the_loss_told(rig: SmallRig) -> None:
    """Beyond a bound records are lost; their number reaches the bench with the next one."""
    local = {"ttyAMA1": "/dev/ttyS0"}
    hal = BenchHal(Call(rig.exchange), local=local)
    piece = bytes(OBSERVED_LIMIT_NBYTES // 8)
    for _ in range(11):
        hal.session.observe(Kind.UART, UART, Flag.BOARD | Flag.INPUT, 0, 0, 0, 0, piece)
    let_pass(hal, MS)
    assert len(told(rig, Kind.UART)) == 7
    hal.session.observe(Kind.UART, UART, Flag.BOARD | Flag.INPUT, 0, MS, 0, 0, b"x")
    let_pass(hal, 2 * MS)
    assert rig.exchange.counted["observed"]["lost"] == 4
    assert told(rig, Kind.UART)[-1].payload == b"x"


def test_an_image_is_told_though_it_is_longer_than_the_bound(rig: SmallRig) -> None:
    """One record by itself passes; what comes behind it before the bench has heard is lost."""
    hal = BenchHal(Call(rig.exchange), local={"csi0": "/dev/video0"})
    image = bus_payload.FRAME_HEADER.pack(1000, 700, 3, 8, 0) + bytes(2_100_000)
    for _ in range(2):
        now_ns = hal.clock.now_ns()
        hal.session.observe(Kind.FRAME, FRAMES, DONE, 0, now_ns, 40 * MS, 0, image)
    hal.clock.sleep_until(100 * MS)
    (record,) = told(rig, Kind.FRAME)
    assert (record.payload, record.duration_ns) == (image, 40 * MS)
    hal.session.observe(Kind.FRAME, FRAMES, DONE, 0, 100 * MS, MS, 0, image)
    hal.clock.sleep_until(110 * MS)
    assert rig.exchange.counted["observed"] == {"records": 2, "lost": 1, "after_end": 0}


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (pack(Kind.I2C, I2C, DONE, payload=READ[:-1]), "cannot be read"),
        (pack(Kind.I2C, I2C, DONE, 99, payload=READ), "status 99"),
        (pack(Kind.I2C, I2C, DONE, 0, 0, 1 << 63, payload=READ), "ns"),
        (pack(Kind.SPI, I2C, DONE, payload=READ), "no such bus of its own"),
        (pack(Kind.UART, UART, DONE, payload=b"x"), "no such bus of its own"),
        (pack(Kind.FRAME, FRAMES, DONE, payload=b"short"), "no such bus of its own"),
        (pack(Kind.I2C, 200, DONE, payload=READ), "no such bus of its own"),
    ],
)
def test_what_is_told_is_checked(rig: SmallRig, message: bytes, says: str) -> None:
    """Records that are none, or of a bus that was not said to be an own one, end the run."""
    participant = rig.exchange.join("fsw")
    assert participant.claim({"i2c-1": "x"}) == ""
    with pytest.raises(ParticipantError, match=says):
        rig.exchange.handle(participant, message + pack(Kind.NEXT, t_ns=MS))


@pytest.mark.parametrize(
    "local", [{"i2c-9": "x"}, ["i2c-1"], {"i2c-1": 1}, "i2c-1"], ids=["unknown", "list", "n", "s"]
)
def test_a_bus_that_there_is_not_is_refused(rig: SmallRig, local: object) -> None:
    """The greeting is refused with what is wrong, and nothing is taken from the bench."""
    participant = rig.exchange.join("fsw")
    hello = json.dumps({"protocol": 1, "name": "fsw", "pid": 1, "local": local}).encode()
    octets = answer_hello(participant, pack(Kind.HELLO, payload=hello), rig.exchange.welcome())
    (answer,) = unpack_all(octets)
    assert answer.kind == Kind.REFUSE
    assert b"own" in answer.payload
    assert rig.exchange.observed.buses == {}
    if isinstance(local, dict) and "i2c-9" in local:
        with pytest.raises(BenchRefusedError, match="no bus of this board"):
            BenchHal(Call(rig.exchange), local=local)


def test_the_next_one_may_have_the_bench_for_all(rig: SmallRig) -> None:
    """When a participant with own buses leaves, those are the emulated parts' again."""
    first = Call(rig.exchange)
    BenchHal(first, local={"i2c-1": "/dev/i2c-1"})
    rig.exchange.leave(first.participant, "killed")
    hal = BenchHal(Call(rig.exchange))
    assert hal.i2c("i2c-1").transfer(ADDRESS, b"\x05", 2) == b"\x05\x06"
    assert rig.exchange.held_back == {}


def test_what_was_held_back_is_counted_over_all_buses_and_participants(rig: SmallRig) -> None:
    """The count of one bus, or of one who left, does not take the place of the others'."""
    local = {"i2c-1": "/dev/i2c-1", "ttyAMA1": "/dev/ttyS0", "gpiochip0": "/dev/gpiochip0"}
    emit = rig.exchange.emitter(UART, Kind.UART)
    for _ in range(2):
        first = Call(rig.exchange)
        BenchHal(first, local=local)
        emit(0, 0, Flag.INPUT, 0, 0, b"emulated")
        rig.exchange.leave(first.participant, "killed")
    assert rig.exchange.counted["observed"]["held_back"] == 2


def test_a_failed_transaction_keeps_its_outcome(rig: SmallRig, hal: BenchHal) -> None:
    """The status of a transaction that nobody answered is in its record."""
    payload = bus_payload.i2c_failure(0x22, b"\x00", 2)
    hal.session.observe(Kind.I2C, I2C, DONE, Status.NAK_ADDRESS, 0, 90_000, 0x22, payload)
    let_pass(hal, MS)
    (record,) = told(rig, Kind.I2C)
    assert (record.status, record.address) == (Status.NAK_ADDRESS, 0x22)
