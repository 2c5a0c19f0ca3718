"""The seed of a test is a function of its node id and of nothing else."""

from __future__ import annotations

import os
import subprocess
import sys

from hil.testing.plugin.seeds import nth_seed, seed_of

ID = "tests/test_eps.py::test_undervoltage[27.5]"


def test_a_seed_is_the_same_for_good() -> None:
    """What this id has given once it gives on every machine, in every later version."""
    assert seed_of(ID) == 3191330647


def test_a_seed_is_the_same_in_another_process_with_other_hashes() -> None:
    """Neither ``PYTHONHASHSEED`` nor the working directory moves a seed."""
    code = f"from hil.testing.plugin.seeds import seed_of; print(seed_of({ID!r}))"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "7"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env, cwd="/"
    )
    assert int(done.stdout) == seed_of(ID)


def test_ids_that_differ_in_a_parameter_have_other_seeds() -> None:
    """Each case of a parametrised test has a world of its own."""
    seeds = {seed_of(f"test_a.py::test_b[{n}]") for n in range(1000)}
    assert len(seeds) == 1000


def test_the_first_rig_of_a_test_has_its_seed_and_the_others_their_own() -> None:
    """Several payloads in one test do not fly in step by accident."""
    assert nth_seed(5, 1) == 5
    assert len({nth_seed(5, nth) for nth in range(1, 50)}) == 49
