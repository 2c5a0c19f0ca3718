"""Going to a record of a run: from the nearest snapshot before it, or from the start."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from flightsw.codec.wire import Kind, scan, unpack_from
from hil.capture.reader import Capture
from hil.digest import RecordStream
from hil.errors import SnapshotError
from hil.replay.flown import Flown
from hil.replay.stepped import Stepped
from hil.snapshots.store import Store, has_snapshots


@dataclass(frozen=True)
class Begun:
    """A run that was begun somewhere."""

    stepped: Stepped
    #: the record that it was begun before, and the file of the snapshot; "": it was the start
    start: int = 0
    snapshot: str = ""
    #: what a user should know: why no snapshot was used
    notes: tuple[str, ...] = ()


def begin(
    flown: Flown,
    capture: Capture,
    seq: int,
    storage: Path,
    make: Callable[[], RecordStream] = RecordStream,
) -> Begun:
    """Begin a recorded run anew so that record ``seq`` is still to come, as near to it as can be.

    The flight software writes to ``storage``; ``make()`` gives the stream for the records to come
    (twice, if a snapshot turns out to be of no use).
    """
    notes: tuple[str, ...] = ()
    if flown.folder is not None and has_snapshots(flown.folder):
        try:
            with Store(flown.folder, capture) as store:
                entry = store.nearest(seq)
                if entry is not None:
                    stepped = store.thaw(entry, storage, make)
                    return Begun(stepped, entry.seq, entry.file)
        except SnapshotError as wrong:
            notes = (f"no snapshot is used: {wrong}",)
            for left in storage.glob("*"):
                left.unlink()
    return Begun(Stepped(flown, storage, make()), notes=notes)


def go(flown: Flown, capture: Capture, seq: int, folder: Path) -> Begun:
    """Go to the end of the step that makes record ``seq``, which the capture holds."""
    begun = begin(flown, capture, seq, folder / "payload")
    if not begun.stepped.run_to_seq(seq):
        raise SnapshotError(
            f"{flown.path}: flown again, the run ends before record {seq}: this installation "
            "flies it otherwise; `hil replay` says what differs"
        )
    return begun


def recorded_behind(capture: Capture, stepped: Stepped) -> Iterator[bytes]:
    """Return what a capture holds of the records that a run, as it stands, is still to make."""
    samples = stepped.rig.series.t_s
    return _behind(capture, stepped.seq, round(samples[-1] * 1e9) if samples else -1)


def _behind(capture: Capture, seq: int, sampled_ns: int) -> Iterator[bytes]:
    pieces = capture.pieces(first_seq=seq)
    for octets in pieces:
        for at in scan(octets):
            # A view has the number of the next record: those made before stand in front of it too.
            record, _ = unpack_from(octets, at)
            if record.kind != Kind.WORLD or record.t_ns > sampled_ns:
                yield octets[at:]
                yield from pieces
                return
