"""Every part of the catalogue can be frozen in the middle of what it does."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil.checkout import catalogue
from hil.errors import SnapshotError
from hil.parts import PART_TYPES
from hil.snapshots import MemoryPool
from hil.snapshots.fingerprint import fingerprint_of
from hil.snapshots.freezing import dump
from hil.snapshots.thawing import load

from .flights import SECOND, Kept

NOWHERE = Path("/nowhere")


@pytest.mark.parametrize("name", PART_TYPES)
def test_a_part_goes_on_as_it_would_have(name):
    """A bench of one part that was frozen has the state, and comes to the state, of the one that
    was not: registers, memories, random streams, everything that is due."""
    link = catalogue.Opener(name).fresh().link
    link.exchange.recorder.sink = (octets := bytearray()).extend
    link.exchange.hearers.clear()  # who uses a part by hand stays outside
    link.wait(2.0)
    straight, pool = {"kernel": link.kernel, "wiring": link.wiring}, MemoryPool()
    stream = Kept()
    frozen = dump(straight, pool, NOWHERE)
    link.exchange.recorder.flush()
    stream.pass_over(link.exchange.recorder.count, bytes(octets))
    thawed = load(frozen, pool, NOWHERE, stream)
    assert fingerprint_of(thawed) == fingerprint_of(straight)
    end_ns = link.kernel.now_ns + 3 * SECOND
    for state in (straight, thawed):
        state["kernel"].run_until(end_ns)
    assert fingerprint_of(thawed) == fingerprint_of(straight)
    assert thawed["wiring"].counters() == straight["wiring"].counters()


def test_a_part_from_another_package_is_refused_by_its_name():
    """What is no room of this installation's own is named, with where it hangs."""
    link = catalogue.Opener("lm75").fresh().link
    link.exchange.hearers.clear()
    foreign = type("Foreign", (type(link.part),), {"__module__": __name__})
    link.wiring.parts["foreign"] = foreign("foreign", 1)
    with pytest.raises(SnapshotError, match=r"wiring'\].*: a .*test_parts.*Foreign"):
        dump({"wiring": link.wiring}, MemoryPool(), NOWHERE)
