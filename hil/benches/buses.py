"""What one register read costs on each way to a bus: write a pointer, read two octets back.

Figures are the median of single reads, in microseconds, bus time not waited for. The floor is the
bare transport: the same octets sent to another process and back, over a Unix socket or, for ZeroMQ,
from a REQ to a REP socket of pyzmq; or nothing where there is none. The peer is NASA's NOS Engine,
whose published 170 to 260 us a transaction stand beside ours; it was not run here. All processes of
one figure share a core. Where python-can is installed, what a frame costs through it comes
next; and where flashrom is, how long it takes to rewrite a flash.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import zmq

from flightsw.codec import bus_payload
from hil.benches import can_pair, flash
from hil.benches.time import ended
from hil.errors import HostError, ParticipantError
from hil.faces.host import Host
from hil.faces.nodes import write_overlay
from hil.hosting import Face, shim_path
from hil.testing.contracts.bus import ADDRESS
from hil.testing.small_rig import SmallRig
from hil.time.coordinator import Coordinator
from hil.time.pinning import pinned
from hil.time.transports import listen

#: microseconds; the lower end of what its papers give for one transaction
NOS_ENGINE_US = 170.0
END_NS = 10**15
REQUEST = bus_payload.pack_i2c(ADDRESS, b"\x10", 2)

#: A program that knows nothing of this bench: I2C_RDWR on a device file.
PROGRAM = f"""
import ctypes, fcntl, os, statistics, struct, sys, time
fd = os.open("/dev/i2c-1", os.O_RDWR)
pointer, answer = ctypes.create_string_buffer(b"\\x10", 1), ctypes.create_string_buffer(2)
head = struct.Struct("HHHxxP")
first = head.pack({ADDRESS}, 0, 1, ctypes.addressof(pointer))
both = ctypes.create_string_buffer(first + head.pack({ADDRESS}, 1, 2, ctypes.addressof(answer)))
asked = bytearray(struct.pack("PI4x", ctypes.addressof(both), 2))
clock, ioctl, taken = time.perf_counter_ns, fcntl.ioctl, []
for _ in range(int(sys.argv[1])):
    begin = clock()
    ioctl(fd, 0x0707, asked)
    taken.append(clock() - begin)
print(statistics.median(taken) / 1000)
"""

#: Flight software that reads a register until the run ends; prints its median time.
FLIGHT = f"""
import statistics, sys, time
from flightsw.errors import Shutdown
from flightsw.hal.channel import connect
clock, taken = time.perf_counter_ns, []
with connect(sys.argv[1], "reader") as hal:
    read = hal.i2c("i2c-1").transfer
    try:
        while True:
            begin = clock()
            read({ADDRESS}, b"\\x10", 2)
            taken.append(clock() - begin)
    except Shutdown:
        pass
print(statistics.median(taken) / 1000)
"""

REPLIER = """
import sys, zmq
with zmq.Context() as context, context.socket(zmq.REP) as peer:
    peer.connect(sys.argv[1])
    reply = bytes(int(sys.argv[2]))
    while len(peer.recv()) > 1: peer.send(reply)
    peer.send(b"")
"""


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Return one row a way."""
    count = 3_000 if quick else 30_000
    with pinned(True):
        rows = [row("direct call of the bus", direct_us(count), None)]
        with contextlib.suppress(HostError):  # no shim on this machine
            rows.append(row("ioctl through the shim", foreign_us(count), echo_us(count)))
        with contextlib.suppress(HostError):  # no supervisor, or the kernel forbids it
            ours = foreign_us(count, static=True)
            rows.append(row("ioctl through the supervisor", ours, echo_us(count)))
        # By turns: what else the machine does then weighs on both.
        turns = [(session_us("ipc", count // 6), request_reply_us(count // 6)) for _ in range(3)]
        ours, bare = (min(column) for column in zip(*turns, strict=True))
        rows.append(row("flight software over ZeroMQ ipc", ours, bare))
        ours = session_us("seqpacket", count // 3)
        rows.append(row("flight software over SEQPACKET", ours, echo_us(count)))
        rows += can_pair.rows(count)
        if not quick:
            with contextlib.suppress(HostError):  # no shim on this machine
                shim_path()
                rows += flash.rows(lambda: echo_us(count))
    return rows


def row(op: str, ours: float, floor: float | None) -> dict[str, Any]:
    """Return a row of the table; costs in microseconds a read."""
    return {
        "op": op,
        "ours": ours,
        "unit": "us/read",
        "floor": floor,
        "peer": NOS_ENGINE_US,
        "peer_name": "NOS Engine (published: 170 to 260)",
        "ratio_to_floor": None if floor is None else ours / floor,
        "ratio_to_peer": ours / NOS_ENGINE_US,
    }


def timed(count: int, act: Callable[[], object]) -> float:
    """Return the median time of ``act()`` in microseconds."""
    taken, clock = [], time.perf_counter_ns
    for _ in range(count):
        begin = clock()
        act()
        taken.append(clock() - begin)
    return median(taken) / 1000


def direct_us(count: int) -> float:
    """Return the cost of a call of the bus in this process."""
    bus = SmallRig(END_NS).i2c
    return timed(count, lambda: bus.transfer(0, ADDRESS, b"\x10", 2))


def foreign_us(count: int, static: bool = False) -> float:
    """Return the cost of an ioctl of another process; ``static``: as of a static program.

    Raises ``HostError`` without a shim or supervisor.
    """
    face = Face.of([sys.executable], static)
    with tempfile.TemporaryDirectory(prefix="hil-bench-") as folder:
        rig = SmallRig(END_NS)
        host = Host(rig.exchange, Path(folder) / "bench", "max")
        write_overlay(Path(folder) / "root", host.nodes.values(), {})
        words = [sys.executable, "-c", PROGRAM, str(count)]
        words, env = face.start(words, Path(folder) / "bench")
        try:
            with subprocess.Popen(words, env=env, stdout=subprocess.PIPE, text=True) as child:
                host.serve_until_exit(child.pid)
                assert child.stdout is not None
                return float(child.stdout.read())
        finally:
            host.close()


def echo_us(count: int) -> float:
    """Return the cost of the same octets over a Unix socket to another process and back."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    request, reply = bytes(32 + len(REQUEST)), bytes(34 + len(REQUEST))
    pid = os.fork()
    if pid == 0:
        here.close()
        while there.recv(4096):
            there.send(reply)
        os._exit(0)
    there.close()

    def turn() -> None:
        here.send(request)
        here.recv(4096)

    try:
        return timed(count, turn)
    finally:
        here.close()
        os.waitpid(pid, 0)


def session_us(transport: str, count: int, program: str = FLIGHT) -> float:
    """Return the cost of a register read of flight software in a process of its own.

    Raises ``HostError`` where that process ends before the run.
    """
    rig = SmallRig(count * duration_ns())
    with listen(transport) as listener:
        words = [sys.executable, "-c", program, listener.endpoint]
        with subprocess.Popen(words, stdout=subprocess.PIPE) as child:
            coordinator = Coordinator(rig.exchange)
            coordinator.add(listener.channel(), "reader", died=partial(ended, child))
            try:
                coordinator.run()
            except ParticipantError as error:
                child.kill()
                raise HostError(f"the reader of the benchmark: {error}") from error
            assert child.stdout is not None
            return float(child.stdout.read())


def duration_ns() -> int:
    """Return the bus time of one read."""
    return SmallRig(END_NS).i2c.transfer(0, ADDRESS, b"\x10", 2)[1]


def request_reply_us(count: int) -> float:
    """Return the cost of the same octets from a REQ to a REP socket over ipc and back."""
    with tempfile.TemporaryDirectory(prefix="hil-bench-") as folder:
        context, endpoint = zmq.Context(), f"ipc://{folder}/echo"
        words = [sys.executable, "-c", REPLIER, endpoint, str(34 + len(REQUEST))]
        request = bytes(32 + len(REQUEST))
        with context, context.socket(zmq.REQ) as asker:
            asker.bind(endpoint)
            with subprocess.Popen(words):

                def turn() -> None:
                    asker.send(request)
                    asker.recv()

                turn()
                taken = timed(count, turn)
                asker.send(b"")
                asker.recv()
    return taken
