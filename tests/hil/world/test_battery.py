"""The battery: its curve, its limits, its bookkeeping."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.world.battery import Battery

CURVE_V = (16.26, 15.51, 14.69, 14.07, 12.30)


def battery(soc: float = 0.5) -> Battery:
    """Return a battery like that of BUPT-1."""
    return Battery(CURVE_V, 230.0 * 3600.0, 0.05, 16.29, soc)


@pytest.mark.parametrize(
    ("used", "volts"), list(zip((0.0, 0.25, 0.5, 0.75, 1.0), CURVE_V, strict=True))
)
def test_open_circuit_voltage_goes_through_the_published_points(used: float, volts: float) -> None:
    """At each fifth of the curve the voltage is the published one."""
    assert battery(1.0 - used).open_circuit_v() == pytest.approx(volts, abs=1e-12)


def test_a_slow_full_discharge_gives_the_stated_energy() -> None:
    """From full to empty at a small power the terminals give 230 Wh less the resistive loss."""
    full, energy_j, heat_j = battery(1.0), 0.0, 0.0
    while full.soc > 0.0:
        energy_j -= full.load(-20.0) * 10.0
        heat_j += full.current_a * full.current_a * full.resistance_ohm * 10.0
        full.advance(10.0)
    assert energy_j + heat_j == pytest.approx(230.0 * 3600.0, rel=1e-3)


@given(soc=st.floats(0.001, 1.0), load_w=st.floats(0.1, 200.0))
def test_discharge_lowers_voltage_and_charge(soc: float, load_w: float) -> None:
    """Under any load the voltage falls below open circuit and the charge falls."""
    pack = battery(soc)
    given_w = -pack.load(-load_w)
    assert given_w == pytest.approx(load_w, rel=1e-9)
    assert pack.voltage_v < pack.open_circuit_v()
    pack.advance(1.0)
    assert pack.soc < soc


@given(soc=st.floats(0.0, 1.0), offered_w=st.floats(0.0, 500.0))
def test_charging_keeps_to_its_limit(soc: float, offered_w: float) -> None:
    """However much is offered, the voltage stays at the limit and the charge within full."""
    pack = battery(soc)
    taken_w = pack.load(offered_w)
    # Watts near the smallest float have no 12 digits left.
    assert 0.0 <= taken_w <= offered_w * (1.0 + 1e-12) + 1e-300
    assert pack.voltage_v <= 16.29 + 1e-9
    pack.advance(1.0)
    assert soc <= pack.soc <= 1.0


def test_a_full_battery_takes_nothing_and_an_empty_one_gives_nothing() -> None:
    """At the ends of the curve no charge moves further."""
    assert battery(1.0).load(50.0) == 0.0
    assert battery(0.0).load(-50.0) == 0.0


def test_more_than_the_greatest_power_collapses_the_voltage() -> None:
    """Asked for more than it can ever give, the battery gives its maximum at half its voltage."""
    pack = battery(0.5)
    given_w = -pack.load(-1e6)
    assert pack.voltage_v == pytest.approx(pack.open_circuit_v() / 2.0)
    assert given_w == pytest.approx(14.69**2 / 4.0 / 0.05)


@given(loads_w=st.lists(st.floats(0.01, 60.0), min_size=2, max_size=40), soc=st.floats(0.4, 1.0))
def test_charge_only_falls_in_the_dark(loads_w: list[float], soc: float) -> None:
    """With any loads and no sun the state of charge is strictly falling."""
    pack, last = battery(soc), soc
    for load_w in loads_w:
        pack.load(-load_w)
        pack.advance(10.0)
        assert pack.soc < last
        last = pack.soc
