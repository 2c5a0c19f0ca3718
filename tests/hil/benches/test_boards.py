"""The benchmark of the link to a board: every case runs, and gives figures of what it says."""

from __future__ import annotations

import pytest

from hil.benches import boards as bench
from hil.boards.posix import firmware_path
from hil.errors import HostError

try:
    firmware_path()
except HostError as missing:
    pytest.skip(str(missing), allow_module_level=True)


def test_every_case_gives_a_figure_and_its_floor() -> None:
    """Round trips, bulk and replug give a figure that is above 0, with floor and limit."""
    rows = [
        bench.round_trips(1, 20),
        bench.round_trips_at_rate(1, 2),
        bench.bulk(1, 40),
        bench.replugged(2),
    ]
    assert all(row["ours"] > 0 and row["floor"] > 0 for row in rows)
    assert [row["peer"] is not None for row in rows] == [True, True, False, True]
    assert rows[1]["ours"] > rows[1]["floor"]  # nothing is faster than its line


def test_each_frame_of_the_damaged_stream_is_damaged() -> None:
    """No frame of the stream is good, so that each costs what finding that out costs."""
    assert bench.damaged(1, 500)["ours"] > 0


def test_a_row_has_the_figures_that_programs_read() -> None:
    """A row holds op, ours, unit, floor, peer, its name, and both ratios; what is not, is None."""
    assert bench.row("x", 6.0, "us", None, None) == {
        "op": "x",
        "ours": 6.0,
        "unit": "us",
        "floor": None,
        "peer": None,
        "peer_name": None,
        "ratio_to_floor": None,
        "ratio_to_peer": None,
    }
    assert bench.row("x", 6.0, "us", 3.0, 12.0, "limit")["ratio_to_peer"] == 0.5
