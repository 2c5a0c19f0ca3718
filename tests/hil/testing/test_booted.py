"""A run that tests begin from is the run, and each test has its own."""

from __future__ import annotations

from hil.snapshots import fingerprint
from hil.testing.booted import SECOND, booted


def test_each_test_has_a_run_of_its_own(tmp_path):
    """Two runs thawed from one go the same way, and what one does the other does not feel."""
    kept = booted(at_s=8.0, duration_s=30.0)
    assert booted(at_s=8.0, duration_s=30.0) is kept
    records = []
    one, other = kept.thaw(tmp_path / "one", records.append), kept.thaw(tmp_path / "other")
    assert one.now_ns >= 8 * SECOND
    assert fingerprint(one.rig) == fingerprint(other.rig)
    one.run()
    assert b"".join(records)
    assert other.seq < one.seq
    other.run()
    assert other.rig.stream.hexdigest() == one.rig.stream.hexdigest()
    begun = booted(duration_s=30.0).thaw(tmp_path / "begun")
    assert (begun.app, begun.now_ns) == (None, 0)
    begun.run()
    assert begun.rig.stream.hexdigest() == one.rig.stream.hexdigest()
