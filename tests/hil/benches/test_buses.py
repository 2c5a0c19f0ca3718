"""The benchmark of the ways to a bus gives a figure for each."""

from __future__ import annotations

from pathlib import Path

import pytest

import hil.faces
from hil.benches import buses
from hil.hosting import SHIM


def test_every_way_gives_a_figure() -> None:
    """A direct call, and a round trip of the same octets, take some time."""
    assert buses.direct_us(100) > 0
    assert buses.echo_us(100) > 0


def test_a_foreign_program_reads_through_the_shim() -> None:
    """The program of the benchmark ends by itself and says what a read has cost."""
    if not (Path(hil.faces.__path__[0]) / SHIM).is_file():
        pytest.skip("the preload shim was not built")
    assert buses.shim_us(100) > 0
