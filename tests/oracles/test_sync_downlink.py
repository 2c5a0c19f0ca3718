"""The recorded bits of BlueWalker 3 through the synchroniser and the chain, against what is known.

Demodulated bits and frames are of Daniel Estévez (CC BY 4.0, github.com/daniestevez). They are
looked for in ``$FLATSAT_CORPORA``, else in ``../shared/corpora`` beside the repository.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from flightsw.codec.link import sync

ROOT = Path(__file__).resolve().parents[2]
CORPORA = Path(os.environ.get("FLATSAT_CORPORA", ROOT.parent / "shared" / "corpora"))
FRAME_NBYTES = 355
SPACING = 2872


def recorded(name: str) -> bytes:
    """Return a file of the corpora, or skip the test and say which file is missing."""
    path = CORPORA / "frames" / name
    if not path.is_file():
        pytest.skip(f"{path} is not here; set FLATSAT_CORPORA to where recorded downlink is")
    return path.read_bytes()


def air_bits() -> npt.NDArray[np.uint8]:
    """Return the demodulated bits."""
    return np.frombuffer(recorded("BlueWalker3__viterbi_out_1_20220925_051912.u8"), np.uint8).copy()


def known_frames() -> list[bytes]:
    """Return the frames of the recording, derandomised."""
    data = recorded("BlueWalker3__bw3_frames_20220925_051912.u8")
    return [data[at : at + FRAME_NBYTES] for at in range(0, len(data), FRAME_NBYTES)]


def frames_of(
    bits: npt.NDArray[np.uint8], chunk: int, **how: Any
) -> tuple[list[bytes], sync.Synchroniser]:
    """Return what a synchroniser cuts out of the bits, fed in chunks of octets."""
    octets = np.packbits(bits).tobytes()
    one = sync.Synchroniser(sync.Marker(**how), FRAME_NBYTES, randomiser="tm")
    got: list[bytes] = []
    for at in range(0, len(octets), chunk):
        got += [unit.tobytes() for unit in one.feed(octets[at : at + chunk])]
    return got, one


def test_markers_of_blue_walker() -> None:
    """152 exact markers, 2,872 bits apart, none at an octet."""
    octets = np.packbits(air_bits()).tobytes()
    assert len(octets) == 435_680 // 8
    hits = sync.search(octets)
    assert len(hits) == 152
    assert set(np.diff(hits["bit"]).tolist()) == {SPACING}
    assert all(bit % 8 for bit in hits["bit"].tolist())
    assert len(sync.search(octets, step=8)) == 0
    assert not sync.search(octets, max_wrong=3, inverted=True)["inverted"].any()


@pytest.mark.parametrize("chunk", [7, 359, 60_000])
def test_frames_of_blue_walker(chunk: int) -> None:
    """151 frames, derandomised on the way: the 149 known ones in order, and two of the same."""
    known = known_frames()
    got, one = frames_of(air_bits(), chunk)
    assert len(got) == 151
    assert got[:149] == known
    assert set(got) == set(known)
    counters = one.counters
    assert counters["units"] == 151
    assert (counters["locks"], counters["locks_lost"], counters["missed_markers"]) == (1, 0, 0)
    names = ("unit_bits", "marker_bits", "bad_bits", "skipped_bits")
    assert sum(counters[name] for name in names) + one.held_bits == 435_680


def test_blue_walker_turned_over_and_hurt() -> None:
    """Inverted, with slipped bits and hurt markers, all frames but those hit come out the same."""
    want, _ = frames_of(air_bits(), 60_000)
    bits = air_bits() ^ 1
    starts = sync.search(np.packbits(bits).tobytes(), inverted=True)["bit"].astype(np.int64)
    rnd = random.Random(7)
    for at in starts[1:]:
        bits[at + np.array(rnd.sample(range(32), 3))] ^= 1
    bits[starts[90] : starts[90] + 32] = 0
    bits = np.delete(bits, [starts[50] + 500, starts[50] + 501])
    got, one = frames_of(bits, 1000, inverted=True, lock_wrong=3, misses=2, slip=2)
    assert [a == b for a, b in zip(got, want, strict=True)] == [i != 50 for i in range(151)]
    assert (one.counters["slips"], one.counters["flywheel_units"]) == (1, 1)
    assert one.counters["locks_lost"] == 0
