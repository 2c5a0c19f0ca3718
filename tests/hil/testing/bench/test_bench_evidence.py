"""Faults, buses, measurements and captures of the handle that tests hold."""

from __future__ import annotations

import json

import pytest

from flightsw.codec.wire import Kind, Status
from hil.capture.reader import Capture
from hil.cli import main
from hil.errors import (
    ConfigError,
    ExpectationError,
    LimitError,
    RunDirectoryError,
    TelecommandError,
    UnknownNameError,
    UsageError,
)
from hil.testing.bench import Bench, ms, s


def test_a_part_that_does_not_answer_is_missing_until_it_does():
    """A NAK of the address reaches housekeeping as a missing part; without the fault it is back."""
    with Bench.open() as rig:
        rig.run_for(2 * s)
        fault = rig.faults.add("i2c-1:nak,address=0x49")
        missing = rig.tm.expect("event.PART_MISSING", {"role": "TEMP_CHIP"}, within=30 * s)
        assert missing.value["errno"] == 121
        assert fault.hits() > 0
        fault.remove()
        assert rig.faults.active == []
        back = rig.tm.expect("event.PART_BACK", {"role": "TEMP_CHIP"}, within=30 * s)
        assert back.number > missing.number


def test_a_count_is_of_the_transactions_that_the_row_fits():
    """Of three NAKs for one address none is spent on another, and the fourth try is answered."""
    with Bench.open() as rig:
        rig.run_for(2 * s)
        fault = rig.faults.add("i2c-1:nak,address=0x48,count=3")
        mark = rig.log.mark()
        bus = rig.bus("i2c-1")
        good = bus.expect(address=0x48, status=Status.OK, since=mark)
        bad = [one for one in bus.seen(mark) if one.values["status"] == Status.NAK_ADDRESS]
        assert [one.values["address"] for one in bad] == [0x48] * 3
        assert fault.hits() == 3
        assert all(one.number < good.number for one in bad)
        with pytest.raises(ConfigError, match="not a fault"):
            rig.faults.add("i2c-1:flood")
        with pytest.raises(UnknownNameError, match="did you mean 'i2c-1'"):
            rig.faults.add("i2c1:nak")
        with pytest.raises(UnknownNameError, match="say i2c-1:nak_address,address=0x49"):
            rig.faults.add("temp_chip:nak")


def test_times_of_a_fault_count_from_now():
    """A row that begins in a second and lasts one breaks what lies there and nothing else."""
    with Bench.open() as rig:
        rig.run_for(3500 * ms)
        rig.faults.add("i2c-1:nak,address=0x48,from=1,until=2")
        mark = rig.log.mark()
        rig.run_for(4 * s)
        seen = [one for one in rig.bus("i2c-1").seen(mark) if one.values["address"] == 0x48]
        bad = [one.t_ns for one in seen if one.values["status"]]
        assert bad
        assert all(4500 * ms <= t_ns < 5500 * ms for t_ns in bad)
        assert any(one.t_ns >= 5500 * ms and not one.values["status"] for one in seen)


def test_a_bus_shows_what_went_over_it_where_nothing_fits():
    """Who waits in vain for a transaction is shown the last ones, decoded."""
    with Bench.open() as rig:
        rig.run_for(1 * s)
        read = rig.bus("i2c-1").expect({"temp_chip.temperature_c": lambda c: -60 < c < 60})
        assert read.values["address"] == 0x49
        with pytest.raises(ExpectationError, match="register TEMP_RESULT") as failed:
            rig.bus("i2c-1").expect(address=0x50, within=2 * s)
        assert "no transaction on i2c-1 with address equal to 80 within 2.0 s" in str(failed.value)
        with pytest.raises(UnknownNameError, match="did you mean 'i2c-1'"):
            rig.bus("i2c1")


def test_a_killed_computer_is_lost_and_boots_again():
    """A kill is an event of the bench, and what comes after it a boot with the next number."""
    with Bench.open() as rig:
        rig.tm.expect("event.BOOT")
        rig.faults.kill(after_ns=1 * s)
        lost = rig.tm.expect("bench.UUT_LOST", within=2 * s)
        assert lost.t_ns == rig.log.acted.t_ns + 1 * s
        boot = rig.tm.expect("event.BOOT", within=300 * s)
        assert boot.value["boot_count"] == 2


def test_a_value_that_stays_away_is_none_that_comes():
    """``never`` lets its time pass, and stops at the first value that was to stay away."""
    with Bench.open() as rig:
        rig.run_for(2 * s)
        rig.tm.never("status.mode", "SAFE", for_=12 * s)
        assert rig.now_ns == 14 * s
        rig.tc.send("ENTER_SAFE", verify=False)
        with pytest.raises(ExpectationError, match=r"status\.mode equal to 'SAFE'"):
            rig.tm.never("status.mode", "SAFE", for_=60 * s)
        assert rig.now_ns < 74 * s


def test_a_measurement_is_kept_asserted_and_returned(tmp_path):
    """A value within its limits comes back and is in what is kept; another one fails by name."""
    with Bench.open(duration_s=60.0, test="tests/test_mine.py::test_it") as rig:
        rig.run_for(1 * s)
        assert rig.measure("boot", 0.6, "s", limit=(0, 2)).is_good
        with pytest.raises(LimitError, match=r"ripple = 3 mV \(ripple <= 2 mV\)"):
            rig.measure("ripple", 3, "mV", limit=(None, 2))
    kept = rig.keep(tmp_path / "kept")
    told = json.loads((kept / "run.json").read_text())
    assert [one["name"] for one in told["measurements"]] == ["boot", "ripple"]
    assert told["digest"] == rig.digest
    assert '"MEASURE"' in (kept / "events.jsonl").read_text()


def test_a_capture_tells_what_the_test_did(tmp_path, capsys):
    """Acts of a test are records of source ``test``; the software alone replays from them."""
    kept = tmp_path / "kept"
    with Bench.open(duration_s=60.0, capture=kept, test="test_mine.py::test_it") as rig:
        rig.run_for(2 * s)
        rig.part("temp_chip").set(temperature_c=50.0)
        rig.tc.send("ENTER_SAFE")
        rig.faults.add("i2c-1:nak,address=0x48,count=1")
        rig.run_until(20 * s)  # at which the software reads a part
    with Capture(kept / "capture.mcap") as capture:
        assert capture.metadata["flatsat"]["test"] == "test_mine.py::test_it"
        said = [json.loads(r.payload) for r in capture.records() if r.kind == Kind.EVENT]
    acts = [one["name"] for one in said if one["source"] == "test"]
    assert acts == ["SET", "SEND", "FAULT_ADDED"]
    assert main(["replay", str(kept), "--mode", "mock"]) == 0
    assert main(["replay", str(kept), "--mode", "re-execute"]) == 2
    assert "test_mine.py::test_it" in capsys.readouterr().err
    assert main(["diff", str(kept), str(kept)]) == 0


def test_what_a_function_of_ones_own_flew_is_answered_by_nobody_else(tmp_path, capsys):
    """The flight software of the package is not held against records of other code."""

    def fly(hal):
        hal.clock.sleep_until(1 * s)

    with Bench.open(duration_s=60.0, flight=fly, capture=tmp_path / "kept") as rig:
        rig.run_for(2 * s)
    assert main(["replay", str(tmp_path / "kept")]) == 2
    told = capsys.readouterr().err
    assert "a test flew" in told
    assert "hil tap" in told


def test_a_time_whose_unit_was_forgotten_is_shown_as_the_nanoseconds_that_it_is():
    """``within=20`` does not read as no time at all."""
    told = pytest.raises(ExpectationError, match=r"status\.mode within 20 ns ")
    with Bench.open(duration_s=60.0) as rig, told:
        rig.tm.expect("status.mode", within=20)


def test_keeping_takes_nothing_away_but_an_older_capture(tmp_path):
    """A folder with something else in it stays as it is; that of an earlier test is replaced."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with Bench.open(duration_s=60.0) as rig:
        rig.run_for(1 * s)
        with pytest.raises(RunDirectoryError, match=r"not empty; .* with --hil-captures, capture="):
            rig.keep(tmp_path / "mine")
        rig.keep(str(tmp_path / "kept"))
        rig.run_for(1 * s)
        kept = rig.keep(tmp_path / "kept")
        told = json.loads((kept / "run.json").read_text())
        (kept / "notes.txt").write_text("mine")
        with pytest.raises(RunDirectoryError, match=r"not empty: notes\.txt lies beside"):
            rig.keep(tmp_path / "kept")
        assert (kept / "capture.mcap").is_file()
    assert told["virtual_s"] == 2.0
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_a_link_that_is_cut_brings_nothing_and_comes_back():
    """Without the umbilical nothing goes up or down; with it the next contact begins."""
    with Bench.open(duration_s=120.0) as rig:
        rig.tm.expect("event.BOOT")
        rig.unplug()
        assert rig.log.entries[-1].name == "ground.CONTACT_END"
        rig.tm.never("status.mode", for_=15 * s)
        with pytest.raises(TelecommandError, match="no contact") as failed:
            rig.tc.send("ENTER_SAFE", within=5 * s)
        assert failed.value.stage == "acceptance"
        with pytest.raises(UsageError, match="unplug"):
            rig.part("ttc").set(locked=1.0)
        rig.plug()
        assert rig.tm.expect("event.PASS_BEGIN", within=20 * s).value["pass_number"] == 2


def test_what_the_dictionary_never_says_is_refused():
    """A word or a value of an event that there is not would stay away forever, and be green."""
    with Bench.open(duration_s=60.0) as rig:
        for wanted, why in (("NOMNAL", "did you mean 'NOMINAL'"), (2, "say 'SAFE', not 2")):
            with pytest.raises(UnknownNameError, match=why):
                rig.tm.never("status.mode", wanted, for_=20 * s)
        with pytest.raises(UnknownNameError, match="did you mean 'boot_count'"):
            rig.tm.never("event.BOOT", {"boot_cout": 1}, for_=20 * s)
        with pytest.raises(UnknownNameError, match="did you mean 'TEMP_CHIP'"):
            rig.tm.expect("event.PART_MISSING", {"role": "TEMP_CHP"})
        assert rig.now_ns == 0
