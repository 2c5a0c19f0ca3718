"""Runs that tests begin from: flown once to some moment, frozen, and thawed for each test.

What many tests begin with, a rig that is built, software that has started, minutes of flight, costs
once a process; each test then has a run of its own::

    @pytest.fixture
    def run(tmp_path):
        return booted(at_s=300.0).thaw(tmp_path)

    def test_it_takes_a_bad_bus(run):
        run.rig.wiring.buses["i2c-1"].add_fault(...)
        run.run_to_ns(400 * SECOND)
        assert run.app.status()[...]
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from flightsw.codec.wire import Kind, unpack_from
from hil.board import load_board
from hil.digest import RecordStream
from hil.faults.plan import read_plan
from hil.missions import load as load_mission
from hil.options import Options
from hil.replay.stepped import Course, Flyable, Stepped
from hil.snapshots.freezing import freeze
from hil.snapshots.pool import MemoryPool
from hil.snapshots.thawing import thaw

SECOND = 1_000_000_000


class Booted:
    """A run at ``at_s`` seconds of virtual time; 0: the rig is built, and nothing has started."""

    def __init__(self, course: Flyable, at_s: float) -> None:
        self.at_s = at_s
        self._octets = bytearray()
        self._pool = MemoryPool()
        with tempfile.TemporaryDirectory(prefix="flatsat-") as folder:
            stepped = Stepped(course, Path(folder) / "payload", RecordStream(self._take))
            stepped.run_to_ns(round(at_s * SECOND))
            self._frozen = freeze(stepped, self._pool)

    def _take(self, octets: bytes) -> None:
        """Keep what the digest is over."""
        at = 0
        while at < len(octets):
            record, end = unpack_from(octets, at)
            if record.kind != Kind.WORLD:
                self._octets += octets[at:end]
            at = end

    def thaw(self, storage: Path, sink: Callable[[bytes], None] | None = None) -> Stepped:
        """Return a run of one's own, which goes on from there.

        Its flight software writes to ``storage``, which is to be empty; ``sink`` gets the records
        to come. Its digest is that of the whole run.
        """
        stream = RecordStream(sink)
        stream.pass_over(self._frozen.seq, bytes(self._octets))
        return thaw(self._frozen, self._pool, storage, stream, own=True)


@cache
def booted(
    board: str = "raspberrypi4",
    mission: str = "tiansuan_bupt1",
    *,
    at_s: float = 0.0,
    seed: int = 1,
    duration_s: float | None = None,
    inference: str = "threshold",
    faults: tuple[str, ...] = (),
) -> Booted:
    """Return the run of these options at ``at_s``; asked for again, the same one."""
    options = Options(
        board=board,
        mission=mission,
        seed=seed,
        duration_s=duration_s,
        inference=inference,
        faults=faults,
        transport="direct",
    )
    course = Course(options, load_board(board), load_mission(mission), read_plan(faults))
    return Booted(course, at_s)
