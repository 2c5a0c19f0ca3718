"""A run flown step by step is the run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hil.board import load_board
from hil.digest import RecordStream
from hil.errors import UsageError
from hil.faults.plan import read_plan
from hil.missions import load as load_mission
from hil.options import Options
from hil.replay.stepped import Course, Stepped
from hil.session import fly

SHORT = Options(transport="direct", inference="threshold", duration_s=110.0, faults=("kill@12.3",))


def course(options=SHORT):
    board, mission = load_board(options.board), load_mission(options.mission)
    return Course(options, board, mission, read_plan(options.faults))


@pytest.fixture(scope="module")
def flown(tmp_path_factory):
    """The run as a session flies it."""
    return fly(replace(SHORT, out=tmp_path_factory.mktemp("flown") / "run"))


def test_steps_make_the_run(flown, tmp_path):
    """Steps, through a kill, a watchdog reset and a boot, give the digest of the whole run."""
    octets = bytearray()
    stepped = Stepped(course(), tmp_path, RecordStream(octets.extend))
    starts = 0
    while stepped.step():
        starts = max(starts, stepped.supervisor.starts)
    stepped.finish()
    assert starts == 2
    assert stepped.over
    assert stepped.rig.stream.count == flown.records
    assert stepped.rig.stream.hexdigest() == flown.digest
    assert len(octets) > flown.records * 32


def test_it_stops_between_steps_at_a_record_or_a_time(flown, tmp_path):
    """Going to a record stops as soon as it was made, to a time once that has come; then on."""
    stepped = Stepped(course(), tmp_path)
    for seq in (0, 40, 300, flown.records - 1):
        assert stepped.run_to_seq(seq)
        assert stepped.seq > seq
        before = stepped.seq
        assert stepped.run_to_seq(seq)
        assert stepped.seq == before, "a record that was made needs no step"
    assert not stepped.run_to_seq(flown.records)
    assert stepped.rig.stream.hexdigest() == flown.digest
    again = Stepped(course(), tmp_path / "again")
    assert again.run_to_ns(20_000_000_000)
    assert 20_000_000_000 <= again.now_ns < 20_200_000_000
    again.run()
    assert again.rig.stream.hexdigest() == flown.digest


def test_a_kill_after_the_end_is_refused(tmp_path):
    """A fault plan that kills after the end of the run is told so before anything flies."""
    with pytest.raises(UsageError, match="the run ends at 110 s"):
        Stepped(course(replace(SHORT, faults=("kill@111",))), tmp_path)
