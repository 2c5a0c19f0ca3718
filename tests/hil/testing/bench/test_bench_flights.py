"""Who flies on the bench that a test holds: a function, a process, one from outside, a board."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from hil.errors import ParticipantError, UsageError
from hil.testing.bench import Bench, BenchOptions, ms, s
from hil.testing.bench.turns import Turns

LAB = """schema = 1

[[instance]]
id = "bench-posix"
type = "posix"
emulate = "posix"
"""


def voltage_is_good(rig: Bench) -> None:
    """Check what a user would, whatever is real."""
    rig.tm.expect("event.BOOT")
    rig.tm.expect("power.payload_mv", lambda mv: 4500 <= mv <= 5500, within=15 * s)


def sampler(hal: Any) -> None:
    """Read a thermometer at 2 Hz and say on CAN what it reads, as flight software of a user."""
    while True:
        hal.clock.sleep_until(hal.clock.now_ns() + 500 * ms)
        hal.can("can0").send(0x123, hal.i2c("i2c-1").transfer(0x48, b"\0", 2))


def _sampled(flight: Any) -> tuple[str, list[int]]:
    """Fly a sampler; return the digest, and the raw readings that it sent."""
    with Bench.open(flight=flight, duration_s=60.0) as rig:
        rig.part("temp_board").set(temperature_c=20.0)
        rig.run_for(2200 * ms)
        rig.part("temp_board").set(temperature_c=30.0)
        rig.bus("can0").expect(
            lambda one: one.values["address"] == 0x123 and one.t_ns > 4 * s, within=10 * s
        )
        sent = [one for one in rig.bus("can0").seen() if one.values["address"] == 0x123]
        raw = [int.from_bytes(one.payload, "big") for one in sent]
    return rig.digest, raw


def test_a_function_flies_in_step():
    """A function of the user has the buses in virtual time; each run of it is the same."""
    digest, raw = _sampled(sampler)
    assert {20 * 128, 30 * 128} <= set(raw)
    assert len(raw) >= 8
    assert _sampled(sampler)[0] == digest


def test_a_function_is_named_by_its_module(tmp_path, monkeypatch):
    """``package.module:function`` flies as the function does; what is not there is told."""
    (tmp_path / "payload_of_a_user.py").write_text(
        "def fly(hal):\n    hal.can('can0').send(0x7, b'up')\n    hal.clock.sleep_until(10**9)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with Bench.open(flight="payload_of_a_user:fly", duration_s=60.0) as rig:
        rig.bus("can0").expect(address=0x7)
        rig.run_for(5 * s)
        assert rig.now_ns >= 5 * s
    with pytest.raises(UsageError, match="no function 'flee' there; it has fly"):
        Bench.open(flight="payload_of_a_user:flee")
    with pytest.raises(UsageError, match="flightsw, none, process, remote"):
        Bench.open(flight="somebody")


def test_what_flies_may_fail_where_the_test_waits():
    """An error of a flight function is raised in the test, with its own words."""

    def broken(hal: Any) -> None:
        hal.clock.sleep_until(2 * s)
        raise ZeroDivisionError("my filter has no taps")

    with Bench.open(flight=broken, duration_s=60.0) as rig:
        rig.run_for(1 * s)
        with pytest.raises(ZeroDivisionError, match="my filter has no taps"):
            rig.run_for(5 * s)
        # Nothing is green behind it because no time passes any more.
        with pytest.raises(UsageError, match=r"stands at 2.0 s: .* ZeroDivisionError: my filter"):
            rig.run_for(5 * s)
        with pytest.raises(UsageError, match="open another bench"):
            rig.bus("i2c-1").never(address=0x50, for_=5 * s)


def test_a_loop_that_catches_everything_ends_with_the_bench():
    """Flight code whose loop has ``except Exception`` can be killed, and holds up no end."""
    beats: list[Exception] = []

    def stubborn(hal: Any) -> None:
        while True:
            try:
                hal.clock.sleep_until(hal.clock.now_ns() + 1 * s)
                hal.i2c("i2c-1").transfer(0x48, b"\0", 2)
            except Exception as error:  # noqa: BLE001 - what this is about
                beats.append(error)

    with Bench.open(flight=stubborn, duration_s=60.0) as rig:
        rig.run_for(3500 * ms)
        assert not beats
        rig.faults.kill(after_ns=1 * s)
        rig.tm.expect("bench.UUT_LOST", within=2 * s)
        rig.run_for(2 * s)
        assert rig.now_ns == 6500 * ms
    assert beats


def test_one_from_outside_is_flown_with_keys(tmp_path):
    """Flight software that connects over tcp with its key flies as one that is called directly."""
    with Bench.open() as rig:
        voltage_is_good(rig)
        rig.run_for(1 * s)
    direct = rig.digest
    with Bench.open(flight="remote") as rig:
        assert rig.endpoint.startswith("tcp://127.0.0.1:")
        assert rig.kind == f"remote: {rig.endpoint}"
        assert rig.keys is not None
        words = ["--bench", rig.endpoint, "--keys", str(rig.keys / "client.key")]
        words += ["--storage", str(tmp_path / "payload")]
        with subprocess.Popen([sys.executable, "-m", "flightsw", *words]) as process:
            voltage_is_good(rig)
            rig.run_for(1 * s)
            rig.close()
            assert process.wait(60) == 0
    assert rig.digest == direct


def test_nobody_from_outside_is_told_how_to_come():
    """Where nobody connects in time, the error has the words that connect."""
    with (
        Bench.open(flight="remote", wall_limit_s=0.2) as rig,
        pytest.raises(ParticipantError, match="nobody has connected within"),
    ):
        rig.run_for(1 * s)


def test_the_same_test_passes_with_a_part_behind_a_board(tmp_path):
    """A bound part is read on a board at the pace of the wall, and the bench says so."""
    (tmp_path / "lab.toml").write_text(LAB)
    bind = ("power_monitor=bench-posix",)
    with Bench.open(bind=bind, lab=tmp_path / "lab.toml", duration_s=60.0) as rig:
        voltage_is_good(rig)
        assert rig.kind == "board: power_monitor=bench-posix"
        with pytest.raises(UsageError, match="is real here"):
            rig.part("power_monitor").set(bus1_v=3.3)
        board = rig.bus("i2c-1").expect(address=0x40, flags=lambda flags: flags & 0x80)
        assert board.values["status"] == 0


def test_a_bench_that_was_interrupted_ends():
    """Who interrupts a wait for a bench that never hands back can still end it."""
    main = threading.main_thread().ident
    assert main is not None
    beats = []

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    def body() -> None:
        signal.pthread_kill(main, signal.SIGUSR1)
        while True:
            beats.append(None)
            beats.clear()

    turns = Turns(body)
    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            turns.turn()
    finally:
        signal.signal(signal.SIGUSR1, before)
    with pytest.raises(ParticipantError, match="interrupted"):
        turns.turn()
    turns.end()
    assert turns.over


def test_ends_leave_nothing_behind():
    """A closed bench has no folder and no thread, whether it has run or not."""
    folders: list[Path] = []
    for runs in (False, True):
        with Bench.open(duration_s=60.0) as rig:
            folders.append(rig.storage)
            if runs:
                rig.run_for(1 * s)
    assert not any(folder.parent.exists() for folder in folders)
    assert not [one for one in threading.enumerate() if one.name == "hil-bench"]
    with pytest.raises(UsageError, match="closed"):
        rig.run_for(1 * s)


def test_a_bench_that_never_ran_ends_at_once():
    """Nobody is waited for at the end of a bench whose time never passed."""
    with Bench.open(flight="remote", wall_limit_s=1e6) as rig:
        assert rig.endpoint
    assert rig.emulation.stream.count < 10


def test_time_does_not_pass_within_itself():
    """A function that looks at values and waits for more is told that it cannot."""
    with (
        Bench.open(duration_s=60.0) as rig,
        pytest.raises(UsageError, match="time cannot pass within itself"),
    ):
        rig.tm.expect("status.mode", lambda mode: rig.run_for(1 * s), within=20 * s)
    with (
        Bench.open(duration_s=60.0, flight="none") as rig,
        pytest.raises(UsageError, match="time cannot pass within itself"),
    ):
        rig.bus("can0").never(lambda frame: rig.run_for(1 * s), for_=20 * s)


def test_boards_of_a_lab_file_set_the_pace(tmp_path):
    """A lab file that binds a part has the bench keep the wall's time; one that has boards not."""
    lab = tmp_path / "lab.toml"
    lab.write_text(LAB)
    assert BenchOptions(lab=lab).paced == "max"
    lab.write_text(LAB + 'parts = {power_monitor = "i2c0"}\n')
    assert BenchOptions(lab=lab).paced == "real"
    assert BenchOptions(lab=lab, pace="x10").paced == "x10"


def test_a_bench_that_is_forgotten_is_noticed():
    """Nobody closes it: a warning says so, and its folder goes all the same."""
    opened = [Bench.open(flight="none", duration_s=60.0)]
    folder = opened[0].storage.parent
    assert folder.exists()

    def forget() -> None:
        opened.clear()
        gc.collect()

    with pytest.warns(ResourceWarning, match="never closed"):
        forget()
    assert not folder.exists()
