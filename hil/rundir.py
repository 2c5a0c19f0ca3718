"""The run directory: made whole or not at all, and never left pretending to be complete.

A run writes into ``NAME.partial``; :meth:`RunDirectory.finish` gives it its name when the last file
is on the disk. A run that fails because of the host (full disk, lost permission) removes what it
made; a run that ends with a bad verdict keeps everything, since that is what a verdict is for.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hil.errors import RunDirectoryError

PARTIAL = ".partial"


@contextmanager
def host_errors(path: Path) -> Iterator[None]:
    """Turn an OSError about ``path`` into one line that says what to do."""
    try:
        yield
    except OSError as error:
        remedy = {
            errno.ENOSPC: "free some space or choose another place with --out",
            errno.EDQUOT: "free some space or choose another place with --out",
            errno.EACCES: "choose a directory that you may write to with --out",
            errno.EPERM: "choose a directory that you may write to with --out",
            errno.EROFS: "choose a place on a writable file system with --out",
            errno.ENOTDIR: "a part of the path is a file; choose another place with --out",
            errno.ENAMETOOLONG: "choose a shorter path with --out",
        }.get(error.errno or 0, "choose another place with --out")
        text = f"run directory {path}: {os.strerror(error.errno or 0)}; {remedy}"
        raise RunDirectoryError(text) from error


class RunDirectory:
    """One run's files. Use as a context manager; leave it by :meth:`finish` or it is removed."""

    def __init__(self, final: Path) -> None:
        self.final = final
        self.path = final.with_name(final.name + PARTIAL)
        self._finished = False

    def __enter__(self) -> RunDirectory:
        with host_errors(self.final):
            if self.final.exists() and (not self.final.is_dir() or any(self.final.iterdir())):
                raise RunDirectoryError(
                    f"run directory {self.final}: already there and not empty; "
                    "remove it or name another with --out"
                )
            self.final.parent.mkdir(parents=True, exist_ok=True)
            if self.path.exists():
                shutil.rmtree(self.path)
            self.path.mkdir(mode=0o755)
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if not self._finished:
            shutil.rmtree(self.path, ignore_errors=True)

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
        return self.final
