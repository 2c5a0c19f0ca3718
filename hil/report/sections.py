"""The sections of the report, each from its part of the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hil.report.html import Html, clock, escape, number, octets, section, table, tile
from hil.report.model import ImageRow, Report
from hil.report.timeline import state_class

_EVENT_LIMIT = 150
#: counters of what is meant to happen; any other name is shown among the losses
_TRAFFIC = frozenset(
    [
        "acknowledged",
        "broadcasts",
        "cadus",
        "control",
        "downlink_units",
        "epochs",
        "erases",
        "fixes",
        "frames",
        "given",
        "idle_frames",
        "idle_packets",
        "instants",
        "kicks",
        "messages",
        "most_erased",
        "octets",
        "octets_in",
        "octets_out",
        "packets",
        "parts",
        "payload.jobs",
        "pulse_given",
        "records",
        "rx_octets",
        "sectors_in_use",
        "sent",
        "switches",
        "transfers",
        "tx_octets",
        "uplink_octets",
        "uplink_units",
    ]
)
#: what the reports of ECSS-E-ST-70-41C are that a payload computer sends
_REPORTS = {
    "TM[1,1]": "telecommand accepted",
    "TM[1,2]": "telecommand refused",
    "TM[1,3]": "execution started",
    "TM[1,4]": "start of execution failed",
    "TM[1,5]": "progress of execution",
    "TM[1,7]": "execution completed",
    "TM[1,8]": "execution failed",
    "TM[1,10]": "routing failed",
    "TM[3,25]": "housekeeping",
    "TM[5,1]": "event, informative",
    "TM[5,2]": "event, low severity",
    "TM[5,3]": "event, medium severity",
    "TM[5,4]": "event, high severity",
    "TM[11,10]": "time-based schedule",
    "TM[11,13]": "summary of the schedule",
    "TM[13,1]": "first part of a product",
    "TM[13,2]": "part of a product",
    "TM[13,3]": "last part of a product",
    "TM[17,2]": "are you alive: yes",
    "TM[20,2]": "parameter values",
}


def head(report: Report) -> str:
    """Return the verdict and the large figures."""
    good = report["verdict"] == "good"
    word = "GOOD" if good else "BAD"
    held = sum(condition["good"] for condition in report["conditions"])
    facts = (
        f"{report['mission']} on {report['board']} · "
        f"from {report['start_utc'].replace('+00:00', 'Z')} · "
        f"seed {report['seed']}"
    )
    return (
        f"<header><div class='badge {'good' if good else 'bad'}'>{word}</div>"
        f"<div><h1>{escape(report['title'])}</h1><p>{escape(facts)}</p></div></header>"
        f"<div class='tiles'>{_tiles(report, held)}</div>"
    )


def _tiles(report: Report, held: int) -> str:
    total = len(report["conditions"])
    tiles = [
        tile("conditions held", f"{held} of {total}", mood="good" if held == total else "bad"),
        tile("flown", clock(report["virtual_s"]), f"in {report['wall_s']:.1f} s of wall time"),
        tile("speed", f"{number(report['real_time_factor'])} ×", "times real time"),
    ]
    columns = report["series"]["columns"]
    if columns.get("battery_v"):
        lowest, highest = _extremes(report, "battery_v")
        tiles.append(tile("battery", f"{lowest:.2f} V", f"at least; at most {highest:.2f} V"))
    if columns.get("chip_c"):
        lowest, highest = _extremes(report, "chip_c")
        tiles.append(tile("chip", f"{highest:.1f} °C", f"at most; at least {lowest:.1f} °C"))
    if "images" in report:
        images = report["images"]
        down = sum("delivered_s" in image for image in images)
        tiles.append(tile("images", str(len(images)), f"{down} products on the ground"))
    if report.get("passes"):
        received = sum(row.get("octets", 0) for row in report["passes"])
        detail = f"{octets(received)} received" if received else ""
        tiles.append(tile("passes", str(len(report["passes"])), detail))
    return "".join(tiles)


def _extremes(report: Report, name: str) -> tuple[float, float]:
    """Return the least and the most of a series, with what was felt between its samples."""
    values = [*report["series"]["columns"][name], *report.get("extremes", {}).get(name, ())]
    return min(values), max(values)


def verdict(report: Report) -> str:
    """Return the conditions with their figures, and what they rest on."""
    rows = [
        (
            Html(f"<i class='mark {'good' if c['good'] else 'bad'}'></i>"),
            c["name"],
            c["figure"],
            c["limit"],
        )
        for c in report["conditions"]
    ]
    body = table(("", "condition", "figure", "must be"), rows)
    unknowns = report.get("unknowns", {})
    if unknowns:
        body += (
            f"<h3>Rests on {len(unknowns)} values that are not known from flight</h3>"
            "<p class='note'>The verdict is good only as far as these are right.</p>"
        )
        body += table(("value", "why"), unknowns.items(), "small")
    return section("Verdict", body)


def charts(report: Report, specs: Sequence[tuple[str, str]]) -> str:
    """Return the places of the charts: ``specs`` are (id, title)."""
    return "".join(
        section(title, f"<div class='chart' id='{name}'></div>", kind="half")
        for name, title in specs
    )


def gallery(
    images: Sequence[ImageRow],
    pictures: Sequence[tuple[str | None, str | None]],
    not_shown: int = 0,
) -> str:
    """Return the images taken with their class maps; say how many of them are not shown."""
    cards = "".join(_image(*pair) for pair in zip(images, pictures, strict=True))
    legend = "".join(
        f"<span><i class='sw {name}'></i>{name}</span>" for name in ("water", "land", "cloud")
    )
    hidden = sum(
        pair == (None, None) and ("pixels" in image or "classes" in image)
        for image, pair in zip(images, pictures, strict=True)
    )
    note = "What the camera saw and what the network on board made of it."
    if hidden:
        note += f" {hidden} pictures are left out to keep this page small."
    if not_shown:
        note += f" {not_shown} more images are not shown; run.json holds what became of each."
    body = f"<div class='legend'>{legend}</div><div class='gallery'>{cards}</div>"
    return section("Images and their products", body, note)


def _image(image: ImageRow, picture: tuple[str | None, str | None]) -> str:
    names = ("photograph", "class map")
    tags = "".join(
        f"<img src='{address}' alt='{name} of image {image['job']}' loading='lazy'>"
        for name, address in zip(names, picture, strict=True)
        if address
    )
    lines = [f"taken {clock(image['t_s'])}"]
    if "lat_deg" in image and "lon_deg" in image:
        lines.append(f"{image['lat_deg']:+.1f}° {image['lon_deg']:+.1f}°")
    if shares := image.get("shares"):
        lines.append(", ".join(f"{name} {share:.0%}" for name, share in shares.items()))
    if "product_nbytes" in image:
        lines.append(f"product {octets(image['product_nbytes'])}")
    if "delivered_s" in image:
        lines.append(f"on the ground {clock(image['delivered_s'])}")
    state = f"<b class='state {state_class(image['state'])}'>{escape(image['state'])}</b>"
    text = "<br>".join(escape(line) for line in lines)
    return (
        f"<figure><div class='pair'>{tags}</div><figcaption><b>#{image['job']}</b> {state}"
        f"<p>{text}</p></figcaption></figure>"
    )


def passes(report: Report, not_shown: int = 0) -> str:
    """Return the table of passes; say how many of them are not shown."""
    heads = ["station", "from", "to", "length #", "highest #"]
    extra = [
        (key, head)
        for key, head in (
            ("telecommands", "telecommands #"),
            ("frames", "frames #"),
            ("damaged", "damaged #"),
            ("octets", "received #"),
        )
        if any(key in row for row in report["passes"])
    ]
    rows = []
    for row in report["passes"]:
        length_s = row["los_s"] - row["aos_s"]
        end = clock(row["los_s"]) + (", cut by the end of the run" if row.get("cut") else "")
        cells = [row["station"], clock(row["aos_s"]), end, f"{length_s:.0f} s"]
        cells.append(f"{row['max_elevation_deg']:.1f}°")
        for key, _ in extra:
            value = int(row.get(key, 0))  # type: ignore[call-overload]  # keys of PassRow
            cells.append(octets(value) if key == "octets" else number(value))
        rows.append(cells)
    note = f"{not_shown} more passes are not shown." if not_shown else ""
    return section("Passes", table([*heads, *(head for _, head in extra)], rows), note)


def telemetry(report: Report) -> str:
    """Return what the ground received, by kind of report."""
    minutes = max(report["virtual_s"] / 60.0, 1e-9)
    with_octets = any("octets" in row for row in report["telemetry"])
    rows = [
        (
            row["name"],
            _REPORTS.get(row["name"], ""),
            number(row["count"]),
            f"{row['count'] / minutes:.1f}",
            *([octets(row.get("octets", 0))] if with_octets else []),
        )
        for row in report["telemetry"]
    ]
    heads = ["report", "", "received #", "a minute #", *(["octets #"] if with_octets else [])]
    return section("Telemetry", table(heads, rows), kind="half")


def rates(report: Report) -> str:
    """Return how the rate groups kept their time, and lateness in the paces that have one."""
    body = ""
    if report.get("rate_groups"):
        late = any(row["worst_late_ms"] for row in report["rate_groups"])
        rows = [
            (
                row["name"],
                number(row["overruns"]),
                *([f"{row['worst_late_ms']:.1f} ms"] if late else []),
            )
            for row in report["rate_groups"]
        ]
        body += table(("rate group", "overruns #", *(["latest end #"] if late else [])), rows)
    if report.get("lateness"):
        most = max(count for _, count in report["lateness"]) or 1
        rows2 = [
            (f"≤ {number(edge)} µs", number(count), _bar(count / most))
            for edge, count in report["lateness"]
        ]
        body += "<h3>Lateness of released events</h3>"
        body += table(("late by #", "events #", ""), rows2)
    if report.get("pacing"):
        body += f"<p>{_pacing(report['pacing'])}</p>"
    return section("Overruns and lateness", body, kind="half")


def _pacing(found: Mapping[str, Any]) -> str:
    """Return the percentiles of lateness as a sentence."""
    percentiles = ", ".join(
        f"{name} {found[f'lateness_{key}_ns'] / 1000:,.0f} µs"
        for name, key in (("p50", "p50"), ("p99", "p99"), ("p99.9", "p99_9"), ("worst", "max"))
    )
    return f"{percentiles}; {number(found['overruns'])} later than the limit of an overrun"


def breakdown(report: Report) -> str:
    """Return where the wall time went."""
    parts = report["time_breakdown"]
    # A name that is indented is a share of the line above it, and is in the sum already.
    total = sum(seconds for name, seconds in parts if not name.startswith(" ")) or 1.0
    rows = [
        (
            name.replace("  ", "\u2003"),
            f"{seconds:.2f} s",
            f"{seconds / total:.0%}",
            _bar(seconds / total),
        )
        for name, seconds in parts
    ]
    body = table(("what", "wall time #", "share #", ""), rows)
    return section("Where the time went", body, kind="half")


def _bar(share: float) -> Html:
    return Html(f"<span class='bar'><i style='width:{100 * share:.1f}%'></i></span>")


def counters(report: Report) -> str:
    """Return every counter: what was lost, refused or touched, then what went its way."""
    rows: dict[bool, list[tuple[str, str, str]]] = {True: [], False: []}
    for group, values in report["counters"].items():
        for name, value in flatten(values):
            if value:
                rows[is_traffic(name)].append((group, name.replace("_", " "), amount(value)))
    heads = ("where", "what", "count #")
    lost = table(heads, rows[False], "small") if rows[False] else "<p>Nothing.</p>"
    body = "<h3>Lost, refused, damaged, not modelled</h3>" + lost
    if rows[True]:
        all_of_it = table(heads, rows[True], "small")
        body += f"<details><summary>Traffic: what went its way</summary>{all_of_it}</details>"
    return section("Counters", body, kind="half")


def is_traffic(name: str) -> bool:
    """Tell whether a counter counts what is meant to happen; an unknown one does not."""
    return name in _TRAFFIC or name.startswith(("energy.", "load."))


def amount(value: object) -> str:
    """Return the value of a counter with the digits that a reader can use."""
    if isinstance(value, float) and not value.is_integer():
        return number(value, 1)
    return number(value) if isinstance(value, int | float) else str(value)


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (name, value) of counters, those of groups inside a group by both names."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}: ")
        else:
            yield prefix + str(name), value


def events(report: Report) -> str:
    """Return the events that matter, the first ones if there are many."""
    known = ("t_s", "source", "severity", "name")
    wanted = [e for e in report["events"] if e.get("severity", 4) >= 2]
    rows = [
        (
            clock(event["t_s"]),
            event.get("source", ""),
            Html(f"<i class='sev s{min(int(event.get('severity', 4)), 4)}'></i>"),
            event.get("name", ""),
            ", ".join(f"{k} {v}" for k, v in event.items() if k not in known),
        )
        for event in wanted[:_EVENT_LIMIT]
    ]
    more = len(wanted) - len(rows)
    note = "Warnings and worse; events.jsonl holds all."
    if more > 0:
        note += f" {more} more are not shown."
    if not rows:
        return section("Events", "<p>No warning, no error.</p>", note)
    body = table(("time", "source", "", "event", "values"), rows, "small")
    return section(
        "Events", f"<details open><summary>{len(rows)} events</summary>{body}</details>", note
    )


def again(report: Report) -> str:
    """Return how to fly the same run again, and what it must give."""
    rows = [
        ("digest", Html(f"<code>{escape(report['digest'])}</code>")),
        ("transport, pace", f"{report['transport']}, {report['pace']}"),
        ("version", report["version"]),
    ]
    body = f"<pre class='cmd'>{escape(report['command'])}</pre>{table(('', ''), rows, 'plain')}"
    note = "The same seed gives the same digest, on any machine."
    if not report.get("repeatable", True):
        note = "The payload computer was stopped from outside: the digest will differ."
        if report.get("boards", {}).get("real"):
            note = "What was real is not repeated: the digest will differ."
    return section("The same run again", body, note)
