"""Octets that several snapshots share, each kept once under its hash.

Tables that were computed when the rig was built, pictures, frames, files: what is large hardly ever
changes from one snapshot to the next.
"""

from __future__ import annotations

import hashlib
from typing import Protocol

#: octets from here on are shared
LEAST_NBYTES = 1024
KEY_NBYTES = 16


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
        return self._kept[key]

    @property
    def nbytes(self) -> int:
        """Octets kept."""
        return sum(map(len, self._kept.values()))
