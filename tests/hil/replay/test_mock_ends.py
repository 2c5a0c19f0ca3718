"""A mock whose program does less or more than was recorded is never identical."""

from __future__ import annotations

import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from hil.cli import main
from hil.hosting import SHIM
from hil.options import Options
from hil.replay.flown import flown
from hil.replay.mocking import wall
from hil.replay.mocking.mode import replay
from hil.replay.outcome import MOCK, Replayed, ReplayOptions
from hil.session import fly

ROOT = Path(__file__).resolve().parents[3]

needs_shim = pytest.mark.skipif(
    not (ROOT / "hil" / "faces" / SHIM).is_file(), reason="the preload shim was not built"
)
WRITER = """
import os, tty
fd = os.open("/dev/ttyAMA1", os.O_RDWR | os.O_NOCTTY)
tty.setraw(fd)
os.write(fd, {octets!r})
os._exit(0)
"""
READER = """
import os, tty
fd = os.open("/dev/ttyAMA1", os.O_RDWR | os.O_NOCTTY)
tty.setraw(fd)
left = {count}
while left > 0:
    left -= len(os.read(fd, left))
"""
SLOW = "import termios; w = termios.tcgetattr(fd); w[4] = w[5] = termios.B4800; "
SLOW += "termios.tcsetattr(fd, termios.TCSANOW, w)"
clocks = pytest.mark.parametrize("clock", [(), ("--virtual-time",)], ids=["wall", "virtual"])


def writer(octets: bytes) -> tuple[str, ...]:
    """Return the command of a program that writes to a line and ends while it still leaves."""
    return sys.executable, "-c", WRITER.format(octets=octets)


def recorded(folder: Path, clock: tuple[str, ...], octets: bytes) -> Path:
    """Return the run of a program that writes ``octets``."""
    run = folder / "run"
    assert main(["run", "-q", "--out", str(run), *clock, "--", *writer(octets)]) == 0
    return run


def mocked(run: Path, **options: Any) -> Replayed:
    """Replay a run in mock."""
    with flown(run) as then:
        return replay(then, ReplayOptions(mode=MOCK, **options), print)


@needs_shim
@clocks
def test_what_is_written_last_counts(tmp_path: Path, clock: tuple[str, ...]) -> None:
    """A program that sends more in front of its end, or less, has not done the same."""
    run = recorded(tmp_path, clock, b"x" * 600)
    assert mocked(run).verdict.identical
    for octets in (b"x" * 700, b"x" * 500, b""):
        verdict = mocked(run, program=writer(octets)).verdict
        assert not verdict.identical, octets


@needs_shim
@clocks
def test_another_rate_of_a_line_is_told(tmp_path: Path, clock: tuple[str, ...]) -> None:
    """The same octets at another rate are not the same: they are longer on the line."""
    run = recorded(tmp_path, clock, b"x" * 50)
    slow = [word.replace("os.write", f"{SLOW}; os.write") for word in writer(b"x" * 50)]
    told = mocked(run, program=tuple(slow)).verdict
    assert not told.identical
    assert [change.name for change in told.first.fields] == ["duration_ns"]


@needs_shim
def test_a_computer_shows_of_itself_what_it_showed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Files below /sys read as they were read then; of one that nobody had read it is told."""
    run, file = tmp_path / "run", "/sys/class/thermal/thermal_zone0/temp"
    twice = f"for n in 1 2; do cat {file}; sleep 300; done"
    assert main(["run", "-q", "--out", str(run), "--virtual-time", "--", "sh", "-c", twice]) == 0
    shown = capfd.readouterr().out
    assert len(set(shown.split())) == 2
    again = mocked(run)
    assert capfd.readouterr().out == shown
    assert again.notes == ()
    other = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq"
    assert "1 reads of what" in mocked(run, program=("cat", other)).notes[-1]


@needs_shim
@pytest.mark.skipif(shutil.which("i2cget") is None, reason="i2c-tools are not installed")
def test_another_order_among_buses_is_told(tmp_path: Path) -> None:
    """On the clock of the wall buses are compared one by one; which was asked first is a note."""
    run = tmp_path / "run"
    one, other = "i2cget -f -y 1 0x40 0 w", "i2cget -f -y 7 0x48 0 w"
    both, swapped = (("sh", "-c", f"{a}; {b}; true") for a, b in ((one, other), (other, one)))
    assert main(["run", "-q", "--out", str(run), "--board", "jetson_orin_nano", "--", *both]) == 0
    same, moved = mocked(run), mocked(run, program=swapped)
    assert same.figures["answered"] == moved.figures["answered"] > 1
    assert not any("came behind others" in note for note in same.notes)
    assert any("came behind others" in note for note in moved.notes)


@needs_shim
def test_who_waits_for_more_than_was_recorded_has_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that reads on where the record ends is stopped, and that is told."""
    run = tmp_path / "run"
    once, more = ((sys.executable, "-c", READER.format(count=n)) for n in (60, 10**6))
    assert main(["run", "-q", "--out", str(run), "--pace", "x20", "--", *once]) == 0
    again = mocked(run)
    assert again.figures["exit_code"] == 0
    assert not any("stopped" in note for note in again.notes)
    monkeypatch.setattr(wall, "SILENCE_NS", 10**9)
    longer = mocked(run, program=more)
    assert longer.figures["exit_code"] == 128 + signal.SIGTERM
    assert any("had not ended" in note for note in longer.notes)


@needs_shim
@clocks
def test_who_does_nothing_up_to_a_record_is_missed(tmp_path: Path, clock: tuple[str, ...]) -> None:
    """Where a replay goes up to a record, what a program did not do before it is missing; what it
    does behind it is not looked at."""
    run = recorded(tmp_path, clock, b"x" * 600)
    with flown(run) as then:
        assert then.whole
    part = mocked(run, until=1_000_000, program=("true",)).verdict
    assert not part.identical
    assert part.as_json()["counts"]["/bus/ttyAMA1"]["missing"] > 0


def test_who_stops_asking_before_the_end_of_a_part_is_missed(tmp_path: Path) -> None:
    """Flight software that asks for nothing has not done what was recorded up to a record."""
    run = fly(Options(out=tmp_path / "run", duration_s=20.0, transport="direct")).run_dir
    sleeper = tmp_path / "sleeper.py"
    sleeper.write_text(
        "import sys\n"
        "from flightsw.errors import Shutdown\n"
        "from flightsw.hal.channel import connect\n"
        "with connect(sys.argv[1], name='mine') as hal:\n"
        "    try:\n"
        "        hal.clock.sleep_until(10**18)\n"
        "    except Shutdown:\n"
        "        pass\n"
    )
    program = (sys.executable, str(sleeper), "{endpoint}")
    verdict = mocked(run, until=400, program=program).verdict
    counts = verdict.as_json()["counts"]["/bus/i2c-1"]
    assert not verdict.identical
    assert counts["missing"] == counts["recorded"] > 0
