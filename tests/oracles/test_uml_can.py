"""The CAN stack of a real Linux kernel on an emulated bus, by way of SLCAN on a serial line."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "uml"))

from guest import Guest, require_uml

from flightsw.codec.wire import Flag, Kind, Record
from hil.buses.can import CANBus
from hil.buses.can_errors import (
    ERR_ACK,
    ERR_BUS_ERROR,
    ERR_BUS_OFF,
    ERR_PROTOCOL,
    ERR_RESTARTED,
)
from hil.buses.can_faults import FAULT_KINDS, CANFault
from hil.buses.can_frame import ERROR_FLAG, EXTENDED_FLAG, REMOTE_FLAG
from hil.capture.reader import Capture
from hil.capture.writer import CaptureWriter
from hil.digest import RecordStream
from hil.exchange import Exchange
from hil.faces.host import Host
from hil.hosting import SHIM
from hil.parts.fault_windows import FaultWindows
from hil.time.kernel import Kernel

ROOT = Path(__file__).resolve().parents[2]
SECOND = 1_000_000_000
#: The hard limit of one guest, which needs about five seconds.
LIMIT_S = 120
CAN = 4
#: The guest begins and ends with these; the peer answers the last one, so that nothing is left in
#: a queue of the guest when it halts.
READY, LAST, OVER = (0x7F0, b""), (0x7F1, b""), (0x7F2, b"")

Frame = tuple[int, bytes]


@pytest.fixture(autouse=True)
def uml() -> None:
    """Only where there is a User-Mode Linux."""
    require_uml()


class Peer:
    """The other node. ``answers``: identifier -> (delay, frame) to send when it has been heard.

    Each fault of the bus happens ``times`` times, one fault after the other.
    """

    can_send: Callable[[int, int, bytes], None]

    def __init__(self) -> None:
        self.answers: dict[int, list[tuple[int, Frame]]] = {}
        self.bus: CANBus

    def can_receive(self, t_ns: int, can_id: int, data: bytes) -> None:
        for at_ns, frame in self.answers.get(can_id, ()):
            self.can_send(t_ns + at_ns, *frame)

    def can_error(self, t_ns: int, kind: str, sending: bool) -> None:
        first, *rest = self.bus.faults
        self.bus.faults = FaultWindows("can", FAULT_KINDS)
        for fault in (first._replace(times=first.times - 1), *rest):
            if fault.times:
                self.bus.faults.add(fault)


class Bench:
    """A CAN bus with a peer, its records in a capture, and the serial adapter for a guest."""

    def __init__(self, folder: Path, limit_s: int = LIMIT_S, bus_errors: bool = False) -> None:
        self.path = folder / "capture.mcap"
        self.stream = RecordStream()
        kernel = Kernel()
        exchange = Exchange(kernel, self.stream, limit_s * SECOND)
        emit = exchange.emitter(CAN, Kind.CAN)
        self.bus = CANBus("can0", kernel, 2, emit, 500_000, bus_errors=bus_errors)
        self.peer = Peer()
        self.peer.bus = self.bus
        self.bus.attach(self.peer)
        exchange.connect(CAN, self.bus)
        self.host = Host(exchange, folder / "bench", "real")
        self.line = self.host.lines["/dev/ttyCAN0"]

    def run(self, guest: Guest) -> list[Record]:
        """Boot the guest, serve it, and return what the capture has of the bus."""
        with CaptureWriter(self.path, 0, {CAN: "can0"}, {}) as writer:
            self.stream.sink = writer.write
            guest.run(self.host, self.line.path)
            self.stream.flush()
        with Capture(self.path) as capture:
            return list(capture.records())


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Give a bench."""
    bench = Bench(tmp_path)
    yield bench
    bench.host.close()


def frames_of(seed: int, count: int) -> list[Frame]:
    """Return frames of every sort: standard, extended, remote, of every length."""
    draw = random.Random(seed)
    frames: list[Frame] = []
    for _ in range(count):
        extended, remote = draw.random() < 0.5, draw.random() < 0.2
        # Sometimes a small identifier in the extended form, which is not the standard one.
        bits = draw.choice((11, 29)) if extended else 11
        can_id = draw.getrandbits(bits) & ~1 if bits == 29 else draw.randrange(0x7E0)
        nbytes = draw.randrange(9)
        data = bytes(nbytes) if remote else draw.randbytes(nbytes)
        can_id |= (EXTENDED_FLAG if extended else 0) | (REMOTE_FLAG if remote else 0)
        frames.append((can_id, data))
    return frames


def log_line(frame: Frame) -> str:
    """Return a frame in the log format of can-utils."""
    can_id, data = frame
    number = f"{can_id & 0x1FFFFFFF:08X}" if can_id & EXTENDED_FLAG else f"{can_id & 0x7FF:03X}"
    rest = f"R{len(data)}" if can_id & REMOTE_FLAG else data.hex().upper()
    return f"(0000000000.000000) slcan0 {number}#{rest}\n"


DUMPED = re.compile(
    r" \(\d+\.\d+\)  slcan0  (TX|RX) - -  +([0-9A-F]+)   \[(\d)\] *(remote request|[0-9A-F ]*)"
    r"(?:   ERRORFRAME)?$"
)


def dumped(text: str) -> list[tuple[str, Frame]]:
    """Return (direction, frame) of each line of ``candump -x``."""
    found = []
    for line in text.splitlines():
        match = DUMPED.match(line.rstrip())
        assert match is not None, line
        direction, number, length, rest = match.groups()
        can_id = int(number, 16)
        if len(number) == 8 and not can_id & ERROR_FLAG:
            can_id |= EXTENDED_FLAG
        remote = rest == "remote request"
        data = bytes(int(length)) if remote else bytes.fromhex(rest)
        assert len(data) == int(length), line
        found.append((direction, (can_id | (REMOTE_FLAG if remote else 0), data)))
    return found


def captured(records: list[Record]) -> list[tuple[str, Frame]]:
    """Return (direction, frame) of each record that the payload computer's driver would show."""
    return [
        (
            "RX" if record.flags & Flag.INPUT else "TX",
            (record.address, record.payload),
        )
        for record in records
        if not record.status or record.address & ERROR_FLAG
    ]


def way(frames: list[tuple[str, Frame]], direction: str) -> list[Frame]:
    """Return the frames of one direction, in order."""
    return [frame for one, frame in frames if one == direction]


TRAFFIC = """
candump -d -r 8000000 -x -t z -T 20000 -n {count} slcan0,0:0,#FFFFFFFF >dump &
until grep -q raw /proc/net/can/rcvlist_all; do sleep 0.05; done
canplayer -t -g 1 -I frames
wait
"""


@pytest.mark.parametrize("user", ["", "nobody"])
def test_candump_agrees_with_the_capture_frame_by_frame(bench: Bench, user: str) -> None:
    """400 frames each way, of every sort: the kernel and our capture saw the same, in order.

    Once as whoever runs the tests and once as somebody without any rights.
    """
    if user and os.geteuid() != 0:
        pytest.skip("only root can start a guest as somebody else; we are unprivileged ourselves")
    sent, heard = frames_of(1, 400), frames_of(2, 400)
    gaps = random.Random(3)
    at_ns = [0]
    for _ in heard[1:]:
        at_ns.append(at_ns[-1] + gaps.randrange(100_000, 3_000_000))
    bench.peer.answers = {READY[0]: list(zip(at_ns, heard, strict=True)), LAST[0]: [(0, OVER)]}
    sent, heard = [READY, *sent, LAST], [*heard, OVER]
    with Guest(TRAFFIC.format(count=len(sent) + len(heard)), user) as guest:
        guest.write("frames", "".join(map(log_line, sent)))
        records = bench.run(guest)
        seen = dumped(guest.read("dump"))
    ours = captured(records)
    assert way(seen, "TX") == way(ours, "TX") == sent
    assert way(seen, "RX") == way(ours, "RX")
    assert sorted(way(seen, "RX")) == sorted(heard)  # the peer's queue goes by priority
    assert bench.bus.counters["arbitration_lost"] > 0
    assert {bench.line.counters[name] for name in ("malformed", "unread", "overflow")} == {0}


STATES = """
candump -D -d -x -t z slcan0,0:0,#FFFFFFFF >dump &
until grep -q raw /proc/net/can/rcvlist_err; do sleep 0.05; done
look() {
    for _ in $(seq 400); do
        ip -details link show slcan0 >"$1"
        if grep -q "can state $1 " "$1"; then return; fi
        sleep 0.05
    done
    return 1
}
look ERROR-ACTIVE
cansend slcan0 100#
look ERROR-WARNING
cansend slcan0 101#01
look ERROR-PASSIVE
cansend slcan0 102#02
look BUS-OFF
ip link set slcan0 down
ip link set slcan0 up
cansend slcan0 103#03
until grep -q " 104 " dump; do sleep 0.05; done
look ERROR-WARNING
mv ERROR-WARNING RX-WARNING
cp dump dumped
"""


def test_the_kernel_shows_the_error_states_that_we_command(bench: Bench) -> None:
    """Destroyed frames bring TEC to 96, 135 and bus off, the kernel's states follow; REC too.

    TEC: 12 errors 96, one more and a success 103, 4 more 135 and a success 134, 16 more bus off.
    Down and up again starts at zero; 11 errors that the receiver sees first make REC 99.
    """
    times = {0x100: 13, 0x101: 4, 0x102: 16, 0x104: 12}
    for can_id, often in times.items():
        kind = "bit" if can_id != 0x104 else "crc"
        first = "can0" if can_id == 0x104 else ""
        bench.bus.faults.add(CANFault(kind, can_id=can_id, node=first, times=often))
    bench.peer.answers[0x103] = [(0, (0x104, b"\x04"))]
    with Guest(STATES) as guest:
        records = bench.run(guest)
        seen = dumped(guest.read("dumped"))
        shown = {
            name: re.search(r"can state (\S+)", guest.read(name))
            for name in ("ERROR-ACTIVE", "ERROR-PASSIVE", "BUS-OFF", "RX-WARNING")
        }
    errors = [frame for _, frame in seen if frame[0] & ERROR_FLAG]
    ours = [frame for _, frame in captured(records) if frame[0] & ERROR_FLAG]
    assert [data[6:] for _, data in ours] == [b"\x60\0", b"\x87\0", b"\xff\0", b"\0\0", b"\0\x63"]
    # Since 6.2 slcan leaves the counters out in bus off, where TEC does not fit into an octet.
    ours[2] = (ERROR_FLAG | ERR_BUS_OFF, bytes(8))
    # That the controller is back is no news to an interface that has just come up.
    assert ours[3][0] & ERR_RESTARTED
    assert errors == [*ours[:3], ours[4]]
    assert {name: match and match[1] for name, match in shown.items()} == {
        "ERROR-ACTIVE": "ERROR-ACTIVE",
        "ERROR-PASSIVE": "ERROR-PASSIVE",
        "BUS-OFF": "BUS-OFF",
        "RX-WARNING": "ERROR-WARNING",
    }


ERRORS = """
candump -d -x -t z -T 20000 -n 10 slcan0,0:0,#FFFFFFFF >dump &
until grep -q raw /proc/net/can/rcvlist_err; do sleep 0.05; done
for number in 0 1 2 3 4; do cansend slcan0 10$number#; done
wait
"""
#: kind of error -> (class besides protocol and bus error, data[2], data[3]) that slcan makes of it
SLCAN_ERRORS = {
    "ack": (ERR_ACK, 0x00, 0x19),
    "bit": (0, 0x08, 0x00),
    "crc": (0, 0x01, 0x08),
    "form": (0, 0x02, 0x00),
    "stuff": (0, 0x04, 0x00),
}


def test_the_kernel_tells_each_error_on_the_bus(tmp_path: Path) -> None:
    """Where the bus reports errors, each sort of them is an error frame, and the capture's too."""
    bench = Bench(tmp_path, bus_errors=True)
    try:
        for number, kind in enumerate(SLCAN_ERRORS):
            bench.bus.faults.add(CANFault(kind, can_id=0x100 + number))
        with Guest(ERRORS) as guest:
            records = bench.run(guest)
            seen = dumped(guest.read("dump"))
    finally:
        bench.host.close()
    common = ERROR_FLAG | ERR_PROTOCOL | ERR_BUS_ERROR
    errors = [frame for _, frame in seen if frame[0] & ERROR_FLAG]
    assert errors == [
        (common | more, bytes((0, 0, what, where, 0, 0, 0, 0)))
        for more, what, where in SLCAN_ERRORS.values()
    ]
    ours = [record for record in records if record.address & ERROR_FLAG]
    assert all(record.address & ERR_BUS_ERROR for record in ours)
    assert len(ours) == len(errors)


COMMANDED = """
cansend slcan0 100#
cansend slcan0 111#
until ip -details link show slcan0 >link && grep -q BUS-OFF link; do sleep 0.05; done
"""


def test_a_fault_of_the_command_line_reaches_the_kernel(tmp_path: Path) -> None:
    """`hil run --fault can0:bus_off,can_id=0x111 -- linux.uml ...` brings a kernel to BUS-OFF."""
    if not (ROOT / "hil" / "faces" / SHIM).is_file():
        pytest.skip("the preload shim was not built")
    words = [sys.executable, "-m", "hil", "run", "--pace", "real", "--duration", str(LIMIT_S)]
    words += ["--fault", "can0:bus_off,can_id=0x111", "--out", str(tmp_path / "run"), "-q", "--"]
    with Guest(COMMANDED) as guest:
        done = subprocess.run(
            [*words, *guest.command("/dev/ttyCAN0")],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env={**guest.env(), "PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            timeout=2 * LIMIT_S,
        )
        assert "hil run:" not in done.stderr
        guest.check(done.stdout + done.stderr)
        guest.check_done(done.stdout + done.stderr)
    assert done.returncode == 0
    with Capture(tmp_path / "run" / "capture.mcap") as capture:
        records = [r for r in capture.records() if r.kind == Kind.CAN and r.address & ERROR_FLAG]
    assert [(r.address & ERR_BUS_OFF, r.payload[6]) for r in records] == [(ERR_BUS_OFF, 255)]


def test_a_guest_that_hangs_is_ended(tmp_path: Path) -> None:
    """At the end of the run a guest is killed with all its helpers, and the test says so."""
    bench = Bench(tmp_path, limit_s=4)
    try:
        with (
            Guest("sleep 1000") as guest,
            pytest.raises(AssertionError, match="still running"),
        ):
            bench.run(guest)
    finally:
        bench.host.close()
    assert guest.code == -signal.SIGKILL
