"""The capture of a test, written when it is known that somebody wants it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from hil.testing.bench import Bench

NAME: Final = "capture.mcap"
_SECOND = 1_000_000_000


def batches(bench: Bench) -> Sequence[bytes]:
    """Return every record of a bench until now: whole records, many at a time."""
    stream: Any = bench.emulation.stream
    stream.flush()
    kept: list[bytes] = stream.kept
    return kept


def save(bench: Bench, folder: Path) -> Path:
    """Write the capture of a bench that is closed into ``folder``, in the place of an older one.

    Raises ``RunDirectoryError`` where the disk does not take it.
    """
    from hil.about import about, attach, note_end
    from hil.capture.writer import CaptureWriter
    from hil.options import checked

    rig, options = bench.emulation, bench.options.as_options
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    epoch_ns = round(rig.mission.start_utc.timestamp()) * _SECOND
    known = about(options, rig.board, rig.mission)
    with CaptureWriter(folder / NAME, epoch_ns, rig.channel_names(), known) as writer:
        attach(writer, rig.board, rig.mission, checked(options))
        for records in batches(bench):
            writer.write(records)
        note_end(
            writer,
            digest=bench.digest,
            records=rig.stream.count,
            virtual_s=bench.now_ns / _SECOND,
            # The acts of a test are in the records and not in the options.
            repeatable=False,
        )
    return folder / NAME
