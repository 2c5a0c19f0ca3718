"""EPS node: what it broadcasts, how it answers."""

from __future__ import annotations

import pytest

from flightsw.codec import eps_frames as eps
from hil.parts.base import Active, CANNode
from hil.parts.eps_node import EpsNode
from hil.testing.simple_scheduler import SimpleScheduler

SECOND_NS = 10**9


class Bench:
    """A started node and everything that it sends and switches."""

    def __init__(self) -> None:
        self.scheduler = SimpleScheduler()
        self.node = EpsNode("eps")
        self.sent: list[tuple[int, eps.Frame | None]] = []
        self.switched: list[tuple[int, int, bool]] = []
        self.node.can_send = lambda t_ns, can_id, data: self.sent.append(
            (t_ns, eps.decode(can_id, data))
        )
        self.node.on_switch = lambda t_ns, switch, on: self.switched.append((t_ns, switch, on))
        self.node.start(self.scheduler, 1)

    def command(self, *fields: int) -> eps.Acknowledge:
        """Send a command now; return its acknowledgement, which comes 5 ms later."""
        t_ns = self.scheduler.now_ns
        self.node.can_receive(t_ns, *eps.encode(eps.Command(*fields)))
        self.scheduler.run_until(t_ns + 5_000_000)
        answer = self.sent[-1][1]
        assert self.sent[-1][0] == t_ns + 5_000_000
        assert isinstance(answer, eps.Acknowledge)
        return answer


def test_each_second_has_one_set_of_frames() -> None:
    """Battery, solar, bus and heartbeat come a quarter second after each second, with one count."""
    bench = Bench()
    assert isinstance(bench.node, CANNode)
    assert isinstance(bench.node, Active)
    bench.scheduler.run_until(3 * SECOND_NS - 1)
    assert [t_ns for t_ns, _ in bench.sent[::4]] == [250_000_000 + i * SECOND_NS for i in range(3)]
    kinds = [type(frame) for _, frame in bench.sent[4:8]]
    assert kinds == [eps.Battery, eps.Solar, eps.BusLoad, eps.Heartbeat]
    assert {getattr(frame, "set_count", 1) for _, frame in bench.sent[4:8]} == {1}


@pytest.mark.parametrize("share", [0.0, 0.01, 0.33, 0.5, 0.77, 1.0])
def test_frames_carry_the_world_within_epsilon(share: float) -> None:
    """Over the range of each quantity, the decoded frame is within epsilon of what was set."""
    bench = Bench()
    wanted = {}
    for name, quantity in EpsNode.QUANTITIES.items():
        wanted[name] = quantity.lower + share * (quantity.upper - quantity.lower)
        bench.node.set(name, wanted[name])
    bench.scheduler.run_until(SECOND_NS)
    battery, solar, bus = (frame for _, frame in bench.sent[:3])
    assert isinstance(battery, eps.Battery)
    assert isinstance(solar, eps.Solar)
    assert isinstance(bus, eps.BusLoad)
    read = {
        "battery_v": battery.voltage * eps.VOLTAGE_LSB_V,
        "battery_a": battery.current * eps.CURRENT_LSB_A,
        "battery_soc": battery.charge * eps.CHARGE_LSB,
        "solar_w": solar.power * eps.POWER_LSB_W,
        "load_w": bus.load * eps.POWER_LSB_W,
    }
    for name, value in read.items():
        assert abs(value - wanted[name]) <= EpsNode.QUANTITIES[name].epsilon, name


def test_flags_follow_the_battery() -> None:
    """Charging follows the sign of the current, low the charge, lit the solar power."""
    bench = Bench()
    bench.node.set("battery_a", 1.0)
    bench.node.set("battery_soc", 0.2)
    bench.node.set("solar_w", 20.0)
    bench.scheduler.run_until(SECOND_NS)
    battery, solar = bench.sent[0][1], bench.sent[1][1]
    assert isinstance(battery, eps.Battery)
    assert isinstance(solar, eps.Solar)
    assert battery.flags == eps.BatteryFlag.CHARGING | eps.BatteryFlag.LOW
    assert solar.flags == eps.SolarFlag.LIT


def test_switches_obey_and_are_acknowledged() -> None:
    """A command takes effect at once and is answered with the new switch states."""
    bench = Bench()
    answer = bench.command(eps.Opcode.SWITCH_ON, 3, 0, 17)
    assert answer == eps.Acknowledge(eps.Opcode.SWITCH_ON, 3, 17, eps.Result.ACCEPTED, 0b1001)
    assert bench.command(eps.Opcode.SWITCH_OFF, 0, 0, 18).switches == 0b1000
    assert bench.command(eps.Opcode.SWITCH_OFF, 0, 0, 19).result == eps.Result.ACCEPTED
    assert bench.switched == [(0, 3, True), (5_000_000, 0, False)]


def test_a_power_cycle_comes_back_by_itself() -> None:
    """The switch is off for the time asked for; a second command to it meanwhile is busy."""
    bench = Bench()
    assert bench.command(eps.Opcode.POWER_CYCLE, 0, 150, 1).switches == 0
    assert bench.command(eps.Opcode.SWITCH_ON, 0, 0, 2).result == eps.Result.BUSY
    bench.scheduler.run_until(3 * SECOND_NS)
    assert bench.switched == [(0, 0, False), (1_500_000_000, 0, True)]


@pytest.mark.parametrize(
    ("fields", "result"),
    [
        ((9, 0, 0, 1), eps.Result.UNKNOWN_OPCODE),
        ((1, 8, 0, 1), eps.Result.UNKNOWN_SWITCH),
    ],
)
def test_unknown_commands_are_refused_and_counted(
    fields: tuple[int, ...], result: eps.Result
) -> None:
    """A refusal says why and leaves the switches alone."""
    bench = Bench()
    assert bench.command(*fields).result == result
    assert bench.switched == []
    assert bench.node.counters["refused"] == 1


def test_a_short_command_is_malformed() -> None:
    """Too few octets are answered as malformed with what there was."""
    bench = Bench()
    bench.node.can_receive(0, eps.COMMAND_ID, b"\x01\x02")
    bench.scheduler.run_until(5_000_000)
    assert bench.sent[-1][1] == eps.Acknowledge(1, 2, 0, eps.Result.MALFORMED, 1)


def test_a_silent_node_says_nothing_and_counts_it() -> None:
    """A node that hangs neither broadcasts nor answers."""
    bench = Bench()
    bench.node.silent = True
    bench.node.can_receive(0, *eps.encode(eps.Command(1, 1, 0, 0)))
    bench.scheduler.run_until(2 * SECOND_NS)
    assert bench.sent == []
    assert bench.node.counters["silent"] == 3
