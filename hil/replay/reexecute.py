"""Re-execute: the same world, seed and faults again, each record compared as it is made."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flightsw.codec.wire import unpack_all
from hil.capture.reader import Capture
from hil.errors import UsageError
from hil.faults.plan import apply
from hil.replay.flown import Flown
from hil.replay.outcome import RE_EXECUTE, Replayed, ReplayOptions
from hil.replay.watching import WatchingStream
from hil.rig import SECOND, Rig
from hil.supervisor import Supervisor
from hil.uut import DirectFlight


def replay(flown: Flown, options: ReplayOptions, say: Callable[[str], None]) -> Replayed:
    """Fly again what ``flown`` holds, and compare. Raises ``UsageError`` for what cannot be."""
    if flown.program is not None:
        raise UsageError(f"{flown.path}: a program flew; take --mode mock")
    with Capture(flown.capture, tolerant=not flown.whole) as capture:
        same = Same(capture.buffers())
        begin = time.perf_counter()
        rig = _fly(flown, same.feed)
        wall_s = time.perf_counter() - begin
        same.finish()
    digest = rig.stream.hexdigest()
    return Replayed(
        RE_EXECUTE, same, rig.kernel.now_ns / SECOND, wall_s, flown.wall_s, {"digest": digest}
    )


def _fly(flown: Flown, observer: Callable[[bytes], None]) -> Rig:
    """Fly to the end of the run; return the rig."""
    options = flown.options
    rig = Rig(
        flown.board,
        flown.mission,
        seed=options.seed,
        duration_s=options.duration_s,
        inference=options.inference,
        stream=WatchingStream(observer),
    )
    supervisor = Supervisor(rig)
    apply(flown.plan, rig)
    for t_ns in flown.plan.kills:
        supervisor.inject_kill(t_ns)
    with tempfile.TemporaryDirectory(prefix="flatsat-") as folder:
        flight = DirectFlight(supervisor, Path(folder))
        supervisor.flight = flight
        try:
            flight.run()
        finally:
            flight.close()
    rig.finish()
    return rig


@dataclass
class Same:
    """Octet by octet: are the streams the same, and where do they part?"""

    recorded: Iterator[bytes]
    compared: int = 0
    parted: str = ""
    _rest: memoryview = field(default_factory=lambda: memoryview(b""))

    def feed(self, octets: bytes) -> None:
        """Compare one record with the next that was recorded."""
        if self.parted:
            return
        if not len(self._rest):
            self._rest = memoryview(next(self.recorded, b""))
        if self._rest[: len(octets)] != octets:
            (new,) = unpack_all(octets)
            self.parted = f"record {new.seq} at {new.t_ns} ns differs, or was not recorded"
            return
        self._rest = self._rest[len(octets) :]
        self.compared += 1

    def finish(self) -> None:
        """Note what was recorded and did not come again."""
        if not self.parted and (len(self._rest) or next(self.recorded, b"")):
            self.parted = "the recorded run went on"

    @property
    def identical(self) -> bool:
        """True when no record differs."""
        return not self.parted

    def lines(self) -> list[str]:
        """Return the verdict as text."""
        return [f"identical: {self.compared} records" if self.identical else self.parted]

    def as_json(self) -> dict[str, Any]:
        """Return the verdict for a program."""
        return {"identical": self.identical, "compared": self.compared, "first": self.parted}
