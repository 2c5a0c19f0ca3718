"""Keeping what a replay makes: a run directory with a capture of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hil.about import about, attach
from hil.capture.writer import CaptureWriter
from hil.replay.flown import CAPTURE, Flown
from hil.rig import SECOND, channel_names
from hil.rundir import RunDirectory, host_errors


@contextmanager
def keeping(flown: Flown, out: Path | None) -> Iterator[CaptureWriter | None]:
    """Have a capture at hand in run directory ``out`` for the new records; None: nowhere.

    It says that it was made by this installation from the recorded run's board, mission and plan.
    """
    if out is None:
        yield None
        return
    epoch_ns = round(flown.mission.start_utc.timestamp()) * SECOND
    facts = about(flown.options, flown.board, flown.mission, flown.program or ())
    names = channel_names(flown.board)
    with RunDirectory(out) as directory, host_errors(out):
        path = directory.path / CAPTURE
        with CaptureWriter(path, epoch_ns, names, facts) as writer:
            attach(writer, flown.board, flown.mission, flown.plan)
            yield writer
        directory.finish()
