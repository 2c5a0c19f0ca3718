"""The progress bar of a run: orbit, sunlight, battery, temperature, jobs. Only on a terminal."""

from __future__ import annotations

import time
from typing import TextIO

from hil.session import View

INTERVAL_S = 0.1
WIDTH = 24


class Progress:
    """Draws one line, at most ten times a second of wall time, however often it is called."""

    def __init__(self, stream: TextIO, enabled: bool = True) -> None:
        self.stream = stream
        self.enabled = enabled and stream.isatty()
        self._next_s = 0.0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.enabled:
            self.stream.write("\r\x1b[K")
            self.stream.flush()

    def __call__(self, view: View) -> None:
        """Draw the view if it is time to."""
        if not self.enabled:
            return
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + INTERVAL_S
        self.stream.write("\r\x1b[K" + line(view))
        self.stream.flush()


def line(view: View) -> str:
    """Return the bar as text."""
    done = min(1.0, view.done)
    bar = "█" * round(done * WIDTH) + "·" * (WIDTH - round(done * WIDTH))
    sky = "sun " if view.illumination > 0.99 else "dark" if view.illumination < 0.01 else "dusk"
    contact = f"  ⇅ {view.station}" if view.station else ""
    parts = (
        f"{bar} {done:4.0%}",
        f"orbit {view.orbit_phase * 360:3.0f}°",
        sky,
        f"{view.battery_v:5.2f} V {view.battery_soc:4.0%}",
        f"{view.chip_c:4.1f} °C",
        f"jobs {view.jobs_done}/{view.jobs}",
        f"{view.real_time_factor:4.0f}x{contact}",
    )
    return "  ".join(parts)
