"""Captures as pcapng, for Wireshark and whatever else reads packets (draft-ietf-opsawg-pcapng).

One section, one interface a channel, times in nanoseconds with the epoch of the mission as offset
of each interface. A packet is the whole wire record, link type USER0, which the dissector beside
(``hil/capture/wireshark/flatsat.lua``) takes apart; a CAN frame is LINKTYPE_CAN_SOCKETCAN, with the
header of its record behind it, where other dissectors see padding. The blocks of packets are made
by ``csrc/record/pcapng.c``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

from flightsw.codec.errors import TruncatedError
from flightsw.codec.native import ffi, lib
from flightsw.codec.wire import HEADER, Kind, unpack_from
from hil import __version__
from hil.capture.capturefile import END_TABLE
from hil.capture.export.naming import Names, described
from hil.capture.export.notes import Notes
from hil.capture.mcapread import number_in

LINKTYPE_USER0 = 147
LINKTYPE_CAN_SOCKETCAN = 227
#: A longer packet is cut, and keeps its length: Wireshark takes packets, and dumpcap from a pipe
#: whole blocks, of at most 262144 octets.
SNAPLEN = 262_144 - 4096
#: in the description of an interface: numbers of records may be missing that were never lost
SELECTION = "selection"

SECTION, INTERFACE, STATISTICS = 0x0A0D0D0A, 1, 5
BYTE_ORDER_MAGIC = 0x1A2B3C4D
_NANOSECONDS = b"\x09"
_NONE, _SKIP = 0xFFFFFFFF, 0xFFFFFFFE
_CAN_OFFSET = 65536
_CAN_MOST = 64
_COMMENT_LIMIT = 4000


def block(kind: int, body: bytes) -> bytes:
    """Return one block: type, length, body, length again."""
    length = len(body) + 12
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)


def options(pairs: list[tuple[int, bytes]]) -> bytes:
    """Return the options of a block, the end marked; none at all if there are none."""
    raw = b"".join(
        struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)
        for code, value in pairs
    )
    return raw + bytes(4) if raw else b""


class PcapngWriter:
    """Writes one section: wire records in, pcapng out through ``put``.

    ``metadata`` is that of the capture. Of all records given those are written whose topic is
    ``wanted``. ``selection`` marks the interfaces: numbers are missing that were never lost; with
    ``counting`` off they are also missing in what is given, and no loss is counted.
    """

    def __init__(
        self,
        put: Callable[[bytes], object],
        names: Names,
        metadata: Mapping[str, str],
        *,
        notes: Notes | None = None,
        wanted: Callable[[str], bool] = lambda topic: True,
        selection: bool = False,
        counting: bool = True,
        snaplen: int = SNAPLEN,
    ) -> None:
        self._put = put
        self._names = names
        self._notes = notes or Notes(names)
        self._wanted = wanted
        self._selection = selection
        self._offset_s, rest_ns = divmod(int(metadata.get("epoch_ns", "0")), 10**9)
        self._interfaces = ffi.new("uint32_t[]", [_NONE] * (2 * _CAN_OFFSET))
        self._places: list[tuple[int, int]] = []
        self._counts = ffi.new("uint64_t[]", 0)
        self._state = ffi.new("fs_pcapng_state *")
        self._state.counting = counting
        self._state.snaplen = snaplen
        self._state.time_ns = rest_ns
        self._out = ffi.new("uint8_t[]", 1 << 20)
        put(_section(metadata))

    @property
    def counts(self) -> dict[str, int]:
        """Packets written, by name of the interface."""
        found: dict[str, int] = {}
        for at, (kind, channel) in enumerate(self._places):
            name = self._names.name(kind, channel)
            found[name] = found.get(name, 0) + self._counts[at]
        return found

    @property
    def lost(self) -> int:
        """Records whose numbers are missing in what was written."""
        return int(self._state.lost)

    def write(self, records: bytes) -> None:
        """Write whole records, one after the other in one buffer.

        Raises :class:`~flightsw.codec.errors.TruncatedError` if the buffer ends inside a record.
        """
        state, view, comment = self._state, memoryview(records), b""
        while view:
            taken = lib.fs_pcapng_pack(
                ffi.from_buffer(view),
                len(view),
                self._interfaces,
                self._counts,
                comment,
                len(comment),
                self._out,
                len(self._out),
                state,
            )
            if taken < 0:
                raise TruncatedError(f"pcapng: {len(view)} octets end inside a wire record")
            if state.used:
                self._put(bytes(ffi.buffer(self._out, state.used)))
            view = view[state.consumed :]
            comment = self._make_way(view, taken, comment) if view else b""

    def finish(self, tables: Mapping[str, Mapping[str, str]] | None = None) -> None:
        """Write the statistics of every interface: packets, and how many were lost.

        ``tables`` is the metadata of the capture, whose end says what was lost on which topic.
        """
        end = (tables or {}).get(END_TABLE)
        for at, (kind, channel) in enumerate(self._places):
            lost = None
            if end is not None and self._state.counting:
                lost = number_in(end.get(f"lost {self._names.topic(kind, channel)}", "0"))
            self._put(self._statistics(at, lost))

    # --- blocks -----------------------------------------------------------------------------------

    def _make_way(self, view: memoryview, taken: int, comment: bytes) -> bytes:
        """Do what the record at the head of ``view`` waits for; return its comment."""
        kind, channel, _flags, _status, length = HEADER.unpack_from(view)[:5]
        is_can = kind == Kind.CAN and length <= _CAN_MOST
        key = (_CAN_OFFSET if is_can else 0) + (kind << 8 | channel)
        if self._interfaces[key] == _NONE:
            self._add_interface(key, kind, channel, is_can)
            return comment if not taken else b""
        if not taken and (comment or not self._is_notable(view)):
            self._out = ffi.new("uint8_t[]", 2 * len(self._out) + length)
            return comment
        if self._is_notable(view):
            record = unpack_from(bytes(view[: HEADER.size + length]))[0]
            return self._notes.of(record).encode()[:_COMMENT_LIMIT]
        return b""

    @staticmethod
    def _is_notable(view: memoryview) -> bool:
        kind, _channel, flags, status = view[:4]
        return bool(status or flags & 4 or kind == Kind.FAULT)

    def _add_interface(self, key: int, kind: int, channel: int, is_can: bool) -> None:
        """Describe the interface of a channel that is new, or leave the channel out."""
        topic = self._names.topic(kind, channel)
        if not self._wanted(topic):
            self._interfaces[key] = _SKIP
            return
        name = self._names.name(kind, channel)
        text = described(kind, name) + (f", {SELECTION}" if self._selection else "")
        link_type = LINKTYPE_CAN_SOCKETCAN if is_can else LINKTYPE_USER0
        head = struct.pack("<HHI", link_type, 0, self._state.snaplen)
        pairs = [
            (2, name.encode()),
            (3, text.encode()),
            (9, _NANOSECONDS),
            (14, struct.pack("<q", self._offset_s)),
        ]
        self._put(block(INTERFACE, head + options(pairs)))
        self._interfaces[key] = len(self._places)
        self._places.append((kind, channel))
        counts = ffi.new("uint64_t[]", len(self._places))
        ffi.memmove(counts, self._counts, ffi.sizeof(self._counts))
        self._counts = counts

    def _statistics(self, interface: int, lost: int | None) -> bytes:
        state = self._state
        first, last = (
            _time(t_ns + state.time_ns & (1 << 64) - 1) for t_ns in (state.start_ns, state.end_ns)
        )
        pairs = [
            (2, first),
            (3, last),
            (4, struct.pack("<Q", self._counts[interface])),
        ]
        if lost is None and not self.lost and self._state.counting:
            lost = 0
        if lost is not None:
            pairs.append((5, struct.pack("<Q", lost)))
        elif self.lost:
            text = f"{self.lost} records lost in the capture, on this channel or any other"
            pairs.insert(0, (1, text.encode()))
        return block(STATISTICS, struct.pack("<I", interface) + last + options(pairs))


def _time(t_ns: int) -> bytes:
    """Return a time as its upper and lower halves."""
    return struct.pack("<II", t_ns >> 32, t_ns & 0xFFFFFFFF)


def _section(metadata: Mapping[str, str]) -> bytes:
    """Return the Section Header Block: what was flown on what, by which program."""
    flown = [f"{key} {metadata[key]}" for key in ("mission", "board", "seed") if key in metadata]
    pairs = [(1, ", ".join([*flown, metadata.get("command", "")]).strip(", ").encode())]
    pairs.append((2, f"emulated bench, board {metadata.get('board', 'unknown')}".encode()))
    if "platform" in metadata:
        pairs.append((3, metadata["platform"].encode()))
    pairs.append((4, f"flatsat {metadata.get('version', __version__)}".encode()))
    head = struct.pack("<IHHq", BYTE_ORDER_MAGIC, 1, 0, -1)
    return block(SECTION, head + options([(code, value[:_COMMENT_LIMIT]) for code, value in pairs]))
