"""One foreign program on an emulated bench: rig, socket, overlay, the program, run directory.

The bench runs without the flight software: the program is the payload computer. Its standard
streams are its own, signals go on to it, and its exit code is the result.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import resources
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

from hil import __version__, books
from hil.about import about, attach, note_end
from hil.board import load_board
from hil.boards.binding import Taking, taking_part
from hil.capture.recording import recording
from hil.errors import HostError, UsageError
from hil.faces.attributes import Tree
from hil.faces.beside import record_beside
from hil.faces.computer_tables import COMPUTERS
from hil.faces.host import Host
from hil.faces.jetson_tools import write_programs
from hil.faces.nodes import nodes_of, write_overlay
from hil.faces.pace_page import PAGE, PacedPresent
from hil.faces.proctree import ProcessTree
from hil.faces.supervisor import is_static, supervisor_path
from hil.faces.virtual_clock import VirtualHost
from hil.faults.plan import apply
from hil.missions import load as load_mission
from hil.options import Options, checked
from hil.rig import SECOND, Rig
from hil.rundir import RunDirectory, first_free, host_errors
from hil.sysfs import tree_of
from hil.time.pacing import parse_pace
from hil.time.phase import Phase
from hil.time.pinning import pinned
from hil.time.transports.private import PrivateDirectory
from hil.transactions import Lane

RUNS = Path("runs")
SHIM = "_shim.so"
#: Signals that are meant for the program and go on to it.
FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
#: What a shell answers for a command that it cannot find, and for one that it cannot run.
NOT_FOUND, NOT_EXECUTABLE = 127, 126
#: How long a program may go on after SIGTERM at the end of the run, seconds of the wall.
GRACE_S = 2.0
#: The event of a program that begins to hear what comes in on a bus.
LISTENS = "PROGRAM_LISTENS"
#: When a program starts on a computer whose drivers hold parts: these have converted by then.
SETTLED_NS = SECOND


@dataclass(frozen=True)
class Ended:
    """How a program ended: its exit code as a shell has it, and where the run lies."""

    code: int
    run_dir: Path
    wall_s: float
    pace: Mapping[str, int | str]
    clock: str
    over: bool
    #: which boards took part, what of the payload computer was real
    boards: Mapping[str, Any] = field(default_factory=dict)
    #: records that are not in the capture, by topic
    lost: Mapping[str, int] = field(default_factory=dict)
    #: signals that came meanwhile and were handed on to it
    signals: tuple[int, ...] = ()


def shim_path() -> Path:
    """Return the preload shim of this installation. Raises ``HostError`` where there is none."""
    path = Path(str(resources.files("hil.faces"))) / SHIM
    if not path.is_file():
        raise HostError(
            f"the preload shim {SHIM} was not built: it needs Linux and a C compiler; "
            "`pip install -e .` where the sources lie builds it"
        )
    return path


@dataclass(frozen=True)
class Face:
    """How a program reaches the bench: a preload shim, or the supervisor that starts it."""

    path: Path
    static: bool = False

    @staticmethod
    def of(command: Sequence[str], static: bool = False) -> Face:
        """Return the face that ``command`` needs, or with ``static`` the supervisor.

        Raises ``HostError`` where that is missing here.
        """
        static = static or is_static(command[0])
        return Face(supervisor_path() if static else shim_path(), static)

    def start(
        self, command: Sequence[str], bench: Path, programs: Path | None = None
    ) -> tuple[list[str], dict[str, str]]:
        """Return words and environment that start ``command`` on the socket ``bench``.

        ``programs``: a folder of programs that its computer has.
        """
        env = environment(bench, None if self.static else self.path)
        if programs is not None:
            env["PATH"] = f"{programs}:{env.get('PATH', os.defpath)}"
        return [str(self.path), *command] if self.static else list(command), env


def host_program(options: Options, command: Sequence[str], static: bool = False) -> Ended:
    """Run ``command`` on the bench of ``options``; return how it ended.

    ``static``: under the supervisor, also where the preload shim would do.
    """
    plan = checked(options)
    if plan.kills:
        raise UsageError("fault 'kill' is for the flight software; a program here is its own")
    if not command:
        raise UsageError("no program behind `--`: as in `hil run -- i2cdetect -y 1`")
    face = Face.of(command, static)
    if face.static and options.virtual_time:
        raise UsageError(
            f"virtual time does not reach {command[0]} under the supervisor of static programs, "
            "which read the clock without asking anybody; leave --virtual-time away"
        )
    mission, board = load_mission(options.mission), load_board(options.board)
    taking = taking_part(options, board)
    if options.out is not None:
        directory = RunDirectory(options.out).open()
    else:
        directory = first_free(RUNS / f"{mission.id}-{number:04d}" for number in count(1))
    with directory, host_errors(directory.final):
        rig = Rig(board, mission, seed=options.seed, duration_s=options.duration_s, flight=False)
        apply(plan, rig)
        epoch_ns = round(mission.start_utc.timestamp()) * SECOND
        facts = about(options, board, mission, command)
        facts |= {"static": "1"} if face.static else {}
        path = directory.path / "capture.mcap"
        names = rig.channel_names()
        with recording(options, path, epoch_ns, names, facts, time.monotonic_ns) as capture:
            rig.stream.sink = capture.write
            capture.keep(rig.stream)
            attach(capture, board, mission, plan)
            beside = partial(record_beside, record=rig.stream.record)
            ended = serve(rig, options, command, face, directory.path, taking, beside)
            rig.finish()
            note_end(
                capture,
                digest=rig.stream.hexdigest(),
                records=rig.stream.count,
                wall_s=round(ended.wall_s, 3),
                virtual_s=rig.kernel.now_ns / SECOND,
                repeatable=options.virtual_time and not ended.boards,
                exit_code=ended.code,
            )
        rig.exchange.counted["capture"] = capture.counters
        known: dict[str, Any] = {"version": __version__, "board": board.name, "mission": mission.id}
        known |= {"program": command[0]}
        known |= {"seed": options.seed, "exit_code": ended.code, "wall_s": ended.wall_s}
        known |= {"digest": rig.stream.hexdigest(), "counters": books.counters(rig)}
        known |= {"virtual_s": rig.kernel.now_ns / SECOND, "command": list(command)}
        known |= {"pace": ended.pace, "clock": ended.clock}
        known |= {"boards": ended.boards} if ended.boards else {}
        directory.write_json("run.json", known)
        directory.write_lines("events.jsonl", rig.events)
        directory.finish()
    return replace(ended, run_dir=directory.final, lost=capture.lost)


def serve(
    rig: Rig,
    options: Options,
    command: Sequence[str],
    face: Face,
    path: Path,
    taking: Taking | None = None,
    prepare: Callable[[Host], None] = lambda host: None,
    stdout: int | None = None,
    stderr: int | None = None,
) -> Ended:
    """Open the socket, start the program, serve it until it ends.

    ``path`` is where boards that take part keep what they say. ``prepare`` is given the host before
    the program starts. ``stdout`` and ``stderr`` are the descriptors that the program has for its
    own; None: ours.
    """
    private = PrivateDirectory()
    try:
        # The shim knows its folders by the names that the kernel gives them, which have no links.
        home = private.path.resolve()
        root = home / "root"
        parts, world = rig.wiring.parts, rig.world
        nodes = nodes_of(rig.exchange.lanes.values()).values()
        tree, look = tree_of(rig.board, nodes, parts, world)
        rig.watch = lambda rig: look()
        host = _host(rig, options, home / "bench", tree, face.static)

        def begins(lane: Lane) -> None:
            # From here on what comes in is heard: who replays this must not let it come before.
            rig.event(rig.kernel.now_ns, "bench", 1, LISTENS, bus=lane.bus.name)

        host.begins = begins
        ttys = {path: line.path for path, line in host.lines.items()}
        write_overlay(root, host.nodes.values(), ttys)
        tree.write(root)
        if tree.devices:
            host.settle(SETTLED_NS)
        programs = None
        if rig.board.computer and COMPUTERS[rig.board.computer].jetson:
            write_programs(programs := home / "bin")
        begin_s = time.perf_counter()
        came: dict[str, Any] = {}
        heard: list[int] = []
        try:
            # With little bus time to wait for, waking another core would be most of a transaction.
            pin = pinned(options.pin and options.pace != "real")
            wait_s = options.boards_wait_s
            with _board_desk(rig, wait_s, host, path, taking, came), pin:
                prepare(host)
                words, env = face.start(command, home / "bench", programs)
                code, over = _run(host, words, env, heard, stdout, stderr)
        finally:
            host.close()
        wall_s = time.perf_counter() - begin_s
        pace, clock = dict(host.present.snapshot()), host.present.clock
        return Ended(code, path, wall_s, pace, clock, over, came, signals=tuple(heard))
    finally:
        private.remove()


@contextmanager
def _board_desk(
    rig: Rig, wait_s: float, host: Host, path: Path, taking: Taking | None, came: dict[str, Any]
) -> Iterator[None]:
    """Have the boards that take part at hand while a host serves; ``came`` is what they came to."""
    if taking is None:
        yield
        return
    # Only now: most runs have no board, and need not wait for what speaks to them.
    from hil.boards.taking import boards_at_hand

    def stamp(source: int, act: Callable[[int], None]) -> None:
        rig.kernel.at(host.present.now_ns(), Phase.BUS, source, act)

    with boards_at_hand(rig, taking, wait_s, path, time.monotonic_ns, stamp) as boards:
        host.watch(boards.fileno(), boards.serve)
        host.look_after, host.idle_s = boards.serve, boards.idle_s
        yield
        host.unwatch(boards.fileno())
        came.update(boards.as_json())


def _host(rig: Rig, options: Options, path: Path, tree: Tree, static: bool) -> Host:
    if options.virtual_time:
        epoch_ns = round(rig.mission.start_utc.timestamp()) * SECOND
        return VirtualHost(rig.exchange, path, epoch_ns, tree)
    present = None
    # Static programs read the clock without asking anybody: theirs stays that of the wall.
    if parse_pace(options.pace) not in (None, 1.0) and not static:
        present = PacedPresent(rig.kernel, options.pace, path.with_name(PAGE))
    return Host(rig.exchange, path, options.pace, tree, present)


def environment(bench: Path, shim: Path | None) -> dict[str, str]:
    """Return the environment in which a program finds the bench; no shim: by the supervisor."""
    if shim is None:
        return {**os.environ, "HIL_BENCH": str(bench)}
    before = os.environ.get("LD_PRELOAD", "")
    preload = f"{shim}:{before}" if before else str(shim)
    return {**os.environ, "HIL_BENCH": str(bench), "LD_PRELOAD": preload}


def _run(
    host: Host,
    command: Sequence[str],
    env: Mapping[str, str],
    heard: list[int],
    stdout: int | None = None,
    stderr: int | None = None,
) -> tuple[int, bool]:
    """Serve a program until it ends; return its exit code, and whether the run ended first.

    ``heard`` takes the signals that came meanwhile.
    """
    started: list[subprocess.Popen[bytes]] = []
    early: list[int] = []

    def send(number: int) -> None:
        if started:
            started[0].send_signal(number)
        else:
            early.append(number)

    # Before the program starts: it may be heard, and signalled, before its start returns here.
    with _signals_to(send, heard):
        try:
            child = subprocess.Popen(command, env=env, stdout=stdout, stderr=stderr)
        except OSError as error:
            print(f"hil run: {command[0]}: {error.strerror}", file=sys.stderr)
            return (NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE), False
        try:
            started.append(child)
            for number in early:
                child.send_signal(number)
            host.serve_until_exit(child.pid)
            late = not host.stopped
            if late:
                _end(child, f"HIL_BENCH={env['HIL_BENCH']}")
            host.drain()
            code = child.wait()
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
    return (code if code >= 0 else 128 - code), late


def _end(child: subprocess.Popen[bytes], variable: str) -> None:
    """End a program, then what it has started: children, and who has ``variable`` from it."""
    tree = ProcessTree(child.pid)
    try:
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(GRACE_S)
        child.kill()
        child.wait()
        tree.take(variable)
        tree.end()
    finally:
        tree.close()


@contextmanager
def _signals_to(send: Callable[[int], None], heard: list[int]) -> Iterator[None]:
    """Hand signals on to the program. SIGINT of the terminal reaches it by itself."""

    def forward(number: int, frame: FrameType | None) -> None:
        heard.append(number)
        send(number)

    def interrupt(number: int, frame: FrameType | None) -> None:
        heard.append(number)
        if not _on_terminal():
            send(number)

    handlers: dict[int, Callable[[int, FrameType | None], None]] = dict.fromkeys(FORWARDED, forward)
    handlers |= {signal.SIGINT: interrupt, signal.SIGQUIT: interrupt}
    before = {number: signal.getsignal(number) for number in handlers}
    for number, handler in handlers.items():
        if before[number] is not signal.SIG_IGN:
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def _on_terminal() -> bool:
    """Tell whether our process group is the one that the terminal sends its signals to."""
    try:
        tty = os.open("/dev/tty", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(tty) == os.getpgrp()
    finally:
        os.close(tty)
