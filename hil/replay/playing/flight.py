"""Play into our flight software: the rig flies, but what comes in by itself is what was recorded.

Serial octets, CAN frames and edges come from the capture, at their recorded times; transactions
(I2C, SPI, 1-Wire, camera) are answered by the emulated parts in the emulated world. A capture of
our own run is compared with the new one record by record; an import has outputs only where it says
so, else what was delivered is the verdict.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hil.board import load_board
from hil.capture.reader import Capture
from hil.digest import RecordStream
from hil.errors import UsageError
from hil.replay.flown import Flown
from hil.replay.outcome import PLAY, Replayed, ReplayOptions
from hil.replay.playing.judge import Judge
from hil.replay.playing.rig import Places, hold_back, places, told
from hil.replay.playing.stimulus import Delivered, Player, is_input, stimulus
from hil.replay.playing.verdict import Played
from hil.replay.stepped import Stepped
from hil.rig import SECOND, Rig
from hil.time.pacing import Pacer, fine_sleep

#: an imported stimulus has no end of its own: the flight software gets this long to answer
AFTER_NS = SECOND


def replay(flown: Flown, options: ReplayOptions, say: Callable[[str], None]) -> Replayed:
    """Fly with recorded stimulus."""
    if options.start:
        raise UsageError(f"--from {options.start}: the flight software begins at its beginning")
    if options.transport != "direct":
        raise UsageError(f"--transport {options.transport}: play flies direct; leave it away")
    board = flown.board if options.board is None else load_board(options.board)
    course = replace(flown, board=board) if options.board is not None else flown
    with (
        Capture(flown.capture, tolerant=not flown.whole) as capture,
        tempfile.TemporaryDirectory(prefix="flatsat-") as folder,
    ):
        found = places(flown, board, capture)
        judge = Judge(capture, board, flown.mission, options, found, whole=not flown.imported)
        stepped = Stepped(course, Path(folder) / "payload", RecordStream(judge.sink))
        silenced = hold_back(flown, board, stepped.rig.exchange, found)
        for one in silenced:
            say(f"silenced: {one}")
        return _fly(flown, options, capture, stepped, found, judge, silenced)


def _fly(
    flown: Flown,
    options: ReplayOptions,
    capture: Capture,
    stepped: Stepped,
    found: Places,
    judge: Judge,
    silenced: list[str],
) -> Replayed:
    rig = stepped.rig
    exchange, kernel = rig.exchange, rig.kernel
    delivered = Delivered.of(capture)
    records = (r for r in stimulus(capture, options, is_input) if found.wanted(r))
    player = Player(kernel, records, found.bringer(exchange), delivered)
    if flown.imported or options.until is not None:
        last_ns = 0 if options.until is not None else capture.times_ns[1]
        player.ended = lambda t_ns: _end(rig, max(t_ns, last_ns) + AFTER_NS)
    player.begin()
    begin = time.perf_counter()
    notes: tuple[str, ...] = ()
    with contextlib.ExitStack() as stack:
        if options.pace != "max":
            # Loading the flight software is not part of its time.
            while stepped.app is None and stepped.step():
                pass
            notes = _untimed(delivered, kernel.now_ns)
            player.late = Pacer(kernel, options.pace).late_ns
            stack.enter_context(fine_sleep())
        stepped.run()
    wall_s = time.perf_counter() - begin
    return Played(
        PLAY,
        judge.verdict(
            delivered,
            {**found.lost, "due after the end of the run": player.rest()},
            stopped=options.until is not None,
        ),
        kernel.now_ns / SECOND,
        wall_s,
        flown.wall_s,
        {"delivered": dict(delivered.counts)} | delivered.figures(),
        notes,
        told=tuple(told(silenced, exchange, rig.board)),
    )


def _untimed(delivered: Delivered, now_ns: int) -> tuple[str, ...]:
    """Say of how many records the lateness is not taken."""
    count = sum(delivered.counts.values())
    if not count:
        return ()
    up_s = now_ns / SECOND
    return (
        f"{count:,} records were due before the flight software was up, at {up_s:.3f} s: "
        "how late they were is not counted",
    )


def _end(rig: Rig, t_ns: int) -> None:
    """Bring the end of the run forward."""
    rig.exchange.end_ns = min(t_ns, rig.exchange.end_ns)
