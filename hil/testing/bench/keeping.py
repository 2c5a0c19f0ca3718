"""The capture of a test: written when it is known that somebody wants it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hil.about import about, attach, note_end
from hil.capture.writer import CaptureWriter
from hil.config import visible
from hil.errors import RunDirectoryError
from hil.options import checked
from hil.rundir import CAPTURE, RunDirectory, host_errors

if TYPE_CHECKING:
    from hil.testing.bench.bench import Bench

SECOND = 1_000_000_000
#: What is written, and taken away again where an older one lies.
FILES = (CAPTURE, "events.jsonl", "run.json")
#: a test has no command line of a run: where it says another folder
_REMEDY = ("with --out", "with --hil-captures, capture= or keep()")


def keep(bench: Bench, folder: Path) -> Path:
    """Write what a bench has recorded into ``folder``, in the place of an older one; return it.

    Files: ``capture.mcap``, ``events.jsonl`` and ``run.json``. Raises ``RunDirectoryError`` where
    the disk does not take it, and for a folder that holds anything else.
    """
    try:
        return _kept(bench, folder)
    except RunDirectoryError as wrong:
        raise type(wrong)(str(wrong).replace(*_REMEDY)) from wrong


def _kept(bench: Bench, folder: Path) -> Path:
    rig, options = bench.emulation, bench.options.as_options
    if (folder / CAPTURE).is_file():
        with host_errors(folder):
            others = sorted(path.name for path in folder.iterdir() if path.name not in FILES)
            if others:
                raise RunDirectoryError(
                    f"{folder}: not empty: {visible(others[0])} lies beside an older capture; move "
                    "one of them, or keep captures elsewhere"
                )
            for name in FILES:
                (folder / name).unlink(missing_ok=True)
    epoch_ns = round(rig.mission.start_utc.timestamp()) * SECOND
    facts = about(options, rig.board, rig.mission) | {"test": bench.options.test or "yes"}
    bench.emulation.stream.flush()
    with RunDirectory(folder).open() as directory, host_errors(folder):
        path = directory.path / CAPTURE
        with CaptureWriter(path, epoch_ns, rig.channel_names(), facts) as writer:
            attach(writer, rig.board, rig.mission, checked(options))
            for records in bench.records:
                writer.write(records)
            note_end(
                writer,
                digest=bench.digest,
                records=rig.stream.count,
                wall_s=round((time.monotonic_ns() - bench.opened_ns) / SECOND, 3),
                virtual_s=bench.now_ns / SECOND,
                # What the test did is in the records, and in no option.
                repeatable=False,
            )
        directory.write_lines("events.jsonl", rig.events)
        directory.write_json("run.json", _summary(bench))
        directory.finish()
    return folder


def _summary(bench: Bench) -> dict[str, object]:
    """Return what a person looks up first."""
    told = {
        "test": bench.options.test,
        "board": bench.board,
        "mission": bench.mission,
        "seed": bench.seed,
        "flight": bench.options.flight_name,
        "kind": bench.kind,
        "virtual_s": bench.now_ns / SECOND,
        "digest": bench.digest,
        "measurements": [one.as_json() for one in bench.measurements],
    }
    return dict(json.loads(json.dumps(told)))
