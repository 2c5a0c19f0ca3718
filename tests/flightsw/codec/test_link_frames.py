"""The settings of frames: what goes together, for each kind, and what is said where it does not."""

from typing import Any

import pytest

from flightsw.codec.errors import FieldRangeError
from flightsw.codec.link import tm_frame, uslp_frame
from flightsw.codec.link.frames import Frames, closed
from flightsw.codec.link.receiver import FrameReceiver
from flightsw.codec.stream.channel import Channel


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "ax25"},
        {"nbytes": 15},
        {"nbytes": 2049},
        {"scid": 1024},
        {"scid": -1},
        {"fecf": "crc32"},
        {"fecf": "crc8"},
        {"fhec": True},
        {"insert_nbytes": 4},
        {"variable": True},
        {"truncated_nbytes": 20},
        {"services": {1: "bitstream"}},
        {"services": {64: "opaque"}},
        {"channels": 0},
        {"channels": 1025},
        {"kind": "aos", "fecf": "crc32"},
        {"kind": "aos", "insert_nbytes": 200},
        {"kind": "uslp", "fhec": True},
        {"kind": "uslp", "truncated_nbytes": 201},
        {"kind": "tc", "fecf": None},
        {"kind": "tc", "nbytes": 1025},
        {"kind": "tc", "ocf": True},
        {"kind": "tc", "scid": 1024},
        {"kind": "tc", "variable": True},
        {"services": {"1": "opaque"}},
        {"services": {-1: "opaque"}},
        {"services": {1: ["opaque"]}},
        {"services": None},
        {"kind": ["tm"]},
        {"fecf": ["crc16"]},
        {"nbytes": 200.5},
        {"kind": "aos", "insert_nbytes": 1.5},
        {"scid": "7"},
    ],
)
def test_settings_that_do_not_go_together_are_refused(wrong: dict[str, Any]) -> None:
    """Whatever a kind of frames cannot have is refused where it is written down."""
    with pytest.raises(FieldRangeError, match="cannot be"):
        Frames(**{"kind": "tm", "nbytes": 200} | wrong)


def test_the_message_names_what_was_set() -> None:
    """Of the settings those that differ from their defaults are told."""
    with pytest.raises(FieldRangeError, match=r"TM frames of 200 octets \(scid 9, fhec True\)"):
        Frames("tm", 200, 9, fhec=True)
    assert str(Frames("uslp", 70)) == "USLP frames of 70 octets (no options)"


@pytest.mark.parametrize(
    ("wrong", "may_be"),
    [
        ({"scid": 1024}, "scid up to 1023"),
        ({"kind": "uslp", "scid": 65_536}, "scid up to 65535"),
        ({"channels": 1025}, "1 to 1024 channels"),
        ({"services": {64: "opaque"}}, "services of channels 0 to 63"),
        ({"kind": "aos", "services": {1: "packets"}}, "stated, bitstream, opaque"),
    ],
)
def test_the_message_says_what_may_be(wrong: dict[str, Any], may_be: str) -> None:
    """Whichever setting is the wrong one, what it may be is told."""
    with pytest.raises(FieldRangeError, match=may_be):
        Frames(**{"kind": "tm", "nbytes": 200} | wrong)


def test_settings_stay_as_they_were_checked() -> None:
    """They are a value: equal ones have one hash, and what they were made of may change."""
    services = {7: "opaque"}
    first, second = (Frames("aos", 223, services=services) for _ in range(2))
    services[7] = "tape"
    assert {first: 1}[second] == 1
    assert FrameReceiver(first).settings.services == {7: "opaque"}
    assert {Channel("x", "frames", frames=first), Channel("x", "frames", frames=second)} == {
        Channel("x", "frames", frames=first)
    }


def test_those_who_make_and_take_frames_ask_for_their_kind() -> None:
    """An encoder needs a spacecraft and frames of its kind; telecommands have a receiver apart."""
    for wrong in (
        lambda: tm_frame.Encoder(Frames("tm", 64)),
        lambda: tm_frame.Encoder(Frames("aos", 64, 1)),
        lambda: tm_frame.Receiver(Frames("aos", 64)),
        lambda: uslp_frame.Encoder(Frames("aos", 64, 1)),
        lambda: FrameReceiver(Frames("tc", 64)),
        lambda: closed(b"frame", "crc8"),
    ):
        with pytest.raises(FieldRangeError):
            wrong()
