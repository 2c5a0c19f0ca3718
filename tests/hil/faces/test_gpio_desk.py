"""GPIO character devices by their structs: what gpiolib answers, with which errno."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from hil.buses.gpio import GPIOChip
from hil.faces import gpio_abi as abi
from hil.faces.gpio_desk import Desk
from hil.testing.simple_scheduler import SimpleScheduler

#: sizes of the structs in linux/gpio.h on every machine
SIZES = {
    "CHIP_INFO": 68,
    "LINE_INFO": 256,
    "LINE_INFO_1": 72,
    "REQUEST": 592,
    "CONFIG": 272,
    "VALUES": 16,
    "EVENT": 48,
    "HANDLE_REQUEST_1": 364,
    "EVENT_REQUEST_1": 48,
    "VALUES_1": 64,
    "CONFIG_1": 84,
    "EVENT_1": 16,
}


class Pin:
    """A part that drives the line of its pin ``out``."""

    gpio_drive: Callable[[int, str, int], None]

    def gpio_change(self, t_ns: int, pin: str, level: int) -> None:
        """Hear nothing."""


class Bench:
    """A chip of eight lines, line 3 driven by a part, and a desk."""

    def __init__(self) -> None:
        self.chip = GPIOChip("gpiochip0", SimpleScheduler(), 1, self._emit, 8)
        self.pin = Pin()
        self.chip.attach(self.pin, {"out": (3, "out")})
        self.desk = Desk(lambda t_ns, realtime: t_ns + (10**18 if realtime else 10**9))
        self.sent: list[bytes] = []

    def _emit(self, t_ns: int, _: int, flags: int, status: int, line: int, data: bytes) -> None:
        if flags & 2:
            self.desk.edge(self.chip, t_ns, line, data[0])

    def request(self, ident: int, offsets: list[int], flags: int, values: int = 0) -> int:
        """Ask for lines by version 2; return the errno."""
        attribute = abi.ATTRIBUTE.pack(2, 0, values.to_bytes(8, "little"), (1 << 64) - 1)
        config = abi.CONFIG.pack(flags, 1, b"", attribute)
        padded = offsets + [0] * (64 - len(offsets))
        asked = abi.REQUEST.pack(*padded, b"test", config, len(offsets), 0, b"", 0)
        code, answer = self.desk.request(self.chip, 0, ident, abi.GET_LINE, asked)
        lines = self.desk.held(ident)
        if lines is not None:
            lines.send = self.sent.append
            assert answer[-4:] == ident.to_bytes(4, "little") or code
        return code

    def call(self, ident: int, number: int, octets: bytes) -> tuple[int, bytes]:
        """Ask about lines."""
        return self.desk.call(self.chip, 0, ident, number, octets)


@pytest.fixture
def bench() -> Bench:
    """Give a bench."""
    return Bench()


@pytest.mark.parametrize("name", SIZES)
def test_structs_have_the_size_of_the_kernels(name: str) -> None:
    """Each layout is as long as its struct in linux/gpio.h."""
    assert getattr(abi, name).size == SIZES[name]


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        (abi.INPUT, 0),
        (abi.INPUT | abi.EDGES | abi.PULL_UP, 0),
        (abi.OUTPUT | abi.OPEN_DRAIN, 0),
        (0, 0),
        (abi.INPUT | abi.OUTPUT, errno.EINVAL),
        (abi.OUTPUT | abi.RISING, errno.EINVAL),
        (abi.INPUT | abi.OPEN_DRAIN, errno.EINVAL),
        (abi.OUTPUT | abi.OPEN_DRAIN | abi.OPEN_SOURCE, errno.EINVAL),
        (abi.INPUT | abi.PULL_UP | abi.PULL_DOWN, errno.EINVAL),
        (abi.PULL_UP, errno.EINVAL),
        (abi.INPUT | 1 << 20, errno.EINVAL),
    ],
)
def test_flags_are_judged_as_gpiolib_does(bench: Bench, flags: int, code: int) -> None:
    """What cannot go together is EINVAL, and the line stays free."""
    assert bench.request(1, [0], flags) == code
    assert bool(bench.chip.user(0)) == (code == 0)


def test_lines_are_given_all_or_none(bench: Bench) -> None:
    """A request with one line that somebody holds is EBUSY and takes none of the others."""
    assert bench.request(1, [2], abi.INPUT) == 0
    assert bench.request(2, [1, 2], abi.INPUT) == errno.EBUSY
    assert bench.chip.user(1) == ""
    bench.desk.release(1, 0)
    assert bench.request(2, [1, 2], abi.INPUT) == 0


def test_outputs_are_set_and_inputs_are_not(bench: Bench) -> None:
    """Values go out with active-low turned round; setting an input is EPERM."""
    assert bench.request(1, [4, 5], abi.OUTPUT | abi.ACTIVE_LOW, 0b01) == 0
    assert (bench.chip.level(4), bench.chip.level(5)) == (0, 1)
    assert bench.call(1, abi.SET_VALUES, abi.VALUES.pack(0b10, 0b11))[0] == 0
    assert (bench.chip.level(4), bench.chip.level(5)) == (1, 0)
    assert bench.call(1, abi.GET_VALUES, abi.VALUES.pack(0, 0b11))[1][:1] == b"\x02"
    assert bench.call(1, abi.GET_VALUES, abi.VALUES.pack(0, 0))[0] == errno.EINVAL
    assert bench.request(2, [0], abi.INPUT) == 0
    assert bench.call(2, abi.SET_VALUES, abi.VALUES.pack(1, 1))[0] == errno.EPERM


def test_edges_carry_time_and_numbers(bench: Bench) -> None:
    """An edge is the kernel's struct: time stamp, which edge, offset, numbers that count up."""
    assert bench.request(1, [0, 3], abi.INPUT | abi.EDGES) == 0
    bench.pin.gpio_drive(0, "out", 1)
    bench.pin.gpio_drive(0, "out", 0)
    events = [abi.EVENT.unpack(octets) for octets in bench.sent]
    assert events == [(10**9, 1, 3, 1, 1), (10**9, 2, 3, 2, 2)]


def test_only_the_edges_asked_for_come(bench: Bench) -> None:
    """With active-low a falling pin is a rising edge."""
    assert bench.request(1, [3], abi.INPUT | abi.RISING | abi.ACTIVE_LOW) == 0
    bench.pin.gpio_drive(0, "out", 1)
    assert bench.sent == []
    bench.pin.gpio_drive(0, "out", 0)
    assert abi.EVENT.unpack(bench.sent[0])[1] == 1


def test_version_1_holds_the_same_lines(bench: Bench) -> None:
    """A line held by version 2 is EBUSY for version 1, and both tell the same of it."""
    assert bench.request(1, [6], abi.OUTPUT, 1) == 0
    asked = abi.HANDLE_REQUEST_1.pack(6, *[0] * 63, 1, bytes(64), b"old", 1, 0)
    assert bench.desk.request(bench.chip, 0, 2, abi.GET_HANDLE_1, asked)[0] == errno.EBUSY
    code, octets = bench.call(0, abi.GET_LINE_INFO_1, abi.LINE_INFO_1.pack(6, 0, b"", b""))
    assert (code, abi.LINE_INFO_1.unpack(octets)[1]) == (0, 3)
    code, octets = bench.call(0, abi.GET_LINE_INFO, abi.LINE_INFO.pack(b"", b"", 6, 0, 0, b""))
    assert (code, abi.LINE_INFO.unpack(octets)[4]) == (0, abi.USED | abi.OUTPUT)


def test_what_is_out_of_range_is_einval(bench: Bench) -> None:
    """Lines that there are not, and requests about lines that nobody holds."""
    assert bench.request(1, [8], abi.INPUT) == errno.EINVAL
    assert bench.call(0, abi.GET_LINE_INFO_1, abi.LINE_INFO_1.pack(8, 0, b"", b""))[0] == 22
    assert bench.call(9, abi.GET_VALUES, abi.VALUES.pack(0, 1))[0] == errno.ENODEV
    assert bench.call(0, 0x1234, b"")[0] == errno.ENOTTY


def test_who_watches_a_line_is_told_what_becomes_of_it(bench: Bench) -> None:
    """Request and release of that line come with its info, those of others do not."""
    told: list[bytes] = []
    asked = abi.LINE_INFO.pack(b"", b"", 2, 0, 0, b"")
    assert bench.desk.watch(9, bench.chip, asked, told.append) == 0
    assert bench.desk.watch(9, bench.chip, asked, told.append) == errno.EBUSY
    assert bench.request(1, [1, 2], abi.INPUT) == 0
    assert bench.request(2, [4], abi.INPUT) == 0
    bench.desk.release(1, 50)
    changes = [abi.INFO_CHANGED.unpack(octets) for octets in told]
    assert [(when, what) for _, when, what in changes] == [
        (10**9, abi.REQUESTED),
        (10**9 + 50, abi.RELEASED),
    ]
    used = [bool(abi.LINE_INFO.unpack(info)[4] & abi.USED) for info, _, _ in changes]
    assert used == [True, False]
    assert bench.desk.unwatch(9, bench.chip, 2) == 0
    assert bench.desk.unwatch(9, bench.chip, 2) == errno.EBUSY
    assert bench.desk.watch(9, bench.chip, asked, told.append) == 0
    bench.desk.unwatch_all(9)
    assert bench.request(3, [2], abi.INPUT) == 0
    assert len(told) == 2
