"""The life of the unit under test: what keeps it off, and what brings it back."""

from __future__ import annotations

import pytest

from hil.board import load_board
from hil.missions import load as load_mission
from hil.rig import SECOND, Rig
from hil.supervisor import PAYLOAD_SWITCH, Supervisor
from hil.time.phase import Phase

BOOT_S = 25


class Recorded:
    """A flight that writes down when it is started and stopped."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        self.acts: list[tuple[int, str]] = []

    def note(self, what: str) -> None:
        """Write down an act with its second."""
        self.acts.append((self.supervisor.rig.kernel.now_ns // SECOND, what))

    def start(self) -> None:
        """Start."""
        self.supervisor.started()
        self.note("start")

    def stop(self, reason: str) -> None:
        """Stop."""
        self.note(reason)

    def run(self) -> None:
        """Run nothing: the tests move time."""

    def close(self) -> None:
        """Have nothing to close."""


@pytest.fixture
def bench():
    """A rig whose flight software runs, and (when, what) calls that the test asks for."""
    rig = Rig(load_board("raspberrypi4"), load_mission("tiansuan_bupt1"), seed=1, duration_s=300.0)
    supervisor = Supervisor(rig)
    supervisor.flight = flight = Recorded(supervisor)
    flight.start()

    def run(*acts):
        for t_s, act in acts:
            rig.kernel.at(t_s * SECOND, Phase.PART, 1 << 10, act)
        rig.wiring.of_type("watchdog").on_reset = lambda t_ns: None  # nobody kicks it here
        rig.kernel.run_until(200 * SECOND)
        return flight.acts[1:]

    return supervisor, run


def test_the_time_that_it_is_down_is_known(bench):
    """Down time counts from the loss and ends with the next start; a restart has a limit."""
    supervisor, run = bench
    found = []
    run(
        (10, lambda t_ns: supervisor._switched(t_ns, PAYLOAD_SWITCH, False)),
        (20, lambda t_ns: found.append(supervisor.down_ns)),
        (30, lambda t_ns: supervisor._switched(t_ns, PAYLOAD_SWITCH, True)),
        (30 + BOOT_S - 1, lambda t_ns: found.append(supervisor.down_ns)),
        (30 + BOOT_S + 1, lambda t_ns: found.append(supervisor.down_ns)),
    )
    assert found == [10 * SECOND, (20 + BOOT_S - 1) * SECOND, 0]
    assert supervisor.restart_limit_s == 10 + 60 + BOOT_S + 10


def test_a_reset_boots_after_off_time_and_boot_time(bench):
    """The watchdog's reset takes the software away and brings it back 26 s later."""
    supervisor, run = bench
    acts = run((10, supervisor._watchdog_reset))
    assert acts == [(10, "reset by the watchdog"), (11 + BOOT_S, "start")]


def test_a_switch_off_during_the_boot_keeps_it_off(bench):
    """A boot that loses its supply does not end in a running computer."""
    supervisor, run = bench
    acts = run(
        (10, supervisor._watchdog_reset),
        (20, lambda t_ns: supervisor._switched(t_ns, PAYLOAD_SWITCH, False)),
    )
    assert acts == [(10, "reset by the watchdog")]
    assert not supervisor.rig.world.payload.powered


def test_a_reset_does_not_override_a_brown_out(bench):
    """The end of a reset pulse gives no power while the bus has none."""
    supervisor, run = bench
    acts = run(
        (10, lambda t_ns: supervisor._supply(t_ns, False)),
        (12, supervisor._watchdog_reset),
        (50, lambda t_ns: supervisor._supply(t_ns, True)),
    )
    assert acts == [(10, "brown-out"), (50 + BOOT_S, "start")]


def test_a_boot_begins_anew_after_a_second_cut(bench):
    """Only the boot after the last cut counts, and it takes its whole time."""
    supervisor, run = bench
    acts = run(
        (10, lambda t_ns: supervisor._switched(t_ns, PAYLOAD_SWITCH, False)),
        (12, lambda t_ns: supervisor._switched(t_ns, PAYLOAD_SWITCH, True)),
        (20, lambda t_ns: supervisor._switched(t_ns, PAYLOAD_SWITCH, False)),
        (22, lambda t_ns: supervisor._switched(t_ns, PAYLOAD_SWITCH, True)),
    )
    assert acts == [(10, "switched off by the EPS"), (22 + BOOT_S, "start")]


def test_a_kill_that_finds_it_down_is_counted(bench):
    """Of two kills in one absence the first takes effect, the second one is told apart."""
    supervisor, run = bench
    for t_s in (10, 11):
        supervisor.inject_kill(t_s * SECOND)
    assert run() == [(10, "SIGKILL")]
    assert (supervisor.stops["injected"], supervisor.kills_missed) == (1, 1)
