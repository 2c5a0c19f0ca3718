"""The same bits on every processor: a run is repeated with its vector units switched off."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

FLY = """
import hashlib
from hil.missions import load
from hil.world import World
world = World(load("tiansuan_bupt1"))
world.payload.set_active_cores(3)
digest = hashlib.blake2b(repr((world.passes, world.eclipses)).encode())
for minute in range(1, 95):
    world.step(minute * 60_000_000_000)
    digest.update(repr(sorted(world.state.items())).encode())
print(digest.hexdigest())
"""


def fly(**environment: str) -> str:
    """Return the digest of an orbit flown by a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FLY],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_the_world_is_the_same_without_the_processors_extensions() -> None:
    """With numpy's and the C library's vector code off, every state of an orbit is the same."""
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    if not found:
        pytest.skip("this processor has no extension to switch off")
    plain = fly(
        NPY_DISABLE_CPU_FEATURES=" ".join(found),
        GLIBC_TUNABLES="glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX",
    )
    assert plain == fly()
