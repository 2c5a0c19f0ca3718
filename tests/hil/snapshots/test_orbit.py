"""The whole orbit of the default run: a soak, by hand."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from hil.options import Options
from hil.replay.flown import flown
from hil.replay.stepped import Stepped
from hil.session import fly
from hil.snapshots import fingerprint
from hil.snapshots.making import make

DIGEST = "6ef48f89731da511edf2f2b3f3c82637df9c684a9ace1a78baf571ff7a2bc48f"


@pytest.mark.soak
def test_the_last_event_of_an_orbit_is_near(tmp_path):
    """From a snapshot the state at the last record is that of the run flown from its start, and so
    it is at records on the way; each snapshot takes less than a megabyte. Prints how long it takes.
    """
    path = tmp_path / "orbit"
    outcome = fly(Options(transport="direct", out=path))
    assert outcome.digest == DIGEST
    with flown(path) as run:
        entries = make(run)
        assert len(entries) == 19
        assert max(entry.nbytes + entry.shared_nbytes for entry in entries) < 1_000_000
        straight = Stepped(run, tmp_path / "straight")
        for seq in (9725, 40_000, 104_307, outcome.records - 1):
            straight.run_to_seq(seq)
            command = [sys.executable, "-m", "hil", "snapshot", str(path), "--goto", str(seq)]
            done = subprocess.run([*command, "--json"], capture_output=True, check=True)
            there = json.loads(done.stdout)
            assert there["fingerprint"] == fingerprint(straight.rig).hex()
            print(f"record {seq}: {there['wall_s']} s from {there['snapshot']}")
