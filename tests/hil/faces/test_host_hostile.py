"""The bench's socket against programs that break its rules: nobody else may notice."""

from __future__ import annotations

import json
import os
import random
import resource
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from flightsw.codec import bus_payload
from flightsw.codec.wire import Flag, Kind, Status, pack, unpack_from
from hil.faces import gpio_abi
from hil.faces.uart_abi import Ask
from hil.testing.contracts.bus import ADDRESS
from hil.testing.small_rig import CAN, GPIO, I2C, UART
from tests.hil.faces.test_host import READ_TWO, Bench

DEVICES = {"/dev/i2c-1": I2C, "/dev/spidev0.0": 1, "ttyAMA1": UART, "can0": CAN, "gpiochip0": GPIO}
KINDS = (Kind.I2C, Kind.SPI, Kind.UART, Kind.CAN, Kind.GPIO)
IOCTLS = tuple(
    value
    for name, value in vars(gpio_abi).items()
    if name.isupper() and isinstance(value, int) and value > 0xFFFF
)


@pytest.fixture(params=["max", "real"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Give a bench at both paces: what comes is done at once, or waits for its bus."""
    bench = Bench(tmp_path, request.param)
    yield bench
    for one in bench.sockets:
        one.close()
    bench.host.close()


@pytest.mark.parametrize(
    "asked",
    [
        {"restart_ms": "soon"},
        {"restart_ms": None},
        {"restart_ms": -5},
        {"restart_ms": 1e400},
        {"tx_queue_size": -1},
        {"node": ["a"]},
        {"fd": 2},
        [1],
        7,
    ],
)
def test_a_join_of_other_types_is_invalid(bench: Bench, asked: object) -> None:
    """JOIN takes each option as what it is by default; anything else is INVALID, by name."""
    one = bench.open("can0")
    reply = bench.ask(one, Kind.CAN, channel=CAN, payload=b"\0" + json.dumps(asked).encode())
    assert reply.status == Status.INVALID
    assert bench.i2c(bench.open("/dev/i2c-1")).status == Status.OK


def test_a_join_that_nests_without_end_is_invalid(bench: Bench) -> None:
    """JSON deeper than the reader's stack is no JSON."""
    one = bench.open("can0")
    reply = bench.ask(one, Kind.CAN, channel=CAN, payload=b"\0" + b"[" * 100_000)
    assert reply.status == Status.INVALID


def test_who_asks_for_a_stream_and_leaves_takes_nothing_along(bench: Bench) -> None:
    """A stream that nobody is there to take is counted as unheard; the line goes on."""
    one = bench.connect()
    one.send(pack(Kind.OPEN, address=1, payload=b"ttyAMA1"))
    bench.answer(one)
    one.send(pack(Kind.UART, channel=UART, payload=bytes([Ask.STREAM])))
    one.close()
    assert bench.i2c(bench.open("/dev/i2c-1")).status == Status.OK
    assert bench.host.counters["unheard"] == 1


def test_an_unreadable_request_behind_a_busy_bus_is_invalid(bench: Bench) -> None:
    """What cannot be read is INVALID whether its bus is free or not."""
    one, other = bench.open("/dev/i2c-1"), bench.open("/dev/i2c-1")
    one.send(pack(Kind.I2C, payload=bus_payload.pack_i2c(ADDRESS, bytes(4000), 0)))
    other.send(pack(Kind.I2C, payload=b"\0\0\0"))
    assert unpack_from(bench.answer(other))[0].status == Status.INVALID
    assert unpack_from(bench.answer(one))[0].flags & Flag.REPLY


def test_a_second_request_before_the_reply_is_refused(tmp_path: Path) -> None:
    """A handle has one request under way: who sends on without reading fills no memory."""
    bench = Bench(tmp_path, "real")
    one = bench.open("/dev/i2c-1")
    for _ in range(2):
        one.send(pack(Kind.I2C, payload=bus_payload.pack_i2c(ADDRESS, bytes(8000), 0)))
    reply = unpack_from(bench.answer(one))[0]
    one.close()
    bench.host.close()
    assert reply.kind == Kind.REFUSE
    assert b"under way" in reply.payload


def test_a_holder_of_lines_gets_no_others(bench: Bench) -> None:
    """A connection holds one request for lines; another one on it is EINVAL."""
    one = bench.open("gpiochip0")
    config = gpio_abi.CONFIG.pack(gpio_abi.INPUT, 0, b"", b"")
    codes = []
    for line in (1, 2):
        lines = [line, *[0] * 63]
        asked = gpio_abi.REQUEST.pack(*lines, b"me", config, 1, 0, b"", 0)
        payload = struct.pack("<I", gpio_abi.GET_LINE) + asked
        reply = bench.ask(one, Kind.GPIO, channel=GPIO, payload=payload)
        codes.append(int.from_bytes(reply.payload[:4], "little"))
    assert codes == [0, 22]


def test_a_bench_without_descriptors_turns_programs_away(tmp_path: Path) -> None:
    """Who comes when no descriptor is left is hung up on and counted; the others are served."""
    bench = Bench(tmp_path)
    first = bench.open("/dev/i2c-1")
    waiting = [bench.connect() for _ in range(40)]
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 10, before[1]))
    try:
        for _ in range(60):
            bench.host.step(0.0)
        assert bench.i2c(first).status == Status.OK
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert 20 < bench.host.counters["turned_away"] < 40
    assert waiting[-1].recv(1) == b""
    assert bench.i2c(bench.open("/dev/i2c-1")).status == Status.OK
    for one in bench.sockets:
        one.close()
    bench.host.close()


def test_a_stream_for_which_no_descriptor_is_left_is_refused(tmp_path: Path) -> None:
    """Opening a line as a stream needs descriptors; without them it is refused and why is said."""
    bench = Bench(tmp_path)
    one = bench.connect()
    bench.host.step(0.0)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 1, before[1]))
    spent, modem = [], dict(bench.rig.uart.modem)
    try:
        while True:
            try:
                spent.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                break
        one.send(pack(Kind.OPEN, address=1, payload=b"ttyAMA1"))
        reply = unpack_from(bench.answer(one))[0]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for fd in spent:
            os.close(fd)
    assert reply.kind == Kind.REFUSE
    assert b"Too many open files" in reply.payload
    assert bench.rig.uart.modem == modem
    for one in bench.sockets:
        one.close()
    bench.host.close()


def _message(seed: random.Random, kind: Kind, channel: int) -> bytes:
    """Return something that a broken program might send on a handle."""
    octets = seed.randbytes(seed.choice([0, 1, 2, 5, 6, 12, 33, 70, 400]))
    if kind == Kind.GPIO:
        number = seed.choice(IOCTLS)
        octets = struct.pack("<I", number) + octets[:9].ljust(number >> 16 & 0x3FFF, b"\0")
    elif kind in (Kind.UART, Kind.CAN) and seed.random() < 0.9:
        octets = bytes([seed.randrange(8)]) + octets
    elif kind == Kind.I2C and seed.random() < 0.5:
        octets = struct.pack("<HHH", ADDRESS, seed.choice([0, 1, 2, 4, 5]), len(octets)) + octets
    if seed.random() < 0.05:
        return octets
    address = seed.choice([0, 1, 7, 0x123, 2**32 - 1])
    return pack(kind, channel=channel, address=address, payload=octets)


def abuse(bench: Bench, seed: int, count: int) -> None:
    """Send random requests on every device, over handles that close at any time."""
    chance = random.Random(seed)
    handles: list[tuple[socket.socket, Kind, int]] = []
    for _ in range(count):
        if len(handles) < 12:
            name, channel = chance.choice(list(DEVICES.items()))
            one = bench.connect()
            one.send(pack(Kind.OPEN, address=channel == UART, payload=name.encode()))
            bench.answer(one)
            handles.append((one, KINDS[channel], channel))
        handle = chance.choice(handles)
        one, kind, channel = handle
        try:
            one.send(_message(chance, kind, channel))
            ended = chance.random() < 0.1
            bench.host.step(0.0)
            ended = not one.recv(1 << 20) or ended
        except BlockingIOError:
            ended = False
        except OSError:
            ended = True
        if ended:
            handles.remove(handle)
            bench.sockets.remove(one)
            one.close()


@pytest.mark.parametrize("seed", range(4))
def test_nothing_that_a_program_sends_ends_the_bench(bench: Bench, seed: int) -> None:
    """Random requests on every device, handles that close at any time: others go on."""
    abuse(bench, seed, 800)
    assert bench.i2c(bench.open("/dev/i2c-1"), READ_TWO).flags & Flag.REPLY


@pytest.mark.soak
def test_a_million_random_messages_end_nothing(tmp_path: Path) -> None:
    """10^6 messages of programs of the same user, in ten benches: each serves on to the end."""
    for seed in range(100, 110):
        folder = tmp_path / str(seed)
        folder.mkdir()
        bench = Bench(folder)
        abuse(bench, seed, 100_000)
        assert bench.i2c(bench.open("/dev/i2c-1"), READ_TWO).flags & Flag.REPLY
        for one in bench.sockets:
            one.close()
        bench.host.close()
