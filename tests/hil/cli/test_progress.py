"""The progress bar shows the flight on a terminal and stays silent elsewhere."""

from __future__ import annotations

import io

from hil.cli.progress import Progress, line
from hil.session import View

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


def test_a_terminal_is_drawn_on_and_left_clean():
    """The bar rewrites its line, and the line is empty at the end."""
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
