"""The two ends of a serial line: settings that differ, lines wired to others and to themselves."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flightsw.codec.wire import Flag, Status
from hil.buses.uart import BREAK, UARTBus
from hil.buses.uart_wave import Setting, resample, understands
from hil.errors import ConfigError
from hil.testing.simple_scheduler import SimpleScheduler

BAUD = 100_000
OCTET_NS = 100_000


class Listener:
    """A device that keeps what it hears."""

    def __init__(self) -> None:
        self.heard = b""
        self.uart_send: Callable[[int, bytes], None] = lambda t_ns, data: None

    def uart_receive(self, t_ns: int, data: bytes) -> None:
        self.heard += data


class Ends:
    """Two lines of one scheduler and what each receives."""

    def __init__(self, far: Setting | None = None, loop: bool = False) -> None:
        self.scheduler = SimpleScheduler()
        self.inputs: dict[str, list[tuple[int, int, int, bytes]]] = {"a": [], "b": []}
        self.a, self.b = self._line("a"), self._line("b")
        if far is not None:
            self.b.set_setting(far)
        self.a.wire(self.a if loop else self.b)

    def _line(self, name: str) -> UARTBus:
        def emit(t: int, took: int, flags: int, status: int, address: int, data: bytes) -> None:
            if flags & Flag.INPUT:
                self.inputs[name].append((t + took, status, address, data))

        return UARTBus(name, self.scheduler, ord(name), emit, BAUD)

    def run(self, until_ns: int = 10**10) -> None:
        self.scheduler.run_until(until_ns)

    def heard(self, name: str) -> bytes:
        return b"".join(data for *_, data in self.inputs[name])


@given(
    data=st.binary(max_size=40),
    bits=st.sampled_from([5, 6, 7, 8]),
    parity=st.sampled_from("NEOMS"),
    stop=st.sampled_from([1, 1.5, 2]),
)
def test_every_format_reads_itself(data: bytes, bits: int, parity: str, stop: float) -> None:
    """A receiver with the sender's format gets the low bits of each octet and finds no fault."""
    setting = Setting(9_600, bits, parity, stop)
    assert resample(data, setting, setting._replace(stop_bits=1)) == (setting.cut(data), 0, 0)


@pytest.mark.parametrize(
    ("sent", "read", "accepted", "discarded", "odd"),
    [
        # Even parity of "a" (three ones) is a one in the place of bit 7; that of "c" is a zero.
        (Setting(BAUD, 7, "E"), Setting(BAUD, 8, "N"), b"\xe1c", 0, 0),
        # The eighth bit is taken for the parity: zero, which is wrong for "a" only.
        (Setting(BAUD, 8, "N"), Setting(BAUD, 7, "E"), b"ac", 0, 1),
        (Setting(BAUD, 7, "E"), Setting(BAUD, 7, "O"), b"ac", 0, 2),
        (Setting(BAUD, 7, "M"), Setting(BAUD, 7, "S"), b"ac", 0, 2),
        # The stop bit is taken for the parity, idle for the stop.
        (Setting(BAUD, 8, "N", 2), Setting(BAUD, 8, "E"), b"ac", 0, 1),
        # The parity bit stands where the stop bit is looked for.
        (Setting(BAUD, 8, "S"), Setting(BAUD, 8, "N"), b"", 2, 0),
    ],
)
def test_another_format_is_read_bit_by_bit(
    sent: Setting, read: Setting, accepted: bytes, discarded: int, odd: int
) -> None:
    """Data bits land in each other's places; what stands at parity and stop is judged as such."""
    assert resample(b"ac", sent, read) == (accepted, discarded, odd)
    assert not understands(read, sent)


def test_a_device_with_another_format_is_heard_as_on_the_wire() -> None:
    """7E1 against 8N1 garbles both ways, is marked and counted by what is wrong."""
    ends = Ends()
    line, device = UARTBus("c", ends.scheduler, 9, ends.a._emit, BAUD), Listener()
    line.attach(device, setting=Setting(BAUD, 7, "E"))
    line.write(0, b"ac")
    device.uart_send(0, b"ac")
    ends.run()
    assert device.heard == b"ac"
    assert ends.inputs["a"] == [(2 * OCTET_NS, Status.DAMAGED, 0, b"\xe1c")]
    assert line.counters["format_mismatch"] == 2
    assert (line.counters["parity"], line.icount()["parity"]) == (1, 0)


def test_seven_bits_are_all_that_leaves_a_line_of_seven() -> None:
    """The eighth bit of what is written is not on the wire, and not in the record."""
    ends = Ends(Setting(BAUD, 7, "E"))
    ends.a.set_setting(Setting(BAUD, 7, "E"))
    ends.a.write(0, b"\xe1\x63")
    ends.run()
    assert ends.heard("b") == b"ac"


def test_a_device_keeps_its_own_rate() -> None:
    """What the device sends takes the device's time, whatever the payload computer is set to."""
    ends = Ends()
    line, device = UARTBus("c", ends.scheduler, 9, ends.a._emit, BAUD), Listener()
    line.attach(device, BAUD // 2)
    device.uart_send(0, b"x")
    ends.run()
    assert line.counters["baud_mismatch"] == 1
    assert ends.scheduler.now_ns == 10**10
    assert line._rx.free_ns == 2 * OCTET_NS


# Wired lines


def test_a_loop_hears_itself_at_once() -> None:
    """TX at RX: each octet is received when it has been sent, not later."""
    ends = Ends(loop=True)
    ends.a.write(0, b"hello")
    ends.run()
    assert ends.inputs["a"] == [(5 * OCTET_NS, Status.OK, 0, b"hello")]
    assert ends.a.counters["unattached"] == 0


def test_two_wired_lines_talk_both_ways_at_once() -> None:
    """What one sends is an input of the other, at its last bit."""
    ends = Ends()
    ends.a.write(0, b"ping")
    ends.b.write(0, b"pong!")
    ends.run()
    assert ends.inputs["b"] == [(4 * OCTET_NS, Status.OK, 0, b"ping")]
    assert ends.inputs["a"] == [(5 * OCTET_NS, Status.OK, 0, b"pong!")]


def test_wired_lines_at_two_rates_garble() -> None:
    """The receiving end counts framing errors of its own port, by its own setting."""
    ends = Ends(Setting(2 * BAUD))
    ends.a.write(0, b"\0" * 8)
    ends.run()
    assert ends.heard("b") == b""
    assert ends.b.icount()["frame"] == 8
    assert ends.a.icount()["frame"] == 0


def test_modem_lines_cross() -> None:
    """RTS is the other's CTS, DTR its DSR and CD; changes are counted there."""
    ends = Ends()
    ends.a.set_modem(0, rts=0)
    assert (ends.b.modem["cts"], ends.b.modem["dsr"]) == (0, 1)
    ends.a.set_modem(0, dtr=0)
    assert [ends.b.modem[name] for name in ("cts", "dsr", "cd", "ri")] == [0, 0, 0, 0]
    assert ends.a.modem["cts"] == 1
    assert ends.b.icount()["cts"] == 1


def test_throttling_one_end_holds_the_other() -> None:
    """RTS of a full driver is CTS of who sends: with flow control nothing leaves until it is on."""
    ends = Ends()
    for line in (ends.a, ends.b):
        line.set_flow(0, True)
    ends.b.throttle(0, True)
    ends.a.write(0, b"wait")
    ends.run(10**7)
    assert ends.heard("b") == b""
    ends.b.throttle(10**7, False)
    ends.run()
    assert ends.inputs["b"] == [(10**7 + 4 * OCTET_NS, Status.OK, 0, b"wait")]


def test_a_break_crosses_and_holds_what_we_send() -> None:
    """A break is a zero octet with a mark at the other end; a hold outlasts each single reason."""
    ends = Ends()
    ends.a.send_break(0, 3 * OCTET_NS)
    ends.a.hold_tx(0, "break", True)
    ends.a.hold_tx(0, "xoff", True)
    ends.a.write(0, b"x")
    ends.run(10**6)
    assert ends.inputs["b"] == [(3 * OCTET_NS, Status.FRAMING, BREAK, b"\0")]
    ends.a.hold_tx(10**6, "break", False)
    ends.run(2 * 10**6)
    assert ends.a.tx_held
    ends.a.hold_tx(2 * 10**6, "xoff", False)
    ends.run()
    assert ends.heard("b") == b"\0x"


def test_room_is_told_when_octets_have_left() -> None:
    """A driver is called after each chunk, and when what was held may leave."""
    ends = Ends()
    calls: list[int] = []
    ends.a.after_send.append(calls.append)
    ends.a.write(0, bytes(100))
    ends.run(10**9)
    assert calls == [64 * OCTET_NS, 100 * OCTET_NS]
    ends.a.hold_tx(10**9, "xoff", True)
    ends.a.hold_tx(2 * 10**9, "xoff", False)
    assert calls[2:] == [2 * 10**9]


def test_what_is_forgotten_does_not_leave() -> None:
    """Discarding what has not been sent counts it, and the line works on."""
    ends = Ends()
    ends.a.write(0, bytes(100))
    assert ends.a.discard_tx() == 100
    ends.a.write(0, b"new")
    ends.run()
    assert ends.heard("b") == b"new"
    assert ends.a.counters["cut_octets"] == 100


def test_an_end_has_one_thing_at_it() -> None:
    """A device at a wired line, a wire to a line with a device, and a third line are refused."""
    ends = Ends()
    with pytest.raises(ConfigError, match="uart a"):
        ends.a.attach(Listener())
    third = UARTBus("c", ends.scheduler, 9, ends.a._emit, BAUD)
    with pytest.raises(ConfigError, match="uart a: has something at its end"):
        third.wire(ends.a)
    third.attach(Listener())
    with pytest.raises(ConfigError, match="uart c"):
        third.wire(third)


@pytest.mark.parametrize(
    "setting", [Setting(0), Setting(BAUD, 9), Setting(BAUD, 8, "X"), Setting(BAUD, 8, "N", 3)]
)
def test_a_setting_that_no_uart_has_is_refused(setting: Setting) -> None:
    """It names the line, and the old setting stays."""
    ends = Ends()
    with pytest.raises(ConfigError, match="uart a"):
        ends.a.set_setting(setting)
    assert ends.a.setting == Setting(BAUD)
