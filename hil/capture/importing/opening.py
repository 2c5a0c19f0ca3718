"""Which format a file is in, and the source that reads it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from flightsw.codec.packet.find import PacketFinder
from flightsw.codec.packet.table import MAX_NBYTES, MIN_NBYTES
from flightsw.codec.stream.channel import ON_AIR, Channel
from flightsw.codec.stream.stream import Stream
from flightsw.codec.time_code import EPOCHS, TimeFormat
from hil.capture.importing.candump import CandumpSource
from hil.capture.importing.downlink import (
    AirSource,
    CltuSource,
    FrameSource,
    OctetSource,
    PacketSource,
)
from hil.capture.importing.pcapng import PCAP_MAGICS, PCAPNG_MAGIC, PcapngSource, PcapSource
from hil.capture.importing.unit import UNIT_LIMIT_NBYTES, Source
from hil.errors import UsageError

#: format -> what it is
FORMS = {
    "pcapng": "captures of Wireshark, tshark, dumpcap and of `hil export`",
    "pcap": "captures of tcpdump",
    "candump": "logs and printouts of can-utils",
    "blf": "binary CAN logs of Vector (extra `can`)",
    "asc": "text CAN logs of Vector (extra `can`)",
    "frames": "transfer frames or code blocks of one length behind each other",
    "cadu": "a stream off the air with sync markers, as the channel file says",
    "cltu": "link units of an uplink",
    "packets": "space packets behind each other",
    "octets": "what a serial line received",
}
_LOOK_NBYTES = 512
_SUFFIXES = {".blf": "blf", ".asc": "asc", ".log": "candump"}
_CANDUMP = re.compile(rb"\s*\([^)]{3,40}\)\s+\S+\s+|\s*\S+\s+[0-9A-F]{3,8}\s+\[\d")
_ASC = re.compile(rb"\s*(date\s|base\s+(hex|dec)|//|Begin)", re.IGNORECASE)
_TIME_CODE = re.compile(r"(cuc|cds) +(\d) +(\d)(?: +(tai|agency))? *@ *(\d{1,5})")


@dataclass(frozen=True)
class Wish:
    """How files without a head of their own are read."""

    form: str | None = None
    channel: Channel | None = None
    frame_nbytes: int | None = None
    before_nbytes: int = 0
    behind_nbytes: int = 0
    rate_bps: float | None = None
    #: where the time of a packet stands, as ``cds 2 2 tai @ 6``
    packet_time: str | None = None


def form_of(file: BinaryIO, path: Path, wish: Wish) -> str:
    """Return the format of an open file. Raises ``UsageError`` where it does not show."""
    if wish.form is not None:
        return wish.form
    head = file.peek(_LOOK_NBYTES)[:_LOOK_NBYTES] if hasattr(file, "peek") else b""
    for magic, form in ((PCAPNG_MAGIC, "pcapng"), (b"LOGG", "blf")):
        if head.startswith(magic):
            return form
    if head[:4] in PCAP_MAGICS:
        return "pcap"
    if path.suffix.lower() in _SUFFIXES:
        return _SUFFIXES[path.suffix.lower()]
    if wish.channel is not None:
        source = wish.channel.input
        return "cadu" if source in ON_AIR else source
    if wish.frame_nbytes is not None:
        return "frames"
    if wish.before_nbytes or wish.behind_nbytes or wish.packet_time:
        return "packets"
    if _ASC.match(head):
        return "asc"
    if _CANDUMP.match(head):
        return "candump"
    raise UsageError(
        f"{path}: its format does not show; say --as {'|'.join(FORMS)}, or give a channel file "
        "with --channel"
    )


def source_of(file: BinaryIO, path: Path, wish: Wish) -> Source:
    """Return the source that reads a file. Raises ``UsageError`` for what cannot be read."""
    form, name = form_of(file, path, wish), path.name
    plain: dict[str, Callable[[BinaryIO, str], Source]] = {
        "pcapng": PcapngSource,
        "pcap": PcapSource,
        "candump": CandumpSource,
    }
    if form in plain:
        return plain[form](file, name)
    if form in ("blf", "asc"):
        from hil.capture.importing.vector import AscSource, BlfSource

        return (BlfSource if form == "blf" else AscSource)(file, name)
    if form == "frames":
        return FrameSource(file, name, _unit_nbytes(path, wish), wish.rate_bps)
    if form == "packets":
        return _packets(file, path, wish)
    if form == "cadu":
        if wish.channel is None or wish.channel.input not in ON_AIR:
            raise UsageError(f"{path}: a stream off the air needs a channel file: --channel FILE")
        marker = wish.channel.marker
        nbytes = _unit_nbytes(path, wish) + (0 if marker is None else len(marker.octets))
        if nbytes * 16 > UNIT_LIMIT_NBYTES:  # soft symbols, of a code of half the rate
            raise UsageError(f"{path}: units of {nbytes} octets are none that are sent")
        return AirSource(file, name, wish.channel, nbytes, wish.rate_bps)
    if form in ("cltu", "octets"):
        return (CltuSource if form == "cltu" else OctetSource)(file, name, wish.rate_bps)
    raise UsageError(
        f"{path}: channels of input {form!r} are lines: import them with --as octets, and decode "
        "them with `hil codec`"
    )


def _unit_nbytes(path: Path, wish: Wish) -> int:
    """Return the octets of a frame, or of the code block around it."""
    if wish.frame_nbytes is not None:
        if not 0 < wish.frame_nbytes <= UNIT_LIMIT_NBYTES:
            raise UsageError(f"--frame-nbytes {wish.frame_nbytes}: give 1 to {UNIT_LIMIT_NBYTES}")
        return wish.frame_nbytes
    channel = wish.channel
    if channel is None or channel.frames is None:
        raise UsageError(f"{path}: how long is a frame? say --frame-nbytes N, or --channel FILE")
    if channel.frames.variable:
        raise UsageError(
            f"{path}: frames of varying length cannot be told apart here; decode them with "
            "`hil codec`"
        )
    Stream(channel)  # what does not go together is found before anything is written
    code = channel.reed_solomon
    return channel.frames.nbytes + (0 if code is None else 2 * code.e * code.interleave)


def _packets(file: BinaryIO, path: Path, wish: Wish) -> PacketSource:
    described = None if wish.channel is None else wish.channel.packets
    before, behind = wish.before_nbytes, wish.behind_nbytes
    if described is not None:
        before, behind = before or described.before_nbytes, behind or described.behind_nbytes
    if not (0 <= before < 1 << 20 and 0 <= behind < 1 << 20):
        raise UsageError(f"{path}: {before} octets before and {behind} behind a packet; 0 to 2^20")
    finder = PacketFinder(
        before_nbytes=before,
        behind_nbytes=behind,
        min_nbytes=MIN_NBYTES,
        max_nbytes=MAX_NBYTES if described is None else described.max_nbytes,
        apids=described.apids if described is not None and described.apids else None,
        error_control=described is not None
        and described.error_control
        and not described.no_error_control,
    )
    time_of = None if wish.packet_time is None else packet_time(wish.packet_time)
    return PacketSource(file, path.name, finder, (before, behind), wish.rate_bps, time_of)


def packet_time(text: str) -> Callable[[bytes], int | None]:
    """Return what reads the time of a packet, as ``cuc 4 2 @ 6`` or ``cds 2 2 tai @ 6`` says.

    The number behind ``@`` is where in the packet the code begins, its preamble not counted.
    Raises ``UsageError`` for what is no time code.
    """
    from flightsw.codec.errors import CodecError

    found = _TIME_CODE.fullmatch(text.strip().lower())
    try:
        if found is None:
            raise UsageError("it is not as 'cuc 4 2 @ 6' or 'cds 2 2 tai @ 6'")
        code = TimeFormat(found[1], int(found[2]), int(found[3]), EPOCHS[found[4] or "agency"])
    except CodecError as wrong:
        raise UsageError(f"--packet-time {text!r}: {wrong}") from None
    except UsageError as wrong:
        raise UsageError(f"--packet-time {text!r}: {wrong}") from None
    at = int(found[5])

    def read(packet: bytes) -> int | None:
        try:
            return code.unpack(packet[at : at + code.nbytes])
        except CodecError:
            return None

    return read
