"""The run directory: made whole or not at all, and never left pretending to be complete.

A run writes into ``NAME.partial``; :meth:`RunDirectory.finish` gives it its name when the last file
is on the disk. A run that fails because of the host (lost permission) removes what it made; a run
that ends with a bad verdict keeps everything, since that is what a verdict is for. A full disk ends
a run, but what was recorded until then is a whole capture: it is kept as ``NAME.full-1`` (the next
free number), and the error says so.

Two runs never share a partial directory: whoever writes into it holds a lock on a file in it. One
that nobody holds was left by a run that was killed. What it recorded is evidence: the next run of
that name puts it aside as ``NAME.lost-1`` (the next free number) and says so on stderr.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from hil.errors import DiskFullError, RunDirectoryError

PARTIAL = ".partial"
LOST = ".lost-"
FULL = ".full-"
CAPTURE = "capture.mcap"
LOCK = ".lock"


@contextmanager
def host_errors(path: Path) -> Iterator[None]:
    """Turn an OSError about ``path`` into one line that says what to do."""
    try:
        yield
    except OSError as error:
        remedy = {
            errno.ENOSPC: "free some space or choose another place with --out",
            errno.EDQUOT: "free some space or choose another place with --out",
            errno.EFBIG: "raise the limit of file sizes or choose another place with --out",
            errno.EACCES: "choose a directory that you may write to with --out",
            errno.EPERM: "choose a directory that you may write to with --out",
            errno.EROFS: "choose a place on a writable file system with --out",
            errno.ENOTDIR: "a part of the path is a file; choose another place with --out",
            errno.ENAMETOOLONG: "choose a shorter path with --out",
        }.get(error.errno or 0, "choose another place with --out")
        inside = path.with_name(path.name + PARTIAL)
        named = error.filename if isinstance(error.filename, str) else ""
        ours = not named or Path(named) == path or Path(named).is_relative_to(inside)
        what = "" if ours else f"{named}: "
        what += os.strerror(error.errno) if error.errno else str(error)
        kind = DiskFullError if error.errno in DiskFullError.CODES else RunDirectoryError
        raise kind(f"run directory {path}: {what}; {remedy}") from error


class RunDirectoryTakenError(RunDirectoryError):
    """The run directory holds something already, or another run is writing it."""


class RunDirectory:
    """One run's files. Use as a context manager; leave it by :meth:`finish`, or it is removed, or,
    by a full disk, kept under another name."""

    def __init__(self, final: Path) -> None:
        if final.name in ("", "..") or "\0" in str(final):
            raise RunDirectoryError(f"run directory {str(final)!r}: has no name; give one in --out")
        self.final = final
        self.path = final.with_name(final.name + PARTIAL)
        self._lock: int | None = None
        self._finished = False

    def __enter__(self) -> RunDirectory:
        return self if self._lock is not None else self.open()

    def open(self) -> RunDirectory:
        """Make and lock the partial directory; :class:`RunDirectoryTakenError` if it is taken."""
        with host_errors(self.final):
            self._check_free()
            self.final.parent.mkdir(parents=True, exist_ok=True)
            while self._lock is None:
                self._lock = self._make()
            try:
                self._check_free()  # the run that we found writing may have finished meanwhile
            except RunDirectoryTakenError:
                self.__exit__(None, None, None)
                raise
        return self

    def _check_free(self) -> None:
        if self.final.exists() and (not self.final.is_dir() or any(self.final.iterdir())):
            raise RunDirectoryTakenError(
                f"run directory {self.final}: already there and not empty; "
                "remove it or name another with --out"
            )

    def _make(self) -> int | None:
        """Make the partial directory; return the lock on it, None to try again."""
        try:
            self.path.mkdir(mode=0o755)
            fresh = True
        except FileExistsError:
            fresh = False
        try:
            lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            return None  # its owner has just finished or removed it
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = self._is_ours(lock)
        except BlockingIOError:
            os.close(lock)
            if fresh:
                return None  # someone took what we made for what a killed run has left
            raise RunDirectoryTakenError(
                f"run directory {self.final}: another run is writing it; "
                "wait for its end or name another with --out"
            ) from None
        if held and fresh:
            return lock
        try:
            if held:
                self._put_aside()
        finally:
            os.close(lock)
        return None  # another may be faster: look again

    def _put_aside(self) -> None:
        """Keep what a killed run has left, under a name of its own; an empty directory goes."""
        if all(path.name == LOCK for path in self.path.iterdir()):
            shutil.rmtree(self.path, ignore_errors=True)
            return
        kept = self._free(LOST)
        self.path.rename(kept)
        (kept / LOCK).unlink()
        if sys.stderr is not None:
            print(
                f"run directory {self.final}: a run was killed in it; "
                f"what it left is kept in {kept}",
                file=sys.stderr,
            )

    def _free(self, suffix: str) -> Path:
        """Return the first path of this name with the suffix and a number that is not taken."""
        taken = set(self.lost())
        names = (f"{self.final.name}{suffix}{number}" for number in count(1))
        return self.final.with_name(next(name for name in names if name not in taken))

    def lost(self) -> list[str]:
        """Return the names under which runs of this name are kept that did not come to an end."""
        heads = self.final.name + LOST, self.final.name + FULL
        if not self.final.parent.is_dir():
            return []
        return [path.name for path in self.final.parent.iterdir() if path.name.startswith(heads)]

    def _is_ours(self, lock: int) -> bool:
        """Tell whether the locked file is still the one in the directory."""
        try:
            return os.path.samestat(os.fstat(lock), (self.path / LOCK).stat())
        except FileNotFoundError:
            return False

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        kept = None
        if not self._finished:
            if isinstance(error, DiskFullError) and (self.path / CAPTURE).exists():
                kept = self._keep_full()
            else:
                shutil.rmtree(self.path, ignore_errors=True)
        self._release()
        if kept is not None:
            raise DiskFullError(f"{error}; what was recorded until then is in {kept}") from None

    def _keep_full(self) -> Path:
        """Keep what a full disk has left of a run; return where."""
        kept = self._free(FULL)
        try:
            self.path.rename(kept)
        except OSError:  # not even a name: the next run puts it aside
            return self.path
        (kept / LOCK).unlink(missing_ok=True)
        return kept

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def write_json(self, name: str, value: Any) -> None:
        """Write one JSON file."""
        with host_errors(self.final):
            text = json.dumps(value, indent=1, sort_keys=True) + "\n"
            (self.path / name).write_text(text)

    def write_lines(self, name: str, values: list[Any]) -> None:
        """Write one JSON object a line."""
        with host_errors(self.final):
            lines = (json.dumps(value, sort_keys=True, separators=(",", ":")) for value in values)
            (self.path / name).write_text("".join(line + "\n" for line in lines))

    def write_bytes(self, name: str, octets: bytes) -> None:
        """Write one binary file, making its folder."""
        with host_errors(self.final):
            path = self.path / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(octets)

    def finish(self) -> Path:
        """Give the directory its final name; return it."""
        with host_errors(self.final):
            if self.final.exists():
                self.final.rmdir()
            self.path.rename(self.final)
            self._finished = True
            # Only now: without its lock a partial directory is anyone's to remove.
            (self.final / LOCK).unlink()
        self._release()
        return self.final


def first_free(paths: Iterable[Path]) -> RunDirectory:
    """Open and return the first of the run directories that nothing and nobody has taken.

    The name of a run that was killed counts as taken, whether it was put aside before or now.
    """
    for path in paths:
        directory = RunDirectory(path)
        try:
            directory.open()
        except RunDirectoryTakenError:
            continue
        if not directory.lost():
            return directory
        directory.__exit__(None, None, None)
    raise AssertionError("there is always one more name")
