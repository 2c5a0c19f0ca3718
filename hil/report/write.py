"""Putting the page together: one HTML file that needs no network and no other file."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hil.errors import RunDirectoryError
from hil.report import sections
from hil.report.boards import boards, own_buses
from hil.report.html import escape, section
from hil.report.model import Report
from hil.report.thumbnails import thumbnails
from hil.report.timeline import eclipses_of, timeline

SIZE_LIMIT_NBYTES = 300_000
POINTS_LIMIT = 1500
#: (images, passes; points of a line) that a page shows: the first that leave room for pictures
_DETAIL = ((250, 1500), (150, 750), (75, 400), (25, 200), (5, 50))
#: what the pictures shall have at least, where there are any
_PICTURES_NBYTES = 60_000
_MARGIN_NBYTES = 6_000
_HERE = Path(__file__).parent

#: title, and the lines: (series, label, unit, colour, scale). The second scale is on the right.
CHARTS: tuple[tuple[str, tuple[tuple[str, str, str, str, int], ...]], ...] = (
    (
        "Battery",
        (("battery_v", "voltage", "V", "blue", 0), ("battery_soc", "charge", "%", "green", 1)),
    ),
    (
        "Power",
        (
            ("solar_w", "solar", "W", "amber", 0),
            ("load_w", "load", "W", "blue", 0),
            ("payload_w", "payload computer", "W", "red", 0),
        ),
    ),
    (
        "Temperature",
        (
            ("chip_c", "chip", "°C", "red", 0),
            ("board_c", "board", "°C", "amber", 0),
            ("environment_c", "environment", "°C", "green", 0),
        ),
    ),
    (
        "Sunlight and link",
        (
            ("illumination", "illumination", "%", "amber", 0),
            ("elevation_deg", "station elevation", "°", "violet", 1),
        ),
    ),
)
_PERCENT = frozenset({"battery_soc", "illumination"})


def write_report(path: str | Path, data: Report) -> None:
    """Write the report to ``path``, under 300 KB.

    Raises :class:`~hil.errors.RunDirectoryError` if the file cannot be written.
    """
    page = render(data)
    try:
        Path(path).write_text(page, encoding="utf-8")
    except OSError as error:
        reason = error.strerror or str(error)
        raise RunDirectoryError(
            f"{path}: the report cannot be written: {reason}; make room or choose another --out"
        ) from None


def render(report: Report) -> str:
    """Return the whole page."""
    budget = SIZE_LIMIT_NBYTES - _MARGIN_NBYTES
    kept = sum("pixels" in image for image in report.get("images", ()))
    for rows, points in _DETAIL:
        shown = _trim(report, rows)
        charts = chart_data(shown, points)
        bare = _page(report, shown, charts, None)
        room = budget - len(bare.encode())
        if room >= min(_PICTURES_NBYTES, 2000 * kept):
            break
    if not kept or room <= 0:
        return bare
    return _page(report, shown, charts, thumbnails(shown["images"], room))


def _trim(report: Report, rows: int) -> Report:
    """Return a report with at most ``rows`` images, delivered ones first, and passes."""
    shown = report.copy()
    if "images" in report:
        first = sorted(report["images"], key=lambda image: "delivered_s" not in image)[:rows]
        shown["images"] = sorted(first, key=lambda image: image["t_s"])
    if "passes" in report:
        shown["passes"] = report["passes"][:rows]
    return shown


def _page(
    whole: Report,
    report: Report,
    charts: dict[str, Any],
    pictures: Sequence[tuple[str | None, str | None]] | None,
) -> str:
    """Return the page of what is shown of the ``whole`` report.

    ``pictures`` of None leaves the places of the pictures empty.
    """
    body = [
        sections.head(whole),
        section("Timeline", timeline(report)),
        sections.verdict(report),
        "<div class='grid2'>",
        sections.charts(report, [(chart["id"], chart["title"]) for chart in charts["charts"]]),
        "</div>",
    ]
    images = report.get("images", ())
    if images:
        hidden = len(whole["images"]) - len(images)
        none = [(None, None)] * len(images)
        body.append(sections.gallery(images, pictures or none, hidden))
    if report.get("passes"):
        body.append(sections.passes(report, len(whole["passes"]) - len(report["passes"])))
    if report.get("boards", {}).get("boards"):
        body.append(boards(report))
    if report.get("boards", {}).get("local"):
        body.append(own_buses(report))
    body.append("<div class='grid2'>")
    if report.get("telemetry"):
        body.append(sections.telemetry(report))
    if report.get("rate_groups") or report.get("lateness"):
        body.append(sections.rates(report))
    if report.get("time_breakdown"):
        body.append(sections.breakdown(report))
    if "counters" in report:
        body.append(sections.counters(report))
    body.append("</div>")
    if "events" in report:
        body.append(sections.events(report))
    body.append(sections.again(report))
    return _assemble(f"{report['title']}: {report['verdict']}", "".join(body), charts)


def _assemble(title: str, body: str, charts: dict[str, Any]) -> str:
    """Return the document around ``body``."""
    data = json.dumps(charts, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
    )
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width,initial-scale=1'>"
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>{escape(title)}</title>"
        f"<style>{_read('vendor/uPlot.min.css')}{_read('report.css')}</style></head>"
        f"<body><main>{body}</main>"
        f"<script type='application/json' id='data'>{data}</script>"
        f"<script>{_read('vendor/uPlot.iife.min.js')}</script>"
        f"<script>{_read('report.js')}</script></body></html>"
    )


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def chart_data(report: Report, points: int = POINTS_LIMIT) -> dict[str, Any]:
    """Return what report.js draws: time axis, charts with their lines, shaded times."""
    series = report["series"]
    times = series["t_s"]
    step = max(1, -(-len(times) // points))
    columns = series["columns"]
    known = {line[0] for _, lines in CHARTS for line in lines}
    specs = [*CHARTS]
    specs += [(name, ((name, name, "", "blue", 0),)) for name in columns if name not in known]
    charts: list[dict[str, Any]] = []
    for title, lines in specs:
        drawn = [line for line in lines if columns.get(line[0])]
        if drawn:
            rows = [_line(report, line, step) for line in drawn]
            charts.append({"id": f"chart-{len(charts)}", "title": title, "lines": rows})
    return {
        "t": [round(float(t_s), 1) for t_s in times[::step]],
        "charts": charts,
        "dark": eclipses_of(report),
        "passes": [(row["aos_s"], row["los_s"]) for row in report.get("passes", ())],
    }


def _line(report: Report, line: tuple[str, str, str, str, int], step: int) -> dict[str, Any]:
    """Return one line of a chart."""
    name, label, unit, colour, scale = line
    factor = 100.0 if name in _PERCENT else 1.0
    values = [_figure(value * factor) for value in report["series"]["columns"][name][::step]]
    if name == "elevation_deg":  # below the horizon there is nothing to see
        values = [value if value is not None and value > 0 else None for value in values]
    limit = report.get("limits", {}).get(name)
    return {
        "label": label,
        "unit": unit,
        "colour": colour,
        "scale": scale,
        "values": values,
        "limit": None if limit is None else limit * factor,
    }


def _figure(value: float) -> float | None:
    """Return a value as JSON can hold it, with the digits that a screen can show."""
    return round(float(value), 3) if math.isfinite(value) else None
