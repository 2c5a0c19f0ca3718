"""Recorded downlink of real spacecraft, where it is at hand, against what is known of it.

The files are frames that Daniel Estévez and others decoded (CC BY 4.0,
github.com/daniestevez/jupyter_notebooks) and packets from lasp/space_packet_parser (BSD-3-Clause).
They are looked for in ``$FLATSAT_CORPORA``, else in ``../shared/corpora`` beside the repository.
"""

import csv
import os
from collections import Counter
from pathlib import Path

import construct as c
import numpy as np
import pytest

from flightsw.codec import time_code
from flightsw.codec.coding.crc import crc16, crc16_batch
from flightsw.codec.coding.randomiser import tm_randomise
from flightsw.codec.columns.layout import compile_layout
from flightsw.codec.link import tm_frame
from flightsw.codec.link.frames import Frames
from flightsw.codec.packet import pus, space_packet

ROOT = Path(__file__).resolve().parents[2]
CORPORA = Path(os.environ.get("FLATSAT_CORPORA", ROOT.parent / "shared" / "corpora"))

HERA_NBYTES = 1113
#: Hera writes its times without the preamble, except in its time packets.
P_FIELD = bytes([time_code.P_FIELD])
HERA_REPORTS = {(3, 25): 229, (5, 1): 14, (5, 3): 1, (1, 1): 3, (1, 7): 3}


def recorded(name: str) -> bytes:
    """Return a file of the corpora, or skip the test and say which file is missing."""
    path = CORPORA / name
    if not path.is_file():
        pytest.skip(f"{path} is not here; set FLATSAT_CORPORA to where recorded downlink is")
    return path.read_bytes()


def hera_frames() -> list[bytes]:
    """Return the recorded frames of Hera, whose frame check was stripped by the recorder."""
    data = recorded("frames/Hera__hera_low_rate_frames_2024_10_07_16_24_20.u8")
    return [data[at : at + HERA_NBYTES] for at in range(0, len(data), HERA_NBYTES)]


def test_hera_frame_by_frame() -> None:
    """56 frames of Hera hold 256 packets: 250 sound PUS-C reports of known kinds, 6 times."""
    receiver = tm_frame.Receiver(Frames("tm", HERA_NBYTES, 0xB5, fecf=None, ocf=True))
    packets = [one for frame in hera_frames() for _, one in receiver.frame(frame)]
    assert receiver.counters["frames"] == 56
    assert len(packets) == receiver.counters["packets"] == 256
    times = [one for one in packets if space_packet.unpack(one).apid == 0]
    reports = [
        pus.unpack_tm(one, 7, P_FIELD) for one in packets if space_packet.unpack(one).apid != 0
    ]
    assert Counter((tm.service, tm.subtype) for tm in reports) == HERA_REPORTS
    assert len(times) == 6
    assert all(one[7] == time_code.P_FIELD and crc16(one) != 0 for one in times)
    lost = {"mc_gaps", "vc_gaps", "pointer_errors", "bad_packets", "packets_lost_pieces"}
    assert {receiver.counters[name] for name in lost} == {0}
    assert receiver.clcw is not None


def test_hera_over_our_own_air() -> None:
    """Hera's frames behind markers and under the randomiser give the same packets in any chunks."""
    frames = hera_frames()
    one = tm_frame.Receiver(Frames("tm", HERA_NBYTES, 0xB5, fecf=None, ocf=True))
    want = [packet for frame in frames for packet in one.frame(frame)]
    air = b"".join(map(tm_frame.cadu, frames))
    for step in (1, 1000, len(air)):
        receiver = tm_frame.Receiver(Frames("tm", HERA_NBYTES, 0xB5, fecf=None, ocf=True))
        got = [p for at in range(0, len(air), step) for p in receiver.feed(air[at : at + step])]
        assert got == want
        assert receiver.counters == one.counters


def test_hera_reports_repack_to_the_same_octets() -> None:
    """Each PUS-C report of Hera, taken apart and packed again, is octet for octet the same."""
    receiver = tm_frame.Receiver(Frames("tm", HERA_NBYTES, 0xB5, fecf=None, ocf=True))
    packets = [one for frame in hera_frames() for _, one in receiver.frame(frame)]
    same = 0
    for packet in packets:
        outer = space_packet.unpack(packet)
        if outer.apid == 0:
            continue
        tm = pus.unpack_tm(packet, 0)
        again = pus.pack_tm(
            tm.apid,
            tm.seq,
            tm.service,
            tm.subtype,
            tm.data,
            t_ns=None,
            counter=tm.counter,
            destination=tm.destination,
            time_status=packet[6] & 15,
        )
        same += again == packet
    assert same == 250


def test_hera_checks_in_one_batch() -> None:
    """The batch CRC over all packets, found by one scan, clears the 250 reports and no time."""
    receiver = tm_frame.Receiver(Frames("tm", HERA_NBYTES, 0xB5, fecf=None, ocf=True))
    stream = b"".join(one for frame in hera_frames() for _, one in receiver.frame(frame))
    table = space_packet.scan(stream)
    checks = crc16_batch(stream, table.offset, table.nbytes)
    assert np.array_equal(checks == 0, table.apid != 0)
    assert int((checks == 0).sum()) == 250


def test_hera_times_are_of_one_clock() -> None:
    """Times of reports and of time packets, read as the same code, lie within an hour, in order."""
    receiver = tm_frame.Receiver(Frames("tm", HERA_NBYTES, 0xB5, fecf=None, ocf=True))
    packets = [one for frame in hera_frames() for _, one in receiver.frame(frame)]
    times = [time_code.unpack_cuc(one, 7) for one in packets if space_packet.unpack(one).apid == 0]
    reports = [
        pus.unpack_tm(one, 7, P_FIELD) for one in packets if space_packet.unpack(one).apid != 0
    ]
    assert times == sorted(times)
    assert all(abs(tm.t_ns - times[0]) < 3600 * 10**9 for tm in reports if tm.t_ns is not None)
    housekeeping = [tm.t_ns for tm in reports if tm.apid == reports[0].apid and tm.service == 3]
    assert housekeeping == sorted(housekeeping, key=lambda t_ns: t_ns or 0)


def test_blue_walker_randomiser_and_marker() -> None:
    """151 frames cut from bits of BlueWalker 3 at their markers derandomise to the known ones."""
    bits = np.frombuffer(recorded("frames/BlueWalker3__viterbi_out_1_20220925_051912.u8"), np.uint8)
    known = recorded("frames/BlueWalker3__bw3_frames_20220925_051912.u8")
    frames = {known[at : at + 355] for at in range(0, len(known), 355)}
    marker = np.unpackbits(np.frombuffer(tm_frame.ASM, np.uint8))
    view = np.lib.stride_tricks.sliding_window_view(bits, 32)
    hits = np.flatnonzero((view == marker).all(axis=1))
    assert len(hits) == 152
    whole = [at for at in hits.tolist() if at + 2872 <= len(bits)]
    found = 0
    for at in whole:
        octets = np.packbits(bits[at + 32 : at + 2872]).tobytes()
        found += tm_randomise(octets) in frames
    assert found == 151


def test_jpss_layout_from_its_definition() -> None:
    """7,200 packets of JPSS-1 scan, and decode in columns as integer arithmetic has them."""
    data = recorded("spp/jpss__J01_G011_LZ_2021-04-09T00-00-00Z_V01.DAT1")
    table = space_packet.scan(data)
    assert table.consumed == len(data)
    assert set(table.nbytes.tolist()) == {71}
    assert len(table.offset) == 7200
    rows = list(
        csv.reader(recorded("spp/jpss__ccsdspy_jpss1_geolocation.csv").decode().split("\n"))
    )
    header = [cell.strip().lower() for cell in rows[0]]
    names, kinds, widths = (header.index(k) for k in ("name", "data_type", "bit_length"))
    members, spec, at = [], [], 48
    for row in (r for r in rows[1:] if len(r) == len(header)):
        name, kind, width = row[names].strip(), row[kinds].strip(), int(row[widths])
        number = c.BitsInteger(width, signed=kind == "int")
        float_kind = c.Float32b if width == 32 else c.Float64b
        members.append(name / (c.Bytewise(float_kind) if kind == "float" else number))
        spec.append((name, kind, at, width))
        at += width
    assert at == 71 * 8
    layout = compile_layout(c.BitStruct(c.Padding(48), *members))
    columns = layout.decode_columns(data)
    for i in range(0, 7200, 97):
        whole = int.from_bytes(data[71 * i : 71 * i + 71], "big")
        for name, kind, first, width in spec:
            raw = whole >> 71 * 8 - first - width & (1 << width) - 1
            if kind == "int" and raw >> width - 1:
                raw -= 1 << width
            bits = columns[name][i : i + 1]
            got = int(bits.view(f"u{bits.itemsize}")[0]) if kind == "float" else int(bits[0])
            assert got == raw
