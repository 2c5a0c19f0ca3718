"""Closing the books of a run: what was accepted, made, sent and received, and what is open."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from flightsw.codec import class_map
from flightsw.codec.dictionary import PRODUCT_HEADER, PRODUCT_HEADER_NBYTES
from hil import __version__, verdict
from hil.report.model import Report
from hil.rig import SECOND, Rig
from hil.rundir import RunDirectory
from hil.uut import PROGRAM, Supervisor
from hil.verdict import Books, Verdict

#: A telecommand made this close to the end of the last contact cannot be verified any more.
LATE_S = 60


def close(rig: Rig, supervisor: Supervisor, storage: Path) -> Books:
    """Compare what ground holds with what is in the payload computer's storage."""
    inspect: Any = importlib.import_module(f"{PROGRAM}.inspect")
    on_board: dict[str, Any] = inspect.inspect(storage)
    jobs, lost = account_jobs(rig, on_board["jobs"])
    sent, verified, open_ones = account_telecommands(rig)
    counters = rig.ground.products.counters
    extremes = rig.series
    return Books(
        min_battery_v=extremes.min_battery_v,
        max_chip_c=extremes.max_chip_c,
        max_board_c=extremes.max_board_c,
        brown_outs=int(rig.world.power.brown_outs),
        jobs=jobs,
        jobs_lost=lost,
        products_made={int(job): octets for job, octets in on_board["products"].items()},
        products_received={j: p.octets for j, p in rig.ground.products.complete.items()},
        parts_sent_twice=counters["parts_repeated"] + counters["parts_after_complete"],
        telecommands_sent=sent,
        telecommands_verified=verified,
        telecommands_open=open_ones,
        overruns=sum(int(e["count"] == 1) for e in rig.events if e.get("name") == "OVERRUN"),
        restarts=max(0, supervisor.starts - 1),
        stops=dict(supervisor.stops),
        down_at_end=not supervisor.alive,
    )


def account_jobs(rig: Rig, on_board: dict[str, Any]) -> tuple[dict[int, str], dict[int, str]]:
    """Return (accounted for, lost) of every job whose telecommand was accepted."""
    accounted: dict[int, str] = {}
    lost: dict[int, str] = {}
    complete = rig.ground.products.complete
    for acquisition in rig.plan:
        job = acquisition.job
        state = on_board.get(str(job), {}).get("state")
        if job in complete and state is None:
            lost[job] = "received, but not in storage"
        elif state is not None:
            reason = on_board[str(job)]["reason"]
            accounted[job] = state.lower() + (f" ({reason.lower()})" if reason != "NONE" else "")
        elif accepted(rig, job):
            lost[job] = "accepted, but not in storage"
    return accounted, lost


def accepted(rig: Rig, job: int) -> bool:
    """Tell whether ground holds an acceptance report of the telecommand of a job."""
    name = f"take_image job {job}"
    return any(
        t.name == name and t.t_accepted_ns is not None and t.t_completed_ns is not None
        for t in rig.ground.telecommands.all
    )


def account_telecommands(rig: Rig) -> tuple[int, int, dict[str, str]]:
    """Return how many were sent, how many verified, and those open without an excuse.

    Excused are activities of the plan and telecommands whose reports had no contact left to come
    in: made or released less than a minute before the end of the last contact.
    """
    contacts = [p for p in rig.world.passes if 0 <= p.aos_ns < rig.end_ns]
    last_ns = min(rig.end_ns, contacts[-1].los_ns) if contacts else 0
    open_ones: dict[str, str] = {}
    sent = verified = 0
    for telecommand in rig.ground.telecommands.all:
        if telecommand.t_sent_ns is None and telecommand.release_ns is None:
            continue
        sent += 1
        if telecommand.verified:
            verified += 1
            continue
        due_ns = telecommand.release_ns or telecommand.t_made_ns
        if due_ns < last_ns - LATE_S * SECOND or telecommand.failure is not None:
            open_ones[telecommand.name] = telecommand.state
    return sent, verified, open_ones


def judge(rig: Rig, books: Books) -> Verdict:
    """Judge a run by its mission profile."""

    def unknown(keys: tuple[str, ...]) -> dict[str, str]:
        return {value.key: value.source for value in rig.mission.unknowns(keys)}

    return verdict.judge(books, rig.mission.group("verdict"), unknown)


def write(directory: RunDirectory, rig: Rig, books: Books, outcome: dict[str, Any]) -> None:
    """Write run.json, events.jsonl, the telemetry as received, and the products."""
    directory.write_json("run.json", {**outcome, "run_dir": str(directory.final), **facts(rig)})
    directory.write_lines("events.jsonl", rig.events)
    directory.write_bytes("telemetry.pkts", b"".join(r.packet for r in rig.ground.archive))
    for job, octets in sorted(books.products_received.items()):
        directory.write_bytes(f"products/{job:04d}.bin", octets)


def facts(rig: Rig) -> dict[str, Any]:
    """Return what a run was, for machines."""
    return {
        "version": __version__,
        "board": rig.board.name,
        "mission": rig.mission.id,
        "seed": rig.seed,
        "start_utc": rig.mission.start_utc.isoformat(),
        "telecommands": [
            {
                "name": t.name,
                "state": t.state,
                "made_s": seconds(t.t_made_ns),
                "release_s": seconds(t.release_ns),
                "accepted_s": seconds(t.t_accepted_ns),
                "completed_s": seconds(t.t_completed_ns),
            }
            for t in rig.ground.telecommands.all
        ],
        "counters": counters(rig),
    }


def seconds(t_ns: int | None) -> float | None:
    """Return nanoseconds as seconds, None as it is."""
    return None if t_ns is None else round(t_ns / SECOND, 6)


def counters(rig: Rig) -> dict[str, Any]:
    """Return everything that was counted, group by group, zeros left out."""
    ground = rig.ground
    groups: dict[str, Any] = {
        **rig.wiring.counters(),
        "exchange": rig.exchange.counters,
        "radio": ground.radio.counters,
        "ground": ground.counters,
        "ground.receiver": ground.receiver.counters,
        "ground.fop": ground.fop.counters,
        "ground.products": ground.products.counters,
        "ground.telecommands": ground.telecommands.counters,
        "world": rig.world.counters(),
    }
    kept = {name: {k: v for k, v in dict(g).items() if v} for name, g in groups.items()}
    return {name: group for name, group in kept.items() if group}


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
        "limits": {
            "battery_v": mission.number("verdict.min_battery_v"),
            "chip_c": mission.number("verdict.max_chip_c"),
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
        "counters": counters(rig),
        "time_breakdown": outcome.where_time_goes,
        "events": rig.events,
    }


def passes(rig: Rig) -> Any:
    """Return the rows of the pass table."""
    return [
        {
            "station": p.station,
            "aos_s": p.aos_ns / 1e9,
            "los_s": p.los_ns / 1e9,
            "max_elevation_deg": p.max_elevation_deg,
            **rig.pass_figures.get(p.aos_ns, {}),
        }
        for p in rig.world.passes
    ]


def images(rig: Rig, books: Books) -> Any:
    """Return the rows of the image table, with what the product says where it came down."""
    taken = {t_ns: pixels for t_ns, pixels, _ in rig.camera.taken}
    rows = []
    for acquisition in rig.plan:
        job = acquisition.job
        row: dict[str, Any] = {
            "job": job,
            "t_s": acquisition.t_ns / 1e9,
            "state": books.jobs.get(job) or books.jobs_lost.get(job, "not accepted"),
        }
        product = rig.ground.products.complete.get(job)
        if product is not None:
            row |= unpack(product.octets) | {"delivered_s": product.t_ns / 1e9}
            exposed = row.pop("t_ns")
            if exposed in taken:
                row["pixels"] = taken[exposed]
        rows.append(row)
    return rows


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
