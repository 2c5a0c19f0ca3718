"""What receivers of TM, AOS and USLP frames share: whole frames in, packets and other units out.

A receiver takes the frames of one physical channel, without marker and randomiser, one by one
(:meth:`FrameReceiver.frame`) or as a buffer of many (:meth:`FrameReceiver.frames`), and keeps per
channel what packets still miss. Everything that it does not give is counted: events in
``counters``, by virtual channel in ``channels``, octets in ``octets``.
"""

from __future__ import annotations

from functools import cached_property
from struct import iter_unpack
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from flightsw.codec.errors import ChecksumError, CodecError, FieldRangeError, SyncError
from flightsw.codec.link.cop1 import Clcw
from flightsw.codec.link.frames import OCF_NBYTES, Frames
from flightsw.codec.link.units import FRAME_DTYPE, UNIT_DTYPE, Units
from flightsw.codec.native import ffi, lib, octets_of, with_octets
from flightsw.codec.octets import Octets, view_of

#: C clears the head of a slot when it is taken, and most never are.
_uncleared = ffi.new_allocator(should_clear_after_alloc=False)
_SLOTS_TYPE = ffi.typeof("fs_frame_slot[]")
_SHORTEST = 4
_SETTINGS_NBYTES: int = ffi.sizeof("fs_frame_settings")
_SLOT_HEAD_NBYTES: int = ffi.offsetof("fs_frame_slot", "octets")

_PLACE = "=Q16xI8xB3x"  # offset, length and channel of such a row

#: What holds results until they are taken, and nothing from one call to the next.
_SCRATCH = frozenset(("_sink", "_rows", "_out", "_row_view", "_out_view"))

#: Counters of the whole receiver, of each virtual channel, and where octets went.
RECEIVER_COUNTERS = (
    "bad_fecf",
    "bad_fhec",
    "bad_version",
    "bad_length",
    "foreign_frames",
    "corrected_headers",
    "mc_gaps",
    "mc_lost_frames",
)
CHANNEL_COUNTERS = (
    "frames",
    "vc_gaps",
    "vc_lost_frames",
    "back_frames",
    "repeated_frames",
    "restarts_seen",
    "idle_frames",
    "replayed_frames",
    "unpacketised_frames",
    "truncated_frames",
    "control_frames",
    "broken_frames",
    "no_slot_frames",
    "ocf_mismatches",
    "pointer_errors",
    "bad_packets",
    "oversize_units",
    "packets",
    "idle_packets",
    "encapsulation_packets",
    "units",
    "packets_lost_pieces",
    "unaligned_octets",
)
OCTETS = ("overhead", "packet", "unit", "idle", "repeated", "unaligned", "lost")


class FrameReceiver:
    """Takes the frames of one physical channel: of TM, AOS or USLP, as ``frames`` says.

    Frames of more than ``frames.channels`` virtual channels (in USLP: MAPs of them) that carry data
    are refused and counted in ``no_slot_frames``. Idle packets, and frames that say they are idle
    (of AOS and USLP: on channel 63), are counted and not given.

    In counts of 16 bits and more (AOS, USLP) a jump to 0 is a restart of that channel, a step back
    of less than half the range a frame sent again or late; neither is a loss. A TM spacecraft that
    restarts counts all its frames from 0 and says so only in a later packet: a jump to a frame
    whose master and virtual channel counts are both 0 is such a restart, in ``restarts_seen``, and
    no loss; if that very frame does not arrive, the jump counts as one. A frame that comes twice in
    a row, told by its count and its first and last eight octets, is in ``repeated_frames`` and
    gives nothing the second time.

    A USLP frame says how it is constructed; ``opaque`` in ``services`` gives its data zone as it
    is. Its frames with and without sequence control are counted apart. AOS spacecraft beyond 255
    use the two bits of the signalling field that older issues leave 0.

    A receiver belongs to one thread at a time.
    """

    COUNTERS: ClassVar[tuple[str, ...]] = RECEIVER_COUNTERS + CHANNEL_COUNTERS

    _ROWS = 4096
    _OCTETS = 1 << 18

    def __init__(self, frames: Frames) -> None:
        if frames.kind == "tc":
            raise FieldRangeError(
                "frame receiver: telecommand frames are for tc_frame.unpack and SegmentReceiver"
            )
        self.settings = frames
        self.nbytes = frames.nbytes
        self._name = frames.kind.upper()
        self._varies = frames.variable or frames.truncated_nbytes > 0
        self._begin()

    def _begin(self) -> None:
        """Make the C side."""
        frames = self.settings
        self._state = ffi.new("fs_frame_receiver *")
        self._slots = _uncleared(_SLOTS_TYPE, frames.channels)
        made = lib.fs_frame_reset(self._state, frames.made(), self._slots, frames.channels)
        assert made >= 0, "the settings were checked"

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy needs to go on from here; memory for results it makes anew."""
        slots = [_used(ffi.addressof(self._slots, k)) for k in range(self._state.nused)]
        kept = {name: value for name, value in self.__dict__.items() if name not in _SCRATCH}
        return {**kept, "_state": octets_of(self._state, "slots"), "_slots": slots}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Go on from there; CodecError for what no receiver can have kept."""
        self.__dict__.update(state)
        octets, slots = state["_state"], state["_slots"]
        self._begin()
        if octets[:_SETTINGS_NBYTES] != octets_of(self._state)[:_SETTINGS_NBYTES]:
            raise CodecError("frame receiver: it was kept with other settings")
        made = with_octets(self._state, octets)
        made.slots = self._slots
        if not made.nused == len(slots) <= made.nslots == self.settings.channels:
            raise CodecError("frame receiver: it was kept with other channels")
        if max(made.slot_of) > made.nused:
            raise CodecError("frame receiver: a channel has a slot that is not there")
        for k, used in enumerate(slots):
            slot = ffi.addressof(self._slots, k)
            ffi.memmove(slot, used, min(len(used), ffi.sizeof(slot[0])))
            if len(used) != _SLOT_HEAD_NBYTES + slot.npending or slot.vcid >= len(made.vc):
                raise CodecError("frame receiver: a slot is not as it was kept")

    @cached_property
    def _sink(self) -> Any:
        """Where single frames go; a receiver of many at a time needs none."""
        sink = ffi.new("fs_frame_sink *")
        rows = max(self._ROWS, lib.fs_frame_rows_room(self._state))
        octets = max(self._OCTETS, lib.fs_frame_octets_room(self._state))
        self._rows = np.empty(rows, UNIT_DTYPE)
        self._out = np.empty(octets, np.uint8)
        self._row_view = self._rows.view(np.uint8).data
        self._out_view = self._out.data
        _aim(sink, self._rows, self._out, None)
        return sink

    def frame(self, frame: bytes) -> list[tuple[int, bytes]]:
        """Take one frame; return (virtual channel, unit) for each packet or unit that it completes.

        Raises SyncError for a wrong length and ChecksumError for a wrong check of frame or header;
        the latter are counted, as frames of others are, which give nothing.
        """
        sink = self._sink
        sink.rows_used = sink.octets_used = 0
        view = view_of(f"{self._name} frame", frame)
        verdict = lib.fs_frame_take(self._state, view, len(view), sink)
        if verdict in (lib.FS_FRAME_BAD_FECF, lib.FS_FRAME_BAD_FHEC):
            what = "frame" if verdict == lib.FS_FRAME_BAD_FECF else "header"
            raise ChecksumError(
                f"{self._name} frame of {len(frame)} octets: {what} check does not match"
            )
        if verdict < 0 or verdict == lib.FS_FRAME_BAD_LENGTH:
            raise SyncError(f"{self._name} frame of {len(frame)} octets, must be {self.nbytes}")
        return self._collect(sink.rows_used)

    def frames(
        self,
        buf: Octets | npt.NDArray[np.uint8],
        stride: int | None = None,
        *,
        infos: bool = False,
    ) -> Units:
        """Take the frames that begin every ``stride`` octets of ``buf`` (default: their length).

        Bad frames are counted and passed over. With ``infos`` there is a row for each frame, too.
        Raises SyncError for a stride that is too short, and for octets at the end that are no whole
        frame; then nothing was taken. Only frames of varying length are taken up to that place:
        :meth:`take_whole` gives them.
        """
        step, nbytes = self._stride() if stride is None else stride, len(view_of(self._name, buf))
        if not (self.nbytes <= step < 1 << 32 or step == self._stride() == 0):
            raise SyncError(f"{self._name} frames: one every {step} octets, each has {self.nbytes}")
        left = nbytes % step if step else 0
        if left >= self.nbytes:  # nothing follows the last frame
            left = 0
        if not left:
            units, _, taken = self._take(buf, step, infos)
            left = nbytes - taken
        if left:
            raise SyncError(f"{self._name} frames: {left} octets at the end are no whole frame")
        return units

    def take_whole(
        self, buf: Octets | npt.NDArray[np.uint8], *, infos: bool = False
    ) -> tuple[Units, int, int]:
        """Take the whole frames in ``buf``; return units, how many frames, and their octets.

        The octets behind them are the beginning of the next frame: give them again with the rest.
        """
        return self._take(buf, self._stride(), infos)

    def _take(self, buf: Any, step: int, infos: bool) -> tuple[Units, int, int]:
        view, at, count = view_of(self._name, buf), 0, 0
        left = nbytes = len(view)
        capacity = left // (step or _SHORTEST) + 1
        tables = [np.empty(capacity, FRAME_DTYPE)] if infos else []
        room = lib.fs_frame_octets_room(self._state) + lib.fs_frame_pending(self._state)
        out = np.empty(left + room, np.uint8)
        sink, consumed, parts = ffi.new("fs_frame_sink *"), ffi.new("uint64_t *"), []
        while True:
            room = lib.fs_frame_rows_room(self._state) + 8 * capacity
            rows = np.empty(room, UNIT_DTYPE)
            _aim(sink, rows, out, tables[0] if infos else None)
            taken = lib.fs_frame_take_batch(self._state, view + at, left, step, consumed, sink)
            assert taken >= 0, "the stride was checked"
            count += taken
            parts.append(rows[: sink.rows_used])
            at, left = at + consumed[0], left - consumed[0]
            if not consumed[0] or not left:
                break
        table = tables[0][: sink.infos_used] if infos else None
        # As octets: numpy joins structured rows field by field.
        rows = np.concatenate([part.view(np.uint8) for part in parts]).view(UNIT_DTYPE)
        return Units(rows, out[: sink.octets_used], table), count, nbytes - left

    def _stride(self) -> int:
        return 0 if self._varies else self.nbytes

    def _collect(self, found: int) -> list[tuple[int, bytes]]:
        out, rows = self._out_view, self._row_view[: found * UNIT_DTYPE.itemsize]
        return [(vcid, bytes(out[at : at + n])) for at, n, vcid in iter_unpack(_PLACE, rows)]

    @property
    def counters(self) -> dict[str, int]:
        """Totals since the start, by name."""
        counted = self._counted()
        return {name: counted[name] for name in self.COUNTERS}

    def _counted(self) -> dict[str, int]:
        state, total = self._state, ffi.new("fs_frame_counters *")
        lib.fs_frame_sum(state, total)
        counted = {name: int(getattr(state, name)) for name in RECEIVER_COUNTERS}
        counted |= {name: int(getattr(total, name)) for name in CHANNEL_COUNTERS}
        counted["restarts_seen"] += int(state.restarts_seen)
        return counted

    @property
    def channels(self) -> dict[int, dict[str, int]]:
        """Totals of each virtual channel that had frames, by its number and then by name."""
        each = ((vcid, self._state.vc[vcid].counters) for vcid in range(lib.FS_FRAME_CHANNELS))
        return {
            vcid: {name: int(getattr(counters, name)) for name in CHANNEL_COUNTERS}
            for vcid, counters in each
            if counters.frames
        }

    @property
    def octets(self) -> dict[str, int]:
        """Where the octets of all frames given went: ``given`` is the sum of the others."""
        total = ffi.new("fs_frame_counters *")
        lib.fs_frame_sum(self._state, total)
        gone = {name: int(getattr(total, f"{name}_octets")) for name in OCTETS}
        gone["refused"] = int(self._state.refused_octets)
        gone["pending"] = int(lib.fs_frame_pending(self._state))
        return {"given": int(self._state.octets)} | gone

    @property
    def ocf(self) -> bytes | None:
        """The last operational control field, or None before the first."""
        state = self._state
        return int(state.ocf_word).to_bytes(OCF_NBYTES, "big") if state.ocfs else None

    @property
    def clcw(self) -> Clcw | None:
        """The last operational control field as a command link control word; None if it is none."""
        word = self.ocf
        return Clcw.unpack(word) if word is not None and not word[0] & 0x80 else None


def _used(slot: Any) -> bytes:
    """Return the octets of a slot that mean something; behind them is what lay there before."""
    return bytes(ffi.buffer(slot)[: _SLOT_HEAD_NBYTES + slot.npending])


def _aim(
    sink: Any, rows: npt.NDArray[Any], out: npt.NDArray[np.uint8], infos: npt.NDArray[Any] | None
) -> None:
    """Point a sink at arrays; frames' rows and octets that are there already stay."""
    sink.rows, sink.nrows = ffi.cast("fs_frame_row *", ffi.from_buffer(rows)), len(rows)
    sink.octets, sink.noctets = ffi.cast("uint8_t *", ffi.from_buffer(out)), len(out)
    if infos is not None:
        sink.infos = ffi.cast("fs_frame_info *", ffi.from_buffer(infos))
        sink.ninfos = len(infos)
    sink.rows_used = 0
