"""MCP2515 at instruction level, against DS20001801J, alone and on a CAN bus."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hil.buses.can import CANBus
from hil.buses.can_faults import CANFault
from hil.buses.spi import SPIBus
from hil.errors import ConfigError
from hil.parts.mcp2515 import Mcp2515
from hil.testing.contracts.part import check_part
from hil.testing.simple_scheduler import SimpleScheduler

MS = 1_000_000
EXTENDED, REMOTE = 1 << 31, 1 << 30
CNF_500K = (0x86, 0xF0, 0x00)  # CNF3, CNF2, CNF1 at 16 MHz


class Peer:
    """Another node on the bus."""

    can_send: Callable[[int, int, bytes], None]

    def __init__(self) -> None:
        self.heard: list[tuple[int, bytes]] = []

    def can_receive(self, t_ns: int, can_id: int, data: bytes) -> None:
        self.heard.append((can_id, data))


class Controller:
    """The part between an SPI bus and, if wanted, a CAN bus at 500 kbit/s with a peer."""

    def __init__(self, on_bus: bool = True) -> None:
        self.scheduler = SimpleScheduler()
        self.part = Mcp2515("can", 3)
        self.spi = SPIBus("spi-0", "ideal")
        self.spi.attach(0, self.part, speed_hz=10_000_000)
        self.bus = CANBus("can0", self.scheduler, 1, lambda *_: None, 500_000)
        self.peer = Peer()
        self.bus.attach(self.peer)
        if on_bus:
            self.bus.attach(self.part)
        self.levels: list[int] = []
        self.part.gpio_drive = lambda t_ns, pin, level: self.levels.append(level)

    @property
    def t_ns(self) -> int:
        return self.scheduler.now_ns

    def __call__(self, *tx: int, nread: int = 0) -> bytes:
        octets = bytes(tx) + bytes(nread)
        _, duration_ns, rx = self.spi.transfer(self.t_ns, 0, octets)
        self.scheduler.run_until(self.t_ns + duration_ns)
        return rx[len(tx) :]

    def read(self, address: int, nread: int = 1) -> bytes:
        return self(0x03, address, nread=nread)

    def write(self, address: int, *values: int) -> None:
        self(0x02, address, *values)

    def wait(self, ns: int = MS) -> None:
        self.scheduler.run_until(self.t_ns + ns)

    def start(self, mode: int = 0, receive: int = 0x64) -> None:
        """Set 500 kbit/s, receive anything, roll over, and enter a mode."""
        self(0xC0)
        self.write(0x28, *CNF_500K)
        self.write(0x60, receive)
        self.write(0x70, receive & 0x60)
        self(0x05, 0x0F, 0xE0, mode << 5)

    def send(self, buffer: int, sid: int, data: bytes, priority: int = 0) -> None:
        self.write(0x30 + 16 * buffer, priority)
        self(0x40 + 2 * buffer, sid >> 3, (sid & 7) << 5, 0, 0, len(data), *data)
        self(0x80 | 1 << buffer)


@pytest.fixture
def can() -> Controller:
    controller = Controller()
    controller.start()
    return controller


def test_contract() -> None:
    """The part passes the public contract suite."""
    check_part(lambda: Mcp2515("can", 3), 1000)


def test_reset_values() -> None:
    """Register 10-1 and 10-2: configuration mode and CANCTRL 87h, in every row of the map."""
    can = Controller()
    for row in range(0, 0x80, 0x10):
        assert can.read(row + 0x0E, 2) == b"\x80\x87"
    assert can.read(0x28, 6) == bytes(6)


def test_modes_change_on_request(can: Controller) -> None:
    """The mode asked for in CANCTRL shows in CANSTAT."""
    for mode in (4, 3, 2, 1, 0):
        can(0x05, 0x0F, 0xE0, mode << 5)
        assert can.read(0x0E)[0] >> 5 == mode


def test_bit_timing_and_filters_need_configuration(can: Controller) -> None:
    """Outside of configuration CNF, filters and masks keep their values, and filters read 0."""
    can.write(0x2A, 0x3F)
    can.write(0x20, 0xFF)
    assert can.read(0x2A) == b"\x00"
    can(0x05, 0x0F, 0xE0, 0x80)
    assert can.read(0x20) == b"\x00"
    can.write(0x20, 0xFF)
    assert can.read(0x20) == b"\xff"
    can(0x05, 0x0F, 0xE0, 0x00)
    assert can.read(0x20) == b"\x00"


def test_bit_modify_takes_a_mask_where_it_may(can: Controller) -> None:
    """Table 11-1: CANINTE takes the mask, a data octet of a transmit buffer is written whole."""
    can.write(0x2B, 0x0F)
    can(0x05, 0x2B, 0x03, 0x01)
    assert can.read(0x2B) == b"\x0d"
    can.write(0x36, 0x0F)
    can(0x05, 0x36, 0x01, 0x50)
    assert can.read(0x36) == b"\x50"


@pytest.mark.parametrize(
    ("cnf", "hz"),
    [(CNF_500K, 500e3), ((0x82, 0xD0, 0x00), 1e6), ((0x86, 0xF0, 0x03), 125e3)],
)
def test_bit_rate(cnf: tuple[int, int, int], hz: float) -> None:
    """Section 5.3: quanta of two oscillator periods times the prescaler, counted by CNF2, CNF3."""
    can = Controller()
    can.write(0x28, *cnf)
    assert can.part.bitrate_hz == hz


def test_a_frame_goes_out_and_says_so(can: Controller) -> None:
    """A requested buffer is sent; TXREQ falls, TX0IF rises, and the peer has the frame."""
    can.send(0, 0x123, b"\x01\x02\x03")
    assert can(0xA0, nread=1) == b"\x04"
    can.wait()
    assert can(0xA0, nread=1) == b"\x08"
    assert can.peer.heard == [(0x123, b"\x01\x02\x03")]
    assert can.read(0x30) == b"\x00"


def test_extended_and_remote_frames_go_out(can: Controller) -> None:
    """SIDL.EXIDE and DLC.RTR make an extended remote frame."""
    can(0x40, 0x91, 0xA2 | 0x08, 0xB3, 0xD4, 0x42)
    can(0x81)
    can.wait()
    value = (0x91 << 3 | 0xA2 >> 5) << 18 | 2 << 16 | 0xB3D4
    assert can.peer.heard == [(EXTENDED | REMOTE | value, bytes(2))]


def test_buffers_go_by_priority(can: Controller) -> None:
    """Section 3.2: the higher TXP first, and of equals the higher buffer."""
    can.send(0, 0x300, b"", priority=0)  # offered at once, as the only one
    can.send(1, 0x301, b"", priority=1)
    can.send(2, 0x302, b"", priority=3)
    can.wait(5 * MS)
    assert [can_id for can_id, _ in can.peer.heard] == [0x300, 0x302, 0x301]


def test_a_frame_comes_in(can: Controller) -> None:
    """READ RX BUFFER gives the frame, and frees the buffer when chip select rises."""
    can.peer.can_send(can.t_ns, 0x456, b"\xaa\xbb")
    can.wait()
    assert (can(0xA0, nread=1), can(0xB0, nread=1)) == (b"\x01", b"\x40")
    assert can(0x90, nread=7) == b"\x8a\xc0\x00\x00\x02\xaa\xbb"
    assert can.read(0x2C) == b"\x00"


def test_the_second_buffer_takes_over_and_the_third_frame_is_lost(can: Controller) -> None:
    """With BUKT a frame rolls over into RXB1; the next one sets the overflow flag."""
    for n in range(3):
        can.peer.can_send(can.t_ns, 0x100 + n, bytes((n,)))
    can.wait(2 * MS)
    assert can.read(0x2C)[0] & 3 == 3
    assert can.read(0x2D)[0] & 0xC0 == 0x40
    assert (can(0x92, nread=1), can(0x96, nread=1)) == (b"\x00", b"\x01")
    assert can.part.counters["overflow"] == 1
    can(0x05, 0x2D, 0xC0, 0x00)
    assert can.read(0x2D) == b"\x00"


def test_filters_take_what_matches() -> None:
    """Masks and filters of both buffers select by identifier; EXIDE by its length."""
    can = Controller()
    can.start(4, 0x04)
    can.write(0x20, 0xFF, 0xE0, 0, 0, 0xFF, 0xE3, 0xFF, 0xFF)
    can.write(0x00, 0x22, 0x20, 0, 0)  # 111h
    can.write(0x08, 0x10, 0x08, 0, 0x05)  # extended 02000005h
    can(0x05, 0x0F, 0xE0, 0x00)
    for can_id in (0x112, EXTENDED | 0x111, 0x111, EXTENDED | 0x0200_0005):
        can.peer.can_send(can.t_ns, can_id, b"")
    can.wait(2 * MS)
    assert can(0xB0, nread=1)[0] >> 6 == 3
    assert can(0x90, nread=2) == b"\x22\x20"
    assert can(0x94, nread=4) == b"\x10\x08\x00\x05"
    assert can.part.counters["filtered"] == 2


def test_filters_on_data_of_standard_frames() -> None:
    """Section 4.5: for a standard frame EID15 to EID0 are compared with two data octets."""
    can = Controller()
    can.start(4, 0x00)
    can.write(0x20, 0, 0, 0xFF, 0, 0xFF, 0xE0, 0, 0)
    can.write(0x00, 0, 0, 0x5A, 0, 0, 0, 0x5A, 0)
    can(0x05, 0x0F, 0xE0, 0x00)
    for data in (b"\x5b", b"\x5a\x01"):
        can.peer.can_send(can.t_ns, 0x7F0, data)
    can.wait(2 * MS)
    assert can(0x92, nread=2) == b"\x5a\x01"
    assert can.part.counters["filtered"] == 1


def test_interrupts_and_their_code(can: Controller) -> None:
    """INT falls with an enabled flag and rises when it is cleared; CANSTAT holds the code."""
    can.write(0x2B, 0x05)
    can.peer.can_send(can.t_ns, 0x1, b"")
    can.wait()
    assert can.levels == [0]
    assert can.read(0x0E)[0] & 0x0E == 0x0C
    can(0x05, 0x2C, 0x01, 0x00)
    assert can.levels == [0, 1]


def test_loopback_needs_no_bus() -> None:
    """In loopback frames come back through the filters after their time on the wire."""
    can = Controller(on_bus=False)
    can.start(2)
    can.send(0, 0x321, b"\x07")
    assert can.read(0x2C) == b"\x00"
    can.wait()
    assert can.read(0x2C) == b"\x05"
    assert can(0x90, nread=6) == b"\x64\x20\x00\x00\x01\x07"
    assert not can.peer.heard


def test_listen_only_hears_and_does_not_speak() -> None:
    """In listen-only mode frames come in, are not acknowledged, and none goes out."""
    can = Controller()
    can.start(3)
    can.bus.nodes.remove(can.bus.controller)  # nobody but the peer and the part
    can.peer.can_send(can.t_ns, 0x55, b"")
    can.wait(2 * MS)
    assert can.bus.counters["ack_error"] > 0
    can.send(0, 0x10, b"")
    can.wait(2 * MS)
    assert not can.peer.heard


def test_a_wrong_bit_rate_neither_hears_nor_sends() -> None:
    """With another bit timing frames pass by and are counted."""
    can = Controller()
    can.start(4)
    can.write(0x2A, 0x01)
    can(0x05, 0x0F, 0xE0, 0x00)
    can.peer.can_send(can.t_ns, 0x55, b"")
    can.send(0, 0x10, b"")
    can.wait(2 * MS)
    assert (can.read(0x2C), can.peer.heard) == (b"\x00", [])
    assert can.part.counters["mismatch"] == 2


def test_alone_it_becomes_error_passive() -> None:
    """Nobody acknowledges: TEC stops at 128, EFLG says warning and passive, ERRIF rises."""
    for on_bus in (True, False):
        can = Controller(on_bus)
        can.start()
        if on_bus:
            can.bus.nodes[:] = [node for node in can.bus.nodes if node.device is can.part]
        can.send(0, 0x10, b"\x00")
        can.wait(20 * MS)
        assert can.read(0x1C) == b"\x80"
        assert can.read(0x2D) == b"\x15"
        assert can.read(0x2C)[0] & 0x20
        assert can(0xA0, nread=1) == b"\x04"


def test_abort_takes_back_what_waits() -> None:
    """ABAT clears TXREQ of a buffer that was not offered, and says ABTF."""
    can = Controller()
    can.start(4)
    can(0x87)
    can(0x05, 0x0F, 0x10, 0x10)
    assert can.read(0x30) == b"\x40"
    assert can.part.counters["aborted"] == 3


def test_sleep_ends_with_traffic(can: Controller) -> None:
    """With WAKIE a frame wakes the part into listen-only mode; the frame itself is lost."""
    can.write(0x2B, 0x40)
    can(0x05, 0x0F, 0xE0, 0x20)
    can.peer.can_send(can.t_ns, 0x55, b"")
    can.wait()
    assert can.read(0x0E)[0] >> 5 == 3
    assert can.read(0x2C) == b"\x40"


def test_bus_off_keeps_the_request(can: Controller) -> None:
    """A frame that drives the part to bus off is sent once it has come back, and TXERR goes."""
    can.bus.faults.add(CANFault("bus_off", until_ns=can.t_ns + MS))
    can.send(0, 0x55, b"\x01")
    can.wait()
    assert can.read(0x2D)[0] & 0x20
    assert can.read(0x30)[0] & 0x18 == 0x18
    assert can.read(0x2C)[0] & 0x80
    assert not can.peer.heard
    can.wait(10 * MS)
    assert can.peer.heard == [(0x55, b"\x01")]
    assert can.read(0x30)[0] & 0x08 == 0
    can.send(1, 0x56, b"")
    can.wait()
    assert can.peer.heard[1:] == [(0x56, b"")]
    assert can.read(0x40) == b"\x00"


def test_a_frame_lost_on_the_way_does_not_block_the_next(can: Controller) -> None:
    """Frames that a fault drops count as sent, and the buffers behind them go out."""
    can.bus.faults.add(CANFault("drop", can_id=0x55))
    can.send(2, 0x55, b"")
    can.send(1, 0x55, b"")
    can.send(0, 0x56, b"")
    can.wait()
    assert can.peer.heard == [(0x56, b"")]
    assert can.part.counters["sent"] == 3


def test_an_error_in_a_frame_of_others_sets_merrf(can: Controller) -> None:
    """Section 7.4: MERRF tells of an error in a frame that the part receives, too."""
    can.bus.faults.add(CANFault("crc", until_ns=can.t_ns + 1))
    can.peer.can_send(can.t_ns, 0x55, b"")
    can.wait()
    assert can.read(0x2C) == b"\x81"


def test_an_overflow_is_an_error_interrupt(can: Controller) -> None:
    """Section 7.6: a frame that finds both buffers full sets RX1OVR and ERRIF."""
    for n in range(3):
        can.peer.can_send(can.t_ns, 0x55, bytes((n,)))
    can.wait(2 * MS)
    assert can.read(0x2D) == b"\x40"
    assert can.read(0x2C) == b"\x23"


def test_roll_over_shows(can: Controller) -> None:
    """BUKT1 mirrors BUKT, and RX STATUS has codes of its own for what has rolled over."""
    can.start(receive=0x04)
    assert can.read(0x60) == b"\x06"
    for n in range(2):
        can.peer.can_send(can.t_ns, 0x55, bytes((n,)))
    can.wait()
    can(0x05, 0x2C, 0x01, 0x00)
    assert can(0xB0, nread=1) == b"\x86"


def test_unknown_instructions_are_counted(can: Controller) -> None:
    """An instruction that there is not shows in the report."""
    can(0xFF)
    assert can.part.touched["instruction FFh"] == 1


BOARD = """
[board]
name = "gateway"
title = "a controller on SPI"
adapter = "bcm2835"
[bus.spi-0]
kind = "spi"
[bus.can0]
kind = "can"
[part.gateway]
type = "mcp2515"
bus = "spi-0"
chip_select = 0
oscillator = "8 MHz"
can_bus = "can0"
"""


def test_the_board_file_names_its_can_bus(tmp_path) -> None:
    """``can_bus`` puts the other side on that bus; a name that is no CAN bus is an error."""
    from hil.board import load_board
    from hil.digest import RecordStream
    from hil.exchange import Exchange
    from hil.time.kernel import Kernel
    from hil.wiring import Wiring

    path = tmp_path / "gateway.toml"
    path.write_text(BOARD)
    wiring = Wiring(load_board(path), Exchange(Kernel(), RecordStream()), 1, {})
    assert [node.device for node in wiring.buses["can0"].nodes[1:]] == [wiring.parts["gateway"]]
    assert wiring.parts["gateway"].oscillator == 8_000_000
    path.write_text(BOARD.replace('can_bus = "can0"', 'can_bus = "spi-0"'))
    with pytest.raises(ConfigError, match="no CAN bus"):
        Wiring(load_board(path), Exchange(Kernel(), RecordStream()), 1, {})
