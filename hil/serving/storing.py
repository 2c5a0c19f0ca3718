"""Files that come from another machine: names and lengths are checked before a byte is written."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path

from hil.serving.greeting import counted_by

#: What a file of the storage may be called: no path, and nothing hidden.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_LENGTH = struct.Struct("<H")
#: Octets and files of one storage.
LIMIT_NBYTES = 1 << 30
LIMIT_FILES = 100_000


class Keeping:
    """A folder that takes the storage of the payload computer at the end of a run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counters = {"files": 0, "octets": 0, "files_refused": 0}
        #: the peer has said that it was all
        self.is_whole = False
        #: what the peer has counted
        self.counted: dict[str, int] = {}

    def take(self, payload: bytes) -> None:
        """Take one file: u16 length of its name, the name, its octets. No name: it was all."""
        name, octets = self._parts(payload)
        if name == "":
            self.is_whole = True
            try:
                self.counted = counted_by(json.loads(octets or b"{}"))
            except (ValueError, RecursionError):
                self.counters["files_refused"] += 1
            return
        counters = self.counters
        fits = counters["octets"] + len(octets) <= LIMIT_NBYTES and counters["files"] < LIMIT_FILES
        if name is None or not fits or (self.folder / name).exists():
            counters["files_refused"] += 1
            return
        (self.folder / name).write_bytes(octets)
        counters["files"] += 1
        counters["octets"] += len(octets)

    @staticmethod
    def _parts(payload: bytes) -> tuple[str | None, bytes]:
        """Return name and octets; None for a name that no file of a storage has."""
        if len(payload) < _LENGTH.size:
            return None, b""
        (length,) = _LENGTH.unpack_from(payload)
        at = _LENGTH.size + length
        name = payload[_LENGTH.size : at].decode("ascii", errors="replace")
        if len(payload) < at or (name and not _NAME.fullmatch(name)):
            return None, b""
        return name, payload[at:]
