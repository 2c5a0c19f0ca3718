"""GNSS receiver: baud rates on a line, buffers that overflow, the I2C port, NMEA commands."""

from __future__ import annotations

import struct

import pytest
from ublox_bench import EPOCH, SECOND_NS, Bench

from flightsw.codec.wire import Flag
from hil.buses.uart import UARTBus
from hil.parts.ublox import Ublox, nmea, ubx
from hil.testing.simple_scheduler import SimpleScheduler


class Line:
    """A receiver on an emulated serial line, and what the payload computer hears of it."""

    def __init__(self, baud: int = 38_400, **params: object) -> None:
        self.scheduler = SimpleScheduler()
        self.heard = bytearray()
        self.bus = UARTBus("uart", self.scheduler, 1, self._emit, baud)
        self.receiver = Ublox("gnss", ttff_s=0.0, **params)  # type: ignore[arg-type]
        self.receiver.epoch_utc = EPOCH
        self.bus.attach(self.receiver)
        self.receiver.start(self.scheduler, 2)

    def _emit(
        self, t_ns: int, duration_ns: int, flags: int, status: int, address: int, payload: bytes
    ) -> None:
        if flags & Flag.INPUT:
            self.heard += payload

    def run(self, for_s: float) -> None:
        """Let time pass."""
        self.scheduler.run_until(self.scheduler.now_ns + round(for_s * SECOND_NS))

    def found(self) -> list[tuple[int, int]]:
        """Return what was heard since the last call."""
        frames = ubx.Splitter().feed(bytes(self.heard))
        self.heard.clear()
        return [message for message, _ in frames]

    def write(self, message: tuple[int, int], payload: bytes = b"") -> None:
        """Send a UBX message over the line."""
        self.bus.write(self.scheduler.now_ns, ubx.frame(message, payload))


@pytest.mark.parametrize("baud", [9_600, 38_400, 115_200, 921_600])
def test_a_new_rate_holds_after_the_acknowledgement(baud: int) -> None:
    """The ACK arrives at the old rate; from then on both ends understand each other at the new."""
    line = Line(38_400)
    line.run(0.3)
    line.found()
    line.write(ubx.CFG_VALSET, valset_baud(baud))
    line.run(0.2)
    assert line.found() == [ubx.ACK_ACK]
    if baud != 38_400:
        line.write(ubx.MON_VER)
        line.run(0.3)
        assert ubx.MON_VER not in line.found()
    line.bus.set_baud(baud)
    line.write(ubx.MON_VER)
    line.run(0.4)
    assert ubx.MON_VER in line.found()


def valset_baud(baud: int) -> bytes:
    """Return the VALSET of UART1's rate in RAM."""
    return b"\0\x01\0\0" + struct.pack("<II", 0x4052_0001, baud)


def test_a_receiver_from_the_factory_talks_at_38400() -> None:
    """On a line at another rate nothing of it is understood until the other end follows."""
    line = Line(115_200, factory=True)
    line.run(2.3)
    assert line.found() == []
    assert line.bus.counters["baud_mismatch"] > 0
    line.bus.set_baud(38_400)
    line.run(1.0)
    assert set(line.found()) == {ubx.NMEA_LINE}


def test_a_slow_line_drops_messages_whole_and_says_so() -> None:
    """What does not fit the buffer is left out whole, counted, and told of once there is room."""
    line = Line(4_800, factory=False, tx_buffer=512)
    everything = dict.fromkeys((546373654, 546373829, 546373824, 546373674), 1)
    payload = b"\0\x01\0\0" + b"".join(struct.pack("<IB", *item) for item in everything.items())
    line.write(ubx.CFG_VALSET, payload)
    line.run(12.5)
    counters = line.receiver.snapshot()["counters"]
    assert counters["dropped_messages"] > 10
    frames = ubx.Splitter()
    found = frames.feed(bytes(line.heard))
    # Every octet heard belongs to a whole message.
    assert frames.counters == {"skipped_octets": 0, "bad_checksum": 0}
    assert (ubx.NMEA_LINE, b"GNTXT,01,01,00,txbuf alloc") in found
    line.write((0x0A, 0x08))
    line.run(1.2)
    usage = dict(ubx.Splitter().feed(bytes(line.heard)))[(0x0A, 0x08)]
    assert (len(usage), usage[25], usage[26]) == (28, 100, 0x40) or usage[25] > 90


def i2c(bench: Bench, register: int | None, nbytes: int) -> bytes:
    """Read over I2C, from a register or where the last read ended."""
    if register is not None:
        assert bench.receiver.i2c_write(bench.scheduler.now_ns, bytes((register,))) == 1
    return bench.receiver.i2c_read(bench.scheduler.now_ns, nbytes)


def test_i2c_tells_how_much_waits_and_streams_it() -> None:
    """FDh and FEh count the octets that wait, FFh gives them, and FFh is read when none do."""
    bench = Bench(ttff_s=0.0)
    assert i2c(bench, 0xFD, 2) == b"\0\0"
    assert i2c(bench, 0xFF, 3) == b"\xff\xff\xff"
    bench.receiver.i2c_write(bench.scheduler.now_ns, ubx.frame(ubx.MON_VER))
    count = int.from_bytes(i2c(bench, 0xFD, 2), "big")
    assert count == 8 + 40 + 4 * 30
    # The address goes on from FEh into the stream.
    octets = i2c(bench, 0xFD, 2 + count)
    assert octets[:2] == count.to_bytes(2, "big")
    assert [m for m, _ in ubx.Splitter().feed(octets[2:])] == [ubx.MON_VER]
    assert i2c(bench, None, 2) == b"\xff\xff"


def test_i2c_gets_solutions_while_it_is_read_and_nothing_when_it_is_left() -> None:
    """A port that nobody reads for 1.5 s is given nothing, unless CFG-I2C says otherwise."""
    bench = Bench(ttff_s=0.0)
    assert bench.set(MSGOUT__UBX_NAV_PVT_I2C=1, MSGOUT__NMEA_ID_RMC_I2C=0)
    i2c(bench, 0xFD, 2)
    bench.run(1.2)
    assert i2c(bench, 0xFD, 2) != b"\0\0"
    bench.run(5.0)
    assert i2c(bench, 0xFD, 2) == b"\0\0"
    assert bench.receiver.snapshot()["counters"]["timeouts"] == 1
    assert bench.set(I2C__EXTENDEDTIMEOUT=1)
    bench.run(5.0)
    assert i2c(bench, 0xFD, 2) != b"\0\0"


def test_pubx_40_sets_rates_and_41_the_rate_of_the_line() -> None:
    """PUBX,40 switches a sentence off and another on; PUBX,41 changes the baud rate."""
    bench = Bench(ttff_s=0.0)
    bench.give(nmea.sentence("PUBX,40,GGA,0,0,0,0,0,0"))
    bench.give(nmea.sentence("PUBX,40,VTG,0,1,0,0,0,0"))
    bench.sent.clear()
    bench.run(1.5)
    assert {line[:5] for line in bench.sentences()} == {"GNRMC", "GNVTG"}
    bench.give(nmea.sentence("PUBX,41,1,0007,0003,9600,0"))
    assert bench.receiver.store["UART1-BAUDRATE"] == 9_600
    for wrong in ("PUBX,40,XYZ,0,0,0,0,0,0", "PUBX,41,9,0007,0003,9600,0", "PUBX,77"):
        bench.give(nmea.sentence(wrong))
    assert bench.receiver.commands.counters["unknown_messages"] == 3


@pytest.mark.parametrize("name", ["RMC", "VTG", "GGA", "GSA", "GSV", "GLL", "GNS", "ZDA"])
def test_a_sentence_can_be_polled(name: str) -> None:
    """A poll names a sentence, whoever asks, and gets it although it is switched off."""
    bench = Bench(ttff_s=0.0, send_nmea=False)
    bench.run(0.5)
    answers = bench.give(nmea.sentence(f"EIGNQ,{name}"))
    assert answers
    assert all(body[2:5].decode() == name for _, body in answers)


@pytest.mark.parametrize("number", ["00", "03", "04"])
def test_pubx_can_be_polled(number: str) -> None:
    """PUBX,00, 03 and 04 are sent when they are asked for."""
    bench = Bench(ttff_s=0.0)
    bench.run(0.5)
    ((_, body),) = bench.give(nmea.sentence(f"PUBX,{number}"))
    assert body.startswith(f"PUBX,{number},".encode())


def test_a_sentence_with_a_wrong_checksum_is_not_obeyed() -> None:
    """It is skipped and counted, as is one without a checksum."""
    bench = Bench()
    bench.give(b"$PUBX,40,GGA,0,0,0,0,0,0*00\r\n")
    bench.give(b"$PUBX,40,GGA,0,0,0,0,0,0\r\n")
    assert bench.receiver.store["MSGOUT-NMEA_ID_GGA_UART1"] == 1
    assert bench.receiver.snapshot()["counters"]["bad_checksum"] == 2
