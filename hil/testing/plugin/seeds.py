"""The seed of a test: the same test has the same world, on any machine, in any order."""

from __future__ import annotations

import hashlib

import pytest

_NBYTES = 4


def plain_id(item: pytest.Item) -> str:
    """Return the node id as it is without xdist, which adds ``@GROUP`` for ``--dist loadgroup``."""
    names = {
        str(mark.args[0] if mark.args else mark.kwargs.get("name", "default"))
        for mark in item.iter_markers("xdist_group")
    }
    return item.nodeid.removesuffix(f"@{'_'.join(sorted(names))}") if names else item.nodeid


def seed_of(nodeid: str) -> int:
    """Return the seed of a test by its id: 32 bits of BLAKE2b, the same everywhere."""
    return int.from_bytes(hashlib.blake2b(nodeid.encode(), digest_size=_NBYTES).digest(), "little")


def nth_seed(seed: int, nth: int) -> int:
    """Return the seed of the ``nth`` rig of a test, from 1; the first has the seed of the test."""
    return seed if nth == 1 else seed_of(f"{seed} {nth}")
