"""Flights in which real boards took part are answered from their record, without the boards."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil.cli import main
from hil.replay.flown import flown
from tests.hil.boards.flying import Flown


@pytest.mark.parametrize(
    "bind",
    [("power_monitor=bench",), ("flash=bench", "imu=bench"), ("i2c-1=bench",)],
    ids=["part", "two-buses", "bus"],
)
def test_a_flight_with_a_board_flies_again_without_it(
    tmp_path: Path, bind: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """What a board answered, when it answered it, is answered again; mock is the mode for that."""
    flight = Flown(tmp_path, bind=bind, duration_s=2.0)
    run = flight.fly().run_dir
    with flown(run) as recorded:
        assert not recorded.repeatable
    assert main(["replay", str(run), "-q"]) == 0, capsys.readouterr().out
    assert capsys.readouterr().out.startswith("identical")


def test_a_board_pulled_in_flight_is_missing_at_the_same_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the plug on nobody answers, and from the replug on the board, as then."""
    flight = Flown(tmp_path, bind=("power_monitor=bench",), duration_s=3.0)
    flight.at(0.8, lambda boards: boards.sources.unplug("bench"))
    flight.at(1.8, lambda boards: boards.sources.replug("bench"))
    run = flight.fly().run_dir
    assert {status for _, status, _ in flight.power()} == {0, 1}
    assert main(["replay", str(run), "-q"]) == 0, capsys.readouterr().out
