"""Live taps: a run is seen while it flies, by reading the capture that it writes.

The file is the buffer. A reader that stalls stalls the tap, never the run, and finds everything
there when it goes on.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from hil.capture.follow import Follower
from hil.errors import CaptureError, UsageError
from hil.rundir import LOCK, PARTIAL

CAPTURE = "capture.mcap"
RUNS = Path("runs")
#: between two looks at a file that has not grown
LOOK_MS = 20
#: looks without anything new until it is asked whether somebody still writes
PATIENCE = 50


class CutOffError(CaptureError):
    """A run has left without an end: what there was of it has been handed on."""

    exit_code = 1


class Sink(Protocol):
    """Where the records of a tap go."""

    def begin(self, follower: Follower) -> None:
        """Begin, once the head of the capture is there."""

    def write(self, records: bytes) -> None:
        """Take whole records; every channel of theirs is in the follower's channels by now."""

    def finish(self) -> None:
        """Write what belongs at the end."""


def growing(runs: Path | None) -> list[Path]:
    """Return the captures that runs are writing, the one that began last first.

    ``runs`` is the folder whose runs are meant. None: those in ``runs/`` here, and if there are
    none, those of all programs of this user.
    """
    found = _born(
        {path.resolve() for path in (runs or RUNS).glob(f"*{PARTIAL}/{CAPTURE}{PARTIAL}")}
    )
    return found if found or runs is not None else _born(set(_written()))


def _born(paths: set[Path]) -> list[Path]:
    """Return those that are being written, the youngest first."""
    born: list[tuple[float, Path]] = []
    for path in paths:
        # One that has ended since it was listed is none of them.
        with contextlib.suppress(FileNotFoundError):
            if is_written(path):
                born.append((path.with_name(LOCK).stat().st_mtime, path))
    return [path for _, path in sorted(born, reverse=True)]


def run_name(path: Path) -> str:
    """Return what a capture belongs to: the name of its run, or its own."""
    return path.parent.name.removesuffix(PARTIAL) if path.name.startswith(CAPTURE) else path.name


def _written() -> Iterator[Path]:
    """Yield the captures that processes of this user hold open for writing (Linux: /proc)."""
    ending = f"{PARTIAL}/{CAPTURE}{PARTIAL}"
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        # A process that ends, or another user's: nothing that we could follow.
        with contextlib.suppress(OSError):
            target = link.readlink()
            if str(target).endswith(ending):
                yield target


def is_written(path: Path) -> bool:
    """Tell whether somebody writes the capture at ``path``: its run holds the lock beside it.

    Of a capture without such a lock nobody knows; it counts as written while it is there.
    """
    if not path.exists():
        return False
    try:
        lock = os.open(path.with_name(LOCK), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return path.name.endswith(PARTIAL)
    except PermissionError:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def is_flying(folder: Path) -> bool:
    """Tell whether a run is writing into a directory: it holds the lock in it."""
    return is_written(folder / LOCK)


def capture_of(path: Path) -> Path:
    """Return the capture that a path means: a file, or of a run's directory, finished or not.

    Raises :class:`~hil.errors.UsageError` if there is none.
    """
    if path.is_file():
        return path
    path = path if path.name not in ("", "..") else path.resolve()  # "." has no name of its own
    for folder in (path, path.parent / (path.name + PARTIAL)):
        for name in (CAPTURE, CAPTURE + PARTIAL):
            if (folder / name).is_file():
                return folder / name
    raise UsageError(
        f"{path}: no run is written there and no capture is; `hil tap` takes the newest"
    )


def now_at(path: Path) -> Path:
    """Return where a capture lies now that was followed at ``path``: its run may have ended."""
    folder = path.parent.resolve()  # a bare name lies in a folder that has one, too
    ended = folder.parent / folder.name.removesuffix(PARTIAL) / CAPTURE
    whole = folder / CAPTURE
    return next((place for place in (path, whole, ended) if place.is_file()), path)


def newest(runs: Path | None, wait: Callable[[], None] | None) -> Path:
    """Return the capture of the run that began last and still flies.

    With ``wait``, which is called between two looks, one is waited for. Raises
    :class:`~hil.errors.UsageError` if there is none.
    """
    while not (found := growing(runs)):
        if wait is None:
            where = "here" if runs is None else f"under {runs}"
            raise UsageError(
                f"no run is being written {where}; begin one, name one that is over, or wait with "
                "--wait"
            )
        wait()
    return found[0]


def follow(follower: Follower, sink: Sink, wait: Callable[[], None]) -> None:
    """Hand on what the capture holds and will hold, up to its end.

    ``wait`` is called where nothing is new. Raises :class:`CutOffError` if whoever wrote it is gone
    and it was not finished; what there was has been handed on.
    """
    quiet, begun = 0, False
    while True:
        records = follower.poll()
        if not begun and "flatsat" in follower.metadata:
            sink.begin(follower)
            begun = True
        if records:
            sink.write(records)
            quiet = 0
        elif follower.finished:
            sink.finish()
            return
        elif quiet > PATIENCE:
            sink.finish()
            raise CutOffError(
                f"{follower.path}: the run that wrote it is gone, without an end; "
                "`hil recover` makes what is left a capture"
            )
        else:
            # Asked before the last look, not after it: what came in between is still read.
            is_live = quiet % PATIENCE or is_written(follower.path)
            quiet = (quiet + 1) % PATIENCE if is_live else PATIENCE + 1
            if is_live:
                wait()


def pause(descriptors: Iterable[int]) -> Callable[[], None]:
    """Return what waits for :data:`LOOK_MS`, and raises BrokenPipeError when a reader has left."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, 0)  # errors and hang-ups are told unasked

    def wait() -> None:
        if poll.poll(LOOK_MS):
            raise BrokenPipeError

    return wait
