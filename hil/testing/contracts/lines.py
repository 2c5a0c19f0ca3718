"""Contract suites of the buses on which things happen by themselves, and of 1-Wire and cameras.

Each ``make(scheduler, emit, devices)`` returns a fresh bus with the given devices attached in
order; a GPIO chip has at least four lines and gets its device as ``{"in": (0, "in"), "out": (1,
"out")}``. Every suite ends with what an interceptor may do, the same on all kinds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flightsw.codec.wire import Flag, Status
from hil.buses.base import Emit
from hil.buses.intercept import BLOCKED, Crossing, Forward, Result
from hil.buses.onewire import READ, RESET, WRITE
from hil.testing.simple_scheduler import SimpleScheduler

SECOND_NS = 1_000_000_000
Make = Callable[[SimpleScheduler, Emit, list[Any]], Any]


class Probe:
    """A device of every kind: it notes what reaches it."""

    def __init__(self, name: str = "probe") -> None:
        self.name = name
        self.seen: list[tuple[int, Any]] = []
        self.uart_send: Callable[[int, bytes], None] = _unwired
        self.can_send: Callable[[int, int, bytes], None] = _unwired
        self.gpio_drive: Callable[[int, str, int], None] = _unwired

    def uart_receive(self, t_ns: int, data: bytes) -> None:
        """Note octets."""
        self.seen.append((t_ns, data))

    def can_receive(self, t_ns: int, can_id: int, data: bytes) -> None:
        """Note a frame."""
        self.seen.append((t_ns, (can_id, data)))

    def gpio_change(self, t_ns: int, pin: str, level: int) -> None:
        """Note a level."""
        self.seen.append((t_ns, level))

    def frame_capture(self, t_ns: int, exposure_us: int) -> tuple[int, bytes]:
        """Note an exposure."""
        self.seen.append((t_ns, exposure_us))
        return exposure_us * 1000, bytes(8) + exposure_us.to_bytes(4, "little")

    def onewire_reset(self, t_ns: int) -> bool:
        """Be there."""
        self.seen.append((t_ns, "reset"))
        return True

    def onewire_write(self, t_ns: int, bit: int) -> None:
        """Note a bit."""
        self.seen.append((t_ns, bit))

    def onewire_read(self, t_ns: int) -> int:
        """Pull the line low in every other slot, by what has been seen."""
        self.seen.append((t_ns, "read"))
        return len(self.seen) & 1


def _unwired(*_: Any) -> None:
    raise AssertionError("the bus did not give the device its way to speak")


class Bench:
    """A bus, its devices, and all that it emits."""

    def __init__(self, make: Make, ndevices: int = 1) -> None:
        self.scheduler = SimpleScheduler()
        self.records: list[tuple[int, int, int, int, int, bytes]] = []
        self.devices = [Probe(f"probe{n}") for n in range(ndevices)]
        self.bus = make(self.scheduler, self._emit, self.devices)
        self.before = dict(self.bus.counters)

    def _emit(self, *record: Any) -> None:
        t_ns, duration_ns = record[0], record[1]
        now_ns = self.scheduler.now_ns
        assert t_ns + duration_ns == now_ns, f"a record of {t_ns + duration_ns} came at {now_ns} ns"
        self.records.append(record)

    def run(self) -> None:
        """Let a second pass, after which no counter may be lower than before."""
        self.scheduler.run_until(self.scheduler.now_ns + SECOND_NS)
        for name, count in self.bus.counters.items():
            assert count >= self.before.get(name, 0), f"counter {name} went down"


def check_serial_line(make: Make) -> None:
    """Octets keep order and take ten bits each way, both ways at once (for an 8N1 line)."""
    bench = Bench(make)
    (device,), bus = bench.devices, bench.bus
    octet_ns = 10 * SECOND_NS / int(bus.describe()["baud"])
    bus.write(0, bytes(range(100)))
    device.uart_send(0, b"answer")
    bench.run()
    sent = b"".join(data for _, data in device.seen)
    assert sent == bytes(range(100)), f"the device heard {sent!r}"
    assert abs(device.seen[-1][0] - 100 * octet_ns) <= 1, "the last bit is not at its time"
    inputs = [record for record in bench.records if record[2] & Flag.INPUT]
    assert b"".join(record[5] for record in inputs) == b"answer", f"received {inputs}"
    assert abs(inputs[-1][0] + inputs[-1][1] - 6 * octet_ns) <= 1, "one way waits for the other"
    _check_interceptor(make, lambda bus: bus.write(0, b"\x05"), b"\x05", b"\x06")


def check_can_controller(make: Make) -> None:
    """Frames leave by identifier, and every node but the sender hears each once at its end."""
    bench = Bench(make, 2)
    (one, two), bus = bench.devices, bench.bus
    bus.send(0, 0x300, b"c")
    two.can_send(0, 0x200, b"b")
    one.can_send(0, 0x100, b"a")
    bench.run()
    assert [record[4] for record in bench.records] == [0x100, 0x200, 0x300], "not by identifier"
    assert [data for _, data in one.seen] == [(0x200, b"b"), (0x300, b"c")], "heard by one"
    assert [data for _, data in two.seen] == [(0x100, b"a"), (0x300, b"c")], "heard by two"
    flags = [record[2] & Flag.INPUT for record in bench.records]
    assert flags == [Flag.INPUT, Flag.INPUT, 0], "what others sent is an input, our own is not"
    bit_ns = SECOND_NS / int(bus.describe()["bitrate_hz"])
    for (start_ns, duration_ns, *_), (next_ns, *_) in zip(
        bench.records, bench.records[1:], strict=False
    ):
        assert next_ns - start_ns - duration_ns == round(3 * bit_ns), "no interframe space"
        assert 52 * bit_ns <= duration_ns <= 64 * bit_ns, "not the time of a frame of one octet"
    bus.send(bench.scheduler.now_ns, 0x800, b"")
    assert bench.records[-1][3] == Status.UNSUPPORTED, "an identifier of 12 bits was taken"
    _check_interceptor(make, lambda bus: bus.send(0, 0x7, b"\x05"), (0x7, b"\x05"), (0x7, b"\x06"))


def check_gpio_controller(make: Make) -> None:
    """Outputs reach the part, edges of the part are inputs, each at its own time."""
    bench = Bench(make)
    (device,), bus = bench.devices, bench.bus
    bus.set(10, 0, 1)
    bus.set(20, 0, 1)
    device.gpio_drive(30, "out", 1)
    device.gpio_drive(40, "out", 0)
    bench.run()
    assert device.seen == [(10, 1)], f"the part saw {device.seen} for one change"
    inputs = [(r[0], r[4], r[5]) for r in bench.records if r[2] & Flag.INPUT]
    assert inputs == [(30, 1, b"\x01"), (40, 1, b"\x00")], f"edges of the part: {inputs}"
    bus.set(bench.scheduler.now_ns, 999, 1)
    assert bench.records[-1][3] == Status.INVALID, "a line that there is not was set"
    _check_interceptor(make, lambda bus: bus.set(0, 0, 1), 1, None)


def check_frame_grabber(make: Make) -> None:
    """A frame takes the time of its imager; without one the port answers ABSENT."""
    bench = Bench(make)
    status, duration_ns, payload = bench.bus.capture(0, 500)
    assert (status, duration_ns, len(payload)) == (Status.OK, 500_000, 12), "not the frame"
    assert Bench(make, 0).bus.capture(0, 500)[0] == Status.ABSENT, "an empty port has a frame"
    _check_interceptor(make, lambda bus: bus.capture(0, 5), 5, 6)


def check_onewire_controller(make: Make) -> None:
    """Presence, bits from the low one on, reads; every step takes time, and nobody is ABSENT."""
    bench = Bench(make)
    (device,), bus = bench.devices, bench.bus
    steps = [(RESET, b""), (WRITE, b"\x0d"), (READ, 1)]
    status, duration_ns, seen = bus.transfer(0, steps)
    assert (status, seen[0]) == (Status.OK, b"\x01"), "no presence of a part that is there"
    assert [what for _, what in device.seen[1:9]] == [1, 0, 1, 1, 0, 0, 0, 0], "not low bit first"
    assert seen[1] == b"\xaa", f"read {seen[1]!r} from a part that pulls every other slot low"
    times = [t_ns for t_ns, _ in device.seen]
    assert times == sorted(set(times)), "two slots at one time"
    assert duration_ns > times[-1], "the last slot took no time"
    status, _, seen = Bench(make, 0).bus.transfer(0, steps)
    assert (status, seen) == (Status.ABSENT, [b"\x00"]), "presence of nobody"
    _check_interceptor(make, lambda bus: bus.transfer(0, [(WRITE, b"\x05")]), 1, None)


def _check_interceptor(
    make: Make, act: Callable[[Any], object], passed: Any, modified: Any
) -> None:
    """Check pass, block and modify of what ``act`` does, by what the first device sees.

    ``modified`` is what it sees of content that is one more; None where content has no such form.
    """

    def seen(interceptor: Callable[[Crossing, Forward], Result | None] | None) -> list[Any]:
        bench = Bench(make)
        bench.bus.intercept(interceptor)
        act(bench.bus)
        bench.run()
        return [what for _, what in bench.devices[0].seen]

    def more(crossing: Crossing, forward: Forward) -> Result:
        content = crossing.content
        content = bytes(o + 1 for o in content) if isinstance(content, bytes) else content + 1
        return forward(crossing._replace(content=content))

    def twice(crossing: Crossing, forward: Forward) -> Result:
        forward(crossing)
        return forward(crossing)

    plain = seen(None)
    assert plain[:1] == [passed], f"without an interceptor the device saw {plain}"
    assert seen(lambda crossing, forward: None) == plain, "an interceptor that passes changed it"
    assert seen(lambda crossing, forward: BLOCKED) == [], "what was blocked came through"
    assert len(seen(twice)) >= len(plain), "what was forwarded twice came less than once"
    if modified is not None:
        assert seen(more) == [modified], "what was modified came as it was"
