"""python-can's own ``slcan`` interface, unmodified, on the tty of an emulated CAN bus."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flightsw.codec.wire import Flag, Kind, Record, unpack_all
from hil.buses.can import CANBus
from hil.buses.can_frame import FD_FLAG, FD_LENGTHS
from hil.digest import RecordStream
from hil.exchange import Exchange
from hil.faces.host import Host
from hil.faces.slcan_line import SlcanLine
from hil.hosting import SHIM
from hil.time.kernel import Kernel

can = pytest.importorskip("can", reason="python-can is not installed")
slcan = pytest.importorskip("can.interfaces.slcan")

ROOT = Path(__file__).resolve().parents[2]
CAN = 4


class Peer:
    """Another node: sends back each frame that it hears, under an identifier one higher."""

    can_send: Callable[[int, int, bytes], None]
    can_fd = True

    def can_receive(self, t_ns: int, can_id: int, data: bytes) -> None:
        self.can_send(t_ns, can_id + 1, data)


class Bench:
    """A CAN bus with a peer and a tty, served by the thread of the test."""

    def __init__(self, folder: Path, bitrate_hz: int = 500_000, data_bitrate_hz: int = 0) -> None:
        self.octets = bytearray()
        self.stream = RecordStream(self.octets.extend)
        kernel = Kernel()
        exchange = Exchange(kernel, self.stream, 3_600_000_000_000)
        emit = exchange.emitter(CAN, Kind.CAN)
        self.bus = CANBus("can0", kernel, 1, emit, bitrate_hz, data_bitrate_hz=data_bitrate_hz)
        self.peer = Peer()
        self.bus.attach(self.peer)
        exchange.connect(CAN, self.bus)
        self.host = Host(exchange, folder / "bench", "real")
        line = self.host.lines["/dev/ttyCAN0"]
        assert isinstance(line, SlcanLine)
        self.line = line

    @contextmanager
    def open(self, **options: object) -> Iterator[slcan.slcanBus]:
        """Give python-can's bus on the tty; its commands have been done."""
        with can.Bus(
            interface="slcan", channel=self.line.path, sleep_after_open=0, **options
        ) as bus:
            self.until(lambda: self.line.adapter.is_open)
            yield bus
        self.until(lambda: not self.line.adapter.is_open)

    def until(self, done: Callable[[], object]) -> None:
        """Serve until ``done()``."""
        for _ in range(2000):
            if done():
                return
            self.host.step(0.005)
        raise AssertionError("it never happened")

    def receive(self, bus: slcan.slcanBus) -> can.Message:
        """Serve until a frame has come."""
        for _ in range(2000):
            message = bus.recv(0)
            if message is not None:
                return message
            self.host.step(0.005)
        raise AssertionError("no frame came")

    def records(self) -> list[Record]:
        """Return what was recorded."""
        self.stream.flush()
        return list(unpack_all(bytes(self.octets)))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Give a bench of classic CAN."""
    bench = Bench(tmp_path)
    yield bench
    bench.host.close()


def key(message: can.Message) -> tuple[int, bool, bool, int, bytes]:
    """Return what makes a frame."""
    return (
        message.arbitration_id,
        message.is_extended_id,
        message.is_remote_frame,
        message.dlc,
        bytes(message.data),
    )


def test_frames_of_every_sort_go_out_and_come_back(bench: Bench) -> None:
    """Standard, extended and remote frames of every length return as the peer sends them."""
    sent = [
        can.Message(
            arbitration_id=0x1BCDEF00 if extended else 0x120,
            is_extended_id=extended,
            is_remote_frame=remote,
            dlc=length,
            data=None if remote else bytes(range(0xF0, 0xF0 + length)),
        )
        for extended in (False, True)
        for remote in (False, True)
        for length in range(9)
    ]
    with bench.open(bitrate=500_000) as bus:
        for message in sent:
            bus.send(message)
        back = [bench.receive(bus) for _ in sent]
    assert [key(m) for m in back] == [(key(m)[0] + 1, *key(m)[1:]) for m in sent]
    heard = [bool(record.flags & Flag.INPUT) for record in bench.records()]
    assert (heard.count(False), heard.count(True)) == (36, 36)
    assert bench.line.counters["malformed"] == 0


def test_many_frames_lose_none(bench: Bench) -> None:
    """Three hundred frames written at once all cross the bus, in order, and come back."""
    with bench.open(bitrate=500_000) as bus:
        for number in range(300):
            data = number.to_bytes(2, "big")
            bus.send(
                can.Message(arbitration_id=number * 37 % 0x700, data=data, is_extended_id=False)
            )
        back = [int.from_bytes(bench.receive(bus).data, "big") for _ in range(300)]
    sent = [record for record in bench.records() if not record.flags & Flag.INPUT]
    assert [int.from_bytes(record.payload, "big") for record in sent] == list(range(300))
    assert sorted(back) == list(range(300))


@pytest.mark.parametrize(
    "rate",
    [
        pytest.param(
            rate,
            marks=[
                pytest.mark.xfail(
                    reason="python-can sends S7 for 750 kbit/s; in the manual it is 800 kbit/s",
                    raises=AssertionError,
                )
            ]
            if rate == 750_000
            else [],
        )
        for rate in slcan.slcanBus._BITRATES
    ],
)
def test_each_bit_rate_of_the_library_is_that_of_the_adapter(tmp_path: Path, rate: int) -> None:
    """On a bus of that rate python-can's command for it makes the adapter hear."""
    bench = Bench(tmp_path, rate)
    try:
        with bench.open(bitrate=rate) as bus:
            bus.send(can.Message(arbitration_id=1, is_extended_id=False))
            bench.until(lambda: bench.line.counters["sent"] + bench.line.counters["mismatch"])
            assert bench.line.counters["mismatch"] == 0
            assert bench.receive(bus).arbitration_id == 2
    finally:
        bench.host.close()


@pytest.mark.xfail(
    reason="slcanBus.shutdown writes C to a port that its first call has closed",
    raises=can.CanOperationError,
)
def test_a_bus_can_be_shut_down_twice(bench: Bench) -> None:
    """A second shutdown has nothing left to do."""
    with bench.open(bitrate=500_000) as bus:
        bus.shutdown()


def test_bit_timing_registers_are_understood(bench: Bench) -> None:
    """A timing of python-can for the 8 MHz clock makes 500 kbit/s by BTR0 and BTR1."""
    timing = can.BitTiming(f_clock=8_000_000, brp=1, tseg1=13, tseg2=2, sjw=1)
    with bench.open(timing=timing) as bus:
        bus.send(can.Message(arbitration_id=1, is_extended_id=False))
        assert bench.receive(bus).arbitration_id == 2


def test_a_wrong_bit_rate_hears_nothing(bench: Bench) -> None:
    """At 250 kbit/s on a bus of 500 kbit/s nothing crosses, and the counter says so."""
    with bench.open(bitrate=250_000) as bus:
        bus.send(can.Message(arbitration_id=1, is_extended_id=False))
        bench.until(lambda: bench.line.counters["mismatch"])
    assert bench.bus.counters["frames"] == 0


def test_listen_only_hears_and_sends_nothing(bench: Bench) -> None:
    """A frame to send has BELL; those of others are heard where somebody acknowledges them."""
    bench.bus.attach(Peer())
    with bench.open(bitrate=500_000, listen_only=True) as bus:
        bus.send(can.Message(arbitration_id=1, is_extended_id=False))
        bench.until(lambda: bench.line.counters["refused"])
        bench.peer.can_send(bench.host.present.now_ns(), 0x50, b"hi")
        assert bytes(bench.receive(bus).data) == b"hi"
    assert all(record.flags & Flag.INPUT for record in bench.records())


def test_version_and_serial_number_are_read(bench: Bench) -> None:
    """V and N are answered in the library's form."""
    with bench.open(bitrate=500_000) as bus:
        bus._write("V")
        bus._write("N")
        bench.until(lambda: bus.serialPortOrig.in_waiting >= 11)
        # The answers to C, S6 and O stand in front: python-can reads until it finds its own.
        assert bus.get_version(0.5) == (10, 13)
        assert bus.get_serial_number(0.5) == "FS01"


def test_can_fd_frames_go_out_and_come_back(tmp_path: Path) -> None:
    """FD frames of every length, with and without bit rate switch, return as they were sent."""
    bench = Bench(tmp_path, data_bitrate_hz=2_000_000)
    timing = can.BitTimingFd.from_sample_point(
        f_clock=80_000_000,
        nom_bitrate=500_000,
        nom_sample_point=80,
        data_bitrate=2_000_000,
        data_sample_point=80,
    )
    try:
        with bench.open(timing=timing) as bus:
            for nbytes in FD_LENGTHS:
                for switch in (False, True):
                    message = can.Message(
                        arbitration_id=0x1ABCD00 if switch else 0x10,
                        is_extended_id=switch,
                        is_fd=True,
                        bitrate_switch=switch,
                        data=bytes(range(nbytes)),
                    )
                    bus.send(message)
                    back = bench.receive(bus)
                    assert (back.is_fd, back.bitrate_switch) == (True, switch)
                    assert bytes(back.data) == bytes(message.data)
    finally:
        bench.host.close()
    assert all(record.flags << 28 & FD_FLAG for record in bench.records())


SCRIPT = """
import can, json
with can.Bus(interface="slcan", channel="/dev/ttyCAN0", bitrate=500000, sleep_after_open=0) as bus:
    print(json.dumps([bus.recv(10).arbitration_id for _ in range(4)]))
"""


@pytest.mark.skipif(
    not (ROOT / "hil" / "faces" / SHIM).is_file(), reason="the preload shim was not built"
)
def test_a_program_opens_the_tty_by_its_name(tmp_path: Path) -> None:
    """Behind `hil run --` /dev/ttyCAN0 is there, and the EPS node of the board is heard."""
    words = [sys.executable, "-m", "hil", "run", "--pace", "x10", "--out", str(tmp_path / "run")]
    done = subprocess.run(
        [*words, "-q", "--", sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [0x100, 0x101, 0x102, 0x700]
    counters = json.loads((tmp_path / "run" / "run.json").read_text())["counters"]
    assert counters["host.can0"]["received"] >= 4
