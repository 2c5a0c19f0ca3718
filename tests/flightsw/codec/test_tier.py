"""Tiers: which there are, and that another can be taken."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from flightsw.codec import tier as tiers
from flightsw.codec.errors import CodecError
from flightsw.codec.native import lib


def test_portable_runs_everywhere_and_the_best_is_taken() -> None:
    """The plainest tier is always there, and without being told the best one is in use."""
    assert tiers.available()[0] == "portable"
    code = "from flightsw.codec import tier; print(tier.active())"
    env = {name: value for name, value in os.environ.items() if name != "FLATSAT_TIER"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.stdout.strip() == tiers.available()[-1]


def test_a_tier_is_forced_inside_a_block_only(tier: str) -> None:
    """Inside the block the forced tier is active, behind it the one before."""
    assert tiers.active() == tier
    with tiers.forced("portable"):
        assert tiers.active() == "portable"
    assert tiers.active() == tier


def test_a_tier_that_cannot_run_is_refused_by_name() -> None:
    """A tier that the processor lacks is refused and nothing changes."""
    before = tiers.active()
    with pytest.raises(CodecError, match="sse9"):
        tiers.force("sse9")
    assert lib.fs_tier_force(lib.fs_tier_best() + 1) == lib.FS_E_RANGE
    assert lib.fs_tier_force(-1) == lib.FS_E_RANGE
    assert tiers.active() == before


def test_the_environment_forces_a_tier() -> None:
    """``FLATSAT_TIER`` picks the tier of a whole process; a wrong name ends it with the choices."""
    code = "from flightsw.codec import tier; print(tier.active())"
    for name, says in (("portable", "portable\n"), ("sse9", "")):
        env = dict(os.environ, FLATSAT_TIER=name)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
        assert done.stdout == says
        assert ("this processor runs" in done.stderr) is (not says)
