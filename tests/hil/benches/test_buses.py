"""The benchmark of the ways to a bus gives a figure for each."""

from __future__ import annotations

from pathlib import Path

import pytest

import hil.faces
from hil.benches import buses, can_pair, flash
from hil.errors import HostError
from hil.faces.supervisor import supervisor_path
from hil.hosting import SHIM


def test_every_way_gives_a_figure() -> None:
    """A direct call, and a round trip of the same octets, take some time."""
    assert buses.direct_us(100) > 0
    assert buses.echo_us(100) > 0


def test_flight_software_reads_over_zeromq() -> None:
    """A session over ipc, and a bare REQ and REP pair on the same transport, take some time."""
    assert buses.session_us("ipc", 100) > 0
    assert buses.request_reply_us(100) > 0


def test_flight_software_that_does_not_start_is_told_of() -> None:
    """A program that ends before it has connected ends the measurement with its exit code."""
    with pytest.raises(HostError, match="ended with code 3"):
        buses.session_us("ipc", 100, "raise SystemExit(3)")


def test_a_foreign_program_reads_through_the_shim() -> None:
    """The program of the benchmark ends by itself and says what a read has cost."""
    if not (Path(hil.faces.__path__[0]) / SHIM).is_file():
        pytest.skip("the preload shim was not built")
    assert buses.foreign_us(100) > 0


def test_a_static_program_reads_through_the_supervisor() -> None:
    """The same program as it would run without a dynamic loader."""
    try:
        supervisor_path()
    except HostError as error:
        pytest.skip(str(error))
    assert buses.foreign_us(100, static=True) > 0


def test_a_frame_through_python_can_costs_something_on_each_way() -> None:
    """Our two ways have a row each, beside a bus of python-can from the same run."""
    pytest.importorskip("can", reason="python-can is not installed")
    found = can_pair.rows(60)
    assert ["in the process" in found[0]["op"], "across the bench" in found[1]["op"]] == [True] * 2
    assert all(row["ratio_to_peer"] == row["ours"] / row["peer"] > 0 for row in found)


def test_flashrom_rewrites_a_flash_for_its_row() -> None:
    """Two images go through the shim, in at least one message a page, and the ratio is theirs."""
    if not (Path(hil.faces.__path__[0]) / SHIM).is_file():
        pytest.skip("the preload shim was not built")
    found = flash.rows(lambda: 10.0)
    if not found:
        pytest.skip("flashrom is not installed")
    (row,) = found
    assert row["floor"] > flash.NBYTES / 256 * 10e-6
    assert row["ratio_to_floor"] == row["ours"] / row["floor"] > 0
