"""Mock: the flight software alone, and each of its requests answered as it was recorded."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hil.capture.reader import Capture
from hil.errors import UsageError
from hil.replay.decode import Decoder
from hil.replay.flown import Flown
from hil.replay.mockbench import MockBench
from hil.replay.mockflight import MockDirectFlight, OwnFlight
from hil.replay.mockinputs import Inputs
from hil.replay.mocklives import Lives
from hil.replay.mockrecord import Recording
from hil.replay.mockverdict import Judge
from hil.replay.outcome import MOCK, Replayed, ReplayOptions
from hil.replay.rules import Rules
from hil.rig import CHANNEL_NAMES
from hil.time.kernel import NEVER_NS
from hil.time.pinning import pinned
from hil.uut import ProcessFlight, ThreadFlight

SECOND = 1_000_000_000
#: How long a program may take whose options do not say, virtual seconds.
_PROGRAM_S = 6 * 3600.0
#: A folder of Linux that lies in memory.
_SHARED = "/dev/shm"  # noqa: S108  # a folder of its own is made in it


def replay(flown: Flown, options: ReplayOptions, say: Callable[[str], None]) -> Replayed:
    """Fly the flight software of ``flown`` on its record, and compare.

    Raises ``UsageError`` for what cannot be.
    """
    if flown.imported:
        raise UsageError(f"{flown.path}: was not flown here, so nothing is asked; take --mode play")
    begin_s = time.perf_counter()
    with Capture(flown.capture, tolerant=not flown.whole) as capture:
        recording = Recording.of(capture.buffers())
    if options.until is not None:
        recording = recording.until(options.until)
    end_ns = _end_ns(flown, recording, options)
    names = {**{spec.index: spec.name for spec in flown.board.buses}, **CHANNEL_NAMES}
    command = list(options.program) or flown.program
    hosted = flown.program is not None
    timed = not hosted or flown.options.virtual_time
    bench = MockBench(
        flown.board,
        flown.mission,
        recording,
        end_ns=end_ns,
        inference=flown.options.inference,
        timed=timed,
        hosted=hosted,
    )
    about: dict[str, Any] = {}
    notes: list[str] = []
    if hosted and command:
        # Only now: flight software has no faces.
        from hil.replay.mockprogram import run_program

        about["exit_code"], _ = run_program(flown, bench, command)
        notes += _exits(flown, about["exit_code"])
    else:
        lives = Lives(bench)
        with tempfile.TemporaryDirectory(prefix="flatsat-", dir=_memory()) as folder:
            _fly(lives, options, Path(folder), flown.options.stall_limit_s)
        for t_ns, why in lives.crashes:
            notes.append(f"the flight software was lost at t={t_ns / SECOND:.6f} s: {why}")
    virtual_s = bench.kernel.now_ns / SECOND
    bench.finish()
    decoder = Decoder(flown.board, flown.mission, names)
    # What keeps the time of the wall does nothing at the same time twice.
    ignore = options.ignore if timed else ("t_ns", *options.ignore)
    judge = Judge(bench.stream, decoder, Rules(ignore, options.tolerate), names)
    verdict = judge.verdict(stopped=not flown.whole or options.until is not None)
    return Replayed(
        MOCK,
        verdict,
        virtual_s,
        time.perf_counter() - begin_s,
        flown.wall_s,
        about | figures(bench),
        (*notes, *_improvised(bench)),
    )


def _exits(flown: Flown, code: int) -> list[str]:
    """Say if a program ended otherwise than it did."""
    then = flown.exit_code
    if then is None or then == code:
        return []
    return [f"the program ended with {code}; when it was recorded, with {then}"]


def _memory() -> str | None:
    """Return a folder in memory, where there is one: what flies here is gone when it has flown."""
    return _SHARED if os.access(_SHARED, os.W_OK | os.X_OK) else None


def _end_ns(flown: Flown, recording: Recording, options: ReplayOptions) -> int:
    """Return when the run ends: when it did, or where the record does."""
    if flown.program is not None:
        return round((flown.options.duration_s or _PROGRAM_S) * SECOND)
    if flown.whole and options.until is None and flown.virtual_s is not None:
        return round(flown.virtual_s * SECOND)
    return recording.last_ns if len(recording) else NEVER_NS


def _fly(lives: Lives, options: ReplayOptions, storage: Path, stall_limit_s: float) -> None:
    """Fly to the end of the run over a transport."""
    bench, transport = lives.rig, options.transport
    flight: Any
    if options.program:
        transport = "ipc" if transport == "direct" else transport
        flight = OwnFlight(lives, transport, storage, stall_limit_s, options.program)
    elif transport == "direct":
        flight = MockDirectFlight(lives, storage, Inputs(bench, feed=False))
    elif transport == "inproc":
        flight = ThreadFlight(lives, "inproc://flatsat-mock", storage, stall_limit_s)
    elif transport == "tcp":
        raise UsageError("mock over tcp: nobody else takes part; take direct, ipc or seqpacket")
    else:
        flight = ProcessFlight(lives, transport, storage, stall_limit_s)
    lives.flight = flight
    if not isinstance(flight, MockDirectFlight):
        Inputs(bench)
    with pinned(True):
        try:
            flight.run()
        finally:
            flight.close()


def figures(bench: MockBench) -> dict[str, Any]:
    """Return what a mock counted, that of the usual case first."""
    counters = bench.counters()
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
            f"{counters['improvised']} requests were never recorded and got the latest answer to "
            "one like them"
        )
    if counters["absent"]:
        notes.append(
            f"{counters['absent']} requests are like none that was recorded: nobody was there"
        )
    return notes
