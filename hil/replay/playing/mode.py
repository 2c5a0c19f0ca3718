"""Play: recorded stimulus once more, with its own timing or as fast as it goes.

Into the flight software on a rig (:mod:`hil.replay.playing.flight`), into a program under the faces
(:mod:`hil.replay.playing.program`), or into the ground endpoint (:mod:`hil.replay.playing.ground`,
:mod:`hil.replay.playing.mission`). Where the capture holds what was answered, the answers are
compared; else the verdict says what was delivered, and whether anything was lost.
"""

from __future__ import annotations

import importlib
import shlex
from collections.abc import Callable

from hil.capture.reader import Capture
from hil.config import one_line
from hil.errors import UsageError
from hil.replay.flown import Flown
from hil.replay.outcome import Replayed, ReplayOptions

CHANNEL = "channel.toml"
GROUND, FLIGHT, PROGRAM = "ground", "flight", "program"
MODULES = {
    GROUND: "hil.replay.playing.ground",
    FLIGHT: "hil.replay.playing.flight",
    PROGRAM: "hil.replay.playing.program",
}


def replay(flown: Flown, options: ReplayOptions, say: Callable[[str], None]) -> Replayed:
    """Play what ``flown`` holds. Raises ``UsageError`` for what cannot be."""
    if options.break_at is not None or options.step:
        raise UsageError("play has no world to stop in; --break-at and --step are for re-execute")
    target = target_of(flown, options)
    if options.channel is not None and target != GROUND:
        raise UsageError(f"--channel {options.channel}: is for --to ground, and this is {target}")
    if options.board is not None and target == GROUND:
        raise UsageError(f"--board {options.board}: the ground is on no board; leave it away")
    module = importlib.import_module(MODULES[target])
    found: Callable[[Flown, ReplayOptions, Callable[[str], None]], Replayed] = module.replay
    return found(flown, options, say)


def target_of(flown: Flown, options: ReplayOptions) -> str:
    """Return what is stimulated: what was asked for, or else what the capture has stimulus for."""
    if options.program:
        if options.to not in ("", PROGRAM):
            raise UsageError(f"--to {options.to} and a program behind `--`: leave one away")
        return PROGRAM
    if options.to:
        return options.to
    if flown.program is not None:
        words = one_line(shlex.join(flown.program))
        raise UsageError(f"{flown.path}: a program flew; say which is to listen now: -- {words}")
    with Capture(flown.capture, tolerant=not flown.whole) as capture:
        topics = {channel.topic for channel in capture.channels.values()}
    return GROUND if topics == {"/link/tm"} else FLIGHT
