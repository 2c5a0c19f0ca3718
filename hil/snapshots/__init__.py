"""Snapshots: the whole state of a run between two steps, kept, and taken up again."""

from __future__ import annotations

from hil.snapshots.fingerprint import fingerprint
from hil.snapshots.freezing import Frozen, freeze
from hil.snapshots.pool import MemoryPool, Pool
from hil.snapshots.priming import primed
from hil.snapshots.thawing import thaw

__all__ = ["Frozen", "MemoryPool", "Pool", "fingerprint", "freeze", "primed", "thaw"]
