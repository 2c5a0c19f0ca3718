"""Recorded frames of real spacecraft, where they are at hand, through the frame layer.

The files are frames that Daniel Estévez and others decoded (CC BY 4.0,
github.com/daniestevez/jupyter_notebooks). They are looked for in ``$FLATSAT_CORPORA``, else in
``../shared/corpora`` beside the repository.
"""

import os
import random
from collections import Counter
from pathlib import Path

import pytest

from flightsw.codec import tier
from flightsw.codec.link import tm_frame
from flightsw.codec.link import units as frames
from flightsw.codec.link.frames import Frames
from flightsw.codec.link.receiver import FrameReceiver
from flightsw.codec.link.units import Units

ROOT = Path(__file__).resolve().parents[2]
CORPORA = Path(os.environ.get("FLATSAT_CORPORA", ROOT.parent / "shared" / "corpora")) / "frames"

MARS = "Mars2020__mars2020_frames.u8"
SAFE_MODE = "Mars2020__safemode_frames.u8"
HERA = "Hera__hera_low_rate_frames_2024_10_07_16_24_20.u8"
CHANGE_5 = (
    "CE5__Bochum_2020-12-02_8463__SDRSharp_20201202_060001Z_8463752190Hz_IQ_2M5_dec8_CE5_frames.u8"
)


def recorded(name: str) -> bytes:
    """Return a file of the corpora, or skip the test and say which file is missing."""
    path = CORPORA / name
    if not path.is_file():
        pytest.skip(f"{path} is not here; set FLATSAT_CORPORA to where recorded downlink is")
    return path.read_bytes()


def apids(units: Units) -> Counter[int]:
    """Return how many packets each APID has."""
    return Counter((octets[0] & 7) << 8 | octets[1] for octets in units.each())


def accounted(receiver: FrameReceiver) -> bool:
    """Tell whether each octet given is in one counter."""
    octets = receiver.octets
    return octets.pop("given") == sum(octets.values())


@pytest.mark.parametrize("name", tier.available())
def test_mars_2020(name: str) -> None:
    """950 frames: 946 good and 4 bad; 813 packets of three APIDs, idle ones among them."""
    receiver = FrameReceiver(Frames("aos", 1115, 0xA8, keep_idle=True))
    with tier.forced(name):
        found = receiver.frames(recorded(MARS), infos=True)
    assert found.frames is not None
    verdicts = Counter(frames.VERDICTS[verdict] for verdict in found.frames["verdict"])
    assert verdicts == {"taken": 946, "bad_fecf": 4}
    assert receiver.counters["bad_fecf"] == 4
    assert set(receiver.channels) == {0}
    assert apids(found) == {0x7FF: 741, 0x9: 58, 0xF7: 14}
    assert receiver.counters["packets"] + receiver.counters["idle_packets"] == 813
    assert receiver.counters["vc_lost_frames"] == 17
    assert receiver.counters["pointer_errors"] == receiver.counters["bad_packets"] == 0
    assert accounted(receiver)


def test_mars_2020_in_safe_mode() -> None:
    """Of four frames the checks are good, good, good, bad."""
    receiver = FrameReceiver(Frames("aos", 223, 0xA8))
    found = receiver.frames(recorded(SAFE_MODE), infos=True).frames
    assert found is not None
    assert [frames.VERDICTS[verdict] for verdict in found["verdict"]] == [
        "taken", "taken", "taken", "bad_fecf",
    ]  # fmt: skip
    assert accounted(receiver)


@pytest.mark.parametrize("name", tier.available())
def test_change_5(name: str) -> None:
    """480 frames with an insert zone and without check: 3,292 packets, nothing lost anywhere."""
    receiver = FrameReceiver(Frames("aos", 220, insert_nbytes=8, fecf=None))
    with tier.forced(name):
        found = receiver.frames(recorded(CHANGE_5), infos=True)
    assert found.frames is not None
    assert len(found.frames) == receiver.counters["frames"] == 480
    assert len(found.rows) == receiver.counters["packets"] == 3292
    for counter in ("vc_lost_frames", "pointer_errors", "bad_packets", "packets_lost_pieces"):
        assert receiver.counters[counter] == 0
    assert [int(since) for since in found.rows["since"] if since] == [frames.SINCE_START]
    assert accounted(receiver)


def test_hera() -> None:
    """56 frames without check, with a control field: 256 packets, nothing lost."""
    receiver = tm_frame.Receiver(Frames("tm", 1113, 0xB5, fecf=None, ocf=True))
    found = receiver.frames(recorded(HERA), infos=True)
    assert found.frames is not None
    assert len(found.frames) == receiver.counters["frames"] == 56
    assert len(found.rows) == 256
    assert all(found.frames["flags"] & 1)
    assert receiver.counters["mc_lost_frames"] == receiver.counters["vc_lost_frames"] == 0
    assert accounted(receiver)


#: How each recorded file is read: as it is, and as if its spacecraft were not known.
READERS = {
    MARS: (lambda: FrameReceiver(Frames("aos", 1115, 0xA8)), 1115),
    CHANGE_5: (lambda: FrameReceiver(Frames("aos", 220, insert_nbytes=8, fecf=None)), 220),
    HERA: (lambda: tm_frame.Receiver(Frames("tm", 1113, fecf=None, ocf=True)), 1113),
}


def mutate(rnd: random.Random, data: bytes, nbytes: int) -> bytes:
    """Return a stretch of frames with octets changed, frames lost, repeated and exchanged."""
    count = rnd.randint(1, 12)
    first = rnd.randrange(len(data) // nbytes - count)
    units = [bytearray(data[nbytes * i : nbytes * (i + 1)]) for i in range(first, first + count)]
    for _ in range(rnd.randint(1, 6)):
        at, kind = rnd.randrange(len(units)), rnd.randrange(5)
        if kind < 2:
            units[at][rnd.randrange(nbytes if kind else 20)] = rnd.randrange(256)
        elif kind == 2 and len(units) > 1:
            del units[at]
        elif kind == 3:
            units.insert(at, bytearray(units[at]))
        else:
            other = rnd.randrange(len(units))
            units[at], units[other] = units[other], units[at]
    return b"".join(units)


def check_mutations(name: str, count: int, seed: int) -> None:
    """Feed mutated stretches: each octet must be accounted for, and rows hold all that is given."""
    make, nbytes = READERS[name]
    data, rnd = recorded(name), random.Random(seed)
    receiver = make()
    for _ in range(count):
        found = receiver.frames(mutate(rnd, data, nbytes))
        assert int(found.rows["nbytes"].sum()) == len(found.octets)
    assert accounted(receiver)


@pytest.mark.parametrize("name", READERS, ids=lambda name: name[:5])
def test_mutated_recordings_are_accounted_for(name: str) -> None:
    """300 mutated stretches of each recording leave no octet without a counter."""
    check_mutations(name, 300, 1)


@pytest.mark.soak
@pytest.mark.parametrize("name", READERS, ids=lambda name: name[:5])
def test_mutated_recordings_10000_times(name: str) -> None:
    """10,000 mutated stretches of each recording leave no octet without a counter."""
    check_mutations(name, 10_000, 2)
