"""The hal on a bench: buses, buffers, errors, the end of a run."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pytest

from flightsw.codec.errors import FieldRangeError
from flightsw.codec.wire import Flag, Kind, Status, pack, unpack_all
from flightsw.errors import (
    BenchLostError,
    BenchRefusedError,
    BusError,
    BusTimeoutError,
    DeviceTableError,
    Shutdown,
)
from flightsw.hal.bench import BenchHal, DirectHal
from flightsw.hal.channel import Lost
from hil.buses.faults import BusFault
from hil.greeting import answer_hello, check_end_ack
from hil.testing.contracts.bus import ADDRESS
from hil.testing.small_rig import CAN, GPIO, I2C, UART, SmallRig
from hil.time.transports.direct import DirectPort

END_NS = 1_000_000_000
MS = 1_000_000


class CallChannel:
    """A channel to a rig in the same thread: packs and unpacks as a socket would, and no more."""

    endpoint = "call"

    def __init__(self, rig: SmallRig) -> None:
        self.rig = rig
        self.participant = rig.exchange.join("fsw")
        self.exchanges = 0
        self.closed = False
        self.acknowledged = False

    def exchange(self, message: bytes) -> bytes:
        self.exchanges += 1
        exchange = self.rig.exchange
        if message[0] == Kind.HELLO:
            return answer_hello(self.participant, message, exchange.welcome())
        if exchange.over:
            check_end_ack(self.participant, message)
            self.acknowledged = True
            return pack(Kind.END)
        return exchange.handle(self.participant, message) or exchange.end(self.participant)

    def close(self) -> None:
        self.closed = True


Hal = BenchHal | DirectHal


@pytest.fixture
def rig() -> SmallRig:
    rig = SmallRig(END_NS)
    rig.exchange.identity |= {
        "config": {"rate_hz": 10},
        "boot_count": 3,
        "devices": [
            {"role": "x", "driver": "y", "channel": "i2c-1", "address": 80, "params": {"k": 1}}
        ],
    }
    return rig


@pytest.fixture(params=["channel", "lazy", "direct"])
def hal(rig: SmallRig, request: pytest.FixtureRequest) -> Iterator[Hal]:
    if request.param == "direct":
        yield DirectHal(DirectPort(rig.exchange, rig.exchange.join("fsw")))
    else:
        yield BenchHal(CallChannel(rig), lazy=request.param == "lazy")


def uart_says(rig: SmallRig, t_ns: int, data: bytes, status: int = 0) -> None:
    """Let octets arrive at an instant, whole, with a status of the line."""
    emit = rig.exchange.emitter(UART, Kind.UART)
    rig.pulse(t_ns, lambda t: emit(t, 0, Flag.INPUT, status, 0, data))


def test_the_welcome_becomes_the_hal(hal: Hal) -> None:
    """Devices, configuration, boot count and names are those that the bench told."""
    (device,) = hal.devices
    assert (device.role, device.channel, device.address, device.params) == (
        "x",
        "i2c-1",
        80,
        {"k": 1},
    )
    assert (hal.config, hal.boot_count, hal.rig, hal.clock.now_ns()) == (
        {"rate_hz": 10},
        3,
        "small",
        0,
    )


def test_transactions_take_their_bus_time(hal: Hal) -> None:
    """A transfer returns what was read, and the clock has moved on by 48 bit times."""
    assert hal.i2c("i2c-1").transfer(ADDRESS, b"\x05", 2) == b"\x05\x06"
    assert hal.clock.now_ns() == 120_000
    assert hal.i2c("i2c-1").transfer(ADDRESS, b"\x05\xaa") == b""
    assert hal.i2c("i2c-1").transfer(ADDRESS, b"", 1) == b"\x06"
    assert hal.i2c("i2c-1").transfer(ADDRESS, b"") == b""
    assert hal.spi("spi-0", 0).transfer(b"\x01\x02\x03") == b"\x00\x01\x02"


def test_sleeping_moves_the_clock_forward_only(hal: Hal) -> None:
    """A sleep ends at its time; one into the past ends at once."""
    hal.clock.sleep_until(5 * MS)
    hal.clock.sleep_until(MS)
    hal.clock.sleep_until(6 * MS)
    assert hal.clock.now_ns() == 6 * MS


def test_a_failure_has_the_errno_of_the_adapter(hal: Hal) -> None:
    """An address that nobody has is EREMOTEIO on a bcm2835, and takes its 11 bits."""
    with pytest.raises(BusError, match=r"i2c-1: transfer with 0x51 failed .NAK_ADDRESS") as caught:
        hal.i2c("i2c-1").transfer(0x51, b"\x00", 1)
    assert caught.value.errno == errno.EREMOTEIO
    assert isinstance(caught.value, OSError)
    assert hal.clock.now_ns() == 27_500
    with pytest.raises(BusError):
        hal.spi("spi-0", 3).transfer(b"\x00" * 5000)


def test_a_stuck_bus_is_a_timeout(hal: Hal, rig: SmallRig) -> None:
    """A stuck line raises the timeout error, after the time that the adapter's driver waits."""
    rig.i2c.add_fault(BusFault("i2c-1", "stuck_scl", last=0))
    rig.exchange.end_ns = 10 * END_NS
    with pytest.raises(BusTimeoutError):
        hal.i2c("i2c-1").transfer(ADDRESS, b"\x00", 1)
    assert hal.clock.now_ns() == 1_000_000_000


def test_a_serial_line_is_heard_once_read(hal: Hal, rig: SmallRig) -> None:
    """Octets written leave at the line rate, and come back when the echo has sent them."""
    uart = hal.uart("ttyAMA1")
    uart.write(b"hello")
    assert uart.read() == b""
    hal.clock.sleep_until(5 * 86_806)
    assert uart.read() == b""
    hal.clock.sleep_until(MS)
    assert uart.read() == b"hello"
    assert uart.read() == b""


def test_a_full_receive_buffer_loses_and_counts(hal: Hal, rig: SmallRig) -> None:
    """What does not fit the receive buffer is lost, the first octets stay, the loss is counted."""
    for n in range(5):
        uart_says(rig, MS + n, bytes((n,)) * 1000)
    hal.clock.sleep_until(2 * MS)
    uart = hal.uart("ttyAMA1")
    assert uart.overruns == 5000 - 4096
    assert uart.read() == b"".join(bytes((n,)) * 1000 for n in range(4)) + b"\x04" * 96
    uart_says(rig, 3 * MS, b"again")
    hal.clock.sleep_until(4 * MS)
    assert (uart.read(), uart.overruns) == (b"again", 904)


def test_line_errors_are_counted(hal: Hal, rig: SmallRig) -> None:
    """An overrun of the line loses its octets, a framing error delivers them; both are counted."""
    uart_says(rig, MS, b"abc", Status.OVERRUN)
    uart_says(rig, MS, b"d", Status.FRAMING)
    hal.clock.sleep_until(2 * MS)
    uart = hal.uart("ttyAMA1")
    assert (uart.read(), uart.overruns, uart.framing_errors) == (b"d", 3, 1)


def test_can_frames_are_stamped_at_their_end(hal: Hal) -> None:
    """An answer on CAN arrives with its identifier, data, and the time of its last bit."""
    can = hal.can("can0")
    can.send(0x100, b"\x01\x02")
    hal.clock.sleep_until(MS)
    (frame,) = can.receive()
    assert (frame.can_id, frame.data) == (0x101, b"\x01\x02")
    assert 0 < frame.t_ns < MS
    assert can.receive() == []
    with pytest.raises(FieldRangeError, match="65 octets"):
        can.send(1, bytes(65))


def test_unread_can_frames_are_dropped_and_counted(hal: Hal, rig: SmallRig) -> None:
    """The queue of received frames ends at its limit; what is beyond is counted."""
    emit = rig.exchange.emitter(CAN, Kind.CAN)
    for n in range(1030):
        rig.pulse(MS, lambda t, n=n: emit(t, 0, Flag.INPUT, 0, n, b""))
    hal.clock.sleep_until(2 * MS)
    assert hal.can("can0").dropped == 6
    assert [frame.can_id for frame in hal.can("can0").receive()] == list(range(1024))


def test_gpio_edges_are_stamped_where_they_happen(hal: Hal) -> None:
    """A line that follows another one changes 30 us after it, and says so."""
    out, back = hal.gpio("gpiochip0", 0), hal.gpio("gpiochip0", 1)
    hal.clock.sleep_until(MS)
    out.set(1)
    assert (out.get(), back.get(), back.edges()) == (1, 0, [])
    hal.clock.sleep_until(2 * MS)
    assert (back.get(), back.edges(), back.edges()) == (1, [(MS + 30_000, 1)], [])
    assert back.dropped == 0


def test_a_line_that_follows_at_once_is_seen_at_once(hal: Hal) -> None:
    """Reading a line after setting the one it is wired to finds the new level, at the same time."""
    out, wire = hal.gpio("gpiochip0", 0), hal.gpio("gpiochip0", 3)
    hal.clock.sleep_until(MS)
    out.set(1)
    assert (wire.get(), wire.edges(), hal.clock.now_ns()) == (1, [(MS, 1)], MS)


def test_unread_edges_are_dropped_and_counted(hal: Hal, rig: SmallRig) -> None:
    """The queue of edges ends at its limit; the level is that of the last edge all the same."""
    emit = rig.exchange.emitter(GPIO, Kind.GPIO)
    for n in range(1031):
        rig.pulse(MS, lambda t, n=n: emit(t, 0, Flag.INPUT, 0, 2, bytes((1 - n % 2,))))
    hal.clock.sleep_until(2 * MS)
    line = hal.gpio("gpiochip0", 2)
    assert (len(line.edges()), line.dropped, line.get()) == (1024, 7, 1)


def test_levels_at_the_start_are_those_of_the_lines(rig: SmallRig) -> None:
    """A program that starts late knows the level of a line that it never saw change."""
    first = DirectHal(DirectPort(rig.exchange, rig.exchange.join("first")))
    first.gpio("gpiochip0", 0).set(1)
    first.clock.sleep_until(MS)
    second = DirectHal(DirectPort(rig.exchange, rig.exchange.join("second")))
    assert second.gpio("gpiochip0", 1).get() == 1


def test_a_frame_is_pixels(hal: Hal) -> None:
    """A capture takes the exposure's time and returns rows of pixels, stamped at its start."""
    hal.clock.sleep_until(MS)
    image = hal.imager("csi0").capture(250)
    assert (image.t_ns, hal.clock.now_ns()) == (MS, MS + 250_000)
    assert image.pixels.shape == (2, 4, 1)
    expected = (np.arange(8) + 250).astype(np.uint8).reshape(2, 4, 1)
    assert np.array_equal(image.pixels, expected)


def test_work_costs_what_the_bench_says(hal: Hal) -> None:
    """Announcing work returns time and energy and does not block."""
    charge = hal.cpu.begin("tiny", 1500)
    assert (charge.duration_ns, charge.energy_j) == (1_500_000, 1.5e-3)
    hal.cpu.end()
    assert hal.clock.now_ns() == 0


def test_waiting_ends_at_the_first_input(hal: Hal, rig: SmallRig) -> None:
    """``wait_until`` returns at an input, at its time without one, and does not count old ones."""
    uart_says(rig, MS, b"old")
    uart_says(rig, 3 * MS, b"new")
    hal.clock.sleep_until(2 * MS)
    hal.clock.wait_until(10 * MS)
    assert (hal.clock.now_ns(), hal.uart("ttyAMA1").read()) == (3 * MS, b"oldnew")
    hal.clock.wait_until(10 * MS)
    assert hal.clock.now_ns() == 10 * MS


def test_scheduled_transactions_share_an_exchange(hal: Hal) -> None:
    """Transactions asked for ahead happen at their times; results follow the tickets."""
    tickets = [hal.schedule_i2c("i2c-1", t * MS, ADDRESS, bytes((t,)), 2) for t in (3, 1, 2)]
    nobody = hal.schedule_i2c("i2c-1", 4 * MS, 0x51, b"\x00", 1)
    with pytest.raises(LookupError, match="has no result"):
        hal.result_i2c("i2c-1", tickets[0])
    hal.clock.sleep_until(5 * MS)
    hal.clock.sleep_until(6 * MS)
    assert [hal.result_i2c("i2c-1", ticket) for ticket in tickets] == [
        b"\x03\x04",
        b"\x01\x02",
        b"\x02\x03",
    ]
    with pytest.raises(BusError) as caught:
        hal.result_i2c("i2c-1", nobody)
    assert caught.value.errno == errno.EREMOTEIO
    with pytest.raises(LookupError, match="once"):
        hal.result_i2c("i2c-1", nobody)


def test_what_is_not_there_is_named(hal: Hal) -> None:
    """A channel or line that does not exist is an error that lists those that do."""
    with pytest.raises(DeviceTableError, match=r"no I2C channel 'i2c-9'.*there is i2c-1"):
        hal.i2c("i2c-9")
    with pytest.raises(DeviceTableError, match=r"no CAN channel 'i2c-1'.*there is can0"):
        hal.can("i2c-1")
    with pytest.raises(DeviceTableError, match="no line 9; it has 0 to 3"):
        hal.gpio("gpiochip0", 9)


def test_the_end_is_a_shutdown_everywhere(hal: Hal) -> None:
    """Whatever call meets the end of the run raises Shutdown, and so does every one after it."""

    def fly() -> None:
        while True:
            hal.clock.sleep_until(hal.clock.now_ns() + 100 * MS)
            hal.i2c("i2c-1").transfer(ADDRESS, b"\x00", 1)

    with pytest.raises(Shutdown):
        fly()
    for act in (
        lambda: hal.i2c("i2c-1").transfer(ADDRESS, b"\x00", 1),
        lambda: hal.spi("spi-0", 0).transfer(b"\x00"),
        lambda: hal.cpu.begin("tiny", 1),
        lambda: hal.clock.wait_until(20 * END_NS),
    ):
        with pytest.raises(Shutdown):
            act()


def test_the_end_is_acknowledged_before_it_is_told(rig: SmallRig) -> None:
    """The bench has the count and digest of what was received before the program hears of it."""
    channel = CallChannel(rig)
    hal = BenchHal(channel)
    hal.uart("ttyAMA1").write(b"hello")
    hal.i2c("i2c-1").transfer(ADDRESS, b"\x00", 4)
    with pytest.raises(Shutdown):
        hal.clock.sleep_until(END_NS)
    assert (channel.acknowledged, channel.closed) == (True, True)
    assert channel.participant.received == 2


def test_one_exchange_a_transaction_when_lazy(rig: SmallRig) -> None:
    """A lazy sleep costs no exchange unless an input is read or another sleep follows."""
    channel = CallChannel(rig)
    hal = BenchHal(channel, lazy=True)
    before = channel.exchanges
    for n in range(1, 11):
        hal.clock.sleep_until(n * MS)
        hal.i2c("i2c-1").transfer(ADDRESS, b"\x00", 1)
    assert channel.exchanges - before == 10
    hal.clock.sleep_until(20 * MS)
    hal.uart("ttyAMA1").read()
    hal.uart("ttyAMA1").read()
    assert channel.exchanges - before == 11
    assert rig.kernel.now_ns == 20 * MS


def test_posted_records_share_an_exchange(rig: SmallRig) -> None:
    """Writes that nobody waits for ride in front of the next transaction."""
    channel = CallChannel(rig)
    hal = BenchHal(channel)
    before = channel.exchanges
    hal.uart("ttyAMA1").write(b"a")
    hal.can("can0").send(1, b"b")
    hal.gpio("gpiochip0", 0).set(1)
    hal.i2c("i2c-1").transfer(ADDRESS, b"\x00", 1)
    assert channel.exchanges - before == 1
    assert {record.kind for record in rig.records()} >= {Kind.I2C, Kind.GPIO}


def test_the_records_are_the_same_by_call_and_by_channel() -> None:
    """The direct way and the channel record the same octets for the same program."""

    def fly(make: type[Hal]) -> list[object]:
        rig = SmallRig(END_NS)
        hal = (
            DirectHal(DirectPort(rig.exchange, rig.exchange.join("fsw")))
            if make is DirectHal
            else BenchHal(CallChannel(rig))
        )
        with suppress(Shutdown):
            while True:
                hal.uart("ttyAMA1").write(b"ping")
                hal.clock.sleep_until(hal.clock.now_ns() + 3 * MS)
                hal.i2c("i2c-1").transfer(ADDRESS, hal.uart("ttyAMA1").read())
        return list(rig.records())

    assert fly(DirectHal) == fly(BenchHal)


def test_a_lost_bench_is_named(rig: SmallRig) -> None:
    """A channel that breaks becomes an error with the bench's name, its place and the time."""
    channel = CallChannel(rig)
    hal = BenchHal(channel)
    hal.clock.sleep_until(5 * MS)

    def broken(message: bytes) -> bytes:
        raise Lost("it closed its socket")

    hal.clock._exchange = broken
    with pytest.raises(BenchLostError, match=r"bench 'small' at call was lost at t=0.005000 s: it"):
        hal.i2c("i2c-1").transfer(ADDRESS, b"\x00", 1)
    assert channel.closed


def test_a_refusal_is_passed_on(rig: SmallRig) -> None:
    """A bench that refuses the greeting is quoted."""
    channel = CallChannel(rig)
    refusal = pack(Kind.REFUSE, payload=b"come back later")
    channel.exchange = lambda message: refusal  # type: ignore[method-assign]
    with pytest.raises(BenchRefusedError, match="refused us: come back later"):
        BenchHal(channel)
    assert channel.closed


def test_replies_decode_as_records(rig: SmallRig) -> None:
    """What crosses the channel is wire records and nothing else."""
    channel = CallChannel(rig)
    seen: list[bytes] = []
    plain = channel.exchange

    def noting(message: bytes) -> bytes:
        reply = plain(message)
        seen.extend((message, reply))
        return reply

    channel.exchange = noting  # type: ignore[method-assign]
    hal = BenchHal(channel)
    hal.uart("ttyAMA1").write(b"x")
    hal.clock.sleep_until(MS)
    hal.i2c("i2c-1").transfer(ADDRESS, b"\x00", 1)
    kinds = [[record.kind for record in unpack_all(octets)] for octets in seen]
    assert kinds == [
        [Kind.HELLO],
        [Kind.WELCOME],
        [Kind.UART, Kind.NEXT],
        [Kind.UART, Kind.GRANT],
        [Kind.I2C],
        [Kind.I2C],
    ]
    assert I2C == 0
