"""Short flights that tests freeze and thaw."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from hil.board import load_board
from hil.digest import RecordStream
from hil.faults.plan import read_plan
from hil.missions import load as load_mission
from hil.options import Options
from hil.replay.stepped import Course, Stepped

SECOND = 1_000_000_000
#: a kill, the reset by the watchdog, the boot; a bus that fails meanwhile, a line that garbles
FAULTS = (
    "kill@12.3",
    "i2c-1:nak_address,address=0x48,first=20,last=60",
    "ttyAMA1:framing,from=3 s,until=40 s,rate=0.2",
)


@cache
def course(board="raspberrypi4", faults=(), duration_s=110.0, inference="threshold"):
    """Return what is flown."""
    options = Options(
        transport="direct", board=board, inference=inference, duration_s=duration_s, faults=faults
    )
    return Course(
        options, load_board(board), load_mission(options.mission), read_plan(options.faults)
    )


@dataclass
class Kept(RecordStream):
    """A stream that keeps its records."""

    octets: bytearray = field(default_factory=bytearray)

    def __post_init__(self):
        super().__init__(self.octets.extend)

    __hash__ = None


def behind(octets, seq):
    """Return a stream behind the first ``seq`` records of ``octets``."""
    from flightsw.codec.wire import Kind, unpack_from

    stream, at = Kept(), 0
    while stream.count < seq:
        record, end = unpack_from(octets, at)
        if record.kind != Kind.WORLD:
            stream.pass_over(1, octets[at:end])
        at = end
    return stream


def stepped(path: Path, **kwargs):
    """Return a run that begins, whose records are kept."""
    return Stepped(course(**kwargs), path, Kept())
