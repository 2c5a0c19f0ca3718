"""Serial lines as streams behind the bench's socket: octets, settings, modem lines, limits."""

from __future__ import annotations

import contextlib
import errno
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flightsw.codec.wire import Kind, Record, Status, pack, unpack_from
from hil.buses.uart import UARTBus
from hil.buses.uart_wave import Setting
from hil.digest import RecordStream
from hil.exchange import Exchange
from hil.faces import uart_abi as abi
from hil.faces.handles import STREAM
from hil.faces.host import Host
from hil.faces.reception import ERRNO_TABLE
from hil.time.kernel import Kernel

BAUD = 1_000_000
RIGHT = Setting(BAUD)


class Terminal:
    """A device that keeps what it hears and can do all that a line lets it."""

    def __init__(self) -> None:
        self.heard = b""
        self.modem: list[tuple[int, int]] = []
        self.breaks = 0
        self.uart_send: Callable[[int, bytes], None]
        self.uart_lines: Callable[..., None]

    def uart_receive(self, t_ns: int, data: bytes) -> None:
        self.heard += data

    def uart_modem(self, t_ns: int, rts: int, dtr: int) -> None:
        self.modem.append((rts, dtr))

    def uart_break(self, t_ns: int) -> None:
        self.breaks += 1


class Port:
    """One handle: its connection and its stream."""

    def __init__(self, bench: Bench, name: str = "ttyS0") -> None:
        self.bench = bench
        self.control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.connect(str(bench.path))
        self.control.setblocking(False)
        self.control.send(pack(Kind.OPEN, address=STREAM, payload=name.encode()))
        self.opened, _ = self._reply()
        _, descriptors = self._call(abi.Ask.STREAM)
        self.stream = socket.socket(fileno=descriptors[0])
        self.stream.setblocking(False)

    def _reply(self) -> tuple[Record, list[int]]:
        found: list[tuple[bytes, list[int]]] = []

        def look() -> bool:
            try:
                message, descriptors, _, _ = socket.recv_fds(self.control, 1 << 16, 1)
            except BlockingIOError:
                return False
            found.append((message, descriptors))
            return True

        self.bench.until(look)
        return unpack_from(found[0][0])[0], found[0][1]

    def _call(self, operation: int, octets: bytes = b"") -> tuple[Record, list[int]]:
        payload = bytes([operation]) + octets
        self.control.send(pack(Kind.UART, self.opened.channel, payload=payload))
        return self._reply()

    def ask(self, operation: abi.Ask = abi.Ask.STATE, octets: bytes = b"") -> abi.State:
        """Ask for something and return the state."""
        record, _ = self._call(operation, octets)
        assert record.status == Status.OK
        return abi.unpack_state(record.payload)

    def set(self, setting: Setting = RIGHT, options: int = 0) -> abi.State:
        """Apply line settings."""
        baud, bits, parity, stop = setting
        octets = abi.SETTINGS.pack(baud, bits, ord(parity), int(2 * stop), options, 0, 0)
        return self.ask(abi.Ask.SET, octets)

    def lines(self, mask: int, levels: int) -> abi.State:
        """Set modem lines or break."""
        return self.ask(abi.Ask.LINES, abi.LINES.pack(mask, levels))

    def read(self, nbytes: int) -> bytes:
        """Serve until so many octets came; return them."""
        got = b""

        def look() -> bool:
            nonlocal got
            try:
                got += self.stream.recv(nbytes - len(got))
            except BlockingIOError:
                return False
            return len(got) == nbytes

        self.bench.until(look)
        return got

    def close(self) -> None:
        """Close the handle."""
        self.control.close()
        self.stream.close()


class Bench:
    """A line with a terminal at its end and a null modem, served by the thread of the test."""

    def __init__(self, folder: Path) -> None:
        self.kernel = Kernel()
        exchange = Exchange(self.kernel, RecordStream())
        exchange.identity = {"rig": "r1", "board": "b1"}
        self.buses = []
        for index, name in enumerate(("ttyS0", "ttyS1", "ttyS2")):
            bus = UARTBus(
                name, self.kernel, index, exchange.emitter(index, Kind.UART), BAUD, rx_fifo=1024
            )
            exchange.connect(index, bus)
            self.buses.append(bus)
        self.bus = self.buses[0]
        self.device = Terminal()
        self.bus.attach(self.device)
        self.buses[1].wire(self.buses[2])
        self.path = folder / "bench"
        self.host = Host(exchange, self.path, "real")
        self.ports: list[Port] = []

    @property
    def counters(self) -> dict[str, int]:
        """Counters of the desk."""
        return self.host.desks["uart"].counters

    def open(self, name: str = "ttyS0") -> Port:
        """Return a new handle."""
        self.ports.append(Port(self, name))
        return self.ports[-1]

    def until(self, done: Callable[[], bool]) -> None:
        """Serve until ``done()``."""
        for _ in range(4000):
            if done():
                return
            self.host.step(0.005)
        raise AssertionError("it never happened")

    def settle(self) -> None:
        """Serve until nothing is on any line."""
        self.until(lambda: not any(bus.tx_backlog + bus.rx_backlog for bus in self.buses))

    def send(self, octets: bytes) -> None:
        """Have the device send octets, and wait until they are through."""
        self.device.uart_send(self.kernel.now_ns, octets)
        self.settle()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Give a bench."""
    bench = Bench(tmp_path)
    yield bench
    for port in bench.ports:
        port.close()
    bench.host.close()


def test_a_stream_carries_octets_both_ways(bench: Bench) -> None:
    """What is written leaves at the line rate, what the device sends can be read, in any pieces."""
    port = bench.open()
    port.stream.send(b"to the device")
    bench.until(lambda: bench.device.heard == b"to the device")
    bench.send(bytes(range(200)))
    assert port.read(3) + port.read(197) == bytes(range(200))


def test_the_program_is_told_what_it_has_opened(bench: Bench) -> None:
    """OPEN answers with rig, board, and the line settings."""
    about = json.loads(bench.open().opened.payload[ERRNO_TABLE.size :])
    assert (about["rig"], about["board"], about["baud"]) == ("r1", "b1", BAUD)
    assert about["path"] == "/dev/ttyS0"


def test_a_writer_waits_for_the_line(bench: Bench) -> None:
    """A socket that is full is room for a few kilo-octets, not for all that a program has."""
    port = bench.open()
    bench.bus.hold_tx(0, "cts", True)
    taken = 0
    with contextlib.suppress(BlockingIOError):
        for _ in range(100):
            taken += port.stream.send(bytes(512))
            bench.host.step(0)
    assert 256 < taken < 16_384
    assert port.ask().out_waiting == taken
    assert bench.bus.tx_backlog == 256


def test_settings_reach_the_line_and_differ_from_the_device(bench: Bench) -> None:
    """At 7E1 against 8N1 octets are garbled and counted as on a wire; the right ones mend it."""
    port = bench.open()
    assert port.set(Setting(BAUD, 7, "E")).errno == 0
    assert bench.bus.setting == Setting(BAUD, 7, "E", 1)
    bench.send(b"ac")
    assert port.read(2) == b"ac"
    assert port.ask().icount["parity"] == 1
    port.set(Setting(BAUD // 2))
    bench.send(b"\0\0\0\0")
    assert bench.bus.counters["baud_mismatch"] == 1
    port.set(Setting(BAUD))
    bench.send(b"ac")
    assert port.stream.recv(1000).endswith(b"ac")


@pytest.mark.parametrize(
    "setting", [Setting(0), Setting(BAUD, 9), Setting(BAUD, 8, "Q"), Setting(BAUD, 8, "N", 3)]
)
def test_settings_that_no_uart_has_are_einval(bench: Bench, setting: Setting) -> None:
    """The reply has EINVAL, and the line is as before."""
    assert bench.open().set(setting).errno == errno.EINVAL
    assert bench.bus.setting == Setting(BAUD)
    assert bench.counters["refused"] == 1


def test_modem_lines_go_both_ways(bench: Bench) -> None:
    """The first handle raises RTS and DTR, the last one drops them; inputs are the device's."""
    port = bench.open()
    port.lines(abi.Modem.RTS, 0)
    assert bench.device.modem == [(1, 1), (0, 1)]
    bench.device.uart_lines(0, cts=0, ri=1)
    state = port.ask()
    assert state.modem == abi.Modem.DTR | abi.Modem.DSR | abi.Modem.CD | abi.Modem.RI
    assert (state.icount["cts"], state.icount["rng"]) == (1, 1)
    port.close()
    bench.until(lambda: bench.device.modem[-1] == (0, 0))


def test_a_break_holds_the_line_and_is_heard(bench: Bench) -> None:
    """From on to off nothing leaves; the device sees one break, also when the handle closes."""
    port = bench.open()
    assert port.lines(abi.Modem.BREAK, abi.Modem.BREAK).modem & abi.Modem.BREAK
    port.stream.send(b"x")
    begin_ns = bench.kernel.now_ns
    bench.until(lambda: bench.kernel.now_ns > begin_ns + 1_000_000)
    assert bench.device.heard == b""
    assert not port.lines(abi.Modem.BREAK, 0).modem & abi.Modem.BREAK
    bench.until(lambda: bench.device.heard == b"x")
    assert bench.device.breaks == 1
    port.lines(abi.Modem.BREAK, abi.Modem.BREAK)
    begin_ns = bench.kernel.now_ns
    bench.until(lambda: bench.kernel.now_ns > begin_ns + 1_000_000)
    port.close()
    bench.until(lambda: bench.device.breaks == 2)


def test_xoff_holds_what_is_sent_until_xon(bench: Bench) -> None:
    """With XON/XOFF these two are for the driver and are not read; without, they are data."""
    port = bench.open()
    bench.send(b"a\x13\x11")
    assert port.read(3) == b"a\x13\x11"
    port.set(options=abi.Option.XONXOFF)
    bench.send(b"b\x13c")
    assert port.read(2) == b"bc"
    port.stream.send(b"later")
    state = port.ask()
    assert (state.out_waiting, state.idle_ns) == (5, -1)
    bench.send(b"\x11")
    bench.until(lambda: bench.device.heard == b"later")
    assert bench.counters["xoff"] == 1


def test_what_nobody_reads_overruns_and_is_counted(bench: Bench) -> None:
    """Beyond rx_fifo octets are lost: the first ones stay, the counter says how many went."""
    port = bench.open()
    data = bytes(range(256)) * 6
    bench.send(data)
    assert port.ask().icount["buf_overrun"] == 512
    assert bench.counters["rx_overrun"] == 512
    assert port.read(1024) == data[:1024]


@pytest.mark.parametrize("option", [abi.Option.RTSCTS, abi.Option.XONXOFF])
def test_flow_control_stops_the_other_side_before_it_overruns(bench: Bench, option: int) -> None:
    """Between two programs nothing is lost, however late one of them reads."""
    one, other = bench.open("ttyS1"), bench.open("ttyS2")
    for port in (one, other):
        port.set(options=option)
    data, sent, got = bytes(range(32, 96)) * 64, 0, b""
    while len(got) < len(data):
        try:
            sent += one.stream.send(data[sent : sent + 700])
        except BlockingIOError:
            bench.until(lambda: bench.counters["throttled"] > 0)
            got += other.read(min(1024 - 128, len(data) - len(got)))
        bench.host.step(0.001)
        if sent == len(data):
            got += other.read(len(data) - len(got))
    assert got == data
    assert other.ask().icount["buf_overrun"] == 0


def test_what_is_flushed_does_not_leave(bench: Bench) -> None:
    """FLUSH forgets what was written and not sent, counts it, and the line works on."""
    port = bench.open()
    port.set(Setting(1200))
    port.stream.send(bytes(600))
    assert port.ask().out_waiting == 600
    assert port.ask(abi.Ask.FLUSH).out_waiting == 0
    port.set(Setting(BAUD))
    port.stream.send(b"new")
    bench.until(lambda: bench.device.heard.endswith(b"new"))
    assert len(bench.device.heard) < 10
    assert bench.counters["cut_octets"] + bench.bus.counters["cut_octets"] == 600


def test_the_state_tells_when_the_line_will_be_idle(bench: Bench) -> None:
    """It is the line time of all that has been written."""
    port = bench.open()
    port.set(Setting(1200))
    port.stream.send(bytes(300))
    line_ns = bench.bus.line_time_ns(300)
    assert 0 < port.ask().idle_ns <= line_ns
    assert port.ask(abi.Ask.FLUSH).idle_ns == 0


def test_what_was_written_before_a_close_still_leaves(bench: Bench) -> None:
    """A handle that closes loses nothing, unless flow control holds it back: that is counted."""
    port = bench.open()
    port.stream.send(b"z" * 2000)
    port.close()
    bench.until(lambda: len(bench.device.heard) == 2000)
    port = bench.open()
    bench.bus.hold_tx(0, "cts", True)
    port.stream.send(bytes(300))
    port.ask()
    port.close()
    bench.until(lambda: bench.counters["cut_octets"] == 44)


def test_an_exclusive_line_is_busy_for_others(bench: Bench) -> None:
    """EXCLUSIVE is refused while another handle is open, and refuses its settings from then on."""
    first, second = bench.open(), bench.open()
    assert first.set(options=abi.Option.EXCLUSIVE).errno == errno.EBUSY
    second.close()
    bench.until(lambda: len(bench.host._clients) == 1)
    assert first.set(options=abi.Option.EXCLUSIVE).errno == 0
    assert bench.open().set().errno == errno.EBUSY


def test_several_handles_hear_the_same(bench: Bench) -> None:
    """Each handle reads every octet."""
    ports = [bench.open(), bench.open()]
    bench.send(b"all")
    assert [port.read(3) for port in ports] == [b"all", b"all"]


def test_rs485_drives_before_and_hears_itself(bench: Bench) -> None:
    """RS-485 settings are those of the kernel's struct: delays, and the echo of what we send."""
    port = bench.open()
    options = abi.Option.RS485 | abi.Option.ECHO
    octets = abi.SETTINGS.pack(BAUD, 8, ord("N"), 2, options, 20_000, 30_000)
    assert port.ask(abi.Ask.SET, octets).errno == 0
    assert bench.bus.rs485 == (20_000, 30_000, True)
    port.stream.send(b"me")
    assert port.read(2) == b"me"
    port.set()
    assert bench.bus.rs485 is None


def test_the_terminal_of_the_line_stands_aside(bench: Bench) -> None:
    """While a stream is open the pseudo-terminal neither sets the rate nor gets octets."""
    port = bench.open()
    pty = bench.host.lines["/dev/ttyS0"]
    port.set(Setting(BAUD // 4))
    bench.send(b"x")
    assert bench.bus.baud == BAUD // 4
    assert pty.counters["rx_unopened"] == 0
    port.close()
    bench.until(lambda: not pty.aside)
    bench.send(b"x")
    assert pty.counters["rx_unopened"] > 0


@pytest.mark.parametrize("payload", [b"", b"\x09", b"\x02", b"\x02abc", b"\x03\0", b"\x00more"])
def test_a_request_that_cannot_be_read_is_invalid(bench: Bench, payload: bytes) -> None:
    """Octets that are no request are answered with INVALID, and the handle goes on."""
    port = bench.open()
    port.control.send(pack(Kind.UART, port.opened.channel, payload=payload))
    assert port._reply()[0].status == Status.INVALID
    assert port.ask().errno == 0


def test_a_stream_that_is_closed_alone_does_no_harm(bench: Bench) -> None:
    """A program that closes the stream and keeps the handle loses octets, and nothing else."""
    port = bench.open()
    port.stream.close()
    bench.send(b"lost")
    assert port.ask().errno == 0
