"""Receivers whose state is kept in the middle of something go on from there."""

from __future__ import annotations

import copy
import random

import pytest
from framing import SCID, on_air, packet

from flightsw.codec.coding import cltu
from flightsw.codec.errors import CodecError
from flightsw.codec.link import tm_frame
from flightsw.codec.link.frames import Frames


@pytest.fixture(scope="module")
def downlink():
    """A downlink of three channels whose packets span frames, with a gap and noise in front."""
    encoder, rng = tm_frame.Encoder(Frames("tm", 256, SCID, ocf=True)), random.Random(5)
    units = on_air(encoder, [(n % 3, packet(n, rng.randrange(7, 900))) for n in range(60)])
    kept = [unit for number, unit in enumerate(units) if number not in (20, 21, 50)]
    return b"\x55" * 77 + b"".join(kept)


def test_a_receiver_of_frames_goes_on_from_a_copy_at_any_octet(downlink):
    """What two halves give, the second by a copy made in between, is what the whole gives."""
    whole = tm_frame.Receiver(Frames("tm", 256, SCID, ocf=True))
    wanted, rng = whole.feed(downlink), random.Random(6)
    assert whole.counters["packets_lost_pieces"] > 0
    for cut in (0, 1, 80, 333, *(rng.randrange(len(downlink)) for _ in range(60))):
        first = tm_frame.Receiver(Frames("tm", 256, SCID, ocf=True))
        got = first.feed(downlink[:cut])
        second = copy.copy(first)
        first.feed(b"\x00" * 999)  # what becomes of the first is not the second's business
        got += second.feed(downlink[cut:])
        assert got == wanted
        assert second.counters == whole.counters
        assert second.octets == whole.octets


def test_a_receiver_of_units_goes_on_from_a_copy_at_any_octet():
    """The same on the uplink, where the state holds half a unit."""
    uplink = b"\xff" * 9 + b"".join(cltu.encode(bytes(range(n))) for n in (3, 60, 200))
    whole = cltu.Receiver()
    wanted = whole.feed(uplink)
    for cut in range(len(uplink)):
        first = cltu.Receiver()
        got = first.feed(uplink[:cut])
        second = copy.copy(first)
        got += second.feed(uplink[cut:])
        assert got == wanted
        assert second.counters == whole.counters


def test_a_state_that_no_receiver_can_have_is_refused(downlink):
    """More slots than there are, other settings, more octets than there is room: CodecError."""
    receiver = tm_frame.Receiver(Frames("tm", 256, SCID, ocf=True))
    receiver.feed(downlink[:3000])
    state = receiver.__getstate__()
    assert state["_slots"]
    for wrong in (
        {"_slots": state["_slots"] * 2},
        {"_slots": [b"\xff" * len(slot) for slot in state["_slots"]]},
        {"_slots": [slot + b"x" for slot in state["_slots"]]},
        {"_state": state["_state"][:-1]},
        {"_state": b"\x00" * len(state["_state"])},
        {"_state": state["_state"][:200] + b"\xff" * (len(state["_state"]) - 200)},
        {"settings": Frames("tm", 512, SCID, ocf=True)},
        {"_kept_line": (b"", b"", b"")},
        {"_kept_line": (state["_kept_line"][0], state["_kept_line"][1][:-1], b"")},
        {"_kept_line": (state["_kept_line"][0], b"\xff" * len(state["_kept_line"][1]), b"")},
    ):
        with pytest.raises(CodecError):
            tm_frame.Receiver.__new__(tm_frame.Receiver).__setstate__(state | wrong)
    unit = cltu.Receiver().__getstate__()
    with pytest.raises(CodecError):
        cltu.Receiver.__new__(cltu.Receiver).__setstate__(
            unit | {"_state": b"\xff" * len(unit["_state"])}
        )
