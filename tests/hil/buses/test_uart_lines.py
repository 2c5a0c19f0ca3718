"""Serial lines beside their data: break, parity, modem lines, flow control, FIFO, RS-485."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flightsw.codec.wire import Flag, Status
from hil.buses.intercept import BLOCKED, Crossing, Forward, Interceptor, Result
from hil.buses.line_faults import LineFault
from hil.buses.uart import BREAK, RS485, UARTBus
from hil.errors import ConfigError
from hil.testing.simple_scheduler import SimpleScheduler

Record = tuple[int, int, int, int, int, bytes]
BAUD = 100_000
OCTET_NS = 100_000


class Terminal:
    """A device with everything that a line can bring it."""

    name = "terminal"

    def __init__(self) -> None:
        self.heard: list[tuple[int, bytes]] = []
        self.breaks: list[int] = []
        self.modem: list[tuple[int, int, int]] = []
        self.uart_send: Callable[[int, bytes], None]
        self.uart_lines: Callable[..., None]
        self.uart_send_break: Callable[[int, int], None]

    def uart_receive(self, t_ns: int, data: bytes) -> None:
        self.heard.append((t_ns, data))

    def uart_break(self, t_ns: int) -> None:
        self.breaks.append(t_ns)

    def uart_modem(self, t_ns: int, rts: int, dtr: int) -> None:
        self.modem.append((t_ns, rts, dtr))


class Line:
    """A line of ten bit times and 100 us an octet."""

    def __init__(self, **settings: Any) -> None:
        self.scheduler = SimpleScheduler()
        self.records: list[Record] = []
        self.bus = UARTBus("uart", self.scheduler, 1, self._emit, BAUD, **settings)
        self.device = Terminal()
        self.bus.attach(self.device)

    def _emit(self, *record: Any) -> None:
        assert self.scheduler.now_ns == record[0] + record[1]
        self.records.append(record)  # type: ignore[arg-type]

    def run(self, until_ns: int = 10**10) -> Line:
        self.scheduler.run_until(until_ns)
        return self

    @property
    def inputs(self) -> list[Record]:
        return [record for record in self.records if record[2] & Flag.INPUT]

    @property
    def heard(self) -> bytes:
        return b"".join(data for _, data in self.device.heard)


# Break and parity


def test_a_break_of_the_device_is_a_zero_octet_with_a_mark() -> None:
    """It is recorded at its end with address 1 and FRAMING, and counted as brk."""
    line = Line()
    line.device.uart_send_break(50_000, 250_000)
    line.run()
    assert line.records == [(50_000, 250_000, Flag.INPUT, Status.FRAMING, BREAK, b"\0")]
    assert line.bus.icount()["brk"] == 1


def test_a_break_of_ours_reaches_the_device_at_its_end() -> None:
    """The device is told when the line goes high again."""
    line = Line()
    line.bus.send_break(10_000, 300_000)
    line.run()
    assert line.device.breaks == [310_000]


def test_a_low_shorter_than_an_octet_is_no_break() -> None:
    """Neither side takes it for one."""
    line = Line()
    line.bus.send_break(0, OCTET_NS - 1)
    line.device.uart_send_break(0, OCTET_NS - 1)
    line.run()
    assert (line.records, line.device.breaks) == ([], [])


@pytest.mark.parametrize(("parity", "seen"), [("E", 4), ("O", 4), ("N", 0)])
@pytest.mark.parametrize("kind", ["parity", "bit_flip"])
def test_a_single_bit_is_found_where_there_is_parity(kind: str, parity: str, seen: int) -> None:
    """A flipped parity or data bit is a parity error of TIOCGICOUNT; without parity it is not."""
    line = Line(parity=parity)
    line.bus.faults.add(LineFault(kind, bit=0))
    line.device.uart_send(0, b"abcd")
    line.run()
    assert line.bus.icount()["parity"] == seen
    data = line.inputs[0][5]
    assert data == (b"`cbe" if kind == "bit_flip" else b"abcd")
    damaged = kind == "bit_flip" or seen
    assert line.inputs[0][3] == (Status.DAMAGED if damaged else Status.OK)


# Modem lines and flow control


def test_modem_lines_reach_the_other_side_and_are_counted() -> None:
    """RTS and DTR are told to the device; changes of CTS, DSR, RI and CD count as in Linux."""
    line = Line()
    line.bus.set_modem(5, rts=0)
    line.bus.set_modem(6, dtr=0)
    assert line.device.modem == [(5, 0, 1), (6, 0, 0)]
    line.device.uart_lines(0, cts=0, dsr=1)
    line.device.uart_lines(1, cts=1, ri=1, cd=0)
    line.device.uart_lines(2, ri=0)
    counts = line.bus.icount()
    assert [counts[name] for name in ("cts", "dsr", "rng", "dcd")] == [2, 0, 2, 1]


def test_a_line_that_the_side_does_not_drive_is_refused() -> None:
    """CTS is no output of the payload computer, RTS none of the device."""
    line = Line()
    with pytest.raises(ConfigError, match="cts is not an output"):
        line.bus.set_modem(0, cts=1)
    with pytest.raises(ConfigError, match="rts is not an input"):
        line.device.uart_lines(0, rts=1)


def test_cts_holds_what_we_send_at_the_next_octet() -> None:
    """Off in the fourth octet: that one ends, the rest leaves when it is on again."""
    line = Line(flow=True)
    line.bus.write(0, bytes(range(10)))
    line.run(350_000)
    line.device.uart_lines(350_000, cts=0)
    line.run(2_000_000)
    assert line.device.heard == [(400_000, bytes(range(4)))]
    assert line.bus.tx_backlog == 6
    line.bus.write(2_000_000, b"more")
    line.device.uart_lines(3_000_000, cts=1)
    line.run()
    assert line.device.heard[1:] == [
        (3_600_000, bytes(range(4, 10))),
        (4_000_000, b"more"),
    ]
    assert line.bus.tx_backlog == 0


def test_without_flow_control_cts_is_only_a_line() -> None:
    """Octets leave whatever CTS says."""
    line = Line()
    line.device.uart_lines(0, cts=0)
    line.bus.write(0, b"abc")
    line.run()
    assert line.heard == b"abc"


@pytest.mark.parametrize("octets", [10, 16, 17, 40, 100])
def test_a_fifo_that_nobody_empties_overruns(octets: int) -> None:
    """A driver kept away for 20 ms finds 16 octets; the rest is lost and counted."""
    line = Line(fifo=16)
    line.bus.faults.add(LineFault("stall", 0, 20_000_000))
    line.device.uart_send(0, bytes(range(octets)))
    line.device.uart_send(30_000_000, b"after")
    line.run()
    kept = [record for record in line.inputs if record[3] == Status.OK]
    assert (kept[0][0] + kept[0][1], kept[0][5]) == (20_000_000, bytes(range(min(octets, 16))))
    lost = [record[5] for record in line.inputs if record[3] == Status.OVERRUN]
    assert b"".join(lost) == bytes(range(16, octets))
    assert line.bus.icount()["overrun"] == max(octets - 16, 0)
    assert kept[1][5] == b"after"


def test_flow_control_keeps_a_fifo_from_overrunning() -> None:
    """RTS goes away when 16 octets are in, and nothing is lost; it comes back with the driver."""
    line = Line(fifo=16, flow=True)
    line.bus.faults.add(LineFault("stall", 0, 20_000_000))
    data = bytes(range(100))
    line.device.uart_send(0, data)
    line.run()
    assert line.device.modem == [(1_600_000, 0, 1), (20_000_000, 1, 1)]
    assert b"".join(record[5] for record in line.inputs) == data
    assert line.bus.icount()["overrun"] == 0
    last = line.inputs[-1]
    assert last[0] + last[1] == 20_000_000 + 84 * OCTET_NS


def test_counters_are_those_of_the_port() -> None:
    """rx, tx, frame and overrun count what the payload computer's own port saw."""
    line = Line()
    line.bus.faults.add(LineFault("framing", 0, 1, "both"))
    line.bus.write(0, b"abc")
    line.device.uart_send(0, b"defg")
    line.bus.faults.add(LineFault("overrun", 10**6, 10**6 + 1, "rx"))
    line.device.uart_send(10**6, b"xy")
    line.device.uart_send(2 * 10**6, b"z")
    line.run()
    counts = line.bus.icount()
    found = [counts[name] for name in ("rx", "tx", "frame", "overrun")]
    assert found == [1, 3, 4, 2]


# RS-485


def test_the_driver_is_on_before_the_first_bit_and_own_octets_come_back() -> None:
    """20 us turnaround in front of each burst, and an echo of what was sent."""
    line = Line(rs485=RS485(before_ns=20_000, after_ns=20_000, echo=True))
    line.bus.write(0, b"ab")
    line.bus.write(1_000_000, b"c")
    line.run()
    assert [(record[0], record[2], record[5]) for record in line.records] == [
        (20_000, 0, b"ab"),
        (20_000, Flag.INPUT, b"ab"),
        (1_020_000, 0, b"c"),
        (1_020_000, Flag.INPUT, b"c"),
    ]
    assert line.device.heard == [(220_000, b"ab"), (1_120_000, b"c")]


@pytest.mark.parametrize(
    ("answer_ns", "collides"), [(200_000, True), (219_999, True), (240_000, False)]
)
def test_an_answer_before_the_turnaround_is_lost(answer_ns: int, collides: bool) -> None:
    """Our driver is on until 20 us behind our last bit; who talks into that is not heard."""
    line = Line(rs485=RS485(before_ns=20_000, after_ns=20_000))
    line.bus.write(0, b"ab")
    line.run(190_000)
    line.device.uart_send(answer_ns, b"xyz")
    line.run()
    assert [record[5] for record in line.inputs] == ([] if collides else [b"xyz"])
    assert line.bus.counters["collision"] > 0 or not collides


def test_two_ends_that_talk_at_once_hear_nothing() -> None:
    """Both messages are lost, and ours is marked as not sent well."""
    line = Line(rs485=RS485())
    line.bus.write(0, b"ab")
    line.device.uart_send(50_000, b"xy")
    line.run()
    assert (line.heard, line.inputs) == (b"", [])
    assert line.records[0][3] == Status.FRAMING
    assert line.bus.counters["collision"] == 2


# Faults and interceptors


def test_spam_and_delay() -> None:
    """Three drawn octets follow each one, the same for the same seed; a delay moves the start."""

    def heard(seed: int) -> bytes:
        line = Line(seed=seed)
        line.bus.faults.add(LineFault("spam", times=3))
        line.bus.write(0, b"ab")
        return line.run().heard

    assert len(heard(1)) == 8
    assert heard(1)[0::4] == b"ab"
    assert heard(1) == heard(1) != heard(2)
    line = Line()
    line.bus.faults.add(LineFault("delay", value_ns=700_000))
    line.bus.write(0, b"a")
    line.run()
    assert line.records[0][:3] == (700_000, OCTET_NS, Flag.FAULTED)


def _upper(crossing: Crossing, forward: Forward) -> Result:
    return forward(crossing._replace(content=crossing.content.upper()))


def _answer(crossing: Crossing, forward: Forward) -> Result:
    forward(crossing)
    return forward(Crossing(crossing.t_ns + 10**6, "terminal", 0, b"fake"))


@pytest.mark.parametrize(
    ("interceptor", "heard", "read"),
    [
        (lambda crossing, forward: None, b"abc", []),
        (lambda crossing, forward: BLOCKED, b"", []),
        (_upper, b"ABC", []),
        (_answer, b"abc", [(10**6, b"fake")]),
    ],
)
def test_an_interceptor_passes_blocks_modifies_and_mimics(
    interceptor: Interceptor, heard: bytes, read: list[tuple[int, bytes]]
) -> None:
    """What either end hears is what the interceptor let through, marked where it did something."""
    line = Line()
    line.bus.intercept(interceptor)
    line.bus.write(0, b"abc")
    line.run()
    assert line.heard == heard
    assert [(record[0], record[5]) for record in line.inputs] == read
    assert all(record[2] & Flag.FAULTED for record in line.inputs)
    if heard == b"ABC":
        assert line.records[0][2] == Flag.FAULTED


def test_each_change_of_a_modem_line_is_told_once() -> None:
    """Whoever follows the modem lines hears when and by whom one moved, and of nothing else."""
    line, told = Line(), []
    line.bus.after_lines.append(lambda t_ns, came: told.append((t_ns, came, dict(line.bus.modem))))
    line.bus.set_modem(5, rts=0)
    line.bus.set_modem(6, rts=0)
    line.device.uart_lines(7, cts=0)
    line.device.uart_lines(8, cts=0, dsr=1)
    assert [(t_ns, came, now["rts"], now["cts"]) for t_ns, came, now in told] == [
        (5, 0, 0, 1),
        (7, 1, 0, 0),
    ]
