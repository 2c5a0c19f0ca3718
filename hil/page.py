"""What the report page shows of a run."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from flightsw.codec import class_map
from flightsw.codec.dictionary import PRODUCT_HEADER, PRODUCT_HEADER_NBYTES
from hil import __version__, verdict
from hil.books import BEGIN_S, counters, rate_groups
from hil.report.model import Report
from hil.rig import SECOND, Rig
from hil.verdict import Books

#: series in the report -> key of the profile's verdict that limits it
LIMITS = {"battery_v": "min_battery_v", "chip_c": "max_chip_c", "board_c": "max_board_c"}


def report(rig: Rig, books: Books, outcome: Any, transport: str, pace: str) -> Report:
    """Return the data of the report page."""
    mission = rig.mission
    return {
        "title": f"{mission.title}: one run",
        "mission": mission.title,
        "board": rig.board.title,
        "seed": rig.seed,
        "verdict": verdict.GOOD if outcome.verdict.good else verdict.BAD,
        "start_utc": mission.start_utc.isoformat(),
        "virtual_s": outcome.virtual_s,
        "wall_s": outcome.wall_s,
        "real_time_factor": outcome.real_time_factor,
        "transport": transport,
        "pace": pace,
        "digest": outcome.digest,
        "command": outcome.command,
        "version": __version__,
        "repeatable": outcome.repeatable,
        "conditions": [
            {
                "name": c.name,
                "good": c.good,
                "figure": c.figure,
                "limit": c.limit,
                "rests_on": c.rests_on,
            }
            for c in outcome.verdict.conditions
        ],
        "unknowns": outcome.verdict.unknowns,
        "series": {"t_s": rig.series.t_s, "columns": rig.series.columns},
        "extremes": {"battery_v": [books.min_battery_v], "chip_c": [books.max_chip_c]},
        "limits": {
            name: mission.number(f"verdict.{key}")
            for name, key in LIMITS.items()
            if f"verdict.{key}" in mission.values
        },
        "eclipses": [
            (max(0.0, e.umbra_in / 1e9), min(rig.end_ns, e.umbra_out) / 1e9)
            for e in rig.world.eclipses
            if e.umbra_in is not None and e.umbra_out is not None
        ],
        "passes": passes(rig),
        "images": images(rig, books),
        "telemetry": [
            {"name": f"TM[{service},{subtype}]", "count": count}
            for (service, subtype), count in sorted(rig.ground.types.items())
        ],
        "rate_groups": rate_groups(rig),
        "counters": counters(rig),
        "time_breakdown": outcome.where_time_goes,
        "events": rig.events,
        "boards": outcome.boards,
    }


def passes(rig: Rig) -> Any:
    """Return the rows of the pass table."""
    return [
        {
            "station": p.station,
            "aos_s": p.aos_ns / 1e9,
            "los_s": min(p.los_ns, rig.end_ns) / 1e9,
            "cut": p.los_ns > rig.end_ns,
            "max_elevation_deg": p.max_elevation_deg,
            **rig.pass_figures.get(p.aos_ns, {}),
        }
        for p in rig.contacts
        if p.aos_ns < rig.end_ns
    ]


def images(rig: Rig, books: Books) -> Any:
    """Return the rows of the image table, with what the product says where it came down.

    The picture of a job without a product, a discarded one, is the first that was exposed in its
    time: after its place in the plan and before the next one.
    """
    taken = rig.camera.taken
    windows = {a.job: a.t_ns + BEGIN_S * SECOND for a in rig.plan}
    for before, after in pairwise(rig.plan):
        windows[before.job] = min(windows[before.job], after.t_ns)
    rows = []
    for acquisition in rig.plan:
        job = acquisition.job
        row: dict[str, Any] = {
            "job": job,
            "t_s": acquisition.t_ns / 1e9,
            "state": state(books, job),
        }
        begin_ns, end_ns = acquisition.t_ns, windows[job]
        seen = next((t_ns for t_ns in taken if begin_ns <= t_ns < end_ns), None)
        if job in books.jobs and seen is not None:
            row["pixels"] = taken[seen]
        product = rig.ground.products.complete.get(job)
        if product is not None:
            row |= unpack(product.octets) | {"delivered_s": product.t_ns / 1e9}
            exposed = row.pop("t_ns")
            if exposed in taken:
                row["pixels"] = taken[exposed]
        rows.append(row)
    return rows


def state(books: Books, job: int) -> str:
    """Return what became of a job, in the words of the books."""
    if job in books.jobs_refused:
        return f"refused: {books.jobs_refused[job]}"
    return books.jobs.get(job) or books.jobs_lost.get(job, "not accepted")


def unpack(octets: bytes) -> dict[str, Any]:
    """Return what a product says: place, shares of the classes, class map."""
    head = PRODUCT_HEADER.parse(octets[:PRODUCT_HEADER_NBYTES])
    body = octets[PRODUCT_HEADER_NBYTES : PRODUCT_HEADER_NBYTES + head.body_nbytes]
    return {
        "t_ns": head.t_ns,
        "lat_deg": head.latitude / 1e7,
        "lon_deg": head.longitude / 1e7,
        "shares": {
            "sea": head.sea_permille / 1000,
            "land": head.land_permille / 1000,
            "cloud": head.cloud_permille / 1000,
        },
        "product_nbytes": len(octets),
        "classes": class_map.decode(body, head.height, head.width),
    }
