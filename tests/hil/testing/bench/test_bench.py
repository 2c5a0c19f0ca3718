"""The handle that tests hold: time stops where it says, what it waited for is evidence."""

from __future__ import annotations

import pytest

from hil.errors import ExpectationError, TelecommandError, UnknownNameError, UsageError
from hil.testing.bench import Bench, above, between, ms, s


def _tale(rig: Bench) -> str:
    """Do what tests do; return the digest."""
    rig.run_for(3 * s)
    rig.tc.send("ENTER_SAFE")
    rig.part("temp_board").set(temperature_c=41.0)
    rig.tm.expect("thermal.board_cdeg", between(4050, 4150), within=15 * s)
    rig.faults.add("i2c-1:nak,address=0x48,count=2")
    rig.run_for(2500 * ms)
    rig.close()
    return rig.digest


def test_time_stops_where_the_test_says_and_the_transport_plays_no_part():
    """The same test of the same software has one digest, called directly or in a process."""
    with Bench.open() as rig:
        rig.run_for(1234 * ms)
        assert rig.now_ns == 1234 * ms
        direct = _tale(rig)
    with Bench.open(flight="process") as rig:
        rig.run_for(1234 * ms)
        assert rig.now_ns == 1234 * ms
        assert _tale(rig) == direct


def test_flight_software_goes_safe_when_its_chip_reads_too_hot():
    """What the world face says reaches the governor, and the mode that comes of it the ground."""
    with Bench.open() as rig:
        rig.tm.expect("event.BOOT")
        rig.part("temp_chip").set(temperature_c=92.0)
        hot = rig.tm.expect("thermal.chip_cdeg", above(9000), within=30 * s)
        safe = rig.tm.expect("status.mode", "SAFE", within=60 * s)
        assert safe.number > hot.number
        assert rig.part("temp_chip").get("temperature_c") == 92.0
        rig.part("temp_chip").release()
        assert rig.part("temp_chip").get("temperature_c") < 60.0


def test_a_refused_telecommand_gives_stage_and_code():
    """Who sends what cannot be is told where it failed, with which code and value."""
    with Bench.open() as rig:
        with pytest.raises(TelecommandError, match="UNKNOWN_ID") as failed:
            rig.tc.send("DISCARD_JOB", job=77)
        assert (failed.value.stage, failed.value.code) == ("start", "UNKNOWN_ID")
        assert failed.value.detail == 77
        assert isinstance(failed.value, AssertionError)
        with pytest.raises(UnknownNameError, match="ENTER_SAFE"):
            rig.tc.send("ENTER_SAVE")
        with pytest.raises(UnknownNameError, match="lacks job"):
            rig.tc.send("DISCARD_JOB")


def test_a_stale_sample_satisfies_nobody():
    """A value that came before the mark, or was sampled before it, is no evidence for it."""
    with Bench.open() as rig:
        first = rig.tm.expect("power.payload_mv")
        mark = rig.log.mark()
        second = rig.tm.expect("power.payload_mv", since=mark, within=30 * s)
        assert second.number > first.number
        # Stop between the sample and its coming down: the air takes longer than the software.
        sampled_ns = second.entry.sampled_ns
        assert sampled_ns is not None
        assert sampled_ns < second.t_ns
        rig.run_until(sampled_ns + 10 * s + 1 * ms)
        late = rig.log.mark()
        third = rig.tm.expect("power.payload_mv", since=late, within=30 * s)
        assert third.entry.sampled_ns >= late.t_ns
        assert rig.log.stale(late)


def test_a_failure_says_what_was_seen_instead_nearest_first():
    """The text of a failure names the values seen, the nearest first, and the state."""
    with Bench.open() as rig:
        rig.part("temp_board").set(temperature_c=30.0)
        rig.run_for(15 * s)
        rig.part("temp_board").set(temperature_c=50.0)
        rig.run_for(15 * s)
        with pytest.raises(ExpectationError) as failed:
            rig.tm.expect(
                "thermal.board_cdeg",
                above(6000),
                within=1 * s,
                since=rig.log.start,
            )
        lines = str(failed.value).splitlines()
        assert lines[0].startswith("no thermal.board_cdeg above 6000 within 1.0 s")
        at = lines.index("seen instead, nearest first:")
        assert " thermal.board_cdeg 50" in lines[at + 1]
        assert any(" thermal.board_cdeg 30" in line for line in lines[at + 2 :])
        assert any(line.startswith("state: t=31.0 s; flight flightsw up") for line in lines)
        with pytest.raises(UnknownNameError, match=r"power\.payload_mv"):
            rig.tm.expect("power.payload_mw")


def test_time_goes_forward_and_no_further_than_the_run():
    """Who asks for a time that has been or never comes is told what to do."""
    with Bench.open(duration_s=20.0) as rig:
        rig.run_until(20 * s)
        assert rig.over
        with pytest.raises(UsageError, match="longer duration_s"):
            rig.run_for(1 * s)
        with pytest.raises(UsageError, match="past"):
            rig.run_until(1 * s)
