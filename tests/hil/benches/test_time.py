"""The benchmark of lock-step: every case runs and gives a figure."""

from __future__ import annotations

import pytest

from flightsw.hal.bench import DirectHal
from flightsw.hal.exercise import run
from hil.benches import time as bench


@pytest.mark.parametrize("loop", ["imu-and-control", "windowed"])
def test_the_direct_case_does_all_its_transactions(loop: str) -> None:
    """A second of the direct case has 110 transactions on the bus, set-up aside."""
    exchange, stream = bench.build(2.0)
    run(DirectHal(bench.DirectPort(exchange, exchange.join("x"))), loop)
    stream.flush()
    assert 2 * bench.TRANSACTIONS_HZ - 12 <= stream.count - 4 <= 2 * bench.TRANSACTIONS_HZ


@pytest.mark.parametrize("transport", ["seqpacket", "ipc"])
def test_every_case_of_two_processes_ends_well(transport: str) -> None:
    """Each case of a transport runs to its end and gives a speed."""
    for loop in ("imu-and-control+lazy", "windowed"):
        assert bench.two(transport, loop, 1.0) > 0
    assert bench.barrier(transport, 3, 20) > 0
    assert bench.round_trip_s(transport, 10) > 0


def test_floors_and_peers_are_measured() -> None:
    """The bare bus and the bare pipe give speeds of their own."""
    assert bench.bus_alone(1.0) > 0
    assert bench.in_multiprocessing(10) > 0


def test_a_row_has_the_figures_that_programs_read() -> None:
    """A row holds op, ours, unit, floor, peer, its name, and both ratios."""
    row = bench.row("x", 6.0, 3.0, None)
    assert row == {
        "op": "x",
        "ours": 6.0,
        "unit": "x real time",
        "floor": 3.0,
        "peer": None,
        "peer_name": None,
        "ratio_to_floor": 2.0,
        "ratio_to_peer": None,
    }
    assert bench.row("x", 6.0, 3.0, 12.0)["ratio_to_peer"] == 0.5
