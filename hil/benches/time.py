"""How fast lock-step is: a 100 Hz IMU and a 10 Hz power monitor, 110 transactions a second.

The parts and the bus are the real ones (LSM6DSOX and INA3221 on I2C at 400 kHz), every transaction
is recorded and hashed, and every row gives the same figures again: virtual seconds in one second of
the wall. Both processes are pinned to one core. The floor of a row is what its transport alone
would allow: the same number of bare round trips of the same size between two Python processes and
nothing else. The peer of the direct row is SimPy, where it is installed, running the same
transactions as processes of its own (no records, no second program); that of the rows with one
exchange a transaction is what the standard library has for it, ``multiprocessing.connection``, with
bare round trips and nothing done in them.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Listener as Pipe
from typing import Any

from flightsw.codec.wire import HEADER_NBYTES
from hil.buses.base import Outcome
from hil.buses.i2c import I2CBus
from hil.digest import RecordStream
from hil.errors import HostError
from hil.exchange import Exchange
from hil.parts.ina3221 import Ina3221
from hil.parts.lsm6dsox import Lsm6dsox
from hil.time.coordinator import Coordinator
from hil.time.kernel import Kernel
from hil.time.phase import Phase
from hil.time.pinning import pin_to_one_core
from hil.time.transports import Listener, listen
from hil.time.transports.direct import DirectPort

SECOND = 1_000_000_000
TRANSACTIONS_HZ = 110
WINDOWS_HZ = 10
#: octets of the request and the reply of an IMU read
_REQUEST_NBYTES = HEADER_NBYTES + 13
_REPLY_NBYTES = HEADER_NBYTES + 25
SIMPY = "SimPy, same bus and parts, no records"
PIPE = "multiprocessing.connection, bare round trips"
_PROGRAM = "flightsw.hal.exercise"


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Return one row an operation; ``ours`` is the best of several repeats."""
    affinity = os.sched_getaffinity(0)
    pin_to_one_core()
    try:
        return _rows(_Plan(quick))
    finally:
        os.sched_setaffinity(0, affinity)


class _Plan:
    """How long and how often each case runs."""

    def __init__(self, quick: bool) -> None:
        self.repeats = 3 if quick else 7
        self.direct_s, self.stepped_s = (60, 10) if quick else (200, 20)
        self.windowed_s = 60 if quick else 120
        self.barriers = 2_000 if quick else 10_000
        self.round_trips = 2_000 if quick else 10_000


def _rows(plan: _Plan) -> list[dict[str, Any]]:
    trips = {name: best_round_trip_s(name, plan) for name in ("seqpacket", "ipc")}
    floors = {name: 1 / (TRANSACTIONS_HZ * trip) for name, trip in trips.items()}
    bus_floor = _best(plan.repeats, partial(bus_alone, plan.direct_s))
    peer = _peer(plan)
    pipe = _best(plan.repeats, partial(in_multiprocessing, plan.round_trips))
    rows = [
        row(
            "direct, call by call",
            _best(plan.repeats, partial(direct, "imu-and-control", plan.direct_s)),
            bus_floor,
            peer,
        )
    ]
    for transport in ("seqpacket", "ipc"):
        for loop, label in (
            ("imu-and-control+lazy", "one exchange a transaction"),
            ("imu-and-control", "and one a sleep"),
        ):
            speed = _best(plan.repeats, partial(two, transport, loop, plan.stepped_s))
            rows.append(
                row(f"{transport}, {label}", speed, floors[transport], pipe, peer_name=PIPE)
            )
    for transport in ("seqpacket", "ipc"):
        speed = _best(plan.repeats, partial(two, transport, "windowed", plan.windowed_s))
        floor = 1 / (WINDOWS_HZ * trips[transport])
        rows.append(row(f"{transport}, windows of 100 ms", speed, floor, None))
    for transport in ("seqpacket", "ipc"):
        speed = _best(plan.repeats, partial(barrier, transport, 8, plan.barriers))
        floor = 1 / (8 * trips[transport])
        rows.append(row(f"{transport}, barrier of 8", speed, floor, None, "barriers/s"))
    return rows


def row(
    op: str,
    ours: float,
    floor: float,
    peer: float | None,
    unit: str = "x real time",
    peer_name: str = SIMPY,
) -> dict[str, Any]:
    """Return a row of the table; more is better, so ratios are ours over the other."""
    return {
        "op": op,
        "ours": ours,
        "unit": unit,
        "floor": floor,
        "peer": peer,
        "peer_name": None if peer is None else peer_name,
        "ratio_to_floor": ours / floor,
        "ratio_to_peer": None if peer is None else ours / peer,
    }


def _best(repeats: int, measure: Callable[[], float]) -> float:
    return max(measure() for _ in range(repeats))


# --- the cases ------------------------------------------------------------------------------------


def build(virtual_s: float) -> tuple[Exchange, RecordStream]:
    """Return a rig of one bus with an IMU and a power monitor, and its records."""
    stream = RecordStream()
    exchange = Exchange(Kernel(), stream, end_ns=int(virtual_s * SECOND))
    bus = make_bus()
    exchange.connect(0, bus, bus.profile.errno)
    return exchange, stream


def make_bus() -> I2CBus:
    """Return the bus with its two parts."""
    bus = I2CBus("i2c-1", 400_000, "bcm2835")
    bus.attach(0x40, Ina3221("monitor"))
    bus.attach(0x6A, Lsm6dsox("imu"))
    return bus


def set_up(bus: I2CBus) -> Callable[[int, int, bytes, int], Outcome]:
    """Start both parts as the program does; return the bus's transfer."""
    program: Any = importlib.import_module(_PROGRAM)
    for address, write in program.SET_UP:
        bus.transfer(0, address, write, 0)
    return bus.transfer


def direct(loop: str, virtual_s: float) -> float:
    """Return the speed of a loop that calls the bench in its own process."""
    exchange, stream = build(virtual_s)
    bench: Any = importlib.import_module("flightsw.hal.bench")
    program: Any = importlib.import_module(_PROGRAM)
    hal = bench.DirectHal(DirectPort(exchange, exchange.join("exercise")))
    started = time.perf_counter()
    program.run(hal, loop)
    stream.flush()
    return virtual_s / (time.perf_counter() - started)


def two(transport: str, loop: str, virtual_s: float) -> float:
    """Return the speed of a loop in a process of its own."""
    exchange, stream = build(virtual_s)
    with listen(transport) as listener:
        process = start(listener, loop)
        elapsed_s = stopwatch(exchange)
        coordinator = Coordinator(exchange)
        coordinator.add(listener.channel(), "exercise", died=partial(ended, process))
        coordinator.run()
        stream.flush()
        wall_s = elapsed_s()
        finish(process)
    return virtual_s / wall_s


def barrier(transport: str, participants: int, instants: int) -> float:
    """Return how many times a second all participants are granted time and ask for more."""
    exchange, _ = build(instants / 100)
    listeners = [listen(transport) for _ in range(participants)]
    processes = []
    try:
        coordinator = Coordinator(exchange)
        for index, listener in enumerate(listeners):
            processes.append(start(listener, "idle"))
            coordinator.add(listener.channel(), f"idle-{index}", died=partial(ended, processes[-1]))
        elapsed_s = stopwatch(exchange)
        coordinator.run()
        wall_s = elapsed_s()
        for process in processes:
            finish(process)
    finally:
        for process in processes:
            process.kill()
        for listener in listeners:
            listener.close()
    return coordinator.counters["instants"] / wall_s


def stopwatch(exchange: Exchange) -> Callable[[], float]:
    """Return what tells the seconds since virtual time began to move: start-up is not measured."""
    began: list[float] = []
    exchange.kernel.at(1, Phase.PHYSICS, 0, lambda t_ns: began.append(time.perf_counter()))
    return lambda: time.perf_counter() - began[0]


def start(listener: Listener, loop: str) -> subprocess.Popen[bytes]:
    """Start the program in a process of its own; it inherits our core."""
    return subprocess.Popen([sys.executable, "-m", _PROGRAM, listener.endpoint, loop])


def ended(process: subprocess.Popen[bytes]) -> str | None:
    """Say how a process ended; None while it runs."""
    code = process.poll()
    return None if code is None else f"its process ended with code {code}"


def finish(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process to leave; raises ``HostError`` if it did not leave well."""
    if process.wait(timeout=30) != 0:
        raise HostError(f"the exercise program ended with code {process.returncode}")


# --- floors and peers -----------------------------------------------------------------------------


def best_round_trip_s(transport: str, plan: _Plan) -> float:
    """Return the time of a bare round trip between two Python processes on this transport."""
    return min(round_trip_s(transport, plan.round_trips) for _ in range(plan.repeats))


_ECHO = """
import sys
from flightsw.hal.channel import open_channel
channel = open_channel(sys.argv[1])
request = bytes(int(sys.argv[2]))
while len(channel.exchange(request)) > 1: pass
"""


def round_trip_s(transport: str, count: int) -> float:
    """Measure ``count`` round trips with the octets of an IMU read."""
    reply = bytes(_REPLY_NBYTES)
    with listen(transport) as listener:
        channel = listener.channel()
        process = subprocess.Popen(
            [sys.executable, "-c", _ECHO, listener.endpoint, str(_REQUEST_NBYTES)]
        )
        while channel.recv() is None:
            if ended(process):
                raise HostError("the other end of a bare round trip did not start")
        started = time.perf_counter()
        for _ in range(count):
            channel.send(reply)
            channel.recv()
        wall_s = time.perf_counter() - started
        channel.send(b"\0" * HEADER_NBYTES)
        process.kill()
        process.wait()
    return wall_s / count


_PIPE_ECHO = """
import sys
from multiprocessing.connection import Client
with Client(sys.argv[1], "AF_UNIX") as peer:
    request = bytes(int(sys.argv[2]))
    while True:
        peer.send_bytes(request)
        if len(peer.recv_bytes()) == 1: break
"""


def in_multiprocessing(count: int) -> float:
    """Return the speed that bare round trips over ``multiprocessing.connection`` would allow."""
    reply = bytes(_REPLY_NBYTES)
    with Pipe(None, "AF_UNIX") as listener:
        command = [sys.executable, "-c", _PIPE_ECHO, str(listener.address), str(_REQUEST_NBYTES)]
        process = subprocess.Popen(command)
        with listener.accept() as peer:
            peer.recv_bytes()
            started = time.perf_counter()
            for _ in range(count):
                peer.send_bytes(reply)
                peer.recv_bytes()
            wall_s = time.perf_counter() - started
            peer.send_bytes(b"\0")
        finish(process)
    return count / TRANSACTIONS_HZ / wall_s


def bus_alone(virtual_s: float) -> float:
    """Return the speed of the bus and its parts called in a bare loop: no clock, no records."""
    transfer = set_up(make_bus())
    started = time.perf_counter()
    t_ns = 0
    for _ in range(int(virtual_s * WINDOWS_HZ)):
        for _ in range(10):
            t_ns += 10_000_000
            transfer(t_ns, 0x6A, b"\x22", 12)
        transfer(t_ns, 0x40, b"\x02", 2)
    return virtual_s / (time.perf_counter() - started)


def _peer(plan: _Plan) -> float | None:
    try:
        simpy: Any = importlib.import_module("simpy")
    except ImportError:
        return None
    return _best(plan.repeats, partial(in_simpy, simpy, plan.direct_s))


def in_simpy(simpy: Any, virtual_s: float) -> float:
    """Return the speed of the same transactions as two SimPy processes on one bus."""
    transfer = set_up(make_bus())
    environment = simpy.Environment()

    def task(period_ns: int, address: int, write: bytes, nread: int) -> Any:
        t_ns = period_ns
        while True:
            yield environment.timeout(t_ns - environment.now)
            _, duration_ns, _ = transfer(environment.now, address, write, nread)
            yield environment.timeout(duration_ns)
            t_ns += period_ns

    environment.process(task(10_000_000, 0x6A, b"\x22", 12))
    environment.process(task(100_000_000, 0x40, b"\x02", 2))
    started = time.perf_counter()
    environment.run(until=int(virtual_s * SECOND))
    return virtual_s / (time.perf_counter() - started)
