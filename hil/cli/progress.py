"""The progress bar of a run: orbit, sunlight, battery, temperature, jobs. Only on a terminal."""

from __future__ import annotations

import os
import shutil
import time
import unicodedata
from typing import Self, TextIO

from hil.outcome import View

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
        # Asked each time: a window may change its size. A full last column makes some wrap.
        self.stream.write("\r\x1b[K" + line(view, terminal_columns(self.stream) - 1))
        self.stream.flush()


class Line:
    """One line of text on a terminal, written over by the next and gone at the end."""

    def __init__(self, stream: TextIO, enabled: bool = True) -> None:
        self.stream, self.enabled = stream, enabled and stream.isatty()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.enabled:
            self.stream.write("\r\x1b[K")
            self.stream.flush()

    def __call__(self, text: str) -> None:
        """Draw a text, cut to the width of the terminal."""
        if self.enabled:
            self.stream.write("\r\x1b[K" + text[: terminal_columns(self.stream) - 1])
            self.stream.flush()


class ByteProgress(Line):
    """The bar of a file that is read: octets done, of how many, how fast."""

    def __init__(self, stream: TextIO, total: int | None, enabled: bool = True) -> None:
        super().__init__(stream, enabled)
        self.total = total
        self._start_s = time.monotonic()
        self._next_s = 0.0

    def read(self, done: int) -> None:
        """Draw, if it is time to, that so many octets were read."""
        now_s = time.monotonic()
        if not self.enabled or now_s < self._next_s:
            return
        self._next_s = now_s + INTERVAL_S
        rate = done / max(now_s - self._start_s, 1e-9) / 1e6
        text = f"{done / 1e6:,.1f} MB  {rate:,.0f} MB/s"
        if self.total:
            share = min(1.0, done / self.total)
            full = round(share * WIDTH)
            text = f"{'█' * full}{'·' * (WIDTH - full)} {share:4.0%}  {text}"
        self(text)


class TimeProgress(Line):
    """The bar of a run that is taken once more: how far in its time, of how long."""

    def __init__(self, stream: TextIO, what: str, total_s: float | None, enabled: bool) -> None:
        super().__init__(stream, enabled)
        self.what, self.total_s = what, total_s
        self._next_s = 0.0

    def at(self, t_ns: int) -> None:
        """Draw, if it is time to, that it has come to a time."""
        now_s = time.monotonic()
        if not self.enabled or now_s < self._next_s:
            return
        self._next_s = now_s + INTERVAL_S
        text = f"{self.what}  {t_ns / 1e9:,.0f} s"
        if self.total_s:
            share = min(1.0, t_ns / 1e9 / self.total_s)
            full = round(share * WIDTH)
            text = (
                f"{'█' * full}{'·' * (WIDTH - full)} {share:4.0%}  {text} of {self.total_s:,.0f} s"
            )
        self(text)


def terminal_columns(stream: TextIO) -> int:
    """Return how wide the terminal behind a stream is; stdout may be a file meanwhile."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):  # no terminal, or no descriptor
        columns = 0
    return columns or shutil.get_terminal_size().columns


def columns_of(text: str) -> int:
    """Return how many columns of a terminal a text takes: wide characters take two."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def line(view: View, columns: int = 1000) -> str:
    """Return the bar as text of at most ``columns``, without the last fields if it is too long."""
    done = min(1.0, view.done)
    bar = "█" * round(done * WIDTH) + "·" * (WIDTH - round(done * WIDTH))
    sky = "sun " if view.illumination > 0.99 else "dark" if view.illumination < 0.01 else "dusk"
    parts = [
        f"{bar} {done:4.0%}",
        f"orbit {view.orbit_phase * 360:3.0f}°",
        sky,
        f"{view.battery_v:5.2f} V {view.battery_soc:4.0%}",
        f"{view.chip_c:4.1f} °C",
        f"jobs {view.jobs_done}/{view.jobs}",
        f"{view.real_time_factor:4.0f}x",
    ]
    if view.station:
        parts.append(f"⇅ {view.station}")
    while len(parts) > 1 and columns_of("  ".join(parts)) > columns:
        parts.pop()
    text = "  ".join(parts)
    return text if columns_of(text) <= columns else f"{done:4.0%}"[: max(0, columns)]
