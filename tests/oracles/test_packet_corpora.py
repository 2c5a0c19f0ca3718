"""Recorded packets of real instruments, where they are at hand, against what is known of them.

JPSS-1 and SUDA packets come from lasp/space_packet_parser (BSD-3-Clause), HIT housekeeping from
IMAP-Science-Operations-Center/imap_processing (MIT), Hera's frames from Daniel Estévez and others
(CC BY 4.0). They are looked for in ``$FLATSAT_CORPORA``, else in ``../shared/corpora`` beside the
repository.
"""

from __future__ import annotations

import csv
import os
import random
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import construct as c
import numpy as np
import pytest

from flightsw.codec.columns.layout import compile_layout
from flightsw.codec.link import tm_frame
from flightsw.codec.link.frames import Frames
from flightsw.codec.packet.find import PacketFinder, scan
from flightsw.codec.packet.pus_format import PusFault, PusFormat
from flightsw.codec.packet.sequence import Joiner, Tracker, Verdict
from flightsw.codec.packet.table import PacketTable

ROOT = Path(__file__).resolve().parents[2]
CORPORA = Path(os.environ.get("FLATSAT_CORPORA", ROOT.parent / "shared" / "corpora"))
JPSS = "spp/jpss__J01_G011_LZ_2021-04-09T00-00-00Z_V01.DAT1"
SUDA = "spp/suda__sciData_2022_130_17_41_53.spl"
HIT = "imap/hit__test_data__imap_hit_l0_hk_20100105_v001.pkts"
HIT_CSV = "imap/hit__validation_data__hskp_sample_raw.csv"
HIT_XTCE = "imap/imap_processing__hit__packet_definitions__hit_packet_definitions.xml"
HERA = "frames/Hera__hera_low_rate_frames_2024_10_07_16_24_20.u8"
HERA_REPORTS = {(3, 25): 229, (5, 1): 14, (5, 3): 1, (1, 1): 3, (1, 7): 3}
XTCE = {"x": "http://www.omg.org/space/xtce"}


def recorded(name: str) -> bytes:
    """Return a file of the corpora, or skip the test and say which file is missing."""
    path = CORPORA / name
    if not path.is_file():
        pytest.skip(f"{path} is not here; set FLATSAT_CORPORA to where recorded downlink is")
    return path.read_bytes()


def hera_packets() -> bytes:
    """Return the packets of Hera's frames, one behind the other."""
    data = recorded(HERA)
    receiver = tm_frame.Receiver(Frames("tm", 1113, 0xB5, fecf=None, ocf=True))
    frames = [data[at : at + 1113] for at in range(0, len(data), 1113)]
    return b"".join(packet for frame in frames for _, packet in receiver.frame(frame))


def test_jpss_is_one_apid_in_sequence() -> None:
    """7,200 packets of 71 octets, all of one APID, without a gap, found in any chunks."""
    data = recorded(JPSS)
    table = scan(data)
    assert len(table) == 7200
    assert set(table.nbytes.tolist()) == {71}
    assert list(table.by_apid()) == [table.apid[0]]
    tracker = Tracker()
    seen = tracker.follow(table)
    assert Counter(seen.verdict.tolist()) == {Verdict.FIRST: 1, Verdict.NEXT: 7199}
    finder, held, found = PacketFinder(), b"", 0
    for at in range(0, len(data), 1000):
        held += data[at : at + 1000]
        part = finder.find(held, last=False)
        found += len(part)
        held = held[part.consumed :]
    assert (found, held) == (7200, b"")


def test_suda_stands_behind_record_headers() -> None:
    """13 packets behind record headers of 4 octets each, without a gap; strict scan refuses."""
    data = recorded(SUDA)
    finder = PacketFinder(before_nbytes=4)
    table = finder.find(data)
    assert len(table) == 13
    assert finder.counters["record_octets"] == 52
    assert finder.counters["skipped_octets"] == 0
    assert table.consumed == len(data)
    assert table.seq.tolist() == list(range(13))
    assert not table.lost_before.any()
    assert [unit.parts for unit in Joiner().join(table)] == [1] * 13
    lengths = table.nbytes.tolist()
    assert [4 * (i + 1) + sum(lengths[:i]) for i in range(13)] == table.offset.tolist()


def hit_layout() -> tuple[c.Construct, list[str]]:
    """Return HIT's housekeeping as its definition has it, header and all, and its field names."""
    root = ElementTree.fromstring(recorded(HIT_XTCE))
    widths = {
        kind.get("name"): int(kind[0].get("sizeInBits", "0"))
        for kind in root.iterfind(".//x:IntegerParameterType", XTCE)
    }
    kinds = {
        p.get("name"): p.get("parameterTypeRef") for p in root.iterfind(".//x:Parameter", XTCE)
    }
    names: list[str] = []
    for container in ("CCSDSPacket", "HIT_HSKP"):
        entries = root.find(f".//x:SequenceContainer[@name='{container}']/x:EntryList", XTCE)
        assert entries is not None
        names += [str(entry.get("parameterRef")) for entry in entries]
    bare = [name.removeprefix("HIT_HSKP.") for name in names]
    sizes = [widths[kinds[name]] for name in names]
    members = [one / c.BitsInteger(n) for one, n in zip(bare, sizes, strict=True)]
    return c.BitStruct(*members), bare


def test_hit_housekeeping_cell_by_cell() -> None:
    """10,266 of 10,266 cells of the ground system's table are what the definition decodes."""
    table = scan(recorded(HIT))
    assert len(table) == 88
    assert list(table.by_apid()) == [1251]
    assert not table.lost_before.any()
    declaration, names = hit_layout()
    columns = compile_layout(declaration).decode_columns(table.buf, offsets=table.offset)
    head, *rows = list(csv.reader(recorded(HIT_CSV).decode().splitlines()))
    assert len(rows) == 87
    row_of = {seq: i for i, seq in enumerate(table.seq.tolist())}
    at = np.array([row_of[int(row[head.index("CCSDS_SEQ_CNT")])] for row in rows])
    equal = cells = 0
    for k, name in enumerate(head):
        if name in names:
            told = np.array([int(row[k]) for row in rows])
            equal += int((columns[name][at] == told).sum())
            cells += len(rows)
    assert (equal, cells) == (10_266, 10_266)
    for name, ours in (("CCSDS_APPID", "PKT_APID"), ("SHCOARSE", "SC_TICK")):
        told = [int(row[head.index(name)]) for row in rows]
        assert columns[ours][at].tolist() == told


def test_hera_in_columns() -> None:
    """250 PUS-C reports with right error control, of known kinds, and 6 time packets without."""
    table = scan(hera_packets())
    assert len(table) == 256
    columns = PusFormat(preamble_sent=False).tm_columns(table)
    kinds = zip(columns.service[columns.good], columns.subtype[columns.good], strict=True)
    assert Counter((int(a), int(b)) for a, b in kinds) == HERA_REPORTS
    assert np.array_equal(columns.good, table.ok)
    assert np.array_equal(columns.fault == PusFault.NO_HEADER, table.apid == 0)
    assert int((table.apid == 0).sum()) == 6
    carriers = sorted(set(table.apid.tolist()) - {0})
    assert table.check(carriers).all()
    times = columns.t_ns[columns.good]
    assert times.max() - times.min() < 2 * 3600 * 10**9
    assert Tracker().follow(table).verdict.max() <= Verdict.GAP


def damaged(rnd: random.Random, data: bytes) -> bytes:
    """Return data with octets changed, lost and added at random places."""
    out = bytearray(data)
    for _ in range(rnd.randrange(1, 9)):
        at = rnd.randrange(len(out) + 1)
        kind = rnd.randrange(4)
        if kind == 0:
            out[at : at + 1] = rnd.randbytes(1)
        elif kind == 1:
            del out[at : at + rnd.randrange(200)]
        elif kind == 2:
            out[at:at] = rnd.randbytes(rnd.randrange(50))
        else:
            del out[at:]
            out += rnd.randbytes(rnd.randrange(9))
    return bytes(out)


@pytest.mark.parametrize("name", [JPSS, SUDA, HIT, HERA])
@pytest.mark.parametrize("count", [100, pytest.param(2500, marks=pytest.mark.soak)])
def test_damaged_recordings_lose_nothing_unseen(name: str, count: int) -> None:
    """Whatever is done to a recording, every octet is in a packet, skipped, or left at the end."""
    data = (hera_packets() if name == HERA else recorded(name))[:40_000]
    rnd = random.Random(7)
    before = 4 if name == SUDA else 0
    apids = set(PacketFinder(before_nbytes=before).find(data).apid.tolist())
    joiner, mission = Joiner(groups=4, group_nbytes=1 << 16), PusFormat(preamble_sent=False)
    for _ in range(count):
        hurt = damaged(rnd, data)
        known = rnd.choice([None, apids])
        check = rnd.random() < 0.5
        finder = PacketFinder(before_nbytes=before, apids=known, error_control=check)
        table: PacketTable = finder.find(hurt)
        counters = finder.counters
        octets = sum(counters[f"{kind}_octets"] for kind in ("packet", "record", "skipped"))
        assert octets == table.consumed <= len(hurt)
        assert len(table) == counters["packets"]
        Tracker().follow(table, table.ok)
        joiner.join(table)
        mission.tm_columns(table)
