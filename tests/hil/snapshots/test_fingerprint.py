"""The fingerprint of a run is that of its state: the same in every process, and of nothing else."""

from __future__ import annotations

import pytest

from hil.errors import SnapshotError
from hil.snapshots import MemoryPool, fingerprint, freeze, thaw

from .flights import FAULTS, SECOND, behind, stepped


def test_a_thawed_run_has_the_fingerprint_of_the_straight_one(tmp_path):
    """At a snapshot and wherever the run goes from it, the whole state equals, octet for octet,
    that of a run which nobody froze; each moment has a fingerprint of its own."""
    straight, pool = stepped(tmp_path / "a", faults=FAULTS), MemoryPool()
    run = stepped(tmp_path / "b", faults=FAULTS)
    wanted, kept = [], []
    for t_s in (0, 13, 60, 90):
        straight.run_to_ns(t_s * SECOND)
        run.run_to_ns(t_s * SECOND)
        wanted.append(fingerprint(straight.rig))
        kept.append(freeze(run, pool))
    assert len(set(wanted)) == len(wanted)
    octets = bytes(run.rig.stream.octets)
    for number, frozen in enumerate(kept):
        again = thaw(frozen, pool, tmp_path / str(number), behind(octets, frozen.seq))
        assert fingerprint(again.rig) == wanted[number]
        again.run_to_ns(90 * SECOND)
        assert fingerprint(again.rig) == wanted[-1]


def test_it_tells_every_change_of_state(tmp_path):
    """One bit of the flight software, the world, a part, a file, a random stream; a thing that is
    shared or not: the fingerprint is another. Undone, it is the same again."""
    run = stepped(tmp_path / "a")
    run.run_to_ns(5 * SECOND)
    before = fingerprint(run.rig)
    app, rig = run.app, run.rig
    battery = rig.world.power.battery
    for thing, name, value in (
        (app.modes, "changes", app.modes.changes + 1),
        (app.clock, "t_ns", app.clock.t_ns + 1),
        (battery, "soc", battery.soc * (1.0 + 2**-52)),
        (app.store, "dropped", 1),
        (rig.kernel, "_seq", rig.kernel._seq + 1),
        (rig.wiring.parts["imager"], "width", 7),
    ):
        held = getattr(thing, name)
        setattr(thing, name, value)
        assert fingerprint(rig) != before, name
        setattr(thing, name, held)
        assert fingerprint(rig) == before, name
    drawn = rig.radio._up.bit_generator.state
    rig.radio._up.random()
    assert fingerprint(rig) != before
    rig.radio._up.bit_generator.state = drawn
    assert fingerprint(rig) == before
    (tmp_path / "a" / "telemetry.journal").write_bytes(b"x")
    assert fingerprint(rig) != before


def test_what_is_shared_counts(tmp_path):
    """Two lists that are one, and two that are equal, are different states."""
    run = stepped(tmp_path / "a")
    run.rig.counters["a"] = run.rig.counters["b"] = [1]
    one = fingerprint(run.rig)
    run.rig.counters["b"] = [1]
    assert fingerprint(run.rig) != one


def test_a_state_that_is_no_flight_has_none(tmp_path):
    """What nobody can compare is refused by its name, rather than left out."""
    run = stepped(tmp_path / "a")
    run.rig.counters["a"] = iter([1])
    with pytest.raises(SnapshotError, match="list_iterator"):
        fingerprint(run.rig)
