"""Channel descriptions in TOML: what :mod:`flightsw.codec.stream.channel` says, with each complaint
at its line. ``docs/channel-file.md`` is the manual.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from flightsw.codec.coding.convolutional import ORDERS, RATES
from flightsw.codec.coding.randomiser import RANDOMISERS
from flightsw.codec.columns.layout import compile_layout
from flightsw.codec.errors import CodecError
from flightsw.codec.link.chain import BlockCode
from flightsw.codec.link.frames import FECF_NBYTES, SERVICES, SPACECRAFT, Frames
from flightsw.codec.link.sync import ASM, Marker
from flightsw.codec.packet.pus_format import PUS_VERSION_A, PUS_VERSION_C, PusFormat
from flightsw.codec.stream.channel import INPUTS, Channel, Convolutional, Packets, Rule
from flightsw.codec.time_code import EPOCHS, TimeFormat
from hil.config import Document, KeyPath, load_toml
from hil.fieldtable import read_fields
from hil.tables import file_name

#: Column of every table that numbers the packets of the input; no field is called so.
PACKET = "packet"

#: Every table of a channel file and its keys; the tables of fields are in :mod:`hil.fieldtable`.
KEYS: dict[str, tuple[str, ...]] = {
    "": (*("channel", "convolutional", "marker", "reed_solomon", "frames", "packets", "layout"),),
    "channel": ("name", "input", "randomiser"),
    "convolutional": ("rate", "order", "traceback", "segment"),
    "marker": (
        *("octets", "inverted", "aligned", "search_wrong", "lock_wrong", "verify", "misses"),
        "slip",
    ),
    "reed_solomon": ("e", "interleave", "basis", "fill", "lenient"),
    "frames": (
        *("kind", "nbytes", "scid", "fecf", "ocf", "insert_nbytes", "fhec", "variable"),
        *("segment_header", "channels", "services"),
    ),
    "packets": (
        *("error_control", "no_error_control", "apids", "pus", "no_pus", "before_nbytes"),
        *("behind_nbytes", "max_nbytes", "late_window", "keep_idle"),
    ),
    "packets.pus": (
        *("version", "time", "preamble_sent", "counter_nbytes", "destination_nbytes"),
        *("source_nbytes", "tm_spare_nbytes", "tc_spare_nbytes"),
    ),
    "layout": (
        *("name", "fields", "apid", "telecommand", "vcid", "service", "subtype", "skip_nbytes"),
        "longer",
    ),
}
_VERSIONS = {"a": PUS_VERSION_A, "c": PUS_VERSION_C}


def load_channel(path: str | Path) -> Channel:
    """Return the channel that a file describes; ConfigError in one line for whatever is wrong."""
    return read_channel(load_toml(path))


def read_channel(doc: Document) -> Channel:
    """Return the channel of a file that has been read, or that stood in a capture."""
    for table in ("", "channel"):
        doc.check_keys(table, KEYS[table])
    name = doc.text("channel.name")
    source = doc.choice("channel.input", INPUTS)
    randomiser = doc.choice("channel.randomiser", ("none", *RANDOMISERS), "none")
    rules = doc.find("layout", [])
    if not isinstance(rules, list):
        raise doc.error("layout", "must be a list of tables: [[layout]]")
    described = tuple(_rule(doc, index) for index in range(len(rules)))
    _check_names(doc, described)
    return Channel(
        name=name,
        input=source,
        convolutional=_convolutional(doc) if "convolutional" in doc.data else None,
        marker=_marker(doc) if "marker" in doc.data else None,
        randomiser=None if randomiser == "none" else randomiser,
        reed_solomon=_reed_solomon(doc) if "reed_solomon" in doc.data else None,
        frames=_frames(doc) if "frames" in doc.data else None,
        packets=_packets(doc),
        rules=described,
    )


def _check_names(doc: Document, rules: tuple[Rule, ...]) -> None:
    """Raise ConfigError for layouts or fields whose tables or columns would be mixed up."""
    taken = {"packets": "the table of all packets"}
    for index, rule in enumerate(rules):
        file = file_name(rule.name).lower()
        if file in taken:
            raise doc.error(("layout", index, "name"), f"{rule.name!r} is {taken[file]} already")
        taken[file] = f"layout {rule.name!r}"
        if any(f.path[0] == PACKET for f in rule.layout.fields):
            at = ("layout", index, "fields")
            raise doc.error(at, f"a field is called {PACKET!r}, as the column that numbers packets")


def _flag(doc: Document, key: str | KeyPath, default: bool) -> bool:
    value = doc.find(key, default)
    if not isinstance(value, bool):
        raise doc.error(key, "must be true or false")
    return value


def _hex(doc: Document, key: str, default: bytes) -> bytes:
    text = doc.text(key, default.hex())
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise doc.error(key, f"{text!r} is not octets in hexadecimal") from None


def _apids(doc: Document, key: str) -> frozenset[int]:
    value = doc.find(key, [])
    if not isinstance(value, list):
        raise doc.error(key, "must be a list of APIDs")
    return frozenset(doc.integer((*key.split("."), i), 0, 2047) for i in range(len(value)))


def _convolutional(doc: Document) -> Convolutional:
    doc.check_keys("convolutional", KEYS["convolutional"])
    return Convolutional(
        doc.choice("convolutional.rate", RATES, "1/2"),
        doc.choice("convolutional.order", ORDERS, "ccsds"),
        doc.integer("convolutional.traceback", 16, 512, None),
        doc.integer("convolutional.segment", 64, 2048, None),
    )


def _marker(doc: Document) -> Marker:
    small = ("search_wrong", "lock_wrong", "verify", "misses", "slip")
    doc.check_keys("marker", KEYS["marker"])
    numbers = {name: doc.integer(f"marker.{name}", 0, 255, getattr(Marker, name)) for name in small}
    octets = _hex(doc, "marker.octets", ASM)
    if not 1 <= len(octets) <= 8:
        raise doc.error("marker.octets", f"{len(octets)} octets, must be 1 to 8")
    if 2 * numbers["lock_wrong"] >= 8 * len(octets):
        wrong = f"{numbers['lock_wrong']} of {8 * len(octets)} bits, must be fewer than half"
        raise doc.error("marker.lock_wrong", wrong)
    if numbers["search_wrong"] > numbers["lock_wrong"]:
        wrong = f"{numbers['search_wrong']}, must not be above lock_wrong ({numbers['lock_wrong']})"
        raise doc.error("marker.search_wrong", wrong)
    return Marker(
        octets,
        inverted=_flag(doc, "marker.inverted", False),
        step=8 if _flag(doc, "marker.aligned", False) else 1,
        **numbers,
    )


def _reed_solomon(doc: Document) -> BlockCode:
    doc.check_keys("reed_solomon", KEYS["reed_solomon"])
    e = doc.integer("reed_solomon.e", 8, 16, 16)
    interleave = doc.integer("reed_solomon.interleave", 1, 8, 1)
    if e not in (8, 16):
        raise doc.error("reed_solomon.e", f"{e} is neither 16 nor 8")
    if interleave in (6, 7):
        raise doc.error("reed_solomon.interleave", f"{interleave} is none of 1, 2, 3, 4, 5, 8")
    fill = doc.integer("reed_solomon.fill", 0, 254 - 2 * e, 0)
    data_nbytes, nbytes = interleave * (255 - 2 * e - fill), None
    if "frames" in doc.data:
        nbytes = doc.integer("frames.nbytes", 1, 65_536)
    if nbytes is not None and nbytes != data_nbytes:
        raise doc.error(
            "frames.nbytes",
            f"frames of {nbytes} octets, but code blocks of this e, interleave and fill hold"
            f" {data_nbytes}",
        )
    return BlockCode(
        e=e,
        dual=doc.choice("reed_solomon.basis", ("dual", "conventional"), "dual") == "dual",
        interleave=interleave,
        fill=fill,
        lenient=_flag(doc, "reed_solomon.lenient", False),
    )


def _frames(doc: Document) -> Frames:
    doc.check_keys("frames", KEYS["frames"])
    services = {}
    for vcid in doc.table("frames.services", {}):
        if not vcid.isdecimal() or int(vcid) > 63:
            raise doc.error(("frames", "services", vcid), "is no virtual channel: 0 to 63")
        place = ("frames", "services", vcid)
        services[int(vcid)] = doc.choice(place, SERVICES)
    kind = doc.choice("frames.kind", SPACECRAFT)
    fecf = doc.choice("frames.fecf", ("none", *filter(None, FECF_NBYTES)), "crc16")
    values: dict[str, Any] = {
        "nbytes": doc.integer("frames.nbytes", 1, 65_536),
        "scid": doc.integer("frames.scid", 0, SPACECRAFT[kind], None),
        "fecf": None if fecf == "none" else fecf,
        "ocf": _flag(doc, "frames.ocf", False),
        "insert_nbytes": doc.integer("frames.insert_nbytes", 0, 65_536, 0),
        "fhec": _flag(doc, "frames.fhec", False),
        "variable": _flag(doc, "frames.variable", False),
        "segment_header": _flag(doc, "frames.segment_header", True),
        "channels": doc.integer("frames.channels", 1, 1024, 16),
    }
    try:
        return Frames(kind, services=services, **values)
    except CodecError as wrong:
        raise doc.error("frames", str(wrong)) from None


def _packets(doc: Document) -> Packets:
    if "packets" not in doc.data:
        return Packets()
    doc.check_keys("packets", KEYS["packets"])
    return Packets(
        error_control=_flag(doc, "packets.error_control", False),
        no_error_control=_apids(doc, "packets.no_error_control"),
        apids=_apids(doc, "packets.apids"),
        pus=_pus(doc) if "pus" in doc.table("packets") else None,
        no_pus=_apids(doc, "packets.no_pus"),
        before_nbytes=doc.integer("packets.before_nbytes", 0, 65_536, 0),
        behind_nbytes=doc.integer("packets.behind_nbytes", 0, 65_536, 0),
        max_nbytes=doc.integer("packets.max_nbytes", 7, 65_542, 65_542),
        late_window=doc.integer("packets.late_window", 0, 8191, 64),
        keep_idle=_flag(doc, "packets.keep_idle", False),
    )


def _pus(doc: Document) -> PusFormat:
    widths = ("counter_nbytes", "destination_nbytes", "source_nbytes")
    spares = ("tm_spare_nbytes", "tc_spare_nbytes")
    doc.check_keys("packets.pus", KEYS["packets.pus"])
    version = _VERSIONS[doc.choice("packets.pus.version", _VERSIONS)]
    numbers: dict[str, Any] = {
        name: doc.integer(f"packets.pus.{name}", 0, 4, getattr(PusFormat, name)) for name in widths
    }
    numbers |= {name: doc.integer(f"packets.pus.{name}", 0, 255, 0) for name in spares}
    preamble = _flag(doc, "packets.pus.preamble_sent", True)
    made = PusFormat(version=version, time=_time(doc), preamble_sent=preamble)
    return replace(made, **numbers)


def _time(doc: Document) -> TimeFormat | None:
    key = "packets.pus.time"
    text = doc.text(key, "cuc 4 3")
    if text == "none":
        return None
    found = re.fullmatch(r"(cuc|cds) +([0-9]) +([0-9])(?: +(tai|agency))?", text.strip())
    if found is None:
        known = "none, cuc COARSE FINE, cds DAYS BELOW_MS, with tai or agency behind them"
        raise doc.error(key, f"{text!r} is none of {known}")
    try:
        epoch = EPOCHS[found[4] or "agency"]
        return TimeFormat(found[1], int(found[2]), int(found[3]), epoch)
    except CodecError as wrong:
        raise doc.error(key, str(wrong)) from None


def _rule(doc: Document, index: int) -> Rule:
    here = ("layout", index)
    doc.check_keys(here, KEYS["layout"])
    try:
        layout = compile_layout(read_fields(doc, (*here, "fields")))
    except CodecError as wrong:
        raise doc.error((*here, "fields"), str(wrong)) from None
    pus = "pus" in doc.table("packets", {})
    for name in ("service", "subtype"):
        if name in doc.table(here) and not pus:
            raise doc.error((*here, name), "the packets have no PUS headers: say [packets.pus]")
    directed = "telecommand" in doc.table(here)
    return Rule(
        doc.text((*here, "name")),
        layout,
        apid=doc.integer((*here, "apid"), 0, 2047, None),
        telecommand=_flag(doc, (*here, "telecommand"), False) if directed else None,
        vcid=doc.integer((*here, "vcid"), 0, 63, None),
        service=doc.integer((*here, "service"), 0, 255, None),
        subtype=doc.integer((*here, "subtype"), 0, 255, None),
        skip_nbytes=doc.integer((*here, "skip_nbytes"), 0, 65_536, 0),
        longer=_flag(doc, (*here, "longer"), False),
    )
