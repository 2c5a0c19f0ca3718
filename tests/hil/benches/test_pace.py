"""The benchmark of pacing: its loops, its figures and what it refuses."""

from __future__ import annotations

import json
import time
from array import array

import pytest

from hil.benches import pace, pace_loops
from hil.cli import main
from hil.errors import HostError


def test_percentiles_are_those_of_the_rounds() -> None:
    """Of a thousand rounds the second worst is the p99.9; what is early counts as in time."""
    late = array("q", [-40_000, *range(1_000, 999_000, 1_000), 20_000_000])
    found = pace_loops.figures(late, 10_000_000)
    assert found == {
        "rounds": 1000,
        "p50_us": 499.0,
        "p99_us": 989.0,
        "p99.9_us": 998.0,
        "max_us": 20_000.0,
        "overruns": 1,
    }


def test_no_round_is_no_figure() -> None:
    """A loop that never ran says so and is no division by zero."""
    with pytest.raises(HostError, match="no round was run"):
        pace_loops.figures(array("q"), 1)


@pytest.mark.parametrize("kind", sorted(pace_loops.KINDS))
def test_each_loop_runs_its_rounds(kind: str) -> None:
    """Every loop gives figures of all its rounds; the first of a rate group falls to its start."""
    loop = pace_loops.Loop(kind, 5_000_000, 20, time.monotonic_ns(), 0)
    found = pace_loops.KINDS[kind](loop)
    assert found["rounds"] + found.get("skipped", 0) == 20 - (kind == "flight")
    assert found["p50_us"] <= found["p99_us"] <= found["p99.9_us"] <= found["max_us"]
    assert ("told" in found) == (kind == "flight")


def row(op: str, sched: str, scale: float) -> dict[str, object]:
    """Return a row as a run gives it."""
    names = ("p50_us", "p99_us", "p99.9_us", "max_us")
    figures = {name: scale * n for n, name in enumerate(names, 1)}
    ratios = {name.removesuffix("_us"): scale for name in names}
    about = {"rate_hz": 100.0, "minutes": 1.0, "load_before": 0.5, "load_after": 1.0}
    counts = {"overruns": 3, "rounds": 6000, "told": 2}
    return {"op": op, "sched": sched, **figures, **counts, **about, "ratio_to_floor": ratios}


def test_the_table_has_figures_and_ratios() -> None:
    """A line shows each percentile, its ratio to the floor, overruns and what was told of them."""
    text = pace.table([row("clock_nanosleep", "other", 1.0), row("pacer", "other", 2.0)])
    first, head, floor, ours = text.splitlines()
    assert first.startswith("100 Hz for 1 min")
    assert head.split()[:2] == ["loop", "sched"]
    assert "(x" not in floor
    assert " ".join(ours.split()) == "pacer other 2 (x2.0) 4 (x2.0) 6 (x2.0) 8 (x2.0) 3 2 6,000"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["pace", "--minutes", "0"], "--minutes 0"),
        (["pace", "--rate", "5000"], "--rate 5000"),
        (["time", "--fifo"], "hil bench time has no --fifo"),
    ],
)
def test_what_it_cannot_do_is_refused(
    words: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A time or rate that is none, or an option of pace elsewhere, is one line and exit code 2."""
    assert main(["bench", *words]) == 2
    assert named in capsys.readouterr().err


@pytest.mark.soak
def test_ten_seconds_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    """All six loops run side by side to the end, each with its floor."""
    assert main(["bench", "pace", "--json", "--minutes", "0.17", "--fifo"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["sched"] for row in rows] == ["other"] * 3 + ["fifo 10"] * 3
    assert all(row["rounds"] + row.get("skipped", 0) >= 1018 for row in rows)
