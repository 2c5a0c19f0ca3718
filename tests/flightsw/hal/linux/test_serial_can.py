"""CAN by a serial adapter, on a pseudo-terminal of this host's kernel."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flightsw.codec.errors import FieldRangeError
from flightsw.codec.wire import Flag
from flightsw.errors import BusError, DeviceTableError
from flightsw.hal import CanFrame
from flightsw.hal.linux.bus import LocalChannel
from flightsw.hal.linux.clock import WallClock
from flightsw.hal.linux.slcan import CAN_LIMIT, SerialCAN, parse

EXTENDED, REMOTE, FD, BRS = 1 << 31, 1 << 30, 4 << 32, 1 << 32
#: line of the protocol, and the frame that it is
LINES = (
    (b"t1232AB01", 0x123, b"\xab\x01"),
    (b"T1ABCDEF00", 0x1ABCDEF0 | EXTENDED, b""),
    (b"r7FF0", 0x7FF | REMOTE, b""),
    (b"d1239" + b"11" * 12, 0x123 | FD, b"\x11" * 12),
    (b"B000000108" + b"22" * 8, 0x10 | EXTENDED | FD | BRS, b"\x22" * 8),
)


class Adapter:
    """The far end of a line, and a bus on the near one."""

    def __init__(self, **params: object) -> None:
        self.fd, near = os.openpty()
        self.told: list[tuple[int, int, bytes]] = []
        channel = LocalChannel("can0", "can", os.ttyname(near), params)
        self.can = SerialCAN(
            channel, WallClock(), lambda f, s, t, d, a, octets: self.told.append((f, a, octets))
        )
        os.close(near)

    def heard(self) -> bytes:
        return os.read(self.fd, 4096)


@pytest.fixture
def adapter() -> Iterator[Adapter]:
    adapter = Adapter(bitrate_hz=500_000)
    yield adapter
    adapter.can.close()
    os.close(adapter.fd)


def test_the_adapter_is_opened_at_the_bit_rate_of_the_bus(adapter: Adapter) -> None:
    """Closed, set, opened; closed again at the end."""
    assert adapter.heard() == b"C\rS6\rO\r"
    adapter.can.close()
    assert adapter.heard() == b"C\r"


def test_frames_of_every_sort_pass_both_ways(adapter: Adapter) -> None:
    """Each is its line of the protocol, and is told once each way."""
    adapter.heard()
    for line, can_id, data in LINES:
        adapter.can.send(can_id, data)
        assert adapter.heard() == line + b"\r"
        os.write(adapter.fd, line[:3])
        assert adapter.can.receive() == []
        os.write(adapter.fd, line[3:] + b"\rz\r")
        (frame,) = adapter.can.receive()
        assert frame[1:] == (can_id, data)
    assert adapter.told == [
        (flags, can_id, data)
        for _, can_id, data in LINES
        for flags in (Flag.BOARD, Flag.BOARD | Flag.INPUT)
    ]
    assert (adapter.can.skipped, adapter.can.dropped) == (0, 0)


@given(st.binary(max_size=64))
def test_whatever_a_line_holds_is_a_frame_or_none(line: bytes) -> None:
    """No line raises, and a frame that is taken is one."""
    frame = parse(5, line)
    if frame is not None:
        assert frame.t_ns == 5
        assert len(frame.data) <= (64 if frame.can_id & FD else 8)
        assert frame.can_id & 0x1FFF_FFFF <= (0x1FFF_FFFF if frame.can_id & EXTENDED else 0x7FF)


@pytest.mark.parametrize(
    "line",
    [b"t8000", b"t1239" + b"00" * 12, b"t12321", b"T1230", b"x", b"t", b"d123G", b"TFFFFFFFF0"],
)
def test_lines_that_are_no_frame_are_counted(adapter: Adapter, line: bytes) -> None:
    """Too large, too long, cut, unknown: passed over, and the next one is taken."""
    os.write(adapter.fd, line + b"\rt0010\r")
    assert [frame.can_id for frame in adapter.can.receive()] == [1]
    assert adapter.can.skipped == 1


def test_an_adapter_that_babbles_is_bounded(adapter: Adapter) -> None:
    """More frames than are kept are counted as dropped; a line without an end does not grow."""
    lines = b"t0010\r" * (CAN_LIMIT + 50)
    frames: list[CanFrame] = []
    for at in range(0, len(lines), 2046):
        os.write(adapter.fd, lines[at : at + 2046])
        frames += adapter.can.receive()
    assert len(frames) == CAN_LIMIT + 50
    for _ in range(20):
        os.write(adapter.fd, b"t" * 2000)
        assert adapter.can.receive() == []
    os.write(adapter.fd, b"\rt0020\r")
    assert [frame.can_id for frame in adapter.can.receive()] == [2]


def test_an_adapter_that_is_away_is_an_error_of_the_bus(adapter: Adapter) -> None:
    """Sending fails with the bus named, receiving is silent."""
    gone = Adapter(bitrate_hz=125_000)
    os.close(gone.fd)
    assert gone.can.receive() == []
    with pytest.raises(BusError, match="can0"):
        gone.can.send(1, b"")
    gone.can.close()


def test_what_the_protocol_has_not_is_refused(adapter: Adapter) -> None:
    """Odd bit rates, frames that are too long, error frames."""
    with pytest.raises(DeviceTableError, match="bit rate of 300000"):
        Adapter(bitrate_hz=300_000)
    for can_id, data in ((1, bytes(65)), (1, bytes(9)), (1 << 29, b"")):
        with pytest.raises(FieldRangeError):
            adapter.can.send(can_id, data)
