"""What a run is asked to be, checked before anything is built or written."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

from hil.errors import UsageError
from hil.time.fifo import checked as priority
from hil.time.pacing import parse_pace

if TYPE_CHECKING:
    from hil.faults.plan import Plan

SECOND = 1_000_000_000
TRANSPORTS = ("ipc", "tcp", "inproc", "seqpacket", "direct")
DURATION_LEAST_S, DURATION_LIMIT_S = 1.0, 10 * 86400.0
BOARDS_WAIT_LIMIT_S = 3600.0
SNAPSHOTS_LEAST_S = 1.0
#: A real board keeps its own time, and nothing waits for it.
NEEDS_REAL = (
    "a board takes the place of something emulated, and boards keep the time of the wall: "
    "add --pace real, or leave the board away with --bind PART=emulated"
)


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
    #: rows of the fault plan, and a file of them
    faults: tuple[str, ...] = ()
    plan: Path | None = None
    pin: bool = True
    #: priority of SCHED_FIFO for the bench and the flight software that it starts; 0: none
    fifo: int = 0
    #: the flight software hears how late it is on the wall's clock
    tell_lateness: bool = False
    #: the world draws the power that the payload computer measures of itself
    measured_power: bool = False
    stall_limit_s: float = 60.0
    #: the clock of a foreign program is virtual
    virtual_time: bool = False
    #: the lab file; None: that of the user, if there is one
    lab: Path | None = None
    #: what boards take the place of: ``PART_OR_BUS=INSTANCE[:BUS]``
    bind: tuple[str, ...] = ()
    #: parts that boards play on real wires: ``PART=INSTANCE[:BUS]``
    front: tuple[str, ...] = ()
    #: how long the start waits for boards, seconds of the wall; 0: it begins without them
    boards_wait_s: float = 10.0
    #: virtual time between snapshots of the whole state; None: none are made
    snapshots_s: float | None = None
    #: how chunks of the capture are compressed, and what happens when they come too fast
    capture_compression: str = "zstd"
    capture_full: str = "slow"
    #: whether there is a capture
    capture: bool = True
    #: the link is a cable, plugged in from the beginning to the end
    umbilical: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return what a capture keeps: no run directory, and of files their names alone.

        The fault plan is not in it: its rows are kept beside it, wherever they came from.
        """
        kept = {each.name: getattr(self, each.name) for each in fields(self)}
        for name in ("out", "plan", "faults"):
            del kept[name]
        for name in ("board", "mission", "lab"):
            kept[name] = None if kept[name] is None else Path(kept[name]).name
        return {name: list(v) if isinstance(v, tuple) else v for name, v in kept.items()}

    def command(self) -> str:
        """Return the command that flies the same again, anywhere."""
        parts = ["hil", "run", "--seed", str(self.seed)]
        default = Options()
        for name in ("board", "mission", "transport", "inference", "pace"):
            if getattr(self, name) != getattr(default, name):
                parts += [f"--{name}", str(getattr(self, name))]
        if self.duration_s is not None:
            parts += ["--duration", repr(self.duration_s).removesuffix(".0")]
        if self.plan is not None:
            parts += ["--faults", str(self.plan)]
        for fault in self.faults:
            parts += ["--fault", fault]
        if self.lab is not None:
            parts += ["--lab", str(self.lab)]
        for bound in self.bind:
            parts += ["--bind", bound]
        for played in self.front:
            parts += ["--front", played]
        if self.boards_wait_s != default.boards_wait_s:
            parts += ["--boards-wait", repr(self.boards_wait_s).removesuffix(".0")]
        if self.capture_compression != default.capture_compression:
            parts += ["--capture-compression", self.capture_compression]
        if self.capture_full != default.capture_full:
            parts += ["--capture-full", self.capture_full]
        if not self.capture:
            parts.append("--no-capture")
        if self.umbilical:
            parts.append("--umbilical")
        if self.virtual_time:
            parts.append("--virtual-time")
        if self.snapshots_s is not None:
            parts += ["--snapshots", repr(self.snapshots_s).removesuffix(".0")]
        if not self.pin:
            parts.append("--no-pin")
        if self.fifo:
            parts += ["--fifo", str(self.fifo)]
        if self.tell_lateness:
            parts.append("--tell-lateness")
        if self.measured_power:
            parts.append("--measured-power")
        if self.stall_limit_s != default.stall_limit_s:
            parts += ["--stall-limit", repr(self.stall_limit_s)]
        return shlex.join(parts)


#: what a value of each type may be in JSON
_KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "bool": (bool,),
    "float": (int, float),
    "float | None": (int, float, NoneType),
    "Path | None": (str, NoneType),
    "tuple[str, ...]": (list,),
}


def options_of(kept: Mapping[str, Any], place: str) -> Options:
    """Return the options that :meth:`Options.as_json` has kept; ``place`` is for complaints.

    What a later version has added is left out; what it lacks has its default. Raises
    ``UsageError`` for values of other types.
    """
    found: dict[str, Any] = {}
    for each in fields(Options):
        if each.name not in kept:
            continue
        value, wanted = kept[each.name], _KINDS[str(each.type)]
        good = isinstance(value, wanted) and (bool in wanted or not isinstance(value, bool))
        if list in wanted:
            good = good and all(isinstance(one, str) for one in value)
        if not good:
            raise UsageError(f"{place}: option {each.name!r} cannot be {str(value)[:64]!r}")
        if wanted[0] is str and NoneType in wanted:
            value = None if value is None else Path(value)
        found[each.name] = tuple(value) if isinstance(value, list) else value
    return Options(**found)


def _check_snapshots(options: Options) -> None:
    """Raise ``UsageError`` where no snapshots can be made."""
    if options.snapshots_s is None:
        return
    if not SNAPSHOTS_LEAST_S <= options.snapshots_s <= DURATION_LIMIT_S:
        raise UsageError(f"a snapshot every {options.snapshots_s:g} s: give 1 s or more")
    if options.transport != "direct" or options.pace != "max":
        raise UsageError(
            "snapshots are made of flight software in the process of the bench, in virtual time: "
            "add --transport direct and leave --pace away, or make them afterwards with "
            "`hil snapshot`"
        )


def checked(options: Options) -> Plan:
    """Return the fault plan. Raises ``UsageError`` for what no run can be."""
    if options.transport not in TRANSPORTS:
        raise UsageError(f"transport {options.transport!r}: say one of {', '.join(TRANSPORTS)}")
    least_s, limit_s = DURATION_LEAST_S, DURATION_LIMIT_S
    if options.duration_s is not None and not least_s <= options.duration_s <= limit_s:
        raise UsageError(f"duration {options.duration_s:g} s: give {least_s:g} to {limit_s:g} s")
    if not options.stall_limit_s > 0.0:
        raise UsageError(f"stall limit {options.stall_limit_s:g} s: give a positive time")
    if not 0.0 <= options.boards_wait_s <= BOARDS_WAIT_LIMIT_S:
        raise UsageError(f"wait of {options.boards_wait_s:g} s for boards: give 0 to 3600 s")
    if (options.bind or options.front) and (options.pace != "real" or options.virtual_time):
        raise UsageError(NEEDS_REAL)
    if not 0 <= options.seed < 1 << 63:
        raise UsageError(f"seed {options.seed}: give a whole number from 0 to 2^63 - 1")
    parse_pace(options.pace)
    _check_snapshots(options)
    if options.virtual_time and options.pace != "max":
        raise UsageError(
            f"pace {options.pace!r} with --virtual-time: the wall clock plays no part there; "
            "leave one of the two away"
        )
    if options.fifo:
        priority(options.fifo)
    if options.tell_lateness and (options.pace == "max" or options.virtual_time):
        raise UsageError(
            "--tell-lateness at pace max: in virtual time nothing is late; add --pace real or xN, "
            "or leave it away"
        )
    check_capture(options)
    # Only now: a mistyped option need not wait for the buses to load.
    from hil.faults.plan import read_plan

    return read_plan(options.faults, options.plan)


def check_capture(options: Options) -> None:
    """Raise ``UsageError`` for a capture that no run can have, ``HostError`` for none here."""
    from hil.capture.compression import compressor

    compressor(options.capture_compression)
    if options.capture_full == "drop" and (options.pace == "max" or options.virtual_time):
        raise UsageError(
            "--capture-full drop at pace max: nothing there waits for the wall clock, so the run "
            "can wait for the capture; add --pace real or xN, or leave it away"
        )
