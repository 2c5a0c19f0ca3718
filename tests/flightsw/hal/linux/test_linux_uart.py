"""Serial lines by termios, on pseudo-terminals of this host's kernel."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from collections.abc import Iterator

import pytest

from flightsw.codec.wire import Flag
from flightsw.errors import DeviceTableError
from flightsw.hal.linux.bus import LocalChannel
from flightsw.hal.linux.clock import WallClock
from flightsw.hal.linux.uart import BACKLOG_LIMIT_NBYTES, LinuxUART

TCGETS2 = 0x802C_542A


class Pair:
    """A pseudo-terminal: ``far`` is what is at the other end of the line."""

    def __init__(self) -> None:
        self.far, near = os.openpty()
        self.path = os.ttyname(near)
        os.close(near)
        self.told: list[tuple[int, int, int, int, int, bytes]] = []

    def line(self, **params: object) -> LinuxUART:
        channel = LocalChannel("ttyAMA1", "uart", self.path, params)
        return LinuxUART(channel, WallClock(), lambda *record: self.told.append(record))

    def close(self) -> None:
        if self.far >= 0:
            os.close(self.far)
            self.far = -1


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.close()


def test_octets_pass_as_they_are_both_ways(pair: Pair) -> None:
    """Every octet passes, those that terminals have a meaning for too, and each is told once."""
    every = bytes(range(256))
    line = pair.line(baud=115_200)
    assert line.read() == b""
    line.write(every)
    assert os.read(pair.far, 512) == every
    os.write(pair.far, every)
    assert line.read() == every
    assert line.read() == b""
    assert [(flags, octets) for flags, _, _, _, _, octets in pair.told] == [
        (Flag.BOARD, every),
        (Flag.BOARD | Flag.INPUT, every),
    ]
    assert (line.overruns, line.framing_errors, line.losses, line.unsent) == (0, 0, 0, 0)
    line.close()


@pytest.mark.parametrize("baud", [9600, 115_200, 250_000, 1_234_567])
def test_any_baud_rate_and_frame(pair: Pair, baud: int) -> None:
    """The kernel has the rate that was asked for, with a constant or without, and the frame."""
    line = pair.line(baud=baud, data_bits=8, parity="E", stop_bits=2)
    fields = struct.unpack("=IIIIB19sII", fcntl.ioctl(pair.far, TCGETS2, bytes(44)))
    assert fields[6:] == (baud, baud)
    assert fields[2] & termios.CSTOPB
    assert not fields[3] & (termios.ICANON | termios.ECHO)
    line.close()


def test_what_has_no_room_waits_and_is_bounded(pair: Pair) -> None:
    """What the kernel does not take goes out when it does; beyond a bound it is counted."""
    line = pair.line(baud=115_200)
    octets = os.urandom(BACKLOG_LIMIT_NBYTES)
    line.write(octets)
    heard = os.read(pair.far, 4096)
    while len(heard) < len(octets):
        assert line.read() == b""  # whoever reads gives what waits another chance
        heard += os.read(pair.far, 4096)
    assert heard == octets
    line.write(octets)
    line.write(octets)
    line.write(octets)
    assert line.unsent > 0
    kept = 3 * len(octets) - line.unsent
    heard = b""
    while len(heard) < kept:
        line.read()
        heard += os.read(pair.far, 4096)
    assert heard == (octets + octets + octets)[:kept]
    line.close()


def test_a_line_that_goes_away_is_counted_and_nothing_raises(pair: Pair) -> None:
    """Without its other end a line is silent, counts what it cannot send, and stays so."""
    line = pair.line(baud=115_200)
    pair.close()
    assert line.read() == b""
    assert line.losses == 1
    line.write(b"nobody")
    assert line.read() == b""
    assert (line.unsent, line.losses, line.overruns) == (6, 1, 0)
    line.close()


def test_a_line_that_is_gone_takes_nothing_off_its_counts(pair: Pair) -> None:
    """What a driver had counted before us is not taken off once its line tells nothing more."""
    line = pair.line(baud=115_200)
    line._before = [7] * 20
    pair.close()
    assert line.read() == b""
    assert (line.losses, line.overruns, line.framing_errors, line.parity_errors) == (1, 0, 0, 0)
    line.close()


def test_a_line_that_comes_back_is_used_again(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """When there is a device by its name again, octets pass again and the loss stays counted."""
    monkeypatch.setattr("flightsw.hal.linux.uart.RETRY_NS", 0)
    line = pair.line(baud=115_200)
    pair.close()
    assert line.read() == b""
    fresh = Pair()
    line.device = fresh.path
    line.write(b"again")
    assert os.read(fresh.far, 64) == b"again"
    assert line.losses == 1
    line.close()
    fresh.close()


@pytest.mark.parametrize(
    ("device", "params", "says"),
    [
        ("/dev/ttyNONE", {}, "No such file"),
        ("/dev/null", {}, "Inappropriate ioctl"),
        (None, {"data_bits": 9}, "Invalid argument"),
        (None, {"baud": 0xFFFF_FFFF_FF}, "baud"),
    ],
)
def test_a_line_that_cannot_be_set_is_refused(
    pair: Pair, device: str | None, params: dict[str, object], says: str
) -> None:
    """No tty, or one that cannot do what the board file says: an error with the remedy."""
    channel = LocalChannel("ttyAMA1", "uart", device or pair.path, params)
    with pytest.raises(DeviceTableError, match=says) as raised:
        LinuxUART(channel, WallClock())
    assert "--local" in str(raised.value)
