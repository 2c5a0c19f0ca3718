"""Octets that several snapshots share, each kept once under its hash.

Tables that were computed when the rig was built, pictures, frames, files: what is large hardly ever
changes from one snapshot to the next.

A pool on the disk is one file that grows at its end: entries of a key, two lengths (u64,
little-endian: of the octets, and as packed), and the octets packed with zstd. Octets that the
capture of the run holds as well, as it does frames, are not kept twice: their packed length is
2^64 - 1, and in place of octets stands the number of the record (u64) whose payload they are.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Protocol

import zstandard

from hil.closing import Closing
from hil.errors import SnapshotError

#: octets from here on are shared
LEAST_NBYTES = 1024
#: payloads of records from here on are not kept twice
RECORDED_NBYTES = 1 << 16
KEY_NBYTES = 16
_ENTRY = struct.Struct(f"<{KEY_NBYTES}sQQ")
_SEQ = struct.Struct("<Q")
_RECORDED = (1 << 64) - 1
#: no table, picture or file of a run is larger
_LIMIT_NBYTES = 1 << 31
_LEVEL = 3


def key_of(octets: bytes) -> bytes:
    """Return the name of octets in a pool."""
    return hashlib.blake2b(octets, digest_size=KEY_NBYTES).digest()


class Pool(Protocol):
    """Where octets lie under their hash."""

    def put(self, octets: bytes) -> bytes:
        """Keep octets, if they are not there yet; return their key."""

    def get(self, key: bytes) -> bytes:
        """Return the octets of a key; :class:`~hil.errors.SnapshotError` if there are none."""


class MemoryPool:
    """A pool in memory. It keeps the very objects, so nothing is copied."""

    def __init__(self) -> None:
        self._kept: dict[bytes, bytes] = {}

    def put(self, octets: bytes) -> bytes:
        """Keep octets; return their key."""
        key = key_of(octets)
        self._kept.setdefault(key, octets)
        return key

    def get(self, key: bytes) -> bytes:
        """Return the octets of a key."""
        if key not in self._kept:
            raise SnapshotError("octets that it shares with others are not there")
        return self._kept[key]

    @property
    def nbytes(self) -> int:
        """Octets kept."""
        return sum(map(len, self._kept.values()))


class FilePool(Closing):
    """A pool on the disk. ``recorded(seq)`` returns the payload of a record of the capture.

    Raises ``SnapshotError`` for what is no pool. A tail that was cut off is not looked at, and
    cut away when something is added.
    """

    def __init__(self, path: Path, recorded: Callable[[int], bytes], write: bool = False) -> None:
        self.path = path
        self._recorded = recorded
        #: key -> (place in the file, octets, packed octets)
        self._places: dict[bytes, tuple[int, int, int]] = {}
        #: key -> number of the record that has these octets as its payload
        self._records: dict[bytes, int] = {}
        self._file: IO[bytes] = (
            path.open("r+b" if path.exists() else "x+b") if write else (path.open("rb"))
        )
        self.end = 0
        self._look()
        if write:
            self._file.truncate(self.end)

    def _look(self) -> None:
        """Find every whole entry."""
        size, at = self._file.seek(0, 2), 0
        while at + _ENTRY.size <= size:
            self._file.seek(at)
            key, nbytes, packed = _ENTRY.unpack(self._file.read(_ENTRY.size))
            at += _ENTRY.size
            end = at + (_SEQ.size if packed == _RECORDED else packed)
            if end > size:
                return
            self._places[key] = at, nbytes, packed
            self.end = at = end

    def note_record(self, seq: int, payload: bytes) -> None:
        """Note that a record of the capture has this payload."""
        self._records[key_of(payload)] = seq

    def put(self, octets: bytes) -> bytes:
        """Keep octets; return their key."""
        key = key_of(octets)
        if key not in self._places:
            seq = self._records.get(key)
            if seq is None:
                body = zstandard.ZstdCompressor(_LEVEL).compress(octets)
                packed = len(body)
            else:
                body, packed = _SEQ.pack(seq), _RECORDED
            self._file.seek(self.end)
            self._file.write(_ENTRY.pack(key, len(octets), packed) + body)
            self._places[key] = self.end + _ENTRY.size, len(octets), packed
            self.end += _ENTRY.size + len(body)
        return key

    def get(self, key: bytes) -> bytes:
        """Return the octets of a key; ``SnapshotError`` where they are not or are damaged."""
        if key not in self._places:
            raise SnapshotError(f"octets that it shares with others are not in {self.path.name}")
        at, nbytes, packed = self._places[key]
        self._file.seek(at)
        if packed == _RECORDED:
            octets = self._recorded(_SEQ.unpack(self._file.read(_SEQ.size))[0])
        else:
            try:
                octets = unpacked(self._file.read(packed), nbytes)
            except SnapshotError as wrong:
                raise SnapshotError(f"{self.path.name} is damaged at octet {at}: {wrong}") from None
        if key_of(octets) != key:
            raise SnapshotError(f"{self.path.name} is damaged at octet {at}")
        return octets

    def flush(self) -> None:
        """Hand what was added to the system."""
        self._file.flush()

    def close(self) -> None:
        """Let go of the file."""
        with suppress(OSError):  # what was added and could not be flushed has been told
            self._file.close()


def unpacked(octets: bytes, nbytes: int) -> bytes:
    """Return what zstd has packed, ``nbytes`` of it; ``SnapshotError`` for anything else."""
    if nbytes > _LIMIT_NBYTES:
        raise SnapshotError(f"{nbytes} octets in one piece are more than a run has")
    try:
        return zstandard.ZstdDecompressor().decompress(octets, max_output_size=nbytes)
    except zstandard.ZstdError as wrong:
        raise SnapshotError(f"octets cannot be unpacked: {wrong}") from None
