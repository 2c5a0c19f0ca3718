"""Mock: flight software or a program alone, each of its requests answered as it was recorded."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hil.about import note_end
from hil.capture.reader import Capture
from hil.errors import UsageError
from hil.replay.decode import Decoder
from hil.replay.flown import Flown
from hil.replay.keeping import keeping
from hil.replay.mocking.bench import MockBench
from hil.replay.mocking.flight import MockDirectFlight, OwnFlight
from hil.replay.mocking.inputs import Inputs
from hil.replay.mocking.lives import Lives
from hil.replay.mocking.record import Recording
from hil.replay.mocking.verdict import Judge
from hil.replay.outcome import MOCK, Replayed, ReplayOptions
from hil.replay.rules import Rules
from hil.replay.stops import Left, Looked, Scene, Stops, stops_of
from hil.rig import channel_names
from hil.supervisor import Flight
from hil.time.kernel import NEVER_NS
from hil.time.pinning import pinned
from hil.uut import flight_over
from hil.verdict import plural

SECOND = 1_000_000_000
#: How long a program may take whose options do not say, virtual seconds.
_PROGRAM_S = 6 * 3600.0
#: A folder of Linux that lies in memory.
_SHARED = "/dev/shm"  # noqa: S108  # a folder of its own is made in it


def replay(flown: Flown, options: ReplayOptions, say: Callable[[str], None]) -> Replayed:
    """Run what flew in ``flown`` on the record alone, and compare what it does.

    Raises ``UsageError`` for what cannot be.
    """
    _check(flown, options)
    begin_s = time.perf_counter()
    recording = _recording(flown, options.until)
    hosted = flown.program is not None
    timed = not hosted or flown.options.virtual_time
    bench = MockBench(
        flown.board,
        flown.mission,
        recording,
        end_ns=_end_ns(flown, recording, options),
        inference=flown.options.inference,
        timed=timed,
        hosted=hosted,
    )
    run = _host if hosted else _fly
    stops = _stop_where_asked(flown, options, bench)
    left = False
    about: dict[str, Any] = {}
    notes: Sequence[str] = ()
    try:
        about, notes = run(flown, bench, options)
    except Left:
        left = True
        now_s = bench.kernel.now_ns / SECOND
        notes = [f"left at t={now_s:.6f} s: what came after it was not flown"]
    virtual_s = bench.kernel.now_ns / SECOND
    bench.finish()
    names = channel_names(flown.board)
    ignore = (*_ignored(flown), *options.ignore)
    rules = Rules.of(flown.board, ignore, options.tolerate)
    judge = Judge(bench.stream, Decoder(flown.board, flown.mission, names), rules, names)
    stopped = left or options.until is not None
    breaks_off = options.until is not None or not flown.whole
    # A program ends by itself, flight software with its run.
    by_itself = hosted and not left
    early = (left or breaks_off) and not by_itself
    verdict = judge.verdict(bench.kernel.now_ns if early else NEVER_NS, breaks_off and by_itself)
    wall_s = time.perf_counter() - begin_s
    with keeping(flown, options.out) as writer:
        if writer is not None:
            for octets in judge.new():
                writer.write(octets)
            note_end(writer, virtual_s=virtual_s, wall_s=round(wall_s, 3), repeatable=False)
    notes = (*notes, *_reordered(bench), *_improvised(bench), *_unanswerable(bench))
    notes = (*notes, *_never_held(stops))
    return Replayed(
        MOCK,
        verdict,
        virtual_s,
        wall_s,
        None if stopped else flown.wall_s,
        about | _figures(bench),
        notes,
    )


def _ignored(flown: Flown) -> list[str]:
    """Return which times cannot be the same again: those of a program on the clock of the wall, and
    when one on a virtual clock has its octets taken from it."""
    if flown.program is None:
        return []
    if not flown.options.virtual_time:
        return ["t_ns"]
    lines = [spec.name for spec in flown.board.buses if spec.kind == "uart"]
    return [f"/bus/{name}:t_ns" for name in lines]


def _check(flown: Flown, options: ReplayOptions) -> None:
    """Raise ``UsageError`` for what a mock cannot be."""
    if flown.imported:
        raise UsageError(f"{flown.path}: was not flown here, so nothing is asked; take --mode play")
    flown.command(options.program)
    if options.start is not None:
        raise UsageError("--from: a mock begins at the start; take --mode re-execute")
    if options.pace not in ("max", flown.options.pace):
        raise UsageError(f"--pace {options.pace}: a mock keeps the pace of its run; leave it away")


def _stop_where_asked(flown: Flown, options: ReplayOptions, bench: MockBench) -> Stops | None:
    """Look at what the payload computer does as it does it, if the replay is to stop somewhere."""

    def scene() -> Scene:
        return Scene(bench, getattr(bench.flight, "app", None), None)

    stream = bench.stream
    stops = stops_of(options, flown, lambda: [stream.recording.octets], scene)
    if stops is not None:
        stream.kept = Looked(stops, stream.octets)
        stream.came = stops.check
    return stops


def _never_held(stops: Stops | None) -> list[str]:
    """Say that a condition never held, and of which records a mock has none."""
    some = "a mock has what the payload computer does and what comes in to it, and no other record"
    return [f"{note}; {some}" for note in (() if stops is None else stops.notes())]


def _recording(flown: Flown, until: int | None) -> Recording:
    """Read the capture, up to the record of number ``until``."""
    with Capture(flown.capture, tolerant=not flown.whole) as capture:
        recording = Recording.of(capture.buffers())
    return recording if until is None else recording.until(until)


def _end_ns(flown: Flown, recording: Recording, options: ReplayOptions) -> int:
    """Return when the run ends: when it did, or where the record does."""
    if flown.program is not None:
        return round((flown.options.duration_s or _PROGRAM_S) * SECOND)
    if flown.whole and options.until is None and flown.virtual_s is not None:
        # A test stops behind everything of its last instant, a run in front of it.
        return round(flown.virtual_s * SECOND) + ("test" in flown.made_by)
    return recording.last_ns if len(recording) else NEVER_NS


#: figures and notes
_Told = tuple[dict[str, Any], Sequence[str]]


def _host(flown: Flown, bench: MockBench, options: ReplayOptions) -> _Told:
    """Run the recorded program, or another."""
    # Only now: flight software has no faces.
    from hil.replay.mocking.program import run_program

    ended = run_program(flown, bench, flown.command(options.program))
    code, then = ended.code, flown.exit_code
    notes = []
    if ended.over:
        now_s = bench.kernel.now_ns / SECOND
        notes.append(f"the program had not ended at t={now_s:.3f} s: it was stopped")
    if then not in (None, code):
        notes.append(f"the program ended with {code}; when it was recorded, with {then}")
    return {"exit_code": code}, notes


def _fly(flown: Flown, bench: MockBench, options: ReplayOptions) -> _Told:
    """Fly to the end of the run over a transport."""
    lives = Lives(bench)
    with _storage() as home:
        storage = home / "payload"
        storage.mkdir(mode=0o700)
        flight = _flight(flown, lives, options, storage)
        lives.flight = bench.flight = flight
        if not isinstance(flight, MockDirectFlight):
            Inputs(bench)
        with pinned(flown.options.pin):
            try:
                flight.run()
            finally:
                flight.close()
    lost = "the flight software was lost at t={:.6f} s: {}"
    return {}, [lost.format(t_ns / SECOND, why) for t_ns, why in lives.crashes]


def _flight(flown: Flown, lives: Lives, options: ReplayOptions, storage: Path) -> Flight:
    transport, limit_s = options.transport, flown.options.stall_limit_s
    if options.program:
        if transport in ("tcp", "inproc"):
            raise UsageError(f"transport {transport}: give software of your own ipc or seqpacket")
        transport = "ipc" if transport == "direct" else transport
        return OwnFlight(lives, transport, storage, limit_s, options.program)
    if transport == "direct":
        return MockDirectFlight(lives, storage, Inputs(lives.rig, feed=False))
    return flight_over(transport, lives, storage, storage.with_name("keys"), limit_s)


@contextmanager
def _storage() -> Iterator[Path]:
    """Have a folder for the payload computer: in memory if there is one, as it is soon gone."""
    there = _SHARED if os.access(_SHARED, os.W_OK | os.X_OK) else None
    with tempfile.TemporaryDirectory(prefix="flatsat-", dir=there) as folder:
        yield Path(folder)


def _figures(bench: MockBench) -> dict[str, Any]:
    """Return what a mock counted, that of the usual case first."""
    counters = bench.counters()
    if not bench.timed:
        del counters["retimed"]  # as everything is
    keep = ("answered", "inputs")
    return {name: counters[name] for name in keep} | {
        name: value for name, value in counters.items() if value and name not in keep
    }


def _improvised(bench: MockBench) -> list[str]:
    """Say what was answered without a record."""
    counters = bench.counters()
    notes = []
    if counters["improvised"]:
        notes.append(
            f"{plural(counters['improvised'], 'request')} never recorded, each given the latest "
            "answer to one like it"
        )
    if counters["absent"]:
        notes.append(
            f"{plural(counters['absent'], 'request')} like none that was recorded: nobody was there"
        )
    return notes


def _reordered(bench: MockBench) -> list[str]:
    """Say which requests came in another order among the buses, where no time tells of it."""
    if bench.timed:
        return []
    last, count = -1, 0
    for index in bench.stream.asked:
        count += index < last
        last = max(last, index)
    if not count:
        return []
    return [f"{plural(count, 'request')} came behind others, but in front of them when recorded"]


def _unanswerable(bench: MockBench) -> list[str]:
    """Say what of a computer no record holds."""
    if not bench.unread:
        return []
    return [
        f"{bench.unread} reads of what the computer shows of itself were never recorded: it "
        "stands still there"
    ]
