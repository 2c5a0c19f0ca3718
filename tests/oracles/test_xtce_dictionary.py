"""The dictionary's XTCE export decodes the telemetry of our own flight in space_packet_parser."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

pytest.importorskip("space_packet_parser")

from space_packet_parser.exceptions import UnrecognizedPacketTypeError
from space_packet_parser.xtce.definitions import XtcePacketDefinition
from space_packet_parser.xtce.validation import validate_xtce

from flightsw.codec.columns.layout import Layout, compile_layout
from flightsw.codec.columns.plan import Repeat, Value
from flightsw.codec.dictionary import APID, EVENTS, PART_HEADER, REPORTS, STRUCTURES, export
from flightsw.codec.packet import space_packet
from flightsw.codec.packet.find import scan
from flightsw.codec.packet.pus import unpack_tm
from flightsw.codec.packet.pus_format import PUS_C
from flightsw.codec.xtce.model import System

Dictionary = tuple[System, XtcePacketDefinition]


@pytest.fixture(scope="module")
def dictionary() -> Dictionary:
    """The exported dictionary, and what the peer made of it."""
    system = export.system()
    return system, XtcePacketDefinition.from_xtce(io.BytesIO(system.text().encode()))


def test_the_document_is_valid() -> None:
    """The schema of the standard accepts the dictionary, and every reference leads somewhere."""
    source: Any = io.BytesIO(export.xtce().encode())
    assert validate_xtce(source, print_results=False, allow_schema_download=False).valid


def declared() -> list[tuple[str, int, int, bytes, Any]]:
    """Return (container, service, subtype, head of the data, declaration) of every report."""
    every = [(f"HK_{one.name}", 3, 25, bytes([one.sid]), one.struct) for one in STRUCTURES] + [
        (f"EVENT_{e.name}", 5, int(e.severity), e.id.to_bytes(2, "big"), e.struct) for e in EVENTS
    ]
    return every + [(f"TM_{s}_{t}", s, t, b"", struct) for (s, t), struct in REPORTS.items()]


def compare_dictionary(dictionary: Dictionary, seed: int, count: int) -> None:
    """Fill every report with random values and compare."""
    system, peer = dictionary
    rnd = Random(seed)
    for name, service, subtype, head, struct in declared():
        layout = compile_layout(struct)
        for _ in range(count):
            n = rnd.randint(0, 9)
            noise = rnd.randbytes(layout.nbytes + 4000)
            if layout.fixed:
                data = noise[: layout.nbytes]
            else:
                values = layout.decode(noise)
                for key, value in values.items():
                    values[key] = value[:n] if isinstance(value, list | bytes) else value
                data = layout.encode(values)
            octets = PUS_C.pack_tm(APID, 5, service, subtype, head + data, t_ns=0)
            found = peer.parse_bytes(octets)
            compare_report(system, name, layout, data, found)


def compare_report(system: System, name: str, layout: Layout, data: bytes, found: Any) -> None:
    """Compare numbers by value and lists by their octets, which must take all of ``data``."""
    values, at = layout.decode(data), 0
    for node in layout.nodes:
        assert isinstance(node, Value | Repeat)
        of = node.name if isinstance(node, Repeat) else node.field.name
        (parameter,) = (found[p] for p in system.names[name, of])
        if isinstance(node, Repeat):
            assert data[at : at + len(parameter)] == parameter
            at += len(parameter)
            continue
        at += node.field.width // 8
        (key, *_) = node.field.path
        assert parameter == (len(values[key]) if node.field.hidden else values[key]), of
    assert at == len(data)


def test_the_dictionary(dictionary: Dictionary) -> None:
    """Every housekeeping structure, event and report reads the same, whatever its values."""
    compare_dictionary(dictionary, 1, 20)


@pytest.mark.soak
def test_the_dictionary_at_length(dictionary: Dictionary) -> None:
    """The same over more than 10,000 packets."""
    compare_dictionary(dictionary, 2, 250)
    assert len(declared()) * 250 > 10_000


def test_a_packet_of_no_container_is_refused(
    dictionary: Dictionary,
) -> None:
    """Reports that the dictionary lacks are an error with the peer, not a packet without data."""
    for service, subtype, data in ((3, 25, b"\xc8\0"), (5, 1, b"\xff\xff"), (99, 1, b"")):
        octets = PUS_C.pack_tm(APID, 1, service, subtype, data, t_ns=0)
        with pytest.raises(UnrecognizedPacketTypeError):
            dictionary[1].parse_bytes(octets)
    with pytest.raises(UnrecognizedPacketTypeError):
        dictionary[1].parse_bytes(space_packet.pack(APID + 1, 0, b"data"))


def test_telemetry_of_a_run(dictionary: Dictionary, tmp_path: Path) -> None:
    """Every packet that ground received in a flight reads as the dictionary declares it."""
    system, peer = dictionary
    options = ["--duration", "1000", "--transport", "direct", "--inference", "threshold", "-q"]
    command = [sys.executable, "-m", "hil", "run", "--out", str(tmp_path / "run"), *options]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    heads = {(s, t, head): (name, struct) for name, s, t, head, struct in declared()}
    kinds: dict[str, int] = {}
    for octets in scan((tmp_path / "run" / "telemetry.pkts").read_bytes()).pieces():
        packet = unpack_tm(bytes(octets))
        found = peer.parse_bytes(bytes(octets))
        assert (found["PKT_APID"], found["SRC_SEQ_CTR"]) == (packet.apid, packet.seq)
        assert (found["PUS_SERVICE"], found["PUS_SUBTYPE"]) == (packet.service, packet.subtype)
        assert found["PUS_COUNTER"] == packet.counter
        units = found["PUS_TIME_COARSE"] << 24 | found["PUS_TIME_FINE"]
        assert units * 10**9 + (1 << 23) >> 24 == packet.t_ns
        name = f"TM_{packet.service}_{packet.subtype}"
        if packet.service == 13:
            head = PART_HEADER.parse(packet.data)
            part = (found[f"{name}_job"], found[f"{name}_part"])
            assert part == (head.job, head.part)
            assert found[f"{name}_data"] == packet.data[PART_HEADER.sizeof() :]
        else:
            cut = {3: 1, 5: 2}.get(packet.service, 0) if packet.subtype in (25, 1, 2, 3, 4) else 0
            name, struct = heads[packet.service, packet.subtype, packet.data[:cut]]
            compare_report(system, name, compile_layout(struct), packet.data[cut:], found)
        kinds[name] = kinds.get(name, 0) + 1
    assert {f"HK_{one.name}" for one in STRUCTURES if not one.optional} < kinds.keys()
    wanted = {"TM_1_1", "TM_1_7", "TM_13_1", "TM_13_3", "EVENT_BOOT", "EVENT_JOB_STATE"}
    assert wanted < kinds.keys()
