"""A foreign driver of a CAN controller, unmodified, on loopback and on a bus with another node."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import adafruit_mcp2515
import pytest
from adafruit_mcp2515 import MCP2515
from adafruit_mcp2515.canio import BusState, Match, Message, RemoteTransmissionRequest

from hil.buses.can import CANBus
from hil.faces.busio import virtual_sleep
from hil.parts.mcp2515 import Mcp2515
from hil.testing.driver_bench import DriverBench
from hil.testing.simple_scheduler import SimpleScheduler

EXTENDED, REMOTE = 1 << 31, 1 << 30


class Bench(DriverBench):
    """The part on SPI and on a CAN bus whose events run as time passes."""

    def __init__(self) -> None:
        self.part = Mcp2515("can", 3)
        super().__init__(spi=self.part)
        self.scheduler = SimpleScheduler()
        self.bus = CANBus("can0", self.scheduler, 1, lambda *_: None, 250_000)
        self.bus.attach(self.part)

    def now_ns(self) -> int:
        self.scheduler.run_until(self._now_ns)
        return self._now_ns

    def segments(self, chip_select, segments):
        self.scheduler.run_until(self._now_ns)
        return super().segments(chip_select, segments)


class Peer:
    """Another node on the bus."""

    can_send: Callable[[int, int, bytes], None]

    def __init__(self) -> None:
        self.heard: list[tuple[int, bytes]] = []

    def can_receive(self, t_ns: int, can_id: int, data: bytes) -> None:
        self.heard.append((can_id, data))


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    with virtual_sleep(made, adafruit_mcp2515):
        yield made


def loopback(bench: Bench) -> MCP2515:
    return MCP2515(*bench.circuit_spi(), loopback=True, silent=True)


def rates() -> Iterator[object]:
    """Every crystal and bit rate that the driver has a row for."""
    wrong = pytest.mark.xfail(
        reason="the driver's rows for 10 MHz below 200 kbit/s have 16 quanta where 20 are needed: "
        "they make a bit rate 25 % too high",
        raises=AssertionError,
    )
    for crystal, table in adafruit_mcp2515._BAUD_RATES.items():
        for baud in table:
            is_wrong = crystal == 10_000_000 and baud < 200_000
            yield pytest.param(crystal, baud, marks=wrong if is_wrong else ())


@pytest.mark.parametrize(("crystal", "baud"), list(rates()))
def test_adafruit_mcp2515_sets_the_bit_rate(bench: Bench, crystal: int, baud: int) -> None:
    """The registers that the driver writes for a rate make this rate, within 1.5 %."""
    bench.part.oscillator = crystal
    MCP2515(*bench.circuit_spi(), baudrate=baud, crystal_freq=crystal, loopback=True, silent=True)
    assert bench.part.bitrate_hz == pytest.approx(baud, rel=0.015)


@pytest.mark.parametrize("nbytes", range(9))
def test_adafruit_mcp2515_loops_standard_frames(bench: Bench, nbytes: int) -> None:
    """What the driver sends in loopback it receives."""
    driver = loopback(bench)
    message = Message(0x155 + nbytes, bytes(range(nbytes)))
    driver.send(message)
    bench.wait(0.002)
    got = driver.read_message()
    assert (got.id, bytes(got.data), got.extended) == (message.id, bytes(message.data), False)


def test_adafruit_mcp2515_loops_extended_frames_by_a_match(bench: Bench) -> None:
    """With a match for extended identifiers these come back, and others do not."""
    driver = loopback(bench)
    listener = driver.listen([Match(0x1ABC_DEF0, extended=True)], timeout=0.01)
    for can_id in (0x1ABC_DEF1, 0x1ABC_DEF0):
        driver.send(Message(can_id, b"\x2a", extended=True))
        bench.wait(0.002)
    got = listener.receive()
    assert (got.id, bytes(got.data), got.extended) == (0x1ABC_DEF0, b"\x2a", True)
    assert driver.read_message() is None
    assert bench.part.counters["filtered"] == 1


@pytest.mark.xfail(
    reason="the driver leaves filters and masks at zero, which by EXIDE take standard frames only",
    raises=AttributeError,
)
def test_adafruit_mcp2515_loops_extended_frames_without_a_match(bench: Bench) -> None:
    """Without a match the driver's own set-up receives everything."""
    driver = loopback(bench)
    driver.send(Message(0x1ABC_DEF0, b"\x2a", extended=True))
    bench.wait(0.002)
    assert driver.read_message().id == 0x1ABC_DEF0


def test_adafruit_mcp2515_on_a_bus(bench: Bench) -> None:
    """Frames go to and come from another node, standard, extended and remote."""
    peer = Peer()
    bench.bus.attach(peer)
    driver = MCP2515(*bench.circuit_spi(), baudrate=250_000)
    driver.send(Message(0x123, b"\x01\x02"))
    driver.send(Message(0x0123_4567, b"\x03", extended=True))
    driver.send(RemoteTransmissionRequest(0x7F, 4))
    bench.wait(0.01)
    bench.now_ns()
    assert sorted(peer.heard) == [
        (0x123, b"\x01\x02"),
        (REMOTE | 0x7F, bytes(4)),
        (EXTENDED | 0x0123_4567, b"\x03"),
    ]
    peer.can_send(bench.now_ns(), 0x321, b"\x09\x08")
    bench.wait(0.002)
    got = driver.read_message()
    assert (got.id, bytes(got.data)) == (0x321, b"\x09\x08")
    assert driver.state == BusState.ERROR_ACTIVE


@pytest.mark.xfail(
    reason="the driver looks for RTR in RXBnDLC, where it stands for extended frames only; of a "
    "standard frame it is SRR in RXBnSIDL",
    raises=AssertionError,
)
def test_adafruit_mcp2515_receives_standard_remote_frames(bench: Bench) -> None:
    """A remote request with a standard identifier is one to the driver."""
    peer = Peer()
    bench.bus.attach(peer)
    driver = MCP2515(*bench.circuit_spi(), baudrate=250_000)
    peer.can_send(bench.now_ns(), REMOTE | 0x321, bytes(2))
    bench.wait(0.002)
    assert isinstance(driver.read_message(), RemoteTransmissionRequest)


def test_adafruit_mcp2515_tells_the_state_of_the_bus(bench: Bench) -> None:
    """Alone on the bus the driver sees error passive with 128 transmit errors."""
    bench.bus.nodes[:] = [node for node in bench.bus.nodes if node.device is bench.part]
    driver = MCP2515(*bench.circuit_spi(), baudrate=250_000)
    driver.send(Message(0x10, b""))
    bench.wait(0.05)
    assert driver.transmit_error_count == 128
    assert driver.state == BusState.ERROR_PASSIVE


def test_adafruit_mcp2515_runs_out_of_buffers(bench: Bench) -> None:
    """With nobody to acknowledge three buffers fill up, and the fourth frame is refused."""
    bench.bus.nodes[:] = [node for node in bench.bus.nodes if node.device is bench.part]
    driver = MCP2515(*bench.circuit_spi(), baudrate=250_000)
    for n in range(3):
        driver.send(Message(0x10 + n, b""))
    with pytest.raises(RuntimeError, match="No transmit buffer"):
        driver.send(Message(0x20, b""))
