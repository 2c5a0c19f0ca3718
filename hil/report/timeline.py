"""The strip that shows the whole run at a glance: sunlight, passes, images and events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hil.report.html import clock, escape
from hil.report.model import ImageRow, PassRow, Report

_WIDTH, _LEFT, _RIGHT = 1000.0, 74.0, 10.0
_ROW, _GAP = 20.0, 8.0
#: half of what a label of the axis takes
_LABEL_HALF = 24.0
#: From so many images on, their dots are small enough to be told apart.
_MANY_IMAGES = 40
#: Events of at least this severity are marked; below it there may be thousands.
_MARKED_SEVERITY = 2
_MARKS_LIMIT = 400
_TICK_STEPS_S = (10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400)


def eclipses_of(report: Report) -> list[tuple[float, float]]:
    """Return (start, end) of each time in shadow, given or found in the illumination."""
    if "eclipses" in report:
        return [(float(start), float(end)) for start, end in report["eclipses"]]
    series = report["series"]
    light = series["columns"].get("illumination", ())
    times = series["t_s"]
    found: list[tuple[float, float]] = []
    start: float | None = None
    for i, value in enumerate(light):
        if value < 0.5 and start is None:
            start = _edge(times, light, i)
        elif value >= 0.5 and start is not None:
            found.append((start, _edge(times, light, i)))
            start = None
    if start is not None:
        found.append((start, float(times[-1])))
    return found


def _edge(times: Sequence[float], light: Sequence[float], i: int) -> float:
    """Return where the light crosses one half between samples ``i - 1`` and ``i``."""
    if i == 0:
        return float(times[0])
    before, after = light[i - 1], light[i]
    share = (0.5 - before) / (after - before)
    return float(times[i - 1] + share * (times[i] - times[i - 1]))


class _Strip:
    """Collects SVG elements on one time axis."""

    def __init__(self, end_s: float) -> None:
        self.end_s = max(end_s, 1.0)
        self.top = 0.0
        self.parts: list[str] = []

    def x(self, t_s: float) -> float:
        share = min(max(t_s / self.end_s, 0.0), 1.0)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def row(self, label: str) -> None:
        y = self.top + _ROW / 2 + 4
        self.parts.append(f"<text x='{_LEFT - 10:.0f}' y='{y:.1f}' class='lab'>{label}</text>")

    def bar(self, start_s: float, end_s: float, kind: str, title: str, label: str = "") -> None:
        x, width = self.x(start_s), max(self.x(end_s) - self.x(start_s), 1.5)
        self.parts.append(
            f"<rect x='{x:.1f}' y='{self.top:.1f}' width='{width:.1f}' height='{_ROW}' rx='3' "
            f"class='{kind}'><title>{escape(title)}</title></rect>"
        )
        if label and width > 7.5 * len(label):
            y = self.top + _ROW / 2 + 4
            self.parts.append(
                f"<text x='{x + width / 2:.1f}' y='{y:.1f}' class='in'>{escape(label)}</text>"
            )

    def dot(self, t_s: float, kind: str, title: str, radius: float) -> None:
        self.parts.append(
            f"<circle cx='{self.x(t_s):.1f}' cy='{self.top + _ROW / 2:.1f}' r='{radius:g}' "
            f"class='{kind}'>"
            f"<title>{escape(title)}</title></circle>"
        )

    def tick(self, t_s: float, kind: str, title: str) -> None:
        x, top, bottom = self.x(t_s), self.top + 2, self.top + _ROW - 2
        self.parts.append(
            f"<line x1='{x:.1f}' x2='{x:.1f}' y1='{top:.1f}' y2='{bottom:.1f}' class='{kind}'>"
            f"<title>{escape(title)}</title></line>"
        )

    def next_row(self) -> None:
        self.top += _ROW + _GAP

    def axis(self) -> None:
        step = next((s for s in _TICK_STEPS_S if self.end_s / s <= 12), 86400)
        for t_s in range(0, int(self.end_s) + 1, step):
            x = self.x(t_s)
            self.parts.insert(
                0, f"<line x1='{x:.1f}' x2='{x:.1f}' y1='0' y2='{self.top:.0f}' class='grid'/>"
            )
            # A label may not reach past the edge of the drawing.
            x = min(x, _WIDTH - _LABEL_HALF)
            label = f"{t_s // 3600} h" if step >= 3600 else clock(t_s)
            self.parts.append(
                f"<text x='{x:.1f}' y='{self.top + 10:.1f}' class='ax'>{label}</text>"
            )
        self.top += 16

    def svg(self) -> str:
        return (
            f"<svg class='strip' viewBox='0 0 {_WIDTH:.0f} {self.top:.0f}' role='img' "
            f"aria-label='timeline of the run'>{''.join(self.parts)}</svg>"
        )


def timeline(report: Report) -> str:
    """Return the strip as SVG."""
    strip = _Strip(report["virtual_s"])
    strip.row("sunlight")
    strip.bar(0, report["virtual_s"], "sun", "sunlight")
    for start, end in eclipses_of(report):
        text = f"eclipse {clock(start)} to {clock(end)}, {(end - start) / 60:.1f} min"
        strip.bar(start, end, "dark", text, "eclipse")
    strip.next_row()
    if report.get("passes"):
        _passes(strip, report["passes"])
    if report.get("images"):
        _images(strip, report["images"])
    if report.get("events"):
        _events(strip, report["events"])
    strip.axis()
    return strip.svg() + legend(report)


#: (part of the report that it belongs to, class of its swatch, what it means)
_LEGEND = (
    ("", "sun", "sunlight"),
    ("", "dark", "eclipse"),
    ("passes", "pass", "pass over a station"),
    ("images", "img good", "image, product on the ground"),
    ("images", "img mild", "image, discarded or not delivered"),
    ("images", "img bad", "image, lost or failed"),
    ("images", "got", "product arrives"),
    ("events", "ev s2", "warning"),
    ("events", "ev s4", "error or fault"),
)


def legend(report: Report) -> str:
    """Return what the colours and marks of the strip mean, those that it holds."""
    marks = "".join(
        f"<span><i class='key {kind}'></i>{text}</span>"
        for part, kind, text in _LEGEND
        if not part or report.get(part)
    )
    return f"<div class='legend keys'>{marks}</div>"


def _passes(strip: _Strip, rows: Sequence[PassRow]) -> None:
    strip.row("passes")
    for row in rows:
        text = (
            f"{row['station']}: {clock(row['aos_s'])} to {clock(row['los_s'])}, "
            f"up to {row['max_elevation_deg']:.0f}°"
        )
        text += ", cut by the end of the run" if row.get("cut") else ""
        strip.bar(row["aos_s"], row["los_s"], "pass", text, row["station"])
    strip.next_row()


def _images(strip: _Strip, rows: Sequence[ImageRow]) -> None:
    strip.row("images")
    radius = 5.0 if len(rows) < _MANY_IMAGES else 3.5
    for row in rows:
        kind, title = f"img {state_class(row['state'])}", f"image {row['job']}: {row['state']}"
        strip.dot(row["t_s"], kind, title, radius)
        if "delivered_s" in row:
            text = f"product {row['job']} on the ground at {clock(row['delivered_s'])}"
            strip.tick(row["delivered_s"], "got", text)
    strip.next_row()


def _events(strip: _Strip, events: Sequence[Mapping[str, Any]]) -> None:
    strip.row("events")
    marked = [e for e in events if e.get("severity", 1) >= _MARKED_SEVERITY]
    marked += [e for e in events if e.get("source") == "fault"]
    for event in marked[:_MARKS_LIMIT]:
        severity = 4 if event.get("source") == "fault" else min(int(event["severity"]), 4)
        name = event.get("name") or event.get("kind") or event.get("source")
        strip.tick(event["t_s"], f"ev s{severity}", f"{clock(event['t_s'])} {name}")
    strip.next_row()


def state_class(state: str) -> str:
    """Return the colour class of how an image ended."""
    words = state.lower()
    if any(word in words for word in ("lost", "failed", "refused", "never begun", "error", "bad")):
        return "bad"
    if any(word in words for word in ("acknowledged", "delivered", "received", "complete")):
        return "good"
    return "mild"
