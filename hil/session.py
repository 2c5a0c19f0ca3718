"""One run from options to verdict: run directory, rig, unit under test, books, report."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hil import __version__, books, page, verdict
from hil.about import about, attach, note_end
from hil.board import Board, load_board
from hil.boards.binding import Taking, taking_part
from hil.capture.recording import Nowhere, Recording, recording
from hil.faults.plan import NOTHING, Plan, apply
from hil.missions import load as load_mission
from hil.missions.mission import Mission
from hil.options import Options, checked
from hil.outcome import Outcome, View
from hil.report import write_report
from hil.rig import SECOND, Rig
from hil.rundir import RunDirectory, first_free, host_errors
from hil.supervisor import Flight, Supervisor
from hil.time.fifo import realtime
from hil.time.pacing import Pacer, Wall, fine_sleep
from hil.time.pinning import pinned
from hil.uut import DirectFlight, flight_over

if TYPE_CHECKING:
    from hil.boards.desk import Boards

RUNS = Path("runs")
#: the wall as it is
WALL = Wall()
#: folder of the keys of a run over tcp, while it lasts
KEYS = "keys"
#: transports that run the flight software in the process of the rig: its time is in the rig's
SAME_PROCESS = ("direct", "inproc")


def run_directory(out: Path | None, mission: Mission) -> RunDirectory:
    """Return ``out``, or the first ``runs/MISSION-NUMBER`` that is free, made and locked."""
    if out is not None:
        return RunDirectory(out).open()
    return first_free(RUNS / f"{mission.id}-{number:04d}" for number in count(1))


def fly(
    options: Options,
    progress: Callable[[View], None] = lambda view: None,
    wall: Wall = WALL,
) -> Outcome:
    """Fly once. Everything a user can get wrong is found before anything is written."""
    plan = checked(options)
    mission, board = load_mission(options.mission), load_board(options.board)
    verdict.asked(mission.group("verdict"))
    taking = taking_part(options, board)
    with run_directory(options.out, mission) as directory, host_errors(directory.final):
        return Session(options, board, mission, directory, progress, taking, wall).run(plan)


class Session:
    """One run in its directory."""

    def __init__(
        self,
        options: Options,
        board: Board,
        mission: Mission,
        directory: RunDirectory,
        progress: Callable[[View], None],
        taking: Taking | None = None,
        wall: Wall = WALL,
    ) -> None:
        self.options = options
        self.directory = directory
        self.progress = progress
        #: wall seconds by what they went to
        self.seconds = {"images": 0.0}
        self._begin_s = time.perf_counter()
        self._recording: Recording | Nowhere | None = None
        self.rig = Rig(
            board,
            mission,
            seed=options.seed,
            duration_s=options.duration_s,
            inference=options.inference,
            umbilical=options.umbilical,
            sink=self._sink,
            watch=self._watch,
        )
        self.rig.measured_power = options.measured_power
        imager = self.rig.wiring.of_type("imager")
        if imager is not None:
            imager.render = self._render
        #: hears of records besides the capture
        self._note: Callable[[bytes], None] | None = None
        self.supervisor = Supervisor(self.rig)
        self.pacer: Pacer | None = None
        if options.pace != "max":
            self.pacer = Pacer(self.rig.kernel, options.pace, clock=wall.clock, sleep=wall.sleep)
            if options.tell_lateness:
                self.rig.exchange.lateness = self.pacer.lateness_now_ns
        #: the boards that take part, and what they are bound to
        self.boards: Boards | None = None
        self._taking = taking
        #: what else run.json says of how it was flown
        self.known: dict[str, Any] = {}
        #: what the boards came to, when they are let go of
        self._boards_json: dict[str, Any] = {}

    def run(self, plan: Plan = NOTHING) -> Outcome:
        """Fly, close the books, write every file, name the directory."""
        rig = self.rig
        apply(plan, rig)
        self.supervisor.inject_kills(plan.kills)
        epoch_ns = round(rig.mission.start_utc.timestamp()) * SECOND
        path = self.directory.path / "capture.mcap"
        cpu = os.times()
        with self._capture(path, epoch_ns) as capture:
            self._recording = capture
            capture.keep(rig.stream)
            attach(capture, rig.board, rig.mission, plan)
            with self._board_desk(), pinned(self.options.pin), self._on_time():
                self._begin_s = time.perf_counter()
                flight = self._flight()
                self.supervisor.flight = flight
                try:
                    self._fly(flight)
                finally:
                    flight.close()
                    # They have served: whoever is given the run directory has no use for them.
                    shutil.rmtree(self.directory.path / KEYS, ignore_errors=True)
                wall_s = time.perf_counter() - self._begin_s
            rig.finish()
            note_end(
                capture,
                digest=rig.stream.hexdigest(),
                records=rig.stream.count,
                wall_s=round(wall_s, 3),
                virtual_s=rig.end_ns / SECOND,
                repeatable=self._repeatable(),
            )
        rig.exchange.counted["capture"] = capture.counters
        now = os.times()
        used = {
            "rig": now.user + now.system - cpu.user - cpu.system,
            "flight": now.children_user
            + now.children_system
            - cpu.children_user
            - cpu.children_system,
        }
        return self._close(wall_s, used)

    @contextmanager
    def _board_desk(self) -> Iterator[None]:
        """Have the boards that take part at hand while the run lasts."""
        if self._taking is None:
            yield
            return
        # Only now: most runs have no board, and need not wait for what speaks to them.
        from hil.boards.taking import boards_at_hand

        pacer, path, wait_s = self.pacer, self.directory.path, self.options.boards_wait_s
        assert pacer is not None, "boards take part at the pace of the wall"
        desk = boards_at_hand(self.rig, self._taking, wait_s, path, time.monotonic_ns, pacer.stamp)
        with desk as boards:
            self.boards = pacer.watch = boards
            yield
            pacer.watch = None
            self._boards_json = boards.as_json()

    @contextmanager
    def _on_time(self) -> Iterator[None]:
        """Have sleeps end on time, and run before ordinary programs where that is wanted."""
        with ExitStack() as stack:
            if self.pacer is not None:
                stack.enter_context(fine_sleep())
            if self.options.fifo:
                stack.enter_context(realtime(self.options.fifo))
            yield

    def _flight(self) -> Flight:
        options, storage = self.options, self.directory.path / "payload"
        storage.mkdir(mode=0o700)
        keys = self.directory.path / KEYS
        return flight_over(options.transport, self.supervisor, storage, keys, options.stall_limit_s)

    def _fly(self, flight: Flight) -> None:
        """Fly to the end of the run."""
        every_s = self.options.snapshots_s
        if every_s is None:
            flight.run()
            return
        # Only now: most runs make none.
        from hil.snapshots.inflight import InFlight

        assert isinstance(flight, DirectFlight), "the options were checked"
        folder, every_ns = self.directory.path, round(every_s * SECOND)
        with InFlight(folder, flight, self.rig, every_ns, time.perf_counter) as frozen:
            self._note = frozen.note
            frozen.run()
            self.seconds["snapshots"] = frozen.seconds

    # --- while it flies ------------------------------------------------------------------------

    def _sink(self, octets: bytes) -> None:
        if self._recording is not None:
            self._recording.write(octets)
        if self._note is not None:
            self._note(octets)

    def _render(self, t_ns: int, exposure_us: int) -> Any:
        begin = time.perf_counter()
        pixels = self.rig.camera.render(t_ns, exposure_us)
        self.seconds["images"] += time.perf_counter() - begin
        return pixels

    def _watch(self, rig: Rig) -> None:
        if self.pacer is not None:
            # Somebody watches: a batch that fills slowly must not keep them waiting.
            rig.stream.flush()
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

    def _capture(self, path: Path, epoch_ns: int) -> Recording | Nowhere:
        """Open the capture; the wall clock only decides how much a crash of the host may cost."""
        options, names = self.options, self.rig.channel_names()
        known = about(options, self.rig.board, self.rig.mission)
        return recording(options, path, epoch_ns, names, known, time.monotonic_ns)

    def _repeatable(self) -> bool:
        """Tell whether a command repeats the run: nothing was real, nobody stopped it."""
        own = self.rig.exchange.observed.buses
        is_real = bool(own or self._boards_json.get("boards") or self.options.tell_lateness)
        return not is_real and not self.supervisor.stops.get("outside")

    def _real(self) -> dict[str, Any]:
        """Return what was real of the run: boards, and buses of the payload computer's own."""
        own = self.rig.exchange.observed.buses
        if not own:
            return self._boards_json
        words = [f"{bus} by {device} of the payload computer" for bus, device in own.items()]
        found = {"real": [], "boards": {}, **self._boards_json}
        return {**found, "real": [*found["real"], *words], "local": dict(own)}

    def _close(self, wall_s: float, used: dict[str, float]) -> Outcome:
        rig, directory, options = self.rig, self.directory, self.options
        closed = books.close(rig, self.supervisor, directory.path / "payload")
        judged = books.judge(rig, closed)
        boards = self._real()
        inside = options.transport in SAME_PROCESS
        times = [
            ("rig with flight software" if inside else "rig (processor)", used["rig"]),
            ("  of it capture", self._recording.seconds if self._recording else 0.0),
            ("  of it images", self.seconds["images"]),
            *([("  of it snapshots", self.seconds["snapshots"])] if options.snapshots_s else []),
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
            identity={
                "version": __version__,
                "board": rig.board.name,
                "mission": rig.mission.id,
                "seed": options.seed,
                "transport": options.transport,
                **self.known,
            },
            repeatable=self._repeatable(),
            lateness_told=options.tell_lateness,
            boards=boards,
            missing_roles=tuple(rig.board.missing_roles()),
            lost=self._recording.lost if self._recording else {},
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
                data["pacing"] = self.pacer.snapshot()
            write_report(path, data)
        except Exception as error:  # noqa: BLE001  # it is told, and the run is kept
            path.unlink(missing_ok=True)
            words = str(error).splitlines() or [""]
            return f"{type(error).__name__}: {words[0]}"
        return ""
