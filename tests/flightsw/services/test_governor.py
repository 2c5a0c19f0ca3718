"""Governors: they act on what is true, and survive sensors that drop out, read zero or freeze."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_hal import SECOND, FakeHal, Ground
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.app import create
from flightsw.codec.dictionary import PARAMETERS, GovernorState, Suspicion
from flightsw.services.governor import Ladder, PowerGovernor, Readings, ThermalGovernor, demand

LIMITS = {p.name: float(p.default) for p in PARAMETERS}
GOOD = Readings(3500, 2000, 2010, 16000, 900, 15990)
RUN, SLOW, PAUSE, SAFE = GovernorState

SPOILS = st.sampled_from(["good", "none", "zero", "frozen", "wild"])


def _spoil(kind: str, value: int, frozen: int) -> int | None:
    return {"good": value, "none": None, "zero": 0, "frozen": frozen, "wild": 30000}[kind]


def _thermal(governor: ThermalGovernor, samples: list[Readings], start_s: int = 0) -> int:
    for second, readings in enumerate(samples, start_s):
        governor.step(second * SECOND, readings, LIMITS)
    return governor.ladder.state


@pytest.mark.parametrize(
    ("value", "state", "wanted"),
    [(10, 0, 0), (8.9, 0, 1), (9.2, 1, 1), (9.6, 1, 0), (6.9, 0, 2), (7.2, 2, 2), (7.6, 2, 1)],
)
def test_a_limit_counts_until_the_hysteresis_is_passed(
    value: float, state: int, wanted: int
) -> None:
    """Down at the limit, up only above limit plus hysteresis."""
    assert demand(value, (9, 7, 5), 0.5, state) == wanted


def test_the_ladder_goes_down_at_once_and_up_by_steps() -> None:
    """Three equal wishes move it: to SAFE directly, back through PAUSE and SLOW."""
    ladder, states = Ladder(), []
    for wanted in [3] * 3 + [0] * 9:
        ladder.step(wanted)
        states.append(int(ladder.state))
    assert states == [0, 0, 3, 3, 3, 2, 2, 2, 1, 1, 1, 0]


def test_a_single_bad_sample_moves_nothing() -> None:
    """Wishes that do not last are ignored."""
    ladder = Ladder()
    assert not any(ladder.step(wanted) for wanted in [3, 0, 3, 0, 3, 3, 0] * 5)


@pytest.mark.parametrize(("chip_c", "state"), [(40, RUN), (66, SLOW), (73, PAUSE), (83, SAFE)])
def test_the_thermal_governor_follows_the_chip(chip_c: int, state: GovernorState) -> None:
    """Each limit leads to its state."""
    hot = GOOD._replace(chip_cdeg=chip_c * 100)
    assert _thermal(ThermalGovernor(), [hot] * 5) == state


@pytest.mark.parametrize(
    ("millivolts", "permille", "state"),
    [
        (16000, 900, RUN),
        (14300, 900, SLOW),
        (13500, 900, PAUSE),
        (12500, 900, SAFE),
        (16000, 400, SLOW),
        (16000, 300, PAUSE),
        (16000, 150, SAFE),
    ],
)
def test_the_power_governor_takes_the_worse_of_voltage_and_charge(
    millivolts: int, permille: int, state: GovernorState
) -> None:
    """Either reading alone is enough to step down."""
    governor = PowerGovernor()
    readings = GOOD._replace(battery_mv=millivolts, soc_permille=permille)
    for second in range(5):
        governor.step(second * SECOND, readings, LIMITS)
    assert governor.ladder.state == state


@settings(max_examples=120, deadline=None)
@given(
    spoils=st.lists(st.tuples(SPOILS, st.integers(1, 40)), min_size=1, max_size=6),
    hot=st.booleans(),
)
def test_a_spoiled_chip_sensor_never_hides_heat_nor_stops_a_cool_payload(
    spoils: list[tuple[str, int]], hot: bool
) -> None:
    """Dropouts, zeros, wild and frozen values of one sensor leave the decision right.

    Cool: never beyond SLOW (the margin on the board may cost cadence). Hot, with a board that says
    so: it pauses within the age limit.
    """
    governor, second = ThermalGovernor(), 0
    _thermal(governor, [GOOD] * 5)
    second = 5
    for kind, count in spoils:
        for _ in range(count):
            chip, board = (8000, 5500) if hot else (3500, 2000)
            if second % 2:
                board += 1
            reading = Readings(_spoil(kind, chip, 3400), board, board, 16000, 900, 16000)
            governor.step(second * SECOND, reading, LIMITS)
            second += 1
            if not hot:
                assert governor.ladder.state <= SLOW
    if hot:
        for _ in range(100):
            reading = Readings(None, 5500, 5500, 16000, 900, 16000)
            governor.step(second * SECOND, reading, LIMITS)
            second += 1
        assert governor.ladder.state >= PAUSE


@settings(max_examples=120, deadline=None)
@given(
    spoils=st.lists(st.tuples(SPOILS, SPOILS, st.integers(1, 40)), min_size=1, max_size=6),
)
def test_zeros_and_dropouts_of_the_eps_do_not_look_like_an_empty_battery(
    spoils: list[tuple[str, str, int]],
) -> None:
    """With a good rail voltage, whatever the EPS says that cannot be true changes nothing."""
    governor, second = PowerGovernor(), 0
    for battery, charge, count in [("good", "good", 5), *spoils]:
        for _ in range(count):
            rail = 16000 + second % 2
            charge_told = _spoil(charge, 900, 900)
            readings = GOOD._replace(
                battery_mv=_spoil(battery, 16000, 15900), soc_permille=charge_told, rail_mv=rail
            )
            governor.step(second * SECOND, readings, LIMITS)
            second += 1
            assert governor.ladder.state == RUN


def test_a_frozen_chip_sensor_is_found_by_its_board() -> None:
    """The same raw value for a minute while the board warms is not believed any more."""
    governor = ThermalGovernor()
    for second in range(200):
        board = 2000 + second * 5
        governor.step(second * SECOND, Readings(3500, board, board, 0, 0, 0), LIMITS)
    assert governor.chip.suspicion == Suspicion.FROZEN
    assert governor.acted_cdeg == 2000 + 199 * 5 + 2500


def test_a_chip_colder_than_its_board_is_not_believed() -> None:
    """TMP117 at the chip far below the board, with the IMU on the board's side: DISAGREES."""
    governor = ThermalGovernor()
    _thermal(governor, [GOOD] * 3)
    _thermal(governor, [Readings(500, 4000, 4010, 0, 0, 0)], start_s=3)
    assert governor.chip.suspicion == Suspicion.DISAGREES
    assert governor.acted_cdeg == 3500


def test_knowing_nothing_pauses_and_does_not_go_safe() -> None:
    """Without any temperature or any battery value a governor pauses after the age limit."""
    thermal, power = ThermalGovernor(), PowerGovernor()
    nothing = Readings(None, None, None, None, None, None)
    for second in range(60):
        readings = GOOD if second < 5 else nothing
        thermal.step(second * SECOND, readings, LIMITS)
        power.step(second * SECOND, readings, LIMITS)
        if second == 30:
            assert thermal.ladder.state == power.ladder.state == RUN
    assert thermal.ladder.state == power.ladder.state == PAUSE


def test_a_low_battery_pauses_the_job_and_a_full_one_resumes_it(tmp_path: Path) -> None:
    """Work stops after the batch in work, and the product is made when the battery is back."""
    hal = FakeHal(seconds=200, battery_pause_v=15.0, tiles_per_batch=1, soc_pause=0.3)
    hal.clock.at(6 * SECOND, lambda _: hal.battery.__setitem__(0, 14000))
    hal.clock.at(100 * SECOND, lambda _: hal.battery.__setitem__(0, 16200))
    ground = Ground(hal)
    ground.carrier.set(1)
    app = create(hal, tmp_path)
    ground.send(ground.take_image(1), 7.0)
    app.run()
    assert app.events.counts["COMPUTE_PAUSED"] == app.events.counts["COMPUTE_RESUMED"] == 1
    states = [d[6] for d in ground.reports(5, 1) if d[:2] == (40).to_bytes(2, "big")]
    assert states[-1] == 5
    first_product_s = next(p.t_ns for p in ground.packets if p.service == 13) / SECOND
    assert first_product_s > 100


def test_an_empty_battery_leads_to_safe_mode_and_back(tmp_path: Path) -> None:
    """Safe mode drops the batch in work, keeps telemetry, telecommands and watchdog, and ends."""
    hal = FakeHal(seconds=120, tiles_per_batch=6)
    hal.cpu.ns_per_unit = 10 * SECOND
    ground = Ground(hal)
    ground.carrier.set(1)
    app = create(hal, tmp_path)
    ground.send(ground.take_image(1), 3.0)
    ground.send(ground.tc(17, 1), 20.0)
    ground.send(ground.take_image(2), 21.0)
    hal.clock.at(8 * SECOND, lambda _: hal.battery.__setitem__(2, 20))
    hal.clock.at(40 * SECOND, lambda _: hal.battery.__setitem__(2, 190))
    app.run()
    assert hal.cpu.ended == 1
    assert app.modes.mode.name == "NOMINAL"
    assert app.modes.changes == 3
    assert len(ground.reports(17, 2)) == 1
    assert [d[4:6] for d in ground.reports(1, 4)] == [b"\x00\x14"]  # WRONG_MODE
    assert app.monitors.kicks >= 118
    assert app.compute.store.totals()["SENT"] == 1
