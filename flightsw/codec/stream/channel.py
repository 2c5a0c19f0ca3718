"""What a channel is, as data: how octets off a link or out of a file become packets and columns.

A :class:`Channel` lists the stages in the order in which data flows; a stage that is None is not
there. :class:`stream.Stream` runs it. Nothing here does anything.
"""

from __future__ import annotations

from dataclasses import dataclass

from flightsw.codec.columns.layout import Layout
from flightsw.codec.link.chain import BlockCode
from flightsw.codec.link.frames import Frames
from flightsw.codec.link.sync import Marker
from flightsw.codec.packet.pus_format import PusFormat

#: What the octets of the input are.
INPUTS = {
    "octets": "the stream off the air, eight bits an octet",
    "bits": "the stream off the air, one bit an octet, 0 or 1",
    "symbols": "soft symbols of the convolutional code, one an octet: 0 sure zero, 255 sure one",
    "frames": "frames or code blocks one behind the other, without markers",
    "packets": "space packets one behind the other",
    "cltu": "link units of an uplink, with telecommand frames",
    "cobs": "packets in COBS frames",
    "slip": "packets in SLIP frames",
    "hdlc": "packets in HDLC frames with a check of 16 bits",
}
#: Inputs that are a stream of bits, in which a marker has to be found.
ON_AIR = ("octets", "bits", "symbols")


@dataclass(frozen=True)
class Convolutional:
    """Viterbi decoding; see :class:`flightsw.codec.coding.convolutional.Viterbi`."""

    rate: str = "1/2"
    order: str = "ccsds"
    traceback: int | None = None
    segment: int | None = None


@dataclass(frozen=True)
class Packets:
    """Space packets. ``before_nbytes`` and ``behind_nbytes`` stand around each in a packet file,
    and ``apids`` are all that there are in it, if any are named.

    With ``error_control`` packets end in a CRC, except idle ones and those on the APIDs of
    ``no_error_control``. Those whose check fails are counted, marked, and kept out of columns.
    ``pus`` is the form of secondary headers, on all APIDs but those of ``no_pus``. ``keep_idle``
    keeps idle packets.
    """

    error_control: bool = False
    no_error_control: frozenset[int] = frozenset()
    apids: frozenset[int] = frozenset()
    pus: PusFormat | None = None
    no_pus: frozenset[int] = frozenset()
    before_nbytes: int = 0
    behind_nbytes: int = 0
    max_nbytes: int = 65542
    late_window: int = 64
    keep_idle: bool = False


@dataclass(frozen=True)
class Rule:
    """Which packets a layout describes. None takes any.

    ``skip_nbytes`` stand in front of the layout: from the start of the packet, or with ``pus`` of
    the channel from the end of the secondary header. ``longer`` accepts packets in which octets
    follow that a layout of fixed size does not describe.
    """

    name: str
    layout: Layout
    apid: int | None = None
    telecommand: bool | None = None
    vcid: int | None = None
    service: int | None = None
    subtype: int | None = None
    skip_nbytes: int = 0
    longer: bool = False


@dataclass(frozen=True)
class Channel:
    """All stages of one physical channel."""

    name: str
    input: str
    convolutional: Convolutional | None = None
    marker: Marker | None = None
    randomiser: str | None = None
    reed_solomon: BlockCode | None = None
    frames: Frames | None = None
    packets: Packets = Packets()
    rules: tuple[Rule, ...] = ()
