"""Closing the books of a run: what was accepted, made, sent and received, and what is open."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from flightsw.codec.dictionary import RateGroup
from flightsw.codec.dictionary.enums import Mode
from flightsw.codec.dictionary.housekeeping import STATUS
from hil import __version__, verdict
from hil.ground.telecommands import Failure
from hil.report.model import RateGroupRow
from hil.rig import SECOND, Rig
from hil.rundir import RunDirectory
from hil.supervisor import Supervisor
from hil.uut import PROGRAM
from hil.verdict import Books, Verdict

#: A telecommand made this close to the end of the last contact cannot be verified any more.
LATE_S = 60
#: An activity of the plan that has not begun this long after its time will not: it is dropped as
#: late on board (parameter ``late_activity_s``).
BEGIN_S = 90


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
        jobs_planned=len(rig.plan),
        jobs_refused=refused(rig),
        products_made={int(job): octets for job, octets in on_board["products"].items()},
        products_received={j: p.octets for j, p in rig.ground.products.complete.items()},
        parts_sent_twice=counters["parts_repeated"] + counters["parts_after_complete"],
        no_delivery=no_delivery(rig),
        telecommands_sent=sent,
        telecommands_verified=verified,
        telecommands_open=open_ones,
        overruns=sum(row["overruns"] for row in rate_groups(rig)),
        restarts=max(0, supervisor.starts - 1),
        stops=dict(supervisor.stops),
        down_s=supervisor.down_ns / SECOND,
        down_limit_s=supervisor.restart_limit_s,
        kills_missed=supervisor.kills_missed,
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
        elif overdue(rig, job):
            lost[job] = "in the plan on board, but never begun"
    return accounted, lost


def refused(rig: Rig) -> dict[int, str]:
    """Return, of each job whose telecommand was refused on board, with what code."""
    return {
        t.job: reason(t.failure)
        for t in rig.ground.telecommands.all
        if t.job is not None and t.release_ns is not None and t.failure is not None
    }


def reason(failure: Failure) -> str:
    """Return why a telecommand failed, in words where the code alone says little."""
    safe = failure.code == "WRONG_MODE" and failure.detail == Mode.SAFE
    return failure.code + (" (safe mode)" if safe else "")


def no_delivery(rig: Rig) -> str:
    """Return why a product may not have come down; "" if nothing stood against it."""
    passes = [p for p in rig.contacts if p.los_ns > 0 and p.aos_ns < rig.end_ns]
    if not passes:
        return "no pass in this run"
    if not rig.mission.integer("plan.images"):
        return "the profile plans no image"
    if not rig.plan and len(passes) > 1:
        return "no image was possible after the first pass"
    if not rig.plan or all(p.los_ns <= rig.plan[0].t_ns for p in passes):
        return "the run ends before a pass that could deliver"
    turned_away = len(refused(rig))
    return f"{turned_away} of {len(rig.plan)} images were refused" if turned_away else ""


def overdue(rig: Rig, job: int) -> bool:
    """Tell whether the plan that holds a job was completed on board and its time is long past."""
    return any(
        t.job == job
        and t.release_ns is not None
        and t.failure is None
        and t.carrier is not None
        and t.carrier.verified
        and t.release_ns < rig.end_ns - BEGIN_S * SECOND
        for t in rig.ground.telecommands.all
    )


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
    contacts = [p for p in rig.contacts if 0 <= p.aos_ns < rig.end_ns]
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
            made_s = telecommand.t_made_ns / SECOND
            state = telecommand.state
            if telecommand.failure is not None:
                state = f"failed at {telecommand.failure.stage}: {reason(telecommand.failure)}"
            open_ones[f"{telecommand.name} of {made_s:.0f} s"] = state
    return sent, verified, open_ones


def rate_groups(rig: Rig) -> list[RateGroupRow]:
    """Return how the rate groups kept their time, as far as telemetry tells.

    Overruns are the event reports, and what housekeeping counts beyond them: events may be lost.
    """
    reports = [event for event in rig.events if event.get("name") == "OVERRUN"]
    rows: list[RateGroupRow] = []
    for group in RateGroup:
        own = [event for event in reports if event["group"] == group]
        worst_ms = max((event["late_us"] for event in own), default=0) / 1000
        rows.append({"name": group.name.lower(), "overruns": len(own), "worst_late_ms": worst_ms})
    boots: dict[int, int] = {}
    for _, values in rig.ground.housekeeping.get(STATUS.sid, ()):
        boot = values["boot_count"]
        boots[boot] = max(boots.get(boot, 0), values["overruns"])
    unreported = sum(boots.values()) - len(reports)
    if unreported > 0:
        rows.append({"name": "without a report", "overruns": unreported, "worst_late_ms": 0.0})
    return rows


def judge(rig: Rig, books: Books) -> Verdict:
    """Judge a run by its mission profile."""

    mission = rig.mission

    def unknown(keys: tuple[str, ...]) -> dict[str, str]:
        # A group that the profile may leave out, and has, holds nothing unknown.
        there = [key for key in keys if key in mission.values or mission.group(key)]
        return {value.key: value.source for value in mission.unknowns(there)}

    return verdict.judge(books, mission.group("verdict"), unknown)


def job_lists(books: Books) -> dict[str, Any]:
    """Return what became of each job and each telecommand, which the verdict only sums up."""
    return {
        "jobs": {str(job): state for job, state in books.jobs.items()},
        "jobs_lost": {str(job): why for job, why in books.jobs_lost.items()},
        "jobs_refused": {str(job): why for job, why in books.jobs_refused.items()},
        "telecommands_open": dict(books.telecommands_open),
    }


def write(directory: RunDirectory, rig: Rig, books: Books, outcome: dict[str, Any]) -> None:
    """Write run.json, events.jsonl, the telemetry as received, and the products."""
    known = {**outcome, "run_dir": str(directory.final), **facts(rig), **job_lists(books)}
    directory.write_json("run.json", known)
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
        "rig": rig.counters,
        **rig.exchange.counted,
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
