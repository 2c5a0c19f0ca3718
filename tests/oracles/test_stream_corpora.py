"""Recorded downlink through the whole stream, by the channel descriptions in ``docs/channels``.

Frames decoded by Daniel Estévez and others (CC BY 4.0, github.com/daniestevez/jupyter_notebooks),
packets from lasp/space_packet_parser (BSD-3-Clause); looked for in ``$FLATSAT_CORPORA``, else in
``../shared/corpora`` beside the repository.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flightsw.codec.link.frames import Frames
from flightsw.codec.link.sync import Marker
from flightsw.codec.stream.channel import Channel
from flightsw.codec.stream.stream import Batch, Stream
from hil.channel import load_channel

ROOT = Path(__file__).resolve().parents[2]
CORPORA = Path(os.environ.get("FLATSAT_CORPORA", ROOT.parent / "shared" / "corpora"))
CHANNELS = ROOT / "docs" / "channels"

FILES = {
    "mars2020": "frames/Mars2020__mars2020_frames.u8",
    "hera": "frames/Hera__hera_low_rate_frames_2024_10_07_16_24_20.u8",
    "change5": "frames/CE5__Bochum_2020-12-02_8463__SDRSharp_20201202_060001Z_8463752190Hz_IQ_2M5"
    "_dec8_CE5_frames.u8",
    "queqiao": "frames/Queqiao__queqiao_rs_frames.u8",
    "jpss1": "spp/jpss__J01_G011_LZ_2021-04-09T00-00-00Z_V01.DAT1",
    "bluewalker3": "frames/BlueWalker3__viterbi_out_1_20220925_051912.u8",
}
#: 355 octets behind each marker; what is in them is not published, so they are taken as they are.
BLUEWALKER3 = Channel(
    "bluewalker3",
    "bits",
    marker=Marker(),
    randomiser="tm",
    frames=Frames("tm", 355, fecf=None, services=dict.fromkeys(range(8), "opaque")),
)


def recorded(name: str) -> bytes:
    """Return a file of the corpora, or skip the test and say which file is missing."""
    path = CORPORA / FILES[name]
    if not path.is_file():
        pytest.skip(f"{path} is not here; set FLATSAT_CORPORA to where recorded downlink is")
    return path.read_bytes()


def channel(name: str) -> Channel:
    """Return a described channel."""
    return BLUEWALKER3 if name == "bluewalker3" else load_channel(CHANNELS / f"{name}.toml")


def decode(name: str) -> tuple[list[Batch], dict[str, dict[str, int]]]:
    """Return what a whole file holds, read in pieces, and the counters."""
    stream, octets = Stream(channel(name)), recorded(name)
    batches = [stream.feed(octets[at : at + 60_000]) for at in range(0, len(octets), 60_000)]
    return [*batches, stream.finish()], stream.counters


def test_mars_2020_counts(tier: str) -> None:
    """946 frames are good and 4 bad; 813 packets of the three APIDs come out."""
    _, counters = decode("mars2020")
    assert (counters["link"]["frames"], counters["link"]["bad_fecf"]) == (946, 4)
    assert counters["packets"]["packets"] == 813
    assert {name for name in counters if name.startswith("apid")} == {
        "apid 9",
        "apid 247",
        "apid 2047",
    }


def test_hera_counts(tier: str) -> None:
    """250 PUS-C reports whose error control is right, by type and subtype, and 6 time packets."""
    batches, counters = decode("hera")
    types: Counter[tuple[int, int]] = Counter()
    for batch in batches:
        assert batch.pus is not None
        there = batch.pus.good & batch.good
        services, subtypes = batch.pus.service[there], batch.pus.subtype[there]
        types.update(zip(services.tolist(), subtypes.tolist(), strict=True))
    assert types == {(3, 25): 229, (5, 1): 14, (5, 3): 1, (1, 1): 3, (1, 7): 3}
    assert counters["apid 0"]["packets"] == 6
    assert counters["packets"]["bad_error_control"] == 0


def test_change_5_counts(tier: str) -> None:
    """480 frames with an insert zone hold 3,292 packets; no frame and no alignment is lost."""
    _, counters = decode("change5")
    link = counters["link"]
    assert (link["frames"], link["packets"], link["vc_lost_frames"]) == (480, 3292, 0)
    assert (link["pointer_errors"], link["bad_packets"], link["packets_lost_pieces"]) == (0, 0, 0)


def test_queqiao_counts(tier: str) -> None:
    """A lenient decoder takes 3,031 of 3,282 code blocks; a strict one refuses them all, because
    the fault on board puts four corrections into the virtual fill of each.
    """
    _, counters = decode("queqiao")
    assert counters["link"]["air_units"] == 3282
    assert counters["link"]["failed_units"] == 251
    described = channel("queqiao")
    assert described.reed_solomon is not None
    strict = Stream(replace(described, reed_solomon=replace(described.reed_solomon, lenient=False)))
    strict.feed(recorded("queqiao"))
    assert strict.counters["link"]["fill_codewords"] == 3031
    assert strict.counters["link"]["failed_units"] == 3282


def test_jpss_1_counts(tier: str) -> None:
    """7,200 packets fill 7,200 rows of twenty columns."""
    batches, counters = decode("jpss1")
    assert counters["layout geolocation"] == {
        "packets": 7200,
        "rows": 7200,
        "wrong_length": 0,
        "undecodable": 0,
    }
    parts = [batch.columns["geolocation"] for batch in batches if batch.columns]
    assert sum(len(part.columns["doy"]) for part in parts) == 7200
    assert set(np.concatenate([part.columns["doy"] for part in parts]).tolist()) == {23109}


def test_bluewalker_3_counts(tier: str) -> None:
    """151 whole units come out of a demodulated bit stream, the published frames."""
    batches, counters = decode("bluewalker3")
    assert counters["link"]["air_units"] == 151
    units = b"".join(batch.units.octets.tobytes() for batch in batches if batch.units is not None)
    path = CORPORA / "frames/BlueWalker3__bw3_frames_20220925_051912.u8"
    known = path.read_bytes()
    frames = {known[at + 6 : at + 355] for at in range(0, len(known), 355)}
    assert counters["link"]["frames"] + counters["link"]["bad_version"] == 151
    assert all(units[at : at + 349] in frames for at in range(0, len(units), 349))


def accounted(name: str, counters: dict[str, dict[str, int]], fed: int) -> None:
    """Assert that every octet fed is in a counter, on each level."""
    if "frame octets" in counters:
        octets = counters["frame octets"]
        assert octets["given"] == sum(octets.values()) - octets["given"]
    if name == "jpss1":
        file = counters["file"]
        names = ("packet_octets", "record_octets", "skipped_octets", "octets_left", "held_octets")
        assert sum(file[each] for each in names) == fed
    elif name == "bluewalker3":
        link = counters["link"]
        names = ("unit_bits", "marker_bits", "bad_bits", "skipped_bits", "held_bits")
        assert sum(link[each] for each in names) == 8 * (fed // 8)
    else:
        link = counters["link"]
        assert link["air_octets"] + link["octets_left"] + link["held_octets"] == fed
    assert counters["input"]["octets"] == fed


def mutated(octets: bytes, rnd: random.Random, bits: bool) -> bytes:
    """Return a part of a recording with wrong, missing, doubled and foreign octets."""
    start = rnd.randrange(max(1, len(octets) - 20_000))
    part = bytearray(octets[start : start + rnd.randrange(1, 20_000)])
    for _ in range(rnd.randrange(1, 12)):
        at = rnd.randrange(len(part) + 1)
        n = rnd.choice((1, 1, 2, 7, 300))
        fresh = rnd.randbytes(n)
        if bits:
            fresh = bytes(octet & 1 for octet in fresh)
        kind = rnd.randrange(4)
        if kind == 0:
            part[at : at + n] = fresh[: len(part[at : at + n])]
        elif kind == 1:
            del part[at : at + n]
        elif kind == 2:
            part[at:at] = part[at : at + n]
        else:
            part[at:at] = fresh
    return bytes(part)


def feed_mutations(count: int) -> None:
    """Feed so many mutated recordings, in turn of each kind, and account for their octets."""
    rnd = random.Random(20)
    files = {name: recorded(name) for name in FILES}
    channels = {name: channel(name) for name in FILES}
    for i in range(count):
        name = list(FILES)[i % len(FILES)]
        octets = mutated(files[name], rnd, name == "bluewalker3")
        stream, cut = Stream(channels[name]), rnd.randrange(len(octets) + 1)
        stream.feed(octets[:cut])
        stream.feed(octets[cut:])
        accounted(name, stream.counters, len(octets))


def test_mutated_recordings_are_accounted_for() -> None:
    """10,000 recordings with random damage crash nothing, and every octet is in a counter."""
    feed_mutations(10_000)
