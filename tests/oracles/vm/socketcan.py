"""Inside the guest: the board on this computer between its line and interfaces of SocketCAN.

``vcan0`` and ``vcan1`` are virtual CAN interfaces of the kernel. What the board and each of the
kernel's other users saw of the same frames, and what the board says of an interface that is down,
away or somebody else's, goes to ``result`` in the working folder.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from hil.boards.posix import PosixBoard, firmware_path
from hil.testing.contracts.board import open_session, opened
from hil.testing.contracts.board_bench import LOG, STATS, BoardBench, Frame

CAN_CONFIG, CAN_SEND, CAN_RX, CAN_STATE = 0x30, 0x31, 0xCA, 0xCB
EXTENDED, REMOTE, ERROR = 1 << 31, 1 << 30, 1 << 29
BRS, ESI, FDF = 1, 2, 4
LIMIT_S = 30.0
#: more than the kernel keeps for a socket that nobody reads
BURST = 2000


class Sent(NamedTuple):
    """One CAN frame, its identifier and flags as in ``struct canfd_frame``."""

    can_id: int
    flags: int
    data: bytes

    def packed(self) -> bytes:
        """Return it as a socket of the kernel has it (linux/can.h)."""
        shape = "=IBB2x64s" if self.flags else "=IBB2x8s"
        return struct.pack(shape, self.can_id, len(self.data), self.flags, self.data)

    @classmethod
    def unpacked(cls, octets: bytes) -> Sent:
        """Take one apart that a socket gave."""
        can_id, size, flags = struct.unpack_from("=IBB", octets)
        return cls(can_id, flags if len(octets) > 16 else 0, octets[8 : 8 + size])

    @property
    def text(self) -> str:
        """What can-utils write for it, and read."""
        can_id = self.can_id & ~(EXTENDED | REMOTE)
        name = f"{can_id:08X}" if self.can_id & EXTENDED else f"{can_id:03X}"
        if self.can_id & REMOTE:
            return f"{name}#R{len(self.data) or ''}"
        return f"{name}#{f'#{self.flags:X}' if self.flags else ''}{self.data.hex().upper()}"


FRAMES = (
    Sent(0x123, 0, b"\x11\x22"),
    Sent(0x000, 0, b""),
    Sent(0x7FF, 0, bytes(range(8))),
    Sent(EXTENDED | 0x1ABCDEF0, 0, b"\xff\x00\xff"),
    Sent(EXTENDED | 0x123, 0, b"\x01"),
    Sent(REMOTE | 0x321, 0, bytes(3)),
    Sent(REMOTE | EXTENDED | 0x1FFFFFFF, 0, b""),
    Sent(0x0AA, FDF | BRS, bytes(range(12))),
    Sent(EXTENDED | 0x0BB, FDF, bytes(range(64))),
    Sent(0x155, FDF | BRS | ESI, b"\x05"),
    Sent(0x156, FDF, b""),
)


def ip(*words: str) -> None:
    """Let iproute2 do something to a link."""
    subprocess.run(["ip", "link", *words], check=True)


class CANBoard(BoardBench):
    """A session with a board whose bus 0 is a CAN interface."""

    def configure(self) -> int:
        """Open bus 0; return the status."""
        return self.request(CAN_CONFIG, struct.pack("<BIIB", 0, 500_000, 2_000_000, 0)).status

    def put(self, frame: Sent) -> int:
        """Let the board send a frame; return the status."""
        head = struct.pack("<BIB", 0, frame.can_id, frame.flags)
        return self.request(CAN_SEND, head + frame.data).status

    def take(self) -> Sent:
        """Return the next frame that the board has heard."""
        return heard(self.event(CAN_RX))

    def state(self) -> list[int]:
        """Return the next CAN_STATE: bus, state, TEC, REC."""
        return list(self.event(CAN_STATE).payload)

    def log(self) -> str:
        """Return the next line that the board logs."""
        return self.event(LOG).payload.decode()


def heard(event: Frame) -> Sent:
    """Return the frame of a CAN_RX."""
    _, _, can_id, flags = struct.unpack_from("<BIIB", event.payload)
    return Sent(can_id, flags, event.payload[10:])


@contextmanager
def board(interface: str, firmware: Path | None = None) -> Iterator[tuple[PosixBoard, CANBoard]]:
    """Start a board whose bus 0 is an interface."""
    options = [f"--device=can0={interface}"]
    with PosixBoard(options, firmware=firmware) as machine, opened(machine.port) as fd:
        bench = CANBoard(fd, LIMIT_S)
        open_session(bench)
        yield machine, bench


@contextmanager
def raw(interface: str) -> Iterator[socket.socket]:
    """Open a raw socket of the kernel on an interface."""
    with socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW) as found:
        found.setsockopt(socket.SOL_CAN_RAW, socket.CAN_RAW_FD_FRAMES, 1)
        found.settimeout(LIMIT_S)
        found.bind((interface,))
        yield found


def told(frames: list[Sent]) -> list[list[object]]:
    """Return frames as JSON has them."""
    return [[frame.can_id, frame.flags, frame.data.hex()] for frame in frames]


def candump(stack: ExitStack) -> subprocess.Popen[str] | None:
    """Start candump, and return it when the kernel gives it every frame; None: there is none."""
    if shutil.which("candump") is None:
        return None
    listeners = Path("/proc/net/can/rcvlist_all")
    before = listeners.read_text().count("vcan0 ")
    command = ["candump", "-L", "-n", str(len(FRAMES)), "vcan0"]
    found = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    while listeners.read_text().count("vcan0 ") == before and found.poll() is None:
        time.sleep(0.002)
    return found


def frames_out() -> dict[str, object]:
    """Let the board send every frame: what a socket, candump and python-can hear."""
    with ExitStack() as stack:
        _, bench = stack.enter_context(board("vcan0"))
        statuses = [bench.configure()]
        listener = stack.enter_context(raw("vcan0"))
        dump = candump(stack)
        other = stack.enter_context(python_can())
        statuses += [bench.put(frame) for frame in FRAMES]
        found: dict[str, object] = {"log": bench.log(), "statuses": statuses}
        found["socket"] = told([Sent.unpacked(listener.recv(72)) for _ in FRAMES])
        found["candump"] = dump and [line.split()[2] for line in dump.stdout or ()]
        found["python-can"] = other and [told_message(other.recv(LIMIT_S)) for _ in FRAMES]
        found["refused"] = [
            bench.put(frame) for frame in (Sent(ERROR | 4, 0, bytes(8)), Sent(REMOTE, FDF, b""))
        ]
        assert not bench.events, bench.events
    return found


@contextmanager
def python_can() -> Iterator[Any]:
    """Open python-can's own SocketCAN on the interface; None where it is not installed."""
    try:
        import can
    except ImportError:
        yield None
        return
    with can.Bus(interface="socketcan", channel="vcan0", fd=True) as bus:
        yield bus


def told_message(message: Any) -> list[object]:
    """Return a message of python-can as :func:`told` does a frame."""
    can_id = message.arbitration_id
    can_id |= (EXTENDED if message.is_extended_id else 0) | (
        REMOTE if message.is_remote_frame else 0
    )
    flags = FDF * message.is_fd | BRS * message.bitrate_switch | ESI * message.error_state_indicator
    data = bytes(message.dlc) if message.is_remote_frame else bytes(message.data)
    return [can_id, flags, data.hex()]


def message_of(frame: Sent) -> Any:
    """Return a frame as a message of python-can."""
    import can

    remote = bool(frame.can_id & REMOTE)
    return can.Message(
        arbitration_id=frame.can_id & 0x1FFF_FFFF,
        is_extended_id=bool(frame.can_id & EXTENDED),
        is_remote_frame=remote,
        dlc=len(frame.data),
        data=None if remote else frame.data,
        is_fd=bool(frame.flags & FDF),
        bitrate_switch=bool(frame.flags & BRS),
        error_state_indicator=bool(frame.flags & ESI),
        check=True,
    )


def frames_in() -> dict[str, object]:
    """Let a socket, cansend and python-can send every frame: what the board tells."""
    found: dict[str, object] = {}
    with board("vcan0") as (_, bench), raw("vcan0") as sender, python_can() as other:
        bench.configure()
        for frame in FRAMES:
            sender.send(frame.packed())
        found["socket"] = told([bench.take() for _ in FRAMES])
        found["cansend"] = found["python-can"] = None
        if shutil.which("cansend"):
            for frame in FRAMES:
                subprocess.run(["cansend", "vcan0", frame.text], check=True)
            found["cansend"] = told([bench.take() for _ in FRAMES])
        if other is not None:
            for frame in FRAMES:
                other.send(message_of(frame))
            found["python-can"] = told([bench.take() for _ in FRAMES])
    return found


def burst() -> dict[str, int]:
    """Send more frames than the kernel keeps while the board stands still."""
    with board("vcan0") as (machine, bench), raw("vcan0") as sender:
        bench.configure()
        machine.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, machine.process.pid, os.WSTOPPED)
        for number in range(BURST):
            sender.send(Sent(0x100, 0, number.to_bytes(2, "little")).packed())
        machine.process.send_signal(signal.SIGCONT)
        got = [bench.take() for _ in range(64)]
        # There is room again, and a loss is told with what comes behind it.
        last = Sent(0x101, 0, b"")
        sender.send(last.packed())
        while got[-1] != last:
            got.append(bench.take())
        return {"heard": len(got) - 1, "lost": bench.counters()["events_lost"]}


def states() -> dict[str, object]:
    """Say what the board tells of the errors of a controller, as its driver reports them."""
    probe = Sent(0x10, 0, b"\x01")
    found: dict[str, object] = {}
    with board("vcan0") as (_, bench), raw("vcan0") as driver:
        bench.configure()
        for name, kind, controller, counts in (
            ("warning", 0x004, 0x08, (97, 3)),
            ("passive", 0x004, 0x20, (130, 4)),
            ("bus-off", 0x040, 0x00, (255, 0)),
            ("restarted", 0x100, 0x00, (0, 0)),
            ("bus-off again", 0x040, 0x00, (255, 0)),
        ):
            data = bytes((0, controller, 0, 0, 0, 0, *counts))
            driver.send(Sent(ERROR | kind, 0, data).packed())
            found[name] = [*bench.state(), bench.put(probe)]
        driver.send(probe.packed())
        found["heard again"] = [*bench.state(), bench.put(probe)]
    return found


def outages() -> dict[str, object]:
    """Take the interface down, and away, beneath an open bus, and give it back."""
    probe = Sent(0x20, 0, b"\x02")
    with board("vcan0") as (_, bench):
        found: dict[str, object] = {"before": [bench.configure(), bench.put(probe)]}
        bench.log()
        ip("set", "vcan0", "down")
        found["down"] = [*bench.state(), bench.put(probe), bench.configure()]
        found["down log"] = bench.log()
        found["up"] = [*turned_up(bench), bench.put(probe)]
        ip("delete", "vcan0")
        found["gone"] = [*bench.state(), bench.put(probe), bench.configure()]
        found["gone log"] = bench.log()
        ip("add", "vcan0", "type", "vcan")
        found["back"] = [*turned_up(bench), bench.put(probe)]
        with raw("vcan0") as sender:
            sender.send(probe.packed())
            found["heard"] = told([bench.take()])
        bench.request(STATS)
        assert not bench.events, bench.events
    return found


def turned_up(bench: CANBoard) -> list[int]:
    """Set the interface up; return what the board says of it."""
    ip("set", "vcan0", "up")
    return bench.state()


def unprivileged() -> dict[str, object]:
    """Run the board as a user who may configure no interface."""
    wrapper = Path("/run/as-nobody")
    command = f"setpriv --reuid 65534 --regid 65534 --clear-groups {firmware_path()}"
    wrapper.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    wrapper.chmod(0o755)
    found: dict[str, object] = {}
    ip("add", "vcan1", "type", "vcan")
    for state in ("down", "up"):
        ip("set", "vcan1", state)
        with board("vcan1", wrapper) as (machine, bench), raw("vcan0"):
            status = Path(f"/proc/{machine.process.pid}/status").read_text()
            uid = next(line.split()[1] for line in status.splitlines() if line.startswith("Uid:"))
            found[state] = [int(uid), bench.configure(), bench.log(), bench.put(FRAMES[0])]
    return found


def main() -> None:
    """Do all of it, and leave the result."""
    result: dict[str, object] = {}
    ip("add", "vcan0", "type", "vcan")
    ip("set", "vcan0", "up")
    for part in (frames_out, frames_in, states, burst, outages, unprivileged):
        result[part.__name__] = part()
    Path("result").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
