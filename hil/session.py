"""One run from options to verdict: run directory, rig, unit under test, books, report."""

from __future__ import annotations

import math
import os
import shlex
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

from hil import __version__, books, page, verdict
from hil.board import Board, load_board
from hil.capture.writer import CaptureWriter
from hil.errors import UsageError
from hil.missions import load as load_mission
from hil.missions.mission import Mission
from hil.report import write_report
from hil.rig import SECOND, Rig
from hil.rundir import RunDirectory, first_free, host_errors
from hil.supervisor import Flight, Supervisor
from hil.time.pacing import Pacer, parse_pace
from hil.time.pinning import pin_to_one_core
from hil.time.transports.keys import make_keys
from hil.uut import DirectFlight, ProcessFlight, ThreadFlight

TRANSPORTS = ("ipc", "tcp", "inproc", "seqpacket", "direct")
RUNS = Path("runs")
#: folder of the keys of a run over tcp, while it lasts
KEYS = "keys"
#: line of the table of times -> its key in JSON
TIME_KEYS = {
    "rig (processor)": "rig",
    "rig with flight software": "rig_with_flight_software",
    "  of it capture": "rig.capture",
    "  of it images": "rig.images",
    "flight software": "flight_software",
    "waiting, switching": "waiting",
}
#: transports that run the flight software in the process of the rig: its time is in the rig's
SAME_PROCESS = ("direct", "inproc")
DURATION_LEAST_S, DURATION_LIMIT_S = 1.0, 10 * 86400.0


@dataclass(frozen=True)
class Options:
    """What a run is asked to be. ``pace`` is ``max``, ``real`` or ``xN``."""

    board: str = "raspberrypi4"
    mission: str = "tiansuan_bupt1"
    seed: int = 1
    out: Path | None = None
    duration_s: float | None = None
    transport: str = "ipc"
    pace: str = "max"
    inference: str = "onnx"
    faults: tuple[str, ...] = ()
    pin: bool = True
    stall_limit_s: float = 60.0

    def command(self) -> str:
        """Return the command that flies the same again, anywhere."""
        parts = ["hil", "run", "--seed", str(self.seed)]
        default = Options()
        for name in ("board", "mission", "transport", "inference", "pace"):
            if getattr(self, name) != getattr(default, name):
                parts += [f"--{name}", str(getattr(self, name))]
        if self.duration_s is not None:
            parts += ["--duration", repr(self.duration_s).removesuffix(".0")]
        for fault in self.faults:
            parts += ["--fault", fault]
        if not self.pin:
            parts.append("--no-pin")
        if self.stall_limit_s != default.stall_limit_s:
            parts += ["--stall-limit", repr(self.stall_limit_s)]
        return shlex.join(parts)


@dataclass(frozen=True)
class View:
    """What a progress bar shows."""

    done: float
    orbit_phase: float
    illumination: float
    battery_v: float
    battery_soc: float
    chip_c: float
    jobs: int
    jobs_done: int
    station: str
    real_time_factor: float


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    verdict: verdict.Verdict
    digest: str
    records: int
    virtual_s: float
    wall_s: float
    run_dir: Path
    command: str
    #: (what, wall seconds); a name that is indented is a part of the line above it
    where_time_goes: list[tuple[str, float]]
    lateness: dict[str, Any]
    #: seed, mission, board and version of the run
    identity: Mapping[str, Any] = field(default_factory=dict)
    #: False if something from outside stopped the payload computer: no command repeats that
    repeatable: bool = True
    #: why there is no report.html; empty if there is one
    report_error: str = ""

    @property
    def real_time_factor(self) -> float:
        """How many times faster than real time it flew."""
        return self.virtual_s / self.wall_s if self.wall_s else math.inf

    def as_json(self) -> dict[str, Any]:
        """Return the object of ``hil run --json``."""
        return {
            **self.identity,
            "verdict": verdict.GOOD if self.verdict.good else verdict.BAD,
            "digest": self.digest,
            "records": self.records,
            "real_time_factor": round(self.real_time_factor, 2),
            "virtual_s": self.virtual_s,
            "wall_s": round(self.wall_s, 3),
            "run_dir": str(self.run_dir),
            "command": self.command,
            "conditions": [
                {
                    "name": c.name,
                    "good": c.good,
                    "figure": c.figure,
                    "limit": c.limit,
                    **({"value": c.value} if c.value is not None else {}),
                    **({"limit_value": c.limit_value} if c.limit_value is not None else {}),
                    **({"unit": c.unit} if c.unit else {}),
                }
                for c in self.verdict.conditions
            ],
            "unknowns": dict(self.verdict.unknowns),
            "where_time_goes_s": {
                TIME_KEYS[name]: round(value, 3) for name, value in self.where_time_goes
            },
            "repeatable": self.repeatable,
            "lateness": self.lateness,
            # run.json is written before the report is, so it says nothing of it.
            **({"report_error": self.report_error} if self.report_error else {}),
        }


def parse_fault(text: str) -> tuple[str, int]:
    """Return (kind, t_ns) of a ``KIND@SECONDS`` fault. Raises ``UsageError``."""
    kind, _, when = text.partition("@")
    if kind != "kill":
        raise UsageError(f"fault {text!r}: unknown kind {kind!r}; known: kill")
    try:
        t_s = float(when)
    except ValueError:
        t_s = -1.0
    if not 0.0 <= t_s <= DURATION_LIMIT_S:
        raise UsageError(f"fault {text!r}: give the time in seconds after the '@', as kill@1200")
    return kind, round(t_s * SECOND)


def run_directory(out: Path | None, mission: Mission) -> RunDirectory:
    """Return ``out``, or the first ``runs/MISSION-NUMBER`` that is free, made and locked."""
    if out is not None:
        return RunDirectory(out).open()
    return first_free(RUNS / f"{mission.id}-{number:04d}" for number in count(1))


def fly(options: Options, progress: Callable[[View], None] = lambda view: None) -> Outcome:
    """Fly once. Everything a user can get wrong is found before anything is written."""
    if options.transport not in TRANSPORTS:
        raise UsageError(f"transport {options.transport!r}: say one of {', '.join(TRANSPORTS)}")
    least_s, limit_s = DURATION_LEAST_S, DURATION_LIMIT_S
    if options.duration_s is not None and not least_s <= options.duration_s <= limit_s:
        raise UsageError(f"duration {options.duration_s:g} s: give {least_s:g} to {limit_s:g} s")
    if not options.stall_limit_s > 0.0:
        raise UsageError(f"stall limit {options.stall_limit_s:g} s: give a positive time")
    if not 0 <= options.seed < 1 << 63:
        raise UsageError(f"seed {options.seed}: give a whole number from 0 to 2^63 - 1")
    parse_pace(options.pace)
    kills = [parse_fault(text)[1] for text in options.faults]
    mission, board = load_mission(options.mission), load_board(options.board)
    verdict.asked(mission.group("verdict"))
    with run_directory(options.out, mission) as directory, host_errors(directory.final):
        return Session(options, board, mission, directory, progress).run(kills)


@contextmanager
def pinned(wanted: bool) -> Iterator[None]:
    """Keep this process, and those that it starts, on one core while inside."""
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    if wanted:
        pin_to_one_core()
    try:
        yield
    finally:
        if before:
            os.sched_setaffinity(0, before)


class Session:
    """One run in its directory."""

    def __init__(
        self,
        options: Options,
        board: Board,
        mission: Mission,
        directory: RunDirectory,
        progress: Callable[[View], None],
    ) -> None:
        self.options = options
        self.directory = directory
        self.progress = progress
        #: wall seconds by what they went to
        self.seconds = {"capture": 0.0, "images": 0.0}
        self._begin_s = time.perf_counter()
        self._writer: CaptureWriter | None = None
        self.rig = Rig(
            board,
            mission,
            seed=options.seed,
            duration_s=options.duration_s,
            inference=options.inference,
            sink=self._sink,
            watch=self._watch,
        )
        imager = self.rig.wiring.of_type("imager")
        if imager is not None:
            imager.render = self._render
        self.supervisor = Supervisor(self.rig)
        self.pacer: Pacer | None = None
        if options.pace != "max":
            self.pacer = Pacer(self.rig.kernel, options.pace)

    def run(self, kills: list[int]) -> Outcome:
        """Fly, close the books, write every file, name the directory."""
        rig = self.rig
        for t_ns in kills:
            if t_ns > rig.end_ns:
                end_s = rig.end_ns / SECOND
                raise UsageError(f"fault kill@{t_ns / SECOND:g}: the run ends at {end_s:g} s")
            self.supervisor.inject_kill(t_ns)
        epoch_ns = round(rig.mission.start_utc.timestamp()) * SECOND
        path = self.directory.path / "capture.mcap"
        cpu = os.times()
        with self._capture(path, epoch_ns) as writer:
            self._writer = writer
            self._attach(writer)
            with pinned(self.options.pin):
                self._begin_s = time.perf_counter()
                flight = self._flight()
                self.supervisor.flight = flight
                try:
                    flight.run()
                finally:
                    flight.close()
                    # They have served: whoever is given the run directory has no use for them.
                    shutil.rmtree(self.directory.path / KEYS, ignore_errors=True)
                wall_s = time.perf_counter() - self._begin_s
            rig.finish()
        now = os.times()
        used = {
            "rig": now.user + now.system - cpu.user - cpu.system,
            "flight": now.children_user
            + now.children_system
            - cpu.children_user
            - cpu.children_system,
        }
        return self._close(wall_s, used)

    def _flight(self) -> Flight:
        options, storage = self.options, self.directory.path / "payload"
        storage.mkdir(mode=0o700)
        if options.transport == "direct":
            return DirectFlight(self.supervisor, storage)
        limit_s = options.stall_limit_s
        if options.transport == "inproc":
            return ThreadFlight(self.supervisor, "inproc://flatsat", storage, limit_s)
        keys = None
        endpoint = options.transport
        if options.transport == "tcp":
            keys = self.directory.path / KEYS
            make_keys(keys)
            endpoint = "tcp://127.0.0.1:0"
        return ProcessFlight(self.supervisor, endpoint, storage, limit_s, keys)

    # --- while it flies ------------------------------------------------------------------------

    def _sink(self, octets: bytes) -> None:
        if self._writer is not None:
            begin = time.perf_counter()
            self._writer.write(octets)
            self.seconds["capture"] += time.perf_counter() - begin

    def _render(self, t_ns: int, exposure_us: int) -> Any:
        begin = time.perf_counter()
        pixels = self.rig.camera.render(t_ns, exposure_us)
        self.seconds["images"] += time.perf_counter() - begin
        return pixels

    def _watch(self, rig: Rig) -> None:
        state = rig.world.state
        wall_s = time.perf_counter() - self._begin_s
        virtual_s = rig.kernel.now_ns / SECOND
        self.progress(
            View(
                done=rig.kernel.now_ns / rig.end_ns,
                orbit_phase=virtual_s / rig.world.period_s % 1.0,
                illumination=state["sun.illumination"],
                battery_v=state["power.battery_v"],
                battery_soc=state["power.battery_soc"],
                chip_c=state["thermal.chip_c"],
                jobs=len(rig.plan),
                jobs_done=len(rig.ground.products.complete),
                station=rig.station,
                real_time_factor=virtual_s / wall_s if wall_s else 0.0,
            )
        )

    # --- afterwards ----------------------------------------------------------------------------

    def _capture(self, path: Path, epoch_ns: int) -> CaptureWriter:
        """Open the capture; the wall clock only decides how much a crash of the host may cost."""
        names = self.rig.channel_names()
        return CaptureWriter(path, epoch_ns, names, self._metadata(), clock=time.monotonic_ns)

    def _metadata(self) -> dict[str, str]:
        options = self.options
        return {
            "version": __version__,
            "board": self.rig.board.name,
            "mission": self.rig.mission.id,
            "seed": str(options.seed),
            "inference": options.inference,
            "command": options.command(),
        }

    def _attach(self, writer: CaptureWriter) -> None:
        board, mission = self.rig.board, self.rig.mission
        writer.add_attachment("board.toml", "application/toml", board.source.encode())
        writer.add_attachment("mission.toml", "application/toml", Path(mission.path).read_bytes())

    def _close(self, wall_s: float, used: dict[str, float]) -> Outcome:
        rig, directory, options = self.rig, self.directory, self.options
        closed = books.close(rig, self.supervisor, directory.path / "payload")
        judged = books.judge(rig, closed)
        inside = options.transport in SAME_PROCESS
        times = [
            ("rig with flight software" if inside else "rig (processor)", used["rig"]),
            ("  of it capture", self.seconds["capture"]),
            ("  of it images", self.seconds["images"]),
            *([] if inside else [("flight software", used["flight"])]),
            ("waiting, switching", max(0.0, wall_s - used["rig"] - used["flight"])),
        ]
        outcome = Outcome(
            judged,
            rig.stream.hexdigest(),
            rig.stream.count,
            rig.end_ns / SECOND,
            wall_s,
            directory.final,
            options.command(),
            times,
            dict(self.pacer.snapshot()) if self.pacer is not None else {},
            identity={key: self._metadata()[key] for key in ("version", "board", "mission")}
            | {"seed": options.seed, "transport": options.transport},
            repeatable=not closed.stops.get("outside"),
        )
        books.write(directory, rig, closed, outcome.as_json())
        report_error = self._report(closed, outcome)
        run_dir = directory.finish()
        return replace(outcome, run_dir=run_dir, report_error=report_error)

    def _report(self, closed: verdict.Books, outcome: Outcome) -> str:
        """Write the report; return why it could not be written, "" if it was.

        A finished capture is worth more than its picture book: nothing that goes wrong here may
        take the run away, and what went wrong is told at the end.
        """
        path = self.directory.path / "report.html"
        try:
            data = page.report(self.rig, closed, outcome, self.options.transport, self.options.pace)
            if self.pacer is not None:
                data["lateness"] = [
                    (edge_ns / 1000, count) for edge_ns, count in self.pacer.lateness.octaves()
                ]
            write_report(path, data)
        except Exception as error:  # noqa: BLE001  # it is told, and the run is kept
            path.unlink(missing_ok=True)
            words = str(error).splitlines() or [""]
            return f"{type(error).__name__}: {words[0]}"
        return ""
