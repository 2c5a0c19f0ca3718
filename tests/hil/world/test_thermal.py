"""Heat: the model's own laws, and the stress runs of the satellite."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.missions import load
from hil.world import stress
from hil.world.thermal import Thermal, ThermalParameters

CONSTANTS = ThermalParameters(291.0, 15.0, 591.0, 1.27, 7.0, 5.0, 600.0)
MISSION = load("tiansuan_bupt1")


@pytest.mark.parametrize("cores", [1, 2, 3, 4])
def test_stress_runs_reach_the_published_maxima(cores: int) -> None:
    """180 min with 1 to 4 busy cores end within 3 K of the maxima measured in orbit."""
    result = stress.run(MISSION, cores)
    assert result.max_chip_c == pytest.approx(stress.PUBLISHED_MAX_C[cores - 1], abs=3.0)
    assert result.mean_power_w == pytest.approx(stress.PUBLISHED_MEAN_W[cores - 1], rel=0.02)


@pytest.mark.parametrize("cores", [3, 4])
def test_throttling_begins_between_75_and_76_5(cores: int) -> None:
    """With 3 and 4 busy cores the clock first falls between 75 and 76.5 degC."""
    result = stress.run(MISSION, cores)
    assert result.onset_c is not None
    assert 75.0 <= result.onset_c <= 76.5
    assert result.lowest_clock_hz < 1800e6


@pytest.mark.parametrize("cores", [1, 2])
def test_light_load_never_throttles(cores: int) -> None:
    """With 1 and 2 busy cores the clock stays full, as it did in orbit."""
    assert stress.run(MISSION, cores).onset_c is None


def test_the_stress_table_names_every_run() -> None:
    """The printed table has a line for each number of cores."""
    lines = stress.table(MISSION).splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["1", "2", "3", "4"]


@given(
    powers_w=st.lists(st.floats(0.0, 8.0), min_size=1, max_size=30),
    lights=st.lists(st.floats(0.0, 1.0), min_size=30, max_size=30),
)
def test_temperature_is_bounded_by_steady_states(
    powers_w: list[float], lights: list[float]
) -> None:
    """From cold, no history of power and light goes past the steady state of its extremes."""
    model = Thermal(CONSTANTS, 0.0)
    hottest = 7.0 + max(powers_w) * 16.27
    for power_w, light in zip(powers_w, lights, strict=False):
        for _ in range(60):
            model.advance(power_w, light, 1.0)
            assert 5.0 - 1e-9 <= model.environment_c <= model.board_c <= model.chip_c + 1e-9
            assert model.chip_c <= hottest + 1e-9


def test_steady_state_is_environment_plus_resistance_times_power() -> None:
    """After ten time constants the chip stands at environment + R P."""
    model = Thermal(CONSTANTS, 1.0)
    for _ in range(6000):
        model.advance(4.0, 1.0, 1.0)
    assert model.chip_c == pytest.approx(7.0 + 4.0 * 16.27, abs=0.01)
    assert model.board_c == pytest.approx(7.0 + 4.0 * 1.27, abs=0.01)


def test_without_power_the_chip_cools_to_its_environment() -> None:
    """Switched off, the chip ends at the environment, whatever it was."""
    model = Thermal(CONSTANTS, 0.0)
    model.preheat(80.0)
    for _ in range(6000):
        model.advance(0.0, 0.0, 1.0)
    assert model.chip_c == pytest.approx(5.0, abs=0.01)


def test_euler_at_one_second_is_near_the_exact_solution() -> None:
    """A step response at 1 s steps stays within 0.1 K of the exponential solution."""
    import math

    model, worst = Thermal(CONSTANTS, 0.0), 0.0
    for second in range(1, 3000):
        model.advance(4.0, 0.0, 1.0)
        exact = 5.0 + 60.0 * (1.0 - math.exp(-second / 291.0))
        exact += 5.08 * (1.0 - math.exp(-second / 591.0))
        worst = max(worst, abs(model.chip_c - exact))
    assert worst < 0.1
