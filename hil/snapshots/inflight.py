"""Snapshots of a run as it flies, beside its capture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hil.closing import Closing
from hil.replay.stepped import Stepped
from hil.rig import Rig, unwatched
from hil.snapshots.making import Making
from hil.snapshots.store import Store
from hil.uut import DirectFlight


class InFlight(Closing):
    """Flies ``flight`` to its end and makes a snapshot every ``every_ns`` of virtual time.

    ``run_path`` is the directory of the run; ``clock`` gives wall seconds.
    """

    def __init__(
        self,
        run_path: Path,
        flight: DirectFlight,
        rig: Rig,
        every_ns: int,
        clock: Callable[[], float],
    ) -> None:
        self._stepped = Stepped.around(flight, rig)
        self._store = Store(run_path, None, write=True)
        self._making = Making(self._store, every_ns)
        self._clock = clock
        self.note = self._making.note
        #: wall seconds that went into snapshots
        self.seconds = 0.0

    def run(self) -> None:
        """Fly to the end of the run."""
        stepped, making, clock = self._stepped, self._making, self._clock
        more = True
        while more:
            if stepped.now_ns >= making.due_ns:
                begin_s = clock()
                with alone(stepped.rig):
                    making.look(stepped)
                self.seconds += clock() - begin_s
            more = stepped.step()

    def close(self) -> None:
        """Let go of the files."""
        self._store.close()


@contextmanager
def alone(rig: Rig) -> Iterator[None]:
    """Take away whoever watches a rig, for as long as it is frozen."""
    imager = rig.wiring.of_type("imager")
    watch, render = rig.watch, None if imager is None else imager.render
    rig.watch = unwatched
    if imager is not None:
        imager.render = rig.render
    try:
        yield
    finally:
        rig.watch = watch
        if imager is not None:
            imager.render = render
