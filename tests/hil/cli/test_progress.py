"""The progress bar shows the flight on a terminal and stays silent elsewhere."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import termios
from dataclasses import replace

import pytest

from hil.cli.progress import Progress, TimeProgress, columns_of, line, terminal_columns
from hil.outcome import View

VIEW = View(
    done=0.5,
    orbit_phase=0.25,
    illumination=0.0,
    battery_v=15.5,
    battery_soc=0.84,
    chip_c=46.2,
    jobs=12,
    jobs_done=3,
    station="troll",
    real_time_factor=240.0,
)


class Terminal(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self):
        """Be one."""
        return True


def test_the_line_holds_phase_light_battery_temperature_and_jobs():
    """Everything that a person at the bench wants to see stands in one line."""
    text = line(VIEW)
    for part in ("50%", "90°", "dark", "15.50 V", "84%", "46.2 °C", "jobs 3/12", "240x", "troll"):
        assert part in text
    assert "\n" not in text


@pytest.mark.parametrize("columns", [0, 3, 10, 30, 40, 60, 79, 80, 120])
@pytest.mark.parametrize("station", ["", "svalbard and another long name", "三亞三亞三亞三亞"])
def test_the_line_never_wraps(columns, station):
    """However narrow the terminal, the line fits; what goes are whole fields from the right."""
    view = replace(VIEW, station=station)
    text = line(view, columns)
    assert columns_of(text) <= columns
    assert columns < 40 or (line(view).startswith(text) and "50%" in text)


def test_the_bar_asks_how_wide_the_terminal_is(monkeypatch):
    """What is drawn leaves the last column free, where some terminals wrap."""
    monkeypatch.setenv("COLUMNS", "50")
    stream = Terminal()
    Progress(stream)(VIEW)
    drawn = stream.getvalue().removeprefix("\r\x1b[K")
    assert 0 < columns_of(drawn) < 50


def test_the_terminal_that_is_drawn_on_is_the_one_measured(monkeypatch):
    """With stdout in a file the width is that of the terminal on stderr."""
    main, side = pty.openpty()
    with os.fdopen(side, "w") as stream, os.fdopen(main, "rb"):
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 43, 0, 0))
        monkeypatch.setenv("COLUMNS", "99")
        assert terminal_columns(stream) == 43


def test_wide_characters_count_twice():
    """A name in Chinese takes two columns a character, a combining accent none."""
    assert columns_of("三亞") == 4
    assert columns_of("e\u0301") == 1


def test_a_terminal_is_drawn_on_and_left_clean(monkeypatch):
    """The bar rewrites its line, and the line is empty at the end."""
    monkeypatch.setenv("COLUMNS", "120")
    stream = Terminal()
    with Progress(stream) as progress:
        progress(VIEW)
    assert "jobs 3/12" in stream.getvalue()
    assert stream.getvalue().endswith("\r\x1b[K")


def test_a_pipe_gets_nothing():
    """What is not a terminal gets no bar at all."""
    stream = io.StringIO()
    with Progress(stream) as progress:
        progress(VIEW)
    assert stream.getvalue() == ""


def test_a_run_taken_once_more_is_drawn_on_a_terminal_alone(monkeypatch):
    """The bar says how far it has come in the time of the run; a pipe gets nothing."""
    monkeypatch.setenv("COLUMNS", "120")
    for stream, told in ((Terminal(), " 25%  replayed  20 s of 80 s"), (io.StringIO(), "")):
        with TimeProgress(stream, "replayed", 80.0, enabled=True) as bar:
            bar.at(20_000_000_000)
        assert told in stream.getvalue()
        assert bool(stream.getvalue()) is bool(told)
